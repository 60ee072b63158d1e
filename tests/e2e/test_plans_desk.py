"""Payment plans at the desk, in a browser: proposed, changed with a reason, paused, ended, watched.

The patient's own steps are made through the services here; their pages have browser tests of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from playwright.sync_api import Page, expect

from portal import clock
from tests.browser import DESKTOP, PHONE, LiveDemo, until
from tests.e2e.demo_plans import accepted, asked_for_a_pause, enrolled
from tests.e2e.plan_days import NOTICE
from tests.e2e.test_story import judge, read, reconciled, screenshots, sign_in
from tests.e2e.test_ways_to_pay import let_pass_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

__all__ = ["screenshots"]

Picture = Callable[[Page, str], None]


def account(demo: LiveDemo, ref: str) -> str:
    ((public_id,),) = read(demo, f"SELECT public_id FROM account WHERE ref = '{ref}'")
    return str(public_id)


def shown(page: Page, picture: Picture, name: str) -> None:
    """The page is accessible on a phone and on a desktop, and its pictures are kept."""
    for width, height in (PHONE, DESKTOP):
        page.set_viewport_size({"width": width, "height": height})
        judge(page)
        picture(page, name)


def test_a_plan_is_proposed_agreed_to_changed_and_ended(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    desk = open_page(DESKTOP)
    sign_in(desk, live_demo, "staff@example.com")
    desk.goto(f"{live_demo.url}/desk/accounts/{account(live_demo, 'JDC-1001')}")
    desk.get_by_role("link", name="Propose a payment plan").click()
    desk.get_by_role("radio", name="Testa Demopatient").check()
    shown(desk, screenshots, "plan-offer-form")
    desk.get_by_role("button", name="See every payment").click()
    expect(desk.get_by_text("Write the amount of each payment.").first).to_be_visible()
    shown(desk, screenshots, "plan-offer-wrong")
    desk.get_by_label("Each payment", exact=True).fill("10.00")
    desk.get_by_label("When", exact=True).select_option("monthly-15")
    desk.get_by_role("button", name="See every payment").click()
    expect(desk.get_by_text("Only a supervisor may offer that").first).to_be_visible()
    desk.get_by_label("Each payment", exact=True).fill("50.00")
    desk.get_by_role("button", name="See every payment").click()
    expect(desk.get_by_role("heading", name="Every payment")).to_be_visible()
    shown(desk, screenshots, "plan-offer-confirm")
    desk.get_by_role("button", name="Send the offer").click()
    expect(desk.get_by_text("The plan was offered.")).to_be_visible()
    shown(desk, screenshots, "plan-offered")
    address = desk.url
    assert until(
        lambda: read(live_demo, "SELECT 1 FROM notification WHERE key LIKE 'plan/%/proposed' AND sent_at IS NOT NULL")
    )
    assert read(live_demo, "SELECT count(*) FROM charge WHERE on_plan")[0][0] == 0

    accepted(live_demo, "testa@example.com", "JDC-1001")
    desk.goto(address)
    expect(desk.get_by_text("Running", exact=True)).to_be_visible()
    expect(desk.get_by_role("link", name="Agreement (PDF)").first).to_be_visible()
    shown(desk, screenshots, "plan-running")
    desk.get_by_role("link", name="Change it").click()
    desk.get_by_label("Lower the amount of each payment").check()
    desk.get_by_label("Each payment from now on").fill("60.00")
    desk.get_by_label("Why", exact=True).fill("They called this morning.")
    shown(desk, screenshots, "plan-amend-form")
    desk.get_by_role("button", name="See what would change").click()
    expect(desk.get_by_text("so the patient has to agree to it").first).to_be_visible()
    shown(desk, screenshots, "plan-amend-needs-the-patient")
    desk.get_by_label("Each payment from now on").fill("45.00")
    desk.get_by_role("button", name="See what would change").click()
    expect(desk.get_by_role("heading", name="Before and after")).to_be_visible()
    shown(desk, screenshots, "plan-amend-confirm")
    desk.get_by_role("button", name="Change the plan").click()
    expect(desk.get_by_text("The plan was changed, and the patient is told.")).to_be_visible()
    expect(desk.get_by_text("“They called this morning.”")).to_be_visible()
    shown(desk, screenshots, "plan-amended")
    assert until(
        lambda: read(live_demo, "SELECT 1 FROM notification WHERE key LIKE 'plan/%/changed/%' AND sent_at IS NOT NULL")
    )

    desk.get_by_role("link", name="End it").click()
    shown(desk, screenshots, "plan-end")
    desk.get_by_label("Why it ends").fill("They will pay it all next week.")
    desk.get_by_role("button", name="End the plan").click()
    expect(desk.get_by_text("The plan has ended, and the patient is told.")).to_be_visible()
    shown(desk, screenshots, "plan-ended")
    desk.goto(f"{live_demo.url}/desk/accounts/{account(live_demo, 'JDC-1001')}")
    expect(desk.locator("#plans")).to_be_visible()
    shown(desk, screenshots, "account-with-plans")
    # The back office was told of each step, and no book moved.
    told = "SELECT kind FROM ledger_transaction WHERE kind LIKE 'plan_%' ORDER BY id"
    wanted = [("plan_enrolled",), ("plan_changed",), ("plan_ended",)]
    assert until(lambda: [tuple(row) for row in read(live_demo, told)] == wanted)
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_a_pause_is_asked_for_and_granted(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    enrolled(live_demo, "paula@example.com", "JDC-1003", each=13_000)
    asked_for_a_pause(live_demo, "paula@example.com", "JDC-1003", days=45, note="I lost my work last week.")
    desk = open_page(DESKTOP)
    sign_in(desk, live_demo, "staff@example.com")
    shown(desk, screenshots, "inbox-with-plans")
    desk.get_by_role("link", name="Patients who ask for a pause of their plan: 1").click()
    shown(desk, screenshots, "plans-todo")
    desk.get_by_role("link", name=re.compile("asks to pause until")).click()
    expect(desk.get_by_text("I lost my work last week.")).to_be_visible()
    shown(desk, screenshots, "plan-request")
    desk.get_by_role("button", name="Refuse it").click()
    expect(desk.get_by_text("Write why not").first).to_be_visible()
    judge(desk)
    desk.get_by_label("What you tell the patient").fill("Take the time you need.")
    desk.get_by_role("button", name="Grant the pause").click()
    expect(desk.get_by_text("The plan is paused, and the patient is told.")).to_be_visible()
    shown(desk, screenshots, "plan-paused")
    desk.goto(f"{live_demo.url}/desk/plans?list=running")
    expect(desk.get_by_text("Paused until").first).to_be_visible()
    shown(desk, screenshots, "plans-running")
    live_demo.nudge()
    assert read(live_demo, "SELECT state FROM plan WHERE paused_until IS NOT NULL")[0][0] == "paused"


def test_what_is_charged_tomorrow_and_what_is_at_risk(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    first = clock.today("America/Chicago") + timedelta(days=8)
    enrolled(live_demo, "testa@example.com", "JDC-1001", each=5_000, rhythm=("weekly", first.weekday()))
    enrolled(
        live_demo,
        "sam@example.com",
        "JDC-1002",
        each=10_000,
        rhythm=("weekly", first.weekday()),
        card="pm_card_chargeCustomerFail",
    )
    ((next_on, cents),) = read(
        live_demo,
        "SELECT min(charge_on), sum(amount_cents) FROM instalment JOIN plan ON plan.id = plan_id "
        "WHERE ordinal = 1 AND instalment.state = 'planned' AND frequency = 'weekly'",
    )
    assert cents == 15_000
    live_demo.nudge()
    # What is older than some days is not mailed any more: the copies have to be out before days pass.
    assert until(lambda: not read(live_demo, "SELECT 1 FROM notification WHERE sent_at IS NULL"))
    next_on = date.fromisoformat(str(next_on))
    let_pass_until(live_demo, next_on - NOTICE)
    live_demo.nudge()
    # Told in time: days that pass before the mail has gone out would be no notice.
    assert until(
        lambda: (
            not read(live_demo, "SELECT 1 FROM notification WHERE sent_at IS NULL")
            and read(
                live_demo,
                "SELECT count(*) FROM instalment JOIN plan ON plan.id = plan_id "
                "WHERE ordinal = 1 AND noticed_at IS NOT NULL AND frequency = 'weekly'",
            )[0][0]
            == 2
        )
    )
    let_pass_until(live_demo, next_on - timedelta(days=1))
    desk, boss = open_page(DESKTOP), open_page(DESKTOP)
    sign_in(desk, live_demo, "staff@example.com")
    desk.goto(f"{live_demo.url}/desk/plans?list=charges")
    expect(desk.get_by_role("link", name=re.compile(r"Charges to come \(2 tomorrow\)"))).to_be_visible()
    tomorrow = desk.locator("section[aria-labelledby=charges]")
    expect(tomorrow.get_by_text("$150.00")).to_be_visible()
    expect(tomorrow.get_by_role("link")).to_have_count(2)
    shown(desk, screenshots, "plans-charges")

    let_pass_until(live_demo, next_on)
    live_demo.nudge()
    assert until(lambda: read(live_demo, "SELECT 1 FROM instalment WHERE state = 'paid'"))
    assert until(lambda: read(live_demo, "SELECT 1 FROM instalment WHERE tries = 1"))
    desk.goto(f"{live_demo.url}/desk/plans")
    expect(desk.get_by_text("A charge was turned down and is tried again.")).to_be_visible()
    shown(desk, screenshots, "plans-at-risk")
    desk.get_by_role("link", name=re.compile("Sam")).click()
    expect(desk.get_by_text("This plan is at risk")).to_be_visible()
    shown(desk, screenshots, "plan-at-risk")

    sign_in(boss, live_demo, "supervisor@example.com")
    boss.goto(f"{live_demo.url}/desk/plans")
    boss.get_by_role("link", name="Policy").click()
    expect(boss.get_by_text("Where it is changed")).to_be_visible()
    shown(boss, screenshots, "plans-policy")
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
