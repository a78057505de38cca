"""Occupancy of a grid to closed contours on its slices that enclose the same volume.

A slice's contours are drawn at the level at which they enclose as many pixels as its occupancies add up to: at 0.5,
where occupancy is usually contoured, a tumour of 1 mL is off by a tenth. A hole is joined to the contour around it by
a channel without width (keyhole, PS3.3 C.8.8.6.3): every reader leaves it out, whether it adds contours up or takes
their exclusive or.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from contourpy import FillType, LineType, contour_generator
from numpy.typing import NDArray
from scipy import ndimage, optimize

from quantify.model import Array, FloatArray, Grid

_NOTHING = 1e-3
"""Pixels: a slice with less is empty."""
_GRADE, _TILT = 0.05, 0.001
_SPECK_MM = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaneContour:
    """A closed contour on a slice of the grid: ``points_mm`` is (n, 3) LPS."""

    slice_index: int
    points_mm: FloatArray


def occupancy_contours(occupancy: Array, grid: Grid) -> tuple[PlaneContour, ...]:
    """Contours of a volume on the slices of its grid; none where it is empty.

    The area that a slice's contours enclose is the sum of its occupancies, so that area × slice distance is the volume.
    Between slices that the volume reaches every slice has a contour: readers fill a skipped one from its neighbours,
    and between two separate parts there is nothing. It is a speck of 0.05 mm then.
    """
    found = [slice_contours(share) for share in occupancy]
    reached = [number for number, polygons in enumerate(found) if polygons]
    for number in range(reached[0], reached[-1]) if reached else ():
        if not found[number]:
            found[number] = [_speck(found[number - 1][0], grid)]
    affine = grid.affine_lps_mm
    return tuple(
        PlaneContour(slice_index=number, points_mm=affine[:3, 3] + affine[:3, 0] * number + polygon @ affine[:3, 1:3].T)
        for number, polygons in enumerate(found)
        for polygon in polygons
    )


def slice_contours(share: Array) -> list[FloatArray]:
    """Polygons around one slice's occupancy, (n, 2) (row, column), that enclose as many pixels as its sum."""
    wanted = float(share.sum(dtype=np.float64))
    if wanted < _NOTHING:
        return []
    (row, column), values = _cropped(share)
    shape = np.array(share.shape)
    # A margin of nothing around it closes every contour; at the edge of the grid they end where its voxels do.
    field = np.pad(_graded(values), 1)
    origin = np.array([row - 1.0, column - 1.0])
    lines = contour_generator(z=field, line_type=LineType.Separate)

    def excess(level: float) -> float:
        # Outlines run one way round and holes the other.
        areas = [_signed_area(_placed(np.asarray(line), origin, shape)) for line in lines.lines(level)]
        return abs(sum(areas)) - wanted

    low, high = 1e-6, float(field.max()) - 1e-9
    # A volume that fills the slice to its corners has no level to spare.
    level = optimize.brentq(excess, low, high, xtol=1e-7, rtol=1e-7) if excess(low) > 0 else low
    filled = contour_generator(z=field, fill_type=FillType.OuterOffset)
    polygons = []
    for points, offsets in zip(*filled.filled(level, high + 1.0), strict=True):
        rings = [_placed(points[start:stop], origin, shape) for start, stop in pairwise(offsets)]
        polygons.append(_keyholed(rings[0], rings[1:]))
    return polygons


def _cropped(share: Array) -> tuple[tuple[int, int], FloatArray]:
    rows, columns = (np.flatnonzero((share > 0).any(axis=axis)) for axis in (1, 0))
    part = share[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return (int(rows[0]), int(columns[0])), part.astype(np.float64)


def _graded(share: FloatArray) -> FloatArray:
    """The occupancies with a slight slope where they are even, so that some level encloses any area.

    A volume that ends half way through a slice covers all of it by half: no level encloses half of its area. Sloping
    up towards the middle, it is drawn smaller instead. The tilt parts what is equally far from the edge.
    """
    depth = ndimage.distance_transform_edt(np.pad(share > 0, 1))[1:-1, 1:-1]
    rows, columns = np.indices(share.shape)
    tilt = (rows + 0.618 * columns) / sum(share.shape)
    graded: FloatArray = share + (share > 0) * (_GRADE * depth / depth.max() + _TILT * tilt)
    return graded


def _placed(line: NDArray[np.float64], origin: FloatArray, shape: NDArray[np.intp]) -> FloatArray:
    """A closed line (column, row) of the padded field as (row, column) of the slice, its last point left out."""
    points: FloatArray = np.clip(line[:-1, ::-1] + origin, -0.5, shape - 0.5)
    return points


def _signed_area(polygon: FloatArray) -> float:
    rows, columns = (polygon - polygon[0]).T
    return 0.5 * float(rows @ np.roll(columns, -1) - columns @ np.roll(rows, -1))


def _keyholed(outline: FloatArray, holes: list[FloatArray]) -> FloatArray:
    """One polygon around an area with holes: channels run from each hole's last column straight on, outward.

    The hole that reaches farthest is joined first, so that no channel can cross a hole that is not joined yet.
    """
    if _signed_area(outline) < 0:
        outline = outline[::-1]
    for hole in sorted(holes, key=lambda ring: float(ring[:, 1].max()), reverse=True):
        ring = hole[::-1] if _signed_area(hole) > 0 else hole
        ring = np.roll(ring, -int(ring[:, 1].argmax()), axis=0)
        row, column = ring[0]
        ends = np.roll(outline, -1, axis=0)
        crossed = np.flatnonzero((outline[:, 0] <= row) != (ends[:, 0] <= row))
        share = (row - outline[crossed, 0]) / (ends[crossed, 0] - outline[crossed, 0])
        columns = outline[crossed, 1] + share * (ends[crossed, 1] - outline[crossed, 1])
        beyond = np.where(columns >= column, columns, np.inf)
        nearest = int(beyond.argmin())
        door = np.array([[row, beyond[nearest]]])
        edge = int(crossed[nearest]) + 1
        outline = np.concatenate([outline[:edge], door, ring, ring[:1], door, outline[edge:]])
    return outline


def _speck(beside: FloatArray, grid: Grid) -> FloatArray:
    """A triangle too small to hold anything, where the slice below has its contour."""
    row, column = beside[0]
    down, right = (_SPECK_MM / step for step in grid.spacing_mm[1:])
    return np.array([[row, column], [row + down, column], [row, column + right]])
