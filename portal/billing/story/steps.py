"""The steps from billed to due as people and programs read them: words, amounts, and the record each came from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from flask_babel import gettext as _

from portal.billing.entries import EntryRow
from portal.billing.kinds import PATIENT_MONEY, EntryKind
from portal.billing.story.trace import Change, Trace, trace
from portal.billing.story.visit_lines import why_steps
from portal.money import Money

#: The last step of a line that an insurer has not finished: what is left less what is not the patient's to pay now.
WITH_INSURER = "with_insurer"


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of the payment, refund or dispute that an entry is of: with what it was paid, and Stripe's id."""

    method: str
    stripe_id: str
    by: str = ""


#: Origins by what the entry's source is called and the public id.
Origins = Mapping[tuple[str, str], Origin]


@dataclass(frozen=True, slots=True)
class Record:
    """The record a step came from. ``number`` is the insurer's payment number, ``reference`` what receipts show."""

    kind: str
    on: date | None
    text: str
    payer: str = ""
    claim: str = ""
    number: str = ""
    file: str = ""
    reference: str = ""
    method: str = ""
    stripe_id: str = ""


@dataclass(frozen=True, slots=True)
class ToldStep:
    """One step. ``amount`` is its effect on what is left, ``running`` what is left after it.

    ``your_share`` is what the step makes the patient's (or takes back) without changing what is left.
    """

    kind: str
    code: str
    title: str
    detail: str
    amount: Money
    running: Money
    your_share: Money
    record: Record | None


def reference(public_id: str) -> str:
    """What people quote of a payment on the telephone: ``1A2B-3C4D``."""
    return f"{public_id[:4]}-{public_id[4:8]}".upper()


def records_in(entries: Iterable[EntryRow]) -> dict[str, list[str]]:
    """The public ids of payments, refunds and disputes that entries name, by the source's name."""
    found: dict[str, dict[str, None]] = {}
    for entry in entries:
        if entry.kind in PATIENT_MONEY:
            found.setdefault(entry.source, {})[entry.subject] = None
    return {source: list(ids) for source, ids in found.items()}


def told_steps(told: Trace, *, language: str, origins: Origins) -> list[ToldStep]:
    """A line's steps, from billed to exactly what is due: the last one's ``running`` is the trace's ``due``."""
    steps = [
        ToldStep(
            kind=one.step.entry.kind.value,
            code=one.step.entry.code,
            title=one.title,
            detail=one.detail,
            amount=one.step.amount,
            running=one.step.running,
            your_share=one.step.your_share,
            record=_record(one.step.entry, one.source, origins),
        )
        for one in why_steps(told, language=language)
    ]
    if told.with_insurer:
        over = told.with_insurer < Money.zero()
        steps.append(
            ToldStep(
                kind=WITH_INSURER,
                code="",
                title=_("Decided for more than was billed") if over else _("Still with your insurer"),
                detail=_("More came off this charge than was billed. We look at it; it does not lower what you owe.")
                if over
                else _("Your insurer has not decided about this part. You don’t need to pay it now."),
                amount=-told.with_insurer,
                running=told.due,
                your_share=Money.zero(),
                record=None,
            )
        )
    return steps


def told_lines(
    lines: Mapping[int, list[EntryRow]], *, language: str, origins: Origins
) -> dict[int, list[ToldStep]]:
    """The steps of each line, by charge id."""
    return {
        charge_id: told_steps(trace(entries), language=language, origins=origins)
        for charge_id, entries in lines.items()
    }


def _record(entry: EntryRow, text: str, origins: Origins) -> Record:
    if entry.kind not in PATIENT_MONEY:
        return Record(
            kind=entry.source,
            on=entry.effective_on,
            text=text,
            payer=entry.payer_name,
            claim=entry.payer_claim_ref,
            number=entry.trace_number,
            file=entry.file_name,
        )
    origin = origins.get((entry.source, entry.subject))
    return Record(
        kind=entry.source,
        on=entry.effective_on,
        text=f"{text}, {origin.method}" if origin and origin.method else text,
        reference=reference(entry.subject),
        method=origin.method if origin else "",
        stripe_id=origin.stripe_id if origin else "",
    )


def told_changes(changes: Iterable[Change], *, language: str, origins: Origins) -> list[ToldStep]:
    """What changed since a statement, one step for each record, with what is due after it."""
    return [_told_change(change, language, origins) for change in changes]


def _told_change(change: Change, language: str, origins: Origins) -> ToldStep:
    first = change.entries[0]
    # The words of the record as the line's own page has them.
    (one,) = why_steps(trace([first]), language=language)
    title, detail = one.title, one.detail
    if first.kind not in PATIENT_MONEY:
        payer = first.payer_name or _("Your insurer")
        more = change.amount > Money.zero()
        if first.kind is EntryKind.CHARGE and not first.payer_name:
            title, detail = _("A charge was added"), ""
        else:
            title = _("%(payer)s decided again", payer=payer)
            detail = _("This raised your share.") if more else _("This lowered your share.")
    return ToldStep(
        kind=first.kind.value,
        code="",
        title=title,
        detail=detail,
        amount=change.amount,
        running=change.running,
        your_share=Money.zero(),
        record=_record(first, one.source, origins),
    )
