"""Documents are kept once, and read as they were kept."""

import hashlib

import pytest
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.service import open_account
from portal.db import RecordNotFound
from portal.documents.kinds import DocumentKind
from portal.documents.models import Document
from portal.documents.store import DocumentDamaged, content_of, store


def _keep(session: Session, content: bytes, account_id: int | None) -> int:
    return store(session, kind=DocumentKind.STATEMENT, content=content, account_id=account_id)


def test_the_same_bytes_are_kept_once_an_account(session: Session) -> None:
    one, other = (open_account(session, ref=ref, guarantor_name="Gail Sample").id for ref in ("A-1", "A-2"))
    kept = _keep(session, b"%PDF one\x00\xff", one)
    assert _keep(session, b"%PDF one\x00\xff", one) == kept
    assert len({kept, _keep(session, b"%PDF one\x00\xff", other), _keep(session, b"%PDF two", one)}) == 3
    nobodys = _keep(session, b"%PDF one\x00\xff", None)
    assert _keep(session, b"%PDF one\x00\xff", None) == nobodys != kept
    session.commit()
    assert content_of(session, kept) == b"%PDF one\x00\xff"


def test_a_document_that_was_changed_is_not_given_out(session: Session) -> None:
    damaged = Document(
        kind=DocumentKind.STATEMENT, sha256=hashlib.sha256(b"%PDF one").hexdigest(), content=b"%PDF two",
        created_at=clock.now(),
    )  # fmt: skip
    session.add(damaged)
    session.flush()
    kept = damaged.id
    with pytest.raises(DocumentDamaged, match=str(kept)):
        content_of(session, kept)
    with pytest.raises(RecordNotFound):
        content_of(session, kept + 1)
