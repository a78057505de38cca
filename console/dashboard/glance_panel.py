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
_BAR_WEIGHT = 1.3
_SMALL_WEIGHT = 1.05


class GlancePanel(QWidget):
    """Rows of label, big value with its ±, a note and, where there is a limit, a bar."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: tuple[GlanceNumber, ...] = ()
        self.alone = False
        """The numbers have the whole window: they may be larger than the three metres need."""
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
        main, small = self._split()
        weights = [_BAR_WEIGHT if n.bar is not None else 1.0 for n in main]
        total = sum(weights) + (_SMALL_WEIGHT if small else 0.0)
        unit = self.height() / total
        big = self._big(main, unit, self.width())
        top = 0.0
        for item, weight in zip(main, weights, strict=True):
            self._paint(painter, item, QRectF(0, top, self.width(), weight * unit), big)
            top += weight * unit
        half = self.width() / 2
        for number, item in enumerate(small):
            box = QRectF(number * half + (8 if number else 0), top, half - 8, _SMALL_WEIGHT * unit)
            self._paint(painter, item, box, min(big, self._big(small, _SMALL_WEIGHT * unit * 0.78, half - 8)))
        painter.end()

    def _split(self) -> tuple[list[GlanceNumber], list[GlanceNumber]]:
        """The doses, each in its own row; how far to trust them, side by side under them."""
        main = [n for n in self.numbers if n.dose]
        return (main, [n for n in self.numbers if not n.dose]) if main else (list(self.numbers), [])

    def _label(self) -> float:
        """Height in pixels of the letters of labels and notes."""
        return (36 if self.alone else 22) * self._scale

    def _big(self, numbers: list[GlanceNumber], height: float, width: float) -> float:
        """Height in pixels of the big letters: that wanted at three metres, unless the rows are too small for it."""
        one = QFontMetricsF(theme.font(100, bold=True))
        wanted = 100 * (CAPITAL_MM / 25.4 * self.physicalDpiY()) / one.capHeight()
        if self.alone:
            wanted *= 1.8
        lowest = (height - self._label() * 1.6) / 0.98
        widths = [
            100 * width * 0.98 / (one.horizontalAdvance(n.value) + 0.6 * one.horizontalAdvance(n.detail) + 20)
            for n in numbers
            if len(n.value) <= 8
        ]
        return max(12.0, min(wanted, lowest, *widths))

    def _paint(self, painter: QPainter, item: GlanceNumber, box: QRectF, big: float) -> None:
        label = self._label()
        tone = theme.colour(item.state.tone)
        painter.setPen(QColor(theme.LINE))
        if box.top() > 1:
            painter.drawLine(box.topLeft(), box.topRight())
        left = box.left()
        if item.series is not None:
            paint_symbol(painter, item.series, QRectF(left, box.top(), label, label * 1.6).center(), label * 0.8)
            left += label * 1.3
        head = QRectF(left, box.top(), box.right() - left, label * 1.6)
        painter.setFont(theme.font(label, bold=True))
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(head, int(Qt.AlignmentFlag.AlignVCenter), item.label)
        used = left + QFontMetricsF(painter.font()).horizontalAdvance(item.label) + label * 0.6
        body = QRectF(box.left(), box.top() + label * 1.55, box.width(), box.height() - label * 1.6)
        painter.setPen(tone if item.state.tone is not Tone.NORMAL else theme.colour(Tone.MUTED))
        if len(item.value) > 4:
            # A fraction that failed: the sentence that says why takes the place of a number.
            painter.setFont(theme.font(label, bold=True))
            painter.drawText(body, int(Qt.TextFlag.TextWordWrap), f"{item.value}: {item.note}")
            return
        if item.dose:
            note = QRectF(used, box.top(), box.right() - used, label * 1.6)
        else:
            note = QRectF(box.left(), box.bottom() - label * 1.5, box.width(), label * 1.4)
            body.setBottom(note.top())
        _write_fitting(painter, item.note, note, label * 0.8, right=item.dose)
        self._paint_value(painter, item, body, big)

    def _paint_value(self, painter: QPainter, item: GlanceNumber, box: QRectF, big: float) -> None:
        letters = theme.font(big, bold=True)
        metrics = QFontMetricsF(letters)
        base = box.top() + (box.height() + metrics.capHeight()) / 2
        if item.bar is not None:
            base -= box.height() * 0.14
        tone = item.state.tone
        painter.setFont(letters)
        painter.setPen(theme.colour(tone) if tone in (Tone.CAUTION, Tone.ALERT) else QColor(theme.TEXT))
        painter.drawText(int(box.left()), int(base), item.value)
        painter.setFont(theme.font(big * 0.6))
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(int(box.left() + metrics.horizontalAdvance(item.value) + big * 0.18), int(base), item.detail)
        if item.bar is not None:
            bar = QRectF(box.left(), base + big * 0.2, box.width(), max(6.0, box.height() * 0.13))
            _paint_bar(painter, item.bar, bar, theme.colour(tone))


def _write_fitting(painter: QPainter, text: str, box: QRectF, pixels: float, *, right: bool) -> None:
    """Write one line, in smaller letters where it would not fit."""
    wide = QFontMetricsF(theme.font(pixels, bold=True)).horizontalAdvance(text)
    painter.setFont(theme.font(pixels * min(1.0, box.width() / max(wide * 1.02, 1.0)), bold=True))
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    painter.drawText(box, int(side | Qt.AlignmentFlag.AlignVCenter), text)


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
