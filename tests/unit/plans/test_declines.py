"""What a decline leads to, as tables, and the days that go with it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from portal.banking_days import is_banking_day
from portal.plans.rules.declines import (
    ANSWER_DAYS,
    BANK,
    FINAL_FOR_CARDS,
    NEEDS_THE_PATIENT,
    Decision,
    decide,
    last_day,
    retry_day,
)

RETRY, OTHER, CONFIRM = Decision.RETRY, Decision.OTHER_METHOD, Decision.CONFIRM


@pytest.mark.parametrize(
    ("code", "kind", "by_try"),
    [
        # What may pass is tried again as often as the policy says.
        ("insufficient_funds", "card", [RETRY, RETRY, RETRY, OTHER]),
        ("generic_decline", "card", [RETRY, RETRY, RETRY, OTHER]),
        ("processing_error", "card", [RETRY, RETRY, RETRY, OTHER]),
        # A card that will not work is not asked again.
        ("stolen_card", "card", [OTHER] * 4),
        ("expired_card", "card", [OTHER] * 4),
        ("revocation_of_authorization", "card", [OTHER] * 4),
        # The bank wants its customer, however often it was asked.
        ("authentication_required", "card", [CONFIRM] * 4),
        # A debit without funds: twice more, whatever the policy says; any other return never (Nacha).
        ("insufficient_funds", BANK, [RETRY, RETRY, OTHER, OTHER]),
        ("account_closed", BANK, [OTHER] * 4),
        ("debit_not_authorized", BANK, [OTHER] * 4),
        ("generic_decline", BANK, [OTHER] * 4),
    ],
)
def test_what_a_decline_leads_to(code: str, kind: str, by_try: list[Decision]) -> None:
    assert [decide(code, kind, tries=one, retry_days=(3, 5, 7)) for one in range(1, 5)] == by_try


def test_without_a_timetable_nothing_is_tried_again() -> None:
    assert decide("insufficient_funds", "card", tries=1, retry_days=()) is OTHER


@pytest.mark.parametrize("code", sorted(FINAL_FOR_CARDS))
def test_no_final_code_is_ever_tried_again(code: str) -> None:
    assert code not in NEEDS_THE_PATIENT
    for kind in ("card", BANK):
        assert all(decide(code, kind, tries=one, retry_days=(1, 1, 1)) is OTHER for one in range(1, 5))


def test_the_next_try_is_some_days_later_and_never_while_banks_rest() -> None:
    monday = date(2029, 11, 5)  # Veterans Day is a Sunday and kept on Monday the 12th, Thanksgiving is the 22nd
    for days in range(14):
        failed_on = monday + timedelta(days=days)
        for tries, plain in ((1, 3), (2, 5)):
            day = retry_day(failed_on, tries=tries, retry_days=(3, 5))
            assert is_banking_day(day)
            assert 0 <= (day - failed_on).days - plain <= 3
    assert retry_day(date(2029, 11, 7), tries=1, retry_days=(3, 5)) == date(2029, 11, 13)
    assert retry_day(date(2029, 11, 19), tries=1, retry_days=(3, 5)) == date(2029, 11, 23)


def test_who_is_asked_for_something_has_days_for_it() -> None:
    due = date(2029, 11, 15)
    assert last_day(due, None, grace_days=15) == date(2029, 11, 30)
    assert last_day(due, due, grace_days=15) == date(2029, 11, 30)
    came_back = date(2029, 12, 4)
    assert last_day(due, came_back, grace_days=15) == came_back + timedelta(days=ANSWER_DAYS)
