"""Proof that the books agree: mirror, back office, our captures and Stripe, account by account, to the cent."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from portal.accounts.queries import account_refs
from portal.billing.kinds import PostingState
from portal.billing.postings import undelivered_keys
from portal.billing.queries import mirror_balances
from portal.ledger.port import Ledger, Snapshot
from portal.money import Money
from portal.payments.gateway import StripeGateway
from portal.payments.queries import captures, customers


@dataclass(slots=True)
class AccountRow:
    """One account's figures, in cents. ``difference_cents`` is the sum of all disagreements, each as a size.

    ``in_transit_cents`` is what we captured and the back office has not been told of yet: known, on its way, and
    therefore no difference. What the back office refused is one.
    """

    account: str
    mirror_cents: int = 0
    ledger_cents: int = 0
    captures_cents: int = 0
    posted_cents: int = 0
    stripe_cents: int = 0
    in_transit_cents: int = 0
    difference_cents: int = 0


def reconcile(
    session: Session,
    ledger: Ledger,
    gateway: StripeGateway,
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, Any]:
    """Compare the four books at zero tolerance.

    Returns ``as_of``, ``accounts`` (one :class:`AccountRow` each), ``total``, ``exceptions`` (what differs, by key)
    and ``agrees``. Payments are matched one by one, so that two errors can't cancel out. May raise
    :class:`LedgerUnreachable` and :class:`StripeUnreachable`.
    """
    refs = account_refs(session)
    mirror = mirror_balances(session)
    snapshots, received = ledger.snapshots(), ledger.received()
    waiting = undelivered_keys(session)
    taken, stripe_customers = captures(session), customers(session)
    as_of = ledger.as_of()
    session.commit()  # nothing is held while Stripe is asked

    rows = {ref: AccountRow(account=ref) for ref in refs.values()}
    exceptions: list[dict[str, Any]] = []

    def differ(account: str, kind: str, key: str, size: int) -> None:
        rows.setdefault(account, AccountRow(account=account)).difference_cents += abs(size)
        exceptions.append({"account": account, "kind": kind, "key": key, "difference_cents": size})

    moving: dict[str, int] = defaultdict(int)
    for key, (account_id, amount, state) in waiting.items():
        if key not in received and state is not PostingState.REJECTED:
            moving[refs[account_id]] += amount.cents

    by_intent = {capture.intent_id: capture for capture in taken}
    at_stripe: dict[str, int] = defaultdict(int)
    for done, (account_id, customer_id) in enumerate(stripe_customers.items(), start=1):
        for charge in gateway.captured(customer_id):
            at_stripe[charge.intent_id] += charge.net.cents
            rows[refs[account_id]].stripe_cents += charge.net.cents
            if charge.intent_id not in by_intent:
                differ(refs[account_id], "taken by Stripe, unknown here", charge.charge_id, charge.net.cents)
        progress(done, len(stripe_customers))

    for capture in taken:
        ref, cents = refs[capture.account_id], capture.amount.cents
        rows[ref].captures_cents += cents
        if at_stripe[capture.intent_id] != cents:
            differ(ref, "captured here, not so at Stripe", capture.public_id, cents - at_stripe[capture.intent_id])
        posted = received.get(capture.public_id)
        if posted is None and (
            capture.public_id not in waiting or waiting[capture.public_id][2] is PostingState.REJECTED
        ):
            differ(ref, "captured here, not in the back office", capture.public_id, cents)
        elif posted is not None:
            rows[ref].posted_cents += posted.cents
            if posted != capture.amount:
                differ(ref, "posted with another amount", capture.public_id, cents - posted.cents)
    for key in received.keys() - {capture.public_id for capture in taken}:
        differ("", "in the back office under our key, unknown here", key, received[key].cents)

    zero = Snapshot(Money.zero(), Money.zero())
    known = {refs[account_id]: balance for account_id, balance in mirror.items()}
    for ref in sorted(rows.keys() | snapshots.keys()):
        row = rows.setdefault(ref, AccountRow(account=ref))
        insurer, patient = known.get(ref, (Money.zero(), Money.zero()))
        books = snapshots.get(ref, zero)
        row.mirror_cents = (insurer + patient).cents
        row.ledger_cents = (books.insurer + books.patient).cents
        row.in_transit_cents = moving[ref]
        if insurer != books.insurer:
            differ(ref, "insurer's balance", ref, (insurer - books.insurer).cents)
        if patient.cents + moving[ref] != books.patient.cents:
            differ(ref, "patient's balance", ref, patient.cents + moving[ref] - books.patient.cents)

    ordered = [rows[ref] for ref in sorted(rows)]
    total = AccountRow(account="")
    for row in ordered:
        for name in _FIGURES:
            setattr(total, name, getattr(total, name) + getattr(row, name))
    return {
        "as_of": as_of.isoformat(timespec="seconds"),
        "agrees": total.difference_cents == 0,
        "total": {name: getattr(total, name) for name in _FIGURES},
        "accounts": [asdict(row) for row in ordered],
        "exceptions": exceptions,
    }


_FIGURES = (
    "mirror_cents",
    "ledger_cents",
    "captures_cents",
    "posted_cents",
    "stripe_cents",
    "in_transit_cents",
    "difference_cents",
)
