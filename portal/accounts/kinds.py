"""The closed lists of accounts. Pure."""

from enum import StrEnum


class Relationship(StrEnum):
    """Why somebody may see an account."""

    SELF = "self"
    GUARANTOR = "guarantor"
    PROXY = "proxy"
