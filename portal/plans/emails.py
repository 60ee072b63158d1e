"""What plans write to people: amounts, days, and what to do. Nothing else."""

from collections.abc import Sequence
from datetime import date

from flask_babel import format_date
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.auth.queries import email_of
from portal.money import Money
from portal.notifications.service import moments_of, queue_email
from portal.plans.kinds import ChangeKind, Need
from portal.plans.rules.clauses import Place
from portal.plans.rules.schedule import Due
from portal.plans.rules.terms import Terms
from portal.plans.unsent import notice_keys
from portal.plans.words import CHANGE, clause_title, language_now, rhythm_words


def _day(day: date) -> str:
    return str(format_date(day, "MMMM d, y"))


def _send(session: Session, *, user_id: int, key: str, subject: str, paragraphs: Sequence[str]) -> None:
    queue_email(
        session,
        key=f"plan/{key}",
        to=email_of(session, user_id),
        subject=subject,
        body="\n\n".join(paragraph for paragraph in paragraphs if paragraph),
    )


def _look(plan_url: str) -> str:
    return _("Your plan is here, after you sign in:\n%(url)s", url=plan_url)


def queue_copy(session: Session, *, user_id: int, terms: Terms, version: int) -> None:
    """The copy of the authorization that Regulation E asks for, without what the charges are for."""
    dues = "\n".join(f"{_day(due.on)}: {due.amount}" for due in terms.dues)
    _send(
        session,
        user_id=user_id,
        key=f"{terms.plan}/copy/{version}",
        subject=_("Your payment plan agreement"),
        paragraphs=[
            _("This is a copy of what you agreed to."),
            str(CHANGE[terms.change]),
            _what_you_pay(terms),
            dues,
            _(
                "A payment is never more than what you still owe by its day. You get an email before each one; for "
                "those of the next %(days)s days this is it. You can stop a payment or the plan at any time on the "
                "plan’s page, with the link in that email, or by phone; your bank must also stop one when you tell it "
                "at least 3 business days before. The full agreement is on the plan’s page.",
                days=terms.notice_days,
            ),
            *_clauses(terms),
        ],
    )


def _clauses(terms: Terms) -> list[str]:
    """The law's own words that stand in the agreement's copy, too; they say nothing about anybody."""
    return [
        text
        for clause in terms.clauses
        if Place.MAIL in clause.places
        for text in (clause_title(clause), *(part.text for part in clause.parts(language_now())))
    ]


def _what_you_pay(terms: Terms) -> str:
    if not terms.dues:
        return _("For now there is no payment to come: what is left is on hold, with your insurer, or being paid.")
    down, later = terms.down_payment, Money.total(due.amount for due in terms.financed)
    many = {"total": str(later), "count": len(terms.financed), "method": terms.method_name}
    sentence = (
        _("You pay %(total)s in one payment, by %(method)s.", **many)
        if len(terms.financed) == 1
        else _("You pay %(total)s in %(count)s payments, %(rhythm)s, by %(method)s.",
               rhythm=rhythm_words(terms.rhythm), **many)
    )  # fmt: skip
    today = _("You pay %(amount)s today.", amount=str(down.amount)) if down and terms.pays_down_today else ""
    return f"{today} {sentence} {_('It costs you nothing: no interest, no fee.')}".strip()


def queue_notice(
    session: Session,
    *,
    user_id: int,
    installment: str,
    amount: Money,
    on: date,
    plan_url: str,
    stop_url: str,
    varies: bool,
) -> None:
    """An installment is coming: how much, when, and how to stop it."""
    first, again = notice_keys(installment, on, amount)
    known = moments_of(session, keys=[f"plan/{first}"])
    _send(
        session,
        user_id=user_id,
        # One that was raised after it was told of is told of again, for the same day too.
        key=again if known else first,
        subject=_("Payment plan: %(amount)s on %(day)s", amount=str(amount), day=_day(on)),
        paragraphs=[
            _("The next payment of your plan is %(amount)s on %(day)s.", amount=str(amount), day=_day(on)),
            _("It is not the usual amount.") if varies else "",
            _("If you owe less by then, less is charged."),
            _(
                "To stop it, open this link and press the button. You don’t need to sign in:\n%(url)s",
                url=stop_url,
            ),
            _look(plan_url),
        ],
    )


def queue_failed(
    session: Session,
    *,
    user_id: int,
    installment: str,
    amount: Money,
    attempt: int,
    decision: str,
    retry_on: date | None,
    missed_on: date,
    plan_url: str,
) -> None:
    """A charge did not go through: what happens next, and what to do by when."""
    if decision == "retry" and retry_on is not None:
        what = _(
            "We will try again on %(day)s. You don’t have to do anything, if the money is there by then.",
            day=_day(retry_on),
        )
    elif decision == "confirm":
        what = _(
            "Your bank wants you to confirm the payment yourself. Sign in and press “Pay the next one now” by %(day)s.",
            day=_day(missed_on),
        )
    else:
        what = _(
            "This card or bank account can’t be used any more for it. Sign in and choose another one by %(day)s. Until "
            "then nothing is charged.",
            day=_day(missed_on),
        )
    _send(
        session,
        user_id=user_id,
        key=f"{installment}/failed/{attempt}",
        subject=_("A payment of your plan did not go through"),
        paragraphs=[
            _("We could not charge %(amount)s for your payment plan. You have not been charged.", amount=str(amount)),
            what,
            _("There is no fee."),
            _look(plan_url),
        ],
    )


def queue_method_needed(
    session: Session,
    *,
    user_id: int,
    installment: str,
    amount: Money,
    missed_on: date,
    plan_url: str,
    returned: bool = False,
) -> None:
    """The saved method is gone, or sent a debt back for good (``returned``): another one is needed."""
    if returned:
        what = _(
            "A payment of %(amount)s is due, and the bank account of your plan sent an earlier payment back. Nothing "
            "was charged, and we will not charge it to that account again by ourselves. Please sign in and choose "
            "another card or bank account by %(day)s, or pay it yourself.",
            amount=str(amount),
            day=_day(missed_on),
        )
    else:
        what = _(
            "A payment of %(amount)s is due, and the card or bank account of your plan was removed. Nothing was "
            "charged. Please sign in and choose another one by %(day)s.",
            amount=str(amount),
            day=_day(missed_on),
        )
    _send(
        session,
        user_id=user_id,
        key=f"{installment}/method-needed",
        subject=_("Your payment plan needs another way to pay"),
        paragraphs=[what, _look(plan_url)],
    )


def queue_missed(
    session: Session,
    *,
    user_id: int,
    installment: str,
    amount: Money,
    missed_in_row: int,
    ends_after: int,
    need: Need,
    plan_url: str,
) -> None:
    """An installment was missed: what it means, what the plan waits for, and what would end it."""
    more = ends_after - missed_in_row
    what_to_do = {
        Need.METHOD: _(
            "Your card or bank account can’t be used any more for the plan. Sign in and choose another one: until then "
            "nothing is charged, and the next payment would be missed, too."
        ),
        Need.CONFIRMATION: _(
            "Your bank wants you to confirm a payment yourself. Sign in and press “Pay the next one now”: until then "
            "nothing is charged, and the next payment would be missed, too."
        ),
    }
    _send(
        session,
        user_id=user_id,
        key=f"{installment}/missed",
        subject=_("A payment of your plan was missed"),
        paragraphs=[
            _(
                "A payment of %(amount)s was not made in time. It now comes at the end of your plan. There is no fee, "
                "and nothing else is due sooner.",
                amount=str(amount),
            ),
            what_to_do.get(need, ""),
            _("If the next one is missed, too, the plan ends and what is left becomes an ordinary bill.")
            if more == 1
            else _(
                "If %(more)s more in a row are missed, the plan ends and what is left becomes an ordinary bill.",
                more=more,
            ),
            _("If money is tight, you can lower the amount or ask for a pause. Or call us: we will find a way."),
            _look(plan_url),
        ],
    )


def queue_stopped(session: Session, *, user_id: int, plan: str, left: Money) -> None:
    """The plan ended after missed installments."""
    _send(
        session,
        user_id=user_id,
        key=f"{plan}/stopped",
        subject=_("Your payment plan has ended"),
        paragraphs=[
            _(
                "Several payments in a row were missed, so your payment plan has ended. We will not charge your saved "
                "card or bank account for it any more, and there is no fee."
            ),
            _("What is left, %(left)s, is an ordinary bill again.", left=str(left)),
            _("Please call us or sign in: you can pay it, set up another plan, or ask about financial help."),
        ],
    )


def queue_reshaped(
    session: Session,
    *,
    user_id: int,
    plan: str,
    version: int,
    kind: ChangeKind,
    before: Sequence[Due],
    after: Sequence[Due],
    plan_url: str,
) -> None:
    """What is due moved, and the installments with it: why, and how they are now."""
    was = Money.total(due.amount for due in before)
    _send(
        session,
        user_id=user_id,
        key=f"{plan}/changed/{version}",
        subject=_("Your payment plan has changed"),
        paragraphs=[
            str(CHANGE[kind]),
            _before(len(before), was),
            _to_come(after),
            _look(plan_url),
        ],
    )


def _to_come(dues: Sequence[Due]) -> str:
    total = Money.total(due.amount for due in dues)
    if not dues:
        return _("For now there is no payment to come.")
    if len(dues) == 1:
        return _("There is one payment to come: %(amount)s on %(day)s.", amount=str(total), day=_day(dues[0].on))
    return _(
        "There are %(count)s payments to come, together %(total)s. The next is %(amount)s on %(day)s, the last is "
        "%(last)s on %(last_day)s.",
        count=len(dues),
        total=str(total),
        amount=str(dues[0].amount),
        day=_day(dues[0].on),
        last=str(dues[-1].amount),
        last_day=_day(dues[-1].on),
    )


def _before(count: int, total: Money) -> str:
    if not count:
        return ""
    if count == 1:
        return _("Before, one payment of %(total)s was to come.", total=str(total))
    return _("Before, %(count)s payments of together %(total)s were to come.", count=count, total=str(total))


def queue_paid_off(session: Session, *, user_id: int, plan: str) -> None:
    """Nothing is left."""
    _send(
        session,
        user_id=user_id,
        key=f"{plan}/paid-off",
        subject=_("Your payment plan is paid off"),
        paragraphs=[_("Your payment plan is paid off. Nothing more is charged for it. Thank you.")],
    )


def queue_charges_stopped(session: Session, *, user_id: int, plan: str, version: int, plan_url: str) -> None:
    """The charges were stopped by the link in a notice: what that means, and how they go on."""
    _send(
        session,
        user_id=user_id,
        key=f"{plan}/charges-stopped/{version}",
        subject=_("The charges of your payment plan are stopped"),
        paragraphs=[
            _("Somebody stopped them with the link in our email. Nothing is charged until you go on with the plan."),
            _("What is left stays yours to pay, and nothing is due sooner. There is no fee."),
            _("To continue, sign in and press “Continue the plan”."),
            _look(plan_url),
        ],
    )


def queue_canceled(session: Session, *, user_id: int, plan: str, by_staff: bool) -> None:
    """The plan was ended as somebody asked."""
    first = _("The billing office has ended your payment plan.") if by_staff else _("You ended your payment plan.")
    _send(
        session,
        user_id=user_id,
        key=f"{plan}/canceled",
        subject=_("Your payment plan has ended"),
        paragraphs=[
            first,
            _(
                "We will not charge your saved card or bank account for it any more. A payment that was already sent "
                "to "
                "your bank can’t be called back by us. What is left are ordinary bills: sign in to see and pay them, "
                "or "
                "to set up another plan."
            ),
        ],
    )


def queue_proposed(session: Session, *, user_id: int, plan: str, plan_url: str) -> None:
    """The staff offer a plan."""
    _send(
        session,
        user_id=user_id,
        key=f"{plan}/proposed",
        subject=_("A payment plan for you"),
        paragraphs=[
            _(
                "The billing office offers you a payment plan. It begins only if you agree to it. Sign in to see the "
                "payments and to say yes or no:\n%(url)s",
                url=f"{plan_url}/offer",
            )
        ],
    )


def _how_it_stands(after: Sequence[Due], *, granted: bool, stays: bool) -> str:
    if not granted:
        return _("It goes on as it is.")
    return _("Nothing is charged until it goes on.") if stays else _to_come(after)


def queue_request_decided(
    session: Session,
    *,
    user_id: int,
    request: str,
    granted: bool,
    until: date,
    after: Sequence[Due],
    stays: bool,
    plan_url: str,
) -> None:
    """The staff answered a request for a pause, and how the plan stands by it. Their own words are on the page only.

    ``stays`` says that the plan was stopped, or paused for longer, before they did.
    """
    said = (
        _("We agreed to the pause you asked for. Your plan is stopped or paused for longer already, and stays so.")
        if granted and stays
        else _("Your payment plan is paused until %(day)s. Nothing is charged before then.", day=_day(until))
        if granted
        else _("We could not pause your payment plan. The reason, and what else is possible, is on the plan’s page.")
    )
    _send(
        session,
        user_id=user_id,
        key=f"request/{request}",
        subject=_("About the pause you asked for"),
        paragraphs=[said, _how_it_stands(after, granted=granted, stays=stays), _look(plan_url)],
    )
