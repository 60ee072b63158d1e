"""What monitors and load balancers ask: does the process live, and can it serve people?

Both answer anybody, look at nobody, and build no address from the host they were asked under.
"""

import sqlalchemy as sa
import structlog
from flask import Blueprint, Response

from portal.away import RETRY_SECONDS, is_away
from portal.web import guards
from portal.web.database import db

log = structlog.get_logger(__name__)

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@guards.public
def alive() -> Response:
    """Whether the process lives. Asks nothing of the database: restarting the portal would not bring that back."""
    return Response("ok\n", mimetype="text/plain")


@bp.get("/readyz")
@guards.public
def ready() -> Response:
    """Whether people can be served: the database answers."""
    try:
        with db.engine.connect() as connection:
            connection.execute(sa.select(1))
    except Exception as error:
        if not is_away(error):
            raise
        log.error("portal.not_ready", error=type(error).__name__)
        return Response("database away\n", 503, {"Retry-After": str(RETRY_SECONDS)}, mimetype="text/plain")
    return Response("ready\n", mimetype="text/plain")
