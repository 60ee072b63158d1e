"""The closed lists of documents. Pure."""

from enum import StrEnum


class DocumentKind(StrEnum):
    """What a stored document is."""

    STATEMENT = "statement"
    PLAN_AGREEMENT = "plan_agreement"
