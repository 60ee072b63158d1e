"""A short simulated year, and proof that it notices what it is there for. Another seed: ``PLAINBILL_FAULTS_SEED``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portal.sandbox.simulation.year import simulate
from tests.simulation.twins import TWINS

SEED = int(os.environ.get("PLAINBILL_FAULTS_SEED", "20261102"))

pytestmark = pytest.mark.timeout(900)


def test_a_short_year_in_which_everything_goes_wrong(tmp_path: Path) -> None:
    year = simulate(f"sqlite:///{tmp_path / 'portal.sqlite'}", tmp_path, seed=SEED, days=20, plans=6, unrest=2.0)
    found = year.judgment
    print(f"seed {SEED}: {found}")
    assert year.kills.total() > 0
    assert found.instalments > 0
    assert found.plans.total() >= 8
    assert not found.wrong, found.notes


@pytest.mark.skipif(not os.environ.get("PLAINBILL_TWINS"), reason="minutes each: PLAINBILL_TWINS=1 runs them")
@pytest.mark.parametrize("name", sorted(TWINS))
def test_a_guard_that_is_missing_is_noticed(name: str, tmp_path: Path) -> None:
    sabotage, words = TWINS[name]
    with sabotage():
        year = simulate(f"sqlite:///{tmp_path / 'portal.sqlite'}", tmp_path, seed=SEED, days=20, plans=6, unrest=3.0)
    print(f"seed {SEED}: {year.judgment}")
    assert year.judgment.wrong, f"the twin “{name}” was not caught"
    assert any(words in note for note in year.judgment.notes), year.judgment.notes
