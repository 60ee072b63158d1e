"""What the desk does itself, in the caller's transaction."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import clock
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.kinds import PostingState
from portal.billing.models import Posting
from portal.db import RecordNotFound


def retry_posting(session: Session, *, key: str, staff_user_id: int) -> bool:
    """Have a posting that the back office rejected delivered again, now; False when it is not rejected any more.

    It goes back as ``unknown``: one that was given up on may have arrived, so it is looked up before it is sent
    again, under the same key (design, "Always true" 5). Raises :class:`RecordNotFound`.
    """
    posting = session.scalars(
        sa.select(Posting).where(Posting.key == key).with_for_update().execution_options(populate_existing=True)
    ).one_or_none()
    if posting is None:
        raise RecordNotFound("posting")
    if posting.state is not PostingState.REJECTED:
        return False
    posting.state = PostingState.UNKNOWN
    posting.next_try_at = clock.now()
    session.flush()
    record(
        session, Tag.POSTING_RETRIED, actor_user_id=staff_user_id, account_id=posting.account_id, subject=posting.key
    )
    return True
