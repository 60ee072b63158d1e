"""One claim of a remittance into the mirror and the embedded books."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.queries import ref_is_free
from portal.accounts.service import account_row, add_patient, find_patient, mark_mirrored, open_account
from portal.billing.kinds import EntryKind, HoldReason
from portal.billing.queries import find_visit
from portal.billing.service import (
    NewEntry,
    add_charge,
    add_claim,
    bucket_sums,
    charges_of,
    decided_charges,
    place_hold,
    visit_of,
    write_entries,
)
from portal.explanations.services import service_category
from portal.ledger.adapters.embedded.ledger import describe, record_claim
from portal.ledger.decide import Movement, movements
from portal.ledger.x12.balancing import patient_share
from portal.ledger.x12.model import PREDETERMINATION, REVERSAL, Adjustment, Claim, Person, ServiceLine, Transaction
from portal.money import Money

#: The line that carries what was decided for the whole visit comes before the others.
_WHOLE_VISIT = 0
#: ``NYSDOH`` is not a name to be written ``Nysdoh``.
_ABBREVIATION = 6


@dataclass(frozen=True, slots=True)
class _Decided:
    """A payer's words about one of our lines; ``billed`` only where the charge is new to the books."""

    charge_id: int
    new_charge: Money | None
    paid: Money
    adjustments: Sequence[Adjustment]
    remarks: Sequence[str]
    part: str


def clip(text: str, length: int) -> str:
    """A feed's text made fit for a column: no NUL bytes (PostgreSQL refuses them), not too long."""
    return text.replace("\x00", "").strip()[:length]


def load_claim(
    session: Session, transaction: Transaction, claim: Claim, *, transaction_key: str, file_name: str
) -> None:
    """Write one payer's decision, in the caller's transaction.

    A predetermination (CLP02 = 25) is a forecast and leaves no trace in the books.
    """
    if claim.status == PREDETERMINATION:
        return
    account_id, patient_id, visit_ref = _whose(session, claim)
    account = account_row(session, account_id, lock=True)
    visit = visit_of(
        session,
        account_id=account_id,
        patient_id=patient_id,
        ref=visit_ref,
        started_on=claim.service_from,
        ended_on=claim.service_to,
        provider_name=clip(_spoken(claim.rendering) if claim.rendering else _cased(transaction.payee_name), 120),
    )
    key = _claim_key(transaction_key, claim)
    decision = add_claim(
        session,
        visit_id=visit.id,
        source_key=key,
        payer_name=clip(_cased(transaction.payer_name), 120),
        payer_claim_ref=clip(claim.payer_control, 60),
        status_code=clip(claim.status, 4),
        trace_number=clip(transaction.trace_number, 60),
        decided_on=transaction.paid_on or transaction.produced_on,
        file_name=file_name,
    )
    if decision is None:
        return
    reversal = claim.status == REVERSAL
    lines = _lines(session, claim, visit.id, reversal=reversal)
    ids = [line.charge_id for line in lines]
    before, decided = bucket_sums(session, ids), decided_charges(session, ids)
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
    _post_to_books(session, transaction, claim, key, account.ref, visit_ref, moved)
    if not reversal:
        _hold_if_share_is_above(session, claim, lines, account_id)
    mark_mirrored(session, account_id, clock.now())


def _whose(session: Session, claim: Claim) -> tuple[int, int, str]:
    """The account and patient a claim is about, and the back office's number of the visit.

    A patient is known by member id and name. Without a member id the visit's number must be known too, so that
    two people of one name are never taken for one.
    """
    ref = clip(claim.patient_control, 80) or "unnumbered"
    person = claim.patient or claim.subscriber
    member = clip(person.identifier, 80) if person else ""
    family = clip(_person_cased(person.last), 60) if person else ""
    given = clip(_person_cased(person.first), 60) if person else ""
    if member:
        patient = find_patient(session, member_id=member, family_name=family, given_name=given)
        if patient is not None:
            return patient.account_id, patient.id, ref
    else:
        known = find_visit(session, ref=ref, family_name=family, given_name=given)
        if known is not None:
            return known[0], known[1], ref
    account_ref, copy = ref[:60], 1
    while not ref_is_free(session, account_ref):
        copy += 1
        account_ref = f"{ref[:56]}/{copy}"
    account = open_account(session, ref=account_ref, guarantor_name=f"{given} {family}".strip())
    added = add_patient(
        session, account_id=account.id, given_name=given, family_name=family, member_id=member
    )
    return account.id, added.id, ref


def _cased(name: str) -> str:
    """A name as people write it; payers shout. A short single word may be an abbreviation and is left alone."""
    return name.title() if name.isupper() and (" " in name or len(name) > _ABBREVIATION) else name


def _person_cased(name: str) -> str:
    return name.title() if name.isupper() else name


def _spoken(person: Person) -> str:
    return " ".join(part for part in (_person_cased(person.first), _person_cased(person.last)) if part)


def _claim_key(transaction_key: str, claim: Claim) -> str:
    words = "|".join([claim.patient_control, claim.status, claim.payer_control])
    return f"{transaction_key}/{claim.ordinal}/{hashlib.sha256(words.encode()).hexdigest()[:16]}"


def _lines(session: Session, claim: Claim, visit_id: int, *, reversal: bool) -> list[_Decided]:
    """The claim's words, line by line of ours: known charges are found again, new ones are put on the visit."""
    known = charges_of(session, visit_id)
    taken: set[int] = set()
    next_ordinal = max((charge.ordinal for charge in known), default=0) + 1
    wordings = describe(session, [_billed_as(line)[1] for line in claim.lines])
    decided = []
    for line in claim.lines:
        qualifier, code = _billed_as(line)
        modifiers = clip(" ".join(line.modifiers), 24)
        billed = -line.charge if reversal else line.charge
        on = line.service_from or line.service_on or claim.statement_from
        match = next(
            (
                charge
                for charge in known
                if charge.id not in taken
                and not charge.whole_visit
                and (charge.code, charge.modifiers, charge.billed) == (clip(code, 48), modifiers, billed)
                and (charge.service_on == on or (line.line_control and charge.line_control == line.line_control))
            ),
            None,
        )
        new_charge = None
        if match is None:
            # A reversal of what is not in our books takes back money, not a charge we never had.
            new_charge = Money.zero() if reversal else line.charge
            match = add_charge(
                session,
                visit_id=visit_id,
                ordinal=next_ordinal,
                billed=new_charge,
                service_on=on,
                code=clip(code, 48),
                code_qualifier=clip(qualifier, 4),
                modifiers=modifiers,
                revenue_code=clip(line.revenue_code, 8),
                line_control=clip(line.line_control, 60),
                description=clip(
                    wordings.get(code)
                    or line.description
                    or service_category(code, qualifier, line.revenue_code, "en"),
                    200,
                ),
                units=clip(f"{line.units.normalize():f}", 16),
            )
            next_ordinal += 1
        taken.add(match.id)
        decided.append(
            _Decided(match.id, new_charge, line.paid, line.adjustments, line.remark_codes, f"svc{line.ordinal}")
        )
    rest = claim.paid - Money.total(line.paid for line in claim.lines)
    if claim.adjustments or rest or not claim.lines:
        whole = next((charge for charge in known if charge.whole_visit), None)
        new_charge = None
        if whole is None:
            new_charge = claim.charge if not claim.lines and not reversal else Money.zero()
            whole = add_charge(
                session,
                visit_id=visit_id,
                ordinal=_WHOLE_VISIT,
                whole_visit=True,
                billed=new_charge,
                service_on=claim.service_from,
                description="All services of this visit" if not claim.lines else "Decided for the whole visit",
            )
        decided.append(_Decided(whole.id, new_charge, rest, claim.adjustments, claim.remark_codes, "clp"))
    return decided


def _billed_as(line: ServiceLine) -> tuple[str, str]:
    """The procedure as the clinic billed it, where the payer paid another (SVC06)."""
    if line.submitted_code:
        return line.submitted_qualifier, line.submitted_code
    return line.procedure_qualifier, line.procedure_code


def _post_to_books(
    session: Session,
    transaction: Transaction,
    claim: Claim,
    key: str,
    account_ref: str,
    visit_ref: str,
    moved: Sequence[Movement],
) -> None:
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
    record_claim(
        session,
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


def _hold_if_share_is_above(
    session: Session, claim: Claim, lines: Sequence[_Decided], account_id: int
) -> None:
    """Nobody is asked for more than the remittance itself calls the patient's (CLP05)."""
    stated = claim.patient_responsibility
    if stated is None or patient_share(claim.all_adjustments) <= stated:
        return
    for line in lines:
        if any(cas.group == "PR" and cas.amount > Money.zero() for cas in line.adjustments):
            place_hold(
                session,
                charge_id=line.charge_id,
                reason=HoldReason.SHARE_ABOVE_REMITTANCE,
                account_id=account_id,
            )
