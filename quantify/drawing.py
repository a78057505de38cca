"""Drawing of a volume: the lattice that it is drawn on, and the shapes that are drawn; no state.

A lattice divides every voxel of the reference grid into whole numbers of smaller ones: what is drawn is then a set of
its voxels, and the share of a reference voxel that is drawn is exact. Shapes are told as a `Patch`: a box of the
lattice and the voxels in it, so that a stroke costs what it covers and not what the lattice holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, pi

import numpy as np
from numpy.typing import NDArray

from quantify.model import FloatArray, Grid, freeze
from quantify.volumes import Box

EDGE_MM = 1.5
"""A sphere of 20 mm radius of voxels of this edge has its volume within half a per cent."""
MOST_VOXELS = 40_000_000
"""Of a lattice: a byte each. A larger one is divided less finely."""
_NEGLIGIBLE = 1e-6
"""Of a voxel: what the rounding of an inverse leaves."""
_EDGE_TOLERANCE = 0.1
"""A reference voxel of 1.64 mm is not worth twice the lattice."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lattice:
    """The reference grid with every voxel divided into ``subdivision`` (slice, row, column) equal parts."""

    reference: Grid
    subdivision: tuple[int, int, int]

    @cached_property
    def grid(self) -> Grid:
        """The lattice as a grid, in the reference's frame and along its axes."""
        parts = np.array(self.subdivision, dtype=np.float64)
        to_reference = np.eye(4)
        to_reference[:3, :3] = np.diag(1.0 / parts)
        to_reference[:3, 3] = 0.5 / parts - 0.5
        slices, rows, columns = (n * part for n, part in zip(self.reference.shape, self.subdivision, strict=True))
        return Grid(
            shape=(slices, rows, columns),
            affine_lps_mm=self.reference.affine_lps_mm @ to_reference,
            frame_of_reference_uid=self.reference.frame_of_reference_uid,
        )

    def part(self, box: Box) -> Grid:
        """A box of the lattice as a grid of its own."""
        affine = self.grid.affine_lps_mm.copy()
        affine[:3, 3] += affine[:3, :3] @ [float(side.start) for side in box]
        slices, rows, columns = (side.stop - side.start for side in box)
        return Grid(
            shape=(slices, rows, columns),
            affine_lps_mm=affine,
            frame_of_reference_uid=self.reference.frame_of_reference_uid,
        )

    def layers(self, axis: int, index: int) -> slice:
        """The layers of the lattice along an axis that make one slice of the reference."""
        parts = self.subdivision[axis]
        return slice(index * parts, (index + 1) * parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """Voxels of a lattice: ``inside`` (bool) in ``box``, none elsewhere.

    ``whole_ml`` is the volume of the shape that was meant where the lattice does not hold all of it; else None.
    """

    box: Box
    inside: NDArray[np.bool_]
    whole_ml: float | None = None

    def __post_init__(self) -> None:
        freeze(self, "inside")

    @cached_property
    def count(self) -> int:
        """How many voxels."""
        return int(np.count_nonzero(self.inside))


def drawing_lattice(reference: Grid, *, edge_mm: float = EDGE_MM, most_voxels: int = MOST_VOXELS) -> Lattice:
    """The lattice on which a volume is drawn over a reference.

    Parameters
    ----------
    edge_mm
        Voxel edges are to be about this long or shorter.
    most_voxels
        Where the lattice would have more, the axis with the shortest edges is divided less.
    """
    parts = [max(1, ceil(spacing / edge_mm - _EDGE_TOLERANCE)) for spacing in reference.spacing_mm]
    size = float(np.prod(reference.shape))
    while size * np.prod(parts) > most_voxels and max(parts) > 1:
        edges = [
            spacing / part if part > 1 else np.inf for spacing, part in zip(reference.spacing_mm, parts, strict=True)
        ]
        parts[int(np.argmin(edges))] -= 1
    return Lattice(reference=reference, subdivision=(parts[0], parts[1], parts[2]))


def sphere(lattice: Lattice, centre_mm: Sequence[float], radius_mm: float) -> Patch:
    """The voxels whose centres lie in a sphere, LPS mm.

    Raises
    ------
    ValueError
        If the radius is not above 0.
    """
    _check_radius(radius_mm)
    grid = lattice.grid
    middle = grid.index_from_lps[:3] @ [*centre_mm, 1.0]
    reach = radius_mm * np.linalg.norm(grid.index_from_lps[:3, :3], axis=1)
    box = _clipped(middle - reach, middle + reach, grid.shape)
    steps = grid.affine_lps_mm[:3, :3]
    off = np.ogrid[box]
    squared: FloatArray | float = 0.0
    for row in steps:
        along = sum(row[axis] * (off[axis] - middle[axis]) for axis in range(3))
        squared = squared + along * along
    inside = np.asarray(squared <= radius_mm**2)
    whole_ml = 4.0 / 3.0 * pi * radius_mm**3 / 1000.0 if reaches_beyond(middle - reach, middle + reach, grid) else None
    return Patch(box=box, inside=inside, whole_ml=whole_ml)


def left_out_ml(patch: Patch, lattice: Lattice) -> float:
    """Volume of the shape that was meant and that the lattice does not hold, mL."""
    if patch.whole_ml is None:
        return 0.0
    return max(0.0, patch.whole_ml - patch.count * lattice.grid.voxel_volume_ml)


def reaches_beyond(low: FloatArray, high: FloatArray, grid: Grid) -> bool:
    """Whether something from index `low` to `high` (slice, row, column) lies partly outside a grid."""
    return bool((low < -0.5 - _NEGLIGIBLE).any() or (high > np.array(grid.shape) - 0.5 + _NEGLIGIBLE).any())


def brush(lattice: Lattice, axis: int, path_mm: FloatArray, radius_mm: float) -> Patch:
    """A disc swept along a path in a plane, one slice of the reference thick.

    Parameters
    ----------
    axis
        Of the reference's array axes, the one along which the disc is thick (0 slice, 1 row, 2 column).
    path_mm
        (n, 3) LPS mm, n ≥ 1; the slice is that of the first point.
    radius_mm
        Of the disc, in the plane.

    Raises
    ------
    ValueError
        If the radius is not above 0, or the path has no point.
    """
    _check_radius(radius_mm)
    points = np.atleast_2d(np.asarray(path_mm, dtype=np.float64))
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 1:
        raise ValueError(f"The path has shape {points.shape}; expected at least one point of x, y, z.")
    reference, grid = lattice.reference, lattice.grid
    number = int(np.rint(reference.index_from_lps[axis] @ [*points[0], 1.0]))
    if not 0 <= number < reference.shape[axis]:
        return Patch(box=(slice(0, 0),) * 3, inside=np.zeros((0, 0, 0), dtype=bool))
    first, second = (other for other in range(3) if other != axis)
    index = points @ grid.index_from_lps[:3, :3].T + grid.index_from_lps[:3, 3]
    # Rows of `flat` take steps along both axes of the plane to mm in it, whatever the angle between them.
    flat = np.linalg.qr(grid.affine_lps_mm[:3, [first, second]])[1]
    reach = radius_mm * np.linalg.norm(np.linalg.inv(flat), axis=1)
    at = index[:, [first, second]]
    shape = (grid.shape[first], grid.shape[second])
    across, down = _sides(at.min(axis=0) - reach, at.max(axis=0) + reach, shape)
    places = np.stack(
        np.meshgrid(np.arange(across.start, across.stop), np.arange(down.start, down.stop), indexing="ij")
    )
    places_mm = np.tensordot(flat, places.astype(np.float64), axes=1)
    squared = _squared_from_path(places_mm, at @ flat.T)
    disc = np.expand_dims(squared <= radius_mm**2, axis)
    sides = [across, down]
    sides.insert(axis, lattice.layers(axis, number))
    box = (sides[0], sides[1], sides[2])
    inside = np.repeat(disc, lattice.subdivision[axis], axis=axis)
    return Patch(box=box, inside=inside)


def _squared_from_path(places: FloatArray, path: FloatArray) -> FloatArray:
    """Squared distance of places (2, …) from a polyline (n, 2), mm²."""
    least = np.full(places.shape[1:], np.inf)
    for start, end in zip(path, path[1:] if len(path) > 1 else path, strict=False):
        along = end - start
        length = float(along @ along)
        off = places - start[:, None, None]
        share = np.clip(np.tensordot(along, off, axes=1) / length, 0.0, 1.0) if length > 0 else 0.0
        apart = off - along[:, None, None] * share
        np.minimum(least, (apart * apart).sum(axis=0), out=least)
    return least


def _check_radius(radius_mm: float) -> None:
    if not (np.isfinite(radius_mm) and radius_mm > 0):
        raise ValueError(f"The radius is {radius_mm} mm; expected a finite number above 0.")


def _clipped(low: FloatArray, high: FloatArray, shape: tuple[int, int, int]) -> Box:
    first, second, third = _sides(low, high, shape)
    return first, second, third


def _sides(low: FloatArray, high: FloatArray, shape: tuple[int, ...]) -> list[slice]:
    """Whole indices from `low` to `high`, as far as the array reaches."""
    begins = np.clip(np.ceil(low), 0, shape).astype(np.intp)
    ends = np.clip(np.floor(high) + 1, begins, shape).astype(np.intp)
    return [slice(int(a), int(b)) for a, b in zip(begins, ends, strict=True)]
