"""What a WSGI server imports: ``gunicorn wsgi:app``."""

import os

from portal.app import create_app
from portal.config import Settings
from portal.schema import stop_if_not_ours

settings = Settings.from_env(os.environ)
app = create_app(settings)
# A schema that this code does not work on ends the server here, with the command to type. If the database is away, the
# portal starts, answers 503 and looks again.
stop_if_not_ours(settings.database_url, live=settings.live)
