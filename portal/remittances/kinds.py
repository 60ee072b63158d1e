"""The closed lists of imports. Pure."""

from enum import StrEnum


class RemittanceState(StrEnum):
    """What became of one ST*835 transaction."""

    LOADED = "loaded"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
