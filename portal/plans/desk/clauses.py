"""What the law of states wants in plan agreements: the words, the states taken away, and the agreements without."""

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.queries import accounts_living_in
from portal.accounts.states import STATES
from portal.plans.agreeing.clause_states import leave_out, left_out_rows, put_back
from portal.plans.desk.clause_forms import LeaveOutForm
from portal.plans.desk.clause_worklist import agreements_without_count
from portal.plans.desk.forms import ActForm
from portal.plans.of_app import the_conditions, the_policy
from portal.plans.rules.clauses import Clause, Place
from portal.web import guards
from portal.web.context import is_supervisor
from portal.web.database import db
from portal.web.desk import bp


@bp.get("/plans/clauses")
@guards.staff
def plan_clauses() -> str:
    """Every clause with its words and its source, and which states are taken away."""
    return _page(LeaveOutForm(formdata=None))


@bp.post("/plans/clauses/leave-out")
@guards.supervisor
def leave_state_out() -> Any:
    """Take a state away: its clauses are left out where no state is known."""
    form = LeaveOutForm()
    form.offer(_states())
    if not form.validate_on_submit():
        return _page(form), 422
    state = str(form.state.data)
    if leave_out(db.session, state, reason=form.reason.data or "", staff_user_id=current_user.id):
        flash(_("%(state)s is taken away. It can be put back at any time.", state=STATES[state]), "success")
    else:
        flash(_("%(state)s was taken away already. Nothing was changed.", state=STATES[state]), "info")
    return redirect(url_for("staff.plan_clauses"))


@bp.post("/plans/clauses/<pid:left_out_id>/put-back")
@guards.supervisor
def put_state_back(left_out_id: str) -> Any:
    """Let its clauses stand again where no state is known."""
    if ActForm().validate_on_submit():
        if put_back(db.session, left_out_id, staff_user_id=current_user.id):
            flash(_("The state is back. Its clauses stand again where no state is known."), "success")
        else:
            flash(_("It was put back already. Nothing was changed."), "info")
    return redirect(url_for("staff.plan_clauses"))


def _states() -> list[str]:
    """The states that some clause is about, in the order of their names."""
    return sorted({state for one in the_policy().clauses for state in one.states}, key=STATES.__getitem__)


def _page(form: LeaveOutForm) -> str:
    rows = left_out_rows(db.session)
    gone = {one.state for one in rows if one.put_back_at is None}
    left = [one for one in _states() if one not in gone]
    if request.method == "GET":
        form.offer(left)
    return render_template(
        "staff/plan_clauses.html",
        clauses=the_policy().clauses,
        today=the_conditions().today,
        places=_where,
        rows=rows,
        gone=gone,
        left=left,
        states=STATES,
        known={one: accounts_living_in(db.session, one) for one in _states()},
        without=agreements_without_count(db.session, conditions=the_conditions()),
        ended=agreements_without_count(db.session, conditions=the_conditions(), ended=True),
        form=form,
        act=ActForm(formdata=None),
        supervisor=is_supervisor(),
    )


def _where(clause: Clause) -> str:
    """Where a clause stands, in words."""
    words = {
        Place.AGREEMENT: _("the page that is agreed to"),
        Place.DOCUMENT: _("its PDF"),
        Place.MAIL: _("its copy by email"),
    }
    return ", ".join(words[one] for one in clause.places)
