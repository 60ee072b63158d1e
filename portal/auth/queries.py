"""Reading users for other features."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.auth.models import User


def email_of(session: Session, user_id: int) -> str:
    """A user's e-mail address."""
    return session.execute(sa.select(User.email).where(User.id == user_id)).scalar_one()


def display_names(session: Session, user_ids: list[int]) -> dict[int, str]:
    """How to call users, by id."""
    rows = session.execute(sa.select(User.id, User.display_name).where(User.id.in_(user_ids)))
    return dict(rows.all())
