"""Payment plans in a browser: set up with and without scripts, lived with, charged by the days that pass.

Each test has a demo and a patient of its own. Every act of the patient's is here, with the payments shown before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from portal.plans.rules.policy import load
from tests.browser import DESKTOP, PHONE, LiveDemo, until
from tests.e2e.plan_days import announce_next, charge_next
from tests.e2e.test_story import GOOD, fill_card, judge, read, reconciled, screenshots, sign_in
from tests.e2e.test_ways_to_pay import DAY, let_pass

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

__all__ = ["screenshots"]

#: A card that is saved, and whose every charge the bank turns down (https://docs.stripe.com/testing).
FAILS_LATER = "4000000000000341"
Take = Callable[[Page, str], None]


def add_card(page: Page, number: str = GOOD) -> None:
    """From what keeping a card means to the page that needed it."""
    page.get_by_role("link", name=re.compile("^Add (a|another) card or bank account$")).first.click()
    page.get_by_role("button", name="Agree and go on").click()
    fill_card(page, number)
    page.locator("#pay-button").click()


def start(page: Page, demo: LiveDemo, email: str, number: str = GOOD, *, each: str = "50") -> str:
    """A new plan through the pages; the address of its page."""
    sign_in(page, demo, email)
    page.get_by_role("link", name="Pay in installments").first.click()
    page.locator("#each").fill(each)
    expect(page.locator("#said")).to_contain_text(f"payments of ${each}.00")
    page.get_by_role("link", name="Continue with this plan").click()
    add_card(page, number)
    page.get_by_label("I agree to this plan").check()
    page.get_by_role("button", name="Start this plan").click()
    expect(page.get_by_text("Your plan is set up.")).to_be_visible()
    return page.url


def agree(page: Page, take: Take, name: str) -> None:
    """Look at a change, then agree to it."""
    expect(page.get_by_role("heading", name="Your payments after the change")).to_be_visible()
    expect(page.locator("table", has_text="After the change")).to_be_visible()
    judge(page)
    take(page, f"plan-{name}")
    page.get_by_label("I agree to this change").check()
    page.get_by_role("button", name="Make this change").click()
    expect(page.get_by_text("Your plan is changed.")).to_be_visible()


def coming(demo: LiveDemo) -> list[tuple[str, int]]:
    """Day and cents of the installments to come on the demo's only plan."""
    rows = read(demo, "SELECT due_on, amount_cents FROM instalment WHERE state = 'planned' ORDER BY due_on, ordinal")
    return [(str(row[0]), int(row[1])) for row in rows]


def fitted(demo: LiveDemo, is_so: Callable[[], bool]) -> bool:
    """Whether the plan is made to fit what was paid: it is compared with what is due once an hour."""
    let_pass(demo, 2 * 3_600)
    for _turn in range(3):
        demo.nudge()
        if until(is_so):
            return True
    return False


def act(page: Page, plan: str, name: str) -> None:
    """Open one of the acts from the plan's page."""
    page.goto(plan)
    page.get_by_role("link", name=name, exact=True).click()


def test_the_control_shows_the_whole_schedule_at_once(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Take
) -> None:
    page = open_page(PHONE)
    sign_in(page, live_demo, "testa@example.com")
    page.get_by_role("link", name="Pay in installments").first.click()
    expect(page.get_by_text("do you need help with this bill?")).to_be_visible()
    said, rows = page.locator("#said"), page.locator("#result tbody tr")
    expect(rows).to_have_count(6)
    judge(page)
    screenshots(page, "plan-setup")
    slider = page.get_by_role("slider", name="Amount each time, in dollars")
    slider.focus()
    page.keyboard.press("End")
    expect(said).to_contain_text("1 payment of $248.32")
    page.keyboard.press("Home")
    expect(said).to_contain_text("6 payments of $41.39")
    expect(page.locator("#each")).to_have_value("41.39")
    page.locator("#each").fill("100")
    expect(said).to_contain_text("3 payments of $100.00")
    expect(rows).to_have_count(3)
    expect(page.locator("#result")).to_contain_text("The last one is $48.32, so that it comes out to the cent.")
    expect(said).to_contain_text("Together $248.32. It costs you nothing: no interest, no fee.")
    page.get_by_label("A number of payments").check()
    page.locator("#count").fill("5")
    expect(said).to_contain_text("5 payments of $49.67")
    page.get_by_label("How often").select_option("weekly")
    expect(page.get_by_label("Day of the month")).to_be_hidden()
    page.get_by_label("Day of the week").select_option(label="Monday")
    expect(said).to_contain_text("every week on Monday")
    page.locator("#count").fill("99")
    expect(said).to_contain_text("payments are possible")
    judge(page)
    screenshots(page, "plan-setup-wrong")
    page.get_by_label("How often").select_option("monthly")
    page.get_by_label("Day of the month").select_option("15")
    page.locator("#count").fill("5")
    expect(said).to_contain_text("5 payments of $49.67, every month on the 15th")
    page.locator(".plan-lines summary").click()
    page.locator(".plan-lines input").first.uncheck()
    expect(said).to_contain_text("Together $218.32")
    judge(page)
    page.get_by_role("link", name="Continue with this plan").click()
    judge(page)
    screenshots(page, "plan-no-method")
    add_card(page)
    expect(page.get_by_role("heading", name="What you agree to")).to_be_visible()
    expect(page.get_by_text("Annual percentage rate")).to_be_visible()
    judge(page)
    screenshots(page, "plan-agreement")
    page.get_by_role("button", name="Start this plan").click()
    expect(page.get_by_text("Tick the box if you agree.").first).to_be_visible()
    judge(page)
    page.get_by_label("I agree to this plan").check()
    page.get_by_role("button", name="Start this plan").click()
    expect(page.get_by_text("Your plan is set up.")).to_be_visible()
    judge(page)
    screenshots(page, "plan")
    href = page.get_by_role("link", name=re.compile("What you agreed to")).get_attribute("href")
    answer = page.request.get(f"{live_demo.url}{href}")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.body().startswith(b"%PDF")
    page.goto(live_demo.url)
    expect(page.get_by_text("Payment plan: $43.67 on")).to_be_visible()
    judge(page)
    screenshots(page, "plan-home")


def test_set_up_without_scripts(live_demo: LiveDemo, browser: Browser, open_page: Callable[..., Page]) -> None:
    with_scripts = open_page(DESKTOP)
    sign_in(with_scripts, live_demo, "paula@example.com")
    with_scripts.goto(f"{live_demo.url}/methods")
    add_card(with_scripts)
    expect(with_scripts.get_by_text("Visa ending 4242").first).to_be_visible()
    context = browser.new_context(
        viewport={"width": PHONE[0], "height": PHONE[1]}, locale="en-US", java_script_enabled=False
    )
    page = context.new_page()
    sign_in(page, live_demo, "paula@example.com")
    page.get_by_role("link", name="Pay in installments").first.click()
    expect(page.locator("#each-slider")).to_be_hidden()
    page.locator("#each").fill("5")
    page.get_by_role("button", name="Show the payments").click()
    expect(page.get_by_text("Each payment has to be at least").first).to_be_visible()
    page.get_by_label("A number of payments").check()
    page.locator("#count").fill("4")
    page.get_by_label("Day of the month").select_option("20")
    page.get_by_role("button", name="Show the payments").click()
    expect(page.locator("#result tbody tr")).to_have_count(4)
    expect(page.locator("#said")).to_contain_text("every month on the 20th")
    page.get_by_role("link", name="Continue with this plan").click()
    page.get_by_label("I agree to this plan").check()
    page.get_by_role("button", name="Start this plan").click()
    expect(page.get_by_text("Your plan is set up.")).to_be_visible()
    assert len(coming(live_demo)) == 4
    page.get_by_role("link", name="Move the day").click()
    page.get_by_label("Day of the month").select_option("25")
    page.get_by_role("button", name="Show the new payments").click()
    page.get_by_label("I agree to this change").check()
    page.get_by_role("button", name="Make this change").click()
    expect(page.get_by_text("Your plan is changed.")).to_be_visible()
    assert {day[-2:] for day, _cents in coming(live_demo)} == {"25"}
    context.close()


def test_changing_it_shows_the_new_payments_first(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Take
) -> None:
    """Take out, add, move the day, lower the amount, skip, ask for a pause, change the card, end it."""
    page = open_page(PHONE)
    plan = start(page, live_demo, "testa@example.com", each="60")
    total = sum(cents for _day, cents in coming(live_demo))

    act(page, plan, "Take a charge out of the plan")
    page.get_by_label("Office visit").first.check()
    page.get_by_role("button", name="Show the new payments").click()
    agree(page, screenshots, "take-out")
    assert sum(cents for _day, cents in coming(live_demo)) == total - 3_000

    act(page, plan, "Add a new bill to the plan")
    page.get_by_label("Office visit").first.check()
    page.get_by_role("button", name="Show the new payments").click()
    agree(page, screenshots, "add")
    assert sum(cents for _day, cents in coming(live_demo)) == total

    act(page, plan, "Move the day")
    judge(page)
    page.get_by_label("Day of the month").select_option("25")
    page.get_by_role("button", name="Show the new payments").click()
    agree(page, screenshots, "day")
    assert {day[-2:] for day, _cents in coming(live_demo)} == {"25"}

    act(page, plan, "Lower or raise the amount")
    page.get_by_label("New amount each time").fill("10")
    page.get_by_role("button", name="Show the new payments").click()
    expect(page.get_by_text("Each payment has to be at least $25.00.")).to_be_visible()
    judge(page)
    page.get_by_label("New amount each time").fill("50")
    page.get_by_role("button", name="Show the new payments").click()
    agree(page, screenshots, "amount")
    assert [cents for _day, cents in coming(live_demo)] == [5_000] * 4 + [4_832]

    before = coming(live_demo)
    act(page, plan, "Skip the next payment")
    agree(page, screenshots, "skip")
    assert coming(live_demo)[0] == before[1]
    assert sum(cents for _day, cents in coming(live_demo)) == total
    expect(page.get_by_role("link", name="Skip the next payment")).to_have_count(0)

    act(page, plan, "Ask for a pause")
    judge(page)
    screenshots(page, "plan-pause")
    last = page.get_by_label("Until when?").get_attribute("max")
    assert last
    page.get_by_label("Until when?").fill(last)
    page.get_by_role("button", name="Show the new payments").click()
    expect(page.get_by_role("heading", name="Your payments if we say yes")).to_be_visible()
    expect(page.locator("table", has_text="After the pause")).to_be_visible()
    judge(page)
    screenshots(page, "plan-pause-shown")
    page.get_by_label("What happened?").fill("I lost my work.")
    page.get_by_role("button", name="Send my request").click()
    expect(page.get_by_text("You asked for a pause until")).to_be_visible()
    judge(page)
    assert read(live_demo, "SELECT note FROM plan_request WHERE decided_at IS NULL") == [("I lost my work.",)]

    # The office says no: the patient reads why, and what else is possible.
    as_it_was = coming(live_demo)
    desk = open_page(DESKTOP)
    sign_in(desk, live_demo, "staff@example.com")
    desk.goto(f"{live_demo.url}/desk/plans")
    desk.get_by_role("link", name=re.compile("asks to pause until")).click()
    desk.get_by_label("What you tell the patient").fill("Less each time helps you more. Call us, we do it with you.")
    desk.get_by_role("button", name="Refuse it").click()
    expect(desk.get_by_role("heading", name="Payment plan of Testa Demopatient")).to_be_visible()
    page.goto(plan)
    expect(page.get_by_text("We could not pause the plan")).to_be_visible()
    expect(page.get_by_text("Less each time helps you more. Call us, we do it with you.").first).to_be_visible()
    judge(page)
    screenshots(page, "plan-pause-refused")
    assert coming(live_demo) == as_it_was

    act(page, plan, "Change the card or bank account")
    judge(page)
    add_card(page, "5555555555554444")
    expect(page.get_by_text("Now the plan is charged to Visa ending 4242.")).to_be_visible()
    judge(page)
    screenshots(page, "plan-method")
    page.get_by_label("I agree to this change").check()
    page.get_by_role("button", name="Charge this one from now on").click()
    expect(page.get_by_text(re.compile("From now on the plan is charged to .*4444"))).to_be_visible()
    page.goto(f"{live_demo.url}/methods")
    page.get_by_role("link", name=re.compile("4444")).click()
    page.get_by_role("link", name=re.compile("Remove")).click()
    expect(page.get_by_text("is charged to it")).to_be_visible()
    judge(page)
    screenshots(page, "plan-method-remove")

    act(page, plan, "End the plan")
    judge(page)
    screenshots(page, "plan-end")
    page.get_by_role("button", name="End the plan").click()
    expect(page.get_by_text("The plan has ended.")).to_be_visible()
    judge(page)
    screenshots(page, "plan-ended")
    assert coming(live_demo) == []
    expect(page.get_by_role("link", name=re.compile("What you agreed to"))).to_have_count(7)
    page.goto(live_demo.url)
    expect(page.get_by_text("You can pay now")).to_be_visible()


def test_what_is_typed_before_the_script_has_come_counts(live_demo: LiveDemo, open_page: Callable[..., Page]) -> None:
    page = open_page(PHONE)
    sign_in(page, live_demo, "testa@example.com")
    link = page.get_by_role("link", name="Pay in installments").first.get_attribute("href")
    held: list[Route] = []
    page.route("**/plan.js*", lambda route: held.append(route))
    page.goto(f"http://127.0.0.1:{live_demo.port}{link}", wait_until="commit")
    page.locator("#each").fill("100")
    expect(page.locator("#said")).to_contain_text("6 payments of $41.39")
    page.wait_for_function("document.querySelector('script[src*=\"plan.js\"]') !== null")
    held.pop().continue_()
    expect(page.locator("#said")).to_contain_text("3 payments of $100.00")


def test_the_days_charge_it_and_paying_besides_makes_it_shorter(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Take
) -> None:
    """Charged on its day, one paid early, something extra, then all of it."""
    page = open_page(PHONE)
    plan = start(page, live_demo, "testa@example.com")
    assert until(lambda: not read(live_demo, "SELECT 1 FROM notification WHERE sent_at IS NULL LIMIT 1"))

    def pay(name: str) -> None:
        expect(page.get_by_role("heading", name=re.compile("^You pay "))).to_be_visible()
        judge(page)
        screenshots(page, f"plan-{name}")
        page.get_by_role("button", name=re.compile("^Continue to pay")).click()
        page.locator("#pay-button").click()
        expect(page).to_have_url(re.compile("/receipt"))
        live_demo.nudge()

    act(page, plan, "Pay the next one now")
    pay("pay-next")
    assert until(lambda: read(live_demo, "SELECT 1 FROM instalment WHERE state = 'paid'"))
    page.goto(plan)
    expect(page.get_by_text("1 of 5 payments made")).to_be_visible()

    # Days pass: the second one is announced, and charged by the worker on its day.
    left = coming(live_demo)
    charge_next(live_demo)
    assert until(lambda: len(read(live_demo, "SELECT 1 FROM instalment WHERE state = 'paid'")) == 2)
    assert coming(live_demo) == left[1:]
    page.goto(plan)
    expect(page.get_by_text("2 of 5 payments made")).to_be_visible()
    judge(page)
    screenshots(page, "plan-two-paid")

    act(page, plan, "Pay extra")
    judge(page)
    page.get_by_label("How much extra?").fill("1000")
    page.get_by_role("button", name="Show what it does").click()
    expect(page.get_by_text("That is more than is left.").first).to_be_visible()
    judge(page)
    page.get_by_label("How much extra?").fill("60")
    page.get_by_role("button", name="Show what it does").click()
    pay("pay-extra")
    assert fitted(live_demo, lambda: sum(cents for _day, cents in coming(live_demo)) == 14_832 - 6_000)

    act(page, plan, "Pay it off")
    pay("pay-off")
    assert fitted(live_demo, lambda: bool(read(live_demo, "SELECT 1 FROM plan WHERE state = 'paid'")))
    page.goto(plan)
    expect(page.get_by_text("Nothing more is charged for it. Thank you.")).to_be_visible()
    judge(page)
    screenshots(page, "plan-paid-off")
    ((captured,),) = read(live_demo, "SELECT sum(amount_cents) FROM booking")
    assert captured == 24_832
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_the_link_in_the_mail_stops_it_and_the_page_goes_on(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Take
) -> None:
    page = open_page(PHONE)
    plan = start(page, live_demo, "testa@example.com")

    def told() -> str:
        rows = read(live_demo, "SELECT body FROM notification WHERE key LIKE 'plan/%/notice/%' AND sent_at IS NOT NULL")
        return rows[0][0] if rows else ""

    announce_next(live_demo)
    link = re.search(r"http://\S+/plans/stop/[0-9a-f]{32}", told())
    assert link
    # The agreement itself tells of one in its first days, which may be charged by now.
    taken, left = read(live_demo, "SELECT 1 FROM payment"), coming(live_demo)
    stranger = open_page(PHONE)
    stranger.goto(link[0])
    judge(stranger)
    screenshots(stranger, "plan-stop-question")
    stranger.get_by_role("button", name="Stop the payments").click()
    expect(stranger.get_by_role("heading", name="Your plan is stopped")).to_be_visible()
    judge(stranger)
    screenshots(stranger, "plan-stopped")
    let_pass(live_demo, 40 * DAY)
    live_demo.nudge()
    page.goto(plan)
    expect(page.get_by_text("Nothing is charged until you go on.")).to_be_visible()
    judge(page)
    screenshots(page, "plan-paused")
    page.get_by_role("link", name="Continue the plan").click()
    agree(page, screenshots, "go-on")
    assert read(live_demo, "SELECT 1 FROM payment") == taken
    assert len(coming(live_demo)) == len(left)


def test_a_card_that_is_turned_down_asks_for_another(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Take
) -> None:
    """The page says first what is needed, and the new card pays what did not go through."""
    page = open_page(PHONE)
    plan = start(page, live_demo, "testa@example.com", FAILS_LATER)
    # Announced, turned down, and tried again as often as the policy says.
    for _try in range(1 + len(load().retry_days)):
        installment = charge_next(live_demo)
        assert until(
            lambda one=installment: read(live_demo, f"SELECT 1 FROM instalment WHERE id = {one} AND state = 'planned'")
        )
    assert until(lambda: read(live_demo, "SELECT 1 FROM plan WHERE need = 'method'"))
    page.goto(live_demo.url)
    expect(page.get_by_text("Your payment plan needs another card or bank account.")).to_be_visible()
    page.goto(plan)
    expect(page.get_by_role("heading", name="Please choose another card or bank account")).to_be_visible()
    judge(page)
    screenshots(page, "plan-needs-method")
    page.get_by_role("link", name="Choose another one").click()
    add_card(page)
    expect(page.get_by_text("is made with it right away, when you agree")).to_be_visible()
    judge(page)
    screenshots(page, "plan-other-method")
    page.get_by_label("I agree to this change").check()
    page.get_by_role("button", name="Charge this one from now on").click()
    expect(page.get_by_text("From now on the plan is charged to Visa ending 4242.")).to_be_visible()
    assert until(lambda: read(live_demo, "SELECT 1 FROM instalment WHERE state = 'paid'"))
