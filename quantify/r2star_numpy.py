"""The R2* fit in numpy: what the compiled one is held against, and the log-linear start of both explained.

The model of echo i is S₀·mᵢ·exp(−R2*·tᵢ) with a known modulation mᵢ (1 without). A prior on S₀ is one more echo at
t = 0 that reads the prior's mean and weighs w = (σ/u)². With bᵢ = mᵢ·exp(−R2*·tᵢ) and S₀ at its optimum for every R2*,

    S₀ = (Σ S·b + w·mean) / (Σ b² + w),

what is left is a least-squares problem in R2* alone (variable projection).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from quantify.model import Array, FloatArray

MAXIMUM_ITERATIONS = 12
R2STAR_RANGE_PER_S = (-100.0, 5000.0)
"""What an iteration may reach; a fluid's noise may well come out below zero and is kept (physics §2)."""
EVEN_SPACING_S = 1e-9
"""Echoes whose spacings differ by less are evenly spaced."""
_CHUNK_VOXELS = 16_384


@dataclass(frozen=True, kw_only=True, eq=False)
class Voxels:
    """What both engines fit: the voxels with signal of one series, flattened.

    ``signal`` is (echo, voxel of the volume), not yet freed from the noise floor; ``chosen`` the voxels to fit.
    ``modulation`` is (echo, voxel) or None; ``prior_mean`` and ``prior_weight`` (σ/u)² are (voxel,) or None.
    """

    signal: Array
    times_s: FloatArray
    sigma: float
    chosen: np.ndarray
    modulation: Array | None = None
    prior_mean: FloatArray | None = None
    prior_weight: FloatArray | None = None


def evenly_spaced(times_s: FloatArray) -> bool:
    """Whether all echo spacings are the same."""
    return bool(np.ptp(np.diff(times_s)) <= EVEN_SPACING_S)


def freed_from_floor(signal: Array | FloatArray, sigma: float) -> FloatArray:
    """√max(S² − σ², 0): the magnitude without the mean power of single-channel Rice noise."""
    measured = np.asarray(signal, dtype=np.float64)
    freed: FloatArray = np.sqrt(np.maximum(measured * measured - sigma * sigma, 0.0))
    return freed


def fit_voxels(voxels: Voxels, *, nonlinear: bool) -> FloatArray:
    """(6, voxel): R2*, S₀, SE of R2*, SE of S₀, residual, share of the prior; NaN where not chosen.

    The residual is the root mean square over N − 2; the share is that of the S₀ information.
    """
    result = np.full((6, voxels.signal.shape[1]), np.nan)
    for part in chunks(voxels.chosen):
        decay = _decay(voxels, part)
        r2star = _log_linear(decay)
        if nonlinear:
            r2star = _gauss_newton(r2star, decay)
        result[:, part] = _described(r2star, decay, voxels.sigma)
    return result


def chunks(chosen: np.ndarray) -> Iterator[np.ndarray]:
    """The chosen voxels in parts whose arrays stay in the cache."""
    for start in range(0, chosen.size, _CHUNK_VOXELS):
        yield chosen[start : start + _CHUNK_VOXELS]


def describe(r2star: FloatArray, voxels: Voxels, part: np.ndarray) -> FloatArray:
    """The six rows of `fit_voxels` for R2* that another method found in the voxels `part`."""
    return _described(r2star, _decay(voxels, part), voxels.sigma)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Decay:
    """A chunk of voxels: measured (echo, voxel), known modulation, prior."""

    measured: FloatArray
    times: FloatArray
    modulation: FloatArray | None
    mean: FloatArray
    weight: FloatArray

    def of(self, active: np.ndarray) -> _Decay:
        return _Decay(
            measured=self.measured[:, active],
            times=self.times,
            modulation=None if self.modulation is None else self.modulation[:, active],
            mean=self.mean[active],
            weight=self.weight[active],
        )


def _decay(voxels: Voxels, part: np.ndarray) -> _Decay:
    nothing = np.zeros(part.size)
    return _Decay(
        measured=freed_from_floor(voxels.signal[:, part], voxels.sigma),
        times=voxels.times_s,
        modulation=None if voxels.modulation is None else voxels.modulation[:, part].astype(np.float64),
        mean=nothing if voxels.prior_mean is None else voxels.prior_mean[part],
        weight=nothing if voxels.prior_weight is None else voxels.prior_weight[part],
    )


def _log_linear(decay: _Decay) -> FloatArray:
    """Weighted log-linear R2*; the weights S² are the inverse variance of ln S."""
    weight = decay.measured * decay.measured
    log_signal = np.log(np.maximum(decay.measured, 1e-12))
    if decay.modulation is not None:
        log_signal = log_signal - np.log(decay.modulation)
    prior_weight = decay.weight * decay.mean * decay.mean
    prior_log = np.log(np.maximum(decay.mean, 1e-12))
    column = decay.times[:, None]
    total = np.maximum(weight.sum(axis=0) + prior_weight, 1e-30)
    mean_time = (weight * column).sum(axis=0) / total
    mean_log = ((weight * log_signal).sum(axis=0) + prior_weight * prior_log) / total
    centred = column - mean_time
    variance = np.maximum((weight * centred * centred).sum(axis=0) + prior_weight * mean_time * mean_time, 1e-30)
    covariance = (weight * centred * (log_signal - mean_log)).sum(axis=0)
    slope = (covariance - prior_weight * mean_time * (prior_log - mean_log)) / variance
    clipped: FloatArray = np.clip(-slope, *R2STAR_RANGE_PER_S)
    return clipped


def _basis(r2star: FloatArray, decay: _Decay) -> FloatArray:
    """m·exp(−R2*·TE) as (echo, voxel); evenly spaced echoes cost two exponentials instead of one an echo."""
    times = decay.times
    if evenly_spaced(times):
        basis = np.empty((times.size, r2star.size))
        basis[0] = np.exp(-r2star * times[0])
        ratio = np.exp(-r2star * np.diff(times).mean())
        for echo in range(1, times.size):
            np.multiply(basis[echo - 1], ratio, out=basis[echo])
    else:
        basis = np.exp(-r2star[None, :] * times[:, None])
    return basis if decay.modulation is None else basis * decay.modulation


def _optimum(basis: FloatArray, decay: _Decay) -> tuple[FloatArray, FloatArray, FloatArray]:
    """S₀ at its optimum, Σ b² + w, and the mean echo time under that weight."""
    power = (basis * basis).sum(axis=0) + decay.weight
    s0 = ((decay.measured * basis).sum(axis=0) + decay.weight * decay.mean) / power
    mean_time = (decay.times[:, None] * basis * basis).sum(axis=0) / power
    return s0, power, mean_time


def _information(basis: FloatArray, mean_time: FloatArray, decay: _Decay) -> FloatArray:
    """Fisher information of R2* per (S₀/σ)², S₀ being unknown but for its prior."""
    # Each echo's derivative with the part that S₀ explains projected out; the prior's own derivative is −mean_time.
    projected = (decay.times[:, None] - mean_time) * basis
    information: FloatArray = (projected * projected).sum(axis=0) + decay.weight * mean_time * mean_time
    return information


def _gauss_newton(r2star: FloatArray, decay: _Decay) -> FloatArray:
    """Minimise Σ(S − S₀·b)² + w(mean − S₀)² over R2*, with S₀ at its optimum for every R2*."""
    result = r2star.copy()
    active = np.arange(r2star.size)
    for _ in range(MAXIMUM_ITERATIONS):
        current, part = result[active], decay.of(active)
        basis = _basis(current, part)
        s0, _, mean_time = _optimum(basis, part)
        # The residuals are orthogonal to the basis, so the projected part of the derivative drops out.
        gradient = (part.times[:, None] * basis * (part.measured - s0 * basis)).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = -gradient / (s0 * _information(basis, mean_time, part))
        step = np.where(np.isfinite(step), step, 0.0)
        # Far from the optimum the exponential is not a parabola: no step longer than the value itself.
        bound = np.maximum(np.abs(current), 50.0)
        step = np.clip(step, -bound, bound)
        result[active] = np.clip(current + step, *R2STAR_RANGE_PER_S)
        active = active[np.abs(step) > 1e-6 * bound]
        if active.size == 0:
            break
    return result


def _described(r2star: FloatArray, decay: _Decay, sigma: float) -> FloatArray:
    """The six rows of `fit_voxels` for given R2*."""
    basis = _basis(r2star, decay)
    s0, power, mean_time = _optimum(basis, decay)
    residual = decay.measured - s0 * basis
    times = decay.times[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        error = sigma / (np.abs(s0) * np.sqrt(_information(basis, mean_time, decay)))
        rms = np.sqrt((residual * residual).sum(axis=0) / (decay.times.size - 2))
        # What the echoes alone know of S₀ when R2* is not known either.
        squares = (times * times * basis * basis).sum(axis=0)
        own = np.maximum((power - decay.weight) - (mean_time * power) ** 2 / squares, 0.0)
        s0_error = sigma / np.sqrt(own + decay.weight)
        share = np.where(decay.weight > 0, decay.weight / (own + decay.weight), 0.0)
    return np.stack([r2star, s0, _finite_or_inf(error), _finite_or_inf(s0_error), rms, share])


def _finite_or_inf(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.inf)
