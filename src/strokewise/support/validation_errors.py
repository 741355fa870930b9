"""Describe one of pydantic's validation errors in one line: where, what was given, what is allowed."""

import difflib
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

MAX_QUOTED_LENGTH = 80  # of what is quoted in a message
COMPARISONS = {"Ge": ("ge", "≥"), "Gt": ("gt", ">"), "Le": ("le", "≤"), "Lt": ("lt", "<")}
BOUNDED_REPR = reprlib.Repr()
BOUNDED_REPR.maxlevel, BOUNDED_REPR.maxstring, BOUNDED_REPR.maxother = 3, 58, 58
TYPE_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def describe_error(root: type[BaseModel], problem: Any) -> str:
    """An item of `ValidationError.errors()` for the model `root` as one line, with the nearest correct name if any."""
    *parents, key = (str(part) for part in problem["loc"] or ["(a name)"])  # a name may be no text at all
    place = shorten(".".join([*parents, key]))
    section = _section_at(root, parents)
    field = section_fields(section).get(key)
    match problem["type"]:
        case "extra_forbidden":
            allowed = list(section_fields(section))
            similar = difflib.get_close_matches(key[:MAX_QUOTED_LENGTH], allowed, n=1, cutoff=0.5)
            hint = f"did you mean {similar[0]}?" if similar else f"allowed: {join_names(allowed)}"
            return f"{place} is unknown; {hint}"
        case "missing":
            description = f" ({field.description})" if field is not None and field.description else ""
            return f"{place} is missing; add it{description}"
    allowed_values = str(problem["msg"]) if field is None else _allowed_values(field, problem["input"])
    return f"{place} is {format_value(problem['input'])}; it must be {allowed_values}"


def section_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a section by their names in `params.yaml`."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def join_names(names: Iterable[object]) -> str:
    """The names in one line, separated by commas."""
    return ", ".join(map(str, names))


def format_value(value: object) -> str:
    """A given value in at most 60 characters, however large or nested it is; None is "nothing"."""
    try:
        text = "nothing" if value is None else BOUNDED_REPR.repr(value)
    except ValueError:  # Python prints no number of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def shorten(text: str) -> str:
    """Text in at most `MAX_QUOTED_LENGTH` characters, with an ellipsis where it was longer."""
    return text if len(text) <= MAX_QUOTED_LENGTH else text[: MAX_QUOTED_LENGTH - 3] + "..."


def _section_at(root: type[BaseModel], keys: Sequence[str]) -> type[BaseModel]:
    """The section that the keys lead to, or the last one on the way that exists."""
    section = root
    for key in keys:
        field = section_fields(section).get(key)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            break
        section = field.annotation
    return section


def _allowed_values(field: FieldInfo, given: object) -> str:
    """What a field accepts, in words: its choices, or its type and range."""
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"a section with {join_names(section_fields(kind))}"
    choices = get_args(kind)
    if choices and not any(isinstance(choice, type) for choice in choices):
        similar = difflib.get_close_matches(
            str(given)[:MAX_QUOTED_LENGTH] if isinstance(given, str) else "", [str(choice) for choice in choices], n=1
        )
        return f"one of {join_names(choices)}" + (f"; did you mean {similar[0]}?" if similar else "")
    bounds = [
        f"{sign} {getattr(limit, attribute)}"
        for limit in field.metadata
        for attribute, sign in [COMPARISONS.get(type(limit).__name__, ("", ""))]
        if sign
    ]
    types = [TYPE_NAMES.get(choice, "null") for choice in (choices or (kind,))]
    return " or ".join(types) + (" " + " and ".join(bounds) if bounds else "")
