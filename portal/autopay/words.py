"""The text a patient agrees to. A changed word is a new version; old ones stay in ``consent`` as they were given."""

from hashlib import sha256

from flask_babel import gettext as _

VERSION = "2026-12"


def agreement(*, clinic: str, phone: str, method: str, cap: str) -> str:
    """The authorization of preauthorized transfers in writing: Regulation E, 12 CFR 1005.10(b) and (c)."""
    return "\n\n".join(
        [
            _(
                "I allow %(clinic)s to charge what I owe on this account to my %(method)s, each time a bill is ready.",
                clinic=clinic,
                method=method,
            ),
            _(
                "No single charge will be more than %(cap)s. A larger bill is not charged; I am told instead.",
                cap=cap,
            ),
            _(
                "At least 10 days before each charge I get an email with the amount and the day. The charge is never "
                "more than that amount. Charges that are on hold or in dispute are left out."
            ),
            _(
                "I can stop a charge, or autopay as a whole, at any time until the charge is made: with the button on "
                "the autopay page, with the link in the email, or by calling %(phone)s. My bank must also stop a "
                "charge when I tell it at least 3 business days before.",
                phone=phone,
            ),
            _("This lasts until I stop it. A copy of this text is sent to my email address."),
        ]
    )


def fingerprint(text: str) -> str:
    """What the form sends back of the text it showed, so that nobody agrees to another one than they read."""
    return sha256(text.encode()).hexdigest()
