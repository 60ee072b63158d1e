"""The printed statement."""

from collections.abc import Sequence

from flask_babel import gettext as _

from portal.documents.qr import qr_svg
from portal.documents.sheet import sheet
from portal.statements.codes import grouped
from portal.statements.service import Ask, Draft
from portal.web.templating import day


def guest_link(base_url: str, code: str = "") -> str:
    """Where a guest pays.

    The code stands after the ``#``: browsers keep that part to themselves, so that it gets into no server's log and no
    proxy's; the page's script puts it in the field.
    """
    return f"{base_url}/guest" + (f"#{code}" if code else "")


def statement_document(draft: Draft, *, clinic_name: str, clinic_phone: str, base_url: str) -> bytes:
    """A statement as a tagged PDF, with its code in the clear. Needs an application context, for the language."""
    return sheet(
        "statements/statement",
        title=_("Statement %(number)s", number=draft.number),
        clinic_name=clinic_name,
        clinic_phone=clinic_phone,
        facts=[
            [_("For"), draft.guarantor_name],
            [_("Account"), draft.account_ref],
            [_("Date"), day(draft.issued_on)],
        ],
        due_label=_("Amount due"),
        due=str(draft.amount_due),
        due_by=_("Please pay by %(day)s", day=day(draft.due_on)),
        code_label=_("Your code to pay online"),
        code=grouped(draft.code),
        code_note=_("It works until %(day)s. Keep it to yourself.", day=day(draft.code_good_until)),
        qr=qr_svg(guest_link(base_url, draft.code)),
        qr_alt=_("QR code that opens the page to pay, with your code filled in"),
        lines_title=_("What this is for"),
        lines_head=[_("Date of service"), _("Description"), _("You owe")],
        visits=[
            [_visit_name(asks), [_row(ask) for ask in asks]]
            for asks in _by_visit(draft.asks)
        ],
        total=[_("Amount due"), str(draft.amount_due)],
        how_title=_("How to pay"),
        ways=[
            _(
                "Online without an account: point your phone’s camera at the square code above, or go to %(link)s and "
                "type your code. You will also need the date of birth of a patient on this bill.",
                link=guest_link(base_url),
            ),
            _("Online with an account: sign in at %(link)s. You can pay all or part of it there.", link=base_url),
            _("By phone: call %(phone)s.", phone=clinic_phone),
        ],
        ask_title=_("Something looks wrong, or you can’t pay it now?"),
        notes=[
            _(
                "Call us at %(phone)s or send us a message after you sign in. We will explain each charge and look "
                "for a way to pay that works for you. Your amount may have changed since this statement was printed: "
                "online you see what is due today.",
                phone=clinic_phone,
            )
        ],
    )


def _row(ask: Ask) -> list[str]:
    return [day(ask.service_on), ask.description or _("A charge"), str(ask.amount)]


def _by_visit(asks: Sequence[Ask]) -> list[list[Ask]]:
    visits: dict[str, list[Ask]] = {}
    for ask in asks:
        visits.setdefault(ask.visit, []).append(ask)
    return list(visits.values())


def _visit_name(asks: Sequence[Ask]) -> str:
    visit = asks[0]
    if visit.visit_from and visit.visit_to and visit.visit_to != visit.visit_from:
        name = _("Visit from %(first)s to %(last)s", first=day(visit.visit_from), last=day(visit.visit_to))
    elif visit.visit_from:
        name = _("Visit on %(day)s", day=day(visit.visit_from))
    else:
        name = _("Visit")
    if visit.provider:
        who = _("%(patient)s, seen by %(provider)s", patient=visit.patient, provider=visit.provider)
    else:
        who = visit.patient
    return f"{name} · {who}"
