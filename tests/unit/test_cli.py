"""The commands: what they print, and what their exit codes say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session

import portal.app
from portal.audit.models import AuditEvent
from portal.audit.tags import Tag
from portal.billing.kinds import EntryKind
from portal.billing.models import Entry
from portal.billing.service import NewEntry, write_entries
from portal.cli import main
from portal.config import Settings
from portal.money import Money
from portal.payments.errors import StripeUnreachable
from portal.payments.gateway import StripeGateway
from portal.remittances.models import RemittanceFile
from portal.web.database import db
from tests.conftest import Database
from tests.unit.remittances.books import StripeWith, claim, payment, remittance

GOOD = remittance(payment(claim("V-1"), paid=60))
UNBALANCED = remittance(payment(claim("V-2", member="MEM-2", paid=61), paid=61, trace="EFT-2"))
INSPECTED = {
    "file",
    "interchanges",
    "transactions",
    "claims",
    "service_lines",
    "charge_cents",
    "paid_cents",
    "patient_responsibility_cents",
    "adjustment_cents",
    "quarantined",
    "errors",
}

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """``run("x12", "inspect", path)`` on the test's database, with a Stripe that took nothing."""
    env = {
        field.name.upper(): str(getattr(settings, field.name))
        for field in fields(settings)
        if isinstance(getattr(settings, field.name), str)
    }
    made: list[Any] = []
    create = portal.app.create_app

    def create_app(*args: Any, **facts: Any) -> Any:
        made.append(create(*args, **facts))
        return made[-1]

    monkeypatch.setattr(portal.app, "create_app", create_app)
    monkeypatch.setattr(portal.app, "open_queue", lambda **_where: None)
    monkeypatch.setattr(StripeGateway, "from_settings", classmethod(lambda _cls, _settings: StripeWith()))

    def act(*args: str | Path) -> Result:
        return CliRunner().invoke(main, [str(arg) for arg in args], env=env)

    yield act
    for app in made:
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good file, one that does not balance, and one that is no 835."""
    (tmp_path / "good.835").write_bytes(GOOD)
    (tmp_path / "unbalanced.835").write_bytes(UNBALANCED)
    (tmp_path / "letter.txt").write_text("Dear Anna,\nthis is no remittance.\n")
    return tmp_path


def test_help_lists_the_commands() -> None:
    for flag in ("--help", "-h"):
        result = CliRunner().invoke(main, [flag])
        assert result.exit_code == 0
        for command in ("migrate", "worker", "ledger", "x12", "reconcile", "trace", "routes", "demo", "demo-reset"):
            assert f"\n  {command} " in result.output
    single = ["trace"], ["reconcile"], ["routes"], ["migrate"], ["demo"]
    for words in (["ledger", "import-835"], ["x12", "inspect"], *single):
        result = CliRunner().invoke(main, [*words, "--help"])
        assert (result.exit_code, "Usage:" in result.output) == (0, True)


def test_inspect_prints_one_array_and_stores_nothing(folder: Path) -> None:
    """It needs no settings and no database."""
    paths = [str(folder / "good.835"), str(folder / "unbalanced.835")]
    result = CliRunner().invoke(main, ["x12", "inspect", *paths, "--json"], env={"DATABASE_URL": ""})
    assert (result.exit_code, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert [set(one) for one in told] == [INSPECTED, INSPECTED]
    assert [one["file"] for one in told] == paths
    good, unbalanced = told
    assert {name: good[name] for name in ("interchanges", "transactions", "claims", "service_lines")} == {
        "interchanges": 1,
        "transactions": 1,
        "claims": 1,
        "service_lines": 1,
    }
    assert (good["charge_cents"], good["paid_cents"], good["patient_responsibility_cents"]) == (10000, 6000, 1500)
    assert good["adjustment_cents"] == {"CO": 2500, "PR": 1500}
    assert (good["quarantined"], unbalanced["quarantined"] != []) == ([], True)
    assert {frozenset(one) for one in unbalanced["quarantined"]} == {
        frozenset({"transaction", "claim", "reason", "difference_cents"})
    }


def test_inspect_of_nothing_good_is_still_an_array(folder: Path) -> None:
    result = CliRunner().invoke(main, ["x12", "inspect", str(folder / "letter.txt"), "--json"])
    assert (result.exit_code, json.loads(result.stdout)) == (2, [])


@pytest.mark.parametrize("words", [("x12", "inspect"), ("ledger", "import-835")])
@pytest.mark.parametrize("bad", ["letter.txt", "missing.835", "."])
def test_what_cannot_be_read_is_one_line_and_the_others_go_through(
    run: Run, folder: Path, words: tuple[str, str], bad: str
) -> None:
    (folder / "empty.835").write_bytes(b"")
    result = run(*words, folder / bad, folder / "good.835", "--json")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{folder / bad}: ")
    assert "Traceback" not in lines[0]
    assert [one["transactions"] for one in json.loads(result.stdout)] == [1]


def test_import_stores_and_tells(run: Run, folder: Path, session: Session) -> None:
    result = run("ledger", "import-835", folder / "good.835", folder / "unbalanced.835")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "good.835: 1 transactions, 1 loaded (1 claims)" in result.stdout
    assert "unbalanced.835: 1 transactions, 0 loaded (0 claims), 0 known already, 1 quarantined" in result.stdout
    assert "-$1.00" in result.stdout.replace("−", "-")
    entries = session.execute(sa.select(sa.func.count()).select_from(Entry)).scalar_one()
    session.commit()
    again = run("ledger", "import-835", folder / "good.835")
    assert (again.exit_code, "nothing changed" in again.stdout) == (0, True)
    assert session.execute(sa.select(sa.func.count()).select_from(Entry)).scalar_one() == entries
    assert session.execute(sa.select(sa.func.count()).select_from(RemittanceFile)).scalar_one() == 2
    session.commit()


def test_a_command_without_paths_says_how_it_is_used(run: Run) -> None:
    for words in (("x12", "inspect"), ("ledger", "import-835")):
        result = run(*words)
        assert (result.exit_code, "Usage:" in result.stderr) == (2, True)


def test_reconcile_says_by_its_exit_code_whether_the_books_agree(run: Run, folder: Path, session: Session) -> None:
    run("ledger", "import-835", folder / "good.835")
    result = run("reconcile", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    figures = ("mirror_cents", "ledger_cents", "captures_cents", "stripe_cents", "difference_cents")
    assert [told["total"][name] for name in figures] == [1500, 1500, 0, 0, 0]
    assert [[row[name] for name in figures] for row in told["accounts"]] == [[1500, 1500, 0, 0, 0]]

    account_id, charge_id = session.execute(sa.select(Entry.account_id, Entry.charge_id).limit(1)).one()
    stray = NewEntry(account_id, charge_id, EntryKind.PATIENT_PAYMENT, Money(0), Money(-1), "payment", "stray")
    write_entries(session, [stray])
    session.commit()
    result = run("reconcile", "--json")
    assert (result.exit_code, json.loads(result.stdout)["total"]["difference_cents"]) == (1, 1)
    plain = run("reconcile")
    assert (plain.exit_code, "Accounts that differ" in plain.stdout) == (1, True)
    assert "--since all" in plain.stdout  # what was not asked is said
    everything = json.loads(run("reconcile", "--json", "--since", "all").stdout)
    assert (everything["since"], everything["total"]) == (None, json.loads(result.stdout)["total"])
    wrong = run("reconcile", "--since", "yesterday")
    assert (wrong.exit_code, "2026-11-30" in wrong.stderr) == (2, True)


def test_reconcile_that_could_not_ask_says_so(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    def away(*_args: Any, **_facts: Any) -> None:
        raise StripeUnreachable("APIConnectionError")

    monkeypatch.setattr("portal.ledger.reconcile.reconcile", away)
    result = run("reconcile", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing was compared" in result.stderr


@pytest.mark.parametrize("words", [["worker"], ["reconcile"]])
def test_bad_settings_are_told_all_at_once(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # away from a demo, whose settings are taken where there are none
    env = dict.fromkeys(("DATABASE_URL", "SECRET_KEY", "BASE_URL", "SMTP_URL", "STRIPE_SECRET_KEY", "MAIL_FROM"), "")
    result = CliRunner().invoke(main, words, env=env)
    assert (result.exit_code, result.stdout) == (1, "")
    assert [name for name in env if name not in result.stderr] == []
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [["migrate"], ["ledger", "import-835", "a.835"]])
def test_what_needs_a_database_only_asks_for_no_more(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words, env={"DATABASE_URL": "", "SECRET_KEY": ""})
    assert (result.exit_code, result.stdout, "DATABASE_URL" in result.stderr) == (1, "", True)


@pytest.mark.parametrize("words", [["migrate"], ["ledger", "import-835", "a.835"]])
def test_what_touches_the_database_only_needs_no_more_than_its_address(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words, env={"DATABASE_URL": ""})
    assert (result.exit_code, result.stdout) == (1, "")
    assert "DATABASE_URL is not set" in result.stderr
    assert "SECRET_KEY" not in result.stderr
    Path("a.835").write_bytes(GOOD)
    url = {"DATABASE_URL": f"sqlite:///{tmp_path / 'own.sqlite'}"}
    assert "portal migrate" in CliRunner().invoke(main, ["ledger", "import-835", "a.835"], env=url).stderr
    assert CliRunner().invoke(main, ["migrate"], env=url).exit_code == 0
    done = CliRunner().invoke(main, ["ledger", "import-835", "a.835"], env=url)
    assert (done.exit_code, "1 loaded" in done.stdout) == (0, True)


def test_routes_are_listed_without_any_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["routes", "--guards", "--json"], env={"DATABASE_URL": ""})
    assert {"rule", "methods", "endpoint", "guard"} == set(json.loads(result.stdout)[0])


def test_migrate_goes_down_and_up(run: Run, database: Database, engine: sa.Engine) -> None:
    assert run("migrate", "--down", "base").exit_code == 0
    assert set(sa.inspect(engine).get_table_names()) == {"alembic_version"}
    assert run("migrate").exit_code == 0
    assert "entry" in sa.inspect(engine).get_table_names()


def test_trace_tells_an_account_a_visit_and_names_what_there_is_none_of(run: Run, folder: Path) -> None:
    assert run("ledger", "import-835", folder / "good.835").exit_code == 0
    result = run("trace", "V-1", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert (told["of"], told["account"]["ref"]) == ("account", "V-1")
    assert (told["due_cents"], told["billed_cents"]) == (1500, 10000)
    (line,) = told["visits"][0]["lines"]
    assert [(step["kind"], step["amount_cents"], step["running_cents"]) for step in line["steps"]] == [
        ("charge", 10000, 10000),
        ("adjustment", -2500, 7500),
        ("insurer_payment", -6000, 1500),
        ("share_moved", 0, 1500),
    ]
    assert {step["source"]["file"] for step in line["steps"]} == {"good.835"}
    assert json.loads(run("trace", told["account"]["public_id"], "--visit", "V-1", "--json").stdout)["of"] == "visit"
    text = run("trace", "V-1").stdout
    for words in ("Billed", "$100.00", "Your coinsurance (PR-2), your part $15.00", "file good.835", "You owe"):
        assert words in text
    for words, missing in ((["trace", "V-9"], "account"), (["trace", "V-1", "--visit", "V-9"], "visit"),
                           (["trace", "V-1", "--statement", "2026-1"], "statement")):  # fmt: skip
        result = run(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"there is no such {missing}" in result.stderr
    assert run("trace", "V-1", "--visit", "V-1", "--statement", "x").exit_code == 2


def test_trace_is_audited(run: Run, folder: Path, session: Session) -> None:
    run("ledger", "import-835", folder / "good.835")
    run("trace", "V-1")
    (event,) = session.scalars(sa.select(AuditEvent).where(AuditEvent.tag == Tag.ACCOUNT_SEEN))
    assert (event.actor_user_id, event.facts) == (None, {"by": "command"})
