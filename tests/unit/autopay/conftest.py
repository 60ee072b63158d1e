"""An account with autopay, a Stripe in this process, and clocks that move together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Account
from portal.autopay.models import Autopay, AutopayCharge
from portal.autopay.running import run_due
from portal.autopay.service import CHECK_EVERY, start
from portal.money import Money
from portal.notifications.models import Notification
from portal.notifications.service import send_due
from portal.payments.gateway import StripeGateway
from portal.payments.kinds import ConsentKind
from portal.payments.methods.customers import customer_of
from portal.payments.models import Consent, Payment, SavedMethod
from portal.payments.service import payable_lines
from portal.payments.sweeping import sweep
from portal.sandbox.privacy import JudgedHTTPClient
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic, _leaks
from tests.web.paying import TESTA, client_of

TIMEZONE = "America/Chicago"
START = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)  # a Monday


@dataclass
class World:
    """What the tests act on. ``session`` is a worker's."""

    session: Session
    gateway: StripeGateway
    standin: StandIn
    travel: time_machine.Traveller
    account_id: int
    user_id: int
    mail_works: bool = True

    @property
    def today(self) -> date:
        """The day at the clinic."""
        return clock.today(TIMEZONE)

    def save(self, method: str = "pm_card_visa") -> SavedMethod:
        """The patient keeps a method, as the pages would."""
        customer = customer_of(self.session, self.gateway, user_id=self.user_id, account_id=self.account_id)
        setup = client_of(self.standin).v1.setup_intents.create(
            {
                "customer": customer,
                "allowed_payment_method_types": ["card", "us_bank_account"],
                "payment_method": method,
                "confirm": True,
                "return_url": "http://localhost/back",
                "mandate_data": {"customer_acceptance": {"type": "offline"}},
            }
        )
        assert setup.status == "succeeded"
        found = self.gateway.methods.retrieve(str(setup.payment_method))
        agreed = Consent(
            user_id=self.user_id,
            kind=ConsentKind.SAVE_METHOD,
            version="1",
            language="en",
            text="Keep it.",
            given_at=clock.now(),
        )
        self.session.add(agreed)
        self.session.flush()
        saved = SavedMethod(
            user_id=self.user_id,
            stripe_method_id=found.id,
            kind=found.kind,
            issuer=found.issuer,
            last4=found.last4,
            expires_on=found.expires_on,
            consent_id=agreed.id,
            saved_at=clock.now(),
        )
        self.session.add(saved)
        self.session.commit()
        return saved

    def turn_on(self, method: str = "pm_card_visa", cap: int = 100_000) -> str:
        """Autopay with a new method."""
        return start(
            self.session,
            account_id=self.account_id,
            user_id=self.user_id,
            method_public_id=self.save(method).public_id,
            cap=Money(cap),
            agreement=lambda row: f"Charge my {row.name}.",
            language="en",
            address="192.0.2.1",
            today=self.today,
        )

    def later(self, **by: float) -> None:
        """Time passes for the portal and for Stripe."""
        moved = timedelta(**by)
        self.travel.shift(moved)
        self.standin.advance(0)

    def work(self) -> None:
        """The worker's minute."""
        self.post()
        self.work_once()
        sweep(self.session, self.gateway, older_than=timedelta(minutes=5))
        self.work_once()
        self.post()

    def work_once(self) -> None:
        """Autopay's own part of it."""
        run_due(
            self.session,
            self.gateway,
            today=self.today,
            stop_url=lambda one: f"http://localhost/stop/{one}",
            timezone=TIMEZONE,
        )

    def post(self) -> None:
        """All mail goes out."""
        if self.mail_works:
            send_due(self.session, lambda **_mail: None)

    def to_charge_day(self) -> None:
        """Announce, and wait until the charge is due."""
        self.work()
        self.later(days=10)
        self.work()

    @property
    def due(self) -> Money:
        """What can be paid now."""
        lines = payable_lines(self.session, self.account_id, user_id=self.user_id)
        self.session.rollback()
        return Money.total(line.amount for line in lines)

    def autopay(self) -> Autopay:
        """The newest autopay."""
        self.session.rollback()
        return self.session.scalars(sa.select(Autopay).order_by(Autopay.id.desc())).first()  # type: ignore[return-value]

    def charges(self) -> list[AutopayCharge]:
        """All announced charges, oldest first."""
        self.session.rollback()
        return list(self.session.scalars(sa.select(AutopayCharge).order_by(AutopayCharge.id)))

    def payments(self) -> list[Payment]:
        """All payments, oldest first."""
        self.session.rollback()
        return list(self.session.scalars(sa.select(Payment).order_by(Payment.id)))

    def mails(self) -> list[str]:
        """The subjects of what was written about autopay and payments."""
        self.session.rollback()
        ours = sa.or_(Notification.key.startswith("autopay/"), Notification.key.startswith("receipt/"))
        return list(self.session.scalars(sa.select(Notification.subject).where(ours).order_by(Notification.id)))

    def taken(self) -> int:
        """What Stripe has taken in all, in cents."""
        return sum(one.net.cents for one in self.gateway.captured())


@pytest.fixture
def clinic_made() -> datetime:
    """Before the world begins, whatever day it is."""
    return START - timedelta(days=1)


@pytest.fixture
def world(clinic: Clinic, session: Session, app: object, standin: StandIn) -> Iterator[World]:
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == "JDC-1001")).one()
    gateway = StripeGateway(
        "sk_test_plainbill_standin", "whsec_x", http_client=JudgedHTTPClient(standin, _leaks)
    )
    user_id = clinic.user_id(TESTA)
    session.commit()
    with time_machine.travel(START, tick=False) as travel, app.app_context():  # type: ignore[attr-defined]
        yield World(session, gateway, standin, travel, account_id, user_id)


assert timedelta(hours=1) == CHECK_EVERY  # ``later`` steps are longer
