"""When somebody may be asked for a line."""

import pytest

from portal.billing.balance import LineState, LineSums, payable, state_of
from portal.money import Money


def sums(*, share: int = 2000, paid: int = 0, with_insurer: int = 0) -> LineSums:
    return LineSums(Money(10000), Money(3000), Money(5000), Money(share), Money(paid), Money(with_insurer))


@pytest.mark.parametrize(
    ("line", "held", "state", "cents"),
    [
        (sums(), False, LineState.PAYABLE, 2000),
        (sums(paid=500), False, LineState.PAYABLE, 1500),
        (sums(paid=2000), False, LineState.SETTLED, 0),
        (sums(paid=2500), False, LineState.CREDIT, 0),
        (sums(share=0), False, LineState.SETTLED, 0),
        (sums(), True, LineState.ON_HOLD, 0),
        (sums(paid=2000), True, LineState.SETTLED, 0),
        (sums(with_insurer=1), False, LineState.WITH_INSURER, 0),
        (sums(with_insurer=-1), False, LineState.WITH_INSURER, 0),
        (sums(with_insurer=700), True, LineState.WITH_INSURER, 0),
    ],
)
def test_every_state(line: LineSums, held: bool, state: LineState, cents: int) -> None:
    assert state_of(line, held=held) is state
    assert payable(line, held=held) == Money(cents)
