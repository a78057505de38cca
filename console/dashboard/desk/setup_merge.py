"""Two people at one plan: what somebody types, and what somebody else recorded meanwhile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from console.dashboard.desk.setup_texts import PlanTexts


def merged(base: PlanTexts, typed: PlanTexts, recorded: PlanTexts) -> tuple[PlanTexts, bool]:
    """What is typed, with what was recorded meanwhile where nobody typed.

    A field stands for itself; a list of rows is taken as a whole, positions with their fractions.

    Parameters
    ----------
    base
        What the typing began from.

    Returns
    -------
    The texts, and whether something was both typed and recorded, and differs: what is typed stands there.
    """
    before, ours, theirs = _units(base), _units(typed), _units(recorded)
    told: dict[str, Any] = {}
    both = False
    for unit in dict.fromkeys((*ours, *theirs)):
        was, own, other = (units.get(unit, {}) for units in (before, ours, theirs))
        unchanged = _said(own) == _said(was)
        both |= not unchanged and _said(other) not in (_said(was), _said(own))
        told |= other if unchanged else own
    kept = {key: told.pop(key) for key in {*typed.kept, *recorded.kept} if key in told}
    return PlanTexts(texts=told, kept=kept), both


def _units(plan: PlanTexts) -> dict[str, dict[str, Any]]:
    units: dict[str, dict[str, Any]] = {}
    for key, text in (*plan.texts.items(), *plan.kept.items()):
        row = re.match(r"(\w+)\[\d+\]\.", key)
        unit = key if row is None else row[1].replace("injections", "positions")
        units.setdefault(unit, {})[key] = text
    return units


def _said(unit: Mapping[str, Any]) -> dict[str, Any]:
    """Without the fields that are empty."""
    return {key: text for key, text in unit.items() if text}
