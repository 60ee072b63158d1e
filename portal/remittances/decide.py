"""How one payer's words about one line become entries. Pure; told in prose in docs/remittances.md.

The insurer's bucket of a line holds what is still to be decided. A payer's decision empties it: by paying, by
adjusting (CO, OA, PI, CR: never the patient's), and by moving the patient's responsibility (PR) across.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.billing.kinds import EntryKind
from portal.money import Money
from portal.remittances.x12.model import Adjustment

#: CARC 23 tells again what earlier payers paid and adjusted; where the books have that already, it moves nothing.
PRIOR_PAYERS = ("OA", "23")


@dataclass(frozen=True, slots=True)
class Movement:
    """An entry to be, and its ``part`` of the source's id within the line."""

    part: str
    kind: EntryKind
    insurer: Money
    patient: Money
    stated: Money
    group: str = ""
    reason: str = ""


def movements(
    *,
    new_charge: Money | None,
    paid: Money,
    adjustments: Sequence[Adjustment],
    share_so_far: Money,
    decided_before: bool,
    reversal: bool,
    told_again: bool | None = None,
) -> list[Movement]:
    """The movements of one line.

    ``new_charge`` is its billed amount when it is not in the books yet; ``share_so_far`` what earlier payers left to
    the patient; ``decided_before`` whether any payer has decided the line; ``told_again`` whether what is said of
    earlier payers (:data:`PRIOR_PAYERS`) is in the books already, which for a decision follows from
    ``decided_before``, and for a reversal from what it undoes. Amounts are as the payer wrote them, a reversal's
    being negative. Movements of nothing are left out, except adjustments, which explain.
    """
    if told_again is None:
        told_again = decided_before and not reversal
    zero, found = Money.zero(), []
    if new_charge:
        found.append(Movement("charge", EntryKind.CHARGE, new_charge, zero, new_charge))
    if decided_before and not reversal and share_so_far:
        # A later payer looks at what the earlier one left to the patient: until it has, nobody is asked.
        found.append(Movement("taken-up", EntryKind.SHARE_MOVED, share_so_far, -share_so_far, share_so_far))
    if paid:
        found.append(Movement("paid", EntryKind.INSURER_PAYMENT, -paid, zero, paid))
    for cas in adjustments:
        part = f"cas{cas.ordinal}"
        if cas.group == "PR":
            found.append(
                Movement(part, EntryKind.SHARE_MOVED, -cas.amount, cas.amount, cas.amount, cas.group, cas.reason)
            )
        else:
            effect = zero if told_again and (cas.group, cas.reason) == PRIOR_PAYERS else -cas.amount
            found.append(
                Movement(part, EntryKind.ADJUSTMENT, effect, zero, cas.amount, cas.group, cas.reason)
            )
    return found
