"""Volumes that there are already, on the lattice; and what is drawn, on the reference grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from quantify.drawing import Lattice, Patch, reaches_beyond
from quantify.model import Array, FloatArray
from quantify.occupancy import occupancy
from quantify.occupancy_of_mask import mask_occupancy
from quantify.volumes import Box, bounding_box

_MARGIN_MM = 10.0
"""Around contours and masks: more than half a voxel of a coarse mask, or half the distance of two contours."""


def contours_on_lattice(contours: Sequence[FloatArray], lattice: Lattice) -> Patch:
    """The voxels whose centres contours enclose; contours are closed, (n, 3), LPS mm.

    Raises
    ------
    ValueError
        As `quantify.occupancy.occupancy`.
    """
    if len(contours) <= 1:
        # A single contour is as thick as a voxel of the grid: the reference's, not one of the lattice.
        shares, volume_ml = occupancy(contours, lattice.reference)
        if not shares.any():
            return _nothing(volume_ml)
        found = mask_on_lattice(shares, lattice.reference.affine_lps_mm, lattice)
        beyond = _box_of(np.asarray(contours[0]), lattice)[1]
        return replace(found, whole_ml=volume_ml if beyond else None)
    box, beyond = _box_of(np.concatenate([np.reshape(contour, (-1, 3)) for contour in contours]), lattice)
    if _empty(box):
        return _nothing(occupancy(contours, lattice.reference)[1])
    # Whether a voxel is inside is told by its centre: the shares are not wanted.
    shares, volume_ml = occupancy(contours, lattice.part(box), subsamples=(1, 1, 1))
    return Patch(box=box, inside=shares >= 0.5, whole_ml=volume_ml if beyond else None)


def mask_on_lattice(values: Array, affine_lps_mm: FloatArray, lattice: Lattice) -> Patch:
    """The voxels of which a mask covers half or more; as `quantify.occupancy_of_mask.mask_occupancy`."""
    sides = ((side.start - 0.5, side.stop - 0.5) for side in bounding_box(values > 0))
    corners = np.array([(*corner, 1.0) for corner in product(*sides)])
    box, beyond = _box_of((corners @ affine_lps_mm.T)[:, :3], lattice)
    if _empty(box):
        return _nothing(mask_occupancy(values, affine_lps_mm, lattice.reference)[1])
    shares, volume_ml = mask_occupancy(values, affine_lps_mm, lattice.part(box))
    return Patch(box=box, inside=shares >= 0.5, whole_ml=volume_ml if beyond else None)


def shares_on_reference(mask: NDArray[np.bool_], lattice: Lattice, box: Box) -> tuple[Box, Array]:
    """The share 0…1 of reference voxels that is drawn.

    Parameters
    ----------
    mask
        What is drawn, on the lattice.
    box
        Part of the lattice outside of which nothing is drawn.

    Returns
    -------
    tuple
        The box of the reference grid, and the shares in it, float32; exact, since its voxels are divided evenly.
    """
    parts = lattice.subdivision
    sides = [slice(side.start // n, -(-side.stop // n)) for side, n in zip(box, parts, strict=True)]
    fine = tuple(slice(side.start * n, side.stop * n) for side, n in zip(sides, parts, strict=True))
    counted = mask[fine].astype(np.uint16)
    for axis, n in enumerate(parts):
        counted = sum(counted[(slice(None),) * axis + (slice(first, None, n),)] for first in range(n))  # type: ignore[assignment]
    return (sides[0], sides[1], sides[2]), (counted / np.float32(np.prod(parts))).astype(np.float32)


def shared_ml(box: Box, shares: Array, lattice: Lattice, occupancy_of_other: Array) -> float:
    """Volume that what is drawn shares at least with another volume on the reference grid, mL: `overlap_ml` of both."""
    both = np.clip(shares + occupancy_of_other[box] - 1.0, 0.0, None)
    return float(both.sum(dtype=np.float64)) * lattice.reference.voxel_volume_ml


def _box_of(points_mm: FloatArray, lattice: Lattice) -> tuple[Box, bool]:
    """The part of the lattice around points, and whether some of them lie outside of it."""
    grid = lattice.grid
    index = points_mm @ grid.index_from_lps[:3, :3].T + grid.index_from_lps[:3, 3]
    margin = _MARGIN_MM * np.linalg.norm(grid.index_from_lps[:3, :3], axis=1)
    low = np.clip(np.floor(index.min(axis=0) - margin), 0, grid.shape).astype(np.intp)
    high = np.clip(np.ceil(index.max(axis=0) + margin) + 1, low, grid.shape).astype(np.intp)
    first, second, third = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (first, second, third), reaches_beyond(index.min(axis=0), index.max(axis=0), grid)


def _nothing(volume_ml: float) -> Patch:
    """What lies outside the lattice altogether."""
    return Patch(box=(slice(0, 0),) * 3, inside=np.zeros((0, 0, 0), dtype=bool), whole_ml=volume_ml)


def _empty(box: Box) -> bool:
    return any(side.start >= side.stop for side in box)
