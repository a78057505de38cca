"""The (echo × slice) grid of one acquisition: what fills it, what is missing, what contradicts itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dicom_listener.assembly_parts import ECHO_TIME_TOLERANCE_S, POSITION_TOLERANCE_MM, Geometry, Placed
from dicom_listener.assembly_refusals import (
    NO_TIME,
    contradicting_images,
    equal_echo_times,
    irregular_spacing,
    too_many_echoes,
)
from quantify.model import FloatArray, Grid

_SPACING_TOLERANCE = 0.02
"""Share of the spacing by which a slice may lie off its lattice: rounding of positions is below 0.1 %."""
_MOST_SLICES, _MOST_ECHOES = 4096, 256
"""More is no multi-echo series of slices, and is not laid out: two images 0.2 mm apart and a third 100 m off would be a
lattice of half a million."""
_LISTED = 8
"""Slices and echoes named one by one in a sentence before it says how many more there are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EchoSliceGrid:
    """``cells[echo][slice]`` is the image there, or None; slices ascend along the normal, holes included.

    ``fault`` is the sentence against its use as a volume at all; None where there is none.
    """

    cells: tuple[tuple[Placed | None, ...], ...]
    echo_times_s: tuple[float, ...]
    fault: str | None
    no_echo_time: int
    """Images without an echo time among images with one (field maps): left out."""

    @property
    def n_echoes(self) -> int:
        """Number of echo times seen."""
        return len(self.cells)

    @property
    def n_slices(self) -> int:
        """Number of slices, from the first position seen to the last, holes included."""
        return len(self.cells[0])

    @property
    def received(self) -> int:
        """Number of places that are filled."""
        return sum(cell is not None for row in self.cells for cell in row)

    def missing(self) -> str:
        """Return the holes in words, counted from 1; empty where there are none."""
        holes = np.array([[cell is None for cell in row] for row in self.cells])
        whole = holes.all(axis=0) if self.n_echoes > 1 else np.zeros(self.n_slices, dtype=bool)
        parts = [f"{_listed('slice', np.flatnonzero(whole))}: all echoes"] if whole.any() else []
        rest = holes & ~whole
        echoes = np.flatnonzero(rest.any(axis=1))
        parts += [f"echo {echo + 1}: {_listed('slice', np.flatnonzero(rest[echo]))}" for echo in echoes[:_LISTED]]
        if len(echoes) > _LISTED:
            parts.append(f"and {len(echoes) - _LISTED} more echoes")
        return "; ".join(parts)

    def volume(self) -> NDArray[np.float32]:
        """Stack a full grid: float32 (echo, slice, row, column). The images become views of it: no second copy."""
        first = self.cells[0][0]
        if first is None or self.received < self.n_echoes * self.n_slices:
            raise ValueError("EchoSliceGrid.volume needs a full grid.")
        volume = np.empty((self.n_echoes, self.n_slices, *first.signal.shape), dtype=np.float32)
        volume_view = volume.view()
        volume_view.flags.writeable = False
        for echo, row in enumerate(self.cells):
            for index, cell in enumerate(row):
                if cell is not None:
                    volume[echo, index] = cell.signal
                    cell.signal = volume_view[echo, index]
        return volume

    def grid(self, geometry: Geometry, frame_of_reference_uid: str) -> Grid:
        """Return where the voxels lie, from the positions of the first and last slice, never from a thickness.

        A single slice says nothing of the distance to the next; it is given 1 mm and is refused for holmium.
        """
        first, last = self.cells[0][0], self.cells[0][-1]
        if first is None or last is None:
            raise ValueError("EchoSliceGrid.grid needs a full grid.")
        origin = np.asarray(first.position_mm)
        affine = np.eye(4)
        affine[:3, 0] = (
            geometry.normal if self.n_slices == 1 else (np.asarray(last.position_mm) - origin) / (self.n_slices - 1)
        )
        affine[:3, 1] = np.asarray(geometry.column_direction) * geometry.pixel_spacing_mm[0]
        affine[:3, 2] = np.asarray(geometry.row_direction) * geometry.pixel_spacing_mm[1]
        affine[:3, 3] = origin
        return Grid(
            shape=(self.n_slices, *geometry.matrix),
            affine_lps_mm=affine,
            frame_of_reference_uid=frame_of_reference_uid,
        )


def echo_slice_grid(images: Sequence[Placed]) -> EchoSliceGrid:
    """Arrange the images of one acquisition; the result does not depend on their order.

    Parameters
    ----------
    images
        At least one magnitude image of one stack.
    """
    echo_times = np.array([image.echo_time_s for image in images])
    timed = echo_times > 0
    no_echo_time = 0
    if timed.any() and not timed.all():
        images = [image for image, kept in zip(images, timed, strict=True) if kept]
        no_echo_time = int((~timed).sum())
        echo_times = echo_times[timed]
    echo_labels, echo_centres = _clusters(echo_times, ECHO_TIME_TOLERANCE_S)
    too_many = len(echo_centres) > _MOST_ECHOES
    if too_many:
        kept_labels = echo_labels < _MOST_ECHOES
        images = [image for image, kept in zip(images, kept_labels, strict=True) if kept]
        echo_labels = echo_labels[kept_labels]
    slice_labels, positions = _clusters(np.array([image.along_mm for image in images]), POSITION_TOLERANCE_MM)
    lattice, fault = _lattice(positions)
    if too_many:
        fault = too_many_echoes(len(echo_centres), _MOST_ECHOES)
        echo_centres = echo_centres[:_MOST_ECHOES]
    n_slices = int(lattice[-1]) + 1
    at: dict[tuple[int, int], list[Placed]] = {}
    for image, echo, position in zip(images, echo_labels, slice_labels, strict=True):
        at.setdefault((int(echo), int(lattice[position])), []).append(image)
    differing = []
    for place, twins in at.items():
        if len(twins) > 1:
            twins.sort(key=lambda image: image.identity)
            if any(not np.array_equal(twins[0].signal, twin.signal) for twin in twins[1:]):
                differing.append(place)
    if differing:
        fault = _contradiction(at, differing, len(echo_centres), float(echo_centres[0]))
    if fault is None and all(image.acquired_at is None for image in images):
        fault = NO_TIME
    return EchoSliceGrid(
        cells=tuple(
            tuple(at[echo, index][0] if (echo, index) in at else None for index in range(n_slices))
            for echo in range(len(echo_centres))
        ),
        echo_times_s=tuple(float(centre) for centre in echo_centres),
        fault=fault,
        no_echo_time=no_echo_time,
    )


def _contradiction(
    at: dict[tuple[int, int], list[Placed]], differing: list[tuple[int, int]], n_echoes: int, echo_time_s: float
) -> str:
    counts = {len(twins) for twins in at.values()}
    if n_echoes == 1 and len(counts) == 1 and len(differing) == len(at):
        return equal_echo_times(echo_time_s, counts.pop())
    echo, slice_ = min(differing)
    return contradicting_images(echo + 1, slice_ + 1, len(differing))


def _clusters(values: FloatArray, tolerance: float) -> tuple[NDArray[np.intp], FloatArray]:
    """Return (label of each value, centre of each cluster, ascending); a gap above `tolerance` separates."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.concatenate(([True], np.diff(ordered) > tolerance))
    labels = np.empty(len(values), dtype=np.intp)
    labels[order] = np.cumsum(starts) - 1
    bounds = np.append(np.flatnonzero(starts), len(values))
    centres = np.array([ordered[(low + high - 1) // 2] for low, high in pairwise(bounds)])
    return labels, centres


def _lattice(positions: FloatArray) -> tuple[NDArray[np.intp], str | None]:
    """Return each position's index on the lattice of the smallest spacing, and the fault if they are on none."""
    gaps = np.diff(positions)
    if len(gaps) == 0:
        return np.zeros(1, dtype=np.intp), None
    steps = np.maximum(1, np.rint(gaps / gaps.min()))
    if steps.sum() >= _MOST_SLICES:
        return np.arange(len(positions)), irregular_spacing(float(gaps.min()), float(gaps.max()))
    spacing = gaps.sum() / steps.sum()
    index = np.concatenate(([0], np.cumsum(steps))).astype(np.intp)
    off = np.abs(positions - positions[0] - index * spacing).max()
    if off <= max(_SPACING_TOLERANCE * spacing, 0.01):
        return index, None
    return np.arange(len(positions)), irregular_spacing(float(gaps.min()), float(gaps.max()))


def _listed(noun: str, indices: NDArray[np.intp]) -> str:
    shown = ", ".join(str(index + 1) for index in indices[:_LISTED])
    more = len(indices) - _LISTED
    return f"{noun} {shown} and {more} more" if more > 0 else f"{noun} {shown}"
