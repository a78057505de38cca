"""The baseline R2* that belongs to a change of R2*: the reference seen with the weights of the fraction's own fit.

A least-squares fit lives on the echoes that still have signal. Where the baseline decay is not mono-exponential (fat,
field gradients, several water pools), the reference's ten echoes and a hot voxel's first three have different slopes,
and their difference is not the holmium: tens of s⁻¹ at 300 s⁻¹ with 10 % of fat (physics §2), 10 s⁻¹ at 100 s⁻¹ in a
water phantom of a clinical scanner. The baseline that matches a change ΔR2* is what the same fit gives on the
reference's own signal damped by it,

    R2*_ref(ΔR2*) = fit{ S_ref(TE)·exp(−ΔR2*·TE) } − ΔR2*,

which is R2*_ref at ΔR2* = 0 and stays so for a mono-exponential voxel. It is fitted once at a few changes and
interpolated. By setting the voxels' own baselines give way to the mean of their volume or of the liver (`with_mode`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantify.model import Array, EchoSeries, Reason, Role, Volume, freeze
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
        shape = r2star_per_s.shape
        known = np.flatnonzero(np.isfinite(r2star_per_s))
        value = r2star_per_s.ravel()[known]
        levels = self.r2star_per_s.reshape(len(self.r2star_per_s), -1)[:, known]
        change = value - levels[0]
        for _ in range(_ITERATIONS):
            change = value - _between(levels, change)
        errors = self.standard_error_per_s.reshape(len(self.standard_error_per_s), -1)[:, known]
        return _placed(change, known, shape), _placed(_between(errors, change), known, shape)


def matched_reference(
    series: EchoSeries, fit: DecayFit, *, method: str = "nonlinear", modulation: Array | None = None
) -> MatchedReference:
    """Fit the reference at every level; `fit` is its ordinary fit, which is the first one.

    The standard errors account for the damping of the noise together with the signal. `modulation` is the known factor
    on the signal that `fit` was made with (fat, a field gradient).
    """
    values, errors = [fit.r2star_per_s], [fit.standard_error_per_s]
    times = np.array(series.echo_times_s)
    # The floor is taken off the measured signal, before damping: damped noise is no longer Rice noise of one σ.
    freed = np.sqrt(np.maximum(series.signal.astype(np.float32) ** 2 - np.float32(fit.sigma**2), 0.0))
    usable = np.isfinite(fit.r2star_per_s)
    freed[:, ~usable] = 0.0  # no signal, no fit: what the ordinary fit has not is not asked for
    for level in LEVELS_PER_S[1:]:
        damping = np.exp(-level * times).astype(np.float32)
        damped = replace(series, signal=freed * damping[:, None, None, None])
        again = fit_r2star(damped, method=method, sigma=0.0, modulation=modulation)
        values.append(np.where(usable, again.r2star_per_s - np.float32(level), np.float32(np.nan)))
        errors.append(_damped_error(fit, level, times))
    return MatchedReference(r2star_per_s=np.stack(values), standard_error_per_s=np.stack(errors))


def with_mode(
    matched: MatchedReference,
    mode: Literal["voxelwise", "volume_mean", "liver_mean"],
    *,
    volumes: Sequence[Volume],
    reasons: NDArray[np.uint8],
) -> MatchedReference:
    """The baseline as `mode` wants it, at every level (physics §2; Roosen 2023: a uniform one is a systematic error).

    ``voxelwise`` is `matched` itself. ``volume_mean``: every tumour, and the liver without its tumours, takes its own
    mean, weighted by occupancy over the voxels whose reason is evaluable; a voxel on the border takes the occupancies'
    blend of the means and, for the part outside all volumes, its own value. A volume without an evaluable voxel leaves
    its voxels as they are. ``liver_mean``: the liver's mean (tumours included) everywhere, also beyond the liver.

    The standard error becomes that of the mean, √Σ(w·SE)²/Σw; what all voxels of a volume then share, its mean dose
    keeps. Voxels that are NaN stay NaN.

    Parameters
    ----------
    volumes
        Of all roles, on the reference grid; tumours, liver and healthy liver are used, territories are not.
    reasons
        uint8 of `Reason` (slice, row, column), as `quantify.holmium.reference_reasons` gives them.

    Raises
    ------
    ValueError
        For an unknown mode; volumes or reasons of another shape; ``volume_mean`` without tumours and liver;
        ``liver_mean`` without a liver; or when none of them has an evaluable voxel.
    """
    if mode == "voxelwise":
        return matched
    shape = matched.r2star_per_s.shape[1:]
    if mode not in ("volume_mean", "liver_mean"):
        raise ValueError(f"with_mode: mode is {mode!r}; expected voxelwise, volume_mean or liver_mean.")
    shapes = {"reasons": reasons.shape, **{f"volume {v.name!r}": v.occupancy.shape for v in volumes}}
    for name, found in shapes.items():
        if found != shape:
            raise ValueError(f"with_mode: {name} has shape {found}; the reference has {shape}.")
    weights = _liver_weights(volumes) if mode == "liver_mean" else _disjoint_weights(volumes)
    if not weights:
        wanted = "a liver" if mode == "liver_mean" else "a tumour or a liver"
        raise ValueError(
            f"with_mode: reference_mode {mode} needs {wanted}, but no such volume is drawn; use voxelwise."
        )
    usable = (reasons == Reason.EVALUABLE) & np.isfinite(matched.r2star_per_s[0])
    weights = [weight for weight in weights if (weight[usable] > 0).any()]
    if not weights:
        raise ValueError(f"with_mode: reference_mode {mode} finds no evaluable voxel in its volumes; use voxelwise.")
    spread = [np.ones(shape, dtype=np.float32)] if mode == "liver_mean" else weights
    values, errors = matched.r2star_per_s.copy(), matched.standard_error_per_s.copy()
    for level in range(len(values)):
        means = [_mean(values[level], errors[level], weight, usable) for weight in weights]
        values[level] = _blended(values[level], [mean for mean, _ in means], spread)
        errors[level] = _blended(errors[level], [error for _, error in means], spread)
    return MatchedReference(r2star_per_s=values, standard_error_per_s=errors)


def _liver_weights(volumes: Sequence[Volume]) -> list[Array]:
    return [v.occupancy for v in volumes if v.role == Role.LIVER][:1]


def _disjoint_weights(volumes: Sequence[Volume]) -> list[Array]:
    """Occupancies of the tumours and of the rest of the liver, which nowhere add up to more than 1."""
    tumours = [v.occupancy for v in volumes if v.role == Role.TUMOUR]
    together: Array = np.sum(tumours, axis=0, dtype=np.float32) if tumours else np.zeros(1, dtype=np.float32)
    # Tumours that overlap share their voxels.
    disjoint = [np.asarray(t / np.maximum(together, 1.0), dtype=np.float32) for t in tumours]
    # The liver itself tells what is not tumour; parts of it (territories) have the same role as its healthy part.
    return disjoint + [np.clip(liver - together, 0.0, 1.0) for liver in _liver_weights(volumes)]


def _mean(values: Array, errors: Array, weight: Array, usable: NDArray[np.bool_]) -> tuple[float, float]:
    """Weighted mean over the usable voxels with a finite value, and its standard error; NaN for none."""
    used = usable & (weight > 0) & np.isfinite(values)
    w = weight[used].astype(np.float64)
    if w.sum() <= 0:
        return float("nan"), float("nan")
    error = np.sqrt(np.sum((w * np.nan_to_num(errors[used])) ** 2)) / w.sum()
    return float(np.average(values[used], weights=w)), float(error)


def _blended(own: Array, means: Sequence[float], weights: Sequence[Array]) -> Array:
    """Σ wₘ·meanₘ + (1 − Σ wₘ)·own; NaN where the voxel's own value is."""
    result = np.zeros(own.shape, dtype=np.float32)
    rest = np.ones(own.shape, dtype=np.float32)
    for mean, weight in zip(means, weights, strict=True):
        if np.isfinite(mean):
            result += weight * np.float32(mean)
            rest -= weight
    return np.asarray(result + np.clip(rest, 0.0, 1.0) * own, dtype=np.float32)


def _placed(values: Array, known: NDArray[np.intp], shape: tuple[int, ...]) -> Array:
    """Values of the `known` voxels (flat) in an array of NaN."""
    result = np.full(shape, np.nan, dtype=np.float32)
    result.ravel()[known] = values
    return result


def _damped_error(fit: DecayFit, level: float, times: np.ndarray) -> Array:
    """Standard error of the fit to a damped signal whose noise σ·exp(−ΔR2*·TE) is damped too; first order."""
    known = np.flatnonzero(np.isfinite(fit.r2star_per_s))
    rate = fit.r2star_per_s.ravel()[known].astype(np.float32) + np.float32(level)
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
        s0 = np.abs(fit.s0.ravel()[known])
        error: Array = np.float32(fit.sigma) * np.sqrt(weighted[2]) / (s0 * weighted[3])
    return _placed(error, known, fit.r2star_per_s.shape)


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
