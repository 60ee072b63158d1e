"""When declines look like somebody trying cards."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.guests.breaker import WINDOW, Tries, counted_from, is_card_testing, is_too_many_declines
from portal.payments.tries import MOST_DECLINES

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("declined", "succeeded", "met"),
    [
        (0, 0, False),
        (11, 0, False),
        (12, 0, True),
        (12, 8, True),  # 60 %
        (12, 9, False),
        (13, 9, False),  # 59.1 %
        (15, 10, True),
        (0, 500, False),
        (40, 200, False),  # a busy Monday
        (300, 200, True),
        (10_000, 6_667, False),  # 59.999 %: no rounding up
    ],
)
def test_both_signs_are_needed(declined: int, succeeded: int, met: bool) -> None:
    everywhere = Tries(declined, succeeded, statements=40, networks=40)
    assert is_card_testing(everywhere) is met
    assert is_too_many_declines(everywhere) is met


@pytest.mark.parametrize(
    ("statements", "networks", "met"),
    [(3, 3, True), (2, 3, False), (3, 2, False), (1, 40, False), (40, 1, False), (0, 0, False), (9, 9, True)],
)
def test_no_single_network_and_no_single_paper_shuts_it(statements: int, networks: int, met: bool) -> None:
    """Whoever holds one bill, or comes from one network, waits alone however often a card is declined."""
    tries = Tries(500, 0, statements=statements, networks=networks)
    assert is_card_testing(tries) is met
    assert is_too_many_declines(tries)


def test_one_payment_alone_never_shuts_it() -> None:
    assert not is_card_testing(Tries(MOST_DECLINES, 0, statements=3, networks=3))


@pytest.mark.parametrize(
    ("ended_ago", "begins_ago"),
    [(None, WINDOW), (timedelta(hours=3), WINDOW), (timedelta(minutes=4), timedelta(minutes=4))],
)
def test_what_shut_it_is_not_counted_again(ended_ago: timedelta | None, begins_ago: timedelta) -> None:
    assert counted_from(NOW, None if ended_ago is None else NOW - ended_ago) == NOW - begins_ago
