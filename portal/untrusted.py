"""Reading what others sent: text that no database can keep, and JSON that no reader can take, are told at the door."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import urlsplit


class Unreadable(ValueError):
    """What was sent is no text, or no JSON, that anybody here could keep."""


def is_text(text: str) -> bool:
    """Whether ``text`` can be stored: PostgreSQL takes no NUL, and a lone surrogate is in no encoding."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def all_text(texts: Iterable[str]) -> bool:
    """Whether every one of them can be stored."""
    return all(map(is_text, texts))


def is_address(text: str) -> bool:
    """Whether ``text`` can be taken apart as a web address is; what can't be raises in whoever tries."""
    try:
        urlsplit(text)
    except ValueError:
        return False
    return True


def read_json(sent: str | bytes) -> Any:
    """JSON, parsed. Raises :class:`Unreadable` for what is none, is nested beyond reason, or holds what no text is."""
    try:
        read = json.loads(sent, parse_constant=_no_number)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ValueError as error:  # also what is not in UTF-8, and numbers of thousands of digits
        raise Unreadable("not JSON") from error
    check_json(read)
    return read


def check_json(read: Any) -> None:
    """Raise :class:`Unreadable` where text within what was parsed can't be stored."""
    waiting = [read]
    while waiting:  # without recursion: it may be nested as deeply as the parser allows
        one = waiting.pop()
        if isinstance(one, str) and not is_text(one):
            raise Unreadable("text that can't be stored")
        if isinstance(one, dict):
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _no_number(_name: str) -> NoReturn:
    raise Unreadable("not a number")
