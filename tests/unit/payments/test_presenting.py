"""When a debit may be presented again: Nacha's rule, by debt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.payments.presenting import AGAIN, NACHA, WITHIN, Return, Stop, is_for_lack_of_funds, why_stopped
from portal.sandbox.stripe.cards import BANKS

NOW = datetime(2029, 6, 1, 12, tzinfo=UTC)


def came_back(
    code: str = "insufficient_funds", *, days: int = 10, under_way: int = 0, same: bool = True, own: bool = True
) -> Return:
    """A debit that was presented ``days`` ago and came back after ``under_way`` more."""
    presented_at = NOW - timedelta(days=days)
    return Return(
        code, presented_at, presented_at + timedelta(days=under_way), same_account=same, unattended=own
    )


@pytest.mark.parametrize("code", [*NACHA, "unknown", "generic_decline", "", "Insufficient_Funds", "R01"])
def test_only_a_lack_of_funds_may_be_presented_again(code: str) -> None:
    assert is_for_lack_of_funds(code) is (code == "insufficient_funds")
    first = why_stopped([came_back(code)], agreed_at=NOW, now=NOW)
    assert first is (None if code == "insufficient_funds" else Stop.REFUSED)


def test_the_table_has_uncollected_funds_and_every_code_once() -> None:
    assert set(NACHA["insufficient_funds"]) == {"R01", "R09"}
    codes = [code for meant in NACHA.values() for code in meant]
    assert len(codes) == len(set(codes))
    # What the stand-in's banks say is in it, with the network's own code.
    for bank in BANKS:
        if bank.failure is not None:
            assert bank.failure.network_code in NACHA[bank.failure.code]


def test_three_times_within_180_days() -> None:
    assert why_stopped([came_back()] * 2, agreed_at=NOW, now=NOW) is None
    assert why_stopped([came_back()] * 3, agreed_at=NOW, now=NOW) is Stop.THRICE
    assert why_stopped([came_back(days=180)], agreed_at=NOW, now=NOW) is None
    assert why_stopped([came_back(days=181)], agreed_at=NOW, now=NOW) is Stop.TOO_OLD
    assert (2, timedelta(days=180)) == (AGAIN, WITHIN)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["insufficient_funds", "account_closed", "unknown"]),
            st.integers(1, 400),
            st.booleans(),
            st.booleans(),
        ),
        max_size=6,
    ),
    st.integers(0, 400),
)
def test_what_came_back_from_this_account_counts_whatever_was_agreed_since(
    facts: list[tuple[str, int, bool, bool]], agreed: int
) -> None:
    returns = [came_back(code, days=days, same=same, own=own) for code, days, same, own in facts]
    same = [one for one in returns if one.same_account]
    stop = why_stopped(returns, agreed_at=NOW - timedelta(days=agreed), now=NOW)
    if any(one.code != "insufficient_funds" for one in same) or len(same) > 2:
        assert stop is not None
    # Nothing that was agreed lately is stopped by what another account sent back before.
    if why_stopped(same, agreed_at=NOW, now=NOW) is None:
        assert why_stopped(returns, agreed_at=NOW, now=NOW) is None
    # More returns never let go of a debt.
    if stop is not None:
        assert why_stopped([*returns, came_back()], agreed_at=NOW - timedelta(days=agreed), now=NOW) is not None


def test_an_older_agreement_is_no_act_of_the_patients() -> None:
    """Autopay that was left for a plan takes nothing up again when the plan's account sends it back and it ends."""
    of_the_plan = [came_back("account_closed", same=False)]
    assert why_stopped(of_the_plan, agreed_at=NOW - timedelta(days=300), now=NOW) is Stop.REFUSED
    assert why_stopped(of_the_plan, agreed_at=NOW, now=NOW) is None
    by_hand = [came_back("account_closed", same=False, own=False)]
    assert why_stopped(by_hand, agreed_at=NOW - timedelta(days=300), now=NOW) is None


def test_who_agreed_before_it_came_back_has_done_nothing_about_it() -> None:
    """Another account was agreed to while the debit was on its way, which nobody knew would bounce."""
    bounced = [came_back("account_closed", days=10, under_way=5, same=False)]
    assert why_stopped(bounced, agreed_at=NOW - timedelta(days=7), now=NOW) is Stop.REFUSED
    assert why_stopped(bounced, agreed_at=NOW - timedelta(days=4), now=NOW) is None
