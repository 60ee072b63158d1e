"""The mirror of the back office's ledger.

A line's money stands in two buckets, as in the practice-management systems it mirrors: what the *insurer* still
has to decide or pay, and what is the *patient's* share. Every entry names its effect on both:

=====================  ============  ============
entry                  insurer       patient
=====================  ============  ============
charge                 ``+billed``
contractual (CO)       ``-amount``
insurer payment        ``-paid``
patient share (PR)     ``-share``    ``+share``
patient payment                      ``-paid``
patient refund                       ``+back``
chargeback                           ``+back``
=====================  ============  ============

so "insurance is finished with this line" is ``sum(insurer) == 0`` and "what the patient owes" is
``sum(patient)``: an amount the insurer has not moved across can't be asked for.
"""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.billing.kinds import Check, EntryKind, FindingState, HoldReason, PostingState
from portal.db import Base, Id, MoneyType, UTCDateTime, closed_list, new_public_id
from portal.money import Money


class Visit(Base):
    """What the back office bills as one encounter; ``ref`` is its patient control number (CLP01)."""

    __tablename__ = "visit"
    __table_args__ = (sa.UniqueConstraint("account_id", "ref"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    patient_id: Mapped[int] = mapped_column(sa.ForeignKey("patient.id"), index=True)
    ref: Mapped[str] = mapped_column(sa.String(80), index=True)
    started_on: Mapped[date | None]
    ended_on: Mapped[date | None]
    provider_name: Mapped[str] = mapped_column(sa.String(120), default="")


class Charge(Base):
    """One line of a visit. ``whole_visit`` marks the line that carries what a payer decided for all of it."""

    __tablename__ = "charge"
    __table_args__ = (sa.UniqueConstraint("visit_id", "ordinal"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    visit_id: Mapped[int] = mapped_column(sa.ForeignKey("visit.id"), index=True)
    ordinal: Mapped[int]
    whole_visit: Mapped[bool] = mapped_column(default=False)
    service_on: Mapped[date | None]
    code: Mapped[str] = mapped_column(sa.String(48), default="")
    code_qualifier: Mapped[str] = mapped_column(sa.String(4), default="")
    modifiers: Mapped[str] = mapped_column(sa.String(24), default="")
    revenue_code: Mapped[str] = mapped_column(sa.String(8), default="")
    line_control: Mapped[str] = mapped_column(sa.String(60), default="")
    description: Mapped[str] = mapped_column(sa.String(200), default="")
    units: Mapped[str] = mapped_column(sa.String(16), default="")
    billed: Mapped[Money] = mapped_column("billed_cents", MoneyType)
    #: It is paid in installments, and not asked for besides them.
    on_plan: Mapped[bool] = mapped_column(default=False, server_default=sa.false())


class Claim(Base):
    """One payer's decision on a visit, as one CLP of a remittance told it."""

    __tablename__ = "claim"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    visit_id: Mapped[int] = mapped_column(sa.ForeignKey("visit.id"), index=True)
    source_key: Mapped[str] = mapped_column(sa.String(255), unique=True)
    payer_name: Mapped[str] = mapped_column(sa.String(120))
    payer_claim_ref: Mapped[str] = mapped_column(sa.String(60), default="")
    status_code: Mapped[str] = mapped_column(sa.String(4))
    trace_number: Mapped[str] = mapped_column(sa.String(60), default="")
    decided_on: Mapped[date | None]
    file_name: Mapped[str] = mapped_column(sa.String(255), default="")
    loaded_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: CLP06, CLP08 and CLP09: the kind of plan, the place of service or type of bill, original or replacement.
    filing_indicator: Mapped[str] = mapped_column(sa.String(4), default="", server_default="")
    facility_code: Mapped[str] = mapped_column(sa.String(4), default="", server_default="")
    frequency: Mapped[str] = mapped_column(sa.String(2), default="", server_default="")
    #: CLP05, where the payer states it: what it calls the patient's.
    stated_share: Mapped[Money | None] = mapped_column("stated_share_cents", MoneyType)
    #: AMT*F5: what the patient had paid when the claim was made.
    patient_paid: Mapped[Money | None] = mapped_column("patient_paid_cents", MoneyType)
    #: The remarks of the claim as a whole (MOA, MIA).
    remark_codes: Mapped[str] = mapped_column(sa.String(120), default="", server_default="")


class Entry(Base):
    """One movement of one line's money. Never edited, never deleted: the database refuses (see the migration)."""

    __tablename__ = "entry"
    __table_args__ = (
        sa.UniqueConstraint("source", "source_id", "revision"),
        # A contractual write-off is never the patient's (design, "Always true" 4).
        sa.CheckConstraint("group_code <> 'CO' OR patient_cents = 0", name="contractual_is_not_the_patients"),
        sa.CheckConstraint(
            "kind <> 'charge' OR (insurer_cents + patient_cents) = amount_cents", name="charge_adds_up"
        ),
        sa.CheckConstraint("amount_cents = insurer_cents + patient_cents", name="buckets_add_up"),
        sa.Index("ix_entry_account_charge", "account_id", "charge_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    charge_id: Mapped[int] = mapped_column(sa.ForeignKey("charge.id"), index=True)
    claim_id: Mapped[int | None] = mapped_column(sa.ForeignKey("claim.id"), index=True)
    kind: Mapped[EntryKind] = mapped_column(closed_list(EntryKind))
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    insurer: Mapped[Money] = mapped_column("insurer_cents", MoneyType)
    patient: Mapped[Money] = mapped_column("patient_cents", MoneyType)
    group_code: Mapped[str] = mapped_column(sa.String(2), default="")
    reason_code: Mapped[str] = mapped_column(sa.String(5), default="")
    #: What the payer wrote, when the entry's effect on the books is less (another payer's share told again).
    stated: Mapped[Money] = mapped_column("stated_cents", MoneyType)
    remark_codes: Mapped[str] = mapped_column(sa.String(120), default="")
    effective_on: Mapped[date | None]
    source: Mapped[str] = mapped_column(sa.String(20))
    source_id: Mapped[str] = mapped_column(sa.String(255))
    revision: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Hold(Base):
    """A line that is not payable until somebody has looked."""

    __tablename__ = "hold"
    __table_args__ = (
        sa.Index(
            "uq_hold_open",
            "charge_id",
            "reason",
            unique=True,
            sqlite_where=sa.text("released_at IS NULL"),
            postgresql_where=sa.text("released_at IS NULL"),
        ),
        # What is new: the worker asks each minute.
        sa.Index("ix_hold_placed_at", "placed_at"),
        sa.Index("ix_hold_released_at", "released_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    charge_id: Mapped[int] = mapped_column(sa.ForeignKey("charge.id"), index=True)
    reason: Mapped[HoldReason] = mapped_column(closed_list(HoldReason))
    placed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    released_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    released_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    release_note: Mapped[str] = mapped_column(sa.String(300), default="")


class CheckFinding(Base):
    """Something a safety check found on a line. The same finding is one row, whatever becomes of it."""

    __tablename__ = "check_finding"
    __table_args__ = (
        sa.UniqueConstraint("charge_id", "fingerprint"),
        sa.Index("ix_check_finding_account", "account_id", "state"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    charge_id: Mapped[int] = mapped_column(sa.ForeignKey("charge.id"))
    check: Mapped[Check] = mapped_column("check_name", closed_list(Check))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    facts: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    state: Mapped[FindingState] = mapped_column(closed_list(FindingState), default=FindingState.OPEN)
    found_at: Mapped[datetime] = mapped_column(UTCDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    released_by: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    release_note: Mapped[str] = mapped_column(sa.String(300), default="")


class Estimate(Base):
    """A good-faith estimate. It is given before the visit, so it knows account and visit by their numbers only."""

    __tablename__ = "estimate"
    __table_args__ = (sa.UniqueConstraint("account_ref", "visit_ref", "issued_on"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_ref: Mapped[str] = mapped_column(sa.String(64))
    visit_ref: Mapped[str] = mapped_column(sa.String(80))
    issued_on: Mapped[date]
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)


class Coverage(Base):
    """An insurance the front office knows of, and the days on which it was active; ``ends_on`` None: still."""

    __tablename__ = "coverage"
    __table_args__ = (sa.UniqueConstraint("account_ref", "given_name", "family_name", "payer_name", "starts_on"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_ref: Mapped[str] = mapped_column(sa.String(64))
    given_name: Mapped[str] = mapped_column(sa.String(60))
    family_name: Mapped[str] = mapped_column(sa.String(60))
    payer_name: Mapped[str] = mapped_column(sa.String(120))
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]


class DeskPayment(Base):
    """What a patient paid at the front desk for a visit, as the desk noted it; no entry, only a fact to check by."""

    __tablename__ = "desk_payment"
    __table_args__ = (sa.UniqueConstraint("account_ref", "reference"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_ref: Mapped[str] = mapped_column(sa.String(64))
    visit_ref: Mapped[str] = mapped_column(sa.String(80))
    reference: Mapped[str] = mapped_column(sa.String(60))
    paid_on: Mapped[date]
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)


class Posting(Base):
    """Something the portal tells the back office: written with the act itself, delivered by the worker, once."""

    __tablename__ = "posting"
    __table_args__ = (sa.Index("ix_posting_due", "state", "next_try_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(32), unique=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(30))
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    effective_on: Mapped[date]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    state: Mapped[PostingState] = mapped_column(closed_list(PostingState), default=PostingState.WAITING)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    next_try_at: Mapped[datetime] = mapped_column(UTCDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    posted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ledger_ref: Mapped[str] = mapped_column(sa.String(64), default="")
    last_error: Mapped[str] = mapped_column(sa.String(200), default="")
