"""When it does not go through, in a browser: what cards' banks say, and Stripe in trouble, by the demo's buttons."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser import DESKTOP, PHONE, LiveDemo, until
from tests.e2e.test_story import (
    DECLINED,
    GOOD,
    GOOD_AFTER_3DS,
    fill_card,
    judge,
    read,
    reconciled,
    screenshots,
    sign_in,
)
from tests.e2e.test_tabs_and_papers import taken
from tests.e2e.test_ways_to_pay import DAY, choose_amount, let_pass, open_choose, payment_id

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

__all__ = ["screenshots"]

#: Card -> what its bank says, in words that say what to do.
CARDS = {
    "4000000000000119": "The card’s bank had a problem. Wait a minute and try again.",
    "4000000000009995": "Try another card, or pay a smaller amount.",
    "4000000000000069": "Check the date, or use another card.",
    "4000000000000127": "Check the three or four digits and try again.",
}


def press(page: Page, demo: LiveDemo, words: str) -> None:
    """A button of the stand-in's page."""
    page.goto(demo.standin_url)
    page.get_by_role("button", name=words).first.click()
    expect(page.get_by_role("heading", name="Stripe stand-in")).to_be_visible()


def test_each_decline_says_what_to_do_and_too_many_end_it(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page = open_page(PHONE)
    sign_in(page, live_demo, "sam@example.com")
    choose_amount(page, live_demo, "JDC-1002", "6.00")
    for number, words in CARDS.items():
        fill_card(page, number)
        page.locator("#pay-button").click()
        expect(page.locator("#pay-error-text")).to_contain_text(words)
        expect(page.locator("#pay-error-text")).to_contain_text("You have not been charged.")
        expect(page.locator("#pay-button")).to_be_enabled()
    judge(page)
    screenshots(page, "declined-cvc")

    # Refused at the bank's own page.
    fill_card(page, GOOD_AFTER_3DS)
    page.locator("#pay-button").click()
    page.frame_locator("iframe[src*='3d-secure']").get_by_role("button", name="Fail authentication").click()
    expect(page.locator("#pay-error-text")).to_contain_text("Your bank could not confirm that it was you.")
    judge(page)

    # One more is too many: the payment is closed, and its payer is told to wait.
    fill_card(page, DECLINED)
    page.locator("#pay-button").click()
    expect(page.locator("#pay-error-text")).to_contain_text("Your bank declined the card.")
    assert until(lambda: read(live_demo, "SELECT 1 FROM payment WHERE state = 'canceled'"))
    page.reload()
    expect(page.get_by_text("Please wait an hour before you try again").first).to_be_visible()
    judge(page)
    screenshots(page, "declined-too-often")
    open_choose(page, live_demo, "JDC-1002", "6.00")
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.get_by_text("Please wait an hour before you try again").first).to_be_visible()
    assert taken(live_demo, "JDC-1002") == 0

    # The hour passes. An attempt that is left alone is closed after a day, and blocks nobody.
    let_pass(live_demo, 3700)
    choose_amount(page, live_demo, "JDC-1002", "6.00")
    left_alone = payment_id(page)
    # Stripe's news of it comes first: heard of after the day, it would count as a look, and the sweep would wait.
    heard = (
        "SELECT 1 FROM stripe_event JOIN payment ON intent_id = stripe_intent_id "
        f"WHERE public_id = '{left_alone}' AND processed_at IS NOT NULL"
    )
    assert until(lambda: read(live_demo, heard))
    let_pass(live_demo, DAY + 600)
    assert until(
        lambda: read(live_demo, f"SELECT 1 FROM payment WHERE public_id = '{left_alone}' AND state = 'canceled'")
    )
    choose_amount(page, live_demo, "JDC-1002", "6.00")
    fill_card(page, GOOD)
    page.locator("#pay-button").click()
    expect(page).to_have_url(re.compile("/receipt"))
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
    assert taken(live_demo, "JDC-1002") == 600


def test_stripe_in_trouble_takes_nothing_twice_and_says_what_to_do(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page, stand_in = open_page(PHONE), open_page(DESKTOP)
    sign_in(page, live_demo, "testa@example.com")
    open_choose(page, live_demo, "JDC-1001", "4.00")
    press(stand_in, live_demo, "Stripe can’t be reached")
    judge(stand_in)
    screenshots(stand_in, "stand-in")
    page.get_by_role("button", name="Continue", exact=True).click()
    for trouble, words, shot in (
        ("", "Wait a minute and try again, or call", "away"),
        ("It is too busy (429)", "Wait a minute and try again.", "busy"),
        ("The secret key has expired", "Something is wrong on our side, not with your card.", "key"),
    ):
        if trouble:
            press(stand_in, live_demo, trouble)
            page.get_by_role("link", name="Try again").click()
        expect(page.get_by_text(words).first).to_be_visible(timeout=40_000)
        expect(page.get_by_text("You have not been charged.").first).to_be_visible()
        judge(page)
        screenshots(page, f"stripe-{shot}")
    press(stand_in, live_demo, "All is well again")
    # An attempt that Stripe has refused is over; one that it has not heard of goes on.
    choose_amount(page, live_demo, "JDC-1001", "4.00")

    # The button is pressed and no answer comes: nobody says that nothing was charged, since nobody knows.
    fill_card(page, GOOD)
    press(stand_in, live_demo, "Its answers are lost")
    page.locator("#pay-button").click()
    expect(page.locator("#pay-error-title")).to_have_text("We lost touch with the payment service")
    expect(page.locator("#pay-error")).not_to_contain_text("You have not been charged")
    judge(page)
    screenshots(page, "answer-lost")
    paid = payment_id(page)
    page.get_by_role("link", name="See what became of this payment").click()
    expect(page.get_by_role("heading", name="We are checking your payment")).to_be_visible(timeout=40_000)
    judge(page)
    press(stand_in, live_demo, "All is well again")
    # The page moves on by itself: the card never reached Stripe, so the same payment can be paid.
    expect(page).to_have_url(re.compile(f"/payments/{paid}$"), timeout=60_000)
    fill_card(page, GOOD)
    page.locator("#pay-button").click()
    expect(page).to_have_url(re.compile(f"{paid}/receipt"))
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
    assert taken(live_demo, "JDC-1001") == 400


def test_a_payment_that_stripe_forgot_takes_nothing_and_another_one_goes_through(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page, stand_in = open_page(PHONE), open_page(DESKTOP)
    sign_in(page, live_demo, "testa@example.com")
    choose_amount(page, live_demo, "JDC-1001", "7.00")
    fill_card(page, GOOD)
    forgotten = payment_id(page)
    press(stand_in, live_demo, "Stripe forgets it")
    page.locator("#pay-button").click()
    expect(page.get_by_text("You have not been charged").first).to_be_visible()
    judge(page)
    screenshots(page, "forgotten")
    assert read(live_demo, f"SELECT state FROM payment WHERE public_id = '{forgotten}'") == [("canceled",)]
    choose_amount(page, live_demo, "JDC-1001", "7.00")
    assert payment_id(page) != forgotten
    fill_card(page, GOOD)
    page.locator("#pay-button").click()
    expect(page).to_have_url(re.compile("/receipt"))
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
    assert taken(live_demo, "JDC-1001") == 700


def test_keys_of_two_accounts_end_in_words_and_not_in_a_circle(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    """Stripe answers the page that it has no such intent, and the server that it has: nobody is sent round for ever."""
    page = open_page(PHONE)
    sign_in(page, live_demo, "testa@example.com")
    choose_amount(page, live_demo, "JDC-1001", "7.25")
    error = {"type": "invalid_request_error", "code": "resource_missing", "param": "intent", "message": "None"}
    page.route("**/v1/payment_intents/*/confirm", lambda route: route.fulfill(status=404, json={"error": error}))
    address = page.url
    fill_card(page, GOOD)
    with page.expect_navigation(url=address):  # by way of the server, which says that nothing happened
        page.locator("#pay-button").click()
    fill_card(page, GOOD)
    page.locator("#pay-button").click()
    expect(page.get_by_text("The payment form did not load")).to_be_visible()
    expect(page.get_by_text("pay by phone").first).to_be_visible()
    assert page.url == address
    judge(page)
    screenshots(page, "two-accounts")


def test_an_event_that_failed_is_tried_again_at_the_desk(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page, desk, stand_in = open_page(DESKTOP), open_page(DESKTOP), open_page(DESKTOP)
    sign_in(page, live_demo, "testa@example.com")
    choose_amount(page, live_demo, "JDC-1001", "9.00")
    fill_card(page, GOOD)
    page.locator("#pay-button").click()
    expect(page).to_have_url(re.compile("/receipt"))

    # Our key ends, and the bank asks about the payment: what Stripe tells can't be looked at.
    press(stand_in, live_demo, "The secret key has expired")
    press(stand_in, live_demo, "The bank asks about it")
    failed = "SELECT id FROM stripe_event WHERE type LIKE 'charge.dispute%' AND last_error <> ''"
    assert until(lambda: read(live_demo, failed))
    ((event_id,),) = read(live_demo, failed)
    sign_in(desk, live_demo, "staff@example.com")
    desk.goto(f"{live_demo.url}/desk/webhooks")
    expect(desk.get_by_text("Oldest one waiting")).to_be_visible()
    expect(desk.get_by_text("Is tried again").first).to_be_visible()
    judge(desk)
    screenshots(desk, "webhooks-failed")
    press(stand_in, live_demo, "All is well again")
    desk.get_by_role("button", name=f"Try now {event_id}").click()
    expect(desk.get_by_text("It is being tried now")).to_be_visible()
    assert until(lambda: read(live_demo, f"SELECT 1 FROM stripe_event WHERE id = '{event_id}' AND last_error = ''"))
    desk.reload()
    expect(desk.get_by_text("None failed")).to_be_visible()

    # The inquiry is there now: no money has moved, and it wants an answer by a day.
    desk.goto(f"{live_demo.url}/desk/disputes")
    desk.locator("table a").first.click()
    expect(desk.get_by_text("No money has moved")).to_be_visible()
    expect(desk.get_by_text("Answer by").first).to_be_visible()
    judge(desk)
    screenshots(desk, "inquiry")
    assert taken(live_demo, "JDC-1001") == 900
    press(stand_in, live_demo, "The bank closes it")
    assert until(lambda: read(live_demo, "SELECT 1 FROM dispute WHERE state = 'inquiry_closed'"))

    # Somebody refunds another payment in Stripe's dashboard: the books follow, the patient sees it.
    choose_amount(page, live_demo, "JDC-1001", "8.00")
    fill_card(page, GOOD)
    page.locator("#pay-button").click()
    expect(page).to_have_url(re.compile("/receipt"))
    paid = payment_id(page)
    assert taken(live_demo, "JDC-1001") == 1700
    press(stand_in, live_demo, "Refund it in the dashboard ($8.00)")
    assert until(lambda: taken(live_demo, "JDC-1001") == 900)
    page.goto(f"{live_demo.url}/payments/{paid}/refunds")
    expect(page.get_by_text("We sent $8.00 back to Visa ending 4242 on")).to_be_visible()
    judge(page)
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
