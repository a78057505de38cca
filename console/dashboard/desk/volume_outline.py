"""One structure on the reference: the axial cut where it is largest, its outline, and that of the version in use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from console.dashboard.screen.planes import contour_lines, plane_geometries
from console.snapshot import Snapshot
from console.volume_preview import StructurePreview
from quantify.model import Array, FloatArray, freeze

_HALF = (0.5,)
_BLACK_PCT, _WHITE_PCT = 1.0, 99.5

Outline = tuple[FloatArray, FloatArray, NDArray[np.bool_]]
"""x mm from the left, y mm from the top, and whether a line goes on to the next point."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OutlinePicture:
    """What is painted: grey levels (row, column), the outlines over them, and the patient's directions at the rims.

    ``letters`` are left, right, top, bottom. ``before`` is the outline of the version in use, None without one.
    """

    grey: NDArray[np.uint8]
    size_mm: tuple[float, float]
    letters: tuple[str, str, str, str]
    outline: Outline
    before: Outline | None
    caption: str

    def __post_init__(self) -> None:
        freeze(self, "grey")


def outline_picture(structure: StructurePreview, snapshot: Snapshot, *, name: str) -> OutlinePicture | None:
    """The cut through a structure where most of it lies; None where it or the reference cannot be shown.

    Parameters
    ----------
    name
        Of the volume that it becomes: the version in use of that name is outlined too.
    """
    if structure.cover is None or structure.box is None or not structure.cover.size:
        return None
    if snapshot.anatomy is not None:
        grid, values = snapshot.anatomy.grid, snapshot.anatomy.values
    elif snapshot.reference is not None:
        grid, values = snapshot.reference.grid, snapshot.reference.signal[0]
    else:
        return None
    axial = plane_geometries(grid)[0]
    across = tuple(axis for axis in range(3) if axis != axial.normal_axis)
    areas = structure.cover.sum(axis=across, dtype=np.float64)
    index = structure.box[axial.normal_axis].start + int(np.argmax(areas))
    used = next((v for v in snapshot.volumes if v.name == name and v.grid.shape == grid.shape), None)

    def outlined(occupancy: Array) -> Outline:
        cut = np.asarray(axial.cut(occupancy, index), dtype=np.float32)
        return contour_lines(cut, _HALF, axial.spacing_mm)[0]

    return OutlinePicture(
        grey=_grey(np.asarray(axial.cut(values, index), dtype=np.float32)),
        size_mm=axial.size_mm,
        letters=axial.letters,
        outline=outlined(structure.on(grid)),
        before=None if used is None else outlined(used.occupancy),
        caption=f"axial, slice {index + 1} of {grid.shape[axial.normal_axis]}",
    )


def _grey(plane: Array) -> NDArray[np.uint8]:
    known = np.nan_to_num(plane)
    low, high = np.percentile(known, (_BLACK_PCT, _WHITE_PCT))
    scaled = (known - low) / max(float(high - low), 1e-6)
    return np.ascontiguousarray(np.clip(255.0 * scaled, 0, 255).astype(np.uint8))
