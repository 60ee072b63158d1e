"""What counts as having been told of a charge: a mail in time, or an agreement, of which a copy was sent at last."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from portal.plans.kinds import InstallmentState
from portal.sandbox.simulation.judging import _Told, _Tried, _when

PLAN, INSTALLMENT = "a" * 32, "b" * 32
AGREED = datetime(2027, 1, 5, 23, 0, tzinfo=UTC)
CHARGED = date(2027, 1, 5)
ONE = _Tried("attempt", INSTALLMENT, 1, InstallmentState.PAID, PLAN, 1, True, "")


def copy(*, sent_after: timedelta) -> dict[str, Any]:
    return {
        "what": "mail",
        "at": (AGREED + sent_after).isoformat(),
        "key": f"plan/{PLAN}/copy/4",
        "subject": "Your payment plan",
        "body": "January 3, 2027: $31.44\nFebruary 3, 2027: $20.00",
    }


def why(note: dict[str, Any], agreed: dict[str, datetime], *, at: datetime, cents: int = 31_44) -> str:
    """Why a charge at that moment was not announced, with the one mail there is."""
    told = _Told("America/Chicago", {})
    if (heard_at := _when(note, agreed)) <= at:
        told.hear(note, heard_at)
    return told.missing(ONE, CHARGED, cents, days=3)


def test_an_agreement_tells_from_when_it_was_made_although_its_copy_is_sent_after_the_charge() -> None:
    """Another method is tried at once; the copy leaves with the worker's next mails."""
    note, charged = copy(sent_after=timedelta(minutes=30)), AGREED + timedelta(minutes=21)
    assert why(note, {note["key"]: AGREED}, at=charged) == ""
    assert why(note, {}, at=charged)  # nobody agreed to it


def test_an_agreement_tells_of_what_it_lists_and_of_no_more() -> None:
    note = copy(sent_after=timedelta(minutes=1))
    charged = AGREED + timedelta(minutes=21)
    assert why(note, {note["key"]: AGREED}, at=charged, cents=31_45)
    assert why(note, {note["key"]: AGREED + timedelta(hours=1)}, at=charged) == ""  # never later than the mail itself


def turned_down(*, at: datetime, again_on: str) -> dict[str, Any]:
    return {
        "what": "mail",
        "at": at.isoformat(),
        "key": f"plan/{INSTALLMENT}/failed/7",
        "subject": "A payment of your plan did not go through",
        "body": f"We could not charge $31.44 for your payment plan.\n\nWe will try again on {again_on}.",
    }


def notice() -> dict[str, Any]:
    return {
        "what": "mail",
        "at": "2026-12-29T15:00:00+00:00",
        "key": f"plan/{INSTALLMENT}/notice/2027-01-02",
        "subject": "Payment plan: $31.44 on January 2, 2027",
        "body": "",
    }


def heard(*notes: dict[str, Any], begun: datetime = datetime(2027, 1, 2, 15, 0, tzinfo=UTC)) -> str:
    """Why the charge of January 5 was not announced, with these mails in their order, after a try at ``begun``."""
    told = _Told("America/Chicago", {7: begun})
    for note in notes:
        told.hear(note, datetime.fromisoformat(note["at"]))
    return told.missing(ONE, CHARGED, 31_44, days=3)


def test_a_debit_that_bounces_after_another_agreement_is_tried_again_on_the_day_its_mail_says() -> None:
    """While it was on its way the patient chose another card; that agreement could not list what was being paid."""
    later = {**copy(sent_after=timedelta(days=-2)), "body": "February 3, 2027: $20.00"}
    bounced = datetime(2027, 1, 4, 15, 0, tzinfo=UTC)
    assert heard(notice(), later) == "the last agreement names no day before it"
    assert heard(notice(), later, turned_down(at=bounced, again_on="January 5, 2027")) == ""
    # Not sooner than it says, and it does not stand for the notice before the first try.
    told = heard(notice(), later, turned_down(at=bounced, again_on="January 6, 2027"))
    assert told == "the last mail about it said 2027-01-06"
    # A try that was itself against the agreement promises nothing.
    wrong = turned_down(at=bounced, again_on="January 5, 2027")
    assert heard(notice(), later, wrong, begun=bounced) == "the last agreement names no day before it"
    assert "told nothing" in heard(later, turned_down(at=bounced, again_on="January 5, 2027"))
