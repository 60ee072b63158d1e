"""Proposing a plan to a patient: the form, the schedule as it would be, and taking an offer back."""

from collections.abc import Sequence
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.access import Person, people_of
from portal.accounts.queries import AccountRow, account_by_public_id
from portal.audit.seen import note_seen
from portal.audit.tags import Tag
from portal.billing.queries import Line
from portal.money import Money
from portal.notifications.service import wake_sender
from portal.plans import queries
from portal.plans.agreeing.drafting import Draft, candidates, draft
from portal.plans.agreeing.enrollment import propose
from portal.plans.agreeing.offers import decline
from portal.plans.desk.forms import ActForm, OfferForm, chosen_charges, rhythm_choices, rhythm_of
from portal.plans.desk.words import BROKEN
from portal.plans.errors import (
    InstallmentTooLarge,
    InstallmentTooSmall,
    LineCannotJoin,
    NoPlanPossible,
    PlanIsOver,
    PlanRuns,
    PlanTooLong,
    ReasonMissing,
    ScheduleMoved,
)
from portal.plans.kinds import PlanState
from portal.plans.of_app import may_exceed, the_conditions, the_policy
from portal.plans.queries import PlanRow
from portal.plans.rules.policy import LawCapsPayments, breaks_policy, discounts_for, each_of, month_cap
from portal.plans.rules.schedule import SMALLEST
from portal.plans.words import rhythm_words
from portal.web import guards
from portal.web.context import is_supervisor
from portal.web.database import db
from portal.web.desk import bp

_IN_THE_WAY = (
    InstallmentTooLarge,
    InstallmentTooSmall,
    LawCapsPayments,
    LineCannotJoin,
    NoPlanPossible,
    PlanTooLong,
)


def _explain(form: OfferForm, error: Exception) -> None:
    """Put what is in the way beside what it is about."""
    beside = form.each if form.choice.data == "each" else form.count
    match error:
        case InstallmentTooSmall():
            beside.errors = [_("No card can pay less than %(amount)s at a time.", amount=str(SMALLEST))]
        case InstallmentTooLarge(most=most):
            beside.errors = [_("By law, a payment of this household can be at most %(amount)s.", amount=str(most))]
        case LawCapsPayments(most_a_month=most, monthly_fits=by_month):
            form.income.errors = [
                _(
                    "By law at most %(amount)s a month can be asked of this household. That pays this balance in time "
                    "only with payments every month.",
                    amount=str(most),
                )
                if by_month
                else _(
                    "By law at most %(amount)s a month can be asked of this household, and that does not pay this "
                    "balance in time. The balance has to be lowered first.",
                    amount=str(most),
                )
            ]
        case PlanTooLong(most=count, least=least):
            beside.errors = [
                _(
                    "By law at most %(most)s payments can be asked of this household, so each is at least %(least)s.",
                    most=count,
                    least=str(least),
                )
            ]
        case NoPlanPossible():
            form.lines.errors = [_("What was chosen is too little for a plan.")]
        case _:
            form.lines.errors = [
                _("One of these charges can’t be on a plan of this person: it is paid or held by now, or not theirs.")
            ]


def _each(form: OfferForm, total: Money, cap: Money | None) -> Money:
    """The amount of each payment that was asked for."""
    if form.choice.data == "count":
        return each_of(the_policy(), total, form.payments, month_cap=cap)
    return form.each.amount or Money.zero()


def _month_cap(form: OfferForm, account: AccountRow, payer: int) -> Money | None:
    """The law's cap by the income that was written, or else that of the payer's latest plan or offer."""
    if the_policy().rule is None:
        return None
    told = month_cap(the_policy(), form.income.amount)
    return told if told is not None else queries.latest_month_cap(db.session, account.id, user_id=payer)


def _drafted(
    form: OfferForm,
    account: AccountRow,
    offered: Sequence[tuple[Line, Money]],
    payer: int,
    running: PlanRow | None,
) -> tuple[Draft, list[str]]:
    """The plan as the form asks for it, and what of the policy it breaks. Raises :data:`_IN_THE_WAY`."""
    known = {line.public_id: line.charge_id for line, _amount in offered}
    charges = chosen_charges(form.lines.data, known)
    if charges is None:
        raise LineCannotJoin
    total = Money.total(amount for line, amount in offered if line.charge_id in charges)
    rhythm, cap = rhythm_of(form.rhythm.data), _month_cap(form, account, payer)
    each = _each(form, total, cap)
    found = draft(
        db.session,
        account.id,
        user_id=payer,
        each=each,
        rhythm=rhythm,
        conditions=the_conditions(),
        charge_ids=charges,
        exceed=True,
        replaces=None if running is None else running.id,
        month_cap=cap,
    )
    return found, breaks_policy(the_policy(), found.total, each, rhythm, found.schedule.unpaid, month_cap=cap)


def _may_be_offered(form: OfferForm, broken: Sequence[str]) -> bool:
    """Whether the one who is signed in may offer it; puts what is missing on the form."""
    if not broken:
        return True
    what = " ".join(str(BROKEN[one]) for one in broken)
    if not may_exceed():
        form.form_errors.append(_("%(what)s Only a supervisor may offer that, with a reason.", what=what))
        return False
    if not (form.reason.data or "").strip():
        form.reason.errors = [_("%(what)s Write why it is offered all the same.", what=what)]
        return False
    return True


@bp.route("/accounts/<pid:account_id>/propose-plan", methods=["GET", "POST"])
@guards.staff
def propose_plan(account_id: str) -> Any:
    """Propose a plan: what and how, then a page with every payment, then it is sent to the patient.

    Where a plan runs, its payer is offered another one in its place, which ends it once they agree.
    """
    account = account_by_public_id(db.session, account_id)
    plans = queries.plans_of_account(db.session, account.id, user_id=None)
    running = next((one for one in plans if one.runs), None)
    people = [one for one in people_of(db.session, account.id) if running is None or one.user_id == running.user_id]
    offered = candidates(
        db.session,
        account.id,
        user_id=None,
        conditions=the_conditions(),
        replaces=None if running is None else running.id,
    )
    form = _form(people, offered, running)
    if people and offered and form.validate_on_submit() and "change" not in request.form:
        try:
            answer = _go_on(form, account, people, offered, running)
        except _IN_THE_WAY as error:
            db.session.rollback()
            _explain(form, error)
        else:
            if answer is not None:
                return answer
    elif "change" in request.form:
        for field in form:
            field.errors = []
    if request.method == "GET":
        note_seen(Tag.ACCOUNT_SEEN, account_id=account.id, subject=account.public_id)
    return render_template(
        "staff/plan_offer.html",
        account=account,
        people=people,
        lines=offered,
        running=running,
        known_caps=[
            (one.name, cap)
            for one in people
            if (cap := queries.latest_month_cap(db.session, account.id, user_id=one.user_id)) is not None
        ],
        waiting=next((one for one in plans if one.state is PlanState.PROPOSED), None),
        form=form,
        policy=the_policy(),
        may_exceed=may_exceed(),
    )


def _form(
    people: Sequence[Person], offered: Sequence[tuple[Line, Money]], running: PlanRow | None
) -> OfferForm:
    """The form as it is shown first: everything that may be on a plan, paid as in the plan that runs, if one does."""
    policy, form = the_policy(), OfferForm()
    form.token.data = form.plan_id
    form.offer(
        payers=[(str(one.user_id), one.name) for one in people],
        rhythms=rhythm_choices(policy, may_exceed=may_exceed()),
    )
    if request.method == "GET":
        form.lines.data = [line.public_id for line, _amount in offered]
        if len(people) == 1:
            form.payer.data = str(people[0].user_id)
        if running is not None:
            form.show(running)
    return form


def _go_on(
    form: OfferForm,
    account: AccountRow,
    people: Sequence[Person],
    offered: Sequence[tuple[Line, Money]],
    running: PlanRow | None,
) -> Any:
    """The page with every payment, or (``confirmed``) the offer itself; None where the form is shown again."""
    payer = int(form.payer.data)
    if "confirmed" in request.form and (form.replaced.data or "") != (running.public_id if running else ""):
        flash(_("Something changed meanwhile. Nothing was sent."), "info")
        return redirect(url_for("staff.account", account_id=account.public_id) + "#plans")
    found, broken = _drafted(form, account, offered, payer, running)
    if not _may_be_offered(form, broken):
        return None
    moved = False
    if "confirmed" in request.form:
        try:
            plan_id = propose(
                db.session,
                account_id=account.id,
                user_id=payer,
                staff_user_id=current_user.id,
                charge_ids=[line.charge_id for line, _amount in found.lines],
                each=_each(form, found.total, found.schedule.month_cap),
                rhythm=found.schedule.rhythm,
                reason=form.reason.data or "",
                is_supervisor=is_supervisor(),
                conditions=the_conditions(),
                seen=form.seen.data or "-",
                public_id=form.plan_id,
                replaces=running is not None,
                month_cap=found.schedule.month_cap,
            )
        except ScheduleMoved:
            db.session.rollback()
            moved = True
        except (PlanRuns, ReasonMissing):
            db.session.rollback()
            flash(_("Something changed meanwhile. Nothing was sent."), "info")
            return redirect(url_for("staff.account", account_id=account.public_id) + "#plans")
        else:
            wake_sender()
            flash(_("The plan was offered. It begins when the patient says yes."), "success")
            return redirect(url_for("staff.plan", plan_id=plan_id))
    form.seen.data, form.replaced.data = found.seen, running.public_id if running else ""
    return render_template(
        "staff/plan_offer_confirm.html",
        account=account,
        payer=next(one for one in people if one.user_id == payer),
        form=form,
        running=running,
        draft=found,
        when=rhythm_words(found.schedule.rhythm),
        broken=[BROKEN[one] for one in broken],
        moved=moved,
        discounts=discounts_for(the_policy(), found.total),
        rule=the_policy().rule,
    )


@bp.post("/plans/<pid:plan_id>/withdraw")
@guards.staff
def withdraw_plan(plan_id: str) -> Any:
    """Take an offer back that nobody has answered."""
    found = queries.plan_for(db.session, plan_id, user_id=None)
    if ActForm().validate_on_submit():
        try:
            decline(db.session, plan_id=found.id, actor_user_id=current_user.id, reason="withdrawn")
        except PlanIsOver:
            db.session.rollback()
            flash(_("This offer was answered or taken back already. Nothing was changed."), "info")
        else:
            flash(_("The offer was taken back."), "success")
    return redirect(url_for("staff.plan", plan_id=plan_id))
