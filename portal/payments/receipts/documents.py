"""Receipts as PDF: one payment's, and a calendar year's.

A receipt says what administrators of HSA and FSA accounts ask for: who was treated, by whom, when, what for, how much,
and that it was paid (IRS Publication 969: a statement of an independent third party that the expense was incurred, and
its amount).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from flask_babel import gettext as _

from portal.clock import day_at
from portal.documents.sheet import sheet
from portal.money import Money
from portal.payments.queries import AllocatedLine, Receipt
from portal.web.templating import day, moment

_PaidLine = tuple[Receipt, AllocatedLine]


@dataclass(frozen=True, slots=True)
class RefundLine:
    """Money that went back: the day at the clinic, how much (positive), what to quote for it, and whether the payer's
    bank took it (a dispute) rather than we gave it.
    """

    refunded_on: date
    amount: Money
    reference: str
    by_bank: bool = False


def receipt_document(
    receipt: Receipt,
    *,
    clinic_name: str,
    clinic_phone: str,
    timezone: str,
    refunds: Sequence[RefundLine] = (),
) -> bytes:
    """The receipt of one payment as a tagged PDF. It prints every line of ``receipt``: whoever reads the receipt from
    the database decides which those are. Needs an application context, for the language.
    """
    kept = receipt.amount - Money.total(refund.amount for refund in refunds)
    return sheet(
        "payments/receipt",
        title=_("Receipt %(reference)s", reference=receipt.reference),
        clinic_name=clinic_name,
        clinic_phone=clinic_phone,
        lead=_("%(clinic)s received this payment. Thank you.", clinic=clinic_name),
        facts=[
            [_("Amount paid"), str(receipt.amount)],
            [_("Paid on"), moment(receipt.paid_at, timezone=timezone)],
            [_("Paid with"), receipt.method or _("Card")],
            [_("Reference"), receipt.reference],
            [_("Paid by (account of)"), receipt.guarantor_name],
            [_("Provider"), clinic_name],
        ],
        lines_title=_("What was paid for"),
        lines_head=[_("Date of service"), _("Patient"), _("Description"), _("Amount")],
        lines=[
            [_day(line), line.patient_name, line.description or _("A charge"), str(line.amount)]
            for line in receipt.lines
        ],
        total=[_("Total paid"), str(Money.total(line.amount for line in receipt.lines))],
        **_refunds(refunds, kept),
        notes=[
            _(
                "You can send this receipt to the administrator of your health savings account (HSA) or flexible "
                "spending account (FSA), and keep it for your taxes."
            )
        ],
    )


def year_document(
    receipts: Sequence[Receipt],
    *,
    year: int,
    clinic_name: str,
    clinic_phone: str,
    timezone: str,
    refunds: Sequence[RefundLine] = (),
) -> bytes:
    """All receipts of a calendar year in one table by patient, oldest first, with what was paid, refunded and kept.

    ``refunds`` are those of these payments, whenever they were made. Needs an application context.
    """
    paid = Money.total(line.amount for receipt in receipts for line in receipt.lines)
    refunded = Money.total(refund.amount for refund in refunds)
    by_patient: dict[str, list[_PaidLine]] = {}
    for receipt in sorted(receipts, key=lambda one: (one.paid_at, one.reference)):
        for line in receipt.lines:
            by_patient.setdefault(line.patient_name, []).append((receipt, line))
    return sheet(
        "payments/year",
        title=_("Payments in %(year)s", year=str(year)),
        clinic_name=clinic_name,
        clinic_phone=clinic_phone,
        lead=_(
            "What was paid to %(clinic)s from January 1 to December 31, %(year)s, by the day of the payment.",
            clinic=clinic_name,
            year=str(year),
        ),
        facts=[
            [_("Paid by (account of)"), ", ".join(sorted({receipt.guarantor_name for receipt in receipts}))],
            [_("Provider"), clinic_name],
            [_("Paid"), str(paid)],
            [_("Went back") if _by_bank(refunds) else _("Refunded"), str(refunded)],
            [_kept_words(refunds), str(paid - refunded)],
        ],
        lines_title=_("What was paid for"),
        lines_head=[_("Date of service"), _("Description"), _("Paid on"), _("Receipt"), _("Amount")],
        patients=[
            [
                _("%(patient)s: %(amount)s", patient=patient, amount=str(_sum(rows))),
                [
                    [
                        _day(line),
                        line.description or _("A charge"),
                        day(day_at(receipt.paid_at, timezone)),
                        receipt.reference,
                        str(line.amount),
                    ]
                    for receipt, line in rows
                ],
            ]
            for patient, rows in sorted(by_patient.items())
        ],
        total=[_("Total paid"), str(paid)],
        **_refunds(refunds, paid - refunded),
        notes=[
            _(
                "You can send this list to the administrator of your health savings account (HSA) or flexible spending "
                "account (FSA), and keep it for your taxes. Each payment also has a receipt of its own."
            )
        ],
    )


def _sum(rows: Sequence[_PaidLine]) -> Money:
    return Money.total(line.amount for _receipt, line in rows)


def _day(line: AllocatedLine) -> str:
    return day(line.service_on) or _("Not known")


def _refunds(refunds: Sequence[RefundLine], kept: Money) -> dict[str, list[list[str]] | list[str] | str]:
    by_bank = _by_bank(refunds)
    return {
        "refunds_title": _("What went back") if by_bank else _("Refunds"),
        "refunds_head": [_("Day") if by_bank else _("Refunded on"), _("Reference"), _("Amount")],
        "refunds": [[day(refund.refunded_on), _reference(refund), str(refund.amount)] for refund in refunds],
        "kept": [_kept_words(refunds), str(kept)],
    }


def _by_bank(refunds: Sequence[RefundLine]) -> bool:
    return any(refund.by_bank for refund in refunds)


def _kept_words(refunds: Sequence[RefundLine]) -> str:
    return str(_("Paid after what went back") if _by_bank(refunds) else _("Paid after refunds"))


def _reference(refund: RefundLine) -> str:
    if not refund.by_bank:
        return refund.reference
    return str(_("%(reference)s, taken back through the payer’s bank", reference=refund.reference))
