"""From maps of holmium to results: activity, dose, statistics, recovery and trend of every fraction of a treatment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from config.settings import QuantificationSettings
from quantify.activity import Accumulated, Increment, accumulate, nothing_injected
from quantify.dose import dose_per_activity_concentration, local_deposition_gy
from quantify.findings import (
    FractionMaps,
    FractionResult,
    FractionStatus,
    Injection,
    Registration,
    TrendPoint,
    VolumeStatistics,
    VolumeStatus,
)
from quantify.isotope import Isotope
from quantify.model import Grid, ParametricMap, Role, Volume
from quantify.partial_volume import Mixture, Shares, mixture
from quantify.statistics import Distribution, distribution, resized
from quantify.trend import Uptake, trend
from quantify.uncertainty import DoseUncertainty, common_relative, dose_uncertainty


@dataclass(frozen=True, kw_only=True)
class Physics:
    """What turns a concentration into a dose: isotope, the batch's relaxivity and the settings."""

    isotope: Isotope
    relaxivity_per_s_per_mg_ml: float
    settings: QuantificationSettings


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagedFraction:
    """One injection that has happened, with its image: maps on the reference grid, or the error that withholds them.

    ``r2star`` and ``holmium`` are None when ``error`` says why.
    """

    injection: Injection
    r2star: ParametricMap | None
    holmium: ParametricMap | None
    error: str | None = None
    registration: Registration | None = None
    series_instance_uid: str | None = None
    acquired_at: datetime | None = None
    provisional_reasons: tuple[str, ...] = ()
    shares: Shares = field(default_factory=dict)
    """Share of every voxel's signal by volume (`quantify.partial_volume`), on the reference grid."""
    imaged_grid: Grid | None = None
    """Where the series' own voxels lay, in the reference's space: between them the maps are interpolated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VolumeOfInterest:
    """A volume with its grown and shrunk versions, prepared once for all fractions."""

    volume: Volume
    variants: tuple[Volume, ...]


def prepare_volumes(volumes: Sequence[Volume], settings: QuantificationSettings) -> tuple[VolumeOfInterest, ...]:
    """Grow and shrink every volume by the inter-operator change of its contour (u_VOI)."""
    prepared = []
    for volume in volumes:
        terms = settings.uncertainty
        percent = terms.contour_tumour_pct if volume.role == Role.TUMOUR else terms.contour_liver_pct
        variants = tuple(
            replace(volume, occupancy=occupancy, contour_volume_ml=0.0)
            for occupancy in (resized(volume, -percent / 100), resized(volume, percent / 100))
            if occupancy.any()
        )
        prepared.append(VolumeOfInterest(volume=volume, variants=variants))
    return tuple(prepared)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated:
    """A fraction with its result and what the next one builds on: injections not yet imaged, activity so far."""

    fraction: ImagedFraction
    result: FractionResult
    waiting: tuple[Injection, ...]
    accumulated: Accumulated | None


def evaluate_treatment(
    fractions: Sequence[ImagedFraction],
    *,
    volumes: Sequence[VolumeOfInterest],
    physics: Physics,
    feeds: Mapping[str, Sequence[str]],
    known: Sequence[Evaluated] = (),
) -> tuple[Evaluated, ...]:
    """Results of all fractions in order of injection.

    Parameters
    ----------
    fractions
        In order of injection; a failed one stays in the list, its activity counts for the next image.
    volumes
        From `prepare_volumes`, on the reference grid; may be empty (maps only).
    feeds
        Names of the volumes that a position feeds; a position that is not listed feeds all.
    known
        What an earlier call with the same volumes and physics returned: its leading fractions are taken over as far
        as they are the same, so a treatment costs only its new fraction.
    """
    evaluated: list[Evaluated] = []
    for number, fraction in enumerate(fractions):
        if number < len(known) and len(evaluated) == number and _is_same(known[number].fraction, fraction):
            evaluated.append(known[number])
            continue
        known = ()
        before = evaluated[-1] if evaluated else None
        evaluated.append(_evaluate(fraction, before, fractions[: number + 1], volumes, physics))
    results = _with_trends([e.result for e in evaluated], volumes, physics.settings, feeds)
    return tuple(replace(e, result=result) for e, result in zip(evaluated, results, strict=True))


def _is_same(first: ImagedFraction, second: ImagedFraction) -> bool:
    """Whether two fractions were made of the same injection and the same maps."""
    return (
        first.injection == second.injection
        and first.holmium is second.holmium
        and first.r2star is second.r2star
        and (first.error, first.series_instance_uid, first.acquired_at, first.provisional_reasons)
        == (second.error, second.series_instance_uid, second.acquired_at, second.provisional_reasons)
    )


def _evaluate(
    fraction: ImagedFraction,
    before: Evaluated | None,
    so_far: Sequence[ImagedFraction],
    volumes: Sequence[VolumeOfInterest],
    physics: Physics,
) -> Evaluated:
    waiting = (*(before.waiting if before is not None else ()), fraction.injection)
    accumulated = before.accumulated if before is not None else None
    maps = None
    if fraction.holmium is not None:
        accumulated, maps = _fraction_maps(fraction, waiting, accumulated, physics)
        waiting = ()
    result = _fraction_result(fraction, maps, so_far, volumes, physics)
    return Evaluated(fraction=fraction, result=result, waiting=waiting, accumulated=accumulated)


def _fraction_maps(
    fraction: ImagedFraction, waiting: Sequence[Injection], before: Accumulated | None, physics: Physics
) -> tuple[Accumulated, FractionMaps]:
    """Activity and dose maps of an imaged fraction, whose increment spans all injections since the image before."""
    r2star, holmium = fraction.r2star, fraction.holmium
    if r2star is None or holmium is None:
        raise ValueError(f"evaluate_treatment: {fraction.injection.label} has a holmium map but no R2* map.")
    known = [i for i in waiting if i.specific_activity_mbq_per_mg is not None]
    increment = Increment(
        activities_mbq=tuple(i.activity_mbq or 0.0 for i in known),
        specific_activities_mbq_per_mg=tuple(i.specific_activity_mbq_per_mg or 0.0 for i in known),
    )
    accumulated, activity = accumulate(before or nothing_injected(holmium.grid.shape), holmium.values, increment)
    density = physics.settings.tissue_density_g_per_ml
    # Voxel noise is that of this image alone, at the specific activity of its own injection.
    noise = holmium.standard_error
    noise_mbq = None if noise is None else noise * np.float32(increment.specific_activities_mbq_per_mg[-1])
    per_concentration = np.float32(dose_per_activity_concentration(isotope=physics.isotope, density_g_per_ml=density))
    return accumulated, FractionMaps(
        r2star=r2star,
        holmium=holmium,
        activity=ParametricMap(
            values=activity,
            reason=holmium.reason,
            grid=holmium.grid,
            quantity="166Ho activity",
            unit="MBq/mL",
            standard_error=noise_mbq,
        ),
        dose=ParametricMap(
            values=local_deposition_gy(activity, isotope=physics.isotope, density_g_per_ml=density),
            reason=holmium.reason,
            grid=holmium.grid,
            quantity="absorbed dose",
            unit="Gy",
            standard_error=None if noise_mbq is None else noise_mbq * per_concentration,
        ),
    )


def _fraction_result(
    fraction: ImagedFraction,
    maps: FractionMaps | None,
    so_far: Sequence[ImagedFraction],
    volumes: Sequence[VolumeOfInterest],
    physics: Physics,
) -> FractionResult:
    injection = fraction.injection
    reasons = fraction.provisional_reasons
    if injection.provisional_reason:
        reasons = (injection.provisional_reason, *reasons)
    here = [f.injection for f in so_far if f.injection.position == injection.position]
    injected = _sum_activity(f.injection for f in so_far)
    status = FractionStatus.FAILED if maps is None else FractionStatus.PROVISIONAL if reasons else FractionStatus.OK
    result = FractionResult(
        position=injection.position,
        fraction=injection.fraction,
        status=status,
        error=fraction.error,
        provisional_reasons=reasons,
        injected_mbq=injection.activity_mbq,
        position_injected_mbq=_sum_activity(here),
        cumulative_injected_mbq=injected,
        series_instance_uid=fraction.series_instance_uid,
        acquired_at=fraction.acquired_at,
        registration=fraction.registration,
        maps=maps,
    )
    if maps is None:
        return result
    statistics = _all_statistics(fraction, maps, volumes, physics)
    return _with_recovery(replace(result, volumes=statistics), so_far, physics)


def _sum_activity(injections: Iterable[Injection]) -> float | None:
    """Total of the activities; None as soon as one is unknown."""
    total = 0.0
    for injection in injections:
        if injection.activity_mbq is None:
            return None
        total += injection.activity_mbq
    return total


def _all_statistics(
    fraction: ImagedFraction, maps: FractionMaps, volumes: Sequence[VolumeOfInterest], physics: Physics
) -> dict[str, VolumeStatistics]:
    shares = fraction.shares if physics.settings.partial_volume_correction else {}
    roles = {v.volume.name: v.volume.role for v in volumes}
    specific_activity = fraction.injection.specific_activity_mbq_per_mg or 0.0
    baseline = maps.r2star.values - maps.holmium.values * np.float32(physics.relaxivity_per_s_per_mg_ml)
    baseline_gy = baseline * np.float32(_gy_per_s(specific_activity, physics))
    statistics = {
        v.volume.name: volume_statistics(
            maps,
            v,
            specific_activity,
            physics,
            mixed=mixture(
                v.volume, maps.dose, shares, roles, baseline_gy=baseline_gy, imaged_grid=fraction.imaged_grid
            ),
        )
        for v in volumes
    }
    healthy = next((s for s in statistics.values() if s.role == Role.HEALTHY_LIVER), None)
    if healthy is None or not _precise(healthy, physics):
        return statistics
    for name, own in statistics.items():
        # A ratio of means of one treatment: density and energy are the same, so doses stand for concentrations.
        if own.role == Role.TUMOUR and _precise(own, physics) and healthy.dose_mean_gy and own.dose_mean_gy is not None:
            statistics[name] = replace(own, tnr=own.dose_mean_gy / healthy.dose_mean_gy)
    return statistics


def _precise(own: VolumeStatistics, physics: Physics) -> bool:
    """Whether the mean is known well enough to derive ratios and percentiles from it."""
    if own.dose_mean_gy is None or own.dose_mean_u_gy is None or own.dose_mean_gy <= 0:
        return False
    return 100.0 * own.dose_mean_u_gy / own.dose_mean_gy <= physics.settings.uncertainty.d_x_maximum_u_pct


def volume_statistics(
    maps: FractionMaps,
    interest: VolumeOfInterest,
    specific_activity: float,
    physics: Physics,
    *,
    mixed: Mixture | None = None,
) -> VolumeStatistics:
    """Cumulative dose statistics of one volume, with uncertainty, or the sentence that says why there are none.

    Spread and D_x are withheld (None) while the mean's uncertainty exceeds ``d_x_maximum_u_pct``; everything is while
    less than ``minimum_evaluable_fraction`` of the volume is evaluable.
    """
    volume, settings = interest.volume, physics.settings
    plain = distribution(maps.dose, volume)
    doses = plain if mixed is None else distribution(maps.dose, volume, mixed)
    evaluable = 0.0 if doses is None else doses.evaluable_fraction
    if plain is None or doses is None or evaluable < settings.minimum_evaluable_fraction:
        return VolumeStatistics(
            name=volume.name,
            role=volume.role,
            status=VolumeStatus.NOT_EVALUABLE,
            volume_ml=volume.contour_volume_ml,
            evaluable_fraction=evaluable,
            message=f"{100 * evaluable:.0f} % of the volume is evaluable; "
            f"at least {100 * settings.minimum_evaluable_fraction:.0f} % is needed",
        )
    uncertainty = _uncertainty(doses, maps, interest, specific_activity, physics)
    holmium = distribution(maps.holmium, volume)
    per_concentration = dose_per_activity_concentration(
        isotope=physics.isotope, density_g_per_ml=settings.tissue_density_g_per_ml
    )
    bound = doses.lower_bound_fraction > 0
    result = VolumeStatistics(
        name=volume.name,
        role=volume.role,
        status=VolumeStatus.LOWER_BOUND if bound else VolumeStatus.OK,
        volume_ml=volume.contour_volume_ml,
        evaluable_fraction=evaluable,
        message=f"{100 * doses.lower_bound_fraction:.1f} % of the voxels at the noise floor" if bound else "",
        dose_mean_gy=doses.mean,
        dose_mean_u_gy=uncertainty.total_gy,
        u_repeat_gy=uncertainty.independent_gy,
        partial_volume_gy=None if mixed is None else doses.mean - plain.mean,
        activity_mbq=doses.mean / per_concentration * volume.contour_volume_ml,
        delta_r2star_mean_per_s=None if holmium is None else holmium.mean * physics.relaxivity_per_s_per_mg_ml,
    )
    if not _precise(result, physics):
        return result
    return replace(
        result,
        dose_sd_gy=doses.standard_deviation,
        cv=doses.standard_deviation / doses.mean,
        d90_gy=doses.dose_received_by(90),
        d70_gy=doses.dose_received_by(70),
        d50_gy=doses.dose_received_by(50),
    )


def _uncertainty(
    doses: Distribution, maps: FractionMaps, interest: VolumeOfInterest, specific_activity: float, physics: Physics
) -> DoseUncertainty:
    variants = [distribution(maps.dose, variant) for variant in interest.variants]
    means = [variant.mean for variant in variants if variant is not None]
    holmium = distribution(maps.holmium, interest.volume)
    change = 0.0 if holmium is None else holmium.mean * physics.relaxivity_per_s_per_mg_ml
    return dose_uncertainty(
        mean_gy=doses.mean,
        gy_per_s=_gy_per_s(specific_activity, physics),
        delta_r2star_per_s=change,
        contour_gy=(max(means) - min(means)) / 2 if len(means) == 2 else 0.0,
        noise_gy=doses.mean_standard_error,
        settings=physics.settings.uncertainty,
    )


def _gy_per_s(specific_activity: float, physics: Physics) -> float:
    """Dose that 1 s⁻¹ of ΔR2* stands for: SA/r2* · E/ρ (0.82 Gy at 12 MBq/mg, 218, 1.06)."""
    per_concentration = dose_per_activity_concentration(
        isotope=physics.isotope, density_g_per_ml=physics.settings.tissue_density_g_per_ml
    )
    return specific_activity / physics.relaxivity_per_s_per_mg_ml * per_concentration


def _with_recovery(result: FractionResult, so_far: Sequence[ImagedFraction], physics: Physics) -> FractionResult:
    """Measured activity in the (unexpanded) liver over all that was injected; None without a liver."""
    liver = next((s for s in result.volumes.values() if s.role == Role.LIVER), None)
    if liver is None or liver.activity_mbq is None or liver.dose_mean_gy is None:
        return result
    measured = liver.activity_mbq
    terms = physics.settings.uncertainty
    specific = so_far[-1].injection.specific_activity_mbq_per_mg or 0.0
    change = liver.delta_r2star_mean_per_s or 0.0
    repeat = max(terms.repeat_per_s, terms.repeat_pct / 100 * abs(change))
    offset = (
        specific / physics.relaxivity_per_s_per_mg_ml * liver.volume_ml * float(np.hypot(terms.reference_per_s, repeat))
    )
    u_measured = float(np.hypot(common_relative(terms) * measured, offset))
    result = replace(result, measured_mbq=measured, measured_u_mbq=u_measured)
    injected = result.cumulative_injected_mbq
    if injected is None or injected <= 0:
        return result
    ratio = measured / injected
    own = [f.injection.activity_u_mbq or 0.0 for f in so_far]
    u_injected = float(np.hypot(terms.assay_pct / 100, sum(own) / injected))
    return replace(result, recovery_ratio=ratio, recovery_u=float(np.hypot(u_measured / injected, ratio * u_injected)))


def _with_trends(
    results: Sequence[FractionResult],
    volumes: Sequence[VolumeOfInterest],
    settings: QuantificationSettings,
    feeds: Mapping[str, Sequence[str]],
) -> list[FractionResult]:
    """Add the trend of every volume, position by position, each against the dose before its first fraction."""
    collected: dict[tuple[str, int], dict[str, TrendPoint]] = {result.key: {} for result in results}
    for position in dict.fromkeys(result.position for result in results):
        first = next(n for n, result in enumerate(results) if result.position == position)
        here = [result for result in results if result.position == position]
        for interest in volumes:
            name = interest.volume.name
            baseline, baseline_u = _baseline(results, first, name)
            points = trend(
                [_uptake(result, name) for result in here],
                baseline_gy=baseline,
                baseline_u_repeat_gy=baseline_u,
                volume=name,
                settings=settings.trend,
                fed=_is_fed(interest.volume, feeds.get(position)),
            )
            for result, point in zip(here, points, strict=True):
                collected[result.key][name] = point
    return [replace(result, trend=collected[result.key]) for result in results]


def _is_fed(volume: Volume, fed: Sequence[str] | None) -> bool:
    """Whether a position feeds a volume: the plan's list concerns tumours; the liver takes up from every position."""
    return fed is None or volume.role != Role.TUMOUR or volume.name in fed


def _baseline(results: Sequence[FractionResult], first: int, volume: str) -> tuple[float | None, float]:
    """Dose in a volume before a position's first fraction, and its independent uncertainty; (None, 0) if unknown."""
    if first == 0:
        return 0.0, 0.0
    before = results[first - 1].volumes.get(volume)
    if before is None or before.dose_mean_gy is None:
        return None, 0.0
    return before.dose_mean_gy, before.u_repeat_gy or 0.0


def _uptake(result: FractionResult, volume: str) -> Uptake:
    own = result.volumes.get(volume)
    x = result.position_injected_mbq
    why = result.error or (own.message if own is not None else "not measured")
    if x is None:
        why = "the activity injected at this position is not known"
    dose = None if own is None or x is None else own.dose_mean_gy
    return Uptake(
        fraction=result.fraction,
        injected_mbq=x or 0.0,
        dose_gy=dose,
        u_repeat_gy=(own.u_repeat_gy or 0.0) if own is not None else 0.0,
        u_gy=(own.dose_mean_u_gy or 0.0) if own is not None else 0.0,
        why_not=why,
    )
