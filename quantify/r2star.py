"""R2* of every voxel from a multi-echo gradient-echo magnitude series."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from quantify import r2star_numpy
from quantify.arlo import arlo_fit
from quantify.model import Array, EchoSeries, FloatArray, Grid, freeze
from quantify.noise import noise_sigma
from quantify.r2star_numpy import Voxels, evenly_spaced

METHODS = ("nonlinear", "log_linear", "arlo")
ENGINES = ("numba", "numpy")
_CERTAIN = 1e12
"""Weight of a prior without uncertainty: S₀ is known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class S0Prior:
    """What is known of S₀ before the fit: a Gaussian of ``mean`` and ``standard_error``, in signal units.

    Both (slice, row, column) on the series' grid. A voxel whose mean or standard error is NaN, or whose mean is not
    positive, has no prior. A standard error of 0 says that S₀ is known; an infinite one says nothing.
    """

    mean: Array
    standard_error: Array

    def __post_init__(self) -> None:
        if np.shape(self.mean) != np.shape(self.standard_error):
            raise ValueError(
                f"S0Prior.standard_error has shape {np.shape(self.standard_error)}; expected that of the mean, "
                f"{np.shape(self.mean)}."
            )
        with np.errstate(invalid="ignore"):
            if (np.asarray(self.standard_error) < 0).any():
                raise ValueError("S0Prior.standard_error holds negative values; expected 0 or more, or NaN.")
        freeze(self, "mean", "standard_error")


@dataclass(frozen=True, kw_only=True, eq=False)
class DecayFit:
    """Mono-exponential fit S(TE) = S₀·exp(−R2*·TE) of every voxel; all arrays float32 (slice, row, column).

    ``r2star_per_s`` and ``s0`` are NaN where the first echo holds no signal. ``standard_error_per_s`` and
    ``s0_standard_error`` are from the Fisher information, that of a prior included (one standard deviation).
    ``residual`` is the root mean square of the residuals over N − 2, in signal units. ``sigma`` is the noise of one
    channel in signal units. ``s0_weight`` is the share of the S₀ information that came from the prior, 0…1; None when
    there was none.
    """

    r2star_per_s: Array
    s0: Array
    standard_error_per_s: Array
    residual: Array
    sigma: float
    s0_standard_error: Array | None = None
    s0_weight: Array | None = None

    def __post_init__(self) -> None:
        freeze(self, "r2star_per_s", "s0", "standard_error_per_s", "residual", "s0_standard_error", "s0_weight")


def fit_r2star(
    series: EchoSeries,
    *,
    method: str = "nonlinear",
    sigma: float | None = None,
    modulation: Array | None = None,
    s0_prior: S0Prior | None = None,
    engine: str = "numba",
) -> DecayFit:
    """Fit R2* in every voxel that has signal.

    The signal is first freed from the noise floor, √max(S² − σ², 0), keeping all echoes: truncating instead biases
    R2* down. ``log_linear`` stops at the weighted log-linear start; ``nonlinear`` goes on with a Gauss–Newton
    iteration in R2* alone, S₀ being eliminated (variable projection); ``arlo`` is Pei 2015 (`quantify.arlo`).

    Parameters
    ----------
    series
        At least three echoes at ascending times.
    method
        ``nonlinear``, ``log_linear`` or ``arlo``.
    sigma
        Noise of one channel in signal units; estimated from the series when None.
    modulation
        Known factor mᵢ > 0 on the signal of every echo, (echo, slice, row, column), float32: beating of fat, a field
        gradient inside the voxel. The model is then S₀·mᵢ·exp(−R2*·TEᵢ).
    s0_prior
        What is known of S₀, blended in by its variance: one more echo at TE = 0 that weighs (σ/u)². With σ = 0 only
        a prior of u = 0 has any weight.
    engine
        ``numba`` (compiled, two threads, bit-identical for any number of them) or ``numpy``, its oracle.

    Returns
    -------
    DecayFit
        NaN where the first two echoes are below 2σ (or zero).

    Raises
    ------
    ValueError
        For fewer than three echoes, times that are negative, equal or not ascending, an unknown method or engine, a
        signal, σ or modulation that is not finite, a modulation that is not positive, shapes that do not match;
        for ``arlo`` with unevenly spaced echoes or a prior.
    """
    times = checked_times(series.echo_times_s, where="fit_r2star")
    if method not in METHODS:
        raise ValueError(f"fit_r2star: method is {method!r}; expected 'nonlinear', 'log_linear' or 'arlo'.")
    if engine not in ENGINES:
        raise ValueError(f"fit_r2star: engine is {engine!r}; expected 'numba' or 'numpy'.")
    if not np.isfinite(series.signal).all():
        raise ValueError("fit_r2star: the signal holds values that are not finite; check the decoding of the series.")
    if sigma is None:
        sigma = noise_sigma(series.signal, series.echo_times_s)
    if not (np.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"fit_r2star: sigma is {sigma}; expected a finite number, 0 or more.")
    if method == "arlo":
        _check_arlo(times, s0_prior)
    flat = series.signal.reshape(times.size, -1)
    present = np.maximum(flat[0], flat[1]) > max(2.0 * sigma, 0.0)
    mean, weight = _prior(s0_prior, series.grid.shape, float(sigma))
    voxels = Voxels(
        signal=flat,
        times_s=times,
        sigma=float(sigma),
        chosen=np.flatnonzero(present),
        modulation=_checked_modulation(modulation, series.signal.shape),
        prior_mean=mean,
        prior_weight=weight,
    )
    fitted = _fitted(voxels, method, engine)
    r2star, s0, error, s0_error, residual, share = (
        values.astype(np.float32, copy=False).reshape(series.grid.shape) for values in fitted
    )
    return DecayFit(
        r2star_per_s=r2star,
        s0=s0,
        standard_error_per_s=error,
        residual=residual,
        sigma=float(sigma),
        s0_standard_error=s0_error,
        s0_weight=None if s0_prior is None else share,
    )


def warm() -> None:
    """Compile the fit (or load it from its cache) with the types that real series have: some seconds, once."""
    signal = np.full((3, 1, 1, 2), 1.0, dtype=np.float32)
    signal[1], signal[2] = 0.5, 0.25
    series = EchoSeries(
        signal=signal,
        echo_times_s=(0.001, 0.002, 0.003),
        grid=Grid(shape=(1, 1, 2), affine_lps_mm=np.eye(4)),
        acquired_at=datetime(1970, 1, 1, tzinfo=UTC),
        series_instance_uid="",
        field_strength_t=3.0,
    )
    fit_r2star(series, sigma=0.1)


def checked_times(echo_times_s: tuple[float, ...], *, where: str) -> FloatArray:
    """Echo times as an array; a `ValueError` naming `where` unless three or more, ascending and not negative."""
    times = np.asarray(echo_times_s, dtype=np.float64)
    if times.size < 3:
        raise ValueError(f"{where}: the series has {times.size} echoes; R2* needs at least 3.")
    if not np.isfinite(times).all() or times[0] < 0 or (np.diff(times) <= 0).any():
        raise ValueError(f"{where}: echo_times_s {echo_times_s} must be ascending and not negative.")
    return times


def _fitted(voxels: Voxels, method: str, engine: str) -> Array | FloatArray:
    if method == "arlo":
        return arlo_fit(voxels)
    if engine == "numpy":
        return r2star_numpy.fit_voxels(voxels, nonlinear=method == "nonlinear")
    # numba takes a good part of a second to import: not before the first fit.
    from quantify import r2star_numba

    return r2star_numba.fit_voxels(voxels, nonlinear=method == "nonlinear")


def _check_arlo(times: FloatArray, s0_prior: S0Prior | None) -> None:
    if not evenly_spaced(times):
        spacings = ", ".join(f"{1000 * step:.3f}" for step in np.diff(times))
        raise ValueError(
            f"fit_r2star: arlo needs evenly spaced echoes; these lie {spacings} ms apart. Use 'nonlinear'."
        )
    if s0_prior is not None:
        raise ValueError("fit_r2star: arlo has no S0 that a prior could be blended into. Use 'nonlinear'.")


def _checked_modulation(modulation: Array | None, shape: tuple[int, ...]) -> Array | None:
    if modulation is None:
        return None
    if modulation.shape != shape:
        raise ValueError(f"fit_r2star: modulation has shape {modulation.shape}; expected that of the signal, {shape}.")
    if not np.isfinite(modulation).all() or not (modulation > 0).all():
        raise ValueError("fit_r2star: modulation holds values that are not finite or not above 0.")
    return np.ascontiguousarray(modulation, dtype=np.float32).reshape(shape[0], -1)


def _prior(
    s0_prior: S0Prior | None, shape: tuple[int, ...], sigma: float
) -> tuple[FloatArray | None, FloatArray | None]:
    """Mean and weight (σ/u)² of every voxel, flat; weight 0 where there is no prior."""
    if s0_prior is None:
        return None, None
    if s0_prior.mean.shape != shape:
        raise ValueError(f"fit_r2star: s0_prior has shape {s0_prior.mean.shape}; expected that of the grid, {shape}.")
    mean = s0_prior.mean.astype(np.float64).ravel()
    error = s0_prior.standard_error.astype(np.float64).ravel()
    given = np.isfinite(mean) & (mean > 0) & ~np.isnan(error)
    # A prior is at most as sure as one that counts a million times an echo.
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(error > 0, np.minimum((sigma / error) ** 2, _CERTAIN), _CERTAIN)
    return np.where(given, mean, 0.0), np.where(given, weight, 0.0)
