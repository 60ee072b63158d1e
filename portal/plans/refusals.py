"""Why something about a plan is not possible, and what is: the facts of errors.py in a patient's words."""

from flask_babel import gettext as _

from portal.payments.errors import (
    AmountAboveBalance,
    AmountBelowMinimum,
    AmountNotPositive,
    AnotherPaymentRuns,
    IntentMismatch,
    LeavesTooLittle,
    LineNotPayable,
    NothingToPay,
    PaymentIsOver,
    StripeRefused,
    StripeUnreachable,
)
from portal.plans.errors import (
    ChargeUnderWay,
    DayNotOffered,
    DebtReturned,
    InstallmentTooLarge,
    InstallmentTooSmall,
    LineCannotJoin,
    LineNotOnPlan,
    MethodNotUsable,
    NoSkipLeft,
    NothingToChange,
    PauseTooLong,
    PlanIsOver,
    PlanIsPaused,
    PlanTooLong,
    ScheduleMoved,
)
from portal.plans.rules.policy import LawCapsPayments

#: What can be in the way of a change.
CANNOT_CHANGE = (
    ChargeUnderWay,
    DayNotOffered,
    InstallmentTooLarge,
    InstallmentTooSmall,
    LawCapsPayments,
    LineCannotJoin,
    LineNotOnPlan,
    MethodNotUsable,
    NoSkipLeft,
    NothingToChange,
    PauseTooLong,
    PlanIsOver,
    PlanIsPaused,
    PlanTooLong,
    ScheduleMoved,
)
#: What can be in the way of a payment besides the installments.
CANNOT_PAY = (
    AmountAboveBalance,
    AmountBelowMinimum,
    AmountNotPositive,
    AnotherPaymentRuns,
    ChargeUnderWay,
    IntentMismatch,
    LeavesTooLittle,
    LineNotPayable,
    NothingToPay,
    PaymentIsOver,
    PlanIsOver,
    StripeRefused,
    StripeUnreachable,
)


def explain(error: Exception) -> str:
    """One of :data:`CANNOT_CHANGE` or :data:`CANNOT_PAY`, or what setting a plan up raises, in words."""
    found = _with_amounts(error)
    if found:
        return found
    still_runs = _(
        "An earlier payment on this account is still being checked. You have not been charged again. Please try again "
        "in a few minutes."
    )
    words = {
        ChargeUnderWay: _("A payment of this plan is being made right now. Please try again when it is done."),
        DayNotOffered: _("Choose one of the days."),
        DebtReturned: _(
            "This bank account sent back a payment of these bills, so they can’t be charged to it by themselves any "
            "more. Choose another card or bank account, or pay them yourself."
        ),
        LineCannotJoin: _("Choose a charge that is ready to pay."),
        LineNotOnPlan: _("At least one charge has to stay. To take out everything, end the plan."),
        MethodNotUsable: _("This card or bank account can’t be used any more. Choose another one."),
        NoSkipLeft: _("You have skipped as many payments as is possible in a year. You can ask us for a pause."),
        NothingToChange: _("That is how the plan is already."),
        PauseTooLong: _("Choose a day after today, within the time that is possible."),
        PlanIsOver: _("This plan has ended."),
        PlanIsPaused: _("The plan is paused. Continue it first."),
        ScheduleMoved: _("The plan has changed since this page was opened. Here it is as it would be now."),
        AmountNotPositive: _("Write an amount above $0.00."),
        LineNotPayable: _("What you owe has changed. Please look again."),
        NothingToPay: _("There is nothing to pay on this plan right now."),
    }
    return words.get(type(error), still_runs)


def _with_amounts(error: Exception) -> str:
    if isinstance(error, InstallmentTooSmall):
        return _("Each payment has to be at least %(least)s.", least=str(error.least))
    if isinstance(error, InstallmentTooLarge):
        return _(
            "By law we may ask for at most %(most)s each time, by your household’s income. Choose less each time.",
            most=str(error.most),
        )
    if isinstance(error, PlanTooLong):
        return _(
            "That would take too long: at most %(most)s payments are possible. Choose %(least)s or more each time. If "
            "that is too much for you, send us a message.",
            most=error.most,
            least=str(error.least),
        )
    if isinstance(error, LawCapsPayments) and error.monthly_fits:
        return _(
            "By law we may ask you for at most %(most)s a month. That pays this balance in time only with payments "
            "every month. Choose every month.",
            most=str(error.most_a_month),
        )
    if isinstance(error, LawCapsPayments) and error.rule is not None:
        return _(
            "%(rule)s For you that is %(most)s a month, and it would not pay this balance in time. Please send us a "
            "message: we will find a way that keeps to it.",
            rule=error.rule.words,
            most=str(error.most_a_month),
        )
    if isinstance(error, LawCapsPayments):
        return _(
            "By law we may ask you for at most %(most)s a month, and it would not pay this balance in time. Please "
            "send us a message: we will find a way that keeps to it.",
            most=str(error.most_a_month),
        )
    if isinstance(error, AmountAboveBalance):
        return _("That is more than is left. The most is %(most)s.", most=str(error.most))
    if isinstance(error, AmountBelowMinimum):
        return _("An online payment has to be at least %(least)s.", least=str(error.least))
    if isinstance(error, LeavesTooLittle):
        return _(
            "That would leave %(rest)s, and an online payment has to be at least %(least)s. You can pay all of it: "
            "%(all)s.",
            rest=str(error.rest),
            least=str(error.least),
            all=str(error.more),
        )
    return ""
