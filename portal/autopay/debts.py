"""What autopay may collect: all that is payable, without the debts that a bank sent back for good.

A debt is a line of the bill. How often one may be presented, and when not at all, is payments/presenting.py's; it is
the same debt whatever charged it. The patient who agreed to another card or bank account after that has acted.
"""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy.orm import Session

from portal.audit.service import record
from portal.audit.tags import Tag
from portal.autopay import emails
from portal.autopay.models import Autopay
from portal.autopay.queries import AutopayRow
from portal.billing.queries import Line, lines_of_account
from portal.money import Money
from portal.payments.allocate import Part, Payable
from portal.payments.queries import PaymentRow
from portal.payments.returns import StoppedDebt, awaited_debts, standing_returns, stopped_debts
from portal.payments.service import payable_lines
from portal.payments.settle import parts_of


def left_out(session: Session, autopay: Autopay | AutopayRow) -> dict[int, StoppedDebt]:
    """The lines of the account that this autopay may not charge, by charge; payable or not."""
    started_at = autopay.started_at
    return stopped_debts(
        session, autopay.account_id, method_id=autopay.method_id, agreed_at=lambda _charge_id: started_at
    )


def collectable(
    session: Session, autopay: Autopay, lines: Iterable[Payable], *, bounced: bool = False
) -> list[Payable]:
    """Those of the payable lines that may be charged now.

    ``bounced`` keeps to those of a debit that came back: what is presented again is that debt and nothing besides.
    """
    out = left_out(session, autopay).keys() | awaited_debts(session, autopay.account_id)
    found = [line for line in lines if line.charge_id not in out]
    if not bounced:
        return found
    again = standing_returns(session, [autopay.account_id])
    return [line for line in found if line.charge_id in again]


def payable_by(session: Session, autopay: Autopay, *, bounced: bool = False) -> list[Payable]:
    """What this autopay may charge now, oldest first (``bounced`` as for :func:`collectable`)."""
    lines = payable_lines(session, autopay.account_id, user_id=autopay.user_id)
    return collectable(session, autopay, lines, bounced=bounced)


def waiting_for_the_patient(session: Session, autopay: AutopayRow, *, user_id: int) -> list[tuple[Line, StoppedDebt]]:
    """The lines that a person may pay and this autopay leaves out, oldest first, each with why."""
    out = left_out(session, autopay)
    if not out:
        return []
    lines = lines_of_account(session, autopay.account_id, user_id=user_id)
    return [(line, out[line.charge_id]) for line in lines if line.charge_id in out and line.payable > Money.zero()]


def parts_to_present_again(session: Session, autopay: Autopay, payment: PaymentRow) -> tuple[Money, list[Part]]:
    """What of a debit that came back may be presented again, and the parts that may not."""
    out = left_out(session, autopay)
    parts = parts_of(session, payment.id)
    stopped = [part for part in parts if part.charge_id in out]
    return Money.total(part.amount for part in parts if part.charge_id not in out), stopped


def notify_of_left_out(session: Session, autopay: Autopay, lines: Sequence[Payable], told: Collection[int]) -> None:
    """Tell the patient, once for each return, what is payable and left out because of it. In the caller's transaction.

    ``told`` are payments of this autopay whose own mail has said so.
    """
    out = left_out(session, autopay)
    payable = {line.charge_id: line.amount for line in lines if line.charge_id in out}
    for last in {out[charge_id].last.payment_id: out[charge_id].last for charge_id in payable}.values():
        its_own = (one for charge_id, one in payable.items() if out[charge_id].last.payment_id == last.payment_id)
        if last.payment_id not in told:
            note_left_out(session, autopay, reference_id=last.reference_id, amount=Money.total(its_own))


def note_left_out(session: Session, autopay: Autopay, *, reference_id: str, amount: Money) -> None:
    """Tell of one return, once, and audit it."""
    if emails.queue_left_out(
        session, user_id=autopay.user_id, autopay=autopay.public_id, payment=reference_id, amount=amount
    ):
        audit_left_out(session, autopay, amount)


def audit_left_out(session: Session, autopay: Autopay, amount: Money) -> None:
    """Note that the portal stopped collecting something by itself."""
    record(
        session,
        Tag.AUTOPAY_CHANGED,
        account_id=autopay.account_id,
        subject=autopay.public_id,
        what="left_out",
        cents=amount.cents,
    )
