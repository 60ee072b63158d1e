"""A patient with a plan, a Stripe in this process, and clocks that move together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.billing.kinds import EntryKind
from portal.billing.queries import Line, lines_of_account
from portal.billing.service import NewEntry, write_entries
from portal.money import Money
from portal.notifications.models import Notification
from portal.payments.gateway import StripeGateway
from portal.payments.models import Payment
from portal.payments.service import prepare, refresh
from portal.payments.sweeping import sweep
from portal.plans.agreeing.agreement import agreement
from portal.plans.agreeing.drafting import draft
from portal.plans.agreeing.enrollment import enrol
from portal.plans.changing.amending import change, preview
from portal.plans.collecting.jobs import run_due
from portal.plans.kinds import Frequency
from portal.plans.models import Installment, Plan, PlanChange
from portal.plans.rules.changes import ChangeRequest
from portal.plans.rules.conditions import Conditions, conditions_at
from portal.plans.rules.policy import Policy, load
from portal.plans.rules.schedule import Rhythm
from portal.plans.rules.terms import Agreement, Terms
from portal.sandbox.privacy import JudgedHTTPClient
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic, _leaks
from tests.unit.autopay.conftest import TIMEZONE, World
from tests.web.paying import TESTA, confirm

#: Later than the demo clinic's entries, which are written when its database is made.
START = datetime(2029, 11, 2, 15, 0, tzinfo=UTC)
MONTHLY = Rhythm(Frequency.MONTHLY, 15)


@dataclass
class PlanWorld(World):
    """The same for payment plans."""

    policy: Policy = field(default_factory=load)

    @property
    def conditions(self) -> Conditions:
        """Today's."""
        return conditions_at(self.policy, "http://localhost", today=self.today, timezone=TIMEZONE)

    def agree(self, terms: Terms) -> Agreement:
        """The real words and document."""
        return agreement(terms, clinic="Juniper Demo Clinic", phone="(555) 010-0199")

    def enrol(
        self,
        each: int = 5_000,
        rhythm: Rhythm = MONTHLY,
        method: str = "pm_card_visa",
        charge_ids: Collection[int] | None = None,
    ) -> Plan:
        """A plan over all that may go on one."""
        saved = self.save(method).public_id
        found = draft(
            self.session,
            self.account_id,
            user_id=self.user_id,
            each=Money(each),
            rhythm=rhythm,
            conditions=self.conditions,
            charge_ids=charge_ids,
        )
        self.session.rollback()
        enrol(
            self.session,
            account_id=self.account_id,
            user_id=self.user_id,
            charge_ids=[line.charge_id for line, _amount in found.lines],
            each=Money(each),
            rhythm=rhythm,
            method_public_id=saved,
            seen=found.seen,
            agree=self.agree,
            language="en",
            address="192.0.2.1",
            conditions=self.conditions,
        )
        return self.plan()

    def wanted(self, wanted: ChangeRequest) -> None:
        """The patient looks at a change, and agrees to it."""
        plan = self.plan()
        seen = preview(self.session, plan_id=plan.id, wanted=wanted, conditions=self.conditions).seen
        self.session.rollback()
        change(
            self.session,
            plan_id=plan.id,
            user_id=self.user_id,
            wanted=wanted,
            seen=seen,
            agree=self.agree,
            language="en",
            address="192.0.2.1",
            conditions=self.conditions,
        )

    def confirm_latest(self, card: str = "pm_card_visa") -> None:
        """The patient's browser opens the page of the newest payment, and confirms it with Stripe."""
        payment = self.payments()[-1]
        payment_id = payment.id
        self.session.rollback()
        prepare(self.session, self.gateway, payment_id=payment_id)
        confirm(self.standin, self.session.get_one(Payment, payment_id), card)
        self.session.rollback()
        refresh(self.session, self.gateway, payment_id=payment_id)

    def work(self) -> None:
        """The worker's minute."""
        for _turn in range(2):
            self.post()
            run_due(self.session, self.gateway, conditions=self.conditions)
            sweep(self.session, self.gateway, older_than=sweep_after)
        self.post()

    def day_by_day(self, days: int) -> None:
        """So many days, each with the worker's turn."""
        for _day in range(days):
            self.later(days=1)
            self.work()

    def plan(self) -> Plan:
        """The newest plan."""
        self.session.rollback()
        return self.session.scalars(sa.select(Plan).order_by(Plan.id.desc())).first()  # type: ignore[return-value]

    def installments(self) -> list[Installment]:
        """Those of the newest plan, by day."""
        plan = self.plan()
        return list(
            self.session.scalars(
                sa.select(Installment)
                .where(Installment.plan_id == plan.id)
                .order_by(Installment.due_on, Installment.ordinal)
            )
        )

    def coming(self) -> list[tuple[str, int]]:
        """Day and cents of what is to come."""
        return [(row.due_on.isoformat(), row.amount.cents) for row in self.installments() if row.state == "planned"]

    def states(self) -> list[str]:
        """Where the installments stand, by day."""
        return [row.state.value for row in self.installments()]

    def changes(self) -> list[PlanChange]:
        """What happened to the newest plan, the oldest first."""
        plan = self.plan()
        return list(
            self.session.scalars(
                sa.select(PlanChange).where(PlanChange.plan_id == plan.id).order_by(PlanChange.version)
            )
        )

    def plan_mails(self) -> list[str]:
        """The subjects of what was written about plans."""
        self.session.rollback()
        return list(
            self.session.scalars(
                sa.select(Notification.subject).where(Notification.key.startswith("plan/")).order_by(Notification.id)
            )
        )

    def lines(self) -> list[Line]:
        """The account's lines."""
        self.session.rollback()
        found = lines_of_account(self.session, self.account_id)
        self.session.rollback()
        return found

    def adjust(self, charge_id: int, cents: int) -> None:
        """The insurer moves the patient's share of a line by so much: more for a positive amount."""
        write_entries(
            self.session,
            [
                NewEntry(
                    account_id=self.account_id,
                    charge_id=charge_id,
                    kind=EntryKind.ADJUSTMENT,
                    insurer=Money.zero(),
                    patient=Money(cents),
                    source="test",
                    source_id=f"adjust/{charge_id}/{self.today}/{cents}",
                    group_code="PR",
                    reason_code="3",
                )
            ],
        )
        self.session.commit()

    def with_policy(self, **values: object) -> None:
        """Another policy from now on."""
        self.policy = replace(self.policy, **values)  # type: ignore[arg-type]

    def payments_of_plan(self) -> list[Payment]:
        """What the portal charged for plans, the oldest first."""
        return [one for one in self.payments() if one.source == "plan"]


sweep_after = timedelta(minutes=5)


@pytest.fixture
def clinic_made() -> datetime:
    """Before the world begins, whatever day it is."""
    return START - timedelta(days=1)


@pytest.fixture
def world(clinic: Clinic, session: Session, app: object, standin: StandIn) -> Iterator[PlanWorld]:
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == "JDC-1001")).one()
    gateway = StripeGateway("sk_test_plainbill_standin", "whsec_x", http_client=JudgedHTTPClient(standin, _leaks))
    user_id = clinic.user_id(TESTA)
    session.commit()
    with time_machine.travel(START, tick=False) as travel, app.test_request_context():  # type: ignore[attr-defined]
        yield PlanWorld(session, gateway, standin, travel, account_id, user_id)
