"""The console script ``portal``: commands of a few lines that call services."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from portal.explain_commands import COMMANDS as EXPLAIN_COMMANDS
from portal.opening import (
    open_app,
    open_session,
    progress_on_terminal,
    read_database_url,
    read_ledger_name,
    read_settings,
)
from portal.sandbox.commands import COMMANDS as SANDBOX_COMMANDS


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="plainbill", prog_name="portal")
def main() -> None:
    """Plainbill: the patient billing portal."""


@main.command()
@click.option("--down", "revision", default=None, help="Go back to this revision instead of up to the newest.")
def migrate(revision: str | None) -> None:
    """Bring the database to the newest schema."""
    from portal.migrate import downgrade, upgrade

    url = read_database_url()
    downgrade(url, revision) if revision else upgrade(url)
    click.echo("The database is up to date." if not revision else f"The database is at {revision}.")


@main.command()
def worker() -> None:
    """Run the jobs: events, postings, emails, sweeps. Any number of workers may run."""
    from portal import worker as workers
    from portal.app import create_app
    from portal.config import BadSettings
    from portal.schema import MayNotRun

    settings = read_settings()
    try:
        workers.run(create_app(settings), settings)
    except (BadSettings, MayNotRun) as error:
        raise click.ClickException(str(error)) from None


@main.group()
def ledger() -> None:
    """Exchange with the back-office ledger."""


@ledger.command("import-835")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON array with an object per file.")
def import_835(paths: tuple[Path, ...], as_json: bool) -> None:
    """Import 835 remittance files. The same file twice changes nothing.

    Exit code 2 when a file can't be read or is not an 835; the other files are imported all the same.
    """
    from portal.ledger.registry import remittance_ledger
    from portal.remittances.service import import_stream
    from portal.remittances.x12.errors import NotA835

    failed, told, named = False, [], read_ledger_name()
    with open_session() as session:
        for path in paths:
            try:
                with path.open("rb") as stream, progress_on_terminal(path.name) as step:
                    report = import_stream(
                        session,
                        stream,
                        path.name,
                        ledger=remittance_ledger(named, session),
                        progress=lambda so_far: step(so_far.transactions),
                    )
            except (NotA835, OSError) as error:
                failed = True
                click.echo(f"{path}: {_reason(error)}", err=True)
                continue
            told.append(report)
            if not as_json:
                _tell_import(report)
    if as_json:
        click.echo(json.dumps([_import_json(report) for report in told], indent=2))
    sys.exit(2 if failed else 0)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return getattr(error, "reason", None) or str(error)


def _tell_import(report: Any) -> None:
    if report.already_imported:
        click.echo(f"{report.file}: imported before, nothing changed")
        return
    click.echo(
        f"{report.file}: {report.transactions} transactions, {report.loaded} loaded ({report.claims} claims), "
        f"{report.duplicates} known already, {report.quarantined} quarantined"
    )
    for reason in report.reasons:
        click.echo(f"  quarantined {reason.transaction}: {reason.place}: {reason.reason} ({reason.difference})")
    for error in report.errors:
        click.echo(f"  note: {error}")


def _import_json(report: Any) -> dict[str, Any]:
    return {
        "file": report.file,
        "already_imported": report.already_imported,
        "transactions": report.transactions,
        "loaded": report.loaded,
        "duplicates": report.duplicates,
        "quarantined": [
            {
                "transaction": reason.transaction,
                "place": reason.place,
                "reason": reason.reason,
                "difference_cents": reason.difference.cents,
            }
            for reason in report.reasons
        ],
        "claims": report.claims,
        "errors": report.errors,
    }


def _front_office(kind: str, path: Path) -> None:
    """Exit code 2 when the file can't be read or a row can't be taken; then nothing is stored."""
    from portal.billing.checks.front_office import BadRow, import_rows

    try:
        with open_session() as session, path.open(encoding="utf-8-sig", newline="") as lines:
            rows = import_rows(session, kind, lines)
            session.commit()
    except (BadRow, OSError, UnicodeDecodeError) as error:
        click.echo(f"{path}: {_reason(error)}; nothing was stored", err=True)
        sys.exit(2)
    click.echo(f"{path}: {rows} rows. Their bills are checked again.")


@ledger.command("import-estimates")
@click.argument("path", type=click.Path(path_type=Path))
def import_estimates(path: Path) -> None:
    """Load good-faith estimates: a CSV file with account, visit, issued_on, amount. Exit code 2 when it can't be."""
    _front_office("estimates", path)


@ledger.command("import-coverages")
@click.argument("path", type=click.Path(path_type=Path))
def import_coverages(path: Path) -> None:
    """Load coverages: CSV with account, given_name, family_name, payer, starts_on, ends_on (empty: still active).

    The payer is written as its remittances write it. Exit code 2 when the file can't be loaded.
    """
    _front_office("coverages", path)


@ledger.command("import-desk-payments")
@click.argument("path", type=click.Path(path_type=Path))
def import_desk_payments(path: Path) -> None:
    """Load what was paid at the front desk: CSV with account, visit, reference, paid_on, amount.

    Exit code 2 when the file can't be loaded.
    """
    _front_office("desk-payments", path)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON (otherwise a line per claim that failed).")
@click.option("--fail", is_flag=True, help="Exit code 1 when anything was found.")
def check(paths: tuple[Path, ...], as_json: bool, fail: bool) -> None:
    """Run the safety checks over 835 files; nothing is stored.

    Checks whose facts are not in remittances (estimates, other coverages, credits) are listed as not checked. Exit
    code 2 when a file can't be read or is not an 835; else 0 whatever was found, or 1 with --fail.
    """
    import portal.tables  # noqa: F401  the files are loaded into tables in memory
    from portal.remittances.check_files import check_file
    from portal.remittances.x12.errors import NotA835

    failed, checked = False, []
    for path in paths:
        try:
            checked.append(check_file(path))
        except (NotA835, OSError) as error:
            failed = True
            click.echo(f"{path}: {_reason(error)}", err=True)
    if as_json:
        click.echo(json.dumps(checked, indent=2))
    else:
        for one in checked:
            _tell_checked(one)
    found = any(claim["findings"] for one in checked for claim in one["claims"])
    sys.exit(2 if failed else int(fail and found))


def _tell_checked(one: Any) -> None:
    bad = [claim for claim in one["claims"] if claim["findings"]]
    click.echo(f"{one['file']}: {len(one['claims'])} bills, {len(bad)} to look at")
    for claim in bad:
        for found in claim["findings"]:
            line = f"line {found['line']}" + (f" ({found['code']})" if found["code"] else "")
            facts = ", ".join(f"{name} {value}" for name, value in found["facts"].items() if value != "")
            click.echo(f"  {claim['claim']}, {line}: {found['check']}, ${found['amount_cents'] / 100:,.2f}; {facts}")
    click.echo(f"  not checked: {', '.join(one['not_checked'])}")


@main.group()
def x12() -> None:
    """Look into X12 files without storing anything."""


@x12.command("inspect")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON (otherwise a line per file).")
def inspect(paths: tuple[Path, ...], as_json: bool) -> None:
    """Count and total 835 files; nothing is stored."""
    from portal.remittances.x12.errors import NotA835
    from portal.remittances.x12.inspect import inspect_file

    failed, found = False, []
    for path in paths:
        try:
            found.append(inspect_file(path))
        except (NotA835, OSError) as error:
            failed = True
            click.echo(f"{path}: {_reason(error)}", err=True)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for one in found:
            click.echo(
                f"{one['file']}: {one['transactions']} transactions, {one['claims']} claims, "
                f"{one['service_lines']} lines, {len(one['quarantined'])} quarantine reasons, "
                f"{len(one['errors'])} errors"
            )
    sys.exit(2 if failed else 0)


@main.group()
def codes() -> None:
    """Texts of public code tables: HCPCS Level II, and ICD-10-CM."""


@codes.command("load")
@click.argument("system", type=click.Choice(["hcpcs", "icd10cm"]))
@click.argument("path", type=click.Path(path_type=Path))
def load_codes(system: str, path: Path) -> None:
    """Load CMS's HCPCS table (CSV) or its ICD-10-CM order file. The same file twice changes nothing.

    Codes of five digits (CPT) are refused: their texts are not public.
    """
    from portal.codes.kinds import CodeSystem
    from portal.codes.service import load_table
    from portal.codes.tables import READERS, NotATable

    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            rows, refused = READERS[system](lines)
    except (NotATable, OSError) as error:
        raise click.UsageError(f"{path}: {_reason(error)}.") from None
    with open_session() as session:
        done = load_table(session, CodeSystem(system), rows)
        session.commit()
    click.echo(
        f"{path.name}: {len(rows)} codes, {done.new} new, {done.changed} changed, {done.unchanged} unchanged, "
        f"{done.kept} kept that are not in it"
    )
    if refused:
        click.echo(f"refused, as their texts are not public: {len(refused)} codes, the first {refused[0]}", err=True)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print every account (otherwise the totals).")
@click.option(
    "--since",
    metavar="DAY",
    default="",
    help="Ask Stripe about what moved since this day, as 2026-11-30 (default: the last 35 days), or 'all'.",
)
def reconcile(as_json: bool, since: str) -> None:
    """Prove that mirror, back office, captures and Stripe agree. Exit code 1 when they differ anywhere."""
    from portal.ledger.port import LedgerUnreachable
    from portal.ledger.reconcile import reconcile as compare
    from portal.ledger.reconcile import window_begins
    from portal.ledger.reconcile_report import tell
    from portal.ledger.registry import open_ledger
    from portal.payments.errors import StripeRefused, StripeUnreachable
    from portal.web.database import db

    with open_app() as (app, settings), progress_on_terminal("Asking Stripe") as step:
        try:
            begins = window_begins(since, settings.clinic_timezone)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--since") from None
        try:
            result = compare(
                db.session,
                open_ledger(settings.ledger, db.session),
                app.extensions["plainbill_gateway"],
                since=begins,
                progress=step,
            )
        except (StripeUnreachable, StripeRefused, LedgerUnreachable) as error:
            raise click.ClickException(f"not finished: {type(error).__name__}; nothing was compared") from None
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        tell(result, Console())
    sys.exit(0 if result["agrees"] else 1)


@main.command()
@click.argument("account")
@click.option("--visit", default="", help="Only this visit (its number or public id).")
@click.option("--statement", default="", help="What changed since this statement (number or id).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, described in docs/trace.md (otherwise text).")
def trace(account: str, visit: str, statement: str, as_json: bool) -> None:
    """Why does ACCOUNT (its number or public id) owe what it owes: every step, with the record it came from."""
    from portal.db import RecordNotFound
    from portal.web.database import db
    from portal.why.command import as_text, trace_of

    if visit and statement:
        raise click.UsageError("either --visit or --statement")
    with open_app():
        try:
            facts = trace_of(db.session, account, visit=visit, statement=statement)
        except RecordNotFound as missing:
            raise click.ClickException(f"there is no such {missing}") from None
        db.session.commit()
    for line in [json.dumps(facts, indent=2)] if as_json else as_text(facts):
        click.echo(line)


@main.command()
@click.option("--guards", is_flag=True, help="Say who may call each route.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def routes(guards: bool, as_json: bool) -> None:
    """List every route."""
    from portal.app import create_app
    from portal.config import Settings
    from portal.web.guards import guard_of

    app = create_app(Settings.for_listing())
    with app.app_context():
        rows = [
            {
                "rule": rule.rule,
                "methods": sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}),
                "endpoint": rule.endpoint,
                **({"guard": guard_of(app, rule.endpoint)} if guards else {}),
            }
            for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
        ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row.get('guard') or '':<16} {','.join(row['methods']):<10} {row['rule']:<50} {row['endpoint']}")


for command in (*EXPLAIN_COMMANDS, *SANDBOX_COMMANDS):
    main.add_command(command)
