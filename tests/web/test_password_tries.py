"""Whoever is asked again for a password is limited by user and by network; only wrong ones count."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from flask import Flask
from flask_limiter.util import get_qualified_name

from portal.auth.tries import TRIES
from portal.web import guards
from portal.web.guards import Guard
from portal.web.limits import limiter
from tests.conftest import Clinic
from tests.pages import JudgingClient, sign_in

BOTH_DATABASES = True

TESTA, OTHER = "testa@example.com", "staff@example.com"
WRONG = "not-my-password-1"
NEW = "maple-harbor-2027-quiet"


def change(client: JudgingClient, current: str, new: str = NEW, *, network: str, json: bool = False) -> int:
    """The status of one try to change the password."""
    page = client.page("/change-password")
    fields: dict[str, Any] = {"password": current, "new_password": new, "new_password_confirm": new}
    token = str(page.all("input", name="csrf_token")[0].get("value"))
    origin = {"REMOTE_ADDR": network}
    if json:
        headers = {"X-CSRFToken": token}
        return client.post("/change-password", json=fields, headers=headers, environ_base=origin).status_code
    return client.post("/change-password", data={**fields, "csrf_token": token}, environ_base=origin).status_code


@pytest.fixture
def signed_in(client: JudgingClient, clinic: Clinic) -> JudgingClient:
    """A browser in which Testa is signed in."""
    sign_in(client, TESTA, clinic.password)
    return client


@pytest.mark.parametrize("json", [False, True], ids=["form", "json"])
@pytest.mark.parametrize("networks", [1, 40], ids=["one-network", "many-networks"])
def test_of_forty_wrong_ones_ten_are_looked_at(
    signed_in: JudgingClient, clinic: Clinic, json: bool, networks: int
) -> None:
    statuses = Counter(
        change(signed_in, f"{WRONG}{number}", network=f"10.5.0.{number % networks + 1}", json=json)
        for number in range(40)
    )
    assert statuses == {(400 if json else 200): 10, 429: 30}
    assert change(signed_in, clinic.password, network="10.5.0.1") == 429, "the right one, too: or they go on guessing"


def test_a_network_is_limited_whoever_it_is_signed_in_as(app: Flask, signed_in: JudgingClient, clinic: Clinic) -> None:
    other = app.test_client()
    assert isinstance(other, JudgingClient)
    sign_in(other, OTHER, clinic.password)
    statuses = [change(client, WRONG, network="10.5.0.1") for _time in range(6) for client in (signed_in, other)]
    assert statuses == [200] * 10 + [429] * 2


def test_right_ones_and_faults_of_the_new_one_are_not_counted(signed_in: JudgingClient, clinic: Clinic) -> None:
    for _time in range(12):
        assert change(signed_in, clinic.password, "short", network="10.5.0.1") == 200
        assert change(signed_in, clinic.password, clinic.password, network="10.5.0.1") == 200, "the same once more"
    now = clinic.password
    for number in range(12):
        then = f"{NEW}-{number}"
        assert change(signed_in, now, then, network="10.5.0.1") == 302
        now = then
    assert [change(signed_in, WRONG, network="10.5.0.1") for _time in range(11)] == [200] * 10 + [429]




def test_whatever_takes_a_password_or_a_code_is_limited(app: Flask) -> None:
    """Every act that the library offers, and the guests' door; signing out takes nothing."""
    limited = {rule.endpoint for rule in app.url_map.iter_rules() if limits_of(app, rule.endpoint)}
    ours = {"guests.start"}
    theirs = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("security.")
        and "POST" in (rule.methods or ())
        and (guards.guard_of(app, rule.endpoint) is not Guard.CLOSED or rule.endpoint in TRIES)
    } - {"security.logout"}
    assert {"security.login", "security.change_password", "security.reset_password", "security.verify"} <= theirs
    assert (ours | theirs) - limited == set()


def limits_of(app: Flask, endpoint: str) -> list[Any]:
    return limiter.limit_manager.decorated_limits(get_qualified_name(app.view_functions[endpoint]))


def test_no_limit_counts_after_the_answer(app: Flask) -> None:
    """The library's own way of counting refusals looks first and counts last: as many pass as run at once."""
    limits = [(rule.endpoint, one) for rule in app.url_map.iter_rules() for one in limits_of(app, rule.endpoint)]
    assert len(limits) > 20
    assert {endpoint for endpoint, one in limits if one.deduct_when is not None} == set()


def test_acts_that_go_uncounted_are_named(app: Flask) -> None:
    """While counters are away an act answers 503; these stop a charge, and can do no more."""
    uncounted = {name for name, view in app.view_functions.items() if getattr(view, "even_uncounted", False)}
    assert uncounted == {"plans.stop_from_notice", "autopay.stop_from_notice"}
