"""How one volume is painted in the plot of dose against activity: every state has a shape of its own."""

from __future__ import annotations

import math

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPen, QTransform

from console.dashboard.panels import theme
from console.dashboard.panels.painted_axes import Axes
from console.dashboard.screen.model import Tone, TrendSeries

_BAND_ALPHA = 45
_BAND_HALF_PIXELS = 8.0
_HATCHES = (Qt.BrushStyle.BDiagPattern, Qt.BrushStyle.FDiagPattern)
_LOWER_BOUND = "t1"
_SYMBOL_PIXELS = 12.0


def paint_band(painter: QPainter, axes: Axes, series: TrendSeries, scale: float) -> None:
    """Paint the prediction intervals as one shaded, hatched and outlined band through the points that were tested."""
    if not series.band:
        return
    half = _BAND_HALF_PIXELS * scale
    upper = [axes.place(x, high) for x, _, high in series.band]
    lower = [axes.place(x, low) for x, low, _ in series.band]
    for edge in (upper, lower):
        edge.insert(0, edge[0] - QPointF(half, 0))
        edge.append(edge[-1] + QPointF(half, 0))
    outline = [*upper, *reversed(lower)]
    pale = theme.series_colour(series.index)
    pale.setAlpha(_BAND_ALPHA)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(pale)
    painter.drawPolygon(outline)
    painter.setBrush(QBrush(theme.series_colour(series.index), _HATCHES[series.index % len(_HATCHES)]))
    painter.setPen(QPen(theme.series_colour(series.index), 1.3 * scale))
    painter.drawPolygon(outline)


def paint_lines(painter: QPainter, axes: Axes, series: TrendSeries, scale: float) -> None:
    """Paint the fitted line: solid over its own points, dashed beyond them."""
    ink = theme.series_colour(series.index)
    for line, style in ((series.solid, Qt.PenStyle.SolidLine), (series.dashed, Qt.PenStyle.DashLine)):
        if line is not None:
            painter.setPen(QPen(ink, 2 * scale, style))
            painter.drawLine(axes.place(*line[0]), axes.place(*line[1]))


def paint_points(painter: QPainter, axes: Axes, series: TrendSeries, scale: float) -> None:
    """Paint the measured points ± u, the dose before the position, what was expected, and what comes next."""
    ink, symbol = theme.series_colour(series.index), theme.series_symbol(series.index)
    size = _SYMBOL_PIXELS * scale
    outlined = QPen(ink, 2 * scale)
    if series.baseline is not None:
        dose, u = series.baseline
        _bar(painter, axes, (0.0, dose - u, dose + u), QPen(ink, 1.5 * scale), 3 * scale)
        _symbol(painter, symbol, axes.place(0.0, dose), 0.8 * size, QColor(theme.PANEL), outlined)
    if series.next is not None:
        x, dose, low, high = series.next
        _bar(painter, axes, (x, low, high), QPen(ink, 1.6 * scale, Qt.PenStyle.DotLine), 7 * scale)
        _symbol(painter, symbol, axes.place(x, dose), size, QColor(theme.PANEL), outlined)
    edge = QPen(QColor("#000000"), 1)
    points = zip(series.x_mbq, series.dose_gy, series.u_gy, series.lower_bound, strict=True)
    for x, dose, u, bound in points:
        # A lower bound has no ±: a bar would claim one.
        _bar(painter, axes, (x, dose - u, dose + u), QPen(ink, 1.6 * scale), 5 * scale)
        _symbol(painter, _LOWER_BOUND if bound else symbol, axes.place(x, dose), size, ink, edge)
    if series.expected is not None:
        cross, arm = axes.place(*series.expected), 5 * scale
        for pen in (QPen(QColor(theme.PANEL), 5 * scale), QPen(QColor(theme.TEXT), 2.2 * scale)):
            painter.setPen(pen)
            painter.drawLine(cross + QPointF(-arm, -arm), cross + QPointF(arm, arm))
            painter.drawLine(cross + QPointF(-arm, arm), cross + QPointF(arm, -arm))
    if series.flagged:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.colour(Tone.CAUTION), 3 * scale))
        painter.drawEllipse(axes.place(series.x_mbq[-1], series.dose_gy[-1]), 1.15 * size, 1.15 * size)


def mark_box(axes: Axes, at: tuple[float, float], scale: float) -> QRectF:
    """What a symbol at a point (MBq, Gy) covers, px."""
    size, middle = _SYMBOL_PIXELS * scale, axes.place(*at)
    return QRectF(middle.x() - size / 2, middle.y() - size / 2, size, size)


def _bar(painter: QPainter, axes: Axes, ends: tuple[float, float, float], pen: QPen, beam: float) -> None:
    """A vertical bar with its ends, (x, low, high); none where the ends are not known."""
    x, low, high = ends
    if not (math.isfinite(low) and math.isfinite(high)):
        return
    bottom, top = axes.place(x, low), axes.place(x, high)
    painter.setPen(pen)
    painter.drawLine(bottom, top)
    painter.setPen(QPen(pen.color(), pen.widthF()))
    for end in (bottom, top):
        painter.drawLine(end - QPointF(beam, 0), end + QPointF(beam, 0))


def _symbol(painter: QPainter, name: str, at: QPointF, size: float, fill: QColor, pen: QPen) -> None:
    path = pg.graphicsItems.ScatterPlotItem.Symbols[name]
    painter.setPen(pen)
    painter.setBrush(fill)
    painter.drawPath(QTransform.fromTranslate(at.x(), at.y()).scale(size, size).map(path))
