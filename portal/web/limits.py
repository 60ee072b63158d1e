"""Rate limits. In memory at home; an operator with several workers sets ``REDIS_URL`` (see docs/decisions)."""

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from portal.config import Settings

limiter = Limiter(key_func=get_remote_address, default_limits=[])


def init_app(app: Flask, settings: Settings) -> None:
    """Count in Redis where there is one, so that the limits hold across workers."""
    app.config["RATELIMIT_STORAGE_URI"] = settings.redis_url or "memory://"
    app.config["RATELIMIT_HEADERS_ENABLED"] = False
    limiter.init_app(app)
