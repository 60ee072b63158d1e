"""The stand-in's Payment Element in a real browser, on a page with the portal's strict content security policy."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe
from playwright.sync_api import Browser, FrameLocator, Page, expect

from portal.sandbox.stripe import StandIn, StandInHTTPClient
from portal.sandbox.stripe.server import running

from .conftest import create

pytestmark = pytest.mark.e2e

SCRIPT = """
const query = new URLSearchParams(location.search), out = document.getElementById("out");
const say = (value) => { out.textContent = JSON.stringify(value); };
if (query.get("redirect_status")) { say({ returned: Object.fromEntries(query) }); }
else {
  const stripe = Stripe("pk_test_plainbill_standin");
  const elements = stripe.elements({ clientSecret: query.get("secret"), locale: query.get("locale") || "en" });
  const payment = elements.create("payment");
  payment.on("ready", () => { document.body.dataset.ready = "1"; });
  payment.on("change", (event) => { document.body.dataset.complete = event.complete; });
  payment.on("loaderror", (event) => say({ loaderror: event.error }));
  payment.mount("#element");
  document.getElementById("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    out.textContent = "";
    const checked = await elements.submit();
    if (checked.error) { say(checked); return; }
    say(await stripe.confirmPayment({ elements, redirect: query.get("redirect") || "always",
      confirmParams: { return_url: location.origin + "/return?visit=1" } }));
  });
}
"""
PAGE = """<!doctype html><html lang="en"><title>Pay</title><meta name="viewport" content="width=device-width">
<form id="form"><div id="element"></div><button>Pay</button></form><p id="out"></p>
<script src="STANDIN/dahlia/stripe.js"></script><script src="/pay.js"></script></html>"""


@dataclass
class Shop:
    """A page of another origin that takes payments with the Element."""

    standin: StandIn
    client: stripe.StripeClient
    url: str
    browser: Browser

    def open(self, intent: Any, *, width: int = 390, **query: str) -> Page:
        page = self.browser.new_context(viewport={"width": width, "height": 850}, locale="en-US").new_page()
        page.set_default_timeout(15_000)
        more = "".join(f"&{name}={value}" for name, value in query.items())
        page.goto(f"{self.url}/?secret={intent.client_secret}{more}")
        return page


def element(page: Page) -> FrameLocator:
    return page.frame_locator('iframe[title="Secure payment input frame"]')


def type_card(page: Page, number: str) -> None:
    """By keyboard alone, from one field to the next, as a person would."""
    element(page).get_by_label("Card number").focus()
    for text in (number, "1240", "123", "12345"):
        page.keyboard.press("Control+A")
        page.keyboard.type(text)
        page.keyboard.press("Tab")


def pay(page: Page) -> None:
    page.get_by_role("button", name="Pay", exact=True).click()


def said(page: Page) -> Any:
    expect(page.locator("#out")).not_to_be_empty(timeout=15_000)
    return json.loads(page.locator("#out").inner_text())


def answer_challenge(page: Page, button: str) -> None:
    challenge = page.frame_locator('iframe[title="3-D Secure authentication"]')
    expect(challenge.get_by_text("Test mode – no real money")).to_be_visible()
    challenge.get_by_role("button", name=button).click()


@pytest.fixture
def shop(browser: Browser) -> Iterator[Shop]:
    standin = StandIn()
    with running(standin) as here:
        policy = (f"default-src 'self'; script-src 'self' {here.url}; frame-src {here.url}; style-src 'self'; "
                  f"connect-src 'self' {here.url}")  # fmt: skip

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                script = self.path == "/pay.js"
                body = (SCRIPT if script else PAGE.replace("STANDIN", here.url)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/javascript" if script else "text/html")
                self.send_header("Content-Security-Policy", policy)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Keeps the test's output quiet."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            client = stripe.StripeClient(standin.secret_key, http_client=StandInHTTPClient(standin))
            yield Shop(standin, client, f"http://127.0.0.1:{server.server_port}", browser)
            for context in browser.contexts:
                context.close()
            server.shutdown()
            thread.join()
    assert standin.violations == []
    standin.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_card_typed_by_keyboard_pays_and_returns(shop: Shop, width: int) -> None:
    made = create(shop.client)
    page = shop.open(made, width=width)
    type_card(page, "4242424242424242")
    assert element(page).get_by_label("Card number").input_value() == "4242 4242 4242 4242"
    assert element(page).get_by_label("Expiration date").input_value() == "12 / 40"
    expect(page.locator("body")).to_have_attribute("data-complete", "true")
    expect(element(page).get_by_text("Test mode – no real money")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    pay(page)

    assert said(page)["returned"] == {
        "visit": "1", "payment_intent": made.id, "payment_intent_client_secret": made.client_secret,
        "redirect_status": "succeeded",
    }  # fmt: skip
    assert shop.client.v1.payment_intents.retrieve(made.id).status == "succeeded"


@pytest.mark.parametrize(
    ("locale", "message"), [("en", "Your card number is incomplete."), ("es", "El número de tarjeta está incompleto.")]
)
def test_missing_fields_are_named_beside_them(shop: Shop, locale: str, message: str) -> None:
    page = shop.open(create(shop.client), locale=locale)
    expect(page.locator("body")).to_have_attribute("data-ready", "1")
    pay(page)
    error = said(page)["error"]
    assert (error["type"], error["code"], error["message"]) == ("validation_error", "incomplete_number", message)
    expect(element(page).get_by_text(message)).to_be_visible()
    number = element(page).locator("#number")
    expect(number).to_have_attribute("aria-invalid", "true")
    expect(number).to_be_focused()
    assert shop.standin.every("payment_method") == []


def test_a_decline_stays_on_the_page_and_another_card_pays(shop: Shop) -> None:
    made = create(shop.client)
    page = shop.open(made)
    type_card(page, "4000000000009995")
    pay(page)
    error = said(page)["error"]
    assert (error["type"], error["code"], error["decline_code"], error["message"]) == (
        "card_error", "card_declined", "insufficient_funds", "Your card has insufficient funds.",
    )  # fmt: skip
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert "metadata" not in error["payment_intent"]

    type_card(page, "5555555555554444")
    pay(page)
    assert said(page)["returned"]["redirect_status"] == "succeeded"
    assert [one["status"] for one in shop.standin.every("charge")] == ["succeeded", "failed"]


def test_three_d_secure_fails_then_succeeds_in_a_dialog(shop: Shop) -> None:
    made = create(shop.client)
    page = shop.open(made)
    type_card(page, "4000002760003184")
    pay(page)
    answer_challenge(page, "Fail authentication")
    assert said(page)["error"]["code"] == "payment_intent_authentication_failure"
    assert shop.client.v1.payment_intents.retrieve(made.id).status == "requires_payment_method"

    pay(page)
    answer_challenge(page, "Complete authentication")
    assert said(page)["returned"]["redirect_status"] == "succeeded"


def test_three_d_secure_and_then_declined(shop: Shop) -> None:
    page = shop.open(create(shop.client))
    type_card(page, "4000008400001629")
    pay(page)
    answer_challenge(page, "Complete authentication")
    assert said(page)["error"]["code"] == "card_declined"


def test_two_tabs_make_one_charge(shop: Shop) -> None:
    made = create(shop.client)
    tabs = [shop.open(made, redirect="if_required") for _ in range(2)]
    for tab in tabs:
        type_card(tab, "4242424242424242")
    for tab in tabs:
        pay(tab)
    # Which of them is first is the browser's affair.
    won, lost = sorted((said(tab) for tab in tabs), key=lambda answer: "error" in answer)
    assert won["paymentIntent"]["status"] == "succeeded"
    assert lost["error"]["code"] == "payment_intent_unexpected_state"
    assert lost["error"]["payment_intent"]["status"] == "succeeded"
    assert len(shop.standin.every("charge")) == 1


def test_a_bank_account_pays_later(shop: Shop) -> None:
    made = create(shop.client, allowed_payment_method_types=["card", "us_bank_account"])
    page = shop.open(made)
    element(page).get_by_text("US bank account").click()
    element(page).get_by_label("Full name").fill("Test Holder")
    element(page).get_by_label("Routing number").fill("110000000")
    element(page).get_by_label("Account number").fill("000123456789")
    pay(page)
    assert said(page)["returned"]["redirect_status"] == "pending"
    shop.standin.advance(4 * 86_400)
    assert shop.client.v1.payment_intents.retrieve(made.id).status == "succeeded"


def test_a_wrong_secret_is_a_load_error(shop: Shop) -> None:
    made = create(shop.client)
    made.client_secret = made.client_secret[:-1] + "!"
    assert said(shop.open(made))["loaderror"]["type"] == "invalid_request_error"


def test_the_frame_ignores_pages_it_was_not_opened_for(
    shop: Shop, open_page: Callable[..., Page]
) -> None:
    page = open_page()
    page.goto(f"{shop.url}/return?redirect_status=none")
    standin = shop.standin.base_url
    made = create(shop.client)
    # The frame was told to talk to another origin, so this page can neither start it nor hear it.
    page.evaluate(
        """async ([standin, secret]) => {
          window.heard = 0;
          window.addEventListener("message", () => { window.heard++; });
          const frame = document.createElement("iframe");
          frame.src = standin + "/element/payment?element=e1&parent=http://127.0.0.1:9";
          document.body.append(frame);
          await new Promise((resolve) => frame.addEventListener("load", resolve));
          frame.contentWindow.postMessage({ source: "standin-stripe", element: "e1", type: "init",
            key: "pk_test_plainbill_standin", clientSecret: secret }, "*");
        }""",
        [standin, made.client_secret],
    )
    expect(page.frame_locator("iframe").locator("#form")).to_be_hidden()
    assert page.evaluate("window.heard") == 0
    asked = [one for one in shop.standin.requests if one["method"] == "GET"]
    assert asked == []
