"""Trilinear resampling between grids that keeps account of invalid voxels and of the noise that interpolation averages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantify.model import Array, FloatArray, Grid


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampler:
    """Eight neighbours and their weights for chosen voxels of a target grid in a source grid.

    ``target`` are flat indices into the target; ``neighbours`` (8, n) flat indices into the source; ``weights`` (8, n),
    zero for neighbours beyond the source. ``covered`` (n,) is the sum of the weights: 1 inside the source.
    """

    target: NDArray[np.intp]
    neighbours: NDArray[np.intp]
    weights: Array
    covered: Array
    shape: tuple[int, int, int]

    def sample(self, values: Array) -> Array:
        """Interpolate `values`; NaN where less than half of the weight lies on finite source voxels."""
        gathered = values.reshape(-1)[self.neighbours]
        finite = np.isfinite(gathered)
        weight = self.weights * finite
        total = weight.sum(axis=0)
        result = np.full(int(np.prod(self.shape)), np.nan, dtype=np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (weight * np.where(finite, gathered, 0)).sum(axis=0) / total
        result[self.target] = np.where(total >= 0.5, mean, np.nan)
        return result.reshape(self.shape)

    def sample_standard_error(self, standard_error: Array) -> Array:
        """Standard error of the interpolated value: √Σ(w·SE)²/Σw, for noise independent between voxels."""
        gathered = standard_error.reshape(-1)[self.neighbours]
        finite = np.isfinite(gathered)
        weight = self.weights * finite
        total = weight.sum(axis=0)
        result = np.full(int(np.prod(self.shape)), np.nan, dtype=np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.sqrt(((weight * np.where(finite, gathered, 0)) ** 2).sum(axis=0)) / total
        result[self.target] = np.where(total >= 0.5, spread, np.nan)
        return result.reshape(self.shape)

    def coverage(self) -> Array:
        """Share of every target voxel's weight that lies inside the source; 0 where it was not asked for."""
        result = np.zeros(int(np.prod(self.shape)), dtype=np.float32)
        result[self.target] = self.covered
        return result.reshape(self.shape)


def sampler(
    *,
    source: Grid,
    target: Grid,
    target_to_source_lps_mm: FloatArray | None = None,
    where: NDArray[np.bool_] | None = None,
) -> Sampler:
    """Prepare to sample arrays on `source` at the voxels of `target`.

    Parameters
    ----------
    source, target
        The two grids; their frames of reference are the caller's business.
    target_to_source_lps_mm
        4×4 rigid transform of target points into the source's space; identity when None.
    where
        Boolean (target shape): voxels to compute; all when None. The others become NaN.
    """
    chosen = np.arange(int(np.prod(target.shape))) if where is None else np.flatnonzero(where)
    index = np.stack(np.unravel_index(chosen, target.shape))
    transform = np.eye(4) if target_to_source_lps_mm is None else np.asarray(target_to_source_lps_mm, dtype=np.float64)
    matrix = source.index_from_lps @ transform @ target.affine_lps_mm
    position = matrix[:3, :3] @ index + matrix[:3, 3:4]
    # A voxel that lies on a voxel to a ten-thousandth is that voxel: identical grids copy, bit for bit.
    nearest = np.rint(position)
    position = np.where(np.abs(position - nearest) < 1e-4, nearest, position)
    lower = np.floor(position)
    upper_weight = (position - lower).astype(np.float32)
    lower = lower.astype(np.intp)
    neighbours = np.empty((8, chosen.size), dtype=np.intp)
    weights = np.empty((8, chosen.size), dtype=np.float32)
    strides = (source.shape[1] * source.shape[2], source.shape[2], 1)
    for corner in range(8):
        flat = np.zeros(chosen.size, dtype=np.intp)
        weight = np.ones(chosen.size, dtype=np.float32)
        for axis in range(3):
            upper = (corner >> axis) & 1
            at = lower[axis] + upper
            inside = (at >= 0) & (at < source.shape[axis])
            weight *= np.where(inside, upper_weight[axis] if upper else 1 - upper_weight[axis], 0)
            flat += np.where(inside, at, 0) * strides[axis]
        neighbours[corner] = flat
        weights[corner] = weight
    return Sampler(
        target=chosen,
        neighbours=neighbours,
        weights=weights,
        covered=weights.sum(axis=0),
        shape=target.shape,
    )
