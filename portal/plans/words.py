"""What the closed lists of plans are called for patients."""

from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from portal.plans.kinds import ChangeKind, Frequency, InstallmentState, PlanState
from portal.plans.rules.clauses import Clause
from portal.plans.rules.schedule import Rhythm

FREQUENCY = {
    Frequency.MONTHLY: _l("Every month"),
    Frequency.TWO_WEEKLY: _l("Every two weeks"),
    Frequency.WEEKLY: _l("Every week"),
}
WEEKDAY = (
    _l("Monday"),
    _l("Tuesday"),
    _l("Wednesday"),
    _l("Thursday"),
    _l("Friday"),
    _l("Saturday"),
    _l("Sunday"),
)
PLAN = {
    PlanState.PROPOSED: _l("Offered to you"),
    PlanState.ACTIVE: _l("Running"),
    PlanState.PAUSED: _l("Paused"),
    PlanState.PAID: _l("Paid off"),
    PlanState.CANCELED: _l("Ended"),
    PlanState.STOPPED: _l("Ended after missed payments"),
    PlanState.DECLINED: _l("Not taken up"),
}
INSTALLMENT = {
    InstallmentState.PLANNED: _l("To come"),
    InstallmentState.CHARGING: _l("Being paid"),
    InstallmentState.PAID: _l("Paid"),
    InstallmentState.MISSED: _l("Missed"),
    InstallmentState.SKIPPED: _l("Skipped"),
    InstallmentState.DROPPED: _l("No longer needed"),
}
CHANGE = {
    ChangeKind.ENROLLED: _l("You started the plan."),
    ChangeKind.LINES_ADDED: _l("A bill was added."),
    ChangeKind.LINES_REMOVED: _l("A bill was taken out."),
    ChangeKind.DAY_MOVED: _l("The day was moved."),
    ChangeKind.AMOUNT_CHANGED: _l("The amount was changed."),
    ChangeKind.SKIPPED: _l("A payment was skipped. Its amount comes at the end."),
    ChangeKind.METHOD_CHANGED: _l("The card or bank account was changed."),
    ChangeKind.PAUSED: _l("The plan was paused."),
    ChangeKind.RESUMED: _l("The plan went on."),
    ChangeKind.PAID_OUTSIDE: _l("Money came in besides the plan’s payments, so less is left to pay."),
    ChangeKind.INSURANCE_MOVED: _l(
        "What you owe changed: an insurance decision, a correction or a returned payment came in."
    ),
    ChangeKind.HELD: _l("A charge is on hold while somebody checks it. It is left out until that is settled."),
    ChangeKind.HOLD_ENDED: _l("A charge that was on hold was settled. It is part of the plan again."),
    ChangeKind.MISSED: _l("A payment was missed. Its amount comes at the end."),
    ChangeKind.AMENDED: _l("The billing office changed the plan."),
    ChangeKind.PAID_OFF: _l("The plan is paid off."),
    ChangeKind.CANCELED: _l("The plan was ended. What is left is an ordinary bill."),
    ChangeKind.STOPPED: _l("The plan ended after missed payments. What is left is an ordinary bill."),
}


def _ordinal(day: int) -> str:
    ending = "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def rhythm_words(rhythm: Rhythm) -> str:
    """When installments are due: ``every month on the 15th``, ``every two weeks on Friday``."""
    if rhythm.frequency is Frequency.MONTHLY:
        if rhythm.day == 31:
            return _("on the last day of each month")
        words = _("every month on the %(day)s", day=_ordinal(rhythm.day))
        return words if rhythm.day <= 28 else words + " " + _("(in shorter months on the last day)")
    if rhythm.frequency is Frequency.WEEKLY:
        return _("every week on %(weekday)s", weekday=str(WEEKDAY[rhythm.day]))
    return _("every two weeks on %(weekday)s", weekday=str(WEEKDAY[rhythm.day]))


def clause_title(clause: Clause) -> str:
    """What stands above the law's own words, wherever they stand."""
    return _("Notice that the law of %(state)s requires", state=clause.states_named)


def language_now() -> str:
    """The language that is written in (``es``)."""
    locale = get_locale()
    return str(locale.language) if locale is not None else "en"
