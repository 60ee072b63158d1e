"""One request being answered: its parameters, the store, the time, and how it makes events and pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portal.sandbox.stripe import forms, objects
from portal.sandbox.stripe.errors import Obj, invalid, missing
from portal.sandbox.stripe.store import Store

#: https://docs.stripe.com/api/events: they are kept for 30 days.
EVENT_DAYS = 30


@dataclass(slots=True)
class Call:
    """``params`` are decoded form or query text, ``path`` the ids in the address."""

    store: Store
    now: int
    version: str
    base_url: str
    params: Obj = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    public: bool = False
    request_id: str | None = None
    idempotency_key: str | None = None
    #: When what happened at ``now`` is told: later than ``now`` where the clock was moved over it.
    told_at: int | None = None
    check_snapshot: Callable[[Obj], None] = lambda body: None

    def get(self, kind: str, object_id: str | None, param: str = "id") -> Obj:
        """The object, or 404."""
        found = self.store.find(kind, object_id or "")
        if found is None:
            raise missing(kind, object_id or "", param)
        return found

    def emit(self, kind: str, snapshot: Obj, previous: Obj | None = None) -> Obj:
        """Records an event and queues it for every endpoint that wants it."""
        self.check_snapshot(snapshot)
        copy = json.loads(json.dumps(snapshot))
        request = {"id": self.request_id, "idempotency_key": self.idempotency_key}
        told_at = self.told_at or self.now
        event = self.store.add(
            objects.event(kind, copy, previous, self.now, self.version, request), {"told_at": told_at}
        )
        for endpoint in self.store.every("webhook_endpoint")[0]:
            wanted = endpoint["enabled_events"]
            if endpoint["status"] == "enabled" and ("*" in wanted or kind in wanted):
                self.store.rows(
                    "INSERT INTO deliveries (event, endpoint, attempts, next_at) VALUES (?, ?, 0, ?)",
                    event["id"], endpoint["id"], told_at,
                )  # fmt: skip
        return event

    def page(self, kind: str, *, equal: Mapping[str, Any] | None = None, where: str = "",
             where_values: tuple[Any, ...] = ()) -> Obj:  # fmt: skip
        """A list object by the request's ``limit``, cursors and ``created`` (https://docs.stripe.com/api/pagination)."""
        limit = forms.integer(self.params, "limit", 10) or 0
        if not 1 <= limit <= 100:
            raise invalid(f"This value must be between 1 and 100 (it was {limit}).", param="limit")
        after, before = forms.text(self.params, "starting_after"), forms.text(self.params, "ending_before")
        if after and before:
            raise invalid("You can only use one of starting_after and ending_before.", param="starting_after")
        for name, cursor in (("starting_after", after), ("ending_before", before)):
            if cursor:
                self.get(kind, cursor, name)
        created = tuple(zip(*forms.compared(self.params, "created"), strict=True))
        found, more = self.store.every(
            kind, equal={k: v for k, v in (equal or {}).items() if v is not None}, where=where,
            where_values=where_values, created=created, after=after, before=before, limit=limit,
        )  # fmt: skip
        url = self.template
        for name, value in self.path.items():
            url = url.replace("{" + name + "}", value)
        return {"object": "list", "data": [self.fresh(one) for one in found], "has_more": more, "url": url}

    def fresh(self, body: Obj) -> Obj:
        """The object with the fields that depend on the time or on deliveries brought up to date."""
        if body["object"] == "balance_transaction" and body["available_on"] <= self.now:
            return {**body, "status": "available"}
        if body["object"] == "dispute":
            details = body["evidence_details"]
            late = details["due_by"] is not None and details["due_by"] < self.now
            details = {**details, "past_due": late and not details["submission_count"]}
            moved = [self.fresh(one) for one in body["balance_transactions"]]
            return {**body, "evidence_details": details, "balance_transactions": moved}
        if body["object"] == "event":
            open_ones = self.store.rows(
                "SELECT count(*) FROM deliveries WHERE event = ? AND delivered_at IS NULL", body["id"]
            )
            return {**body, "pending_webhooks": open_ones[0][0]}
        return body

    def expanded(self, body: Obj) -> Obj:
        """The answer with what ``expand`` asks for (https://docs.stripe.com/api/expanding_objects)."""
        for wanted in forms.items(self.params.get("expand")):
            self._expand(body, str(wanted).split("."), str(wanted))
        return body

    def _expand(self, node: Any, parts: list[str], wanted: str) -> None:
        if isinstance(node, list):
            for item in node:
                self._expand(item, parts, wanted)
            return
        if not isinstance(node, dict) or not parts:
            return
        name, rest = parts[0], parts[1:]
        value = node.get(name)
        if name == "data" and node.get("object") == "list":
            self._expand(value, rest, wanted)
        elif name == "refunds" and node.get("object") == "charge" and value is None:
            refunds, more = self.store.every("refund", equal={"charge": node["id"]}, limit=10)
            url = f"/v1/charges/{node['id']}/refunds"
            node[name] = {"object": "list", "data": refunds, "has_more": more, "url": url}
        elif name in EXPANDABLE_CONTAINERS and isinstance(value, dict):
            self._expand(value, rest, wanted)
        elif name not in objects.EXPANDABLE or name not in node:
            raise invalid(f"This property cannot be expanded ({wanted}).", param="expand")
        elif isinstance(value, str):
            kind = objects.KIND_OF_PREFIX.get(value.split("_", 1)[0])
            found = self.store.find(kind, value) if kind else None
            if found is not None:
                node[name] = self.fresh(found)
                self._expand(node[name], rest, wanted)
        elif value is not None:
            self._expand(value, rest, wanted)


#: Objects inside objects through which ``expand`` may pass.
EXPANDABLE_CONTAINERS = frozenset({"invoice_settings", "last_payment_error", "refunds"})
