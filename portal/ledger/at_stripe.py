"""What Stripe holds for us, as reconciling reads it: all of it, or what moved since a moment."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from portal.payments.gateway import StripeCharge, StripeGateway
from portal.payments.queries import Moved

#: Before there was a portal: asks Stripe for everything.
_EVER = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class AtStripe:
    """What Stripe holds, in cents, by intent (or by charge, where there is none), and the charges it is of."""

    since: datetime | None
    held: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    charges: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    attempts: dict[str, str] = field(default_factory=dict)
    taken_at: dict[str, datetime] = field(default_factory=dict)

    def add(self, charge: StripeCharge) -> str:
        """Count a charge; returns the name it is counted under."""
        name = charge.intent_id or charge.charge_id
        self.held[name] += charge.net.cents
        self.charges[name].add(charge.charge_id)
        self.attempts[name], self.taken_at[name] = charge.attempt_id, charge.created_at
        return name

    def was_asked_about(self, intent_id: str, movements: Iterable[Moved]) -> bool:
        """Whether what is held of an intent is what Stripe said: it was listed, or it had to be."""
        since = self.since
        return since is None or intent_id in self.held or any(one.booked_at >= since for one in movements)


def read_stripe(
    gateway: StripeGateway,
    *,
    since: datetime | None,
    customers: set[str],
    charges_here: set[str],
    intents_here: set[str],
    progress: Callable[[int, int], None],
) -> AtStripe:
    """What Stripe holds of ours: taken, less refunds, less what banks called back.

    With ``since``: the charges made since then, and every older one of which anything moved since then, at Stripe (its
    balance says so) or here (``charges_here``), or may have moved before (``intents_here``, which are not settled).
    ``customers`` are ours; a clinic may use its Stripe account for other things, too. May raise
    :class:`StripeUnreachable`.
    """
    found, seen = AtStripe(since), set()
    for done, charge in enumerate(gateway.captured(since=since), start=1):
        seen.add(charge.charge_id)
        if _is_ours(charge, customers):
            found.add(charge)
        progress(done, 0)
    for dispute in gateway.disputes.every(since=since or _EVER):
        name = dispute.intent_id or dispute.charge_id
        if name in found.held:
            found.held[name] -= (dispute.withdrawn - dispute.returned).cents
    if since is not None:
        begun = {gateway.retrieve_intent(one).charge_id for one in sorted(intents_here) if one}
        older = (set(gateway.payouts.charges_moved(since=since)) | charges_here | begun) - seen - {""}
        for charge_id in sorted(older):
            charge = gateway.charge(charge_id)
            if _is_ours(charge, customers) or charge_id in charges_here:
                found.held[found.add(charge)] -= _called_back(gateway, charge_id)
    return found


def ask_again(gateway: StripeGateway, stripe: AtStripe, names: Iterable[str], charges_here: Mapping[str, str]) -> None:
    """Bring what Stripe holds under these names up to date; ``charges_here`` is the charge we know of each intent."""
    for name in names:
        charges = stripe.charges.get(name, set()) | ({charges_here[name]} if name in charges_here else set())
        if charges:
            stripe.held[name] = sum(
                gateway.charge(charge_id).net.cents - _called_back(gateway, charge_id) for charge_id in charges
            )
            stripe.charges[name] = charges


def _is_ours(charge: StripeCharge, customers: set[str]) -> bool:
    return bool(charge.attempt_id) or charge.customer_id in customers


def _called_back(gateway: StripeGateway, charge_id: str) -> int:
    """What banks took back of a charge and did not return, in cents."""
    return sum((one.withdrawn - one.returned).cents for one in gateway.disputes.of_charge(charge_id))
