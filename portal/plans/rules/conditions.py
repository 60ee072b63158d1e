"""Under what a plan is made and kept: the operator's policy, the clinic's day, and where its pages are. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from portal.clock import day_at
from portal.plans.rules.policy import Policy


@dataclass(frozen=True, slots=True)
class Conditions:
    """``plan_url`` and ``stop_url`` give addresses for mails, by a plan's and an installment's public id."""

    policy: Policy
    today: date
    plan_url: Callable[[str], str]
    stop_url: Callable[[str], str]
    #: The clinic's IANA time zone.
    timezone: str

    def day_of(self, moment: datetime) -> date:
        """The clinic's day at a moment."""
        return day_at(moment, self.timezone)


def conditions_at(policy: Policy, base_url: str, *, today: date, timezone: str) -> Conditions:
    """The conditions on a day, with the portal's own addresses; ``timezone`` is the clinic's IANA one."""
    return Conditions(
        policy=policy,
        today=today,
        plan_url=lambda plan: f"{base_url}/plans/{plan}",
        stop_url=lambda installment: f"{base_url}/plans/stop/{installment}",
        timezone=timezone,
    )
