"""The command ``portal explain``: one line's codes in plain words, or how much of some files can be explained."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import click

from portal.explanations import AdjustmentFact, Explanation, explain_line, languages
from portal.explanations.catalogue import load
from portal.explanations.coverage import REMARK, NotACode, Seen, coverage, parse
from portal.money import Money

#: The longest file that is tried as a list of codes; the national lists are a tenth of it.
_LONGEST_LIST = 10_000_000
_EXAMPLE = Money(10000)


class _Amount(click.ParamType[Money]):
    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Money:
        if isinstance(value, Money):
            return value
        try:
            return Money.parse(str(value).replace("$", "").replace(",", ""))
        except ValueError:
            self.fail(f"{value!r} is not an amount in dollars and cents, such as 123.45", param, ctx)


class _Day(click.ParamType[date]):
    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return datetime.strptime(str(value), "%Y-%m-%d").date()
        except ValueError:
            self.fail(f"{value!r} is not a day such as 2026-03-31", param, ctx)


@click.command("explain")
@click.argument("codes", nargs=-1, required=True, metavar="CODE... | FILE...")
@click.option("--payer", default="", help="The insurer's name.")
@click.option("--amount", "amounts", type=_Amount(), multiple=True, help="In dollars; once for each code, in order.")
@click.option("--date", "decided_on", type=_Day(), default=None, help="The decision's day, as 2026-03-31.")
@click.option("--lang", "language", type=click.Choice(languages()), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--coverage", "is_coverage", is_flag=True, help="Count what is explained of the codes in files, as JSON.")
def explain_command(
    codes: tuple[str, ...],
    payer: str,
    amounts: tuple[Money, ...],
    decided_on: date | None,
    language: str,
    as_json: bool,
    is_coverage: bool,
) -> None:
    """Put an insurer's codes into plain words.

    CODE is a group with a reason, such as CO-45, or a remark, such as N14. Several are read as the codes on one line.
    With --coverage, each FILE is an 835 remittance, a list of codes (one a line, or a CSV with a column "code") or a
    directory of such files.
    """
    if is_coverage:
        if payer or amounts or decided_on:
            raise click.UsageError("--coverage takes files and no facts.")
        click.echo(json.dumps(coverage(_seen_in(codes)), indent=2, ensure_ascii=False))
        return
    facts, remarks = _facts(codes, payer, amounts, decided_on)
    told = explain_line(facts, language=language)
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in told], indent=2, ensure_ascii=False))
        return
    book = load(language)
    blocks = [_as_text(one) for one in told]
    for code in remarks if not facts else ():
        known = book.remarks.get(code)
        text = (known.what if known else book.sentences["unknown_remark"]).format(
            payer=payer or book.words["payer"], code=code
        )
        marks = _marks(
            known=known is not None,
            by_family=known is not None and not known.own_words,
            reviewed=known.reviewed if known else "stories" in book.reviewed,
        )
        blocks.append("\n\n".join(filter(None, (code, text[0].upper() + text[1:], marks))))
    click.echo("\n\n\n".join(blocks))


def _facts(
    codes: Iterable[str], payer: str, amounts: tuple[Money, ...], decided_on: date | None
) -> tuple[list[AdjustmentFact], list[str]]:
    """The adjustments of a line, each with the line's remarks, and those remarks."""
    pairs, remarks = [], []
    for text in codes:
        try:
            group, code = parse(text)
        except NotACode as error:
            raise click.UsageError(f"{error}.") from None
        if group:
            pairs.append((group, code))
        elif REMARK.fullmatch(code):
            remarks.append(code)
        else:
            raise click.UsageError(f"{code} needs its group: CO-{code}, PR-{code}, OA-{code} or PI-{code}.")
    if amounts and len(amounts) != len(pairs):
        raise click.UsageError(f"There are {len(pairs)} codes and {len(amounts)} amounts: give one for each.")
    if pairs and not amounts:
        click.echo(f"(with {_EXAMPLE} as an example)", err=True)
        amounts = (_EXAMPLE,) * len(pairs)
    facts = [
        AdjustmentFact(group, code, amount, payer, tuple(remarks), decided_on)
        for (group, code), amount in zip(pairs, amounts, strict=True)
    ]
    return facts, remarks


def _as_text(told: Explanation) -> str:
    head = f"{told.code_label}: {told.title}"
    marks = _marks(by_family=told.by_family, reviewed=told.reviewed, known=told.known)
    parts = (head, told.what, told.bill, told.next_step, told.ask, told.source, marks)
    return "\n\n".join(part for part in parts if part)


def _marks(*, by_family: bool, reviewed: bool, known: bool = True) -> str:
    """What an honest reader should know of the words: shown only where it is not as it should be."""
    marks = [
        "known: false" if not known else "",
        "by_family: true" if by_family else "",
        "reviewed: false" if not reviewed else "",
    ]
    return "\n".join(mark for mark in marks if mark)


def _as_json(told: Explanation) -> dict[str, Any]:
    return {**asdict(told), "amount": str(told.amount), "amount_cents": told.amount.cents, "by_family": told.by_family}


def _seen_in(paths: Iterable[str]) -> Seen:
    seen = Seen()
    for path in map(Path, paths):
        files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
        try:
            for file in files:
                _read(file, seen)
        except OSError as error:
            raise click.UsageError(f"{path}: {(error.strerror or type(error).__name__).lower()}.") from None
    return seen


def _read(path: Path, seen: Seen) -> None:
    """Take in the codes of one file. Raises :class:`OSError`; :class:`click.UsageError` for a file that is neither."""
    from portal.remittances.x12.errors import NotA835
    from portal.remittances.x12.remittance import RemittanceFile

    with path.open("rb") as stream:
        try:
            for transaction in RemittanceFile(stream, path.name):
                for adjustment in transaction.adjustments:
                    seen.add(adjustment.group, adjustment.reason)
                told = [claim.remark_codes for claim in transaction.claims]
                told += [line.remark_codes for line in transaction.lines]
                for remark in chain.from_iterable(told):
                    seen.add_remark(remark)
            return
        except NotA835:
            stream.seek(0)
            text = stream.read(_LONGEST_LIST).decode("utf-8-sig", errors="replace")
    try:
        _read_list(text, seen)
    except (NotACode, csv.Error) as error:
        raise click.UsageError(f"{path}: neither an 835 nor a list of codes ({error}).") from None


def _read_list(text: str, seen: Seen) -> None:
    """A CSV with a column ``code`` (and ``type``, where rows of groups are to be left out), or one code a line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise NotACode("it is empty")
    if "code" not in lines[0].lower().split(","):
        for line in lines:
            seen.add_text(line)
        return
    for row in csv.DictReader(text.splitlines()):
        cells = {(name or "").strip().lower(): value for name, value in row.items() if isinstance(value, str)}
        if cells.get("type", "").strip().lower() != "group":
            seen.add_text(cells.get("code") or "")


COMMANDS = (explain_command,)
