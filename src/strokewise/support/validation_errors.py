"""A parameter that does not fit -> one line: where, what was given, what is allowed, the nearest correct name."""

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def describe_error(root: type[BaseModel], problem: Any) -> str:
    """One of pydantic's errors in one line: where, what was given, what is allowed, the nearest correct name."""
    place = ".".join(str(part) for part in problem["loc"])
    *outer, last = (str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            known = list(section_fields(_section_at(root, outer)))
            near = difflib.get_close_matches(last, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"allowed: {join_names(known)}"
            return f"{place} is unknown; {hint}"
        case "missing":
            return f"{place} is missing; add it{_description(root, outer, last)}"
    return f"{place} is {format_value(problem['input'])}; it must be {_allowed_values(root, outer, last, problem)}"


def section_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a section by the names that `params.yaml` has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _section_at(root: type[BaseModel], place: Sequence[str]) -> type[BaseModel]:
    """The section that the keys of `place` lead to."""
    model = root
    for key in place:
        field = section_fields(model).get(key)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            break
        model = field.annotation
    return model


def _description(root: type[BaseModel], outer: Sequence[str], last: str) -> str:
    field = section_fields(_section_at(root, outer)).get(last)
    return f" ({field.description})" if field is not None and field.description else ""


def _allowed_values(root: type[BaseModel], outer: Sequence[str], last: str, problem: Any) -> str:
    """What a field takes, in words: its choices, or its type with its range."""
    field = section_fields(_section_at(root, outer)).get(last)
    if field is None:
        return str(problem["msg"])
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"a section with {join_names(section_fields(kind))}"
    choices = get_args(kind)
    if choices and not any(isinstance(choice, type) for choice in choices):
        near = difflib.get_close_matches(str(problem["input"]), [str(choice) for choice in choices], n=1)
        return f"one of {join_names(choices)}" + (f"; did you mean {near[0]}?" if near else "")
    words = {"Ge": ("ge", "≥"), "Gt": ("gt", ">"), "Le": ("le", "≤"), "Lt": ("lt", "<")}
    bounds = [
        f"{words[type(limit).__name__][1]} {getattr(limit, words[type(limit).__name__][0])}"
        for limit in field.metadata
        if type(limit).__name__ in words
    ]
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    named = [names.get(choice, "null") for choice in (choices or (kind,))]
    return " or ".join(named) + (" " + " and ".join(bounds) if bounds else "")


def join_names(names: Any) -> str:
    return ", ".join(str(name) for name in names)


def format_value(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
