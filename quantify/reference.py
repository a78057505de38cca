"""The baseline R2* that belongs to a change of R2*: the reference seen with the weights of the fraction's own fit.

A least-squares fit lives on the echoes that still have signal. Where the baseline decay is not mono-exponential (fat,
field gradients, several water pools), the reference's ten echoes and a hot voxel's first three have different slopes,
and their difference is not the holmium: tens of s⁻¹ at 300 s⁻¹ with 10 % of fat (physics §2), 10 s⁻¹ at 100 s⁻¹ in a
water phantom of a clinical scanner. The baseline that matches a change ΔR2* is what the same fit gives on the
reference's own signal damped by it,

    R2*_ref(ΔR2*) = fit{ S_ref(TE)·exp(−ΔR2*·TE) } − ΔR2*,

which is R2*_ref at ΔR2* = 0 and stays so for a mono-exponential voxel. It is fitted once at a few changes and
interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from quantify.model import Array, EchoSeries, freeze
from quantify.r2star import DecayFit, fit_r2star

LEVELS_PER_S = (0.0, 50.0, 120.0, 250.0, 500.0)
_ITERATIONS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchedReference:
    """R2*_ref(ΔR2*) of every voxel at `LEVELS_PER_S`: float32 (level, slice, row, column); NaN as the fit has it."""

    r2star_per_s: Array
    standard_error_per_s: Array

    def __post_init__(self) -> None:
        freeze(self, "r2star_per_s", "standard_error_per_s")

    def change(self, r2star_per_s: Array) -> tuple[Array, Array]:
        """ΔR2* = R2* − R2*_ref(ΔR2*), by fixed-point iteration, and the standard error of its baseline.

        Changes below the first or above the last level take that level's baseline. NaN stays NaN.
        """
        change = r2star_per_s - self.r2star_per_s[0]
        for _ in range(_ITERATIONS):
            change = r2star_per_s - _between(self.r2star_per_s, change)
        return change, _between(self.standard_error_per_s, change)


def matched_reference(series: EchoSeries, fit: DecayFit, *, method: str = "nonlinear") -> MatchedReference:
    """Fit the reference at every level; `fit` is its ordinary fit, which is the first one.

    The standard errors account for the damping of the noise together with the signal.
    """
    values, errors = [fit.r2star_per_s], [fit.standard_error_per_s]
    times = np.array(series.echo_times_s)
    # The floor is taken off the measured signal, before damping: damped noise is no longer Rice noise of one σ.
    freed = np.sqrt(np.maximum(series.signal.astype(np.float32) ** 2 - np.float32(fit.sigma**2), 0.0))
    for level in LEVELS_PER_S[1:]:
        damping = np.exp(-level * times).astype(np.float32)
        damped = replace(series, signal=freed * damping[:, None, None, None])
        again = fit_r2star(damped, method=method, sigma=0.0)
        usable = np.isfinite(fit.r2star_per_s)
        values.append(np.where(usable, again.r2star_per_s - np.float32(level), np.float32(np.nan)))
        errors.append(_damped_error(fit, level, times))
    return MatchedReference(r2star_per_s=np.stack(values), standard_error_per_s=np.stack(errors))


def _damped_error(fit: DecayFit, level: float, times: np.ndarray) -> Array:
    """Standard error of the fit to a damped signal whose noise σ·exp(−ΔR2*·TE) is damped too; first order."""
    rate = np.nan_to_num(fit.r2star_per_s).astype(np.float32) + np.float32(level)
    weighted = np.zeros((4, *rate.shape), dtype=np.float32)  # Σe², Σte², then Σ(sd)², Σs²
    basis = [np.exp(-rate * np.float32(t)) for t in times]
    for e, t in zip(basis, times, strict=True):
        weighted[0] += e * e
        weighted[1] += np.float32(t) * e * e
    mean_time = weighted[1] / weighted[0]
    for e, t in zip(basis, times, strict=True):
        sensitivity = (np.float32(t) - mean_time) * e
        weighted[2] += (sensitivity * np.float32(np.exp(-level * t))) ** 2
        weighted[3] += sensitivity**2
    with np.errstate(divide="ignore", invalid="ignore"):
        error: Array = np.float32(fit.sigma) * np.sqrt(weighted[2]) / (np.abs(fit.s0) * weighted[3])
    return error


def _between(levels: Array, change: Array) -> Array:
    """Linear interpolation between the levels at each voxel's own change."""
    result: Array = levels[-1].copy()
    with np.errstate(invalid="ignore"):
        for n in range(len(LEVELS_PER_S) - 1, 0, -1):
            low, high = LEVELS_PER_S[n - 1], LEVELS_PER_S[n]
            share = np.clip((change - low) / (high - low), 0.0, 1.0)
            below = change < high
            result = np.where(below, levels[n - 1] + share * (levels[n] - levels[n - 1]), result)
    result[~np.isfinite(change)] = np.nan
    return result
