"""Alembic's entry: runs the migrations on the database that ``portal.migrate`` names."""

import sqlalchemy as sa
from alembic import context

from portal.tables import metadata


def run() -> None:
    """Migrate in one transaction; on SQLite tables are rebuilt where they can't be altered."""
    engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url") or "")
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
