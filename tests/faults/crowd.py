"""Crowds: many people at the same balance, and many clerks at the same payment, at the same moment."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.db import normal_url, writing
from portal.money import Money
from portal.payments.kinds import PaymentSource
from portal.payments.service import Payer, prepare, refresh, start_payment
from portal.refunds.models import Refund
from portal.sandbox.simulation.verdict import Figures, held_at_stripe, judge
from tests.databases import Backend
from tests.faults.acts import NO_REFUND, TOLD, ask_refund, come_back, confirm, payable, start
from tests.faults.places import a_world
from tests.faults.world import Patient, World, patients

#: How many come at once.
CLIENTS = 64
#: A crowd that is not through by then hangs.
DEADLINE_SECONDS = 240


def run(
    backend: Backend,
    *,
    seed: int,
    clients: int = CLIENTS,
    told: Callable[[str], None] = lambda _crowd: None,
    only: Iterable[str] = (),
    sabotage: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> Figures:
    """Every crowd on a fresh clinic of its own."""
    began, found = time.monotonic(), Figures()
    for name, crowd in CROWDS.items():
        if only and name not in only:
            continue
        told(name)
        with a_world(backend) as world:
            with world.at_work() as session:
                who = patients(session)[0]
            owed = payable(world, [who.account_id])
            with sabotage():
                complaints = crowd(world, who, random.Random(seed), clients)
                # Looked at before it comes to rest: what was taken above what was due goes back by itself in time.
                taken = sum(one["amount"] for one in world.stripe.every("charge") if one["status"] == "succeeded")
                world.come_to_rest()
                figures = judge(world)
            figures.notes += [f"{name}: {complaint}" for complaint in complaints]
            if taken > owed.cents:
                figures.notes.append(f"{name}: {taken} cents were taken of {owed.cents} that were due")
            if sum(held_at_stripe(world.stripe).values()) < 0:
                figures.notes.append(f"{name}: more went back than was taken")
            if not world.stripe.every("charge"):
                figures.notes.append(f"{name}: nobody could pay")
            found += figures
    found.seconds = time.monotonic() - began
    return found


def _at_once(
    world: World, clients: int, act: Callable[[Session, int], None], expected: tuple[type[Exception], ...]
) -> list[str]:
    """``act(session, number)`` in as many threads, each with a connection of its own, all let go together; returns
    what no one should have met.
    """
    engine = sa.create_engine(normal_url(world.url), pool_size=clients, max_overflow=0)
    gate, complaints = threading.Barrier(clients), list[str]()

    def one(number: int) -> None:
        try:
            with world.app.app_context(), writing(), Session(engine) as session:
                gate.wait(DEADLINE_SECONDS)
                with contextlib.suppress(*expected):
                    act(session, number)
        except BaseException as error:
            complaints.append(f"client {number} met {type(error).__name__}: {error}")

    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + DEADLINE_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        complaints.append(f"not through after {DEADLINE_SECONDS} seconds")
    engine.dispose()
    return complaints


def _pay(
    world: World, clients: int, who: Patient, amount_of: Callable[[int], Money | None], *, guests: bool
) -> list[str]:
    def act(session: Session, number: int) -> None:
        payer = Payer(None, PaymentSource.GUEST) if guests and number % 2 else Payer(who.user_id)
        attempt = start_payment(
            session, world.gateway, account_ids=[who.account_id], payer=payer, amount=amount_of(number)
        )
        attempt_id = attempt.id
        intent = prepare(session, world.gateway, payment_id=attempt_id)
        confirm(world, intent)
        refresh(session, world.gateway, payment_id=attempt_id)

    return _at_once(world, clients, act, TOLD)


def _the_same_amount(world: World, who: Patient, dice: random.Random, clients: int) -> list[str]:
    return _pay(world, clients, who, lambda _number: None, guests=False)


def _each_another_amount(world: World, who: Patient, dice: random.Random, clients: int) -> list[str]:
    due = payable(world, [who.account_id])
    return _pay(world, clients, who, lambda number: due - Money(number), guests=True)


def _refund_everything(world: World, who: Patient, dice: random.Random, clients: int) -> list[str]:
    """One payment; half of the clerks want all of it back, half a part."""
    owed = payable(world, [who.account_id])
    confirm(world, start(world, who))
    come_back(world, who)

    def act(session: Session, number: int) -> None:
        ask_refund(world, who, amount=None if number % 2 else Money(200))

    complaints = _at_once(world, clients, act, NO_REFUND)
    with world.at_work() as session:
        asked = session.scalars(sa.select(sa.func.sum(sa.type_coerce(Refund.amount, sa.BigInteger)))).one() or 0
        session.commit()
    if asked > owed.cents:
        complaints.append(f"{asked} cents were to be given back of {owed.cents}")
    threads = [threading.Thread(target=world.tick, daemon=True) for _ in range(4)]  # several workers send them
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    return complaints


CROWDS: dict[str, Callable[[World, Patient, random.Random, int], list[str]]] = {
    "all pay the same amount": _the_same_amount,
    "each pays another amount": _each_another_amount,
    "all refund one payment": _refund_everything,
}
