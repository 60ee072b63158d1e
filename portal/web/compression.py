"""Smaller answers, without what compression gives away.

Who can make a browser ask for a page and watch the size of the answer learns of a secret beside what they put into the
page, letter by letter (BREACH, https://breachattack.com). So a page that may repeat what the request brought is not
compressed, nor one that holds Stripe's client secret; and the CSRF token is another in each answer (``csrf.py``).
"""

from flask import Flask, Response, request
from flask_compress import Compress

from portal.web.headers import is_for_stripe
from portal.web.static_files import ENDPOINTS

#: JSON is not among them: the sign-in library's answers to programs hold the CSRF token as it is.
_KINDS = ["text/html", "text/css", "text/javascript", "image/svg+xml"]


def init_app(app: Flask) -> None:
    """Compress what may be, in the way that the browser asks for."""
    app.config.update(
        COMPRESS_REGISTER=False,
        COMPRESS_MIMETYPES=_KINDS,
        COMPRESS_ALGORITHM=["br", "zstd", "gzip"],
        COMPRESS_STREAMS=False,
    )
    compress = Compress(app)

    @app.after_request
    def compressed(response: Response) -> Response:
        if not _may_be_compressed():
            return response
        if request.endpoint in ENDPOINTS:
            # Read whole: they are small, and the library leaves the file of a stream open.
            response.direct_passthrough = False
            response.make_sequence()
        return compress.after_request(response)


def _may_be_compressed() -> bool:
    """Whether nothing that a stranger chose can be in this answer beside what is nobody's business.

    Addresses without a query hold public ids only, and a form is not taken from another site.
    """
    if request.endpoint in ENDPOINTS:
        return True
    return request.method in ("GET", "HEAD") and not request.query_string and not is_for_stripe()
