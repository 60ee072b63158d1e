"""The closed list of what is audited. A tag is ``feature.subject.action``."""

from enum import StrEnum


class Tag(StrEnum):
    """Everything that leaves a mark in the audit trail."""

    SIGNED_IN = "auth.session.opened"
    SIGN_IN_FAILED = "auth.session.refused"
    SIGNED_OUT = "auth.session.closed"
    PASSWORD_CHANGED = "auth.password.changed"
    VISIT_SEEN = "billing.visit.seen"
    ACCOUNT_SEEN = "staff.account.seen"
    HOLD_PLACED = "billing.hold.placed"
    HOLD_RELEASED = "billing.hold.released"
    PAYMENT_STARTED = "payments.payment.started"
    PAYMENT_SUCCEEDED = "payments.payment.succeeded"
    PAYMENT_FAILED = "payments.payment.failed"
    PAYMENT_CANCELED = "payments.payment.canceled"
    PAYMENT_SURPRISING = "payments.payment.surprising"
    POSTING_DELIVERED = "ledger.posting.delivered"
    POSTING_RETRIED = "ledger.posting.retried"
    POSTING_REJECTED = "ledger.posting.rejected"
    REMITTANCE_IMPORTED = "ledger.remittance.imported"
    REMITTANCE_QUARANTINED = "ledger.remittance.quarantined"
    THREAD_OPENED = "messages.thread.opened"
    THREAD_SEEN = "messages.thread.seen"
    THREAD_ANSWERED = "messages.thread.answered"
    THREAD_CLOSED = "messages.thread.closed"
