"""What the desk does itself, in the caller's transaction."""

from sqlalchemy.orm import Session

from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.postings import try_again


def retry_posting(session: Session, *, key: str, staff_user_id: int) -> bool:
    """Have a posting that the back office rejected delivered again, now; False when it is not rejected any more.

    Raises :class:`RecordNotFound`.
    """
    account_id = try_again(session, key=key)
    if account_id is None:
        return False
    record(session, Tag.POSTING_RETRIED, actor_user_id=staff_user_id, account_id=account_id, subject=key)
    return True
