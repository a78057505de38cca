"""Receiver gain of a series over that of the reference: a smooth field, seen where S₀ is known twice.

Holmium shortens T2*, not the signal at TE = 0: S₀ of an untreated voxel differs between two series by the receiver's
gain only, and coils change it smoothly. A quadratic in position through ln(S₀/S₀ ref) of trusted voxels is that field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantify.model import Array, FloatArray, Grid, freeze

MINIMUM_VOXELS = 200
"""With fewer trusted voxels nothing is said of the gain."""
_QUADRATIC_VOXELS = 2000
_ENOUGH_VOXELS = 50_000
_ITERATIONS = 20
_BIWEIGHT = 4.685
"""Tukey's biweight at 95 % efficiency for normal residuals."""
_MAD = 1.4826
"""Standard deviation over the median absolute deviation of a normal distribution."""
_BLOCK_MM = 25.0
_MINIMUM_BLOCKS, _MINIMUM_PER_BLOCK = 8, 20
_BEYOND = 1.25
"""How far the field is followed beyond the trusted voxels, in half extents; farther out it stays as it is there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GainField:
    """Gain of a series over the reference's, on the reference grid.

    ``values`` is float32 (slice, row, column), positive everywhere. ``u_relative`` is its standard uncertainty as a
    share of it: the scatter of local means about the field; infinite when nothing could be told (``values`` 1).
    ``message`` says how it was found.
    """

    values: Array
    u_relative: float
    n_voxels: int
    message: str

    def __post_init__(self) -> None:
        freeze(self, "values")


def gain_field(reference_s0: Array, s0: Array, trusted: NDArray[np.bool_], grid: Grid) -> GainField:
    """Fit the gain through the trusted voxels, robustly (iteratively reweighted, Tukey's biweight).

    Parameters
    ----------
    reference_s0, s0
        (slice, row, column) on `grid`, signal units; NaN where unknown.
    trusted
        Boolean: untreated and evaluable. Voxels without both S₀ are left out in any case.
    grid
        The reference grid.

    Returns
    -------
    GainField
        Quadratic from 2000 voxels on, constant from 200, else 1 with infinite uncertainty.

    Raises
    ------
    ValueError
        When the shapes are not the grid's.
    """
    for name, array in (("reference_s0", reference_s0), ("s0", s0), ("trusted", trusted)):
        if array.shape != grid.shape:
            raise ValueError(f"gain_field: {name} has shape {array.shape}; expected that of the grid, {grid.shape}.")
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.asarray(s0, dtype=np.float64) / reference_s0
        known = trusted & np.isfinite(ratio) & (ratio > 0)
    chosen = np.flatnonzero(known)
    count = chosen.size
    if count < MINIMUM_VOXELS:
        return GainField(
            values=np.ones(grid.shape, dtype=np.float32),
            u_relative=float("inf"),
            n_voxels=int(count),
            message=f"gain not estimated: {count} trusted voxels, {MINIMUM_VOXELS} are needed",
        )
    chosen = chosen[:: -(-count // _ENOUGH_VOXELS)]
    log_ratio = np.log(ratio.ravel()[chosen])
    quadratic = count >= _QUADRATIC_VOXELS
    axes = _axes(np.stack(np.unravel_index(chosen, grid.shape)), grid.shape)
    at = [axis[index] for axis, index in zip(axes, np.unravel_index(chosen, grid.shape), strict=True)]
    terms = _terms(*at) if quadratic else [np.ones(chosen.size)]
    coefficients, residual, weight = _robust_fit(np.stack(terms, axis=1), log_ratio)
    if quadratic:
        everywhere = _terms(axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :])
        log_gain = np.zeros(grid.shape)
        for coefficient, term in zip(coefficients, everywhere, strict=True):
            log_gain += coefficient * term
    else:
        log_gain = np.full(grid.shape, coefficients[0])
    return GainField(
        values=np.exp(log_gain).astype(np.float32),
        u_relative=_local_scatter(residual, weight, chosen, grid),
        n_voxels=int(count),
        message=f"gain as a {'quadratic field' if quadratic else 'constant'} through {count} trusted voxels",
    )


def _axes(index: NDArray[np.intp], shape: tuple[int, int, int]) -> list[FloatArray]:
    """Position along each axis, −1…1 over the trusted voxels, held at ±`_BEYOND`."""
    axes = []
    for along, size in zip(index, shape, strict=True):
        low, high = np.percentile(along, [1, 99])
        scaled = (np.arange(size) - (low + high) / 2) / max((high - low) / 2, 1.0)
        axes.append(np.clip(scaled, -_BEYOND, _BEYOND))
    return axes


def _terms(x: FloatArray, y: FloatArray, z: FloatArray) -> list[FloatArray]:
    return [np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, y * z, z * x]


def _robust_fit(design: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Coefficients, residuals and weights (0 for outliers)."""
    coefficients = np.zeros(design.shape[1])
    coefficients[0] = np.median(values)
    residual = values - coefficients[0]
    weight = np.ones_like(values)
    for _ in range(_ITERATIONS):
        scale = max(_MAD * float(np.median(np.abs(residual))), 1e-9)
        weight = np.maximum(1.0 - (residual / (_BIWEIGHT * scale)) ** 2, 0.0) ** 2
        weighted = design * weight[:, None]
        # Least norm: an axis of one slice gives columns that say nothing.
        following = np.linalg.lstsq(weighted.T @ design, weighted.T @ values, rcond=1e-10)[0]
        change = float(np.abs(following - coefficients).max())
        coefficients = following
        residual = values - design @ coefficients
        if change < 1e-7:
            break
    return coefficients, residual, weight


def _local_scatter(residual: FloatArray, weight: FloatArray, chosen: NDArray[np.intp], grid: Grid) -> float:
    """Standard deviation of local means about the field: what the field misses where a voxel is predicted from it."""
    kept = weight > 0
    index = np.stack(np.unravel_index(chosen[kept], grid.shape))
    size = [max(1, round(_BLOCK_MM / spacing)) for spacing in grid.spacing_mm]
    block = index // np.array(size)[:, None]
    _, number = np.unique(block, axis=1, return_inverse=True)
    number = number.ravel()
    voxels = np.bincount(number)
    means = np.bincount(number, residual[kept])[voxels >= _MINIMUM_PER_BLOCK] / voxels[voxels >= _MINIMUM_PER_BLOCK]
    if means.size >= _MINIMUM_BLOCKS:
        return _MAD * float(np.median(np.abs(means)))
    return _MAD * float(np.median(np.abs(residual[kept])))
