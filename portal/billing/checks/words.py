"""The safety checks in plain words, for the patient and for the desk. The rules are in ``rules.py``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask_babel import format_date
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal.billing.checks.rules import CHECKS
from portal.billing.checks.run import FoundRow
from portal.billing.kinds import Check, FindingState
from portal.money import Money

#: What each check makes sure of, as the patient reads it.
TITLES = {
    Check.MATH: _l("The numbers add up"),
    Check.DUPLICATE_LINE: _l("Nothing is listed twice"),
    Check.SAME_SERVICE_TWICE: _l("No service is billed twice on one day"),
    Check.ABOVE_REMITTANCE: _l("We ask for no more than your insurer says is yours"),
    Check.CONTRACTUAL_AMOUNT: _l("Discounts we agreed to are not on your bill"),
    Check.INSURER_PENDING: _l("All your insurers are done"),
    Check.PROVIDER_FAULT: _l("You do not pay for a mistake of ours"),
    Check.COVERED_SELF_PAY: _l("Your insurance was asked first"),
    Check.PREVENTIVE: _l("Preventive care is free where the law says so"),
    Check.NO_SURPRISES: _l("No surprise bill for an emergency or an out-of-network provider"),
    Check.ABOVE_ESTIMATE: _l("The bill is close to the estimate we gave you"),
    Check.PAID_AT_DESK: _l("What you paid at the front desk is counted"),
    Check.CREDIT: _l("No credit of yours could pay this"),
}

#: What the desk calls a finding, and what it might do about it.
STAFF_TITLES = {
    Check.MATH: _l("The amounts do not add up"),
    Check.DUPLICATE_LINE: _l("Listed twice"),
    Check.SAME_SERVICE_TWICE: _l("Same service twice on a day"),
    Check.ABOVE_REMITTANCE: _l("Above the remittance’s patient responsibility"),
    Check.CONTRACTUAL_AMOUNT: _l("A contractual amount is in the balance"),
    Check.INSURER_PENDING: _l("An insurer is not finished"),
    Check.PROVIDER_FAULT: _l("Denied for something the clinic has to answer for"),
    Check.COVERED_SELF_PAY: _l("Insured on that day, but billed as if not"),
    Check.PREVENTIVE: _l("A share of a preventive service"),
    Check.NO_SURPRISES: _l("Likely protected by the No Surprises Act"),
    Check.ABOVE_ESTIMATE: _l("$400 or more above the good-faith estimate"),
    Check.PAID_AT_DESK: _l("Paid at the desk, not in the books"),
    Check.CREDIT: _l("A credit on the account could cover it"),
}
ACTS = {
    Check.MATH: _l("Compare the line with the claim and the remittance, and have the back office correct it."),
    Check.DUPLICATE_LINE: _l("Look at the chart: was it done twice? If not, have the second line taken off."),
    Check.SAME_SERVICE_TWICE: _l("Look at the chart. If both were done, the claim may lack a modifier."),
    Check.ABOVE_REMITTANCE: _l("Ask the insurer which amount is right, or bring the patient’s share down to it."),
    Check.CONTRACTUAL_AMOUNT: _l("Write the discount off. It may not be billed to the patient."),
    Check.INSURER_PENDING: _l("See that the next insurer has the claim. Its decision ends this hold."),
    Check.PROVIDER_FAULT: _l("Correct and resend the claim or appeal. If that is too late, write it off."),
    Check.COVERED_SELF_PAY: _l("Send the claim to the insurance on record, or ask the patient which one it was."),
    Check.PREVENTIVE: _l("Ask the insurer to look again, or check whether the plan may charge for it."),
    Check.NO_SURPRISES: _l("Ask for in-network cost sharing only, unless a valid consent is on file."),
    Check.ABOVE_ESTIMATE: _l("Explain or lower the bill. The patient may dispute it (45 CFR 149.620)."),
    Check.PAID_AT_DESK: _l("Have the front desk’s payment posted to this visit."),
    Check.CREDIT: _l("Ask the patient: use the credit for this, or send it back."),
}

#: What comes next, as the patient reads it.
_NEXT = {
    Check.INSURER_PENDING: _l("We wait for the insurer, and tell you when it has decided."),
    Check.COVERED_SELF_PAY: _l("Our staff will see that your insurance gets the bill."),
    Check.CREDIT: _l("Our staff will ask you what you would like to do with your credit."),
    Check.PROVIDER_FAULT: _l("Our staff will sort it out with your insurer. You need to do nothing."),
}


def _amount(facts: Mapping[str, Any], name: str) -> str:
    return str(Money(int(facts.get(f"{name}_cents", 0))))


def _day(facts: Mapping[str, Any]) -> str:
    try:
        return format_date(date.fromisoformat(str(facts.get("day"))), "medium")
    except ValueError:
        return _("the same day")


def _payer(facts: Mapping[str, Any]) -> str:
    return str(facts.get("payer") or _("your insurer"))


def _math(facts: Mapping[str, Any], amount: str) -> str:
    if facts.get("rule") == "share":
        return _("Your share is %(amount)s more than what was billed.", amount=amount)
    if facts.get("rule") == "remittance":
        return _("Your insurer’s own numbers do not add up: they are off by %(amount)s.", amount=amount)
    return _("The amounts on this charge do not add up: they are off by %(amount)s.", amount=amount)


def _twice(facts: Mapping[str, Any], amount: str) -> str:
    if facts.get("said_by") == "payer":
        return _("Your insurer says that it saw this charge before.")
    return _("The same charge is on your bill twice for %(day)s.", day=_day(facts))


def _above(facts: Mapping[str, Any], amount: str) -> str:
    said, asked = _amount(facts, "stated"), _amount(facts, "asked")
    return _("Your insurer says that your part is %(said)s, but its details come to %(asked)s.", said=said, asked=asked)


def _pending(facts: Mapping[str, Any], amount: str) -> str:
    if facts.get("rule") == "forwarded":
        return _("%(payer)s sent this on to your other insurer, who has not decided yet.", payer=_payer(facts))
    if facts.get("rule") == "another":
        return _("%(payer)s says that another insurer may have to pay first.", payer=_payer(facts))
    if facts.get("rule") == "on_record":
        return _("%(payer)s has not decided about this yet.", payer=_payer(facts))
    return _("Your insurer is still deciding about %(amount)s of this.", amount=_amount(facts, "open"))


def _surprise(facts: Mapping[str, Any], amount: str) -> str:
    if facts.get("rule") == "said":
        return _("Your insurer says that a law against surprise bills covers this. It may lower your part.")
    if facts.get("rule") == "place":
        return _("Somebody outside your plan’s network may have treated you at a hospital that is in it.")
    return _("This looks like care in an emergency. The law limits what you may be asked to pay for that.")


_WHY: dict[Check, Callable[[Mapping[str, Any], str], str]] = {
    Check.MATH: _math,
    Check.DUPLICATE_LINE: _twice,
    Check.SAME_SERVICE_TWICE: lambda facts, amount: _(
        "This service is on your bill more than once for %(day)s.", day=_day(facts)
    ),
    Check.ABOVE_REMITTANCE: _above,
    Check.CONTRACTUAL_AMOUNT: lambda facts, amount: _(
        "%(amount)s of this is a discount that we agreed to with your insurer. It should not be yours to pay.",
        amount=amount,
    ),
    Check.INSURER_PENDING: _pending,
    Check.PROVIDER_FAULT: lambda facts, amount: _(
        "%(payer)s did not pay for a reason that is ours to answer for: a late claim or something we did not send "
        "right.",
        payer=_payer(facts),
    ),
    Check.COVERED_SELF_PAY: lambda facts, amount: _(
        "Our records say that %(payer)s covered you on %(day)s, but you were billed as if you had no insurance.",
        payer=_payer(facts),
        day=_day(facts),
    ),
    Check.PREVENTIVE: lambda facts, amount: _("This looks like preventive care. Most plans must cover it in full."),
    Check.NO_SURPRISES: _surprise,
    Check.ABOVE_ESTIMATE: lambda facts, amount: _(
        "We told you to expect %(estimate)s. This visit comes to %(over)s more.",
        estimate=_amount(facts, "estimate"),
        over=_amount(facts, "over"),
    ),
    Check.PAID_AT_DESK: lambda facts, amount: _(
        "You paid %(noted)s at the front desk, and we can’t see all of it on this bill.", noted=_amount(facts, "noted")
    ),
    Check.CREDIT: lambda facts, amount: _("You have a credit of %(amount)s with us from another visit.", amount=amount),
}


def why(check: Check, facts: Mapping[str, Any], amount: Money) -> str:
    """Why a line is looked at, in a sentence or two for the patient."""
    return str(_WHY[check](facts, str(amount)))


def what_next(check: Check) -> str:
    """What happens next, in a sentence."""
    return str(_NEXT.get(check) or _("Our billing staff will look at it and correct the bill if it is wrong."))


@dataclass(frozen=True, slots=True)
class LineLooked:
    """A line that a check stopped, as the patient reads it; ``name`` is empty where it has no description."""

    charge_id: int
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class CheckTold:
    """One check: what it makes sure of, and what it is looking at. ``by_person`` says that somebody looked."""

    title: str
    looking: Sequence[LineLooked]
    what_next: str
    by_person: bool

    @property
    def fine(self) -> bool:
        """Whether nothing is open."""
        return not self.looking


@dataclass(frozen=True, slots=True)
class ChecksTold:
    """All checks of a visit."""

    checks: Sequence[CheckTold]

    @property
    def fine(self) -> int:
        """How many have nothing open."""
        return sum(check.fine for check in self.checks)

    def about(self, charge_id: int) -> list[str]:
        """Why one line is looked at: a sentence for each check that stopped it."""
        return [one.why for check in self.checks for one in check.looking if one.charge_id == charge_id]


def tell_checks(found: Iterable[FoundRow]) -> ChecksTold:
    """Every check in words, with what it found on a visit."""
    rows = list(found)

    def told(check: Check) -> CheckTold:
        mine = [row for row in rows if row.check is check]
        looking = [
            LineLooked(row.charge_id, row.description, why(check, row.facts, row.amount))
            for row in mine
            if row.state is FindingState.OPEN
        ]
        return CheckTold(str(TITLES[check]), looking, what_next(check), bool(mine) and not looking)

    return ChecksTold([told(check) for check in CHECKS])


@dataclass(frozen=True, slots=True)
class StaffFinding:
    """A finding as the desk reads it: what it is, its facts by name, and what might be done."""

    title: str
    why: str
    facts: Sequence[tuple[str, str]]
    act: str


_FACT_NAMES = {
    "billed": _l("Billed"),
    "other": _l("Instead"),
    "code": _l("Code"),
    "day": _l("Day"),
    "stated": _l("Stated by the insurer"),
    "asked": _l("Asked for"),
    "discount": _l("Contractual amounts"),
    "open": _l("Undecided"),
    "payer": _l("Insurer"),
    "reasons": _l("Reason codes"),
    "said": _l("Remarks"),
    "estimate": _l("Estimate"),
    "over": _l("Above it"),
    "noted": _l("Noted at the desk"),
    "ref": _l("Credit on visit"),
}


def staff_finding(row: FoundRow) -> StaffFinding:
    """A finding with its facts named; what has no name (which rule it was) is told by the sentence."""
    facts = [(str(_("Amount at stake")), str(row.amount))]
    for name, value in row.facts.items():
        label = _FACT_NAMES.get(name.removesuffix("_cents"))
        if label is not None and value not in ("", None):
            told = _day(row.facts) if name == "day" else str(value)
            facts.append((str(label), str(Money(int(value))) if name.endswith("_cents") else told))
    return StaffFinding(
        str(STAFF_TITLES[row.check]), why(row.check, row.facts, row.amount), facts, str(ACTS[row.check])
    )
