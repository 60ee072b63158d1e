"""Lists a page at a time."""

from dataclasses import dataclass

from flask import request

PER_PAGE = 25


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is shown; pages count from 1."""

    number: int
    total: int

    @property
    def last(self) -> int:
        """The number of the last page; 1 for an empty list."""
        return max(1, -(-self.total // PER_PAGE))


def asked_page() -> int:
    """The page number in the address; 1 for anything that is not one."""
    return min(max(request.args.get("page", 1, type=int), 1), 100_000)


def offset(number: int) -> int:
    """How many rows come before page ``number``."""
    return (number - 1) * PER_PAGE
