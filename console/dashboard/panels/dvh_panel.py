"""The plot of cumulative dose–volume histograms."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import plain
from console.dashboard.panels.painted_axes import Axes, lines_beside, paint_axes
from console.dashboard.panels.table_panel import paint_symbol
from console.dashboard.screen.model import DvhCurve, DvhScreen, Tone
from console.dashboard.screen.ticks import nice_ticks

# Strokes that tell the curves apart without colour, by the volume's number; dots are kept for lower bounds.
_DASHES: tuple[tuple[float, ...], ...] = ((), (11, 3), (3.5, 2.5), (8, 2.5, 1.5, 2.5), (8, 2, 1, 2, 1, 2), (3, 5))
_DOTS = (1.0, 1.8)
# Where a name may stand at its curve, and where symbols sit on it (% of the volume).
_NAME_LEVELS_PCT = np.linspace(92.0, 6.0, 22)
_SYMBOL_LEVELS_PCT = (80.0, 50.0, 20.0)
_MARK_ROWS = 3
# Pictures that are kept: a reader pages to and fro between fractions.
_PICTURES = 4
_Y_LABEL = "volume receiving at least this (%)"


@dataclass(frozen=True)
class _Drawn:
    """A curve in pixels, from 100 % down; `y` rises."""

    curve: DvhCurve
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def x_at(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where the curve crosses heights."""
        at: NDArray[np.float64] = np.interp(y, self.y, self.x)
        return at


class DvhPanel(QWidget):
    """Curves of all plotted volumes with limits as marks; what was painted last is kept while the size stays."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.name_boxes: tuple[QRectF, ...] = ()
        """Where the names and the words of the marks stand."""
        self._scale = 1.0
        self._dvh: DvhScreen | None = None
        self._pictures: deque[tuple[DvhScreen, QPixmap, tuple[QRectF, ...]]] = deque(maxlen=_PICTURES)

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self._scale = scale
        self._pictures.clear()
        self.update()

    def draw(self, dvh: DvhScreen) -> None:
        """Show the histograms."""
        if dvh is self._dvh or dvh == self._dvh:
            return
        self._dvh = dvh
        self.setToolTip(plain(dvh.tooltip))
        names = [curve.label for curve in dvh.curves]
        self.setAccessibleDescription(
            "\n".join([dvh.title, *names, *(words for _, words in dvh.marks_gy), dvh.message])
        )
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Paint anew at the new size."""
        self._pictures.clear()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Show the picture of these histograms, painted if there is none."""
        if self._dvh is None:
            return
        kept = next((own for own in self._pictures if own[0] is self._dvh), None)
        if kept is None:
            kept = (self._dvh, *self._painted(self._dvh))
            self._pictures.append(kept)
        _, picture, self.name_boxes = kept
        painter = QPainter(self)
        painter.drawPixmap(0, 0, picture)
        painter.end()

    def _painted(self, dvh: DvhScreen) -> tuple[QPixmap, tuple[QRectF, ...]]:
        """The picture, and where its words stand."""
        ratio = self.devicePixelRatioF()
        picture = QPixmap(round(self.width() * ratio), round(self.height() * ratio))
        picture.setDevicePixelRatio(ratio)
        picture.fill(QColor(theme.PANEL))
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        boxes = self._paint(painter, dvh)
        painter.end()
        return picture, tuple(boxes)

    def _paint(self, painter: QPainter, dvh: DvhScreen) -> list[QRectF]:
        pixels = 13.5 * self._scale
        metrics = QFontMetricsF(theme.font(pixels))
        foot = self._paint_message(painter, dvh, pixels) if dvh.message else 0.0
        bottom, right = 2 * metrics.height() + 4 + foot, 0.6 * metrics.horizontalAdvance("1000")
        top = 3 * metrics.height() + 4
        beside = lines_beside(_Y_LABEL, self.height() - top - bottom, pixels) * metrics.height()
        left = metrics.horizontalAdvance("100") + beside + 10
        rows = _rows_of_marks(dvh, self.width() - left - right, metrics)
        top = max((row for row, _ in rows.values()), default=-1) * metrics.height() + metrics.height() + 4
        box = QRectF(left, top, max(10.0, self.width() - left - right), max(10.0, self.height() - top - bottom))
        axes = Axes(box=box, x_range=(0.0, dvh.x_maximum_gy), y_range=(0.0, 100.0))
        paint_axes(
            painter,
            axes,
            x_ticks=nice_ticks(0.0, dvh.x_maximum_gy, 11),
            y_ticks=nice_ticks(0.0, 100.0, 6 if box.height() > 6 * metrics.height() else 3),
            labels=("absorbed dose (Gy)", _Y_LABEL),
            pixels=pixels,
        )
        boxes = self._paint_marks(painter, dvh, axes, rows, pixels)
        drawn = [_in_pixels(curve, axes) for curve in dvh.curves]
        for own in drawn:
            self._paint_curve(painter, own, axes)
        bold = QFontMetricsF(theme.font(pixels, bold=True))
        for own, name in zip(drawn, _names(drawn, box, bold), strict=True):
            self._paint_name(painter, own.curve, name, pixels)
            boxes.append(name)
        return boxes

    def _paint_message(self, painter: QPainter, dvh: DvhScreen, pixels: float) -> float:
        """Say what has no curve, under the plot; returns the height it takes."""
        tone = Tone.CAUTION if dvh.curves else Tone.MUTED
        letters = theme.font(pixels)
        metrics = QFontMetricsF(letters)
        painter.setFont(letters)
        painter.setPen(theme.colour(tone))
        words = metrics.elidedText(dvh.message, Qt.TextElideMode.ElideRight, self.width() - 8)
        where = QRectF(4, self.height() - metrics.height(), self.width() - 8, metrics.height())
        painter.drawText(where, int(Qt.AlignmentFlag.AlignRight), words)
        return metrics.height() + 1

    def _paint_marks(
        self, painter: QPainter, dvh: DvhScreen, axes: Axes, rows: dict[int, tuple[int, float]], pixels: float
    ) -> list[QRectF]:
        letters = theme.font(pixels)
        height = QFontMetricsF(letters).height()
        painter.setFont(letters)
        boxes = []
        for number, (dose, words) in enumerate(dvh.marks_gy):
            x = axes.place(dose, 0.0).x()
            pen = QPen(QColor(theme.TEXT), max(1.0, 1.3 * self._scale))
            pen.setDashPattern([2, 3])
            painter.setPen(pen)
            row, from_left = rows.get(number, (0, 0.0))
            painter.drawLine(QPointF(x, axes.box.bottom()), QPointF(x, (row + 1) * height))
            if number not in rows:
                continue
            box = QRectF(
                axes.box.left() + from_left, row * height, QFontMetricsF(letters).horizontalAdvance(words), height
            )
            painter.drawText(box.adjusted(0, 0, 4, 0), int(Qt.AlignmentFlag.AlignLeft), words)
            boxes.append(box)
        return boxes

    def _paint_curve(self, painter: QPainter, own: _Drawn, axes: Axes) -> None:
        s, curve = self._scale, own.curve
        pen = QPen(theme.series_colour(curve.index), (3.0 if curve.highlighted else 1.9) * s)
        dashes = _DOTS if curve.lower_bound else _DASHES[curve.index % len(_DASHES)]
        if dashes:
            pen.setDashPattern(list(dashes))
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        painter.save()
        painter.setClipRect(axes.box.adjusted(0, -2, 0, 1))
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(axes.path((0.0, *curve.dose_gy), (100.0, *curve.volume_pct)))
        for level in _SYMBOL_LEVELS_PCT:
            y = axes.place(0.0, level).y()
            paint_symbol(painter, curve.index, QPointF(float(own.x_at(np.array([y]))[0]), y), 10 * s)
        painter.restore()

    def _paint_name(self, painter: QPainter, curve: DvhCurve, box: QRectF, pixels: float) -> None:
        ground = QColor(theme.PANEL)
        ground.setAlpha(215)
        painter.fillRect(box, ground)
        paint_symbol(painter, curve.index, QPointF(box.left() + 0.5 * pixels, box.center().y()), 0.75 * pixels)
        painter.setFont(theme.font(pixels, bold=True))
        painter.setPen(theme.series_colour(curve.index))
        painter.drawText(box.adjusted(1.15 * pixels, 0, 4, 0), int(Qt.AlignmentFlag.AlignVCenter), curve.label)


def _in_pixels(curve: DvhCurve, axes: Axes) -> _Drawn:
    return _Drawn(
        curve,
        axes.x_pixels((0.0, *curve.dose_gy)),
        axes.y_pixels((100.0, *curve.volume_pct)),
    )


def _rows_of_marks(dvh: DvhScreen, width: float, metrics: QFontMetricsF) -> dict[int, tuple[int, float]]:
    """Row and left end of the words of each mark, so that none cover others; marks without room have none."""
    ends = [-1e9] * _MARK_ROWS
    found: dict[int, tuple[int, float]] = {}
    for number, (dose, words) in enumerate(dvh.marks_gy):
        long = metrics.horizontalAdvance(words)
        left = min(max(0.0, dose / dvh.x_maximum_gy * width - 0.5 * long), width - long)
        row = next((row for row in range(_MARK_ROWS) if ends[row] + 10 < left), None)
        if row is not None:
            ends[row] = left + long
            found[number] = (row, left)
    return found


def _names(drawn: list[_Drawn], box: QRectF, metrics: QFontMetricsF) -> list[QRectF]:
    """A place for every name beside its curve: free of other names, and of other curves where there is such a one.

    Without room at any height a name goes to the upper right corner, under those already there.
    """
    height = metrics.height()
    gap = 0.7 * height
    levels = box.bottom() - _NAME_LEVELS_PCT / 100.0 * box.height()
    # The curves fall: between two heights a curve lies between its two crossings.
    upper = [own.x_at(levels - height / 2) for own in drawn]
    lower = [own.x_at(levels + height / 2) for own in drawn]
    taken: list[QRectF] = []
    for number, own in enumerate(drawn):
        wide = metrics.horizontalAdvance(own.curve.label) + 1.2 * height
        best: tuple[int, QRectF] | None = None
        for at, y in enumerate(levels):
            if best is not None and best[0] == 0:
                break
            for left in (float(lower[number][at]) + gap, float(upper[number][at]) - gap - wide):
                place = QRectF(left, float(y) - height / 2, wide, height)
                if not box.contains(place) or any(place.intersects(other) for other in taken):
                    continue
                crossed = sum(
                    upper[k][at] < place.right() and lower[k][at] > place.left()
                    for k in range(len(drawn))
                    if k != number
                )
                if best is None or crossed < best[0]:
                    best = (crossed, place)
        place = best[1] if best is not None else _in_corner(taken, box, wide, height)
        taken.append(place)
    return taken


def _in_corner(taken: list[QRectF], box: QRectF, wide: float, height: float) -> QRectF:
    place = QRectF(box.right() - wide, box.top(), wide, height)
    while any(place.intersects(other) for other in taken):
        place.translate(0.0, height)
    return place
