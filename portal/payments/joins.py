"""What other features may join: read-only columns of payments, of what was booked, and of Stripe's events."""

from datetime import datetime

import sqlalchemy as sa

from portal.db import joinable
from portal.money import Money
from portal.payments.kinds import PaymentSource
from portal.payments.models import Booking, BookingPart, Payment, PaymentShare, StripeEvent
from portal.payments.state import PaymentState


class PaymentColumns(sa.TypedColumns):
    """What others may ask of a payment."""

    id: sa.Named[int]
    public_id: sa.Named[str]
    account_id: sa.Named[int]
    user_id: sa.Named[int | None]
    source: sa.Named[PaymentSource]
    amount: sa.Named[Money]
    state: sa.Named[PaymentState]
    stripe_intent_id: sa.Named[str | None]
    method: sa.Named[str]
    method_kind: sa.Named[str]
    failure_code: sa.Named[str]
    settled_at: sa.Named[datetime | None]


class PaymentShareColumns(sa.TypedColumns):
    """For which accounts a payment is."""

    payment_id: sa.Named[int]
    account_id: sa.Named[int]


class BookingColumns(sa.TypedColumns):
    """Of which payment a booking is."""

    id: sa.Named[int]
    payment_id: sa.Named[int]


class BookingPartColumns(sa.TypedColumns):
    """Which part of a booking is of which line."""

    booking_id: sa.Named[int]
    charge_id: sa.Named[int]
    amount: sa.Named[Money]


class StripeEventColumns(sa.TypedColumns):
    """What an event of Stripe's is about."""

    type: sa.Named[str]
    intent_id: sa.Named[str]
    created_at: sa.Named[datetime]
    received_at: sa.Named[datetime]


PAYMENT = joinable(Payment, PaymentColumns)
PAYMENT_SHARE = joinable(PaymentShare, PaymentShareColumns)
BOOKING = joinable(Booking, BookingColumns)
BOOKING_PART = joinable(BookingPart, BookingPartColumns)
STRIPE_EVENT = joinable(StripeEvent, StripeEventColumns)
