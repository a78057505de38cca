"""What a valid plan holds that is worth a second look. Warnings stop nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from config.plan_checks import HEALTHY_LIVER, decayed

if TYPE_CHECKING:
    from config.plan import InjectionPlan, TreatmentPlan
    from config.settings import AlarmSettings

PLANNED_BAND = 0.20
"""Share of the planned activity that an injection may differ by unremarked (screen: setup checks)."""

SPECIFIC_ACTIVITY_BAND = 0.20
"""Share by which a vial's activity per mass may differ from its batch's."""

LONGEST_DECAY = timedelta(days=7)
"""Six half-lives: a batch used that far from its reference time points to a wrong date."""

BAND_HOLMIUM_FRACTION = 0.195
"""Mass of holmium per mass of microspheres in the middle of EMERITUS-1's 19.1 to 19.9 %, for which the bands hold."""


def plan_warnings(plan: TreatmentPlan, alarms: AlarmSettings, half_life_h: float) -> tuple[str, ...]:
    """Return a sentence for everything in `plan` that is allowed but unlikely."""
    return (
        *_relaxivity(plan, alarms),
        *_activities(plan, half_life_h),
        *_unrecorded(plan),
        *_vials(plan, half_life_h),
        *_dates(plan),
        *_limits(plan),
    )


def relaxivity_band(field_t: float, holmium_fraction: float, alarms: AlarmSettings) -> tuple[float, float]:
    """Return the relaxivity expected of a calibration, s⁻¹ per mg microspheres/mL.

    Static dephasing is proportional to the field and to the holmium content, so the band of the nearer of 1.5 T and
    3 T is scaled by both.
    """
    nominal, band = (1.5, alarms.relaxivity_band_1_5t) if field_t < 2.25 else (3.0, alarms.relaxivity_band_3t)
    scale = holmium_fraction / BAND_HOLMIUM_FRACTION
    # Scanners of nominally 1.5 or 3 T state 1.494 or 2.893 T.
    if abs(field_t - nominal) > 0.15:
        scale *= field_t / nominal
    return band[0] * scale, band[1] * scale


def _relaxivity(plan: TreatmentPlan, alarms: AlarmSettings) -> Iterator[str]:
    calibration = plan.calibration
    low, high = relaxivity_band(calibration.field_t, calibration.holmium_fraction, alarms)
    found = calibration.relaxivity_per_s_per_mg_ml
    if not low <= found <= high:
        yield (
            f"calibration.relaxivity_per_s_per_mg_mL is {found:g}, outside the {low:.0f} to {high:.0f} s⁻¹ per mg/mL "
            f"that theory gives at {calibration.field_t:g} T with {calibration.holmium_fraction:.1%} holmium; check "
            "that it is per mg of microspheres, not of holmium."
        )


def _activities(plan: TreatmentPlan, half_life_h: float) -> Iterator[str]:
    vials = {vial.name: vial for vial in plan.vials}
    for index, injection in enumerate(plan.injections):
        given, what = injection.activity_mbq, "activity_MBq is"
        own = not any(len(_drawing(plan, name)) > 1 for name in injection.vials or ())
        if given is None and injection.vials and injection.time is not None and own:
            held = [vials[name] for name in injection.vials]
            given = sum(decayed(one.activity_mbq, one.assay_time, injection.time, half_life_h) for one in held)
            what = "its vials held"
        planned = injection.planned_mbq
        if given is not None and planned is not None and abs(given - planned) > PLANNED_BAND * planned:
            yield (
                f"injections[{index}] ({injection.label}): {what} {given:.4g} MBq, {given / planned - 1:+.0%} from "
                f"the {planned:.4g} MBq planned."
            )


def _unrecorded(plan: TreatmentPlan) -> Iterator[str]:
    for index, injection in enumerate(plan.injections):
        if injection.time is None and any(later.time is not None for later in plan.injections[index + 1 :]):
            yield f"injections[{index}] ({injection.label}) has no time, but a later injection has one."
        if injection.time is not None and injection.activity_mbq is None and not injection.vials:
            yield f"injections[{index}] ({injection.label}) has a time, but neither activity_MBq nor vials."


def _drawing(plan: TreatmentPlan, vial: str) -> list[InjectionPlan]:
    return [injection for injection in plan.injections if vial in (injection.vials or ())]


def _vials(plan: TreatmentPlan, half_life_h: float) -> Iterator[str]:
    for index, vial in enumerate(plan.vials):
        if not any(vial.name in (injection.vials or ()) for injection in plan.injections):
            yield f"vials[{index}] ({vial.name}) is drawn by no injection."
        sharing = _drawing(plan, vial.name)
        if len(sharing) > 1:
            labels = ", ".join(injection.label for injection in sharing)
            planned = all(injection.planned_mbq is not None for injection in sharing)
            how = "in proportion to planned_MBq" if planned else "equally, as planned_MBq is not given for each"
            yield (
                f"vials[{index}] ({vial.name}) is drawn by {labels}: its content is divided {how}, which nobody "
                "measured; give each injection its net activity_MBq once it is known."
            )
        if vial.mass_mg is None:
            continue  # its specific activity is the batch's
        batch = vial.microspheres or plan.microspheres
        at_reference = decayed(vial.activity_mbq, vial.assay_time, batch.reference_time, half_life_h) / vial.mass_mg
        expected = batch.specific_activity_mbq_per_mg
        if abs(at_reference - expected) > SPECIFIC_ACTIVITY_BAND * expected:
            yield (
                f"vials[{index}] ({vial.name}): activity_MBq per mass_mg is {at_reference:.3g} MBq/mg at the batch's "
                f"reference_time, where specific_activity_MBq_per_mg is {expected:.3g}."
            )
    for index, residual in enumerate(plan.residuals):
        times = {injection.key: injection.time for injection in plan.injections}
        ends = [time for key in residual.injections if (time := times[key]) is not None]
        if ends and residual.assay_time < max(ends):
            yield f"residuals[{index}].assay_time is before the injection that it is left of; check the clocks."


def _dates(plan: TreatmentPlan) -> Iterator[str]:
    for index, injection in enumerate(plan.injections):
        batch = injection.microspheres or plan.microspheres
        if injection.time is not None and abs(injection.time - batch.reference_time) > LONGEST_DECAY:
            yield (
                f"injections[{index}].time ({injection.time.isoformat()}) is more than {LONGEST_DECAY.days} days from "
                f"its microspheres' reference_time ({batch.reference_time.isoformat()}); check the dates."
            )


def _limits(plan: TreatmentPlan) -> Iterator[str]:
    structures = plan.structures
    for index, limit in enumerate(plan.limits):
        if structures is None:
            yield f"limits[{index}] ({limit.volume}) cannot be watched: the plan has no [structures]."
        elif structures.liver is None and limit.volume in ("Liver", HEALTHY_LIVER):
            yield f"limits[{index}] ({limit.volume}) cannot be watched: the plan names no structures.liver."
        isotope = re.sub(r"[^0-9a-z]", "", (limit.isotope or "166Ho").lower())
        if isotope not in ("166ho", "ho166", "holmium166", "166holmium"):
            yield (
                f"limits[{index}] ({limit.volume}, {limit.dose_gy:g} Gy) was found with {limit.isotope}, "
                "not holmium-166; thresholds do not carry over."
            )
