"""The stand-in's Payment Element in a real browser, on a page with the portal's strict content security policy."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import pytest
import stripe
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FrameLocator, Page, expect

from portal.sandbox.stripe import StandIn, StandInHTTPClient
from portal.sandbox.stripe.server import running

from .conftest import confirm, create

pytestmark = pytest.mark.e2e

SCRIPT = """
const query = new URLSearchParams(location.search), out = document.getElementById("out");
const say = (value) => { out.textContent = JSON.stringify(value); };
window.stripe = Stripe("pk_test_plainbill_standin");
if (query.get("redirect_status")) { say({ returned: Object.fromEntries(query) }); }
else if (query.get("secret")) {
  const secret = query.get("secret");
  const confirm = secret.startsWith("seti_") ? stripe.confirmSetup : stripe.confirmPayment;
  window.elements = stripe.elements({ clientSecret: secret, locale: query.get("locale") || "en" });
  const payment = elements.create("payment", JSON.parse(query.get("options") || "{}"));
  payment.on("ready", () => { document.body.dataset.ready = "1"; });
  payment.on("change", (event) => { document.body.dataset.complete = event.complete; });
  payment.on("loaderror", (event) => say({ loaderror: event.error }));
  payment.mount("#element");
  document.getElementById("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    out.textContent = "";
    const checked = await elements.submit();
    if (checked.error) { say(checked); return; }
    document.body.dataset.method = checked.selectedPaymentMethod;
    say(await confirm({ elements, redirect: query.get("redirect") || "always",
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
        page.goto(f"{self.url}/?{urlencode({'secret': intent.client_secret, **query})}")
        return page

    def bare(self) -> Page:
        """A page with stripe.js and no Element; ``window.stripe`` is ready."""
        page = self.browser.new_context(locale="en-US").new_page()
        page.set_default_timeout(15_000)
        page.goto(f"{self.url}/?")
        return page


def element(page: Page) -> FrameLocator:
    return page.frame_locator('iframe[title="Secure payment input frame"]')


def type_card(page: Page, number: str) -> None:
    """By keyboard alone, from one field to the next, as a person would: once the field is there to be seen."""
    number_field = element(page).get_by_label("Card number")
    expect(number_field).to_be_visible()  # to focus a field that is still hidden does nothing
    number_field.focus()
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


def choose(page: Page, method: str) -> FrameLocator:
    frame = element(page)
    frame.get_by_text(method, exact=True).click()
    return frame


def give_bank(page: Page, *, account: str = "000123456789", kind: str = "checking") -> None:
    """A typed account, from the method's choice to its numbers."""
    frame = choose(page, "US bank account")
    frame.get_by_label("Email").fill("holder@example.com")
    frame.get_by_label("Full name").fill("Test Holder")
    frame.get_by_label("Enter bank details manually").check()
    frame.get_by_label("Routing number").fill("110000000")
    frame.get_by_label("Account number").fill(account)
    frame.get_by_label("Type of account").select_option(kind)


def with_banks(shop: Shop, **more: Any) -> Any:
    return create(shop.client, allowed_payment_method_types=["card", "us_bank_account"], **more)


@pytest.mark.parametrize(
    ("account", "status", "code"),
    [("succeeds", "succeeded", None), ("insufficient funds", "requires_payment_method", "insufficient_funds")],
)
def test_a_bank_account_signed_in_to_pays_days_later(
    shop: Shop, account: str, status: str, code: str | None
) -> None:
    made = with_banks(shop)
    page = shop.open(made)
    frame = choose(page, "US bank account")
    expect(frame.get_by_text("you authorize this business to debit this bank account once, for $12.34")).to_be_visible()
    frame.get_by_label("Email").fill("holder@example.com")
    frame.get_by_label("Full name").fill("Test Holder")
    pay(page)
    sheet = frame.get_by_role("dialog", name="Simulated bank sign-in: which account?")
    sheet.get_by_text(f" – {account}").and_(sheet.get_by_text("STRIPE TEST BANK")).first.click()
    sheet.get_by_role("button", name="Connect this account").click()
    assert said(page)["returned"]["redirect_status"] == "pending"

    billing = shop.standin.every("payment_method")[0]["billing_details"]
    assert (billing["name"], billing["email"]) == ("Test Holder", "holder@example.com")
    shop.standin.advance(4 * 86_400)
    settled = shop.client.v1.payment_intents.retrieve(made.id)
    assert settled.status == status
    assert (settled.last_payment_error and settled.last_payment_error.code) == code


def test_a_bank_account_that_was_not_chosen_is_asked_for(shop: Shop) -> None:
    page = shop.open(with_banks(shop))
    frame = choose(page, "US bank account")
    pay(page)
    assert said(page)["error"]["code"] == "incomplete_email"
    frame.get_by_label("Email").fill("holder@example")
    frame.get_by_label("Full name").fill("Test Holder")
    pay(page)
    assert said(page)["error"]["code"] == "invalid_email"
    frame.get_by_label("Email").fill("holder@example.com")
    pay(page)
    expect(frame.get_by_role("dialog")).to_be_focused()
    frame.get_by_role("dialog").press("Escape")
    assert said(page)["error"]["code"] == "incomplete_bank_account"
    expect(frame.get_by_role("button", name="Choose your bank")).to_be_focused()
    expect(frame.get_by_text("Choose your bank to link an account.")).to_be_visible()

    frame.get_by_role("button", name="Choose your bank").click()
    frame.get_by_role("button", name="Connect this account").click()
    expect(frame.get_by_text("Linked: STRIPE TEST BANK ···· 6789")).to_be_visible()
    expect(frame.get_by_text("Choose your bank to link an account.")).to_be_hidden()
    expect(page.locator("body")).to_have_attribute("data-complete", "true")
    pay(page)
    assert said(page)["returned"]["redirect_status"] == "pending"


def test_a_typed_account_is_verified_on_the_hosted_page(shop: Shop) -> None:
    made = with_banks(shop)
    page = shop.open(made)
    give_bank(page)
    pay(page)
    assert said(page)["returned"]["redirect_status"] == "pending"
    waiting: Any = shop.client.v1.payment_intents.retrieve(made.id)
    assert (waiting.status, waiting.next_action.type) == ("requires_action", "verify_with_microdeposits")

    page.goto(waiting.next_action.verify_with_microdeposits.hosted_verification_url)
    expect(page.get_by_text("STRIPE TEST BANK ···· 6789")).to_be_visible()
    for wrong, why in (("nothing", "the code of six characters"), ("SM00ZZ", "does not match")):
        page.get_by_label("Six-character code").fill(wrong)
        page.get_by_role("button", name="Verify").click()
        expect(page.get_by_role("alert")).to_contain_text(why)
    page.get_by_label("Six-character code").fill("sm11aa")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("heading", name="Your bank account is verified")).to_be_visible()
    page.get_by_role("link", name="Go back").click()
    assert said(page)["returned"]["redirect_status"] == "pending"
    assert shop.client.v1.payment_intents.retrieve(made.id).status == "processing"


def test_a_merchants_page_verifies_micro_deposits_itself(shop: Shop) -> None:
    made = with_banks(shop)
    page = shop.open(made, redirect="if_required")
    give_bank(page, kind="savings")
    pay(page)
    returned = said(page)["paymentIntent"]
    assert returned["status"] == "requires_action"
    assert returned["next_action"]["verify_with_microdeposits"]["microdeposit_type"] == "amounts"

    verify = "([secret, data]) => stripe.verifyMicrodepositsForPayment(secret, data)"
    wrong = page.evaluate(verify, [made.client_secret, {"amounts": [1, 2]}])
    assert wrong["error"]["code"] == "payment_method_microdeposit_verification_amounts_mismatch"
    right = page.evaluate(verify, [made.client_secret, {"amounts": [32, 45]}])
    assert right["paymentIntent"]["status"] == "processing"
    over = page.evaluate(verify, [made.client_secret, {"amounts": [32, 45]}])
    assert over["error"]["code"] == "payment_intent_unexpected_state"


@pytest.mark.parametrize(("wallet", "kind"), [("Apple Pay", "apple_pay"), ("Google Pay", "google_pay")])
def test_a_wallet_is_canceled_declined_and_then_pays(shop: Shop, wallet: str, kind: str) -> None:
    made = create(shop.client)
    page = shop.open(made)
    frame = choose(page, wallet)
    sheet = frame.get_by_role("dialog", name=f"Simulated {wallet}: pay $12.34?")
    pay(page)
    sheet.get_by_role("button", name="Cancel").click()
    assert said(page)["error"]["type"] == "validation_error"
    assert shop.standin.every("payment_method") == []

    pay(page)
    sheet.get_by_label("Visa ···· 0002 – declined").check()
    sheet.get_by_role("button", name="Pay").click()
    assert said(page)["error"]["code"] == "card_declined"

    pay(page)
    sheet.get_by_label("Visa ···· 4242 – succeeds").check()
    sheet.get_by_role("button", name="Pay").click()
    assert said(page)["returned"]["redirect_status"] == "succeeded"
    charge = shop.standin.every("charge")[0]
    assert charge["payment_method_details"]["card"]["wallet"]["type"] == kind
    method = shop.client.v1.payment_methods.retrieve(charge["payment_method"])
    assert method.card is not None
    assert method.card.wallet is not None
    assert (method.card.wallet.type, method.card.last4) == (kind, "4242")


def test_what_is_offered_follows_the_intent_and_the_options(shop: Shop) -> None:
    def offered(intent: Any, **options: Any) -> list[str]:
        page = shop.open(intent, options=json.dumps(options))
        expect(page.locator("body")).to_have_attribute("data-ready", "1")
        labels = element(page).locator(".method")
        return [label.inner_text() for label in labels.all() if label.is_visible()]

    assert offered(create(shop.client)) == ["Card", "Apple Pay", "Google Pay"]
    assert offered(with_banks(shop), wallets={"applePay": "never", "googlePay": "auto"}) == [
        "Card", "US bank account", "Google Pay",
    ]  # fmt: skip
    assert offered(create(shop.client), wallets={"applePay": "never", "googlePay": "never"}) == []
    bank = create(shop.client, allowed_payment_method_types=["us_bank_account"])
    assert offered(bank) == []
    expect(element(shop.open(bank)).get_by_label("Full name")).to_be_visible()


def test_billing_details_are_filled_in_or_left_out_as_asked(shop: Shop) -> None:
    filled = {"defaultValues": {"billingDetails": {"name": "Given Name", "email": "given@example.com"}},
              "business": {"name": "Juniper Demo Clinic"}}  # fmt: skip
    page = shop.open(with_banks(shop), options=json.dumps(filled))
    frame = choose(page, "US bank account")
    expect(frame.get_by_label("Full name")).to_have_value("Given Name")
    expect(frame.get_by_label("Email")).to_have_value("given@example.com")
    expect(frame.get_by_text("you authorize Juniper Demo Clinic to debit")).to_be_visible()

    refused = {"fields": {"billingDetails": {"email": "never", "address": {"postalCode": "never"}}}}
    page = shop.open(with_banks(shop), options=json.dumps(refused), redirect="if_required")
    expect(element(page).get_by_label("Card number")).to_be_visible()
    expect(element(page).get_by_label("ZIP code")).to_be_hidden()
    billing: dict[str, Any] = {}
    confirm = """([billing]) => stripe.confirmPayment({ elements, redirect: "if_required", confirmParams: {
        payment_method_data: { billing_details: billing } } })
        .catch((error) => ({ thrown: error.name + error.message }))"""
    thrown = page.evaluate(confirm, [billing])["thrown"]
    assert thrown.startswith("IntegrationError")
    assert "billing_details.email" in thrown
    for name, value in (("number", "4242424242424242"), ("expiry", "1240"), ("cvc", "123")):
        element(page).locator(f"#{name}").fill(value)
    billing = {"email": "own@example.com", "address": {"postal_code": "60601"}}
    assert page.evaluate(confirm, [billing])["paymentIntent"]["status"] == "succeeded"
    kept = shop.standin.every("payment_method")[0]["billing_details"]
    assert (kept["email"], kept["address"]["postal_code"]) == ("own@example.com", "60601")


@pytest.mark.parametrize("width", [320, 390])
def test_the_frame_fits_a_narrow_phone(shop: Shop, width: int) -> None:
    page = shop.open(with_banks(shop), width=width)
    give_bank(page)
    fits = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    inside = page.frames[1]
    assert inside.evaluate(fits)
    element(page).get_by_label("Sign in at your bank").check()
    element(page).get_by_role("button", name="Choose your bank").click()
    assert inside.evaluate(fits)
    assert page.evaluate(fits)
    # As tall as what it shows: nothing is cut off.
    tall = "() => document.getElementById('form').getBoundingClientRect().bottom <= window.innerHeight"
    inside.wait_for_function(tall)


def broken_rules(place: Any) -> list[str]:
    """axe's complaints about a page or a frame."""
    return [f"{one['id']}: {one['help']}" for one in Axe().run(place).response["violations"]]


def test_the_frame_is_accessible_in_each_state(shop: Shop) -> None:
    page = shop.open(with_banks(shop))
    expect(page.locator("body")).to_have_attribute("data-ready", "1")
    # A frame has no heading of its own to begin with: the page around it does.
    fine = {"page-has-heading-one", "region", "landmark-one-main"}

    def broken() -> list[str]:
        return [one for one in broken_rules(page.frames[1]) if one.split(":")[0] not in fine]

    assert broken() == []
    give_bank(page, account="12")
    pay(page)
    expect(element(page).get_by_text("Your account number is incomplete.")).to_be_visible()
    assert broken() == []
    choose(page, "Apple Pay")
    pay(page)
    expect(element(page).get_by_role("dialog")).to_be_visible()
    assert broken() == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_first_page_fits_and_is_accessible(shop: Shop, width: int) -> None:
    for method in ("pm_card_visa", "pm_card_mastercard", "pm_card_amex"):
        confirm(shop.client, create(shop.client).id, method)
    charges = shop.standin.every("charge")
    shop.standin.open_dispute(charges[0]["id"])
    shop.standin.open_inquiry(charges[1]["id"])
    shop.client.v1.refunds.create({"charge": charges[2]["id"], "amount": 34})
    page = shop.browser.new_context(viewport={"width": width, "height": 850}).new_page()
    page.goto(shop.standin.base_url)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert broken_rules(page) == []
    page.get_by_role("button", name="Customer wins").click()
    assert page.url.endswith("/#disputes")
    assert [one["status"] for one in shop.standin.every("dispute")] == ["warning_needs_response", "lost"]


def test_the_page_of_micro_deposits_is_accessible(shop: Shop) -> None:
    page = shop.open(with_banks(shop))
    give_bank(page, kind="savings")
    pay(page)
    said(page)
    waiting: Any = shop.standin.every("payment_intent")[0]
    page.goto(waiting["next_action"]["verify_with_microdeposits"]["hosted_verification_url"])
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("alert")).to_contain_text("Type both amounts")
    assert broken_rules(page) == []


# Without an Element, and SetupIntents


def saved_card(shop: Shop, token: str = "pm_card_visa") -> tuple[str, str]:
    """A customer and the card saved for them."""
    customer = shop.client.v1.customers.create({})
    return customer.id, shop.client.v1.payment_methods.attach(token, {"customer": customer.id}).id


def test_a_saved_card_pays_without_an_element(shop: Shop) -> None:
    customer, method = saved_card(shop)
    page = shop.bare()
    confirm = """([secret, method, redirect]) => stripe.confirmPayment({ clientSecret: secret, redirect,
        confirmParams: { payment_method: method, return_url: location.origin + "/return?visit=1" } })"""
    first = create(shop.client, customer=customer)
    paid = page.evaluate(confirm, [first.client_secret, method, "if_required"])
    assert (paid["paymentIntent"]["status"], paid["paymentIntent"]["id"]) == ("succeeded", first.id)
    again = page.evaluate(confirm, [first.client_secret, method, "if_required"])
    assert again["error"]["code"] == "payment_intent_unexpected_state"
    second = create(shop.client, customer=customer)
    page.evaluate(f"(given) => {{ ({confirm})(given); }}", [second.client_secret, method, "always"])
    assert said(page)["returned"]["payment_intent"] == second.id


def test_a_saved_card_is_authenticated_in_a_dialog(shop: Shop) -> None:
    customer, method = saved_card(shop, "pm_card_authenticationRequired")
    page = shop.bare()
    made = create(shop.client, customer=customer)
    page.evaluate(
        """([secret, method]) => { stripe.confirmPayment({ clientSecret: secret, redirect: "if_required",
            confirmParams: { payment_method: method } }).then(say); }""",
        [made.client_secret, method],
    )
    answer_challenge(page, "Complete authentication")
    assert said(page)["paymentIntent"]["status"] == "succeeded"


def test_the_next_action_of_an_intent_is_handled(shop: Shop) -> None:
    customer, method = saved_card(shop, "pm_card_authenticationRequired")
    page = shop.bare()
    made = create(shop.client, customer=customer)
    shop.client.v1.payment_intents.confirm(made.id, {"payment_method": method, "use_stripe_sdk": True})
    handle = "(secret) => { stripe.handleNextAction({ clientSecret: secret }).then(say); }"
    page.evaluate(handle, made.client_secret)
    answer_challenge(page, "Complete authentication")
    assert said(page)["paymentIntent"]["status"] == "succeeded"
    over = page.evaluate("(secret) => stripe.handleNextAction({ clientSecret: secret })", made.client_secret)
    assert over["error"]["code"] == "payment_intent_unexpected_state"


def test_intents_are_looked_up_and_mistakes_are_told(shop: Shop) -> None:
    made = create(shop.client)
    setup = shop.client.v1.setup_intents.create({"payment_method_types": ["card"]})
    page = shop.bare()

    def ask(name: str, *given: Any) -> Any:
        call = f"(given) => stripe.{name}(...given).catch((error) => ({{ thrown: error.name }}))"
        return page.evaluate(call, list(given))

    assert ask("retrievePaymentIntent", made.client_secret)["paymentIntent"]["id"] == made.id
    assert ask("retrieveSetupIntent", setup.client_secret)["setupIntent"]["id"] == setup.id
    assert ask("retrievePaymentIntent", made.client_secret + "x")["error"]["type"] == "invalid_request_error"
    assert ask("retrievePaymentIntent", setup.client_secret) == {"thrown": "IntegrationError"}
    assert ask("confirmPayment", {"clientSecret": made.client_secret}) == {"thrown": "IntegrationError"}
    unready = {"clientSecret": made.client_secret, "redirect": "if_required"}
    assert ask("confirmPayment", unready)["error"]["code"] == "payment_intent_unexpected_state"
    assert ask("verifyMicrodepositsForPayment", made.client_secret, {}) == {"thrown": "IntegrationError"}
    assert ask("verifyMicrodepositsForSetup", setup.client_secret, {"amounts": [32, 45]})["error"]["code"] == (
        "setup_intent_unexpected_state"
    )


def test_a_card_is_saved_after_authentication(shop: Shop) -> None:
    customer = shop.client.v1.customers.create({})
    setup = shop.client.v1.setup_intents.create({"customer": customer.id, "allowed_payment_method_types": ["card"]})
    page = shop.open(setup)
    type_card(page, "4000002500003155")
    expect(element(page).get_by_text("you allow this business to charge your card for future payments")).to_be_visible()
    pay(page)
    answer_challenge(page, "Complete authentication")
    returned = said(page)["returned"]
    assert (returned["setup_intent"], returned["redirect_status"]) == (setup.id, "succeeded")
    (kept,) = shop.client.v1.payment_methods.list({"customer": customer.id}).data
    assert kept.card is not None
    assert kept.card.last4 == "3155"


def test_a_wallet_is_saved(shop: Shop) -> None:
    customer = shop.client.v1.customers.create({})
    setup = shop.client.v1.setup_intents.create({"customer": customer.id, "allowed_payment_method_types": ["card"]})
    page = shop.open(setup)
    frame = choose(page, "Google Pay")
    pay(page)
    sheet = frame.get_by_role("dialog", name="Simulated Google Pay: save this card?")
    sheet.get_by_role("button", name="Save").click()
    assert said(page)["returned"]["redirect_status"] == "succeeded"
    assert shop.standin.every("payment_method")[0]["customer"] == customer.id


def test_a_typed_account_is_saved_once_it_is_verified(shop: Shop) -> None:
    customer = shop.client.v1.customers.create({})
    setup = shop.client.v1.setup_intents.create({
        "customer": customer.id, "allowed_payment_method_types": ["us_bank_account"],
    })  # fmt: skip
    page = shop.open(setup, redirect="if_required")
    frame = element(page)
    expect(frame.get_by_text("to keep this bank account")).to_be_visible()
    frame.get_by_label("Email").fill("holder@example.com")
    frame.get_by_label("Full name").fill("Test Holder")
    frame.get_by_label("Enter bank details manually").check()
    frame.get_by_label("Routing number").fill("110000000")
    frame.get_by_label("Account number").fill("000123456789")
    pay(page)
    assert said(page)["setupIntent"]["status"] == "requires_action"
    verify = "([secret, data]) => stripe.verifyMicrodepositsForSetup(secret, data)"
    done = page.evaluate(verify, [setup.client_secret, {"descriptor_code": "SM11AA"}])
    assert done["setupIntent"]["status"] == "succeeded"
    (kept,) = shop.client.v1.payment_methods.list({"customer": customer.id}).data
    assert kept.us_bank_account is not None
    assert kept.us_bank_account.last4 == "6789"


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
