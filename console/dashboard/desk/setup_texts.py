"""A plan as texts, each by its TOML path, and back: what stands in the fields of the setup.

Lists of tables are rows: ``vials[0].name``. A position is a row as well (``positions[0].name``), with what is
prescribed there; an injection names the row of its position (``injections[0].of``). What has no field is kept as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from config.times import aware_time, zone_named
from console.dashboard.desk.form import moment, number

TICKED = "yes"
ROWS = ("positions", "injections", "vials", "residuals", "limits")
"""Tables of which there are several."""
_TABLES = ("patient", "microspheres", "calibration")
"""Tables that every plan has: with none of their keys they are empty, so that each key is told as missing."""
_NUMBERS = frozenset(
    (
        "holmium_fraction", "specific_activity_MBq_per_mg", "relaxivity_per_s_per_mg_mL", "field_T", "temperature_C",
        "dose_Gy", "planned_MBq", "activity_MBq", "mass_mg",
    )
)  # fmt: skip
_TIMES = frozenset(("reference_time", "assay_time", "time"))
_NAMES = frozenset(("tumours", "volumes", "vials"))
_NOT_OF_THE_PLAN = frozenset(("of", "prescribed_MBq", "split"))
_ROW = re.compile(r"(\w+)\[(\d+)\]\.(.+)")
_INJECTION = re.compile(r"([A-Za-z0-9_-]+)\s+F?(\d{1,2})")


@dataclass(frozen=True, kw_only=True)
class PlanTexts:
    """What stands in the fields, by path; ``kept`` are tables of the plan that have no field."""

    texts: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, Any] = field(default_factory=dict)

    def text(self, key: str) -> str:
        """The text of a field, without white space around it."""
        return self.texts.get(key, "").strip()

    def count(self, rows: str) -> int:
        """How many rows a list of tables has."""
        return self._counts.get(rows, 0)

    @cached_property
    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for key in self.texts:
            if found := _ROW.fullmatch(key):
                counts[found[1]] = max(counts.get(found[1], 0), 1 + int(found[2]))
        return counts

    def zone(self, site: str) -> ZoneInfo:
        """The zone of times without an offset: the plan's, or the site's where that is none."""
        try:
            return zone_named(self.text("time_zone") or site)
        except ValueError:
            return zone_named(site)

    def position_of(self, injection: int) -> str:
        """The position's name of a row of ``injections``."""
        return self.text(f"positions[{self.text(f'injections[{injection}].of')}].name")

    def key_of(self, injection: int) -> tuple[str, int]:
        """(position, fraction) of a row of ``injections``."""
        return self.position_of(injection), int(self.text(f"injections[{injection}].fraction"))

    def injections_of(self, position: int) -> list[int]:
        """Rows of ``injections`` at a row of ``positions``, in order."""
        return [i for i in range(self.count("injections")) if self.text(f"injections[{i}].of") == str(position)]


def texts_of(mapping: Mapping[str, Any], *, site_time_zone: str) -> PlanTexts:
    """The texts of a plan with the file's keys, such as `TreatmentPlan.to_mapping`."""
    zone = zone_named(str(mapping.get("time_zone") or site_time_zone))
    texts = {"time_zone": zone.key}
    for name in (*_TABLES, "structures"):
        texts |= _leaves(mapping.get(name, {}), name, zone)
    for name in ROWS[1:]:
        for row, table in enumerate(mapping.get(name, ())):
            # The position of an injection is a row of its own.
            texts |= _leaves({k: v for k, v in table.items() if k != "position"}, f"{name}[{row}]", zone)
    kept = {"quantification": mapping["quantification"]} if mapping.get("quantification") else {}
    return PlanTexts(texts={**texts, **_positions(mapping, zone)}, kept=kept)


def mapping_of(plan: PlanTexts, *, site_time_zone: str, today: date) -> dict[str, Any]:
    """The plan with the file's keys, as far as it can be read; what cannot stays as typed, for the plan to refuse.

    Parameters
    ----------
    today
        The day of a time without a date, in the plan's zone.
    """
    zone = plan.zone(site_time_zone)
    content: dict[str, Any] = {"schema": 1, "time_zone": plan.text("time_zone") or site_time_zone, **plan.kept}
    content |= {name: {} for name in _TABLES}
    for rows in ROWS[1:]:
        if rows == "injections" or plan.count(rows):
            content[rows] = [{} for _ in range(plan.count(rows))]
    for key, text in plan.texts.items():
        if not text.strip() or key.startswith(("positions[", "confirm.")):
            continue
        row = _ROW.fullmatch(key)
        table: dict[str, Any] = content[row[1]][int(row[2])] if row else content
        *above, leaf = (row[3] if row else key).split(".")
        for name in above:
            table = table.setdefault(name, {})
        if leaf not in _NOT_OF_THE_PLAN:
            table[leaf] = _value(leaf, text.strip(), zone, today)
    for row_number, injection in enumerate(content["injections"]):
        if name := plan.position_of(row_number):
            injection["position"] = name
    positions = dict(_position_tables(plan))
    return content | ({"positions": positions} if positions else {})


def settled(plan: PlanTexts, *, typing: str, site_time_zone: str, today: date) -> PlanTexts:
    """The texts with every time of day given its date, but for the field in which somebody types.

    So it is seen which day is meant, and ``23:58`` stays that of the day on which it was typed.
    """
    zone = plan.zone(site_time_zone)
    texts = dict(plan.texts)
    for key, text in plan.texts.items():
        if key.rpartition(".")[2] in _TIMES and key != typing and re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text.strip()):
            value = _time(text, zone, today)
            texts[key] = _time_text(value, zone) if value != text else text
    return PlanTexts(texts=texts, kept=plan.kept)


def names_in(text: str) -> list[str]:
    """Names that are set apart by commas; one that holds a comma stands in quotes."""
    found = re.findall(r'\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)', text)
    return [name for quoted, bare in found if (name := quoted.replace('""', '"') or bare.strip())]


def injections_in(text: str) -> list[list[Any]]:
    """``RHA F1, RHA F2`` as ``[["RHA", 1], ["RHA", 2]]``.

    Raises
    ------
    ValueError
        With a sentence for beside the field.
    """
    found = [_INJECTION.fullmatch(part.strip()) for part in text.split(",")]
    if not all(found):
        raise ValueError("expected injections such as RHA F1, RHA F2")
    return [[one[1], int(one[2])] for one in found if one]


def plain_number(value: float) -> str:
    """A number that reads back the same: ``430``, ``0.195``."""
    return repr(float(value)).removesuffix(".0")


def _leaves(table: Mapping[str, Any], where: str, zone: ZoneInfo) -> dict[str, str]:
    texts: dict[str, str] = {}
    for key, value in table.items():
        path = f"{where}.{key}"
        if isinstance(value, Mapping):
            texts |= _leaves(value, path, zone)
        elif value is not None:
            texts[path] = _text(key, value, zone)
    return texts


def _text(leaf: str, value: Any, zone: ZoneInfo) -> str:  # noqa: ANN401 - a plan's values have no common type
    if isinstance(value, bool):
        return TICKED if value else ""
    if leaf in _TIMES:
        return _time_text(value, zone)
    if leaf in _NAMES:
        return ", ".join('"' + name.replace('"', '""') + '"' if re.search(r'[,"]', name) else name for name in value)
    if leaf == "injections":
        return ", ".join(f"{position} F{fraction}" for position, fraction in value)
    return plain_number(value) if leaf in _NUMBERS else str(value)


def _value(leaf: str, text: str, zone: ZoneInfo, today: date) -> Any:  # noqa: ANN401 - as above
    try:
        match leaf:
            case _ if leaf in _NUMBERS:
                return number(text)
            case _ if leaf in _TIMES:
                return _time(text, zone, today)
            case _ if leaf in _NAMES:
                return names_in(text)
            case "injections":
                return injections_in(text)
            case "fraction":
                return int(text)
            case "outside_mri":
                return text == TICKED
    except ValueError:
        return text
    return text


def _time(text: str, zone: ZoneInfo, today: date) -> str:
    """ISO 8601, without an offset where none was typed: the plan tells a time that exists twice, or not at all."""
    told = moment(text, zone=zone, today=today)
    return (told.replace(tzinfo=None) if told.tzinfo is zone else told).isoformat()


def _time_text(value: str, zone: ZoneInfo) -> str:
    told = aware_time(value, zone)
    local = told.replace(tzinfo=None)
    try:
        plain = aware_time(local, zone) == told
    except ValueError:
        plain = False
    text = (local if plain else told).isoformat(sep=" ")
    return text.removesuffix(":00") if plain and not local.second and not local.microsecond else text


def _positions(mapping: Mapping[str, Any], zone: ZoneInfo) -> dict[str, str]:
    """Rows of positions: those that the plan describes and those that it injects at, with what is prescribed."""
    tables: Mapping[str, Any] = mapping.get("positions", {})
    injections = list(mapping.get("injections", ()))
    names = list(dict.fromkeys([*(i["position"] for i in injections), *tables]))
    told: dict[str, str] = {}
    for row, name in enumerate(names):
        told[f"positions[{row}].name"] = name
        told |= _leaves(tables.get(name, {}), f"positions[{row}]", zone)
        own = [i.get("planned_MBq") for i in injections if i["position"] == name]
        if own and None not in own:
            whole = sum(own)
            told[f"positions[{row}].prescribed_MBq"] = plain_number(round(whole, 3))
            told[f"positions[{row}].split"] = "/".join(plain_number(round(100 * one / whole, 1)) for one in own)
    for row, injection in enumerate(injections):
        told[f"injections[{row}].of"] = str(names.index(injection["position"]))
    return told


def _position_tables(plan: PlanTexts) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in range(plan.count("positions")):
        name, territory = plan.text(f"positions[{row}].name"), plan.text(f"positions[{row}].territory")
        volumes = names_in(plan.text(f"positions[{row}].volumes"))
        table = ({"territory": territory} if territory else {}) | ({"volumes": volumes} if volumes else {})
        if name and table:
            yield name, table


def moment_of(plan: PlanTexts, key: str, *, site_time_zone: str, today: date) -> datetime | None:
    """The time in a field, aware; None where there is none that can be read."""
    zone = plan.zone(site_time_zone)
    try:
        return aware_time(_time(plan.text(key), zone, today), zone)
    except ValueError:
        return None
