"""A region on one grid to its share of the voxels of another: what it covers there, voxel by voxel, volume for volume.

A voxel of the region's grid is a box filled evenly to its share. The occupancy of a target voxel is the mean of those
boxes over it: over points spread evenly in it, each standing for a box of its own (`_boxed`), so that volume is
conserved and a shift by a tenth of a voxel moves a tenth of a voxel's volume. Between parallel grids this is the exact
overlap of boxes; between equal grids it is the identity.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quantify.model import Array, FloatArray, Grid
from quantify.volumes import Box, bounding_box

_ROUNDING_DIGITS = 9
"""Of steps and offsets in voxels: equal grids differ by the rounding of an inverse, and stay equal."""
_LEAST_POINTS_OBLIQUE = 2
_CHUNK = 200_000


def mask_occupancy(values: Array, affine_lps_mm: FloatArray, grid: Grid) -> tuple[Array, float]:
    """Return the occupancy of every voxel of `grid`, and the volume of the mask.

    Parameters
    ----------
    values
        Share 0…1 of every voxel, (slice, row, column); outside the array the region is empty.
    affine_lps_mm
        4×4 from the index (slice, row, column, 1) to the voxel's centre, LPS mm, in the grid's frame of reference.
    grid
        Where the occupancy is wanted.

    Returns
    -------
    tuple
        Occupancy, float32 (slice, row, column), 0…1, linear in `values`; and the volume Σ value × voxel volume, mL,
        whether the grid covers it or not.

    Raises
    ------
    ValueError
        If the mask is empty or not 3-D, has values that are not 0…1, or the affine is not a finite, invertible 4×4.
    """
    source = Grid(shape=_shape(values), affine_lps_mm=affine_lps_mm)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"The mask has values from {low:g} to {high:g}; expected shares of a voxel, 0…1.")
    if high == 0.0:
        raise ValueError("The mask is empty; draw it before a volume can be computed.")
    volume_ml = float(values.sum(dtype=np.float64)) * source.voxel_volume_ml
    filled = np.zeros(grid.shape, dtype=np.float32)
    touched = bounding_box(values > 0)
    to_source = source.index_from_lps @ grid.affine_lps_mm
    to_source[:3, 3] -= [part.start for part in touched]
    # A margin of one empty voxel: half of an outermost voxel's box lies between it and the next.
    region = np.pad(values[touched], 1)
    to_source[:3, 3] += 1.0
    to_source = np.round(to_source, _ROUNDING_DIGITS)
    box = _target_box(region.shape, to_source, grid.shape)
    if any(part.start >= part.stop for part in box):
        return filled, volume_ml
    counts = _counts(to_source[:3, :3])
    filled[box] = _averaged(region, to_source, box, counts)
    return filled, volume_ml


def _shape(values: Array) -> tuple[int, int, int]:
    if values.ndim != 3 or values.size == 0:
        raise ValueError(f"The mask has shape {values.shape}; expected (slice, row, column).")
    slices, rows, columns = values.shape
    return slices, rows, columns


def _target_box(region: tuple[int, ...], to_source: FloatArray, shape: tuple[int, int, int]) -> Box:
    """Return the part of the target that the region can touch."""
    from_source = np.linalg.inv(to_source)
    corners = np.array(list(product(*((-0.5, n - 0.5) for n in region))))
    index = corners @ from_source[:3, :3].T + from_source[:3, 3]
    low = np.clip(np.floor(index.min(axis=0)).astype(np.intp), 0, shape)
    high = np.clip(np.ceil(index.max(axis=0)).astype(np.intp) + 1, 0, shape)
    first, second, third = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return first, second, third


def _counts(steps: FloatArray) -> tuple[int, ...]:
    """Return points per target voxel and axis: no two of them farther apart than one voxel of the region."""
    if _is_parallel(steps):
        return tuple(max(1, int(np.ceil(step - 1e-6))) for step in np.abs(steps).max(axis=0))
    return tuple(max(_LEAST_POINTS_OBLIQUE, int(np.ceil(step))) for step in np.linalg.norm(steps, axis=0))


def _is_parallel(steps: FloatArray) -> bool:
    """Whether every axis of the target runs along one axis of the region."""
    return bool((np.count_nonzero(steps, axis=0) == 1).all() and (np.count_nonzero(steps, axis=1) == 1).all())


def _averaged(region: Array, to_source: FloatArray, box: Box, counts: tuple[int, ...]) -> Array:
    """Return the occupancy of the target's box: as the region is where it is even, sampled where it is not."""
    steps = to_source[:3, :3]
    shape = tuple(part.stop - part.start for part in box)
    origin = to_source[:3, 3] + steps @ [part.start for part in box]
    filled, even = _evenly_covered(region, steps, origin, shape)
    surface = np.flatnonzero(~even)
    widths = np.minimum(1.0, (np.abs(steps) / np.array(counts)).sum(axis=1))
    offsets = [steps @ point for point in product(*((np.arange(n) + 0.5) / n - 0.5 for n in counts))]
    for chunk in (surface[start : start + _CHUNK] for start in range(0, len(surface), _CHUNK)):
        at = steps @ np.stack(np.unravel_index(chunk, shape)) + origin[:, None]
        mean = np.zeros(len(chunk))
        for offset in offsets:
            mean += _boxed(region, at + offset[:, None], widths)
        filled.ravel()[chunk] = mean / len(offsets)
    return np.clip(filled, 0.0, 1.0)


def _boxed(region: Array, at: FloatArray, widths: FloatArray) -> FloatArray:
    """Return the mean of the region over boxes of `widths` ≤ 1 voxels around points, along the region's axes.

    Within a voxel the region is constant, so the mean changes only where the box crosses the face to the next voxel,
    and there linearly: linear interpolation, with the way from one centre to the next taken within `width` of the face.
    """
    nearest = np.rint(at)
    off = at - nearest
    flat = (1.0 - widths[:, None]) / 2
    off = np.sign(off) * np.clip(np.abs(off) - flat, 0.0, None) / widths[:, None]
    return _interpolated(region, nearest + off)


def _interpolated(region: Array, at: FloatArray) -> FloatArray:
    """Return the region at points, linear between centres: `map_coordinates` is three times slower at this.

    The outermost layer of the region is empty, so that a point beyond it may be read in it.
    """
    size = np.array(region.shape)[:, None]
    at = np.clip(at, 0.0, size - 1.0)
    below = np.minimum(at.astype(np.intp), size - 2)
    (t0, t1, t2) = at - below
    (_, n1, n2) = region.shape
    first = (below[0] * n1 + below[1]) * n2 + below[2]
    flat = region.ravel()

    def along_columns(start: NDArray[np.intp]) -> FloatArray:
        left = flat.take(start)
        return np.asarray(left + t2 * (flat.take(start + 1) - left), dtype=np.float64)

    def along_rows(start: NDArray[np.intp]) -> FloatArray:
        upper = along_columns(start)
        return np.asarray(upper + t1 * (along_columns(start + n2) - upper), dtype=np.float64)

    lower = along_rows(first)
    return np.asarray(lower + t0 * (along_rows(first + n1 * n2) - lower), dtype=np.float64)


def _evenly_covered(
    region: Array, steps: FloatArray, origin: FloatArray, shape: tuple[int, ...]
) -> tuple[Array, NDArray[np.bool_]]:
    """Return the value of the region around every target voxel, and whether it is the same wherever that reaches.

    The region is divided into blocks, a quarter of a target voxel wide; blocks' extremes over a target voxel's reach,
    rounded up, say whether anything changes there.
    """
    reach = np.abs(steps).sum(axis=1) / 2 + 1.0
    block = np.maximum(1, (reach / 2).astype(np.intp))
    radius = np.ceil(reach / block).astype(np.intp)
    # At least `radius` empty blocks all around, so that what lies outside counts too.
    before = radius * block
    after = before + -(np.array(region.shape) + 2 * before) % block
    padded = np.pad(region, list(zip(before, after, strict=True)))
    size = tuple(int(n) for n in 2 * radius + 1)
    least = ndimage.minimum_filter(_of_blocks(padded, block, np.minimum), size, mode="constant", cval=0.0)
    most = ndimage.maximum_filter(_of_blocks(padded, block, np.maximum), size, mode="constant", cval=0.0)
    index = np.indices(shape, sparse=True)
    at = []
    for axis in range(3):
        row = steps[axis, 0] * index[0] + steps[axis, 1] * index[1] + steps[axis, 2] * index[2] + origin[axis]
        within = np.clip((np.floor(row + 0.5).astype(np.intp) + before[axis]) // block[axis], 0, least.shape[axis] - 1)
        at.append(within)
    value = least[tuple(at)]
    return value.astype(np.float32), np.asarray(value == most[tuple(at)])


def _of_blocks(values: Array, block: NDArray[np.intp], extreme: np.ufunc) -> Array:
    """Return an extreme of every block, an axis after the other: reducing short axes at once is ten times slower."""
    for axis, width in enumerate(int(n) for n in block):
        parts = [values[(slice(None),) * axis + (slice(start, None, width),)] for start in range(width)]
        values = parts[0]
        for part in parts[1:]:
            values = extreme(values, part)
    return values
