"""What must hold between the tables of a plan. Each fault is a sentence with the path where it shows.

The checks read the file's content, not the validated plan, so that they speak in the same message as unknown keys and
wrong types: a value of a wrong type is left out here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from config.base import DEFAULTS
from config.errors import did_you_mean, quote
from config.times import aware_time

UNIT_SLIP_FACTOR = 5.0
"""Activity further from the planned one than this factor is taken for a slip of unit or digit."""

HEALTHY_LIVER = "Healthy liver"
"""Liver minus tumours; with a position's name behind it, the position's territory minus tumours."""


@dataclass(frozen=True, kw_only=True)
class _Injection:
    where: str
    position: str | None
    fraction: int | None
    planned_mbq: float | None
    activity_mbq: float | None
    has_activity: bool
    time: datetime | None
    has_time: bool
    vials: tuple[str, ...]

    @property
    def key(self) -> tuple[str, int] | None:
        return None if self.position is None or self.fraction is None else (self.position, self.fraction)


@dataclass(frozen=True, kw_only=True)
class _Assay:
    """A vial, or a residual with the injections that it is left of."""

    where: str
    name: str | None = None
    activity_mbq: float | None
    time: datetime | None
    injections: tuple[tuple[str, int], ...] = ()


def decayed(activity_mbq: float, since: datetime, until: datetime, half_life_h: float) -> float:
    """Return A(t) = A₀ · 2^(−(t − t₀)/T½), MBq."""
    hours = (until - since).total_seconds() / 3600.0
    # Times years apart (a wrong date) must give a fault, not an overflow.
    return activity_mbq * math.exp2(min(-hours / half_life_h, 900.0))


def cross_faults(content: Mapping[str, Any], zone: ZoneInfo) -> list[str]:
    """Return every contradiction between the tables of a plan's content (file keys)."""
    injections = [_injection(where, table, zone) for where, table in _tables(content, "injections")]
    vials = [
        _Assay(
            where=where,
            name=_text(table, "name"),
            activity_mbq=_number(table, "activity_MBq"),
            time=_time(table, "assay_time", zone),
        )
        for where, table in _tables(content, "vials")
    ]
    residuals = [
        _Assay(
            where=where,
            activity_mbq=_number(table, "activity_MBq"),
            time=_time(table, "assay_time", zone),
            injections=_keys(table.get("injections")),
        )
        for where, table in _tables(content, "residuals")
    ]
    quantification = content.get("quantification")
    own = _number(quantification, "half_life_h") if isinstance(quantification, dict) else None
    half_life_h = own if own is not None and own > 0 else float(DEFAULTS["quantification"]["half_life_h"])
    return [
        *_order_faults(injections),
        *_activity_faults(injections),
        *_vial_faults(injections, vials),
        *_planned_faults(injections, vials, half_life_h),
        *_residual_faults(injections, vials, residuals, half_life_h),
        *_structure_faults(content),
        *_position_faults(content, injections),
    ]


def _order_faults(injections: list[_Injection]) -> Iterator[str]:
    seen: dict[tuple[str, int], str] = {}
    count: defaultdict[str, int] = defaultdict(int)
    latest: _Injection | None = None
    for injection in injections:
        if injection.key is not None and injection.position is not None:
            if injection.key in seen:
                yield (
                    f"{injection.where}: {_label(injection.key)} is already {seen[injection.key]}; "
                    "each position has fractions 1, 2, 3 … once."
                )
            else:
                seen[injection.key] = injection.where
                count[injection.position] += 1
                if injection.fraction != count[injection.position]:
                    yield (
                        f"{injection.where}.fraction is {injection.fraction}; expected {count[injection.position]}: "
                        f"the fractions of {injection.position} count 1, 2, 3 … in the order of injection."
                    )
                    count[injection.position] = injection.key[1]
        if injection.time is None:
            continue
        if latest is not None and latest.time is not None and injection.time <= latest.time:
            yield (
                f"{injection.where}.time is {injection.time.isoformat()}, not after {latest.where}.time "
                f"{latest.time.isoformat()}; list the injections in the order in which they were given."
            )
        else:
            latest = injection


def _activity_faults(injections: list[_Injection]) -> Iterator[str]:
    for injection in injections:
        if injection.has_activity and injection.vials:
            yield (
                f"{injection.where} has both activity_MBq and vials; activity_MBq is net and final: give one of them."
            )
        if injection.has_activity and not injection.has_time:
            yield f"{injection.where}.time is missing; activity_MBq holds at the end of the injection."


def _vial_faults(injections: list[_Injection], vials: list[_Assay]) -> Iterator[str]:
    names: dict[str, str] = {}
    for vial in vials:
        if vial.name is not None and vial.name in names:
            yield f"{vial.where}.name is {quote(vial.name)}, as is {names[vial.name]}.name; vials need different names."
        elif vial.name is not None:
            names[vial.name] = vial.where
    for injection in injections:
        for index, name in enumerate(injection.vials):
            if name in injection.vials[:index]:
                yield f"{injection.where}.vials names {quote(name)} twice; name each vial once."
            elif name not in names and all(vial.name is not None for vial in vials):
                hint = did_you_mean(name, names) or " Add it as a [[vials]] table."
                yield f"{injection.where}.vials names {quote(name)}, which is not a vial of this plan.{hint}"


def _planned_faults(injections: list[_Injection], vials: list[_Assay], half_life_h: float) -> Iterator[str]:
    by_name = {vial.name: vial for vial in vials}
    drawn = _drawn_by(injections)
    for injection in injections:
        given, what = injection.activity_mbq, "activity_MBq"
        if given is None and injection.time is not None and injection.vials:
            # What a shared vial held says nothing of one fraction (a warning tells how it is divided).
            own = [by_name.get(name) for name in injection.vials if len(drawn[name]) == 1]
            if len(own) == len(injection.vials):
                given, what = _held(own, injection.time, half_life_h), "what its vials held"
        planned = injection.planned_mbq
        if given is None or planned is None or given <= 0 or planned <= 0:
            continue
        if max(given / planned, planned / given) > UNIT_SLIP_FACTOR:
            yield (
                f"{injection.where}: {what} is {given:.4g} MBq, but planned_MBq is {planned:.4g}, more than a factor "
                f"{UNIT_SLIP_FACTOR:g} apart; check the unit (MBq) and the digits."
            )


def _residual_faults(
    injections: list[_Injection], vials: list[_Assay], residuals: list[_Assay], half_life_h: float
) -> Iterator[str]:
    by_key = {injection.key: injection for injection in injections}
    by_name = {vial.name: vial for vial in vials}
    complete = all(injection.key is not None for injection in injections)
    left: defaultdict[frozenset[str], list[_Assay]] = defaultdict(list)
    for residual in residuals:
        names: set[str] = set()
        for index, key in enumerate(residual.injections):
            where = f"{residual.where}.injections[{index}]"
            injection = by_key.get(key)
            if key in residual.injections[:index]:
                yield f"{where} names {_label(key)} a second time; name each injection once."
            elif injection is None:
                if complete:
                    known = {_label(one.key) for one in injections if one.key is not None}
                    yield (
                        f"{where} names {_label(key)}, which is not an injection of this plan."
                        f"{did_you_mean(_label(key), known)}"
                    )
            elif injection.has_activity:
                yield (
                    f"{where} names {_label(key)}, whose activity_MBq is net and final; a residual is subtracted "
                    "from vials only: give the injection's vials instead, or remove the residual."
                )
            elif not injection.vials:
                yield f"{where} names {_label(key)}, which has no vials that a residual could be left of."
            else:
                names |= set(injection.vials)
        left[frozenset(names)].append(residual)
    for some, shared in left.items():
        # Residuals of the same vials are left of them together.
        times = [residual.time for residual in shared if residual.time is not None]
        if not some or len(times) < len(shared):
            continue
        at = times[0]
        remaining = _held(list(shared), at, half_life_h)
        held = _held([by_name.get(name) for name in some], at, half_life_h)
        if remaining is None or held is None or remaining <= held:
            continue
        verb = "is" if len(shared) == 1 else "are together"
        yield (
            f"{' and '.join(f'{residual.where}.activity_MBq' for residual in shared)} {verb} {remaining:.5g} MBq at "
            f"{at.isoformat()}, above the {held:.5g} MBq that its vials ({', '.join(sorted(some))}) held then; a "
            "residual cannot exceed its vials: check the unit and the times."
        )


def _structure_faults(content: Mapping[str, Any]) -> Iterator[str]:
    structures = content.get("structures")
    if not isinstance(structures, dict):
        return
    liver, tumours = _text(structures, "liver"), _names(structures.get("tumours"))
    for index, name in enumerate(tumours):
        if name == liver or name in tumours[:index]:
            yield f"structures.tumours[{index}] is {quote(name)}, which is named before; name each structure once."
    own: list[tuple[str, str | None]] = [("liver", liver), *((f"tumours[{i}]", name) for i, name in enumerate(tumours))]
    for where, structure in own:
        if structure is not None and structure.startswith(HEALTHY_LIVER):
            yield f"structures.{where} is {quote(structure)}, a name that is kept for the liver minus its tumours."


def _position_faults(content: Mapping[str, Any], injections: list[_Injection]) -> Iterator[str]:
    found = content.get("positions")
    tables = found.items() if isinstance(found, dict) else ()
    positions = {name: table for name, table in tables if isinstance(table, dict)}
    used = {injection.position for injection in injections if injection.position is not None}
    if used and all(injection.position is not None for injection in injections):
        for name in positions:
            if name not in used:
                yield f"positions.{name} is not the position of any injection.{did_you_mean(name, used)}"
    structures = content.get("structures")
    if not isinstance(structures, dict):
        return  # maps only: names can be judged when there are structures (a warning says so)
    if not isinstance(structures.get("tumours", []), list):
        return  # a fault of its own; the names are not known
    known = {"Liver", HEALTHY_LIVER, *_names(structures.get("tumours")), *_names([structures.get("liver")])}
    for name, table in positions.items():
        territory = _text(table, "territory")
        if territory is not None:
            known |= {territory, f"{HEALTHY_LIVER} {name}"}
    named = [
        (f"positions.{name}.volumes[{index}]", volume)
        for name, table in positions.items()
        for index, volume in enumerate(_names(table.get("volumes")))
    ]
    limits = [(f"{where}.volume", _text(table, "volume")) for where, table in _tables(content, "limits")]
    for where, volume in [*named, *limits]:
        if volume is not None and volume not in known:
            yield f"{where} is {quote(volume)}, which is not a structure of this plan.{did_you_mean(volume, known)}"


def _drawn_by(injections: list[_Injection]) -> dict[str, list[_Injection]]:
    drawn: defaultdict[str, list[_Injection]] = defaultdict(list)
    for injection in injections:
        for name in dict.fromkeys(injection.vials):
            drawn[name].append(injection)
    return drawn


def _held(assays: list[_Assay | None] | list[_Assay], at: datetime, half_life_h: float) -> float | None:
    """Sum of the activities at one time, MBq; None if one of them is not known."""
    total = 0.0
    for assay in assays:
        if assay is None or assay.activity_mbq is None or assay.time is None:
            return None
        total += decayed(assay.activity_mbq, assay.time, at, half_life_h)
    return total


def _label(key: tuple[str, int]) -> str:
    return f"{key[0]} F{key[1]}"


def _injection(where: str, table: dict[str, Any], zone: ZoneInfo) -> _Injection:
    return _Injection(
        where=where,
        position=_text(table, "position"),
        fraction=_whole(table.get("fraction")),
        planned_mbq=_number(table, "planned_MBq"),
        activity_mbq=_number(table, "activity_MBq"),
        has_activity=table.get("activity_MBq") is not None,
        time=_time(table, "time", zone),
        has_time=table.get("time") is not None,
        vials=_names(table.get("vials")),
    )


def _tables(content: Mapping[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    found = content.get(key)
    for index, table in enumerate(found if isinstance(found, list) else []):
        if isinstance(table, dict):
            yield f"{key}[{index}]", table


def _text(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    return value if isinstance(value, str) else None


def _number(table: Mapping[str, Any], key: str) -> float | None:
    value = table.get(key)
    # Neither infinite, nor NaN, nor a whole number that no float holds: all are out of range anyway.
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12
    return float(value) if isinstance(value, (int, float)) and usable else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _time(table: Mapping[str, Any], key: str, zone: ZoneInfo) -> datetime | None:
    try:
        return aware_time(table[key], zone)
    except (KeyError, ValueError, OverflowError):
        return None


def _names(value: object) -> tuple[str, ...]:
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def _keys(value: object) -> tuple[tuple[str, int], ...]:
    keys = []
    for pair in value if isinstance(value, list) else []:
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and _whole(pair[1]) is not None:
            keys.append((pair[0], int(pair[1])))
    return tuple(keys)
