"""The patient's pages for autopay."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.datastructures import MultiDict

from portal.accounts.access import VisibleAccount, account_for
from portal.autopay.debts import waiting_for_the_patient
from portal.autopay.errors import AgreementChanged, AutopayRuns, MethodExpired
from portal.autopay.forms import AgreementForm, AutopayForm, StopForm
from portal.autopay.kinds import AutopayState, ChargeState
from portal.autopay.queries import active_of_account, charges_of_account, of_notice
from portal.autopay.service import start as start_autopay
from portal.autopay.service import stop as stop_autopay
from portal.autopay.words import agreement, fingerprint
from portal.db import RecordNotFound
from portal.money import Money
from portal.payments.decline import BANK, what_happened
from portal.payments.gateway import MINIMUM
from portal.payments.methods.queries import MethodRow, method_by_id, method_for, methods_of
from portal.payments.presenting import Stop
from portal.payments.returns import StoppedDebt
from portal.queue import wake
from portal.web import guards
from portal.web.context import the_day, the_settings
from portal.web.database import db
from portal.web.limits import even_uncounted, limiter

bp = Blueprint("autopay", __name__)


@bp.get("/accounts/<pid:account_id>/autopay")
@guards.own_account
def show(account_id: str) -> str:
    """Autopay of an account: on or off, what comes next, what was."""
    return _page(account_for(db.session, current_user.id, account_id), AutopayForm(formdata=None))


def _page(account: VisibleAccount, form: AutopayForm) -> str:
    autopay = active_of_account(db.session, account.id)
    mine = autopay is not None and autopay.user_id == current_user.id
    methods = methods_of(db.session, current_user.id)
    today = the_day()
    usable = [method for method in methods if not method.has_expired(today)]
    form.method.choices = [(method.public_id, method.name) for method in usable]
    if not form.method.data and usable:
        form.method.data = usable[0].public_id
    charges = charges_of_account(db.session, account.id, user_id=current_user.id)
    returned = (
        waiting_for_the_patient(db.session, autopay, user_id=current_user.id) if autopay is not None and mine else []
    )
    return render_template(
        "autopay/show.html",
        account=account,
        autopay=autopay,
        mine=mine,
        method=method_by_id(db.session, autopay.method_id) if autopay is not None and mine else None,
        reasons={
            one.public_id: what_happened(one.failure_code, method_by_id(db.session, one.method_id).kind)
            for one in charges
            if one.state is ChargeState.FAILED
        },
        returned=[(line, _why_left_out(stop)) for line, stop in returned],
        form=form,
        stop_form=StopForm(formdata=None),
        methods=usable,
        coming=next((one for one in charges if one.state in (ChargeState.NOTICED, ChargeState.CHARGING)), None),
        charges=[one for one in charges if one.state not in (ChargeState.NOTICED, ChargeState.CHARGING)],
    )


def _why_left_out(stop: StoppedDebt) -> str:
    """Why a line is left out, in words for its payer."""
    if stop.why is Stop.THRICE:
        return _("Your bank sent it back three times.")
    return what_happened(stop.last.code, BANK)


def _text(method: MethodRow, cap: Money) -> str:
    """The agreement, as it is shown and as it is kept."""
    settings = the_settings()
    return agreement(
        clinic=settings.clinic_name, phone=settings.clinic_phone, method=method.name, cap=str(cap)
    )


def _agreement_page(account: VisibleAccount, form: AgreementForm, cap: Money, *, changed: bool = False) -> str:
    """What the patient agrees to, with the method and the limit in it.

    Raises :class:`RecordNotFound` (no such method of theirs) and :class:`MethodExpired`.
    """
    method = method_for(db.session, current_user.id, form.method.data or "")
    if method.has_expired(the_day()):
        raise MethodExpired
    text = _text(method, cap)
    form.seen.data = fingerprint(text)
    return render_template(
        "autopay/agree.html", account=account, form=form, terms=text.split("\n\n"), changed=changed
    )


@bp.post("/accounts/<pid:account_id>/autopay")
@guards.own_account
@limiter.limit("30 per hour", key_func=lambda: f"user {current_user.get_id()}")
def turn_on(account_id: str) -> Any:
    """First the method and the limit, answered by the agreement; then that one, agreed to: it is on."""
    account = account_for(db.session, current_user.id, account_id)
    agreeing = "seen" in request.form
    form = AgreementForm() if agreeing else AutopayForm()
    valid = form.validate_on_submit()
    cap = form.cap.amount
    if cap is None or form.method.errors:
        return _again(account, form)
    if cap < MINIMUM:
        return _again(account, form, cap=_("The limit has to be at least %(least)s.", least=str(MINIMUM)))
    try:
        if not isinstance(form, AgreementForm):
            given = MultiDict({"method": form.method.data, "cap": form.cap.data})
            return _agreement_page(account, AgreementForm(formdata=given), cap)
        if not valid:
            return _agreement_page(account, form, cap), 422
        return _start(account, form, cap)
    except RecordNotFound:
        return _again(account, form, method=_("Choose one of your saved cards or bank accounts."))
    except MethodExpired:
        return _again(account, form, method=_("This card has expired. Choose another one."))
    except AgreementChanged:
        db.session.rollback()
        return _agreement_page(account, form, cap, changed=True), 422
    except AutopayRuns:
        flash(_("Autopay is on for this account already."), "info")
        return redirect(url_for("autopay.show", account_id=account_id))


def _start(account: VisibleAccount, form: AgreementForm, cap: Money) -> Any:
    """Turn it on with the text that was read, and no other."""

    def text(method: MethodRow) -> str:
        made = _text(method, cap)
        if form.seen.data != fingerprint(made):
            raise AgreementChanged
        return made

    start_autopay(
        db.session,
        account_id=account.id,
        user_id=current_user.id,
        method_public_id=form.method.data or "",
        cap=cap,
        agreement=text,
        language=str(get_locale() or "en"),
        address=request.remote_addr or "",
        today=the_day(),
    )
    wake("autopay.run_due")
    flash(_("Autopay is on. We have sent a copy of the agreement to your email address."), "success")
    return redirect(url_for("autopay.show", account_id=account.public_id))


def _again(account: VisibleAccount, form: AutopayForm, **wrong: str) -> tuple[str, int]:
    """The first form with what is wrong, by field."""
    db.session.rollback()
    shown = AutopayForm(formdata=MultiDict({"method": form.method.data or "", "cap": form.cap.data or ""}))
    shown.validate()
    for name, words in wrong.items():
        shown[name].errors = [words]
    return _page(account, shown), 422


@bp.post("/accounts/<pid:account_id>/autopay/stop")
@guards.own_account
def turn_off(account_id: str) -> Any:
    """One press, no questions."""
    account = account_for(db.session, current_user.id, account_id)
    autopay = active_of_account(db.session, account.id)
    if autopay is not None:
        if autopay.user_id != current_user.id:
            raise RecordNotFound("autopay")
        stop_autopay(db.session, autopay_id=autopay.id, actor_user_id=current_user.id)
        wake("notifications.send")
    flash(_("Autopay is off. Nothing more is charged by itself."), "success")
    return redirect(url_for("autopay.show", account_id=account_id))


@bp.get("/autopay/stop/<pid:notice_id>")
@guards.public
@limiter.limit("60 per hour")
def stop_notice(notice_id: str) -> str:
    """The page behind a notice's link. Opening it changes nothing: mail programs open links, too."""
    autopay, charge = of_notice(db.session, notice_id)
    return render_template(
        "autopay/stop.html",
        notice_id=notice_id,
        form=StopForm(formdata=None),
        off=autopay.state is AutopayState.STOPPED,
        charge=charge if charge.state is ChargeState.NOTICED else None,
        under_way=charge.state is ChargeState.CHARGING,
    )


@bp.post("/autopay/stop/<pid:notice_id>")
@guards.public
@limiter.limit("60 per hour")
@even_uncounted
def stop_from_notice(notice_id: str) -> Any:
    """Stop it. The link's id is known to whoever got the mail, and can do no more than this."""
    autopay, _charge = of_notice(db.session, notice_id)
    stop_autopay(db.session, autopay_id=autopay.id, actor_user_id=None, reason="notice_link")
    wake("notifications.send")
    return redirect(url_for("autopay.stop_notice", notice_id=notice_id))
