"""What commands open before they work: settings, database, application, and a counter on the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from portal.sandbox.commands import DATA_DIR

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session

    from portal.config import Settings

_err = Console(stderr=True)


def environment() -> Mapping[str, str]:
    """The environment; where it names no database, the demo's of this directory, so that commands work beside it."""
    if not os.environ.get("DATABASE_URL"):
        from portal.sandbox.demo import environment_of

        demo = environment_of(DATA_DIR)
        if demo is not None:
            click.echo(f"(the demo in {DATA_DIR})", err=True)
            return {**os.environ, **demo}
    return os.environ


def read_settings() -> Settings:
    """The settings, or the end of the command with everything that is wrong with them."""
    from portal.config import BadSettings, Settings

    env = environment()
    try:
        settings = Settings.from_env(env)
    except BadSettings as error:
        raise click.ClickException(str(error)) from None
    if settings.sandbox and env.get("PLAINBILL_SANDBOX_CLOCK"):
        from portal.sandbox import clock

        clock.follow(Path(env["PLAINBILL_SANDBOX_CLOCK"]))
    return settings


def read_database_url() -> str:
    """The one setting that commands need which only touch the database."""
    from portal.config import BadSettings, database_url

    try:
        return database_url(environment())
    except BadSettings as error:
        raise click.ClickException(str(error)) from None


def read_ledger_name() -> str:
    """The back office that the environment names, or the end of the command with those there are."""
    from portal.config import ledger_name
    from portal.ledger.registry import UnknownLedger, check_name

    try:
        return check_name(ledger_name(environment()))
    except UnknownLedger as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def open_session() -> Iterator[Session]:
    """A database session that writes, for a command that needs no more of the portal than that."""
    import sqlalchemy as sa
    from sqlalchemy.orm import Session

    import portal.tables  # noqa: F401  every table must be known before one can be written
    from portal.db import normal_url, writing

    engine = sa.create_engine(normal_url(read_database_url()))
    try:
        if not sa.inspect(engine).has_table("entry"):
            raise click.ClickException("The database has no tables yet. Type first: portal migrate")
        with Session(engine) as session, writing():
            yield session
    finally:
        engine.dispose()


@contextmanager
def open_app() -> Iterator[tuple[Flask, Settings]]:
    """The app with a context, for a command that reads or writes the database."""
    from portal.app import create_app
    from portal.db import writing

    settings = read_settings()
    app = create_app(settings)
    with app.app_context(), writing():
        yield app, settings


@contextmanager
def progress_on_terminal(what: str) -> Iterator[Any]:
    """A counter on the terminal; nothing where the output is piped."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=_err,
        transient=True,
        disable=not _err.is_terminal,
    ) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total=None: progress.update(task, completed=done, total=total)
