"""Stripe's webhook: check the signature, keep the event's id once, answer. The worker does the rest."""

import structlog
from flask import Blueprint, Response, request

from portal import clock
from portal.payments.errors import BadSignature
from portal.payments.gateway.of_app import the_gateway
from portal.payments.stripe_events.inbox import keep
from portal.queue import wake
from portal.web import guards
from portal.web.database import db

log = structlog.get_logger(__name__)

bp = Blueprint("webhook", __name__)

#: Stripe's events are a few kilobytes; what is larger is not one.
LARGEST = 256 * 1024


@bp.post("/webhook")
@guards.signed_webhook
def receive() -> Response:
    """Take one event in. 400 for what Stripe did not sign, so that nothing forged is ever kept."""
    if (request.content_length or 0) > LARGEST:
        return _answer(413, "too large")
    gateway = the_gateway()
    try:
        event = gateway.read_event(
            request.get_data(cache=False), request.headers.get("Stripe-Signature", ""), now=clock.now()
        )
    except BadSignature as error:
        log.warning("webhook.refused", reason=str(error))
        return _answer(400, "signature does not match")
    if event.livemode != gateway.live:
        log.warning("webhook.wrong_mode", event_id=event.id)
        return _answer(400, "wrong mode")
    keep(db.session, event)
    db.session.commit()
    wake("payments.process_events")
    return _answer(200, "kept")


def _answer(status: int, words: str) -> Response:
    return Response(words + "\n", status, mimetype="text/plain")
