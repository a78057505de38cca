"""A plan as a TOML file that `config.plan.load_plan` reads back equal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_TIMES = ("reference_time", "assay_time", "time")


def plan_toml(mapping: Mapping[str, Any]) -> str:
    """The TOML of a plan's mapping (`config.plan.TreatmentPlan.to_mapping`)."""
    return "\n".join(_lines(mapping, "")).strip() + "\n"


def _lines(table: Mapping[str, Any], where: str) -> list[str]:
    """The table's own values first: in TOML whatever follows a header belongs to it."""
    lines = [f"{_key(key)} = {_value(key, value)}" for key, value in table.items() if not _has_tables(value)]
    for key, value in table.items():
        path = f"{where}.{_key(key)}" if where else _key(key)
        if isinstance(value, Mapping):
            lines += ["", f"[{path}]", *_lines(value, path)]
        elif _has_tables(value):
            for one in value:
                lines += ["", f"[[{path}]]", *_lines(one, path)]
    return lines


def _has_tables(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)
    )


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _value(key: str, value: Any) -> str:  # noqa: ANN401 - a plan's values have no common type
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value("", one) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if key in _TIMES:
            return datetime.fromisoformat(value).isoformat()
        return value if key == "birth_date" else _text(value)
    return repr(value)


def _text(text: str) -> str:
    # JSON's strings are TOML's basic strings, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
