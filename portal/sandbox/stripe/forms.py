"""Stripe's form encoding: ``metadata[a]=b``, ``expand[]=x``, ``expand[0]=x``, ``created[gte]=1``.

Values stay text here; :mod:`spec` knows their types from the API description and the endpoints read them with
:func:`integer`, :func:`boolean` and :func:`items`, so that the stand-in works without the description too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from portal.sandbox.stripe.errors import Obj, invalid

_PART = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> Obj:
    """A form body or query string as nested dicts and lists of text; an unreadable name raises 400."""
    result: Obj = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, bracket, _ = name.partition("[")
        parts = [head, *_PART.findall(name[len(head) :])]
        if not head or (bracket and "".join(f"[{part}]" for part in parts[1:]) != name[len(head) :]):
            raise invalid(f"Invalid request: the parameter name {name[:60]!r} cannot be read.")
        _insert(result, parts, value)
    return result


def _insert(into: Obj, parts: list[str], value: str) -> None:
    first, rest = parts[0], parts[1:]
    if not rest:
        into[first] = value
    elif rest == [""]:
        existing = into.setdefault(first, [])
        if not isinstance(existing, list):
            raise invalid(f"Invalid request: {first} is given in two ways.", param=first)
        existing.append(value)
    else:
        inner = into.setdefault(first, {})
        if not isinstance(inner, dict):
            raise invalid(f"Invalid request: {first} is given in two ways.", param=first)
        _insert(inner, rest, value)


def items(value: Any) -> list[Any]:
    """A list however it was written: ``a[]=x``, ``a[0]=x`` or absent."""
    if value is None or value == "":
        return []
    if isinstance(value, Mapping):
        return [value[key] for key in sorted(value, key=lambda key: (len(key), key))]
    return list(value) if isinstance(value, list) else [value]


def integer(params: Mapping[str, Any], name: str, default: int | None = None) -> int | None:
    """A whole number; 400 ``parameter_invalid_integer`` for anything else."""
    value = params.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,18}", value):
        raise invalid(f"Invalid integer: {value}", param=name, code="parameter_invalid_integer")
    return int(value)


def boolean(params: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """``true`` or ``false``; 400 for anything else."""
    value = params.get(name)
    if value is None:
        return default
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", param=name)
    return bool(value == "true")


def text(params: Mapping[str, Any], name: str) -> str | None:
    """A text, or None when absent or empty (an empty value unsets a field)."""
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(f"Invalid string: {name}", param=name)
    return value or None


def mapping(params: Mapping[str, Any], name: str) -> Obj:
    """A nested object, empty when absent."""
    value = params.get(name)
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise invalid("Invalid object", param=name)
    return value


_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def compared(params: Mapping[str, Any], name: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """A number or a range (``created[gte]=1``) as operators and what to compare with; nothing when absent."""
    given = params.get(name)
    if given is None:
        return (), ()
    if isinstance(given, str):
        return ("=",), (integer(params, name) or 0,)
    unknown = set(given) - set(_SIGNS)
    if unknown:
        raise invalid(f"Received unknown parameter: {name}[{min(unknown)}]", param=name)
    return tuple(_SIGNS[part] for part in given), tuple(integer(given, part) or 0 for part in given)


#: https://docs.stripe.com/api/metadata
METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 50, 40, 500


def metadata(params: Mapping[str, Any], existing: Mapping[str, str]) -> dict[str, str]:
    """The metadata after this request: given keys are set, empty ones removed; limits raise 400."""
    if params.get("metadata") == "":
        return {}
    merged = dict(existing)
    for key, value in mapping(params, "metadata").items():
        where = f"metadata[{key}]"
        if not isinstance(value, str):
            raise invalid("Metadata values must be strings.", param=where)
        if len(key) > METADATA_KEY_LENGTH:
            message = f"Metadata keys must be under {METADATA_KEY_LENGTH} characters. Invalid key: {key}"
            raise invalid(message, param="metadata")
        if len(value) > METADATA_VALUE_LENGTH:
            message = f"Metadata values can have up to {METADATA_VALUE_LENGTH} characters, but you passed in "
            raise invalid(message + f"a value that is {len(value)} characters.", param="metadata")
        if value == "":
            merged.pop(key, None)
        else:
            merged[key] = value
    if len(merged) > METADATA_KEYS:
        message = f"You may only specify up to {METADATA_KEYS} metadata keys, but you specified {len(merged)}."
        raise invalid(message, param="metadata")
    return merged
