"""Receipts on paper: what administrators of HSA and FSA accounts want, and sums that add up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from flask import Flask
from flask_babel import Babel

from portal.db import RecordNotFound
from portal.money import Money
from portal.payments.queries import AllocatedLine, Receipt
from portal.payments.receipts.documents import RefundLine, receipt_document, year_document
from portal.payments.receipts.years import bounds
from tests.unit.documents.test_render import tags_of, text_of

CLINIC: dict[str, Any] = {
    "clinic_name": "Juniper Demo Clinic",
    "clinic_phone": "(555) 010-0199",
    "timezone": "America/Chicago",
}
GAIL = AllocatedLine("Office visit", date(2026, 3, 4), "Gail Sample", Money(123450))
KIT = AllocatedLine("", None, "Kit Sample #1", Money(2550))


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    app = Flask("documents")
    Babel(app)
    with app.app_context():
        yield


def receipt(*lines: AllocatedLine, name: str = "1A2B-3C4D", **changed: Any) -> Receipt:
    facts: dict[str, Any] = {
        "public_id": "1a2b3c4d" * 4,
        "reference": name,
        "amount": Money.total(line.amount for line in lines),
        "paid_at": datetime(2026, 4, 2, 3, 5, tzinfo=UTC),
        "method": "Visa ending in 4242",
        "guarantor_name": "Gail Sample",
        "account_public_id": "0" * 32,
        "lines": list(lines),
        "posted_at": None,
        "stripe_charge_id": "ch_secret",
        **changed,
    }
    return Receipt(**facts)


def test_a_receipt_says_what_an_administrator_asks_for() -> None:
    pdf = receipt_document(receipt(GAIL, KIT), **CLINIC)
    text = text_of(pdf)
    for words in (
        "Receipt 1A2B-3C4D",
        "Provider Juniper Demo Clinic",
        "Paid by (account of) Gail Sample",
        "Paid on Apr 1, 2026, 10:05 PM",
        "Paid with Visa ending in 4242",
        "Mar 4, 2026 Gail Sample Office visit $1,234.50",
        "Not known Kit Sample #1 A charge $25.50",
        "Total paid $1,260.00",
    ):
        assert words in text
    assert "Refund" not in text
    assert "ch_secret" not in text
    assert tags_of(pdf).count("/TH") == 4


def test_a_receipt_lists_what_went_back() -> None:
    refunds = [
        RefundLine(date(2026, 5, 1), Money(1000), "AAAA-0001"),
        RefundLine(date(2026, 5, 2), Money(50), "AAAA-0002"),
    ]
    text = text_of(receipt_document(receipt(GAIL, KIT), refunds=refunds, **CLINIC))
    assert "May 1, 2026 AAAA-0001 $10.00 May 2, 2026 AAAA-0002 $0.50 Paid after refunds $1,249.50" in text


def test_a_receipt_does_not_say_paid_of_what_a_bank_took_back() -> None:
    refunds = [
        RefundLine(date(2026, 5, 1), Money(1000), "AAAA-0001"),
        RefundLine(date(2026, 5, 2), Money(123450), "DDDD-0002", by_bank=True),
    ]
    text = text_of(receipt_document(receipt(GAIL, KIT), refunds=refunds, **CLINIC))
    assert "DDDD-0002, taken back through the payer’s bank $1,234.50 Paid after what went back $15.50" in text
    year = text_of(year_document([receipt(GAIL, KIT)], year=2026, refunds=refunds, **CLINIC))
    assert "Went back $1,244.50 Paid after what went back $15.50" in year


def test_a_year_is_one_table_by_patient_that_adds_up() -> None:
    later = receipt(KIT, GAIL, name="BBBB-0002", paid_at=datetime(2026, 12, 31, 12, tzinfo=UTC), method="")
    pdf = year_document(
        [later, receipt(GAIL)],
        year=2026,
        refunds=[RefundLine(date(2027, 1, 5), Money(2550), "RRRR-0001")],
        **CLINIC,
    )
    text = text_of(pdf)
    for words in (
        "Payments in 2026",
        "Paid $2,494.50",
        "Refunded $25.50",
        "Paid after refunds $2,469.00",
        "Gail Sample: $2,469.00 Mar 4, 2026 Office visit Apr 1, 2026 1A2B-3C4D $1,234.50 "
        "Mar 4, 2026 Office visit Dec 31, 2026 BBBB-0002 $1,234.50 "
        "Kit Sample #1: $25.50 Not known A charge Dec 31, 2026 BBBB-0002 $25.50 Total paid $2,494.50",
        "Jan 5, 2027 RRRR-0001 $25.50",
    ):
        assert words in text
    assert tags_of(pdf).count("/Table") == 2


def test_a_year_begins_at_midnight_at_the_clinic() -> None:
    assert bounds(2026, timezone="America/Chicago") == (
        datetime(2026, 1, 1, 6, tzinfo=UTC),
        datetime(2027, 1, 1, 6, tzinfo=UTC),
    )
    for year in (0, 1, 9998, 10**40):
        with pytest.raises(RecordNotFound):
            bounds(year, timezone="America/Chicago")
