"""A line's entries in plain words: what the visit page and the trace say of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal.billing.entries import EntryRow
from portal.billing.kinds import EntryKind
from portal.billing.queries import Line
from portal.billing.story.trace import Step, Trace
from portal.codes.queries import NO_WORDING, Wording
from portal.explanations.compose import Explanation, explain, explain_line
from portal.explanations.facts import AdjustmentFact
from portal.explanations.services import modifier_text, service_category
from portal.money import Money


@dataclass(frozen=True, slots=True)
class VisitLine:
    """A line with everything the visit page says about it."""

    line: Line
    explanations: Sequence[Explanation]
    category: str
    #: What the public table says of a Level II code; empty for other codes, and where the table is not loaded.
    code_text: str = ""
    #: The modifiers that we have words for, each with them.
    modifiers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class WhyStep:
    """One step of "why do I owe this" in words."""

    step: Step
    title: str
    detail: str
    source: str


#: What a record of the patient's own money is called, by an entry's source.
_OWN_MONEY = {
    "payment": _l("Your payment, reference %(reference)s"),
    "refund": _l("Refund, reference %(reference)s"),
    "dispute": _l("Dispute with your bank, reference %(reference)s"),
    "desk": _l("Paid at the front desk, reference %(reference)s"),
    "staff": _l("Our billing staff, reference %(reference)s"),
}


def visit_lines(
    lines: Iterable[Line], entries: Iterable[EntryRow], *, language: str, wording: Wording = NO_WORDING
) -> list[VisitLine]:
    """Each line with the adjustments that still hold explained, decision by decision.

    ``wording`` is what the database adds: texts of codes, and which translations were reviewed.
    """
    by_charge: dict[int, list[EntryRow]] = {}
    for entry in entries:
        by_charge.setdefault(entry.charge_id, []).append(entry)
    return [
        VisitLine(
            line=line,
            explanations=[
                told
                for decision in standing(by_charge.get(line.charge_id, []))
                for told in explain_line(
                    [_fact(entry) for entry in decision], language=language, reviewed=wording.reviewed
                )
            ],
            category=service_category(line.code, line.code_qualifier, line.revenue_code, language),
            code_text=wording.texts.get(line.code, ""),
            modifiers=[(one, text) for one in line.modifiers if (text := modifier_text(one, language))],
        )
        for line in lines
    ]


def standing(entries: Iterable[EntryRow]) -> list[list[EntryRow]]:
    """The adjustments of a line that still hold, one list for each payer's decision, oldest first.

    A reversal undoes what was decided before it; a payer that takes up what an earlier one left to the patient makes
    that earlier share history.
    """
    decisions: dict[int | None, list[EntryRow]] = {}
    for entry in entries:
        if entry.reversal:
            decisions.clear()
            continue
        if is_taken_up(entry):
            decisions = {
                claim: [one for one in rows if one.kind is not EntryKind.SHARE_MOVED]
                for claim, rows in decisions.items()
            }
        if entry.reason_code:
            decisions.setdefault(entry.claim_id, []).append(entry)
    return [rows for rows in decisions.values() if rows]


def is_taken_up(entry: EntryRow) -> bool:
    """Whether an entry takes what was the patient's share back to an insurer."""
    return entry.kind is EntryKind.SHARE_MOVED and not entry.reason_code


def _fact(entry: EntryRow) -> AdjustmentFact:
    return AdjustmentFact(
        entry.group_code, entry.reason_code, entry.stated, entry.payer_name, entry.remarks, entry.effective_on
    )


def why_steps(trace: Trace, *, language: str) -> list[WhyStep]:
    """The trace's steps, each with a title, an explanation and the record it came from."""
    rows = [step.entry for step in trace.steps]
    holds = {id(entry) for decision in standing(rows) for entry in decision}
    told = []
    for step in trace.steps:
        same = [row for row in rows if row.reason_code and row.claim_id == step.entry.claim_id]
        told.append(_why(step, same, id(step.entry) in holds, language))
    return told


def _why(step: Step, decision: Sequence[EntryRow], holds: bool, language: str) -> WhyStep:
    """``decision`` are the adjustments of the same decision: together they make one story."""
    entry = step.entry
    payer = entry.payer_name or _("your insurer")
    if entry.reversal and entry.kind is not EntryKind.INSURER_PAYMENT:
        return WhyStep(
            step, _("%(payer)s took a decision back", payer=payer), _("This undoes an earlier step."), _source(entry)
        )
    if entry.reason_code:
        here = decision.index(entry)
        facts = [_fact(one) for one in decision]
        told = explain(facts[here], siblings=facts, language=language)
        detail = f"{told.what} {told.bill}" if holds else _("A later step changes this one.")
        return WhyStep(step, told.title, detail.strip(), _source(entry))
    if entry.kind is EntryKind.CHARGE:
        title, detail = _("Billed"), _("What the clinic charged for this service.")
    elif entry.kind is EntryKind.INSURER_PAYMENT and entry.insurer > Money.zero():
        title, detail = _("%(payer)s took a payment back", payer=payer), _("Your insurer undid an earlier payment.")
    elif entry.kind is EntryKind.INSURER_PAYMENT:
        title, detail = _("%(payer)s paid", payer=payer), _("What your insurer paid the clinic.")
    elif entry.kind is EntryKind.SHARE_MOVED:
        title = _("%(payer)s took this up", payer=payer)
        detail = _("Another insurer looked at the part that was yours before.")
    else:
        title, detail = _own_money(entry)
    return WhyStep(step, title, detail, _source(entry))


def _own_money(entry: EntryRow) -> tuple[str, str]:
    """Title and detail of what the patient paid and what went back."""
    back = entry.patient > Money.zero()
    if entry.kind is EntryKind.PATIENT_REFUND and back:
        return _("We gave money back"), _("We refunded this to the card or bank account you paid with.")
    if entry.kind is EntryKind.PATIENT_REFUND:
        return _("A refund came back to us"), _("Your bank could not take the refund. We are looking at it.")
    if entry.kind is EntryKind.CHARGEBACK and back:
        return _("Your bank took a payment back"), _("A payment was disputed with the bank.")
    if entry.kind is EntryKind.CHARGEBACK:
        return _("The disputed payment was returned to us"), _("The bank decided that the payment stands.")
    return _("You paid"), _("Your payment. Thank you.")


def _source(entry: EntryRow) -> str:
    """The record an entry came from, as somebody could quote it on the telephone."""
    if entry.source in _OWN_MONEY:
        return str(_OWN_MONEY[entry.source]) % {"reference": _reference(entry.source_id)}
    parts = [
        _("Remittance from %(payer)s", payer=entry.payer_name or "?"),
        _("payment number %(number)s", number=entry.trace_number) if entry.trace_number else "",
        _("claim %(claim)s", claim=entry.payer_claim_ref) if entry.payer_claim_ref else "",
        _("file %(name)s", name=entry.file_name) if entry.file_name else "",
    ]
    return ", ".join(part for part in parts if part)


def _reference(source_id: str) -> str:
    """The reference on a receipt: the public id is what stands before the slash."""
    return f"{source_id[:4]}-{source_id[4:8]}".upper()
