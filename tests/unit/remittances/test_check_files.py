"""``portal check``: what an import would hold, without storing any of it; and the front office's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session

from portal.billing.checks.rules import CHECKS
from portal.billing.kinds import Check
from portal.billing.models import CheckFinding, Coverage, Estimate
from portal.cli import main
from portal.remittances.check_files import NOT_CHECKED, check_file
from portal.sandbox.clinic import remittance_files
from tests.conftest import Database
from tests.shared_data import shared_path
from tests.unit.remittances.books import claim, load, payment, remittance

Run = Callable[..., Result]

LATE = claim("V-2", member="MEM-2", paid=15, contractual=0, share=0, stated=85, other=["CAS*PR*29*85"])
MIXED = remittance(payment(claim("V-1"), LATE, paid=75))
UNBALANCED = remittance(payment(claim("V-3", paid=61), claim("V-4", member="MEM-4"), paid=121))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command without any setting: nothing of the portal is needed."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, database: Database) -> Run:
    """Run a command on the test's database."""
    monkeypatch.setenv("DATABASE_URL", database.url)
    return lambda *arguments: CliRunner().invoke(main, [str(one) for one in arguments])


def put(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_json_says_per_claim_what_was_found(run: Run, tmp_path: Path) -> None:
    result = run("check", put(tmp_path, "a.835", MIXED), "--json")
    assert result.exit_code == 0
    (told,) = json.loads(result.stdout)
    assert set(told) == {
        "file", "transactions", "quarantined", "claims", "not_checked", "totals", "held_cents"
    }  # fmt: skip
    assert [(one["claim"], [f["check"] for f in one["findings"]]) for one in told["claims"]] == [
        ("V-1", []),
        ("V-2", ["provider_fault"]),
    ]
    assert told["claims"][1]["findings"][0] == {
        "check": "provider_fault",
        "line": 1,
        "code": "99213",
        "amount_cents": 8500,
        "facts": {"reasons": "29", "payer": "Example Health Plan"},
    }
    assert (told["held_cents"], told["claims"][1]["held_cents"]) == (8500, 8500)
    assert set(told["not_checked"]) | set(told["totals"]) == {check.value for check in CHECKS}
    assert sum(told["totals"].values()) == 1


def test_people_get_a_line_for_what_was_found(run: Run, tmp_path: Path) -> None:
    result = run("check", put(tmp_path, "a.835", MIXED))
    assert "2 bills, 1 to look at" in result.stdout
    assert "V-2, line 1 (99213): provider_fault, $85.00" in result.stdout
    assert "not checked: covered_self_pay" in result.stdout


def test_exit_codes(run: Run, tmp_path: Path) -> None:
    found, fine = put(tmp_path, "a.835", MIXED), put(tmp_path, "b.835", remittance(payment(claim("V-1"), paid=60)))
    assert run("check", found).exit_code == 0
    assert run("check", found, "--fail").exit_code == 1
    assert run("check", fine, "--fail").exit_code == 0
    result = run("check", put(tmp_path, "c.835", "hello"), found, tmp_path / "none.835", "--json")
    assert result.exit_code == 2
    assert [Path(one["file"]).name for one in json.loads(result.stdout)] == ["a.835"]


def test_a_claim_that_does_not_add_up_is_a_finding_of_its_own(tmp_path: Path) -> None:
    import portal.tables  # noqa: F401

    told = check_file(put(tmp_path, "a.835", UNBALANCED))
    assert (told["transactions"], told["quarantined"]) == (1, 1)
    assert [(one["claim"], [f["check"] for f in one["findings"]]) for one in told["claims"]] == [
        ("V-3", ["math"]),
        ("V-4", []),
    ]


def test_files_and_import_find_the_same(session: Session, tmp_path: Path) -> None:
    import portal.tables  # noqa: F401

    for path in remittance_files():
        load(session, path.read_bytes(), path.name)
    query = sa.select(CheckFinding.check, sa.func.count()).group_by(CheckFinding.check)
    held = dict(session.execute(query).all())
    session.commit()
    totals: dict[Check, int] = {}
    for path in remittance_files():
        for check, count in check_file(path)["totals"].items():
            totals[Check(check)] = totals.get(Check(check), 0) + count
    # The quarantined payment is in the files only.
    assert {check: count for check, count in totals.items() if count} == {**held, Check.MATH: 1}
    assert not set(held) & set(NOT_CHECKED)


def test_every_shared_remittance_is_checked() -> None:
    """What is found is judged by hand; here, that nothing stumbles and no money is invented."""
    import portal.tables  # noqa: F401

    folder = shared_path("data/x12")
    small = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size < 20_000]
    assert small
    for path in small:
        told = check_file(path)
        for one in told["claims"]:
            assert 0 <= one["held_cents"] <= one["patient_share_cents"]


def test_the_front_offices_files_are_loaded_once(stored: Run, session: Session, tmp_path: Path) -> None:
    estimates = put(tmp_path, "e.csv", "\ufeffaccount,visit,issued_on,amount\nA-1,V-1,2026-05-01,350.00\n")
    for _ in range(2):
        result = stored("ledger", "import-estimates", estimates)
        assert (result.exit_code, "1 rows" in result.stdout) == (0, True)
    changed = put(tmp_path, "e2.csv", "account,visit,issued_on,amount\nA-1,V-1,2026-05-01,400.00\n")
    assert stored("ledger", "import-estimates", changed).exit_code == 0
    (row,) = session.scalars(sa.select(Estimate)).all()
    assert row.amount.cents == 40_000
    session.commit()


@pytest.mark.parametrize(
    "content",
    [
        b"account,given_name,family_name,payer,starts_on,ends_on\nA,B,C,Plan,2026-01-01,\nA,B,C,Plan,yesterday,\n",
        b"\xff\xfe\x00",
        b"",
    ],
)
def test_a_file_that_can_not_be_taken_stores_nothing(
    stored: Run, session: Session, tmp_path: Path, content: bytes
) -> None:
    result: Any = stored("ledger", "import-coverages", put(tmp_path, "c.csv", content))
    assert result.exit_code == 2
    assert "nothing was stored" in result.stderr
    assert session.scalar(sa.select(sa.func.count(Coverage.id))) == 0
    session.commit()
