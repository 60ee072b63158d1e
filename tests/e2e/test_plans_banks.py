"""What banks do to a plan, in a browser: one wants its customer to confirm a charge, another takes days to pay it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser import DESKTOP, PHONE, LiveDemo, until
from tests.e2e.plan_days import all_sent, charge_next
from tests.e2e.test_disputes_and_payouts import DISPUTED, booked, control, dispute_of, stripes
from tests.e2e.test_plans import coming, fitted, start
from tests.e2e.test_story import GOOD_AFTER_3DS, fill_card, judge, mails_to, read, reconciled, screenshots, sign_in
from tests.e2e.test_ways_to_pay import DAY, element, let_pass

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

__all__ = ["screenshots"]

Picture = Callable[[Page, str], None]


def to_the_agreement(page: Page, demo: LiveDemo, email: str, fill: Callable[[Page], None]) -> None:
    """A plan of $100.00 a week, and the card or bank account that it is charged to."""
    sign_in(page, demo, email)
    page.get_by_role("link", name="Pay in installments").first.click()
    page.get_by_label("How often").select_option("weekly")
    page.locator("#each").fill("100")
    expect(page.locator("#said")).to_contain_text("3 payments of $100.00, every week")
    page.get_by_role("link", name="Continue with this plan").click()
    page.get_by_role("link", name="Add a card or bank account").click()
    page.get_by_role("button", name="Agree and go on").click()
    fill(page)
    expect(page.get_by_role("heading", name="What you agree to")).to_be_visible()


def start_it(page: Page) -> str:
    """Agree; the plan's page."""
    page.get_by_label("I agree to this plan").check()
    page.get_by_role("button", name="Start this plan").click()
    expect(page.get_by_text("Your plan is set up.")).to_be_visible()
    return page.url


def challenge(page: Page, answer: str) -> None:
    """What the bank's own page asks."""
    page.frame_locator("iframe[src*='3d-secure']").get_by_role("button", name=answer).click()


def test_a_bank_that_wants_its_customer_to_confirm_a_charge(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    """The card is saved with 3-D Secure and asks for it again at every charge, which nobody is there to answer."""

    def add(page: Page) -> None:
        fill_card(page, GOOD_AFTER_3DS)
        page.locator("#pay-button").click()
        challenge(page, "Complete authentication")

    page = open_page(PHONE)
    to_the_agreement(page, live_demo, "testa@example.com", add)
    plan = start_it(page)
    charge_next(live_demo)
    assert until(lambda: read(live_demo, "SELECT 1 FROM plan WHERE need = 'confirmation'"))
    assert read(live_demo, "SELECT state, tries FROM instalment WHERE ordinal = 1") == [("planned", 1)]
    live_demo.nudge()
    assert all_sent(live_demo)
    (mail,) = mails_to(open_page(DESKTOP), live_demo, "testa@example.com", count=1)
    assert "Your bank wants you to confirm the payment yourself." in mail
    assert "You have not been charged." in mail
    assert plan in mail

    # The start page and the plan's page both say what to do first.
    page.goto(live_demo.url)
    expect(page.get_by_text("Your bank wants you to confirm a payment of your payment plan.")).to_be_visible()
    judge(page)
    page.get_by_role("link", name="Go to your plan").click()
    expect(page.get_by_role("heading", name="Your bank wants you to confirm a payment")).to_be_visible()
    expect(page.get_by_text("None until this is settled")).to_be_visible()
    judge(page)
    screenshots(page, "plan-confirm")
    page.get_by_role("link", name="Pay the next one now").click()
    expect(page.get_by_role("heading", name="You pay $100.00 now")).to_be_visible()
    expect(page.get_by_text("Your bank will ask you to confirm it. There is no fee.")).to_be_visible()
    expect(page.get_by_text("It costs nothing to be early.")).to_have_count(0)
    judge(page)
    screenshots(page, "plan-confirm-pay")
    page.get_by_role("button", name="Continue to pay $100.00").click()
    expect(page.locator("#pay-button")).to_be_enabled()
    judge(page)

    # Refused at first: nothing is taken, and it can be tried again.
    page.locator("#pay-button").click()
    challenge(page, "Fail authentication")
    expect(page.locator("#pay-error-text")).to_contain_text("Your bank could not confirm that it was you.")
    expect(page.locator("#pay-button")).to_be_enabled()
    judge(page)
    screenshots(page, "plan-confirm-refused")
    assert read(live_demo, "SELECT 1 FROM booking") == []
    page.locator("#pay-button").click()
    challenge(page, "Complete authentication")
    expect(page).to_have_url(re.compile("/receipt"))
    judge(page)
    screenshots(page, "plan-confirmed")
    live_demo.nudge()
    assert until(lambda: read(live_demo, "SELECT 1 FROM instalment WHERE ordinal = 1 AND state = 'paid'"))
    assert until(lambda: read(live_demo, "SELECT 1 FROM plan WHERE need = 'nothing'"))
    page.goto(plan)
    expect(page.get_by_text("1 of 3 payments made")).to_be_visible()
    expect(page.get_by_role("heading", name="Your bank wants you to confirm a payment")).to_have_count(0)
    judge(page)
    assert sum(cents for _day, cents in coming(live_demo)) == 14_832
    assert [tuple(row) for row in read(live_demo, "SELECT amount_cents FROM booking")] == [(10_000,)]
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_a_plan_on_a_bank_account_is_paid_days_after_its_day(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    def add(page: Page) -> None:
        element(page).get_by_text("US bank account").click()
        element(page).locator("#email").fill("testa@example.com")
        element(page).locator("#holder").fill("A Person")
        page.locator("#pay-button").click()
        element(page).locator("#sheet-yes").click()

    page = open_page(PHONE)
    to_the_agreement(page, live_demo, "testa@example.com", add)
    terms = page.locator(".terms")
    expect(terms).to_contain_text(re.compile("to charge these payments to my bank account .*6789, every week"))
    expect(terms).to_contain_text("If the amount of a later bank payment is not the usual one, the email comes")
    expect(terms).to_contain_text("My bank must also stop a payment when I tell it at least 3 business days before.")
    judge(page)
    screenshots(page, "plan-bank-agreement")
    plan = start_it(page)
    judge(page)
    ((kept, version),) = read(live_demo, "SELECT text, version FROM consent WHERE kind = 'plan'")
    assert "my bank account" in kept
    assert version
    assert all_sent(live_demo)
    (copy,) = mails_to(open_page(DESKTOP), live_demo, "testa@example.com", count=1)
    assert "your bank must also stop one when you tell it at least 3 business days before" in copy

    charge_next(live_demo)
    processing = "SELECT 1 FROM payment WHERE state = 'processing' AND amount_cents = 10000"
    assert until(lambda: read(live_demo, processing))
    assert read(live_demo, "SELECT state FROM instalment WHERE ordinal = 1") == [("charging",)]
    page.goto(plan)
    expect(page.get_by_text("A payment of $100.00 is on its way. You don’t need to pay it again.")).to_be_visible()
    expect(page.locator(".plan-rows tbody tr").first).to_contain_text("Being paid")
    expect(page.locator(".plan-rows tfoot")).to_contain_text("$148.32")
    judge(page)
    screenshots(page, "plan-bank-on-its-way")
    assert read(live_demo, "SELECT 1 FROM booking") == []
    page.goto(live_demo.url)
    expect(page.get_by_text("Your payment of $100.00 is on its way").first).to_be_visible()
    judge(page)

    let_pass(live_demo, 5 * DAY)
    assert until(lambda: read(live_demo, "SELECT 1 FROM payment WHERE state = 'succeeded'"))
    live_demo.nudge()
    assert until(lambda: read(live_demo, "SELECT 1 FROM instalment WHERE ordinal = 1 AND state = 'paid'"))
    page.goto(plan)
    expect(page.get_by_text("1 of 3 payments made")).to_be_visible()
    expect(page.locator(".plan-rows tbody tr").first).to_contain_text("Paid")
    judge(page)
    screenshots(page, "plan-bank-paid")
    assert [tuple(row) for row in read(live_demo, "SELECT amount_cents FROM booking")] == [(10_000,)]
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_a_payment_that_the_bank_takes_back_leaves_its_lines_out_until_it_decides(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    """The patient disputes a payment of the plan at their bank: its lines wait, and come back when the bank agrees."""
    page = open_page(PHONE)
    plan = start(page, live_demo, "testa@example.com", DISPUTED, each="60")
    page.get_by_role("link", name="Pay the next one now", exact=True).click()
    page.get_by_role("button", name="Continue to pay $60.00").click()
    page.locator("#pay-button").click()
    expect(page).to_have_url(re.compile("/receipt"))
    ((paid,),) = read(live_demo, "SELECT public_id FROM payment")
    dispute = dispute_of(live_demo, paid, "needs_response")
    assert booked(live_demo, paid) == 0
    held = "SELECT sum(agreed_cents) FROM plan_line JOIN dispute_part ON dispute_part.charge_id = plan_line.charge_id"
    ((out,),) = read(live_demo, held)
    rest = 24_832 - out
    assert fitted(live_demo, lambda: sum(cents for _day, cents in coming(live_demo)) == rest)
    page.goto(plan)
    expect(page.get_by_text("We are checking this. It is left out until that is settled.").first).to_be_visible()
    expect(page.locator(".plan-rows tfoot")).to_contain_text(f"${rest // 100}.{rest % 100:02}")
    judge(page)
    screenshots(page, "plan-disputed")
    control(live_demo, f"disputes/{stripes(live_demo, dispute)}/close", won=True)
    dispute_of(live_demo, paid, "won")
    assert booked(live_demo, paid) == 6_000
    assert fitted(live_demo, lambda: sum(cents for _day, cents in coming(live_demo)) == 24_832 - 6_000)
    page.goto(plan)
    expect(page.locator(".plan-rows tfoot")).to_contain_text("$188.32")
    expect(page.get_by_text("We are checking this.")).to_have_count(0)
    judge(page)
    screenshots(page, "plan-dispute-won")
    kinds = [row[0] for row in read(live_demo, "SELECT kind FROM plan_change ORDER BY version")]
    assert kinds == ["enrolled", "held", "hold_ended"]
    live_demo.nudge()
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
