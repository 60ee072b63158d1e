"""Every validator of every form says what it has to say: in our words or the library's, with its numbers in them."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import MultiDict
from wtforms import DateField, IntegerField, SelectField, StringField, validators

from portal.web.forms import Form


def forms(base: type[Form] = Form) -> Iterator[type[Form]]:
    """Every form of the portal."""
    for form in base.__subclasses__():
        if form.__module__.startswith("portal."):
            yield form
        yield from forms(form)


#: For each kind of validator that counts: what it refuses, by its bounds.
def refused_by(validator: Any) -> list[Any]:
    if isinstance(validator, validators.Length):
        return ["x" * (validator.max + 1)] * (validator.max > -1) + ["x" * (validator.min - 1)] * (validator.min > 0)
    if isinstance(validator, validators.NumberRange):
        return [bound for bound in (_beside(validator.min, -1), _beside(validator.max, 1)) if bound is not None]
    return [None, "", "\u2014"]


def _beside(bound: Any, step: int) -> Any:
    return None if bound is None else (bound() if callable(bound) else bound) + step


def said(form: Form, field: Any, validator: Any, value: Any) -> str:
    """The message; empty where the value is let through."""
    field.errors, field.data, field.raw_data = [], value, [] if value in (None, "") else [value]
    try:
        validator(form, field)
    except (validators.ValidationError, validators.StopValidation) as error:
        return str(error)
    return ""


def test_every_message_of_every_form_has_its_numbers_in_it(app: Flask) -> None:
    counted = 0
    wrong = []
    with app.test_request_context("/"):
        for kind in dict.fromkeys(forms()):
            fields = {name: field for name, field in vars(kind).items() if hasattr(field, "field_class")}
            form = Form()
            for name, unbound in fields.items():
                bound = StringField(name).bind(form, name)
                for validator in unbound.kwargs.get("validators", unbound.args[1] if len(unbound.args) > 1 else ()):
                    if not isinstance(validator, validators.Length | validators.NumberRange | validators.InputRequired):
                        continue
                    for value in refused_by(validator):
                        message = said(form, bound, validator, value)
                        counted += bool(message)
                        if "%(" in message or (isinstance(validator, validators.Length) and not message):
                            wrong.append(f"{kind.__name__}.{name}: {message!r}")
    assert wrong == []
    assert counted > 20, "the forms' validators were not found"


@pytest.mark.parametrize(
    ("validator", "value", "words"),
    [
        (validators.Length(min=1), "", "at least 1 character long"),
        (validators.Length(min=2), "x", "at least 2 characters long"),
        (validators.Length(max=1), "xx", "longer than 1 character."),
        (validators.Length(max=2), "xxx", "longer than 2 characters."),
        (validators.Length(min=2, max=2), "x", "exactly 2 characters long"),
        (validators.Length(min=1, max=1), "xx", "exactly 1 character long"),
        (validators.Length(min=2, max=3), "x", "between 2 and 3 characters long"),
        (validators.NumberRange(min=2), 1, "at least 2"),
        (validators.NumberRange(max=2), 3, "at most 2"),
        (validators.NumberRange(min=2, max=3), 1, "between 2 and 3"),
        (validators.DataRequired(), "", "required"),
        (validators.InputRequired(), "", "required"),
        (validators.EqualTo("gone"), "x", "Invalid field name 'gone'"),
        (validators.Regexp("y"), "x", "Invalid input"),
        (validators.AnyOf(["y"]), "x", "must be one of: y"),
        (validators.NoneOf(["x"]), "x", "can't be any of: x"),
        (validators.URL(), "x", "Invalid URL"),
        (validators.UUID(), "x", "Invalid UUID"),
        (validators.IPAddress(), "x", "Invalid IP address"),
        (validators.MacAddress(), "x", "Invalid Mac address"),
    ],
    ids=lambda value: repr(value) if isinstance(value, str | int) else type(value).__name__,
)
def test_the_librarys_own_messages_are_said(app: Flask, validator: Any, value: Any, words: str) -> None:
    class OneField(Form):
        field = StringField()

    with app.test_request_context("/"):
        form = OneField()
        assert words in said(form, form.field, validator, value)


def test_the_librarys_fields_say_what_they_could_not_read(app: Flask) -> None:
    class Three(Form):
        number = IntegerField()
        day = DateField()
        choice = SelectField(choices=["a"])

    with app.test_request_context("/"):
        form = Three(MultiDict({"number": "x", "day": "x", "choice": "b"}))
        assert not form.validate()
        assert [form.number.errors, form.day.errors, form.choice.errors] == [
            ["Not a valid integer value."],
            ["Not a valid date value."],
            ["Not a valid choice."],
        ]
