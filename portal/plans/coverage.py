"""What a plan still has to collect, line by line. Reads; changes nothing.

Of each line it is the least of two: what may be taken of it now (nothing while it is held, disputed or with the
insurer; less what is on its way), and what was agreed for it less what has been paid of it since. So a plan never
charges what is not due, and what comes to a line later needs another agreement.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.billing.balance import LineState
from portal.billing.queries import Line, lines_of_account
from portal.money import Money
from portal.payments.queries import reserved
from portal.plans.models import PlanLine


@dataclass(frozen=True, slots=True)
class Covered:
    """A line on a plan: what the plan may take of it now, and what of it is on its way."""

    line: Line
    left: Money
    on_its_way: Money

    @property
    def waits(self) -> bool:
        """Whether it is out of the plan for now, and may come back: held, disputed, or with the insurer again."""
        return self.line.state in (LineState.ON_HOLD, LineState.WITH_INSURER)


def coverage(session: Session, plan_id: int, account_id: int) -> list[Covered]:
    """The lines of a plan, oldest first, with what it may still take of each. Reads with the caller's locks."""
    agreed = {
        row.charge_id: row.agreed + row.paid_before
        for row in session.execute(
            sa.select(PlanLine.charge_id, PlanLine.agreed, PlanLine.paid_before).where(
                PlanLine.plan_id == plan_id, PlanLine.left_at.is_(None)
            )
        )
    }
    held = reserved(session, account_id)
    return [
        _covered(line, agreed[line.charge_id], held.get(line.charge_id, Money.zero()))
        for line in lines_of_account(session, account_id)
        if line.charge_id in agreed
    ]


def _covered(line: Line, up_to: Money, on_its_way: Money) -> Covered:
    left = min(line.collectable, up_to - line.sums.paid) - on_its_way
    return Covered(line, max(left, Money.zero()), on_its_way)


def left_by_charge(covered: Iterable[Covered]) -> dict[int, Money]:
    """What a plan may take now, by charge; lines of nothing left out."""
    return {one.line.charge_id: one.left for one in covered if one.left}


def joinable(lines: Iterable[Line], held: Mapping[int, Money], *, least: Money) -> list[tuple[Line, Money]]:
    """The lines that may join a plan, each with what it asks for: payable now, nothing of it on its way.

    ``least`` is the policy's smallest line.
    """
    return [
        (line, line.payable)
        for line in lines
        if line.payable > Money.zero() and line.payable >= least and not held.get(line.charge_id)
    ]
