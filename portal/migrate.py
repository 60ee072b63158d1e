"""Moving the database between versions of its schema, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from portal.db import normal_url

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    # Alembic's options go through configparser, which takes % for its own.
    config.set_main_option("sqlalchemy.url", normal_url(url).replace("%", "%%"))
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database at ``url`` up to ``revision``."""
    command.upgrade(_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the database back to ``revision`` (``base`` for none)."""
    command.downgrade(_config(url), revision)
