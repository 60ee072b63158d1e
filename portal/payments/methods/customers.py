"""The Stripe customer of whoever pays."""

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.db import new_public_id
from portal.payments.errors import StripeFailed
from portal.payments.gateway import StripeGateway
from portal.payments.models import SavedMethod, StripeCustomer

log = structlog.get_logger(__name__)


def customer_of(session: Session, gateway: StripeGateway, *, user_id: int | None, account_id: int) -> str:
    """The Stripe customer of a signed-in person, or (``user_id`` None) of the account a guest pays on; commits.

    Row first: its key is the idempotency key. May raise :class:`StripeUnreachable` and :class:`StripeRefused`.
    """
    owner = (
        StripeCustomer.user_id == user_id
        if user_id is not None
        else StripeCustomer.account_id == account_id
    )
    row = session.scalar(sa.select(StripeCustomer).where(owner))
    if row is None:
        row = StripeCustomer(
            user_id=user_id, account_id=account_id if user_id is None else None, created_at=clock.now()
        )
        session.add(row)
        try:
            session.commit()
        except IntegrityError:  # another request of the same person was first
            session.rollback()
            row = session.scalars(sa.select(StripeCustomer).where(owner)).one()
    row_id, key, known = row.id, row.key, row.customer_id
    session.commit()
    if known is not None:
        return known
    try:
        customer_id = gateway.create_customer(payer_key=key)
    except StripeFailed:
        # Stripe answers the same under this key for a day, in which the payer could not pay: the next try has another.
        # Should it have made one all the same, nothing will ever be on it.
        session.execute(
            sa.update(StripeCustomer)
            .where(StripeCustomer.id == row_id, StripeCustomer.key == key)
            .values(key=new_public_id())
        )
        session.commit()
        raise
    session.execute(
        sa.update(StripeCustomer)
        .where(StripeCustomer.id == row_id, StripeCustomer.customer_id.is_(None))
        .values(customer_id=customer_id)
    )
    session.commit()
    kept = session.execute(sa.select(StripeCustomer.customer_id).where(StripeCustomer.id == row_id)).scalar_one()
    session.commit()
    return kept or customer_id


def forget_customer(session: Session, customer_id: str) -> None:
    """Somebody deleted a customer at Stripe: the payer's next try makes another; commits.

    What they had saved went with it (https://docs.stripe.com/api/customers/delete), so it is taken off their list.
    """
    row = session.scalars(
        sa.select(StripeCustomer)
        .where(StripeCustomer.customer_id == customer_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:  # forgotten already
        session.commit()
        return
    row.customer_id, row.key = None, new_public_id()
    if row.user_id is not None:
        now = clock.now()
        kept = session.scalars(
            sa.select(SavedMethod)
            .where(SavedMethod.user_id == row.user_id, SavedMethod.removed_at.is_(None))
            .order_by(SavedMethod.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        for method in kept:
            method.removed_at = method.detached_at = now
            method.is_default = False
            record(session, Tag.METHOD_REMOVED, subject=method.public_id, by="stripe")
    session.commit()
    log.warning("customer.deleted_at_stripe")
