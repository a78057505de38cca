"""Single values laid over a file by their TOML path, as ``--set KEY=VALUE`` gives them."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from config.errors import ConfigurationError, did_you_mean, file_keys, model_in, nearest
from config.quantification import QuantificationSettings

_PART = re.compile(r"([^.\[\]]+)((?:\[\d+\])*)")
_BARE = "quantification."


def parse_set(assignments: Iterable[str]) -> dict[str, object]:
    """Return ``KEY=VALUE`` texts as a mapping; VALUE is a TOML value, or a text if it is none.

    Raises
    ------
    ConfigurationError
        If a text lacks the key or the ``=``, or a key is given twice.
    """
    values: dict[str, object] = {}
    faults = []
    for text in assignments:
        key, sign, value = (part.strip() for part in text.partition("="))
        if any("\ud800" <= character <= "\udfff" for character in text):
            # What the shell handed over was not text in its own encoding.
            faults.append(f"{text!a} is not valid text; expected UTF-8.")
        elif not sign or not key:
            faults.append(f"{text!r} is not KEY=VALUE; expected such as trend.threshold_pct=5.")
        elif key in values:
            faults.append(f"{key} is set twice; give it once.")
        else:
            values[key] = _toml_value(value)
    if faults:
        raise ConfigurationError(faults, source="--set")
    return values


def _toml_value(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    # A text with a line break could have smuggled in a second key: then it is only a text.
    return parsed["value"] if len(parsed) == 1 else text


def with_overrides(
    mapping: Mapping[str, Any], overrides: Mapping[str, object] | None, model: type[BaseModel]
) -> tuple[dict[str, Any], list[str]]:
    """Return a copy of `mapping` with `overrides` set, and a sentence for every path that `model` does not know.

    A path that `model` does not know is tried below ``quantification`` as well. Tables that are absent are made;
    elements of lists are not.
    """
    result = copy.deepcopy(dict(mapping))
    if not overrides:
        return result, []
    faults = []
    known = known_paths(model)
    for path, value in overrides.items():
        full = _resolved(path, known)
        if full is None:
            faults.append(f"{path} is not a known setting.{_suggestion(path, known)}")
        elif (fault := _assign(result, full, value)) is not None:
            faults.append(fault)
    return result, faults


def known_paths(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the paths of all tables and values below a model: ``[]`` for a list's index, ``*`` for a free name."""
    paths = []
    for key, field in file_keys(model).items():
        path = prefix + key
        inner = model_in(field.annotation)
        holder = next((h for h in (tuple, dict) if inner and _holds(field.annotation, h)), None)
        paths.append(path)
        if inner is not None:
            below = path + {tuple: "[]", dict: ".*", None: ""}[holder]
            if holder is not None:
                paths.append(below)
            paths += known_paths(inner, below + ".")
        elif key == "quantification":
            # A plan keeps the overrides as it was given them; their names are those of the settings.
            paths += known_paths(QuantificationSettings, path + ".")
    return paths


def _holds(annotation: Any, holder: type) -> bool:  # noqa: ANN401 - annotations have no common type
    return holder in (get_origin(annotation), *(get_origin(inner) for inner in get_args(annotation)))


def _resolved(path: str, known: list[str]) -> list[str | int] | None:
    for candidate in (path, _BARE + path):
        parts = _parts(candidate)
        if parts and any(_fits(parts, _parts(pattern.replace("[]", "[0]"))) for pattern in known):
            return parts
    return None


def _parts(path: str) -> list[str | int]:
    parts: list[str | int] = []
    position = 0
    while match := _PART.match(path, position):
        parts.append(match[1])
        parts += [int(number) for number in re.findall(r"\d+", match[2])]
        position = match.end()
        if position == len(path):
            return parts
        if path[position] != ".":
            return []
        position += 1
    return []


def _fits(parts: list[str | int], pattern: list[str | int]) -> bool:
    if len(parts) != len(pattern):
        return False
    return all(
        isinstance(part, int) if isinstance(wanted, int) else wanted in ("*", part)
        for part, wanted in zip(parts, pattern, strict=True)
    )


def _suggestion(path: str, known: list[str]) -> str:
    bare = [name.removeprefix(_BARE) for name in known if name.startswith(_BARE)]
    generic = re.sub(r"\[\d+\]", "[]", path)
    near = nearest(generic, [*known, *bare])
    if near is None:
        by_leaf = {name.rpartition(".")[2]: name for name in reversed(known)}
        leaf = nearest(generic.rpartition(".")[2], by_leaf)
        near = by_leaf[leaf] if leaf is not None else None
    if near is not None:
        return f" Did you mean {near}?"
    return did_you_mean(path, [name for name in known if "." not in name and "[" not in name])


def _assign(mapping: dict[str, Any], parts: list[str | int], value: object) -> str | None:
    """Set one value in place; return a sentence if the file has no such place."""
    place: Any = mapping
    walked = ""
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        walked += f"[{part}]" if isinstance(part, int) else f".{part}" if walked else part
        if isinstance(part, int):
            if not isinstance(place, list) or part >= len(place):
                length = len(place) if isinstance(place, list) else 0
                return f"{walked} cannot be set: the file has {length} of them, counted from [0]."
        elif not isinstance(place, dict):
            return f"{walked} cannot be set: it lies in something that is not a table."
        elif following is not None and part not in place:
            place[part] = [] if isinstance(following, int) else {}
        if following is None:
            place[part] = value
        else:
            place = place[part]
    return None
