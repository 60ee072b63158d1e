"""Where real money moves, nobody signs in with the demo's password, and no invented bill is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock, worker
from portal.auth.models import User
from portal.config import Settings
from portal.sandbox.clinic import SIGN_INS
from portal.schema import DEMO_SIGN_INS, DemoData, stop_if_not_ours
from portal.web.database import db
from tests.conftest import Clinic, Database

LIVE = {"stripe_secret_key": "sk_live_sample", "stripe_publishable_key": "pk_live_sample"}


def test_live_keys_and_the_demos_data_do_not_start(clinic: Clinic, database: Database) -> None:
    stop_if_not_ours(database.url, live=False)
    with pytest.raises(DemoData, match="portal migrate"):
        stop_if_not_ours(database.url, live=True)


def test_a_demo_whose_sign_ins_were_removed_is_still_one(
    clinic: Clinic, database: Database, session: Session
) -> None:
    """Its bills are there all the same."""
    for user in session.scalars(sa.select(User)):
        user.email = f"person{user.id}@clinic.org"
    session.commit()
    with pytest.raises(DemoData):
        stop_if_not_ours(database.url, live=True)


@pytest.mark.parametrize(
    ("email", "fine"),
    [
        ("staff@example.com", False),
        ("Testa@Example.COM", False),
        ("no.email@example.com", True),  # what a front desk types where there is no address
        ("somebody@clinic.org", True),
    ],
)
def test_the_demos_sign_ins_are_known_without_its_mark(
    database: Database, session: Session, email: str, fine: bool
) -> None:
    """They were copied into a database of its own."""
    session.add(User(email=email, created_at=clock.now()))
    session.commit()
    if fine:
        stop_if_not_ours(database.url, live=True)
    else:
        with pytest.raises(DemoData, match="Remove these users"):
            stop_if_not_ours(database.url, live=True)


def test_every_sign_in_of_the_demo_is_known() -> None:
    assert {one.email for one in SIGN_INS} == set(DEMO_SIGN_INS)


def test_a_portal_that_found_out_later_serves_nobody(
    app: Flask, settings: Settings, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database was away when it started."""
    monkeypatch.setitem(app.extensions, "plainbill_settings", replace(settings, **LIVE))
    client = app.test_client()
    assert client.get("/sign-in").status_code == 503
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert (ready.status_code, "demo" in ready.text) == (503, False)  # the log says it


def test_whole_tables_are_looked_through_once_in_the_life_of_a_process(
    app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.extensions, "plainbill_settings", replace(settings, **LIVE))
    seen: list[str] = []
    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", lambda *facts: seen.append(facts[2]))
    client = app.test_client()
    for _time in range(3):
        assert client.get("/readyz").status_code == 200
    assert len([one for one in seen if "audit_event" in one]) == 1


def test_the_worker_stops(app: Flask, settings: Settings, clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    def go_on(*_all: Any) -> None:
        pytest.fail("it went on")

    monkeypatch.setattr(worker, "make_queue", go_on)
    with pytest.raises(DemoData):
        worker.run(app, replace(settings, **LIVE))
