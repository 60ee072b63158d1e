"""The desk's forms about payment plans."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import (
    DateField,
    HiddenField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import AnyOf, DataRequired, Length, Optional, ValidationError

from portal.db import new_public_id
from portal.money import Money
from portal.plans.kinds import ChangeKind, Frequency
from portal.plans.queries import PlanRow
from portal.plans.rules.changes import offers
from portal.plans.rules.policy import Policy
from portal.plans.rules.schedule import Rhythm
from portal.plans.words import FREQUENCY, rhythm_words
from portal.web.forms import Form, MoneyField

LONGEST_NOTE = 300
#: More payments than this are a slip of the finger: ten years of weeks.
MOST_PAYMENTS = 520

#: What the staff can do to a plan with a reason.
ACTS = {
    "amount": (ChangeKind.AMOUNT_CHANGED, _l("Lower the amount of each payment")),
    "skip": (ChangeKind.SKIPPED, _l("Skip the next payment")),
    "day": (ChangeKind.DAY_MOVED, _l("Move the day")),
    "pause": (ChangeKind.PAUSED, _l("Pause it")),
    "remove": (ChangeKind.LINES_REMOVED, _l("Take a bill out")),
}


def _reason(label: Any, why: Any = None) -> TextAreaField:
    return TextAreaField(
        label,
        validators=[
            DataRequired(message=why) if why else Optional(),
            Length(max=LONGEST_NOTE, message=_l("Use at most %(max)d characters.")),
        ],
        render_kw={"maxlength": LONGEST_NOTE, "rows": 3},
    )


def _code(rhythm: Rhythm) -> str:
    return f"{rhythm.frequency.value}-{rhythm.day}"


def rhythm_of(code: str) -> Rhythm:
    """The rhythm that a choice of :func:`rhythm_choices` stands for."""
    frequency, _dash, day = code.rpartition("-")
    return Rhythm(Frequency(frequency), int(day))


def rhythm_choices(policy: Policy, *, may_exceed: bool, now: Rhythm | None = None) -> dict[str, list[tuple[str, str]]]:
    """When payments can be due, by how often: the policy's days, ``now``, and for who may exceed it all others."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for frequency in (Frequency.MONTHLY, Frequency.TWO_WEEKLY, Frequency.WEEKLY):
        days = range(1, 32) if frequency is Frequency.MONTHLY else range(7)
        for rhythm in (Rhythm(frequency, day) for day in days):
            offered = offers(policy, rhythm)
            if offered or may_exceed or rhythm == now:
                words = rhythm_words(rhythm)
                words = words if offered else _("%(when)s, outside the policy", when=words)
                groups.setdefault(str(FREQUENCY[frequency]), []).append((_code(rhythm), words))
    return groups


class OfferForm(Form):
    """A plan to propose. ``token`` becomes its id, so that a form sent twice offers once."""

    payer = RadioField(_l("Who pays it"), validators=[DataRequired(message=_l("Choose who pays it."))])
    lines = SelectMultipleField(_l("What is on it"), validate_choice=False)
    choice = RadioField(
        _l("How much"),
        choices=[
            SelectChoice("each", _l("An amount for each payment")),
            SelectChoice("count", _l("A number of payments")),
        ],
        default="each",
    )
    each = MoneyField(_l("Each payment"))
    count = StringField(_l("How many payments"))
    rhythm = SelectField(_l("When"))
    #: The household's, of a month and before taxes, where the law caps its share: not kept.
    income = MoneyField(_l("The household’s income a month, before taxes"))
    reason = _reason(_l("Why it may exceed the policy"))
    token = HiddenField()
    seen = HiddenField()
    #: The plan in whose place it was shown to stand.
    replaced = HiddenField()

    def validate_lines(self, field: Any) -> None:
        """Something has to be on it."""
        if not field.data:
            raise ValidationError(_l("Choose at least one charge."))

    def validate_each(self, field: Any) -> None:
        """An amount is asked for only where one was to be written."""
        if self.choice.data == "each" and not (field.data or "").strip():
            raise ValidationError(_l("Write the amount of each payment."))

    def validate_count(self, field: Any) -> None:
        """A number is asked for only where one was to be written."""
        if self.choice.data == "count" and not self.payments:
            raise ValidationError(_("Write a number from 1 to %(most)s.", most=MOST_PAYMENTS))

    def validate_income(self, field: Any) -> None:
        """Nothing written, or no less than nothing earned."""
        if field.amount is not None and field.amount < Money.zero():
            raise ValidationError(_l("Write $0.00 or more."))

    @property
    def payments(self) -> int:
        """How many payments were asked for; 0 for what is no number, or none that may be."""
        text = (self.count.data or "").strip()
        found = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
        return found if found <= MOST_PAYMENTS else 0

    def offer(self, *, payers: Iterable[tuple[str, str]], rhythms: dict[str, list[tuple[str, str]]]) -> None:
        """Fill in what can be chosen."""
        self.payer.choices = list(payers)
        self.rhythm.choices = rhythms

    def show(self, running: PlanRow) -> None:
        """Fill in what a plan that runs asks for, so that it can be offered anew as it is."""
        cents, code = running.each.cents, _code(running.rhythm)
        self.each.data = f"{cents // 100}.{cents % 100:02d}"
        if any(code == known for group in self.rhythm.choices.values() for known, _words in group):
            self.rhythm.data = code

    @property
    def plan_id(self) -> str:
        """The id that the plan gets; a new one for a token that is none."""
        if not re.fullmatch(r"[0-9a-f]{32}", self.token.data or ""):
            self.token.data = new_public_id()
        return str(self.token.data)


class AmendForm(Form):
    """A change of a plan, with its reason."""

    act = RadioField(
        _l("What changes"),
        choices=[SelectChoice(name, words) for name, (_kind, words) in ACTS.items()],
        default="",
        validators=[AnyOf(list(ACTS), message=_l("Choose what changes."))],
    )
    each = MoneyField(_l("Each payment from now on"))
    rhythm = SelectField(_l("When from now on"))
    until = DateField(_l("Nothing is charged before"), validators=[Optional()])
    lines = SelectMultipleField(_l("What is taken out"), validate_choice=False)
    reason = _reason(_l("Why"), _l("Write why. It stays with the plan, and the patient reads it."))
    seen = HiddenField()

    def validate_each(self, field: Any) -> None:
        """An amount is asked for only where it changes."""
        if self.act.data == "amount" and not (field.data or "").strip():
            raise ValidationError(_l("Write the amount of each payment."))

    def validate(self, extra_validators: Any = None) -> bool:
        """A day is asked for only where it is paused."""
        fine = bool(super().validate(extra_validators))
        if self.act.data == "pause" and self.until.data is None and not self.until.errors:
            self.until.errors = [_l("Write the day until which it is paused.")]
            return False
        return fine

    def validate_lines(self, field: Any) -> None:
        """Bills are asked for only where some are taken out."""
        if self.act.data == "remove" and not field.data:
            raise ValidationError(_l("Choose what is taken out."))

    def offer(self, rhythms: dict[str, list[tuple[str, str]]], *, now: Rhythm) -> None:
        """Fill in when payments can be due; ``now`` is chosen at first."""
        self.rhythm.choices = rhythms
        if not self.rhythm.raw_data:
            self.rhythm.data = _code(now)


class AnswerRequestForm(Form):
    """The answer to a patient who asks for a pause."""

    answer = _reason(_l("What you tell the patient"))


class CancelPlanForm(Form):
    """The end of a plan."""

    reason = _reason(_l("Why it ends"), _l("Write why. It stays with the plan, and the patient reads it."))


class ActForm(Form):
    """Nothing but the act."""


def chosen_charges(wanted: Sequence[str] | None, known: dict[str, int]) -> list[int] | None:
    """The ids of the charges chosen by public id; None when one is not among those ``known``."""
    wanted = list(dict.fromkeys(wanted or ()))
    return [known[one] for one in wanted] if all(one in known for one in wanted) else None
