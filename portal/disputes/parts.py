"""Which lines a bank's withdrawal is of. Pure.

The bank names an amount of a payment and no lines. It is taken from what is left of the payment's parts, the newest
line first: paying goes the other way round, so that what was paid longest ago stays paid longest.
"""

from collections.abc import Mapping, Sequence

from portal.money import Money
from portal.payments.allocate import Part


def withdrawn_parts(amount: Money, left: Sequence[tuple[int, Money]]) -> list[Part]:
    """Spread ``amount`` (positive) over ``left``, pairs of charge id and what is left of its part, oldest line first.

    Returns the parts, newest line first; they sum to ``amount``. A bank may take more than is left (part of the
    payment was refunded meanwhile): that went out twice, and is put on the newest line so that the books say what
    happened. Raises ValueError for an amount that is not positive or a payment without parts.
    """
    if amount <= Money.zero():
        raise ValueError("an amount above zero is withdrawn")
    if not left:
        raise ValueError("a payment without parts")
    taken: dict[int, Money] = {}
    rest = amount
    for charge_id, there in reversed(left):
        part = min(rest, there) if there > Money.zero() else Money.zero()
        if part:
            taken[charge_id] = part
            rest = rest - part
    if rest:
        newest = left[-1][0]
        taken[newest] = taken.get(newest, Money.zero()) + rest
    return [Part(charge_id, part) for charge_id, part in taken.items()]


def returned_parts(amount: Money, withheld: Mapping[int, Money]) -> list[Part]:
    """Spread what a bank gave back over what it still withholds, by charge id; returns parts that sum to ``amount``.

    The line that was taken from last is made good first. More than was withheld goes to the first line given.
    """
    return withdrawn_parts(amount, list(withheld.items()))
