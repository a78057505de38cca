"""How well R2* repeats between two series, measured on a repeated reference (physics §2 and §4: u_repeat).

Shim, breath-hold and registration move R2* by a smooth field that no voxel's noise tells of. Two series without
holmium between them show it: their difference, averaged over blocks of a tumour's size, scatters by √2·u_repeat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantify.model import Array, FloatArray, Grid

_BLOCK_MM = 30.0
"""Edge of a block: a tumour of 27 mL."""
_LEAST_FILLED = 0.5
_LEAST_BLOCKS = 4
"""With fewer, the RMS is known to worse than a third (1/√(2·4) = 35 %): the working value is as good."""


@dataclass(frozen=True, kw_only=True)
class Repeatability:
    """Standard uncertainty of a tumour-sized mean R2* between series [s⁻¹], from ``n_blocks`` blocks.

    ``offset_per_s`` is the mean difference second − first over the region [s⁻¹]; ``u_per_s`` includes it.
    """

    u_per_s: float
    n_blocks: int
    offset_per_s: float


def measured_repeat(
    first_r2star: Array, second_r2star: Array, region: NDArray[np.bool_], grid: Grid
) -> Repeatability | None:
    """RMS over blocks of the difference of their means, over √2.

    Parameters
    ----------
    first_r2star, second_r2star
        R2* of two series without an injection between them [s⁻¹], (slice, row, column) on one grid and registered;
        NaN where not evaluable.
    region
        Where R2* matters: the liver.
    grid
        Grid of the maps: blocks are about 30 mm cubes, from the corner of the region's bounding box.

    Returns
    -------
    Repeatability or None
        None when fewer than four blocks are at least half filled by voxels of the region that both series evaluate.

    Raises
    ------
    ValueError
        If shapes differ from the grid's, or the region is empty.
    """
    for name, array in (("first_r2star", first_r2star), ("second_r2star", second_r2star), ("region", region)):
        if array.shape != grid.shape:
            raise ValueError(f"measured_repeat: {name} has shape {array.shape}; expected {grid.shape}.")
    if not region.any():
        raise ValueError("measured_repeat: the region is empty; expected the voxels of the liver.")
    difference = second_r2star.astype(np.float64) - first_r2star
    usable = region & np.isfinite(difference)
    if not usable.any():
        return None
    edges = [max(1, round(_BLOCK_MM / spacing)) for spacing in grid.spacing_mm]
    box = tuple(_extent(region, axis) for axis in range(3))
    counts = _block_sums(usable[box].astype(np.float64), edges)
    sums = _block_sums(np.where(usable, difference, 0.0)[box], edges)
    filled = counts >= _LEAST_FILLED * np.prod(edges)
    if filled.sum() < _LEAST_BLOCKS:
        return None
    blocks = sums[filled] / counts[filled]
    return Repeatability(
        u_per_s=float(np.sqrt(np.mean(blocks**2) / 2.0)),
        n_blocks=int(filled.sum()),
        offset_per_s=float(difference[usable].mean()),
    )


def _extent(region: NDArray[np.bool_], axis: int) -> slice:
    occupied = np.flatnonzero(region.any(axis=tuple(other for other in range(3) if other != axis)))
    return slice(int(occupied[0]), int(occupied[-1]) + 1)


def _block_sums(values: FloatArray, edges: list[int]) -> FloatArray:
    """Sum over blocks of `edges` voxels; the last block of an axis may be cut."""
    for axis, edge in enumerate(edges):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], edge), axis=axis)
    return values
