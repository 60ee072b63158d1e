"""Somebody acts while an autopay's request is under way, and nothing is taken twice or after a stop."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from portal.autopay.service import stop
from portal.payments.errors import StripeRefused, StripeUnreachable
from portal.payments.service import Payer, start_payment
from tests.unit.autopay.conftest import World


def due_today(world: World) -> int:
    """An announced charge whose day has come; returns what is owed."""
    world.turn_on()
    world.work()
    world.later(days=10)
    owed = world.due.cents
    world.session.rollback()
    return owed


def test_the_patient_begins_to_pay_while_the_request_is_under_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    owed, real, asked = due_today(world), world.gateway.create_intent, []

    def slow(**wanted: Any) -> Any:
        if wanted["off_session"] and not asked:
            asked.append(wanted)
            with Session(world.session.get_bind()) as other, pytest.raises(StripeUnreachable):
                start_payment(other, world.gateway, account_ids=[world.account_id], payer=Payer(world.user_id))
        return real(**wanted)

    monkeypatch.setattr(world.gateway, "create_intent", slow)
    for _minute in range(4):
        world.work()
        world.later(minutes=6)
    assert asked
    assert world.taken() == owed


@pytest.mark.parametrize("arrived", [True, False])
def test_a_no_to_the_second_ask_is_not_a_no_to_the_first(
    world: World, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    owed, real, asked = due_today(world), world.gateway.create_intent, []

    def troubled(**wanted: Any) -> Any:
        asked.append(wanted)
        if len(asked) == 1:
            if arrived:
                real(**wanted)
            raise StripeUnreachable("the answer is lost")
        if len(asked) == 2:
            raise StripeRefused("api_key_expired")
        return real(**wanted)

    monkeypatch.setattr(world.gateway, "create_intent", troubled)
    for _minute in range(6):
        world.work()
        world.later(minutes=4)
    assert len(asked) > 1
    assert world.taken() == owed


def test_nothing_is_taken_after_a_stop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    due_today(world)

    def away(**_wanted: Any) -> Any:
        raise StripeUnreachable("away")

    with monkeypatch.context() as patch:
        patch.setattr(world.gateway, "create_intent", away)
        world.work()
    stop(world.session, autopay_id=world.autopay().id, actor_user_id=world.user_id)
    for _minute in range(5):
        world.later(minutes=6)
        world.work()
    assert world.taken() == 0
