"""Cumulative dose–volume histograms of both sides in one pair of axes: A solid, B dashed, colours by volume."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.painted_axes import Axes, lines_beside, paint_axes
from console.dashboard.screen.model import DvhCurve, DvhScreen
from console.dashboard.screen.ticks import nice_ticks

_LETTERS = 13.0
_KEY = "A: solid · B: dashed · ≥: a lower bound"
_Y_LABEL = "volume receiving at least this (%)"
_DASHES = [5.0, 3.0]
_WIDEST_NAMES = 0.35


class ComparisonDvh(QWidget):
    """The curves of A and B; a volume has one colour on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self._a: DvhScreen | None = None
        self._b: DvhScreen | None = None
        self._scale = 1.0

    def draw(self, a: DvhScreen | None, b: DvhScreen | None) -> None:
        """Show both."""
        self._a, self._b = a, b
        told = [curve.label for one in (a, b) if one is not None for curve in one.curves]
        self.setAccessibleDescription("\n".join([_KEY, *told]))
        self.update()

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self._scale = scale
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint both."""
        both = [("A", self._a), ("B", self._b)]
        shown = [(letter, one) for letter, one in both if one is not None]
        if not shown:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(theme.PANEL))
        pixels = max(11.0, _LETTERS * self._scale)
        names = _names(shown)
        axes = self._axes(max(one.x_maximum_gy for _, one in shown), names, pixels)
        line = QFontMetricsF(theme.font(pixels)).height()
        paint_axes(
            painter,
            axes,
            x_ticks=nice_ticks(0.0, axes.x_range[1], 2 + int(axes.box.width() / (4.5 * line))),
            y_ticks=nice_ticks(0.0, 100.0, 6),
            labels=("absorbed dose (Gy)", _Y_LABEL),
            pixels=pixels,
        )
        painter.setFont(theme.font(pixels))
        painter.setPen(QColor(theme.MUTED))
        painter.drawText(QRectF(axes.box.left(), 0, axes.box.width(), line), int(Qt.AlignmentFlag.AlignLeft), _KEY)
        painter.setClipRect(axes.box.adjusted(0, -2, 0, 1))
        for letter, one in shown:
            for curve in one.curves:
                self._paint_curve(painter, axes, curve, dashed=letter == "B")
        painter.setClipping(False)
        self._paint_names(painter, axes, names, pixels)
        painter.end()

    def _axes(self, widest_gy: float, names: dict[str, int], pixels: float) -> Axes:
        metrics = QFontMetricsF(theme.font(pixels))
        line = metrics.height()
        top, bottom = line + 4, 2 * line + 4
        height = max(20.0, self.height() - top - bottom)
        left = metrics.horizontalAdvance("1000") + 8 + lines_beside(_Y_LABEL, height, pixels) * line
        longest = max((metrics.horizontalAdvance(name) for name in names), default=0.0)
        right = min(longest + 3 * line, _WIDEST_NAMES * self.width())
        box = QRectF(left, top, max(20.0, self.width() - left - right), height)
        return Axes(box=box, x_range=(0.0, widest_gy), y_range=(0.0, 100.0))

    def _paint_curve(self, painter: QPainter, axes: Axes, curve: DvhCurve, *, dashed: bool) -> None:
        ink = theme.series_colour(curve.index)
        pen = QPen(ink.lighter(115) if dashed else ink, 2.0 * self._scale)
        if dashed:
            pen.setDashPattern(_DASHES)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(axes.path((0.0, *curve.dose_gy), (100.0, *curve.volume_pct)))

    def _paint_names(self, painter: QPainter, axes: Axes, names: dict[str, int], pixels: float) -> None:
        metrics = QFontMetricsF(theme.font(pixels, bold=True))
        painter.setFont(theme.font(pixels, bold=True))
        left, top = axes.box.right() + 8, axes.box.top()
        for number, (name, index) in enumerate(names.items()):
            painter.setPen(theme.series_colour(index))
            words = metrics.elidedText(name, Qt.TextElideMode.ElideRight, self.width() - left)
            painter.drawText(QPointF(left, top + number * 1.2 * metrics.height() + metrics.ascent()), words)


def _names(shown: list[tuple[str, DvhScreen]]) -> dict[str, int]:
    """Names of the volumes with their colours; which side has a bound, or no curve, is said."""
    indices = {curve.volume: curve.index for _, one in shown for curve in one.curves}
    names = {}
    for volume, index in indices.items():
        told = []
        for letter, one in shown:
            curve = next((c for c in one.curves if c.volume == volume), None)
            if curve is None or curve.lower_bound:
                told.append(f"{letter} {'none' if curve is None else '≥'}")
        names[f"{volume} ({', '.join(told)})" if told else volume] = index
    return names
