"""What imports what, how long modules are, and that each dependency has its reason written down."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from importlinter.cli import lint_imports

import portal

PORTAL = Path(portal.__file__).parent
ROOT = PORTAL.parent
MODULES = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
    for path in sorted(PORTAL.rglob("*.py"))
}
LONGEST_MODULE = 450

WEB = {"flask", "flask_wtf", "flask_login", "wtforms", "werkzeug"}
#: The layers inside a feature that know nothing of the web.
WITHOUT_WEB = ("service", "queries", "joins", "models", "access")


def imports_of(path: Path) -> set[str]:
    """Every module a file names in an import, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {node.module or ""} | {f"{node.module}.{name.name}" for name in node.names}
    return found


IMPORTS = {name: imports_of(path) for name, path in MODULES.items()}


def importing(targets: set[str], among: Iterator[str]) -> list[str]:
    """Those of ``among`` that import one of ``targets`` or a part of it."""
    return sorted(
        f"{name} imports {seen}"
        for name in among
        for seen in IMPORTS[name]
        if any(seen == target or seen.startswith(f"{target}.") for target in targets)
    )


def inside(*packages: str) -> Iterator[str]:
    """The modules of some packages (or the modules themselves)."""
    for package in packages:
        found = [name for name in MODULES if name == package or name.startswith(f"{package}.")]
        assert found, f"there is no {package} any more"
        yield from found


def test_the_contracts_of_import_linter_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    failed = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    told = capsys.readouterr().out
    assert (failed, re.search(r"Contracts: [4-9]\d* kept, 0 broken", told) is not None) == (0, True), told


def test_only_the_gateway_imports_stripe() -> None:
    names = (name for name in MODULES if not name.startswith("portal.sandbox"))
    found = {line.split()[0] for line in importing({"stripe"}, names)}
    assert found
    assert {name for name in found if not name.startswith("portal.payments.gateway.")} == set()


def test_services_queries_and_models_know_nothing_of_the_web() -> None:
    among = [name for name in MODULES if name.rpartition(".")[2] in WITHOUT_WEB]
    assert len(among) > 15
    # ``auth.models`` is what Flask-Security reads; it imports that, and neither flask nor forms.
    assert importing(WEB, iter(among)) == []


def contract(name: str) -> dict[str, Any]:
    """A contract of import-linter's, by its id."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (found,) = [one for one in tools["importlinter"]["contracts"] if one["id"] == name]
    return dict(found)


def layers() -> list[list[str]]:
    """The packages and top modules from the top down, without ``portal.``; those of one list don't know each other."""
    floors = contract("one-way")["layers"]
    return [[name.strip().removeprefix("portal.") for name in re.split("[:|]", one)] for one in floors]


def test_what_calls_itself_pure_is_held_to_it() -> None:
    held = set(inside(*contract("pure")["source_modules"]))
    called = {
        name
        for name, path in MODULES.items()
        if re.search(r"\bPure\b", ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    }
    assert len(called) > 30
    assert called - held == set()


def test_every_feature_and_wing_is_held_to_the_order_inside() -> None:
    """One that has tables or pages of its own."""
    parts = {name.rpartition(".")[0] for name in MODULES if re.search(r"\.(models|views|desk_views)$", name)}
    asides = {"portal.web", "portal.home", "portal.why", "portal.audit", "portal.documents"}  # one such part each
    assert parts - asides - set(contract("inside-a-feature")["containers"]) == {"portal.ledger.adapters.embedded"}


def test_every_package_has_its_floor() -> None:
    top = {name.split(".")[1] for name in MODULES if name.count(".")}
    top -= {"__main__", "tables"}  # starts the command; knows every table, for migrations and tests
    assert top - {name for layer in layers() for name in layer} == set()


def test_the_picture_of_the_packages_is_true() -> None:
    from tests.architecture import picture

    assert picture.drawn_in() == picture.picture(), "type: python -m tests.architecture.picture"


def test_the_stand_in_of_stripe_imports_nothing_else_of_the_portal() -> None:
    found = {seen for name in inside("portal.sandbox.stripe") for seen in IMPORTS[name] if seen.startswith("portal")}
    assert {seen for seen in found if not seen.startswith("portal.sandbox.stripe")} == {"portal.sandbox"} & found


def test_nothing_in_production_imports_the_sandbox() -> None:
    names = (name for name in MODULES if not name.startswith("portal.sandbox"))
    assert {line.split()[0] for line in importing({"portal.sandbox"}, names)} == {"portal.cli", "portal.opening"}


def test_no_file_is_named_for_a_kind() -> None:
    assert [name for name in MODULES if re.search(r"(^|[._])(utils?|helpers?|common|misc|shared)$", name)] == []


def test_no_module_is_too_long() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_money_is_never_a_float() -> None:
    """``float`` may be named where time or sizes are meant, not where money passes."""
    among = inside(
        *(f"portal.{one}" for one in ("money", "accounts", "billing", "payments", "plans", "refunds")),
        *("portal.ledger", "portal.remittances"),
    )
    found = [
        f"{name}:{node.lineno}"
        for name in among
        for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    ]
    assert found == []


def test_the_time_is_read_in_one_place() -> None:
    pattern = re.compile(r"\bdatetime\.(now|utcnow|today)\(|\bdate\.today\(|\btime\.time\(")
    found = [
        name
        for name, path in MODULES.items()
        if not name.startswith("portal.sandbox") and pattern.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["portal.clock"]


def dependencies() -> Iterator[str]:
    """Every package pyproject asks for, by its name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for wanted in [*project["dependencies"], *[one for extra in extras for one in extra]]:
        match = re.match(r"[A-Za-z0-9._-]+", wanted)
        assert match
        yield match.group().lower()


def test_every_dependency_has_its_reason_written_down() -> None:
    told = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "decisions").glob("*.md")).lower()
    assert sorted({name for name in dependencies() if name not in told}) == []
