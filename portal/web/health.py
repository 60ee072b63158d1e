"""What monitors and load balancers ask: does the process live, and can it serve people?

Both answer anybody, look at nobody, and build no address from the host they were asked under. And the watch over the
database's schema: no page runs on one that this code was not made for (``docs/health.md``).
"""

from time import monotonic

import structlog
from flask import Blueprint, Flask, Response, current_app, request

from portal.away import RETRY_SECONDS, is_away
from portal.schema import MayNotRun, WrongSchema, require_ours
from portal.web import guards
from portal.web.context import the_settings
from portal.web.database import db
from portal.web.guards import IMPERSONAL
from portal.web.limits import limiter

log = structlog.get_logger(__name__)

bp = Blueprint("health", __name__)

_WATCH = "plainbill_schema_watch"
#: What answers whatever the database is: all that looks at nobody, but for the webhook, which keeps what it is told.
_ANSWERS = IMPERSONAL - {"webhook.receive"}


#: A process that nobody asks whether it is ready learns within so many seconds that the schema is another one.
LOOKED_AT_EVERY = 60.0


class SchemaWatch:
    """Asks the database for its schema until it is one we work on; then once a minute, and when something went wrong.

    So a page costs hardly a statement more, and a portal that started without its database, whose database was
    restored from an older copy or brought to a later schema, finds out before it runs for long on tables that it does
    not know.
    """

    def __init__(self) -> None:
        self._served = False
        self._looked_at = 0.0
        self._no_demo = False

    def require(self) -> None:
        """Raise :class:`MayNotRun` where this code may not run, and what the database raises while it is away."""
        if not self._served or monotonic() - self._looked_at > LOOKED_AT_EVERY:
            self.look()

    def look(self) -> None:
        """Ask the database now; raises what :meth:`require` raises."""
        self._served = False
        settings = the_settings()
        with db.engine.connect() as connection:
            # Looking for a demo's data reads whole tables: once in the life of a process is enough.
            require_ours(connection, live=settings.live and not self._no_demo)
        self._served = self._no_demo = True
        self._looked_at = monotonic()

    def doubt(self) -> None:
        """Something went wrong: the next page asks again."""
        self._served = False


def watch() -> SchemaWatch:
    """The app's watch; it needs an app context."""
    found: SchemaWatch = current_app.extensions[_WATCH]
    return found


def init_app(app: Flask) -> None:
    """Stand in front of whatever needs the database; call it after the database's own ``init_app``."""
    app.extensions[_WATCH] = SchemaWatch()

    @app.before_request
    def stand_before() -> None:
        if request.endpoint not in _ANSWERS:
            watch().require()


@bp.get("/healthz")
@guards.public
def alive() -> Response:
    """Whether the process lives. Asks nothing of the database: restarting the portal would not bring that back."""
    return _tell(200, "ok")


@bp.get("/readyz")
@guards.public
def ready() -> Response:
    """Whether people can be served: the database answers, and its schema is one this code works on.

    Redis alone makes nobody unready: bills can be read without it. The answer says what waits for it.
    """
    try:
        watch().look()
    except Exception as error:
        if not is_away(error):
            raise
        log.error("portal.not_ready", why=str(error) if isinstance(error, MayNotRun) else type(error).__name__)
        if isinstance(error, WrongSchema):
            return _tell(503, f"not ready: {error}")
        if isinstance(error, MayNotRun):
            return _tell(503, "not ready: this database may not be used; the log says why")
        return _tell(503, "not ready: The database is away.")
    if _redis_is_away():
        return _tell(200, "ready; Redis is away: sign-in, new passwords, guests and payments wait for it")
    return _tell(200, "ready")


def _redis_is_away() -> bool:
    settings = the_settings()
    return bool(settings.redis_url) and not limiter.storage.check()


def _tell(status: int, words: str) -> Response:
    wait = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    return Response(f"{words}\n", status, wait, mimetype="text/plain")
