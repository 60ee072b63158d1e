"""What somebody may choose to pay: accounts, their visits and lines, and what is left of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from portal.accounts.access import VisibleAccount
from portal.billing.queries import Line, VisitRow, visits_of_account
from portal.money import Money
from portal.payments.allocate import Part, Payable, allocate_amount, allocate_lines, amounts_nearby, left_stranded
from portal.payments.errors import LeavesTooLittle
from portal.payments.gateway import MINIMUM
from portal.payments.service import family_lines, held_on, left_to_pay


@dataclass(frozen=True, slots=True)
class PayLine:
    """A line that may be chosen, and what is left to pay of it."""

    line: Line
    payable: Money


@dataclass(frozen=True, slots=True)
class PayVisit:
    """A visit with its lines that may be chosen."""

    visit: VisitRow
    lines: list[PayLine]

    @property
    def payable(self) -> Money:
        """What the whole visit comes to."""
        return Money.total(one.payable for one in self.lines)


@dataclass(frozen=True, slots=True)
class PayAccount:
    """An account with its visits, oldest first, and what is on its way for it."""

    account: VisibleAccount
    visits: list[PayVisit]
    processing: Money

    @property
    def payable(self) -> Money:
        """What may be paid on it now."""
        return Money.total(visit.payable for visit in self.visits)


@dataclass(frozen=True, slots=True)
class Offer:
    """All that may be paid in one go."""

    accounts: list[PayAccount]
    #: Every line in the order in which an amount is spread.
    payables: list[Payable]

    @property
    def lines(self) -> list[PayLine]:
        """Every line, account by account."""
        return [one for account in self.accounts for visit in account.visits for one in visit.lines]

    @property
    def total(self) -> Money:
        """What everything comes to."""
        return Money.total(account.payable for account in self.accounts)

    @property
    def processing(self) -> Money:
        """What is on its way already."""
        return Money.total(account.processing for account in self.accounts)

    def charge_ids(self, *, lines: Iterable[str], visits: Iterable[str]) -> list[int]:
        """The charges of the chosen lines and of the chosen visits.

        An id that is not on offer is as good as a line that can't be paid: -1.
        """
        by_line = {one.line.public_id: one.line.charge_id for one in self.lines}
        by_visit: dict[str, list[int]] = {}
        for one in self.lines:
            by_visit.setdefault(one.line.visit_public_id, []).append(one.line.charge_id)
        chosen = [by_line.get(public_id, -1) for public_id in lines]
        chosen += [charge for public_id in visits for charge in by_visit.get(public_id, [-1])]
        return sorted(set(chosen))

    def check_rest(self, *, amount: Money | None, charge_ids: Sequence[int] | None) -> None:
        """Raise :class:`LeavesTooLittle` when paying this would leave an account with less than a card can pay.

        May raise what allocating raises: :class:`NothingToPay`, :class:`AmountAboveBalance` and the like.
        """
        payables = self.payables
        accounts = {one.line.charge_id: one.line.account_id for one in self.lines}
        if charge_ids is not None:
            parts: list[Part] = allocate_lines(charge_ids, payables)
        else:
            parts = allocate_amount(amount or self.total, payables)
        rest = left_stranded(parts, payables, accounts, least=MINIMUM)
        if rest is None:
            return
        less, more = (None, None) if amount is None else amounts_nearby(amount, payables, accounts, least=MINIMUM)
        raise LeavesTooLittle(rest, least=MINIMUM, less=less, more=more)


def on_offer(session: Session, accounts: Iterable[VisibleAccount], *, user_id: int) -> Offer:
    """What ``user_id`` may pay on these accounts now, less what payments on their way hold."""
    accounts = list(accounts)
    visible = family_lines(session, [account.id for account in accounts], user_id=user_id)
    held = held_on(session, [account.id for account in accounts])
    payables = left_to_pay(visible, held)
    left = {one.charge_id: one.amount for one in payables}
    return Offer(
        [
            _account(session, account, user_id, [line for line in visible if line.account_id == account.id], held, left)
            for account in accounts
        ],
        payables,
    )


def _account(
    session: Session,
    account: VisibleAccount,
    user_id: int,
    visible: list[Line],
    held: Mapping[int, Money],
    left: Mapping[int, Money],
) -> PayAccount:
    lines: dict[int, list[PayLine]] = {}
    for line in visible:
        if line.charge_id in left:
            lines.setdefault(line.visit_id, []).append(PayLine(line, left[line.charge_id]))
    visits = visits_of_account(session, account.id, user_id=user_id, lines_at_hand=visible)
    return PayAccount(
        account=account,
        # The oldest first: in this order an amount is spread.
        visits=[PayVisit(one.visit, lines[one.visit.id]) for one in reversed(visits) if one.visit.id in lines],
        processing=Money.total(held[line.charge_id] for line in visible if line.charge_id in held),
    )
