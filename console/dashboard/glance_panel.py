"""The numbers for three metres, as large as the panel and the screen's own size allow."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard import theme
from console.dashboard.screen_model import GlanceNumber, LimitBar, Tone
from console.dashboard.table_panel import paint_symbol

# 20 arc minutes at 3 m: the smallest capital that is read without effort.
CAPITAL_MM = 17.5
_LINE = 1.28


class GlancePanel(QWidget):
    """Rows of label, big value with its ±, a note and, where there is a limit, a bar."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: tuple[GlanceNumber, ...] = ()
        self._scale = 1.0
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)

    def set_scale(self, scale: float) -> None:
        """Scale the labels from 1920 × 1080."""
        self._scale = scale
        self.update()

    def draw(self, numbers: tuple[GlanceNumber, ...]) -> None:
        """Show other numbers."""
        if numbers != self.numbers:
            self.numbers = numbers
            self.setAccessibleDescription("\n".join(f"{n.label} {n.value} {n.detail} {n.note}" for n in numbers))
            self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Take what there is."""
        return QSize(420, 600)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the rows."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.numbers:
            painter.setFont(theme.font(22 * self._scale))
            painter.setPen(theme.colour(Tone.MUTED))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), "no result yet")
            painter.end()
            return
        height = self.height() / len(self.numbers)
        big = self._big(height)
        for number, item in enumerate(self.numbers):
            self._paint(painter, item, QRectF(0, number * height, self.width(), height), big)
        painter.end()

    def _big(self, height: float) -> float:
        """Height in pixels of the big letters: the one wanted at three metres, unless the rows are too low or narrow for it."""
        one = QFontMetricsF(theme.font(100, bold=True))
        wanted = 100 * (CAPITAL_MM / 25.4 * self.physicalDpiY()) / one.capHeight()
        label = 24 * self._scale
        lowest = (height - label * 1.35) / _LINE
        widths = [
            100 * self.width() * 0.98 / (one.horizontalAdvance(n.value) + 0.62 * one.horizontalAdvance(n.detail) + 12)
            for n in self.numbers
            if len(n.value) <= 8
        ]
        return max(12.0, min(wanted, lowest, *widths))

    def _paint(self, painter: QPainter, item: GlanceNumber, box: QRectF, big: float) -> None:
        s = self._scale
        label = 22 * s
        tone = theme.colour(item.state.tone)
        painter.setPen(QColor(theme.LINE))
        if box.top() > 1:
            painter.drawLine(box.topLeft(), box.topRight())
        left = 0.0
        middle = box.top() + label * 0.8
        if item.series is not None:
            paint_symbol(painter, item.series, QRectF(0, box.top(), label, label * 1.6).center(), label * 0.8)
            left = label * 1.3
        painter.setFont(theme.font(label, bold=True))
        painter.setPen(QColor(theme.TEXT))
        head = QRectF(left, box.top(), box.width() - left, label * 1.6)
        painter.drawText(head, int(Qt.AlignmentFlag.AlignVCenter), item.label)
        used = left + QFontMetricsF(painter.font()).horizontalAdvance(item.label) + label * 0.6
        note = QRectF(used, box.top(), box.width() - used, label * 1.6)
        ink = tone if item.state.tone is not Tone.NORMAL else theme.colour(Tone.MUTED)
        letters = theme.font(label * 0.8, bold=True)
        wide = QFontMetricsF(letters).horizontalAdvance(item.note)
        if wide > note.width():
            letters = theme.font(max(10 * s, label * 0.8 * note.width() / wide), bold=True)
        painter.setFont(letters)
        painter.setPen(ink)
        flags = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if len(item.value) > 8 or wide > 2 * note.width():
            body = QRectF(0, middle + label, box.width(), box.height() - label * 2)
            painter.setFont(theme.font(label, bold=True))
            painter.drawText(body, int(Qt.TextFlag.TextWordWrap), f"{item.value} {item.note}")
            return
        painter.drawText(note, flags, item.note)
        self._paint_value(painter, item, QRectF(0, box.top() + label * 1.5, box.width(), box.height() - label * 1.5), big)

    def _paint_value(self, painter: QPainter, item: GlanceNumber, box: QRectF, big: float) -> None:
        letters = theme.font(big, bold=True)
        metrics = QFontMetricsF(letters)
        base = box.top() + (box.height() + metrics.capHeight()) / 2
        if item.bar is not None:
            base -= box.height() * 0.09
        tone = item.state.tone
        painter.setFont(letters)
        painter.setPen(theme.colour(tone) if tone in (Tone.CAUTION, Tone.ALERT) else QColor(theme.TEXT))
        painter.drawText(0, int(base), item.value)
        painter.setFont(theme.font(big * 0.6))
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(int(metrics.horizontalAdvance(item.value) + big * 0.18), int(base), item.detail)
        if item.bar is not None:
            bar = QRectF(0, base + box.height() * 0.07, box.width(), max(6.0, box.height() * 0.13))
            _paint_bar(painter, item.bar, bar, theme.colour(tone))


def _paint_bar(painter: QPainter, bar: LimitBar, box: QRectF, ink: QColor) -> None:
    """The value as a bar, its ± as a lighter stretch, the limit as a white mark; the axis ends past the limit."""
    per_gy = box.width() / max(1.2 * bar.limit_gy, bar.value_gy + bar.uncertainty_gy)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme.RAISED))
    painter.drawRect(box)
    painter.setBrush(ink)
    painter.drawRect(QRectF(box.left(), box.top(), max(0.0, bar.value_gy * per_gy), box.height()))
    light = QColor(ink)
    light.setAlpha(120)
    painter.setBrush(light)
    painter.drawRect(QRectF(bar.value_gy * per_gy, box.top(), bar.uncertainty_gy * per_gy, box.height()))
    painter.setBrush(QColor(theme.TEXT))
    painter.drawRect(QRectF(bar.limit_gy * per_gy - 2, box.top() - 4, 4, box.height() + 8))
