"""Keeping documents, and reading them as they were kept. In the caller's transaction."""

import hashlib

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.db import RecordNotFound
from portal.documents.kinds import DocumentKind
from portal.documents.models import Document


class DocumentDamaged(Exception):
    """The stored bytes are not those that were stored; the text is the document's id."""


def store(session: Session, *, kind: DocumentKind, content: bytes, account_id: int | None) -> int:
    """Keep a PDF and return its id. The same bytes for the same account are kept once.

    The caller holds the account's row, or is the only one who makes this document.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    # Not IS NOT DISTINCT FROM, which PostgreSQL looks up in no index.
    its = Document.account_id.is_(None) if account_id is None else Document.account_id == account_id
    known = session.scalar(sa.select(Document.id).where(Document.sha256 == sha256, its))
    if known is not None:
        return known
    document = Document(
        account_id=account_id, kind=kind, sha256=sha256, content=content, created_at=clock.now()
    )
    session.add(document)
    session.flush()
    return document.id


def content_of(session: Session, document_id: int) -> bytes:
    """A stored document's bytes, exactly as they were stored.

    Raises :class:`RecordNotFound`, and :class:`DocumentDamaged` when they do not have the hash they were stored with.
    """
    row = session.execute(sa.select(Document.content, Document.sha256).where(Document.id == document_id)).first()
    if row is None:
        raise RecordNotFound("document")
    content = bytes(row[0])
    if hashlib.sha256(content).hexdigest() != row[1]:
        raise DocumentDamaged(str(document_id))
    return content
