"""When declines look like somebody trying stolen card numbers ("card testing"). Pure.

https://docs.stripe.com/disputes/prevention/card-testing: testers make many small payments in a short time and most of
them are declined, while of ordinary card payments few are. Both signs are needed: a count alone would shut a busy
clinic, a share alone would shut a quiet one after one person's bad evening. And what shuts every guest out of paying
must not be in the hand of one: so the declines have to be on several statements and from several networks. One network
with as many declines waits alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

#: The rolling time over which tries are counted: long enough that a script which waits between tries is seen, short
#: enough that yesterday's declines say nothing about now.
WINDOW = timedelta(minutes=10)
#: Twice what one payment may be declined (payments/tries.py): no single person with a drawer of old cards gets there.
FEWEST_DECLINES = 12
#: Of ordinary card payments online some 5 to 15 % are declined; of a tester's, nearly all.
SHARE_PERCENT = 60
#: A family has two bills on the table, and a phone besides the computer. Three and three is no family.
FEWEST_STATEMENTS = 3
FEWEST_NETWORKS = 3
#: Testers move on to another site when one stops answering; a person can come back after dinner, call, or sign in.
SHUT_FOR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Tries:
    """What cards did in the window, by guests."""

    declined: int
    succeeded: int
    #: How many statements the declines were on, and how many networks they came from.
    statements: int = 0
    networks: int = 0

    @property
    def all(self) -> int:
        """Every try that got an answer."""
        return self.declined + self.succeeded


def is_card_testing(tries: Tries) -> bool:
    """Whether these tries of one window are to be met by shutting guest payment for :data:`SHUT_FOR`."""
    return (
        is_too_many_declines(tries)
        and tries.statements >= FEWEST_STATEMENTS
        and tries.networks >= FEWEST_NETWORKS
    )


def is_too_many_declines(tries: Tries) -> bool:
    """Whether these tries of one window, all from one network, are to be met by taking no card from it for a while."""
    return tries.declined >= FEWEST_DECLINES and tries.declined * 100 >= tries.all * SHARE_PERCENT


def counted_from(now: datetime, last_ended: datetime | None) -> datetime:
    """Where the window begins: :data:`WINDOW` ago, but not before guest payment was last opened again.

    Without that, the declines that shut it would shut it again at once.
    """
    start = now - WINDOW
    return start if last_ended is None else max(start, last_ended)
