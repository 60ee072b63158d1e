"""The safety check: thirteen questions to a bill before anybody is asked for money. Pure.

Each check is a function from a :class:`Bill` to its findings, with its rule, its source where it is law, and an example
in its docstring; ``docs/checks.md`` tells them in prose. A check speaks only of lines on which the patient would be
asked for something (``due`` above nothing): what nobody asks for needs no hold.
"""

from collections.abc import Callable, Iterable, Iterator

from portal.billing.checks import codes
from portal.billing.checks.alike import second_lines, service_of_day, whole_line
from portal.billing.checks.facts import ZERO, Bill, ClaimFact, Finding, LineFact, same_name
from portal.billing.kinds import PATIENT_MONEY, Check, EntryKind
from portal.money import Money

#: 45 CFR 149.620: "substantially in excess" of the estimate.
ESTIMATE_MARGIN = Money(400_00)


def math(bill: Bill) -> Iterator[Finding]:
    """The sums hold: a line's charge is what was billed, nobody is asked for more than that, insurers have not decided
    about more than there was, and each remittance adds up (X12 005010X221A1, 1.10.2.1).

    Example: $100.00 billed, and $130.00 stands as the patient's share.
    """
    visit_open = Money.total(line.with_insurer for line in bill.lines)
    for line in bill.asking:
        decided = bill.decision.get(line.id)
        broken = decided.difference if decided else ZERO
        charged = Money.total(one.insurer + one.patient for one in line.entries if one.kind is EntryKind.CHARGE)
        if charged != line.billed:
            yield _found(Check.MATH, line, abs(charged - line.billed), rule="charge", billed=line.billed, other=charged)
        elif line.share > line.billed and not line.whole_visit:
            yield _found(Check.MATH, line, line.share - line.billed, rule="share", billed=line.billed, other=line.share)
        elif broken:
            yield _found(Check.MATH, line, abs(broken), rule="remittance", billed=line.billed, other=broken)
        elif line.with_insurer < ZERO and visit_open < ZERO:
            # Below nothing on one line and as much above on another is one decision told in two places.
            over = -line.with_insurer
            yield _found(Check.MATH, line, over, rule="decided", billed=line.billed, other=line.billed + over)


def duplicate_line(bill: Bill) -> Iterator[Finding]:
    """A line that stands twice: day, code, modifiers, units and price agree, on this bill or an earlier one of the same
    provider, and no modifier says that it was done again. Also where the payer itself calls it a duplicate (CARC 18).

    A line that insurance refused or has not decided is no second bill, and one of the alike may be asked for.
    Example: two lines 71046, one unit, $135.00, on the same day. With modifier 76 on the second it is a repeat.
    """
    for line in bill.asking:
        if said := line.share_for(codes.PAYER_SAYS_DUPLICATE):
            yield _found(Check.DUPLICATE_LINE, line, said, code=line.code, day=_day(bill, line), said_by="payer")
    for line in second_lines(bill, whole_line):
        if not line.share_for(codes.PAYER_SAYS_DUPLICATE):
            yield _found(Check.DUPLICATE_LINE, line, line.share, code=line.code, day=_day(bill, line), said_by="lines")


def same_service_twice(bill: Bill) -> Iterator[Finding]:
    """A service that stands twice on a day, in lines that are not alike: price, units or a modifier that says nothing
    of a second service differ.

    Sides, fingers, disciplines, parts of the work and repeat modifiers make two services of it; so do supplies, drugs
    and "each additional" codes, and lines known by a revenue code alone, which names a department.
    Example: 99213 at $185.00 and 99213-95 at $140.00 on the same day.
    """
    alike = {line.id for line in second_lines(bill, whole_line)}
    for line in second_lines(bill, service_of_day):
        if line.id not in alike:
            yield _found(Check.SAME_SERVICE_TWICE, line, line.share, code=line.code, day=_day(bill, line))


def above_remittance(bill: Bill) -> Iterator[Finding]:
    """Nobody is asked for more than the remittance's own patient responsibility: a line's share is what payers moved
    to it as PR, and a decision's PR adjustments come to no more than its CLP05 (X12 RFI 2548).

    A payer that leaves CLP05 out says nothing about it. Bills without a remittance are not meant.
    Example: PR-1 $50.00 and PR-2 $24.50, and CLP05 says $50.00.
    """
    if not bill.claims:
        return
    for line in bill.asking:
        over = _beyond_remittance(line)
        # A later payer's decision takes the place of the earlier ones'.
        claim = bill.decision.get(line.id)
        if over > ZERO and over != line.contractual:
            yield _found(Check.ABOVE_REMITTANCE, line, over, stated=line.share - over, asked=line.share)
        elif claim and line.shares and claim.stated_share is not None and claim.share > claim.stated_share:
            above, stated = claim.share - claim.stated_share, claim.stated_share
            yield _found(Check.ABOVE_REMITTANCE, line, above, stated=stated, asked=claim.share, payer=claim.payer)


def contractual_amount(bill: Bill) -> Iterator[Finding]:
    """No contractual (CO) amount is in the balance: the clinic agreed not to be paid it, by its contract or by law.

    It is there where a CO entry has a patient's side, or where exactly the discount stands beyond the payer's PR.
    Example: $185.00 billed, CO-45 $73.00, PR-3 $30.00, and $103.00 is asked for.
    """
    for line in bill.asking:
        mine = _contractual_side(line)
        beyond = _beyond_remittance(line)
        if mine > ZERO:
            yield _found(Check.CONTRACTUAL_AMOUNT, line, mine, discount=line.contractual)
        elif bill.claims and beyond > ZERO and beyond == line.contractual:
            yield _found(Check.CONTRACTUAL_AMOUNT, line, beyond, discount=line.contractual)


def insurer_pending(bill: Bill) -> Iterator[Finding]:
    """Every insurer is finished: nothing of the line is undecided, the claim was not sent on to a payer who has not
    answered, no insurer on record has yet to be asked, and no payer left it to the patient only because another one
    comes first.

    Example: the primary decided with CLP02 = 19 (sent on), and the secondary has not answered.
    """
    decided = [claim.payer for claim in bill.standing]
    for line in bill.asking:
        day, claim = bill.day(line), bill.decision.get(line.id)
        later = [
            one.payer
            for one in bill.coverages
            if day and one.active(day) and not any(same_name(one.payer, payer) for payer in decided)
        ]
        if line.with_insurer > ZERO and not (claim and claim.difference):
            yield _found(Check.INSURER_PENDING, line, line.share, rule="undecided", open=line.with_insurer)
        elif claim and _sent_on(claim, line):
            yield _found(Check.INSURER_PENDING, line, line.share, rule="forwarded", payer=claim.payer)
        elif another := line.share_for(codes.ANOTHER_PAYER):
            yield _found(Check.INSURER_PENDING, line, another, rule="another", payer=_payer(bill))
        elif decided and later and not line.share_for(codes.NOT_INSURED):
            yield _found(Check.INSURER_PENDING, line, line.share, rule="on_record", payer=later[0])


def provider_fault(bill: Bill) -> Iterator[Finding]:
    """The share is not there for the clinic's own mistake: a claim sent too late or wrongly, papers not sent, a
    provider who may not be paid, a part of another service; and, where the bill shows a contract with the payer, a
    permission the clinic had to ask for.

    Provider contracts and Medicare (42 CFR 424.44 with 489.21) forbid to bill patients for these, also where the payer
    wrote PR. CARC 16 that waits for the patient's own answer is the patient's. Example: PR-29 (filed too late) $120.00.
    """
    in_network = any(line.contractual > ZERO for line in bill.lines)
    for line in bill.asking:
        reasons = codes.PROVIDER_FAULT | (codes.PERMISSION if in_network else frozenset())
        if (line.remarks | bill.remarks) & codes.ASKS_THE_PATIENT:
            reasons = reasons - {codes.LACKS_INFORMATION}
        if amount := line.share_for(reasons):
            which = sorted(reasons & line.shares.keys())
            yield _found(Check.PROVIDER_FAULT, line, amount, reasons=" ".join(which), payer=_payer(bill))


def covered_self_pay(bill: Bill) -> Iterator[Finding]:
    """Nobody with active coverage is billed as if there were none: the bill went to no insurer, or as self-pay, or the
    insurer did not know the patient, and the front office has an insurance on record that was active that day.

    Example: $220.00 billed to the patient on May 4; a plan on record is active from January 1.
    """
    billed_alone = not bill.standing or codes.FILED_SELF_PAY in bill.filing
    for line in bill.asking:
        unknown = line.share_for(codes.NOT_INSURED)
        day = bill.day(line)
        if not day or not (billed_alone or unknown):
            continue
        for coverage in bill.coverages:
            if coverage.active(day):
                amount = line.share if billed_alone else unknown
                yield _found(Check.COVERED_SELF_PAY, line, amount, payer=coverage.payer, day=day.isoformat())
                break


def preventive(bill: Bill) -> Iterator[Finding]:
    """No deductible, coinsurance or copay on preventive care: 45 CFR 147.130 for health plans, 42 CFR 410.152(l) for
    Medicare.

    Preventive by modifier 33 or by its code. Not meant: plans of another kind (accident, work), a provider outside
    the network (147.130(a)(3)), and a copay on the office visit of the same day. Grandfathered plans may charge:
    whoever looks finds out. Example: 77067 (yearly mammogram), PR-1 $140.00.
    """
    if not bill.claims or bill.filing & codes.NOT_HEALTH_PLANS:
        return
    medicare = bool(bill.filing & codes.MEDICARE)
    vaccinated = any(_is_vaccine(line) for line in bill.lines)
    for line in bill.asking:
        if not _is_preventive(line, medicare, vaccinated) or line.share_for(codes.OUT_OF_NETWORK):
            continue
        if amount := line.share_for(codes.PREVENTIVE_REASONS):
            yield _found(Check.PREVENTIVE, line, amount, code=line.code)


def no_surprises(bill: Bill) -> Iterator[Finding]:
    """No surprise bill (45 CFR 149.110 to 149.140, 149.410 to 149.440): for emergencies, for care by somebody outside
    the network at a hospital or surgical center, and for air ambulances, the patient owes in-network cost sharing only.

    Found where the payer says that the law applies and the share is more than cost sharing; and where a share that is
    there because the provider is outside the network (or, in an emergency, for a missing permission or "no emergency")
    stands on such a service. Plans under laws of their own (Medicare, Medicaid, TRICARE, work) are meant only where
    the payer says so; with the patient's consent (N882) only what consent can't waive (149.420(b)).
    Example: 99284 at place 23 with PR-242 $600.00.
    """
    for line in bill.asking:
        said = (line.remarks | bill.remarks) & codes.PROTECTED
        emergency = _is_emergency(bill, line)
        consented = codes.CONSENTED in line.remarks | bill.remarks
        rule, reasons = "", frozenset[str]()
        if said:
            rule, reasons = "said", frozenset(line.shares) - codes.COST_SHARE
        elif bill.filing & codes.OTHER_LAWS:
            continue
        elif emergency:
            rule, reasons = "emergency", codes.OUT_OF_NETWORK | codes.NOT_FOR_EMERGENCIES
        elif line.code in codes.AIR_AMBULANCE:
            rule, reasons = "air", codes.OUT_OF_NETWORK
        elif bill.place in codes.PARTICIPATING_PLACES and (not consented or _is_ancillary(line)):
            rule, reasons = "place", codes.OUT_OF_NETWORK
        if amount := line.share_for(reasons):
            yield _found(Check.NO_SURPRISES, line, amount, rule=rule, said=" ".join(sorted(said)), payer=_payer(bill))


def above_estimate(bill: Bill) -> Iterator[Finding]:
    """The bill is not $400.00 or more above the good-faith estimate (45 CFR 149.620): then the patient may dispute it.

    The law speaks of people who pay themselves; who was given an estimate may lean on it all the same. Compared is all
    that the patient is asked for on the visit, paid or not. Example: estimated $350.00, billed $750.00.
    """
    total = Money.total(line.share for line in bill.lines)
    if bill.estimate is None or total - bill.estimate < ESTIMATE_MARGIN:
        return
    for line in bill.asking:
        over = total - bill.estimate
        yield _found(Check.ABOVE_ESTIMATE, line, line.share, estimate=bill.estimate, billed=total, over=over)


def paid_at_desk(bill: Bill) -> Iterator[Finding]:
    """What was paid at the desk is in the books: the desk's own note, or the amount the claim told the payer (AMT*F5),
    is no more than the payments of this visit that did not come through the portal.

    The lines it would pay are held, in their order. Example: a copay of $30.00 taken at the desk is billed again.
    """
    noted = max([bill.desk_paid, *(claim.patient_paid for claim in bill.standing)])
    booked = -Money.total(
        one.patient for line in bill.lines for one in line.entries if one.kind in PATIENT_MONEY and not one.own
    )
    left = noted - max(booked, ZERO)
    for line in sorted((one for one in bill.lines if one.share > ZERO), key=lambda one: one.ordinal):
        if left > ZERO and line.asks:
            yield _found(Check.PAID_AT_DESK, line, min(left, line.share), noted=noted)
        left = left - line.share


def credit(bill: Bill) -> Iterator[Finding]:
    """No credit on the account could cover it: where the clinic owes the patient, it does not ask for more.

    Credits that go back to a card by themselves are not handed in. The oldest lines are held as far as the credit goes.
    Example: $60.00 too much was paid for a visit in May, and $45.00 is asked for one in June.
    """
    left = list(bill.asking)
    for one in bill.credits:
        covered = ZERO
        while left and covered < one.left:
            line = left.pop(0)
            covered = covered + line.due
            yield _found(Check.CREDIT, line, one.amount, ref=one.ref)


#: Every check, in the order in which they are told.
CHECKS: dict[Check, Callable[[Bill], Iterator[Finding]]] = {
    Check.MATH: math,
    Check.DUPLICATE_LINE: duplicate_line,
    Check.SAME_SERVICE_TWICE: same_service_twice,
    Check.ABOVE_REMITTANCE: above_remittance,
    Check.CONTRACTUAL_AMOUNT: contractual_amount,
    Check.INSURER_PENDING: insurer_pending,
    Check.PROVIDER_FAULT: provider_fault,
    Check.COVERED_SELF_PAY: covered_self_pay,
    Check.PREVENTIVE: preventive,
    Check.NO_SURPRISES: no_surprises,
    Check.ABOVE_ESTIMATE: above_estimate,
    Check.PAID_AT_DESK: paid_at_desk,
    Check.CREDIT: credit,
}


def check_bill(bill: Bill, *, skip: Iterable[Check] = ()) -> tuple[Finding, ...]:
    """Every finding on a bill, check by check; ``skip`` names checks whose facts are not at hand. Raises nothing."""
    left_out = set(skip)
    return tuple(found for name, look in CHECKS.items() if name not in left_out for found in look(bill))


def _found(check: Check, line: LineFact, amount: Money, **facts: Money | str) -> Finding:
    told = {
        (f"{name}_cents" if isinstance(value, Money) else name): value.cents if isinstance(value, Money) else value
        for name, value in facts.items()
    }
    return Finding(check, line.id, amount, told)


def _day(bill: Bill, line: LineFact) -> str:
    day = bill.day(line)
    return day.isoformat() if day else ""


def _payer(bill: Bill) -> str:
    return bill.standing[-1].payer if bill.standing else ""


def _beyond_remittance(line: LineFact) -> Money:
    """What stands in the patient's bucket beyond what payers moved there as PR; below nothing counts as nothing."""
    moved = Money.total(
        one.patient
        for one in line.entries
        if one.kind is EntryKind.SHARE_MOVED and (one.group == "PR" or not one.reason)
    )
    return max(line.share - moved - _contractual_side(line), ZERO)


def _contractual_side(line: LineFact) -> Money:
    """What contractual (CO) entries put in the patient's bucket."""
    return Money.total(one.patient for one in line.entries if one.group == "CO" and one.kind not in PATIENT_MONEY)


def _sent_on(claim: ClaimFact, line: LineFact) -> bool:
    """Whether a line's newest decision says that another payer has yet to decide."""
    if claim.status in codes.FORWARDED or set(claim.remarks) & codes.FORWARDED_REMARKS:
        return True
    # What an earlier payer wrote on the line is answered by a later payer's decision.
    return claim.status not in codes.LATER_PAYER and bool(line.remarks & codes.FORWARDED_REMARKS)


def _is_vaccine(line: LineFact) -> bool:
    return codes.in_ranges(line.code, codes.VACCINES) and line.code not in codes.NOT_ROUTINE_VACCINES


def _is_preventive(line: LineFact, medicare: bool, vaccinated: bool) -> bool:
    if codes.PREVENTIVE_MODIFIER in line.modifiers:
        return True
    if line.code in codes.GIVING_VACCINES:
        return vaccinated
    visit = codes.in_ranges(line.code, codes.PREVENTIVE_VISITS) and not medicare
    # PT: a screening of Medicare's that turned into treatment, for which a coinsurance is due.
    return visit or _is_vaccine(line) or (line.code in codes.SCREENINGS and "PT" not in line.modifiers)


def _is_emergency(bill: Bill, line: LineFact) -> bool:
    return (
        bill.place == codes.EMERGENCY_PLACE
        or line.code in codes.EMERGENCY_CODES
        or line.revenue_code.zfill(4) in codes.EMERGENCY_REVENUE
    )


def _is_ancillary(line: LineFact) -> bool:
    return codes.in_ranges(line.code, codes.ANCILLARY) or bool(set(line.modifiers) & codes.ASSISTANTS)
