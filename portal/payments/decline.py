"""What a declined patient is told: what happened and what to do. One table.

The codes are Stripe's: https://docs.stripe.com/declines/codes and https://docs.stripe.com/error-codes. Stripe asks
not to tell a card holder that a card was reported lost or stolen, so those read like any other decline.
"""

from flask_babel import gettext
from flask_babel import lazy_gettext as _l

_WORDS = {
    "insufficient_funds": _l(
        "The card does not have enough money available. Try another card, or pay a smaller amount."
    ),
    "expired_card": _l("The card has expired. Check the date, or use another card."),
    "incorrect_cvc": _l("The security code was not right. Check the three or four digits and try again."),
    "invalid_cvc": _l("The security code was not right. Check the three or four digits and try again."),
    "incorrect_number": _l("The card number was not right. Check it and try again."),
    "invalid_number": _l("The card number was not right. Check it and try again."),
    "incorrect_zip": _l("The ZIP code did not match the card. Check it and try again."),
    "invalid_expiry_month": _l("The expiry date was not right. Check it and try again."),
    "invalid_expiry_year": _l("The expiry date was not right. Check it and try again."),
    "card_not_supported": _l("This card can’t be used for this payment. Try another card."),
    "currency_not_supported": _l("This card can’t be used for this payment. Try another card."),
    "card_velocity_exceeded": _l("The card’s limit has been reached. Try another card, or call your bank."),
    "withdrawal_count_limit_exceeded": _l("The card’s limit has been reached. Try another card, or call your bank."),
    "processing_error": _l("The card’s bank had a problem. Wait a minute and try again."),
    "try_again_later": _l("The card’s bank had a problem. Wait a minute and try again."),
    "authentication_required": _l("Your bank wants you to confirm the payment. Try again and follow its steps."),
    "payment_intent_authentication_failure": _l(
        "Your bank could not confirm that it was you. Try again, or use another card."
    ),
}
_OTHER = _l("Your bank declined the card. Try another card, or call the number on the back of it.")


def words_for(code: str) -> str:
    """What to tell somebody whose payment failed with Stripe's ``code``; unknown codes get the general words."""
    return f"{_WORDS.get(code, _OTHER)} {gettext('You have not been charged.')}"
