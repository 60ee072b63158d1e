"""Proof that the books agree: mirror, back office, our bookings, Stripe and its payouts, account by account, to a cent.

Each book is read in a moment of its own while payments go on, so that one being settled just then shows as a
difference. What differs is therefore read again, at Stripe too, and counts when it still differs.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.queries import account_refs
from portal.billing.kinds import PostingState
from portal.billing.postings import undelivered_keys
from portal.billing.queries import mirror_balances
from portal.ledger.at_stripe import AtStripe, ask_again, read_stripe
from portal.ledger.port import Ledger, Snapshot
from portal.money import Money
from portal.payments.gateway import StripeGateway
from portal.payments.queries import Moved, Unsettled, customer_ids, moved, unbooked, unsettled
from portal.payments.state import PaymentState
from portal.payouts.queries import odd, totals
from portal.payouts.words import ODDITIES

#: What differs and what to do about it, in the order in which somebody should look.
SUGGESTIONS = {
    "taken, not booked": "A payment's state and its bookings contradict each other. Tell the operator; change nothing.",
    "taken by Stripe, unknown here": "The worker settles a payment that it finds at Stripe within minutes. If it "
    "stays, look it up in Stripe's dashboard and refund it there. Do not enter it in the back office: it would be "
    "there twice when it is found later.",
    "booked here, not so at Stripe": "Compare the payment with Stripe's dashboard: a refund or dispute made there may "
    "still be on its way here. If it stays for a day, tell the operator.",
    "booked here, not in the back office": "Open Sync on the desk and try the posting again; its last error says why.",
    "taken by Stripe, not settled here": "The payment is known here and was not settled in time. Look whether the "
    "worker runs; a payment that Stripe and the portal tell differently is on the desk under Webhooks.",
    "posted with another amount": "Correct the transaction in the back office to the amount that was booked here.",
    "in the back office under our key, unknown here": "The back office has a posting that the portal did not make. "
    "Find out who entered it, and reverse it there.",
    "insurer's balance": "Compare the account's insurer side with the remittances loaded on the desk; one may be "
    "quarantined, or entered manually in the back office.",
    "patient's balance": "Compare the account with the back office: something was entered on one side only.",
}

#: The webhook or the sweep, which looks every five minutes, has settled by then what Stripe took.
SETTLED_WITHIN = timedelta(minutes=15)
#: A run a month sees every movement at Stripe once, and some twice.
WINDOW_DAYS = 35
#: How often what differs is read again before it counts.
_ROUNDS = 3


@dataclass(slots=True)
class AccountRow:
    """One account's figures, in cents. ``difference_cents`` is the sum of all disagreements, each as a size.

    ``captures_cents`` is what the portal has taken, less what it gave back and what banks called back;
    ``in_transit_cents`` is what of it we booked and the back office has not been told of yet: known, on its way, and
    therefore no difference. What the back office refused is one. ``settling_cents`` is what Stripe has just taken for
    payments that are being settled. ``stripe_cents`` is what we booked, corrected by what Stripe was found to say.
    """

    account: str
    mirror_cents: int = 0
    ledger_cents: int = 0
    captures_cents: int = 0
    posted_cents: int = 0
    stripe_cents: int = 0
    in_transit_cents: int = 0
    settling_cents: int = 0
    difference_cents: int = 0


@dataclass(frozen=True, slots=True)
class _Difference:
    account: str
    kind: str
    key: str
    size: int
    #: Where Stripe has a part in it: the intent, or the charge that has none.
    at_stripe: str = ""

    @property
    def name(self) -> tuple[str, str, str]:
        return self.account, self.kind, self.key


@dataclass(slots=True)
class _Local:
    """Our side and the back office's, read at one moment."""

    refs: dict[int, str]
    mirror: dict[int, tuple[Money, Money]]
    snapshots: dict[str, Snapshot]
    received: dict[str, Money]
    waiting: dict[str, tuple[int, Money, PostingState]]
    booked: list[Moved]
    missing: list[tuple[str, int]]
    unsettled: dict[str, Unsettled]
    as_of: datetime


def window_begins(day: str, timezone: str) -> datetime | None:
    """When the window of what Stripe is asked about begins: the midnight of ``day`` at the clinic, in UTC.

    ``day`` is as 2026-11-30, empty for the last :data:`WINDOW_DAYS`, or "all", which has no beginning (None). Raises
    :class:`ValueError`.
    """
    if day == "all":
        return None
    first = clock.today(timezone) - timedelta(days=WINDOW_DAYS)
    if day:
        try:
            first = date.fromisoformat(day if len(day) == 10 and day[4] == "-" else "")  # no weeks, no 20261130
        except ValueError:
            raise ValueError("a day as 2026-11-30, or 'all'") from None
        if first > clock.today(timezone):
            raise ValueError("that day is yet to come: nothing would be compared")
    return datetime.combine(first, time(), ZoneInfo(timezone)).astimezone(UTC)


def reconcile(
    session: Session,
    ledger: Ledger,
    gateway: StripeGateway,
    *,
    since: datetime | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, Any]:
    """Compare the books at zero tolerance.

    ``since`` (UTC) limits what Stripe is asked: each payment of which anything moved since then, here or at Stripe, is
    compared whole, however old it is; None asks for all there ever was. Everything else is always compared whole.

    Returns ``as_of``, ``since``, ``accounts`` (one :class:`AccountRow` each), ``total``, ``payouts`` (all of Stripe's,
    with what does not fit in them), ``exceptions`` (what differs, by key, with a suggestion) and ``agrees``. Bookings
    are matched payment by payment, so that two errors can't cancel out. May raise :class:`LedgerUnreachable` and
    :class:`StripeUnreachable`.
    """
    our_customers = customer_ids(session)
    local = _read(session, ledger)
    stripe = read_stripe(
        gateway,
        since=since,
        customers=our_customers,
        charges_here={one.charge_id for one in local.booked if since and one.booked_at >= since and one.charge_id},
        # The sweep has been failing on these: Stripe may have taken their money before the window began.
        intents_here={one.intent_id for one in local.unsettled.values() if since and one.created_at < since},
        progress=progress,
    )
    rows, differences = _compare(local, stripe)
    for _round in range(_ROUNDS - 1):
        if not differences:
            break
        before = {one.name for one in differences}
        names = {one.at_stripe for one in differences if one.at_stripe}
        charges = {one.intent_id: one.charge_id for one in local.booked if one.intent_id in names and one.charge_id}
        ask_again(gateway, stripe, names, charges)
        local = _read(session, ledger)
        rows, found = _compare(local, stripe)
        differences = [one for one in found if one.name in before]
    payouts = _payouts(session)

    for one in differences:
        rows.setdefault(one.account, AccountRow(account=one.account)).difference_cents += abs(one.size)
    ordered = [rows[ref] for ref in sorted(rows)]
    total = AccountRow(account="")
    for row in ordered:
        for name in _FIGURES:
            setattr(total, name, getattr(total, name) + getattr(row, name))
    return {
        "as_of": local.as_of.isoformat(timespec="seconds"),
        "since": since.isoformat(timespec="seconds") if since else None,
        "agrees": total.difference_cents == 0 and payouts["difference_cents"] == 0,
        "total": {name: getattr(total, name) for name in _FIGURES},
        "payouts": payouts,
        "accounts": [asdict(row) for row in ordered],
        "exceptions": [
            {
                "account": one.account,
                "kind": one.kind,
                "key": one.key,
                "difference_cents": one.size,
                "suggestion": SUGGESTIONS[one.kind],
            }
            for one in differences
        ],
    }


def _read(session: Session, ledger: Ledger) -> _Local:
    local = _Local(
        refs=account_refs(session),
        mirror=mirror_balances(session),
        snapshots=ledger.snapshots(),
        received=ledger.received(),
        waiting=undelivered_keys(session),
        booked=moved(session),
        missing=unbooked(session),
        unsettled=unsettled(session),
        as_of=ledger.as_of(),
    )
    session.commit()  # nothing is held while Stripe is asked
    return local


def _compare(local: _Local, stripe: AtStripe) -> tuple[dict[str, AccountRow], list[_Difference]]:
    """Every account's figures, and everything that differs."""
    refs, received, waiting = local.refs, local.received, local.waiting
    rows = {ref: AccountRow(account=ref) for ref in refs.values()}
    differences = [_Difference("", "taken, not booked", key, cents) for key, cents in local.missing]

    moving: dict[str, int] = defaultdict(int)
    for key, (account_id, amount, state) in waiting.items():
        if key not in received and state is not PostingState.REJECTED:
            moving[refs[account_id]] += amount.cents

    ours: dict[str, list[Moved]] = defaultdict(list)
    for one in local.booked:
        ours[one.intent_id].append(one)
    for name in stripe.held.keys() - ours.keys():
        cents = stripe.held[name]
        payment = local.unsettled.get(name) or local.unsettled.get(stripe.attempts.get(name, ""))
        if not cents:
            continue
        if payment is None:
            differences.append(_Difference("", "taken by Stripe, unknown here", name, cents, at_stripe=name))
        elif _is_being_settled(payment, stripe.taken_at.get(name)):
            rows[refs[payment.account_id]].settling_cents += cents
        else:
            home = refs[payment.account_id]
            differences.append(_Difference(home, "taken by Stripe, not settled here", name, cents, at_stripe=name))
    for intent_id, movements in ours.items():
        for one in movements:
            rows[refs[one.account_id]].stripe_cents += one.amount.cents
        if not stripe.was_asked_about(intent_id, movements):
            continue
        more = sum(one.amount.cents for one in movements) - stripe.held.get(intent_id, 0)
        if more:
            home = refs[movements[0].account_id]
            rows[home].stripe_cents -= more
            differences.append(
                _Difference(home, "booked here, not so at Stripe", movements[0].key, more, at_stripe=intent_id)
            )

    for one in local.booked:
        ref, cents = refs[one.account_id], one.amount.cents
        rows[ref].captures_cents += cents
        posted = received.get(one.key)
        if posted is None and (one.key not in waiting or waiting[one.key][2] is PostingState.REJECTED):
            differences.append(_Difference(ref, "booked here, not in the back office", one.key, cents))
        elif posted is not None:
            rows[ref].posted_cents += posted.cents
            if posted != one.amount:
                differences.append(_Difference(ref, "posted with another amount", one.key, cents - posted.cents))
    for key in received.keys() - {one.key for one in local.booked}:
        differences.append(
            _Difference("", "in the back office under our key, unknown here", key, received[key].cents)
        )

    zero = Snapshot(Money.zero(), Money.zero())
    known = {refs[account_id]: balance for account_id, balance in local.mirror.items()}
    for ref in sorted(rows.keys() | local.snapshots.keys()):
        row = rows.setdefault(ref, AccountRow(account=ref))
        insurer, patient = known.get(ref, (Money.zero(), Money.zero()))
        books = local.snapshots.get(ref, zero)
        row.mirror_cents = (insurer + patient).cents
        row.ledger_cents = (books.insurer + books.patient).cents
        row.in_transit_cents = moving[ref]
        if insurer != books.insurer:
            differences.append(_Difference(ref, "insurer's balance", ref, (insurer - books.insurer).cents))
        if patient.cents + moving[ref] != books.patient.cents:
            size = patient.cents + moving[ref] - books.patient.cents
            differences.append(_Difference(ref, "patient's balance", ref, size))
    return rows, differences


def _is_being_settled(payment: Unsettled, taken_at: datetime | None) -> bool:
    """Whether a payment that Stripe took is on its way into our books: it was taken, or looked at, a moment ago.

    A bank debit was begun days before its money came, so that it counts when Stripe was last asked about it.
    """
    latest = payment.checked_at if payment.state is PaymentState.PROCESSING else taken_at
    return latest is not None and clock.now() - latest < SETTLED_WITHIN


def _payouts(session: Session) -> dict[str, Any]:
    """Stripe's payouts as they were read last, and what nobody has explained about them."""
    sums, odds = totals(session), odd(session)
    session.commit()
    return {
        "count": sums.count,
        "gross_cents": sums.gross_cents,
        "fee_cents": sums.fee_cents,
        "net_cents": sums.net_cents,
        "difference_cents": sum(abs(one.difference_cents) for one in odds),
        "exceptions": [
            {
                "kind": one.kind.value,
                "key": one.key,
                "difference_cents": one.difference_cents,
                "suggestion": str(ODDITIES[one.kind].suggestion),
            }
            for one in odds
        ],
    }


_FIGURES = (
    "mirror_cents",
    "ledger_cents",
    "captures_cents",
    "posted_cents",
    "stripe_cents",
    "in_transit_cents",
    "settling_cents",
    "difference_cents",
)
