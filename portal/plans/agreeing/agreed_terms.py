"""What somebody agrees to, as facts, and keeping that they did."""

from collections.abc import Callable, Collection
from datetime import date, timedelta

from sqlalchemy.orm import Session

from portal.accounts.service import account_row
from portal.billing.queries import Line
from portal.documents.kinds import DocumentKind
from portal.documents.store import store
from portal.money import Money
from portal.payments.kinds import ConsentKind
from portal.payments.methods.consents import keep_consent
from portal.payments.methods.queries import MethodRow
from portal.plans import emails
from portal.plans.agreeing.clause_states import clauses_for, keep_clauses
from portal.plans.kinds import ChangeKind
from portal.plans.models import Plan
from portal.plans.queries import paid_down
from portal.plans.rules.changes import ScheduleState
from portal.plans.rules.conditions import Conditions
from portal.plans.rules.terms import Agreement, Terms, TermsLine
from portal.plans.words import language_now

#: Makes the words and the document of what is agreed to.
Agree = Callable[[Terms], Agreement]


def told_until(conditions: Conditions) -> date:
    """Up to which day the installments of an agreement need no other notice: it has just told of them."""
    return conditions.today + timedelta(days=conditions.policy.notice_days)


def terms_of(
    session: Session,
    plan: Plan,
    *,
    schedule: ScheduleState,
    lines: Collection[tuple[Line, Money]],
    method: MethodRow,
    change: ChangeKind,
    conditions: Conditions,
    replaces: bool = False,
) -> Terms:
    """What somebody agrees to, as facts. ``replaces`` says that it takes the place of a plan that runs."""
    account, policy = account_row(session, plan.account_id), conditions.policy
    return Terms(
        plan=plan.public_id or "",
        account_ref=account.ref,
        payer_name=account.guarantor_name,
        lines=tuple(
            TermsLine(line.description, line.service_on, line.patient_name, amount) for line, amount in lines
        ),
        total=schedule.total,
        each=schedule.each,
        rhythm=schedule.rhythm,
        dues=schedule.unpaid,
        method_name=method.name,
        method_kind=method.kind,
        change=change,
        agreed_on=conditions.today,
        grace_days=policy.grace_days,
        notice_days=policy.notice_days,
        missed_ends_after=policy.missed_ends_after,
        skips_a_year=policy.skips_a_year,
        clauses=clauses_for(session, plan.account_id, conditions=conditions),
        month_cap=schedule.month_cap,
        replaces=replaces,
        paid_down=None
        if plan.started_at is None
        else paid_down(session, plan.id, on=conditions.day_of(plan.started_at)),
    )


def keep_agreement(
    session: Session,
    plan: Plan,
    agreement: Agreement,
    *,
    version: int,
    terms: Terms,
    user_id: int,
    language: str,
    address: str,
) -> tuple[int, int]:
    """Keep the consent, the law's clauses in it and the document, and queue the copy; the ids of the first and last.

    ``version`` is the one that the plan has once what is agreed to is written.
    """
    consent_id = keep_consent(
        session,
        user_id=user_id,
        kind=ConsentKind.PLAN,
        version=agreement.version,
        language=language,
        text=agreement.text,
        address=address,
        subject=plan.public_id,
    )
    keep_clauses(session, consent_id, terms.clauses, language=language_now())
    document_id = store(
        session, kind=DocumentKind.PLAN_AGREEMENT, content=agreement.document, account_id=plan.account_id
    )
    emails.queue_copy(session, user_id=user_id, terms=terms, version=version)
    return consent_id, document_id
