"""What the front office knows and no remittance tells: estimates, coverages, payments at the desk. From CSV files.

Each file is read whole or not at all; the same file again changes nothing, and a row with the same key and other
values replaces the earlier one. The bills of the accounts named are checked again.
"""

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.accounts.queries import account_ids
from portal.accounts.service import mark_check_due
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.models import Coverage, DeskPayment, Estimate
from portal.money import Money, NotMoney


class BadRow(ValueError):
    """A file says something that can't be taken; the text names the line and the column."""


def _text(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("is no date like 2026-07-14") from None


def _day_or_none(value: str) -> date | None:
    return _day(value) if value else None


def _amount(value: str) -> Money:
    try:
        amount = Money.parse(value)
    except NotMoney:
        raise ValueError("is no amount like 350.00") from None
    if amount < Money.zero():
        raise ValueError("is below nothing")
    return amount


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of file: its table, its columns (how each is read, and the table's name of it), and a row's key."""

    model: type[Any]
    columns: Mapping[str, tuple[str, Callable[[str], Any]]]
    key: tuple[str, ...]


KINDS = {
    "estimates": _Kind(
        Estimate,
        {
            "account": ("account_ref", _text),
            "visit": ("visit_ref", _text),
            "issued_on": ("issued_on", _day),
            "amount": ("amount", _amount),
        },
        ("account_ref", "visit_ref", "issued_on"),
    ),
    "coverages": _Kind(
        Coverage,
        {
            "account": ("account_ref", _text),
            "given_name": ("given_name", _text),
            "family_name": ("family_name", _text),
            "payer": ("payer_name", _text),
            "starts_on": ("starts_on", _day),
            "ends_on": ("ends_on", _day_or_none),
        },
        ("account_ref", "given_name", "family_name", "payer_name", "starts_on"),
    ),
    "desk-payments": _Kind(
        DeskPayment,
        {
            "account": ("account_ref", _text),
            "visit": ("visit_ref", _text),
            "reference": ("reference", _text),
            "paid_on": ("paid_on", _day),
            "amount": ("amount", _amount),
        },
        ("account_ref", "reference"),
    ),
}


def import_rows(session: Session, kind: str, lines: Iterable[str]) -> int:
    """Take in a CSV file of one of :data:`KINDS`, in the caller's transaction; how many rows it had.

    The first line names the columns. Raises :class:`BadRow`, before anything is stored.
    """
    what = KINDS[kind]
    rows = _read(what, lines)
    for values in rows:
        key = {name: values[name] for name in what.key}
        row = session.scalar(sa.select(what.model).filter_by(**key))
        if row is None:
            session.add(what.model(**values))
        else:
            for name, value in values.items():
                setattr(row, name, value)
        session.flush()
    refs = {values["account_ref"] for values in rows}
    mark_check_due(session, account_ids(session, refs))
    record(session, Tag.FRONT_OFFICE_IMPORTED, kind=kind, rows=len(rows))
    return len(rows)


def _read(what: _Kind, lines: Iterable[str]) -> list[dict[str, Any]]:
    reader = csv.DictReader(lines)
    try:
        missing = [name for name in what.columns if name not in (reader.fieldnames or ())]
        if missing:
            raise BadRow(f"line 1: no column {', '.join(missing)}")
        return [_values(what, row, reader.line_num) for row in reader]
    except csv.Error as error:
        raise BadRow(f"line {reader.line_num}: {error}") from None


def _values(what: _Kind, row: Mapping[str, str | None], line: int) -> dict[str, Any]:
    values = {}
    for column, (name, read) in what.columns.items():
        text = (row[column] or "").replace("\x00", "").strip()
        try:
            value = read(text)
        except ValueError as error:
            raise BadRow(f"line {line}: {column} {error}") from None
        longest = getattr(what.model.__table__.c[name].type, "length", None) if isinstance(value, str) else None
        if longest and len(text) > longest:
            raise BadRow(f"line {line}: {column} is longer than {longest} characters")
        values[name] = value
    return values
