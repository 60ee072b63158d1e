"""The facts of accounts' bills for the safety checks. A fixed number of queries whatever the accounts' size."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.joins import ACCOUNT, PATIENT
from portal.billing.checks.facts import (
    ZERO,
    Bill,
    ClaimFact,
    CoverageFact,
    CreditFact,
    EntryFact,
    LineFact,
)
from portal.billing.kinds import PATIENT_MONEY, Check, FindingState
from portal.billing.models import (
    Charge,
    CheckFinding,
    Claim,
    Coverage,
    DeskPayment,
    Entry,
    Estimate,
    Hold,
    Visit,
)
from portal.money import Money

#: Sources of entries that the portal itself wrote.
_OWN = frozenset({"payment", "refund", "dispute"})


@dataclass(frozen=True, slots=True)
class _Visit:
    id: int
    account_id: int
    account_ref: str
    ref: str
    patient_id: int
    patient: tuple[str, str]
    provider: str
    started_on: date | None

    @property
    def order(self) -> tuple[date, int]:
        return self.started_on or date.min, self.id


def bills_of(session: Session, account_ids: Sequence[int]) -> Iterator[tuple[int, Bill]]:
    """Every bill of the accounts with its account's id, the oldest first. Nine queries."""
    visits = _visits(session, account_ids)
    entries, decided = _entries(session, account_ids)
    lines = _lines(session, account_ids, visits, entries)
    claims = _claims(session, account_ids, decided)
    refs = sorted({visit.account_ref for visit in visits.values()})
    estimates, paid = _estimates(session, refs), _desk_payments(session, refs)
    coverages = _coverages(session, refs)
    credits = _credits(session, account_ids, visits, lines)
    earlier: dict[tuple[int, str, date | None], list[LineFact]] = defaultdict(list)
    for visit in sorted(visits.values(), key=lambda one: one.order):
        own = tuple(lines[visit.id])
        name = (visit.account_ref, visit.ref)
        # Only what was done on the same days can be the same.
        days = {(visit.patient_id, visit.provider, line.service_on) for line in own}
        bill = Bill(
            lines=own,
            ref=visit.ref,
            claims=tuple(claims[visit.id]),
            elsewhere=tuple(line for day in days for line in earlier.get(day, ())),
            started_on=visit.started_on,
            estimate=estimates.get(name),
            coverages=tuple(coverages[visit.account_ref, visit.patient]),
            desk_paid=paid.get(name, ZERO),
        )
        yield visit.account_id, replace(bill, credits=_share_out(credits[visit.account_id], bill))
        for line in own:
            earlier[visit.patient_id, visit.provider, line.service_on].append(line)


def _visits(session: Session, account_ids: Sequence[int]) -> dict[int, _Visit]:
    rows = session.execute(
        sa.select(
            Visit.id,
            Visit.account_id,
            ACCOUNT.c.ref,
            Visit.ref,
            Visit.patient_id,
            PATIENT.c.given_name,
            PATIENT.c.family_name,
            Visit.provider_name,
            Visit.started_on,
        )
        .join(ACCOUNT, ACCOUNT.c.id == Visit.account_id)
        .join(PATIENT, PATIENT.c.id == Visit.patient_id)
        .where(Visit.account_id.in_(account_ids))
    )
    return {row[0]: _Visit(*row[:5], _person(row[5], row[6]), *row[7:]) for row in rows}


def _person(given: str, family: str) -> tuple[str, str]:
    return given.strip().casefold(), family.strip().casefold()


def _entries(
    session: Session, account_ids: Sequence[int]
) -> tuple[dict[int, list[EntryFact]], dict[int, dict[int, Money]]]:
    """The entries by charge, and what each claim moved to the patient as PR, by claim and charge."""
    rows = session.execute(
        sa.select(
            Entry.charge_id,
            Entry.claim_id,
            Entry.kind,
            Entry.insurer,
            Entry.patient,
            Entry.group_code,
            Entry.reason_code,
            Entry.stated,
            Entry.remark_codes,
            Entry.source,
        )
        .where(Entry.account_id.in_(account_ids))
        .order_by(Entry.id)
    )
    found: dict[int, list[EntryFact]] = defaultdict(list)
    decided: dict[int, dict[int, Money]] = defaultdict(lambda: defaultdict(Money.zero))
    for charge, claim, kind, insurer, patient, group, reason, stated, remarks, source in rows:
        found[charge].append(
            EntryFact(
                kind=kind,
                insurer=insurer,
                patient=patient,
                group=group,
                reason=reason,
                stated=stated,
                remarks=tuple(remarks.split()),
                own=source in _OWN,
            )
        )
        if claim is not None:
            decided[claim][charge] += patient if group == "PR" else ZERO
    return found, decided


def _lines(
    session: Session, account_ids: Sequence[int], visits: Mapping[int, _Visit], entries: Mapping[int, list[EntryFact]]
) -> dict[int, list[LineFact]]:
    rows = session.execute(
        sa.select(
            Charge.id,
            Charge.visit_id,
            Charge.billed,
            Charge.ordinal,
            Charge.code,
            Charge.code_qualifier,
            Charge.modifiers,
            Charge.revenue_code,
            Charge.units,
            Charge.service_on,
            Charge.whole_visit,
        )
        .join(Visit, Visit.id == Charge.visit_id)
        .where(Visit.account_id.in_(account_ids))
        .order_by(Charge.visit_id, Charge.ordinal)
    )
    lines: dict[int, list[LineFact]] = defaultdict(list)
    for charge, visit, billed, ordinal, code, qualifier, modifiers, revenue, units, day, whole in rows:
        lines[visit].append(
            LineFact(
                id=charge,
                billed=billed,
                entries=tuple(entries.get(charge, ())),
                ordinal=ordinal,
                code=code,
                qualifier=qualifier,
                modifiers=tuple(modifiers.split()),
                revenue_code=revenue,
                units=units,
                service_on=day or visits[visit].started_on,
                whole_visit=whole,
            )
        )
    return lines


def _claims(
    session: Session, account_ids: Sequence[int], decided: Mapping[int, Mapping[int, Money]]
) -> dict[int, list[ClaimFact]]:
    rows = session.execute(
        sa.select(
            Claim.id,
            Claim.visit_id,
            Claim.payer_name,
            Claim.status_code,
            Claim.filing_indicator,
            Claim.facility_code,
            Claim.stated_share,
            Claim.patient_paid,
            Claim.remark_codes,
        )
        .join(Visit, Visit.id == Claim.visit_id)
        .where(Visit.account_id.in_(account_ids))
        .order_by(Claim.id)
    )
    claims: dict[int, list[ClaimFact]] = defaultdict(list)
    for claim, visit, payer, status, filing, facility, stated, paid, remarks in rows:
        moved = decided.get(claim, {})
        claims[visit].append(
            ClaimFact(
                payer=payer,
                status=status,
                filing=filing,
                facility=facility,
                stated_share=stated,
                share=Money.total(moved.values()),
                patient_paid=paid or ZERO,
                remarks=tuple(remarks.split()),
                lines=frozenset(moved),
            )
        )
    return claims


def _estimates(session: Session, refs: Sequence[str]) -> dict[tuple[str, str], Money]:
    """The newest estimate of each visit."""
    rows: Any = session.execute(
        sa.select(Estimate.account_ref, Estimate.visit_ref, Estimate.amount)
        .where(Estimate.account_ref.in_(refs))
        .order_by(Estimate.issued_on, Estimate.id)
    )
    return {(account, visit): amount for account, visit, amount in rows}


def _desk_payments(session: Session, refs: Sequence[str]) -> dict[tuple[str, str], Money]:
    paid: dict[tuple[str, str], Money] = {}
    rows = session.execute(
        sa.select(DeskPayment.account_ref, DeskPayment.visit_ref, DeskPayment.amount).where(
            DeskPayment.account_ref.in_(refs)
        )
    )
    for account, visit, amount in rows:
        paid[account, visit] = paid.get((account, visit), ZERO) + amount
    return paid


def _coverages(session: Session, refs: Sequence[str]) -> dict[tuple[str, tuple[str, str]], list[CoverageFact]]:
    found: dict[tuple[str, tuple[str, str]], list[CoverageFact]] = defaultdict(list)
    rows = session.scalars(sa.select(Coverage).where(Coverage.account_ref.in_(refs)).order_by(Coverage.id))
    for one in rows:
        fact = CoverageFact(one.payer_name, one.starts_on, one.ends_on)
        found[one.account_ref, _person(one.given_name, one.family_name)].append(fact)
    return found


def _credits(
    session: Session, account_ids: Sequence[int], visits: Mapping[int, _Visit], lines: Mapping[int, list[LineFact]]
) -> dict[int, list[CreditFact]]:
    """Credits that nobody holds and nobody has decided about, by account.

    What the portal itself took goes back to the card or bank it came from (``refunds/credits.py``): only the rest is
    there to be used.
    """
    held = set(
        session.scalars(
            sa.select(Hold.charge_id)
            .join(Charge, Charge.id == Hold.charge_id)
            .join(Visit, Visit.id == Charge.visit_id)
            .where(Visit.account_id.in_(account_ids), Hold.released_at.is_(None))
        )
    )
    settled = {
        (account, facts.get("ref"), amount)
        for account, facts, amount in session.execute(
            sa.select(CheckFinding.account_id, CheckFinding.facts, CheckFinding.amount).where(
                CheckFinding.account_id.in_(account_ids),
                CheckFinding.check == Check.CREDIT,
                CheckFinding.state == FindingState.RELEASED,
            )
        )
    }
    found: dict[int, list[CreditFact]] = defaultdict(list)
    for visit in sorted(visits.values(), key=lambda one: one.order):
        for line in lines[visit.id]:
            if line.due >= ZERO or line.with_insurer or line.id in held:
                continue
            own = -Money.total(one.patient for one in line.entries if one.own and one.kind in PATIENT_MONEY)
            amount = -line.due - max(own, ZERO)
            if amount > ZERO and (visit.account_id, visit.ref, amount) not in settled:
                found[visit.account_id].append(CreditFact(amount, visit.ref, amount))
    return found


def _share_out(credits: list[CreditFact], bill: Bill) -> tuple[CreditFact, ...]:
    """What of the credits is left for a bill; what it would use up is gone for the next one."""
    need, mine = Money.total(line.due for line in bill.asking), []
    for place, one in enumerate(credits):
        if one.left > ZERO and need > ZERO:
            mine.append(one)
            used = min(one.left, need)
            need = need - used
            credits[place] = replace(one, left=one.left - used)
    return tuple(mine)
