"""Announcing a charge, ten days before it is made."""

from datetime import date

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import account_row
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.autopay import emails
from portal.autopay.calendar import charge_day, was_in_time
from portal.autopay.debts import collectable, notify_of_left_out
from portal.autopay.kinds import AutopayState, ChargeState
from portal.autopay.models import Autopay, AutopayCharge
from portal.autopay.service import StopUrl, end
from portal.billing.checks.run import check_if_due
from portal.money import Money
from portal.payments.gateway import MINIMUM
from portal.payments.methods.queries import method_by_id
from portal.payments.progress import waits_on
from portal.payments.service import payable_lines

log = structlog.get_logger(__name__)


def announce(session: Session, *, autopay_id: int, today: date, stop_url: StopUrl) -> bool:
    """Write down and announce what an account may be charged, once; commits. True when something was announced."""
    account_id = session.execute(sa.select(Autopay.account_id).where(Autopay.id == autopay_id)).scalar_one()
    account_row(session, account_id, lock=True)
    check_if_due(session, [account_id])
    autopay = session.get_one(Autopay, autopay_id, populate_existing=True)
    autopay.checked_at = clock.now()
    if method_by_id(session, autopay.method_id).removed_at is not None:
        end(session, autopay_id, actor_user_id=None, reason="method_removed")
        session.commit()
        return False
    last = session.scalar(
        sa.select(AutopayCharge)
        .where(AutopayCharge.autopay_id == autopay_id)
        .order_by(AutopayCharge.id.desc())
        .limit(1)
    )
    lines = payable_lines(session, account_id, user_id=autopay.user_id)
    amount = Money.total(line.amount for line in collectable(session, autopay, lines))
    if autopay.state is AutopayState.ACTIVE:
        own = session.scalars(
            sa.select(AutopayCharge.payment_id).where(
                AutopayCharge.autopay_id == autopay_id, AutopayCharge.state == ChargeState.FAILED
            )
        )
        notify_of_left_out(session, autopay, lines, told={one for one in own if one is not None})
    if (
        autopay.state is not AutopayState.ACTIVE
        or amount < MINIMUM
        # Somebody is paying it, which takes days; what is left after that is announced then.
        or waits_on(session, None, [account_id])
        or (last is not None and last.state in (ChargeState.NOTICED, ChargeState.CHARGING))
    ):
        session.commit()
        return False
    above = amount > autopay.cap
    if above and last is not None and last.state is ChargeState.ABOVE_CAP and last.amount == amount:
        session.commit()  # told already
        return False
    now = clock.now()
    charge = AutopayCharge(
        autopay_id=autopay_id,
        amount=amount,
        state=ChargeState.ABOVE_CAP if above else ChargeState.NOTICED,
        noticed_at=now,
        charge_on=charge_day(today),
        ended_at=now if above else None,
    )
    session.add(charge)
    session.flush()
    if above:
        emails.queue_above_cap(
            session, user_id=autopay.user_id, charge=charge.public_id, amount=amount, cap=autopay.cap
        )
    else:
        emails.queue_notice(
            session,
            user_id=autopay.user_id,
            charge=charge.public_id,
            amount=amount,
            on=charge.charge_on,
            stop_url=stop_url(charge.public_id),
        )
    record(
        session,
        Tag.AUTOPAY_NOTICED,
        account_id=account_id,
        subject=charge.public_id,
        cents=amount.cents,
        above_cap=int(above),
    )
    session.commit()
    return True


def announce_again(
    session: Session, *, charge_id: int, today: date, stop_url: StopUrl, timezone: str
) -> bool:
    """Announce anew, for a later day, a charge whose notice did not go out in time; commits. False when it did.

    Nobody is charged without having been told, and told ten days before (the clinic's days, in ``timezone``): a notice
    that its mail server refuses, or takes days later when it is there again, is none. A bounced debit's second try is
    not a new amount; for that it is enough to have been told.
    """
    account_id = session.execute(
        sa.select(Autopay.account_id)
        .join(AutopayCharge, AutopayCharge.autopay_id == Autopay.id)
        .where(AutopayCharge.id == charge_id)
    ).scalar_one()
    account_row(session, account_id, lock=True)
    row, autopay = session.execute(
        sa.select(AutopayCharge, Autopay)
        .join(Autopay, Autopay.id == AutopayCharge.autopay_id)
        .where(AutopayCharge.id == charge_id)
        .execution_options(populate_existing=True)
    ).one()
    told_at = emails.notice_sent_at(session, charge=row.public_id, on=row.charge_on)
    if row.state is not ChargeState.NOTICED or (
        told_at is not None
        and (row.tries > 0 or was_in_time(clock.day_at(told_at, timezone), row.charge_on))
    ):
        session.commit()
        return False
    emails.withdraw_notice(session, charge=row.public_id, on=row.charge_on)
    row.noticed_at, row.charge_on = clock.now(), charge_day(today)
    emails.queue_notice(
        session,
        user_id=autopay.user_id,
        charge=row.public_id,
        amount=row.amount,
        on=row.charge_on,
        stop_url=stop_url(row.public_id),
        retry=row.tries > 0,
        late=told_at is not None,
    )
    record(session, Tag.AUTOPAY_NOTICED, account_id=account_id, subject=row.public_id, cents=row.amount.cents, again=1)
    session.commit()
    log.warning("autopay.notice_not_in_time", charge=charge_id)
    return True
