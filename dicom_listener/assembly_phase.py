"""The phase images of an acquisition on its (echo × slice) grid: all of them, on one scale, or none.

Phase is an addition: what is missing, contradicts itself or has no known scale leaves the magnitude series as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dicom_listener.assembly_grid import EchoSliceGrid
from dicom_listener.assembly_parts import ECHO_TIME_TOLERANCE_S, POSITION_TOLERANCE_MM, PlacedPhase
from dicom_listener.phase import common_scale
from quantify.model import Array, FloatArray

PhaseCells = tuple[tuple[tuple[PlacedPhase, ...], ...], ...]
"""``cells[echo][slice]`` are the phase images there: one, or several in two series or of two minds."""


def phase_cells(grid: EchoSliceGrid, images: Iterable[PlacedPhase]) -> PhaseCells | None:
    """Arrange phase images on the grid of the magnitude; None unless every place has one. Any order gives the same.

    Parameters
    ----------
    grid
        Of the magnitude images, full.
    images
        Phase images of the stack; those of other echo times or positions are not used.
    """
    echo_times_s = np.array(grid.echo_times_s)
    along_mm = np.array([cell.along_mm for cell in grid.cells[0] if cell is not None])
    at: dict[tuple[int, int], list[PlacedPhase]] = {}
    for image in images:
        echo = _nearest(echo_times_s, image.echo_time_s, ECHO_TIME_TOLERANCE_S)
        index = _nearest(along_mm, image.along_mm, POSITION_TOLERANCE_MM)
        if echo is not None and index is not None:
            at.setdefault((echo, index), []).append(image)
    if len(at) < grid.n_echoes * grid.n_slices:
        return None
    return tuple(
        tuple(tuple(sorted(at[echo, index], key=lambda image: image.identity)) for index in range(grid.n_slices))
        for echo in range(grid.n_echoes)
    )


def phase_volume(cells: PhaseCells) -> Array | None:
    """Stack the phase in radians: float32 (echo, slice, row, column), read-only.

    The images become views of it: no second copy. None where their scale is unknown or not one, or two different
    images are at one place.
    """
    images = [image for row in cells for twins in row for image in twins]
    scale = common_scale((image.lowest, image.highest) for image in images)
    if scale is None or any(image.scale not in (None, scale) for image in images):
        return None
    rows, columns = cells[0][0][0].values.shape
    volume: Array = np.empty((len(cells), len(cells[0]), rows, columns), dtype=np.float32)
    for echo, row in enumerate(cells):
        for index, (first, *others) in enumerate(row):
            volume[echo, index] = first.radians(scale)
            if any(not np.array_equal(volume[echo, index], other.radians(scale)) for other in others):
                return None
    volume.flags.writeable = False
    for echo, row in enumerate(cells):
        for index, twins in enumerate(row):
            for image in twins:
                image.values, image.scale = volume[echo, index], scale
    return volume


def _nearest(values: FloatArray, value: float, tolerance: float) -> int | None:
    """Return the index of the nearest value; None where it is further off than the tolerance."""
    off: NDArray[np.float64] = np.abs(values - value)
    index = int(off.argmin())
    return index if off[index] <= tolerance else None
