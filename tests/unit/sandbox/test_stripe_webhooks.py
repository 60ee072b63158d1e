"""Deliveries of the Stripe stand-in: signed, retried, duplicated, shuffled, delayed."""

import json
from typing import Any

import flask
import pytest
import stripe

from portal.sandbox.stripe import StandIn, WebhookPlan
from portal.sandbox.stripe.webhooks import GIVE_UP_AFTER

from .conftest import HOOK, confirm, create


class Endpoint:
    """Takes deliveries as the portal's webhook would, and answers what it is told to."""

    def __init__(self, *, answer: int = 200) -> None:
        self.answer = answer
        self.taken: list[tuple[str, bytes, dict[str, str]]] = []

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.taken.append((url, body, headers))
        return self.answer

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body, _ in self.taken]

    @property
    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for _, body, _ in self.taken]


def test_stripe_python_verifies_the_signature(standin: StandIn, client: stripe.StripeClient) -> None:
    made, endpoint = create(client, metadata={"attempt_id": "a1"}), Endpoint()
    assert standin.deliver_due(endpoint) == 1
    url, body, headers = endpoint.taken[0]

    event: Any = stripe.Webhook.construct_event(  # type: ignore[no-untyped-call]
        body, headers["Stripe-Signature"], standin.webhook_secret
    )
    assert (url, event.type, event.data.object.id, event.livemode) == (
        HOOK, "payment_intent.created", made.id, False,
    )  # fmt: skip
    assert event.pending_webhooks == 1
    assert event.api_version == "2026-08-26.dahlia"
    for wrong in (body.replace(b"1234", b"9999"), body + b" "):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(  # type: ignore[no-untyped-call]
                wrong, headers["Stripe-Signature"], standin.webhook_secret
            )
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(  # type: ignore[no-untyped-call]
            body, headers["Stripe-Signature"], "whsec_other"
        )


def test_a_flask_test_client_takes_deliveries(standin: StandIn, client: stripe.StripeClient) -> None:
    app, seen = flask.Flask(__name__), []

    @app.post("/webhooks/stripe")
    def hook() -> str:
        seen.append(flask.request.get_json()["type"])
        return ""

    def post(url: str, body: bytes, headers: dict[str, str]) -> int:
        return app.test_client().post(url, data=body, headers=headers).status_code

    confirm(client, create(client).id)
    standin.deliver_due(post)
    assert seen == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


def test_what_is_not_answered_2xx_comes_again_with_growing_pauses(
    standin: StandIn, client: stripe.StripeClient
) -> None:
    event_of = create(client)
    endpoint = Endpoint(answer=500)
    times = []
    for second in range(0, 2400, 60):
        if standin.deliver_due(endpoint):
            times.append(second)
        standin.advance(60)
    assert times == [0, 60, 360, 2160]
    failed = client.v1.events.list({"delivery_success": False}).data
    assert [one.data.object["id"] for one in failed] == [event_of.id]
    assert failed[0].pending_webhooks == 1

    endpoint.answer = 204
    standin.advance(86_400)
    standin.deliver_due(endpoint)
    assert client.v1.events.list({"delivery_success": False}).data == []
    done = client.v1.events.list({"delivery_success": True}).data
    assert [one.pending_webhooks for one in done] == [0]
    assert standin.deliver_due(endpoint) == 0


def test_after_three_days_it_is_given_up_and_stays_in_the_list(
    standin: StandIn, client: stripe.StripeClient
) -> None:
    create(client)
    standin.webhook_plan = WebhookPlan(down=True)
    endpoint, posts = Endpoint(), 0
    for _ in range(100):
        posts += standin.deliver_due(endpoint)
        standin.advance(3600)
    assert endpoint.taken == []
    assert 8 <= posts <= 14
    standin.webhook_plan = WebhookPlan()
    standin.advance(GIVE_UP_AFTER)
    assert standin.deliver_due(endpoint) == 0
    assert len(client.v1.events.list({"delivery_success": False}).data) == 1


def test_what_the_clock_was_moved_over_is_tried_for_three_days_too(
    standin: StandIn, client: stripe.StripeClient
) -> None:
    confirm(client, create(client).id)
    standin.deliver_due(Endpoint())
    standin.advance(10 * 86_400)
    # The payouts of the days between have long been made, and nobody has heard of them yet.
    down = Endpoint(answer=500)
    assert standin.deliver_due(down) > 0
    standin.advance(86_400)
    up = Endpoint()
    standin.deliver_due(up)
    assert sorted(up.types) == sorted(down.types)
    assert "payout.paid" in up.types


def test_duplicates_carry_the_same_event(standin: StandIn, client: stripe.StripeClient) -> None:
    create(client)
    standin.webhook_plan = WebhookPlan(duplicates=2)
    endpoint = Endpoint()
    assert standin.deliver_due(endpoint) == 3
    assert len(set(endpoint.ids)) == 1
    assert standin.deliver_due(endpoint) == 0


def test_shuffled_deliveries_are_complete(standin: StandIn, client: stripe.StripeClient) -> None:
    for _ in range(10):
        create(client)
    standin.webhook_plan = WebhookPlan(reorder=True, seed=7)
    endpoint = Endpoint()
    standin.deliver_due(endpoint)
    order = [one["id"] for one in standin.every("event")][::-1]
    assert endpoint.ids != order
    assert sorted(endpoint.ids) == sorted(order)


def test_delayed_deliveries_wait_for_the_clock(standin: StandIn, client: stripe.StripeClient) -> None:
    create(client)
    standin.webhook_plan = WebhookPlan(delay_seconds=3600)
    endpoint = Endpoint()
    assert standin.deliver_due(endpoint) == 0
    standin.advance(3600)
    assert standin.deliver_due(endpoint) == 1


def test_lost_answers_make_it_come_again(standin: StandIn, client: stripe.StripeClient) -> None:
    create(client)
    standin.webhook_plan = WebhookPlan(lost_share=1.0)
    endpoint = Endpoint()
    standin.deliver_due(endpoint)
    standin.webhook_plan = WebhookPlan()
    standin.advance(60)
    standin.deliver_due(endpoint)
    assert len(endpoint.ids) == 2
    assert len(set(endpoint.ids)) == 1


def test_an_endpoint_gets_what_it_asked_for(standin: StandIn, client: stripe.StripeClient) -> None:
    url = "http://127.0.0.1:9/other"
    made = client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["charge.succeeded"]})
    assert made.secret is not None
    assert "secret" not in client.v1.webhook_endpoints.list().data[0].to_dict()
    confirm(client, create(client).id)
    endpoint = Endpoint()
    standin.deliver_due(endpoint)
    mine = [(body, headers) for to, body, headers in endpoint.taken if to == url]
    assert len(mine) == 1
    event = stripe.Webhook.construct_event(  # type: ignore[no-untyped-call]
        mine[0][0], mine[0][1]["Stripe-Signature"], made.secret
    )
    assert event.type == "charge.succeeded"


def test_events_are_kept_for_thirty_days(standin: StandIn, client: stripe.StripeClient) -> None:
    create(client)
    assert len(client.v1.events.list().data) == 1
    standin.advance(31 * 86_400)
    assert client.v1.events.list().data == []


def test_events_are_filtered_by_time_and_type(standin: StandIn, client: stripe.StripeClient) -> None:
    create(client)
    standin.advance(100)
    later = int(standin.now().timestamp())
    confirm(client, create(client).id)
    assert len(client.v1.events.list({"created": {"lt": later}}).data) == 1
    assert len(client.v1.events.list({"created": {"gte": later}}).data) == 3
    assert len(client.v1.events.list({"types": ["charge.succeeded", "payment_intent.succeeded"]}).data) == 2
