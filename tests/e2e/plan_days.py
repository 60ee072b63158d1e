"""Days that pass for the plan of a running demo: counted from what was agreed, not from the day a test runs on."""

from __future__ import annotations

from datetime import date, timedelta

from portal.plans.rules.policy import load
from tests.browser import LiveDemo, until
from tests.e2e.test_story import read
from tests.e2e.test_ways_to_pay import let_pass_until

UNSENT = "SELECT 1 FROM notification WHERE sent_at IS NULL LIMIT 1"
NOTICE = timedelta(days=load().notice_days)


def all_sent(demo: LiveDemo) -> bool:
    """Whether every mail has gone out before more time passes: what is older than some days is not mailed any more."""
    return bool(until(lambda: not read(demo, UNSENT)))


def charge_on(demo: LiveDemo, installment: int) -> date:
    """The day on which an installment is charged, as of now."""
    ((on,),) = read(demo, f"SELECT charge_on FROM instalment WHERE id = {installment}")
    return date.fromisoformat(str(on))


def announce_next(demo: LiveDemo) -> int:
    """Let days pass until the next installment that nobody was told of is announced by mail; its id.

    The agreement itself tells of those in its first days, so some may be charged by then.
    """
    assert all_sent(demo)
    rows = read(demo, "SELECT id FROM instalment WHERE state = 'planned' AND noticed_at IS NULL ORDER BY charge_on, id")
    installment = int(rows[0][0])
    let_pass_until(demo, charge_on(demo, installment) - NOTICE)
    demo.nudge()
    assert until(lambda: read(demo, f"SELECT 1 FROM instalment WHERE id = {installment} AND noticed_at IS NOT NULL"))
    demo.nudge()  # once more: plans and mail are looked after side by side
    assert all_sent(demo)
    return installment


def charge_next(demo: LiveDemo) -> int:
    """Let days pass until the next installment is tried (again), told in time; its id. Its day may move meanwhile."""
    assert all_sent(demo)
    ((installment,),) = read(
        demo, "SELECT id FROM instalment WHERE state = 'planned' ORDER BY charge_on, ordinal, id LIMIT 1"
    )
    tries = f"SELECT 1 FROM plan_attempt WHERE instalment_id = {installment}"
    before = len(read(demo, tries))
    for _turn in range(4):
        if not read(demo, f"SELECT 1 FROM instalment WHERE id = {installment} AND noticed_at IS NOT NULL"):
            announce_next(demo)
        day = charge_on(demo, installment)
        let_pass_until(demo, day)
        demo.nudge()
        until(lambda day=day: len(read(demo, tries)) > before or charge_on(demo, installment) != day)
        if len(read(demo, tries)) > before:
            return int(installment)
    raise AssertionError(f"never tried: due on {charge_on(demo, installment)}")
