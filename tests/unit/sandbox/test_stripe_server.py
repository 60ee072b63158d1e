"""The stand-in over HTTP: stripe-python against it, its pages, its controls, and what it refuses."""

import json
import re
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import flask
import pytest
import stripe
from flask.testing import FlaskClient

from portal.sandbox.stripe import StandIn, StandInSetupError
from portal.sandbox.stripe.server import create_standin_app, prepare, running, with_result

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
    assert set(re.findall(r'(?:src|href)="(.)', page)) <= {"/"}


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


def test_another_sites_form_is_refused(web: FlaskClient, standin: StandIn) -> None:
    before = standin.now()
    answer = web.post(
        "/_standin/clock", data={"advance_seconds": "60"}, headers={"Origin": "https://attacker.example"}
    )
    assert answer.status_code == 403
    assert standin.now() == before
