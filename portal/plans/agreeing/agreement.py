"""The text a patient agrees to, and its document. A changed word is a new version; old ones stay as they were given.

Sources: authorization, copy and notice of preauthorized transfers, Regulation E, 12 CFR 1005.10(b) to (d); disclosures
of closed-end credit of more than four installments, Regulation Z, 12 CFR 1026.2(a)(17), 1026.17 and 1026.18.

``tests/unit/plans/test_agreement.py`` ties the version to the words.
"""

from collections.abc import Iterator

from flask_babel import gettext as _

from portal.documents.sheet import sheet
from portal.money import Money
from portal.plans.kinds import ChangeKind
from portal.plans.rules.clauses import Clause, Place
from portal.plans.rules.schedule import Due
from portal.plans.rules.terms import Agreement, Paragraph, ParagraphKind, Terms, TermsLine
from portal.plans.words import CHANGE, clause_title, language_now, rhythm_words
from portal.web.templating import day

VERSION = "2026-12.2"


def agreement(terms: Terms, *, clinic: str, phone: str) -> Agreement:
    """The exact text for these terms with its document (tagged PDF). Needs an application context, for the language."""
    return Agreement(
        text=agreement_text(terms, clinic=clinic, phone=phone),
        version=VERSION,
        document=_document(terms, clinic=clinic, phone=phone),
    )


def agreement_text(terms: Terms, *, clinic: str, phone: str) -> str:
    """What is kept as the consent: the paragraphs with an empty line between."""
    return "\n\n".join(one.text for one in paragraphs(terms, clinic=clinic, phone=phone))


def paragraphs(terms: Terms, *, clinic: str, phone: str) -> list[Paragraph]:
    """What is shown before the tick."""
    plain = [*_beginning(terms), *_what_is_paid(terms), *_promises(terms, clinic=clinic, phone=phone)]
    return [
        *(Paragraph(text) for text in plain),
        *_clause_paragraphs(terms),
        *(_disclosure_paragraphs(terms, clinic=clinic) if terms.needs_disclosure else []),
    ]


def _clause_paragraphs(terms: Terms) -> Iterator[Paragraph]:
    for clause in _standing_in(terms, Place.AGREEMENT):
        yield Paragraph(clause_title(clause), ParagraphKind.TITLE)
        for part in clause.parts(language_now()):
            foreign = part.language if part.language != language_now() else ""
            yield Paragraph(part.text, ParagraphKind.LAW, foreign)


def _standing_in(terms: Terms, place: Place) -> list[Clause]:
    return [one for one in terms.clauses if place in one.places]


def _beginning(terms: Terms) -> list[str]:
    if terms.change is ChangeKind.ENROLLED:
        return [_("This takes the place of my present payment plan, which ends.")] if terms.replaces else []
    return [_("This changes my payment plan. It replaces what I agreed to before."), str(CHANGE[terms.change])]


def _what_is_paid(terms: Terms) -> list[str]:
    if not terms.dues:
        return [_nothing_to_come()]
    return [
        _("What is on the plan: %(lines)s. Together: %(total)s.", lines=_lines(terms), total=str(terms.total)),
        _("Payments: %(dues)s.", dues="; ".join([*_down(terms), *(_dated(due) for due in terms.financed)])),
    ]


def _dated(due: Due) -> str:
    return f"{day(due.on)}: {due.amount}"


def _down(terms: Terms) -> list[str]:
    down = terms.down_payment
    return [] if down is None else [_("%(day)s: %(amount)s (down payment)", day=day(down.on), amount=str(down.amount))]


def _nothing_to_come() -> str:
    """What a plan says in the place of its payments while all of it is held, disputed or on its way."""
    return _(
        "For now there is no payment to come: what is left is on hold, with my insurer, or being paid. I am told when "
        "that changes."
    )


def _lines(terms: Terms) -> str:
    return "; ".join(
        f"{line.description or _('a charge')}" + (f" ({day(line.service_on)})" if line.service_on else "")
        + f" {line.amount}"
        for line in terms.lines
    )


def _promises(terms: Terms, *, clinic: str, phone: str) -> list[str]:
    """The paragraphs that the text and the document share."""
    method = (
        _("my bank account %(method)s", method=terms.method_name)
        if terms.method_kind == "us_bank_account"
        else _("my card %(method)s", method=terms.method_name)
    )
    return [
        _("The plan costs me nothing: no interest and no fee, also when I pay late, early or extra."),
        *_cap(terms),
        _(
            "I allow %(clinic)s to charge these payments to %(method)s, %(when)s, until the plan is paid. A payment "
            "is never more than what I still owe on these charges by its day.",
            clinic=clinic,
            method=method,
            when=_when(terms),
        ),
        _(
            "Before each payment I get an email at least %(days)s days ahead with the amount and the day. Payments of "
            "the next %(days)s days are told by this agreement and its copy. If the amount of a later bank payment is "
            "not the usual one, the email comes at least 10 days ahead.",
            days=terms.notice_days,
        ),
        _(
            "If my insurance or somebody else pays, or a charge is changed, the payments to come get fewer or "
            "smaller, and I am told why. A charge that is on hold or in dispute is left out until that is settled. "
            "What is added to a bill later is not part of the plan unless I agree to it."
        ),
        _(
            "I can stop a payment or the whole plan at any time until it is made: on the plan’s page, with the link "
            "in the email, or by calling %(phone)s. My bank must also stop a payment when I tell it at least 3 "
            "business days before.",
            phone=phone,
        ),
        _(
            "At any time I can pay early, pay extra or pay everything, move the day, ask for another amount, take a "
            "bill out or add one, ask for a pause, change the card or bank account, or end the plan. Skipped payments "
            "a year: %(skips)s.",
            skips=terms.skips_a_year,
        ),
        _(
            "If a payment does not go through, I am told and it is tried again or I choose another way to pay. A "
            "payment that is not made within %(grace)s days counts as missed, and its amount comes at the end. After "
            "%(missed)s missed payments in a row the plan ends: what is left is an ordinary bill, nothing more is "
            "charged by itself, and there is no fee.",
            grace=terms.grace_days,
            missed=terms.missed_ends_after,
        ),
        _("A copy of this is sent to my email address and stays on the plan’s page."),
    ]


def _when(terms: Terms) -> str:
    rhythm = rhythm_words(terms.rhythm)
    if not terms.pays_down_today:
        return rhythm
    return _("the down payment today and the others %(rhythm)s", rhythm=rhythm)


def _cap(terms: Terms) -> list[str]:
    if terms.month_cap is None:
        return []
    most = str(terms.month_cap)
    return [_("By law I may not be asked for more than %(most)s a month. This plan keeps to it.", most=most)]


def _disclosure(terms: Terms, *, clinic: str) -> list[tuple[str, str]]:
    """The Truth-in-Lending disclosures, label and value: 12 CFR 1026.18(a), (b), (d), (e), (g), (h), (j) to (m), (p).

    A patient's bill that its provider lets be paid in installments is a credit sale (12 CFR 1026.2(a)(16)). What is
    paid down is part of its price and no part of the credit. The itemization of (c) are the lines, beside it.
    """
    financed = str(Money.total(due.amount for due in terms.financed))
    down = terms.down_payment
    return [
        (_("Creditor"), clinic),
        (_("Annual percentage rate (the cost of your credit as a yearly rate)"), "0 %"),
        (_("Finance charge (the dollar amount the credit will cost you)"), "$0.00"),
        (_("Amount financed (the amount of credit provided to you)"), financed),
        (
            _("Total of payments (what you will have paid after all payments)")
            if down is None
            else _("Total of payments (what you will have paid after all payments, besides the down payment)"),
            financed,
        ),
        (
            _(
                "Total sale price (the price of what you buy on credit, with your down payment of %(down)s)",
                down=str(down.amount if down is not None else Money.zero()),
            ),
            str(terms.total),
        ),
        (_("Number of payments"), str(len(terms.financed))),
        (_("Amount of payments"), _amounts(terms)),
        (
            _("When payments are due"),
            _(
                "%(rhythm)s, from %(first)s to %(last)s",
                rhythm=rhythm_words(terms.rhythm),
                first=day(terms.financed[0].on),
                last=day(terms.financed[-1].on),
            ),
        ),
        (_("Late charge"), _("None")),
        (_("Prepayment"), _("If you pay early, there is no penalty.")),
        (_("Security interest"), _("None")),
        (
            _("Contract"),
            _("The rest of this agreement says what happens when a payment is missed, and how to pay early."),
        ),
    ]


def _amounts(terms: Terms) -> str:
    """``5 of $50.00, then 1 of $12.34``."""
    groups: list[tuple[int, str]] = []
    for due in terms.financed:
        if groups and groups[-1][1] == str(due.amount):
            groups[-1] = (groups[-1][0] + 1, groups[-1][1])
        else:
            groups.append((1, str(due.amount)))
    return _(", then ").join(_("%(count)s of %(amount)s", count=count, amount=amount) for count, amount in groups)


def _disclosure_paragraphs(terms: Terms, *, clinic: str) -> list[Paragraph]:
    rows = [f"{label}: {value}" for label, value in _disclosure(terms, clinic=clinic)]
    return [
        Paragraph(_("Truth in Lending disclosure"), ParagraphKind.TITLE),
        Paragraph("\n".join(rows), ParagraphKind.ROWS),
    ]


def _document(terms: Terms, *, clinic: str, phone: str) -> bytes:
    return sheet(
        "plans/agreement",
        title=_("Payment plan agreement"),
        clinic_name=clinic,
        clinic_phone=phone,
        facts=[
            [_("For"), terms.payer_name],
            [_("Account"), terms.account_ref],
            [_("Agreed on"), day(terms.agreed_on)],
            [_("Charged to"), terms.method_name],
            [_("When"), rhythm_words(terms.rhythm)],
        ],
        change=" ".join([*_beginning(terms), *([] if terms.dues else [_nothing_to_come()])]),
        disclosure_title=_("Truth in Lending disclosure"),
        disclosure=[[label, value] for label, value in _disclosure(terms, clinic=clinic)]
        if terms.needs_disclosure
        else [],
        pays=bool(terms.dues),
        schedule_title=_("Your payments"),
        schedule_head=[_("Number"), _("Day"), _("Amount")],
        schedule=[["", _schedule(terms)]],
        total=[_("Total"), str(terms.total)],
        lines_title=_("What is on the plan"),
        lines_head=[_("Date of service"), _("Description"), _("Amount")],
        lines=[["", [_row(line) for line in terms.lines]]],
        promises_title=_("What you agreed to"),
        promises=_promises(terms, clinic=clinic, phone=phone),
        clauses=[
            {
                "title": clause_title(clause),
                "parts": [{"language": one.language, "text": one.text} for one in clause.parts(language_now())],
            }
            for clause in _standing_in(terms, Place.DOCUMENT)
        ],
    )


def _schedule(terms: Terms) -> list[list[str]]:
    """Number, day and amount of each payment; a down payment has no number, since the disclosure does not count it."""
    down = terms.down_payment
    first = [] if down is None else [[_("Down payment"), day(down.on), str(down.amount)]]
    return [*first, *([str(place), day(due.on), str(due.amount)] for place, due in enumerate(terms.financed, start=1))]


def _row(line: TermsLine) -> list[str]:
    return [day(line.service_on), line.description or _("A charge"), str(line.amount)]
