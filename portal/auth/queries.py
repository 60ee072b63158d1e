"""Reading users for other features."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.auth.models import User


def email_of(session: Session, user_id: int) -> str:
    """A user's email address."""
    return session.execute(sa.select(User.email).where(User.id == user_id)).scalar_one()


def active_email_of(session: Session, user_id: int) -> str | None:
    """The email address of a user who may still sign in; None for one who may not."""
    return session.scalar(sa.select(User.email).where(User.id == user_id, User.active.is_(True)))
