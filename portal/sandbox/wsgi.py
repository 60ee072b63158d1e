"""What the demo serves: the portal as ``wsgi.py`` has it, in a world where days can be made to pass."""

import os
from pathlib import Path

from portal.app import create_app
from portal.config import Settings
from portal.sandbox import clock
from portal.schema import stop_if_not_ours

clock.follow(Path(os.environ["PLAINBILL_SANDBOX_CLOCK"]))
settings = Settings.from_env(os.environ)
app = create_app(settings)
stop_if_not_ours(settings.database_url, live=settings.live)
