"""Hand-made bills for the safety checks, each with what must be found on it: a table to be read.

A bill is its lines, and a line is what payers said of it: ``line("99213", 185, CO45=73, paid=82, PR3=30)``. Amounts are
dollars. Lines are numbered from 1; ``found`` names them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from portal.billing.checks.facts import Bill, ClaimFact, CoverageFact, CreditFact, EntryFact, LineFact
from portal.billing.kinds import Check, EntryKind
from portal.money import Money

ZERO = Money.zero()
DAY = date(2026, 5, 4)
PLAN = "Example Health Plan"
SUPPLEMENT = "Sample Supplement"

CHARGE, ADJUSTED, PAID = EntryKind.CHARGE, EntryKind.ADJUSTMENT, EntryKind.INSURER_PAYMENT
MOVED, PATIENT = EntryKind.SHARE_MOVED, EntryKind.PATIENT_PAYMENT


def usd(amount: float) -> Money:
    """Dollars, as a person writes them."""
    return Money.from_decimal(Decimal(str(amount)))


def line(
    code: str, billed: float, *entries: EntryFact, paid: float = 0, by_patient: float = 0, **facts: Any
) -> LineFact:
    """A line: ``PR3=30`` is an adjustment in group PR with reason 3; ``remarks`` stand on the first adjustment.

    ``modifiers`` is ``"26 LT"``. What no payer was asked about (``self_pay=True``) is the patient's from the start.
    """
    adjustments = {name: facts.pop(name) for name in list(facts) if re.fullmatch(r"(CO|PR|OA|PI)[A-Z0-9]+", name)}
    remarks = tuple(facts.pop("remarks", "").split())
    charged = usd(facts.pop("charged", billed))
    alone = facts.pop("self_pay", False)
    made = [EntryFact(CHARGE, *((ZERO, charged) if alone else (charged, ZERO)), stated=charged)]
    if paid:
        made.append(EntryFact(PAID, insurer=-usd(paid), stated=usd(paid)))
    for name, amount in adjustments.items():
        group, reason, size = name[:2], name[2:], usd(amount)
        effect = (
            {"kind": MOVED, "insurer": -size, "patient": size}
            if group == "PR"
            else {"kind": ADJUSTED, "insurer": -size}
        )
        made.append(EntryFact(**effect, group=group, reason=reason, stated=size, remarks=remarks))
        remarks = ()
    made += entries
    if by_patient:
        made.append(EntryFact(PATIENT, patient=-usd(by_patient), own=facts.pop("own", True)))
    facts["modifiers"] = tuple(facts.pop("modifiers", "").split())
    return LineFact(id=0, code=code, billed=usd(billed), entries=tuple(made), service_on=facts.pop("on", DAY), **facts)


def claim(**facts: Any) -> ClaimFact:
    """A payer's decision about every line of its bill; ``stated`` is CLP05 in dollars."""
    for name, field in (
        ("stated", "stated_share"),
        ("share", "share"),
        ("at_desk", "patient_paid"),
        ("off", "difference"),
    ):
        if name in facts:
            facts[field] = usd(facts.pop(name))
    facts["remarks"] = tuple(facts.pop("remarks", "").split())
    return ClaimFact(**{"payer": PLAN, "filing": "12", "facility": "11", **facts})


@dataclass(frozen=True)
class Case:
    """A bill and what must be found on it: the check and the line, nothing else and nothing less."""

    name: str
    bill: Bill
    found: tuple[tuple[Check, int], ...]


def case(name: str, *lines: LineFact, found: str = "", claims: Any = None, elsewhere: Any = (), **facts: Any) -> Case:
    """``found`` is ``"math 1, credit 2"``. Without ``claims`` one ordinary decision about all lines is meant."""
    numbered = tuple(replace(one, id=place, ordinal=place) for place, one in enumerate(lines, 1))
    everything = frozenset(one.id for one in numbered)
    decided = (claim(),) if claims is None else claims
    for name_, value in (("estimate", "estimate"), ("desk_paid", "desk_paid")):
        if name_ in facts:
            facts[value] = usd(facts[name_])
    bill = Bill(
        lines=numbered,
        claims=tuple(replace(one, lines=one.lines or everything) for one in decided),
        elsewhere=tuple(replace(one, id=900 + place) for place, one in enumerate(elsewhere)),
        started_on=DAY,
        **facts,
    )
    expected = tuple((Check(word), int(number)) for word, number in (one.split() for one in found.split(", ") if one))
    return Case(name, bill, expected)


def covered(payer: str = PLAN, starts: date = date(2026, 1, 1), ends: date | None = None) -> CoverageFact:
    return CoverageFact(payer, starts, ends)


def owed(amount: float, left: float | None = None) -> CreditFact:
    return CreditFact(usd(amount), "V-OLD", usd(amount if left is None else left))


def visit(**facts: Any) -> LineFact:
    """An office visit with a copay of $30."""
    return line("99213", 185, **{"CO45": 73, "paid": 82, "PR3": 30, **facts})


def x_ray(**facts: Any) -> LineFact:
    """An X-ray with a coinsurance of $10.40."""
    return line("71046", 135, **{"CO45": 83, "paid": 41.6, "PR2": 10.4, **facts})


def taken_up(amount: float) -> EntryFact:
    """A later payer looks at what an earlier one left to the patient."""
    return EntryFact(MOVED, insurer=usd(amount), patient=-usd(amount), stated=usd(amount))


def slipped(amount: float, group: str = "") -> EntryFact:
    """Something that puts an amount into the patient's bucket and is no decision of a payer's."""
    return EntryFact(
        ADJUSTED,
        insurer=-usd(amount),
        patient=usd(amount),
        group=group,
        reason="45" if group else "",
        stated=usd(amount),
    )


MATH = [
    case("the charge is not what was billed", visit(charged=190, PR3=35), found="math 1"),
    case("more is asked for than was billed", line("99213", 100, PR1=130), found="math 1"),
    case("payers decided about more than there was", line("99213", 100, CO45=60, paid=60, PR3=30), found="math 1"),
    case("the remittance does not add up", visit(), claims=[claim(off=10)], found="math 1"),
    case("it adds up", visit(), x_ray()),
    case("all of it is the patient's", line("99213", 100, PR1=100)),
    case("a wrong charge that nobody is asked for", line("99213", 100, charged=120, CO29=120)),
    case("one decision told in two places", line("99213", 100), line("", 0, paid=60, PR3=40, whole_visit=True)),
    case(
        "a remittance that did not add up was taken back",
        visit(PR3=30),
        claims=[claim(off=5), claim(status="22"), claim()],
    ),
]

DUPLICATE = [
    case("the same line twice", x_ray(), x_ray(), found="duplicate_line 2"),
    case("three times", x_ray(), x_ray(), x_ray(), found="duplicate_line 2, duplicate_line 3"),
    case("the payer says so", line("71046", 135, PR18=135), found="duplicate_line 1"),
    case("on an earlier bill", x_ray(), elsewhere=[x_ray()], found="duplicate_line 1"),
    case("the first was paid by the patient", x_ray(by_patient=10.4), x_ray(), found="duplicate_line 2"),
    case("the second was paid by the patient", x_ray(), x_ray(by_patient=10.4), found="duplicate_line 1"),
    case("twice for the same side", x_ray(modifiers="LT"), x_ray(modifiers="LT"), found="duplicate_line 2"),
    case("done again by the same person", x_ray(), x_ray(modifiers="76")),
    case("done again twice", x_ray(), x_ray(modifiers="76"), x_ray(modifiers="76")),
    case("left and right", x_ray(modifiers="LT"), x_ray(modifiers="RT")),
    case("on two days", x_ray(), x_ray(on=date(2026, 5, 5))),
    case("the payer refused the second", x_ray(), line("71046", 135, CO18=135)),
    case("the second is not decided", x_ray(), line("71046", 135)),
    case("nothing is asked for the second", x_ray(), x_ray(PR2=0, paid=52)),
    case(
        "two lines of one department",
        line("", 80, PR1=80, revenue_code="0250"),
        line("", 80, PR1=80, revenue_code="0250"),
    ),
    case(
        "drugs by package number", line("00002", 80, PR1=80, qualifier="N4"), line("00002", 80, PR1=80, qualifier="N4")
    ),
]

TWICE = [
    case("another price", visit(), line("99213", 140, CO45=28, paid=82, PR3=30), found="same_service_twice 2"),
    case("by video, and in the room", visit(), visit(modifiers="95"), found="same_service_twice 2"),
    case(
        "other units", line("97110", 65, PR1=65), line("97110", 130, PR1=130, units="2"), found="same_service_twice 2"
    ),
    case(
        "on an earlier bill at another price",
        visit(),
        elsewhere=[line("99213", 140, PR3=30)],
        found="same_service_twice 1",
    ),
    case("modifier 25 makes no second visit", visit(modifiers="25"), visit(), found="same_service_twice 2"),
    case("two units on one line", line("97110", 130, PR1=130, units="2")),
    case("a separate act", line("11102", 200, PR1=200), line("11102", 150, PR1=150, modifiers="59")),
    case("two disciplines", line("97110", 65, PR1=65, modifiers="GP"), line("97110", 70, PR1=70, modifiers="GO")),
    case(
        "the picture and its reading",
        line("71046", 90, PR1=90, modifiers="TC"),
        line("71046", 45, PR1=45, modifiers="26"),
    ),
    case("each additional vaccine part", line("90461", 20, PR1=20), line("90461", 40, PR1=40, units="2")),
    case("a drug in two sizes", line("J1885", 20, PR1=20), line("J1885", 40, PR1=40, units="2")),
    case("a laboratory test repeated", line("82962", 12, PR1=12), line("82962", 14, PR1=14, modifiers="91")),
    case(
        "two fingers",
        line("26055", 900, PR1=90, CO45=810, modifiers="F1"),
        line("26055", 850, PR1=90, CO45=760, modifiers="F2"),
    ),
    case("two services", visit(), x_ray()),
]

ABOVE = [
    case("more than CLP05", visit(PR3=30), claims=[claim(stated=20, share=30)], found="above_remittance 1"),
    case(
        "both lines of that claim",
        visit(),
        x_ray(),
        claims=[claim(stated=20, share=40.4)],
        found="above_remittance 1, above_remittance 2",
    ),
    case(
        "more than the payer moved",
        line("99213", 185, slipped(20), CO45=53, paid=82, PR3=30),
        found="above_remittance 1",
    ),
    case(
        "the first of two claims",
        visit(),
        x_ray(),
        claims=[claim(stated=10, share=30, lines=frozenset({1})), claim(stated=10.4, share=10.4, lines=frozenset({2}))],
        found="above_remittance 1",
    ),
    case("exactly CLP05", visit(), claims=[claim(stated=30, share=30)]),
    case("one cent less", visit(), claims=[claim(stated=30.01, share=30)]),
    case("the payer states none", visit(), claims=[claim(share=30)]),
    case("more, but paid", visit(by_patient=30), claims=[claim(stated=20, share=30)]),
    case(
        "the wrong decision was taken back",
        visit(),
        claims=[claim(stated=20, share=30), claim(status="22"), claim(stated=30, share=30)],
    ),
    case(
        "the secondary decided otherwise",
        line(
            "99213",
            185,
            taken_up(30),
            EntryFact(PAID, insurer=usd(-20)),
            EntryFact(MOVED, insurer=usd(-10), patient=usd(10), group="PR", reason="3"),
            CO45=73,
            paid=82,
            PR3=30,
        ),
        claims=[claim(stated=20, share=30), claim(payer=SUPPLEMENT, status="2", stated=10, share=10)],
    ),
    case("self-pay has no remittance", line("99213", 185, self_pay=True), claims=[]),
]

CONTRACTUAL = [
    case(
        "a CO entry with a patient's side",
        line("99213", 185, slipped(73, "CO"), paid=82, PR3=30),
        found="contractual_amount 1",
    ),
    case(
        "the discount slipped into the balance",
        line("99213", 258, slipped(73), CO45=73, paid=82, PR3=30),
        found="contractual_amount 1",
    ),
    case(
        "a part of the discount, as CO",
        line("99213", 185, slipped(20, "CO"), CO45=53, paid=82, PR3=30),
        found="contractual_amount 1",
    ),
    case(
        "a CO entry where nothing else is asked for",
        line("99213", 185, slipped(40, "CO"), CO45=63, paid=82),
        found="contractual_amount 1",
    ),
    case("the discount is off", visit()),
    case("the discount is as large as the share", line("99213", 185, CO45=51.5, paid=82, PR3=51.5)),
    case("the patient has paid it", line("99213", 185, slipped(73, "CO"), paid=82, PR3=30, by_patient=103)),
    case("an amount above the fee, and no contract", line("99213", 185, PR45=73, paid=82, PR3=30)),
    case("a payer's reduction", line("97110", 260, CO45=100, PI222=40, paid=96, PR2=24)),
]

PENDING = [
    case("some of it is undecided", line("99213", 185, paid=82, PR3=30), found="insurer_pending 1"),
    case("sent on to the next payer", visit(), claims=[claim(status="19")], found="insurer_pending 1"),
    case("a remark says so", visit(remarks="MA18"), found="insurer_pending 1"),
    case("a remark of the claim says so", visit(), claims=[claim(remarks="MA07")], found="insurer_pending 1"),
    case("another payer comes first", line("99213", 185, PR22=185), found="insurer_pending 1"),
    case("sent to the wrong payer", line("99213", 185, PR109=185), found="insurer_pending 1"),
    case(
        "a second insurance on record", visit(), coverages=(covered(), covered(SUPPLEMENT)), found="insurer_pending 1"
    ),
    case(
        "the supplement sends it on",
        visit(),
        claims=[claim(), claim(payer=SUPPLEMENT, status="20")],
        found="insurer_pending 1",
    ),
    case("everybody is done", visit(), coverages=(covered("EXAMPLE  HEALTH-PLAN"),)),
    case(
        "the second has decided",
        visit(remarks="MA18"),
        claims=[claim(status="19"), claim(payer=SUPPLEMENT, status="2")],
        coverages=(covered(), covered(SUPPLEMENT)),
    ),
    case("the second insurance began later", visit(), coverages=(covered(), covered(SUPPLEMENT, date(2026, 5, 5)))),
    case("the second insurance had ended", visit(), coverages=(covered(), covered(SUPPLEMENT, ends=date(2026, 5, 3)))),
    case("all of it is undecided", line("99213", 185)),
    case("sent on to a spending account", visit(remarks="N367")),
    case("nothing is left to ask for", visit(by_patient=30), claims=[claim(status="19")]),
]

FAULT = [
    case("filed too late", line("99212", 120, PR29=120), found="provider_fault 1"),
    case("information was missing", line("99212", 120, PR16=120, remarks="M76"), found="provider_fault 1"),
    case("papers were not sent", line("99212", 120, PR252=120), found="provider_fault 1"),
    case("not certified for it", line("99212", 120, PRB7=120), found="provider_fault 1"),
    case("part of another service", visit(), line("36415", 18, PR97=18), found="provider_fault 2"),
    case("no permission, in the network", visit(), line("70551", 900, PR197=900), found="provider_fault 2"),
    case("only the late part of it", line("99212", 120, PR29=20, PR3=100), found="provider_fault 1"),
    case("filed too late, and written off", line("99212", 120, CO29=120)),
    case("no permission, outside the network", line("70551", 900, PR197=900)),
    case("the patient has to answer", line("99212", 120, PR16=120, remarks="MA04")),
    case("the patient did not answer", line("99212", 120, PR227=120)),
    case("not covered by the plan", line("99212", 120, PR204=120)),
    case(
        "too late, and taken back",
        line(
            "99212",
            120,
            EntryFact(MOVED, insurer=usd(120), patient=usd(-120), group="PR", reason="29", stated=usd(-120)),
            EntryFact(MOVED, insurer=usd(-30), patient=usd(30), group="PR", reason="3"),
            EntryFact(PAID, insurer=usd(-90)),
            PR29=120,
        ),
    ),
]

SELF_PAY = [
    case(
        "no insurer was asked",
        line("99213", 185, self_pay=True),
        claims=[],
        coverages=(covered(),),
        found="covered_self_pay 1",
    ),
    case("filed as self-pay", visit(), claims=[claim(filing="09")], coverages=(covered(),), found="covered_self_pay 1"),
    case(
        "the insurer did not know the patient",
        line("99213", 185, PR31=185),
        coverages=(covered(),),
        found="covered_self_pay 1",
    ),
    case(
        "the insurer says that cover had ended",
        line("99213", 185, PR27=185),
        coverages=(covered(SUPPLEMENT),),
        found="covered_self_pay 1",
    ),
    case(
        "on the first day",
        line("99213", 185, self_pay=True),
        claims=[],
        coverages=(covered(starts=DAY),),
        found="covered_self_pay 1",
    ),
    case(
        "on the last day",
        line("99213", 185, self_pay=True),
        claims=[],
        coverages=(covered(ends=DAY),),
        found="covered_self_pay 1",
    ),
    case("nobody is insured", line("99213", 185, self_pay=True), claims=[]),
    case(
        "it had ended the day before",
        line("99213", 185, self_pay=True),
        claims=[],
        coverages=(covered(ends=date(2026, 5, 3)),),
    ),
    case("it began the day after", line("99213", 185, PR26=185), coverages=(covered(starts=date(2026, 5, 5)),)),
    case("the insurer was asked", visit(), coverages=(covered(),)),
    case("self-pay, and paid", line("99213", 185, self_pay=True, by_patient=185), claims=[], coverages=(covered(),)),
]

PREVENTIVE = [
    case("a mammogram", line("77067", 295, CO45=106.6, PR1=188.4), found="preventive 1"),
    case("a yearly checkup", line("99396", 310, CO45=96, paid=184, PR3=30), found="preventive 1"),
    case("anything with modifier 33", line("45380", 900, CO45=300, PR2=600, modifiers="33"), found="preventive 1"),
    case(
        "a flu shot and giving it",
        line("90686", 58, PR1=58),
        line("90471", 48, PR1=48),
        found="preventive 1, preventive 2",
    ),
    case("refused because it is preventive", line("99396", 310, PR49=310), found="preventive 1"),
    case(
        "Medicare's yearly visit",
        line("G0439", 180, PR2=36, paid=144),
        claims=[claim(filing="MB")],
        found="preventive 1",
    ),
    case("paid in full", line("77067", 295, CO45=106.6, paid=188.4)),
    case("the visit for a complaint on the same day", line("99396", 310, CO45=96, paid=214), visit(modifiers="25")),
    case("a mammogram for a complaint", line("77065", 295, CO45=106.6, PR1=188.4)),
    case("a rabies shot and giving it", line("90675", 400, PR1=400), line("90471", 48, PR1=48)),
    case("outside the network", line("99396", 310, PR242=110, PR2=200)),
    case("after an accident at work", line("90714", 60, PR1=60), claims=[claim(filing="WC")]),
    case(
        "a screening that became a treatment",
        line("G0105", 900, PR2=90, paid=810, modifiers="PT"),
        claims=[claim(filing="MB")],
    ),
    case("not covered at all", line("90686", 58, PR204=58)),
]

SURPRISES = [
    case(
        "an emergency outside the network",
        line("99284", 1240, paid=420, PR242=720, PR3=100),
        claims=[claim(facility="23")],
        found="no_surprises 1",
    ),
    case("an emergency by its revenue code", line("", 900, PR45=900, revenue_code="0450"), found="no_surprises 1"),
    case(
        "it was no emergency, says the payer",
        line("99283", 980, PR40=980),
        claims=[claim(facility="23")],
        found="no_surprises 1",
    ),
    case(
        "no permission for an emergency",
        line("99283", 980, PR197=980),
        claims=[claim(facility="23")],
        found="no_surprises 1",
    ),
    case(
        "anesthesia at a surgical center",
        line("00400", 700, PR45=400, PR2=300),
        claims=[claim(facility="24")],
        found="no_surprises 1",
    ),
    case(
        "anesthesia, and a consent",
        line("00400", 700, PR45=400, PR2=300),
        claims=[claim(facility="24", remarks="N882")],
        found="no_surprises 1",
    ),
    case("the payer says so", line("99203", 260, PR242=100, PR2=160, remarks="N865"), found="no_surprises 1"),
    case("a flight", line("A0431", 9000, PR45=4000, PR1=5000), claims=[claim(facility="42")], found="no_surprises 1"),
    case(
        "a surgeon at a hospital",
        line("29881", 2400, PR279=900, PR1=1500),
        claims=[claim(facility="22")],
        found="no_surprises 1",
    ),
    case(
        "in-network cost sharing",
        line("99284", 1240, CO45=410, paid=530, PR1=200, PR3=100),
        claims=[claim(facility="23")],
    ),
    case(
        "the payer applied the law",
        line("99284", 1240, CO45=640, paid=500, PR3=100, remarks="N830 N864"),
        claims=[claim(facility="23")],
    ),
    case("outside the network in an office", line("99203", 260, PR242=100, PR2=160)),
    case(
        "a surgeon, and a consent",
        line("29881", 2400, PR279=900, PR1=1500),
        claims=[claim(facility="22", remarks="N882")],
    ),
    case(
        "Medicare has a law of its own",
        line("99284", 1240, PR45=300, PR2=940),
        claims=[claim(facility="23", filing="MB")],
    ),
    case(
        "a bill type 23 is no emergency room",
        line("97110", 200, PR45=50, PR2=150, revenue_code="0420"),
        claims=[claim(facility="23")],
    ),
    case("a ride on the road", line("A0429", 900, PR45=400, PR1=500), claims=[claim(facility="41")]),
]

ESTIMATE = [
    case("exactly $400 above", line("29881", 750, self_pay=True), claims=[], estimate=350, found="above_estimate 1"),
    case(
        "all lines together",
        line("29881", 500, self_pay=True),
        line("99213", 300, self_pay=True),
        claims=[],
        estimate=300,
        found="above_estimate 1, above_estimate 2",
    ),
    case("with an insurer", line("29881", 2400, CO45=900, PR1=1500), estimate=950, found="above_estimate 1"),
    case(
        "the rest of what was paid in part",
        line("29881", 900, self_pay=True, by_patient=300),
        claims=[],
        estimate=400,
        found="above_estimate 1",
    ),
    case("$399.99 above", line("29881", 749.99, self_pay=True), claims=[], estimate=350),
    case("no estimate", line("29881", 2400, self_pay=True), claims=[]),
    case("below it", line("29881", 300, self_pay=True), claims=[], estimate=350),
    case("billed far above, asked for far less", line("29881", 2400, CO45=2000, PR1=400), estimate=350),
    case("above, and paid", line("29881", 900, self_pay=True, by_patient=900), claims=[], estimate=100),
]

DESK = [
    case("a copay was taken", visit(), desk_paid=30, found="paid_at_desk 1"),
    case("the claim says so", visit(), claims=[claim(at_desk=30)], found="paid_at_desk 1"),
    case("only the first line of two", visit(), x_ray(), desk_paid=30, found="paid_at_desk 1"),
    case("a cent reaches into the second", visit(), x_ray(), desk_paid=30.01, found="paid_at_desk 1, paid_at_desk 2"),
    case("some of it is booked", visit(by_patient=10, own=False), desk_paid=30, found="paid_at_desk 1"),
    case("another payment came through the portal", visit(by_patient=10), desk_paid=20, found="paid_at_desk 1"),
    case("it is booked", visit(by_patient=10, own=False), desk_paid=10),
    case("nothing was taken", visit()),
    case("it is booked on the other line", visit(), x_ray(by_patient=10.4, own=False), desk_paid=10.4),
    case("nothing is left", visit(by_patient=30), desk_paid=30),
]

CREDIT = [
    case("a credit as large", visit(), credits=(owed(30),), found="credit 1"),
    case("a credit that covers some of it", visit(), credits=(owed(5),), found="credit 1"),
    case("a credit that covers two", visit(), x_ray(), credits=(owed(31),), found="credit 1, credit 2"),
    case("two small credits", visit(), x_ray(), credits=(owed(30), owed(4)), found="credit 1, credit 2"),
    case("only the first of two", visit(), x_ray(), credits=(owed(30),), found="credit 1"),
    case("an older bill uses it up", visit(), x_ray(), credits=(owed(60, 12),), found="credit 1"),
    case("no credit", visit()),
    case("nothing is asked for", visit(by_patient=30), credits=(owed(30),)),
    case("the insurer is not done", line("99213", 185), credits=(owed(30),)),
    case("all of it is used up by older bills", visit(), credits=(owed(60, 0),)),
]

CASES: dict[Check, list[Case]] = {
    Check.MATH: MATH,
    Check.DUPLICATE_LINE: DUPLICATE,
    Check.SAME_SERVICE_TWICE: TWICE,
    Check.ABOVE_REMITTANCE: ABOVE,
    Check.CONTRACTUAL_AMOUNT: CONTRACTUAL,
    Check.INSURER_PENDING: PENDING,
    Check.PROVIDER_FAULT: FAULT,
    Check.COVERED_SELF_PAY: SELF_PAY,
    Check.PREVENTIVE: PREVENTIVE,
    Check.NO_SURPRISES: SURPRISES,
    Check.ABOVE_ESTIMATE: ESTIMATE,
    Check.PAID_AT_DESK: DESK,
    Check.CREDIT: CREDIT,
}
