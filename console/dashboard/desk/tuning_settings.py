"""What can be tuned, from its own metadata: the settings of the quantification, the plan's calibration and batch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.describe import SettingDescription, described_settings
from config.errors import expectation, extra, file_keys, model_in
from config.plan import CalibrationPlan, Microspheres
from config.settings import QuantificationSettings
from console.dashboard.desk.form import Entry

PLAN_TABLES: dict[str, type[BaseModel]] = {"calibration": CalibrationPlan, "microspheres": Microspheres}
"""The tables of the plan that a physicist tunes."""
_PLAN_GROUPS = {"calibration": "Plan: calibration", "microspheres": "Plan: batch"}
_PREFIX = "quantification."
_LARGEST_WHOLE = 1e15


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value that can be tuned: what is known of it, and how it is typed."""

    about: SettingDescription
    group: str
    entry: Entry
    choices: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Its key of ``--set``."""
        return self.about.path

    @property
    def name(self) -> str:
        """Its key within its table."""
        return self.path.rpartition(".")[2]

    @property
    def default(self) -> str:
        """The shipped value; empty for what belongs to a site or a batch."""
        return "" if self.group in _PLAN_GROUPS.values() else value_text(self.about.default)

    @property
    def tooltip(self) -> str:
        """What it is, what it takes, where it comes from."""
        lines = [self.path, self.about.description, f"Takes {self.about.takes}."]
        return "\n".join([*lines, *([f"Source: {self.about.source}."] if self.about.source else [])])


@lru_cache(maxsize=1)
def tunable() -> tuple[Setting, ...]:
    """Every setting of the quantification, and the plan's calibration and batch: from their own metadata."""
    of_plan = tuple(
        _setting(_described(f"{table}.{key}", one), one, _PLAN_GROUPS[table])
        for table, model in PLAN_TABLES.items()
        for key, one in file_keys(model).items()
    )
    return of_plan + tuple(
        _setting(about, _field(QuantificationSettings, about.path.removeprefix(_PREFIX)), _group(about.path))
        for about in described_settings(QuantificationSettings, _PREFIX)
    )


def found(words: str) -> frozenset[str]:
    """Paths of the settings in which all these words occur: in key, description, unit or source."""
    wanted = words.lower().split()
    return frozenset(
        one.path
        for one in tunable()
        if all(word in f"{one.tooltip} {one.group} {one.about.unit}".lower() for word in wanted)
    )


def value_text(value: object) -> str:
    """A value as it is typed after ``KEY=``; empty for none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(_short(value))


def _short(value: object) -> object:
    """Numbers as people write them: 5 for 5.0."""
    if isinstance(value, list | tuple):
        return [_short(one) for one in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_WHOLE
    return int(value) if whole and isinstance(value, float) else value


def _described(path: str, one: FieldInfo) -> SettingDescription:
    about = extra(one)
    return SettingDescription(
        path=path,
        default=None,
        unit=str(about.get("unit", "")),
        takes=expectation(one),
        description=one.description or "",
        source="the plan",
    )


def _setting(about: SettingDescription, one: FieldInfo, group: str) -> Setting:
    if one.annotation is bool:
        return Setting(about=about, group=group, entry=Entry.TICK)
    if get_origin(one.annotation) is Literal:
        choices = tuple(str(choice) for choice in get_args(one.annotation))
        return Setting(about=about, group=group, entry=Entry.CHOICE, choices=choices)
    numeric = one.annotation in (int, float)
    return Setting(about=about, group=group, entry=Entry.NUMBER if numeric else Entry.TEXT)


def _field(model: type[BaseModel], path: str) -> FieldInfo:
    key, _, below = path.partition(".")
    found_field = file_keys(model)[key]
    inner = model_in(found_field.annotation)
    return _field(inner, below) if inner is not None and below else found_field


def _group(path: str) -> str:
    return path.rpartition(".")[0].rpartition(".")[2].capitalize()
