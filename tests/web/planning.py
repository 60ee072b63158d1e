"""Steps that the tests of the plans' pages share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from portal import clock
from portal.accounts.models import Account
from portal.billing.models import Charge, Visit
from portal.payments.kinds import ConsentKind
from portal.payments.models import Consent, SavedMethod
from portal.plans.models import Installment, Plan, PlanChange
from portal.plans.rules.conditions import Conditions, conditions_at
from tests.conftest import Clinic
from tests.pages import JudgingClient, Page, as_page, text_of

ACCOUNT = "JDC-1001"


def save_method(
    session: Session, user_id: int, stripe_id: str = "pm_one", *, last4: str = "4242", expires_on: date | None = None
) -> SavedMethod:
    """A card that somebody keeps; Stripe knows nothing of it."""
    agreed = Consent(
        user_id=user_id,
        kind=ConsentKind.SAVE_METHOD,
        version="1",
        language="en",
        text="Keep it.",
        given_at=clock.now(),
    )
    session.add(agreed)
    session.flush()
    method = SavedMethod(
        user_id=user_id,
        stripe_method_id=stripe_id,
        kind="card",
        issuer="Visa",
        last4=last4,
        expires_on=expires_on or date(2099, 12, 31),
        consent_id=agreed.id,
        saved_at=clock.now(),
    )
    session.add(method)
    session.commit()
    return method


@dataclass
class Patient:
    """Somebody signed in who looks after an account, and what the database says of their plan."""

    client: JudgingClient
    clinic: Clinic
    session: Session
    app: Flask
    ref: str = ACCOUNT

    @property
    def setup_url(self) -> str:
        """Where a plan is set up."""
        return f"/accounts/{self.clinic.account(self.ref)}/plan"

    @property
    def plan_url(self) -> str:
        """The plan's page."""
        return f"/plans/{self.plan().public_id}"

    @property
    def conditions(self) -> Conditions:
        """The app's policy, today."""
        timezone = "America/Chicago"
        return conditions_at(
            self.app.extensions["plainbill_policy"], "http://localhost", today=clock.today(timezone), timezone=timezone
        )

    def asked(self, **query: Any) -> Page:
        """The setup page for these choices; all lines are ticked unless ``lines`` says otherwise."""
        first = self.client.page(self.setup_url)
        lines = [one.get("value") for one in first.all("input", name="lines")]
        wanted = {"by": "amount", "each": "50", "frequency": "monthly", "day": "15", "weekday": "4", "lines": lines}
        return as_page(self.client.get(self.setup_url, query_string={**wanted, **query}))

    def agreement_page(self, **query: Any) -> Page:
        """The page with the words."""
        return self.client.page(self.asked(**query).links()["Continue with this plan"])

    def start(self, **query: Any) -> TestResponse:
        """From the control to the plan."""
        return self.client.submit(self.agreement_page(**query), {"agree": "y"}, field="agree")

    def plan(self) -> Plan:
        """The newest plan."""
        self.session.rollback()
        return self.session.scalars(sa.select(Plan).order_by(Plan.id.desc()).limit(1)).one()

    def plans(self) -> int:
        """How many there are."""
        self.session.rollback()
        return self.session.scalar(sa.select(sa.func.count()).select_from(Plan)) or 0

    def coming(self) -> list[tuple[date, int]]:
        """Day and cents of the installments to come."""
        self.session.rollback()
        return [
            (row.due_on, row.amount.cents)
            for row in self.session.scalars(
                sa.select(Installment)
                .where(Installment.plan_id == self.plan().id, Installment.state == "planned")
                .order_by(Installment.due_on, Installment.ordinal)
            )
        ]

    def last_change(self) -> PlanChange:
        """What happened to the plan last."""
        return self.session.scalars(
            sa.select(PlanChange)
            .where(PlanChange.plan_id == self.plan().id)
            .order_by(PlanChange.version.desc())
            .limit(1)
        ).one()

    def charge(self, page: Page, place: int = 0) -> tuple[int, int]:
        """The (charge, account) ids of one of the lines that a page offers."""
        public_id = page.all("input", name="lines")[place].get("value")
        row = self.session.execute(
            sa.select(Charge.id, Visit.account_id)
            .join(Visit, Visit.id == Charge.visit_id)
            .where(Charge.public_id == public_id)
        ).one()
        self.session.commit()
        return row[0], row[1]

    def post(self, address: str, data: Mapping[str, Any]) -> TestResponse:
        """Send what no form of a page would send, with a good token."""
        token = self.client.page("/").all("input", name="csrf_token")[0].get("value")
        return self.client.post(address, data={"csrf_token": token, **data})


def terms_on(page: Page) -> str:
    """The agreement that a page shows, in the form in which it is kept."""
    (shown,) = page.all("section", class_="terms")
    parts = []
    for one in shown.iter():
        if one.tag in ("p", "h3"):
            parts.append(text_of(one))
        elif one.tag == "ul":
            parts.append("\n".join(text_of(item) for item in one.iter("li")))
    return "\n\n".join(parts)


def amounts_in(page: Page, caption: str) -> list[str]:
    """The amounts of a table of payments, its total last."""
    for table in page.all("table"):
        if any(text_of(one) == caption for one in table.iter("caption")):
            return [text_of(row[-1]) for row in table.iter("tr")][1:]
    raise AssertionError(f"no table {caption!r}")


def days_in(page: Page, caption: str) -> list[str]:
    """The days of a table of payments, as they are written."""
    for table in page.all("table"):
        if any(text_of(one) == caption for one in table.iter("caption")):
            return [text_of(row[1]) for row in table.iter("tr")][1:-1]
    raise AssertionError(f"no table {caption!r}")


def account_id(session: Session, ref: str = ACCOUNT) -> int:
    """An account's row id."""
    found = session.scalars(sa.select(Account.id).where(Account.ref == ref)).one()
    session.commit()
    return found
