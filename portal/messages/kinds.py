"""The closed lists of messages. Pure."""

from enum import StrEnum


class ThreadState(StrEnum):
    """Whose turn it is."""

    WAITING_FOR_STAFF = "waiting_for_staff"
    ANSWERED = "answered"
    CLOSED = "closed"
