"""One attempt to pay from the card form to the receipt: what its payer sees next. For patients and for guests.

The callers have found out that the attempt is the payer's own, and know which page of theirs a :class:`NextPage` is.
Nothing here marks anything paid: Stripe is asked, and ``settle.py`` notes what it says. (Stripe's product of the name
Checkout has no part in it.)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from portal.payments.closing import close
from portal.payments.decline import words_for
from portal.payments.errors import NO_ANSWER, PaymentIsOver, StripeUnreachable
from portal.payments.gateway import Intent, StripeGateway
from portal.payments.kinds import NextPage
from portal.payments.progress import is_failed_debit
from portal.payments.queries import PaymentRow, payment_by_id
from portal.payments.service import is_still_owed, prepare, refresh
from portal.payments.state import FINAL, PaymentState
from portal.payments.tries import must_wait


@dataclass(frozen=True, slots=True)
class Step:
    """What the payer sees next, and what that page needs."""

    next: NextPage
    payment: PaymentRow
    #: What Stripe has for the card form, and for small deposits; None where it was not asked.
    intent: Intent | None = None
    #: Why there is no answer.
    error: Exception | None = None

    @property
    def maybe_charged(self) -> bool:
        """Whether, without an answer, the payer may have paid already: once Stripe has the intent, we can't know."""
        return self.payment.known_to_stripe and not self.closed

    @property
    def decline(self) -> str:
        """What to tell the payer above the card form about the card that was tried last; empty for nothing."""
        code = self.intent.failure_code if self.intent is not None else ""
        return words_for(code, self.payment.method_kind) if code else ""

    @property
    def closed(self) -> bool:
        """Whether the attempt is over without a charge."""
        return self.payment.state is PaymentState.CANCELED


def next_page(session: Session, payment: PaymentRow, *, payer_id: int | None) -> NextPage:
    """Where an attempt leads without asking Stripe: the card form, unless it ended or its money is on its way.

    ``payer_id`` is who reads it (None: a guest), who may have to wait after too many declined cards.
    """
    if payment.state is PaymentState.SUCCEEDED:
        return NextPage.RECEIPT
    if payment.state is PaymentState.PROCESSING or payment.waits_for_deposits:
        return NextPage.WAITING
    if is_failed_debit(payment):
        return NextPage.RETURNED
    if payment.state is PaymentState.CANCELED:
        waits = must_wait(session, account_ids=[payment.account_id], user_id=payer_id)
        return NextPage.TOO_MANY_DECLINES if waits else NextPage.CLOSED
    return NextPage.CARD_FORM


def open_card_form(session: Session, gateway: StripeGateway, *, payment: PaymentRow, payer_id: int | None) -> Step:
    """See to it that Stripe is ready for an attempt's card, unless it ended or the bill has changed; commits.

    A bill that has changed since the attempt was written down closes it: nobody pays the old amount.
    """
    before = next_page(session, payment, payer_id=payer_id)
    session.commit()
    if before is not NextPage.CARD_FORM:
        return Step(before, payment)
    if not is_still_owed(session, payment_id=payment.id):
        step = give_up(session, gateway, payment=payment, payer_id=payer_id)
        return replace(step, next=NextPage.BILL_CHANGED) if step.closed and step.error is None else step
    step = _ask(session, payment.id, payer_id, lambda: prepare(session, gateway, payment_id=payment.id))
    if step.next is NextPage.CARD_FORM and step.intent is None:
        return replace(step, next=NextPage.NO_ANSWER, error=StripeUnreachable("nothing"))
    return step


def come_back(session: Session, gateway: StripeGateway, *, payment: PaymentRow, payer_id: int | None) -> Step:
    """Ask Stripe what became of an attempt whose payer comes back from it; commits.

    An attempt that Stripe still waits to have paid leads to the card form, which asks anew.
    """
    session.commit()
    if payment.state in FINAL:
        return Step(next_page(session, payment, payer_id=payer_id), payment)
    return _ask(session, payment.id, payer_id, lambda: refresh(session, gateway, payment_id=payment.id))


def give_up(session: Session, gateway: StripeGateway, *, payment: PaymentRow, payer_id: int | None) -> Step:
    """Close an attempt that was not confirmed; commits. One that was paid meanwhile leads to where it is now."""

    def closing() -> None:
        close(session, gateway, payment_id=payment.id)

    session.commit()
    return _ask(session, payment.id, payer_id, closing)


def _ask(session: Session, payment_id: int, payer_id: int | None, act: Callable[[], Intent | None]) -> Step:
    """Do what asks Stripe, and see where the attempt is then.

    Stripe's no or silence is the next page also of an attempt that it closed: why comes before anything leads away.
    """
    intent, error = None, None
    try:
        intent = act()
    except PaymentIsOver:
        session.rollback()
    except NO_ANSWER as no:
        session.rollback()
        error = no
    payment = payment_by_id(session, payment_id)
    if error is not None:
        return Step(NextPage.NO_ANSWER, payment, error=error)
    return Step(next_page(session, payment, payer_id=payer_id), payment, intent)
