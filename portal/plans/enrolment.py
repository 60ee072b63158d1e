"""Beginning a plan: what may go on it, how it would look, and agreeing to it; and proposals of the staff."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import date, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import account_row
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.queries import Line, lines_of_account
from portal.db import new_public_id
from portal.documents.kinds import DocumentKind
from portal.documents.store import store
from portal.money import Money
from portal.payments.kinds import ConsentKind
from portal.payments.methods.consents import keep_consent
from portal.payments.methods.queries import MethodRow, method_for
from portal.payments.queries import reserved
from portal.payments.settle import lock_accounts
from portal.plans import emails
from portal.plans.changes import Standing, earliest_next, offers
from portal.plans.clause_states import clauses_for, keep_clauses
from portal.plans.conditions import Conditions
from portal.plans.coverage import joinable
from portal.plans.errors import (
    DayNotOffered,
    InstalmentTooLarge,
    InstalmentTooSmall,
    LineCannotJoin,
    MethodNotUsable,
    NoPlanPossible,
    PlanIsOver,
    PlanRuns,
    PlanTooLong,
    ReasonMissing,
    ScheduleMoved,
)
from portal.plans.kinds import ChangeKind, PlanState
from portal.plans.models import Plan, PlanLine
from portal.plans.offers import is_as_offered, make_way, open_offers, running_plan, to_be_replaced, turn_down
from portal.plans.policy import BalanceTooSmall, breaks_policy, down_payment, limits, most_payments, stricter
from portal.plans.queries import last_paid_on, months_paid, paid_down, plan_charges
from portal.plans.returned import check_method
from portal.plans.schedule import SMALLEST, Rhythm, each_for_count, lay_out, most_each
from portal.plans.standing import fingerprint, join, lay_down, note_change
from portal.plans.terms import Agreement, Terms, TermsLine
from portal.plans.words import language_now

#: Makes the words and the document of what is agreed to.
Agree = Callable[[Terms], Agreement]


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan that could be made: the lines with what each asks for, and how it would stand."""

    lines: tuple[tuple[Line, Money], ...]
    standing: Standing

    @property
    def total(self) -> Money:
        """What would be paid by it."""
        return self.standing.total

    @property
    def seen(self) -> str:
        """What a page that shows this says it has shown."""
        return fingerprint(self.standing)


def candidates(
    session: Session, account_id: int, *, user_id: int | None, conditions: Conditions, replaces: int | None = None
) -> list[tuple[Line, Money]]:
    """The lines of an account that may go on a plan, oldest first, with what each asks for.

    ``replaces`` is a plan whose lines are free again then, since it ends by the new one.
    """
    policy = conditions.policy
    freed = set() if replaces is None else set(plan_charges(session, replaces))
    lines = joinable(
        [
            replace(line, on_plan=False) if line.charge_id in freed else line
            for line in lines_of_account(session, account_id, user_id=user_id)
        ],
        reserved(session, account_id),
        least=policy.smallest_line,
    )
    return [(line, amount) for line, amount in lines if policy.may_join(line.service_on, today=conditions.today)]


def still_offered(session: Session, proposal_id: int, *, conditions: Conditions) -> list[int]:
    """The charges of an offer that may be on a plan now: without those that were paid or held since."""
    proposal = session.get_one(Plan, proposal_id)
    replaces = to_be_replaced(session, proposal.account_id)
    lines = candidates(
        session, proposal.account_id, user_id=proposal.user_id, conditions=conditions, replaces=replaces
    )
    on_offer = set(plan_charges(session, proposal_id))
    return [line.charge_id for line, _amount in lines if line.charge_id in on_offer]


def earliest_first_day(conditions: Conditions) -> date:
    """The first day on which a new plan may charge: the patient is told as long before as of any other charge."""
    return conditions.today + timedelta(days=max(1, conditions.policy.notice_days))


def draft(
    session: Session,
    account_id: int,
    *,
    user_id: int | None,
    each: Money,
    rhythm: Rhythm,
    conditions: Conditions,
    charge_ids: Collection[int] | None = None,
    exceed: bool = False,
    replaces: int | None = None,
    month_cap: Money | None = None,
) -> Draft:
    """How a plan over these lines (None: all that may) would look. Writes nothing.

    ``replaces`` is a plan that would end by it; without it that is the one in whose place an open offer stands.
    ``month_cap`` is the most that the law lets be asked of this household in a month (:func:`.policy.month_cap`).

    Raises :class:`NoPlanPossible`, :class:`LineCannotJoin`, :class:`DayNotOffered`, :class:`InstalmentTooSmall`,
    :class:`InstalmentTooLarge`, :class:`PlanTooLong` and :class:`~portal.plans.policy.LawCapsPayments`; ``exceed``
    leaves the policy's limits aside, but neither the law's nor what a card can pay.
    """
    if replaces is None:
        replaces = to_be_replaced(session, account_id)
    lines = candidates(session, account_id, user_id=user_id, conditions=conditions, replaces=replaces)
    if charge_ids is not None:
        wanted = set(charge_ids)
        lines = [(line, amount) for line, amount in lines if line.charge_id in wanted]
        if len(lines) != len(wanted):
            raise LineCannotJoin
    total = Money.total(amount for _line, amount in lines)
    policy = conditions.policy
    try:
        asked = replace(policy, smallest_balance=SMALLEST) if exceed else policy
        paid = months_paid(session, [line.charge_id for line, _amount in lines]) if month_cap is not None else 0
        allowed = limits(asked, total, rhythm.frequency, month_cap=month_cap, months_paid=paid)
    except BalanceTooSmall:
        raise NoPlanPossible from None
    if each < SMALLEST:
        raise InstalmentTooSmall(policy.minimum_instalment)
    if allowed.most_each < min(each, total):
        raise InstalmentTooLarge(allowed.most_each)
    down = down_payment(policy, total, month_cap=month_cap)
    first = earliest_first_day(conditions)
    if month_cap is not None:
        # A month in which another plan of this household took its share has no room for more.
        paid_on = last_paid_on(session, account_id)
        first = max(first, earliest_next(paid_on, rhythm.frequency, month_cap, conditions.today))
    dues = tuple(
        lay_out(
            total,
            each,
            rhythm,
            first,
            down=down,
            today=conditions.today,
            most=most_each(month_cap, rhythm.frequency),
        )
    )
    longest = most_payments(policy, total, rhythm.frequency, month_cap=month_cap, months_paid=paid)
    if month_cap is not None and policy.rule is not None and len(dues) > longest:
        raise PlanTooLong(longest, each_for_count(total, longest))
    if not exceed:
        if not offers(policy, rhythm):
            raise DayNotOffered
        if each < min(policy.minimum_instalment, allowed.most_each):
            raise InstalmentTooSmall(policy.minimum_instalment)
        if len(dues) > allowed.most + bool(down):
            raise PlanTooLong(allowed.most, allowed.least_each)
    left = {line.charge_id: amount for line, amount in lines}
    standing = Standing(
        each=min(each, total), rhythm=rhythm, unpaid=dues, left=left, month_cap=month_cap, months_paid=paid
    )
    return Draft(tuple(lines), standing)


def enrol(
    session: Session,
    *,
    account_id: int,
    user_id: int,
    charge_ids: Collection[int],
    each: Money,
    rhythm: Rhythm,
    method_public_id: str,
    seen: str,
    agree: Agree,
    language: str,
    address: str,
    conditions: Conditions,
    proposal_id: int | None = None,
    month_cap: Money | None = None,
) -> str:
    """Make the plan a person agreed to; commits, and returns its public id.

    ``seen`` is the :attr:`Draft.seen` of the page that was agreed to; ``agree`` makes the exact text and document.
    ``proposal_id`` is a proposal of the staff that this accepts: as it was offered it may exceed the policy, otherwise
    it is held to it. ``month_cap`` is the law's, as for :func:`draft`; the stricter of it and the proposal's holds.
    Raises what :func:`draft` raises, :class:`PlanRuns`, :class:`RecordNotFound` (no such method),
    :class:`MethodNotUsable` (with :class:`DebtReturned`), :class:`PlanIsOver` (the proposal was withdrawn) and
    :class:`ScheduleMoved`.
    """
    method = method_for(session, user_id, method_public_id)
    if method.has_expired(conditions.today):
        raise MethodNotUsable
    lock_accounts(session, [account_id])
    running = running_plan(session, account_id)
    proposal = None if proposal_id is None else session.get_one(Plan, proposal_id, populate_existing=True)
    if proposal is not None and (proposal.state is not PlanState.PROPOSED or proposal.user_id != user_id):
        raise PlanIsOver
    if running is not None:
        make_way(session, running, proposal, conditions)
    month_cap = stricter(month_cap, proposal.month_cap if proposal is not None else None)
    wanted = draft(
        session,
        account_id,
        user_id=user_id,
        each=each,
        rhythm=rhythm,
        conditions=conditions,
        charge_ids=charge_ids,
        exceed=proposal is not None and is_as_offered(session, proposal, charge_ids, each, rhythm),
        month_cap=month_cap,
    )
    if wanted.seen != seen:
        raise ScheduleMoved
    check_method(session, account_id, wanted.standing.left, method_id=method.id)
    for other in open_offers(session, account_id):
        if other.id != proposal_id:
            turn_down(session, other, actor_user_id=user_id, reason="overtaken")
    now = clock.now()
    plan = proposal or Plan(account_id=account_id, user_id=user_id, frequency=rhythm.frequency, day=rhythm.day)
    plan.each, plan.frequency, plan.day = wanted.standing.each, rhythm.frequency, rhythm.day
    plan.month_cap = month_cap
    plan.state, plan.method_id, plan.started_at, plan.checked_at = PlanState.ACTIVE, method.id, now, now
    session.add(plan)
    session.flush()
    if proposal is not None:  # what was proposed is agreed to anew, at today's amounts
        session.execute(sa.delete(PlanLine).where(PlanLine.plan_id == plan.id))
    join(session, plan.id, [(line.charge_id, amount, line.sums.paid) for line, amount in wanted.lines])
    dues = wanted.standing.unpaid
    lay_down(session, plan.id, [], dues, told_until=told_until(conditions))
    terms = terms_of(
        session,
        plan,
        standing=wanted.standing,
        lines=wanted.lines,
        method=method,
        change=ChangeKind.ENROLLED,
        conditions=conditions,
        replaces=running is not None,
    )
    consent_id, document_id = keep_agreement(
        session, plan, agree(terms), terms=terms, user_id=user_id, language=language, address=address
    )
    note_change(
        session,
        plan,
        kind=ChangeKind.ENROLLED,
        after=wanted.standing,
        actor_user_id=user_id,
        consent_id=consent_id,
        document_id=document_id,
    )
    public_id = plan.public_id
    session.commit()
    return public_id


def told_until(conditions: Conditions) -> date:
    """Up to which day the instalments of an agreement need no other notice: it has just told of them."""
    return conditions.today + timedelta(days=conditions.policy.notice_days)


def terms_of(
    session: Session,
    plan: Plan,
    *,
    standing: Standing,
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
        total=standing.total,
        each=standing.each,
        rhythm=standing.rhythm,
        dues=standing.unpaid,
        method_name=method.name,
        method_kind=method.kind,
        change=change,
        agreed_on=conditions.today,
        grace_days=policy.grace_days,
        notice_days=policy.notice_days,
        missed_ends_after=policy.missed_ends_after,
        skips_a_year=policy.skips_a_year,
        clauses=clauses_for(session, plan.account_id, conditions=conditions),
        month_cap=standing.month_cap,
        replaces=replaces,
        paid_down=None
        if plan.started_at is None
        else paid_down(session, plan.id, on=conditions.day_of(plan.started_at)),
    )


def keep_agreement(
    session: Session, plan: Plan, agreement: Agreement, *, terms: Terms, user_id: int, language: str, address: str
) -> tuple[int, int]:
    """Keep the consent, the law's clauses in it and the document, and queue the copy; the ids of the first and last."""
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
    emails.queue_copy(session, user_id=user_id, terms=terms, version=plan.version)
    return consent_id, document_id


def propose(
    session: Session,
    *,
    account_id: int,
    user_id: int,
    staff_user_id: int,
    charge_ids: Collection[int] | None,
    each: Money,
    rhythm: Rhythm,
    reason: str,
    is_supervisor: bool,
    conditions: Conditions,
    seen: str = "",
    public_id: str = "",
    replaces: bool = False,
    month_cap: Money | None = None,
) -> str:
    """Offer a plan to a patient, who has to agree to it; commits, and returns its public id.

    ``seen`` is the :attr:`Draft.seen` of the page on which it was checked (empty: nobody looked). ``public_id`` is the
    id that it gets: the same form sent twice offers once. With ``replaces`` it may stand in the place of a plan of the
    same payer that runs, which ends when they agree. What exceeds the policy needs a reason, and a supervisor where the
    policy says so; the law's ``month_cap`` nobody may exceed. Raises what :func:`draft` raises, :class:`PlanRuns`,
    :class:`ReasonMissing` and :class:`ScheduleMoved`.
    """
    lock_accounts(session, [account_id])
    known = sa.select(Plan.public_id).where(Plan.public_id == public_id, Plan.account_id == account_id)
    if public_id and session.scalar(known):
        session.commit()
        return public_id
    running = running_plan(session, account_id)
    if running is not None and not (replaces and running.user_id == user_id):
        raise PlanRuns
    wanted = draft(
        session,
        account_id,
        user_id=user_id,
        each=each,
        rhythm=rhythm,
        conditions=conditions,
        charge_ids=charge_ids,
        exceed=True,
        replaces=None if running is None else running.id,
        month_cap=month_cap,
    )
    if seen and wanted.seen != seen:
        raise ScheduleMoved
    broken = breaks_policy(
        conditions.policy, wanted.total, each, rhythm, wanted.standing.unpaid, month_cap=month_cap
    )
    if broken and not (reason.strip() and (is_supervisor or conditions.policy.may_exceed == "staff")):
        raise ReasonMissing
    for other in open_offers(session, account_id):
        turn_down(session, other, actor_user_id=staff_user_id, reason="overtaken")
    plan = Plan(
        public_id=public_id or new_public_id(),
        account_id=account_id,
        user_id=user_id,
        state=PlanState.PROPOSED,
        frequency=rhythm.frequency,
        day=rhythm.day,
        each=wanted.standing.each,
        month_cap=month_cap,
        proposed_by=staff_user_id,
        exceeds=reason.strip()[:300] if broken else "",
        checked_at=clock.now(),
    )
    session.add(plan)
    session.flush()
    join(session, plan.id, [(line.charge_id, amount, line.sums.paid) for line, amount in wanted.lines], mark=False)
    record(
        session,
        Tag.PLAN_PROPOSED,
        actor_user_id=staff_user_id,
        account_id=account_id,
        subject=plan.public_id,
        each_cents=plan.each.cents,
        exceeds=int(bool(broken)),
    )
    public_id = plan.public_id
    emails.queue_proposed(session, user_id=user_id, plan=public_id, plan_url=conditions.plan_url(public_id))
    session.commit()
    return public_id
