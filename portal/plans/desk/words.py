"""What the closed lists of payment plans are called at the desk."""

from typing import Any

from flask_babel import lazy_gettext as _l
from flask_babel import ngettext

from portal.plans.desk.worklists import PlanAtRisk
from portal.plans.kinds import ChangeKind, Need

CHANGES = {
    ChangeKind.ENROLLED: _l("The patient agreed, and the plan began."),
    ChangeKind.LINES_ADDED: _l("A bill was added."),
    ChangeKind.LINES_REMOVED: _l("A bill was taken out. It is an ordinary bill again."),
    ChangeKind.DAY_MOVED: _l("The day was moved."),
    ChangeKind.AMOUNT_CHANGED: _l("The amount was changed."),
    ChangeKind.SKIPPED: _l("A payment was skipped. Its amount comes at the end."),
    ChangeKind.METHOD_CHANGED: _l("The card or bank account was changed."),
    ChangeKind.PAUSED: _l("The plan was paused."),
    ChangeKind.RESUMED: _l("The plan went on."),
    ChangeKind.PAID_OUTSIDE: _l("Money came in besides the plan’s payments: early, extra, or at the front desk."),
    ChangeKind.INSURANCE_MOVED: _l("What is owed changed: an insurance decision or an adjustment came in."),
    ChangeKind.HELD: _l("A charge is on hold or in dispute. It is left out until that is settled."),
    ChangeKind.HOLD_ENDED: _l("A charge is off hold. It is part of the plan again."),
    ChangeKind.MISSED: _l("A payment was missed. Its amount comes at the end."),
    ChangeKind.AMENDED: _l("The billing office changed the plan."),
    ChangeKind.PAID_OFF: _l("Everything is paid."),
    ChangeKind.CANCELED: _l("The plan was ended. What is left are ordinary bills."),
    ChangeKind.STOPPED: _l(
        "Too many payments were missed in a row, so the plan ended. What is left are ordinary bills."
    ),
}

#: What a plan exceeds (``policy.breaks_policy``).
BROKEN = {
    "too_small_a_balance": _l("The balance is less than the policy makes a plan for."),
    "below_minimum": _l("The payments are below the policy’s minimum."),
    "too_long": _l("There are more payments than the policy allows for this balance."),
    "frequency": _l("The policy does not offer payments this often."),
    "day": _l("The policy does not offer this day of the month."),
}

END_REASONS = {
    "paid": _l("Everything is paid."),
    "patient": _l("The patient ended it."),
    "staff": _l("The billing office ended it."),
    "missed": _l("Too many payments were missed in a row."),
    "replaced": _l("The patient agreed to a new plan in its place."),
    "overtaken": _l("Another plan was made or offered instead."),
    "withdrawn": _l("The billing office took the offer back."),
}
#: The same for an offer that nobody took up.
DECLINED_REASONS = {**END_REASONS, "patient": _l("The patient said no.")}


def why_at_risk(one: PlanAtRisk) -> list[Any]:
    """Why somebody should look at a plan, in sentences."""
    found: list[Any] = []
    if one.shut_out:
        found.append(_l("Who pays it may not see the account any more, so nothing is charged. End it, or ask them."))
    if one.plan.need is Need.METHOD:
        found.append(_l("It waits for another card or bank account. Nothing is charged until then."))
    elif one.plan.need is Need.CONFIRMATION:
        found.append(_l("The bank wants the patient to confirm the payment. Nothing is charged until then."))
    if one.law_lets is not None:
        found.append(
            ngettext(
                "By law only %(num)s more payment can be asked for, and what insurance left to pay takes more. Take a "
                "bill out of the plan, or set the balance right in the back office.",
                "By law only %(num)s more payments can be asked for, and what insurance left to pay takes more. Take a "
                "bill out of the plan, or set the balance right in the back office.",
                one.law_lets,
            )
        )
    if one.missed:
        found.append(
            ngettext("%(num)s payment was missed.", "%(num)s payments in a row were missed.", one.missed)
        )
    if one.failing and one.plan.need is Need.NOTHING:
        found.append(_l("A charge was turned down and is tried again."))
    if one.late and not one.shut_out and one.plan.need is Need.NOTHING:
        found.append(_l("A charge is days behind its day. If Sync shows nothing stuck, tell the operator."))
    return found
