"""The picture of a cut in voxels: grey anatomy under the wash, and the patterns of what has no dose of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from console.dashboard.screen.model import DoseLegend, PlaneScreen

# Patterns in pixels of the screen at scale 1: diagonals for what cannot be evaluated, dots for lower bounds.
_DIAGONALS_PX = 9
_DOTS_PX = 10
_HATCH = (214, 224, 234, 190)
_DOT = (255, 255, 255, 255)
_DOT_RIM = (0, 0, 0, 235)


def blended(
    plane: PlaneScreen, legend: DoseLegend, table: NDArray[np.uint8], rows: slice, columns: slice
) -> NDArray[np.uint8]:
    """Anatomy with the wash over it, (row, column, BGRA), of a part of the plane.

    `table` is 256 × RGBA from the legend's lowest to its highest dose; where there is no dose the anatomy is bare.
    """
    if plane.grey is None:
        grey = np.zeros(plane.geometry.size[::-1], dtype=np.float32)[rows, columns]
    else:
        low, high = plane.grey_levels
        grey = np.clip((plane.grey[rows, columns] - low) * np.float32(255.0 / max(high - low, 1e-9)), 0.0, 255.0)
        grey = np.nan_to_num(grey, nan=0.0)
    made = np.full((*grey.shape, 4), 255, dtype=np.uint8)
    if plane.dose is None:
        made[..., :3] = grey[..., None]
        return made
    dose = plane.dose[rows, columns]
    scaled = (dose - legend.minimum_gy) * np.float32(255.0 / (legend.maximum_gy - legend.minimum_gy))
    # The table's 257th row, without colour, is that of no dose.
    index = np.where(np.isfinite(dose), np.clip(scaled, 0.0, 255.0), 256.0).astype(np.intp)
    share = np.append(table[:, 3], 0).astype(np.float32) / np.float32(255.0)
    ink = np.append(table[:, 2::-1], [[0, 0, 0]], axis=0).astype(np.float32) * share[:, None]
    made[..., :3] = grey[..., None] * (1.0 - share)[index][..., None] + ink[index]
    return made


def hatching(masked: NDArray[np.bool_], scale: float = 1.0) -> NDArray[np.uint8]:
    """Diagonal strokes over the masked pixels of the screen, (row, column, BGRA premultiplied)."""
    rows, columns = np.ogrid[: masked.shape[0], : masked.shape[1]]
    apart, wide = max(6, round(_DIAGONALS_PX * scale)), max(2, round(2 * scale))
    return _filled(masked & ((rows + columns) % apart < wide), _HATCH)


def striped(width: int, height: int, rgb: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return diagonal stripes of a colour on black, (row, column, BGRA)."""
    rows, columns = np.ogrid[:height, :width]
    return _filled((rows + columns) % 8 < 5, (*rgb, 255))


def dotting(masked: NDArray[np.bool_], scale: float = 1.0) -> NDArray[np.uint8]:
    """Rimmed dots over the masked pixels of the screen, (row, column, BGRA premultiplied)."""
    rows, columns = np.ogrid[: masked.shape[0], : masked.shape[1]]
    apart, size = max(8, round(_DOTS_PX * scale)), max(0.8, scale)
    # Every second row of dots is shifted by half: no line of them can be taken for a hatching.
    shift = (rows // apart % 2) * (apart // 2)
    down, across = rows % apart - apart // 2, (columns + shift) % apart - apart // 2
    distance = down * down + across * across
    made = _filled(masked & (distance <= 5.0 * size * size), _DOT_RIM)
    made[masked & (distance <= 2.0 * size * size)] = (*_DOT[2::-1], _DOT[3])
    return made


def as_image(pixels: NDArray[np.uint8], *, transparent: bool = False) -> QImage:
    """Return a copy of (row, column, BGRA) as Qt draws it fastest."""
    kind = QImage.Format.Format_ARGB32_Premultiplied if transparent else QImage.Format.Format_RGB32
    solid = np.ascontiguousarray(pixels)
    rows, columns = solid.shape[:2]
    return QImage(solid.data, columns, rows, 4 * columns, kind).copy()


def _filled(where: NDArray[np.bool_], rgba: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    red, green, blue, alpha = rgba
    word = np.array([blue * alpha // 255, green * alpha // 255, red * alpha // 255, alpha], dtype=np.uint8)
    made: NDArray[np.uint8] = np.where(where, word.view(np.uint32)[0], np.uint32(0)).view(np.uint8)
    return made.reshape(*where.shape, 4)
