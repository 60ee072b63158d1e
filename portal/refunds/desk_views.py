"""Giving money back: asking, deciding, and dealing with what did not arrive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.audit.seen import age, note_seen
from portal.audit.tags import Tag
from portal.disputes.queries import disputed
from portal.money import Money
from portal.payments.allocate import Part
from portal.queue import wake
from portal.refunds import queries, service
from portal.refunds.calendar import there_by
from portal.refunds.credits import credits_without_payment
from portal.refunds.desk_forms import (
    REASONS,
    DecideForm,
    HandleForm,
    RefundForm,
    RefuseForm,
    WithdrawForm,
    what_to_do,
    why_failed,
)
from portal.refunds.errors import (
    AmountAboveLeft,
    AmountNotPositive,
    LineNotRefundable,
    NothingLeft,
    NotRefundable,
    OwnRequest,
    PaymentDisputed,
    TooLate,
)
from portal.refunds.parts import LeftLine, left_lines
from portal.refunds.settle import ASKED_AGAIN
from portal.refunds.state import RefundReason
from portal.web import guards
from portal.web.context import is_supervisor, the_day, the_settings
from portal.web.database import db
from portal.web.desk import bp
from portal.web.paging import PER_PAGE, Page, asked_page, offset


def _limit() -> Money:
    return Money(the_settings().refund_approval_cents)


@bp.get("/refunds")
@guards.staff
def refunds() -> str:
    """The worklist: what wants somebody, what is planned, what was done."""
    chosen = request.args.get("list", "todo")
    if chosen not in ("todo", "scheduled", "recent"):
        chosen = "todo"
    number = asked_page()
    first = offset(number)
    lists = {
        name: queries.refunds_listed(
            db.session,
            name,
            limit=PER_PAGE if chosen in ("todo", name) else 0,
            offset=first if chosen == name else 0,
        )
        for name in queries.LISTS
    }
    credits = credits_without_payment(db.session)
    counts = {
        "todo": lists["failed"][1] + lists["approval"][1] + len(credits),
        "scheduled": lists["scheduled"][1],
        "recent": lists["recent"][1],
    }
    return render_template(
        "staff/refunds.html",
        chosen=chosen,
        counts=counts,
        lists={name: rows for name, (rows, _total) in lists.items()},
        totals={name: total for name, (_rows, total) in lists.items()},
        credits=credits if chosen == "todo" else [],
        page=Page(number, counts[chosen] if chosen != "todo" else 0),
        reasons=REASONS,
        why_failed=why_failed,
        what_to_do=what_to_do,
        age=age,
    )


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A part of a refund as the form's second page shows it."""

    line: LeftLine
    amount: Money
    held: bool


def _planned(lines: Sequence[LeftLine], parts: Sequence[Part], reason: RefundReason) -> list[PlannedPart]:
    """Each part with its line, and whether the line will be on hold: money is due on it again, and nobody has decided
    that it is asked for.
    """
    by_charge = {line.charge_id: line for line in lines}
    return [
        PlannedPart(
            by_charge[part.charge_id],
            part.amount,
            reason not in ASKED_AGAIN and by_charge[part.charge_id].due + part.amount > Money.zero(),
        )
        for part in parts
    ]


def _wanted(form: RefundForm, lines: Sequence[LeftLine]) -> dict[str, Any]:
    """What was chosen, as the service takes it."""
    if form.choice.data == "lines":
        chosen = set(form.lines.data or ())
        ids = {line.charge_id for line in lines if line.public_id in chosen}
        # A charge that is not of this payment must not be left out silently.
        return {"charge_ids": ids if len(ids) == len(chosen) else {-1}}
    return {"amount": form.amount.amount if form.choice.data == "amount" else None}


def _explain(form: RefundForm, error: Exception) -> None:
    """Put what is in the way beside what it is about."""
    match error:
        case AmountAboveLeft():
            form.amount.errors = [_("At most %(amount)s of this payment can go back.", amount=str(error.most))]
        case AmountNotPositive():
            form.amount.errors = [_("Write an amount above zero.")]
        case LineNotRefundable():
            form.lines.errors = [_("Nothing is left of this payment on one of these charges. Choose again.")]
        case PaymentDisputed():
            form.form_errors.append(_("The patient’s bank has called this payment back. It decides first."))
        case _:
            form.form_errors.append(_("There is nothing left of this payment to give back."))


_IN_THE_WAY = (
    AmountAboveLeft,
    AmountNotPositive,
    LineNotRefundable,
    PaymentDisputed,
    NothingLeft,
    NotRefundable,
)


@bp.route("/payments/<pid:payment_id>/refund", methods=["GET", "POST"])
@guards.staff
def new_refund(payment_id: str) -> Any:
    """Ask for a refund: what and why, then a page that says exactly what will happen, then it is written down."""
    payment = queries.refundable_payment(db.session, payment_id)
    lines = left_lines(db.session, payment.id)
    form = RefundForm()
    form.token.data = form.refund_id
    is_disputed = disputed(db.session, payment.id)
    if form.validate_on_submit() and "change" not in request.form:
        reason = RefundReason(form.reason.data)
        try:
            if "confirmed" in request.form:
                answer = _write(form, payment, lines, reason)
                if answer is not None:
                    return answer
                lines = left_lines(db.session, payment.id)
            elif is_disputed:
                raise PaymentDisputed
            parts = service.choose_parts(lines, **_wanted(form, lines))
        except _IN_THE_WAY as error:
            db.session.rollback()
            _explain(form, error)
        else:
            total = Money.total(part.amount for part in parts)
            changed = "confirmed" in request.form
            form.seen.data = str(total.cents)
            return render_template(
                "staff/refund_confirm.html",
                payment=payment,
                form=form,
                parts=_planned(lines, parts, reason),
                amount=total,
                reason=REASONS[reason],
                must_ask=service.needs_approval(db.session, payment.id, total, _limit()),
                limit=_limit(),
                there_by=there_by(the_day()),
                changed=changed,
            )
    elif "change" in request.form:
        for field in form:
            field.errors = []
    page = {
        "payment": payment,
        "form": form,
        "lines": [line for line in lines if line.amount],
        "left": Money.total(line.amount for line in lines),
        "refunds": queries.refunds_of(db.session, payment_id),
        "disputed": is_disputed,
        "limit": _limit(),
        "reasons": REASONS,
    }
    if request.method == "GET":
        note_seen(Tag.ACCOUNT_SEEN, account_id=payment.account_id, subject=payment.public_id)
    return render_template("staff/refund_form.html", **page)


def _write(
    form: RefundForm, payment: queries.RefundablePayment, lines: Sequence[LeftLine], reason: RefundReason
) -> Any:
    """Write the refund down and go to its page; None when it would be another amount than the one that was shown."""
    refund = service.request_refund(
        db.session,
        payment_public_id=payment.public_id,
        actor=current_user.id,
        reason=reason,
        note=(form.note.data or "").strip(),
        today=the_day(),
        limit=_limit(),
        public_id=form.refund_id,
        **_wanted(form, lines),
    )
    if str(refund.amount.cents) != form.seen.data:
        db.session.rollback()
        return None
    must_ask, public_id = refund.needs_approval, refund.public_id
    db.session.commit()
    if must_ask:
        flash(_("The refund waits for a supervisor. Nothing is sent before that."), "info")
    else:
        wake("refunds.send_due")
        flash(_("The refund is being sent."), "success")
    return redirect(url_for("staff.refund", refund_id=public_id))


@bp.get("/refunds/<pid:refund_id>")
@guards.staff
def refund(refund_id: str) -> str:
    """One refund: all that is known of it, and what can be done now."""
    return _refund_page(refund_id)


def _refund_page(
    refund_id: str,
    *,
    refuse_form: RefuseForm | None = None,
    withdraw_form: WithdrawForm | None = None,
    handle_form: HandleForm | None = None,
) -> str:
    row = queries.refund_by_public_id(db.session, refund_id)
    page = {
        "refund": row,
        "lines": queries.lines_of_refund(db.session, row.id),
        "mine": row.requested_by == current_user.id,
        "supervisor": is_supervisor(),
        "disputed": disputed(db.session, row.payment_id),
        "today": the_day(),
        "decide_form": DecideForm(formdata=None),
        # Three forms with a note stand on one page: their fields need ids of their own.
        "refuse_form": refuse_form or RefuseForm(formdata=None, prefix="refuse"),
        "withdraw_form": withdraw_form or WithdrawForm(formdata=None, prefix="withdraw"),
        "handle_form": handle_form or HandleForm(formdata=None, prefix="handle"),
        "reasons": REASONS,
        "why_failed": why_failed,
        "what_to_do": what_to_do,
        "there_by": there_by,
        "age": age,
    }
    note_seen(Tag.ACCOUNT_SEEN, account_id=queries.account_of_refund(db.session, row.id), subject=row.public_id)
    return render_template("staff/refund.html", **page)


def _act(refund_id: str, act: Callable[[], Any], done: str) -> Any:
    """Do something with a refund and go back to its page with words for how it went."""
    try:
        act()
    except OwnRequest:
        db.session.rollback()
        flash(_("You asked for this refund, so somebody else has to decide."), "warning")
    except TooLate:
        db.session.rollback()
        flash(_("This refund has moved on meanwhile. Nothing was changed."), "info")
    except PaymentDisputed:
        db.session.rollback()
        flash(_("The patient’s bank has called this payment back. It decides first. Nothing was changed."), "warning")
    except NotRefundable:
        db.session.rollback()
        flash(_("The money is not with us any more. Refuse or withdraw this refund."), "warning")
    else:
        db.session.commit()
        wake("refunds.send_due")
        flash(done, "success")
    return redirect(url_for("staff.refund", refund_id=refund_id))


@bp.post("/refunds/<pid:refund_id>/approve")
@guards.supervisor
def approve_refund(refund_id: str) -> Any:
    """A second person says yes."""
    if not DecideForm().validate_on_submit():
        return redirect(url_for("staff.refund", refund_id=refund_id))
    return _act(
        refund_id,
        lambda: service.approve(db.session, public_id=refund_id, actor=current_user.id, today=the_day()),
        _("Approved. It is sent on its day."),
    )


@bp.post("/refunds/<pid:refund_id>/refuse")
@guards.supervisor
def refuse_refund(refund_id: str) -> Any:
    """A second person says no, and why."""
    form = RefuseForm(prefix="refuse")
    if not form.validate_on_submit():
        return _refund_page(refund_id, refuse_form=form)
    return _act(
        refund_id,
        lambda: service.refuse(
            db.session, public_id=refund_id, actor=current_user.id, note=(form.note.data or "").strip()
        ),
        _("Refused. No money is sent."),
    )


@bp.post("/refunds/<pid:refund_id>/withdraw")
@guards.staff
def withdraw_refund(refund_id: str) -> Any:
    """Take a refund back that was not sent yet."""
    form = WithdrawForm(prefix="withdraw")
    if not form.validate_on_submit():
        return _refund_page(refund_id, withdraw_form=form)
    return _act(
        refund_id,
        lambda: service.withdraw(
            db.session, public_id=refund_id, actor=current_user.id, note=(form.note.data or "").strip()
        ),
        _("Withdrawn. No money is sent."),
    )


@bp.post("/refunds/<pid:refund_id>/send-today")
@guards.staff
def send_refund_today(refund_id: str) -> Any:
    """Do not wait for its day."""
    if not DecideForm().validate_on_submit():
        return redirect(url_for("staff.refund", refund_id=refund_id))
    return _act(
        refund_id,
        lambda: service.send_today(db.session, public_id=refund_id, actor=current_user.id, today=the_day()),
        _("The refund is being sent."),
    )


@bp.post("/refunds/<pid:refund_id>/handle")
@guards.staff
def handle_refund(refund_id: str) -> Any:
    """Somebody has dealt with a refund that did not arrive."""
    form = HandleForm(prefix="handle")
    if not form.validate_on_submit():
        return _refund_page(refund_id, handle_form=form)
    return _act(
        refund_id,
        lambda: service.handle(
            db.session, public_id=refund_id, actor=current_user.id, note=(form.note.data or "").strip()
        ),
        _("Noted. It is off the list."),
    )
