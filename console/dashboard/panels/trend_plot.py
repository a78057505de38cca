"""The plot of mean dose against injected activity (EMERITUS-1, figure 2), painted once for a content and a size."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import plain
from console.dashboard.panels.painted_axes import Axes, lines_beside, paint_axes
from console.dashboard.panels.trend_marks import mark_box, paint_band, paint_lines, paint_points
from console.dashboard.screen.model import TrendScreen
from console.dashboard.screen.ticks import nice_ticks

_LETTERS = 13.0
_HEADROOM = 1.06
"""The axis ends this much above the highest value: half a symbol."""
_WIDEST_MARGIN = 0.3
_BASELINE_SHARE = 0.03
"""Of the axis, before 0 MBq, where a dose from other positions stands."""


class TrendPlot(QWidget):
    """Points ± u, lines, bands, what comes next and the limits of one position. All words stand outside the data."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.words: tuple[tuple[str, QRectF], ...] = ()
        """What is written beside the axes, and where."""
        self.marks: tuple[QRectF, ...] = ()
        """What the symbols cover."""
        self._scale = 1.0
        self._trend: TrendScreen | None = None
        self._picture: QPixmap | None = None

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self._scale = scale
        self._forget()

    def draw(self, trend: TrendScreen) -> None:
        """Show the plot of a position."""
        if trend is self._trend or trend == self._trend:
            return
        self._trend = trend
        self.setToolTip(plain(trend.tooltip))
        self.setAccessibleDescription("\n".join([trend.title, *(words for _, _, words in trend.limits)]))
        self._forget()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Paint anew at the new size."""
        self._picture = None

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Show the picture, painted if there is none."""
        if self._trend is None:
            return
        if self._picture is None:
            self._picture = self._painted(self._trend)
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._picture)
        painter.end()

    def _forget(self) -> None:
        self._picture = None
        self.update()

    def _painted(self, trend: TrendScreen) -> QPixmap:
        ratio = self.devicePixelRatioF()
        picture = QPixmap(max(1, round(self.width() * ratio)), max(1, round(self.height() * ratio)))
        picture.setDevicePixelRatio(ratio)
        picture.fill(QColor(theme.PANEL))
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint(painter, trend)
        painter.end()
        return picture

    def _paint(self, painter: QPainter, trend: TrendScreen) -> None:
        pixels = _LETTERS * self._scale
        axes = self._axes(trend, pixels)
        line = QFontMetricsF(theme.font(pixels)).height()
        filled = bool(trend.series or trend.planned_x_mbq)
        paint_axes(
            painter,
            axes,
            # Before there is anything to show the axes have no numbers.
            x_ticks=nice_ticks(0.0, axes.x_range[1], 2 + int(axes.box.width() / (4.5 * line))) if filled else (),
            y_ticks=nice_ticks(0.0, axes.y_range[1], 2 + int(axes.box.height() / (2.5 * line))) if filled else (),
            labels=(trend.x_label, trend.y_label),
            pixels=pixels,
        )
        words = [
            *self._paint_fractions(painter, trend, axes, pixels),
            *self._paint_limits(painter, trend, axes, pixels),
        ]
        painter.setClipRect(axes.box.adjusted(-8 * self._scale, 0, 0, 8 * self._scale))
        for paint in (paint_band, paint_lines, paint_points):
            for series in trend.series:
                paint(painter, axes, series, self._scale)
        painter.setClipping(False)
        self.words = tuple(words)
        self.marks = tuple(
            mark_box(axes, at, self._scale)
            for s in trend.series
            for at in (*zip(s.x_mbq, s.dose_gy, strict=True), *((s.next[:2],) if s.next else ()))
        )

    def _axes(self, trend: TrendScreen, pixels: float) -> Axes:
        """Room under the axis for ticks and its name, above for the fractions, on the right for the limits."""
        metrics = QFontMetricsF(theme.font(pixels))
        line = metrics.height()
        top, bottom = line + 3, 2 * line + 4
        height = max(20.0, self.height() - top - bottom)
        left = metrics.horizontalAdvance(f"{trend.y_maximum_gy:.0f}0") + 8
        left += lines_beside(trend.y_label, height, pixels) * line
        right = self._margin(trend, pixels)
        box = QRectF(left, top, max(20.0, self.width() - left - right), height)
        start = -_BASELINE_SHARE * trend.x_maximum_mbq if any(s.baseline for s in trend.series) else 0.0
        # Symbols of the last fraction are whole: the axis goes on for the width of a ring.
        end = start + (trend.x_maximum_mbq - start) * box.width() / max(10.0, box.width() - 18 * self._scale)
        return Axes(box=box, x_range=(start, end), y_range=(0.0, _HEADROOM * trend.y_maximum_gy))

    def _margin(self, trend: TrendScreen, pixels: float) -> float:
        """Pixels to the right of the last fraction: half its own name, or a limit's."""
        metrics = QFontMetricsF(theme.font(pixels))
        last = metrics.horizontalAdvance(trend.planned_labels[-1]) if trend.planned_labels else 0.0
        words = [word for limit in trend.limits for word in _limit_words(limit, beyond=True)]
        longest = max((metrics.horizontalAdvance(word) for word in words), default=0.0) + 14 * self._scale
        return max(last / 2 + 4, 10 * self._scale, min(longest, _WIDEST_MARGIN * self.width()) if words else 0.0)

    def _paint_fractions(
        self, painter: QPainter, trend: TrendScreen, axes: Axes, pixels: float
    ) -> list[tuple[str, QRectF]]:
        """Paint a line for every fraction; named from the last one back, where there is room."""
        metrics, box = QFontMetricsF(theme.font(pixels)), axes.box
        painter.setFont(theme.font(pixels))
        placed: list[tuple[str, QRectF]] = []
        free = float("inf")
        for x_mbq, label in reversed(list(zip(trend.planned_x_mbq, trend.planned_labels, strict=True))):
            x = axes.place(x_mbq, 0.0).x()
            painter.setPen(QPen(QColor(theme.MUTED), 1, Qt.PenStyle.DotLine))
            painter.drawLine(QLineF(x, box.top(), x, box.bottom()))
            width = metrics.horizontalAdvance(label)
            where = QRectF(x - width / 2, 0, width, metrics.height())
            if where.right() + 4 > free:
                continue
            free = where.left()
            painter.setPen(QColor(theme.TEXT))
            painter.drawText(where.adjusted(-2, 0, 2, 0), int(Qt.AlignmentFlag.AlignHCenter), label)
            placed.append((label, where))
        return placed

    def _paint_limits(
        self, painter: QPainter, trend: TrendScreen, axes: Axes, pixels: float
    ) -> list[tuple[str, QRectF]]:
        """Paint the limits with their names in the margin: one beyond the axis is named at its upper end."""
        metrics, box = QFontMetricsF(theme.font(pixels)), axes.box
        painter.setFont(theme.font(pixels))
        placed: list[tuple[str, QRectF]] = []
        left, free = box.right() + 6 * self._scale, 0.0
        tall = 2 * metrics.height()
        for limit in sorted(trend.limits, reverse=True):
            beyond = limit[0] > axes.y_range[1]
            y = axes.place(0.0, min(limit[0], axes.y_range[1])).y()
            if not beyond:
                painter.setPen(QPen(QColor(theme.TEXT), 1.5 * self._scale, Qt.PenStyle.DashDotLine))
                painter.drawLine(QPointF(box.left(), y), QPointF(left - 2, y))
            where = QRectF(left, max(free, min(y - tall / 2, box.bottom() - tall)), self.width() - left, tall)
            free = where.bottom()
            if free > self.height():
                break
            lines = [
                metrics.elidedText(word, Qt.TextElideMode.ElideRight, where.width())
                for word in _limit_words(limit, beyond=beyond)
            ]
            painter.setPen(QColor(theme.TEXT))
            painter.drawText(where, int(Qt.AlignmentFlag.AlignLeft), "\n".join(lines))
            placed.append((" ".join(lines), where))
        return placed


def _limit_words(limit: tuple[float, str, str], *, beyond: bool) -> tuple[str, str]:
    return f"{'↑ ' if beyond else ''}limit {limit[0]:g} Gy", limit[1]
