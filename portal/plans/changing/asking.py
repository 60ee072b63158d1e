"""From the address of a change's page to the change it requests: each act has its own fields, asked for with GET."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flask import request
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.billing.queries import Line
from portal.money import Money
from portal.plans.agreeing.setup_forms import RhythmForm
from portal.plans.changing.amending import may_be_added
from portal.plans.collecting.by_hand_forms import AmountForm
from portal.plans.kinds import ChangeKind
from portal.plans.queries import PlanRow
from portal.plans.rows import look
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.policy import BalanceTooSmall, LawCapsPayments, limits
from portal.plans.rules.schedule import most_each


@dataclass(slots=True)
class Asked:
    """A change's page: what it is called and asks for, and the change once it is requested.

    ``said`` is whether the page was sent; ``nothing`` are the words where there is nothing to choose from.
    """

    title: str
    lead: str
    said: bool
    wanted: ChangeRequest | None = None
    amount: AmountForm | None = None
    rhythm: RhythmForm | None = None
    lines: Sequence[tuple[Line, Money]] = ()
    lines_title: str = ""
    ticked: Sequence[str] = field(default_factory=list)
    nothing: str = ""

    @property
    def form(self) -> AmountForm | RhythmForm | None:
        """The form of the page, for its errors."""
        return self.amount or self.rhythm

    @property
    def asks(self) -> bool:
        """Whether the page has something to fill in."""
        return self.form is not None or bool(self.lines)


def _choose_lines(asked: Asked, offered: Sequence[tuple[Line, Money]], kind: ChangeKind) -> Asked:
    ids = {line.public_id: line.charge_id for line, _amount in offered}
    asked.lines, asked.ticked = offered, [one for one in request.args.getlist("lines") if one in ids]
    if asked.ticked:
        asked.wanted = ChangeRequest(kind, charges=dict.fromkeys((ids[one] for one in asked.ticked), Money.zero()))
    return asked


def _add(session: Session, plan: PlanRow, conditions: Conditions) -> Asked:
    asked = Asked(
        _("Add a new bill to the plan"),
        _("The amount each time stays the same where that is possible. The plan gets longer."),
        said="lines" in request.args or "go" in request.args,
        lines_title=_("What shall be added?"),
        nothing=_("Right now there is no other bill that is ready to pay."),
    )
    now = look(session, plan.id, today=conditions.today)
    return _choose_lines(asked, may_be_added(session, now.plan, conditions=conditions), ChangeKind.LINES_ADDED)


def _take_out(session: Session, plan: PlanRow, conditions: Conditions) -> Asked:
    asked = Asked(
        _("Take a charge out of the plan"),
        _("It becomes an ordinary bill again. The plan gets shorter, and the amount each time stays the same."),
        said="lines" in request.args or "go" in request.args,
        lines_title=_("What shall be taken out?"),
        nothing=_("There is only one charge on this plan. To take it out, end the plan."),
    )
    covered = [(one.line, one.left) for one in look(session, plan.id, today=conditions.today).covered if one.left]
    return _choose_lines(asked, covered if len(covered) > 1 else [], ChangeKind.LINES_REMOVED)


def _amount(session: Session, plan: PlanRow, conditions: Conditions) -> Asked:
    now = look(session, plan.id, today=conditions.today).schedule
    total = now.total
    try:
        least = limits(
            conditions.policy,
            total,
            plan.rhythm.frequency,
            month_cap=plan.month_cap,
            months_paid=now.months_paid,
        ).least_each
    except (BalanceTooSmall, LawCapsPayments):
        least = min(conditions.policy.minimum_installment, total)
    most = most_each(plan.month_cap, plan.rhythm.frequency)
    asked = Asked(
        _("Lower or raise the amount"),
        _(
            "Now it is %(each)s each time. The least that is possible is %(least)s.",
            each=str(plan.each),
            least=str(least),
        )
        + (" " + _("By law we may ask for at most %(most)s each time.", most=str(most)) if most is not None else ""),
        said="amount" in request.args,
    )
    asked.amount = AmountForm(request.args if asked.said else None)
    if asked.said and asked.amount.validate():
        amount = asked.amount.amount.amount
        if amount is None or amount <= Money.zero():
            asked.amount.amount.errors = [_("Write an amount above $0.00.")]
        else:
            asked.wanted = ChangeRequest(ChangeKind.AMOUNT_CHANGED, each=min(amount, total) if total else amount)
    return asked


def _day(session: Session, plan: PlanRow, conditions: Conditions) -> Asked:
    asked = Asked(
        _("Move the day"),
        _("Another day, or another rhythm. The amounts stay as they are.")
        if plan.month_cap is None
        else _("Another day, or another rhythm. By law, paying more often means less each time."),
        said="frequency" in request.args,
    )
    form = asked.rhythm = RhythmForm(request.args if asked.said else None)
    form.offer(conditions.policy)
    if not asked.said:
        form.start_with(plan.rhythm)
    elif form.validate():
        asked.wanted = ChangeRequest(ChangeKind.DAY_MOVED, rhythm=form.rhythm)
    return asked


def _skip(session: Session, plan: PlanRow, conditions: Conditions) -> Asked:
    times = conditions.policy.skips_a_year
    often = _("You can do this once a year.")
    if times != 1:
        often = _("You can do this %(times)s times a year.", times=times)
    return Asked(
        _("Skip the next payment"),
        _("Its amount comes at the end of the plan. It costs nothing.") + " " + often,
        said=True,
        wanted=ChangeRequest(ChangeKind.SKIPPED),
    )


def _go_on(session: Session, plan: PlanRow, conditions: Conditions) -> Asked:
    return Asked(
        _("Continue the plan"),
        _("The pause ends now. These are the payments from here on."),
        said=True,
        wanted=ChangeRequest(ChangeKind.RESUMED),
    )


ACTS: dict[str, Callable[[Session, PlanRow, Conditions], Asked]] = {
    "add": _add,
    "take_out": _take_out,
    "amount": _amount,
    "day": _day,
    "skip": _skip,
    "go_on": _go_on,
}


def ask(session: Session, plan: PlanRow, act: str, *, conditions: Conditions) -> Asked:
    """What the page of an act asks for and what was said so far. ``act`` is one of :data:`ACTS`."""
    return ACTS[act](session, plan, conditions)
