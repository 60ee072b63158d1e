"""The Stripe customer of whoever pays."""

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import clock
from portal.db import new_public_id
from portal.payments.errors import StripeFailed
from portal.payments.gateway import StripeGateway
from portal.payments.models import StripeCustomer


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
