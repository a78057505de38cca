"""The lines over a cut: isodose lines of a map and borders of volumes, each with places for its name."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from console.dashboard.screen.model import Isodose, Lines, Outline
from console.dashboard.screen.planes import PlaneGeometry, contour_lines
from quantify.model import Array, FloatArray, Role, Volume

_SHORTEST_ISODOSE_MM = 25.0
"""Around a spot of 8 mm, some two or three voxels across."""


def isodose_lines(plane: Array, geometry: PlaneGeometry, levels_gy: tuple[float, ...]) -> tuple[Isodose, ...]:
    """The lines of equal dose in a plane (row, column); they end where the dose cannot be evaluated (NaN).

    A line shorter than 25 mm is left out: where the dose lies near a level, noise draws a hundred of them, which look
    like the pattern of something else. The wash and the probe show what lies there.
    """
    lines = _contours(plane, np.isfinite(plane), levels_gy, geometry.spacing_mm, shortest_mm=_SHORTEST_ISODOSE_MM)
    return tuple(Isodose(level_gy=level, lines=line) for level, line in zip(levels_gy, lines, strict=True))


def volume_outlines(
    volumes: tuple[Volume, ...],
    geometry: PlaneGeometry,
    index: int,
    indices: dict[str, int],
    fed: frozenset[str] | None,
) -> tuple[Outline, ...]:
    """Where the borders of volumes cut a plane.

    Parameters
    ----------
    indices
        Name of a volume to its number in the plot.
    fed
        The volumes that the position in question feeds; None: all.
    """
    # The healthy liver is the liver without its tumours: its border is drawn already.
    whole = any(v.role is Role.LIVER for v in volumes)
    found = []
    for volume in volumes:
        if whole and volume.role is Role.HEALTHY_LIVER:
            continue
        lines = _border(volume, geometry, index)
        if len(lines.x_mm):
            series = indices.get(volume.name) if volume.role is Role.TUMOUR else None
            highlighted = fed is None or volume.name in fed
            found.append(Outline(name=volume.name, lines=lines, series=series, highlighted=highlighted))
    return tuple(found)


@lru_cache(maxsize=128)
def _border(volume: Volume, geometry: PlaneGeometry, index: int) -> Lines:
    first, last = _extent(volume)[geometry.normal_axis]
    if not first <= index <= last:
        return _with_label(np.empty(0), np.empty(0), np.empty(0, dtype=bool))
    plane = np.ascontiguousarray(geometry.cut(volume.occupancy, index), dtype=np.float32)
    return _contours(plane, plane > 0, (0.5,), geometry.spacing_mm)[0]


@lru_cache(maxsize=32)
def _extent(volume: Volume) -> tuple[tuple[int, int], ...]:
    """First and last index of a volume along each axis; (0, −1) if it is empty."""
    inside = volume.occupancy > 0
    found = [np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    return tuple((int(at[0]), int(at[-1])) if len(at) else (0, -1) for at in found)


def _contours(
    plane: Array,
    worth: NDArray[np.bool_],
    levels: tuple[float, ...],
    spacing_mm: tuple[float, float],
    *,
    shortest_mm: float = 0.0,
) -> list[Lines]:
    """Contour only the part of a plane that is worth it, with a voxel around: most of a cut is not liver."""
    rows, columns = np.flatnonzero(worth.any(axis=1)), np.flatnonzero(worth.any(axis=0))
    if not len(rows):
        none = _with_label(np.empty(0), np.empty(0), np.empty(0, dtype=bool))
        return [none for _ in levels]
    top, left = max(0, int(rows[0]) - 1), max(0, int(columns[0]) - 1)
    part = plane[top : int(rows[-1]) + 2, left : int(columns[-1]) + 2]
    across, down = left * spacing_mm[0], top * spacing_mm[1]
    found = []
    for x, y, connect in contour_lines(part, levels, spacing_mm):
        kept = _long_enough(x, y, connect, shortest_mm)
        found.append(_with_label(x[kept] + across, y[kept] + down, connect[kept]))
    return found


def _long_enough(x: FloatArray, y: FloatArray, connect: NDArray[np.bool_], shortest_mm: float) -> NDArray[np.bool_]:
    """Which points belong to lines of at least that length."""
    if not len(x) or shortest_mm <= 0:
        return np.ones(len(x), dtype=bool)
    steps = np.zeros(len(x))
    steps[:-1] = np.where(connect[:-1], np.hypot(np.diff(x), np.diff(y)), 0.0)
    ends = np.flatnonzero(~connect) + 1
    starts = np.concatenate(([0], ends[:-1]))
    long: NDArray[np.bool_] = np.add.reduceat(steps, starts) >= shortest_mm
    return np.repeat(long, ends - starts)


def _with_label(x: FloatArray, y: FloatArray, connect: NDArray[np.bool_]) -> Lines:
    """Lines, and the places for their name: the outermost points of the longest of them."""
    if not len(x):
        return Lines(x_mm=x, y_mm=y, connect=connect, label_places=())
    ends = np.flatnonzero(~connect) + 1
    starts = np.concatenate(([0], ends[:-1]))
    longest = int(np.argmax(ends - starts))
    part = slice(starts[longest], ends[longest])
    outermost = (np.argmax(x[part]), np.argmin(x[part]), np.argmin(y[part]), np.argmax(y[part]))
    places = tuple((float(x[part][at]), float(y[part][at])) for at in outermost)
    return Lines(x_mm=x, y_mm=y, connect=connect, label_places=places)
