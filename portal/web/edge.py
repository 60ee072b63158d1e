"""What was sent is looked at before anything uses it: what is malformed is a 400, wherever it is read.

Views and libraries read the query, the form or JSON each in their way; so that none of them can forget it, the request
itself refuses text that no database keeps and JSON that no parser takes.
"""

from typing import Any

from flask import Flask, request
from flask import Request as FlaskRequest
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import BadRequest

from portal.untrusted import Unreadable, all_text, check_json, is_address

#: The field in which the library that signs people in keeps where they wanted to go.
_NEXT = "next"


class Malformed(BadRequest):
    """The request holds what nobody can have typed."""


class Request(FlaskRequest):
    """Flask's request, whose form and JSON raise :class:`Malformed` where they are read.

    An error page reads neither, so it is sent whatever the body is.
    """

    def _load_form_data(self) -> None:
        super()._load_form_data()
        if self.__dict__.get("_checked"):
            return
        self.__dict__["_checked"] = True
        names = [*self.form, *self.files, *(file.filename or "" for _, file in self.files.items(multi=True))]
        sent = [value for _, value in self.form.items(multi=True)]
        if not all_text([*names, *sent]) or not all(map(is_address, self.form.getlist(_NEXT))):
            self.__dict__["form"] = self.__dict__["files"] = ImmutableMultiDict()
            raise Malformed

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body as JSON: an object of texts, lists of texts and truths, which is all that forms are made of.

        None where it is none and ``silent`` asks for that; else :class:`Malformed`.
        """
        try:
            read = super().get_json(force=force, silent=silent, cache=cache)
            check_json(read)
        except (RecursionError, Unreadable):
            read = None
            if not silent:
                raise Malformed from None
        if read is not None and not (_is_form(read) and is_address(str(read.get(_NEXT, "")))):
            if not silent:
                raise Malformed
            return None
        return read


def _is_form(read: Any) -> bool:
    return isinstance(read, dict) and all(
        isinstance(value, str | bool) or (isinstance(value, list) and all(isinstance(one, str) for one in value))
        for value in read.values()
    )


def init_app(app: Flask) -> None:
    """Read requests with care from here on, and look at their addresses before any view does."""
    app.request_class = Request

    @app.before_request
    def look_at_address() -> None:
        """The path and the query; where there is no page, the answer is 404 whatever it is."""
        if request.endpoint is None:
            return
        parts = [request.path, *(part for pair in request.args.items(multi=True) for part in pair)]
        if not all_text(parts) or not all(map(is_address, request.args.getlist(_NEXT))):
            raise Malformed
