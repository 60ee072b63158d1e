"""Stripe's test cards and bank accounts, as tables (https://docs.stripe.com/testing).

A card's number is used to look up its behaviour and then forgotten: the store keeps the last four digits. A
number that is not on the list is declined as Stripe declines a real card in test mode.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decline:
    """How an issuer says no: ``code`` and ``decline_code`` as in https://docs.stripe.com/declines/codes."""

    code: str
    message: str
    decline_code: str | None = None
    #: What the network calls it, such as ``R01`` for a returned bank debit.
    network_code: str | None = None


_DECLINED = "Your card was declined."
GENERIC = Decline("card_declined", _DECLINED, "generic_decline")
INSUFFICIENT = Decline("card_declined", "Your card has insufficient funds.", "insufficient_funds")
LIVE_CARD = Decline(
    "card_declined",
    "Your card was declined. Your request was in test mode, but used a non test (live) card. "
    "For a list of valid test cards, visit: https://docs.stripe.com/testing.",
    "test_mode_live_card",
)
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)


@dataclass(frozen=True, slots=True)
class TestCard:
    """One test card.

    ``authenticate`` is never, always, unless_set_up for later off-session use, or on_session (as if it had been set
    up).
    """

    __test__ = False

    number: str
    token: str
    shows: str
    brand: str = "visa"
    funding: str = "credit"
    decline: Decline | None = None
    authenticate: str = "never"
    #: Attaching it to a customer works although charging it does not.
    declines_on_attach: bool = True
    #: What its refunds do: succeeded, pending_then_succeeded, succeeded_then_failed.
    refund: str = "succeeded"
    cvc_check: str = "pass"
    #: What its charge brings about, by the timetable's name.
    dispute: str | None = None


CARDS: tuple[TestCard, ...] = (
    TestCard("4242424242424242", "pm_card_visa", "succeeds"),
    TestCard("4000056655665556", "pm_card_visa_debit", "succeeds (debit)", funding="debit"),
    TestCard("5555555555554444", "pm_card_mastercard", "succeeds (Mastercard)", brand="mastercard"),
    TestCard("378282246310005", "pm_card_amex", "succeeds (American Express)", brand="amex"),
    TestCard("6011111111111117", "pm_card_discover", "succeeds (Discover)", brand="discover"),
    TestCard(
        "4000000000009995", "pm_card_chargeDeclinedInsufficientFunds", "insufficient funds", decline=INSUFFICIENT
    ),
    TestCard("4000000000000002", "pm_card_chargeDeclined", "declined", decline=GENERIC),
    TestCard(
        "4000000000000069",
        "pm_card_chargeDeclinedExpiredCard",
        "expired card",
        decline=Decline("expired_card", "Your card has expired."),
    ),
    TestCard(
        "4000000000000127",
        "pm_card_chargeDeclinedIncorrectCvc",
        "wrong security code",
        decline=Decline("incorrect_cvc", "Your card's security code is incorrect."),
        cvc_check="fail",
    ),
    TestCard(
        "4000000000000119",
        "pm_card_chargeDeclinedProcessingError",
        "processing error",
        decline=Decline(
            "processing_error", "An error occurred while processing your card. Try again in a little bit."
        ),
    ),
    TestCard(
        "4000000000009987",
        "pm_card_visa_chargeDeclinedLostCard",
        "lost card",
        decline=Decline("card_declined", _DECLINED, "lost_card"),
    ),
    TestCard(
        "4000000000009979",
        "pm_card_visa_chargeDeclinedStolenCard",
        "stolen card",
        decline=Decline("card_declined", _DECLINED, "stolen_card"),
    ),
    TestCard(
        "4000000000006975",
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        "over the card's limit",
        decline=Decline(
            "card_declined",
            "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
            "card_velocity_exceeded",
        ),
    ),
    TestCard(
        "4000000000000341",
        "pm_card_chargeCustomerFail",
        "can be saved, is declined when charged",
        decline=GENERIC,
        declines_on_attach=False,
    ),
    TestCard(
        "4000002500003155",
        "pm_card_authenticationRequiredOnSetup",
        "3-D Secure, unless set up for later payments",
        authenticate="unless_set_up",
    ),
    TestCard(
        "4000002760003184",
        "pm_card_authenticationRequired",
        "3-D Secure on every payment",
        authenticate="always",
    ),
    TestCard(
        "4000003800000446",
        "pm_card_authenticationRequiredSetupForOffSession",
        "3-D Secure, except off session: it counts as set up already",
        authenticate="on_session",
    ),
    TestCard("4000000000003220", "pm_card_threeDSecure2Required", "3-D Secure 2 required", authenticate="always"),
    TestCard(
        "4000008400001629",
        "pm_card_threeDSecureRequiredChargeDeclined",
        "3-D Secure, then declined",
        decline=GENERIC,
        authenticate="always",
        declines_on_attach=False,
    ),
    TestCard(
        "4000008260003178",
        "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
        "3-D Secure, then insufficient funds",
        decline=INSUFFICIENT,
        authenticate="always",
        declines_on_attach=False,
    ),
    TestCard(
        "4000000000007726",
        "pm_card_pendingRefund",
        "succeeds; its refund is pending for a while",
        refund="pending_then_succeeded",
    ),
    TestCard(
        "4000000000005126",
        "pm_card_refundFail",
        "succeeds; its refund fails later",
        refund="succeeded_then_failed",
    ),
    TestCard(
        "4000000000000259", "pm_card_createDispute", "succeeds, then is disputed as fraudulent",
        dispute="dispute_fraudulent",
    ),
    TestCard(
        "4000000000002685", "pm_card_createDisputeProductNotReceived",
        "succeeds, then is disputed: product not received", dispute="dispute_not_received",
    ),
    TestCard(
        "4000000000001976", "pm_card_createDisputeInquiry", "succeeds, then the payer's bank asks about it (inquiry)",
        dispute="dispute_inquiry",
    ),
)  # fmt: skip

BY_NUMBER = {card.number: card for card in CARDS}
BY_TOKEN = {card.token: card for card in CARDS}
#: The simulated wallets, by the middle of their tokens (``tok_applePay_visa``).
WALLETS = {"applePay": "apple_pay", "googlePay": "google_pay"}


@dataclass(frozen=True, slots=True)
class TestBank:
    """One test bank account of https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment#test."""

    __test__ = False

    account: str
    token: str
    shows: str
    failure: Decline | None = None
    #: The debit stays in processing, and can be canceled there.
    never_settles: bool = False
    #: The debit succeeds and is returned days later: a dispute that is lost at once.
    returned: bool = False
    #: Micro-deposits to it come back.
    deposits_fail: bool = False


ROUTING_NUMBER = "110000000"

BANKS: tuple[TestBank, ...] = (
    TestBank("000123456789", "pm_usBankAccount_success", "succeeds"),
    TestBank(
        "000111111113",
        "pm_usBankAccount_accountClosed",
        "account closed",
        Decline("account_closed", "The customer's bank account has been closed.",
                network_code="R02"),
    ),
    TestBank(
        "000111111116",
        "pm_usBankAccount_noAccount",
        "no such account",
        Decline("no_account", "The bank account could not be located.",
                network_code="R03"),
    ),
    TestBank(
        "000222222227",
        "pm_usBankAccount_insufficientFunds",
        "insufficient funds",
        Decline("insufficient_funds", "The customer's account has insufficient funds to cover this payment.",
                network_code="R01"),
    ),
    TestBank(
        "000333333335",
        "pm_usBankAccount_debitNotAuthorized",
        "debit not authorized",
        Decline("debit_not_authorized", "The customer has notified their bank that this payment is unauthorized.",
                network_code="R10"),
    ),
    TestBank("000555555559", "pm_usBankAccount_dispute", "succeeds, then is returned", returned=True),
    TestBank("000000000009", "pm_usBankAccount_processing", "stays in processing", never_settles=True),
    TestBank(
        "000666666661", "pm_usBankAccount_failMicrodeposits", "micro-deposits come back when typed in",
        deposits_fail=True,
    ),
)  # fmt: skip

BANK_BY_ACCOUNT = {bank.account: bank for bank in BANKS}
BANK_BY_TOKEN = {bank.token: bank for bank in BANKS}
#: Accounts that the customer's own bank vouches for at once, by a Financial Connections id (``fca_success``).
BANK_BY_CONNECTION = {bank.token.replace("pm_usBankAccount_", "fca_"): bank for bank in BANKS}


def luhn_valid(number: str) -> bool:
    """Whether the digits pass the check every card number passes (ISO/IEC 7812-1, annex B)."""
    if not number.isdigit() or not 12 <= len(number) <= 19:
        return False
    doubled = [int(digit) * 2 for digit in number[-2::-2]]
    return (sum(int(d) for d in number[-1::-2]) + sum(d - 9 if d > 9 else d for d in doubled)) % 10 == 0


def brand_of(number: str) -> str:
    """The card brand by its first digits."""
    for prefix, brand in (("4", "visa"), ("5", "mastercard"), ("34", "amex"), ("37", "amex"), ("6", "discover")):
        if number.startswith(prefix):
            return brand
    return "unknown"
