"""Delivering the outbox to the back office."""

import structlog
from sqlalchemy.orm import Session

from portal.billing import postings
from portal.ledger.port import Ledger, Outcome, PostingRequest, VisitPart

log = structlog.get_logger(__name__)


def deliver_due(session: Session, ledger: Ledger) -> int:
    """Deliver every posting that is due, in order per account; returns how many the back office took.

    One whose earlier try may have arrived is looked up first and only then sent again, under the same key.
    """
    delivered = 0
    while (due := postings.take_due(session)) is not None:
        try:
            answer = ledger.lookup(due.key) if due.unknown else None
            if answer is None:
                answer = ledger.push(
                    PostingRequest(
                        key=due.key,
                        kind=due.kind,
                        account_ref=due.account_ref,
                        amount=due.amount,
                        effective_on=due.effective_on,
                        parts=[VisitPart(ref, amount) for ref, amount in due.parts],
                    )
                )
        except Exception as error:
            # LedgerUnreachable or an adapter's own failure: either way the outcome is unknown.
            session.rollback()
            postings.mark_unanswered(session, due.id, reason=type(error).__name__)
            log.warning("posting.unanswered", posting=due.key)
            continue
        if answer.outcome is Outcome.REJECTED:
            postings.mark_rejected(session, due.id, reason=answer.reason)
            log.error("posting.rejected", posting=due.key)
            continue
        postings.mark_posted(session, due.id, ledger_ref=answer.ref)
        delivered += 1
    return delivered
