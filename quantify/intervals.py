"""Uncertainties and 95 % intervals of everything that is told of a fraction, from one set of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from quantify import monte_carlo as mc
from quantify.bed import effect_per_dose, radiosensitivity
from quantify.findings import FractionResult, VolumeStatistics, VolumeStatus
from quantify.imaged import Physics
from quantify.lineage import Lineage
from quantify.model import FloatArray, Role
from quantify.monte_carlo import MeasuredDose, Terms, sample_terms, spread, spreads
from quantify.volume_results import Measured


@dataclass(frozen=True, kw_only=True)
class Injected:
    """Activity injected up to an image: total at the times of injection, and the part of u that is no assay's."""

    activity_mbq: float
    u_mbq: float


_LEAST_ACTIVITY = "voxels of the liver are at the noise floor: measured activity and recovery are lower bounds (≥)"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampled:
    """Samples of all terms of a fraction, and of the recovery; the latter is None where it is not known."""

    terms: Terms
    recovered: FloatArray | None


def with_means(
    result: FractionResult,
    measured: Mapping[str, Measured],
    *,
    lineage: Lineage,
    injected: Injected | None,
    physics: Physics,
) -> tuple[FractionResult, Sampled | None]:
    """The result with its volumes, the intervals of mean and D70, and recovery; with the samples, if any mean is known.

    Parameters
    ----------
    measured
        From `quantify.volume_results.measured_volumes`.
    injected
        None where an activity is not known: there is no recovery then.

    Notes
    -----
    Recovery is the activity measured in the (unexpanded) liver over all that was injected; None without a liver.
    """
    doses = {name: own.dose for name, own in measured.items() if own.dose is not None}
    told = {name: own.statistics for name, own in measured.items()}
    if not doses:
        return replace(result, volumes=told), None
    terms = sample_terms(
        physics.settings.uncertainty,
        n_series=lineage.n_series,
        volumes=tuple(measured),
        n_references=len(lineage.references),
    )
    for name, dose in doses.items():
        quantities = {"dose_mean_gy": (dose.mean_gy, mc.mean_gy(terms, dose))}
        d70_gy = told[name].d70_gy
        if d70_gy is not None:
            quantities["d70_gy"] = d70_gy, mc.dose_gy(terms, measured[name].percentiles["d70_gy"], d70_gy)
        told[name] = replace(told[name], intervals=spreads(quantities))
    result = replace(result, volumes=told)
    liver = next((m for m in measured.values() if m.statistics.role == Role.LIVER and m.dose is not None), None)
    given = None if injected is None else mc.injected_mbq(terms, injected.activity_mbq, injected.u_mbq)
    recovered = None
    if liver is not None and liver.dose is not None:
        in_liver = _activity(terms, liver, physics)
        result = _with_recovery(result, liver.statistics, in_liver, injected, given)
        if liver.statistics.status == VolumeStatus.LOWER_BOUND:
            result = replace(result, notes=(*result.notes, _LEAST_ACTIVITY))
        if given is not None and result.recovery_ratio:
            recovered = mc.recovery(in_liver, given)
    return result, Sampled(terms=terms, recovered=recovered)


def with_intervals(
    result: FractionResult,
    measured: Mapping[str, Measured],
    *,
    sampled: Sampled | None,
    before: Mapping[str, MeasuredDose],
    lineage: Lineage,
    physics: Physics,
) -> FractionResult:
    """The result of `with_means` with the intervals of everything else, and normalised doses.

    Parameters
    ----------
    measured
        From `quantify.volume_results.detailed`.
    sampled
        From `with_means`.
    before
        The volumes of the last image, for what was gained since.
    """
    told = {name: own.statistics for name, own in measured.items()}
    if sampled is None:
        return replace(result, volumes=told)
    terms, recovered = sampled.terms, sampled.recovered
    normal = next((m for m in measured.values() if m.statistics.role == Role.HEALTHY_LIVER and m.dose), None)
    for name, own in measured.items():
        if own.dose is not None:
            # Not evaluable in the image before: what was gained since is not known.
            unknown = lineage.n_series > 1 and name not in before
            told[name] = _volume(own, terms, normal, before.get(name), physics, gain_known=not unknown)
            if recovered is not None and _precise_recovery(result, physics) and result.recovery_ratio:
                told[name] = _normalised(told[name], own.dose, terms, result.recovery_ratio, recovered)
    return replace(result, volumes=told)


def _with_recovery(
    result: FractionResult,
    liver: VolumeStatistics,
    in_liver: FloatArray,
    injected: Injected | None,
    given: FloatArray | None,
) -> FractionResult:
    measured = spread(liver.activity_mbq, in_liver)
    if measured is None:
        return result
    result = replace(result, measured_mbq=measured.value, measured_u_mbq=measured.u)
    if injected is None or given is None or injected.activity_mbq <= 0:
        return result
    ratio = measured.value / injected.activity_mbq
    own = spread(ratio, mc.recovery(in_liver, given))
    return replace(
        result,
        recovery_ratio=ratio,
        recovery_u=None if own is None else own.u,
        recovery_interval=None if own is None else (own.low_95, own.high_95),
    )


def _volume(
    own: Measured,
    terms: Terms,
    normal: Measured | None,
    before: MeasuredDose | None,
    physics: Physics,
    *,
    gain_known: bool,
) -> VolumeStatistics:
    """One volume with the spread of each of its quantities that has a value."""
    statistics, dose = own.statistics, own.dose
    if dose is None:
        return statistics
    samples: dict[str, FloatArray] = {
        "dose_mean_gy": mc.mean_gy(terms, dose),
        "activity_mbq": _activity(terms, own, physics),
    }
    if gain_known:
        statistics = replace(statistics, gain_gy=dose.mean_gy - (0.0 if before is None else before.mean_gy))
        samples["gain_gy"] = mc.gain_gy(terms, dose, before)
    for name in ("d90_gy", "d70_gy", "d50_gy"):
        value = getattr(statistics, name)
        if value is not None:
            samples[name] = mc.dose_gy(terms, own.percentiles.get(name, dose), value)
    if statistics.dose_sd_gy is not None:
        samples["dose_sd_gy"] = mc.sd_gy(terms, statistics.dose_sd_gy)
        samples["cv"] = mc.cv(terms, dose, statistics.dose_sd_gy)
    if statistics.tnr is not None and normal is not None and normal.dose is not None:
        samples["tnr"] = mc.tumour_to_normal(terms, dose, normal.dose)
    if statistics.bed_gy is not None:
        tissue = radiosensitivity(statistics.role, physics.settings.statistics)
        samples["bed_gy"] = mc.bed_gy(
            terms,
            dose,
            effect_per_gy=effect_per_dose(tissue, physics.isotope),
            standard_deviation_gy=statistics.dose_sd_gy or 0.0,
        )
    quantities = {name: (getattr(statistics, name), values) for name, values in samples.items()}
    for name, threshold_gy, value in _shares(statistics, physics):
        quantities[name] = value, _receiving(statistics, dose, terms, threshold_gy)
    told = {name: own for name, own in quantities.items() if own[0] is not None}
    return replace(statistics, intervals=spreads(told))


def _shares(own: VolumeStatistics, physics: Physics) -> list[tuple[str, float, float]]:
    """(name, dose, share) of every V_x and of the coverage."""
    if own.dvh is None:
        return []
    shares = [(f"v{dose:g}", dose, share) for dose, share in own.v_x]
    if own.coverage is not None:
        shares.append(("coverage", physics.settings.statistics.coverage_gy, own.coverage))
    return shares


def _receiving(own: VolumeStatistics, dose: MeasuredDose, terms: Terms, threshold_gy: float) -> FloatArray:
    if own.dvh is None:
        raise ValueError(f"with_intervals: {own.name} has a V_x without a DVH.")
    return mc.volume_receiving(
        terms, dose, threshold_gy, dvh_dose_gy=own.dvh.dose_gy, dvh_fraction=own.dvh.volume_fraction
    )


def _precise_recovery(result: FractionResult, physics: Physics) -> bool:
    """Whether the recovery is known well enough to scale doses by it; after a first tenth it often is not."""
    ratio, u = result.recovery_ratio, result.recovery_u
    if ratio is None or u is None or ratio <= 0:
        return False
    return 100.0 * u / ratio <= physics.settings.uncertainty.d_x_maximum_u_pct


def _normalised(
    own: VolumeStatistics, dose: MeasuredDose, terms: Terms, ratio: float, recovered: FloatArray
) -> VolumeStatistics:
    """The mean scaled so that the liver holds what was injected."""
    if own.dose_mean_gy is None:
        return own
    value = own.dose_mean_gy / ratio
    found = spread(value, mc.mean_gy(terms, dose) / recovered)
    intervals = own.intervals if found is None else {**own.intervals, "dose_normalised_gy": found}
    return replace(own, dose_normalised_gy=value, intervals=intervals)


def _activity(terms: Terms, own: Measured, physics: Physics) -> FloatArray:
    """Samples of the activity in a volume [MBq], its size as uncertain as its contour."""
    if own.dose is None:
        raise ValueError(f"with_intervals: {own.statistics.name} was not measured.")
    uncertainty = physics.settings.uncertainty
    tumour = own.statistics.role == Role.TUMOUR
    percent = uncertainty.contour_tumour_pct if tumour else uncertainty.contour_liver_pct
    # In units of local deposition: where the energy goes does not change how much activity lies here.
    as_local = replace(own.dose, mean_gy=own.concentration_gy)
    return mc.activity_mbq(terms, as_local, mbq_per_gy=own.per_gy_mbq, contour_volume_relative=percent / 100.0)
