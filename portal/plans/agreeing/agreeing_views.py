"""Agreeing to a plan: the exact words, the tick; and saying yes or no to a plan that the staff offer."""

from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.access import VisibleAccount, account_for
from portal.db import RecordNotFound
from portal.money import Money
from portal.plans.agreeing.consenting import agreeing_to, the_words
from portal.plans.agreeing.drafting import candidates, draft, still_offered, terms_of_draft
from portal.plans.agreeing.enrollment import enrol
from portal.plans.agreeing.income import keep_income, the_month_cap
from portal.plans.agreeing.offers import decline, to_be_replaced
from portal.plans.agreeing.setup_forms import AgreeForm
from portal.plans.blueprint import ACTING, bp, chosen_method, usable_methods
from portal.plans.errors import (
    ChargeUnderWay,
    DayNotOffered,
    DebtReturned,
    InstallmentTooLarge,
    InstallmentTooSmall,
    LineCannotJoin,
    MethodNotUsable,
    NoPlanPossible,
    PlanIsOver,
    PlanRuns,
    PlanTooLong,
    ScheduleMoved,
)
from portal.plans.kinds import Frequency, PlanState
from portal.plans.of_app import the_conditions
from portal.plans.queries import PlanRow, plan_for, plans_of_account
from portal.plans.refusals import explain
from portal.plans.rules.policy import LawCapsPayments, stricter
from portal.plans.rules.schedule import Rhythm
from portal.plans.rules.terms import Paragraph
from portal.plans.words import rhythm_words
from portal.queue import wake
from portal.web import guards
from portal.web.database import db

#: What makes a plan impossible that was possible when the page was opened.
_GONE = (
    NoPlanPossible,
    LineCannotJoin,
    DayNotOffered,
    InstallmentTooSmall,
    InstallmentTooLarge,
    PlanTooLong,
    LawCapsPayments,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be agreed to: the lines, the amount and the rhythm; ``offer`` is the proposal it comes from."""

    account: VisibleAccount
    charge_ids: tuple[int, ...]
    each: Money
    rhythm: Rhythm
    offer: PlanRow | None = None

    @property
    def month_cap(self) -> Money | None:
        """The most the law lets be asked in a month. An income that is told later never loosens an offer."""
        return stricter(the_month_cap(self.account.id), self.offer.month_cap if self.offer is not None else None)


@bp.get("/accounts/<pid:account_id>/plan/agree")
@guards.own_account
def agree(account_id: str) -> Any:
    """The plan as it would be, with the exact words to agree to."""
    account = account_for(db.session, current_user.id, account_id)
    wanted = _wanted(account)
    if wanted is None:
        return redirect(url_for("plans.setup", account_id=account_id))
    return _page(wanted, AgreeForm(formdata=None))


@bp.post("/accounts/<pid:account_id>/plan/agree")
@guards.own_account
@ACTING
def start(account_id: str) -> Any:
    """Agree."""
    account = account_for(db.session, current_user.id, account_id)
    wanted = _wanted(account)
    if wanted is None:
        return redirect(url_for("plans.setup", account_id=account_id))
    return _start(wanted)


def _wanted(account: VisibleAccount) -> Wanted | None:
    """What the address says was chosen; None for an address that says no plan."""
    offered = candidates(db.session, account.id, user_id=current_user.id, conditions=the_conditions())
    ids = {line.public_id: line.charge_id for line, _amount in offered}
    try:
        rhythm = Rhythm(Frequency(request.args["frequency"]), int(request.args["day"]))
        each = Money(int(request.args["each"]))
    except (KeyError, ValueError):
        return None
    least_day = 1 if rhythm.frequency is Frequency.MONTHLY else 0
    most_day = 31 if rhythm.frequency is Frequency.MONTHLY else 6
    if each <= Money.zero() or not least_day <= rhythm.day <= most_day:
        return None
    return Wanted(account, tuple(ids.get(one, -1) for one in request.args.getlist("lines")), each, rhythm)


@bp.get("/plans/<pid:plan_id>/offer")
@guards.own_account
def offer(plan_id: str) -> Any:
    """A plan that the staff offer."""
    plan = plan_for(db.session, plan_id, user_id=current_user.id)
    if plan.state is not PlanState.PROPOSED:
        return redirect(url_for("plans.show", plan_id=plan_id))
    return _page(_offered(plan), AgreeForm(formdata=None))


@bp.post("/plans/<pid:plan_id>/offer")
@guards.own_account
@ACTING
def accept(plan_id: str) -> Any:
    """Agree to it."""
    plan = plan_for(db.session, plan_id, user_id=current_user.id)
    if plan.state is not PlanState.PROPOSED:
        return _not_open(plan_id)
    return _start(_offered(plan))


@bp.post("/plans/<pid:plan_id>/no-thank-you")
@guards.own_account
@ACTING
def turn_down(plan_id: str) -> Any:
    """Turn it down."""
    plan = plan_for(db.session, plan_id, user_id=current_user.id)
    try:
        decline(db.session, plan_id=plan.id, actor_user_id=current_user.id)
    except PlanIsOver:
        return _not_open(plan_id)
    flash(_("All right, there is no plan. You can set one up yourself, or write to us."), "info")
    return redirect(url_for("home.start"))


def _not_open(plan_id: str) -> Any:
    """An offer that was answered, or taken back, since its page was opened: its plan says what became of it."""
    db.session.rollback()
    if plan_for(db.session, plan_id, user_id=current_user.id).state is PlanState.DECLINED:
        flash(_("This offer is not open any more. Nothing was started."), "info")
    else:
        flash(_("You have agreed to this plan already. Here it is."), "info")
    return redirect(url_for("plans.show", plan_id=plan_id))


def _offered(plan: PlanRow) -> Wanted:
    """What of an offer may still go on a plan: what was paid meanwhile is left out."""
    account = account_for(db.session, current_user.id, plan.account_public_id)
    still = still_offered(db.session, plan.id, conditions=the_conditions())
    return Wanted(account, tuple(still), plan.each, plan.rhythm, plan)


def _page(wanted: Wanted, form: AgreeForm) -> Any:
    conditions, account = the_conditions(), wanted.account
    replaces = to_be_replaced(db.session, account.id) if wanted.offer is not None else None
    runs = _where_it_runs(account)
    if runs is not None and replaces is None:
        return redirect(runs)
    try:
        found = draft(
            db.session,
            account.id,
            user_id=current_user.id,
            each=wanted.each,
            rhythm=wanted.rhythm,
            conditions=conditions,
            charge_ids=wanted.charge_ids,
            exceed=wanted.offer is not None,
            month_cap=wanted.month_cap,
        )
    except _GONE as error:
        if wanted.offer is not None:
            why = explain(error) if isinstance(error, (InstallmentTooLarge, LawCapsPayments)) else ""
            if isinstance(error, PlanTooLong):  # an offer may exceed the policy, and only the law is above that
                why = _("By law it has to be paid in at most %(most)s payments.", most=error.most)
            return render_template("plans/offer_gone.html", account=account, offer=wanted.offer, why=why)
        flash(_("What you owe has changed, so this plan is not possible any more. Please choose again."), "info")
        return redirect(url_for("plans.setup", account_id=account.public_id))
    usable = usable_methods(conditions.today)
    method = chosen_method(usable)
    words: list[Paragraph] = []
    if method is not None:
        terms = terms_of_draft(
            db.session,
            found,
            account_id=account.id,
            method=method,
            conditions=conditions,
            replaces=replaces is not None,
        )
        words, fingerprint = the_words(terms)
        form.seen.data = f"{found.seen}.{fingerprint}"
    return render_template(
        "plans/agree.html",
        account=account,
        form=form,
        draft=found,
        rhythm=rhythm_words(found.schedule.rhythm),
        methods=usable,
        method=method,
        words=words,
        offer=wanted.offer,
        replaces=replaces is not None,
        rule=conditions.policy.rule if wanted.offer is not None else None,
        month_cap=wanted.month_cap,
        kept=[(name, value) for name, value in request.args.items(multi=True) if name != "method"],
        here=request.full_path.rstrip("?"),
        today=conditions.today,
    )


def _where_it_runs(account: VisibleAccount) -> str | None:
    """Where to look at the plan that the account has already; None where it has none."""
    plans = plans_of_account(db.session, account.id, user_id=None)
    if any(plan.runs for plan in plans):
        return url_for("plans.setup", account_id=account.public_id)
    return None


def _start(wanted: Wanted) -> Any:
    form, account = AgreeForm(), wanted.account
    method = chosen_method(usable_methods(the_conditions().today))
    if not form.validate_on_submit() or method is None:
        return _again(wanted, form)
    seen, _dot, words = (form.seen.data or "").partition(".")
    try:
        plan_id = enrol(
            db.session,
            account_id=account.id,
            user_id=current_user.id,
            charge_ids=wanted.charge_ids,
            each=wanted.each,
            rhythm=wanted.rhythm,
            method_public_id=method.public_id,
            seen=seen,
            agree=agreeing_to(words),
            language=str(get_locale() or "en"),
            address=request.remote_addr or "",
            conditions=the_conditions(),
            proposal_id=wanted.offer.id if wanted.offer is not None else None,
            month_cap=wanted.month_cap,
        )
    except PlanRuns:
        db.session.rollback()
        flash(_("There is a plan on this account already."), "info")
        return redirect(url_for("plans.setup", account_id=account.public_id))
    except PlanIsOver:
        assert wanted.offer is not None  # nothing else can be over by now
        return _not_open(wanted.offer.public_id)
    except (ChargeUnderWay, DebtReturned) as error:  # the former of the plan in whose place it stands
        form.form_errors.append(explain(error))
    except (ScheduleMoved, *_GONE):
        form.form_errors.append(
            _("Something has changed since this page was opened. Nothing was started. Here is the plan as it is now.")
        )
    except (RecordNotFound, MethodNotUsable):
        form.form_errors.append(_("This card or bank account can’t be used any more. Choose another one."))
    else:
        keep_income(None)
        wake("plans.run_due")
        wake("notifications.send")
        flash(_("Your plan is set up. We have sent a copy of the agreement to your email address."), "success")
        return redirect(url_for("plans.show", plan_id=plan_id))
    return _again(wanted, form)


def _again(wanted: Wanted, form: AgreeForm) -> Any:
    db.session.rollback()
    form.agree.data = False
    page = _page(wanted, form)
    return (page, 422) if isinstance(page, str) else page
