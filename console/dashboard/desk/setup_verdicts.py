"""All that is to be said of a plan as typed: each sentence beside the field that it is about, the rest by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.errors import ConfigurationError
from config.plan import TreatmentPlan, plan_from_mapping
from console.dashboard.desk.form import Verdict
from console.dashboard.desk.setup_checks import own_faults, own_warnings
from console.dashboard.desk.setup_known import Known
from console.dashboard.desk.setup_texts import PlanTexts, mapping_of

_FIRST_FIELD = {"injections": "planned_MBq", "vials": "name", "residuals": "activity_MBq", "limits": "volume"}
"""Where a sentence on a whole row stands."""

NO_FRACTION = "No fraction is planned: enter a position, its MBq and a split, and divide (Positions and fractions)."


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A plan as typed: what it would be, and what is said of each field. ``plan`` is None where something is refused.

    ``faults`` and ``warnings`` are those that no field is about.
    """

    plan: TreatmentPlan | None = None
    mapping: Mapping[str, Any] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether nothing is refused."""
        return self.plan is not None and not self.faults and not any(v.fault for v in self.verdicts.values())


def judged(plan: PlanTexts, known: Known) -> Judged:
    """Check everything, as at every key that is pressed."""
    today = known.now.astimezone(plan.zone(known.time_zone)).date()
    typed = mapping_of(plan, site_time_zone=known.time_zone, today=today)
    faults: dict[str, str] = {}
    warnings: dict[str, str] = {}
    elsewhere: list[str] = []
    odd: list[str] = []
    for key, sentence in own_faults(plan, known):
        faults.setdefault(key, sentence)
    made, told = _made(typed, known)
    places = _places(plan)
    for sentence in told:
        key, words = _placed(sentence, places)
        # Our own word on a field is in the form's terms; the plan's is on the same thing.
        if key and not (key.endswith(".position") or key in faults):
            faults[key] = words
        elif not key and not sentence.startswith("injections is"):
            elsewhere.append(words)
    if not plan.count("injections"):
        elsewhere.append(NO_FRACTION)
    if made is None and not faults and not elsewhere:
        elsewhere += told  # whatever it is about: what is refused says why
    elsewhere += _lost(plan, known)
    if made is not None:
        try:
            said = made.warnings(known.site.alarms, known.site.quantification)
        except ConfigurationError as error:
            said, elsewhere = (), [*elsewhere, *error.faults]
        for sentence in said:
            key, words = _placed(sentence, places)
            if key:
                warnings[key] = f"{warnings[key]}; {words}" if key in warnings else words
            else:
                odd.append(words)
    for key, sentence in own_warnings(plan, known):
        warnings.setdefault(key, sentence)
    keys = dict.fromkeys((*faults, *warnings))
    return Judged(
        plan=made,
        mapping=typed if made is None else made.to_mapping(),
        verdicts={key: Verdict(fault=faults.get(key, ""), warning=warnings.get(key, "")) for key in keys},
        faults=tuple(dict.fromkeys(elsewhere)),
        warnings=tuple(odd),
    )


def _made(typed: Mapping[str, Any], known: Known) -> tuple[TreatmentPlan | None, Sequence[str]]:
    try:
        return plan_from_mapping(typed, site_time_zone=known.time_zone), ()
    except ConfigurationError as error:
        return None, error.faults


def _lost(plan: PlanTexts, known: Known) -> list[str]:
    """Injections that have happened and that the plan had, but would have no more."""
    had = {(i["position"], i["fraction"]) for i in known.plan.get("injections", ())}
    kept = {plan.key_of(row) for row in range(plan.count("injections"))}
    lost = [key for key in known.given if key in had and key not in kept]
    return [
        f"{position} F{fraction} {known.fate((position, fraction))} and must stay in the plan."
        for position, fraction in lost
    ]


def _places(plan: PlanTexts) -> dict[str, str]:
    """By the beginning of a sentence of the plan's: the field that it is about, the longest beginning first."""
    places = {key: key for key in _FIELDS}
    for rows, first in _FIRST_FIELD.items():
        for row in range(plan.count(rows)):
            where = f"{rows}[{row}]"
            places[where] = f"{where}.{first}"
            places |= {f"{where}.{name}": f"{where}.{name}" for name in _ROW_FIELDS[rows]}
    for row in range(plan.count("positions")):
        if name := plan.text(f"positions[{row}].name"):
            places[f"positions.{name}"] = f"positions[{row}].name"
            for key in ("territory", "volumes"):
                places[f"positions.{name}.{key}"] = f"positions[{row}].{key}"
    return dict(sorted(places.items(), key=lambda place: -len(place[0])))


_FIELDS = (
    "time_zone", "patient.id", "patient.issuer", "patient.birth_date", "patient.name",
    "microspheres.holmium_fraction", "microspheres.specific_activity_MBq_per_mg", "microspheres.reference_time",
    "calibration.relaxivity_per_s_per_mg_mL", "calibration.field_T", "calibration.holmium_fraction",
    "calibration.temperature_C", "structures.liver", "structures.tumours",
)  # fmt: skip
_ROW_FIELDS = {
    "injections": ("position", "planned_MBq", "vials", "outside_mri", "activity_MBq", "time"),
    "vials": ("name", "activity_MBq", "assay_time", "mass_mg"),
    "residuals": ("activity_MBq", "assay_time", "injections"),
    "limits": ("volume", "dose_Gy", "isotope", "device", "population", "method", "source"),
}


def _placed(sentence: str, places: Mapping[str, str]) -> tuple[str, str]:
    """The field that a sentence begins with, and the rest of the sentence; an empty field where there is none."""
    for beginning, key in places.items():
        rest = sentence.removeprefix(beginning)
        if rest != sentence and not re.match(r"[\w-]|\.\w", rest):
            return key, _beside(rest)
    return "", sentence


def _beside(rest: str) -> str:
    """A sentence without what stands in the field, and without its label."""
    rest = re.sub(r"^(\[\d+\])?( \([^)]*\))?:? ?", "", rest, count=1)
    rest = rest.replace(" in quotes", "").replace("such as 2026-03-04T10:00:00", "such as 2026-03-04 10:00")
    rest = rest.replace('a list such as [["RHA", 1], ["RHA", 2]]', "injections such as RHA F1, RHA F2")
    needed = re.fullmatch(r"is missing(?:; expected (.*?))?\.?", rest, re.DOTALL)
    if needed:
        return f"needed: {needed[1]}" if needed[1] else "needed"
    typed = re.fullmatch(r'is ".*?"; (expected .*?)\.?', rest, re.DOTALL)
    return typed[1] if typed else rest.removesuffix(".")
