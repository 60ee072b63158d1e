"""How often cards may be declined on one payment, and who waits for how long after that."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import open_account
from portal.auth.models import User
from portal.money import Money
from portal.payments.kinds import PaymentSource
from portal.payments.models import Payment, PaymentShare, StripeEvent
from portal.payments.state import PaymentState
from portal.payments.tries import DECLINED, declines_of, is_enough, must_wait, wait_until

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(("declines", "enough"), [(0, False), (1, False), (5, False), (6, True), (7, True), (60, True)])
def test_the_sixth_decline_is_the_last(declines: int, enough: bool) -> None:
    assert is_enough(declines) is enough


@pytest.mark.parametrize(
    ("declines", "minutes_ago", "minutes_left"),
    [(5, 0, None), (6, 0, 60), (6, 59, 1), (6, 60, None), (9, 10, 50), (6, None, None)],
)
def test_the_next_one_waits_an_hour(declines: int, minutes_ago: int | None, minutes_left: int | None) -> None:
    last = None if minutes_ago is None else NOW - timedelta(minutes=minutes_ago)
    until = None if minutes_left is None else NOW + timedelta(minutes=minutes_left)
    assert wait_until(declines, last, NOW) == until


def _user(session: Session, name: str) -> int:
    user = User(
        email=f"{name}@example.com", password="x", display_name=name, active=True, fs_uniquifier=name,
        created_at=clock.now(),
    )  # fmt: skip
    session.add(user)
    session.flush()
    return int(user.id)


def _declined(session: Session, account_id: int, user_id: int | None, *, times: int, ago: timedelta) -> int:
    now = clock.now()
    number = session.query(Payment).count()
    payment = Payment(
        account_id=account_id,
        user_id=user_id,
        source=PaymentSource.GUEST if user_id is None else PaymentSource.PATIENT,
        amount=Money(500),
        state=PaymentState.CANCELED,
        stripe_intent_id=f"pi_{number}",
        created_at=now,
        checked_at=now,
    )
    session.add(payment)
    session.flush()
    session.add(PaymentShare(payment_id=payment.id, account_id=account_id, amount=Money(500), is_open=False))
    for count in range(times):
        session.add(
            StripeEvent(
                id=f"evt_{number}_{count}",
                type=DECLINED,
                intent_id=f"pi_{number}",
                created_at=now - ago,
                received_at=now,
                next_try_at=now,
            )
        )
    session.commit()
    return payment.id


def test_who_waits(session: Session) -> None:
    mine, other = (open_account(session, ref=f"T-{n}", guarantor_name="Gail Sample").id for n in (1, 2))
    gail, ned = _user(session, "gail"), _user(session, "ned")
    few = _declined(session, mine, None, times=5, ago=timedelta(0))
    _declined(session, mine, None, times=5, ago=timedelta(0))
    assert declines_of(session, few) == 5
    # Five on one and five on another are two people with two cards each.
    assert must_wait(session, account_ids=[mine], user_id=None) is None

    many = _declined(session, mine, None, times=6, ago=timedelta(minutes=20))
    assert declines_of(session, many) == 6
    left = must_wait(session, account_ids=[mine], user_id=None)
    assert left is not None
    assert timedelta(minutes=39) < left - clock.now() <= timedelta(minutes=40)
    # Another account's guests and people who signed in are not held up by it.
    assert must_wait(session, account_ids=[other], user_id=None) is None
    assert must_wait(session, account_ids=[mine], user_id=gail) is None

    _declined(session, other, gail, times=6, ago=timedelta(minutes=1))
    assert must_wait(session, account_ids=[mine], user_id=gail) is not None
    assert must_wait(session, account_ids=[other], user_id=ned) is None
    assert must_wait(session, account_ids=[other], user_id=None) is None

    _declined(session, other, ned, times=8, ago=timedelta(minutes=61))
    assert must_wait(session, account_ids=[other], user_id=ned) is None
