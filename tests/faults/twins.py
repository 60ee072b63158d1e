"""Twins: the portal with one guard taken out. The run that the guard is for must say so, or it proves nothing.

Each twin replaces something of the portal's by name, and fails by itself when that name is gone or would be replaced
by the same thing: a twin that changes nothing would always be "caught" by luck or never. One run has to be enough,
whatever the seed: where a run draws what happens, its twin has what matters happen for certain.
"""

from __future__ import annotations

import contextlib
import random
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa
import stripe
from sqlalchemy.orm import Session

import portal.autopay.debts
import portal.disputes.service
import portal.payments.presenting
import portal.payments.service
import portal.payments.settle
import portal.plans.returned
import portal.refunds.learning
import portal.refunds.sending
import portal.refunds.service
import portal.refunds.settle
import portal.worker
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.port import PostingAnswer, PostingRequest
from portal.payments.gateway import Intent, StripeGateway
from portal.payments.gateway.reading import read_intent
from portal.payments.kinds import BookingKind, PaymentSource
from portal.payments.models import Payment, PaymentShare
from portal.payments.origin import Origin
from portal.payments.state import PaymentState
from portal.payments.stripe_events.inbox import KeptEvent
from portal.sandbox.simulation.verdict import Figures
from tests.databases import Backend
from tests.faults import crowd, dashboard, debts, kill, machine, outage, webhooks
from tests.faults.acts import BANK, CARD, PAYING, REFUNDING, come_back, confirm, start
from tests.faults.world import Patient, World

Sabotage = Callable[[], contextlib.AbstractContextManager[object]]


class TwinIsBroken(AssertionError):
    """The twin changes nothing: what it patches is gone, or is what it would put there."""


@contextlib.contextmanager
def replaced(owner: object, name: str, by: object) -> Iterator[None]:
    """Put ``by`` in the place of ``owner.name``. Raises :class:`TwinIsBroken`."""
    if not hasattr(owner, name):
        raise TwinIsBroken(f"{owner!r} has no {name} any more")
    if getattr(owner, name) is by or getattr(owner, name) == by:
        raise TwinIsBroken(f"{name} is that already")
    with patch.object(owner, name, by):
        yield


def _key_of_the_moment() -> contextlib.AbstractContextManager[None]:
    """Every request for an intent has a key of its own."""
    create = stripe.PaymentIntentService.create

    def forgetful(self: Any, params: Any = None, options: Any = None) -> Any:
        return create(self, params, {**(options or {}), "idempotency_key": uuid.uuid4().hex})

    return replaced(stripe.PaymentIntentService, "create", forgetful)


def _network_first() -> contextlib.AbstractContextManager[None]:
    """Stripe is asked before the row says so."""

    def asked(session: Session, gateway: StripeGateway, *, payment_id: int, customer_id: str) -> Intent:
        payment = session.get_one(Payment, payment_id)
        facts: dict[str, Any] = {
            "attempt_id": payment.public_id,
            "amount": payment.amount,
            "customer_id": customer_id,
            "method_id": payment.method_id or "",
            "off_session": payment.source is PaymentSource.AUTOPAY,
        }
        session.commit()
        intent = gateway.create_intent(**facts)
        payment.requested_at, payment.customer_id = payment.created_at, customer_id
        session.commit()
        return intent

    return replaced(portal.payments.service, "_create_or_find", asked)


def _settled_again() -> contextlib.AbstractContextManager[None]:
    """A settle does not see that another was there before it."""
    settle = portal.payments.service.settle

    def forgetful(session: Session, *, payment_id: int, intent: Intent) -> PaymentState:
        session.execute(sa.update(Payment).where(Payment.id == payment_id).values(state=PaymentState.OPEN))
        return settle(session, payment_id=payment_id, intent=intent)

    return replaced(portal.payments.service, "settle", forgetful)


class _NeverOpen:
    """``PaymentShare``, whose rows are never open: the unique index then guards nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(PaymentShare, name)

    def __clause_element__(self) -> Any:
        return sa.inspect(PaymentShare).selectable

    def __call__(self, **columns: Any) -> PaymentShare:
        return PaymentShare(**{**columns, "is_open": False})


@contextlib.contextmanager
def _nobody_waits() -> Iterator[None]:
    """Neither the accounts' lock nor the index of open attempts; and two are at the card form at the same moment."""
    two = threading.Barrier(2)

    def together(world: World, intent: Intent | None) -> bool:
        with contextlib.suppress(threading.BrokenBarrierError):
            two.wait(10)
        return confirm(world, intent)

    with (
        replaced(portal.payments.service, "PaymentShare", _NeverOpen()),
        replaced(portal.payments.settle, "OPEN", frozenset()),
        replaced(portal.payments.service, "lock_accounts", lambda _session, _ids: None),
        replaced(crowd, "confirm", together),
    ):
        yield


def _sent_again_blindly() -> contextlib.AbstractContextManager[None]:
    """An attempt whose answer was lost is asked for again however old its key is."""
    return replaced(portal.payments.service, "RESEND_WITHIN", timedelta(days=400))


@contextlib.contextmanager
def _refunded_without_limit() -> Iterator[None]:
    """What other refunds are for already is not taken off what is left of a payment."""
    left_lines = portal.refunds.service.left_lines

    def generous(session: Session, payment_id: int) -> Any:
        amount = session.get_one(Payment, payment_id).amount
        with patch("portal.refunds.parts.promised_parts", lambda *_a, **_n: {}):
            return [replace(line, amount=amount) for line in left_lines(session, payment_id)]

    with replaced(portal.refunds.service, "left_lines", generous):
        yield


def _told_by_the_event() -> contextlib.AbstractContextManager[object]:
    """A webhook's own words are believed instead of fetching the object."""

    def believed(session: Session, gateway: StripeGateway, event: KeptEvent) -> bool:
        said = gateway._client.v1.events.retrieve(event.id)
        payment_id = session.scalar(sa.select(Payment.id).where(Payment.stripe_intent_id == event.intent_id))
        session.commit()
        if payment_id is None or event.object_id != event.intent_id:
            return False
        portal.payments.settle.settle(session, payment_id=payment_id, intent=read_intent(said.data.object))
        return True

    ours = {start: believed for start in portal.worker.HANDLERS if start.startswith("payment_intent.")}
    if not ours:
        raise TwinIsBroken("nobody handles intents any more")
    return patch.dict(portal.worker.HANDLERS, ours)


def _booked_twice() -> contextlib.AbstractContextManager[None]:
    """What a success brings about is written twice."""
    book = portal.payments.settle.book

    def eager(session: Session, *, subject: str, **named: Any) -> None:
        book(session, subject=subject, **named)
        book(session, subject=subject[::-1], **named)

    return replaced(portal.payments.settle, "book", eager)


def _never_swept() -> contextlib.AbstractContextManager[None]:
    """Nobody looks after attempts that nobody came back to."""
    return replaced(portal.worker, "sweep_payments", lambda _session, _gateway: None)


def _posted_under_another_key() -> contextlib.AbstractContextManager[None]:
    """Each try to post has a key of its own."""
    push = EmbeddedLedger.push

    def forgetful(self: EmbeddedLedger, posting: PostingRequest) -> PostingAnswer:
        return push(self, replace(posting, key=uuid.uuid4().hex))

    return replaced(EmbeddedLedger, "push", forgetful)


def _refund_key_of_the_moment() -> contextlib.AbstractContextManager[None]:
    """Every request for a refund has a key of its own."""
    create = stripe.RefundService.create

    def forgetful(self: Any, params: Any = None, options: Any = None) -> Any:
        return create(self, params, {**(options or {}), "idempotency_key": uuid.uuid4().hex})

    return replaced(stripe.RefundService, "create", forgetful)


def _families_hold_forgotten() -> contextlib.AbstractContextManager[None]:
    """What is on its way is not taken off what may be asked for."""
    return replaced(portal.payments.service, "held_on", lambda _session, _ids: {})


def _dispute_booked_at_each_look() -> contextlib.AbstractContextManager[None]:
    """What was booked of a dispute before is not seen."""
    return replaced(portal.disputes.service, "booked_parts", lambda *_args, **_named: {})


def _refund_failure_unheard() -> contextlib.AbstractContextManager[None]:
    """A refund that the bank sends back stays booked as one that arrived."""
    book = portal.refunds.settle.book

    def deaf(session: Session, *, kind: BookingKind, **named: Any) -> None:
        if kind is not BookingKind.REFUND_RETURNED:
            book(session, kind=kind, **named)

    return replaced(portal.refunds.settle, "book", deaf)


def _refunds_not_listed() -> contextlib.AbstractContextManager[None]:
    """Nobody looks at Stripe's list for refunds that no event told of."""
    return replaced(portal.refunds.learning, "_list_new", lambda _session, _gateway: 0)


def _refund_before_its_payment() -> contextlib.AbstractContextManager[None]:
    """A refund is looked at without settling its payment first."""
    return replaced(portal.refunds.learning, "origin_of", lambda *_args, **_named: Origin(None, ours=True))


@contextlib.contextmanager
def _a_debt_of_each_row() -> Iterator[None]:
    """What came back before is nobody's business: each charge and each installment counts for itself."""
    with (
        replaced(portal.autopay.debts, "stopped_debts", lambda *_args, **_named: {}),
        replaced(portal.plans.returned, "stop_of", lambda *_args, **_named: None),
        replaced(portal.plans.returned, "stopped_debts", lambda *_args, **_named: {}),
    ):
        yield


def _a_return_is_not_kept() -> contextlib.AbstractContextManager[None]:
    """A debit that comes back ends its payment and leaves no trace."""
    return replaced(portal.payments.settle, "note_return", lambda *_args, **_named: None)


def _any_return_is_presented_again() -> contextlib.AbstractContextManager[None]:
    """A closed account is asked again like an empty one."""
    return replaced(portal.payments.presenting, "is_for_lack_of_funds", lambda _code: True)


Run = Callable[[Backend, Path, int, Sabotage], Figures]


def _nobody_dies(acts: dict[str, kill.Act]) -> Run:
    def run(backend: Backend, _directory: Path, _seed: int, sabotage: Sabotage) -> Figures:
        return kill.undisturbed(backend, acts, sabotage=sabotage)

    return run


def _dying_at_each_place(act: str, then: str) -> Run:
    def run(backend: Backend, directory: Path, _seed: int, sabotage: Sabotage) -> Figures:
        return kill.at_each_place(backend, directory, act=act, then=then, sabotage=sabotage)

    return run


def _crowding(only: str, clients: int = 16) -> Run:
    def run(backend: Backend, _directory: Path, seed: int, sabotage: Sabotage) -> Figures:
        return crowd.run(backend, seed=seed, clients=clients, sabotage=sabotage, only=[only])

    return run


def _sitting_out(only: str) -> Run:
    def run(backend: Backend, _directory: Path, seed: int, sabotage: Sabotage) -> Figures:
        return outage.run(backend, seed=seed, sabotage=sabotage, only=[only])

    return run


def _weathering(only: str) -> Run:
    def run(backend: Backend, _directory: Path, seed: int, sabotage: Sabotage) -> Figures:
        return webhooks.run(backend, seed=seed, sabotage=sabotage, only=[only])

    return run


def _refunding_past_us(only: str) -> Run:
    def run(backend: Backend, directory: Path, seed: int, sabotage: Sabotage) -> Figures:
        return dashboard.run(backend, directory, seed=seed, sabotage=sabotage, only=[only])

    return run


def _telling(*story: Callable[[machine.Clinic], object]) -> Run:
    def run(backend: Backend, _directory: Path, _seed: int, sabotage: Sabotage) -> Figures:
        return machine.tell(backend, story, sabotage=sabotage)

    return run


def _bouncing(backend: Backend, _directory: Path, _seed: int, sabotage: Sabotage) -> Figures:
    return debts.tell(backend, sabotage=sabotage, steps=debts.STORY[: debts.FIRST_PART])


def _only(*names: str) -> dict[str, kill.Act]:
    return {name: (PAYING | REFUNDING)[name] for name in names}


def _bank_twice(world: World, who: Patient, dice: random.Random) -> None:
    for _ in range(2):
        confirm(world, start(world, who), BANK)
        come_back(world, who)


def _pay_and_reload(world: World, who: Patient, dice: random.Random) -> None:
    PAYING["all of it"](world, who, dice)
    come_back(world, who)


@dataclass(frozen=True, slots=True)
class Twin:
    """A guard's absence, and the run that has to notice it."""

    sabotage: Sabotage
    run: Run
    runs_in: str


TWINS: dict[str, Twin] = {
    "an intent's key is random": Twin(_key_of_the_moment, _sitting_out("no word of intents and refunds"), "outage"),
    "a refund's key is random": Twin(
        _refund_key_of_the_moment, _sitting_out("no word of intents and refunds"), "outage"
    ),
    "the network before the row": Twin(_network_first, _dying_at_each_place("unattended", "pays again"), "kill"),
    "settled without looking": Twin(_settled_again, _nobody_dies({"all of it, and reload": _pay_and_reload}), "kill"),
    "neither lock nor index": Twin(_nobody_waits, _crowding("each pays another amount"), "crowd"),
    "asked again blindly": Twin(_sent_again_blindly, _sitting_out("no word of them for two days"), "outage"),
    "refunds without a limit": Twin(_refunded_without_limit, _crowding("all refund one payment"), "crowd"),
    "the event is believed": Twin(_told_by_the_event, _weathering("in any order"), "webhooks"),
    "booked twice": Twin(_booked_twice, _nobody_dies(_only("all of it")), "kill"),
    "never swept": Twin(_never_swept, _dying_at_each_place("all of it", "goes away"), "kill"),
    "posted under another key": Twin(_posted_under_another_key, _nobody_dies(_only("all of it")), "kill"),
    "a dispute booked at each look": Twin(
        _dispute_booked_at_each_look,
        _telling(
            lambda clinic: clinic.somebody_has_paid(method=CARD),
            lambda clinic: clinic.a_bank_calls_back(who=0, percent=100),
            lambda clinic: clinic.webhooks_come(),
            lambda clinic: clinic.the_worker_has_its_turn(),
            lambda clinic: clinic.a_bank_decides(which=0, won=False),
        ),
        "stories",
    ),
    "a refund's failure is not heard": Twin(
        _refund_failure_unheard,
        _telling(
            lambda clinic: clinic.somebody_has_paid(method=CARD),
            lambda clinic: clinic.a_clerk_refunds(who=0, percent=100),
            lambda clinic: clinic.the_worker_has_its_turn(),
            lambda clinic: clinic.a_bank_sends_a_refund_back(which=0),
        ),
        "stories",
    ),
    "refunds are not listed": Twin(_refunds_not_listed, _refunding_past_us("the list alone"), "dashboard"),
    "a refund before its payment": Twin(_refund_before_its_payment, _refunding_past_us("events first"), "dashboard"),
    "a debt of each row": Twin(_a_debt_of_each_row, _bouncing, "debts"),
    "a return is not kept": Twin(_a_return_is_not_kept, _bouncing, "debts"),
    "any return is presented again": Twin(_any_return_is_presented_again, _bouncing, "debts"),
    "what is on its way is asked for": Twin(
        _families_hold_forgotten, _nobody_dies({"from a bank account, twice": _bank_twice}), "kill"
    ),
}


def run(
    backend: Backend,
    directory: Path,
    *,
    seed: int,
    told: Callable[[str], None] = lambda _twin: None,
    only: str = "",
) -> tuple[Figures, dict[str, str]]:
    """Every twin (or one); a note for each that was not caught, and what each was caught by."""
    found, caught = Figures(), dict[str, str]()
    for name, twin in TWINS.items():
        if only and name != only:
            continue
        told(name)
        found.runs += 1
        if by := _caught_by(twin, backend, directory, seed):
            caught[name] = by
        else:
            found.notes.append(f"the twin “{name}” was not caught")
    return found, caught


def _caught_by(twin: Twin, backend: Backend, directory: Path, seed: int) -> str:
    """What a run says of a twin; empty when it notices nothing."""
    try:
        figures = twin.run(backend, directory, seed, twin.sabotage)
    except TwinIsBroken:
        raise
    except (kill.HarnessFailed, AssertionError) as error:
        lines = (str(error).strip() or type(error).__name__).splitlines()
        # SQLAlchemy's last lines are the statement and an address; what went wrong stands before them.
        return next((line for line in lines if re.match(r"\(?[\w.]*Error\b", line)), lines[-1])[:120]
    if not figures.wrong:
        return ""
    first = figures.notes[0] if figures.notes else f"{figures.doubled} cents doubled"
    return first.splitlines()[0][:120]
