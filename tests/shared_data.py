"""Where the shared sample data lies; it is never copied into the project."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("PLAINBILL_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def shared_path(relative: str) -> Path:
    """The path of a shared sample, e.g. ``data/x12``; skips the calling test where it is absent."""
    path = ROOT / relative
    if not path.exists():
        pytest.skip(f"shared sample data is absent: {path}")
    return path
