"""Our scripts against Stripe's own types (``make types-js``), where node and the packages are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TSC = ROOT / "node_modules" / ".bin" / "tsc"


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the type checker."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not TSC.exists():
        pytest.skip("the types are not installed: make types-js")
    return subprocess.run([str(TSC), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_our_scripts_use_stripe_js_as_it_is() -> None:
    done = check("--project", "tsconfig.json")
    assert done.returncode == 0, done.stdout


def test_a_wrong_call_would_be_seen(tmp_path: Path) -> None:
    """The check sees Stripe's types: a parameter that stripe.js does not have is an error."""
    wrong = (ROOT / "portal" / "static" / "pay.js").read_text().replace("return_url:", "retrun_url:")
    (tmp_path / "pay.js").write_text(wrong)
    shutil.copy(ROOT / "portal" / "static" / "stripe-page.js", tmp_path)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    config = (ROOT / "tsconfig.json").read_text().replace("portal/static/*.js", "*.js")
    (tmp_path / "tsconfig.json").write_text(config)
    done = check("--project", str(tmp_path / "tsconfig.json"))
    assert done.returncode != 0
    assert "retrun_url" in done.stdout
