"""A small plot painted by hand: axes with ticks and units, places of values, names that cover nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPen

from console.dashboard.panels import theme


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Where a plot's values lie on a widget: `box` in pixels, ranges in the values' own units."""

    box: QRectF
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log_y: bool = False

    def place(self, x: float, y: float) -> QPointF:
        """The pixel of a point."""
        box, (left, right), (low, high) = self.box, self.x_range, self.y_range
        if self.log_y:
            y, low, high = math.log(max(y, low)), math.log(low), math.log(high)
        return QPointF(
            box.left() + (x - left) / (right - left) * box.width(),
            box.bottom() - (y - low) / (high - low) * box.height(),
        )

    def x_pixels(self, x: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Pixels from the widget's left."""
        low, high = self.x_range
        return self.box.left() + (np.asarray(x, dtype=np.float64) - low) / (high - low) * self.box.width()

    def y_pixels(self, y: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Pixels from the widget's top; on a logarithmic axis what is not above its lower end lies on that end."""
        low, high = self.y_range
        values = np.asarray(y, dtype=np.float64)
        if self.log_y:
            values, low, high = np.log(np.maximum(values, low)), math.log(low), math.log(high)
        return self.box.bottom() - (values - low) / (high - low) * self.box.height()

    def path(self, x: Sequence[float], y: Sequence[float]) -> QPainterPath:
        """The polyline through the points."""
        made: QPainterPath = pg.arrayToQPath(self.x_pixels(x), self.y_pixels(y), connect="all")
        return made


def paint_axes(
    painter: QPainter,
    axes: Axes,
    *,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    labels: tuple[str, str],
    pixels: float,
) -> None:
    """Paint frame, grid, ticks and the names of both axes, in letters of `pixels` height."""
    box = axes.box
    letters = theme.font(pixels)
    metrics = QFontMetricsF(letters)
    painter.setFont(letters)
    grid = QPen(QColor(theme.LINE), 1)
    for value in x_ticks:
        x = axes.place(value, axes.y_range[1]).x()
        painter.setPen(grid)
        painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
        painter.setPen(QColor(theme.TEXT))
        where = QRectF(x - 40, box.bottom() + 2, 80, metrics.height())
        painter.drawText(where, int(Qt.AlignmentFlag.AlignHCenter), f"{value:g}")
    for value in y_ticks:
        y = axes.place(axes.x_range[0], value).y()
        painter.setPen(grid)
        painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
        painter.setPen(QColor(theme.TEXT))
        where = QRectF(0, y - metrics.height() / 2, box.left() - 4, metrics.height())
        painter.drawText(where, int(Qt.AlignmentFlag.AlignRight), f"{value:g}")
    painter.setPen(QPen(QColor(theme.MUTED), 1))
    painter.drawLine(box.bottomLeft(), box.bottomRight())
    painter.drawLine(box.bottomLeft(), box.topLeft())
    painter.setPen(QColor(theme.TEXT))
    under = QRectF(box.left(), box.bottom() + metrics.height() + 1, box.width(), metrics.height())
    painter.drawText(under, int(Qt.AlignmentFlag.AlignHCenter), labels[0])
    painter.save()
    painter.translate(0, box.center().y())
    painter.rotate(-90)
    beside = QRectF(
        -box.height() / 2, 0, box.height(), lines_beside(labels[1], box.height(), pixels) * metrics.height()
    )
    painter.drawText(beside, int(Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap), labels[1])
    painter.restore()


def lines_beside(label: str, height: float, pixels: float) -> int:
    """How many lines the name of the upright axis takes beside a plot of that height."""
    return 1 if QFontMetricsF(theme.font(pixels)).horizontalAdvance(label) < height else 2
