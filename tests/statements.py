"""A statement without its page: for tests that need one to be there."""

from sqlalchemy.orm import Session

from portal.statements.models import Statement
from portal.statements.service import issue_statement

SECRET = "a secret that only the tests know"
CODE = "7H3JKPQRS4TVX"


def statement_of(session: Session, account_id: int, *, code: str = CODE) -> Statement:
    """A statement of all that is payable on an account, issued by the portal itself; commits."""
    statement = issue_statement(
        session,
        account_id=account_id,
        issued_by=None,
        secret=SECRET,
        timezone="America/Chicago",
        on_its_way=lambda _session, _account_id: {},
        to_pdf=lambda draft: f"%PDF {draft.number}".encode(),
        code=code,
    )
    session.commit()
    return statement
