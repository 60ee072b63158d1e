"""A payment that went through, and what tests of refunds ask about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Account
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.kinds import EntryKind, HoldReason
from portal.billing.models import Hold
from portal.billing.service import NewEntry, write_entries
from portal.db import writing
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.push import deliver_due
from portal.ledger.reconcile import reconcile
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.gateway import StripeGateway, StripeRefund
from portal.payments.models import Allocation, Booking, Payment
from portal.payments.service import Payer, prepare, refresh, start_payment
from portal.refunds import service
from portal.refunds.credits import find_credits
from portal.refunds.models import Refund
from portal.refunds.parts import dues
from portal.refunds.sending import send_due
from portal.refunds.state import RefundReason, RefundState
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic
from tests.web.paying import TESTA, client_of, confirm

ZONE = "America/Chicago"
LIMIT = Money(10_000)
DAYS = 7


@dataclass
class Desk:
    """Everything a test of refunds does, in one session that intends to write."""

    session: Session
    gateway: StripeGateway
    standin: StandIn
    clinic: Clinic

    @property
    def staff(self) -> int:
        return self.clinic.user_id("staff@example.com")

    @property
    def supervisor(self) -> int:
        return self.clinic.user_id("supervisor@example.com")

    def pay(
        self, *, amount: Money | None = None, charge_ids: list[int] | None = None, card: str = "pm_card_visa"
    ) -> Payment:
        """A payment on Testa's account that went through."""
        account_id = self.session.scalars(sa.select(Account.id).where(Account.ref == "JDC-1001")).one()
        payment = start_payment(
            self.session,
            self.gateway,
            account_ids=[account_id],
            payer=Payer(self.clinic.user_id(TESTA)),
            amount=amount,
            charge_ids=charge_ids,
        )
        prepare(self.session, self.gateway, payment_id=payment.id)
        confirm(self.standin, payment, card)
        refresh(self.session, self.gateway, payment_id=payment.id)
        return payment

    def parts(self, payment: Payment) -> dict[int, Money]:
        """What of a payment was for which line."""
        rows = self.session.execute(
            sa.select(Allocation.charge_id, Allocation.amount).where(Allocation.payment_id == payment.id)
        )
        return dict(rows.all())

    def ask(self, payment: Payment, **what: Any) -> Refund:
        """Staff ask for a refund; commits."""
        asked = {
            "payment_public_id": payment.public_id,
            "actor": self.staff,
            "reason": RefundReason.REQUESTED,
            "note": "asked on the telephone",
            "today": clock.today(ZONE),
            "limit": LIMIT,
            **what,
        }
        refund = service.request_refund(self.session, **asked)
        self.session.commit()
        return refund

    def send(self) -> int:
        """Run the sending job."""
        return send_due(self.session, self.gateway, timezone=ZONE)

    def find(self, *, limit: Money = LIMIT, days: int = DAYS) -> int:
        """Run the job that finds credits."""
        return find_credits(self.session, timezone=ZONE, limit=limit, days=days)

    def state(self, refund: Refund) -> RefundState:
        """Where a refund stands in the database."""
        self.session.rollback()
        self.session.expire_all()
        return self.session.get_one(Refund, refund.id).state

    def at_stripe(self) -> list[Any]:
        """Every refund that Stripe made, oldest first."""
        return list(reversed(client_of(self.standin).v1.refunds.list({"limit": 100}).data))

    def found(self, stripe_refund: Any) -> StripeRefund:
        """Stripe's refund as the gateway reads it now."""
        return self.gateway.refunds.retrieve(stripe_refund.id)

    def bookings(self, payment: Payment) -> list[tuple[str, int]]:
        """What was booked of a payment: kind and cents."""
        rows = self.session.execute(
            sa.select(Booking.kind, Booking.amount).where(Booking.payment_id == payment.id).order_by(Booking.id)
        ).all()
        self.session.rollback()
        return [(kind.value, amount.cents) for kind, amount in rows]

    def due(self, charge_id: int) -> int:
        """What is owed on a line, in cents."""
        found = dues(self.session, [charge_id])[charge_id].cents
        self.session.rollback()
        return found

    def held(self, charge_id: int) -> list[HoldReason]:
        """Why a line is on hold now."""
        found = self.session.scalars(
            sa.select(Hold.reason).where(Hold.charge_id == charge_id, Hold.released_at.is_(None))
        ).all()
        self.session.rollback()
        return list(found)

    def mails(self, what: str) -> list[str]:
        """The keys of the mails of a kind about refunds."""
        found = self.session.scalars(sa.select(Notification.key).where(Notification.key.like(f"refund/%/{what}"))).all()
        self.session.rollback()
        return list(found)

    def audited(self, tag: Tag) -> int:
        """How many marks of a kind the audit trail has."""
        count = self.session.scalar(sa.select(sa.func.count(AuditEvent.id)).where(AuditEvent.tag == tag)) or 0
        self.session.rollback()
        return int(count)

    def insurer_takes_over(self, charge_id: int, amount: Money) -> None:
        """The insurer decides anew: ``amount`` of a line is not the patient's, in the mirror and in the back office."""
        account_id = self.session.execute(
            sa.text("SELECT v.account_id FROM charge c JOIN visit v ON v.id = c.visit_id WHERE c.id = :id"),
            {"id": charge_id},
        ).scalar_one()
        number = self.session.execute(sa.text("SELECT count(*) FROM entry")).scalar_one()
        write_entries(
            self.session,
            [
                NewEntry(
                    account_id=account_id,
                    charge_id=charge_id,
                    kind=EntryKind.SHARE_MOVED,
                    insurer=Money.zero(),
                    patient=-amount,
                    source="test",
                    source_id=f"later/{charge_id}/{number}",
                )
            ],
        )
        self.session.commit()

    def differences(self) -> list[Any]:
        """What the books disagree about, with everything delivered; credits that tests made up are left out."""
        deliver_due(self.session, EmbeddedLedger(self.session))
        result = reconcile(self.session, EmbeddedLedger(self.session), self.gateway)
        self.session.commit()
        return [one for one in result["exceptions"] if one["kind"] != "patient's balance" or not self._made_up()]

    def _made_up(self) -> bool:
        return bool(self.session.execute(sa.text("SELECT count(*) FROM entry WHERE source = 'test'")).scalar_one())


@pytest.fixture
def desk(app: Flask, clinic: Clinic, session: Session, standin: StandIn) -> Iterator[Desk]:
    with app.app_context(), writing():
        session.rollback()
        yield Desk(session, app.extensions["plainbill_gateway"], standin, clinic)
        session.rollback()


@pytest.fixture
def payment(desk: Desk) -> Payment:
    """Everything that Testa can pay, paid."""
    return desk.pay()


def later(**delta: float) -> Any:
    """Some time from now."""
    return clock.now() + timedelta(**delta)


def today() -> date:
    return clock.today(ZONE)
