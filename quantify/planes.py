"""Cuts through the patient: how the voxels of any grid are turned to be read as axial, coronal and sagittal.

Display convention of radiology: axial and coronal show the patient's left on the right of the screen; axial has
anterior on top, coronal and sagittal the head; sagittal has anterior on the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Any

import contourpy
import numpy as np
from numpy.typing import NDArray

from quantify.model import Array, FloatArray, Grid

# A direction is named after every patient axis that it follows by more than this cosine (about 12°).
_NAMED_COSINE = 0.2
_AXIS_LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))
_OBLIQUE_COSINE = float(np.cos(np.deg2rad(2.0)))

# name: patient axis of the normal, and of the display's right and down with the sign wanted (LPS)
_CONVENTIONS = {
    "axial": (2, (0, 1), (1, 1)),
    "coronal": (1, (0, 1), (2, -1)),
    "sagittal": (0, (1, 1), (2, -1)),
}
PLANE_NAMES = tuple(_CONVENTIONS)


@dataclass(frozen=True, kw_only=True)
class PlaneGeometry:
    """How one plane is cut from a grid and turned for display.

    ``normal_axis``, ``right_axis`` and ``down_axis`` are array axes (0 slice, 1 row, 2 column); a flipped axis
    runs against its index on the display. ``spacing_mm`` is (horizontal, vertical).
    """

    name: str
    normal_axis: int
    right_axis: int
    down_axis: int
    right_flipped: bool
    down_flipped: bool
    spacing_mm: tuple[float, float]
    size: tuple[int, int]
    """(columns, rows) on the display."""
    letters: tuple[str, str, str, str]
    """left, right, top, bottom."""
    oblique_deg: float
    towards: int
    """+1 if the index along the normal grows towards the patient's left, back or head, else −1."""

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the plane."""
        return self.size[0] * self.spacing_mm[0], self.size[1] * self.spacing_mm[1]

    def cut(self, values: NDArray[np.generic], index: int) -> NDArray[np.generic]:
        """The plane at `index` along its normal, as a view: display row 0 on top, column 0 on the left."""
        plane = values[(slice(None),) * self.normal_axis + (index,)]
        if self.down_axis > self.right_axis:
            plane = plane.T
        rows = slice(None, None, -1) if self.down_flipped else slice(None)
        columns = slice(None, None, -1) if self.right_flipped else slice(None)
        cut: NDArray[np.generic] = plane[rows, columns]
        return cut

    def place_mm(self, voxel: tuple[int, int, int]) -> tuple[float, float]:
        """Where a voxel's centre lies on the display: mm from the left, mm from the top."""
        column, row = voxel[self.right_axis], voxel[self.down_axis]
        column = self.size[0] - 1 - column if self.right_flipped else column
        row = self.size[1] - 1 - row if self.down_flipped else row
        return (column + 0.5) * self.spacing_mm[0], (row + 0.5) * self.spacing_mm[1]

    def voxel_at(self, x_mm: float, y_mm: float, voxel: tuple[int, int, int]) -> tuple[int, int, int]:
        """The voxel under a point of the display, in the plane that cuts through `voxel`; kept inside the grid."""
        column = min(max(int(x_mm // self.spacing_mm[0]), 0), self.size[0] - 1)
        row = min(max(int(y_mm // self.spacing_mm[1]), 0), self.size[1] - 1)
        found = list(voxel)
        found[self.right_axis] = self.size[0] - 1 - column if self.right_flipped else column
        found[self.down_axis] = self.size[1] - 1 - row if self.down_flipped else row
        return found[0], found[1], found[2]


def direction_letters(direction_lps: FloatArray) -> str:
    """Name a direction in the patient: L, R, A, P, H, F, the strongest first; an oblique one has two or three."""
    unit = np.asarray(direction_lps, dtype=np.float64) / np.linalg.norm(direction_lps)
    order = np.argsort(-np.abs(unit), kind="stable")
    return "".join(_AXIS_LETTERS[axis][int(unit[axis] < 0)] for axis in order if abs(unit[axis]) > _NAMED_COSINE)


@lru_cache(maxsize=16)
def plane_geometries(grid: Grid) -> tuple[PlaneGeometry, ...]:
    """Axial, coronal and sagittal of a grid however it was acquired: each by the voxel axes nearest to it."""
    directions = grid.affine_lps_mm[:3, :3] / np.linalg.norm(grid.affine_lps_mm[:3, :3], axis=0)
    # axis_of[k]: the array axis that runs most nearly along patient axis k; the best of the six assignments.
    axis_of = max(permutations(range(3)), key=lambda order: sum(abs(directions[k, order[k]]) for k in range(3)))
    return tuple(_geometry(name, grid, directions, axis_of) for name in _CONVENTIONS)


def _geometry(name: str, grid: Grid, directions: FloatArray, axis_of: tuple[int, ...]) -> PlaneGeometry:
    normal, (right, right_sign), (down, down_sign) = _CONVENTIONS[name]
    right_axis, down_axis = axis_of[right], axis_of[down]
    right_flipped = bool(directions[right, right_axis] * right_sign < 0)
    down_flipped = bool(directions[down, down_axis] * down_sign < 0)
    to_right = directions[:, right_axis] * (-1 if right_flipped else 1)
    to_bottom = directions[:, down_axis] * (-1 if down_flipped else 1)
    across = np.cross(to_right, to_bottom)
    tilt = abs(across[normal]) / np.linalg.norm(across)
    return PlaneGeometry(
        name=name,
        normal_axis=axis_of[normal],
        right_axis=right_axis,
        down_axis=down_axis,
        right_flipped=right_flipped,
        down_flipped=down_flipped,
        spacing_mm=(grid.spacing_mm[right_axis], grid.spacing_mm[down_axis]),
        size=(grid.shape[right_axis], grid.shape[down_axis]),
        letters=tuple(direction_letters(v) for v in (-to_right, to_right, -to_bottom, to_bottom)),  # type: ignore[arg-type]
        towards=1 if directions[normal, axis_of[normal]] > 0 else -1,
        oblique_deg=0.0 if tilt > _OBLIQUE_COSINE else float(np.rad2deg(np.arccos(tilt))),
    )


def contour_lines(
    plane: Array, levels: tuple[float, ...], spacing_mm: tuple[float, float]
) -> list[tuple[FloatArray, FloatArray, NDArray[np.bool_]]]:
    """Lines of equal value in a plane, one (x mm, y mm, connect) per level.

    `plane` is (row, column) with its values at the voxels' centres; NaN voxels are left out, so lines end there.
    Lines of one level are concatenated; ``connect`` is False at the last point of each.
    """
    columns, rows = plane.shape[1], plane.shape[0]
    empty = (np.empty(0), np.empty(0), np.empty(0, dtype=bool))
    if columns < 2 or rows < 2:
        return [empty for _ in levels]
    # Not `contourpy.contour_generator`: its checks of the same arguments take longer than the lines.
    generator = contourpy.SerialContourGenerator(
        *_indices(rows, columns),
        plane.astype(np.float64),
        ~np.isfinite(plane),
        corner_mask=True,
        line_type=contourpy.LineType.ChunkCombinedOffset,
        fill_type=contourpy.FillType.OuterOffset,
        quad_as_tri=False,
        z_interp=contourpy.ZInterp.Linear,
    )
    found = []
    for level in levels:
        chunks: Any = generator.lines(level)
        points, offsets = chunks[0][0], chunks[1][0]
        if points is None:
            found.append(empty)
            continue
        connect = np.ones(len(points), dtype=bool)
        connect[offsets[1:].astype(np.int64) - 1] = False
        found.append(((points[:, 0] + 0.5) * spacing_mm[0], (points[:, 1] + 0.5) * spacing_mm[1], connect))
    return found


@lru_cache(maxsize=64)
def _indices(rows: int, columns: int) -> tuple[FloatArray, FloatArray]:
    """Column and row of every voxel."""
    column, row = np.meshgrid(np.arange(columns, dtype=np.float64), np.arange(rows, dtype=np.float64))
    return column, row


def bounds_mm(
    mask: NDArray[np.bool_], geometry: PlaneGeometry, *, margin_mm: float
) -> tuple[float, float, float, float]:
    """left, top, width, height in mm of the part of a plane that a volume's `mask` projects on, with a margin."""
    projected: NDArray[np.bool_] = np.any(mask, axis=geometry.normal_axis)
    axes = [axis for axis in range(3) if axis != geometry.normal_axis]
    if axes != [geometry.down_axis, geometry.right_axis]:
        projected = projected.T
    projected = projected[:: -1 if geometry.down_flipped else 1, :: -1 if geometry.right_flipped else 1]
    width, height = geometry.size_mm
    if not projected.any():
        return 0.0, 0.0, width, height
    columns, rows = np.flatnonzero(projected.any(axis=0)), np.flatnonzero(projected.any(axis=1))
    left = max(0.0, columns[0] * geometry.spacing_mm[0] - margin_mm)
    top = max(0.0, rows[0] * geometry.spacing_mm[1] - margin_mm)
    right = min(width, (columns[-1] + 1) * geometry.spacing_mm[0] + margin_mm)
    bottom = min(height, (rows[-1] + 1) * geometry.spacing_mm[1] + margin_mm)
    return left, top, right - left, bottom - top
