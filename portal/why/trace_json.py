"""The trace as plain data, for ``portal trace --json``. The shape is documented in docs/trace.md; amounts are cents."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from portal.accounts.queries import AccountRow
from portal.billing.queries import VisitRow
from portal.billing.story.picture import Split, segments, share_segments
from portal.billing.story.steps import Record, ToldStep
from portal.billing.story.words import part_name
from portal.money import Money
from portal.statements.queries import StatementRow
from portal.why.tracing import StatementStory, Traced, TracedLine


def account_facts(account: AccountRow) -> dict[str, Any]:
    """Which account, and as of when its mirror is."""
    return {"ref": account.ref, "public_id": account.public_id, "as_of": account.mirrored_at.isoformat()}


def trace_facts(account: AccountRow, of: str, traced: Traced, visits: Iterable[VisitRow]) -> dict[str, Any]:
    """The trace of an account or of one visit of it (``of``), visit by visit and line by line."""
    by_visit: dict[int, list[TracedLine]] = {}
    for one in traced.lines:
        by_visit.setdefault(one.line.visit_id, []).append(one)
    headings = {visit.id: visit for visit in visits}
    total = Money.zero()
    told = []
    for visit_id, lines in by_visit.items():
        split = Split.total(one.split for one in lines)
        facts = []
        for one in lines:
            facts.append(_line(one, total))
            total = total + one.split.due
        told.append(
            {
                "ref": headings[visit_id].ref,
                "public_id": headings[visit_id].public_id,
                "started_on": _iso(headings[visit_id].started_on),
                **_sums(split),
                "total_cents": total.cents,
                "lines": facts,
            }
        )
    return {
        "of": of,
        "account": account_facts(account),
        "currency": "USD",
        **_sums(traced.split),
        "on_its_way_cents": traced.on_its_way.cents,
        "picture": picture_facts(traced.split),
        "visits": told,
    }


def statement_facts(account: AccountRow, statement: StatementRow, story: StatementStory) -> dict[str, Any]:
    """A statement's trace: what was printed, what changed since, what is due on its lines now."""
    return {
        "of": "statement",
        "account": account_facts(account),
        "currency": "USD",
        "statement": {
            "number": statement.number,
            "public_id": statement.public_id,
            "issued_on": _iso(statement.issued_on),
            "printed_at": story.printed_at.isoformat(),
        },
        "printed_cents": story.printed.cents,
        "was_on_its_way_cents": story.was_on_its_way.cents,
        "changes": [_step(step) for step in story.changes],
        **_sums(story.split),
        "payable_cents": story.payable.cents,
        "on_its_way_cents": story.on_its_way.cents,
        "picture": picture_facts(story.split),
        "lines": [
            {
                "public_id": one.line.public_id if one.line else None,
                "description": one.printed.description,
                "service_on": _iso(one.printed.service_on),
                "printed_cents": one.printed.amount.cents,
                "due_cents": one.due.cents if one.line else None,
            }
            for one in story.lines
        ],
    }


def picture_facts(split: Split) -> dict[str, Any]:
    """The picture's segments, which sum to what was billed, and what became of the patient's share."""
    return {
        "segments": [
            {"kind": one.kind.value, "label": part_name(one.kind, one.amount), "cents": one.amount.cents}
            for one in segments(split)
        ],
        "share": [
            {"kind": one.kind.value, "label": part_name(one.kind, one.amount), "cents": one.amount.cents}
            for one in share_segments(split)
        ],
    }


def _sums(split: Split) -> dict[str, int]:
    return {
        "billed_cents": split.billed.cents,
        "with_insurer_cents": split.with_insurer.cents,
        "share_cents": split.share.cents,
        "paid_cents": split.paid.cents,
        "due_cents": split.due.cents,
    }


def _line(one: TracedLine, before: Money) -> dict[str, Any]:
    return {
        "public_id": one.line.public_id,
        "description": one.line.description or one.category,
        "code": one.line.code,
        "service_on": _iso(one.line.service_on),
        "state": one.line.state.value,
        **_sums(one.split),
        "on_its_way_cents": one.on_its_way.cents,
        "picture": picture_facts(one.split),
        "steps": [{**_step(step), "total_cents": (before + step.running).cents} for step in one.steps],
    }


def _step(step: ToldStep) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "code": step.code,
        "title": step.title,
        "detail": step.detail,
        "amount_cents": step.amount.cents,
        "running_cents": step.running.cents,
        "your_share_cents": step.your_share.cents,
        "source": _record(step.record) if step.record else None,
    }


def _record(record: Record) -> dict[str, str | None]:
    return {
        "kind": record.kind,
        "on": _iso(record.on),
        "text": record.text,
        "payer": record.payer,
        "claim": record.claim,
        "payment_number": record.number,
        "file": record.file,
        "reference": record.reference,
        "method": record.method,
        "stripe_id": record.stripe_id,
    }


def _iso(value: date | None) -> str | None:
    return value.isoformat() if value else None
