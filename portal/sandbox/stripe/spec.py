"""Checks requests and answers against Stripe's OpenAPI description.

OpenAPI 3.0 schemas are rewritten as JSON Schema Draft 2020-12 once, on first use: ``nullable`` becomes a type,
``$ref`` points into ``$defs``, and an object that lists its properties may have no others, so that an invented
field is caught in either direction. Validators are made per operation or object, and kept.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from portal.sandbox.stripe import forms
from portal.sandbox.stripe.errors import Obj

FORM = "application/x-www-form-urlencoded"
_KEPT = ("type", "enum", "maxLength", "minLength", "minimum", "maximum", "pattern", "required", "minItems")
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "integer": int, "number": (int, float), "boolean": bool, "string": str, "array": list, "object": dict,
}  # fmt: skip


def locate(given: Path | None = None) -> Path | None:
    """The description's file: as given, as in ``STRIPE_OPENAPI_SPEC``, or in ``../shared/stripe`` beside the
    project; None where there is none."""
    named = given or (Path(os.environ["STRIPE_OPENAPI_SPEC"]) if os.environ.get("STRIPE_OPENAPI_SPEC") else None)
    if named is not None:
        return named if named.is_file() else None
    shared = Path(os.environ.get("PLAINBILL_SHARED", Path(__file__).resolve().parents[4] / "shared"))
    found = sorted((shared / "stripe").glob("*.json"))
    return found[-1] if found else None


def to_json_schema(node: Any) -> Any:
    """One OpenAPI 3.0 schema as Draft 2020-12; the parts that judge nothing are left out."""
    if "$ref" in node:
        return {"$ref": "#/$defs/" + node["$ref"].rsplit("/", 1)[1]}
    schema: Obj = {name: node[name] for name in _KEPT if name in node}
    if "properties" in node:
        schema["properties"] = {name: to_json_schema(part) for name, part in node["properties"].items()}
        if node["properties"]:
            schema["additionalProperties"] = False
    if "items" in node:
        schema["items"] = to_json_schema(node["items"])
    if isinstance(node.get("additionalProperties"), dict):
        schema["additionalProperties"] = to_json_schema(node["additionalProperties"])
    elif "additionalProperties" in node:
        schema["additionalProperties"] = node["additionalProperties"]
    if "anyOf" in node:
        schema["anyOf"] = [to_json_schema(part) for part in node["anyOf"]]
    if node.get("nullable"):
        if "type" in schema:
            schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
        if "anyOf" in schema:
            schema["anyOf"].append({"type": "null"})
    return schema


def typed(node: Mapping[str, Any], value: Any) -> Any:
    """Form text as the type its OpenAPI schema names; text that does not read as it is left for the validator."""
    if "anyOf" in node:
        candidates = [typed(part, value) for part in node["anyOf"]]
        fitting = (one for part, one in zip(node["anyOf"], candidates, strict=True) if _fits(part, one))
        return next(fitting, candidates[0])
    kind = node.get("type")
    if kind == "array" and isinstance(value, (dict, list)):
        return [typed(node["items"], item) for item in forms.items(value)]
    if kind == "object" and isinstance(value, dict):
        known, others = node.get("properties", {}), node.get("additionalProperties")
        fallback = others if isinstance(others, dict) else {}
        return {name: typed(known.get(name, fallback), item) for name, item in value.items()}
    if kind == "integer" and isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if kind == "number" and isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    return value


def _fits(node: Mapping[str, Any], value: Any) -> bool:
    kind = str(node.get("type"))
    if kind in _TYPES and not isinstance(value, _TYPES[kind]):
        return False
    if isinstance(value, bool) and kind != "boolean":
        return False
    if "enum" in node and value not in node["enum"]:
        return False
    if isinstance(value, dict):
        known = node.get("properties", {})
        return set(node.get("required", ())) <= value.keys() and (not known or value.keys() <= known.keys())
    return True


def _describe(error: ValidationError) -> str:
    where = "".join(f"[{part}]" for part in error.absolute_path)
    return f"{where or 'body'}: {error.message[:300]}"


class Spec:
    """The description in ``path``; nothing is read until something is checked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._validators: dict[str, Draft202012Validator] = {}

    @cached_property
    def _document(self) -> Obj:
        document: Obj = json.loads(self._path.read_text(encoding="utf-8"))
        return document

    @cached_property
    def _definitions(self) -> Obj:
        schemas = self._document["components"]["schemas"]
        return {name: to_json_schema(schema) for name, schema in schemas.items()}

    @property
    def version(self) -> str:
        """The API version it describes."""
        return str(self._document["info"]["version"])

    def knows(self, method: str, template: str) -> bool:
        """Whether it has this operation."""
        return method.lower() in self._document["paths"].get(template, {})

    def _validator(self, name: str, schema: Obj) -> Draft202012Validator:
        if name not in self._validators:
            whole = {**to_json_schema(schema), "$defs": self._definitions}
            self._validators[name] = Draft202012Validator(whole)
        return self._validators[name]

    def _first(self, validator: Draft202012Validator, value: Any) -> list[str]:
        if validator.is_valid(value):
            return []
        errors: Iterable[ValidationError] = validator.iter_errors(value)
        return [_describe(worst)] if (worst := best_match(errors)) is not None else ["does not match"]

    def request_problems(self, method: str, template: str, query: Obj, body: Obj) -> list[str]:
        """What is wrong with a request's query and form body (as decoded text); empty when nothing is."""
        operation = self._document["paths"][template][method.lower()]
        listed = [part for part in operation.get("parameters", ()) if part["in"] == "query"]
        in_query: Obj = {
            "type": "object",
            "properties": {part["name"]: part["schema"] for part in listed} or {},
            "required": [part["name"] for part in listed if part.get("required")],
            "additionalProperties": False,
        }
        in_body: Obj = operation.get("requestBody", {}).get("content", {}).get(FORM, {}).get("schema", {})
        in_body = {"type": "object", **in_body, "additionalProperties": False}
        problems = []
        for place, schema, value in (("query", in_query, query), ("body", in_body, body)):
            if not schema.get("properties"):
                problems += [f"{place}: unknown parameter {name!r}" for name in value]
                continue
            validator = self._validator(f"{method} {template} {place}", schema)
            problems += [f"{place} {text}" for text in self._first(validator, typed(schema, value))]
        return problems

    def response_problems(self, method: str, template: str, status: int, body: Any) -> list[str]:
        """What is wrong with an answer; empty when nothing is."""
        if status != 200:
            return self._first(self._validator("error", {"$ref": "#/components/schemas/error"}), body)
        schema = self._document["paths"][template][method.lower()]["responses"]["200"]["content"]
        return self._first(self._validator(f"{method} {template} 200", schema["application/json"]["schema"]), body)

    def object_problems(self, body: Obj) -> list[str]:
        """What is wrong with one object by its ``object`` field (an event's snapshot)."""
        name = str(body.get("object"))
        if name not in self._document["components"]["schemas"]:
            return [f"there is no object named {name!r}"]
        return self._first(self._validator(f"object {name}", {"$ref": f"#/components/schemas/{name}"}), body)
