"""What Stripe appends to a return address does not stay in it."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from portal.db import new_public_id
from tests.pages import JudgingClient

PUBLIC_ID = new_public_id()
APPENDED = (
    "payment_intent=pi_1&payment_intent_client_secret=pi_1_secret_2&redirect_status=pending",
    "setup_intent=seti_1&setup_intent_client_secret=seti_1_secret_2&redirect_status=succeeded",
)


def _return_addresses(app: Flask) -> list[str]:
    """Every address that we give Stripe to send a browser back to."""
    rules = [rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.endswith(".come_back")]
    assert len(rules) == 3, rules
    return [re.sub(r"<.*?>", PUBLIC_ID, rule) for rule in rules]


@pytest.mark.parametrize("appended", APPENDED)
def test_a_secret_in_the_address_is_answered_with_the_same_page_without_it(app: Flask, appended: str) -> None:
    """Also for somebody whose sign-in ended meanwhile: the way back after signing in must not keep it either."""
    client = app.test_client()
    for address in _return_addresses(app):
        answer = client.get(f"{address}?{appended}")
        assert (answer.status_code, answer.location) == (303, address)
        assert "secret" not in str(client.get(address).headers)


def test_an_address_never_leads_elsewhere(client: JudgingClient) -> None:
    answer = client.get(f"//evil.test/sign-in?{APPENDED[0]}", base_url="http://localhost")
    assert "evil.test" not in (answer.location or "")
