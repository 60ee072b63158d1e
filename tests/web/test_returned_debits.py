"""What a bank sent back for good: the patient reads what is left out and what to do, and the desk lists it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Account
from portal.autopay.models import Autopay
from portal.billing.queries import lines_of_account
from portal.money import Money
from portal.payments.kinds import ConsentKind, PaymentSource
from portal.payments.models import Allocation, Consent, DebitReturn, Payment, PaymentShare, SavedMethod
from portal.payments.state import PaymentState
from tests.conftest import Clinic
from tests.pages import JudgingClient
from tests.web.paying import TESTA
from tests.web.test_staff import SignIn

BOTH_DATABASES = True

ACCOUNT, STAFF = "JDC-1001", "staff@example.com"


@pytest.fixture
def returned(clinic: Clinic, session: Session) -> Money:
    """Autopay from a bank account that sent the oldest bill back three times; what it is."""
    user_id, now = clinic.user_id(TESTA), clock.now()
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == ACCOUNT)).one()
    line = next(line for line in lines_of_account(session, account_id) if line.payable)
    agreed = Consent(
        user_id=user_id, kind=ConsentKind.AUTOPAY, version="1", language="en", text="Charge it.", given_at=now
    )
    session.add(agreed)
    session.flush()
    method = SavedMethod(
        user_id=user_id, stripe_method_id="pm_bank", kind="us_bank_account", issuer="Test Bank", last4="6789",
        fingerprint="f1", consent_id=agreed.id, saved_at=now,
    )  # fmt: skip
    session.add(method)
    session.flush()
    session.add(
        Autopay(
            account_id=account_id, user_id=user_id, method_id=method.id, cap=Money(100_000), consent_id=agreed.id,
            started_at=now - timedelta(days=40), checked_at=now,
        )
    )
    for days in (30, 20, 10):
        made = now - timedelta(days=days)
        payment = Payment(
            account_id=account_id, user_id=user_id, source=PaymentSource.AUTOPAY, amount=line.payable,
            state=PaymentState.CANCELED, method_id="pm_bank", method_kind="us_bank_account",
            failure_code="insufficient_funds", created_at=made, checked_at=made, confirmed_at=made,
        )  # fmt: skip
        session.add(payment)
        session.flush()
        session.add_all(
            [
                PaymentShare(payment_id=payment.id, account_id=account_id, amount=line.payable, is_open=False),
                Allocation(payment_id=payment.id, charge_id=line.charge_id, amount=line.payable),
                DebitReturn(
                    payment_id=payment.id, code="insufficient_funds", fingerprint="f1", last4="6789",
                    presented_at=made, returned_at=made + timedelta(days=4),
                ),
            ]
        )  # fmt: skip
    session.commit()
    return line.payable


def test_the_patient_reads_what_is_left_out_and_what_to_do(
    client: JudgingClient, clinic: Clinic, sign_in: SignIn, returned: Money, session: Session
) -> None:
    sign_in(client, TESTA)
    public_id = session.scalars(sa.select(Account.public_id).where(Account.ref == ACCOUNT)).one()
    page = client.page(f"/accounts/{public_id}/autopay")
    words = page.text("main")
    assert "Left out of autopay" in words
    assert "Your bank sent it back three times." in words
    assert str(returned) in words
    assert "Choose what to pay" in words


def test_the_desk_lists_it_and_counts_it(
    client: JudgingClient, clinic: Clinic, sign_in: SignIn, returned: Money, session: Session
) -> None:
    sign_in(client, STAFF)
    assert "Debits that banks sent back for good" in client.page("/desk").text("main")
    words = client.page("/desk/returned-debits").text("main")
    assert ACCOUNT in words
    assert str(returned) in words
    assert "Presented three times" in words
    assert "Autopay goes on without it" in words
    # With another account agreed to since, there is nothing to list.
    session.execute(sa.update(SavedMethod).values(fingerprint="f2"))
    session.execute(sa.update(Autopay).values(started_at=clock.now()))
    session.commit()
    assert "Nothing was sent back for good" in client.page("/desk/returned-debits").text("main")
    assert "Debits that banks sent back for good" not in client.page("/desk").text("main")
