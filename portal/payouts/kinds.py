"""The closed lists of payouts, and what each kind of Stripe's movements is of. Pure."""

from enum import StrEnum


class Match(StrEnum):
    """What of ours a movement of Stripe's balance was found to be."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_RETURNED = "refund_returned"
    DISPUTE = "dispute"
    DISPUTE_RETURNED = "dispute_returned"
    PAYOUT_RETURNED = "payout_returned"  # an earlier payout came back
    COST = "cost"  # what Stripe charges for itself
    FOREIGN = "foreign"  # the account is used for other things, too
    NONE = "none"  # not found: an exception


class Oddity(StrEnum):
    """Why somebody has to look at a movement or a payout."""

    PAYMENT_UNKNOWN = "payment_unknown"
    PAYMENT_NOT_BOOKED = "payment_not_booked"
    REFUND_UNKNOWN = "refund_unknown"
    DISPUTE_UNKNOWN = "dispute_unknown"
    AMOUNT_DIFFERS = "amount_differs"
    STRIPE_ADJUSTED = "stripe_adjusted"
    PAYOUT_INCOMPLETE = "payout_incomplete"
    PAYOUT_FAILED = "payout_failed"
    #: Of a payment, not of a movement: Stripe's balance never heard of it.
    NO_MOVEMENT = "no_movement"


#: What asking Stripe again may mend: the object is fetched and goes into the books as if its event had come.
LOOKED_UP = frozenset(
    {Oddity.PAYMENT_UNKNOWN, Oddity.PAYMENT_NOT_BOOKED, Oddity.REFUND_UNKNOWN, Oddity.DISPUTE_UNKNOWN}
)


class Handled(StrEnum):
    """What became of somebody's word that an exception is dealt with."""

    NOTED = "noted"
    MEANWHILE = "meanwhile"  # it was dealt with, or began to fit, before
    IN_BOOKS = "in_books"  # the portal has taken the refund in: nobody may enter it


class Source(StrEnum):
    """What a movement's ``source`` is an object of."""

    CHARGE = "charge"
    REFUND = "refund"
    DISPUTE = "dispute"
    PAYOUT = "payout"
    STRIPE = "stripe"
    ELSEWHERE = "elsewhere"


#: https://docs.stripe.com/reports/balance-transaction-types; an adjustment is a dispute's when its source is one.
_OF_KIND = {
    "charge": Source.CHARGE,
    "payment": Source.CHARGE,
    "refund": Source.REFUND,
    "payment_refund": Source.REFUND,
    "refund_failure": Source.REFUND,
    "payment_failure_refund": Source.REFUND,
    "payout": Source.PAYOUT,
    "payout_failure": Source.PAYOUT,
    "payout_cancel": Source.PAYOUT,
    "stripe_fee": Source.STRIPE,
    "stripe_fx_fee": Source.STRIPE,
    "tax_fee": Source.STRIPE,
    "tax_fund": Source.STRIPE,
}
#: Stripe moves money of its own accord: nobody but staff can say what it was for.
_OF_ITS_OWN_ACCORD = frozenset(
    {
        "adjustment",
        "contribution",
        "payment_network_reserve_hold",
        "payment_network_reserve_release",
        "payment_reversal",
        "payment_unreconciled",
        "payout_minimum_balance_hold",
        "payout_minimum_balance_release",
        "reserve_hold",
        "reserve_release",
        "reserve_transaction",
        "reserved_funds",
    }
)
#: Products of Stripe's that the portal does not use. The clinic's account may: nothing of that is ours to look at.
_OF_OTHER_PRODUCTS = (
    "advance", "anticipation_", "application_fee", "climate_", "connect_", "fee_credit_", "inbound_", "issuing_",
    "obligation_", "stripe_balance_payment_", "topup", "transfer",
)  # fmt: skip


def source_of(kind: str, source_id: str) -> Source | None:
    """What a movement of ``kind`` is of; None for what Stripe moved of its own accord, and for a kind that is none of
    the known ones: somebody has to look rather than nobody.
    """
    if kind == "adjustment" and source_id.startswith(("dp_", "du_", "pdp_")):
        return Source.DISPUTE
    if kind in _OF_ITS_OWN_ACCORD:
        return None
    if kind.startswith(_OF_OTHER_PRODUCTS):
        return Source.ELSEWHERE
    return _OF_KIND.get(kind)
