"""Holmium microspheres per voxel from the change of R2*, with a reason for every voxel left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from config.settings import QuantificationSettings
from quantify.findings import Registration
from quantify.gain import GainField, gain_field
from quantify.model import Array, EchoSeries, FloatArray, Grid, ParametricMap, Reason, freeze
from quantify.partial_volume import Shares, signal_shares
from quantify.r2star import DecayFit, S0Prior, fit_r2star
from quantify.reference import MatchedReference
from quantify.resampling import Sampler, sampler
from quantify.s0_agreement import log_s0_error, s0_differs

_MINIMUM_GAIN_VOXELS = 200
_UNTREATED_CHANGE_PER_S = 25.0
"""Voxels whose R2* changed by less tell the gain: about 0.1 mg/mL at 3 T. S₀ does not change with holmium, but in hot
voxels it is poorly known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedSeries:
    """A series with its decay fit, and where the fit itself can be used (boolean, on the series' own grid).

    ``modulation`` is the known factor that the fit was made with, if any; ``gain`` the receiver gain over the
    reference (on the reference grid) through which S₀ was blended, if it was.
    """

    series: EchoSeries
    fit: DecayFit
    usable: NDArray[np.bool_]
    poor: NDArray[np.bool_]
    modulation: Array | None = None
    gain: GainField | None = None

    def __post_init__(self) -> None:
        freeze(self, "usable", "poor", "modulation")


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedSeries:
    """A fraction's fit resampled to the reference grid; arrays float32, NaN where nothing could be sampled.

    ``first_echo`` and ``second_echo`` are the measured signals, needed for lower bounds; ``coverage`` is the share of
    a voxel inside the series' field of view; ``poor_fit`` the share of it that lies on poorly fitted voxels.
    ``s0_weight`` is the share of the S₀ information that came from the reference, and ``gain`` the field that it came
    through; None for a free fit.
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
    s0_standard_error: Array | None = None
    s0_weight: Array | None = None
    gain: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledSignal:
    """The first echoes of a series on the reference grid, and how much of each voxel it covers."""

    first_echo: Array
    second_echo: Array
    coverage: Array

    def __post_init__(self) -> None:
        freeze(self, "first_echo", "second_echo", "coverage")


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


def fit_series(
    series: EchoSeries, settings: QuantificationSettings, *, modulation: Array | None = None
) -> FittedSeries:
    """Fit a series and mark the voxels whose decay can be used: signal in two echoes, and a mono-exponential course.

    A voxel whose second echo lies under ``noise_floor_sigma``·σ tells only a lower bound; it is not *usable*.
    `modulation` is a known factor on the signal (`fit_r2star`).
    """
    fit = fit_r2star(series, method=settings.fit, modulation=modulation)
    return judged(series, fit, settings, modulation=modulation)


def refit_with_s0(
    fitted: FittedSeries, *, reference: FittedSeries, registration: Registration, settings: QuantificationSettings
) -> FittedSeries:
    """Fit a series again with the reference's S₀ blended in by its variance (physics §2).

    S₀ of the reference times the gain field, found in voxels whose R2* hardly changed, is brought to the series' own
    grid. Its standard error is ``uncertainty.s0_gain_pct`` and the gain field's together. Voxels whose own S₀ is
    known to be another (motion, contrast agent) get no prior, and neither do those not evaluable in the reference.
    What was used is in ``fit.s0_weight`` of every voxel.

    Raises
    ------
    ValueError
        When the method of the settings has no S₀ (``arlo``).
    """
    to_series = np.array(registration.reference_to_series_lps_mm)
    grid = reference.series.grid
    evaluable = reference_reasons(reference, settings) == Reason.EVALUABLE
    onto = sampler(source=fitted.series.grid, target=grid, target_to_source_lps_mm=to_series, where=evaluable)
    nan = np.float32(np.nan)
    with np.errstate(invalid="ignore"):
        change = onto.sample(np.where(fitted.usable, fitted.fit.r2star_per_s, nan)) - reference.fit.r2star_per_s
        untreated = evaluable & (np.abs(change) < _UNTREATED_CHANGE_PER_S)
    gain = gain_field(reference.fit.s0, onto.sample(np.where(fitted.usable, fitted.fit.s0, nan)), untreated, grid)
    back = sampler(
        source=grid,
        target=fitted.series.grid,
        target_to_source_lps_mm=np.linalg.inv(to_series),
        where=np.isfinite(fitted.fit.s0),
    )
    mean = back.sample(np.where(evaluable, gain.values * reference.fit.s0, nan))
    relative = float(np.hypot(settings.uncertainty.s0_gain_pct / 100.0, gain.u_relative))
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.hypot(log_s0_error(fitted.fit), relative)
    conflict = s0_differs(
        fitted.fit.s0,
        mean,
        error,
        first_echo=fitted.series.signal[0],
        sigma=fitted.fit.sigma,
        echo_times_s=fitted.series.echo_times_s,
    )
    mean = np.where(conflict, nan, mean).astype(np.float32)
    fit = fit_r2star(
        fitted.series,
        method=settings.fit,
        sigma=fitted.fit.sigma,
        modulation=fitted.modulation,
        s0_prior=S0Prior(mean=mean, standard_error=mean * np.float32(relative)),
    )
    return judged(fitted.series, fit, settings, modulation=fitted.modulation, gain=gain)


def judged(
    series: EchoSeries,
    fit: DecayFit,
    settings: QuantificationSettings,
    *,
    modulation: Array | None = None,
    gain: GainField | None = None,
) -> FittedSeries:
    """The fit with its usable and its poor voxels marked."""
    present = np.isfinite(fit.r2star_per_s)
    floor = settings.noise_floor_sigma * fit.sigma
    with np.errstate(invalid="ignore"):
        # Noise alone scatters by σ; what goes beyond it is a decay that is not mono-exponential.
        poor = present & (fit.residual > settings.poor_fit_residual_fraction * np.abs(fit.s0) + 2 * fit.sigma)
        usable = present & ~poor & (series.signal[1] >= floor)
    return FittedSeries(series=series, fit=fit, usable=usable, poor=poor, modulation=modulation, gain=gain)


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
    sample: Sampler | None = None,
    signal: SampledSignal | None = None,
) -> AlignedSeries:
    """Bring a fraction's fit to the reference grid through its registration.

    `occupancies` of disjoint volumes on the fraction's own `registered_grid` (of a bent series: on the reference's)
    tell which share of each voxel's signal is whose; brought through the same interpolation as R2*, they hold for
    what the interpolation smears too. `sample` is what `aligning` gave for them, and `signal` what `sampled_signal`
    did, if that is known.
    """
    if sample is None:
        sample = aligning(
            fitted.series.grid, reference.series.grid, registration, np.isfinite(reference.fit.r2star_per_s)
        )
    signal = signal or sampled_signal(fitted.series, sample)
    fit = fitted.fit
    nan = np.float32(np.nan)
    say = _say_of_signal(fitted)
    of_s0 = () if fit.s0_standard_error is None else (fit.s0_standard_error,)
    errors = sample.sample_standard_errors(
        *(np.where(fitted.usable, error, nan) for error in (fit.standard_error_per_s, *of_s0))
    )
    aligned = AlignedSeries(
        r2star_per_s=sample.sample(np.where(fitted.usable, fit.r2star_per_s, nan), say=say),
        standard_error_per_s=errors[0],
        s0=sample.sample(np.where(fitted.usable, fit.s0, nan)),
        s0_standard_error=errors[1] if of_s0 else None,
        s0_weight=None if fit.s0_weight is None else sample.sample(np.where(fitted.usable, fit.s0_weight, nan)),
        gain=None if fitted.gain is None else fitted.gain.values,
        first_echo=signal.first_echo,
        second_echo=signal.second_echo,
        coverage=signal.coverage,
        poor_fit=sample.sample(fitted.poor.astype(np.float32)),
        sigma=fit.sigma,
        echo_times_s=fitted.series.echo_times_s,
    )
    if not occupancies:
        return aligned
    if registration.displacement_mm is not None:
        # A bent series: the shares of what was sampled, without those of the interpolation itself.
        shares = signal_shares(
            s0=aligned.s0,
            r2star_per_s=aligned.r2star_per_s,
            echo_times_s=fitted.series.echo_times_s,
            usable=np.isfinite(aligned.r2star_per_s),
            volumes=occupancies,
            grid=reference.series.grid,
        )
        return replace(aligned, shares=shares)
    shares = signal_shares(
        s0=fit.s0,
        r2star_per_s=fit.r2star_per_s,
        echo_times_s=fitted.series.echo_times_s,
        usable=fitted.usable,
        volumes=occupancies,
        grid=fitted.series.grid,
    )
    some = sum((share > 0 for share in shares.values()), np.zeros(fit.s0.shape, dtype=bool))
    near = sample.reaching(some)
    return replace(aligned, shares={name: np.nan_to_num(near.sample(share, say=say)) for name, share in shares.items()})


def sampled_signal(series: EchoSeries, sample: Sampler) -> SampledSignal:
    """What `align` needs of a series that no fit changes."""
    return SampledSignal(
        first_echo=sample.sample(series.signal[0]),
        second_echo=sample.sample(series.signal[1]),
        coverage=sample.coverage(),
    )


def aligning(grid: Grid, reference: Grid, registration: Registration, where: NDArray[np.bool_]) -> Sampler:
    """How a series on `grid` is brought to the reference's voxels `where`."""
    return sampler(
        source=grid,
        target=reference,
        target_to_source_lps_mm=np.array(registration.reference_to_series_lps_mm),
        where=where,
        displacement_mm=registration.displacement_mm,
    )


def _say_of_signal(fitted: FittedSeries) -> Array:
    """How much a voxel's R2* counts between voxels: in full from half of the usual S₀ on, below it by its signal.

    Lung has little signal and a high R2*: a voxel between lung and liver would show the liver's dose raised by it. Not
    S₀ itself, whose noise goes along with that of R2* in hot voxels.
    """
    usual = 0.5 * float(np.median(fitted.fit.s0[fitted.usable])) if fitted.usable.any() else 0.0
    if not usual > 0:
        return np.ones(fitted.usable.shape, dtype=np.float32)
    say: Array = np.clip(np.nan_to_num(fitted.fit.s0) / np.float32(usual), 0.0, 1.0).astype(np.float32)
    return say


def gain_ratio(reference: FittedSeries, aligned: AlignedSeries, reasons: NDArray[np.uint8]) -> float:
    """Receiver gain of the fraction's series over that of the reference: median of S₀ ratios of evaluable voxels.

    1 when too few voxels can tell. Only lower bounds and the search for moved tissue use it: R2* itself is independent
    of gain.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = aligned.s0 / reference.fit.s0
    ratio = ratio[(reasons == Reason.EVALUABLE) & np.isfinite(ratio) & (ratio > 0)]
    return float(np.median(ratio)) if ratio.size >= _MINIMUM_GAIN_VOXELS else 1.0


def moved_voxels(
    aligned: AlignedSeries, reference: FittedSeries, expected_s0: Array, settings: QuantificationSettings
) -> NDArray[np.bool_]:
    """Voxels that hold other tissue than in the reference: S₀ off by more than a factor, and surely so.

    `expected_s0` is the reference's S₀ times the gain. Marked is |ln(S₀/expected)| > ln(1 + ``moved_s0_change_pct``/
    100) that is also beyond three standard errors of both fits.
    """
    error = log_s0_error(reference.fit)
    with np.errstate(invalid="ignore", divide="ignore"):
        if aligned.s0_standard_error is not None:
            error = np.hypot(error, aligned.s0_standard_error / np.abs(aligned.s0))
        factor = np.log1p(settings.moved_s0_change_pct / 100.0)
        moved: NDArray[np.bool_] = np.abs(np.log(aligned.s0 / expected_s0)) > factor
    moved &= s0_differs(
        aligned.s0,
        expected_s0,
        error,
        first_echo=aligned.first_echo,
        sigma=aligned.sigma,
        echo_times_s=aligned.echo_times_s,
    )
    return moved


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
    expected_s0 = reference.fit.s0 * (
        np.float32(gain_ratio(reference, aligned, reasons)) if aligned.gain is None else aligned.gain
    )
    reasons[moved_voxels(aligned, reference, expected_s0, settings) & (reasons == Reason.EVALUABLE) & ~drowned] = (
        Reason.MOVED
    )
    if drowned.any():
        bound = lower_bound_r2star_per_s(
            s0=expected_s0[drowned],
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
