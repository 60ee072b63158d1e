"""The household’s income as long as a plan is being set up, and what the law makes of it."""


from flask import session
from flask_login import current_user

from portal.money import Money
from portal.plans.of_app import the_conditions
from portal.plans.queries import latest_month_cap
from portal.plans.rules.policy import month_cap
from portal.web.database import db

#: Where a household's income is kept until the plan is made: in the reader's own session, and in no address.
_INCOME = "plan_income_cents"


def the_income() -> Money | None:
    """The household's monthly income, where the reader told it in this session."""
    cents = session.get(_INCOME)
    return Money(cents) if isinstance(cents, int) else None


def the_month_cap(account_id: int) -> Money | None:
    """The most the law lets be asked in a month: by the income that was told, or as it was for the plan before."""
    policy = the_conditions().policy
    if policy.rule is None:
        return None
    told = month_cap(policy, the_income())
    return told if told is not None else latest_month_cap(db.session, account_id, user_id=current_user.id)


def keep_income(income: Money | None) -> None:
    """Remember it until the plan is made, or (None) forget it."""
    if income is None:
        session.pop(_INCOME, None)
    else:
        session[_INCOME] = income.cents
