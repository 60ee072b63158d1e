"""Plans in a running demo, made through the services as the patient would: for browser tests of what comes after."""

from __future__ import annotations

import subprocess

from tests.browser import LiveDemo

#: Runs in the demo's own environment. Arguments: what to do, the patient's email, the account's number, and more.
_SCRIPT = """
import os
import sys
from datetime import timedelta

import sqlalchemy as sa

from portal import clock
from portal.accounts.models import Account
from portal.app import create_app
from portal.auth.models import User
from portal.config import Settings
from portal.db import writing
from portal.money import Money
from portal.payments.methods.customers import customer_of
from portal.payments.kinds import ConsentKind
from portal.payments.models import Consent, SavedMethod
from portal.plans.agreeing.agreement import agreement
from portal.plans.changing.pausing import ask_for_pause
from portal.plans.rules.conditions import conditions_at
from portal.plans.agreeing.drafting import draft, still_offered
from portal.plans.agreeing.enrollment import enrol
from portal.plans.kinds import Frequency
from portal.plans.models import Plan
from portal.plans.rules.schedule import Rhythm
from portal.web.database import db

act, email, ref, *more = sys.argv[1:]
settings = Settings.from_env(os.environ)
app = create_app(settings)
gateway = app.extensions["plainbill_gateway"]


def saved(user_id, account_id, token):
    import stripe

    customer = customer_of(db.session, gateway, user_id=user_id, account_id=account_id)
    client = stripe.StripeClient(settings.stripe_secret_key, base_addresses={"api": settings.stripe_api_base})
    setup = client.v1.setup_intents.create(
        {
            "customer": customer,
            "allowed_payment_method_types": ["card"],
            "payment_method": token,
            "confirm": True,
        }
    )
    found = gateway.methods.retrieve(str(setup.payment_method))
    consent = Consent(
        user_id=user_id, kind=ConsentKind.SAVE_METHOD, version="1", language="en", text="Keep it.", given_at=clock.now()
    )
    db.session.add(consent)
    db.session.flush()
    method = SavedMethod(
        user_id=user_id,
        stripe_method_id=found.id,
        kind=found.kind,
        issuer=found.issuer,
        last4=found.last4,
        expires_on=found.expires_on,
        consent_id=consent.id,
        saved_at=clock.now(),
    )
    db.session.add(method)
    db.session.commit()
    return method.public_id


with app.test_request_context(), writing():
    session = db.session
    user_id = session.scalars(sa.select(User.id).where(User.email == email)).one()
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == ref)).one()
    session.commit()
    timezone = settings.clinic_timezone
    now = conditions_at(
        app.extensions["plainbill_policy"], settings.base_url, today=clock.today(timezone), timezone=timezone
    )
    if act == "ask":
        plans = sa.select(Plan.id).where(Plan.account_id == account_id).order_by(Plan.id.desc())
        plan_id = session.scalars(plans).first()
        until = now.today + timedelta(days=int(more[0]))
        ask_for_pause(session, plan_id=plan_id, user_id=user_id, until=until, note=more[1], conditions=now)
    else:
        proposal = None
        if act == "accept":
            proposal = session.scalars(
                sa.select(Plan).where(Plan.account_id == account_id, Plan.state == "proposed")
            ).one()
            each, rhythm = proposal.each, Rhythm(proposal.frequency, proposal.day)
            charges = still_offered(session, proposal.id, conditions=now)
        else:
            each, rhythm, charges = Money(int(more[1])), Rhythm(Frequency(more[2]), int(more[3])), None
        found = draft(
            session,
            account_id,
            user_id=user_id,
            each=each,
            rhythm=rhythm,
            conditions=now,
            charge_ids=charges,
            exceed=proposal is not None,
        )
        session.commit()
        enrol(
            session,
            account_id=account_id,
            user_id=user_id,
            charge_ids=[line.charge_id for line, _amount in found.lines],
            each=each,
            rhythm=rhythm,
            method_public_id=saved(user_id, account_id, more[0]),
            seen=found.seen,
            agree=lambda terms: agreement(terms, clinic=settings.clinic_name, phone=settings.clinic_phone),
            language="en",
            address="192.0.2.1",
            conditions=now,
            proposal_id=None if proposal is None else proposal.id,
        )
"""


def _run(demo: LiveDemo, *arguments: str) -> None:
    done = subprocess.run(
        [*demo.command()[:1], "-c", _SCRIPT, *arguments],
        env=demo.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def enrolled(
    demo: LiveDemo, email: str, ref: str, *, each: int, rhythm: tuple[str, int] = ("monthly", 15), card: str = ""
) -> None:
    """A plan over all that may be on one, of ``each`` cents a time."""
    _run(demo, "enrol", email, ref, card or "pm_card_visa", str(each), rhythm[0], str(rhythm[1]))


def accepted(demo: LiveDemo, email: str, ref: str) -> None:
    """The patient says yes to what the desk has offered."""
    _run(demo, "accept", email, ref, "pm_card_visa")


def asked_for_a_pause(demo: LiveDemo, email: str, ref: str, *, days: int, note: str) -> None:
    """The patient asks for a pause."""
    _run(demo, "ask", email, ref, str(days), note)
