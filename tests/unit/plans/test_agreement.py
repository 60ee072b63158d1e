"""The words of the agreement: its version goes with them, and what is disclosed is true with a down payment, too."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date
from itertools import product
from typing import Any

import pytest
from flask import Flask

from portal.money import Money
from portal.plans.agreeing import agreement as words
from portal.plans.agreeing.agreement import VERSION, agreement, agreement_text
from portal.plans.kinds import ChangeKind, Frequency
from portal.plans.rules.policy import shipped_clauses
from portal.plans.rules.schedule import Due, Rhythm
from portal.plans.rules.terms import Terms, TermsLine

#: The version and what the words of it come to. Whoever changes a word gives both anew: a consent names its version.
KNOWN = ("2026-12.2", "8f3bcd861f1cd626")
TODAY = date(2026, 11, 28)


def terms(*cents: int, down: int = 0, **facts: Any) -> Terms:
    """A plan of so many installments on the 15th of each month, after a down payment today."""
    dues = [Due(TODAY, Money(down))] if down else []
    dues += [
        Due(date(2026 + (place + 11) // 12, (place + 11) % 12 + 1, 15), Money(one)) for place, one in enumerate(cents)
    ]
    total = Money.total(due.amount for due in dues)
    return replace(
        Terms(
            plan="",
            account_ref="A-1",
            payer_name="Gail Sample",
            lines=(TermsLine("Office visit", date(2026, 7, 1), "Gail Sample", total), TermsLine("", None, "", total)),
            total=total,
            each=Money(max(cents, default=0)),
            rhythm=Rhythm(Frequency.MONTHLY, 15),
            dues=tuple(dues),
            method_name="Visa ending 4242",
            method_kind="card",
            change=ChangeKind.ENROLLED,
            agreed_on=TODAY,
            grace_days=10,
            notice_days=3,
            missed_ends_after=2,
            skips_a_year=1,
            clauses=(),
        ),
        **facts,
    )


def _every_wording() -> list[Terms]:
    """Terms that bring out each sentence the agreement can have."""
    found = [
        replace(terms(*cents, down=down), method_kind=kind, replaces=replaces, month_cap=cap)
        for cents, down, kind, replaces, cap in product(
            [(), (5_000,), (5_000,) * 5, (*(5_000,) * 5, 1_234)],
            [0, 2_500],
            ["card", "us_bank_account"],
            [False, True],
            [None, Money(6_000)],
        )
    ]
    found += [terms(*(5_000,) * 5, change=change) for change in ChangeKind]
    found += [terms(5_000, clauses=shipped_clauses())]
    found += [
        terms(*(5_000,) * 5, rhythm=Rhythm(frequency, day))
        for frequency, day in ((Frequency.MONTHLY, 31), (Frequency.WEEKLY, 0), (Frequency.TWO_WEEKLY, 4))
    ]
    return found


def test_changed_words_are_a_new_version(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def keep(template: str, **data: Any) -> bytes:
        made.append([template, data])
        return b""

    monkeypatch.setattr(words, "sheet", keep)
    with app.test_request_context():
        for one in _every_wording():
            made.append(agreement(one, clinic="A clinic", phone="(555) 010-0199").text)
    found = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]
    assert (VERSION, found) == KNOWN, (
        "The agreement's words have changed: give VERSION in portal/plans/agreeing/agreement.py a new value, and write "
        f"it here with {found!r}."
    )


def disclosed(text: str) -> dict[str, str]:
    """The disclosure of an agreement by the first words of its labels."""
    (box,) = [one for one in text.split("\n\n") if "\n" in one]
    return dict(line.split(": ", 1) for line in box.split("\n"))


def test_what_is_paid_down_is_no_part_of_the_credit(app: Flask) -> None:
    with app.test_request_context():
        text = agreement_text(terms(*(5_000,) * 5, down=2_500), clinic="A clinic", phone="")
    box = disclosed(text)
    assert box["Amount financed (the amount of credit provided to you)"] == "$250.00"
    assert box["Total of payments (what you will have paid after all payments, besides the down payment)"] == "$250.00"
    assert box["Total sale price (the price of what you buy on credit, with your down payment of $25.00)"] == "$275.00"
    assert (box["Number of payments"], box["Amount of payments"]) == ("5", "5 of $50.00")
    assert box["When payments are due"].endswith("from Dec 15, 2026 to Apr 15, 2027")
    assert "Payments: Nov 28, 2026: $25.00 (down payment); Dec 15, 2026: $50.00" in text
    assert "to my card Visa ending 4242, the down payment today and the others every month on the 15th," in text


@pytest.mark.parametrize(
    ("found", "asked"),
    [
        (terms(*(5_000,) * 5), True),
        (terms(*(5_000,) * 4), False),
        (terms(*(5_000,) * 4, down=2_500), False),  # a down payment is no installment: 12 CFR 1026.2(a)(17)(i)
        (terms(*(5_000,) * 5, down=2_500), True),
        (terms(), False),
    ],
)
def test_more_than_four_installments_are_credit(app: Flask, found: Terms, asked: bool) -> None:
    assert found.needs_disclosure is asked
    with app.test_request_context():
        assert ("Truth in Lending" in agreement_text(found, clinic="A clinic", phone="")) is asked


def test_an_installment_on_the_day_of_a_change_is_no_down_payment() -> None:
    assert terms(5_000, 5_000, down=2_500).down_payment == Due(TODAY, Money(2_500))
    assert terms(5_000, 5_000, down=2_500, change=ChangeKind.DAY_MOVED).down_payment is None
    assert terms(down=2_500).down_payment is None  # all of it, at once: nothing is left to pay later


def test_what_the_law_caps_is_part_of_the_agreement(app: Flask) -> None:
    with app.test_request_context():
        capped = agreement_text(terms(2_000, 2_000, month_cap=Money(2_000)), clinic="A clinic", phone="")
        free = agreement_text(terms(2_000, 2_000), clinic="A clinic", phone="")
    assert "By law I may not be asked for more than $20.00 a month." in capped
    assert "By law" not in free
