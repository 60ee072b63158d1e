"""Payment plans at the desk: proposed, changed with a reason, paused, ended, watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy.orm import Session

from portal.accounts.models import AccessGrant, Account
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.models import Charge, Posting, Visit
from portal.documents.kinds import DocumentKind
from portal.documents.models import Document
from portal.money import Money
from portal.payments.gateway import StripeGateway
from portal.plans.changing.pausing import ask_for_pause
from portal.plans.desk.forms import MOST_PAYMENTS
from portal.plans.desk.words import BROKEN, CHANGES, END_REASONS
from portal.plans.kinds import ChangeKind, InstallmentState, Need, PlanState
from portal.plans.models import Installment, Plan, PlanChange, PlanRequest
from portal.plans.rules.policy import states
from portal.sandbox.privacy import JudgedHTTPClient
from portal.sandbox.stripe import StandIn
from tests.conftest import Clinic, _leaks
from tests.pages import JudgingClient, Page, as_page
from tests.unit.plans.conftest import PlanWorld
from tests.web.paying import TESTA

STAFF, SUPERVISOR = "staff@example.com", "supervisor@example.com"
ACCOUNT = "JDC-1001"


@pytest.fixture
def world(clinic: Clinic, session: Session, app: Flask, standin: StandIn, settings: Any) -> Any:
    """The patient's side, acted on through the services; its own moments pass with ``later``."""
    account_id = session.scalars(sa.select(Account.id).where(Account.ref == ACCOUNT)).one()
    gateway = StripeGateway("sk_test_plainbill_standin", "whsec_x", http_client=JudgedHTTPClient(standin, _leaks))
    user_id = clinic.user_id(TESTA)
    session.commit()
    from portal import clock

    with time_machine.travel(clock.now(), tick=False) as travel:
        yield InWeb(session, gateway, standin, travel, account_id, user_id, app=app)


class InWeb(PlanWorld):
    """The same beside an app: each act has a context of its own."""

    def __init__(self, *values: Any, app: Flask) -> None:
        super().__init__(*values)
        self.app = app

    def in_app(self, act: Callable[[], Any]) -> Any:
        with self.app.test_request_context():
            return act()

    def enrol(self, **values: Any) -> Plan:  # type: ignore[override]
        return self.in_app(lambda: PlanWorld.enrol(self, **values))  # type: ignore[no-any-return]

    def work(self) -> None:
        self.in_app(lambda: PlanWorld.work(self))

    def ask(self, days: int = 40, note: str = "I lost my work.") -> PlanRequest:
        plan_id = self.plan().id
        self.in_app(
            lambda: ask_for_pause(
                self.session,
                plan_id=plan_id,
                user_id=self.user_id,
                until=self.today + timedelta(days=days),
                note=note,
                conditions=self.conditions,
            )
        )
        return self.session.scalars(sa.select(PlanRequest).order_by(PlanRequest.id.desc())).first()  # type: ignore[return-value]


@pytest.fixture
def browse(app: Flask, sign_in: Callable[..., Page], world: InWeb) -> Callable[[str], JudgingClient]:
    def open_one(email: str) -> JudgingClient:
        client = app.test_client()
        assert isinstance(client, JudgingClient)
        sign_in(client, email)
        return client

    return open_one


@pytest.fixture
def desk(browse: Callable[[str], JudgingClient]) -> JudgingClient:
    return browse(STAFF)


@pytest.fixture
def boss(browse: Callable[[str], JudgingClient]) -> JudgingClient:
    return browse(SUPERVISOR)


def plan_page(client: JudgingClient, world: InWeb) -> Page:
    return client.page(f"/desk/plans/{world.plan().public_id}")


def review(client: JudgingClient, clinic: Clinic, **fields: Any) -> Page:
    """The page with every payment, or the form again."""
    page = client.page(f"/desk/accounts/{clinic.account(ACCOUNT)}/propose-plan")
    given = {"payer": str(clinic.user_id(TESTA)), "choice": "each", "each": "50.00", "rhythm": "monthly-15", **fields}
    return as_page(client.submit(page, given, field="rhythm"))


def amended(client: JudgingClient, world: InWeb, **fields: Any) -> Page:
    """The page with the payments before and after, or the form again."""
    page = client.page(f"/desk/plans/{world.plan().public_id}/amend")
    return as_page(client.submit(page, {"reason": "They called.", **fields}, field="act"))


def confirm(client: JudgingClient, page: Page) -> Any:
    return client.submit(page, {"confirmed": "1"}, field="seen")


def notices(response: Any) -> str:
    return as_page(response).text("div", class_="notices")


def audited(session: Session, tag: Tag, user_id: int) -> list[str]:
    session.rollback()
    return list(
        session.scalars(sa.select(AuditEvent.subject).where(AuditEvent.tag == tag, AuditEvent.actor_user_id == user_id))
    )


def test_every_word_has_its_translation_and_every_list_its_words() -> None:
    assert set(CHANGES) == set(ChangeKind)
    assert set(BROKEN) == {"too_small_a_balance", "below_minimum", "too_long", "frequency", "day"}
    assert {"paid", "patient", "staff", "missed", "overtaken", "withdrawn"} <= set(END_REASONS)


def test_a_plan_is_proposed_from_the_account_and_waits_for_the_patient(
    desk: JudgingClient, clinic: Clinic, session: Session, world: InWeb, woken: list[str]
) -> None:
    account = desk.page(f"/desk/accounts/{clinic.account(ACCOUNT)}")
    assert f"/desk/accounts/{clinic.account(ACCOUNT)}/propose-plan" in account.links().values()
    shown = review(desk, clinic)
    words = shown.text("main")
    assert "Offer this plan to" in words
    assert "$248.32" in words
    assert "$48.32" in words  # the last one
    assert session.scalar(sa.select(sa.func.count()).select_from(Plan)) == 0
    session.rollback()
    done = confirm(desk, shown)
    plan = world.plan()
    assert done.location == f"/desk/plans/{plan.public_id}"
    assert (plan.state, plan.each, plan.exceeds) == (PlanState.PROPOSED, Money(5_000), "")
    assert plan.proposed_by == clinic.user_id(STAFF)
    assert audited(session, Tag.PLAN_PROPOSED, clinic.user_id(STAFF)) == [plan.public_id]
    assert "notifications.send" in woken
    # The same press again offers nothing new.
    assert confirm(desk, shown).location == done.location
    assert world.plan_mails() == ["A payment plan for you"]
    page = plan_page(desk, world)
    assert "Waits for the patient’s yes" in page.text("main")
    assert "Offered" in desk.page(f"/desk/accounts/{clinic.account(ACCOUNT)}").text("main")
    assert "$248.32" in desk.page("/desk/plans?list=offered").text("main")
    taken = desk.submit(page, {}, action="/withdraw", follow_redirects=True)
    assert "The offer was taken back." in notices(taken)
    assert (world.plan().state, world.plan().end_reason) == (PlanState.DECLINED, "withdrawn")
    again = desk.submit(page, {}, action="/withdraw", follow_redirects=True)
    assert "Nothing was changed" in notices(again)


def test_a_number_of_payments_gives_their_amount(desk: JudgingClient, clinic: Clinic, world: InWeb) -> None:
    words = review(desk, clinic, choice="count", count="4").text("main")
    assert "$62.08" in words
    assert "$248.32" in words


def test_what_is_paid_down_comes_besides_the_number_of_payments(
    desk: JudgingClient, clinic: Clinic, world: InWeb, app: Flask
) -> None:
    app.extensions["plainbill_policy"] = replace(app.extensions["plainbill_policy"], down_payment_percent=20)
    shown = review(desk, clinic, choice="count", count="4")
    assert shown.text("table").count("$49.67") == 4  # one of them today
    assert "$49.64" in shown.text("table")
    confirm(desk, shown)
    assert (world.plan().state, world.plan().each) == (PlanState.PROPOSED, Money(4_967))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"payer": ""}, "Choose who pays it."),
        ({"payer": "999999"}, "Not a valid choice"),
        ({"lines": []}, "Choose at least one charge."),
        ({"lines": ["f" * 32]}, "can’t be on a plan of this person"),
        ({"each": ""}, "Write the amount of each payment."),
        ({"each": "five"}, "with numbers only"),
        ({"each": "0.10"}, "No card can pay less than $0.50"),
        ({"choice": "count", "count": ""}, f"Write a number from 1 to {MOST_PAYMENTS}."),
        ({"choice": "count", "count": "-3"}, f"Write a number from 1 to {MOST_PAYMENTS}."),
        ({"choice": "count", "count": "99999"}, f"Write a number from 1 to {MOST_PAYMENTS}."),
        ({"choice": "count", "count": "²"}, f"Write a number from 1 to {MOST_PAYMENTS}."),
        ({"rhythm": "monthly-7"}, "Not a valid choice"),
        ({"rhythm": "yearly-1"}, "Not a valid choice"),
        ({"each": "10.00"}, "Only a supervisor may offer that, with a reason."),
        ({"each": "10.00", "reason": "Please"}, "Only a supervisor may offer that, with a reason."),
    ],
)
def test_what_is_wrong_with_a_proposal_is_said(
    desk: JudgingClient, clinic: Clinic, world: InWeb, fields: dict[str, Any], words: str
) -> None:
    page = review(desk, clinic, **fields)
    assert words in page.text("main")
    assert page.all("div", class_="error-summary")


def test_a_supervisor_exceeds_the_policy_with_a_reason(boss: JudgingClient, clinic: Clinic, world: InWeb) -> None:
    page = review(boss, clinic, each="10.00", rhythm="monthly-7")
    assert "Write why it is offered all the same." in page.text("main")
    shown = review(boss, clinic, each="10.00", rhythm="monthly-7", reason="Hardship, agreed on the phone.")
    words = shown.text("main")
    assert "This exceeds the policy" in words
    assert str(BROKEN["day"]) in words
    assert confirm(boss, shown).status_code == 302
    assert world.plan().exceeds == "Hardship, agreed on the phone."
    assert "Hardship, agreed on the phone." in plan_page(boss, world).text("main")


def test_what_the_law_caps_nobody_exceeds(
    boss: JudgingClient, clinic: Clinic, session: Session, app: Flask, world: InWeb
) -> None:
    """Colorado's hospitals: 4 % of $500.00 is $20.00 a month, whatever a supervisor's reason."""
    app.extensions["plainbill_policy"] = replace(app.extensions["plainbill_policy"], rule=states()["CO"])
    unknown = review(boss, clinic, each="50.00")
    assert "No income was written" in unknown.text("main")
    refused = review(boss, clinic, each="20.01", income="500", reason="They can pay more.")
    assert "By law, a payment of this household can be at most $20.00." in refused.text("main")
    poor = review(boss, clinic, each="4.00", income="100", reason="All they have.")
    assert "The balance has to be lowered first." in poor.text("main")
    assert "Write $0.00 or more." in review(boss, clinic, each="20.00", income="-5").text("main")
    nothing = review(boss, clinic, each="20.00", income="0", reason="They earn nothing.")
    assert "By law at most $0.00 a month" in nothing.text("main")
    often = review(boss, clinic, each="1.00", rhythm="weekly-1", income="175", reason="They are paid by the week.")
    assert "only with payments every month" in often.text("main")
    longer = review(boss, clinic, each="5.00", income="500", reason="As little as possible.")
    assert "By law at most 36 payments can be asked of this household, so each is at least $6.90." in longer.text()
    shown = review(boss, clinic, each="20.00", income="500")
    assert "For this household that is at most $20.00 a month" in shown.text("main")
    assert "This exceeds the policy" not in shown.text("main")  # the law asks for it
    assert confirm(boss, shown).status_code == 302
    assert world.plan().month_cap == Money(2_000)
    assert "By law at most, a month$20.00" in plan_page(boss, world).text("main")
    session.rollback()
    # What was known is not forgotten by the next offer, also where the first was taken back.
    known = review(boss, clinic, each="30.00", reason="They can pay more.")
    assert "For Testa Demopatient that was at most $20.00 a month at the last plan or offer." in known.text("main")
    assert "By law, a payment of this household can be at most $20.00." in known.text("main")


def test_an_offer_in_place_of_a_plan_keeps_to_its_cap(
    boss: JudgingClient, clinic: Clinic, session: Session, app: Flask, world: InWeb
) -> None:
    app.extensions["plainbill_policy"] = replace(app.extensions["plainbill_policy"], rule=states()["CO"])
    world.enrol()
    session.execute(sa.update(Plan).values(month_cap=Money(2_000)))
    session.commit()
    refused = review(boss, clinic, each="30.00", reason="They can pay more.")
    assert "By law, a payment of this household can be at most $20.00." in refused.text("main")
    shown = review(boss, clinic, each="30.00", income="1000", reason="They earn more now.")
    assert "at most $40.00 a month" in shown.text("main")
    session.rollback()
    more = amended(boss, world, act="amount", each="60.00")
    assert "By law, a payment of this household can be at most $20.00." in more.text("main")
    session.rollback()
    session.execute(sa.update(Plan).values(month_cap=Money(500)))
    session.commit()
    # More is left than the law lets be asked (insurance moved it): it can still be moved about, but not get longer.
    later = amended(boss, world, act="day", rhythm="monthly-20")
    assert "By law at most $5.00 a month can be asked of this household" in later.text("main")


def test_what_moved_meanwhile_is_shown_again_and_not_sent(
    desk: JudgingClient, clinic: Clinic, session: Session, world: InWeb
) -> None:
    shown = review(desk, clinic)
    world.adjust(next(line for line in world.lines() if line.payable >= Money(1_000)).charge_id, -500)
    again = as_page(confirm(desk, shown))
    assert "The payments have changed" in again.text("main")
    assert "$243.32" in again.text("main")
    assert session.scalar(sa.select(sa.func.count()).select_from(Plan)) == 0
    session.rollback()
    assert confirm(desk, again).status_code == 302
    changed = desk.submit(again, {"change": "1"}, field="seen")
    assert "See every payment" in as_page(changed).text("main")


def test_a_plan_that_began_meanwhile_is_not_replaced_unseen(desk: JudgingClient, clinic: Clinic, world: InWeb) -> None:
    shown = review(desk, clinic)
    world.enrol()
    done = desk.submit(shown, {"confirmed": "1"}, field="seen", follow_redirects=True)
    assert "Something changed meanwhile. Nothing was sent." in notices(done)
    assert world.plan().state is PlanState.ACTIVE


def test_what_only_the_patient_can_agree_to_is_offered_in_place_of_the_plan(
    desk: JudgingClient, clinic: Clinic, session: Session, world: InWeb
) -> None:
    old = world.enrol(each=5_000).public_id
    refused = amended(desk, world, act="amount", each="100.00")
    assert "the patient has to agree to it" in refused.text("main")
    session.rollback()
    address = refused.links()["Offer another plan in its place"]
    assert address == f"/desk/accounts/{clinic.account(ACCOUNT)}/propose-plan"
    shown = review(desk, clinic, each="100.00")
    assert "the plan that runs now ends" in shown.text("main")
    assert confirm(desk, shown).status_code == 302
    assert (world.plan().state, world.plan().each) == (PlanState.PROPOSED, Money(10_000))
    assert session.scalars(sa.select(Plan.state).where(Plan.public_id == old)).one() is PlanState.ACTIVE


def test_a_plan_is_lowered_with_a_reason_and_the_patient_is_told(
    desk: JudgingClient, clinic: Clinic, session: Session, world: InWeb
) -> None:
    world.enrol(each=10_000)
    shown = amended(desk, world, act="amount", each="50.00")
    words = shown.text("main")
    assert "$100.00 now, then $50.00" in words
    assert "3 now, then 5" in words
    assert world.plan().each == Money(10_000)
    session.rollback()
    done = desk.submit(shown, {"confirmed": "1"}, field="seen", follow_redirects=True)
    assert "The plan was changed, and the patient is told." in notices(done)
    latest = world.changes()[-1]
    assert (latest.kind, latest.note, latest.actor_user_id) == (
        ChangeKind.AMOUNT_CHANGED,
        "They called.",
        clinic.user_id(STAFF),
    )
    assert [cents for _day, cents in world.coming()] == [5_000, 5_000, 5_000, 5_000, 4_832]
    page = plan_page(desk, world).text("main")
    assert "“They called.”" in page
    assert audited(session, Tag.PLAN_CHANGED, clinic.user_id(STAFF)) == [world.plan().public_id]
    assert "Your payment plan has changed" in world.plan_mails()
    # The same press again changes nothing.
    twice = desk.submit(shown, {"confirmed": "1"}, field="seen", follow_redirects=True)
    assert "The plan was changed already." in notices(twice) or "stay as it is" in as_page(twice).text("main")
    assert len(world.changes()) == 2


def test_a_skip_pressed_twice_skips_once(boss: JudgingClient, session: Session, world: InWeb) -> None:
    world.enrol()
    shown = amended(boss, world, act="skip")
    confirm(boss, shown)
    twice = boss.submit(shown, {"confirmed": "1"}, field="seen", follow_redirects=True)
    assert "The plan was changed already." in notices(twice)
    assert world.states().count("skipped") == 1


def test_the_day_is_moved_later_and_a_bill_taken_out(desk: JudgingClient, clinic: Clinic, world: InWeb) -> None:
    world.enrol()
    before = world.coming()
    later = amended(desk, world, act="day", rhythm="monthly-20")
    assert "every month on the 20th" in later.text("main")
    assert confirm(desk, later).status_code == 302
    assert {day[-2:] for day, _cents in world.coming()} == {"20"}
    assert world.coming()[0][0] > before[0][0]
    line = next(one for one in world.lines() if one.on_plan)
    out = amended(desk, world, act="remove", lines=[line.public_id])
    assert "is an ordinary bill again" in out.text("main")
    assert confirm(desk, out).status_code == 302
    assert not next(one for one in world.lines() if one.charge_id == line.charge_id).on_plan
    assert "Off the plan Since" in plan_page(desk, world).text("main")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"act": ""}, "Choose what changes."),
        ({"act": "resume"}, "Choose what changes."),
        ({"act": "amount", "each": ""}, "Write the amount of each payment."),
        ({"act": "amount", "each": "10.00"}, "minimum is $25.00"),
        ({"act": "amount", "each": "-1"}, "minimum is $25.00"),
        ({"act": "amount", "each": "50.00"}, "The plan would stay as it is."),
        ({"act": "pause", "until": ""}, "Write the day until which it is paused."),
        ({"act": "pause", "until": "soon"}, "Not a valid date"),
        ({"act": "pause", "until": "2020-01-01"}, "A pause ends on a day to come"),
        ({"act": "remove"}, "Choose what is taken out."),
        ({"act": "remove", "lines": ["f" * 32]}, "not on the plan any more"),
        ({"act": "skip", "reason": " "}, "Write why."),
    ],
)
def test_what_is_wrong_with_a_change_is_said(
    desk: JudgingClient, world: InWeb, fields: dict[str, Any], words: str
) -> None:
    world.enrol()
    page = amended(desk, world, **fields)
    assert words in page.text("main"), page.text("main")
    assert page.all("div", class_="error-summary")
    assert len(world.changes()) == 1


def test_beyond_the_policy_only_a_supervisor(desk: JudgingClient, boss: JudgingClient, world: InWeb) -> None:
    world.enrol()
    confirm(desk, amended(desk, world, act="skip"))
    assert "skips of this year are used" in amended(desk, world, act="skip").text("main")
    shown = amended(boss, world, act="skip")
    assert "This exceeds the policy" in shown.text("main")
    # Somebody who may not sends the supervisor's form.
    seen = next(one.get("value") for one in shown.all("input", name="seen"))
    forced = desk.submit(
        desk.page(f"/desk/plans/{world.plan().public_id}/amend"),
        {"act": "skip", "reason": "They called.", "seen": seen, "confirmed": "1"},
        field="act",
    )
    assert "skips of this year are used" in as_page(forced).text("main")
    assert world.states().count("skipped") == 1
    confirm(boss, shown)
    assert world.states().count("skipped") == 2
    year = (world.today + timedelta(days=300)).isoformat()
    assert "the policy allows 90 days" in amended(desk, world, act="pause", until=year).text("main")
    assert confirm(boss, amended(boss, world, act="pause", until=year)).status_code == 302
    assert world.plan().state is PlanState.PAUSED


def test_a_plan_that_moved_is_shown_again(desk: JudgingClient, world: InWeb) -> None:
    world.enrol(each=10_000)
    shown = amended(desk, world, act="amount", each="50.00")
    world.adjust(next(one for one in world.lines() if one.on_plan and one.sums.due > Money(1_000)).charge_id, -500)
    again = as_page(confirm(desk, shown))
    assert "The plan has changed" in again.text("main")
    assert len(world.changes()) == 1
    assert confirm(desk, again).status_code == 302
    assert sum(cents for _day, cents in world.coming()) == 24_332


def test_a_pause_is_answered(desk: JudgingClient, clinic: Clinic, session: Session, world: InWeb) -> None:
    world.enrol()
    request = world.ask()
    address = f"/desk/plan-requests/{request.public_id}"
    session.rollback()
    assert "Patients who ask for a pause of their plan: 1" in desk.page("/desk/").text("main")
    assert address in desk.page("/desk/plans").links().values()
    assert address in plan_page(desk, world).links().values()
    page = desk.page(address)
    assert "I lost my work." in page.text("main")
    wordless = as_page(desk.submit(page, {"refuse": "1", "answer": " "}, field="answer"))
    assert "Write why not" in wordless.text("main")
    done = desk.submit(page, {"grant": "1", "answer": "Take care."}, field="answer", follow_redirects=True)
    assert "The plan is paused" in notices(done)
    assert world.plan().state is PlanState.PAUSED
    assert (world.changes()[-1].note, world.changes()[-1].kind) == ("Take care.", ChangeKind.PAUSED)
    assert audited(session, Tag.PLAN_REQUEST_DECIDED, clinic.user_id(STAFF)) == [world.plan().public_id]
    twice = desk.submit(page, {"refuse": "1", "answer": "No."}, field="answer", follow_redirects=True)
    assert "answered already" in notices(twice)
    session.expire_all()
    assert session.scalars(sa.select(PlanRequest.granted)).all() == [True]
    session.rollback()
    answered = desk.page(address).text("main")
    assert "Granted" in answered
    assert "Take care." in answered
    assert "Asked for a pause" not in desk.page("/desk/plans").text("main")


def test_a_refusal_has_words_and_leaves_the_plan(desk: JudgingClient, session: Session, world: InWeb) -> None:
    world.enrol()
    before = world.coming()
    page = desk.page(f"/desk/plan-requests/{world.ask().public_id}")
    desk.submit(page, {"refuse": "1", "answer": "Let us lower the amount instead."}, field="answer")
    assert world.plan().state is PlanState.ACTIVE
    assert world.coming() == before
    assert "Let us lower the amount instead." in plan_page(desk, world).text("main")
    assert "About the pause you asked for" in world.plan_mails()


def test_a_pause_that_came_too_late_can_only_be_refused(desk: JudgingClient, session: Session, world: InWeb) -> None:
    world.enrol()
    request = world.ask(days=1)
    session.execute(sa.update(PlanRequest).values(until=world.today))
    session.commit()
    page = desk.page(f"/desk/plan-requests/{request.public_id}")
    assert "It can’t be granted now" in page.text("main")
    assert "Grant the pause" not in page.text("main")
    forced = desk.submit(page, {"grant": "1"}, field="answer", follow_redirects=True)
    assert "A pause ends on a day to come" in notices(forced)
    assert world.plan().state is PlanState.ACTIVE


def test_a_plan_is_ended_with_a_reason(desk: JudgingClient, clinic: Clinic, session: Session, world: InWeb) -> None:
    due = world.due
    world.enrol()
    world.ask()
    address = f"/desk/plans/{world.plan().public_id}/end"
    page = desk.page(address)
    assert "$248.32" in page.text("main")
    assert "Write why." in as_page(desk.submit(page, {}, field="reason")).text("main")
    done = desk.submit(page, {"reason": "They moved away."}, field="reason", follow_redirects=True)
    assert "The plan has ended, and the patient is told." in notices(done)
    assert (world.plan().state, world.plan().end_reason) == (PlanState.CANCELED, "staff")
    assert world.due == due
    assert world.changes()[-1].note == "They moved away."
    assert audited(session, Tag.PLAN_ENDED, clinic.user_id(STAFF)) == [world.plan().public_id]
    twice = desk.submit(page, {"reason": "They moved away."}, field="reason", follow_redirects=True)
    assert "ended already" in notices(twice)
    assert len(world.changes()) == 2
    for stale in ("amend", "end"):
        shown = desk.get(f"/desk/plans/{world.plan().public_id}/{stale}", follow_redirects=True)
        assert "has ended" in notices(shown)
    # What was asked of a plan that has ended waits for nobody.
    assert "Nothing to do" in desk.page("/desk/plans").text("main")
    assert "pause" not in desk.page("/desk/").text("main")


def test_what_is_charged_tomorrow_is_seen_with_its_total(desk: JudgingClient, session: Session, world: InWeb) -> None:
    world.enrol()
    tomorrow = world.today + timedelta(days=1)
    first, second = [row.id for row in world.installments()[:2]]
    session.execute(sa.update(Installment).where(Installment.id == first).values(charge_on=tomorrow))
    day_after = tomorrow + timedelta(days=1)
    session.execute(sa.update(Installment).where(Installment.id == second).values(charge_on=day_after))
    session.commit()
    page = desk.page("/desk/plans?list=charges")
    assert "(1 tomorrow)" in page.text("main")
    assert "$100.00" in page.text("tfoot")
    assert f"/desk/plans/{world.plan().public_id}" in page.links().values()
    session.rollback()
    other = desk.page(f"/desk/plans?list=charges&on={(tomorrow + timedelta(days=1)).isoformat()}")
    assert f"/desk/plans/{world.plan().public_id}" in other.links().values()
    for wrong in ("2020-01-01", "tomorrow", "2026-99-99"):
        assert "Tomorrow" in desk.page(f"/desk/plans?list=charges&on={wrong}").text("main")
    session.rollback()
    session.execute(sa.update(Plan).values(need=Need.METHOD))
    session.commit()
    assert "Nothing is charged" in desk.page("/desk/plans?list=charges").text("main")
    session.rollback()
    session.execute(sa.update(Plan).values(need=Need.NOTHING))
    session.commit()
    assert "(1 tomorrow)" in desk.page("/desk/plans?list=charges").text("main")
    session.rollback()
    # Who may not see the account any more is charged nothing.
    session.execute(sa.update(AccessGrant).values(revoked_at=sa.func.current_timestamp()))
    session.commit()
    assert "Nothing is charged" in desk.page("/desk/plans?list=charges").text("main")


def test_a_plan_that_the_law_does_not_let_be_paid_to_its_end_is_at_risk(
    app: Flask, desk: JudgingClient, session: Session, world: InWeb
) -> None:
    world.enrol()
    assert len(world.coming()) == 5
    session.execute(sa.update(Plan).values(month_cap=Money(5_000)))
    session.commit()
    colorado = replace(states()["CO"], most_payments=5)
    app.extensions["plainbill_policy"] = replace(world.policy, rule=colorado)
    assert "At risk" not in desk.page("/desk/plans").text("main")
    app.extensions["plainbill_policy"] = replace(world.policy, rule=replace(colorado, most_payments=3))
    said = "By law only 3 more payments can be asked for, and what insurance left to pay takes more."
    for address in ("/desk/plans", f"/desk/plans/{world.plan().public_id}"):
        assert said in desk.page(address).text("main")
    assert "Payment plans at risk: 1" in desk.page("/desk/").text("main")


def test_the_day_is_moved_later_and_earlier_in_the_month_and_the_page_says_how(
    desk: JudgingClient, world: InWeb
) -> None:
    world.enrol()
    page = desk.page(f"/desk/plans/{world.plan().public_id}/amend")
    assert "no sooner than it is due now" in page.text("main")
    assert "14 days by the month. A skipped payment counts as the last one." in page.text("main")
    for limit in ("Paying more often mostly asks for more sooner", "Where the law caps", "All moves together"):
        assert limit in page.text("main")
    assert "any day can be chosen" not in page.text("main")
    for day in (20, 5):
        shown = amended(desk, world, act="day", rhythm=f"monthly-{day}")
        assert "the patient has to agree to it" not in shown.text("main")
        assert as_page(desk.submit(shown, {"confirmed": "1"}, field="seen", follow_redirects=True)).url
        assert world.plan().day == day


def test_a_plan_is_not_put_off_by_moving_its_day_again(desk: JudgingClient, boss: JudgingClient, world: InWeb) -> None:
    world.enrol()
    assert confirm(desk, amended(desk, world, act="day", rhythm="monthly-10")).status_code == 302
    due = world.coming()[0]
    refused = amended(desk, world, act="day", rhythm="monthly-5").text("main")
    assert "The day was moved already since the last payment" in refused
    assert world.coming()[0] == due
    shown = amended(boss, world, act="day", rhythm="monthly-5")
    assert "The day was moved already since the last payment" in shown.text("main")  # what it exceeds
    assert confirm(boss, shown).status_code == 302
    assert world.coming()[0] > due


def test_plans_at_risk_say_why(desk: JudgingClient, session: Session, world: InWeb) -> None:
    world.enrol()
    assert "At risk" not in desk.page("/desk/plans").text("main")

    def risk(**values: Any) -> str:
        session.execute(sa.update(Plan).values(**{"need": Need.NOTHING, **values}))
        session.commit()
        return desk.page("/desk/plans").text("main")

    assert "waits for another card or bank account" in risk(need=Need.METHOD)
    assert "wants the patient to confirm" in risk(need=Need.CONFIRMATION)
    assert "Payment plans at risk: 1" in desk.page("/desk/").text("main")
    assert "At risk" not in risk()
    first = world.installments()[0].id
    session.execute(
        sa.update(Installment).where(Installment.id == first).values(charge_on=world.today - timedelta(days=9))
    )
    session.commit()
    assert "days behind its day" in risk()
    session.execute(sa.update(Installment).where(Installment.id == first).values(tries=1))
    session.commit()
    assert "turned down and is tried again" in risk()
    session.execute(sa.update(Installment).where(Installment.id == first).values(state=InstallmentState.MISSED))
    session.commit()
    assert "1 payment was missed." in risk()
    assert "This plan is at risk" in plan_page(desk, world).text("main")
    second = world.installments()[1].id
    session.execute(sa.update(Installment).where(Installment.id == second).values(state=InstallmentState.PAID))
    session.commit()
    assert "At risk" not in risk()  # it is made good
    session.execute(sa.update(AccessGrant).values(revoked_at=sa.func.current_timestamp()))
    session.commit()
    assert "may not see the account any more" in risk()


def test_a_plans_page_shows_its_agreement_and_its_tries(
    desk: JudgingClient, clinic: Clinic, session: Session, world: InWeb
) -> None:
    world.enrol(method="pm_card_chargeCustomerFail")
    longest = date.fromisoformat(world.coming()[0][0]) + timedelta(days=world.policy.grace_days + 10)
    while "missed" not in world.states() and world.today < longest:
        world.later(days=1)
        world.work()
    page = plan_page(desk_again(desk, clinic), world)
    words = page.text("main")
    assert "The patient was told on" in words
    assert "Not paid" in words
    assert "Missed" in words
    session.rollback()
    (address,) = [one for one in page.links().values() if one.endswith("/agreement")]
    pdf = desk.get(address)
    assert (pdf.status_code, pdf.mimetype) == (200, "application/pdf")
    assert pdf.get_data() == session.scalars(
        sa.select(Document.content).where(Document.kind == DocumentKind.PLAN_AGREEMENT)
    ).one()
    assert audited(session, Tag.PLAN_AGREEMENT_SEEN, clinic.user_id(STAFF)) == [world.plan().public_id]


def desk_again(desk: JudgingClient, clinic: Clinic) -> JudgingClient:
    """The desk's session may have ended while days passed."""
    from tests import pages

    if desk.get("/desk/plans").status_code != 200:
        pages.sign_in(desk, STAFF, clinic.password)
    return desk


def test_why_insurance_moved_a_plan_is_seen(desk: JudgingClient, clinic: Clinic, world: InWeb) -> None:
    world.enrol()
    world.adjust(next(one for one in world.lines() if one.on_plan and one.sums.due >= Money(1_000)).charge_id, -1_000)
    world.later(hours=2)
    world.work()
    words = plan_page(desk_again(desk, clinic), world).text("main")
    assert str(CHANGES[ChangeKind.INSURANCE_MOVED]) in words
    assert "From $248.32 to $238.32" in words


def test_running_plans_a_page_at_a_time(
    desk: JudgingClient, session: Session, world: InWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enrol()
    page = desk.page("/desk/plans?list=running")
    assert "5 to come" in page.text("main")
    assert "$248.32" in page.text("main")
    assert "Nothing on this page" in desk.page("/desk/plans?list=running&page=7").text("main")
    assert desk.page("/desk/plans?list=nonsense").text("h1") == "Payment plans"
    assert "On a payment plan" in desk.page(f"/desk/accounts/{_account(session, world)}").text("main")


def _account(session: Session, world: InWeb) -> str:
    found = session.scalars(sa.select(Account.public_id).where(Account.id == world.account_id)).one()
    session.rollback()
    return found


def test_the_policy_in_force_is_a_supervisors_page(desk: JudgingClient, boss: JudgingClient, world: InWeb) -> None:
    assert desk.get("/desk/plans/policy").status_code == 404
    assert "Policy" not in desk.page("/desk/plans").links()
    words = boss.page(boss.page("/desk/plans").links()["Policy"]).text("main")
    assert "$25.00" in words
    assert "PLANS_POLICY" in words
    assert "after 3, then 5 days" in words


def test_a_posting_of_a_plan_is_told_apart_on_the_sync_page(
    desk: JudgingClient, session: Session, world: InWeb
) -> None:
    world.enrol()
    assert session.scalars(sa.select(Posting.kind)).all() == ["plan_enrolled"]
    session.rollback()
    words = desk.page("/desk/sync").text("main")
    assert "A payment plan began; moves no money" in words
    assert "$248.32" in words


@pytest.mark.parametrize(
    "address",
    [
        "/desk/plans/{0}",
        "/desk/plans/{0}/amend",
        "/desk/plans/{0}/end",
        "/desk/plan-requests/{0}",
        "/desk/accounts/{0}/propose-plan",
        "/desk/plans/{0}/changes/{0}/agreement",
    ],
)
def test_unknown_ids_are_not_there(desk: JudgingClient, world: InWeb, address: str) -> None:
    assert desk.get(address.format("0" * 32)).status_code == 404


def test_another_plans_agreement_is_not_there(desk: JudgingClient, session: Session, world: InWeb) -> None:
    world.enrol()
    change = session.scalars(sa.select(PlanChange.public_id)).one()
    plan = world.plan()
    other = Plan(
        account_id=plan.account_id,
        user_id=plan.user_id,
        state=PlanState.DECLINED,
        frequency=plan.frequency,
        day=1,
        each=Money(100),
        checked_at=plan.checked_at,
    )
    session.add(other)
    session.commit()
    assert desk.get(f"/desk/plans/{other.public_id}/changes/{change}/agreement").status_code == 404


def test_a_person_who_sees_one_patient_is_not_offered_the_others_bills(
    desk: JudgingClient, clinic: Clinic, session: Session, world: InWeb
) -> None:
    """Who pays must be able to see what is on the plan."""
    visit = session.execute(
        sa.select(Visit.patient_id, Charge.public_id)
        .join(Charge, Charge.visit_id == Visit.id)
        .where(Visit.account_id != world.account_id)
        .limit(1)
    ).one()
    session.execute(
        sa.update(AccessGrant)
        .where(AccessGrant.user_id == world.user_id, AccessGrant.account_id == world.account_id)
        .values(patient_id=visit.patient_id)
    )
    session.commit()
    page = review(desk, clinic)
    assert "can’t be on a plan of this person" in page.text("main")
    assert "Sees a part of the account only" in page.text("main")
