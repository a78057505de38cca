"""The numbers for three metres, as large as the panel and the screen's own size allow."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard import theme
from console.dashboard.screen_model import GlanceNumber, LimitBar, NextScreen, Tone
from console.dashboard.table_panel import paint_symbol

# The ± and the unit beside the value: their size and their distance, in heights of the value's letters.
_DETAIL = 0.52
_GAP = 0.18
_BAR_WEIGHT = 1.3
_SMALL_WEIGHT = 1.05


class GlancePanel(QWidget):
    """Rows of label, big value with its ±, a note and, where there is a limit, a bar."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: tuple[GlanceNumber, ...] = ()
        self.alone = False
        """The numbers have the whole window: labels and notes are larger too."""
        self._scale = 1.0
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)

    def set_scale(self, scale: float) -> None:
        """Scale the labels from 1920 × 1080."""
        self._scale = scale
        self.update()

    def draw(self, numbers: tuple[GlanceNumber, ...], following: NextScreen | None = None) -> None:
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
        unit = self._unit()
        big = self._big(main, unit, self.width())
        top = 0.0
        for item in main:
            self._paint(painter, item, QRectF(0, top, self.width(), _weight(item) * unit), big)
            top += _weight(item) * unit
        half = self.width() / 2
        for number, item in enumerate(small):
            box = QRectF(number * half + (8 if number else 0), top, half - 8, _SMALL_WEIGHT * unit)
            self._paint(
                painter, item, box, min(big, self._big(small, _SMALL_WEIGHT * unit - 1.5 * self._label(), half - 8))
            )
        painter.end()

    def _split(self) -> tuple[list[GlanceNumber], list[GlanceNumber]]:
        """The doses, each in its own row; how far to trust them, side by side under them."""
        main = [n for n in self.numbers if n.dose]
        return (main, [n for n in self.numbers if not n.dose]) if main else (list(self.numbers), [])

    def _label(self) -> float:
        """Height in pixels of the letters of labels and notes."""
        return (36 if self.alone else 22) * self._scale

    def _big(self, numbers: list[GlanceNumber], height: float, width: float) -> float:
        """Height in pixels of the big letters: as large as the lowest and the fullest row allow."""
        one, small = QFontMetricsF(theme.font(100, bold=True)), QFontMetricsF(theme.font(100 * _DETAIL, narrow=True))
        widths = [
            100 * width * 0.99 / (one.horizontalAdvance(n.value) + small.horizontalAdvance(n.detail) + _GAP * 100)
            for n in numbers
            if not n.sentence
        ]
        # Digits have no descenders: the letters may be taller than the room by as much.
        return max(12.0, min(1.18 * (height - self._label() * 1.6), *widths, 1000.0))

    @property
    def capital_pixels(self) -> float:
        """Height of a capital of the doses as painted."""
        main, _ = self._split()
        return QFontMetricsF(theme.font(self._big(main, self._unit(), self.width()), bold=True)).capHeight()

    def _unit(self) -> float:
        """Height in pixels of a plain row."""
        main, small = self._split()
        return self.height() / (sum(_weight(n) for n in main) + (_SMALL_WEIGHT if small else 0.0))

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
        if item.sentence:
            # A fraction that failed: the sentence that says why takes the place of a number.
            _write_sentence(painter, f"{item.value}: {item.note}", body, label)
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
        painter.setFont(theme.font(big * _DETAIL, narrow=True))
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(int(box.left() + metrics.horizontalAdvance(item.value) + big * _GAP), int(base), item.detail)
        if item.bar is not None:
            bar = QRectF(box.left(), base + big * 0.2, box.width(), max(6.0, box.height() * 0.13))
            _paint_bar(painter, item.bar, bar, theme.colour(tone))


def _weight(item: GlanceNumber) -> float:
    """Height of a row, in plain rows."""
    return _BAR_WEIGHT if item.bar is not None else 1.0


def _write_sentence(painter: QPainter, text: str, box: QRectF, pixels: float) -> None:
    """Write on several lines, in smaller letters where they would not fit."""
    wrap = int(Qt.TextFlag.TextWordWrap)
    for factor in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5):
        letters = theme.font(pixels * factor, bold=True)
        if QFontMetricsF(letters).boundingRect(QRectF(0, 0, box.width(), 1e6), wrap, text).height() <= box.height():
            break
    painter.setFont(letters)
    painter.drawText(box, wrap, text)


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
