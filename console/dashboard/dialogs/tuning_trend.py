"""Mean dose against injected activity of both: A filled and solid, B open and dashed, each with its letter."""

from __future__ import annotations

import math

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent, QTransform
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.painted_axes import Axes, lines_beside, paint_axes
from console.dashboard.panels.trend_marks import mark_box, paint_lines, paint_points
from console.dashboard.screen.model import Tone, TrendScreen, TrendSeries
from console.dashboard.screen.ticks import nice_ticks

_LETTERS = 13.0
_HEADROOM = 1.08
_OPEN_PX = 19.0
"""Wider than A's symbol: where both coincide both are seen."""
_APART_PX = 5.0
_KEY = "A: filled, solid · B: open, dashed · bars ± u (k = 1) · ×: expected of A · ring: flagged · triangle: bound"


class TuningTrend(QWidget):
    """The trends of A and B in one pair of axes."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self._shown: tuple[TrendScreen | None, TrendScreen | None, bool] = (None, None, False)
        self._picture: QPixmap | None = None
        self._scale = 1.0

    def draw(self, a: TrendScreen | None, b: TrendScreen | None, *, old: bool) -> None:
        """Show both; `old`: B is of an earlier draft."""
        if (a, b, old) != self._shown:
            self._shown, self._picture = (a, b, old), None
            self.setAccessibleDescription("" if a is None else f"{a.title}. {_KEY}")
            self.update()

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self._scale, self._picture = scale, None

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Paint anew at the new size."""
        self._picture = None

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Show the picture, painted if there is none."""
        a, b, old = self._shown
        if a is None:
            return
        if self._picture is None:
            ratio = self.devicePixelRatioF()
            self._picture = QPixmap(max(1, round(self.width() * ratio)), max(1, round(self.height() * ratio)))
            self._picture.setDevicePixelRatio(ratio)
            self._picture.fill(QColor(theme.PANEL))
            painter = QPainter(self._picture)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint(painter, a, b, old)
            painter.end()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._picture)
        painter.end()

    def _paint(self, painter: QPainter, a: TrendScreen, b: TrendScreen | None, old: bool) -> None:
        pixels = max(11.0, _LETTERS * self._scale)
        axes = self._axes(a, b, pixels)
        line = QFontMetricsF(theme.font(pixels)).height()
        paint_axes(
            painter,
            axes,
            x_ticks=nice_ticks(0.0, axes.x_range[1], 2 + int(axes.box.width() / (4.5 * line))),
            y_ticks=nice_ticks(0.0, axes.y_range[1], 2 + int(axes.box.height() / (2.5 * line))),
            labels=(a.x_label, a.y_label),
            pixels=pixels,
        )
        painter.setFont(theme.font(pixels))
        painter.setPen(QColor(theme.MUTED))
        told = f"{_KEY}   ·   B IS OLD" if old else _KEY
        painter.drawText(QRectF(axes.box.left(), 0, axes.box.width(), line), int(Qt.AlignmentFlag.AlignLeft), told)
        for series in a.series:
            paint_lines(painter, axes, series, self._scale)
            paint_points(painter, axes, series, self._scale)
            self._letter(painter, axes, series, "A", pixels, -1)
        for series in b.series if b is not None else ():
            _paint_open(painter, axes, series, self._scale)
            self._letter(painter, axes, series, "B", pixels, 1)
        self._name(painter, axes, a, pixels)

    def _axes(self, a: TrendScreen, b: TrendScreen | None, pixels: float) -> Axes:
        metrics = QFontMetricsF(theme.font(pixels))
        line = metrics.height()
        both = [one for one in (a, b) if one is not None]
        top, bottom = line + 4, 2 * line + 4
        height = max(20.0, self.height() - top - bottom)
        highest = max(one.y_maximum_gy for one in both)
        left = metrics.horizontalAdvance(f"{highest:.0f}0") + 8 + lines_beside(a.y_label, height, pixels) * line
        longest = max((metrics.horizontalAdvance(s.volume) for s in a.series), default=0.0)
        right = min(longest + 3 * line, 0.35 * self.width())
        box = QRectF(left, top, max(20.0, self.width() - left - right), height)
        wide = max(one.x_maximum_mbq for one in both)
        return Axes(box=box, x_range=(0.0, 1.03 * wide), y_range=(0.0, _HEADROOM * highest))

    def _letter(
        self, painter: QPainter, axes: Axes, series: TrendSeries, letter: str, pixels: float, side: int
    ) -> None:
        """A on the left of the last point, B on its right."""
        at = axes.place(series.x_mbq[-1], series.dose_gy[-1])
        box = mark_box(axes, (series.x_mbq[-1], series.dose_gy[-1]), self._scale)
        wide = pixels * 1.2
        beside = 0.5 * _OPEN_PX * self._scale + 3
        left = box.center().x() - beside - wide if side < 0 else box.center().x() + beside
        painter.setFont(theme.font(pixels, bold=True))
        painter.setPen(theme.series_colour(series.index))
        where = QRectF(left, at.y() - pixels, wide, 2 * pixels)
        painter.drawText(where, int(Qt.AlignmentFlag.AlignCenter), letter)

    def _name(self, painter: QPainter, axes: Axes, a: TrendScreen, pixels: float) -> None:
        """Names of the volumes in the margin, at the height of A's last point, one under the other."""
        metrics = QFontMetricsF(theme.font(pixels))
        painter.setFont(theme.font(pixels))
        free, left = axes.box.top(), axes.box.right() + 8
        for series in sorted(a.series, key=lambda one: -one.dose_gy[-1]):
            y = axes.place(0.0, series.dose_gy[-1]).y()
            top = max(free, y - metrics.height() / 2)
            free = top + metrics.height()
            painter.setPen(theme.series_colour(series.index))
            words = metrics.elidedText(series.volume, Qt.TextElideMode.ElideRight, self.width() - left)
            painter.drawText(QPointF(left, top + metrics.ascent()), words)


def _paint_open(painter: QPainter, axes: Axes, series: TrendSeries, scale: float) -> None:
    """B: open symbols, a dashed line, bars a little beside A's."""
    ink = theme.series_colour(series.index).lighter(115)
    pen = QPen(ink, 2.0 * scale)
    dashed = QPen(ink, 1.8 * scale)
    dashed.setDashPattern([5.0, 3.0])
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(dashed)
    for line in (series.solid, series.dashed):
        if line is not None:
            painter.drawLine(axes.place(*line[0]), axes.place(*line[1]))
    symbol = pg.graphicsItems.ScatterPlotItem.Symbols[theme.series_symbol(series.index)]
    lower = pg.graphicsItems.ScatterPlotItem.Symbols["t1"]
    size = _OPEN_PX * scale
    points = zip(series.x_mbq, series.dose_gy, series.u_gy, series.lower_bound, strict=True)
    for x, dose, u, bound in points:
        at = axes.place(x, dose)
        if math.isfinite(u):
            beside = QPointF(_APART_PX * scale, 0)
            painter.setPen(dashed)
            painter.drawLine(axes.place(x, dose - u) + beside, axes.place(x, dose + u) + beside)
        painter.setPen(pen)
        painter.drawPath(QTransform.fromTranslate(at.x(), at.y()).scale(size, size).map(lower if bound else symbol))
    if series.flagged:
        painter.setPen(QPen(theme.colour(Tone.CAUTION), 2 * scale, Qt.PenStyle.DashLine))
        painter.drawEllipse(axes.place(series.x_mbq[-1], series.dose_gy[-1]), size, size)
