"""From segments to the parts of a remittance: elements, then the loops they make up.

Element positions follow X12 005010X221A1, which 004010X091A1 shares for everything read here. A figure that
is missing or unreadable counts as 0 and is noted; nothing stops for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from portal.money import LARGEST_CENTS, Money, NotMoney
from portal.remittances.x12.errors import Kind
from portal.remittances.x12.model import Adjustment, Claim, Person, ProviderAdjustment, ServiceLine
from portal.remittances.x12.segments import Segment

ADJUSTMENT_GROUPS = frozenset({"CO", "PR", "OA", "PI", "CR"})

#: Where readers put what is wrong with a segment.
Note = Callable[[Segment, Kind, str], None]

#: X12 type R without an exponent, which the 835 does not allow.
_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_LONGEST_NUMBER = 20


def _number(text: str) -> Decimal | None:
    fits = len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text)
    return Decimal(text) if fits else None


def _optional_amount_at(segment: Segment, index: int, note: Note) -> Money | None:
    """The amount of an element; None when absent or, with a problem, when it is not whole cents."""
    text = segment.get(index)
    if not text:
        return None
    number = _number(text)
    try:
        amount = Money.from_decimal(number) if number is not None else None
    except NotMoney:
        amount = None
    if amount is None or abs(amount.cents) > LARGEST_CENTS:
        note(segment, Kind.AMOUNT, f"{_element(segment, index)} is not whole cents; it counts as 0")
        return None
    return amount


def amount_at(segment: Segment, index: int, note: Note) -> Money:
    """The amount of an element; 0 with a problem when it is missing or not whole cents."""
    if not segment.get(index):
        note(segment, Kind.VALUE, f"{_element(segment, index)} is missing; it counts as 0")
    return _optional_amount_at(segment, index, note) or Money.zero()


def _quantity_at(segment: Segment, index: int, note: Note) -> Decimal | None:
    text = segment.get(index)
    number = _number(text)
    if text and number is None:
        note(segment, Kind.VALUE, f"{_element(segment, index)} is not a number; left out")
    return number


def date_at(segment: Segment, index: int, note: Note) -> date | None:
    """The date (CCYYMMDD) of an element; None when absent or, with a problem, when it is no date."""
    text = segment.get(index)
    if not text:
        return None
    try:
        if re.fullmatch(r"[0-9]{8}", text):
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        pass
    note(segment, Kind.VALUE, f"{_element(segment, index)} is not a date; left out")
    return None


def _element(segment: Segment, index: int) -> str:
    return f"{segment.id}{index:02d}"


#: What stands after a two-letter qualifier when the composites do not use the separator ISA16 names.
_OTHER_COMPONENT_SEPARATORS = frozenset(":><|^!\\")


def _components(segment: Segment, index: int, note: Note) -> list[str]:
    """The parts of a composite that starts with a two-letter code, by the separator it plainly uses."""
    text = segment.get(index)
    separator = segment.separators.component
    if separator not in text and len(text) > 2 and text[2] in _OTHER_COMPONENT_SEPARATORS:
        separator = text[2]
        note(segment, Kind.NOTE, f"{_element(segment, index)} is parted by {separator} against ISA16; read so")
    return [part.strip() for part in text.split(separator)]


def _part(parts: Sequence[str], index: int) -> str:
    return parts[index] if index < len(parts) else ""


def _adjustments(segment: Segment, already: int, note: Note) -> Iterator[Adjustment]:
    """The triplets of a CAS: reason, amount, quantity, up to six times."""
    group = segment.get(1)
    if group not in ADJUSTMENT_GROUPS:
        note(segment, Kind.VALUE, "CAS01 is not an adjustment group")
    if any(segment.get(index) for index in range(20, len(segment.elements))):
        note(segment, Kind.AMOUNT, "more than six adjustments in one segment; the rest is not read")
    for index in range(2, 20, 3):
        if not any(segment.get(place) for place in range(index, index + 3)):
            continue
        already += 1
        if not segment.get(index):
            note(segment, Kind.VALUE, f"{_element(segment, index)}, the reason, is missing")
        amount = amount_at(segment, index + 1, note)
        yield Adjustment(already, group, segment.get(index), amount, _quantity_at(segment, index + 2, note))


def _person(segment: Segment) -> Person:
    return Person(*(segment.get(index) for index in (3, 4, 5, 7, 8, 9)))


def read_line(ordinal: int, segments: Sequence[Segment], note: Note) -> ServiceLine:
    """A service line (loop 2110) from its SVC and the segments up to the next one."""
    svc = segments[0]
    procedure = _components(svc, 1, note)
    submitted = _components(svc, 6, note)
    adjustments: list[Adjustment] = []
    remarks: list[str] = []
    amounts: list[tuple[str, Money]] = []
    days: dict[str, date | None] = {}
    line_control = ""
    for segment in segments[1:]:
        match segment.id, segment.get(1):
            case "CAS", _:
                adjustments += _adjustments(segment, len(adjustments), note)
            case "DTM", "472" | "150" | "151" as what:
                days[what] = date_at(segment, 2, note)
            case "REF", "6R":
                line_control = segment.get(2)
            case "AMT", what:
                amounts.append((what, amount_at(segment, 2, note)))
            case "LQ", "HE" if segment.get(2):
                remarks.append(segment.get(2))
    units = _quantity_at(svc, 5, note)
    return ServiceLine(
        ordinal=ordinal,
        segment=svc.number,
        procedure_qualifier=_part(procedure, 0),
        procedure_code=_part(procedure, 1),
        modifiers=tuple(modifier for modifier in procedure[2:6] if modifier),
        description=_part(procedure, 6),
        submitted_qualifier=_part(submitted, 0),
        submitted_code=_part(submitted, 1),
        revenue_code=svc.get(4),
        charge=amount_at(svc, 2, note),
        paid=amount_at(svc, 3, note),
        units=Decimal(1) if units is None else units,
        service_on=days.get("472"),
        service_from=days.get("150"),
        service_to=days.get("151"),
        allowed=next((amount for what, amount in amounts if what == "B6"), None),
        line_control=line_control,
        adjustments=tuple(adjustments),
        remark_codes=tuple(remarks),
        amounts=tuple(amounts),
    )


#: Where inpatient (MIA) and outpatient (MOA) adjudication carry remark codes.
_REMARKS_AT = {"MIA": (5, 20, 21, 22, 23), "MOA": (3, 4, 5, 6, 7)}


def read_claim(ordinal: int, segments: Sequence[Segment], lines: Sequence[ServiceLine], note: Note) -> Claim:
    """A claim (loop 2100) from its CLP, the segments up to its first line, and the lines."""
    clp = segments[0]
    adjustments: list[Adjustment] = []
    remarks: list[str] = []
    amounts: list[tuple[str, Money]] = []
    people: dict[str, Person] = {}
    days: dict[str, date | None] = {}
    original = ""
    for segment in segments[1:]:
        match segment.id, segment.get(1):
            case "CAS", _:
                adjustments += _adjustments(segment, len(adjustments), note)
            case "NM1", "QC" | "IL" | "82" as who:
                people[who] = _person(segment)
            case "DTM", "232" | "233" | "050" as what:
                days[what] = date_at(segment, 2, note)
            case "REF", "F8":
                original = segment.get(2)
            case "AMT", what:
                amounts.append((what, amount_at(segment, 2, note)))
            case "MIA" | "MOA", _:
                remarks += filter(None, (segment.get(index) for index in _REMARKS_AT[segment.id]))
    return Claim(
        ordinal=ordinal,
        segment=clp.number,
        patient_control=clp.get(1),
        status=clp.get(2),
        charge=amount_at(clp, 3, note),
        paid=amount_at(clp, 4, note),
        patient_responsibility=_optional_amount_at(clp, 5, note),
        filing_indicator=clp.get(6),
        payer_control=clp.get(7),
        facility_code=clp.get(8),
        frequency=clp.get(9),
        original_payer_control=original,
        patient=people.get("QC"),
        subscriber=people.get("IL"),
        rendering=people.get("82"),
        statement_from=days.get("232"),
        statement_to=days.get("233"),
        received_on=days.get("050"),
        adjustments=tuple(adjustments),
        remark_codes=tuple(remarks),
        amounts=tuple(amounts),
        lines=tuple(lines),
    )


def provider_adjustments(segment: Segment, already: int, note: Note) -> Iterator[ProviderAdjustment]:
    """The pairs of a PLB: reason with reference, and amount, up to six times."""
    period_on = date_at(segment, 2, note)
    for index in range(3, 15, 2):
        if not (segment.get(index) or segment.get(index + 1)):
            continue
        already += 1
        parts = _components(segment, index, note)
        amount = amount_at(segment, index + 1, note)
        yield ProviderAdjustment(already, segment.get(1), period_on, parts[0], _part(parts, 1), amount)


_PHONES_AT = (3, 5, 7)


def _phone(segment: Segment) -> str:
    return next((segment.get(at + 1) for at in _PHONES_AT if segment.get(at) == "TE"), "")


@dataclass(slots=True)
class Parties:
    """Payer and payee as the header's N1 loops give them."""

    names: dict[str, str] = field(default_factory=dict)
    ids: dict[str, tuple[str, str]] = field(default_factory=dict)
    phones: dict[str, str] = field(default_factory=dict)
    other_id: str = ""


def read_parties(segments: Sequence[Segment]) -> Parties:
    parties = Parties()
    loop = ""
    for segment in segments:
        match segment.id, segment.get(1):
            case "N1", loop:
                parties.names[loop] = segment.get(2)
                parties.ids[loop] = (segment.get(3), segment.get(4))
            case "REF", "2U" if loop == "PR":
                parties.other_id = segment.get(2)
            case "PER", role if loop == "PR" and _phone(segment):
                parties.phones.setdefault(role, _phone(segment))
    return parties
