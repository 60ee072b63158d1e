"""What the gateway speaks in: small frozen values. A StripeObject never leaves the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from portal.money import Money


@dataclass(frozen=True, slots=True)
class Intent:
    """A PaymentIntent as Stripe has it now."""

    id: str
    status: str
    amount: Money
    received: Money
    client_secret: str
    attempt_id: str
    charge_id: str
    method: str
    failure_code: str
    created_at: datetime
    #: ``card`` or ``us_bank_account``; empty until a method was tried.
    method_kind: str = ""
    #: The method itself (``pm_...``), once there is one.
    method_id: str = ""
    customer_id: str = ""
    #: ``next_action.type`` while the bank wants the patient, and where the patient can do it.
    action: str = ""
    action_url: str = ""
    #: Whether the method is kept for later payments.
    keeps_method: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A verified webhook event: what it is about, not what it says (the object is fetched fresh)."""

    id: str
    type: str
    livemode: bool
    object_id: str
    intent_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StripeCharge:
    """What Stripe took for one intent, less what it gave back. ``ours`` says that the portal asked for it."""

    intent_id: str
    charge_id: str
    net: Money
    attempt_id: str
    customer_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StripeRefund:
    """A refund as Stripe has it now."""

    id: str
    status: str
    amount: Money
    refund_id: str  # ours, from the metadata
    charge_id: str
    intent_id: str
    failure_code: str
    created_at: datetime
    customer_id: str = ""


@dataclass(frozen=True, slots=True)
class StripeDispute:
    """A dispute as Stripe has it now. ``withdrawn`` and ``returned`` come from its balance transactions."""

    id: str
    status: str
    amount: Money
    reason: str
    charge_id: str
    intent_id: str
    answer_by: datetime | None
    withdrawn: Money
    returned: Money
    fee: Money
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Method:
    """A payment method as Stripe has it: what may be shown of it."""

    id: str
    kind: str
    issuer: str
    last4: str
    expires_on: date | None
    customer_id: str
    #: The same whenever the same number is entered; empty where Stripe has none.
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """A SetupIntent as Stripe has it now."""

    id: str
    status: str
    client_secret: str
    setup_id: str  # ours, from the metadata
    method_id: str
    failure_code: str
    action: str
    action_url: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StripePayout:
    """A payout as Stripe has it now."""

    id: str
    status: str
    amount: Money
    arrives_on: date
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Movement:
    """One balance transaction. ``net`` is ``gross`` less ``fee``."""

    id: str
    kind: str
    gross: Money
    fee: Money
    net: Money
    source_id: str
    payout_id: str
    created_at: datetime
    available_on: date
