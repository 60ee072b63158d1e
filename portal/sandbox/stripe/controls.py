"""The stand-in's first page, with buttons for what a person cannot do from a shop, and the same for tests under
``/_standin/``: JSON in and out. A form sent by the page's own buttons leads back to the page.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Response, abort, jsonify, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from portal.sandbox.stripe.account import is_loopback
from portal.sandbox.stripe.cards import BANKS, CARDS, ROUTING_NUMBER, TestCard
from portal.sandbox.stripe.core import StandIn
from portal.sandbox.stripe.disputes import ANSWERABLE
from portal.sandbox.stripe.errors import ApiError, Obj
from portal.sandbox.stripe.webhooks import WebhookPlan

SHOWN = 25
#: So many requests meet a fault that was ordered by a button: until the button that ends it.
UNTIL_IT_ENDS = 100_000
#: As slow as a slow answer is then: noticed, and short of every time-out.
SLOW_SECONDS = 6.0
#: What can be wrong with Stripe, by a button: the words, and the fault.
TROUBLES = (
    ("Stripe can’t be reached", "drop_before"),
    ("Its answers are lost", "drop_after"),
    ("It fails (500)", "error_500"),
    ("It is too busy (429)", "rate_limited"),
    ("It is slow", "slow"),
    ("The secret key has expired", "key_expired"),
)
#: What can be wrong with webhooks, by a button: the words, and the plan.
WEBHOOK_TROUBLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("The portal can’t be reached", {"down": True}),
    ("Each comes three times, in any order", {"duplicates": 2, "reorder": True}),
    ("They come an hour late", {"delay_seconds": 3600}),
    ("Every fifth answer is lost", {"lost_share": 0.2}),
)


def post_on_loopback(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Posts to this machine and returns the status; raises OSError where nobody answers, ValueError for an
    address elsewhere."""
    if not is_loopback(url):
        raise ValueError(f"not on this machine: {url}")
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=30)
    try:
        connection.request("POST", urlunsplit(("", "", parts.path or "/", parts.query, "")), body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def add_to(app: Flask, standin: StandIn, links: tuple[tuple[str, str], ...]) -> None:
    """Adds the first page and the controls to the stand-in's Flask application."""
    _add_overview(app, standin, links)
    _add_observation(app, standin)
    _add_weather(app, standin)
    _add_acts(app, standin)

    @app.errorhandler(HTTPException)
    def plain(error: HTTPException) -> tuple[str, int]:
        return f"{error.code} {error.name}: {error.description}\n", error.code or 500


# The first page


_NOTES = {
    "3-D Secure": "With the customer present, a page asks; off session (autopay) the charge is declined with "
                  "authentication_required, unless the text says otherwise.",
    "Disputes": "A button beside each payment does the same later.",
}  # fmt: skip


def _group_of(card: TestCard) -> str:
    if card.dispute:
        return "Disputes"
    if card.refund != "succeeded":
        return "Refunds"
    if card.authenticate != "never":
        return "3-D Secure"
    return "Declined" if card.decline else "Payment succeeds"


def _grouped_cards() -> dict[str, list[TestCard]]:
    groups: dict[str, list[TestCard]] = {}
    for card in CARDS:
        groups.setdefault(_group_of(card), []).append(card)
    return groups


def _balance(standin: StandIn) -> dict[str, int]:
    """Cents that a payout would take now, and cents still on their way."""
    sums = {"available": 0, "pending": 0}
    now = int(standin.now().timestamp())
    for net, due in standin.store.rows(
        "SELECT sum(json_extract(body, '$.net')), json_extract(body, '$.available_on') <= ? FROM objects "
        "WHERE kind = 'balance_transaction' GROUP BY 2", now,
    ):  # fmt: skip
        sums["available" if due else "pending"] += net
    return sums


def _add_overview(app: Flask, standin: StandIn, links: tuple[tuple[str, str], ...]) -> None:
    @app.get("/")
    def overview() -> str:
        kinds = ("payment_intent", "setup_intent", "refund", "dispute", "payout", "event")
        return render_template(
            "overview.html", standin=standin, cards=_grouped_cards(), notes=_NOTES, banks=BANKS, routing=ROUTING_NUMBER,
            latest={kind: standin.every(kind, SHOWN) for kind in kinds},
            balance=_balance(standin), answerable=ANSWERABLE,
            charges={charge["id"]: charge for charge in standin.every("charge", 8 * SHOWN)},
            deliveries=standin.deliveries(SHOWN), links=links,
            troubles=TROUBLES, webhook_troubles=WEBHOOK_TROUBLES, plan=_plan(standin),
            faults={one.kind for one in standin.faults.left()},
        )  # fmt: skip


# What happened


def _add_observation(app: Flask, standin: StandIn) -> None:
    @app.get("/_standin/health")
    def health() -> Response:
        return jsonify(ok=True, now=standin.now().isoformat(), validating=standin.validating)

    @app.get("/_standin/requests")
    def requests_seen() -> Response:
        return jsonify(list(standin.requests))

    @app.get("/_standin/violations")
    def violations() -> Response:
        return jsonify(standin.violations)


# Faults, webhooks, time


def _plan(standin: StandIn) -> dict[str, Any]:
    """How deliveries misbehave now."""
    return {name: getattr(standin.webhook_plan, name) for name in WebhookPlan.__slots__ if name != "dice"}


def _add_weather(app: Flask, standin: StandIn) -> None:
    @app.post("/_standin/trouble")
    def trouble() -> WerkzeugResponse:
        """The page's own buttons: a fault by its kind, webhook weather by its number; neither ends all trouble."""
        kind, weather = request.form.get("kind", ""), request.form.get("webhooks", "")
        if not kind and not weather:
            standin.faults.clear()
            standin.webhook_plan = WebhookPlan()
        if kind:
            standin.faults.clear()
            _ordered(lambda: standin.faults.add(kind, times=UNTIL_IT_ENDS, seconds=SLOW_SECONDS))
        if weather:
            if not weather.isdecimal() or int(weather) >= len(WEBHOOK_TROUBLES):
                abort(400, "There is no such weather.")
            standin.webhook_plan = WebhookPlan(**WEBHOOK_TROUBLES[int(weather)][1])
        return redirect("/#trouble", 303)

    @app.route("/_standin/faults", methods=["GET", "POST", "DELETE"])
    def faults() -> Response:
        if request.method == "DELETE":
            standin.faults.clear()
        elif request.method == "POST":
            given = request.get_json()
            for one in given if isinstance(given, list) else [given]:
                _ordered(partial(standin.faults.add, **one))
        return jsonify([asdict(fault) for fault in standin.faults.left()])

    @app.route("/_standin/webhooks", methods=["GET", "POST"])
    def webhooks() -> Response:
        if request.method == "POST":
            standin.webhook_plan = _ordered(lambda: WebhookPlan(**request.get_json()))
        return jsonify(plan=_plan(standin), deliveries=standin.deliveries())

    @app.post("/_standin/deliver")
    def deliver() -> WerkzeugResponse:
        sent = standin.deliver_due(post_on_loopback, ignore_pauses=True)
        return jsonify(posts=sent) if request.is_json else redirect("/#webhooks", 303)

    @app.route("/_standin/clock", methods=["GET", "POST"])
    def clock() -> WerkzeugResponse:
        if request.method == "POST":
            _ordered(lambda: standin.advance(int(_given().get("advance_seconds", 0))))
        return redirect("/", 303) if request.form else jsonify(now=standin.now().isoformat())


# What a customer's bank, or Stripe itself, does by its own will


def _add_acts(app: Flask, standin: StandIn) -> None:
    @app.post("/_standin/disputes")
    def open_dispute() -> WerkzeugResponse:
        given = _given()
        charge = str(given.get("charge", ""))
        if _truth(given.get("inquiry", False)):
            return _done("disputes", lambda: standin.open_inquiry(charge))
        more: dict[str, Any] = {"reason": str(given["reason"])} if given.get("reason") else {}
        if given.get("amount"):
            more["amount"] = _ordered(lambda: int(given["amount"]))
        return _done("disputes", lambda: standin.open_dispute(charge, **more))

    @app.post("/_standin/disputes/<dispute_id>/close")
    def close_dispute(dispute_id: str) -> WerkzeugResponse:
        won = _given().get("won")
        if won is None:
            abort(400, "Say how it ends: won, true or false.")
        return _done("disputes", lambda: standin.close_dispute(dispute_id, won=_truth(won)))

    @app.post("/_standin/payment_intents/<intent_id>/forget")
    def forget_intent(intent_id: str) -> WerkzeugResponse:
        return _done("payments", lambda: standin.forget_intent(intent_id))

    @app.post("/_standin/payouts")
    def pay_out() -> WerkzeugResponse:
        return _done("payouts", standin.pay_out)

    @app.post("/_standin/adjustments")
    def adjust() -> WerkzeugResponse:
        amount = _given().get("amount", "")
        return _done("payouts", lambda: standin.adjust_balance(int(amount)))

    @app.post("/_standin/payouts/<payout_id>/fail")
    def fail_payout(payout_id: str) -> WerkzeugResponse:
        return _done("payouts", lambda: standin.fail_payout(payout_id))

    @app.post("/_standin/refunds")
    def refund_in_dashboard() -> WerkzeugResponse:
        given = _given()
        amount = _ordered(lambda: int(given["amount"])) if given.get("amount") else None
        return _done("refunds", lambda: standin.refund_in_dashboard(str(given.get("charge", "")), amount))

    @app.post("/_standin/refunds/<refund_id>/fail")
    def fail_refund(refund_id: str) -> WerkzeugResponse:
        return _done("refunds", lambda: standin.fail_refund(refund_id))


def _given() -> Mapping[str, Any]:
    """The request's JSON object or form; 400 for anything else."""
    given = request.get_json() if request.is_json else request.form
    if not isinstance(given, Mapping):
        abort(400, "A JSON object is needed.")
    return given


def _truth(value: Any) -> bool:
    return value is True or value in ("true", "1")


def _done(section: str, act: Callable[[], Obj | None]) -> WerkzeugResponse:
    """Does it, and answers with the object (JSON) or the section of the first page (a form of that page).

    400 where it cannot be done now, 404 for an unknown id.
    """
    try:
        made = _ordered(act)
    except ApiError as error:
        abort(404 if error.status == 404 else 400, error.error.get("message", "The stand-in refused."))
    return jsonify(made) if request.is_json else redirect(f"/#{section}", 303)


def _ordered(act: Callable[[], Any]) -> Any:
    """What the act returns; 400 when its arguments make no sense."""
    try:
        return act()
    except (TypeError, ValueError) as error:
        abort(400, str(error))
