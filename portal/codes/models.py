"""Texts of public code tables, reviews of our translations, and codes that nobody has words for yet."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.codes.kinds import CodeSystem
from portal.db import Base, Id, UTCDateTime, closed_list, new_public_id


class CodeText(Base):
    """What a public table says of a code."""

    __tablename__ = "code_text"
    __table_args__ = (
        # Five digits are CPT, whose texts are the AMA's; D and four digits are CDT, the ADA's.
        sa.CheckConstraint(
            "system <> 'hcpcs' OR (code >= 'A' AND code < 'W' AND NOT (code >= 'D' AND code < 'E'))",
            name="only_level_two",
        ),
    )

    system: Mapped[CodeSystem] = mapped_column(closed_list(CodeSystem), primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(8), primary_key=True)
    short_text: Mapped[str] = mapped_column(sa.String(120))
    long_text: Mapped[str] = mapped_column(sa.String(2000))
    #: A heading of the diagnosis table is no code that a claim may carry.
    billable: Mapped[bool] = mapped_column(default=True)


class TextReview(Base):
    """Somebody read a translation. It holds for the words of the fingerprint only; rows are never changed."""

    __tablename__ = "text_review"
    __table_args__ = (sa.UniqueConstraint("language", "key", "fingerprint"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    language: Mapped[str] = mapped_column(sa.String(8))
    #: What was read, as :mod:`portal.explanations.texts` names it: ``carc/45``.
    key: Mapped[str] = mapped_column(sa.String(60))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    reviewed_by: Mapped[int] = mapped_column(sa.ForeignKey("user.id"))
    reviewed_at: Mapped[datetime] = mapped_column(UTCDateTime)


class UnknownCode(Base):
    """A code on a visit that we have no words for: somebody has to find out what it means and tell the patient."""

    __tablename__ = "unknown_code"
    __table_args__ = (
        sa.UniqueConstraint("visit_id", "code"),
        sa.Index(
            "ix_unknown_code_open",
            "met_at",
            sqlite_where=sa.text("handled_at IS NULL"),
            postgresql_where=sa.text("handled_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    visit_id: Mapped[int] = mapped_column(sa.ForeignKey("visit.id"))
    code: Mapped[str] = mapped_column(sa.String(28))
    met_at: Mapped[datetime] = mapped_column(UTCDateTime)
    handled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    handled_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    note: Mapped[str] = mapped_column(sa.String(300), default="")
