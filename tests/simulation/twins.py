"""Guards of payment plans, each taken away; the verdict on the directed days must notice every one of them.

A twin that changes nothing says so (:class:`tests.faults.twins.TwinIsBroken`), or is not noticed, which fails, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import stripe

import portal.payments.closing
import portal.payments.service
import portal.plans.collecting.charging
import portal.plans.collecting.jobs
from portal import clock
from portal.money import Money
from portal.plans.kinds import InstallmentState
from portal.plans.models import Attempt, Installment
from tests.faults.twins import replaced

Sabotage = Callable[[], contextlib.AbstractContextManager[object]]


@contextlib.contextmanager
def nobody_asks_again() -> Iterator[None]:
    """An installment is claimed without looking again under the lock, and no index keeps a second claim out."""

    collect_once = portal.plans.collecting.charging.collect_once

    def hasty(*args: Any, **named: Any) -> Any:
        return collect_once(*args, **{**named, "unless": lambda: False})

    def linked(session: Any, installment_id: int, payment_id: int) -> None:
        row = session.get_one(Installment, installment_id)
        row.state = InstallmentState.CHARGING
        ended = clock.now() if any(_open_attempts(session, installment_id)) else None
        session.add(Attempt(installment_id=installment_id, payment_id=payment_id, made_at=clock.now(), ended_at=ended))
        session.flush()

    with (
        replaced(portal.plans.collecting.charging, "collect_once", hasty),
        replaced(portal.plans.collecting.charging, "link", linked),
    ):
        yield


def _open_attempts(session: Any, installment_id: int) -> list[Attempt]:
    return list(session.query(Attempt).filter(Attempt.installment_id == installment_id, Attempt.ended_at.is_(None)))


@contextlib.contextmanager
def charged_as_written() -> Iterator[None]:
    """The row's amount is charged whatever is due by then: plans are not made to fit, and nothing holds the payment."""
    real = portal.payments.service.left_to_pay

    def as_agreed(lines: Any, held: Any, *, on_plan: bool = False) -> Any:
        if not on_plan:
            return real(lines, held)
        found = [(line, line.sums.billed - held.get(line.charge_id, Money.zero())) for line in lines if line.on_plan]
        return [portal.payments.service.Payable(line.charge_id, amount) for line, amount in found if amount.cents > 0]

    def left(covered: Any) -> Any:
        return {one.line.charge_id: one.line.sums.billed for one in covered}

    with (
        replaced(portal.payments.service, "left_to_pay", as_agreed),
        replaced(portal.plans.collecting.charging, "left_by_charge", left),
        replaced(portal.plans.collecting.jobs, "keep_up", lambda _session, **_facts: False),
    ):
        yield


@contextlib.contextmanager
def sent_again_blindly() -> Iterator[None]:
    """A request whose answer was lost is made again under a new name, instead of being asked for or looked up."""
    gateway = portal.payments.service.StripeGateway
    create = gateway.create_intent

    def hasty(self: Any, **asked: Any) -> Any:
        for turn in range(2):
            try:
                return create(self, **asked)
            except portal.payments.service.StripeUnreachable:
                if turn:
                    raise
                _forget_key()
        raise AssertionError

    key = {"suffix": ""}

    def _forget_key() -> None:
        key["suffix"] += "x"

    send = stripe.PaymentIntentService.create

    def renamed(self: Any, params: Any = None, options: Any = None) -> Any:
        options = dict(options or {})
        options["idempotency_key"] = f"{options.get('idempotency_key', '')}{key['suffix']}"
        return send(self, params, options)

    with replaced(gateway, "create_intent", hasty), replaced(stripe.PaymentIntentService, "create", renamed):
        yield


def notices_are_skipped() -> contextlib.AbstractContextManager[None]:
    """The row says that the patient was told, and no mail is written."""
    return replaced(portal.plans.collecting.charging.emails, "queue_notice", lambda _session, **_facts: None)


def missing_is_not_counted() -> contextlib.AbstractContextManager[None]:
    """What was not paid within its grace waits for ever."""
    return replaced(portal.plans.collecting.jobs, "miss", lambda _session, **_facts: None)


#: By name: the guard's absence, and what of the verdict tells of it.
TWINS: dict[str, tuple[Sabotage, str]] = {
    "claimed without asking again": (nobody_asks_again, "charged 2 times"),
    "charged as written": (charged_as_written, "above what was due"),
    "sent again blindly": (sent_again_blindly, " times"),
    "notices are skipped": (notices_are_skipped, "told nothing"),
    "missing is not counted": (missing_is_not_counted, "neither"),
}
