"""The simulated year's clinic: a world with a witness at the wire and in front of the mail server."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping
from pathlib import Path

from portal import clock
from portal.notifications.service import send_due
from portal.notifications.transport import CannotSend
from portal.plans.rules.conditions import Conditions, conditions_at
from portal.sandbox.simulation import weather
from portal.sandbox.simulation.journal import Journal
from portal.sandbox.simulation.weather import Spell
from portal.sandbox.simulation.witness import Witness
from portal.sandbox.simulation.world import MAIL_JOB, Time, World
from portal.web.database import db
from portal.worker import Job

#: Stripe's description is held against every request elsewhere; here it would take most of the time.
_NOT_CHECKED = Path("/nowhere")


class YearWorld(World):
    """A clinic, alike every time; ``spells`` is the weather."""

    def __init__(self, url: str, time: Time, *, store: Path, journal: Journal) -> None:
        super().__init__(url, time, store=store, spec_path=_NOT_CHECKED, clinic="Simulated Clinic")
        self.journal = journal
        self.spells: list[Spell] = []
        self.policy = self.app.extensions["plainbill_policy"]

    def open(self) -> YearWorld:
        super().open()
        self.witness = Witness(self.url, self.stripe, self.journal)
        return self

    @property
    def conditions(self) -> Conditions:
        """Today's."""
        timezone = self.settings.clinic_timezone
        return conditions_at(self.policy, self.settings.base_url, today=clock.today(timezone), timezone=timezone)

    def _jobs(self) -> Mapping[str, Job]:
        jobs = dict(super()._jobs())
        jobs[MAIL_JOB] = lambda: send_due(db.session, self._post)
        return jobs

    def _post(self, *, to: str, subject: str, body: str, key: str) -> None:
        if weather.mail_is_away(self.spells, self.time.at):
            raise CannotSend("the mail server is away")
        found = self.witness.of_mail(key)
        self.journal.note("mail", at=self.time.now().isoformat(), key=key, subject=subject, body=body, **found)

    def watched(self, method: str, url: str, form: str | None) -> contextlib.AbstractContextManager[object]:
        return self.witness.of_request(method, url, form)

    def goes_wrong(self, dice: random.Random) -> None:
        """Have this process's Stripe and its webhooks be as the weather is."""
        weather.break_stripe(self, self.spells, dice)
        self.stripe.webhook_plan = weather.webhook_plan(self.spells, self.time.at, dice)
