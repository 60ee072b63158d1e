"""Which code works on which schema, as the migrations declare it and the database keeps it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from portal.migrate import MIGRATIONS, downgrade, upgrade
from portal.schema import WrongSchema, compatibility, history, oldest_code, require_served, stop_if_not_ours
from tests.conftest import Database

Write = Callable[..., None]


@pytest.fixture
def write(engine: sa.Engine) -> Write:
    """``write("9999", oldest)``: the database of later code, which says that ``oldest`` still works."""

    def act(revision: str, oldest: str | None, *, of: str = "") -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
            connection.execute(sa.delete(compatibility))
            if oldest is not None:
                connection.execute(sa.insert(compatibility).values(revision=of or revision, oldest_code=oldest))

    return act


def why_not(engine: sa.Engine) -> str:
    """What the operator reads; empty where this code may run."""
    with engine.connect() as connection:
        try:
            require_served(connection)
        except WrongSchema as error:
            return str(error)
    return ""


def test_the_schema_this_code_was_built_for_is_served(engine: sa.Engine) -> None:
    assert history()[0] == ScriptDirectory(str(MIGRATIONS)).get_current_head()
    assert why_not(engine) == ""


def test_an_older_schema_is_not_and_the_command_is_named(engine: sa.Engine, database: Database) -> None:
    engine.dispose()
    downgrade(database.url, history()[1])
    assert "Type: portal migrate" in why_not(engine)
    with pytest.raises(WrongSchema, match=f"is {history()[1]}, and this portal needs {history()[0]}"):
        stop_if_not_ours(database.url, live=False)
    engine.dispose()
    upgrade(database.url)
    assert why_not(engine) == ""
    stop_if_not_ours(database.url, live=False)


def test_a_database_without_tables_is_not(engine: sa.Engine, database: Database) -> None:
    engine.dispose()
    downgrade(database.url, "base")
    assert "Type: portal migrate" in why_not(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
    assert "is missing" in why_not(engine)


def test_a_later_schema_is_served_only_where_it_is_declared(engine: sa.Engine, write: Write) -> None:
    write("9999", history()[0])
    assert why_not(engine) == ""
    write("9999", history()[-1])
    assert why_not(engine) == ""
    for oldest, of in ((None, ""), ("9998", ""), ("9999", ""), (history()[0], "9998")):
        write("9999", oldest, of=of)
        assert f"portal migrate --down {history()[0]}" in why_not(engine), (oldest, of)
    with engine.begin() as connection:
        compatibility.drop(connection)
    assert why_not(engine)


def test_migrating_writes_what_the_migrations_declare(engine: sa.Engine, database: Database) -> None:
    script = ScriptDirectory(str(MIGRATIONS))

    def told() -> list[tuple[str, str]]:
        with engine.connect() as connection:
            return [(row.revision, row.oldest_code) for row in connection.execute(sa.select(compatibility))]

    assert told() == [(history()[0], oldest_code(script, history()[0]))]
    first = next(one for one in history() if "schema_compatibility" in Path(script.get_revision(one).path).read_text())
    engine.dispose()
    downgrade(database.url, first)
    assert told() == [(first, oldest_code(script, first))]


def test_a_declaration_reaches_back_to_the_first_migration_without_one(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    for number, declared in enumerate(("", "True", "", "True", "True", "False"), start=1):
        before = f"'{number - 1}'" if number > 1 else None
        lines = [f"revision = '{number}'", f"down_revision = {before}"]
        lines += [f"previous_code_still_works = {declared}"] if declared else []
        (tmp_path / "versions" / f"{number}_step.py").write_text("\n".join(lines) + "\n")
    script = ScriptDirectory(str(tmp_path))
    assert [oldest_code(script, str(number)) for number in range(1, 7)] == ["1", "1", "3", "3", "3", "6"]
