"""Which lines a payment is for. Pure.

The rule, also shown to the patient before paying: money goes to the oldest service first; where lines were chosen,
to those only, in full. Lines of the same day are filled in the order of the bill. docs/payments.md says it in prose.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from portal.money import Money
from portal.payments.errors import AmountAboveBalance, AmountNotPositive, LineNotPayable, NothingToPay


@dataclass(frozen=True, slots=True)
class Payable:
    """A line and what may still be asked for it; given oldest first."""

    charge_id: int
    amount: Money


@dataclass(frozen=True, slots=True)
class Part:
    """How much of a payment goes to which line; always more than nothing."""

    charge_id: int
    amount: Money


def allocate_amount(amount: Money, lines: Sequence[Payable]) -> list[Part]:
    """Spread ``amount`` over ``lines``, oldest first; the parts sum to it exactly.

    Raises :class:`NothingToPay`, :class:`AmountNotPositive`, :class:`AmountAboveBalance`.
    """
    total = Money.total(line.amount for line in lines)
    if not total:
        raise NothingToPay
    if amount <= Money.zero():
        raise AmountNotPositive
    if amount > total:
        raise AmountAboveBalance(total)
    parts, left = [], amount
    for line in lines:
        take = min(left, line.amount)
        if take > Money.zero():
            parts.append(Part(line.charge_id, take))
            left = left - take
    return parts


def allocate_lines(chosen: Collection[int], lines: Sequence[Payable]) -> list[Part]:
    """Pay the chosen lines in full. Raises :class:`NothingToPay` and :class:`LineNotPayable`."""
    parts = [Part(line.charge_id, line.amount) for line in lines if line.charge_id in chosen and line.amount]
    if not chosen:
        raise NothingToPay
    if len(parts) != len(set(chosen)):
        raise LineNotPayable
    return parts


def left_stranded(
    parts: Sequence[Part], lines: Sequence[Payable], accounts: Mapping[int, int], *, least: Money
) -> Money | None:
    """What ``parts`` would leave on an account that is too little for any card, or None where they leave nothing such.

    ``accounts`` is each line's account by charge id. The first account that is left with more than nothing but less
    than ``least`` counts; of accounts that get no part nothing is said, since this payment does not make them worse.
    """
    paid = {part.charge_id: part.amount for part in parts}
    left: dict[int, Money] = {}
    for line in lines:
        account = accounts[line.charge_id]
        rest = line.amount - paid.get(line.charge_id, Money.zero())
        left[account] = left.get(account, Money.zero()) + rest
    touched = {accounts[charge_id] for charge_id in paid}
    return next((left[one] for one in sorted(touched) if Money.zero() < left[one] < least), None)


def amounts_nearby(
    amount: Money, lines: Sequence[Payable], accounts: Mapping[int, int], *, least: Money
) -> tuple[Money | None, Money | None]:
    """The nearest amounts below and above that strand nothing (:func:`left_stranded`) and that a card can pay."""
    total = Money.total(line.amount for line in lines)
    furthest = least.cents * (len(set(accounts.values())) + 1)

    def first(step: int) -> Money | None:
        for away in range(1, furthest + 1):
            other = amount + Money(step * away)
            if not least <= other <= total:
                return None
            if left_stranded(allocate_amount(other, lines), lines, accounts, least=least) is None:
                return other
        return None

    return first(-1), first(1)
