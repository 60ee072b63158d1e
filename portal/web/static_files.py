"""Our style sheet, scripts and pictures: their addresses name their content, so that browsers keep them for ever."""

import hashlib
import re
from pathlib import Path

from flask import Flask, Response, request

from portal.web.headers import allow_to_keep

FOLDER = Path(__file__).parents[1] / "static"
#: The files as a page of another release names them, or without any release: good, but not to be kept.
OTHER_RELEASE = "static_of_another_release"
#: The endpoints that answer with a file of ours, whoever asks.
ENDPOINTS = ("static", OTHER_RELEASE)
_RELEASE = re.compile(r"[0-9a-f]{16}/")
_FOR_EVER = "public, max-age=31536000, immutable"


def url_path() -> str:
    """The path under which this release's files are: all of their contents have part in its name.

    One name for all of them: they refer to each other by relative addresses (a style sheet's picture, a script's
    module), which a name for each would break, and together they are smaller than one photograph.
    """
    digest = hashlib.sha256()
    for path in sorted(one for one in FOLDER.rglob("*") if one.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(FOLDER).as_posix()}\0{len(content)}\0".encode() + content)
    return f"/static/{digest.hexdigest()[:16]}"


def init_app(app: Flask) -> None:
    """Answer this release's files to be kept for ever, and other names of them to be asked for again."""

    @app.get("/static/<path:filename>", endpoint=OTHER_RELEASE)
    def other_release(filename: str) -> Response:
        return app.send_static_file(_RELEASE.sub("", filename, count=1) if _RELEASE.match(filename) else filename)

    @app.after_request
    def keep(response: Response) -> Response:
        if request.endpoint in ENDPOINTS and response.status_code in (200, 206, 304):
            allow_to_keep()
            if request.endpoint == "static":
                response.headers["Cache-Control"] = _FOR_EVER
        return response
