"""Public ids in addresses: 32 lowercase hex digits, so that anything else is a 404 before any view runs."""

from flask import Flask
from werkzeug.routing import BaseConverter


class PublicId(BaseConverter):
    """``<pid:visit_id>``."""

    regex = "[0-9a-f]{32}"


def init_app(app: Flask) -> None:
    """Register the converter; call it before any blueprint."""
    app.url_map.converters["pid"] = PublicId
