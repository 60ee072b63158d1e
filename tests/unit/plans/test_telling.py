"""The back office is told of a plan: once, with what of each visit is on it, and without its books moving."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from portal.billing.kinds import MOVES_NO_MONEY, PostingState
from portal.billing.models import Posting
from portal.billing.postings import open_postings
from portal.billing.queries import visit_refs
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.adapters.embedded.models import LedgerTransaction
from portal.ledger.port import LedgerUnreachable, Outcome, PostingAnswer, PostingRequest
from portal.ledger.push import deliver_due
from portal.ledger.reconcile import reconcile
from portal.money import Money
from portal.plans.changing.amending import cancel
from portal.plans.kinds import ChangeKind
from portal.plans.rules.changes import ChangeRequest
from tests.unit.plans.conftest import PlanWorld


class Listening(EmbeddedLedger):
    """The embedded books; remembers what it was told, and can lose an answer."""

    def __init__(self, world: PlanWorld) -> None:
        super().__init__(world.session)
        self.told: list[PostingRequest] = []
        self.loses = False

    def push(self, posting: PostingRequest) -> PostingAnswer:
        self.told.append(posting)
        answer = super().push(posting)
        if self.loses:
            self.loses = False
            raise LedgerUnreachable
        return answer


def in_ledger(world: PlanWorld) -> list[str]:
    kinds = list(world.session.scalars(sa.select(LedgerTransaction.kind).order_by(LedgerTransaction.id)))
    world.session.rollback()
    return [kind for kind in kinds if kind in MOVES_NO_MONEY]


def differences(world: PlanWorld, ledger: EmbeddedLedger) -> tuple[int, int]:
    found: dict[str, Any] = reconcile(world.session, ledger, world.gateway)
    assert found["agrees"] is (found["total"]["difference_cents"] == 0), found["exceptions"]
    return found["total"]["difference_cents"], found["total"]["in_transit_cents"]


def test_a_plan_is_told_from_its_beginning_to_its_end_and_the_books_agree(world: PlanWorld) -> None:
    ledger = Listening(world)
    world.enrol(each=5_000)
    coming = sum(cents for _day, cents in world.coming())
    waiting, total = open_postings(world.session, limit=25)
    assert total == 1
    assert [(one.kind, one.amount, one.state) for one in waiting] == [
        ("plan_enrolled", Money(coming), PostingState.WAITING)
    ]
    world.session.rollback()
    assert differences(world, ledger) == (0, 0)  # on its way, and no money
    assert (deliver_due(world.session, ledger), deliver_due(world.session, ledger)) == (1, 0)
    assert in_ledger(world) == ["plan_enrolled"]
    assert differences(world, ledger) == (0, 0)
    (told,) = ledger.told
    by_ref: dict[str, Money] = {}
    on_plan = [line for line in world.lines() if line.on_plan]
    refs = visit_refs(world.session, [line.charge_id for line in on_plan])
    for line in on_plan:
        by_ref[refs[line.charge_id]] = by_ref.get(refs[line.charge_id], Money.zero()) + line.sums.due
    assert {part.visit_ref: part.amount for part in told.parts} == by_ref
    world.session.rollback()

    world.day_by_day(14)  # the first installment is charged: that is a payment, and moves money
    assert world.taken() == 5_000
    assert deliver_due(world.session, ledger) == 1
    assert ledger.told[-1].kind == "patient_payment"
    assert differences(world, ledger) == (0, 0)

    world.wanted(ChangeRequest(ChangeKind.LINES_REMOVED, charges={on_plan[-1].charge_id: Money.zero()}))
    cancel(
        world.session,
        plan_id=world.plan().id,
        actor_user_id=world.user_id,
        by_staff=True,
        conditions=world.conditions,
    )
    assert deliver_due(world.session, ledger) == 2
    assert in_ledger(world) == ["plan_enrolled", "plan_changed", "plan_ended"]
    assert (ledger.told[-1].amount, list(ledger.told[-1].parts)) == (Money.zero(), [])
    assert differences(world, ledger) == (0, 0)
    assert ledger.unbalanced() == 0


def test_what_was_told_and_not_answered_is_told_once(world: PlanWorld) -> None:
    ledger = Listening(world)
    world.enrol()
    ledger.loses = True
    assert deliver_due(world.session, ledger) == 0
    assert differences(world, ledger) == (0, 0)
    world.later(hours=1)
    assert deliver_due(world.session, ledger) == 1
    assert len(ledger.told) == 1  # looked up, and not sent again
    assert in_ledger(world) == ["plan_enrolled"]
    assert world.session.scalars(sa.select(Posting.state)).all() == [PostingState.POSTED]
    world.session.rollback()


def test_the_same_key_with_another_content_is_refused(world: PlanWorld) -> None:
    ledger = Listening(world)
    world.enrol()
    deliver_due(world.session, ledger)
    (told,) = ledger.told
    assert ledger.push(told).outcome is Outcome.DUPLICATE
    other = PostingRequest(told.key, told.kind, told.account_ref, told.amount, told.effective_on, told.parts[:-1])
    assert ledger.push(other).outcome is Outcome.REJECTED
