"""What a run comes to, in cents: the portal's books held against the stand-in's own store, and against themselves.

*Lost* is what Stripe holds of ours and we have not booked. *Doubled* is what was taken for a line above what its
patient owed. *Unexplained* is everything else that disagrees: booked and not at Stripe, mirror, postings and the back
office. All are sums of sizes, so that two errors never cancel out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.billing.kinds import PATIENT_MONEY, PostingState
from portal.billing.models import Entry, Posting
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.adapters.embedded.models import Book, LedgerLine, LedgerTransaction
from portal.ledger.reconcile import reconcile
from portal.payments.models import Allocation, Booking, BookingPart, Payment, StripeEvent
from portal.payments.state import FINAL
from portal.sandbox.simulation.world import World
from portal.sandbox.stripe import StandIn

#: Where entries of money come from that somebody took in the office: the back office told us of them.
FRONT_DESK = "front_desk"


@dataclass(slots=True)
class Figures:
    """One line of the closing table. ``notes`` say what is wrong, in words."""

    runs: int = 0
    kills: int = 0
    faults: int = 0
    payments: int = 0
    refunds: int = 0
    taken: int = 0
    lost: int = 0
    doubled: int = 0
    unexplained: int = 0
    difference: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        """Whether anything at all is off."""
        return bool(self.lost or self.doubled or self.unexplained or self.difference or self.notes)

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def held_at_stripe(standin: StandIn) -> dict[str, int]:
    """Cents that Stripe holds of each intent: taken, less refunds, less what banks called back."""
    held: dict[str, int] = defaultdict(int)
    intents = {}
    for charge in standin.every("charge", 100_000):
        if charge["status"] == "succeeded" and charge["captured"]:
            held[charge["payment_intent"]] += charge["amount"] - charge["amount_refunded"]
            intents[charge["id"]] = charge["payment_intent"]
    for dispute in standin.every("dispute", 100_000):
        moved = sum(one["amount"] for one in dispute["balance_transactions"])
        held[intents[dispute["charge"]]] += moved
    return dict(held)


def taken_for_lines(session: Session, standin: StandIn) -> dict[int, int]:
    """Cents that Stripe took, or is about to, for each charge, less what went back: by our own allocations."""
    alive = {
        intent["metadata"].get("attempt_id")
        for intent in standin.every("payment_intent", 100_000)
        if intent["status"] in ("succeeded", "processing")
    }
    taken: dict[int, int] = defaultdict(int)
    rows = session.execute(
        sa.select(Payment.public_id, Allocation.charge_id, Allocation.amount).join(
            Allocation, Allocation.payment_id == Payment.id
        )
    )
    for attempt, charge_id, amount in rows:
        if attempt in alive:
            taken[charge_id] += amount.cents
    # Refunds and chargebacks are negative, what came back of them is positive.
    moved = sa.select(BookingPart.charge_id, BookingPart.amount).join(Booking, Booking.id == BookingPart.booking_id)
    for charge_id, amount in session.execute(moved.where(Booking.kind != "payment")):
        taken[charge_id] += amount.cents
    return dict(taken)


def shares(session: Session) -> dict[int, int]:
    """What the patient owes of each charge before any money of theirs, in cents."""
    rows = session.execute(
        sa.select(Entry.charge_id, sa.func.sum(sa.type_coerce(Entry.patient, sa.BigInteger)))
        .where(Entry.kind.not_in(PATIENT_MONEY))
        .group_by(Entry.charge_id)
    )
    return {charge_id: int(cents) for charge_id, cents in rows}


def judge(world: World, *, at_rest: bool = True, shares_move: bool = False) -> Figures:
    """The whole verdict on a world. ``at_rest`` also asks that nothing is under way any more; ``shares_move`` leaves
    out *doubled*, where an insurer may have lessened what was owed after it was paid.
    """
    with world.at_work() as session:
        found = Figures(runs=1)
        found.payments = session.scalars(sa.select(sa.func.count()).select_from(Payment)).one()
        found.refunds = len(world.stripe.every("refund", 100_000))
        _stripe_and_bookings(session, world.stripe, found)
        if not shares_move:
            owed = shares(session)
            for charge_id, cents in taken_for_lines(session, world.stripe).items():
                over = max(0, cents - owed.get(charge_id, 0))
                found.doubled += over
                _note(found, over, f"line {charge_id}: {over} cents above what was owed")
        _mirror_and_bookings(session, found)
        _postings(session, found, at_rest=at_rest)
        result = reconcile(session, EmbeddedLedger(session), world.gateway)
        found.difference = result["total"]["difference_cents"]
        found.notes += [f"reconcile: {one['kind']} {one['difference_cents']}" for one in result["exceptions"]]
        if at_rest:
            _note(found, result["total"]["in_transit_cents"], "in transit at rest")
            _nothing_under_way(session, found)
        session.commit()
    found.notes += [f"{job} raised {error}" for job, error in world.troubles]
    found.notes += [f"Stripe was told more than ids and amounts: {leak}" for leak in world.leaks]
    found.notes += [f"not as Stripe describes it: {problem}" for problem in world.stripe.violations]
    return found


def _note(found: Figures, size: int, words: str) -> None:
    if size:
        found.notes.append(words)


def _stripe_and_bookings(session: Session, standin: StandIn, found: Figures) -> None:
    booked: dict[str, int] = defaultdict(int)
    rows = session.execute(
        sa.select(Payment.stripe_intent_id, Booking.amount).join(Booking, Booking.payment_id == Payment.id)
    )
    for intent_id, amount in rows:
        booked[str(intent_id)] += amount.cents
    held = held_at_stripe(standin)
    found.taken = sum(
        one["amount"] for one in standin.every("charge", 100_000) if one["status"] == "succeeded"
    )
    for intent_id in held.keys() | booked.keys():
        more = held.get(intent_id, 0) - booked.get(intent_id, 0)
        found.lost += max(0, more)
        found.unexplained += max(0, -more)
        _note(found, more, f"intent {intent_id}: Stripe holds {more} cents more than was booked")


def _mirror_and_bookings(session: Session, found: Figures) -> None:
    """The mirror's entries of the patient's money are the bookings' parts, line by line."""
    entered: dict[int, int] = defaultdict(int)
    for charge_id, amount in session.execute(
        sa.select(Entry.charge_id, Entry.patient).where(
            Entry.kind.in_(PATIENT_MONEY), Entry.source != FRONT_DESK
        )
    ):
        entered[charge_id] -= amount.cents
    for charge_id, amount in session.execute(sa.select(BookingPart.charge_id, BookingPart.amount)):
        entered[charge_id] -= amount.cents
    for charge_id, cents in entered.items():
        found.unexplained += abs(cents)
        _note(found, cents, f"line {charge_id}: the mirror has {cents} cents more than was booked")


def _postings(session: Session, found: Figures, *, at_rest: bool) -> None:
    """Each booking has its posting, and each posting that left is in the back office once."""
    booked = {key: amount.cents for key, amount in session.execute(sa.select(Booking.key, Booking.amount))}
    queued = {
        key: (amount.cents, state)
        for key, amount, state in session.execute(
            sa.select(Posting.key, Posting.amount, Posting.state).where(Posting.kind.startswith("patient_"))
        )
    }
    entered: dict[str, list[int]] = defaultdict(list)
    for key, amount in session.execute(
        sa.select(LedgerTransaction.key, LedgerLine.amount)
        .join(LedgerLine, LedgerLine.transaction_id == LedgerTransaction.id)
        .where(LedgerTransaction.kind.startswith("patient_"), LedgerLine.book == Book.CARD_CLEARING)
    ):
        entered[key].append(amount.cents)
    for key in booked.keys() | queued.keys() | entered.keys():
        cents, state = queued.get(key, (0, None))
        there = entered.get(key, [])
        off = abs(booked.get(key, 0) - cents)
        if there or state is PostingState.POSTED or at_rest:
            off += abs(sum(there) - cents) + sum(abs(one) for one in there[1:])
        found.unexplained += off
        _note(found, off, f"posting {key}: booked {booked.get(key)}, queued {cents} ({state}), entered {there}")
    _note(found, EmbeddedLedger(session).unbalanced(), "the back office does not balance")


def _nothing_under_way(session: Session, found: Figures) -> None:
    def count(query: sa.Select[int]) -> int:
        return session.scalar(query) or 0

    how_many = sa.select(sa.func.count())
    _note(
        found,
        count(how_many.select_from(Payment).where(Payment.state.not_in(sorted(FINAL)))),
        "payments under way at rest",
    )
    _note(
        found,
        count(how_many.select_from(StripeEvent).where(StripeEvent.processed_at.is_(None))),
        "events unprocessed at rest",
    )
    _note(
        found,
        count(how_many.select_from(Posting).where(Posting.state != PostingState.POSTED)),
        "postings undelivered at rest",
    )


def total(all_figures: Iterable[Figures]) -> Figures:
    """The sum of several."""
    return sum(all_figures, Figures())
