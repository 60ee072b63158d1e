"""What ``portal trace`` prints: an account, one visit of it, or one statement, as data or as text."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from portal.accounts.queries import account_named
from portal.audit.service import record
from portal.audit.tags import Tag
from portal.billing.queries import visits_of_account
from portal.db import RecordNotFound
from portal.money import Money
from portal.statements.queries import statement_by_number
from portal.why.trace_json import statement_facts, trace_facts
from portal.why.tracing import statement_story, trace_account, trace_visit

#: The language of the operator's terminal.
_LANGUAGE = "en"


def trace_of(session: Session, name: str, *, visit: str = "", statement: str = "") -> dict[str, Any]:
    """The trace of the account with this number or public id, as in docs/trace.md; audited, for the caller to commit.

    ``visit`` and ``statement`` (a number or public id) narrow it down. Raises :class:`RecordNotFound`, which names what
    there is none of. Needs an application context, for the words.
    """
    account = account_named(session, name)
    record(session, Tag.ACCOUNT_SEEN, account_id=account.id, subject=account.public_id, by="command")
    if statement:
        found = statement_by_number(session, account.id, statement)
        return statement_facts(account, found, statement_story(session, found, language=_LANGUAGE))
    visits = [one.visit for one in visits_of_account(session, account.id)]
    if not visit:
        traced = trace_account(session, account.id, language=_LANGUAGE)
        return trace_facts(account, "account", traced, visits)
    for one in visits:
        if visit in (one.ref, one.public_id):
            return trace_facts(account, "visit", trace_visit(session, one, language=_LANGUAGE), [one])
    raise RecordNotFound("visit")


def as_text(facts: dict[str, Any]) -> Iterator[str]:
    """A trace for people to read: a line of text for each step, amounts in dollars."""
    yield f"Account {facts['account']['ref']}, as of {facts['account']['as_of']}"
    if facts["of"] == "statement":
        yield f"Statement {facts['statement']['number']}, printed {facts['statement']['issued_on']}"
        yield _row("Printed", facts["printed_cents"], None)
        if facts["was_on_its_way_cents"]:
            yield _row("Was on its way then", facts["was_on_its_way_cents"], None)
        for step in facts["changes"]:
            yield from _step(step)
    for visit in facts.get("visits", ()):
        yield f"\nVisit {visit['ref']} ({visit['started_on'] or 'no day'})"
        for line in visit["lines"]:
            yield f"  {line['description'] or 'A charge'} {line['code']} [{line['state']}]"
            for step in line["steps"]:
                yield from _step(step)
        yield _row("  Due for this visit", visit["due_cents"], visit["total_cents"])
    yield "\nWhere the money went"
    yield _row("Billed", facts["billed_cents"], None)
    for one in facts["picture"]["segments"]:
        yield _row(f"  {one['label']}", one["cents"], None)
    for one in facts["picture"]["share"]:
        yield _row(one["label"], one["cents"], None)
    if facts["on_its_way_cents"]:
        yield _row("On its way, not counted above", facts["on_its_way_cents"], None)


def _row(name: str, cents: int, running: int | None) -> str:
    after = "" if running is None else f"{Money(running)!s:>14}"
    return f"{name:<58}{Money(cents)!s:>14}{after}"


def _step(step: dict[str, Any]) -> Iterator[str]:
    name = f"    {step['title']}"
    if step["code"]:
        name += f" ({step['code']})"
    if step["your_share_cents"]:
        name += f", your part {Money(step['your_share_cents'])}"
    yield _row(name, step["amount_cents"], step["running_cents"])
    source = step["source"]
    if source:
        told = [source["on"], source["text"], source["stripe_id"]]
        yield "      " + " · ".join(part for part in told if part)
