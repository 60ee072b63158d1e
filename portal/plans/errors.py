"""What can be in the way of a plan, as facts."""

from datetime import date

from portal.money import Money


class NoPlanPossible(Exception):
    """Nothing on the account may go on a plan, or what there is is too little for one."""


class PlanRuns(Exception):
    """The account has a plan already."""


class PlanIsOver(Exception):
    """The plan has ended meanwhile."""


class PlanIsPaused(Exception):
    """The plan is paused, and what is wished only makes sense while it goes on."""


class InstallmentTooSmall(Exception):
    """Less than the policy's minimum."""

    def __init__(self, least: Money) -> None:
        self.least = least
        super().__init__(str(least))


class InstallmentTooLarge(Exception):
    """More than the law lets anybody ask of this household; ``most`` is the largest installment."""

    def __init__(self, most: Money) -> None:
        self.most = most
        super().__init__(str(most))


class PlanTooLong(Exception):
    """More installments than the policy allows; ``least`` is the smallest amount that keeps to it."""

    def __init__(self, most: int, least: Money) -> None:
        self.most, self.least = most, least
        super().__init__(str(most))


class DayNotOffered(Exception):
    """A frequency or day the policy does not offer."""


class LineCannotJoin(Exception):
    """A line is not payable, is on a plan already, or the policy keeps it out."""


class LineNotOnPlan(Exception):
    """A line to be taken out is not on the plan, or is the only one."""


class NoSkipLeft(Exception):
    """All skips of the year are used."""


class NothingToChange(Exception):
    """The plan would stay as it is."""


class PauseTooLong(Exception):
    """Longer than the policy allows, or in the past."""


class PutOffTooFar(Exception):
    """The desk has moved the day already, and would put off the next payment too far; ``latest`` is how far it may."""

    def __init__(self, latest: date) -> None:
        self.latest = latest
        super().__init__(latest.isoformat())


class MethodNotUsable(Exception):
    """The saved method has expired or was removed."""


class DebtReturned(MethodNotUsable):
    """The bank sent a debt back for good from this very account: the plan needs another card or bank account for it."""


class ScheduleMoved(Exception):
    """The plan changed after the page was shown: it has to be looked at again."""


class ReasonMissing(Exception):
    """The policy is exceeded without a reason, or by somebody who may not."""


class ConsentMissing(ReasonMissing):
    """It asks for more or sooner, or goes on after a stop: only the patient can agree to that."""


class ChargeUnderWay(Exception):
    """An installment is being charged, and nobody knows yet what comes of it."""
