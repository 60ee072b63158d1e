"""Setting a plan up: what goes on it, one control, and the whole schedule at once. Nothing is written here."""

from collections.abc import Collection, Sequence
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.access import VisibleAccount, account_for
from portal.billing.queries import Line
from portal.money import Money
from portal.plans.agreeing.drafting import Draft, candidates, draft
from portal.plans.agreeing.income import keep_income, the_income, the_month_cap
from portal.plans.agreeing.setup_forms import IncomeForm, SetupForm
from portal.plans.blueprint import ASKING, bp
from portal.plans.errors import (
    DayNotOffered,
    InstallmentTooLarge,
    InstallmentTooSmall,
    LineCannotJoin,
    NoPlanPossible,
    PlanTooLong,
)
from portal.plans.kinds import PlanState
from portal.plans.of_app import the_conditions
from portal.plans.queries import plans_of_account
from portal.plans.refusals import explain
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.policy import BalanceTooSmall, LawCapsPayments, Limits, discounts_for, each_of, limits_to_choose
from portal.plans.words import rhythm_words
from portal.web import guards
from portal.web.database import db

#: More of a household's income than this is a typing mistake.
_LARGEST_INCOME = Money(100_000_000)


@bp.get("/accounts/<pid:account_id>/plan")
@guards.own_account
@ASKING
def setup(account_id: str) -> Any:
    """What may go on a plan, and the schedule that comes of what is chosen; a plan that runs is shown instead."""
    account = account_for(db.session, current_user.id, account_id)
    plans = plans_of_account(db.session, account.id, user_id=None)
    running = next((plan for plan in plans if plan.runs), None)
    if running is not None and running.user_id == current_user.id:
        return redirect(url_for("plans.show", plan_id=running.public_id))
    if running is not None:
        return render_template("plans/taken.html", account=account)
    conditions = the_conditions()
    policy = conditions.policy
    offered = candidates(db.session, account.id, user_id=current_user.id, conditions=conditions)
    whole = Money.total(amount for _line, amount in offered)
    form = SetupForm.read(request.args, policy)
    chosen = _chosen(offered)
    total = Money.total(amount for line, amount in offered if line.charge_id in chosen)
    allowed, found = (
        _answer(account, form, chosen, total, conditions) if whole >= policy.smallest_balance else (None, None)
    )
    offers = [one for one in plans if one.state is PlanState.PROPOSED and one.user_id == current_user.id]
    return render_template(
        "plans/setup.html",
        account=account,
        form=form,
        income_form=IncomeForm(formdata=None),
        income=the_income() if policy.rule is not None else None,
        month_cap=the_month_cap(account.id),
        offered=offered,
        chosen=chosen,
        whole=whole,
        total=total,
        allowed=allowed,
        draft=found,
        rhythm=rhythm_words(found.schedule.rhythm) if found is not None else "",
        agree_url=_agree_url(account, found) if found is not None else "",
        here=request.full_path.rstrip("?"),
        today=conditions.today,
        policy=policy,
        discounts=discounts_for(policy, whole),
        offer=offers[0] if offers else None,
    )


def _chosen(offered: Sequence[tuple[Line, Money]]) -> set[int]:
    """The lines that are ticked; all of them when the page is opened."""
    ids = {line.public_id: line.charge_id for line, _amount in offered}
    if "frequency" not in request.args:
        return set(ids.values())
    return {ids[one] for one in request.args.getlist("lines") if one in ids}


def _answer(
    account: VisibleAccount, form: SetupForm, chosen: Collection[int], total: Money, conditions: Conditions
) -> tuple[Limits | None, Draft | None]:
    """What is possible, and the plan that was asked for; what is wrong with it is written into the form."""
    if not form.validate():
        return None, None
    if not chosen:
        form.form_errors.append(_("Choose at least one charge for the plan."))
        return None, None
    allowed, cap = None, the_month_cap(account.id)
    try:
        allowed = limits_to_choose(conditions.policy, total, form.rhythm.frequency, month_cap=cap)
        if form.by_count:
            each = each_of(conditions.policy, total, form.count.data, month_cap=cap)
        else:
            # "All of it on one day" is a plan, too.
            each = allowed.least_each if form.each.amount is None else min(form.each.amount, total)
        found = draft(
            db.session,
            account.id,
            user_id=current_user.id,
            each=each,
            rhythm=form.rhythm,
            conditions=conditions,
            charge_ids=sorted(chosen),
            month_cap=cap,
        )
    except (BalanceTooSmall, NoPlanPossible):
        form.form_errors.append(
            _(
                "A plan is for %(least)s or more. Put more on it, or pay it at once.",
                least=str(conditions.policy.smallest_balance),
            )
        )
    except LineCannotJoin:
        form.form_errors.append(_("What can be put on the plan has changed. Please choose again."))
    except LawCapsPayments as error:
        form.form_errors.append(explain(error))
    except DayNotOffered as error:
        form.day.errors = [explain(error)]
    except (InstallmentTooSmall, InstallmentTooLarge, PlanTooLong) as error:
        form.control.errors = [_explain(form, error, allowed)]
    else:
        # What is paid down today comes besides the payments that were asked for.
        later = sum(due.on > conditions.today for due in found.schedule.unpaid)
        form.show(found.schedule.each, later or len(found.schedule.unpaid))
        return allowed, found
    return allowed, None


def _explain(form: SetupForm, error: Exception, allowed: Limits | None) -> str:
    if not form.by_count or allowed is None:
        return explain(error)
    if isinstance(error, InstallmentTooLarge):
        return _(
            "By law, with your household’s income, at least %(fewest)s payments are needed.", fewest=allowed.fewest
        )
    return _(
        "At most %(most)s payments are possible: each has to be at least %(least)s. If that is too much for you, send "
        "us a message.",
        most=allowed.most,
        least=str(allowed.least_each),
    )


def _agree_url(account: VisibleAccount, found: Draft) -> str:
    return url_for(
        "plans.agree",
        account_id=account.public_id,
        each=found.schedule.each.cents,
        frequency=found.schedule.rhythm.frequency.value,
        day=found.schedule.rhythm.day,
        lines=[line.public_id for line, _amount in found.lines],
    )


@bp.post("/accounts/<pid:account_id>/plan/income")
@guards.own_account
@ASKING
def say_income(account_id: str) -> Any:
    """Take a household's income into account, where a state caps its share; an empty one is forgotten."""
    account = account_for(db.session, current_user.id, account_id)
    form = IncomeForm()
    if form.validate_on_submit():
        income = form.income.amount
        keep_income(income if income is not None and Money.zero() <= income <= _LARGEST_INCOME else None)
    else:
        flash(_("Write your income in dollars, with numbers only."), "warning")
    return redirect(url_for("plans.setup", account_id=account.public_id))
