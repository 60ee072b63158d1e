"""Payments as the portal knows them; Stripe's own record is fetched fresh whenever it matters."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Id, MoneyType, UTCDateTime, closed_list, new_public_id
from portal.money import Money
from portal.payments.kinds import BookingKind, ConsentKind, EventSource, PaymentSource, SetupState
from portal.payments.state import PaymentState


class StripeCustomer(Base):
    """The Stripe customer that stands for a payer: an opaque id and nothing else.

    A signed-in person has one of their own, so that saved methods are theirs alone; those who pay as a guest share
    their account's, on which nothing is ever saved.
    """

    __tablename__ = "stripe_customer"
    __table_args__ = (
        sa.CheckConstraint("(user_id IS NULL) <> (account_id IS NULL)", name="one_owner"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"), unique=True)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"), unique=True)
    key: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    customer_id: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Payment(Base):
    """One attempt to pay. Committed before Stripe hears of it; ``public_id`` is the idempotency key.

    It may be for lines of several accounts (a family's): each has a :class:`PaymentShare`. What Stripe is asked is
    built from this row alone.
    """

    __tablename__ = "payment"
    __table_args__ = (
        sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),
        sa.CheckConstraint("source = 'guest' OR user_id IS NOT NULL", name="somebody_pays"),
        sa.Index("ix_payment_sweep", "state", "checked_at"),
        # What is new: the worker asks each minute.
        sa.Index("ix_payment_created_at", "created_at"),
        sa.Index("ix_payment_confirmed_at", "confirmed_at"),
        sa.Index("ix_payment_checked_at", "checked_at"),
        sa.Index(
            "ix_payment_asked",
            "requested_at",
            sqlite_where=sa.text("stripe_intent_id IS NOT NULL"),
            postgresql_where=sa.text("stripe_intent_id IS NOT NULL"),
        ),
        sa.Index(
            "ix_payment_to_keep",
            "id",
            sqlite_where=sa.text("keep_method AND kept_at IS NULL"),
            postgresql_where=sa.text("keep_method AND kept_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    #: The first of the accounts it is for.
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    #: Who pays; None is a guest with a code from a statement.
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"), index=True)
    source: Mapped[PaymentSource] = mapped_column(closed_list(PaymentSource), default=PaymentSource.PATIENT)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    currency: Mapped[str] = mapped_column(sa.String(3), default="USD")
    state: Mapped[PaymentState] = mapped_column(closed_list(PaymentState), default=PaymentState.CREATED)
    #: Stripe's customer the intent is made for; set before Stripe is asked.
    customer_id: Mapped[str | None] = mapped_column(sa.String(64))
    #: A saved method (``pm_...``) to pay with; None lets the patient enter one.
    method_id: Mapped[str | None] = mapped_column(sa.String(64))
    #: The patient agreed that the method is kept for next time.
    keep_method: Mapped[bool] = mapped_column(default=False)
    #: When what was agreed had been done: the method is among the saved ones, or there is none to keep.
    kept_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    stripe_intent_id: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    stripe_charge_id: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    #: What the bank wants of the patient in state ``action``: Stripe's ``next_action.type``.
    action: Mapped[str] = mapped_column(sa.String(40), default="")
    method: Mapped[str] = mapped_column(sa.String(40), default="")
    method_kind: Mapped[str] = mapped_column(sa.String(20), default="")
    failure_code: Mapped[str] = mapped_column(sa.String(60), default="")
    #: Where a guest wants the receipt; signed-in people have their own address.
    receipt_email: Mapped[str] = mapped_column(sa.String(254), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: When Stripe was first asked to create the intent: its key is good for 24 h from here.
    requested_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: When the patient's side was done: confirmed, and on its way or taken.
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: When the money was ours: a card at once, a bank debit some days later.
    settled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class PaymentShare(Base):
    """How much of a payment is for which account.

    At most one payment an account is open (may still be confirmed), so that two tabs or two people can't both pay
    the same balance.
    """

    __tablename__ = "payment_share"
    __table_args__ = (
        sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),
        sa.Index(
            "uq_payment_share_open",
            "account_id",
            unique=True,
            sqlite_where=sa.text("is_open"),
            postgresql_where=sa.text("is_open"),
        ),
    )

    payment_id: Mapped[int] = mapped_column(sa.ForeignKey("payment.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), primary_key=True, index=True)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    is_open: Mapped[bool] = mapped_column(default=True)


class Allocation(Base):
    """Which part of a payment is for which line."""

    __tablename__ = "allocation"
    __table_args__ = (sa.CheckConstraint("amount_cents > 0", name="amount_is_positive"),)

    payment_id: Mapped[int] = mapped_column(sa.ForeignKey("payment.id"), primary_key=True)
    charge_id: Mapped[int] = mapped_column(sa.ForeignKey("charge.id"), primary_key=True, index=True)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)


class DebitReturn(Base):
    """A bank debit that came back, noted when it was heard of. Never changed.

    What it was for are the payment's allocations; ``payments/returns.py`` says what follows for these lines.
    """

    __tablename__ = "debit_return"

    payment_id: Mapped[int] = mapped_column(sa.ForeignKey("payment.id"), primary_key=True, autoincrement=False)
    #: Stripe's code of the failure, or its reason where the bank took back what had arrived; ``unknown`` without one.
    code: Mapped[str] = mapped_column(sa.String(60))
    #: Which account it was: Stripe's fingerprint where the method was a saved one, and the last digits.
    fingerprint: Mapped[str] = mapped_column(sa.String(64), default="")
    last4: Mapped[str] = mapped_column(sa.String(4), default="")
    #: When it went to the bank, and when we heard that it came back.
    presented_at: Mapped[datetime] = mapped_column(UTCDateTime)
    returned_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class Booking(Base):
    """Money of a payment that moved, one row an account: taken, given back, withdrawn by a bank. Never changed.

    ``amount`` is its effect on what the portal has taken: a payment's is positive, a refund's negative. ``key`` is
    the posting's key in the back office; ``subject`` the public id of the payment, refund or dispute.
    """

    __tablename__ = "booking"
    __table_args__ = (
        sa.CheckConstraint("amount_cents <> 0", name="amount_is_not_zero"),
        sa.UniqueConstraint("kind", "subject", "account_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(32), unique=True)
    payment_id: Mapped[int] = mapped_column(sa.ForeignKey("payment.id"), index=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    kind: Mapped[BookingKind] = mapped_column(closed_list(BookingKind))
    subject: Mapped[str] = mapped_column(sa.String(32))
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)
    booked_at: Mapped[datetime] = mapped_column(UTCDateTime)


class BookingPart(Base):
    """Which part of a booking is of which line; signed like the booking."""

    __tablename__ = "booking_part"
    __table_args__ = (sa.CheckConstraint("amount_cents <> 0", name="amount_is_not_zero"),)

    booking_id: Mapped[int] = mapped_column(sa.ForeignKey("booking.id"), primary_key=True)
    charge_id: Mapped[int] = mapped_column(sa.ForeignKey("charge.id"), primary_key=True, index=True)
    amount: Mapped[Money] = mapped_column("amount_cents", MoneyType)


class Consent(Base):
    """What somebody agreed to: the exact words, their version, when and from where. Never changed."""

    __tablename__ = "consent"
    __table_args__ = (sa.Index("ix_consent_given_at", "given_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    kind: Mapped[ConsentKind] = mapped_column(closed_list(ConsentKind))
    version: Mapped[str] = mapped_column(sa.String(20))
    language: Mapped[str] = mapped_column(sa.String(8))
    text: Mapped[str] = mapped_column(sa.Text)
    #: The public id of what it is about: a payment, a method, an autopay.
    subject: Mapped[str] = mapped_column(sa.String(32), default="")
    address: Mapped[str] = mapped_column(sa.String(45), default="")
    given_at: Mapped[datetime] = mapped_column(UTCDateTime)


class SavedMethod(Base):
    """A card or bank account that a person keeps with Stripe for next time; ours are its name and last digits only."""

    __tablename__ = "saved_method"
    __table_args__ = (
        sa.Index(
            "uq_saved_method_default",
            "user_id",
            unique=True,
            sqlite_where=sa.text("is_default"),
            postgresql_where=sa.text("is_default"),
        ),
        # The same card or bank account is kept once, whoever saves it twice at the same moment.
        sa.Index(
            "uq_saved_method_fingerprint",
            "user_id",
            "fingerprint",
            unique=True,
            sqlite_where=sa.text("removed_at IS NULL AND fingerprint <> ''"),
            postgresql_where=sa.text("removed_at IS NULL AND fingerprint <> ''"),
        ),
        sa.Index(
            "ix_saved_method_to_detach",
            "removed_at",
            sqlite_where=sa.text("removed_at IS NOT NULL AND detached_at IS NULL"),
            postgresql_where=sa.text("removed_at IS NOT NULL AND detached_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    stripe_method_id: Mapped[str] = mapped_column(sa.String(64), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    #: ``Visa``, a bank's name, or a wallet's.
    issuer: Mapped[str] = mapped_column(sa.String(60), default="")
    last4: Mapped[str] = mapped_column(sa.String(4), default="")
    #: Stripe's fingerprint of the number, the same whenever the same card or account is entered.
    fingerprint: Mapped[str] = mapped_column(sa.String(64), default="")
    expires_on: Mapped[date | None]
    #: What the person calls it.
    label: Mapped[str] = mapped_column(sa.String(40), default="")
    is_default: Mapped[bool] = mapped_column(default=False)
    consent_id: Mapped[int] = mapped_column(sa.ForeignKey("consent.id"))
    saved_at: Mapped[datetime] = mapped_column(UTCDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Stripe has let go of it, too (asked after ``removed_at`` is committed).
    detached_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class MethodSetup(Base):
    """One attempt to save a method without paying. Row first: ``public_id`` is the idempotency key."""

    __tablename__ = "method_setup"
    __table_args__ = (sa.Index("ix_method_setup_sweep", "state", "checked_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(sa.String(32), unique=True, default=new_public_id)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    state: Mapped[SetupState] = mapped_column(closed_list(SetupState), default=SetupState.CREATED)
    consent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("consent.id"))
    customer_id: Mapped[str | None] = mapped_column(sa.String(64))
    stripe_setup_intent_id: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    #: What the bank wants of the patient in state ``action``: Stripe's ``next_action.type``.
    action: Mapped[str] = mapped_column(sa.String(40), default="")
    failure_code: Mapped[str] = mapped_column(sa.String(60), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    requested_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class StripeEvent(Base):
    """The webhook's inbox: an event's id is inserted once, the worker projects the object it is about."""

    __tablename__ = "stripe_event"
    __table_args__ = (
        sa.Index("ix_stripe_event_todo", "processed_at", "next_try_at"),
        # What cards did on one payment: payments/tries.py counts it.
        sa.Index("ix_stripe_event_intent", "intent_id", "type"),
        sa.Index("ix_stripe_event_received", "received_at", "lag_seconds"),
        sa.Index(
            "ix_stripe_event_failed",
            "received_at",
            sqlite_where=sa.text("last_error <> ''"),
            postgresql_where=sa.text("last_error <> ''"),
        ),
    )

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    type: Mapped[str] = mapped_column(sa.String(80))
    object_id: Mapped[str] = mapped_column(sa.String(64), default="")
    intent_id: Mapped[str] = mapped_column(sa.String(64), default="")
    source: Mapped[EventSource] = mapped_column(closed_list(EventSource), default=EventSource.WEBHOOK)
    #: When Stripe made it; ``received_at`` is when it came in.
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    received_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: How long that took, in whole seconds; kept so that its median can be asked for on any database.
    lag_seconds: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime] = mapped_column(UTCDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    #: When a try first did not settle it; patience counts from here, since nobody may have been there to try before.
    first_tried_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    #: Why the last try failed; empty once it was dealt with. With ``processed_at``: given up, for a person to look.
    last_error: Mapped[str] = mapped_column(sa.String(80), default="")
    processed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class StripeCursor(Base):
    """How far one of Stripe's lists has been read, for the jobs that read them from time to time."""

    __tablename__ = "stripe_cursor"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    #: When somebody last set out to read it.
    asked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    #: What Stripe made before this is known; None until it was read to its end once.
    read_to: Mapped[datetime | None] = mapped_column(UTCDateTime)
