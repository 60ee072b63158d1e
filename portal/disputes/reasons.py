"""Why a bank takes a payment back, in plain words, and what helps in answering it.

The reasons are Stripe's (https://docs.stripe.com/disputes/categories); the words are ours. What is sent as evidence
goes to Stripe and to two banks: nothing of it may say what somebody was treated for.
"""

from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l


@dataclass(frozen=True, slots=True)
class Reason:
    """What the patient's bank says, and what helps in answering."""

    title: Any
    meaning: Any
    evidence: tuple[Any, ...]


_RECEIPT = _l("The receipt of this payment, with its date and reference")
_SIGNED_IN = _l("When the payer signed in and paid in the portal, from the account’s history")
_ASKED = _l("Messages in which the payer spoke of the payment")
_STATEMENT = _l("The statement with dates and amounts; cover what was done and why")
_CALL = _l("Call the patient first: many of these are a charge that was not recognized, and the patient can end it")

REASONS: dict[str, Reason] = {
    "fraudulent": Reason(
        _l("The card’s owner says that they did not pay this"),
        _l("The bank thinks that somebody else used the card."),
        (_CALL, _SIGNED_IN, _l("Whether the bank asked for its own check (3-D Secure) when it was paid"), _RECEIPT),
    ),
    "unrecognized": Reason(
        _l("The payer does not recognize the charge"),
        _l("The name on the card’s statement, or the amount, said nothing to them."),
        (_CALL, _RECEIPT, _STATEMENT),
    ),
    "duplicate": Reason(
        _l("The payer says that they paid twice"),
        _l("The bank sees, or was told of, two payments for the same bill."),
        (
            _l("The receipts of both payments, if there were two, and which charges each was for"),
            _l("If it was paid twice, accept the dispute: the money is owed back"),
        ),
    ),
    "credit_not_processed": Reason(
        _l("The payer waits for a refund"),
        _l("They say that a refund was promised and did not come."),
        (
            _l("The refund’s date and reference, if it was made"),
            _l("If none is owed: what was said about refunds, and when"),
            _ASKED,
        ),
    ),
    "product_not_received": Reason(
        _l("The payer says that they did not get what they paid for"),
        _l("For a clinic: that the visit did not take place."),
        (
            _l("The date of the visit, and that the patient was there: a sign-in sheet, without anything else on it"),
            _STATEMENT,
        ),
    ),
    "product_unacceptable": Reason(
        _l("The payer says that what they got was not as agreed"),
        _l("They are not content with the service, or with what it cost."),
        (_l("What the patient agreed to pay, signed and dated"), _ASKED, _STATEMENT),
    ),
    "subscription_canceled": Reason(
        _l("The payer says that they had stopped automatic payments"),
        _l("A payment was made by itself after they ended it."),
        (
            _l("The date on which automatic payment was stopped in the portal, if it was"),
            _l("The authorization with its date, and the notice that went out before the payment"),
        ),
    ),
    "incorrect_account_details": Reason(
        _l("The bank account’s details were wrong"),
        _l("The bank could not match the debit with the account."),
        (_l("Banks do not take answers to this. Ask the patient for another way to pay"),),
    ),
    "insufficient_funds": Reason(
        _l("There was not enough money in the account"),
        _l("The bank debit came back."),
        (_l("Banks do not take answers to this. Ask the patient for another way to pay"),),
    ),
    "bank_cannot_process": Reason(
        _l("The bank could not carry the debit out"),
        _l("The bank debit came back for a reason of the bank’s."),
        (_l("Banks do not take answers to this. Ask the patient for another way to pay"),),
    ),
    "debit_not_authorized": Reason(
        _l("The account’s owner says that they did not allow the debit"),
        _l("Banks give such a debit back for up to 60 days, and the decision is final."),
        (_l("Banks do not take answers to this. Speak with the patient, and ask for another way to pay"),),
    ),
    "customer_initiated": Reason(
        _l("The account’s owner asked their bank for the money back"),
        _l("The bank gave it back without asking further."),
        (_l("Banks do not take answers to this. Speak with the patient"),),
    ),
    "check_returned": Reason(
        _l("The payment was returned"),
        _l("The bank could not collect it."),
        (_l("Banks do not take answers to this. Ask the patient for another way to pay"),),
    ),
    "noncompliant": Reason(
        _l("The card network says that its rules were broken"),
        _l("The bank names the rule in Stripe’s dashboard."),
        (_l("Read there which rule it was, and answer that"), _RECEIPT),
    ),
    "general": Reason(
        _l("The bank gives no closer reason"),
        _l("Look at Stripe’s dashboard for what the bank wrote."),
        (_CALL, _RECEIPT, _STATEMENT),
    ),
}


def reason_of(stripes: str) -> Reason:
    """The words for Stripe's ``reason``; those of a general one for what this version does not know."""
    return REASONS.get(stripes, REASONS["general"])
