"""What a line amounts to, and whether anybody may be asked for it. Pure.

The rule (design, "Always true" 4): a line is payable when insurance is finished with it, it is not held, and the
patient's share is more than nothing. What one line is over can't be set against another here.
"""

from dataclasses import dataclass
from enum import StrEnum

from portal.money import Money


@dataclass(frozen=True, slots=True)
class LineSums:
    """The sums of a line's entries. ``adjusted``, ``insurer_paid`` and ``paid`` are shown as positive reductions."""

    billed: Money
    adjusted: Money
    insurer_paid: Money
    share: Money
    paid: Money
    with_insurer: Money

    @property
    def due(self) -> Money:
        """The patient's share less what the patient has paid; negative is a credit."""
        return self.share - self.paid


class LineState(StrEnum):
    """What a line asks of the patient."""

    PAYABLE = "payable"
    ON_PLAN = "on_plan"  # paid in installments: owed, but not asked for besides them
    WITH_INSURER = "with_insurer"
    ON_HOLD = "on_hold"
    SETTLED = "settled"
    CREDIT = "credit"


def state_of(sums: LineSums, *, held: bool, on_plan: bool = False) -> LineState:
    """Where a line stands. Insurance comes first: an undecided line is nobody's debt, held or not."""
    if sums.with_insurer:
        return LineState.WITH_INSURER
    if held and sums.due > Money.zero():
        return LineState.ON_HOLD
    if sums.due > Money.zero():
        return LineState.ON_PLAN if on_plan else LineState.PAYABLE
    return LineState.CREDIT if sums.due < Money.zero() else LineState.SETTLED


def payable(sums: LineSums, *, held: bool, on_plan: bool = False) -> Money:
    """What may be asked for on a line now: its due when it is payable, else nothing."""
    return sums.due if state_of(sums, held=held, on_plan=on_plan) is LineState.PAYABLE else Money.zero()
