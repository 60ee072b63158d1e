"""What does not fit, in plain words for staff, with what to do about it."""

from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l

from portal.payouts.kinds import Match, Oddity


@dataclass(frozen=True, slots=True)
class Words:
    """What is wrong, and what to do; and ``marked``, what follows from marking it as dealt with."""

    title: Any
    suggestion: Any
    marked: Any = ""


ODDITIES: dict[Oddity, Words] = {
    Oddity.PAYMENT_UNKNOWN: Words(
        _l("Stripe took money that we know nothing of"),
        _l(
            "The charge carries our marks, but no payment here belongs to it. Choose Look it up now. If it stays here,"
            " refund it in Stripe’s dashboard, and the patient can pay again here. Don’t enter it in the back office"
            " yourself: it would be there twice when it is found later."
        ),
    ),
    Oddity.PAYMENT_NOT_BOOKED: Words(
        _l("Stripe took this payment, and our books do not have it"),
        _l(
            "Choose Look it up now. If it stays here, look at Webhooks: the payment may contradict what Stripe says."
            " If it stays here for a day, tell the operator. Don’t enter it in the back office yourself."
        ),
    ),
    Oddity.REFUND_UNKNOWN: Words(
        _l("A refund that was not made here"),
        _l(
            "Somebody refunded this in Stripe’s dashboard, and it could not be booked. Choose Look it up now: it is"
            " booked, posted and put on hold, once. Don’t enter it in the back office yourself. Make refunds here from"
            " now on."
        ),
        _l(
            "Mark it as dealt with only if you have entered this refund in the back office already. The portal will"
            " then never enter it, also when it is found later."
        ),
    ),
    Oddity.DISPUTE_UNKNOWN: Words(
        _l("A dispute of a payment that we do not know"),
        _l(
            "Choose Look it up now. If it stays here, open it in Stripe’s dashboard by its id, and answer it there by"
            " its date. The payment is not in the books, so its dispute is not to be entered there either."
        ),
    ),
    Oddity.AMOUNT_DIFFERS: Words(
        _l("The amount is not the one in our books"),
        _l("Compare the two in Stripe’s dashboard. Correct the account in the back office by the difference."),
    ),
    Oddity.STRIPE_ADJUSTED: Words(
        _l("Stripe moved money for a reason of its own"),
        _l("Open the transaction in Stripe’s dashboard and read what it was for. Enter it in the clinic’s own books."),
    ),
    Oddity.PAYOUT_INCOMPLETE: Words(
        _l("What Stripe paid out is not the sum of its parts"),
        _l(
            "A payout that somebody made by hand can’t be matched: Stripe does not say what is in it. Set payouts to"
            " automatic in Stripe’s dashboard, and match this one by its report there."
        ),
    ),
    Oddity.PAYOUT_FAILED: Words(
        _l("The bank sent the payout back"),
        _l(
            "The money is in Stripe’s balance again. Check the clinic’s bank account in Stripe’s dashboard; the next"
            " payout brings the money along."
        ),
    ),
    Oddity.NO_MOVEMENT: Words(
        _l("A payment that Stripe’s balance does not have"),
        _l("Look the payment up in Stripe’s dashboard. If it is not there either, tell the operator at once."),
    ),
}

MATCHES: dict[Match, Any] = {
    Match.PAYMENT: _l("Payment"),
    Match.REFUND: _l("Refund"),
    Match.REFUND_RETURNED: _l("Refund that came back"),
    Match.DISPUTE: _l("Dispute"),
    Match.DISPUTE_RETURNED: _l("Dispute won"),
    Match.PAYOUT_RETURNED: _l("Payout that came back"),
    Match.COST: _l("Stripe’s fee"),
    Match.FOREIGN: _l("Not ours"),
    Match.NONE: _l("Not matched"),
}
