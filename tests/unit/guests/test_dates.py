"""A date of birth as people type it."""

from datetime import date

import pytest

from portal.guests.dates import NotADay, NotYet, ShortYear, read_day

TODAY = date(2026, 11, 24)
BORN = date(1980, 4, 7)


@pytest.mark.parametrize(
    "text",
    [
        "4/7/1980",
        "04/07/1980",
        " 4 / 7 / 1980 ",
        "4-7-1980",
        "4.7.1980",
        "4 7 1980",
        "1980-04-07",
        "1980/4/7",
        "04071980",
        "19800407",
    ],
)
def test_ways_to_write_a_day(text: str) -> None:
    assert read_day(text, today=TODAY) == BORN


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", NotADay),
        ("April 7, 1980", NotADay),
        ("13/7/1980", NotADay),
        ("2/30/1980", NotADay),
        ("2/29/1981", NotADay),
        ("1980", NotADay),
        ("4071980", NotADay),
        ("٤/٧/١٩٨٠", NotADay),
        ("4/7/1980 or so", NotADay),
        ("1" * 400, NotADay),
        ("4/7/1776", NotADay),
        ("4/7/80", ShortYear),
        ("80-04-07", ShortYear),
        ("11/25/2026", NotYet),
        ("4/7/2980", NotYet),
    ],
)
def test_what_is_no_day_says_why(text: str, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        read_day(text, today=TODAY)
    assert type(raised.value) is error


def test_today_is_a_day_to_be_born_on_and_so_is_a_leap_day() -> None:
    assert read_day("11/24/2026", today=TODAY) == TODAY
    assert read_day("2/29/2024", today=TODAY) == date(2024, 2, 29)
