"""Which back-office ledger this portal speaks to: the setting ``LEDGER`` names one of :data:`LEDGERS`."""

from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from portal.ledger.adapters.embedded.ledger import EmbeddedLedger
from portal.ledger.port import Ledger, RemittanceLedger

#: How each adapter is opened, by its name.
LEDGERS: Mapping[str, Callable[[Session], Ledger]] = {"embedded": EmbeddedLedger}


class UnknownLedger(ValueError):
    """No adapter has this name; the text lists those there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"LEDGER names no back office that the portal knows; it is one of: {', '.join(LEDGERS)}")


def check_name(name: str) -> str:
    """Give ``name`` back if an adapter has it. Raises :class:`UnknownLedger`."""
    if name not in LEDGERS:
        raise UnknownLedger(name)
    return name


def open_ledger(name: str, session: Session) -> Ledger:
    """The adapter named ``name`` for one unit of work; ``session`` is the portal's. Raises :class:`UnknownLedger`."""
    return LEDGERS[check_name(name)](session)


def remittance_ledger(name: str, session: Session) -> RemittanceLedger | None:
    """The adapter named ``name`` if it has to be told of remittances, else None. Raises :class:`UnknownLedger`."""
    ledger = open_ledger(name, session)
    return ledger if isinstance(ledger, RemittanceLedger) else None
