"""A smaller run of ``make faults``, on each database. ``PLAINBILL_FAULTS_SEED`` tries another seed."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import pytest
import sqlalchemy as sa

from portal.money import Money
from portal.payments.models import Payment
from portal.payments.service import held_on
from portal.sandbox.simulation.verdict import Figures, judge
from tests.databases import Backend
from tests.faults import acts, crowd, dashboard, debts, kill, machine, outage, twins, webhooks
from tests.faults.places import a_world
from tests.faults.world import patients

SEED = int(os.environ.get("PLAINBILL_FAULTS_SEED", "20261102"))

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("read_spec_once")]


def assert_not_a_cent(figures: Figures) -> None:
    print(f"seed {SEED}: {figures}")
    assert not figures.wrong, figures.notes


def test_killed_at_any_place(backend: Backend, tmp_path: Path) -> None:
    figures, _places = kill.run(backend, tmp_path, seed=SEED, kills=16)
    assert figures.kills == 16
    assert_not_a_cent(figures)


def test_webhooks_in_the_worst_weather(backend: Backend) -> None:
    assert_not_a_cent(webhooks.run(backend, seed=SEED, only=["all of it"]))


@pytest.mark.parametrize("crowd_of", sorted(crowd.CROWDS))
def test_a_crowd(backend: Backend, crowd_of: str) -> None:
    assert_not_a_cent(crowd.run(backend, seed=SEED, clients=24, only=[crowd_of]))


@pytest.mark.parametrize("bout", ["mixed", "no word of them for two days"])
def test_stripe_in_bad_weather(backend: Backend, bout: str) -> None:
    assert_not_a_cent(outage.run(backend, seed=SEED, only=[bout]))


@pytest.mark.parametrize("bout", ["the list alone", "events first", "debits under way, events alone"])
def test_refunds_in_the_dashboard(backend: Backend, tmp_path: Path, bout: str) -> None:
    assert_not_a_cent(dashboard.run(backend, tmp_path, seed=SEED, only=[bout]))


def test_any_story(backend: Backend) -> None:
    assert_not_a_cent(machine.run(backend, seed=SEED, examples=4, steps=15))


def test_debts_that_bounce_while_the_worker_dies(backend: Backend, tmp_path: Path) -> None:
    """The rest of the lives run in ``make faults``."""
    figures = debts.deaths(backend, tmp_path, random.Random(SEED), kills=8)
    assert figures.kills
    assert_not_a_cent(figures)


@pytest.mark.parametrize(
    "name",
    [
        "neither lock nor index",
        "booked twice",
        "a refund's key is random",
        "refunds are not listed",
        "a debt of each row",
    ],
)
def test_a_guard_that_is_missing_is_noticed(backend: Backend, tmp_path: Path, name: str) -> None:
    """The rest of the twins run in ``make faults``."""
    figures, caught = twins.run(backend, tmp_path, seed=SEED, only=name)
    assert list(caught) == [name], figures.notes


@pytest.mark.parametrize(
    "name", ["the network before the row", "a dispute booked at each look", "a refund's failure is not heard"]
)
def test_what_a_twin_is_caught_by_finds_nothing_where_the_guard_is_in_place(
    backend: Backend, tmp_path: Path, name: str
) -> None:
    assert_not_a_cent(twins.TWINS[name].run(backend, tmp_path, SEED, contextlib.nullcontext))


def test_a_twin_that_changes_nothing_says_so() -> None:
    with pytest.raises(twins.TwinIsBroken), twins.replaced(kill, "no_such_guard", None):
        pass
    with pytest.raises(twins.TwinIsBroken), twins.replaced(kill, "run", kill.run):
        pass


# What the runs have found stays found.


def test_a_line_that_is_on_its_way_is_not_asked_for_in_a_familys_payment(backend: Backend) -> None:
    """Held by a payment of its own account and by a family's: both count, in whatever order accounts are read."""
    with a_world(backend) as world:
        with world.at_work() as session:
            first, second = patients(session)[:2]
        for who, family in ((first, {"amount": Money(500)}), (second, {"family": True})):
            acts.confirm(world, acts.start(world, who, **family), acts.BANK)
            acts.come_back(world, who)
        with world.at_work() as session:
            on_its_way = session.scalars(sa.select(Payment.amount).where(Payment.state == "processing")).all()
            held = held_on(session, [first.account_id, second.account_id])
            session.commit()
        assert len(on_its_way) == 2
        assert sum(one.cents for one in held.values()) == sum(one.cents for one in on_its_way)
        for who in (first, second):
            acts.confirm(world, acts.start(world, who, family=True))
            acts.come_back(world, who)
        world.come_to_rest()
        assert_not_a_cent(judge(world))


def test_a_failure_of_stripes_that_it_keeps_does_not_shut_a_payer_out(backend: Backend) -> None:
    """A customer that could not be made is asked for under another key the next time."""
    with a_world(backend) as world:
        with world.at_work() as session:
            who = patients(session)[0]
        world.stripe.faults.add("error_500", times=2, method="POST", path="/v1/customers")
        assert acts.start(world, who) is None
        world.stripe.faults.clear()
        assert acts.confirm(world, acts.start(world, who))
        acts.come_back(world, who)
        assert not acts.payable(world, [who.account_id])
        assert_not_a_cent(judge(world, at_rest=False))
