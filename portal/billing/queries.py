"""Reading the mirror. A fixed number of queries whatever the account's size; columns, not entities."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.access import visible
from portal.accounts.joins import ACCOUNT, PATIENT
from portal.accounts.names import in_any_case
from portal.billing.balance import LineState, LineSums, payable, state_of
from portal.billing.entries import EntryRow
from portal.billing.joins import accounts_with_entries_since, accounts_with_holds_since, is_held
from portal.billing.kinds import PATIENT_MONEY, EntryKind, HoldReason
from portal.billing.models import Charge, Claim, Entry, Hold, Visit
from portal.db import MoneyType, RecordNotFound
from portal.money import Money


@dataclass(frozen=True, slots=True)
class Line:
    """A charge with its sums, its visit and its patient."""

    charge_id: int
    public_id: str
    visit_id: int
    visit_public_id: str
    account_id: int
    patient_name: str
    whole_visit: bool
    service_on: date | None
    code: str
    code_qualifier: str
    modifiers: tuple[str, ...]
    revenue_code: str
    description: str
    units: str
    held: bool
    on_plan: bool
    sums: LineSums

    @property
    def state(self) -> LineState:
        """Where the line stands."""
        return state_of(self.sums, held=self.held, on_plan=self.on_plan)

    @property
    def payable(self) -> Money:
        """What may be asked for now; a line on a payment plan is not asked for besides its installments."""
        return payable(self.sums, held=self.held, on_plan=self.on_plan)

    @property
    def collectable(self) -> Money:
        """What may be taken now: what may be asked for, also where it is asked for in installments."""
        return payable(self.sums, held=self.held)


@dataclass(frozen=True, slots=True)
class VisitRow:
    """A visit's heading."""

    id: int
    public_id: str
    account_id: int
    account_public_id: str
    ref: str
    patient_name: str
    started_on: date | None
    ended_on: date | None
    provider_name: str


@dataclass(frozen=True, slots=True)
class VisitSummary:
    """A visit with what its lines come to, for lists."""

    visit: VisitRow
    due: Money
    payable: Money
    with_insurer: Money
    on_hold: Money
    on_plan: Money
    billed: Money
    state: LineState


def _sum(column: Any, *, when: Any = None, sign: int = 1) -> Any:
    value = sign * sa.type_coerce(column, sa.BigInteger)
    if when is not None:
        value = sa.case((when, value), else_=0)
    return sa.type_coerce(sa.func.coalesce(sa.func.sum(value), 0), MoneyType)


#: CLP02 of a claim that undoes an earlier decision.
REVERSED = "22"

_IS_PAYMENT = Entry.kind.in_(PATIENT_MONEY)
_IS_LINE_HELD = is_held(Charge.id)


def _lines(condition: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    sums = (
        sa.select(
            Entry.charge_id.label("charge_id"),
            _sum(Entry.amount, when=Entry.kind == EntryKind.CHARGE).label("billed"),
            _sum(Entry.amount, when=Entry.kind == EntryKind.ADJUSTMENT, sign=-1).label("adjusted"),
            _sum(Entry.amount, when=Entry.kind == EntryKind.INSURER_PAYMENT, sign=-1).label("insurer_paid"),
            _sum(Entry.patient, when=sa.not_(_IS_PAYMENT)).label("share"),
            _sum(Entry.patient, when=_IS_PAYMENT, sign=-1).label("paid"),
            _sum(Entry.insurer).label("with_insurer"),
        )
        .join(Charge, Charge.id == Entry.charge_id)
        .join(Visit, Visit.id == Charge.visit_id)
        .where(condition)
        .group_by(Entry.charge_id)
        .subquery()
    )
    return (
        sa.select(
            Charge.id,
            Charge.public_id,
            Visit.id,
            Visit.public_id,
            Visit.account_id,
            PATIENT.c.given_name,
            PATIENT.c.family_name,
            Charge.whole_visit,
            Charge.service_on,
            Charge.code,
            Charge.code_qualifier,
            Charge.modifiers,
            Charge.revenue_code,
            Charge.description,
            Charge.units,
            _IS_LINE_HELD,
            Charge.on_plan,
            sums.c.billed,
            sums.c.adjusted,
            sums.c.insurer_paid,
            sums.c.share,
            sums.c.paid,
            sums.c.with_insurer,
        )
        .join(Visit, Visit.id == Charge.visit_id)
        .join(PATIENT, PATIENT.c.id == Visit.patient_id)
        .join(sums, sums.c.charge_id == Charge.id)
        .where(condition)
        # Oldest first: the order in which payments are allocated.
        .order_by(
            sa.func.coalesce(Charge.service_on, Visit.started_on, date(1900, 1, 1)), Visit.id, Charge.ordinal
        )
    )


def _line(row: Any) -> Line:
    return Line(
        charge_id=row[0],
        public_id=row[1],
        visit_id=row[2],
        visit_public_id=row[3],
        account_id=row[4],
        patient_name=f"{row[5]} {row[6]}".strip(),
        whole_visit=row[7],
        service_on=row[8],
        code=row[9],
        code_qualifier=row[10],
        modifiers=tuple(row[11].split()),
        revenue_code=row[12],
        description=row[13],
        units=row[14],
        held=row[15],
        on_plan=row[16],
        sums=LineSums(*row[17:23]),
    )


def on_account(account_id: int, user_id: int | None) -> sa.ColumnElement[bool]:
    """The condition for what is on an account's visits; with ``user_id``, what this user may see of it."""
    condition = Visit.account_id == account_id
    if user_id is None:
        return condition
    return sa.and_(condition, visible(user_id, Visit.account_id, Visit.patient_id))


@cache
def _lines_of_account() -> sa.Select[*tuple[Any, ...]]:
    """Built once: jobs ask it for every account they look at, and building it takes longer than its answer."""
    return _lines(Visit.account_id == sa.bindparam("account_id"))


def lines_of_account(session: Session, account_id: int, *, user_id: int | None = None) -> list[Line]:
    """An account's lines, oldest first; with ``user_id``, those this user may see."""
    if user_id is None:
        return [_line(row) for row in session.execute(_lines_of_account(), {"account_id": account_id})]
    return [_line(row) for row in session.execute(_lines(on_account(account_id, user_id)))]


def lines_of_visit(session: Session, visit_id: int) -> list[Line]:
    """A visit's lines, oldest first."""
    return [_line(row) for row in session.execute(_lines(Visit.id == visit_id))]


def lines_of_charges(session: Session, charge_ids: Iterable[int]) -> list[Line]:
    """These lines, whosever they are, oldest first; for jobs and staff."""
    return [_line(row) for row in session.execute(_lines(Charge.id.in_(list(charge_ids))))]


_VISIT = (
    Visit.id,
    Visit.public_id,
    Visit.account_id,
    ACCOUNT.c.public_id,
    Visit.ref,
    PATIENT.c.given_name + " " + PATIENT.c.family_name,
    Visit.started_on,
    Visit.ended_on,
    Visit.provider_name,
)


def _visits() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(*_VISIT)
        .join(PATIENT, PATIENT.c.id == Visit.patient_id)
        .join(ACCOUNT, ACCOUNT.c.id == Visit.account_id)
    )


def visit_for(session: Session, public_id: str, *, user_id: int | None) -> VisitRow:
    """One visit by its public id; ``user_id`` None is staff. Raises :class:`RecordNotFound`."""
    query = _visits().where(Visit.public_id == public_id)
    if user_id is not None:
        query = query.where(visible(user_id, Visit.account_id, Visit.patient_id))
    row = session.execute(query).first()
    if row is None:
        raise RecordNotFound("visit")
    return VisitRow(*row)


def line_for(session: Session, public_id: str, *, user_id: int | None) -> Line:
    """One line by its charge's public id; ``user_id`` None is staff. Raises :class:`RecordNotFound`."""
    condition = Charge.public_id == public_id
    if user_id is not None:
        condition = sa.and_(condition, visible(user_id, Visit.account_id, Visit.patient_id))
    row = session.execute(_lines(condition)).first()
    if row is None:
        raise RecordNotFound("charge")
    return _line(row)


def accounts_of_charges(session: Session, charge_ids: Iterable[int]) -> dict[int, int]:
    """The account of each charge, by charge id."""
    rows = session.execute(
        sa.select(Charge.id, Visit.account_id)
        .join(Visit, Visit.id == Charge.visit_id)
        .where(Charge.id.in_(list(charge_ids)))
    )
    return dict(rows.all())


def line_names(session: Session, charge_ids: Iterable[int]) -> dict[int, tuple[str, date | None, str]]:
    """What to call lines (description, day, patient's name), by charge id."""
    rows = session.execute(
        sa.select(Charge.id, Charge.description, Charge.service_on, PATIENT.c.given_name + " " + PATIENT.c.family_name)
        .join(Visit, Visit.id == Charge.visit_id)
        .join(PATIENT, PATIENT.c.id == Visit.patient_id)
        .where(Charge.id.in_(list(charge_ids)))
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def visits_of_account(
    session: Session, account_id: int, *, user_id: int | None = None, lines_at_hand: Sequence[Line] | None = None
) -> list[VisitSummary]:
    """An account's visits, newest first, each with its sums (two queries, or one with its lines at hand)."""
    query = _visits().where(Visit.account_id == account_id)
    if user_id is not None:
        query = query.where(visible(user_id, Visit.account_id, Visit.patient_id))
    lines: dict[int, list[Line]] = {}
    if lines_at_hand is None:
        lines_at_hand = lines_of_account(session, account_id, user_id=user_id)
    for line in lines_at_hand:
        lines.setdefault(line.visit_id, []).append(line)
    rows = [VisitRow(*row) for row in session.execute(query)]
    rows.sort(key=lambda visit: (visit.started_on or date.min, visit.id), reverse=True)
    return [summary(visit, lines.get(visit.id, [])) for visit in rows]


def summary(visit: VisitRow, lines: list[Line]) -> VisitSummary:
    """What a visit's lines come to; its state is that of the line that asks most of the reader."""
    states = {line.state for line in lines}
    order = (
        LineState.PAYABLE,
        LineState.ON_PLAN,
        LineState.ON_HOLD,
        LineState.WITH_INSURER,
        LineState.CREDIT,
        LineState.SETTLED,
    )
    return VisitSummary(
        visit=visit,
        due=Money.total(line.sums.due for line in lines),
        payable=Money.total(line.payable for line in lines),
        with_insurer=Money.total(line.sums.with_insurer for line in lines),
        on_hold=Money.total(line.sums.due for line in lines if line.state is LineState.ON_HOLD),
        on_plan=Money.total(line.sums.due for line in lines if line.state is LineState.ON_PLAN),
        billed=Money.total(line.sums.billed for line in lines),
        state=next((state for state in order if state in states), LineState.SETTLED),
    )


def entries_of_visit(session: Session, visit_id: int) -> list[EntryRow]:
    """A visit's entries in the order they were written, with their sources' names."""
    return entries_where(session, Charge.visit_id == visit_id)


def entries_of_charge(session: Session, charge_id: int) -> list[EntryRow]:
    """One line's entries in the order they were written, with their sources' names."""
    return entries_where(session, Entry.charge_id == charge_id)


def entries_where(session: Session, condition: sa.ColumnElement[bool]) -> list[EntryRow]:
    """The entries of lines for which ``condition`` holds, in the order they were written, with their sources' names."""
    rows: Any = session.execute(
        sa.select(
            Entry.charge_id,
            Entry.kind,
            Entry.amount,
            Entry.insurer,
            Entry.patient,
            Entry.stated,
            Entry.group_code,
            Entry.reason_code,
            Entry.remark_codes,
            Entry.effective_on,
            Entry.source,
            Entry.source_id,
            sa.func.coalesce(Claim.payer_name, ""),
            sa.func.coalesce(Claim.payer_claim_ref, ""),
            sa.func.coalesce(Claim.trace_number, ""),
            sa.func.coalesce(Claim.file_name, ""),
            Claim.id,
            sa.func.coalesce(Claim.status_code, "") == REVERSED,
            Entry.created_at,
        )
        .join(Charge, Charge.id == Entry.charge_id)
        .join(Visit, Visit.id == Charge.visit_id)
        .join(Claim, Claim.id == Entry.claim_id, isouter=True)
        .where(condition)
        .order_by(Entry.id)
    )
    return [EntryRow(*(*row[:8], tuple(row[8].split()), *row[9:])) for row in rows]


def mirror_balances(session: Session) -> dict[int, tuple[Money, Money]]:
    """Each account's (insurer, patient) balance in the mirror, for reconciling."""
    rows = session.execute(
        sa.select(Entry.account_id, _sum(Entry.insurer), _sum(Entry.patient)).group_by(Entry.account_id)
    )
    return {account_id: (insurer, patient) for account_id, insurer, patient in rows}


def visit_refs(session: Session, charge_ids: Iterable[int]) -> dict[int, str]:
    """The back office's visit number of each charge, by charge id."""
    rows = session.execute(
        sa.select(Charge.id, Visit.ref)
        .join(Visit, Visit.id == Charge.visit_id)
        .where(Charge.id.in_(list(charge_ids)))
    )
    return dict(rows.all())


def find_visit(session: Session, *, ref: str, family_name: str, given_name: str) -> tuple[int, int] | None:
    """The (account, patient) ids of the visit numbered ``ref`` of a patient of that name; None unless it is one."""
    patients = session.execute(
        sa.select(PATIENT.c.account_id, PATIENT.c.id, PATIENT.c.family_name, PATIENT.c.given_name)
        .join(Visit, Visit.patient_id == PATIENT.c.id)
        .where(Visit.ref == ref)
        .order_by(Visit.id)
    )
    wanted = in_any_case(family_name, given_name)
    found = {(row[0], row[1]) for row in patients if in_any_case(row[2], row[3]) == wanted}
    return found.pop() if len(found) == 1 else None


def payers_of(session: Session, *, account_id: int, ref: str) -> set[str]:
    """The payers that have decided about the visit numbered ``ref`` of an account."""
    rows = session.scalars(
        sa.select(Claim.payer_name)
        .join(Visit, Visit.id == Claim.visit_id)
        .where(Visit.account_id == account_id, Visit.ref == ref)
    )
    return set(rows)


def kinds_of_entries_since(session: Session, charge_ids: Iterable[int], *, since: datetime) -> set[EntryKind]:
    """What kinds of entries came to these lines at or after ``since`` (UTC)."""
    return set(
        session.scalars(
            sa.select(Entry.kind)
            .where(Entry.charge_id.in_(list(charge_ids)), Entry.created_at >= since)
            .distinct()
        )
    )


def holds_since(session: Session, charge_ids: Iterable[int], *, since: datetime) -> tuple[bool, bool]:
    """Whether a hold was placed on one of these lines at or after ``since`` (UTC), and whether one was released."""
    placed, released = session.execute(
        sa.select(
            sa.func.count(sa.case((Hold.placed_at >= since, 1))), sa.func.count(sa.case((Hold.released_at >= since, 1)))
        ).where(Hold.charge_id.in_(list(charge_ids)))
    ).one()
    return placed > 0, released > 0


def hold_reasons(session: Session, charge_ids: Iterable[int]) -> dict[int, HoldReason]:
    """Why nobody may be asked for these lines, by charge id: of several holds the latest that still stands."""
    rows = session.execute(
        sa.select(Hold.charge_id, Hold.reason)
        .where(Hold.charge_id.in_(list(charge_ids)), Hold.released_at.is_(None))
        .order_by(Hold.id)
    )
    return dict(rows.all())


def accounts_moved_since(session: Session, since: datetime) -> dict[int, datetime]:
    """The accounts on which an entry was written, or a hold placed or released, since then: when last (UTC)."""
    entries = (
        accounts_with_entries_since(since).add_columns(sa.func.max(Entry.created_at)).group_by(Entry.account_id)
    )
    held = (
        accounts_with_holds_since(since)
        .add_columns(sa.func.max(sa.func.coalesce(Hold.released_at, Hold.placed_at)))
        .group_by(Visit.account_id)
    )
    moved: dict[int, datetime] = {}
    for account_id, at in [*session.execute(entries), *session.execute(held)]:
        moved[account_id] = max(at, moved.get(account_id, at))
    return moved
