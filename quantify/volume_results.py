"""Statistics of the volumes after one fraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from config.settings import UncertaintySettings
from quantify.bed import mean_bed_gy, radiosensitivity
from quantify.budget import budget
from quantify.cold import cold_sub_volume
from quantify.dvh import thinned
from quantify.findings import FractionMaps, Scintigraphic, VolumeStatistics, VolumeStatus
from quantify.fraction_maps import Progress
from quantify.imaged import ImagedFraction, Physics, VolumeOfInterest
from quantify.lineage import FRAME
from quantify.model import ParametricMap, Reason, Role, Volume
from quantify.monte_carlo import MeasuredDose
from quantify.partial_volume import Mixture, mixture
from quantify.scintigraphy import ring_content, scintigraphic_contour
from quantify.statistics import Distribution, distribution, tumour_to_normal
from quantify.uncertainty import repeat_per_s, s0_per_s

_PERCENTS = (90, 70, 50)


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One volume after one fraction: its statistics, and what their uncertainty hangs on (None: not evaluable).

    ``per_gy_mbq`` is the activity that a mean of 1 Gy by local deposition stands for; ``concentration_gy`` the mean
    that local deposition gives, whatever the dose model: a concentration in units of dose.
    """

    statistics: VolumeStatistics
    dose: MeasuredDose | None = None
    concentration_gy: float = 0.0
    per_gy_mbq: float = 0.0
    percentiles: Mapping[str, MeasuredDose] = field(default_factory=dict)
    """What each D_x hangs on: as the mean, but for its own contour and noise."""


def measured_volumes(
    fraction: ImagedFraction,
    maps: FractionMaps,
    volumes: Sequence[VolumeOfInterest],
    progress: Progress,
    physics: Physics,
) -> dict[str, Measured]:
    """Every volume by name; T/N of the tumours where both means are precise enough."""
    settings = physics.settings
    shares = fraction.shares if settings.partial_volume_correction else {}
    roles = {v.volume.name: v.volume.role for v in volumes}
    local = _local_dose(maps, physics)
    # The original reference's, even where a new baseline is subtracted: that one holds holmium, with its own edges.
    measured_mg_per_ml = maps.holmium.values if fraction.holmium is None else fraction.holmium.values
    baseline = maps.r2star.values - measured_mg_per_ml * np.float32(physics.relaxivity_per_s_per_mg_ml)
    baseline_gy = baseline * np.float32(physics.gy_per_s(physics.specific_activity(fraction.injection)))
    measured = {}
    for interest in volumes:
        mixed = mixture(
            interest.volume, local, shares, roles, baseline_gy=baseline_gy, imaged_grid=fraction.imaged_grid
        )
        measured[interest.volume.name] = _measured(fraction, maps, local, interest, mixed, progress, physics)
    healthy = next((m for m in measured.values() if m.statistics.role == Role.HEALTHY_LIVER), None)
    if healthy is None or not precise(healthy.statistics, physics):
        return measured
    for name, own in measured.items():
        # A ratio of means of one treatment: density and energy are the same, so doses stand for concentrations.
        if own.statistics.role == Role.TUMOUR and precise(own.statistics, physics):
            ratio = tumour_to_normal(own.concentration_gy, healthy.concentration_gy)
            measured[name] = replace(own, statistics=replace(own.statistics, tnr=ratio))
    return measured


def precise(own: VolumeStatistics, physics: Physics) -> bool:
    """Whether the mean is known well enough to derive ratios and percentiles from it."""
    if own.dose_mean_gy is None or own.dose_mean_u_gy is None or own.dose_mean_gy <= 0:
        return False
    return 100.0 * own.dose_mean_u_gy / own.dose_mean_gy <= physics.settings.uncertainty.d_x_maximum_u_pct


def scintigraphic(maps: FractionMaps, volumes: Sequence[VolumeOfInterest], physics: Physics) -> Scintigraphic | None:
    """The scintigraphic contour of the activity in the liver, with its mean dose; None without liver or activity."""
    liver = next((v.volume for v in volumes if v.volume.role == Role.LIVER), None)
    settings = physics.settings.statistics
    percent = settings.scintigraphic_threshold_pct
    if liver is None:
        return None
    contour = scintigraphic_contour(
        maps.activity, liver, threshold_pct=percent, resolution_mm=settings.scintigraphic_resolution_mm
    )
    doses = distribution(maps.dose, contour)
    if doses is None:
        return None
    return Scintigraphic(threshold_pct=percent, volume_ml=contour.volume_ml, dose_mean_gy=doses.mean)


def _local_dose(maps: FractionMaps, physics: Physics) -> ParametricMap:
    """The dose map that local deposition gives: activity concentration in units of dose."""
    if physics.settings.dose_model == "local":
        return maps.dose
    scale = np.float32(physics.gy_per_mbq_per_ml)
    error = maps.activity.standard_error
    return replace(
        maps.dose,
        values=maps.activity.values * scale,
        standard_error=None if error is None else error * scale,
    )


def _measured(
    fraction: ImagedFraction,
    maps: FractionMaps,
    local: ParametricMap,
    interest: VolumeOfInterest,
    mixed: Mixture | None,
    progress: Progress,
    physics: Physics,
) -> Measured:
    """One volume.

    Spread, D_x and V_x are withheld (None) while the mean's uncertainty exceeds ``d_x_maximum_u_pct``; everything is
    while less than ``minimum_evaluable_fraction`` of the volume is evaluable.
    """
    volume, settings = interest.volume, physics.settings
    plain = distribution(local, volume)
    concentration = plain if mixed is None else distribution(local, volume, mixed)
    doses = concentration if settings.dose_model == "local" else distribution(maps.dose, volume)
    evaluable = 0.0 if concentration is None else concentration.evaluable_fraction
    empty = VolumeStatistics(
        name=volume.name,
        role=volume.role,
        status=VolumeStatus.NOT_EVALUABLE,
        volume_ml=volume.contour_volume_ml,
        evaluable_fraction=evaluable,
        reasons=_reasons(maps.dose, volume),
        warning=interest.warning,
    )
    if plain is None or concentration is None or doses is None or evaluable < settings.minimum_evaluable_fraction:
        message = (
            f"{100 * evaluable:.0f} % of the volume is evaluable; "
            f"at least {100 * settings.minimum_evaluable_fraction:.0f} % is needed"
        )
        return Measured(statistics=replace(empty, message=message))
    variants = [d for variant in interest.variants if (d := distribution(maps.dose, variant)) is not None]
    dose = _hangs_on(fraction, maps, interest, doses, variants, progress, physics)
    terms = budget(dose, settings.uncertainty)
    at_floor = 100.0 * concentration.lower_bound_fraction
    bound = at_floor > 0 and at_floor >= settings.lower_bound_pct
    holmium = distribution(maps.holmium, volume)
    per_gy_mbq = volume.contour_volume_ml / physics.gy_per_mbq_per_ml
    statistics = replace(
        empty,
        status=VolumeStatus.LOWER_BOUND if bound else VolumeStatus.OK,
        message=f"{at_floor:.1f} % of the voxels at the noise floor" if bound else "",
        dose_mean_gy=doses.mean,
        dose_mean_u_gy=float(np.sqrt(sum(term.u_gy**2 for term in terms))),
        u_repeat_gy=dose.independent_gy,
        partial_volume_gy=None if mixed is None else concentration.mean - plain.mean,
        activity_mbq=concentration.mean * per_gy_mbq,
        delta_r2star_mean_per_s=None if holmium is None else holmium.mean * physics.relaxivity_per_s_per_mg_ml,
        activity_expanded_mbq=_expanded_activity(maps, interest, concentration.mean * per_gy_mbq),
        budget=terms,
    )
    percentiles: dict[str, MeasuredDose] = {}
    if precise(statistics, physics):
        statistics = _with_spread(statistics, doses, maps, interest, mixed, physics)
        percentiles = _percentiles(dose, doses, variants)
    return Measured(
        statistics=statistics,
        dose=dose,
        concentration_gy=concentration.mean,
        per_gy_mbq=per_gy_mbq,
        percentiles=percentiles,
    )


def _percentiles(dose: MeasuredDose, doses: Distribution, variants: Sequence[Distribution]) -> dict[str, MeasuredDose]:
    """What D90, D70 and D50 hang on: a contour moves a percentile more than the mean, and so does noise."""
    noise = doses.percentile_noise(_PERCENTS)
    found = {}
    for percent, noise_gy in zip(_PERCENTS, noise, strict=True):
        at = [variant.dose_received_by(percent) for variant in variants]
        contour_gy = (at[1] - at[0]) / 2 if len(at) == 2 else 0.0
        found[f"d{percent}_gy"] = replace(dose, contour_gy=contour_gy, noise_gy=noise_gy)
    return found


def _with_spread(
    own: VolumeStatistics,
    doses: Distribution,
    maps: FractionMaps,
    interest: VolumeOfInterest,
    mixed: Mixture | None,
    physics: Physics,
) -> VolumeStatistics:
    """What is told only of a mean that is known well: spread, percentiles, V_x, coverage and cold part, BED."""
    settings = physics.settings.statistics
    tumour = own.role == Role.TUMOUR
    cold = None
    if tumour:
        # A dose by kernel is smooth by physics, not by mixture.
        of_edge = mixed if physics.settings.dose_model == "local" else None
        cold = cold_sub_volume(maps.dose, interest.volume, threshold_gy=settings.coverage_gy, mixed=of_edge)
    return replace(
        own,
        dose_sd_gy=doses.standard_deviation,
        cv=doses.standard_deviation / doses.mean,
        d90_gy=doses.dose_received_by(90),
        d70_gy=doses.dose_received_by(70),
        d50_gy=doses.dose_received_by(50),
        v_x=tuple((dose, doses.coverage(dose)) for dose in settings.v_x_gy),
        coverage=doses.coverage(settings.coverage_gy) if tumour else None,
        cold=cold,
        bed_gy=mean_bed_gy(doses, radiosensitivity(own.role, settings), physics.isotope) if settings.bed else None,
        dvh=thinned(doses.dvh),
    )


def _reasons(values: ParametricMap, volume: Volume) -> Mapping[str, float]:
    """Share of the volume on the grid that has each reason not to be evaluable as it stands."""
    inside = volume.occupancy > 0
    weights = np.bincount(values.reason[inside], weights=volume.occupancy[inside], minlength=len(Reason))
    total = weights.sum()
    return {
        reason.name.lower(): float(weights[reason] / total)
        for reason in Reason
        if reason != Reason.EVALUABLE and weights[reason] > 0
    }


def _hangs_on(
    fraction: ImagedFraction,
    maps: FractionMaps,
    interest: VolumeOfInterest,
    doses: Distribution,
    variants: Sequence[Distribution],
    progress: Progress,
    physics: Physics,
) -> MeasuredDose:
    """What the uncertainty of a mean hangs on: series and references with their weights, contour, noise, S0."""
    terms, name = physics.settings.uncertainty, interest.volume.name
    means = [variant.mean for variant in variants]
    holmium = distribution(maps.holmium, interest.volume)
    change = 0.0 if holmium is None else holmium.mean * physics.relaxivity_per_s_per_mg_ml
    own = repeat_per_s(change, terms, absolute_per_s=physics.repeat_per_s)
    s0 = _s0_per_s(fraction, interest.volume, physics)
    lineage, before = progress.lineage, progress.doses.get(name)
    earlier = lineage.n_series - 1
    usual = repeat_per_s(0.0, terms, absolute_per_s=physics.repeat_per_s)
    past_repeat = before.repeat_per_s if before is not None else ()
    past_s0 = before.s0_per_s if before is not None else ()
    # A series in which this volume could not be evaluated has the usual scatter.
    past_repeat += (usual,) * (earlier - len(past_repeat))
    past_s0 += (0.0,) * (earlier - len(past_s0))
    return MeasuredDose(
        volume=name,
        mean_gy=doses.mean,
        series_gy_per_s=lineage.series_gy_per_s,
        repeat_per_s=(*past_repeat, own),
        reference_per_s=tuple(_offset_per_s(reference, terms) for reference in lineage.references),
        reference_gy_per_s=lineage.reference_gy_per_s,
        contour_gy=(means[1] - means[0]) / 2 if len(means) == 2 else 0.0,
        noise_gy=doses.mean_standard_error,
        s0_per_s=(*past_s0, s0),
    )


def _offset_per_s(reference: str, terms: UncertaintySettings) -> float:
    """Offset of a reference [s⁻¹]; that of a frame without a baseline comes on top of the original reference's."""
    if not reference.startswith(FRAME):
        return terms.reference_per_s
    return float(np.sqrt(max(terms.repositioned_per_s**2 - terms.reference_per_s**2, 0.0)))


def _s0_per_s(fraction: ImagedFraction, volume: Volume, physics: Physics) -> float:
    """What an error of the reference's S0 makes of a volume's mean R2* [s⁻¹]; 0 where S0 was free."""
    if fraction.s0_weight is None or not fraction.first_echo_s:
        return 0.0  # free; or an echo at TE = 0 measures S0 itself
    inside = (volume.occupancy > 0) & np.isfinite(fraction.s0_weight)
    if not inside.any():
        return 0.0
    weight = float(np.average(fraction.s0_weight[inside], weights=volume.occupancy[inside]))
    return s0_per_s(
        s0_weight_mean=min(1.0, max(0.0, weight)),
        te1_s=fraction.first_echo_s,
        settings=physics.settings.uncertainty,
    )


def _expanded_activity(maps: FractionMaps, interest: VolumeOfInterest, inside_mbq: float) -> float | None:
    """Activity of the volume with the ring around it; None but for the liver."""
    if interest.expanded is None:
        return None
    return inside_mbq + ring_content(maps.activity, interest.volume, interest.expanded)
