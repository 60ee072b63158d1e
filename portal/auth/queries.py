"""Reading users for other features."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.auth.models import User


def email_of(session: Session, user_id: int) -> str:
    """A user's e-mail address."""
    return session.execute(sa.select(User.email).where(User.id == user_id)).scalar_one()
