"""The page after sign-in: what is due, and where to go. Composition only."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from flask_babel import get_locale
from flask_login import current_user

from portal.accounts.access import VisibleAccount, account_for, accounts_of
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.autopay.queries import ChargeRow, running
from portal.billing.checks.run import findings_of_visit, is_checked
from portal.billing.checks.words import tell_checks
from portal.billing.queries import (
    VisitSummary,
    entries_of_visit,
    hold_reasons,
    lines_of_account,
    lines_of_visit,
    summary,
    visit_for,
    visits_of_account,
)
from portal.billing.story.picture import picture, split_of
from portal.billing.story.visit_lines import visit_lines
from portal.billing.story.words import why_held
from portal.codes.queries import wording
from portal.messages.queries import threads_about_visit, unread_answers
from portal.money import Money
from portal.payments.progress import waiting_for
from portal.payments.queries import reserved
from portal.payments.service import left_to_pay
from portal.plans.notices import HomeNotice, notice_at_home
from portal.plans.queries import Outlook, PlanRow, open_plans, outlooks
from portal.refunds.queries import PatientRefund, refunds_on_account
from portal.statements.queries import accounts_with_statements
from portal.web import guards
from portal.web.context import the_day, the_settings
from portal.web.database import begin_writing, db

bp = Blueprint("home", __name__)


@dataclass(frozen=True, slots=True)
class HomeAccount:
    """An account with what it comes to."""

    account: VisibleAccount
    visits: Sequence[VisitSummary]
    due: Money
    payable: Money
    with_insurer: Money
    on_hold: Money
    on_plan: Money
    processing: Money
    has_statements: bool
    autopay_on: bool
    autopay_charge: ChargeRow | None
    plan: PlanRow | None
    outlook: Outlook | None
    refunds: Sequence[PatientRefund]

    @property
    def plan_notice(self) -> HomeNotice | None:
        """What is said about its payment plan."""
        return notice_at_home(
            state=self.plan.state if self.plan else None,
            need=self.plan.need if self.plan else None,
            left=self.outlook.left if self.outlook else None,
            on_plan=self.on_plan,
        )

    @property
    def credit(self) -> Money:
        """What is owed to the patient beside what is planned to go back."""
        planned = Money.total(one.amount for one in self.refunds if one.is_credit and (one.planned or one.returned))
        return max(Money.zero(), -self.due - planned)


@bp.get("/")
@guards.signed_in
def start() -> Any:
    """Home; staff go to their desk."""
    if guards.is_staff():
        return redirect(url_for("staff.inbox"))
    printed = accounts_with_statements(db.session, current_user.id)
    autopays = running(db.session, current_user.id)
    plans = open_plans(db.session, current_user.id)
    outlook = outlooks(db.session, [plan.id for plan in plans.values()])
    accounts = [
        _home_account(account, printed, autopays, plans, outlook)
        for account in accounts_of(db.session, current_user.id)
    ]
    return render_template(
        "home/start.html",
        accounts=accounts,
        several_payable=sum(1 for one in accounts if one.payable) > 1,
        waiting=waiting_for(db.session, current_user.id),
        unread=unread_answers(db.session, current_user.id),
        today=the_day(),
    )


def _home_account(
    account: VisibleAccount,
    printed: Container[int],
    autopays: Mapping[int, ChargeRow | None],
    plans: Mapping[int, PlanRow],
    outlook: Mapping[int, Outlook],
) -> HomeAccount:
    plan = plans.get(account.id)
    visible = lines_of_account(db.session, account.id, user_id=current_user.id)
    visits = visits_of_account(db.session, account.id, user_id=current_user.id, lines_at_hand=visible)
    held = reserved(db.session, account.id)
    return HomeAccount(
        account=account,
        visits=visits,
        due=Money.total(visit.due for visit in visits),
        payable=Money.total(line.amount for line in left_to_pay(visible, held)),
        with_insurer=Money.total(visit.with_insurer for visit in visits),
        on_hold=Money.total(visit.on_hold for visit in visits),
        on_plan=Money.total(visit.on_plan for visit in visits),
        processing=Money.total(held[line.charge_id] for line in visible if line.charge_id in held),
        has_statements=account.id in printed,
        autopay_on=account.id in autopays,
        autopay_charge=autopays.get(account.id),
        plan=plan,
        outlook=outlook.get(plan.id) if plan is not None else None,
        refunds=refunds_on_account(db.session, account.id, current_user.id, timezone=the_settings().clinic_timezone),
    )


@bp.get("/visits/<pid:visit_id>")
@guards.own_account
def visit(visit_id: str) -> str:
    """One visit with each of its charges, what is on its way for them, and the questions about it."""
    begin_writing()  # who saw what is audited
    found = visit_for(db.session, visit_id, user_id=current_user.id)
    account = account_for(db.session, current_user.id, found.account_public_id)
    lines = lines_of_visit(db.session, found.id)
    entries = entries_of_visit(db.session, found.id)
    held = reserved(db.session, account.id)
    processing = {line.charge_id: held[line.charge_id] for line in lines if line.charge_id in held}
    refunds = refunds_on_account(
        db.session,
        account.id,
        current_user.id,
        timezone=the_settings().clinic_timezone,
        charge_ids=[line.charge_id for line in lines],
    )
    threads = threads_about_visit(db.session, found.id, user_id=current_user.id)
    language, codes = str(get_locale() or "en"), [line.code for line in lines]
    checks, current = tell_checks(findings_of_visit(db.session, found.id)), is_checked(db.session, account.id)
    record(db.session, Tag.VISIT_SEEN, actor_user_id=current_user.id, account_id=account.id, subject=visit_id)
    db.session.commit()
    return render_template(
        "billing/visit.html",
        visit=found,
        account=account,
        summary=summary(found, lines),
        picture=picture(split_of(entries)),
        payable=Money.total(line.amount for line in left_to_pay(lines, held)),
        on_its_way=Money.total(processing.values()),
        processing=processing,
        lines=visit_lines(lines, entries, language=language, wording=wording(db.session, codes, language)),
        threads=threads,
        checks=checks,
        is_checked=current,
        holds=hold_reasons(db.session, [line.charge_id for line in lines if line.held]),
        why_held=why_held,
        refunds=refunds,
        plan=open_plans(db.session, current_user.id).get(account.id),
        today=the_day(),
        as_of=account.mirrored_at,
    )
