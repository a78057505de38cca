"""What fills itself in while a volume is drawn: a threshold in a sphere, slices between drawn ones, holes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quantify.drawing import Lattice, Patch, sphere
from quantify.model import Array, FloatArray, Grid, freeze
from quantify.resampling import sampler
from quantify.volumes import Box, bounding_box


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledSphere:
    """A map's values at the voxels of a lattice in a sphere, in the map's unit; NaN where there is none."""

    box: Box
    values: Array
    centre: tuple[int, int, int]
    """The voxel of the centre, in the box; outside of it where the sphere's centre lies outside the lattice."""

    def __post_init__(self) -> None:
        freeze(self, "values")


def sampled_in_sphere(
    values: Array, grid: Grid, lattice: Lattice, centre_mm: Sequence[float], radius_mm: float
) -> SampledSphere:
    """Interpolate a map linearly to the voxels of a sphere.

    Parameters
    ----------
    values
        On `grid`, (slice, row, column); NaN is no value, and where most of what surrounds a point has none, nor has it.
    grid
        In the lattice's frame of reference.

    Raises
    ------
    ValueError
        If the radius is not above 0.
    """
    ball = sphere(lattice, centre_mm, radius_mm)
    begin = [side.start for side in ball.box]
    middle = np.rint(lattice.grid.index_from_lps[:3] @ [*centre_mm, 1.0]).astype(int) - begin
    centre = (int(middle[0]), int(middle[1]), int(middle[2]))
    if not ball.count:
        return SampledSphere(box=ball.box, values=np.full(ball.inside.shape, np.nan, np.float32), centre=centre)
    found = sampler(source=grid, target=lattice.part(ball.box), where=ball.inside).sample(values)
    return SampledSphere(box=ball.box, values=found, centre=centre)


def _level(typed: float) -> np.float32:
    """As the values are stored: what is typed is held against what is seen, beyond their range against all of them."""
    largest = float(np.finfo(np.float32).max)
    return np.float32(min(max(typed, -largest), largest))


def threshold(
    sampled: SampledSphere, *, at_least: float | None = None, at_most: float | None = None, connected: bool = False
) -> Patch:
    """The voxels of the sphere whose value lies between two levels.

    Parameters
    ----------
    at_least, at_most
        In the map's unit; None: no bound on that side. Both are part of what is found.
    connected
        Only what hangs together with the voxel at the centre, face to face; nothing where that is not inside.
    """
    inside = np.isfinite(sampled.values)
    with np.errstate(invalid="ignore"):
        if at_least is not None:
            inside &= sampled.values >= _level(at_least)
        if at_most is not None:
            inside &= sampled.values <= _level(at_most)
    if connected:
        inside = _joined(inside, sampled.centre)
    return Patch(box=sampled.box, inside=inside)


def _joined(inside: NDArray[np.bool_], centre: tuple[int, int, int]) -> NDArray[np.bool_]:
    if any(not 0 <= at < size for at, size in zip(centre, inside.shape, strict=True)) or not inside[centre]:
        return np.zeros_like(inside)
    parts, _ = ndimage.label(inside)
    return np.asarray(parts == parts[centre])


def interpolated(mask: NDArray[np.bool_], lattice: Lattice, axis: int) -> Patch:
    """The slices that are empty between drawn ones, filled by their shapes: signed distances, linear between slices.

    Raya and Udupa, IEEE Trans Med Imaging 1990;9:32–42. Two equal discs give the cylinder between them.

    Parameters
    ----------
    mask
        What is drawn, on the lattice.
    axis
        The axis along which slices of the reference are drawn.

    Returns
    -------
    Patch
        The voxels that are to be added; empty where no slice is missing between two.
    """
    whole = bounding_box(mask)
    parts = lattice.subdivision[axis]
    drawn = np.flatnonzero(mask[whole].any(axis=tuple(other for other in range(3) if other != axis)))
    slices = np.unique((drawn + whole[axis].start) // parts)
    inside = np.zeros([side.stop - side.start for side in whole], dtype=bool)
    spacing = [s for other, s in enumerate(lattice.grid.spacing_mm) if other != axis]
    cut = np.moveaxis(mask[whole], axis, 0)
    added = np.moveaxis(inside, axis, 0)
    begin = whole[axis].start
    for below, above in pairwise(int(number) for number in slices):
        if above - below < 2:
            continue
        last = int(np.max(drawn[drawn + begin < (below + 1) * parts]))
        first = int(np.min(drawn[drawn + begin >= above * parts]))
        lower, upper = (_signed_distance_mm(cut[layer], spacing) for layer in (last, first))
        for layer in range(last + 1, first):
            share = (layer - last) / (first - last)
            added[layer] = (1.0 - share) * lower + share * upper > 0.0
    return Patch(box=whole, inside=inside)


def _signed_distance_mm(inside: NDArray[np.bool_], spacing_mm: Sequence[float]) -> FloatArray:
    """Distance to the border, above 0 inside; what lies beyond the array is outside."""
    padded = np.pad(inside, 1)
    within = ndimage.distance_transform_edt(padded, sampling=spacing_mm)
    beyond = ndimage.distance_transform_edt(~padded, sampling=spacing_mm)
    return np.asarray((within - beyond)[1:-1, 1:-1], dtype=np.float64)


def enclosed(mask: NDArray[np.bool_], axis: int) -> Patch:
    """The voxels that what is drawn encloses in each layer along an axis: an outline becomes an area."""
    whole = bounding_box(mask)
    cut = np.moveaxis(mask[whole], axis, 0)
    inside = np.zeros_like(mask[whole])
    added = np.moveaxis(inside, axis, 0)
    for layer, drawn in enumerate(cut):
        if drawn.any():
            added[layer] = ndimage.binary_fill_holes(drawn) & ~drawn
    return Patch(box=whole, inside=inside)
