"""Any life: each debt is presented three times at most and never after a final return, and new bills are collected."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from portal.payments.kinds import UNATTENDED
from portal.payments.models import Allocation, Payment
from portal.sandbox.simulation.verdict import judge
from tests.databases import Backend
from tests.faults.debts import STEPS, Step, live
from tests.faults.lives import EMPTY, GOOD, Lives, judge_debts
from tests.faults.places import a_world

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("read_spec_once")]

_STEP = st.one_of(
    st.tuples(st.just("days"), st.just(0), st.integers(0, 11)),
    st.tuples(st.sampled_from(STEPS), st.integers(0, 1), st.integers(0, 11)),
)
#: The last is one that nobody owed before.
_NEW = 31


@settings(
    max_examples=4,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(_STEP, min_size=4, max_size=10))
# Autopay until it has bounced for good, then a plan with the same account, which ends; a smaller amount; autopay again.
@example(
    steps=[
        *[("days", 0, 11)] * 4,
        ("plan", 0, 0),
        ("insurance", 0, 0),
        ("days", 0, 11),
        ("end plan", 1, 0),
        ("autopay", 1, 0),
        ("days", 0, 11),
    ]
)
def test_any_life(backend: Backend, steps: list[Step]) -> None:
    with a_world(backend) as world:
        lives = Lives.of(world, people=2)
        for who in (0, 1):
            lives.bank_is(who, "A", EMPTY)
        lives.autopay(0, "A")
        lives.plan(1, "A")
        live(lives, steps)
        # There is money again, and a new bill: it is collected, by autopay and without what bounced for good.
        lives.bank_is(0, "A", GOOD)
        lives.autopay(0, "A")
        lives.new_bill(0, _NEW)
        for _week in range(5):  # where a charge was announced before it, that one comes first
            lives.days(7)
            lives.look_alike()
        notes, _most = judge_debts(lives)
        assert not notes
        figures = judge(world, at_rest=False, shares_move=True)
        assert not figures.wrong, figures.notes
        with world.at_work() as session:
            taken = session.scalars(
                sa.select(Allocation.amount)
                .join(Payment, Payment.id == Allocation.payment_id)
                .where(
                    Payment.account_id == lives.people[0].account_id,
                    Payment.source.in_(sorted(UNATTENDED)),
                    Payment.state.in_(["succeeded", "processing"]),
                )
            ).all()
            session.commit()
        assert _NEW * 100 in [amount.cents for amount in taken]
