"""The timeline of a replay: an axis with ticks, waits that are drawn short, where it is and where it is going."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QFontMetricsF, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import plain
from console.dashboard.screen.model import ReplayBar, TickMark, Tone
from console.dashboard.screen.replay_bar import STEER
from console.dashboard.screen.view import JumpToPlace

_SIDE = 14.0
"""Room at the ends of the axis, so that a tick there is whole."""
_TICK, _SMALL = 13.0, 11.0
_NEAR = 7.0
"""So near to a tick the cursor means it."""
_AXIS = 0.38
"""Height of the axis, of the whole."""
_MOST = 8
"""Ticks told at one place."""
_PLAYED = "#a855f7"
"""Of the axis, what has been replayed: the purple of what is not live, lighter on the dark ground."""


class TimelineView(QWidget):
    """Painted whole. A press or a drag chooses a moment; it is asked for when the button is let go."""

    asked = Signal(object)
    """A `JumpToPlace`."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = ReplayBar()
        self._scale = 1.0
        self.dragged: float | None = None
        """The place that is being chosen."""
        self._over: float | None = None
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Timeline of the treatment")

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""
        self._scale = scale
        self.update()

    def draw(self, bar: ReplayBar) -> None:
        """Show how the replay stands."""
        if bar != self.bar:
            self.bar = bar
            self.setAccessibleDescription(bar.words.text)
            self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """As wide as there is room."""
        return QSize(400, round(44 * self._scale))

    def place_at(self, x: float) -> float:
        """The place under a pixel, 0…1."""
        side = _SIDE * self._scale
        return min(max((x - side) / max(self.width() - 2 * side, 1.0), 0.0), 1.0)

    def x_of(self, place: float) -> float:
        """The pixel of a place."""
        side = _SIDE * self._scale
        return side + place * max(self.width() - 2 * side, 1.0)

    def words_at(self, x: float) -> str:
        """What stands near a pixel: its ticks, its waits, or the time alone."""
        near = _NEAR * self._scale
        told = [f"{t.sign} {t.words}" for t in self.bar.ticks if abs(self.x_of(t.place) - x) <= near]
        told += [one.tooltip for one in self.bar.breaks if abs(self.x_of(one.place) - x) <= near]
        if len(told) > _MOST:
            told = [*told[:_MOST], f"and {len(told) - _MOST} more"]
        return "\n".join((self.bar.clock_at(self.place_at(x)), *told, STEER))

    # -- the cursor --------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Begin to choose."""
        if event.button() is Qt.MouseButton.LeftButton and not self.bar.message:
            self._choose(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Choose another place while the button is held; tell what stands under the cursor."""
        x = event.position().x()
        if self.dragged is not None:
            self._choose(x)
        self._over = self.place_at(x)
        self.update()
        if not self.bar.message:
            QToolTip.showText(event.globalPosition().toPoint(), plain(self.words_at(x)), self)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Ask for the chosen place."""
        if event.button() is Qt.MouseButton.LeftButton and self.dragged is not None:
            place, self.dragged = self.dragged, None
            self.asked.emit(JumpToPlace(place=place))
            self.update()

    def enterEvent(self, event: QEnterEvent) -> None:  # noqa: N802
        """A hand: this can be pressed."""
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        super().enterEvent(event)

    def leaveEvent(self, event: object) -> None:  # noqa: N802
        """No place is under the cursor any more."""
        self._over = None
        self.update()

    def _choose(self, x: float) -> None:
        """A place, or the tick next to it: to just after that."""
        near = [tick for tick in self.bar.ticks if abs(self.x_of(tick.place) - x) <= _NEAR * self._scale]
        nearest = min(near, key=lambda tick: abs(self.x_of(tick.place) - x), default=None)
        self.dragged = nearest.place if nearest is not None else self.place_at(x)
        self.update()

    # -- painting ----------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint axis, waits, ticks, legend, and the hands."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.bar.message:
            painter.setFont(theme.font(_TICK * self._scale))
            painter.setPen(theme.colour(Tone.MUTED))
            painter.drawText(QRectF(self.rect()), int(Qt.AlignmentFlag.AlignCenter), self.bar.message)
        else:
            self._paint_axis(painter)
            for tick in self.bar.ticks:
                self._paint_tick(painter, tick)
            self._paint_foot(painter)
            self._paint_hands(painter)
        painter.end()

    def _paint_axis(self, painter: QPainter) -> None:
        s, y = self._scale, _AXIS * self.height()
        left, here, right = self.x_of(0.0), self.x_of(self.bar.place), self.x_of(1.0)
        painter.setPen(QPen(QColor(theme.LINE), 3 * s))
        painter.drawLine(QPointF(here, y), QPointF(right, y))
        painter.setPen(QPen(QColor(_PLAYED), 4 * s))
        painter.drawLine(QPointF(left, y), QPointF(here, y))
        for one in self.bar.breaks:
            x = self.x_of(one.place)
            painter.fillRect(QRectF(x - 2 * s, y - 4 * s, 4 * s, 8 * s), QColor(theme.BACKGROUND))
            painter.setPen(QPen(theme.colour(Tone.MUTED), 1.2 * s))
            for shift in (-2.0, 2.0):
                low, high = QPointF(x + (shift - 1.5) * s, y + 5 * s), QPointF(x + (shift + 1.5) * s, y - 5 * s)
                painter.drawLine(low, high)

    def _paint_tick(self, painter: QPainter, tick: TickMark) -> None:
        s, y = self._scale, _AXIS * self.height()
        letters = theme.font(_TICK * s)
        painter.setFont(letters)
        painter.setPen(theme.colour(tick.tone))
        metrics = QFontMetricsF(letters)
        high = metrics.height()
        at = y - (9.5 if tick.lane > 0 else 10.0) * tick.lane * s
        wide = metrics.horizontalAdvance(tick.sign)
        box = QRectF(self.x_of(tick.place) - wide, at - high / 2, 2 * wide, high)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), tick.sign)

    def _paint_foot(self, painter: QPainter) -> None:
        """Times of the ends, and in the middle how long the waits were, or what the shapes mean."""
        s = self._scale
        letters = theme.font(_SMALL * s)
        painter.setFont(letters)
        metrics = QFontMetricsF(letters)
        box = QRectF(4 * s, self.height() - metrics.height(), self.width() - 8 * s, metrics.height())
        painter.setPen(theme.colour(Tone.MUTED))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft), self.bar.ends[0])
        painter.drawText(box, int(Qt.AlignmentFlag.AlignRight), self.bar.ends[1])
        said = [f"{sign} {word}" for sign, _, word in self.bar.legend]
        waits = "// wait" if self.bar.breaks else ""
        gap = 14 * s
        width = sum(metrics.horizontalAdvance(one) + gap for one in (*said, waits))
        x = (self.width() - width) / 2
        for (sign, tone, _), words in zip(self.bar.legend, said, strict=True):
            painter.setPen(theme.colour(tone))
            painter.drawText(QPointF(x, box.bottom() - metrics.descent()), sign)
            painter.setPen(theme.colour(Tone.MUTED))
            rest = words.removeprefix(sign)
            painter.drawText(QPointF(x + metrics.horizontalAdvance(sign), box.bottom() - metrics.descent()), rest)
            x += metrics.horizontalAdvance(words) + gap
        painter.drawText(QPointF(x, box.bottom() - metrics.descent()), waits)

    def _paint_hands(self, painter: QPainter) -> None:
        """Where it is; where it is going, or what is being chosen, with its time."""
        s = self._scale
        y = _AXIS * self.height()
        here = self.x_of(self.bar.place)
        painter.setPen(QPen(QColor(theme.TEXT), 3 * s))
        painter.drawLine(QPointF(here, y - 16 * s), QPointF(here, y + 16 * s))
        wanted = self.dragged if self.dragged is not None else self.bar.target
        wanted = self._over if wanted is None else wanted
        if wanted is None:
            return
        x = self.x_of(wanted)
        pen = QPen(theme.colour(Tone.ACTIVE), 2 * s)
        pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.drawLine(QPointF(x, y - 16 * s), QPointF(x, y + 16 * s))
