"""What differs between two plans with their settings, key by key, the rows of a plan by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LISTS = ("injections", "vials", "residuals", "limits")
"""Tables of a plan that are lists: a row is told by its name, not by its number."""
_LONGEST_VALUE = 60
"""Characters of a value in a sentence on what was changed."""


def plan_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Every key of a plan whose value differs: ``injections.RHA F2.planned_MBq: 1290.0 → 1200.0``."""
    old, new = _by_name(before), _by_name(after)
    for rows in LISTS:
        # A row that is new, or goes, is told key by key.
        for told, other in ((old[rows], new[rows]), (new[rows], old[rows])):
            told |= {name: {} for name in other if name not in told}
    return differences(old, new)


def loaded_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """As `plan_differences`, of what an event brings: ``plan`` and ``settings``."""
    of_plan = plan_differences(before.get("plan", {}), after.get("plan", {}))
    of_settings = differences(before.get("settings", {}), after.get("settings", {}), "settings")
    return (*(f"plan.{one}" for one in of_plan), *of_settings)


def differences(before: object, after: object, where: str = "") -> tuple[str, ...]:
    """Every key whose value differs, as ``key: old → new``, of two JSON values."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = [*before, *(key for key in after if key not in before)]
        parts = (differences(before.get(key), after.get(key), f"{where}.{key}".lstrip(".")) for key in keys)
        return tuple(told for part in parts for told in part)
    if before == after and isinstance(before, bool) == isinstance(after, bool):
        return ()
    return (f"{where}: {_told(before)} → {_told(after)}",)


def _by_name(plan: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(plan)
    for rows in LISTS:
        named: dict[str, Any] = {}
        for number, row in enumerate(plan.get(rows, ()), start=1):
            named[_row_name(rows, row, number)] = {k: v for k, v in row.items() if k not in ("position", "fraction")}
        told[rows] = named
    return told


def _row_name(rows: str, row: Mapping[str, Any], number: int) -> str:
    match rows:
        case "injections":
            return f"{row['position']} F{row['fraction']}"
        case "vials":
            return str(row["name"])
        case "limits":
            return str(row["volume"])
        case _:
            return ", ".join(f"{position} F{fraction}" for position, fraction in row["injections"]) + f" ({number})"


def _told(value: object) -> str:
    text = "not stated" if value is None else str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
