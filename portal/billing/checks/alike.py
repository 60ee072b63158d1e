"""Which lines of a bill are one and the same: told twice, or a service that stands twice on a day. Pure."""

from collections.abc import Callable, Iterator

from portal.billing.checks import codes
from portal.billing.checks.facts import ZERO, Bill, LineFact

#: Lines with equal keys are alike; None is like nothing.
Key = tuple[object, ...] | None


def second_lines(bill: Bill, key: Callable[[Bill, LineFact], Key]) -> Iterator[LineFact]:
    """The lines of this bill that ask for what another line, here or on an earlier bill, has billed already."""
    seen: dict[tuple[object, ...], int] = {}

    def counts(line: LineFact) -> bool:
        return line.share > ZERO or line.insurer_paid > ZERO

    for line in bill.elsewhere:
        name = key(bill, line)
        if name is not None and counts(line):
            seen[name] = seen.get(name, 0) + 1
    # What the patient has paid stands before what is still asked for, whichever line it was.
    for line in sorted(bill.lines, key=lambda one: (one.asks or one.share <= ZERO, one.ordinal)):
        name = key(bill, line)
        if name is None or not counts(line):
            continue
        if seen.get(name) and line.asks:
            yield line
        seen[name] = seen.get(name, 0) + 1


def whole_line(bill: Bill, line: LineFact) -> Key:
    """Everything that makes two lines one line told twice; None where a line is no second of anything."""
    if _says_two(bill, line):
        return None
    return (bill.day(line), line.code, line.revenue_code, frozenset(line.modifiers), line.units, line.billed)


def service_of_day(bill: Bill, line: LineFact) -> Key:
    """What makes two lines the same service on one day; None where several lines are usual."""
    if _says_two(bill, line) or line.code in codes.ADD_ON or line.code[:1] in codes.SUPPLIES:
        return None
    return (bill.day(line), line.code, frozenset(line.modifiers) - codes.SAYS_NOTHING_OF_TWO)


def _says_two(bill: Bill, line: LineFact) -> bool:
    """Whether nothing can be said of a line's likeness, or it says itself that it was done again."""
    nameless = not line.code or line.qualifier not in codes.PROCEDURES or line.whole_visit or bill.day(line) is None
    return nameless or bool(set(line.modifiers) & codes.REPEATED)
