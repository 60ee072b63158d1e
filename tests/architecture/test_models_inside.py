"""A feature's tables are its own: others join the read-only columns of its ``joins.py``, or ask its queries."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import get_args, get_type_hints

import pytest
import sqlalchemy as sa

from portal.db import Base
from tests.architecture.test_imports import IMPORTS, MODULES

#: ``tables`` knows every table, for migrations and tests; the sandbox makes up a clinic of them.
EXEMPT = ("portal.tables", "portal.sandbox")
MODELS = {name for name in MODULES if name.rpartition(".")[2] == "models"}
JOINS = sorted(name for name in MODULES if name.rpartition(".")[2] == "joins")


def feature_of(module: str) -> str:
    """The package right below ``portal``, or the module there."""
    return module.split(".")[1]


def foreign_models(module: str, imports: set[str]) -> set[str]:
    """What a module imports of other features' models, in whatever form."""
    return {
        seen
        for seen in imports
        for models in MODELS
        if (seen == models or seen.startswith(f"{models}.")) and feature_of(models) != feature_of(module)
    }


def columns_of(module: ModuleType) -> dict[str, type[sa.TypedColumns]]:
    """The columns that a feature lets others join, by the name of the model that they are of."""
    return {
        name.removesuffix("Columns"): one
        for name, one in vars(module).items()
        if inspect.isclass(one) and issubclass(one, sa.TypedColumns) and one.__module__ == module.__name__
    }


def test_models_are_imported_inside_their_feature_only() -> None:
    assert len(MODELS) > 15
    found = {
        name: sorted(foreign)
        for name, imports in IMPORTS.items()
        if not name.startswith(EXEMPT) and (foreign := foreign_models(name, imports))
    }
    assert found == {}, "name its columns in its joins.py, or ask its queries"


@pytest.mark.parametrize(
    ("imports", "is_one"),
    [
        ({"portal.billing.models", "portal.billing.models.Charge"}, True),
        ({"portal.billing", "portal.billing.models"}, True),
        ({"portal.ledger.adapters.embedded.models"}, True),
        ({"portal.refunds.models", "portal.refunds.models.Refund"}, False),
        ({"portal.billing.joins", "portal.billing.joins.CHARGE"}, False),
    ],
)
def test_a_foreign_model_is_found(imports: set[str], is_one: bool) -> None:
    assert bool(foreign_models("portal.refunds.queries", imports)) is is_one


def test_tables_are_made_joinable_in_one_module_of_each_feature() -> None:
    """What ``joinable`` makes can't be written by: the type checker refuses to insert, update or delete."""
    assert [name for name in MODULES if "portal.db.joinable" in IMPORTS[name] and name not in JOINS] == []
    assert [name for name in JOINS if name.count(".") != 2] == []


@pytest.mark.parametrize("name", JOINS)
def test_what_is_to_be_joined_is_typed_as_in_its_model(name: str) -> None:
    published = columns_of(importlib.import_module(name))
    models = vars(importlib.import_module(name.replace(".joins", ".models")))
    for model, columns in published.items():
        assert issubclass(models[model], Base)
        own = get_type_hints(models[model])
        told = {key: get_args(hint) for key, hint in columns.__annotations__.items()}
        assert told == {key: get_args(own[key]) for key in told}, model
