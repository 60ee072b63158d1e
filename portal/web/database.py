"""The request's session, and when its transaction ends."""

from inspect import iscoroutinefunction

from flask import Flask, Response, request
from flask_sqlalchemy_lite import SQLAlchemy

from portal.db import intend_to_write

db = SQLAlchemy()

#: Methods that change nothing.
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def begin_writing() -> None:
    """From here on this request writes, although it is a GET.

    What was read so far is ended first: on SQLite a reader that turns writer is refused when another wrote meanwhile.
    """
    db.session.commit()
    intend_to_write(True)


def give_up() -> None:
    """End the request's unit of work without keeping anything of it. Never raises: an error is being answered.

    Libraries commit after their views whatever the answer is; what failed half way must not be there for them.
    """
    try:
        db.session.rollback()
    except Exception:
        db.session.invalidate()  # its connection is gone: nothing is said to the database any more


def init_app(app: Flask) -> None:
    """Bind the session to the app; requests that only read end with COMMIT.

    psycopg throws its prepared statements away on ROLLBACK, which is what closing the session would send.
    """
    db.init_app(app)
    # The extension also closes asynchronous sessions, of which there are none here: Flask would start a thread for it
    # at the end of every request and every job.
    app.teardown_appcontext_funcs[:] = [
        one for one in app.teardown_appcontext_funcs if not iscoroutinefunction(one)
    ]

    @app.before_request
    def declare_intent() -> None:
        intend_to_write(request.method not in READING)

    @app.after_request
    def end_reading(response: Response) -> Response:
        if request.method in READING and response.status_code < 400:
            db.session.commit()
        return response

    @app.teardown_request
    def forget_intent(_error: BaseException | None) -> None:
        intend_to_write(False)
