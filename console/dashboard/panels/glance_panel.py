"""The numbers for three metres, as large as the panel and the screen's own size allow."""

from __future__ import annotations

import math
from collections import deque

from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import plain
from console.dashboard.panels.glance_layout import CAPITAL_MM, READ_FROM_M, GlanceLayout, Room, lay_out
from console.dashboard.panels.glance_painting import Words, elided_line, flow, flow_height, paint_flow, paint_number
from console.dashboard.screen.model import GlanceNumber, NextScreen, Tone

# What a screen can have; beyond it the screen's own word on its size is wrong.
_PLAUSIBLE_PIXELS_PER_MM = (1.0, 20.0)
_NEXT_LINES = 3
_PICTURES = 6
_ARROWS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}


class GlancePanel(QWidget):
    """Rows of label, big value with its ±, a note and, where there is a limit, a bar; under them the next fraction.

    Tab brings the focus here, arrows go from number to number and tell more of each, Esc gives the focus back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers: tuple[GlanceNumber, ...] = ()
        self.following: NextScreen | None = None
        self._alone = False
        self._scale = 1.0
        self._pixels_per_mm: float | None = None
        self._chosen = 0
        self._laid: GlanceLayout | None = None
        self._flowed: list[Words] | None = None
        self._pictures: deque[tuple[tuple[object, ...], QPixmap]] = deque(maxlen=_PICTURES)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName("numbers at a glance")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)

    @property
    def alone(self) -> bool:
        """The numbers have the whole window: labels and notes are larger too."""
        return self._alone

    @alone.setter
    def alone(self, alone: bool) -> None:
        self._alone = alone
        self._lay_out_anew()

    def set_scale(self, scale: float) -> None:
        """Scale the labels from 1920 × 1080."""
        self._scale = scale
        self._pictures.clear()
        self._lay_out_anew()

    def set_pixels_per_mm(self, value: float) -> None:
        """Say how many of the window's pixels are one millimetre on the glass; what no screen has counts as unknown."""
        low, high = _PLAUSIBLE_PIXELS_PER_MM
        known = value if math.isfinite(value) and low <= value <= high else None
        if known != self._pixels_per_mm:
            self._pixels_per_mm = known
            self._pictures.clear()
            self._lay_out_anew()

    def draw(self, numbers: tuple[GlanceNumber, ...], following: NextScreen | None = None) -> None:
        """Show other numbers."""
        if numbers == self.numbers and following == self.following:
            return
        self.numbers, self.following = numbers, following
        told = [f"{n.label} {n.value} {n.detail} {n.note} {n.small}".strip() for n in numbers]
        if following is not None:
            told.append(" ".join([following.title, *(cell.text for cell in following.numbers)]))
        self.setAccessibleDescription("\n".join(told))
        self._lay_out_anew()
        if self.hasFocus() and QToolTip.isVisible():
            self._tell()

    @property
    def capital_pixels(self) -> float:
        """Height of a capital of the doses as painted."""
        return self._layout_now().capital

    @property
    def capital_mm(self) -> float | None:
        """The same on the glass; None while the screen's size is not known or no dose is shown."""
        return None if self._pixels_per_mm is None else self.capital_pixels / self._pixels_per_mm or None

    @property
    def readable_from_m(self) -> float | None:
        """From how far those capitals are read (20 arc minutes), rounded down to 0.1 m."""
        capital = self.capital_mm
        return None if capital is None else _readable_from_m(capital)

    @property
    def shown(self) -> tuple[GlanceNumber, ...]:
        """The numbers that have room."""
        return tuple(place.number for place in self._layout_now().places)

    @property
    def remark(self) -> str:
        """What is left out, and from where the numbers are read if not from three metres; empty if all is well."""
        return " · ".join(self._remarks(self._layout_now()))

    def sizeHint(self) -> QSize:  # noqa: N802
        """Take what there is."""
        return QSize(420, 600)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Lay out anew."""
        super().resizeEvent(event)
        self._laid = self._flowed = None

    def event(self, event: QEvent) -> bool:
        """Tell more of the number under the cursor."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            stops = self._stops()
            told = next((text for box, text in stops if box.contains(event.pos())), self.remark)
            QToolTip.showText(event.globalPos(), plain(told) if told else "", self)
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Go from number to number; every other key is the window's."""
        key, stops = Qt.Key(event.key()), self._stops()
        if event.modifiers() == Qt.KeyboardModifier.NoModifier and key in _ARROWS and stops:
            self._chosen = min(max(self._chosen + _ARROWS[key], 0), len(stops) - 1)
            self._tell()
            self.update()
        elif key == Qt.Key.Key_Escape:
            self.window().setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Frame a number and tell more of it; a window that comes to the front keeps the keys for its images."""
        if event.reason() in (Qt.FocusReason.ActiveWindowFocusReason, Qt.FocusReason.PopupFocusReason):
            self.window().setFocus(Qt.FocusReason.OtherFocusReason)
            return
        super().focusInEvent(event)
        self._tell()
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Take the frame away."""
        super().focusOutEvent(event)
        QToolTip.hideText()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the numbers, or what was painted of the same ones: going through the fractions is a habit."""
        painter = QPainter(self)
        if self._alone:
            self._paint(painter)
        else:
            what = (self.numbers, self.following, self.size(), self.devicePixelRatioF())
            picture = next((picture for key, picture in self._pictures if key == what), None)
            if picture is None:
                picture = self._picture()
                self._pictures.append((what, picture))
            painter.drawPixmap(0, 0, picture)
        if self.hasFocus():
            self._paint_focus(painter)
        painter.end()

    def _picture(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        picture = QPixmap(self.size() * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(QColor(theme.PANEL))
        painter = QPainter(picture)
        self._paint(painter)
        painter.end()
        return picture

    def _paint(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.numbers:
            painter.setFont(theme.font(22 * self._scale))
            painter.setPen(theme.colour(Tone.MUTED))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), "no result yet")
            return
        laid = self._layout_now()
        remark, down = self._remarks(laid), 0.0
        if remark:
            line = QRectF(0, 0, self.width(), self._remark_height())
            elided_line(painter, " · ".join(remark), line, self._label() * 0.8, theme.colour(Tone.MUTED))
            down = line.height()
        painter.translate(0, down)
        for place in laid.places:
            paint_number(painter, place, self._label(), laid.detail)
        painter.translate(0, -down)
        if self.following is not None:
            box = self._next_box()
            painter.setPen(QColor(theme.LINE))
            painter.drawLine(box.topLeft(), box.topRight())
            paint_flow(painter, self._flow(), box, self._next_pixels())

    def _lay_out_anew(self) -> None:
        self._laid = self._flowed = None
        self.update()

    def _label(self) -> float:
        """Height in pixels of the letters of labels and notes."""
        return (34 if self._alone else 20) * self._scale

    def _remark_height(self) -> float:
        return self._label() * 1.2

    def _layout_now(self) -> GlanceLayout:
        if self._laid is None:
            below = self._next_height()
            laid = self._lay_out(self.height() - below)
            if self._remarks(laid):
                laid = self._lay_out(self.height() - below - self._remark_height())
            self._laid = laid
        return self._laid

    def _lay_out(self, height: float) -> GlanceLayout:
        needed = None if self._pixels_per_mm is None else CAPITAL_MM * self._pixels_per_mm
        room = Room(width=self.width(), height=height, label=self._label(), needed=needed, alone=self._alone)
        return lay_out(self.numbers, room)

    def _remarks(self, laid: GlanceLayout) -> list[str]:
        remarks = []
        left_out = [*(name for n in self.numbers for name in n.left_out), *laid.dropped]
        if left_out:
            remarks.append(f"+ {len(left_out)} in VOLUMES")
        too_small = False
        if laid.capital > 0 and self._pixels_per_mm is None:
            remarks.append("size of the screen not known: set display.screen_height_mm")
        elif laid.capital > 0 and self._pixels_per_mm is not None:
            capital_mm = laid.capital / self._pixels_per_mm
            too_small = capital_mm < CAPITAL_MM
            if too_small:
                remarks.append(f"capitals {math.floor(capital_mm)} mm: read from {_readable_from_m(capital_mm):.1f} m")
        if (too_small or laid.dropped) and not self._alone:
            remarks.append("F11: larger")
        return remarks

    def _next_pixels(self) -> float:
        return (26 if self._alone else 18) * self._scale

    def _flow(self) -> list[Words]:
        if self._flowed is None:
            next_one, pixels = self.following, self._next_pixels()
            self._flowed = [] if next_one is None else flow(next_one, self.width(), pixels, _NEXT_LINES)
        return self._flowed

    def _next_height(self) -> float:
        if self.following is None or not self.numbers:
            return 0.0
        return flow_height(len(self._flow()), self._next_pixels())

    def _next_box(self) -> QRectF:
        height = self._next_height()
        return QRectF(0, self.height() - height, self.width(), height)

    def _stops(self) -> list[tuple[QRectF, str]]:
        """Where the focus can stand, and what is told there."""
        if not self.numbers:
            return []
        laid = self._layout_now()
        down = self._remark_height() if self._remarks(laid) else 0.0
        stops = [(place.box.translated(0, down), self._told(place.number)) for place in laid.places]
        if self.following is not None:
            cells = (cell.text for cell in self.following.numbers)
            stops.append((self._next_box(), "\n".join([self.following.title, *cells, self.following.tooltip])))
        return stops

    @property
    def focused(self) -> str:
        """What is told of the number in focus; empty while the focus is elsewhere."""
        stops = self._stops() if self.hasFocus() else []
        return stops[min(self._chosen, len(stops) - 1)][1] if stops else ""

    def _told(self, number: GlanceNumber) -> str:
        first = f"{number.label} {number.value} {number.detail} {number.small}".strip()
        told = [first, number.note, number.tooltip]
        if number.left_out:
            told.append(f"only in VOLUMES: {', '.join(number.left_out)}")
        capital = self.capital_mm
        if number.dose and capital is not None:
            told.append(f"capitals {capital:.1f} mm: read from {self.readable_from_m:.1f} m (20 arc minutes)")
        return "\n".join(line for line in told if line)

    def _tell(self) -> None:
        stops = self._stops()
        if stops:
            self._chosen = min(self._chosen, len(stops) - 1)
            box, told = stops[self._chosen]
            at = QPoint(int(box.left()) + 20, int(min(box.bottom(), self.height() - 10)))
            QToolTip.showText(self.mapToGlobal(at), plain(told), self)

    def _paint_focus(self, painter: QPainter) -> None:
        stops = self._stops()
        if stops:
            painter.setPen(QPen(theme.colour(Tone.ACTIVE), max(2.0, 2.0 * self._scale)))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(stops[min(self._chosen, len(stops) - 1)][0].adjusted(1, 1, -1, -1), 3, 3)


def _readable_from_m(capital_mm: float) -> float:
    return math.floor(10.0 * READ_FROM_M * capital_mm / CAPITAL_MM + 1e-6) / 10.0
