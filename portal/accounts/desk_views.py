"""Writing down in which state somebody lives: the law of it may want words in their plan agreement."""

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.accounts.desk_forms import HomeStateForm
from portal.accounts.queries import account_by_public_id
from portal.accounts.service import set_home_state
from portal.web import guards
from portal.web.database import db
from portal.web.desk import bp


@bp.route("/accounts/<pid:account_id>/state", methods=["GET", "POST"])
@guards.staff
def account_state(account_id: str) -> Any:
    """Say where whoever pays an account lives."""
    account = account_by_public_id(db.session, account_id)
    form = HomeStateForm(data={"state": account.home_state or ""})
    if form.validate_on_submit():
        changed = set_home_state(
            db.session, account.id, form.state.data or None, actor_user_id=current_user.id
        )
        db.session.commit()
        if changed:
            flash(_("The state is written down. Agreements from now on have what its law wants in them."), "success")
        else:
            flash(_("That is what was written down already. Nothing was changed."), "info")
        return redirect(url_for("staff.account", account_id=account.public_id))
    return render_template("staff/account_state.html", account=account, form=form)
