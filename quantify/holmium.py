"""Holmium microspheres per voxel from the change of R2*, with a reason for every voxel left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from config.settings import QuantificationSettings
from quantify.findings import Registration
from quantify.model import Array, EchoSeries, FloatArray, Grid, ParametricMap, Reason, freeze
from quantify.partial_volume import Shares, signal_shares
from quantify.r2star import DecayFit, fit_r2star
from quantify.reference import MatchedReference
from quantify.resampling import sampler

_MINIMUM_GAIN_VOXELS = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedSeries:
    """A series with its decay fit, and where the fit itself can be used (boolean, on the series' own grid)."""

    series: EchoSeries
    fit: DecayFit
    usable: NDArray[np.bool_]
    poor: NDArray[np.bool_]

    def __post_init__(self) -> None:
        freeze(self, "usable", "poor")


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedSeries:
    """A fraction's fit resampled to the reference grid; arrays float32, NaN where nothing could be sampled.

    ``first_echo`` and ``second_echo`` are the measured signals, needed for lower bounds; ``coverage`` is the share of
    a voxel inside the series' field of view; ``poor_fit`` the share of it that lies on poorly fitted voxels.
    """

    r2star_per_s: Array
    standard_error_per_s: Array
    s0: Array
    first_echo: Array
    second_echo: Array
    coverage: Array
    poor_fit: Array
    sigma: float
    echo_times_s: tuple[float, ...]
    shares: Shares = field(default_factory=dict)


def relaxivity_per_s_per_mg_ml(
    *, calibrated: float, calibration_holmium_fraction: float, holmium_fraction: float
) -> float:
    """Relaxivity r2* of a batch [s⁻¹ per mg microspheres/mL]: proportional to its holmium content (physics §2)."""
    for name, value in (
        ("relaxivity", calibrated),
        ("calibration holmium fraction", calibration_holmium_fraction),
        ("holmium fraction", holmium_fraction),
    ):
        if not value > 0:
            raise ValueError(f"relaxivity: the {name} is {value}; expected a positive number.")
    return calibrated * holmium_fraction / calibration_holmium_fraction


def fit_series(series: EchoSeries, settings: QuantificationSettings) -> FittedSeries:
    """Fit a series and mark the voxels whose decay can be used: signal in two echoes, and a mono-exponential course.

    A voxel whose second echo lies under ``noise_floor_sigma``·σ tells only a lower bound; it is not *usable*.
    """
    fit = fit_r2star(series, method=settings.fit)
    present = np.isfinite(fit.r2star_per_s)
    floor = settings.noise_floor_sigma * fit.sigma
    with np.errstate(invalid="ignore"):
        # Noise alone scatters by σ; what goes beyond it is a decay that is not mono-exponential.
        poor = present & (fit.residual > settings.poor_fit_residual_fraction * np.abs(fit.s0) + 2 * fit.sigma)
        usable = present & ~poor & (series.signal[1] >= floor)
    return FittedSeries(series=series, fit=fit, usable=usable, poor=poor)


def reference_reasons(reference: FittedSeries, settings: QuantificationSettings) -> NDArray[np.uint8]:
    """Reason of every voxel of the reference: evaluable, no signal, poor fit or air interface (uint8)."""
    fit = reference.fit
    reasons = np.zeros(reference.series.grid.shape, dtype=np.uint8)
    with np.errstate(invalid="ignore"):
        reasons[fit.r2star_per_s > settings.air_interface_r2star_per_s] = Reason.AIR_INTERFACE
        reasons[reference.poor] = Reason.POOR_FIT
        weak = ~(reference.series.signal[0] > settings.minimum_reference_snr * fit.sigma)
        reasons[weak | ~np.isfinite(fit.r2star_per_s) | ~(reference.series.signal[0] > 0)] = Reason.NO_SIGNAL
    return reasons


def registered_grid(grid: Grid, reference: Grid, registration: Registration) -> Grid:
    """The grid of a fraction's series as it lies in the reference's space: where its voxels really were."""
    to_reference = np.linalg.inv(np.array(registration.reference_to_series_lps_mm))
    return Grid(
        shape=grid.shape,
        affine_lps_mm=to_reference @ grid.affine_lps_mm,
        frame_of_reference_uid=reference.frame_of_reference_uid,
    )


def align(
    fitted: FittedSeries,
    *,
    reference: FittedSeries,
    registration: Registration,
    occupancies: Mapping[str, Array] | None = None,
) -> AlignedSeries:
    """Bring a fraction's fit to the reference grid through its registration.

    `occupancies` of disjoint volumes on the fraction's own `registered_grid` tell which share of each voxel's signal
    is whose; brought through the same interpolation as R2*, they hold for what the interpolation smears too.
    """
    where = np.isfinite(reference.fit.r2star_per_s)
    sample = sampler(
        source=fitted.series.grid,
        target=reference.series.grid,
        target_to_source_lps_mm=np.array(registration.reference_to_series_lps_mm),
        where=where,
    )
    fit = fitted.fit
    nan = np.float32(np.nan)
    shares = (
        signal_shares(
            s0=fit.s0,
            r2star_per_s=fit.r2star_per_s,
            echo_times_s=fitted.series.echo_times_s,
            usable=fitted.usable,
            volumes=occupancies,
            grid=fitted.series.grid,
        )
        if occupancies
        else {}
    )
    return AlignedSeries(
        r2star_per_s=sample.sample(np.where(fitted.usable, fit.r2star_per_s, nan)),
        standard_error_per_s=sample.sample_standard_error(np.where(fitted.usable, fit.standard_error_per_s, nan)),
        s0=sample.sample(np.where(fitted.usable, fit.s0, nan)),
        first_echo=sample.sample(fitted.series.signal[0]),
        second_echo=sample.sample(fitted.series.signal[1]),
        coverage=sample.coverage(),
        poor_fit=sample.sample(fitted.poor.astype(np.float32)),
        sigma=fit.sigma,
        echo_times_s=fitted.series.echo_times_s,
        shares={name: np.nan_to_num(sample.sample(share)) for name, share in shares.items()},
    )


def gain_ratio(reference: FittedSeries, aligned: AlignedSeries, reasons: NDArray[np.uint8]) -> float:
    """Receiver gain of the fraction's series over that of the reference: median of S₀ ratios of evaluable voxels.

    1 when too few voxels can tell. Only lower bounds use it: R2* itself is independent of gain.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = aligned.s0 / reference.fit.s0
    ratio = ratio[(reasons == Reason.EVALUABLE) & np.isfinite(ratio) & (ratio > 0)]
    return float(np.median(ratio)) if ratio.size >= _MINIMUM_GAIN_VOXELS else 1.0


def lower_bound_r2star_per_s(
    *, s0: FloatArray | Array, first_echo: Array, floor: float, echo_times_s: tuple[float, ...]
) -> FloatArray:
    """Smallest R2* [s⁻¹] that explains a signal at the noise floor: from S₀ to echo 1, or from echo 1 to echo 2.

    ``floor`` is the level that a signal must exceed to be seen. Where the first echo itself is under the floor it
    counts as the floor: the true signal is not above it, so the true R2* is not below the bound.
    """
    first = np.maximum(first_echo, floor).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        from_start = (
            np.log(np.maximum(s0 / first, 1.0)) / echo_times_s[0] if echo_times_s[0] > 0 else np.zeros_like(first)
        )
        between = np.log(np.maximum(first / floor, 1.0)) / (echo_times_s[1] - echo_times_s[0])
    bound: FloatArray = np.fmax(from_start, between)
    return bound


def holmium_map(
    aligned: AlignedSeries,
    *,
    reference: FittedSeries,
    matched: MatchedReference,
    relaxivity: float,
    settings: QuantificationSettings,
) -> tuple[ParametricMap, ParametricMap]:
    """R2* of the fraction on the reference grid, and the microsphere concentration c = (R2* − R2*_ref)/r2*.

    Voxelwise subtraction of the reference, matched to the change (`quantify.reference`); negative values are noise
    about zero and are kept, since clipping biases low doses upward. Voxels that cannot be evaluated are NaN with
    their reason; those at the noise floor keep their lower bound and the reason `Reason.LOWER_BOUND`.

    Returns
    -------
    (r2star, holmium)
        [s⁻¹] and [mg microspheres/mL]; the standard errors hold the voxel's noise only, not the common terms.
    """
    grid: Grid = reference.series.grid
    reasons = reference_reasons(reference, settings)
    candidates = reasons == Reason.EVALUABLE
    outside = candidates & (aligned.coverage < 0.5)
    floor = settings.noise_floor_sigma * aligned.sigma
    with np.errstate(invalid="ignore"):
        drowned = candidates & ~outside & (aligned.second_echo < floor)
        poor = candidates & ~outside & ~drowned & (aligned.poor_fit > 0.5)
    unfitted = candidates & ~outside & ~drowned & ~np.isfinite(aligned.r2star_per_s)
    reasons[outside] = Reason.OUTSIDE
    reasons[poor | unfitted] = Reason.POOR_FIT

    r2star = aligned.r2star_per_s.copy()
    error = aligned.standard_error_per_s.copy()
    gain = gain_ratio(reference, aligned, reasons)
    if drowned.any():
        bound = lower_bound_r2star_per_s(
            s0=gain * reference.fit.s0[drowned],
            first_echo=aligned.first_echo[drowned],
            floor=floor,
            echo_times_s=aligned.echo_times_s,
        )
        r2star[drowned] = bound
        error[drowned] = 0.0
        reasons[drowned] = Reason.LOWER_BOUND
    r2star[(reasons != Reason.EVALUABLE) & (reasons != Reason.LOWER_BOUND)] = np.nan
    error[np.isnan(r2star)] = np.nan

    change, baseline_error = matched.change(r2star)
    spread = np.hypot(error, baseline_error)
    scale = np.float32(1.0 / relaxivity)
    return (
        ParametricMap(values=r2star, reason=reasons, grid=grid, quantity="R2*", unit="1/s", standard_error=error),
        ParametricMap(
            values=change * scale,
            reason=reasons,
            grid=grid,
            quantity="holmium microspheres",
            unit="mg/mL",
            standard_error=spread * scale,
        ),
    )
