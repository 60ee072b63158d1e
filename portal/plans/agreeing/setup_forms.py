"""How a patient says what plan they want."""

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, HiddenField, RadioField, SelectField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, NumberRange, Optional

from portal.money import Money
from portal.plans.kinds import Frequency
from portal.plans.rules.policy import Policy
from portal.plans.rules.schedule import Rhythm
from portal.plans.words import FREQUENCY, WEEKDAY
from portal.web.forms import Form, MoneyField, WholeNumberField


class RhythmForm(Form):
    """How often and on which day, asked for with GET: it only asks."""

    class Meta(Form.Meta):
        csrf = False

    frequency = SelectField(
        _l("How often"), choices=[SelectChoice(one.value, words) for one, words in FREQUENCY.items()]
    )
    day = SelectField(_l("Day of the month"), coerce=int)
    weekday = SelectField(_l("Day of the week"), coerce=int)

    def offer(self, policy: Policy) -> None:
        """Show what the policy allows."""
        self.frequency.choices = [
            SelectChoice(one.value, words) for one, words in FREQUENCY.items() if one in policy.frequencies
        ]
        self.day.choices = [
            SelectChoice(day, _("The last day") if day == 31 else str(day)) for day in policy.days_of_month
        ]
        self.weekday.choices = [SelectChoice(place, words) for place, words in enumerate(WEEKDAY)]

    def start_with(self, rhythm: Rhythm) -> None:
        """What is chosen when the page opens."""
        self.frequency.data = rhythm.frequency.value
        monthly = rhythm.frequency is Frequency.MONTHLY
        days = [choice.value for choice in self.day.choices]
        self.day.data = rhythm.day if monthly and rhythm.day in days else days[0]
        self.weekday.data = 4 if monthly else rhythm.day

    @property
    def rhythm(self) -> Rhythm:
        """What was chosen, once it is valid."""
        frequency = Frequency(self.frequency.data)
        chosen = self.day.data if frequency is Frequency.MONTHLY else self.weekday.data
        return Rhythm(frequency, int(chosen))


class SetupForm(RhythmForm):
    """The one control (an amount, or a number of payments), how often, which day."""

    by = RadioField(
        _l("Choose one of the two"),
        choices=[
            SelectChoice("amount", _l("An amount each time")),
            SelectChoice("count", _l("A number of payments")),
        ],
        default="amount",
    )
    each = MoneyField(_l("Amount each time"))
    count = WholeNumberField(
        _l("Number of payments"),
        validators=[Optional(), NumberRange(min=1, max=1000, message=_l("Write a number like 6."))],
    )

    @classmethod
    def read(cls, given: Mapping[str, Any], policy: Policy) -> "SetupForm":
        """The form as the address says it, or as it is when the page is opened."""
        said = "frequency" in given
        form = cls(given if said else None)
        form.offer(policy)
        if not said:
            form.by.data = "amount"
            form.start_with(Rhythm(policy.frequencies[0], policy.days_of_month[0]))
        return form

    @property
    def by_count(self) -> bool:
        """Whether a number of payments was chosen, and not an amount."""
        return bool(self.by.data == "count" and self.count.data)

    @property
    def control(self) -> Any:
        """The field that was used."""
        return self.count if self.by_count else self.each

    def show(self, each: Money, count: int) -> None:
        """Write what came of it into both controls."""
        self.each.data, self.count.data = f"{each.cents // 100}.{each.cents % 100:02d}", count
        self.count.raw_data = []  # what was sent would be shown before what came of it


class IncomeForm(Form):
    """A household's income, where a state caps what may be asked of it. Sent with POST: it stands in no address."""

    income = MoneyField(_l("Your household’s income a month, before taxes"))


class AgreeForm(Form):
    """The tick under a plan as it was shown, and what was on the page. The method stands in the address."""

    agree = BooleanField(
        _l("I agree to this plan"),
        validators=[DataRequired(_l("Tick the box if you agree. Without it, there is no plan."))],
    )
    seen = HiddenField()
