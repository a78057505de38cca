"""Closed contours on parallel planes to the occupancy, 0…1, of every voxel of a grid.

The solid is a pile of slabs: each plane's area (even-odd rule, so that XOR contours and keyholes are holes) stands
for half the distance to its neighbours on both sides. The areas are drawn once, exactly along one direction, on a
lattice finer than the voxels; a voxel's occupancy is the mean of that drawing over points spread evenly in it. The
contours' orientation need not be the grid's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from quantify.model import Array, FloatArray, Grid

_PLANE_TOLERANCE_MM = 0.1
"""A contour's points may leave its plane, and contours of one plane each other, by what decimals round."""
_SAME_POINT_MM = 0.02
_CELLS_PER_VOXEL = 3
_SCANLINES_PER_CELL = 4
_CELL_LIMIT = 3_000_000
"""Lattice cells at most (12 MB): a large structure on a fine grid is drawn more coarsely instead."""
_NOISE = 1e-6
"""Differences of sums leave 1e-16 where the cover is 0 or 1; that is no surface."""
_SUBSAMPLE_LIMIT = 12
_POINTS_ACROSS = 8
"""A solid smaller than a few voxels is met by at least so many points along its smallest side."""
_GAP_LIMIT = 3.5
"""A gap of more than this many typical distances is space between two bodies, not skipped planes between slices."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pile:
    """The slabs, in their own coordinates: `u` and `v` in the planes, `h` along the normal, mm.

    ``cover`` is (slab, v, u), the covered share of every cell, with an empty margin around it; slab k reaches from
    ``bounds_mm[k]`` to ``bounds_mm[k + 1]``.
    """

    axes: FloatArray
    cover: NDArray[np.float32]
    pitch_mm: float
    origin_uv_mm: FloatArray
    bounds_mm: FloatArray
    volume_ml: float


def occupancy(
    contours: Sequence[FloatArray], grid: Grid, *, subsamples: tuple[int, int, int] = (3, 2, 2)
) -> tuple[Array, float]:
    """Return the occupancy of every voxel, and the volume that the contours enclose.

    Parameters
    ----------
    contours
        Closed polygons, each (n, 3), LPS mm, in the grid's frame of reference; the last point joins the first.
    grid
        Where the occupancy is wanted. Parts of the solid outside it are in the volume but in no voxel.
    subsamples
        Points per voxel along (slice, row, column), for voxels that the surface crosses. Along the axis nearest
        to the contours' normal there are more where the planes are closer than the points.

    Returns
    -------
    tuple
        Occupancy, float32 (slice, row, column), 0…1 (share of the voxel); and the contour volume, mL:
        Σ area × thickness over planes. The first plane is as thick towards outside as towards its neighbour, and
        a single plane as thick as a voxel along its normal.

    Raises
    ------
    ValueError
        If there are no contours, or one has fewer than three points, encloses nothing, is not planar, or lies
        in a plane that is not parallel to the others'.
    """
    if len(contours) == 0:
        raise ValueError("The structure has no closed contours; draw it before a volume can be computed.")
    if min(subsamples) < 1:
        raise ValueError(f"subsamples is {subsamples}; expected three positive numbers.")
    steps = grid.affine_lps_mm[:3, :3]
    pile = _pile(_distinct([_polygon(contour, number) for number, contour in enumerate(contours, 1)]), steps)
    filled = np.zeros(grid.shape, dtype=np.float32)
    low, high = _box(pile, grid)
    if (low >= high).any():
        return filled, pile.volume_ml
    # From here on in voxel indices relative to the box that encloses the solid.
    to_pile = pile.axes @ steps
    origin = pile.axes @ (grid.affine_lps_mm[:3, 3] + steps @ low)
    shape = tuple(int(n) for n in high - low)
    counts = _subsample_counts(pile, to_pile, subsamples)
    blend_mm = _blend(pile, to_pile, counts)
    centres = _sample(pile, _positions(np.indices(shape, sparse=True), to_pile, origin), blend_mm)
    surface = np.flatnonzero(_surface(pile, to_pile, origin, shape))
    at = _positions(np.unravel_index(surface, shape), to_pile, origin)
    mean = np.zeros(len(surface))
    for fractions in product(*((np.arange(n) + 0.5) / n - 0.5 for n in counts)):
        offset = to_pile @ np.array(fractions)
        mean += _sample(pile, tuple(axis + step for axis, step in zip(at, offset, strict=True)), blend_mm)
    centres.ravel()[surface] = mean / np.prod(counts)
    filled[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = np.clip(centres, 0.0, 1.0)
    return filled, pile.volume_ml


def _polygon(contour: FloatArray, number: int) -> FloatArray:
    points = np.asarray(contour, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 3:
        raise ValueError(f"Contour {number} has shape {points.shape}; expected at least three points of x, y, z.")
    if not np.isfinite(points).all():
        raise ValueError(f"Contour {number} has a coordinate that is not a finite number.")
    return points


def _distinct(polygons: list[FloatArray]) -> list[FloatArray]:
    """Return each polygon once: of one that was written twice the even-odd rule would leave nothing.

    Two are the same if each point of either lies on a point of the other, to what decimals round: wherever each
    begins and whichever way round it runs.
    """
    boxes = np.array([np.concatenate([points.min(axis=0), points.max(axis=0)]) for points in polygons])
    kept: list[int] = []
    for number, points in enumerate(polygons):
        alike = np.flatnonzero(np.abs(boxes[kept] - boxes[number]).max(axis=1) <= _SAME_POINT_MM) if kept else ()
        if not any(_same_points(points, polygons[kept[other]]) for other in alike):
            kept.append(number)
    return [polygons[number] for number in kept]


def _same_points(first: FloatArray, second: FloatArray) -> bool:
    one, other = KDTree(first), KDTree(second)
    farthest = max(float(other.query(first)[0].max()), float(one.query(second)[0].max()))
    return farthest <= _SAME_POINT_MM


def _area_vector(points: FloatArray) -> FloatArray:
    """Return the vector normal to a polygon whose length is its area (Newell), mm²."""
    rays = points - points[0]
    area: FloatArray = 0.5 * np.cross(rays, np.roll(rays, -1, axis=0)).sum(axis=0)
    return area


def _pile(polygons: list[FloatArray], steps: FloatArray) -> _Pile:
    areas = np.array([_area_vector(points) for points in polygons])
    sizes = np.linalg.norm(areas, axis=1)
    if sizes.max() <= 0.0:
        raise ValueError("No contour of the structure encloses an area.")
    axes = _axes(areas[sizes.argmax()] / sizes.max())
    local = [points @ axes.T for points in polygons]
    for number, (points, own, area, size) in enumerate(zip(polygons, local, areas, sizes, strict=True), 1):
        if np.ptp(own[:, 0]) <= 2 * _PLANE_TOLERANCE_MM:
            continue
        flat = size > 0 and np.ptp(points @ area / size) <= 2 * _PLANE_TOLERANCE_MM
        if flat:
            raise ValueError(f"Contour {number} lies in a plane that is not parallel to the other contours' planes.")
        raise ValueError(f"Contour {number} is not planar: its points leave their plane by {np.ptp(own[:, 0]):.2f} mm.")
    heights = np.array([points[:, 0].mean() for points in local])
    order = np.argsort(heights, kind="stable")
    breaks = np.concatenate(([True], np.diff(heights[order]) > 2 * _PLANE_TOLERANCE_MM))
    slab_of = np.empty(len(local), dtype=np.intp)
    slab_of[order] = np.cumsum(breaks) - 1
    planes = np.bincount(slab_of, heights) / np.bincount(slab_of)
    voxel_mm = float(np.abs(axes[0] @ steps).max())
    slabs, bounds = _bounds(planes, voxel_mm)
    cover, pitch, origin = _draw([points[:, 1:] for points in local], slabs[slab_of], len(bounds) - 1, steps)
    volume = (cover.sum(axis=(1, 2), dtype=np.float64) * np.diff(bounds)).sum() * pitch**2 / 1000.0
    return _Pile(axes=axes, cover=cover, pitch_mm=pitch, origin_uv_mm=origin, bounds_mm=bounds, volume_ml=float(volume))


def _axes(normal: FloatArray) -> FloatArray:
    """Return rows (normal, v, u): orthonormal, from patient mm to the pile's (h, v, u)."""
    helper = np.eye(3)[np.abs(normal).argmin()]
    u = np.cross(helper, normal)
    u /= np.linalg.norm(u)
    return np.array([normal, np.cross(normal, u), u])


def _bounds(planes: FloatArray, voxel_mm: float) -> tuple[NDArray[np.intp], FloatArray]:
    """Return each plane's slab, and the slabs' bounds: an empty slab stands between bodies far apart."""
    if len(planes) == 1:
        return np.zeros(1, dtype=np.intp), np.array([planes[0] - voxel_mm / 2, planes[0] + voxel_mm / 2])
    gaps = np.diff(planes)
    typical = float(np.median(gaps))
    first = min(gaps[0], typical) / 2
    bounds, slabs = [planes[0] - first], [0]
    for (below, above), gap in zip(pairwise(planes), gaps, strict=True):
        if gap > _GAP_LIMIT * typical:
            bounds += [below + typical / 2, above - typical / 2]
            slabs.append(slabs[-1] + 2)
        else:
            bounds.append((below + above) / 2)
            slabs.append(slabs[-1] + 1)
    bounds.append(planes[-1] + min(gaps[-1], typical) / 2)
    return np.array(slabs, dtype=np.intp), np.array(bounds)


def _draw(
    polygons: list[FloatArray], slab_of: NDArray[np.intp], n_slabs: int, steps: FloatArray
) -> tuple[NDArray[np.float32], float, FloatArray]:
    """Draw the covered share of each lattice cell by scanlines along u, exact in u, even-odd.

    A crossing at x in cell i changes the cover by ±(i + 1 − x) there and by ±1 in all cells after: two entries
    in a table of differences, summed up at the end.
    """
    points = np.concatenate(polygons)
    low, high = points.min(axis=0), points.max(axis=0)
    pitch = float(np.linalg.norm(steps, axis=0).min()) / _CELLS_PER_VOXEL
    # A structure of few voxels is still drawn in some 50 cells.
    pitch = min(pitch, max(float((high - low).max()) / 50, pitch / 8))
    pitch = max(pitch, float(np.sqrt(np.prod(high - low) * n_slabs / _CELL_LIMIT)))
    origin = low - 2 * pitch
    rows, columns = (int(n) for n in np.ceil((high - origin) / pitch) + 2)
    starts = (points - origin) / pitch
    ends = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    ends = (ends - origin) / pitch
    slabs = np.repeat(slab_of, [len(polygon) for polygon in polygons])
    # Scanline j lies at v = (j + ½) / _SCANLINES_PER_CELL cells; an edge meets those in [lower, upper).
    v0, v1 = (np.ceil(ends_[:, 0] * _SCANLINES_PER_CELL - 0.5).astype(np.intp) for ends_ in (starts, ends))
    count = np.abs(v1 - v0)
    edge = np.repeat(np.arange(len(starts)), count)
    line = np.minimum(v0, v1)[edge] + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    v = (line + 0.5) / _SCANLINES_PER_CELL
    share = (v - starts[edge, 0]) / (ends[edge, 0] - starts[edge, 0])
    x = starts[edge, 1] + share * (ends[edge, 1] - starts[edge, 1])
    scan = slabs[edge] * (rows * _SCANLINES_PER_CELL) + line
    order = np.lexsort((x, scan))
    scan, x = scan[order], x[order]
    # Every scanline meets closed polygons an even number of times, so parity runs on over all of them.
    weight = np.where(np.arange(len(x)) % 2 == 0, 1.0, -1.0) / _SCANLINES_PER_CELL
    cell = np.floor(x).astype(np.intp)
    inside = cell + 1 - x
    flat = (scan // _SCANLINES_PER_CELL) * columns + cell
    table = np.bincount(
        np.concatenate([flat, flat + 1]),
        np.concatenate([weight * inside, weight * (1.0 - inside)]),
        minlength=n_slabs * rows * columns,
    )
    cover = np.cumsum(table.reshape(n_slabs, rows, columns), axis=2, dtype=np.float64)
    return cover.astype(np.float32), pitch, origin


def _box(pile: _Pile, grid: Grid) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the index box (low, high) of the grid that the pile can touch."""
    extent = np.array(pile.cover.shape[1:]) * pile.pitch_mm
    h = (pile.bounds_mm[0], pile.bounds_mm[-1])
    v, u = ((o, o + e) for o, e in zip(pile.origin_uv_mm, extent, strict=True))
    corners = np.array(list(product(h, v, u))) @ pile.axes
    index = corners @ grid.index_from_lps[:3, :3].T + grid.index_from_lps[:3, 3]
    low = np.clip(np.floor(index.min(axis=0)).astype(np.intp) - 1, 0, grid.shape)
    high = np.clip(np.ceil(index.max(axis=0)).astype(np.intp) + 2, 0, grid.shape)
    return low, high


def _subsample_counts(pile: _Pile, to_pile: FloatArray, subsamples: tuple[int, int, int]) -> list[int]:
    """Return points per voxel and axis: no slab may fall between two of them, and a small solid meets several."""
    counts = list(subsamples)
    reach = np.abs(to_pile[0])
    axis = int(reach.argmax())
    counts[axis] = max(counts[axis], int(np.ceil(reach[axis] / np.diff(pile.bounds_mm).min() - 1e-6)))
    size_mm = np.array([np.ptp(pile.bounds_mm), *(np.array(pile.cover.shape[1:]) * pile.pitch_mm)])
    voxels = np.linalg.norm(to_pile, axis=0) / size_mm.min()
    return [
        min(max(n, int(np.ceil(_POINTS_ACROSS * v))), _SUBSAMPLE_LIMIT) for n, v in zip(counts, voxels, strict=True)
    ]


def _blend(pile: _Pile, to_pile: FloatArray, counts: list[int]) -> float:
    """Return the height over which one slab goes over into the next, mm.

    It is the height that one point stands for, so that a voxel's points tile it: shifting the grid along the
    normal then changes the occupancy in proportion, not in steps.
    """
    reach = float((np.abs(to_pile[0]) / np.array(counts)).max())
    return min(reach, float(np.diff(pile.bounds_mm).min()))


def _positions(
    index: Sequence[NDArray[np.intp]], to_pile: FloatArray, origin: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (h, v, u) in mm at box indices; sparse index arrays broadcast."""
    h, v, u = (
        row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + start
        for row, start in zip(to_pile, origin, strict=True)
    )
    return h, v, u


def _sample(pile: _Pile, at: tuple[FloatArray, FloatArray, FloatArray], blend_mm: float) -> FloatArray:
    """Return the cover at points: linear between cells, and over `blend_mm` around the bounds between slabs."""
    h, v, u = at
    n = len(pile.bounds_mm)
    # Around bound k the slab coordinate runs from k − 1 to k; −1 and n − 1 lie outside the pile, where cover is 0.
    knots = np.stack([pile.bounds_mm - blend_mm / 2, pile.bounds_mm + blend_mm / 2], axis=1).ravel()
    knots += np.arange(2 * n) * 1e-9
    slab = np.interp(h, knots, np.stack([np.arange(n) - 1.0, np.arange(n)], axis=1).ravel())
    row = (v - pile.origin_uv_mm[0]) / pile.pitch_mm - 0.5
    column = (u - pile.origin_uv_mm[1]) / pile.pitch_mm - 0.5
    sampled: FloatArray = ndimage.map_coordinates(
        pile.cover, [slab, row, column], order=1, mode="grid-constant", cval=0.0, prefilter=False
    )
    return sampled


def _surface(pile: _Pile, to_pile: FloatArray, origin: FloatArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the voxels of the box that the solid's surface may cross.

    The surface is followed cell by cell, three cells and two heights to a voxel, so no part of it is farther than
    a third of a voxel, along each axis, from a point followed; every voxel within half a voxel of one is marked.
    """
    cover = pile.cover
    edge = np.zeros(cover.shape, dtype=bool)
    for axis in (1, 2):
        differs = np.abs(np.diff(cover, axis=axis)) > _NOISE
        lower, upper = [slice(None)] * 3, [slice(None)] * 3
        lower[axis], upper[axis] = slice(None, -1), slice(1, None)
        edge[tuple(lower)] |= differs
        edge[tuple(upper)] |= differs
    slab, row, column = np.nonzero(edge)
    step = float(np.linalg.norm(to_pile, axis=0).min()) / 2
    pieces = np.maximum(1, np.ceil(np.diff(pile.bounds_mm) / step).astype(np.intp))[slab]
    of = np.repeat(np.arange(len(slab)), pieces)
    piece = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    slab, row, column = slab[of], row[of], column[of]
    thickness = np.diff(pile.bounds_mm)[slab]
    walls = pile.bounds_mm[slab] + (piece + 0.5) / pieces[of] * thickness, row, column
    empty = np.zeros((1, *cover.shape[1:]), dtype=cover.dtype)
    bound, row, column = np.nonzero(np.abs(np.diff(np.concatenate([empty, cover, empty]), axis=0)) > _NOISE)
    points = [np.concatenate(pair) for pair in zip(walls, (pile.bounds_mm[bound], row, column), strict=True)]
    local = np.stack(
        [
            points[0],
            pile.origin_uv_mm[0] + (points[1] + 0.5) * pile.pitch_mm,
            pile.origin_uv_mm[1] + (points[2] + 0.5) * pile.pitch_mm,
        ]
    )
    index = np.floor(np.linalg.solve(to_pile, local - origin[:, None])).astype(np.intp)
    kept = ((index >= -1) & (index < np.array(shape)[:, None])).all(axis=0)
    marked = np.zeros(tuple(n + 1 for n in shape), dtype=bool)
    marked[tuple(index[:, kept] + 1)] = True
    for axis in range(3):
        lower, upper = [slice(None)] * 3, [slice(None)] * 3
        lower[axis], upper[axis] = slice(None, -1), slice(1, None)
        marked = marked[tuple(lower)] | marked[tuple(upper)]
    return marked
