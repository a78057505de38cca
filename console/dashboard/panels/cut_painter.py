"""Paints a cut once, whole: picture, patterns, lines, letters, names, caption. Only the crosshair moves over it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPixmap

from console.dashboard.panels import theme
from console.dashboard.panels.cut_image import as_image, blended, dotting, hatching, striped
from console.dashboard.panels.cut_look import Look, Placement, placed
from console.dashboard.panels.cut_words import write_caption, write_letters, write_names, write_watermark
from console.dashboard.screen.model import DoseLegend, Lines, Outline, PlaneScreen, Tone
from console.dashboard.screen.planes import PlaneGeometry

_THIN_PX = 2.5


@dataclass(frozen=True, kw_only=True, eq=False)
class CutPicture:
    """A painted cut, and the boxes of what is written on it: the crosshair passes under them."""

    pixels: QPixmap
    written: tuple[QRect, ...]


def cut_picture(plane: PlaneScreen, legend: DoseLegend, look: Look) -> CutPicture:
    """The cut with all that is written on it."""
    picture = QPixmap(look.width, look.height)
    picture.fill(QColor(theme.IMAGE_BACKGROUND))
    where = placed(plane.focus_mm, look.width, look.height)
    painter = QPainter(picture)
    _draw_image(painter, plane, legend, where, look)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    _draw_lines(painter, plane, legend, where, look.scale)
    if look.watermark:
        write_watermark(painter, look)
    written = [*write_letters(painter, plane, where, look), *write_caption(painter, plane.caption, look)]
    hidden = []
    if look.covered is not None:
        left, top, right, bottom = look.covered
        hidden = [QRectF(left, top, right - left, bottom - top)]
    written += write_names(painter, plane, legend, where, look, [*written, *hidden])
    if look.stale:
        _draw_stale(painter, look)
    painter.end()
    return CutPicture(pixels=picture, written=tuple(box.toAlignedRect() for box in written))


def _draw_image(painter: QPainter, plane: PlaneScreen, legend: DoseLegend, where: Placement, look: Look) -> None:
    columns, across = _seen(plane.geometry.size[0], plane.geometry.spacing_mm[0], where.left_px, where, look.width)
    rows, down = _seen(plane.geometry.size[1], plane.geometry.spacing_mm[1], where.top_px, where, look.height)
    if columns.start >= columns.stop or rows.start >= rows.stop:
        return
    pixels = blended(plane, legend, theme.dose_table(legend), rows, columns)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(QRectF(across[0], down[0], across[1] - across[0], down[1] - down[0]), as_image(pixels))
    for mask, pattern in ((plane.unevaluable, hatching), (plane.lower_bound, dotting)):
        found = None if mask is None else _on_screen(mask, plane.geometry, where, look)
        if found is not None:
            corner, pixels_masked = found
            painter.drawImage(corner, as_image(pattern(pixels_masked, look.scale), transparent=True))


def _seen(
    count: int, spacing_mm: float, origin_px: float, where: Placement, room_px: int
) -> tuple[slice, tuple[float, float]]:
    """The voxels along one side of the window that are seen, and where they begin and end, px."""
    step = spacing_mm * where.px_per_mm
    first = min(max(int(-origin_px // step) - 1, 0), count)
    last = min(max(int((room_px - origin_px) // step) + 2, 0), count)
    return slice(first, last), (origin_px + first * step, origin_px + last * step)


def _on_screen(
    mask: NDArray[np.bool_], geometry: PlaneGeometry, where: Placement, look: Look
) -> tuple[QPointF, NDArray[np.bool_]] | None:
    """A mask of voxels as one of pixels: its upper left corner and the part of the window that it needs."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    across, down = (spacing * where.px_per_mm for spacing in geometry.spacing_mm)
    left = max(0, int(where.left_px + columns[0] * across))
    right = min(look.width, int(where.left_px + (columns[-1] + 1) * across) + 1)
    top = max(0, int(where.top_px + rows[0] * down))
    bottom = min(look.height, int(where.top_px + (rows[-1] + 1) * down) + 1)
    if left >= right or top >= bottom:
        return None
    column = np.clip(((np.arange(left, right) + 0.5 - where.left_px) / across).astype(np.intp), 0, mask.shape[1] - 1)
    row = np.clip(((np.arange(top, bottom) + 0.5 - where.top_px) / down).astype(np.intp), 0, mask.shape[0] - 1)
    return QPointF(left, top), mask[row[:, None], column[None, :]]


def _draw_lines(painter: QPainter, plane: PlaneScreen, legend: DoseLegend, where: Placement, scale: float) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    numbers = {level: number for number, level in enumerate(legend.levels_gy)}
    for isodose in plane.isodoses:
        _draw_line(painter, isodose.lines, theme.level_pen(legend, numbers[isodose.level_gy], 1.8 * scale), where)
    for outline in plane.outlines:
        _draw_line(painter, outline.lines, _outline_pen(outline, scale), where)


def _outline_pen(outline: Outline, scale: float) -> QPen:
    """Thick for what the position in question feeds; what it does not feed is thin and dim."""
    ink = QColor(theme.series_colour(outline.series) if outline.series is not None else QColor(theme.TEXT))
    if not outline.highlighted:
        ink.setAlphaF(0.6)
        return QPen(ink, 1.0 * scale)
    return QPen(ink, (3.0 if outline.series is not None else 1.8) * scale)


def _draw_line(painter: QPainter, lines: Lines, pen: QPen, where: Placement) -> None:
    if len(lines.x_mm) < 2:
        return
    x = where.left_px + lines.x_mm * where.px_per_mm
    y = where.top_px + lines.y_mm * where.px_per_mm
    path = pg.arrayToQPath(x, y, connect=lines.connect, finiteCheck=False)
    width = pen.widthF()
    if not 1.0 < width <= _THIN_PX:
        painter.setPen(pen)
        painter.drawPath(path)
        return
    # Qt strokes a pen of one pixel an order of magnitude faster than any wider one: four of them, a little apart.
    thin = QPen(pen)
    thin.setWidthF(1.0)
    if pen.dashPattern():
        thin.setDashPattern([length * width for length in pen.dashPattern()])
    painter.setPen(thin)
    apart = (width - 1.0) / 2.0
    for dx, dy in ((-apart, -apart), (apart, -apart), (-apart, apart), (apart, apart)):
        painter.translate(dx, dy)
        painter.drawPath(path)
        painter.translate(-dx, -dy)


def _draw_stale(painter: QPainter, look: Look) -> None:
    """An amber striped rim: a shape that is seen without colour."""
    rim = look.rim
    along, down = _stripes(look.width, rim), _stripes(rim, look.height)
    for left, top, strip in (
        (0, 0, along),
        (0, look.height - rim, along),
        (0, 0, down),
        (look.width - rim, 0, down),
    ):
        painter.drawImage(left, top, strip)


@lru_cache(maxsize=16)
def _stripes(width: int, height: int) -> QImage:
    amber = theme.colour(Tone.CAUTION)
    return as_image(striped(width, height, (amber.red(), amber.green(), amber.blue())))
