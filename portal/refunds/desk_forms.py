"""The desk's forms about refunds, and the words for what they choose from."""

import re
from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import HiddenField, RadioField, SelectMultipleField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import AnyOf, DataRequired, Length, ValidationError

from portal.db import new_public_id
from portal.refunds.state import RefundReason
from portal.web.forms import Form, MoneyField

LONGEST_NOTE = 300

REASONS = {
    RefundReason.REQUESTED: _l("The patient asked for it"),
    RefundReason.DUPLICATE: _l("Paid twice"),
    RefundReason.INSURER_PAID: _l("The insurer paid after all"),
    RefundReason.FRAUDULENT: _l("The card holder did not agree to the payment"),
    RefundReason.GOODWILL: _l("Goodwill"),
    RefundReason.CREDIT_BALANCE: _l("Paid above what is owed"),
}
#: What staff can choose; a credit is found by the portal itself.
CHOOSABLE = [reason for reason in REASONS if reason is not RefundReason.CREDIT_BALANCE]

#: Why a refund did not arrive, and what to do. Stripe's reasons, https://docs.stripe.com/refunds#failed-refunds, and
#: the codes with which it refuses, https://docs.stripe.com/error-codes.
FAILURES = {
    "lost_or_stolen_card": _l("The card was reported lost or stolen."),
    "expired_or_canceled_card": _l("The card has expired or was canceled."),
    "charge_for_pending_refund_disputed": _l("The patient’s bank called the payment back at the same time."),
    "insufficient_funds": _l("Our balance at Stripe did not cover it."),
    "declined": _l("The patient’s bank declined it."),
    "merchant_request": _l("It was canceled at Stripe."),
    "charge_disputed": _l("The patient’s bank has called the payment back, so Stripe did not send it."),
    "charge_already_refunded": _l("Stripe says that all of the payment has gone back already."),
    "balance_insufficient": _l("Our balance at Stripe did not cover it, so Stripe did not send it."),
}
_UNKNOWN = _l("The patient’s bank could not take it.")
_CALL = _l("Call the patient, send a check through the back office, then note on the refund what you did.")
_ACTS = {
    "insufficient_funds": _l("Ask for the refund again when Stripe holds more of our money, then note it."),
    "balance_insufficient": _l("Ask for the refund again when Stripe holds more of our money, then note it."),
    "charge_disputed": _l("Answer the dispute first. What it decides goes to the books by itself."),
    "charge_for_pending_refund_disputed": _l("Answer the dispute first. What it decides goes to the books by itself."),
    "charge_already_refunded": _l("Compare with Stripe’s own list of refunds, then note what you found."),
}


def why_failed(code: str) -> Any:
    """Why a refund with Stripe's ``code`` did not arrive, in words."""
    return FAILURES.get(code, _UNKNOWN)


def what_to_do(code: str) -> Any:
    """What the desk does about a refund that failed with Stripe's ``code``."""
    return _ACTS.get(code, _CALL)


def _note(label: Any, why: Any) -> TextAreaField:
    return TextAreaField(
        label,
        validators=[
            DataRequired(message=why),
            Length(max=LONGEST_NOTE, message=_l("Use at most %(max)d characters.")),
        ],
        render_kw={"maxlength": LONGEST_NOTE, "rows": 3},
    )


class RefundForm(Form):
    """What shall go back, and why. ``token`` becomes the refund's id, so that a form sent twice asks once."""

    choice = RadioField(
        _l("How much goes back?"),
        choices=[
            SelectChoice("all", _l("All that is left of the payment")),
            SelectChoice("lines", _l("Chosen charges, in full")),
            SelectChoice("amount", _l("An amount")),
        ],
        default="all",
    )
    lines = SelectMultipleField(_l("Charges"), validate_choice=False)
    amount = MoneyField(_l("Amount"))
    reason = RadioField(
        _l("Why"),
        choices=[SelectChoice(reason.value, REASONS[reason]) for reason in CHOOSABLE],
        default="",
        validators=[AnyOf([reason.value for reason in CHOOSABLE], message=_l("Choose a reason."))],
    )
    note = _note(_l("What happened"), _l("Write what happened. It stays with the refund."))
    token = HiddenField()
    seen = HiddenField()

    def validate_lines(self, field: Any) -> None:
        """Charges are asked for only where they were to be chosen."""
        if self.choice.data == "lines" and not field.data:
            raise ValidationError(_l("Choose at least one charge."))

    def validate_amount(self, field: Any) -> None:
        """An amount is asked for only where one was to be written."""
        if self.choice.data == "amount" and not (field.data or "").strip():
            raise ValidationError(_l("Write the amount that goes back."))

    @property
    def refund_id(self) -> str:
        """The id that the refund gets; a new one for a token that is none."""
        if not re.fullmatch(r"[0-9a-f]{32}", self.token.data or ""):
            self.token.data = new_public_id()
        return str(self.token.data)


class DecideForm(Form):
    """Nothing but the act."""


class RefuseForm(Form):
    """A supervisor says no."""

    note = _note(_l("Why not"), _l("Write why. Whoever asked reads it."))


class WithdrawForm(Form):
    """Staff take a refund back."""

    note = _note(_l("Why it is not needed"), _l("Write why. It stays with the refund."))


class HandleForm(Form):
    """Staff have dealt with a failed refund."""

    note = _note(_l("What you did"), _l("Write what you did. It stays with the refund."))
