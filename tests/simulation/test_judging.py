"""What counts as having been told of a charge: a mail in time, or an agreement, of which a copy was sent at last."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from portal.plans.kinds import InstalmentState
from portal.sandbox.simulation.judging import _Told, _Tried, _when

PLAN, INSTALMENT = "a" * 32, "b" * 32
AGREED = datetime(2027, 1, 5, 23, 0, tzinfo=UTC)
CHARGED = date(2027, 1, 5)
ONE = _Tried("attempt", INSTALMENT, 1, InstalmentState.PAID, PLAN, 1, True, "")


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
    told = _Told(ZoneInfo("America/Chicago"))
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
