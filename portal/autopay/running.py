"""What the worker does for autopay each minute."""

from datetime import date

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from portal import clock
from portal.autopay.announcing import announce, announce_again
from portal.autopay.kinds import AutopayState, ChargeState
from portal.autopay.models import Autopay, AutopayCharge
from portal.autopay.service import CHECK_EVERY, StopUrl, charge, follow
from portal.payments.errors import StripeAway
from portal.payments.gateway import StripeGateway
from portal.payments.unattended import on_its_own

log = structlog.get_logger(__name__)

#: How many accounts are looked at for something new to announce at a time.
_AT_A_TIME = 500


def run_due(
    session: Session, gateway: StripeGateway, *, today: date, stop_url: StopUrl, timezone: str
) -> None:
    """Announce, charge what is due, and follow what is under way. What Stripe keeps from being done, waits.

    ``today`` is the day at the clinic, whose time zone is ``timezone``.
    """
    to_check = (
        sa.select(Autopay.id)
        .where(Autopay.state == AutopayState.ACTIVE, Autopay.checked_at <= clock.now() - CHECK_EVERY)
        .limit(_AT_A_TIME)
    )
    for autopay_id in _ids(session, to_check):
        with on_its_own(session, "autopay", "announce", autopay_id):
            announce(session, autopay_id=autopay_id, today=today, stop_url=stop_url)
    try:
        _ask_stripe(session, gateway, today=today, stop_url=stop_url, timezone=timezone)
    except StripeAway as error:
        # The others would only wait for the same: in a minute.
        log.warning("autopay.stopped", error=str(error))


def _ask_stripe(
    session: Session, gateway: StripeGateway, *, today: date, stop_url: StopUrl, timezone: str
) -> None:
    due = sa.select(AutopayCharge.id).where(
        AutopayCharge.state == ChargeState.NOTICED, AutopayCharge.charge_on <= today
    )
    for charge_id in _ids(session, due):
        with on_its_own(session, "autopay", "charge", charge_id):
            if not announce_again(
                session, charge_id=charge_id, today=today, stop_url=stop_url, timezone=timezone
            ):
                charge(session, gateway, charge_id=charge_id)
    under_way = sa.select(AutopayCharge.id).where(AutopayCharge.state == ChargeState.CHARGING)
    for charge_id in _ids(session, under_way):
        with on_its_own(session, "autopay", "follow", charge_id):
            follow(session, gateway, charge_id=charge_id, today=today, stop_url=stop_url)


def _ids(session: Session, query: sa.Select[int]) -> list[int]:
    ids = [int(one) for (one,) in session.execute(query.order_by(sa.text("1")))]
    session.commit()
    return ids
