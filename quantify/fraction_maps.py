"""Holmium, activity and dose maps of an imaged fraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from quantify.activity import Accumulated, Increment, accumulate, nothing_injected
from quantify.dose import local_deposition_gy
from quantify.findings import FractionMaps, Injection
from quantify.imaged import ImagedFraction, Physics
from quantify.kernel import kernel_dose_gy, kernel_standard_error_gy
from quantify.lineage import Lineage
from quantify.model import Array, ParametricMap, Reason, Role, Volume
from quantify.monte_carlo import MeasuredDose
from quantify.partial_volume import unmixed
from quantify.statistics import increment as gain_between


@dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """What a fraction builds on.

    ``waiting`` are the injections since the last image; ``lineage`` how the dose hangs on the series so far;
    ``offsets`` belong to new baselines: what lay there before [mg/mL], and what the baseline showed; ``unusable`` are
    baselines that hide injections which were never imaged before them. ``doses`` are the volumes as last measured,
    ``latest`` those of the last image; ``dose`` is its map.
    """

    accumulated: Accumulated | None = None
    waiting: tuple[Injection, ...] = ()
    lineage: Lineage = field(default_factory=Lineage)
    offsets: Mapping[str, tuple[ParametricMap, ParametricMap]] = field(default_factory=dict)
    unusable: frozenset[str] = frozenset()
    doses: Mapping[str, MeasuredDose] = field(default_factory=dict)
    latest: frozenset[str] = frozenset()
    dose: ParametricMap | None = None


def fraction_maps(
    fraction: ImagedFraction, before: Progress, volumes: Sequence[Volume], physics: Physics
) -> tuple[Progress, FractionMaps]:
    """Maps of an imaged fraction, whose increment spans all injections since the image before.

    With the voxel kernel, energy comes from the liver's voxels only (where there is a liver): what lung or bowel show
    is not holmium; and from the activity freed from partial volume, since blur by imaging is not blur by electrons.
    """
    r2star, measured = fraction.r2star, fraction.holmium
    if r2star is None or measured is None:
        raise ValueError(f"evaluate_treatment: {fraction.injection.label} has a holmium map but no R2* map.")
    holmium, before = _on_top_of_baseline(fraction, measured, before)
    known = [i for i in before.waiting if i.specific_activity_mbq_per_mg is not None]
    increment = Increment(
        activities_mbq=tuple(i.activity_mbq or 0.0 for i in known),
        specific_activities_mbq_per_mg=tuple(physics.specific_activity(i) for i in known),
    )
    accumulated, values = accumulate(
        before.accumulated or nothing_injected(holmium.grid.shape), holmium.values, increment
    )
    # Voxel noise is that of this image alone, at the specific activity of its own injection.
    noise = holmium.standard_error
    activity = ParametricMap(
        values=values,
        reason=holmium.reason,
        grid=holmium.grid,
        quantity="166Ho activity",
        unit="MBq/mL",
        standard_error=None if noise is None else noise * np.float32(increment.specific_activities_mbq_per_mg[-1]),
    )
    values, error = _dose(activity, fraction, volumes, physics)
    dose = ParametricMap(
        values=values,
        reason=holmium.reason,
        grid=holmium.grid,
        quantity="absorbed dose",
        unit="Gy",
        standard_error=error,
    )
    lineage = before.lineage.after(
        gy_per_s=physics.gy_per_s(_mean(increment)),
        baseline=None if fraction.baseline is None else fraction.baseline_name,
        frame=fraction.new_frame,
    )
    after = replace(before, accumulated=accumulated, waiting=(), lineage=lineage, dose=dose)
    gained = None if before.dose is None else gain_between(dose, before.dose)
    return after, FractionMaps(r2star=r2star, holmium=holmium, activity=activity, dose=dose, increment=gained)


def _dose(
    activity: ParametricMap, fraction: ImagedFraction, volumes: Sequence[Volume], physics: Physics
) -> tuple[Array, Array | None]:
    """Dose to infinity and its standard error [Gy]."""
    density = physics.settings.tissue_density_g_per_ml
    noise = activity.standard_error
    if physics.settings.dose_model == "local":
        error = None if noise is None else noise * np.float32(physics.gy_per_mbq_per_ml)
        return local_deposition_gy(activity.values, isotope=physics.isotope, density_g_per_ml=density), error
    source = activity.values
    if physics.settings.partial_volume_correction:
        source = unmixed(activity, fraction.shares, volumes)
    liver = next((v for v in volumes if v.role == Role.LIVER), None)
    common = {
        "spacing_mm": activity.grid.spacing_mm,
        "isotope": physics.isotope,
        "density_g_per_ml": density,
        "region": None if liver is None else liver.occupancy > 0,
    }
    error = None if noise is None else kernel_standard_error_gy(noise, **common)  # type: ignore[arg-type]
    return kernel_dose_gy(source, **common), error  # type: ignore[arg-type]


def _on_top_of_baseline(
    fraction: ImagedFraction, measured: ParametricMap, before: Progress
) -> tuple[ParametricMap, Progress]:
    """The cumulative map: as measured, or what lay there before re-positioning + what came on top of the new baseline.

    A voxel that one of the three maps cannot tell has the reason of that map. Where the baseline is a lower bound it
    cannot be subtracted: the image counts as it is against the original reference, whose offset is little beside so
    much holmium. A lower bound of what lay there stays one.
    """
    if fraction.baseline is None:
        return measured, before
    name = fraction.baseline_name
    if name not in before.offsets:
        before = replace(before, offsets={**before.offsets, name: (_last_map(before, measured), fraction.baseline)})
    lay_there, baseline = before.offsets[name]
    values = lay_there.values + (measured.values - baseline.values)
    reason = measured.reason.copy()
    told = np.isfinite(measured.values)
    at_floor = baseline.reason == Reason.LOWER_BOUND
    values[at_floor] = measured.values[at_floor]
    reason[told & (lay_there.reason == Reason.LOWER_BOUND) & ~at_floor] = Reason.LOWER_BOUND
    for earlier in (baseline, lay_there):
        bad = ~np.isfinite(earlier.values) & told & ~at_floor
        reason[bad] = np.where(earlier.reason[bad] == Reason.EVALUABLE, Reason.OUTSIDE, earlier.reason[bad])
    parts = [m.standard_error for m in (measured, baseline) if m.standard_error is not None]
    error = np.sqrt(sum((part**2 for part in parts), np.zeros(measured.grid.shape, dtype=np.float32)))
    return replace(measured, values=values, reason=reason, standard_error=error if parts else None), before


def _mean(increment: Increment) -> float:
    """Total activity over total mass of what was injected since the last image, MBq/mg."""
    activities = np.array(increment.activities_mbq)
    specific = np.array(increment.specific_activities_mbq_per_mg)
    mass = (activities / specific).sum()
    return float(activities.sum() / mass) if mass > 0 else float(specific.mean())


def _last_map(before: Progress, like: ParametricMap) -> ParametricMap:
    """Mass in every voxel as the last image showed it [mg/mL]; nothing before the first image.

    A voxel that the last image could not tell is NaN with its reason: what lies there is not known.
    """
    shape = like.grid.shape
    if before.accumulated is None or before.dose is None:
        values, reason = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.uint8)
    else:
        seen = before.accumulated.last_image == len(before.accumulated.increments) - 1
        values = np.where(seen, before.accumulated.mass_mg_per_ml, np.float32(np.nan))
        reason = np.array(before.dose.reason)
    return ParametricMap(values=values, reason=reason, grid=like.grid, quantity=like.quantity, unit=like.unit)
