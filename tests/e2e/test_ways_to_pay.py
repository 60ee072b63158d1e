"""Ways to pay, in a browser: bank accounts, saved cards, a family in one go, chosen visits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from datetime import time as dt_time
from urllib.request import Request, urlopen
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.browser import DESKTOP, PHONE, LiveDemo
from tests.e2e.test_story import GOOD, GOOD_AFTER_3DS, fill_card, judge, read, reconciled, screenshots, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

__all__ = ["screenshots"]

DAY = 86_400
CLINIC = ZoneInfo("America/Chicago")


def element(page: Page) -> FrameLocator:
    return page.frame_locator("#payment-element iframe")


def open_choose(page: Page, demo: LiveDemo, account: str, amount: str) -> None:
    """Open an account's choose page and write an amount."""
    ((account_id,),) = read(demo, f"SELECT public_id FROM account WHERE ref = '{account}'")
    page.goto(f"{demo.url}/accounts/{account_id}/pay")
    page.get_by_label("Another amount").check()
    page.get_by_label("Amount", exact=True).fill(amount)


def choose_amount(page: Page, demo: LiveDemo, account: str, amount: str) -> None:
    """Choose an amount and another card or bank account than a saved one, and go on."""
    open_choose(page, demo, account, amount)
    if page.get_by_label("Another card or bank account").count():
        page.get_by_label("Another card or bank account").check()
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.locator("#pay-form")).to_be_visible()


def let_pass(demo: LiveDemo, seconds: int) -> None:
    """Let time pass at Stripe."""
    request = Request(
        f"{demo.standin_url}/_standin/clock",
        data=json.dumps({"advance_seconds": seconds}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    urlopen(request, timeout=10).read()


def let_pass_until(demo: LiveDemo, day: date) -> None:
    """Let time pass at Stripe and in the demo until it is noon of a day at the clinic; nothing where that is over."""
    with urlopen(f"{demo.standin_url}/_standin/clock", timeout=10) as answer:
        now = datetime.fromisoformat(json.load(answer)["now"])
    noon = datetime.combine(day, dt_time(12), tzinfo=CLINIC)
    let_pass(demo, max(0, int((noon - now).total_seconds())))


def payment_id(page: Page) -> str:
    found = re.search(r"/payments/([0-9a-f]{32})", page.url)
    assert found, page.url
    return found[1]


def test_a_bank_account_pays_days_later(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page = open_page(PHONE)
    sign_in(page, live_demo, "testa@example.com")
    choose_amount(page, live_demo, "JDC-1001", "3.10")
    element(page).get_by_text("US bank account").click()
    expect(page.get_by_text("takes up to 4 business days").first).to_be_visible()
    element(page).locator("#email").fill("testa@example.com")
    element(page).locator("#holder").fill("A Person")
    judge(page)
    screenshots(page, "bank-form")
    page.locator("#pay-button").click()
    element(page).locator("#sheet-yes").click()
    expect(page).to_have_url(re.compile("/return$"))  # without the secret that Stripe appends
    expect(page.get_by_role("heading", name="Your payment is on its way")).to_be_visible()
    judge(page)
    screenshots(page, "bank-on-its-way")
    paid = payment_id(page)
    page.goto(live_demo.url)
    expect(page.get_by_text("Your payment of $3.10 is on its way")).to_be_visible()
    page.goto(f"{live_demo.url}/payments/{paid}")  # the back button
    expect(page).to_have_url(re.compile("/return$"))  # without the secret that Stripe appends

    let_pass(live_demo, 5 * DAY)
    page.goto(f"{live_demo.url}/payments/{paid}/return")
    expect(page).to_have_url(re.compile("/receipt"))
    expect(page.get_by_text("We received the money")).to_be_visible()
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
    page.reload()
    expect(page.locator(".progress-steps .is-done")).to_have_count(3)
    judge(page)
    screenshots(page, "bank-receipt")


def test_small_deposits_are_confirmed_before_the_money_moves(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page = open_page(DESKTOP)
    sign_in(page, live_demo, "sam@example.com")
    choose_amount(page, live_demo, "JDC-1002", "4.20")
    element(page).get_by_text("US bank account").click()
    element(page).locator("#email").fill("sam@example.com")
    element(page).locator("#holder").fill("A Person")
    element(page).get_by_text("Enter bank details manually").click()
    element(page).locator("#routing").fill("110000000")
    element(page).locator("#account").fill("000123456789")
    page.locator("#pay-button").click()
    expect(page.get_by_role("heading", name="Confirm your bank account")).to_be_visible()
    judge(page)
    screenshots(page, "deposits-wait")
    paid = payment_id(page)
    page.goto(live_demo.url)
    expect(page.get_by_text("Waiting for you")).to_be_visible()
    judge(page)
    screenshots(page, "home-deposits-wait")
    page.get_by_role("link", name="Confirm the deposits").click()
    page.get_by_role("link", name="Confirm the small deposits").click()
    page.locator("#code").fill("SM11AA")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("Your bank account is verified")).to_be_visible()
    page.goto(f"{live_demo.url}/payments/{paid}/return")
    expect(page.get_by_role("heading", name="Your payment is on its way")).to_be_visible()
    let_pass(live_demo, 5 * DAY)
    page.goto(f"{live_demo.url}/payments/{paid}/return")
    expect(page).to_have_url(re.compile("/receipt"))


def test_a_bank_that_sends_the_money_back_is_told_of(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page = open_page(PHONE)
    sign_in(page, live_demo, "sam@example.com")
    choose_amount(page, live_demo, "JDC-1002", "4.30")
    element(page).get_by_text("US bank account").click()
    element(page).locator("#email").fill("sam@example.com")
    element(page).locator("#holder").fill("A Person")
    page.locator("#pay-button").click()
    element(page).get_by_text("2227").click()
    element(page).locator("#sheet-yes").click()
    expect(page.get_by_role("heading", name="Your payment is on its way")).to_be_visible()
    paid = payment_id(page)
    let_pass(live_demo, 5 * DAY)
    page.goto(f"{live_demo.url}/payments/{paid}/return")
    expect(page.get_by_role("heading", name="This payment did not go through")).to_be_visible()
    expect(page.get_by_text("not enough money in the bank account")).to_be_visible()
    judge(page)
    screenshots(page, "bank-returned")
    page.goto(f"{live_demo.url}/payments")
    expect(page.get_by_text("Your bank sent it back")).to_be_visible()
    judge(page)
    screenshots(page, "history-returned")


@pytest.mark.parametrize(("size", "card"), [(PHONE, GOOD), (DESKTOP, GOOD_AFTER_3DS)], ids=["phone", "desktop-3ds"])
def test_a_card_is_kept_while_paying_and_used_the_next_time(
    live_demo: LiveDemo,
    open_page: Callable[..., Page],
    screenshots: Callable[[Page, str], None],
    size: tuple[int, int],
    card: str,
) -> None:
    def authenticate() -> None:
        if card == GOOD_AFTER_3DS:
            page.frame_locator("iframe[src*='3d-secure']").get_by_role("button", name="Complete").click()

    page = open_page(size)
    sign_in(page, live_demo, "paula@example.com")
    choose_amount(page, live_demo, "JDC-1003", "2.10")
    fill_card(page, card)
    page.get_by_label("Keep this card or bank account for next time").check()
    judge(page)
    screenshots(page, "keep")
    page.locator("#pay-button").click()
    authenticate()
    expect(page).to_have_url(re.compile("/receipt"))

    page.goto(f"{live_demo.url}/methods")
    row = page.locator(".links li").filter(has_text=card[-4:])
    expect(row).to_have_count(1)
    judge(page)
    screenshots(page, "methods")

    open_choose(page, live_demo, "JDC-1003", "2.20")
    page.get_by_label(re.compile(f"ending {card[-4:]}")).check()
    judge(page)
    screenshots(page, "choose-saved")
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.locator("#pay-button")).to_be_enabled()
    expect(page.locator("#payment-element")).to_have_count(0)
    judge(page)
    screenshots(page, "pay-saved")
    page.locator("#pay-button").click()
    authenticate()
    expect(page).to_have_url(re.compile("/receipt"))
    expect(page.locator("h1")).to_contain_text("$2.20")
    rows = read(
        live_demo,
        f"SELECT count(*) FROM saved_method WHERE last4 = '{card[-4:]}' AND removed_at IS NULL",
    )
    assert rows == [(1,)]


def test_a_method_is_added_named_put_first_and_removed(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page = open_page(PHONE)
    sign_in(page, live_demo, "gail@example.com")
    for number in (GOOD, "5555555555554444"):
        page.goto(f"{live_demo.url}/methods")
        page.get_by_role("link", name="Add a card or bank account").click()
        judge(page)
        screenshots(page, "method-agree")
        page.get_by_role("button", name="Agree and go on").click()
        fill_card(page, number)
        judge(page)
        screenshots(page, "method-form")
        page.locator("#pay-button").click()
        expect(page.get_by_text("It is saved")).to_be_visible()
    page.get_by_role("link", name=re.compile("Mastercard")).click()
    page.get_by_label("Name").fill("Joint card")
    judge(page)
    screenshots(page, "method")
    page.get_by_role("button", name="Save the name").click()
    page.get_by_role("link", name="Joint card").click()
    page.get_by_role("button", name="Offer this one first").click()
    expect(page.locator(".links li").first).to_contain_text("Joint card")
    screenshots(page, "methods-two")
    page.get_by_role("link", name="Joint card").click()
    page.get_by_role("link", name="Remove it").click()
    judge(page)
    screenshots(page, "method-remove")
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("It is removed")).to_be_visible()
    expect(page.locator(".links li")).to_have_count(1)
    expect(page.locator(".links li")).to_contain_text("Visa")


def test_a_bank_account_is_saved_after_small_deposits(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page = open_page(PHONE)
    sign_in(page, live_demo, "sam@example.com")
    page.goto(f"{live_demo.url}/methods")
    page.get_by_role("link", name="Add a card or bank account").click()
    page.get_by_role("button", name="Agree and go on").click()
    element(page).get_by_text("US bank account").click()
    element(page).locator("#email").fill("sam@example.com")
    element(page).locator("#holder").fill("A Person")
    element(page).get_by_text("Enter bank details manually").click()
    element(page).locator("#routing").fill("110000000")
    element(page).locator("#account").fill("000123456789")
    page.locator("#pay-button").click()
    expect(page.get_by_role("heading", name="Confirm your bank account")).to_be_visible()
    judge(page)
    screenshots(page, "setup-deposits-wait")
    waiting = page.url
    page.goto(f"{live_demo.url}/methods")
    expect(page.locator(".links li")).to_have_count(0)
    page.goto(waiting)
    page.get_by_role("link", name="Confirm the small deposits").click()
    page.locator("#code").fill("SM11AA")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("Your bank account is verified")).to_be_visible()
    page.goto(waiting)
    expect(page.get_by_text("It is saved")).to_be_visible()
    ((kind, words, version),) = read(
        live_demo, "SELECT m.kind, c.text, c.version FROM saved_method m JOIN consent c ON c.id = m.consent_id"
    )
    assert kind == "us_bank_account"
    assert "I allow Juniper Demo Clinic to keep this card or bank account" in words
    assert version

    # It pays, days later, without the form.
    open_choose(page, live_demo, "JDC-1002", "3.30")
    page.get_by_label(re.compile("6789")).check()
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.locator("#pay-button")).to_be_enabled()
    expect(page.get_by_text("This takes up to 4 business days").first).to_be_visible()
    page.locator("#pay-button").click()
    expect(page.get_by_role("heading", name="Your payment is on its way")).to_be_visible()
    paid = payment_id(page)
    let_pass(live_demo, 5 * DAY)
    page.goto(f"{live_demo.url}/payments/{paid}/return")
    expect(page).to_have_url(re.compile("/receipt"))
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_a_family_is_paid_in_one_go_by_visits(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page = open_page(DESKTOP)
    sign_in(page, live_demo, "gail@example.com")
    screenshots(page, "home-family")
    page.get_by_role("link", name="Pay for the family in one go").click()
    page.get_by_label("Choose visits or charges").check()
    visits = page.locator(".choice-visit")
    for number in (0, visits.count() - 1):  # one of each account
        visits.nth(number).locator("input[name=visits]").check()
        lines = visits.nth(number).locator("input[name=lines]")
        assert all(lines.nth(one).is_checked() for one in range(lines.count()))
    judge(page)
    screenshots(page, "family-choose")
    if page.get_by_label("Another card or bank account").count():
        page.get_by_label("Another card or bank account").check()
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.get_by_role("heading", name=re.compile("Account of"))).to_have_count(2)
    judge(page)
    screenshots(page, "family-pay")
    fill_card(page, GOOD)
    page.locator("#pay-button").dblclick()
    expect(page).to_have_url(re.compile("/receipt"))
    judge(page)
    screenshots(page, "family-receipt")
    ((cents,),) = read(live_demo, f"SELECT amount_cents FROM payment WHERE public_id = '{payment_id(page)}'")
    shares = read(
        live_demo,
        "SELECT s.amount_cents FROM payment_share s JOIN payment p ON p.id = s.payment_id "
        f"WHERE p.public_id = '{payment_id(page)}'",
    )
    assert len(shares) == 2
    assert sum(row[0] for row in shares) == cents
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_a_wallet_that_is_closed_says_so_and_then_pays(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page = open_page(PHONE)
    sign_in(page, live_demo, "sam@example.com")
    choose_amount(page, live_demo, "JDC-1002", "1.50")
    wallet = element(page).get_by_text("Google Pay")
    if not wallet.count() or not wallet.is_visible():
        wallet = element(page).get_by_text("Apple Pay")
    wallet.click()
    for close in ("button", "escape"):
        page.locator("#pay-button").click()
        expect(element(page).locator("#sheet-no")).to_be_visible()
        if close == "button":
            element(page).locator("#sheet-no").click()
        else:
            page.keyboard.press("Escape")
        expect(page.locator("#pay-error-title")).to_have_text("You have not paid yet")
        expect(page.locator("#pay-error-text")).to_contain_text("Press the button to open it again")
        expect(page.locator("#pay-error-text")).to_contain_text("You have not been charged.")
        expect(page.locator("#pay-error")).to_be_focused()
        expect(page.locator("#pay-error-look")).to_be_hidden()
        expect(page.locator("#pay-button")).to_be_enabled()
        expect(page.locator("#pay-cancel")).to_be_enabled()
        expect(page.locator("#pay-working")).to_be_empty()
    judge(page)
    screenshots(page, "wallet-closed")
    page.locator("#pay-button").click()
    expect(page.locator("#pay-error")).to_be_hidden()
    element(page).locator("#sheet-yes").click()
    expect(page).to_have_url(re.compile("/receipt"))


def test_a_wallet_that_is_closed_while_saving_says_so(live_demo: LiveDemo, open_page: Callable[..., Page]) -> None:
    page = open_page(PHONE)
    sign_in(page, live_demo, "sam@example.com")
    page.goto(f"{live_demo.url}/methods")
    page.get_by_role("link", name="Add a card or bank account").click()
    page.get_by_role("button", name="Agree and go on").click()
    expect(page.locator("#pay-button")).to_be_enabled()
    wallet = element(page).get_by_text("Google Pay")
    if not wallet.count() or not wallet.is_visible():
        wallet = element(page).get_by_text("Apple Pay")
    wallet.click()
    page.locator("#pay-button").click()
    element(page).locator("#sheet-no").click()
    expect(page.locator("#pay-error-title")).to_have_text("It was not saved yet")
    expect(page.locator("#pay-error-text")).to_contain_text("Nothing was charged.")
    expect(page.locator("#pay-button")).to_be_enabled()
    page.locator("#pay-button").click()
    element(page).locator("#sheet-yes").click()
    expect(page.get_by_text("It is saved")).to_be_visible()
