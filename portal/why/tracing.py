"""Why an amount is owed, put together: the books' entries, what payments, refunds and disputes they came from, and
what is on its way. The pages and ``portal trace`` read the same. Told in prose in docs/trace.md.

A fixed number of queries, whatever the account's size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from portal.billing.account_queries import entries_of_account, moves_of_account
from portal.billing.entries import EntryRow
from portal.billing.queries import (
    Line,
    VisitRow,
    VisitSummary,
    entries_of_charge,
    entries_of_visit,
    lines_of_account,
    lines_of_visit,
    visits_of_account,
)
from portal.billing.story.picture import Picture, Split, picture, split_of, splits_by
from portal.billing.story.steps import Origin, Origins, ToldStep, records_in, told_changes, told_lines
from portal.billing.story.trace import by_line, since
from portal.disputes.queries import dispute_ids
from portal.explanations.services import service_category
from portal.money import Money
from portal.payments.queries import payment_origins, reserved
from portal.refunds.queries import refund_origins
from portal.statements.queries import PrintedLine, StatementRow, printed_on


@dataclass(frozen=True, slots=True)
class TracedLine:
    """A line from billed to due. ``total`` is what is due after it, with the lines before it."""

    line: Line
    category: str
    steps: list[ToldStep]
    split: Split
    on_its_way: Money
    total: Money

    @property
    def picture(self) -> Picture:
        """Where its money went."""
        return picture(self.split)


@dataclass(frozen=True, slots=True)
class Traced:
    """Lines of one visit or of several, from billed to due; ``split`` is all of them."""

    lines: list[TracedLine]
    split: Split
    on_its_way: Money
    payers: list[str]

    @property
    def picture(self) -> Picture:
        """Where the money of all of them went."""
        return picture(self.split)


def origins_of(session: Session, entries: Iterable[EntryRow]) -> Origins:
    """The payments, refunds and disputes that entries name, with Stripe's ids (up to three queries)."""
    named = records_in(entries)
    found: dict[tuple[str, str], Origin] = {}
    if named.get("payment"):
        for one, (method, stripe_id, by) in payment_origins(session, named["payment"]).items():
            found["payment", one] = Origin(method, stripe_id, by)
    if named.get("refund"):
        for one, (method, stripe_id) in refund_origins(session, named["refund"]).items():
            found["refund", one] = Origin(method, stripe_id)
    if named.get("dispute"):
        for one, stripe_id in dispute_ids(session, named["dispute"]).items():
            found["dispute", one] = Origin("", stripe_id)
    return found


def trace_line(session: Session, line: Line, *, language: str) -> TracedLine:
    """One line."""
    entries = entries_of_charge(session, line.charge_id)
    (found,) = _traced(session, [line], entries, line.account_id, language).lines
    return found


def trace_visit(session: Session, visit: VisitRow, *, language: str) -> Traced:
    """A visit, line by line."""
    lines = lines_of_visit(session, visit.id)
    return _traced(session, lines, entries_of_visit(session, visit.id), visit.account_id, language)


def trace_account(session: Session, account_id: int, *, language: str, user_id: int | None = None) -> Traced:
    """A whole account, line by line, oldest first; with ``user_id``, what this user may see of it."""
    lines = lines_of_account(session, account_id, user_id=user_id)
    return _traced(session, lines, entries_of_account(session, account_id, user_id=user_id), account_id, language)


def _traced(
    session: Session, lines: Sequence[Line], entries: Sequence[EntryRow], account_id: int, language: str
) -> Traced:
    held = reserved(session, account_id)
    steps = told_lines(by_line(entries), language=language, origins=origins_of(session, entries))
    splits = splits_by(entries, lambda entry: entry.charge_id)
    total, traced = Money.zero(), []
    for line in lines:
        split = splits[line.charge_id]
        total = total + split.due
        traced.append(
            TracedLine(
                line=line,
                category=service_category(line.code, line.code_qualifier, line.revenue_code, language),
                steps=steps[line.charge_id],
                split=split,
                on_its_way=held.get(line.charge_id, Money.zero()),
                total=total,
            )
        )
    return Traced(
        lines=traced,
        split=Split.total(one.split for one in traced),
        on_its_way=Money.total(one.on_its_way for one in traced),
        payers=payers_in(entries),
    )


def payers_in(entries: Iterable[EntryRow]) -> list[str]:
    """The insurers that decided, by name, in the order they did."""
    return list(dict.fromkeys(entry.payer_name for entry in entries if entry.payer_name))


@dataclass(frozen=True, slots=True)
class VisitShare:
    """What a visit adds to what an account owes; ``total`` is what is due after it, with the visits before it."""

    summary: VisitSummary
    split: Split
    total: Money


@dataclass(frozen=True, slots=True)
class AccountStory:
    """An account visit by visit, those with something due first, newest first."""

    visits: list[VisitShare]
    split: Split
    on_its_way: Money

    @property
    def on_hold(self) -> Money:
        """What of it is owed, but held: nobody is asked for it now."""
        return Money.total(one.summary.on_hold for one in self.visits)

    @property
    def on_plan(self) -> Money:
        """What of it a payment plan pays: nobody is asked for it besides."""
        return Money.total(one.summary.on_plan for one in self.visits)

    @property
    def picture(self) -> Picture:
        """Where the money of the whole account went."""
        return picture(self.split)


def account_story(session: Session, account_id: int, *, user_id: int) -> AccountStory:
    """What a user may see of an account, visit by visit (four queries)."""
    lines = lines_of_account(session, account_id, user_id=user_id)
    visits = visits_of_account(session, account_id, user_id=user_id, lines_at_hand=lines)
    splits = splits_by(moves_of_account(session, account_id, user_id=user_id), lambda move: move.visit_id)
    held = reserved(session, account_id)
    shares, total = [], Money.zero()
    # The sort is stable: both parts stay newest first.
    for summary in sorted(visits, key=lambda one: not one.due and not one.with_insurer):
        split = splits.get(summary.visit.id, Split.of_cents({}))
        total = total + split.due
        shares.append(VisitShare(summary, split, total))
    return AccountStory(
        visits=shares,
        split=Split.total(splits.values()),
        on_its_way=Money.total(held[line.charge_id] for line in lines if line.charge_id in held),
    )


@dataclass(frozen=True, slots=True)
class StatementLine:
    """A line of a statement: what was printed, and what is due on it now. ``line`` is None where it can't be told."""

    printed: PrintedLine
    line: Line | None
    due: Money


@dataclass(frozen=True, slots=True)
class StatementStory:
    """What became of a statement: ``printed`` + ``was_on_its_way`` + the changes = ``due``.

    ``payable`` is what of it may be asked for now, ``elsewhere`` what else the account owes.
    """

    printed: Money
    printed_at: datetime
    was_on_its_way: Money
    changes: list[ToldStep]
    due: Money
    payable: Money
    on_its_way: Money
    elsewhere: Money
    lines: list[StatementLine]
    split: Split
    payers: list[str]

    @property
    def not_found(self) -> Money:
        """What was printed for lines that the books no longer know by that name."""
        return Money.total(one.printed.amount for one in self.lines if one.line is None)

    @property
    def picture(self) -> Picture:
        """Where the money of the statement's lines went."""
        return picture(self.split)


def statement_story(session: Session, statement: StatementRow, *, language: str) -> StatementStory:
    """A statement from what was printed to what is due on its lines now, for whoever may see the whole account."""
    known = lines_of_account(session, statement.account_id)
    printed = printed_on(session, statement.id)
    listed = _found_again(printed.lines, known)
    asked: dict[int, Money] = {}
    for one, line in listed:
        if line is not None:
            asked[line.charge_id] = asked.get(line.charge_id, Money.zero()) + one.amount
    entries = [one for one in entries_of_account(session, statement.account_id) if one.charge_id in asked]
    story = since(entries, printed=asked, printed_at=printed.at)
    changes = told_changes(story.changes, language=language, origins=origins_of(session, entries))
    held = reserved(session, statement.account_id)
    mine = [line for line in known if line.charge_id in asked]
    return StatementStory(
        printed=story.printed,
        printed_at=printed.at,
        was_on_its_way=story.on_its_way,
        changes=changes,
        due=story.due,
        payable=Money.total(
            max(line.payable - held.get(line.charge_id, Money.zero()), Money.zero()) for line in mine
        ),
        on_its_way=Money.total(held.get(line.charge_id, Money.zero()) for line in mine),
        elsewhere=Money.total(line.sums.due for line in known if line.charge_id not in asked),
        lines=[StatementLine(one, line, line.sums.due if line else Money.zero()) for one, line in listed],
        split=split_of(entries),
        payers=payers_in(entries),
    )


def _found_again(printed: Sequence[PrintedLine], known: Sequence[Line]) -> list[tuple[PrintedLine, Line | None]]:
    """Each printed line with the line it was. A statement that does not name it is matched by visit, day and words."""
    by_id = {line.public_id: line for line in known}
    named = {one.charge for one in printed}
    found: list[tuple[PrintedLine, Line | None]] = []
    taken: set[str] = set()
    for one in printed:
        line = by_id.get(one.charge)
        if line is None:
            alike = (
                other
                for other in known
                if (other.visit_public_id, other.description, other.service_on)
                == (one.visit, one.description, one.service_on)
                and other.public_id not in taken | named
            )
            line = next(alike, None)
        if line is not None:
            taken.add(line.public_id)
        found.append((one, line))
    return found
