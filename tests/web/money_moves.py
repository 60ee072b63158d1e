"""Steps that tests of disputes and payouts share: paying without pages, and books that agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.db import writing
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.push import deliver_due
from portal.ledger.reconcile import reconcile
from portal.money import Money
from portal.payments import service
from portal.payments.gateway import StripeGateway
from portal.payments.models import Payment
from portal.payments.service import Payer
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic
from tests.web.paying import TESTA, confirm

ACCOUNT = "JDC-1001"


@pytest.fixture
def gateway(app: Flask) -> StripeGateway:
    gateway: StripeGateway = app.extensions["plainbill_gateway"]
    return gateway


Pay = Callable[..., Payment]


@pytest.fixture
def pay(session: Session, clinic: Clinic, gateway: StripeGateway, standin: StandIn) -> Pay:
    """``pay("60", "JDC-1001")``: a payment by card, confirmed, and settled unless ``settled`` is False."""

    def act(amount: str = "60", *refs: str, settled: bool = True, card: str = "pm_card_visa") -> Payment:
        ids = session.scalars(sa.select(Account.id).where(Account.ref.in_(refs or (ACCOUNT,)))).all()
        with writing():
            payment = service.start_payment(
                session,
                gateway,
                account_ids=list(ids),
                payer=Payer(user_id=clinic.user_id(TESTA) if len(ids) == 1 else None),
                amount=Money.parse(amount),
            )
            payment_id = payment.id
            service.prepare(session, gateway, payment_id=payment_id)
            confirm(standin, session.get_one(Payment, payment_id), card)
            if settled:
                service.refresh(session, gateway, payment_id=payment_id)
        session.rollback()
        return session.get_one(Payment, payment_id)

    return act


def agrees(session: Session, gateway: StripeGateway) -> dict[str, Any]:
    with writing():
        deliver_due(session, EmbeddedLedger(session))
        result = reconcile(session, EmbeddedLedger(session), gateway)
    session.rollback()
    assert (result["exceptions"], result["agrees"]) == ([], True), result["exceptions"]
    return result
