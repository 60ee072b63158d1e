"""What waits for somebody at the desk, counted for the page on which staff land: one query each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import Session

from portal.codes.queries import unknown_open
from portal.disputes.queries import to_answer
from portal.payments.stripe_events.events import contradicted, key_refused, stuck
from portal.payouts.queries import exceptions_open
from portal.plans.desk.beyond import beyond_the_law
from portal.plans.desk.clause_worklist import agreements_without_count
from portal.plans.desk.uncollected import uncollected_count
from portal.plans.desk.worklists import at_risk_count, open_request_count
from portal.plans.rules.conditions import Conditions
from portal.refunds.queries import failed_count


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits: how many, what it is called, and the page about it."""

    count: int
    name: Any
    endpoint: str


#: What is counted, in the order in which it presses.
_COUNTED: tuple[tuple[Callable[[Session], int], Any, str], ...] = (
    (key_refused, _l("Payments refused because Stripe doesn’t take our key"), "staff.webhooks"),
    (contradicted, _l("Payments that contradict our books"), "staff.webhooks"),
    (to_answer, _l("Disputes to answer"), "staff.disputes"),
    (failed_count, _l("Refunds that failed"), "staff.refunds"),
    (uncollected_count, _l("Debits that banks sent back for good"), "staff.returned_debits"),
    (open_request_count, _l("Patients who ask for a pause of their plan"), "staff.plans"),
    (unknown_open, _l("Codes of insurers that we have no words for"), "staff.unknown_codes"),
    (exceptions_open, _l("Exceptions in payouts"), "staff.exceptions"),
    (stuck, _l("Stripe events that are stuck"), "staff.webhooks"),
)


def waiting(session: Session, *, conditions: Conditions) -> list[Waiting]:
    """What waits on the clinic's day, without what does not."""
    found = [Waiting(count(session), name, endpoint) for count, name, endpoint in _COUNTED]
    beyond = beyond_the_law(session, conditions=conditions)
    at_risk = at_risk_count(session, today=conditions.today, beyond=beyond)
    found.append(Waiting(at_risk, _l("Payment plans at risk"), "staff.plans"))
    without = agreements_without_count(session, conditions=conditions)
    found.append(Waiting(without, _l("Plan agreements without a clause of a state’s law"), "staff.plan_clauses"))
    over = agreements_without_count(session, conditions=conditions, ended=True)
    found.append(Waiting(over, _l("Bills still owed under an ended plan without such a clause"), "staff.plan_clauses"))
    return [one for one in found if one.count]
