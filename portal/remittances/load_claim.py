"""One claim of a remittance into the mirror, and into a ledger that has to be told of it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import account_row, mark_mirrored
from portal.billing.kinds import EntryKind, HoldReason
from portal.billing.service import (
    BilledLine,
    NewEntry,
    add_charge,
    add_claim,
    bucket_sums,
    charges_of,
    decided_charges,
    end_holds,
    place_hold,
    told_again_charges,
    visit_of,
    write_entries,
)
from portal.codes.service import open_unknown
from portal.explanations.catalogue import BASE_LANGUAGE, load
from portal.explanations.facts import AdjustmentFact, unknown_codes
from portal.explanations.services import service_category
from portal.ledger.port import ClaimDecision, RemittanceLedger
from portal.money import Money
from portal.payments.settle import lock_accounts
from portal.remittances.decide import Movement, movements
from portal.remittances.whose import clip, known_patient, payer_of, provider, whose
from portal.remittances.x12.balancing import patient_share
from portal.remittances.x12.model import PREDETERMINATION, REVERSAL, Adjustment, Claim, ServiceLine, Transaction

#: The line that carries what was decided for the whole visit comes before the others.
_WHOLE_VISIT = 0
#: CLP02 of a decision that follows another payer's, and of one that was sent on to the next payer.
LATER_PAYER = frozenset({"2", "3", "20", "21"})
FORWARDED = frozenset({"19", "20", "21"})


@dataclass(frozen=True, slots=True)
class _Decided:
    """A payer's words about one of our lines; ``billed`` only where the charge is new to the books."""

    charge_id: int
    new_charge: Money | None
    paid: Money
    adjustments: Sequence[Adjustment]
    remarks: Sequence[str]
    part: str


def lock_accounts_of(session: Session, transaction: Transaction) -> None:
    """Hold every account that a transaction's claims are about to the end of the database's transaction.

    In the order in which paying and refunding hold them, and not in that of the file: two that hold them in two orders
    would wait for each other. Accounts that are opened on the way are nobody else's yet.
    """
    claims = [claim for claim in transaction.claims if claim.status != PREDETERMINATION]
    payer = payer_of(transaction)
    known = (known_patient(session, claim, payer) for claim in claims)
    lock_accounts(session, [found[0] for found in known if found is not None])


def load_claim(
    session: Session,
    transaction: Transaction,
    claim: Claim,
    *,
    transaction_key: str,
    file_name: str,
    ledger: RemittanceLedger | None,
) -> int | None:
    """Write one payer's decision, in the caller's transaction, which holds its accounts (:func:`lock_accounts_of`).

    ``ledger`` is told of it, too, unless it is None. Returns the id of the account whose bill it changed, if any.

    A predetermination (CLP02 = 25) is a forecast and leaves no trace in the books.
    """
    if claim.status == PREDETERMINATION:
        return None
    payer = payer_of(transaction)
    account_id, patient_id, ref = whose(session, claim, payer)
    account = account_row(session, account_id, lock=True)
    visit = visit_of(
        session,
        account_id=account_id,
        patient_id=patient_id,
        ref=ref,
        started_on=claim.service_from,
        ended_on=claim.service_to,
        provider_name=provider(transaction, claim),
    )
    key = _claim_key(transaction_key, claim)
    decision = add_claim(
        session,
        visit_id=visit.id,
        source_key=key,
        payer_name=payer,
        payer_claim_ref=clip(claim.payer_control, 60),
        status_code=clip(claim.status, 4),
        trace_number=clip(transaction.trace_number, 60),
        decided_on=transaction.paid_on or transaction.produced_on,
        file_name=file_name,
        filing_indicator=clip(claim.filing_indicator, 4),
        facility_code=clip(claim.facility_code, 4),
        frequency=clip(claim.frequency, 2),
        stated_share=claim.patient_responsibility,
        patient_paid=next((amount for what, amount in claim.amounts if what == "F5"), None),
        remark_codes=clip(" ".join(claim.remark_codes), 120),
    )
    if decision is None:
        return None
    reversal = claim.status == REVERSAL
    known = charges_of(session, visit.id)
    decided = decided_charges(session, [charge.id for charge in known])
    wordings = {} if ledger is None else ledger.wordings([clip(_billed_as(line)[1], 48) for line in claim.lines])
    lines = _lines(session, claim, visit.id, known, wordings, reversal=reversal)
    ids = [line.charge_id for line in lines]
    before = bucket_sums(session, ids)
    told_before = told_again_charges(session, ids) if reversal else set()
    zero = Money.zero()
    entries: list[NewEntry] = []
    moved: list[Movement] = []
    for line in lines:
        for movement in movements(
            new_charge=line.new_charge,
            paid=line.paid,
            adjustments=line.adjustments,
            share_so_far=before.get(line.charge_id, (zero, zero))[1],
            decided_before=line.charge_id in decided,
            reversal=reversal,
            told_again=line.charge_id in told_before if reversal else None,
        ):
            moved.append(movement)
            entries.append(
                NewEntry(
                    account_id=account_id,
                    charge_id=line.charge_id,
                    claim_id=decision.id,
                    kind=movement.kind,
                    insurer=movement.insurer,
                    patient=movement.patient,
                    stated=movement.stated,
                    group_code=clip(movement.group, 2),
                    reason_code=clip(movement.reason, 5),
                    remarks=[clip(code, 8) for code in line.remarks] if movement.reason else (),
                    effective_on=transaction.paid_on or transaction.produced_on,
                    source="remittance",
                    source_id=f"{key}/{line.part}/{movement.part}",
                )
            )
    write_entries(session, entries)
    open_unknown(session, visit_id=visit.id, codes=_without_words(entries))
    if ledger is not None:
        ledger.record_claim(_for_the_ledger(transaction, claim, key, account.ref, ref, moved))
    _hold_what_is_not_sure(session, claim, lines, account_id, known={charge.id for charge in known}, decided=decided)
    mark_mirrored(session, account_id, clock.now())
    return account_id


def _without_words(entries: Iterable[NewEntry]) -> list[str]:
    """The codes of these entries that the catalogue does not hold: somebody has to find out what they mean."""
    facts = [
        AdjustmentFact(entry.group_code, entry.reason_code, entry.stated or Money.zero(), "", tuple(entry.remarks))
        for entry in entries
        if entry.reason_code
    ]
    return unknown_codes(facts, load(BASE_LANGUAGE))


def _claim_key(transaction_key: str, claim: Claim) -> str:
    words = "|".join([claim.patient_control, claim.status, claim.payer_control])
    return f"{transaction_key}/{claim.ordinal}/{hashlib.sha256(words.encode()).hexdigest()[:16]}"


def _lines(
    session: Session,
    claim: Claim,
    visit_id: int,
    known: Sequence[BilledLine],
    wordings: Mapping[str, str],
    *,
    reversal: bool,
) -> list[_Decided]:
    """The claim's words, line by line of ours: known charges are found again, new ones are put on the visit."""
    matches = _matches(claim, known, reversal=reversal)
    next_ordinal = max((charge.ordinal for charge in known), default=0) + 1
    decided = []
    for line in claim.lines:
        qualifier, code = _billed_as(line)
        match = matches.get(line.ordinal)
        charge_id = match.id if match else None
        new_charge = None
        if charge_id is None:
            # A reversal of what is not in our books takes back money, not a charge we never had.
            new_charge = Money.zero() if reversal else line.charge
            charge_id = add_charge(
                session,
                visit_id=visit_id,
                ordinal=next_ordinal,
                billed=new_charge,
                service_on=_day(claim, line),
                code=clip(code, 48),
                code_qualifier=clip(qualifier, 4),
                modifiers=clip(" ".join(line.modifiers), 24),
                revenue_code=clip(line.revenue_code, 8),
                line_control=clip(line.line_control, 60),
                description=clip(
                    wordings.get(clip(code, 48))
                    or line.description
                    or service_category(code, qualifier, line.revenue_code, "en"),
                    200,
                ),
                units=clip(f"{line.units.normalize():f}", 16),
            )
            next_ordinal += 1
        # What the payer notes about the whole claim (MIA, MOA) is true of each line, too.
        remarks = tuple(dict.fromkeys((*line.remark_codes, *claim.remark_codes)))
        decided.append(_Decided(charge_id, new_charge, line.paid, line.adjustments, remarks, f"svc{line.ordinal}"))
    rest = claim.paid - Money.total(line.paid for line in claim.lines)
    if claim.adjustments or rest or not claim.lines:
        whole_id = next((charge.id for charge in known if charge.whole_visit), None)
        new_charge = None
        if whole_id is None:
            # Where the visit's lines are known, a claim without lines bills nothing new.
            new_charge = Money.zero() if claim.lines or reversal or known else claim.charge
            whole_id = add_charge(
                session,
                visit_id=visit_id,
                ordinal=_WHOLE_VISIT,
                whole_visit=True,
                billed=new_charge,
                service_on=claim.service_from,
                description="Decided for the whole visit" if claim.lines or known else "All services of this visit",
            )
        decided.append(_Decided(whole_id, new_charge, rest, claim.adjustments, claim.remark_codes, "clp"))
    return decided


def _matches(claim: Claim, known: Sequence[BilledLine], *, reversal: bool) -> dict[int, BilledLine]:
    """Which of our lines each of the claim's lines is, by the claim's line ordinal.

    First by the clinic's own line number (REF*6R), then by day; code, modifiers and billed amount agree in any case,
    and two different line numbers are never one line.
    """
    found: dict[int, BilledLine] = {}
    taken: set[int] = set()

    def alike(line: ServiceLine, charge: BilledLine) -> bool:
        billed = -line.charge if reversal else line.charge
        return (charge.code, set(charge.modifiers.split()), charge.billed) == (
            clip(_billed_as(line)[1], 48),
            set(clip(" ".join(line.modifiers), 24).split()),
            billed,
        )

    def by_number(line: ServiceLine, charge: BilledLine) -> bool:
        return bool(line.line_control) and charge.line_control == clip(line.line_control, 60)

    def by_day(line: ServiceLine, charge: BilledLine) -> bool:
        different = line.line_control and charge.line_control and not by_number(line, charge)
        return charge.service_on == _day(claim, line) and not different

    for agree in (by_number, by_day):
        for line in claim.lines:
            if line.ordinal in found:
                continue
            for charge in known:
                fits = not charge.whole_visit and alike(line, charge) and agree(line, charge)
                if fits and charge.id not in taken:
                    found[line.ordinal] = charge
                    taken.add(charge.id)
                    break
    return found


def _day(claim: Claim, line: ServiceLine) -> date | None:
    return line.service_from or line.service_on or claim.statement_from


def _billed_as(line: ServiceLine) -> tuple[str, str]:
    """The procedure as the clinic billed it, where the payer paid another (SVC06)."""
    if line.submitted_code:
        return line.submitted_qualifier, line.submitted_code
    return line.procedure_qualifier, line.procedure_code


def _for_the_ledger(
    transaction: Transaction, claim: Claim, key: str, account_ref: str, visit_ref: str, moved: Sequence[Movement]
) -> ClaimDecision:
    """What the back office's clerk enters from the claim's totals, apart from the mirror's line by line."""
    taken_up = Money.total(one.patient for one in moved if one.part == "taken-up")
    told_again = Money.total(
        one.stated for one in moved if one.kind is EntryKind.ADJUSTMENT and not one.insurer and one.stated
    )
    groups: dict[str, Money] = {}
    for cas in claim.all_adjustments:
        groups[cas.group] = groups.get(cas.group, Money.zero()) + cas.amount
    zero = Money.zero()
    share, contractual = groups.pop("PR", zero), groups.pop("CO", zero)
    return ClaimDecision(
        key=key,
        account_ref=account_ref,
        visit_ref=visit_ref,
        effective_on=transaction.paid_on or transaction.produced_on or date(1970, 1, 1),
        billed=Money.total(one.insurer for one in moved if one.kind is EntryKind.CHARGE),
        insurer_paid=claim.paid,
        contractual=contractual,
        other=Money.total(groups.values()) - told_again,
        share=share + taken_up,
    )


def _hold_what_is_not_sure(
    session: Session,
    claim: Claim,
    lines: Sequence[_Decided],
    account_id: int,
    *,
    known: set[int],
    decided: set[int],
) -> None:
    """Nobody is asked for a line while it is open whose it is (docs/remittances.md, "Held")."""

    def hold(charge_ids: Iterable[int], reason: HoldReason) -> None:
        for charge_id in sorted(charge_ids):
            place_hold(session, charge_id=charge_id, reason=reason, account_id=account_id)

    touched = {line.charge_id for line in lines}
    asked = {
        line.charge_id
        for line in lines
        if any(cas.group == "PR" and cas.amount > Money.zero() for cas in line.adjustments)
    }
    follows = claim.status in LATER_PAYER or claim.status == REVERSAL
    unmatched = touched - known if follows else set()
    if decided and (unmatched or (not claim.lines and known - touched)):
        hold(known | touched, HoldReason.DECISION_UNMATCHED)
    if claim.status in LATER_PAYER:
        end_holds(session, charge_ids=known, reason=HoldReason.NEXT_PAYER)
    if claim.status in FORWARDED:
        hold(asked, HoldReason.NEXT_PAYER)
    stated = claim.patient_responsibility
    if claim.status != REVERSAL and stated is not None and patient_share(claim.all_adjustments) > stated:
        # Never more than the remittance itself calls the patient's (CLP05).
        hold(asked, HoldReason.SHARE_ABOVE_REMITTANCE)
