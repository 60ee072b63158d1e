"""Plans that staff offer and change, in a browser: the patient's yes and no, an offer taken back, changes with a
reason, and an insurer that moves a running plan.

The patient's and the desk's steps are both made through the pages here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from portal import clock
from tests.browser import DESKTOP, PHONE, LiveDemo, until
from tests.e2e.test_plans import add_card, coming, fitted, start
from tests.e2e.test_plans_desk import account
from tests.e2e.test_refunds import correction
from tests.e2e.test_story import judge, mails_to, read, reconciled, screenshots, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

__all__ = ["screenshots"]

Picture = Callable[[Page, str], None]


def propose(desk: Page, demo: LiveDemo, ref: str, payer: str, each: str, *, reason: str = "") -> None:
    """From the account to the page with every payment, or the form again with what is wrong."""
    desk.goto(f"{demo.url}/desk/accounts/{account(demo, ref)}")
    desk.get_by_role("link", name="Propose a payment plan").click()
    desk.get_by_role("radio", name=payer).check()
    desk.get_by_label("Each payment", exact=True).fill(each)
    desk.get_by_label("When", exact=True).select_option("monthly-15")
    if reason:
        desk.get_by_label(re.compile("Why it may exceed the policy")).fill(reason)
    desk.get_by_role("button", name="See every payment").click()


def offered(desk: Page, demo: LiveDemo, ref: str, payer: str, each: str, *, reason: str = "") -> str:
    """An offer that was sent; its page at the desk."""
    propose(desk, demo, ref, payer, each, reason=reason)
    desk.get_by_role("button", name="Send the offer").click()
    expect(desk.get_by_text("The plan was offered.")).to_be_visible()
    return desk.url


def told(demo: LiveDemo) -> bool:
    """Whether all mail has gone out."""
    return bool(until(lambda: not read(demo, "SELECT 1 FROM notification WHERE sent_at IS NULL LIMIT 1")))


def plan_of(demo: LiveDemo, ref: str) -> tuple[str, str]:
    """The state of an account's only plan, and why it ended."""
    query = "SELECT state, end_reason FROM plan JOIN account ON account.id = plan.account_id WHERE ref = "
    ((state, reason),) = read(demo, f"{query}'{ref}'")
    return str(state), str(reason)


def test_an_offer_is_answered_yes_by_one_and_no_by_another(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    desk = open_page(DESKTOP)
    sign_in(desk, live_demo, "staff@example.com")
    for_testa = offered(desk, live_demo, "JDC-1001", "Testa Demopatient", "50.00")
    for_paula = offered(desk, live_demo, "JDC-1003", "Paula Pretendparent", "150.00")
    assert told(live_demo)

    # Yes, from the email's link: signing in leads on to the offer.
    page = open_page(PHONE)
    (mail,) = mails_to(page, live_demo, "testa@example.com", count=1)
    assert "It begins only if you agree to it." in mail
    link = re.search(r"http://\S+/plans/[0-9a-f]{32}/offer", mail)
    assert link
    page.goto(link[0])
    page.get_by_label("Email").fill("testa@example.com")
    page.get_by_label("Password", exact=True).fill(live_demo.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="A plan we offer you")).to_be_visible()
    expect(page.get_by_text("5 payments of $50.00, every month on the 15th")).to_be_visible()
    expect(page.get_by_role("button", name="Start this plan")).to_have_count(0)
    judge(page)
    screenshots(page, "offer-no-card")
    add_card(page)
    expect(page.get_by_role("heading", name="What you agree to")).to_be_visible()
    judge(page)
    screenshots(page, "offer")
    assert plan_of(live_demo, "JDC-1001") == ("proposed", "")
    page.get_by_label("I agree to this plan").check()
    page.get_by_role("button", name="Start this plan").dblclick()
    expect(page.get_by_role("heading", name="Your payment plan", exact=True)).to_be_visible()
    expect(page.get_by_text("This offer is not open any more")).to_have_count(0)
    expect(page.get_by_text("0 of 5 payments made")).to_be_visible()
    judge(page)
    screenshots(page, "offer-agreed")
    assert plan_of(live_demo, "JDC-1001") == ("active", "")
    due = coming(live_demo)
    assert [cents for _day, cents in due] == [5_000] * 4 + [4_832]
    assert {day[-2:] for day, _cents in due} == {"15"}
    ((text,),) = read(live_demo, "SELECT text FROM consent WHERE kind = 'plan'")
    assert "$248.32" in text

    # No, from the start page.
    other = open_page(PHONE)
    sign_in(other, live_demo, "paula@example.com")
    expect(other.get_by_text("The billing office offers you a payment plan.")).to_be_visible()
    judge(other)
    screenshots(other, "offer-home")
    other.get_by_role("link", name="Look at the offer").click()
    judge(other)
    other.get_by_role("button", name="No, thank you").click()
    expect(other.get_by_text("All right, there is no plan.")).to_be_visible()
    expect(other.get_by_role("link", name="Look at the offer")).to_have_count(0)
    judge(other)
    screenshots(other, "offer-turned-down")
    assert plan_of(live_demo, "JDC-1003") == ("declined", "patient")
    on_plan = "SELECT DISTINCT account_id FROM visit JOIN charge ON visit.id = visit_id WHERE on_plan"
    assert read(live_demo, on_plan) == read(live_demo, "SELECT id FROM account WHERE ref = 'JDC-1001'")

    # The desk sees both answers.
    desk.goto(for_testa)
    expect(desk.get_by_text("Running", exact=True)).to_be_visible()
    expect(desk.get_by_text("The patient agreed, and the plan began.")).to_be_visible()
    expect(desk.get_by_role("link", name="Agreement (PDF)")).to_have_count(1)
    judge(desk)
    desk.goto(for_paula)
    expect(desk.get_by_text("Not taken up")).to_be_visible()
    expect(desk.get_by_text("The patient said no.")).to_be_visible()
    judge(desk)
    screenshots(desk, "offer-declined")
    assert told(live_demo)
    assert read(live_demo, "SELECT 1 FROM payment") == []


def test_an_offer_beyond_the_policy_is_a_supervisors_and_can_be_taken_back(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    desk, boss, page = open_page(DESKTOP), open_page(DESKTOP), open_page(PHONE)
    sign_in(desk, live_demo, "staff@example.com")
    propose(desk, live_demo, "JDC-1001", "Testa Demopatient", "20.00")
    expect(desk.get_by_text("Only a supervisor may offer that, with a reason.").first).to_be_visible()
    expect(desk.get_by_role("button", name="Send the offer")).to_have_count(0)
    judge(desk)
    screenshots(desk, "offer-refused")
    sign_in(boss, live_demo, "supervisor@example.com")
    propose(boss, live_demo, "JDC-1001", "Testa Demopatient", "20.00")
    expect(boss.get_by_text("Write why it is offered all the same.").first).to_be_visible()
    judge(boss)
    assert read(live_demo, "SELECT 1 FROM plan") == []
    why = "On a small pension, and asked for it."
    address = offered(boss, live_demo, "JDC-1001", "Testa Demopatient", "20.00", reason=why)
    expect(boss.get_by_text(why)).to_be_visible()
    judge(boss)
    screenshots(boss, "offer-exceeds")
    assert [tuple(row) for row in read(live_demo, "SELECT state, each_cents, exceeds FROM plan")] == [
        ("proposed", 2_000, why)
    ]

    sign_in(page, live_demo, "testa@example.com")
    page.get_by_role("link", name="Look at the offer").click()
    expect(page.get_by_text("13 payments of $20.00, every month on the 15th")).to_be_visible()
    expect(page.get_by_text(why)).to_have_count(0)
    offer = page.url
    add_card(page)
    page.get_by_label("I agree to this plan").check()
    no, no_tick = page.context.new_page(), page.context.new_page()
    no.goto(offer)
    no_tick.goto(offer)

    # Any of the staff may take it back. What the patient has open by then starts nothing.
    desk.goto(address)
    desk.get_by_role("button", name="Take the offer back").click()
    expect(desk.get_by_text("The offer was taken back.")).to_be_visible()
    expect(desk.get_by_text("The billing office took the offer back.")).to_be_visible()
    judge(desk)
    screenshots(desk, "offer-withdrawn")
    page.get_by_role("button", name="Start this plan").click()
    expect(page.get_by_text("This offer is not open any more.")).to_be_visible()
    judge(page)
    screenshots(page, "offer-not-open")
    for tab, press in ((no, "No, thank you"), (no_tick, "Start this plan")):
        tab.get_by_role("button", name=press).click()
        expect(tab.get_by_text("This offer is not open any more.")).to_be_visible()
        expect(tab.get_by_text("What you owe has changed")).to_have_count(0)
        judge(tab)
    page.goto(offer)  # the email's link
    expect(page.get_by_text("The billing office took this offer back.")).to_be_visible()
    judge(page)
    screenshots(page, "offer-withdrawn-link")
    assert plan_of(live_demo, "JDC-1001") == ("declined", "withdrawn")
    for nothing in ("instalment", "payment", "plan_change", "charge WHERE on_plan", "consent WHERE kind = 'plan'"):
        assert read(live_demo, f"SELECT 1 FROM {nothing}") == []
    page.goto(live_demo.url)
    expect(page.get_by_role("link", name="Look at the offer")).to_have_count(0)
    expect(page.get_by_role("link", name="Pay in installments").first).to_be_visible()


def amend(desk: Page, plan: str, how: str, fill: Callable[[], object], why: str, picture: Picture, name: str) -> None:
    """One change at the desk: what and why, before and after, done."""
    desk.goto(f"{plan}/amend")
    expect(desk.get_by_text("The patient reads it, too")).to_be_visible()
    desk.get_by_label(how).check()
    fill()
    desk.get_by_label("Why", exact=True).fill(why)
    judge(desk)
    picture(desk, f"amend-{name}-form")
    desk.get_by_role("button", name="See what would change").click()
    expect(desk.get_by_role("heading", name="Before and after")).to_be_visible()
    judge(desk)
    picture(desk, f"amend-{name}-confirm")
    desk.get_by_role("button", name="Change the plan").click()
    expect(desk.get_by_text("The plan was changed, and the patient is told.")).to_be_visible()
    expect(desk.get_by_text(f"“{why}”")).to_be_visible()


def changed(page: Page, demo: LiveDemo, what: str, why: str) -> None:
    """The patient's page says what the staff did and why, and shows the installments to come in their order."""
    page.reload()
    expect(page.get_by_text(f"{what} The billing office did this. Why: {why}")).to_be_visible()
    wanted = [f"${cents // 100}.{cents % 100:02}" for _day, cents in coming(demo)]
    shown = page.locator(".plan-rows tbody tr").filter(has_text="To come")
    expect(shown.locator("td.num")).to_have_text(wanted)


def test_the_desk_makes_a_plan_easier_and_the_patient_sees_how_and_why(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    """Skip one, move the day, take a bill out, pause: the fifth, a lower amount, is in test_plans_desk.py."""
    page, desk = open_page(PHONE), open_page(DESKTOP)
    address = start(page, live_demo, "testa@example.com")
    sign_in(desk, live_demo, "staff@example.com")
    plan = address.replace("/plans/", "/desk/plans/")
    began = coming(live_demo)

    amend(desk, plan, "Skip the next payment", lambda: None, "The car broke down.", screenshots, "skip")
    skipped = coming(live_demo)
    assert [day for day, _cents in skipped[: len(began) - 1]] == [day for day, _cents in began[1:]]
    assert sum(cents for _day, cents in skipped) == 24_832
    changed(page, live_demo, "Its amount comes at the end.", "The car broke down.")

    later, why = desk.get_by_label("When from now on"), "Their pay comes on the 3rd."
    amend(desk, plan, "Move the day", lambda: later.select_option("monthly-5"), why, screenshots, "day")
    moved = coming(live_demo)
    assert {day[-2:] for day, _cents in moved} == {"05"}
    assert all(new >= old for (new, _), (old, _) in zip(moved, skipped, strict=True))
    changed(page, live_demo, "The day was moved.", "Their pay comes on the 3rd.")
    expect(page.get_by_text("every month on the 5th")).to_be_visible()

    boxes, why = desk.get_by_role("group", name="What is taken out").get_by_role("checkbox"), "A relative pays it."
    amend(desk, plan, "Take a bill out", lambda: boxes.first.check(), why, screenshots, "remove")
    less = sum(cents for _day, cents in coming(live_demo))
    ((out,),) = read(live_demo, "SELECT agreed_cents FROM plan_line WHERE left_at IS NOT NULL")
    assert less == 24_832 - out
    changed(page, live_demo, "A bill was taken out.", "A relative pays it.")
    expect(page.locator(".plan-rows tfoot")).to_contain_text(f"${less // 100}.{less % 100:02}")

    until_day = (clock.today("America/Chicago") + timedelta(days=60)).isoformat()
    pause, why = desk.get_by_label("Nothing is charged before"), "In hospital until spring."
    amend(desk, plan, "Pause it", lambda: pause.fill(until_day), why, screenshots, "pause")
    assert [tuple(row) for row in read(live_demo, "SELECT state, paused_until FROM plan")] == [("paused", until_day)]
    paused = coming(live_demo)
    assert min(day for day, _cents in paused) >= until_day
    assert sum(cents for _day, cents in paused) == less
    changed(page, live_demo, "The plan was paused.", "In hospital until spring.")
    expect(page.get_by_role("heading", name="The plan is paused")).to_be_visible()
    judge(page)
    screenshots(page, "amended-by-staff")
    judge(desk)
    screenshots(desk, "amended-four-times")

    # Each was told, and none of the reasons stands in a mail.
    live_demo.nudge()
    assert told(live_demo)
    mails = read(live_demo, "SELECT body FROM notification WHERE key LIKE 'plan/%/changed/%' ORDER BY id")
    assert len(mails) == 4
    assert all("The billing office changed the plan." in body for (body,) in mails)
    assert not any(word in body for (body,) in mails for word in ("broke", "relative", "hospital"))
    theirs = "SELECT kind, actor_user_id = user_id FROM plan_change c JOIN plan ON plan.id = plan_id ORDER BY c.id"
    by_staff = ["skipped", "day_moved", "lines_removed", "paused"]
    assert [tuple(row) for row in read(live_demo, theirs)] == [("enrolled", 1), *((kind, 0) for kind in by_staff)]
    assert read(live_demo, "SELECT 1 FROM payment") == []


def test_an_insurers_decision_and_a_hold_move_a_running_plan(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture, tmp_path: Path
) -> None:
    page, desk = open_page(PHONE), open_page(DESKTOP)
    plan = start(page, live_demo, "testa@example.com")
    sign_in(desk, live_demo, "staff@example.com")
    left = page.locator(".plan-rows tfoot")

    # The insurer takes over $18.00 of a copay: seen at once, written down and told of within the hour.
    file = tmp_path / "correction.835"
    file.write_bytes(correction())
    desk.goto(f"{live_demo.url}/desk/remittances")
    desk.locator("input[type=file]").set_input_files(file)
    desk.get_by_role("button", name="Load file").click()
    expect(desk.get_by_text("correction.835").first).to_be_visible()
    page.reload()
    expect(left).to_contain_text("$230.32")
    expect(page.get_by_text("What is left has just changed.")).to_be_visible()
    judge(page)
    screenshots(page, "insurer-just-moved")
    before = coming(live_demo)
    assert fitted(live_demo, lambda: sum(cents for _day, cents in coming(live_demo)) == 23_032)
    # From its end: the amounts before it stay.
    assert coming(live_demo)[:-1] == before[:-1]
    page.reload()
    expect(page.get_by_text("What you owe changed: an insurance decision")).to_be_visible()
    expect(left).to_contain_text("$230.32")
    judge(page)

    # A charge is checked: it leaves the plan, and comes back when that is settled.
    ((charge, cents),) = read(
        live_demo,
        "SELECT charge.public_id, agreed_cents FROM charge JOIN plan_line ON plan_line.charge_id = charge.id "
        "WHERE agreed_cents = (SELECT max(agreed_cents) FROM plan_line)",
    )
    desk.goto(f"{live_demo.url}/desk/charges/{charge}/hold")
    desk.get_by_role("button", name="Put on hold").click()
    expect(desk.get_by_text("The charge is on hold.")).to_be_visible()
    assert fitted(live_demo, lambda: sum(each for _day, each in coming(live_demo)) == 23_032 - cents)
    page.reload()
    expect(page.get_by_text("A charge is on hold while somebody checks it.").first).to_be_visible()
    expect(page.get_by_text("We are checking this. It is left out until that is settled.")).to_be_visible()
    expect(left).to_contain_text(f"${(23_032 - cents) // 100}.{(23_032 - cents) % 100:02}")
    judge(page)
    screenshots(page, "plan-line-held")
    desk.goto(f"{live_demo.url}/desk/charges/{charge}/release")
    desk.get_by_label("What you found").fill("It was billed once.")
    desk.get_by_role("button", name="Take off hold").click()
    expect(desk.get_by_text("The charge is off hold.")).to_be_visible()
    assert fitted(live_demo, lambda: sum(each for _day, each in coming(live_demo)) == 23_032)
    page.goto(plan)
    expect(page.get_by_text("A charge that was on hold was settled. It is part of the plan again.")).to_be_visible()
    expect(page.get_by_text("We are checking this.")).to_have_count(0)
    expect(left).to_contain_text("$230.32")
    judge(page)
    screenshots(page, "plan-moved-three-times")

    live_demo.nudge()
    assert told(live_demo)
    mails = read(live_demo, "SELECT body FROM notification WHERE key LIKE 'plan/%/changed/%' ORDER BY id")
    reasons = ("an insurance decision", "A charge is on hold", "A charge that was on hold was settled")
    assert len(mails) == 3
    assert all(reason in body for reason, (body,) in zip(reasons, mails, strict=True))
    kinds = [row[0] for row in read(live_demo, "SELECT kind FROM plan_change ORDER BY version")]
    assert kinds == ["enrolled", "insurance_moved", "held", "hold_ended"]
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
