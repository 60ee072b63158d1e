"""What a patient is told when a payment does not go through: what happened, and what to do. Tables.

The codes are Stripe's: https://docs.stripe.com/declines/codes, https://docs.stripe.com/error-codes and, for bank
debits, https://docs.stripe.com/payments/ach-direct-debit (failures). Stripe asks not to tell a card holder that a card
was reported lost or stolen, so those read like any other decline.
"""

from flask_babel import gettext
from flask_babel import lazy_gettext as _l

from portal.payments.errors import StripeRefused, StripeUnreachable
from portal.payments.kinds import NextPage

BANK = "us_bank_account"

_NO_MONEY = _l("The card does not have enough money available. Try another card, or pay a smaller amount.")
_CVC = _l("The security code was not right. Check the three or four digits and try again.")
_NUMBER = _l("The card number was not right. Check it and try again.")
_ZIP = _l("The ZIP code did not match the card. Check it and try again.")
_DATE = _l("The expiration date was not right. Check it and try again.")
_KIND = _l("This card can’t be used for this payment. Try another card.")
_LIMIT = _l("The card’s limit has been reached. Try another card, or call the number on the back of the card.")
_TROUBLE = _l("The card’s bank had a problem. Wait a minute and try again.")
_CONFIRM = _l("Your bank wants you to confirm the payment. Try again and follow its steps.")
_NOT_CONFIRMED = _l("Your bank could not confirm that it was you. Try again, or use another card.")
_REENTER = _l("This saved card or bank account can’t be used any more. Cancel, and choose another one.")

_CARDS = {
    "insufficient_funds": _NO_MONEY,
    "expired_card": _l("The card has expired. Check the date, or use another card."),
    "incorrect_cvc": _CVC,
    "invalid_cvc": _CVC,
    "incorrect_number": _NUMBER,
    "invalid_number": _NUMBER,
    "incorrect_zip": _ZIP,
    "incorrect_address": _l("The address did not match the card. Check it and try again."),
    "invalid_expiry_month": _DATE,
    "invalid_expiry_year": _DATE,
    "card_not_supported": _KIND,
    "currency_not_supported": _KIND,
    "transaction_not_allowed": _KIND,
    "card_velocity_exceeded": _LIMIT,
    "withdrawal_count_limit_exceeded": _LIMIT,
    "invalid_amount": _LIMIT,
    "processing_error": _TROUBLE,
    "try_again_later": _TROUBLE,
    "issuer_not_available": _TROUBLE,
    "reenter_transaction": _TROUBLE,
    "authentication_required": _CONFIRM,
    "authentication_not_handled": _CONFIRM,
    "payment_intent_authentication_failure": _NOT_CONFIRMED,
    "setup_intent_authentication_failure": _NOT_CONFIRMED,
    "payment_intent_payment_attempt_expired": _l("The payment took too long and was closed. Try again."),
    "resource_missing": _REENTER,
    "payment_method_customer_decline": _l("The payment was turned down on the way. Try again, or use another card."),
}
_CARD = _l("Your bank declined the card. Try another card, or call the number on the back of it.")

_CLOSED = _l("The bank says that this account is closed. Use another bank account or a card.")
_NO_ACCOUNT = _l("The bank could not find this account. Check the routing and account number, or use a card.")
_NOT_ALLOWED = _l(
    "The bank does not allow us to take money from this account. Ask your bank, or use another account or a card."
)
_BANKS = {
    "insufficient_funds": _l(
        "There was not enough money in the bank account. Pay when there is, pay a smaller amount, or use a card."
    ),
    "account_closed": _CLOSED,
    "bank_account_closed": _CLOSED,
    "no_account": _NO_ACCOUNT,
    "bank_account_unusable": _NO_ACCOUNT,
    "invalid_account_number": _NO_ACCOUNT,
    "account_number_invalid": _NO_ACCOUNT,
    "routing_number_invalid": _l("The routing number was not right. Check the nine digits and try again."),
    "incorrect_account_holder_name": _l("The name did not match the bank account. Check it and try again."),
    "debit_not_authorized": _NOT_ALLOWED,
    "bank_account_restricted": _NOT_ALLOWED,
    "bank_ownership_changed": _NO_ACCOUNT,
    "could_not_process": _l("The bank had a problem. Try again, or use a card."),
    "payment_method_microdeposit_failed": _l(
        "The small deposits did not reach the bank account. Check the routing and account number, or use a card."
    ),
    "payment_method_microdeposit_verification_attempts_exceeded": _l(
        "The small deposits were not confirmed correctly, so this bank account can’t be used. Use another one, or a "
        "card."
    ),
    "payment_method_microdeposit_verification_timeout": _l(
        "The small deposits were not confirmed in time. Start again, or use a card."
    ),
}
_BANK = _l("Your bank turned the payment down. Use another bank account or a card, or ask your bank.")

#: Codes that only a bank account can have, whatever else is known of the payment.
_BANK_ONLY = frozenset(_BANKS) - frozenset(_CARDS)


def what_happened(code: str, kind: str = "") -> str:
    """What happened and what to do, for Stripe's ``code`` on a method of ``kind`` (``card``, ``us_bank_account``)."""
    if kind == BANK or code in _BANK_ONLY:
        return str(_BANKS.get(code, _BANK))
    return str(_CARDS.get(code, _CARD))


def words_for(code: str, kind: str = "") -> str:
    """What to tell somebody whose payment failed with Stripe's ``code``; unknown codes get the general words."""
    return f"{what_happened(code, kind)} {gettext('You have not been charged.')}"


def words_by_code() -> dict[str, str]:
    """All words for cards by code, and the general ones under an empty code: the card form says them at once."""
    known = {code: what_happened(code) for code in sorted({*_CARDS, *_BANK_ONLY})}
    return {"": str(_CARD), **known}


def when_stripe_fails(error: Exception | None, *, maybe_charged: bool, phone: str) -> tuple[str, str]:
    """A title and a text for when Stripe could not be asked, or would not do it.

    ``maybe_charged`` says that the payment may have been confirmed already: then nothing is promised.
    """
    if maybe_charged:
        return (
            gettext("We are checking your payment"),
            gettext(
                "We can’t reach the payment service right now. If you already pressed the pay button, we don’t know "
                "yet if the payment went through. Please don’t pay again. Look here again in a minute, or call "
                "%(phone)s.",
                phone=phone,
            ),
        )
    not_charged = gettext("You have not been charged.")
    if isinstance(error, StripeRefused) and error.is_about_our_key:
        return (
            gettext("We can’t take payments online right now"),
            " ".join(
                (
                    gettext("Something is wrong on our side, not with your card."),
                    not_charged,
                    gettext("Please try again later today, or call %(phone)s to pay by phone.", phone=phone),
                )
            ),
        )
    if isinstance(error, StripeUnreachable) and str(error) == "RateLimitError":
        return (
            gettext("The payment service is very busy"),
            " ".join((not_charged, gettext("Wait a minute and try again."))),
        )
    if isinstance(error, StripeRefused):
        return (
            gettext("The payment could not be started"),
            " ".join(
                (not_charged, gettext("Please try again, or call %(phone)s to pay by phone.", phone=phone))
            ),
        )
    return (
        gettext("We can’t reach the payment service right now"),
        " ".join(
            (not_charged, gettext("Wait a minute and try again, or call %(phone)s to pay by phone.", phone=phone))
        ),
    )


def words_for_too_many(phone: str) -> str:
    """What to tell somebody whose payment was closed since too many cards were declined on it (payments/tries.py)."""
    return gettext(
        "Several cards were declined, so we stopped here to protect you and the cards’ owners. You have not been "
        "charged. Please wait an hour before you try again, or call %(phone)s to pay by phone.",
        phone=phone,
    )


def when_closed(why: NextPage, phone: str) -> str:
    """What to tell somebody whose payment was closed without a charge, on the page that they are led to."""
    if why is NextPage.TOO_MANY_DECLINES:
        return words_for_too_many(phone)
    if why is NextPage.BILL_CHANGED:
        return gettext(
            "Your bill has changed, so this payment was closed. You have not been charged. Please choose again."
        )
    return gettext("That payment was closed. You have not been charged for it.")


def words_for_not_closed() -> str:
    """What to tell somebody who gave a payment up while Stripe could not be reached."""
    return gettext(
        "We can’t reach the payment service, so this payment is not closed yet. Please look again in a minute."
    )
