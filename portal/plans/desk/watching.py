"""Payment plans at the desk: which run, which are at risk, what is charged when, and everything about one."""

from datetime import date, timedelta
from typing import Any

from flask import Response, render_template, request

from portal.accounts.queries import account_by_public_id
from portal.accounts.states import STATES
from portal.audit.seen import age, note_seen
from portal.audit.tags import Tag
from portal.documents.store import content_of
from portal.money import Money
from portal.payments.methods.queries import method_by_id
from portal.plans import queries
from portal.plans.desk import worklists
from portal.plans.desk.beyond import beyond_the_law
from portal.plans.desk.clause_worklist import agreements_without, agreements_without_count
from portal.plans.desk.forms import ActForm
from portal.plans.desk.words import CHANGES, DECLINED_REASONS, END_REASONS, why_at_risk
from portal.plans.kinds import InstallmentState, PlanState
from portal.plans.notices import notices_for_staff
from portal.plans.of_app import the_conditions, the_policy
from portal.plans.words import FREQUENCY, INSTALLMENT, rhythm_words
from portal.web import guards
from portal.web.context import is_supervisor, the_settings
from portal.web.database import db
from portal.web.desk import bp
from portal.web.paging import PER_PAGE, Page, asked_page, offset
from portal.web.pdf import pdf_answer

#: How many days ahead the list of charges looks.
AHEAD = 14
LISTS = ("todo", "charges", "offered", "running", "clauses", "ended")


def _asked_day(first: date, last: date, *, otherwise: date) -> date:
    """The day in the address, where it is one between ``first`` and ``last``."""
    try:
        day = date.fromisoformat(request.args.get("on", ""))
    except ValueError:
        return otherwise
    return day if first <= day <= last else otherwise


@bp.get("/plans")
@guards.staff
def plans() -> str:
    """The worklist: who waits for an answer, what is at risk, what is charged when, what was offered, what runs."""
    chosen = request.args.get("list", "todo")
    if chosen not in LISTS:
        chosen = "todo"
    number, today = asked_page(), the_conditions().today
    tomorrow, last = today + timedelta(days=1), today + timedelta(days=AHEAD)
    running, running_total = worklists.running_plans(
        db.session, limit=PER_PAGE if chosen == "running" else 0, offset=offset(number) if chosen == "running" else 0
    )
    requests = queries.open_requests(db.session)
    at_risk = _at_risk()
    offered = worklists.offered_plans(db.session)
    days = worklists.charge_days(db.session, first=today, last=last)
    by_day = {one.on: one for one in days}
    day = _asked_day(today, last, otherwise=tomorrow)
    on_day = by_day.get(day, worklists.ChargeDay(day, 0, Money.zero()))
    charges = (
        worklists.charges_on(db.session, day, limit=PER_PAGE, offset=offset(number)) if chosen == "charges" else []
    )
    conditions = the_conditions()
    lacking = {
        "clauses": agreements_without_count(db.session, conditions=conditions),
        "ended": agreements_without_count(db.session, conditions=conditions, ended=True),
    }
    without = (
        agreements_without(
            db.session, conditions=conditions, limit=PER_PAGE, offset=offset(number), ended=chosen == "ended"
        )
        if chosen in lacking
        else []
    )
    in_all = {"charges": on_day.count, "running": running_total, **lacking}.get(chosen, 0)
    return render_template(
        "staff/plans.html",
        chosen=chosen,
        counts={
            "todo": len(requests) + len(at_risk),
            "charges": by_day[tomorrow].count if tomorrow in by_day else 0,
            "offered": len(offered),
            "running": running_total,
            **lacking,
        },
        without=without,
        states=STATES,
        requests=requests,
        at_risk=at_risk,
        why_at_risk=why_at_risk,
        offered=offered,
        running=running,
        days=days,
        day=day,
        on_day=on_day,
        tomorrow=tomorrow,
        ahead=AHEAD,
        week=Money.total(one.total for one in days),
        charges=charges,
        page=Page(number, in_all),
        rhythm_words=rhythm_words,
        supervisor=is_supervisor(),
        age=age,
    )


def _at_risk() -> list[worklists.PlanAtRisk]:
    now = the_conditions()
    beyond = beyond_the_law(db.session, conditions=now)
    return worklists.plans_at_risk(db.session, today=now.today, beyond=beyond)


@bp.get("/plans/<pid:plan_id>")
@guards.staff
def plan(plan_id: str) -> str:
    """One plan: what is on it, what is to come, what was paid and tried, what happened and why."""
    found = queries.plan_for(db.session, plan_id, user_id=None)
    changes = queries.changes_of(db.session, found.id)
    at_risk = [one for one in _at_risk() if one.plan.id == found.id]
    installments = queries.installments_of(db.session, found.id)
    lines = worklists.lines_of_plan(db.session, found)
    requests, why = queries.requests_of(db.session, found.id), [one for risk in at_risk for one in why_at_risk(risk)]
    asked = next((one for one in requests if one.decided_at is None), None)
    page = {
        "plan": found,
        "notices": notices_for_staff(
            state=found.state,
            paused_to_a_day=found.paused_until is not None,
            ended=found.ended_at is not None,
            pause_asked=asked is not None,
            at_risk=bool(why),
        ),
        "asked": asked,
        "account": account_by_public_id(db.session, found.account_public_id),
        "people": worklists.people_of_plan(db.session, found.id),
        "method": method_by_id(db.session, found.method_id) if found.method_id else None,
        "lines": lines,
        "left": Money.total(one.left for one in lines),
        "agreed": Money.total(one.agreed for one in lines),
        "installments": [one for one in installments if one.state is not InstallmentState.DROPPED],
        "dropped": sum(one.state is InstallmentState.DROPPED for one in installments),
        "tries": worklists.tries_of(db.session, found.id),
        "changes": changes,
        "requests": requests,
        "why": why,
        "change_words": CHANGES,
        "installment_words": INSTALLMENT,
        "end_reasons": DECLINED_REASONS if found.state is PlanState.DECLINED else END_REASONS,
        "rhythm_words": rhythm_words,
        "form": ActForm(formdata=None),
    }
    note_seen(Tag.ACCOUNT_SEEN, account_id=found.account_id, subject=found.public_id)
    return render_template("staff/plan.html", **page)


@bp.get("/plans/<pid:plan_id>/changes/<pid:change_id>/agreement")
@guards.staff
def plan_agreement(plan_id: str, change_id: str) -> Response:
    """What the patient agreed to, as it was shown."""
    found = queries.plan_for(db.session, plan_id, user_id=None)
    content = content_of(db.session, queries.agreement_document(db.session, found.id, change_id))
    note_seen(Tag.PLAN_AGREEMENT_SEEN, account_id=found.account_id, subject=found.public_id)
    return pdf_answer(content, "payment-plan-agreement")


@bp.get("/plans/policy")
@guards.supervisor
def plan_policy() -> Any:
    """What the operator allows, as it is in force, and where it is changed."""
    return render_template(
        "staff/plan_policy.html",
        policy=the_policy(),
        path=the_settings().plans_policy,
        frequencies=[FREQUENCY[one] for one in the_policy().frequencies],
    )
