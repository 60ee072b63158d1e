"""Many people pay the same balance at once, on both databases: never more is taken than was due."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa
import stripe
from flask import Flask
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.db import writing
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.push import deliver_due
from portal.ledger.reconcile import reconcile
from portal.money import Money
from portal.payments.errors import (
    AmountAboveBalance,
    AnotherPaymentRuns,
    NothingToPay,
    PaymentIsOver,
    StripeRefused,
    StripeUnreachable,
)
from portal.payments.models import Payment
from portal.payments.service import Payer, payable_lines, prepare, refresh, start_payment
from portal.sandbox.stripe import StandIn
from portal.web.database import db
from tests.conftest import Clinic
from tests.web.paying import TESTA, client_of

CLIENTS = 12
#: What the unlucky ones are told.
EXPECTED = (
    AnotherPaymentRuns,
    NothingToPay,
    AmountAboveBalance,
    PaymentIsOver,
    StripeUnreachable,
    StripeRefused,
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("same_amount", [True, False], ids=["the same amount", "each another amount"])
def test_many_pay_the_same_balance_at_once(
    app: Flask, clinic: Clinic, session: Session, standin: StandIn, same_amount: bool
) -> None:
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == "JDC-1001")).one()
    user_id = clinic.user_id(TESTA)
    due = Money.total(line.amount for line in payable_lines(session, account_id, user_id=user_id))
    session.commit()
    gateway = app.extensions["plainbill_gateway"]
    gate = threading.Barrier(CLIENTS)
    surprises: list[BaseException] = []

    def pay(number: int) -> None:
        amount = due if same_amount else due - Money(number)
        with app.app_context(), writing():
            gate.wait(30)
            try:
                payment = start_payment(
                    db.session, gateway, account_ids=[account_id], payer=Payer(user_id), amount=amount
                )
                payment_id = payment.id
                intent = prepare(db.session, gateway, payment_id=payment_id)
                client_of(standin).v1.payment_intents.confirm(
                    intent.id, {"payment_method": "pm_card_visa", "return_url": "http://localhost/"}
                )
                refresh(db.session, gateway, payment_id=payment_id)
            except EXPECTED:
                db.session.rollback()
            except stripe.StripeError:
                db.session.rollback()  # the intent was paid or closed by another
            except BaseException as error:
                db.session.rollback()
                surprises.append(error)

    threads = [threading.Thread(target=pay, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert not surprises
    assert not any(thread.is_alive() for thread in threads)

    # What a browser left half done, the sweep finishes.
    with writing():
        for (payment_id,) in session.execute(sa.select(Payment.id).where(Payment.stripe_intent_id.is_not(None))).all():
            session.commit()
            refresh(session, gateway, payment_id=payment_id)
        deliver_due(session, EmbeddedLedger(session))
    taken = sum(charge.amount for charge in _charges(standin))
    assert 0 < taken <= due.cents
    result = reconcile(session, EmbeddedLedger(session), gateway)
    assert result["agrees"], result["exceptions"]
    assert result["total"]["captures_cents"] == taken == result["total"]["posted_cents"]


def _charges(standin: StandIn) -> list[Any]:
    return [charge for charge in client_of(standin).v1.charges.list({"limit": 100}).data if charge.paid]
