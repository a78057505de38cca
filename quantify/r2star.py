"""R2* of every voxel from a multi-echo gradient-echo magnitude series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantify.model import Array, EchoSeries, FloatArray, freeze
from quantify.noise import noise_sigma

_CHUNK_VOXELS = 16_384
_MAXIMUM_ITERATIONS = 12
_R2STAR_RANGE_PER_S = (-100.0, 5000.0)
"""What an iteration may reach; a fluid's noise may well come out below zero and is kept (physics §2)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DecayFit:
    """Mono-exponential fit S(TE) = S₀·exp(−R2*·TE) of every voxel; all arrays float32 (slice, row, column).

    ``r2star_per_s`` and ``s0`` are NaN where the first echo holds no signal. ``standard_error_per_s`` is from the
    Fisher information (one standard deviation). ``residual`` is the root mean square of the residuals over N − 2, in
    signal units. ``sigma`` is the noise of one channel in signal units.
    """

    r2star_per_s: Array
    s0: Array
    standard_error_per_s: Array
    residual: Array
    sigma: float

    def __post_init__(self) -> None:
        freeze(self, "r2star_per_s", "s0", "standard_error_per_s", "residual")


def fit_r2star(series: EchoSeries, *, method: str = "nonlinear", sigma: float | None = None) -> DecayFit:
    """Fit R2* in every voxel that has signal.

    The signal is first freed from the noise floor, √max(S² − σ², 0), keeping all echoes: truncating instead biases
    R2* down. ``log_linear`` stops at the weighted log-linear start; ``nonlinear`` goes on with a Gauss–Newton
    iteration in R2* alone, S₀ being eliminated (variable projection).

    Parameters
    ----------
    series
        At least three echoes at ascending times.
    method
        ``nonlinear`` or ``log_linear``.
    sigma
        Noise of one channel in signal units; estimated from the series when None.

    Returns
    -------
    DecayFit
        NaN where the first two echoes are below 2σ (or zero).

    Raises
    ------
    ValueError
        For fewer than three echoes, times that are negative, equal or not ascending, an unknown method, or a signal
        that is not finite.
    """
    times = np.asarray(series.echo_times_s, dtype=np.float64)
    if times.size < 3:
        raise ValueError(f"fit_r2star: the series has {times.size} echoes; R2* needs at least 3.")
    if not np.isfinite(times).all() or times[0] < 0 or (np.diff(times) <= 0).any():
        raise ValueError(f"fit_r2star: echo_times_s {series.echo_times_s} must be ascending and not negative.")
    if method not in ("nonlinear", "log_linear"):
        raise ValueError(f"fit_r2star: method is {method!r}; expected 'nonlinear' or 'log_linear'.")
    if not np.isfinite(series.signal).all():
        raise ValueError("fit_r2star: the signal holds values that are not finite; check the decoding of the series.")
    if sigma is None:
        sigma = noise_sigma(series.signal, series.echo_times_s)
    shape = series.grid.shape
    flat = series.signal.reshape(times.size, -1)
    present = np.maximum(flat[0], flat[1]) > max(2.0 * sigma, 0.0)
    chosen = np.flatnonzero(present)
    fitted = np.full((4, flat.shape[1]), np.nan, dtype=np.float32)
    for start in range(0, chosen.size, _CHUNK_VOXELS):
        part = chosen[start : start + _CHUNK_VOXELS]
        fitted[:, part] = _fit_chunk(flat[:, part], times, float(sigma), nonlinear=method == "nonlinear")
    r2star, s0, error, residual = (values.reshape(shape) for values in fitted)
    return DecayFit(r2star_per_s=r2star, s0=s0, standard_error_per_s=error, residual=residual, sigma=float(sigma))


def _fit_chunk(signal: Array, times: FloatArray, sigma: float, *, nonlinear: bool) -> FloatArray:
    """(4, voxels): R2*, S₀, standard error, residual of a chunk (echo, voxel)."""
    measured = signal.astype(np.float64)
    measured = np.sqrt(np.maximum(measured * measured - sigma * sigma, 0.0))
    r2star = _log_linear(measured, times)
    if nonlinear:
        r2star = _gauss_newton(r2star, measured, times)
    basis = _exponentials(r2star, times)
    power = (basis * basis).sum(axis=0)
    s0 = (measured * basis).sum(axis=0) / power
    residual = measured - s0 * basis
    sensitivity = _sensitivity(basis, power, times)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = sigma / (np.abs(s0) * np.sqrt((sensitivity * sensitivity).sum(axis=0)))
        rms = np.sqrt((residual * residual).sum(axis=0) / (times.size - 2))
    return np.stack([r2star, s0, np.where(np.isfinite(error), error, np.inf), rms])


def _log_linear(measured: FloatArray, times: FloatArray) -> FloatArray:
    """Weighted log-linear R2* of (echo, voxel); the weights S² are the inverse variance of ln S."""
    weight = measured * measured
    log_signal = np.log(np.maximum(measured, 1e-12))
    column = times[:, None]
    total = np.maximum(weight.sum(axis=0), 1e-30)
    mean_time = (weight * column).sum(axis=0) / total
    mean_log = (weight * log_signal).sum(axis=0) / total
    centred = column - mean_time
    variance = np.maximum((weight * centred * centred).sum(axis=0), 1e-30)
    slope = (weight * centred * (log_signal - mean_log)).sum(axis=0) / variance
    clipped: FloatArray = np.clip(-slope, *_R2STAR_RANGE_PER_S)
    return clipped


def _exponentials(r2star: FloatArray, times: FloatArray) -> FloatArray:
    """exp(−R2*·TE) as (echo, voxel); evenly spaced echoes cost two exponentials instead of one an echo."""
    steps = np.diff(times)
    if np.ptp(steps) > 1e-9:
        exact: FloatArray = np.exp(-r2star[None, :] * times[:, None])
        return exact
    basis = np.empty((times.size, r2star.size))
    basis[0] = np.exp(-r2star * times[0])
    ratio = np.exp(-r2star * steps.mean())
    for echo in range(1, times.size):
        np.multiply(basis[echo - 1], ratio, out=basis[echo])
    return basis


def _sensitivity(basis: FloatArray, power: FloatArray, times: FloatArray) -> FloatArray:
    """∂(model)/∂R2* per unit S₀ (up to its sign), after projecting out the part that S₀ explains."""
    weighted = times[:, None] * basis
    projected: FloatArray = weighted - basis * ((weighted * basis).sum(axis=0) / power)
    return projected


def _gauss_newton(r2star: FloatArray, measured: FloatArray, times: FloatArray) -> FloatArray:
    """Minimise Σ(S − S₀·exp(−R2*·TE))² over R2*, with S₀ at its optimum for every R2*."""
    result = r2star.copy()
    active = np.arange(r2star.size)
    for _ in range(_MAXIMUM_ITERATIONS):
        current = result[active]
        data = measured[:, active]
        basis = _exponentials(current, times)
        power = (basis * basis).sum(axis=0)
        s0 = (data * basis).sum(axis=0) / power
        sensitivity = _sensitivity(basis, power, times)
        curvature = s0 * (sensitivity * sensitivity).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = -((data - s0 * basis) * sensitivity).sum(axis=0) / curvature
        step = np.where(np.isfinite(step), step, 0.0)
        # Far from the optimum the exponential is not a parabola: no step longer than the value itself.
        bound = np.maximum(np.abs(current), 50.0)
        step = np.clip(step, -bound, bound)
        result[active] = np.clip(current + step, *_R2STAR_RANGE_PER_S)
        active = active[np.abs(step) > 1e-6 * bound]
        if active.size == 0:
            break
    return result
