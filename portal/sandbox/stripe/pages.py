"""What a browser opens on the stand-in: its stripe.js, the Payment Element's frame, the 3-D Secure page, and the page
where the amounts of micro-deposits are typed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import Flask, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as WerkzeugResponse

from portal.sandbox.stripe.account import is_loopback
from portal.sandbox.stripe.cards import BANK_BY_CONNECTION
from portal.sandbox.stripe.core import StandIn
from portal.sandbox.stripe.errors import ApiError, Obj

_CSP = "default-src 'none'; style-src 'self'; img-src 'self'; form-action {form}; base-uri 'none'; {more}"
#: For the stand-in's own pages: no script, no frame around them.
OWN_PAGE = _CSP.format(form="'self'", more="frame-ancestors 'none'")
_ANY_LOOPBACK = "http://127.0.0.1:* http://localhost:*"
_FRAME = _CSP.format(
    form="'self'",
    more=f"script-src 'self'; connect-src 'self'; frame-ancestors {_ANY_LOOPBACK}",
)
#: The challenge may send the browser on to the merchant's return_url, so its form may lead away.
_CHALLENGE = _CSP.format(form="* 'self'", more=f"script-src 'self'; frame-ancestors {_ANY_LOOPBACK}")

#: What a wallet in the Payment Element may pay with: (token's last part, as the sheet shows it).
WALLET_CARDS = (
    ("visa", "Visa ···· 4242 – succeeds"),
    ("mastercard", "Mastercard ···· 4444 – succeeds"),
    ("chargeDeclined", "Visa ···· 0002 – declined"),
    ("chargeDeclinedInsufficientFunds", "Visa ···· 9995 – insufficient funds"),
)

#: An intent comes back in requires_action when its bank account still waits for micro-deposits.
_REDIRECT_STATUS = {"succeeded": "succeeded", "processing": "pending", "requires_action": "pending"}


def with_result(return_url: str, intent: Obj) -> str:
    """A return_url with what Stripe adds: the intent, its client secret, and ``redirect_status``."""
    kind = intent["object"]
    status = _REDIRECT_STATUS.get(intent["status"], "failed")
    parts = urlsplit(return_url)
    added = {kind: intent["id"], f"{kind}_client_secret": intent["client_secret"], "redirect_status": status}
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added.items()])
    return urlunsplit(parts._replace(query=query))


def add_to(app: Flask, standin: StandIn) -> None:
    """Adds the pages to the stand-in's Flask application."""
    _add_element(app)
    _add_challenge(app, standin)
    _add_microdeposits(app, standin)


def _local_origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.path or parts.query or not is_loopback(value):
        abort(400, "The Payment Element works in pages of 127.0.0.1 and localhost only.")
    return value


def _page(html: str, policy: str) -> Response:
    response = Response(html, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = policy
    return response


def _add_element(app: Flask) -> None:
    @app.get("/<any(dahlia, v3):release>/stripe.js")
    def stripe_js(release: str) -> Response:
        response = app.send_static_file("stripe.js")
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    @app.get("/element/payment")
    def payment_element() -> Response:
        _local_origin(request.args.get("parent", ""))
        return _page(render_template("element.html", banks=BANK_BY_CONNECTION, wallet_cards=WALLET_CARDS), _FRAME)


def _kind_of(intent_id: str) -> str:
    return "setup_intent" if intent_id.startswith("seti_") else "payment_intent"


def _intent(standin: StandIn, intent_id: str, secret: str | None) -> Obj:
    """The intent whose client secret was shown; 404 for any other."""
    intent = standin.store.find(_kind_of(intent_id), intent_id)
    if intent is None or intent["client_secret"] != secret:
        abort(404)
    return intent


# 3-D Secure


def _add_challenge(app: Flask, standin: StandIn) -> None:
    @app.get("/3d-secure/<intent_id>")
    def challenge(intent_id: str) -> Response:
        intent = _intent(standin, intent_id, request.args.get("client_secret"))
        modal = request.args.get("mode") == "modal"
        parent = _local_origin(request.args.get("parent", "")) if modal else ""
        return _page(render_template("challenge.html", intent=intent, modal=modal, parent=parent), _CHALLENGE)

    @app.post("/3d-secure/<intent_id>")
    def answer(intent_id: str) -> WerkzeugResponse:
        passed = request.form.get("outcome") == "complete"
        try:
            secret = request.form.get("client_secret", "")
            intent, return_url = standin.authenticate(intent_id, secret, passed=passed)
        except ApiError:
            abort(404)
        if request.form.get("mode") == "modal" or not return_url:
            parent = request.form.get("parent", "")
            html = render_template("challenge_done.html", parent=parent and _local_origin(parent))
            return _page(html, _CHALLENGE)
        return redirect(with_result(return_url, intent), 303)


# Micro-deposits: the ``hosted_verification_url`` of next_action.verify_with_microdeposits


def _cents(typed: str) -> int | None:
    """An amount as typed, ``32``, ``0.32`` or ``$0.32``, in cents; None when it is not one."""
    text = typed.strip().removeprefix("$")
    found = re.fullmatch(r"(?:0?\.)?(\d{1,2})", text)
    return int(found[1]) if found else None


def _typed_deposits(form: Mapping[str, str]) -> dict[str, str] | None:
    """What the customer typed, as the parameters of verify_microdeposits: two amounts in cents, or a code; None when
    it can be neither."""
    if code := form.get("code", "").strip().upper():
        return {"descriptor_code": code} if re.fullmatch(r"SM[0-9A-Z]{4}", code) else None
    cents = [_cents(form.get(name, "")) for name in ("first", "second")]
    return None if None in cents else {f"amounts[{place}]": str(value) for place, value in enumerate(cents)}


def _add_microdeposits(app: Flask, standin: StandIn) -> None:
    def shown(intent: Obj, problem: str = "") -> Response:
        asked = (intent["next_action"] or {}).get("verify_with_microdeposits")
        return_url = standin.store.hidden(intent["id"]).get("return_url")
        method = standin.store.find("payment_method", intent["payment_method"] or "")
        return _page(render_template(
            "microdeposits.html", intent=intent, asked=asked, problem=problem, method=method,
            back=return_url and with_result(return_url, intent),
        ), OWN_PAGE)  # fmt: skip

    @app.get("/microdeposits/<intent_id>")
    def microdeposits(intent_id: str) -> Response:
        return shown(_intent(standin, intent_id, request.args.get("client_secret")))

    @app.post("/microdeposits/<intent_id>")
    def verify(intent_id: str) -> WerkzeugResponse:
        secret = request.form.get("client_secret", "")
        intent = _intent(standin, intent_id, secret)
        typed = _typed_deposits(request.form)
        if typed is None:
            return shown(intent, "Type both amounts in cents, or the code of six characters that begins with SM.")
        given = {**typed, "client_secret": secret}
        # The way a browser asks, so that the stand-in's page can do no more than a merchant's own.
        status, _, body = standin.handle(
            "POST", f"/v1/{_kind_of(intent_id)}s/{intent_id}/verify_microdeposits",
            {"Authorization": f"Bearer {standin.publishable_key}"}, urlencode(given).encode(),
        )  # fmt: skip
        intent = _intent(standin, intent_id, secret)
        if status != 200:
            return shown(intent, json.loads(body)["error"]["message"])
        return redirect(f"{request.path}?{urlencode({'client_secret': secret})}", 303)
