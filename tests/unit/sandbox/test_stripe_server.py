"""The stand-in over HTTP: stripe-python against it, its pages, its controls, and what it refuses."""

import html
import json
import re
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import flask
import pytest
import stripe
from flask.testing import FlaskClient

from portal.sandbox.stripe import StandIn, StandInHTTPClient, StandInSetupError
from portal.sandbox.stripe.cards import BANKS, CARDS
from portal.sandbox.stripe.controls import TROUBLES, WEBHOOK_TROUBLES
from portal.sandbox.stripe.pages import with_result
from portal.sandbox.stripe.server import create_standin_app, prepare, running

from .conftest import confirm, create


@pytest.fixture
def web(standin: StandIn) -> FlaskClient:
    return create_standin_app(standin).test_client()


@pytest.fixture
def over_http(standin: StandIn) -> Iterator[stripe.StripeClient]:
    with running(standin) as here:
        yield stripe.StripeClient(
            standin.secret_key, base_addresses={"api": here.url}, http_client=stripe.RequestsClient()
        )


def test_stripe_python_talks_to_it_over_http(over_http: stripe.StripeClient, standin: StandIn) -> None:
    assert confirm(over_http, create(over_http).id).status == "succeeded"
    with pytest.raises(stripe.CardError):
        confirm(over_http, create(over_http).id, "pm_card_chargeDeclined")
    standin.faults.add("drop_after", method="POST")
    with pytest.raises(stripe.APIConnectionError):
        create(over_http, "k1")
    assert create(over_http, "k1").id == standin.every("payment_intent")[0]["id"]
    assert standin.violations == []


def test_its_thread_delivers_webhooks(standin: StandIn, client: stripe.StripeClient) -> None:
    arrived: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.append(json.loads(body)["type"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test's output quiet."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        receiver.timeout = 10
        url = f"http://127.0.0.1:{receiver.server_port}/hook"
        client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["payment_intent.created"]})
        create(client)
        with running(standin):
            receiver.handle_request()
    assert arrived == ["payment_intent.created"]


def test_it_listens_on_this_machine_only(standin: StandIn, web: FlaskClient) -> None:
    with pytest.raises(StandInSetupError, match=r"127\.0\.0\.1 only"):
        prepare(standin, "0.0.0.0", 0)
    assert web.get("/", headers={"Host": "attacker.example"}).status_code == 421


def test_a_port_in_use_is_a_clear_message(standin: StandIn) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StandInSetupError, match=f"Port {port} on 127.0.0.1 is in use"):
            prepare(standin, port=port)


def test_the_first_page_lists_cards_and_payments(
    web: FlaskClient, client: stripe.StripeClient, standin: StandIn
) -> None:
    confirm(client, create(client).id)
    page = web.get("/").get_data(as_text=True)
    assert "Test mode – no real money" in page
    assert "4242 4242 4242 4242" in page
    assert "$12.34" in page
    assert standin.every("payment_intent")[0]["id"] in page
    assert "<script" not in page
    assert set(re.findall(r'(?:src|href)="(.)', page)) <= {"/", "#"}


def test_a_blueprint_and_its_link_are_mounted(standin: StandIn) -> None:
    mail = flask.Blueprint("mail", __name__)
    mail.add_url_rule("/mail", view_func=lambda: "the mail", endpoint="show")
    web = create_standin_app(standin, blueprints=[mail], links=[("Mail", "/mail")]).test_client()
    assert web.get("/mail").text == "the mail"
    assert '<a href="/mail">Mail</a>' in web.get("/").text


def test_the_browser_may_call_the_api_from_the_portal(web: FlaskClient) -> None:
    preflight = web.options("/v1/payment_intents/pi_1/confirm", headers={"Origin": "http://127.0.0.1:5000"})
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert web.get("/v1/customers").headers["Access-Control-Allow-Origin"] == "*"


def test_the_element_loads_on_this_machine_only(web: FlaskClient) -> None:
    with web.get("/dahlia/stripe.js") as script:
        assert script.mimetype in ("text/javascript", "application/javascript")
    page = web.get("/element/payment?parent=http://127.0.0.1:5000")
    assert "frame-ancestors http://127.0.0.1:*" in page.headers["Content-Security-Policy"]
    assert "Test mode – no real money" in page.text
    for wrong in ("https://shop.example", "", "http://127.0.0.1:5000/path", "javascript:x"):
        assert web.get("/element/payment", query_string={"parent": wrong}).status_code == 400


@pytest.mark.parametrize(("outcome", "status"), [("complete", "succeeded"), ("fail", "failed")])
def test_the_challenge_page_returns_with_stripes_parameters(
    web: FlaskClient, client: stripe.StripeClient, outcome: str, status: str
) -> None:
    waiting = confirm(client, create(client).id, "pm_card_authenticationRequired")
    url = waiting.next_action.redirect_to_url.url
    path = url.split("12111", 1)[1]
    assert "Complete authentication" in web.get(path).text
    assert web.get(path.replace("_secret_", "_secret_x")).status_code == 404
    form = {"outcome": outcome, "client_secret": waiting.client_secret, "mode": "redirect"}
    back = web.post(f"/3d-secure/{waiting.id}", data=form)
    assert back.status_code == 303
    assert back.location == (
        f"https://portal.example/return?payment_intent={waiting.id}"
        f"&payment_intent_client_secret={waiting.client_secret}&redirect_status={status}"
    )
    assert web.post(f"/3d-secure/{waiting.id}", data={**form, "client_secret": "x"}).status_code == 404


def test_a_return_url_keeps_its_own_query() -> None:
    intent = {"object": "payment_intent", "id": "pi_1", "client_secret": "pi_1_secret_2", "status": "processing"}
    assert with_result("http://x.test/r?a=1&b=", intent) == (
        "http://x.test/r?a=1&b=&payment_intent=pi_1&payment_intent_client_secret=pi_1_secret_2&redirect_status=pending"
    )


def test_tests_control_it_over_http(web: FlaskClient, standin: StandIn) -> None:
    before = standin.now()
    assert web.post("/_standin/clock", json={"advance_seconds": 60}).status_code == 200
    assert (standin.now() - before).total_seconds() == 60
    assert web.post("/_standin/clock", json={"advance_seconds": -1}).status_code == 400
    assert web.post("/_standin/faults", json={"kind": "slow", "times": 2}).get_json()[0]["times"] == 2
    assert web.post("/_standin/faults", json={"kind": "nonsense"}).status_code == 400
    assert web.delete("/_standin/faults").get_json() == []
    assert web.post("/_standin/webhooks", json={"duplicates": 3}).get_json()["plan"]["duplicates"] == 3
    assert standin.webhook_plan.duplicates == 3
    web.get("/v1/customers", headers={"Authorization": f"Bearer {standin.secret_key}"})
    assert web.get("/_standin/requests").get_json()[-1]["path"] == "/v1/customers"
    assert web.get("/_standin/violations").get_json() == []
    assert web.get("/_standin/health").get_json()["ok"] is True


# What a person does with the first page's buttons, and a test with JSON


def paid(client: stripe.StripeClient, method: str = "pm_card_visa") -> str:
    """A succeeded payment's charge."""
    charge = confirm(client, create(client).id, method).latest_charge
    assert isinstance(charge, str)
    return charge


def test_disputes_are_opened_and_decided(web: FlaskClient, client: stripe.StripeClient) -> None:
    lost = web.post("/_standin/disputes", json={"charge": paid(client), "reason": "duplicate", "amount": 500}).json
    assert lost is not None
    assert (lost["object"], lost["status"], lost["reason"], lost["amount"]) == (
        "dispute", "needs_response", "duplicate", 500,
    )  # fmt: skip
    closed = web.post(f"/_standin/disputes/{lost['id']}/close", json={"won": False}).json
    assert closed is not None
    assert closed["status"] == "lost"
    again = web.post(f"/_standin/disputes/{lost['id']}/close", json={"won": True})
    assert again.status_code == 400
    assert "is closed" in again.text

    asked = web.post("/_standin/disputes", json={"charge": paid(client), "inquiry": True}).json
    assert asked is not None
    assert asked["status"] == "warning_needs_response"
    assert web.post(f"/_standin/disputes/{asked['id']}/close", json={}).status_code == 400
    won = web.post("/_standin/disputes", json={"charge": asked["charge"]}).json
    assert won is not None
    assert won["id"] == asked["id"]
    closed = web.post(f"/_standin/disputes/{won['id']}/close", json={"won": True}).json
    assert closed is not None
    assert closed["status"] == "won"
    assert client.v1.disputes.retrieve(won["id"]).status == "won"


@pytest.mark.parametrize("path", ["disputes/dp_none/close", "payouts/po_none/fail", "refunds/re_none/fail"])
def test_what_is_not_there_cannot_happen(web: FlaskClient, path: str) -> None:
    assert web.post(f"/_standin/{path}", json={"won": True}).status_code == 404


def test_a_dispute_of_nothing_is_refused(web: FlaskClient, client: stripe.StripeClient) -> None:
    assert web.post("/_standin/disputes", json={}).status_code == 404
    assert web.post("/_standin/disputes", json=["ch_1"]).status_code == 400
    charge = paid(client)
    assert web.post("/_standin/disputes", json={"charge": charge, "amount": "much"}).status_code == 400
    assert web.post("/_standin/disputes", json={"charge": charge, "amount": 10_000}).status_code == 400
    assert list(client.v1.disputes.list()) == []


def test_refunds_and_payouts_fail_on_order(
    web: FlaskClient, client: stripe.StripeClient, standin: StandIn
) -> None:
    refund = client.v1.refunds.create({"charge": paid(client), "amount": 34})
    failed = web.post(f"/_standin/refunds/{refund.id}/fail", json={}).json
    assert failed is not None
    assert failed["status"] == client.v1.refunds.retrieve(refund.id).status == "failed"
    assert web.post(f"/_standin/refunds/{refund.id}/fail", json={}).status_code == 400

    assert web.post("/_standin/payouts", json={}).json is None
    made = next(one for one in standin.every("balance_transaction") if one["type"] == "charge")
    standin.advance(made["available_on"] - int(standin.now().timestamp()))
    payout = standin.every("payout")[0] if standin.every("payout") else web.post("/_standin/payouts", json={}).json
    assert payout is not None
    assert payout["amount"] == made["net"]
    failed = web.post(f"/_standin/payouts/{payout['id']}/fail", json={}).json
    assert failed is not None
    assert failed["status"] == client.v1.payouts.retrieve(payout["id"]).status == "failed"


def press(web: FlaskClient, words: str) -> int:
    """Presses the first page's first button of that name; the status of what follows it back to the page."""
    page = web.get("/").text
    button = rf'<form method="post" action="([^"]+)">((?:(?!</form>).)*?<button[^>]*>{re.escape(words)}<.*?)</form>'
    form = re.search(button, page, re.DOTALL)
    assert form, f"no button {words}"
    names = re.findall(r'name="(\w+)" value="([^"]*)"', form[2])
    return web.post(form[1], data=dict(names), follow_redirects=True).status_code


def test_the_first_pages_buttons_do_what_they_say(
    web: FlaskClient, client: stripe.StripeClient, standin: StandIn
) -> None:
    def latest(kind: str) -> str:
        return str(standin.every(kind)[0]["status"])

    paid(client)
    assert press(web, "The bank asks about it") == 200
    assert latest("dispute") == "warning_needs_response"
    assert press(web, "It becomes a dispute") == 200
    assert latest("dispute") == "needs_response"
    assert press(web, "Customer wins") == 200
    assert latest("dispute") == "lost"

    paid(client)
    assert press(web, "Dispute this payment") == 200
    assert press(web, "Customer loses") == 200
    assert latest("dispute") == "won"

    client.v1.refunds.create({"charge": paid(client), "amount": 34})
    assert press(web, "Fail this refund") == 200
    assert latest("refund") == "failed"
    # More than what the lost dispute and the fees took.
    confirm(client, create(client, amount=50_000).id)
    assert "Pay out now" not in web.get("/").text
    before = standin.now()
    assert press(web, "A day passes") == 200
    assert (standin.now() - before).days == 1
    assert press(web, "5 days pass") == 200
    # By now the daily payouts have taken what was available.
    assert "Pay out now" not in web.get("/").text
    assert press(web, "Fail this payout") == 200
    assert press(web, "Pay out now") == 200
    assert latest("payout") == "in_transit"
    assert standin.violations == []


def test_a_refund_of_the_dashboards_bears_no_marks_of_ours(
    web: FlaskClient, client: stripe.StripeClient, standin: StandIn
) -> None:
    charge = paid(client)
    assert press(web, "Refund it in the dashboard") == 200
    (refund,) = standin.every("refund")
    assert (refund["charge"], refund["amount"], refund["metadata"]) == (charge, 1234, {})
    assert web.post("/_standin/refunds", json={"charge": charge}).status_code == 400
    assert web.post("/_standin/refunds", json={"charge": "ch_unknown"}).status_code == 400


def test_a_debit_under_way_is_refunded_in_the_dashboard(
    web: FlaskClient, client: stripe.StripeClient, standin: StandIn
) -> None:
    made = create(client, allowed_payment_method_types=["us_bank_account"])
    agreed = {"customer_acceptance": {"type": "offline"}}
    going = confirm(client, made.id, "pm_usBankAccount_success", mandate_data=agreed)
    answer = web.post("/_standin/refunds", json={"charge": going.latest_charge, "amount": 234})
    assert (answer.json["amount"], answer.json["pending_reason"]) == (234, "charge_pending")  # type: ignore[index]
    assert web.post("/_standin/refunds", json={"charge": going.latest_charge, "amount": "x"}).status_code == 400
    assert press(web, "Refund it in the dashboard before it arrives") == 200
    assert [one["amount"] for one in standin.every("refund")] == [1000, 234]
    page = web.get("/").text
    assert "Refund it in the dashboard" not in page  # nothing is left
    assert ("waits for its payment" in page, "Fail this refund" in page) == (True, False)
    standin.advance(5 * 86_400)
    assert "Fail this refund" in web.get("/").text


def test_an_intent_is_forgotten_unless_it_holds_money(
    web: FlaskClient, client: stripe.StripeClient, standin: StandIn
) -> None:
    paid(client)
    kept = standin.every("payment_intent")[0]["id"]
    assert "Stripe forgets it" not in web.get("/").text
    assert web.post(f"/_standin/payment_intents/{kept}/forget", json={}).status_code == 400
    assert web.post("/_standin/payment_intents/pi_unknown/forget", json={}).status_code == 404
    made = create(client).id
    assert press(web, "Stripe forgets it") == 200
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.retrieve(made)
    assert (refused.value.code, refused.value.param) == ("resource_missing", "intent")
    assert client.v1.payment_intents.retrieve(kept).status == "succeeded"


def test_what_was_to_happen_to_a_forgotten_intent_is_forgotten_with_it(
    client: stripe.StripeClient, standin: StandIn
) -> None:
    """Small deposits that nobody confirms run out after days."""
    made = client.v1.payment_intents.create({
        "amount": 1234, "currency": "usd", "payment_method_types": ["us_bank_account"], "confirm": True,
        "payment_method_data": {
            "type": "us_bank_account",
            "billing_details": {"name": "Testa Demopatient"},
            "us_bank_account": {"account_holder_type": "individual", "account_number": "000123456789",
                                "routing_number": "110000000"},
        },
        "mandate_data": {"customer_acceptance": {"type": "offline"}},
    })  # fmt: skip
    assert made.status == "requires_action"
    other = create(client).id
    standin.forget_intent(made.id)
    standin.advance(11 * 86_400)
    assert client.v1.payment_intents.retrieve(other).status == "requires_payment_method"


@pytest.mark.parametrize(("words", "kind"), TROUBLES)
def test_trouble_lasts_until_it_is_ended(
    web: FlaskClient, client: stripe.StripeClient, standin: StandIn, words: str, kind: str
) -> None:
    assert press(web, words) == 200
    assert f"Now: {words}." in web.get("/").text
    assert [one.kind for one in standin.faults.left()] == [kind]
    if kind != "slow":
        for _ in range(2):
            with pytest.raises(stripe.StripeError):
                create(client)
    assert press(web, "All is well again") == 200
    assert "Now: " not in web.get("/").text
    assert create(client).status == "requires_payment_method"


def test_a_browsers_key_does_not_end_with_the_secret_one(client: stripe.StripeClient, standin: StandIn) -> None:
    made = create(client)
    standin.faults.add("key_expired", times=2)
    in_browser = stripe.StripeClient(standin.publishable_key, http_client=StandInHTTPClient(standin))
    assert in_browser.v1.payment_intents.retrieve(made.id, {"client_secret": made.client_secret}).id == made.id
    with pytest.raises(stripe.AuthenticationError):
        create(client)


@pytest.mark.parametrize(("words", "plan"), WEBHOOK_TROUBLES)
def test_webhooks_have_weather_by_a_button(
    web: FlaskClient, standin: StandIn, words: str, plan: dict[str, object]
) -> None:
    assert press(web, words) == 200
    assert f"Now, webhooks: {words}." in web.get("/").text
    assert {name: getattr(standin.webhook_plan, name) for name in plan} == plan
    assert press(web, "All is well again") == 200
    assert "Now, webhooks" not in web.get("/").text
    assert not standin.webhook_plan.down


def test_there_is_no_other_trouble(web: FlaskClient, standin: StandIn) -> None:
    for form in ({"kind": "nonsense"}, {"webhooks": "99"}, {"webhooks": "x"}):
        assert web.post("/_standin/trouble", data=form).status_code == 400
    assert standin.faults.left() == []


def test_the_first_page_tells_what_each_card_and_account_does(web: FlaskClient) -> None:
    page = web.get("/").text
    for card in CARDS:
        assert re.sub(r"(\d{4})(?=\d)", r"\1 ", card.number) in page
        assert html.escape(card.shows, quote=False).replace("'", "&#39;") in page
    for bank in BANKS:
        assert bank.account in page
    for group in ("Payment succeeds", "Declined", "3-D Secure", "Refunds", "Disputes"):
        assert f"<h3>{group}</h3>" in page


# Micro-deposits


def waiting_for_deposits(client: stripe.StripeClient, kind: str) -> tuple[str, str, str]:
    """An intent whose typed account waits for micro-deposits: its id, its client secret, the page's path."""
    made = create(client, allowed_payment_method_types=["us_bank_account"])
    method: stripe.params.PaymentIntentConfirmParamsPaymentMethodData = {
        "type": "us_bank_account", "billing_details": {"name": "Test Holder"},
        "us_bank_account": {
            "account_holder_type": "individual", "routing_number": "110000000", "account_number": "000123456789",
            "account_type": "savings" if kind == "amounts" else "checking",
        },
    }  # fmt: skip
    waiting: Any = client.v1.payment_intents.confirm(made.id, {
        "payment_method_data": method, "return_url": "https://portal.example/return",
        "mandate_data": {"customer_acceptance": {"type": "offline"}},
    })  # fmt: skip
    url = waiting.next_action.verify_with_microdeposits.hosted_verification_url
    return made.id, made.client_secret, str(url).split("12111", 1)[1]


@pytest.mark.parametrize("typed", [("32", "45"), ("0.45", "$0.32"), (" 45 ", ".32")])
def test_amounts_are_verified_as_they_are_typed(
    web: FlaskClient, client: stripe.StripeClient, standin: StandIn, typed: tuple[str, str]
) -> None:
    intent, secret, path = waiting_for_deposits(client, "amounts")
    assert "Six-character code" not in web.get(path).text
    first, second = typed
    form = {"client_secret": secret, "first": first, "second": second}
    answer = web.post(f"/microdeposits/{intent}", data=form, follow_redirects=True)
    assert "Your bank account is verified" in answer.text
    assert f"https://portal.example/return?payment_intent={intent}" in answer.text
    assert client.v1.payment_intents.retrieve(intent).status == "processing"
    assert standin.violations == []


def test_what_cannot_be_a_deposit_is_not_tried(
    web: FlaskClient, client: stripe.StripeClient, standin: StandIn
) -> None:
    intent, secret, path = waiting_for_deposits(client, "descriptor_code")
    for typed in ({"code": "hello"}, {"code": ""}, {"first": "a", "second": "2"}, {"first": "320", "second": "45"}, {}):
        page = web.post(f"/microdeposits/{intent}", data={"client_secret": secret, **typed})
        assert "Type both amounts in cents" in page.text
    assert not any("verify_microdeposits" in one["path"] for one in standin.requests)
    page = web.post(f"/microdeposits/{intent}", data={"client_secret": secret, "code": "SM33CC"})
    assert "Your bank account was not verified" in page.text
    assert "exceeded" in page.text
    assert "exceeded" in web.get(path).text
    assert client.v1.payment_intents.retrieve(intent).status == "requires_payment_method"
    assert standin.violations == []


def test_deposits_are_asked_about_with_the_secret_only(web: FlaskClient, client: stripe.StripeClient) -> None:
    intent, secret, path = waiting_for_deposits(client, "amounts")
    assert web.get(path.replace("_secret_", "_secret_x")).status_code == 404
    form = {"client_secret": secret + "x", "first": "32", "second": "45"}
    assert web.post(f"/microdeposits/{intent}", data=form).status_code == 404
    assert web.post("/microdeposits/pi_none", data=form).status_code == 404


# Wallets and instant verification, as the Element's frame asks for them


def test_a_test_token_names_a_card_and_its_wallet(client: stripe.StripeClient) -> None:
    def made(token: str) -> Any:
        return client.v1.payment_methods.create({"type": "card", "card": {"token": token}})

    assert made("tok_visa").card.wallet is None
    assert made("tok_applePay_visa_debit").card.funding == "debit"
    assert made("tok_googlePay_mastercard").card.wallet.type == "google_pay"
    for wrong in ("tok_none", "tok_applePay_none", "tok_samsungPay_visa", "visa", "applePay_visa"):
        with pytest.raises(stripe.InvalidRequestError, match="No such token"):
            made(wrong)


def test_a_connected_account_is_known_or_refused(client: stripe.StripeClient) -> None:
    def made(connection: str) -> Any:
        return client.v1.payment_methods.create({
            "type": "us_bank_account", "billing_details": {"name": "Test Holder"},
            "us_bank_account": {"account_holder_type": "individual", "financial_connections_account": connection},
        })  # fmt: skip

    assert made("fca_accountClosed").us_bank_account.last4 == "1113"
    with pytest.raises(stripe.InvalidRequestError, match="No such financial connections account"):
        made("fca_none")


@pytest.mark.parametrize(
    "path",
    ["clock", "deliver", "disputes", "disputes/dp_1/close", "payouts", "payouts/po_1/fail", "refunds",
     "refunds/re_1/fail", "trouble"],
)
def test_another_sites_form_changes_nothing(web: FlaskClient, standin: StandIn, path: str) -> None:
    answer = web.post(f"/_standin/{path}", data={"won": "true"}, headers={"Origin": "https://attacker.example"})
    assert answer.status_code == 403
    assert standin.every("event") == []


def test_another_sites_form_is_refused(web: FlaskClient, standin: StandIn) -> None:
    before = standin.now()
    answer = web.post(
        "/_standin/clock", data={"advance_seconds": "60"}, headers={"Origin": "https://attacker.example"}
    )
    assert answer.status_code == 403
    assert standin.now() == before
