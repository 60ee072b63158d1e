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
from portal.schema import DemoData, stop_if_not_ours
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
        ("STAFF@Example.COM", False),
        ("somebody@clinic.test", False),
        ("somebody@clinic.org", True),
        ("somebody@examplexcom.org", True),
        ("example.com@clinic.org", True),
    ],
)
def test_a_sign_in_that_gets_no_mail_is_nobodys(database: Database, session: Session, email: str, fine: bool) -> None:
    """The demo's people were copied into a database of its own: an address for examples is known by its domain."""
    session.add(User(email=email, created_at=clock.now()))
    session.commit()
    if fine:
        stop_if_not_ours(database.url, live=True)
    else:
        with pytest.raises(DemoData):
            stop_if_not_ours(database.url, live=True)


def test_a_portal_that_found_out_later_serves_nobody(
    app: Flask, settings: Settings, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database was away when it started."""
    monkeypatch.setitem(app.extensions, "plainbill_settings", replace(settings, **LIVE))
    client = app.test_client()
    assert client.get("/sign-in").status_code == 503
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert (ready.status_code, "demo's data" in ready.text) == (503, True)


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
