"""The blueprint that the payment pages share, and what each of them asks for."""

from collections.abc import Callable

from flask import Blueprint, current_app

bp = Blueprint("payments", __name__)

#: Where features above this one leave what they say about a saved method that is to be removed: functions from its id
#: to sentences.
METHOD_USES = "plainbill_method_uses"


def uses_of_method(method_id: int) -> list[str]:
    """What removing a saved method would stop, in sentences."""
    tell: list[Callable[[int], list[str]]] = current_app.extensions.get(METHOD_USES, [])
    return [words for one in tell for words in one(method_id)]
