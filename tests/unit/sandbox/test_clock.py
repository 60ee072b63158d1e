"""Days that pass in the demo pass for the portal, too."""

from datetime import timedelta
from pathlib import Path

import pytest

from portal import clock
from portal.queue import EVERY_JOB
from portal.sandbox import clock as demo_clock
from portal.sandbox.stripe import StandIn


def test_the_portal_follows_the_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, woken: list[str]
) -> None:
    monkeypatch.setattr(clock, "_ahead", clock._ahead)  # put back afterwards
    path = tmp_path / "clock"
    demo_clock.follow(path)
    assert abs(clock.now() - clock.wall()) < timedelta(seconds=5)
    store = tmp_path / "stripe.sqlite"
    standin = StandIn(store, on_advance=lambda ahead: demo_clock.pass_on(path, ahead))
    woken.clear()  # it says where it stands when it starts
    standin.advance(86_400)
    standin.advance(3_600)
    assert woken == [EVERY_JOB, EVERY_JOB]
    assert abs(clock.now() - clock.wall() - timedelta(hours=25)) < timedelta(seconds=5)
    standin.close()
    # A demo that starts again goes on from there.
    path.unlink()
    StandIn(store, on_advance=lambda ahead: demo_clock.write(path, ahead)).close()
    assert demo_clock.read(path) == timedelta(hours=25)


@pytest.mark.parametrize("text", ["", "x", None])
def test_a_file_that_says_nothing_moves_nothing(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "clock"
    if text is not None:
        path.write_text(text)
    assert demo_clock.read(path) == timedelta(0)
