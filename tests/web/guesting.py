"""Steps that tests of guest payment share."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import stripe
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.db import writing
from portal.payments.gateway import Event, StripeGateway
from portal.payments.models import Payment
from portal.payments.stripe_events.inbox import keep, process_due
from portal.sandbox.stripe import StandIn
from portal.statements.models import Statement
from portal.worker import HANDLERS
from tests.pages import JudgingClient, Page, as_page
from tests.statements import CODE, statement_of
from tests.web.paying import client_of, confirm

#: Of Testa Demopatient, whose account is JDC-1001.
BORN = "3/14/1984"
ACCOUNT = "JDC-1001"


def account_id(session: Session, ref: str = ACCOUNT) -> int:
    found = session.scalars(sa.select(Account.id).where(Account.ref == ref)).one()
    session.commit()
    return found


def issue(session: Session, ref: str = ACCOUNT, *, code: str = CODE) -> Statement:
    """A statement of all that is payable on an account."""
    return statement_of(session, account_id(session, ref), code=code)


def knock(client: JudgingClient, code: str = CODE, born_on: str = BORN, **options: Any) -> Any:
    """Send a code and a date of birth; the answer is a redirect to the bill, or the form again."""
    page = as_page(client.get("/guest"))
    form = page.form("/guest", field="born_on")
    token = next(field.get("value") for field in form.iter("input") if field.get("name") == "csrf_token")
    data = {"csrf_token": token, "code": code, "born_on": born_on}
    return client.post("/guest", data=data, **options)


def token_of(page: Page) -> str:
    """The token that a page's forms carry."""
    return next(field.get("value", "") for field in page.all("input", name="csrf_token"))


def comes_from(client: JudgingClient, address: str) -> JudgingClient:
    """The same browser, from there on coming from another network."""
    client.environ_base["REMOTE_ADDR"] = address
    return client


def enter(client: JudgingClient, code: str = CODE, born_on: str = BORN) -> Page:
    """Be let in; the bill's page."""
    answer = knock(client, code, born_on)
    assert (answer.status_code, answer.location) == (302, "/guest/bill"), as_page(answer).text("main")
    return client.page(answer.location)


def choose(client: JudgingClient, **fields: Any) -> Any:
    """Choose what to pay on the bill's page; the answer is a redirect to the card page, or the form again."""
    return client.submit(client.page("/guest/bill"), fields, field="choice")


def payment_at(session: Session, location: str) -> Payment:
    """The payment whose page an address is; Stripe knows it once its page was opened."""
    session.rollback()
    public_id = location.split("/payments/")[1].split("/")[0]
    return session.query(Payment).filter_by(public_id=public_id).populate_existing().one()


def decline(standin: StandIn, payment: Payment, *, times: int) -> None:
    """A card is declined on a payment, over and over, as the browser sees it."""
    for _ in range(times):
        try:
            confirm(standin, payment, "pm_card_chargeDeclined")
        except stripe.CardError:
            continue
        raise AssertionError("the card was not declined")


def deliver(session: Session, gateway: StripeGateway, standin: StandIn) -> None:
    """All of Stripe's events come in, and the worker deals with them."""
    session.rollback()
    with writing():
        for event in client_of(standin).v1.events.list({"limit": 100}).auto_paging_iter():
            about = event.data.object
            keep(
                session,
                Event(
                    id=event.id,
                    type=event.type,
                    livemode=event.livemode,
                    object_id=about["id"],
                    intent_id=about["id"] if about["object"] == "payment_intent" else "",
                    created_at=datetime.fromtimestamp(event.created, UTC),
                ),
            )
        session.commit()
        process_due(session, gateway, HANDLERS)
