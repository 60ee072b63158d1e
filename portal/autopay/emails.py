"""What autopay writes to people: amounts, days, and how to stop it. Nothing else."""

from datetime import date, datetime

from flask_babel import format_date
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.auth.queries import email_of
from portal.money import Money
from portal.notifications.service import queue_email, sent_at, withdraw_email


def _day(day: date) -> str:
    return str(format_date(day, "MMMM d, y"))


def queue_copy(session: Session, *, user_id: int, autopay: str, text: str) -> None:
    """The copy of the authorization that Regulation E asks for."""
    queue_email(
        session,
        key=f"autopay/{autopay}/copy",
        to=email_of(session, user_id),
        subject=_("Your autopay agreement"),
        body=_("You turned autopay on. This is what you agreed to:") + "\n\n" + text,
    )


def _notice(charge: str, on: date) -> str:
    return f"autopay/{charge}/notice/{on.isoformat()}"


def notice_sent_at(session: Session, *, charge: str, on: date) -> datetime | None:
    """When the mail server took the notice of a charge on that day; None where it has not."""
    return sent_at(session, key=_notice(charge, on))


def withdraw_notice(session: Session, *, charge: str, on: date) -> None:
    """A notice that did not go out must not go out late: another one takes its place."""
    withdraw_email(session, key=_notice(charge, on))


def queue_notice(
    session: Session,
    *,
    user_id: int,
    charge: str,
    amount: Money,
    on: date,
    stop_url: str,
    retry: bool = False,
    late: bool = False,
) -> None:
    """A charge is coming: how much, when, and how to stop it. ``late``: an earlier notice of it went out too late."""
    if retry:
        first = _("Your bank could not take %(amount)s, so we will try once more.", amount=str(amount))
    elif late:
        first = _(
            "Our last email about this charge came too late, so we did not make it. It has a new day. The charge is "
            "%(amount)s.",
            amount=str(amount),
        )
    else:
        first = _("Your next autopay charge is %(amount)s.", amount=str(amount))
    queue_email(
        session,
        key=_notice(charge, on),
        to=email_of(session, user_id),
        subject=_("Autopay: %(amount)s on %(day)s", amount=str(amount), day=_day(on)),
        body=first
        + "\n\n"
        + _(
            "It will be charged on %(day)s, and never be more than this. If less is owed by then, less is charged.\n\n"
            "To stop it, open this link and press the button. You don’t need to sign in:\n%(url)s\n\n"
            "You can also sign in to see what it is for, or call us.",
            day=_day(on),
            url=stop_url,
        ),
    )


def queue_above_cap(session: Session, *, user_id: int, charge: str, amount: Money, cap: Money) -> None:
    """A bill is larger than the patient's cap: nothing is charged."""
    queue_email(
        session,
        key=f"autopay/{charge}/above-cap",
        to=email_of(session, user_id),
        subject=_("A bill is above your autopay limit"),
        body=_(
            "You can pay %(amount)s now. That is above the limit of %(cap)s that you set, so autopay has not charged "
            "anything.\n\nSign in to look at the bill and to pay it, or to change your limit.",
            amount=str(amount),
            cap=str(cap),
        ),
    )


def queue_left_out(session: Session, *, user_id: int, autopay: str, payment: str, amount: Money) -> bool:
    """A bank sent a payment back for good: autopay leaves it out, and what to do. False when that was said before."""
    return queue_email(
        session,
        key=f"autopay/{autopay}/left-out/{payment}",
        to=email_of(session, user_id),
        subject=_("Autopay leaves out %(amount)s", amount=str(amount)),
        body=_(
            "Your bank sent a payment back, so %(amount)s is still to be paid. You have not been charged.",
            amount=str(amount),
        )
        + "\n\n"
        + _left_out(),
    )


def _left_out() -> str:
    return _(
        "We will not charge it again by ourselves. New bills are charged as before.\n\n"
        "Please sign in and pay it when you like, with any card or bank account. Or turn autopay off and on again with "
        "another card or bank account: then it is charged to that one. If you can’t pay it now, call us."
    )


def queue_failed(
    session: Session, *, user_id: int, charge: str, amount: Money, ended: bool, left_out: bool = False
) -> None:
    """A charge did not go through: what to do now. ``left_out``: a bank sent it back for good."""
    if left_out:
        body = (
            _("Your bank sent back a payment of %(amount)s. You have not been charged.", amount=str(amount))
            + "\n\n"
            + _left_out()
        )
    else:
        body = _(
            "We could not charge %(amount)s to your saved payment method. You have not been charged.\n\n"
            "Sign in to pay with another card or bank account.",
            amount=str(amount),
        )
    if ended:
        body += "\n\n" + _("Because this was the second time in a row, autopay is now off. You can turn it on again.")
    queue_email(
        session,
        key=f"autopay/{charge}/failed",
        to=email_of(session, user_id),
        subject=_("Your autopay charge did not go through"),
        body=body,
    )


def queue_stopped(session: Session, *, user_id: int, autopay: str) -> None:
    """Autopay is off."""
    queue_email(
        session,
        key=f"autopay/{autopay}/stopped",
        to=email_of(session, user_id),
        subject=_("Autopay is off"),
        body=_(
            "Autopay is off. We will not charge your saved payment method by ourselves any more.\n\n"
            "A payment that was already sent to your bank can’t be called back by us. Bills that are open stay open: "
            "sign in to pay them when you like."
        ),
    )
