"""Which ledger the portal speaks to, and a ledger that posts its own remittances."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.orm import Session

from portal.app import create_app
from portal.cli import main
from portal.config import BadSettings, Settings
from portal.ledger import registry
from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.adapters.embedded.models import LedgerTransaction
from portal.ledger.port import RemittanceLedger
from portal.ledger.registry import LEDGERS, UnknownLedger, open_ledger, remittance_ledger
from portal.remittances.service import import_stream
from tests.unit.remittances.books import accounts, claim, payment, remittance
from tests.unit.test_config import GOOD, faults_of

BILL = remittance(payment(claim("V-1"), paid=60))


class PostsItsOwn:
    """A back office that takes remittances in itself; nothing else is asked of it here."""

    def __init__(self, session: Session) -> None:
        self.session = session


def test_the_embedded_ledger_is_the_default_and_takes_remittances(session: Session) -> None:
    name = Settings.from_env(GOOD).ledger
    assert isinstance(open_ledger(name, session), EmbeddedLedger)
    assert isinstance(remittance_ledger(name, session), RemittanceLedger)


def test_a_name_that_no_adapter_has_is_refused_with_those_there_are(session: Session) -> None:
    assert faults_of(LEDGER="epic") == []  # who opens the ledger knows which there are
    with pytest.raises(BadSettings) as refused:
        create_app(replace(Settings.from_env(GOOD), ledger="epic"))
    result = CliRunner().invoke(main, ["ledger", "import-835", "a.835"], env={**GOOD, "LEDGER": "epic"})
    with pytest.raises(UnknownLedger):
        open_ledger("epic", session)
    for told in (str(refused.value), result.stderr):
        assert "LEDGER" in told
        assert all(name in told for name in LEDGERS)
    assert result.exit_code == 1


def test_a_ledger_that_posts_its_own_remittances_is_told_of_none(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "LEDGERS", {"own": PostsItsOwn})
    import_stream(session, BytesIO(BILL), "a.835", ledger=remittance_ledger("own", session))
    written = session.scalar(sa.select(sa.func.count(LedgerTransaction.id)))
    mirrored = accounts(session)
    assert (written, len(mirrored)) == (0, 1)
    monkeypatch.undo()
    other = remittance(payment(claim("V-2"), paid=60, trace="EFT-2"), control="000000010")
    import_stream(session, BytesIO(other), "b.835", ledger=remittance_ledger("embedded", session))
    assert session.scalar(sa.select(sa.func.count(LedgerTransaction.id))) == 1
