"""Statistics of the volumes after one fraction, with their uncertainties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from quantify.dose import dose_per_activity_concentration
from quantify.findings import FractionMaps, VolumeStatistics, VolumeStatus
from quantify.imaged import ImagedFraction, Physics, VolumeOfInterest
from quantify.model import Role
from quantify.partial_volume import Mixture, mixture
from quantify.statistics import Distribution, distribution
from quantify.uncertainty import DoseUncertainty, dose_uncertainty


def all_statistics(
    fraction: ImagedFraction, maps: FractionMaps, volumes: Sequence[VolumeOfInterest], physics: Physics
) -> dict[str, VolumeStatistics]:
    """Statistics of every volume by name; T/N of the tumours where both means are precise enough."""
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
