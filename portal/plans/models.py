"""Plans, their lines and installments, each try to charge one, and every change with what was agreed."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.accounts.states import CHECK
from portal.db import Base, Id, MoneyType, UTCDateTime, closed_list, new_public_id
from portal.money import Money
from portal.plans.kinds import ChangeKind, Frequency, InstallmentState, Need, PlanState, RequestKind

_RUNNING = "state IN ('active', 'paused')"


def _only(name: str, *columns: str, where: str) -> sa.Index:
    """At most one row of these values among those that ``where`` names."""
    return sa.Index(name, *columns, unique=True, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


class Plan(Base):
    """An agreement to pay some lines of an account in installments, charged to a saved method."""

    __tablename__ = "plan"
    __table_args__ = (
        sa.CheckConstraint("each_cents > 0", name="each_is_positive"),
        sa.CheckConstraint("state = 'proposed' OR state = 'declined' OR method_id IS NOT NULL", name="method_is_known"),
        _only("uq_plan_running", "account_id", where=_RUNNING),
        _only("uq_plan_proposed", "account_id", where="state = 'proposed'"),
        sa.Index("ix_plan_look", "state", "checked_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    #: Who pays, and who alone may agree to it and change it.
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    method_id: Mapped[int | None] = mapped_column(sa.ForeignKey("saved_method.id"), index=True)
    state: Mapped[PlanState] = mapped_column(closed_list(PlanState))
    frequency: Mapped[Frequency] = mapped_column(closed_list(Frequency))
    #: Day of the month (1 to 31), or weekday (0 is Monday).
    day: Mapped[int]
    #: The regular installment; the last one may be less.
    each: Mapped[Money] = mapped_column("each_cents", MoneyType)
    #: The most that may be asked in a month, where the law caps it for this household. Its income is not kept.
    month_cap: Mapped[Money | None] = mapped_column("month_cap_cents", MoneyType)
    need: Mapped[Need] = mapped_column(closed_list(Need), default=Need.NOTHING)
    #: Goes up with each change of the schedule or the terms: what a page showed is compared with it.
    version: Mapped[int] = mapped_column(default=1)
    #: Who of the staff offered it, and why it may exceed the policy.
    proposed_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    exceeds: Mapped[str] = mapped_column(sa.String(300), default="")
    paused_until: Mapped[date | None]
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: When it was last compared with what is still due.
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: ``paid``, ``patient``, ``staff``, ``missed`` ...
    end_reason: Mapped[str] = mapped_column(sa.String(40), default="")


class PlanLine(Base):
    """A line on a plan, with the part of it that was agreed: what comes to it later needs a new agreement."""

    __tablename__ = "plan_line"
    __table_args__ = (
        sa.CheckConstraint("agreed_cents > 0", name="agreed_is_positive"),
        _only("uq_plan_line_now", "charge_id", where="left_at IS NULL AND NOT offered"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    plan_id: Mapped[int] = mapped_column(sa.ForeignKey("plan.id"), index=True)
    charge_id: Mapped[int] = mapped_column(sa.ForeignKey("charge.id"), index=True)
    agreed: Mapped[Money] = mapped_column("agreed_cents", MoneyType)
    #: What had been paid of the line when it joined: later payments count against what was agreed.
    paid_before: Mapped[Money] = mapped_column("paid_before_cents", MoneyType)
    joined_at: Mapped[datetime] = mapped_column(UTCDateTime)
    left_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Part of a proposal that nobody has agreed to: it may be on a plan that runs until then.
    offered: Mapped[bool] = mapped_column(default=False, server_default=sa.false())


class Installment(Base):
    """One installment. ``amount`` is the most that is charged for it; less when less is owed by then."""

    #: The database's names keep an older spelling, which only a rebuild of its largest tables would change.
    #: The database's names keep an older spelling, which only a rebuild of its largest tables would change.
    __tablename__ = "instalment"
    __table_args__ = (
        sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),
        sa.UniqueConstraint("plan_id", "ordinal"),
        sa.Index("ix_instalment_due", "state", "charge_on"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    plan_id: Mapped[int] = mapped_column(sa.ForeignKey("plan.id"), index=True)
    ordinal: Mapped[int]
    due_on: Mapped[date]
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    state: Mapped[InstallmentState] = mapped_column(
        closed_list(InstallmentState, name="instalmentstate"), default=InstallmentState.PLANNED
    )
    #: The day of the next try; the due day at first.
    charge_on: Mapped[date]
    #: When the patient was told of the charge to come; the agreement itself tells of the first ones.
    noticed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: How many tries a bank has turned down.
    tries: Mapped[int] = mapped_column(default=0)
    failure_code: Mapped[str] = mapped_column(sa.String(60), default="")
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Attempt(Base):
    """A payment made for an installment; at most one of them is under way."""

    __tablename__ = "plan_attempt"
    __table_args__ = (_only("uq_plan_attempt_open", "instalment_id", where="ended_at IS NULL"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    installment_id: Mapped[int] = mapped_column("instalment_id", sa.ForeignKey("instalment.id"), index=True)
    payment_id: Mapped[int] = mapped_column(sa.ForeignKey("payment.id"), unique=True)
    made_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class PlanChange(Base):
    """What happened to a plan, why, and the schedule after it. Never changed.

    With a consent, the patient agreed to it, and ``document_id`` is the agreement as it was shown.
    """

    __tablename__ = "plan_change"
    __table_args__ = (sa.UniqueConstraint("plan_id", "version"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    plan_id: Mapped[int] = mapped_column(sa.ForeignKey("plan.id"), index=True)
    version: Mapped[int]
    kind: Mapped[ChangeKind] = mapped_column(closed_list(ChangeKind))
    actor_user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    consent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("consent.id"))
    document_id: Mapped[int | None] = mapped_column(sa.ForeignKey("document.id"))
    #: The staff's own words, where they had to give a reason.
    note: Mapped[str] = mapped_column(sa.String(300), default="")
    #: What was left on the plan after it, and the installments to come: ``[["2026-12-01", 5000], ...]``.
    left: Mapped[Money] = mapped_column("left_cents", MoneyType)
    schedule: Mapped[list[list[Any]]] = mapped_column(sa.JSON)
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)


class PlanClause(Base):
    """A clause of a state's law that stood in an agreement, with the words as they stood. Never changed."""

    __tablename__ = "plan_clause"
    __table_args__ = (
        sa.UniqueConstraint("consent_id", "clause"),
        sa.CheckConstraint("length(digest) = 64", name="digest_is_hex"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    #: The consent that the agreement is kept as.
    consent_id: Mapped[int] = mapped_column(sa.ForeignKey("consent.id"))
    #: The clause's id in the policy, and the digest of the law's words of it.
    clause: Mapped[str] = mapped_column(sa.String(60))
    digest: Mapped[str] = mapped_column(sa.String(64))
    #: ``agreement document mail``
    places: Mapped[str] = mapped_column(sa.String(40))
    #: Each language's words on a line of their own, as they stood.
    words: Mapped[str] = mapped_column(sa.Text)


class ClauseState(Base):
    """A state that was taken away: its clauses stay out of agreements with people of whom no state is known."""

    __tablename__ = "plan_clause_state"
    __table_args__ = (
        sa.CheckConstraint(CHECK.format(column="state"), name="state_is_known"),
        sa.CheckConstraint("reason <> ''", name="reason_is_given"),
        _only("uq_plan_clause_state_out", "state", where="put_back_at IS NULL"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    state: Mapped[str] = mapped_column(sa.String(2))
    reason: Mapped[str] = mapped_column(sa.String(300))
    left_out_by: Mapped[int] = mapped_column(sa.ForeignKey("user.id"))
    left_out_at: Mapped[datetime] = mapped_column(UTCDateTime)
    put_back_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    put_back_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class PlanRequest(Base):
    """What a patient asks the staff for; decided once."""

    __tablename__ = "plan_request"
    __table_args__ = (_only("uq_plan_request_open", "plan_id", where="decided_at IS NULL"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    plan_id: Mapped[int] = mapped_column(sa.ForeignKey("plan.id"), index=True)
    kind: Mapped[RequestKind] = mapped_column(closed_list(RequestKind))
    until: Mapped[date]
    note: Mapped[str] = mapped_column(sa.String(500), default="")
    asked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    decided_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    granted: Mapped[bool | None]
    answer: Mapped[str] = mapped_column(sa.String(300), default="")
