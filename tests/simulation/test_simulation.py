"""A short simulated year, and proof that it notices what it is there for. Another seed: ``PLAINBILL_FAULTS_SEED``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portal.sandbox.simulation.judging import Judgment
from portal.sandbox.simulation.year import simulate
from tests.simulation import directed
from tests.simulation.twins import TWINS

SEED = int(os.environ.get("PLAINBILL_FAULTS_SEED", "20261102"))

pytestmark = pytest.mark.timeout(900)


def test_a_short_year_in_which_everything_goes_wrong(tmp_path: Path) -> None:
    year = simulate(f"sqlite:///{tmp_path / 'portal.sqlite'}", tmp_path, seed=SEED, days=20, plans=6, unrest=2.0)
    found = year.judgment
    print(f"seed {SEED}: {found}")
    assert year.kills.total() > 0
    assert found.installments > 0
    assert found.plans.total() >= 6
    assert not found.wrong, found.notes


def test_directed_days_end_well(tmp_path: Path) -> None:
    """What the twins are caught by is there, and with all its guards the portal comes through it."""
    year, overtaken = directed.live(tmp_path, seed=SEED)
    found = year.judgment
    print(f"seed {SEED}: {found}")
    assert not found.wrong, found.notes
    assert overtaken > 0
    assert found.installments >= 2
    assert found.declines > 0
    assert found.faults > 0
    assert found.plans["stopped by rule"] == 1
    with pytest.raises(AssertionError, match="was not caught"):
        must_be_noticed("nothing is changed", found, "")


@pytest.mark.parametrize("name", sorted(TWINS))
def test_a_guard_that_is_missing_is_noticed(name: str, tmp_path: Path) -> None:
    sabotage, words = TWINS[name]
    with sabotage():
        year, _overtaken = directed.live(tmp_path, seed=SEED)
    print(f"seed {SEED}: {year.judgment}")
    must_be_noticed(name, year.judgment, words)


def must_be_noticed(name: str, found: Judgment, words: str) -> None:
    assert found.wrong, f"the twin “{name}” was not caught"
    assert any(words in note for note in found.notes), found.notes
