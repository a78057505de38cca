"""The plan that belongs to a phantom treatment, as the TOML that a physicist would write (docs/plan.md)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from console.demo.phantom import Territory
from console.demo.phantom_headers import PhantomPatient
from console.demo.phantom_structures import TERRITORY_NAMES
from console.demo.phantom_treatment import LIVER_DENSITY_G_PER_ML, DeliveredInjection, Treatment

_FINE_SLICE_MM = 5.0
_WIDEST_GATE_MM = 50.0


def plan_toml(
    treatment: Treatment,
    patient: PhantomPatient,
    *,
    relaxivity_per_s_per_mg_ml: float,
    field_strength_t: float,
    slice_mm: float,
    known_injections: int | None = None,
) -> str:
    """Return the plan.

    Parameters
    ----------
    treatment
        Batch, positions and injections.
    patient
        Whom the images have to belong to.
    relaxivity_per_s_per_mg_ml, field_strength_t
        The calibration: the same that the images were made with.
    slice_mm
        Distance between slices: coarse ones tell less of where an edge lies, and the gates of the registration say so.
    known_injections
        How many injections carry time and activity; the rest are only planned. None: all.
    """
    known = len(treatment.injections) if known_injections is None else known_injections
    lines = [
        "schema = 1",
        f'time_zone = "{treatment.time_zone}"',
        "",
        "[patient]",
        f'id = "{patient.id}"',
        f"birth_date = {patient.birth_date.isoformat()}",
        "",
        "[microspheres]",
        f"holmium_fraction = {treatment.holmium_fraction}",
        f"specific_activity_MBq_per_mg = {treatment.specific_activity_mbq_per_mg}",
        f"reference_time = {treatment.reference_time.isoformat()}",
        "",
        "[calibration]",
        f"relaxivity_per_s_per_mg_mL = {relaxivity_per_s_per_mg_ml}",
        f"field_T = {field_strength_t}",
        f"holmium_fraction = {treatment.holmium_fraction}",
        "temperature_C = 37.0",
        "",
        "[quantification]",
        f"tissue_density_g_per_mL = {LIVER_DENSITY_G_PER_ML}",
        'dose_model = "local"',
        "",
        *_registration(slice_mm),
        "[structures]",
        'liver = "Liver"',
        f"tumours = [{', '.join(_quoted(tumour.name) for tumour in treatment.phantom.tumours)}]",
    ]
    for position, territory in treatment.territories.items():
        lines += ["", f"[positions.{position}]"]
        if territory is not Territory.WHOLE:
            lines.append(f"territory = {_quoted(TERRITORY_NAMES[territory])}")
        lines.append(f"volumes = [{', '.join(_quoted(name) for name in treatment.fed_tumours(position))}]")
    lines += ["", "[[limits]]", 'volume = "Healthy liver"', "dose_Gy = 55.0"]
    for number, injection in enumerate(treatment.injections):
        lines += ["", *_injection(injection, treatment.time_zone, known=number < known)]
    return "\n".join(lines) + "\n"


def local(time: datetime, time_zone: str) -> datetime:
    """Return an aware time as the wall clock of a zone, without offset."""
    return time.astimezone(ZoneInfo(time_zone)).replace(tzinfo=None)


def _registration(slice_mm: float) -> list[str]:
    """The gates of the liver's edge, where its default of 2 and 5 mm is finer than slices can show."""
    if slice_mm <= _FINE_SLICE_MM:
        return []
    gates = (min(slice_mm, _WIDEST_GATE_MM), min(2.0 * slice_mm, _WIDEST_GATE_MM))
    return ["[quantification.registration]", f"edge_median_mm = {gates[0]}", f"edge_95_mm = {gates[1]}", ""]


def _injection(injection: DeliveredInjection, time_zone: str, *, known: bool) -> list[str]:
    lines = [
        "[[injections]]",
        f"position = {_quoted(injection.position)}",
        f"fraction = {injection.fraction}",
        f"planned_MBq = {injection.planned_mbq}",
    ]
    if known:
        lines += [
            f"activity_MBq = {injection.activity_mbq}",
            f"time = {local(injection.time, time_zone).isoformat()}",
        ]
    return lines


def _quoted(text: str) -> str:
    return f'"{text}"'
