"""Which notices pages show about a plan: each combination is right, and a worried person is told one thing to do."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from portal.money import Money
from portal.plans.kinds import RUNNING, Need, PlanState
from portal.plans.notices import (
    DeskNotice,
    HomeNotice,
    PlanNotice,
    notice_at_home,
    notices_for_payer,
    notices_for_staff,
)

TEMPLATES = Path(__file__).parents[3] / "portal" / "templates"
FACTS = ("offered", "declined", "begun", "charging", "moved", "pause_asked", "pause_refused")
NOTHING, SOME, MORE = Money.zero(), Money(500), Money(900)


def told(state: PlanState = PlanState.ACTIVE, need: Need = Need.NOTHING, *facts: str) -> list[str]:
    return [one.value for one in notices_for_payer(state=state, need=need, **dict.fromkeys(facts, True))]


@pytest.mark.parametrize(
    ("state", "need", "facts", "right"),
    [
        (PlanState.ACTIVE, Need.NOTHING, (), []),
        (PlanState.ACTIVE, Need.METHOD, (), ["method"]),
        (PlanState.PAUSED, Need.METHOD, (), ["method", "paused"]),
        (PlanState.STOPPED, Need.METHOD, (), []),
        (PlanState.ACTIVE, Need.CONFIRMATION, (), ["confirm"]),
        (PlanState.ACTIVE, Need.CONFIRMATION, ("charging",), ["on its way"]),
        (PlanState.ACTIVE, Need.CONFIRMATION, ("charging", "begun"), ["unfinished"]),
        (PlanState.ACTIVE, Need.NOTHING, ("declined",), ["retry"]),
        (PlanState.ACTIVE, Need.METHOD, ("declined",), ["method"]),
        (PlanState.PAUSED, Need.NOTHING, ("declined",), ["paused"]),
        (PlanState.ACTIVE, Need.NOTHING, ("declined", "charging"), ["on its way"]),
        (PlanState.ACTIVE, Need.NOTHING, ("declined", "begun"), ["unfinished"]),
        (PlanState.ACTIVE, Need.NOTHING, ("offered", "moved"), ["offered", "moved"]),
        (PlanState.PAID, Need.NOTHING, ("moved",), []),
        (PlanState.ACTIVE, Need.NOTHING, ("pause_asked",), ["pause asked"]),
        (PlanState.ACTIVE, Need.NOTHING, ("pause_refused",), ["pause refused"]),
        (PlanState.ACTIVE, Need.NOTHING, ("pause_asked", "pause_refused"), ["pause asked"]),
        (PlanState.CANCELED, Need.NOTHING, ("pause_asked",), []),
    ],
)
def test_a_plans_page_tells(state: PlanState, need: Need, facts: tuple[str, ...], right: list[str]) -> None:
    assert told(state, need, *facts) == right


def test_whatever_is_so_a_payer_is_told_one_thing_to_do_about_payments() -> None:
    about_payments = {PlanNotice.METHOD, PlanNotice.CONFIRM, PlanNotice.RETRY}
    seen: set[PlanNotice] = set()
    for state, need, *facts in product(PlanState, Need, *([False, True] for _ in FACTS)):
        found = notices_for_payer(state=state, need=need, **dict(zip(FACTS, facts, strict=True)))
        seen |= set(found)
        assert len(about_payments & set(found)) <= 1
        assert not {PlanNotice.UNFINISHED, PlanNotice.ON_ITS_WAY} <= set(found)
        assert not {PlanNotice.CONFIRM, PlanNotice.ON_ITS_WAY} <= set(found)
        if state not in RUNNING:
            assert set(found) <= {PlanNotice.OFFERED, PlanNotice.UNFINISHED, PlanNotice.ON_ITS_WAY}
    assert seen == set(PlanNotice)


@pytest.mark.parametrize(
    ("state", "need", "left", "on_plan", "right"),
    [
        (None, None, None, NOTHING, None),
        (None, None, None, SOME, HomeNotice.SOMEBODY_ELSES),
        (PlanState.PROPOSED, Need.NOTHING, None, NOTHING, HomeNotice.OFFERED),
        (PlanState.ACTIVE, Need.METHOD, SOME, SOME, HomeNotice.METHOD),
        (PlanState.PAUSED, Need.CONFIRMATION, SOME, SOME, HomeNotice.CONFIRM),
        (PlanState.PAUSED, Need.NOTHING, SOME, SOME, HomeNotice.PAUSED),
        (PlanState.ACTIVE, Need.NOTHING, None, SOME, HomeNotice.RUNS),
        (PlanState.ACTIVE, Need.NOTHING, MORE, SOME, HomeNotice.LESS_LEFT),
        (PlanState.ACTIVE, Need.NOTHING, MORE, NOTHING, HomeNotice.NOTHING_LEFT),
        (PlanState.ACTIVE, Need.NOTHING, SOME, SOME, HomeNotice.NEXT),
        (PlanState.ACTIVE, Need.NOTHING, SOME, MORE, HomeNotice.NEXT),
    ],
)
def test_home_says_one_thing(
    state: PlanState | None, need: Need | None, left: Money | None, on_plan: Money, right: HomeNotice | None
) -> None:
    assert notice_at_home(state=state, need=need, left=left, on_plan=on_plan) is right


@pytest.mark.parametrize(
    ("facts", "right"),
    [
        ({"state": PlanState.ACTIVE}, []),
        ({"state": PlanState.ACTIVE, "pause_asked": True, "at_risk": True}, ["pause asked", "at risk"]),
        ({"state": PlanState.PAUSED, "paused_to_a_day": True}, ["paused"]),
        ({"state": PlanState.PAUSED}, ["stopped"]),
        ({"state": PlanState.PROPOSED}, ["offered"]),
        ({"state": PlanState.STOPPED, "ended": True, "pause_asked": True}, ["ended"]),
        ({"state": PlanState.DECLINED, "ended": True}, ["ended"]),
    ],
)
def test_the_desk_is_told(facts: dict[str, object], right: list[str]) -> None:
    assert [one.value for one in notices_for_staff(**facts)] == right  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "name", "kinds"),
    [
        ("plans/notices.html", "one", PlanNotice),
        ("staff/plan.html", "one", DeskNotice),
        ("home/start.html", "item.plan_notice", HomeNotice),
    ],
)
def test_every_notice_has_its_words(
    template: str, name: str, kinds: type[PlanNotice] | type[DeskNotice] | type[HomeNotice]
) -> None:
    said = re.findall(rf"if {re.escape(name)} == '([^']+)'", (TEMPLATES / template).read_text())
    # What somebody else pays is the last of home's, without a name.
    assert set(said) == {one.value for one in kinds} - {HomeNotice.SOMEBODY_ELSES.value}
    assert len(said) == len(set(said))
