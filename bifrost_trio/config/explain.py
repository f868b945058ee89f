"""What pydantic found, told in plain English with the name that was meant. Values are never shown."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bifrost_trio.config.findings import Finding, Path
from bifrost_trio.config.nearest import nearest
from bifrost_trio.config.plain import PLAIN, what

__all__ = ["findings_of", "member_names", "model_at"]

_WANTED: Final = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_BOUNDS: Final = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def findings_of(model: type[BaseModel], error: ValidationError) -> list[Finding]:
    return [_finding(model, details) for details in error.errors(include_url=False)]


def _finding(model: type[BaseModel], details: Mapping[str, Any]) -> Finding:
    kind: str = details["type"]
    context: Mapping[str, Any] = details.get("ctx", {})
    path: Path = tuple(details["loc"])
    if path and path[-1] == "[key]":
        return _bad_name(path[:-1], kind, context, details)
    if kind == PLAIN:
        return Finding(path, context["message"], context["hint"])
    if kind == "extra_forbidden":
        return Finding(path, "unknown member", meant(model_at(model, path[:-1]), str(path[-1])))
    if kind == "missing":
        return Finding(path, "is missing")
    if kind == "literal_error":
        return _not_one_of(path, context, details["input"])
    return Finding(path, _message(kind, context, details))


def _message(kind: str, context: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    if kind in _WANTED:
        got = (
            "a number with a fraction"
            if kind.startswith("int_") and isinstance(details["input"], float)
            else what(details["input"])
        )
        return f"expected {_WANTED[kind]}, got {got}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"expected {words} {context[bound]:g}, got {details['input']}"
    if kind == "string_unicode":
        return "has half a surrogate pair, which is no character"
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "string_too_long":
        return f"is longer than {context['max_length']} characters"
    return str(details["msg"])


def _bad_name(path: Path, kind: str, context: Mapping[str, Any], details: Mapping[str, Any]) -> Finding:
    """A member whose name is at fault, in an object whose names are free or one of a list."""
    if kind == "literal_error":
        return Finding(path, "unknown member", nearest(str(path[-1]), _quoted(context)))
    if kind == PLAIN:
        return Finding(path, context["message"], context["hint"])
    return Finding(path, f"this name {_message(kind, context, details)}")


def _not_one_of(path: Path, context: Mapping[str, Any], value: object) -> Finding:
    expected = str(context["expected"]).replace("'", '"')
    if isinstance(value, str):
        return Finding(path, f"expected {expected}, got another string", nearest(value, _quoted(context)))
    got = str(value) if isinstance(value, int) and not isinstance(value, bool) else what(value)
    return Finding(path, f"expected {expected}, got {got}")


def _quoted(context: Mapping[str, Any]) -> list[str]:
    return str(context["expected"]).split("'")[1::2]


def meant(model: type[BaseModel] | None, name: str) -> str | None:
    """The member of ``model`` that ``name`` was meant to be, or the one of that name a floor deeper."""
    if model is None:
        return None
    inner = (
        f"{outer}.{name}"
        for outer, annotation in member_names(model).items()
        if (part := _model_in(annotation)) and isinstance(annotation, type) and name in member_names(part)
    )
    return next(inner, None) or nearest(name, member_names(model))


def member_names(model: type[BaseModel]) -> dict[str, Any]:
    """The names that a file may use, each with its type."""
    return {
        (field.serialization_alias or name): field.annotation
        for name, field in model.model_fields.items()
        if not any(type(item).__name__ == "SkipJsonSchema" for item in field.metadata)
    }


def model_at(model: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel] | None:
    """The model that describes the object at ``path``."""
    annotation: Any = model
    for part in path:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = member_names(annotation).get(str(part))
        else:
            annotation = (get_args(annotation) or (None,))[-1]
        annotation = _plain_type(annotation)
    return _model_in(annotation)


def _plain_type(annotation: Any) -> Any:
    """Without ``Annotated`` and without the other choices where one of them is a model."""
    if hasattr(annotation, "__metadata__"):
        return _plain_type(annotation.__origin__)
    if get_origin(annotation) in (Union, types.UnionType):
        return next((choice for choice in get_args(annotation) if _model_in(choice)), annotation)
    return annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    plain = _plain_type(annotation) if annotation is not None else None
    return plain if isinstance(plain, type) and issubclass(plain, BaseModel) else None
