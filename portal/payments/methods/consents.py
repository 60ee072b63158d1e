"""What people agree to: the words, and keeping the proof that they were agreed to."""

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.payments.kinds import ConsentKind
from portal.payments.models import Consent

#: Goes up whenever the words below change in what they say.
SAVE_METHOD_VERSION = "2026-11"


def save_method_words(clinic_name: str) -> str:
    """What somebody agrees to who keeps a card or bank account for next time.

    What such words must say: https://docs.stripe.com/payments/save-and-reuse (compliance). Charging without the
    patient there is another agreement (autopay), with words of its own.
    """
    return _(
        "I allow %(clinic)s to keep this card or bank account with Stripe, its payment service, so that I can use it "
        "again. It is charged only when I press a pay button, or when I set up automatic payments. I can remove it at "
        "any time under “Saved cards and bank accounts”.",
        clinic=clinic_name,
    )


def keep_consent(
    session: Session,
    *,
    user_id: int,
    kind: ConsentKind,
    version: str,
    language: str,
    text: str,
    address: str,
    subject: str = "",
) -> int:
    """Write down that somebody agreed to exactly ``text``, now; returns the row's id. The caller commits.

    ``subject`` is the public id of what it is about, ``address`` the network address it came from.
    """
    consent = Consent(
        user_id=user_id,
        kind=kind,
        version=version,
        language=language[:8],
        text=text,
        subject=subject,
        address=address[:45],
        given_at=clock.now(),
    )
    session.add(consent)
    session.flush()
    record(session, Tag.CONSENT_GIVEN, actor_user_id=user_id, subject=consent.public_id, kind=kind.value)
    return consent.id
