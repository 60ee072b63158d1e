"""An import holds accounts in the order in which everybody else does."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.accounts.service import account_row
from portal.payments import settle
from portal.remittances import load_claim
from tests.unit.remittances.books import claim, load, payment, remittance


def test_accounts_are_held_in_the_order_of_their_ids_and_not_of_the_file(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = claim("V-1", family="SAMPLESON", given="ANNA", member="MEM-1")
    bert = claim("V-2", family="EXAMPLE", given="BERT", member="MEM-2")
    load(session, remittance(payment(anna, bert, paid=120)))
    held: list[int] = []

    def noted(at: Session, account_id: int, *, lock: bool = False) -> Any:
        if lock and account_id not in held:
            held.append(account_id)
        return account_row(at, account_id, lock=lock)

    for module in (load_claim, settle):
        monkeypatch.setattr(module, "account_row", noted)
    carl = claim("V-3", family="NEWMAN", given="CARL", member="MEM-3")
    report = load(
        session, remittance(payment(carl, bert, anna, paid=180, trace="EFT-2"), control="000000010"), name="b.835"
    )
    assert report.loaded == 1
    known = list(session.scalars(sa.select(Account.id).order_by(Account.id)))
    session.commit()
    assert held == known
    assert len(known) == 3
