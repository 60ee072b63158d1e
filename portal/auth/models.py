"""Users, their roles and their open sessions.

The columns of ``User`` and ``Role`` are the ones Flask-Security reads
(https://flask-security.readthedocs.io/en/stable/models.html).
"""

from datetime import datetime

import sqlalchemy as sa
from flask_security.core import RoleMixin, UserMixin
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.db import Base, Id, UTCDateTime, new_public_id

user_role = sa.Table(
    "user_role",
    Base.metadata,
    sa.Column("user_id", sa.ForeignKey("user.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role_id", sa.ForeignKey("role.id", ondelete="CASCADE"), primary_key=True),
)


class Role(Base, RoleMixin):
    """``staff``, ``supervisor``, ``auditor``; a patient has none."""

    __tablename__ = "role"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    description: Mapped[str | None] = mapped_column(sa.String(200))


class User(Base, UserMixin):
    """Somebody who signs in."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(320), unique=True)
    password: Mapped[str | None] = mapped_column(sa.String(255))
    active: Mapped[bool] = mapped_column(default=True)
    fs_uniquifier: Mapped[str] = mapped_column(sa.String(64), unique=True, default=new_public_id)
    display_name: Mapped[str] = mapped_column(sa.String(120), default="")
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: How sign-in looks for an address.
    __table_args__ = (sa.Index("ix_user_email_lower", sa.func.lower(email)),)
    roles: Mapped[list[Role]] = relationship(Role, secondary=user_role, lazy="selectin")


class SignInSession(Base):
    """One sign-in on one device. The cookie carries ``token``; ending the row ends the cookie's power."""

    __tablename__ = "sign_in_session"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id", ondelete="CASCADE"), index=True)
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
