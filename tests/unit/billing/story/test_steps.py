"""The steps as people read them end at what is due, and a statement's changes at what is due now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from portal.billing.kinds import EntryKind
from portal.billing.story.picture import split_of
from portal.billing.story.steps import Origin, records_in, told_changes, told_steps
from portal.billing.story.trace import since, trace
from portal.billing.story.words import in_short
from portal.money import Money
from tests.unit.billing.story.histories import START, history

SEEDS = st.integers(0, 10**9)


@settings(deadline=None)
@given(SEEDS)
def test_the_running_amount_ends_at_what_is_due(seed: int) -> None:
    entries = history(1, seed)
    steps = told_steps(trace(entries), language="en", origins={})
    due = Money.total(row.patient for row in entries)
    assert steps[-1].running == due == Money.total(step.amount for step in steps)
    running = Money.zero()
    for step in steps:
        running = running + step.amount
        assert step.running == running
    assert sum(step.kind != "with_insurer" for step in steps) == len(entries)
    # Each step has a title, and the record it came from with what is known of it.
    assert all(step.title for step in steps)
    assert [step.record is None for step in steps] == [step.kind == "with_insurer" for step in steps]


@settings(deadline=None)
@given(st.lists(SEEDS, min_size=1, max_size=5), st.integers(0, 60), st.data())
def test_printed_and_what_changed_since_make_what_is_due_now(seeds: list[int], hours: int, data: st.DataObject) -> None:
    lines = [history(number, seed) for number, seed in enumerate(seeds)]
    entries = sorted((row for line in lines for row in line), key=lambda row: (row.created_at, row.charge_id))
    printed_at = START + timedelta(hours=hours)
    was = {
        number: sum(row.patient.cents for row in line if row.created_at and row.created_at <= printed_at)
        for number, line in enumerate(lines)
    }
    asked = {number: cents for number, cents in was.items() if cents > 0}
    on_its_way = {number: data.draw(st.integers(0, cents - 1)) for number, cents in asked.items()}
    printed = {number: Money(cents - on_its_way[number]) for number, cents in asked.items()}
    story = since(entries, printed=printed, printed_at=printed_at)
    assert story.printed == Money.total(printed.values())
    assert story.on_its_way.cents == sum(on_its_way.values())
    assert story.due == Money.total(row.patient for row in entries if row.charge_id in printed)
    assert story.printed + story.on_its_way + Money.total(one.amount for one in story.changes) == story.due
    told = told_changes(story.changes, language="en", origins={})
    assert [(one.amount, one.running) for one in told] == [(one.amount, one.running) for one in story.changes]
    assert not told or told[-1].running == story.due


def test_a_payment_for_several_lines_is_one_change() -> None:
    lines = [history(number, 1) for number in (1, 2)]
    at = max(row.created_at for line in lines for row in line if row.created_at)
    paid = [
        replace(
            line[0],
            kind=EntryKind.PATIENT_PAYMENT,
            insurer=Money(0),
            patient=Money(-500),
            amount=Money(-500),
            source="payment",
            source_id=f"{'ab' * 16}/{line[0].charge_id}",
            created_at=at + timedelta(days=1),
        )
        for line in lines
    ]
    entries = [row for line in lines for row in line] + paid
    story = since(entries, printed={1: Money(1000), 2: Money(1000)}, printed_at=at)
    assert [one.amount for one in story.changes] == [Money(-1000)]


def test_a_payment_names_what_it_was_paid_with_and_stripes_id() -> None:
    entries = next(found for found in (history(1, seed) for seed in range(99)) if records_in(found).get("payment"))
    (first, *_rest) = records_in(entries)["payment"]
    origins = {("payment", first): Origin("Visa ending 4242", "pi_1")}
    steps = told_steps(trace(entries), language="en", origins=origins)
    (record,) = [step.record for step in steps if step.record and step.record.stripe_id]
    assert (record.stripe_id, record.method) == ("pi_1", "Visa ending 4242")
    assert record.text.endswith("Visa ending 4242")
    assert record.reference in record.text


@settings(deadline=None)
@given(SEEDS)
def test_the_short_story_names_every_figure_and_no_other(seed: int) -> None:
    split = split_of(history(1, seed))
    text = " ".join(in_short(split, ["Example Health Plan"]))
    assert f"{split.billed} was billed" in text
    if split.due > Money.zero():
        assert f"So you owe {split.due}." in text
    elif split.due < Money.zero():
        assert f"we owe you {-split.due}." in text
    else:
        assert "you owe nothing now" in text
