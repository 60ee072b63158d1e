"""From which lines a refund is taken. Pure.

A payment goes to the oldest service first, so a refund by amount takes back from the newest first: what stays paid is
what is owed the longest. Lines of the same day are taken in the reverse order of the bill. Where lines were chosen,
what is left of the payment on each of them is given back in full.
"""

from collections.abc import Collection, Sequence

from portal.money import Money
from portal.payments.allocate import Part, Payable
from portal.refunds.errors import AmountAboveLeft, AmountNotPositive, LineNotRefundable, NothingLeft


def take_amount(amount: Money | None, left: Sequence[Payable]) -> list[Part]:
    """Take ``amount`` (None: everything) from what is ``left`` of a payment by line, given oldest first.

    The parts sum to the amount exactly, newest line first. Raises :class:`NothingLeft`, :class:`AmountNotPositive`,
    :class:`AmountAboveLeft`.
    """
    most = Money.total(line.amount for line in left)
    if most <= Money.zero():
        raise NothingLeft
    wanted = most if amount is None else amount
    if wanted <= Money.zero():
        raise AmountNotPositive
    if wanted > most:
        raise AmountAboveLeft(most)
    parts = []
    for line in reversed(left):
        take = min(wanted, line.amount)
        if take > Money.zero():
            parts.append(Part(line.charge_id, take))
            wanted = wanted - take
    return parts


def take_lines(chosen: Collection[int], left: Sequence[Payable]) -> list[Part]:
    """Take all that is left on the chosen lines. Raises :class:`NothingLeft` and :class:`LineNotRefundable`."""
    if not chosen:
        raise NothingLeft
    parts = [Part(line.charge_id, line.amount) for line in left if line.charge_id in chosen and line.amount]
    if len(parts) != len(set(chosen)):
        raise LineNotRefundable
    return parts
