"""Alembic's entry: runs the migrations on the database that ``portal.migrate`` names."""

import sqlalchemy as sa
from alembic import context

from portal.schema import declare
from portal.tables import metadata


def run() -> None:
    """Migrate in one transaction; on SQLite tables are rebuilt where they can't be altered."""
    engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url") or "")
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        if sqlite:
            # A rebuilt table is dropped while others refer to it: https://www.sqlite.org/lang_altertable.html#otheralter
            # It can't be switched within a transaction, so this goes past SQLAlchemy, which would begin one.
            connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")
        context.configure(
            connection=connection,
            target_metadata=metadata,
            render_as_batch=sqlite,
            compare_type=True,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            context.run_migrations()
            declare(connection, context.script, context.get_context().get_current_heads())
            if sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()):
                raise RuntimeError(f"the migration left {len(broken)} references to rows that are gone")
    engine.dispose()


run()
