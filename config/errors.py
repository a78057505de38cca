"""What is wrong with a settings or plan file: every fault at once, each a sentence that says where and what to do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from datetime import date, datetime, time
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

_LONGEST_QUOTE = 60


class ConfigurationError(ValueError):
    """A settings or plan file that cannot be used.

    Parameters
    ----------
    faults
        One sentence per fault: the TOML path, what was found, what is expected.
    source
        What was read, such as the file's name; empty if it has none.
    """

    def __init__(self, faults: Iterable[str], *, source: str = "") -> None:
        self.faults: tuple[str, ...] = tuple(dict.fromkeys(faults))
        self.source = source
        super().__init__(_message(self.faults, source))


def _message(faults: tuple[str, ...], source: str) -> str:
    name = source or "The configuration"
    if len(faults) == 1:
        return f"{source}: {faults[0]}" if source else faults[0]
    return "\n".join([f"{name} has {len(faults)} faults:", *(f"  - {fault}" for fault in faults)])


def path_text(location: Iterable[int | str]) -> str:
    """Write a location as a TOML path, e.g. ``injections[2].activity_MBq``."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "[key]":
            text += f".{part}" if text else part
    return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean …?`` with the nearest of the known names, or the list of them if none is near.

    Names are compared without regard to case, and a name that another begins with or ends on is near as well
    (``relaxivity`` for ``relaxivity_per_s_per_mg_mL``).
    """
    names = list(dict.fromkeys(known))
    near = nearest(name, names)
    if near is not None:
        return f" Did you mean {near}?"
    return f" Known here: {', '.join(sorted(names))}." if names else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest to `name`, or None if none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    wanted = name.lower()
    matches = difflib.get_close_matches(wanted, by_lower, n=1, cutoff=0.6)
    if not matches and len(wanted) >= 4:
        matches = [lower for lower in by_lower if lower.startswith(wanted) or lower.endswith(wanted)]
    return by_lower[matches[0]] if matches else None


def quote(value: object) -> str:
    """Write a value as the TOML file would, shortened."""
    if isinstance(value, (datetime, date, time)):
        text = value.isoformat()
    elif isinstance(value, dict):
        return "a table"
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, default=str)
        except (TypeError, ValueError):
            text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"


def faults_of(error: ValidationError, model: type[BaseModel], *, prefix: tuple[int | str, ...] = ()) -> list[str]:
    """Turn pydantic's errors into sentences.

    Parameters
    ----------
    error
        What validating `model` by its file keys raised.
    model
        The model that was validated: it knows the known keys and the ranges.
    prefix
        Where the model's table lies in the file.
    """
    details = error.errors(include_url=False)
    places = [detail["loc"] for detail in details]
    return [
        _sentence(detail, model, prefix)
        for detail in details
        # A list is also too short when its elements are at fault; that much has been said.
        if detail["type"] != "too_short" or not any(_is_below(place, detail["loc"]) for place in places)
    ]


def _is_below(place: tuple[int | str, ...], table: tuple[int | str, ...]) -> bool:
    return len(place) > len(table) and place[: len(table)] == table


def _sentence(detail: ErrorDetails, model: type[BaseModel], prefix: tuple[int | str, ...]) -> str:
    location = detail["loc"]
    where = path_text((*prefix, *location))
    kind = detail["type"]
    if kind == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        return f"{where} is not a known key.{did_you_mean(str(location[-1]), file_keys(owner) if owner else ())}"
    if kind == "value_error":
        said = str(detail["ctx"]["error"])
        return f"{where}: {said}" if where else said
    field = _field_at(model, location)
    expected = ""
    if field is not None:
        in_list = isinstance(location[-1], int) and "form" not in extra(field)
        expected = _type_words(_element(field.annotation)) if in_list else expectation(field)
    if kind == "missing":
        return f"{where} is missing" + (f"; expected {expected}." if expected else ".")
    return f"{where} is {quote(detail['input'])}; expected {expected or detail['msg']}."


def file_keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the keys that the model's table may have, with their fields."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _field_at(model: type[BaseModel], location: tuple[int | str, ...]) -> FieldInfo | None:
    """Return the field that a location ends in; a location inside a list of numbers gives the list's field."""
    for end in range(len(location), 0, -1):
        owner = _model_at(model, location[: end - 1])
        if owner is not None:
            return file_keys(owner).get(str(location[end - 1]))
    return None


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Return the model of the table at a location, or None if there is no table."""
    annotation: Any = model
    for part in location:
        inner = model_in(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = file_keys(annotation).get(str(part))
            if field is None:
                return None
            annotation = field.annotation
        else:
            annotation = inner
    if get_origin(annotation) in (tuple, dict):
        return None
    return model_in(annotation)


def _element(annotation: Any) -> Any:  # noqa: ANN401 - annotations have no common type
    """Return X of ``tuple[X, ...]`` or ``tuple[X, ...] | None``."""
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0]
    return next((_element(arg) for arg in get_args(annotation) if get_origin(arg) is tuple), annotation)


def model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - annotations have no common type
    """Return the model inside ``X | None``, ``tuple[X, ...]`` or ``dict[str, X]``, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := model_in(arg)) is not None), None)


def expectation(field: FieldInfo) -> str:
    """Say in words what a field takes: its form, or type, range and unit."""
    if form := extra(field).get("form"):
        return str(form)
    unit = extra(field).get("unit", "")
    words = _type_words(field.annotation) + range_words(field)
    return f"{words} {unit}".rstrip()


def extra(field: FieldInfo) -> dict[str, Any]:
    """Return the field's metadata: unit, source, and form if words must say what a value looks like."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def range_words(field: FieldInfo) -> str:
    """Say a field's range, e.g. `` from 0.2 to 3``; empty if it has none."""
    low = high = ""
    for bound in field.metadata:
        for name, words in (("ge", "from"), ("gt", "above")):
            if (value := getattr(bound, name, None)) is not None:
                low = f" {words} {value:.12g}"
        for name, words in (("le", "to"), ("lt", "below")):
            if (value := getattr(bound, name, None)) is not None:
                high = f" {words} {value:.12g}"
    if high.startswith(" to") and not low:
        return high.replace(" to", " up to")
    if low.startswith(" from") and not high:
        return low.replace(" from", " of at least")
    if low and high and not (low.startswith(" from") and high.startswith(" to")):
        return f"{low} and{high.replace(' to', ' up to')}"
    return low + high


_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    bool: "true or false",
    datetime: "a date and time such as 2026-03-04T10:00:00",
    date: "a date such as 1961-05-23",
}


def _type_words(annotation: Any) -> str:  # noqa: ANN401 - annotations have no common type
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation]
    if origin is Annotated:
        return _type_words(args[0])
    if origin is Literal:
        return " or ".join(quote(value) for value in args)
    if origin in (Union, UnionType):
        return " or ".join(_type_words(arg) for arg in args if arg is not type(None))
    if origin is tuple:
        return f"a list, each {_type_words(args[0])}" if args[-1] is Ellipsis else f"a list of {len(args)} values"
    return "a table"
