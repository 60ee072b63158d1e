"""Every way in which a payment fails has words that say what to do."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask_babel import Babel

from portal.payments.decline import (
    BANK,
    what_happened,
    when_stripe_fails,
    words_by_code,
    words_for,
)
from portal.payments.errors import StripeRefused, StripeUnreachable
from portal.sandbox.stripe.cards import BANKS, CARDS

PHONE = "(555) 010-0199"


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    app = Flask(__name__)
    Babel(app)
    with app.test_request_context():
        yield


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("generic_decline", "card", "Try another card, or call the number on the back"),
        ("card_declined", "", "Try another card"),
        ("lost_card", "card", "Try another card"),
        ("stolen_card", "card", "Try another card"),
        ("a_code_of_tomorrow", "card", "Try another card"),
        ("insufficient_funds", "card", "or pay a smaller amount"),
        ("expired_card", "card", "has expired"),
        ("incorrect_cvc", "card", "three or four digits"),
        ("incorrect_zip", "card", "ZIP code"),
        ("incorrect_number", "card", "card number was not right"),
        ("invalid_expiry_year", "card", "expiration date"),
        ("processing_error", "card", "Wait a minute"),
        ("card_velocity_exceeded", "card", "limit has been reached"),
        ("authentication_required", "card", "follow its steps"),
        ("payment_intent_authentication_failure", "card", "could not confirm that it was you"),
        ("resource_missing", "card", "choose another one"),
        ("insufficient_funds", BANK, "not enough money in the bank account"),
        ("account_closed", BANK, "account is closed"),
        ("no_account", BANK, "could not find this account"),
        ("debit_not_authorized", BANK, "does not allow us"),
        ("payment_method_microdeposit_verification_attempts_exceeded", "", "can’t be used"),
        ("payment_method_microdeposit_verification_timeout", "", "not confirmed in time"),
        ("payment_method_microdeposit_failed", "", "did not reach"),
        ("a_code_of_tomorrow", BANK, "Use another bank account or a card"),
    ],
)
def test_words(code: str, kind: str, words: str) -> None:
    assert words in what_happened(code, kind)
    assert words_for(code, kind).endswith("You have not been charged.")


def test_a_lost_card_reads_like_any_other_decline() -> None:
    """Stripe asks for that: https://docs.stripe.com/declines/codes"""
    assert what_happened("lost_card") == what_happened("stolen_card") == what_happened("generic_decline")


def test_every_card_and_bank_account_of_the_stand_in_has_words_of_its_own_or_the_general_ones() -> None:
    general = {"generic_decline", "card_declined", "lost_card", "stolen_card", "test_mode_live_card"}
    for card in CARDS:
        if card.decline:
            code = card.decline.decline_code or card.decline.code
            assert (what_happened(code) == what_happened("generic_decline")) == (code in general), code
    for bank in BANKS:
        if bank.failure:
            assert what_happened(bank.failure.code, BANK) != what_happened("unknown", BANK), bank.failure.code


def test_the_card_form_has_the_same_words() -> None:
    words = words_by_code()
    assert words["insufficient_funds"] == what_happened("insufficient_funds", "card")
    assert words[""] == what_happened("anything else", "card")


@pytest.mark.parametrize(
    ("error", "title", "what_to_do"),
    [
        (StripeRefused("api_key_expired"), "can’t take payments online", "call"),
        (StripeRefused("AuthenticationError"), "can’t take payments online", "not with your card"),
        (StripeRefused("parameter_unknown"), "could not be started", "try again"),
        (StripeUnreachable("RateLimitError"), "very busy", "Wait a minute"),
        (StripeUnreachable("APIConnectionError"), "can’t reach the payment service", "Wait a minute"),
    ],
)
def test_words_for_what_is_not_the_cards_fault(error: Exception, title: str, what_to_do: str) -> None:
    said = when_stripe_fails(error, maybe_charged=False, phone=PHONE)
    assert title in said[0]
    assert what_to_do in said[1]
    assert "You have not been charged." in said[1]
    # Once the patient may have pressed the button, nothing is promised, whatever went wrong.
    title_unknown, text_unknown = when_stripe_fails(error, maybe_charged=True, phone=PHONE)
    assert "checking" in title_unknown
    assert "You have not been charged" not in text_unknown
    assert "don’t pay again" in text_unknown
