"""Which notices a page shows about a plan, most pressing first. Pure: their words are in the templates."""

from enum import StrEnum

from portal.money import Money
from portal.plans.kinds import RUNNING, Need, PlanState


class PlanNotice(StrEnum):
    """What a plan's page tells its payer above everything else."""

    OFFERED = "offered"  # staff offer another plan
    METHOD = "method"  # nothing is charged until another card or bank account is chosen
    CONFIRM = "confirm"  # the bank wants the payer to confirm
    RETRY = "retry"  # a payment did not go through and is tried again
    UNFINISHED = "unfinished"  # the payer began a payment
    ON_ITS_WAY = "on its way"
    MOVED = "moved"  # what is left has changed, and the plan is made to fit within the hour
    PAUSED = "paused"
    PAUSE_ASKED = "pause asked"
    PAUSE_REFUSED = "pause refused"


def notices_for_payer(
    *,
    state: PlanState,
    need: Need,
    offered: bool = False,
    declined: bool = False,
    begun: bool = False,
    charging: bool = False,
    moved: bool = False,
    pause_asked: bool = False,
    pause_refused: bool = False,
) -> list[PlanNotice]:
    """What a plan's page tells its payer.

    ``declined``: a payment to come was turned down before. ``begun``: the payer began one and has not finished it.
    ``charging``: one is on its way.
    """
    runs = state in RUNNING
    told = {
        PlanNotice.OFFERED: offered,
        PlanNotice.METHOD: runs and need is Need.METHOD,
        # Not while a payment is under way: it may be the very one.
        PlanNotice.CONFIRM: runs and need is Need.CONFIRMATION and not charging,
        PlanNotice.RETRY: state is PlanState.ACTIVE
        and need is Need.NOTHING
        and declined
        and not charging
        and not begun,
        PlanNotice.UNFINISHED: begun,
        PlanNotice.ON_ITS_WAY: charging and not begun,
        PlanNotice.MOVED: runs and moved,
        PlanNotice.PAUSED: state is PlanState.PAUSED,
        PlanNotice.PAUSE_ASKED: runs and pause_asked,
        PlanNotice.PAUSE_REFUSED: runs and pause_refused and not pause_asked,
    }
    return [one for one, is_told in told.items() if is_told]


class HomeNotice(StrEnum):
    """What the page after sign-in says about an account's plan."""

    METHOD = "method"
    CONFIRM = "confirm"
    PAUSED = "paused"
    NOTHING_LEFT = "nothing left"
    LESS_LEFT = "less left"  # something was paid: within the hour the plan is made to fit
    NEXT = "next"
    RUNS = "runs"  # without a payment to come
    OFFERED = "offered"
    SOMEBODY_ELSES = "somebody else's"


def notice_at_home(
    *, state: PlanState | None, need: Need | None, left: Money | None, on_plan: Money
) -> HomeNotice | None:
    """The one thing that is said of an account's plan; ``state`` None where its reader has none.

    ``left`` is what the plan's payments to come add up to (None for no such payment), ``on_plan`` what is still owed of
    its charges: a plan tells no payment of what is not owed any more.
    """
    if state is None:
        return HomeNotice.SOMEBODY_ELSES if on_plan else None
    if state not in RUNNING:
        return HomeNotice.OFFERED
    if need is Need.METHOD:
        return HomeNotice.METHOD
    if need is Need.CONFIRMATION:
        return HomeNotice.CONFIRM
    if state is PlanState.PAUSED:
        return HomeNotice.PAUSED
    if left is None:
        return HomeNotice.RUNS
    if on_plan < left:
        return HomeNotice.LESS_LEFT if on_plan else HomeNotice.NOTHING_LEFT
    return HomeNotice.NEXT


class DeskNotice(StrEnum):
    """What the desk's page of a plan tells staff above everything else."""

    PAUSE_ASKED = "pause asked"
    AT_RISK = "at risk"
    PAUSED = "paused"
    STOPPED = "stopped"  # by the patient, who alone can start the charges again
    OFFERED = "offered"
    ENDED = "ended"


def notices_for_staff(
    *, state: PlanState, paused_to_a_day: bool = False, ended: bool = False, pause_asked: bool = False,
    at_risk: bool = False,
) -> list[DeskNotice]:  # fmt: skip
    """What the desk's page of a plan tells staff."""
    paused = state is PlanState.PAUSED
    told = {
        DeskNotice.PAUSE_ASKED: state in RUNNING and pause_asked,
        DeskNotice.AT_RISK: at_risk,
        DeskNotice.PAUSED: paused and paused_to_a_day,
        DeskNotice.STOPPED: paused and not paused_to_a_day,
        DeskNotice.OFFERED: state is PlanState.PROPOSED,
        DeskNotice.ENDED: ended and not paused and state is not PlanState.PROPOSED,
    }
    return [one for one, is_told in told.items() if is_told]
