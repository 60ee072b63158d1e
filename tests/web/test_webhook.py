"""The webhook takes what Stripe signed, and nothing else."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.payments.models import StripeEvent

BOTH_DATABASES = True

SECRET = "whsec_plainbill_standin"
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "type": "payment_intent.succeeded",
    "livemode": False,
    "created": 1_795_000_000,
    "data": {"object": {"id": "pi_1", "object": "payment_intent"}},
}


def signature(body: bytes, *, at: int | None = None, secret: str = SECRET) -> str:
    stamp = int(clock.now().timestamp()) if at is None else at
    digest = hmac.new(secret.encode(), str(stamp).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def post(app: Flask, body: bytes, header: str | None) -> int:
    headers = {} if header is None else {"Stripe-Signature": header}
    return app.test_client().post("/stripe/webhook", data=body, headers=headers).status_code


def kept(session: Session) -> int:
    session.rollback()
    return session.query(StripeEvent).count()


def test_a_signed_event_is_kept_once_and_the_worker_is_woken(app: Flask, session: Session, woken: list[str]) -> None:
    body = json.dumps(EVENT).encode()
    assert [post(app, body, signature(body)) for _ in range(3)] == [200] * 3
    assert kept(session) == 1
    assert woken == ["payments.process_events"] * 3


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1,v1=00",
        "v1=00",
        "t=,v1=",
        "t=99999999999999999999,v1=00",
        "t=nine,v1=00",
        "garbage",
        "t=1,t=2,v1=00",
        "t=1,v1=é".encode().decode("latin-1"),
    ],
)
def test_what_is_not_signed_is_refused(app: Flask, session: Session, header: str | None) -> None:
    assert post(app, json.dumps(EVENT).encode(), header) == 400
    assert kept(session) == 0


def test_another_secret_a_changed_body_and_other_times_are_refused(app: Flask, session: Session) -> None:
    body, now = json.dumps(EVENT).encode(), int(clock.now().timestamp())
    assert post(app, body, signature(body, secret="whsec_other")) == 400
    assert post(app, body + b" ", signature(body)) == 400
    assert post(app, body, signature(body, at=now - 400)) == 400
    assert post(app, body, signature(body, at=now + 400)) == 400
    assert kept(session) == 0


def told(object_id: str) -> bytes:
    """An event about an object, whose id stands in the JSON as it is given."""
    return json.dumps({**EVENT, "id": "evt_2", "data": {"object": {"id": "@", "object": "refund"}}}).replace(
        '"@"', object_id
    ).encode()


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"null", b"{}", b"\xff\xfe", b'{"id": "evt", "type": "x"}', b"\x00"),
        # Nested beyond what a parser takes, and text that no database keeps.
        *(b"[" * 100_000, told("[" * 50_000 + "]" * 50_000), told('"re_\\u0000"'), told('"re_\\ud800"'), told("NaN")),
    ],
    ids=lambda body: repr(body[:20]) + str(len(body)),
)
def test_what_is_signed_but_no_event_is_refused(app: Flask, session: Session, body: bytes) -> None:
    assert post(app, body, signature(body)) == 400
    assert kept(session) == 0


def test_a_live_event_on_a_test_portal_is_refused(app: Flask, session: Session) -> None:
    body = json.dumps({**EVENT, "livemode": True}).encode()
    assert post(app, body, signature(body)) == 400
    assert kept(session) == 0


def test_a_huge_body_is_not_read(app: Flask, session: Session) -> None:
    body = b"x" * (300 * 1024)
    assert post(app, body, signature(body)) == 413
    assert kept(session) == 0
