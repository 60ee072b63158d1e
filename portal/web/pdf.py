"""Answering with a PDF."""

from flask import Response


def pdf_answer(content: bytes, name: str) -> Response:
    """``content`` as a page of its own that can be saved as ``name`` (letters, digits and hyphens) with ``.pdf``."""
    return Response(
        content,
        mimetype="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{name}.pdf"', "Cache-Control": "no-store"},
    )
