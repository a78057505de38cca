"""The colour bar beside the images: the quantity, its fixed levels with their strokes, and the key of the patterns."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.cut_image import as_image, dotting, hatching
from console.dashboard.screen.legend import level_words
from console.dashboard.screen.model import DoseLegend

_WIDTH = 96
_KEY = ((hatching, "not\nevaluable"), (dotting, "≥ lower\nbound"))


class DoseScale(QWidget):
    """The legend of wash and lines, and under it what the hatching and the dots mean."""

    def __init__(self) -> None:
        super().__init__()
        self._legend: DoseLegend | None = None
        self._scale = 1.0
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)

    def draw(self, legend: DoseLegend) -> None:
        """Show the doses of a legend."""
        if legend != self._legend:
            self._legend = legend
            self.setToolTip(legend.tooltip)
            self.setAccessibleDescription(f"{legend.words}, {legend.title}")
            self.update()

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""
        self._scale = scale
        self.setFixedWidth(round(_WIDTH * scale))
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Narrow and as tall as there is room."""
        return QSize(round(_WIDTH * self._scale), 200)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the bar, its doses with their strokes, and the key."""
        if self._legend is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_bar(painter, self._legend)
        self._paint_key(painter)
        painter.end()

    def _paint_bar(self, painter: QPainter, legend: DoseLegend) -> None:
        s, centred = self._scale, int(Qt.AlignmentFlag.AlignCenter)
        painter.setPen(QColor(theme.TEXT))
        painter.setFont(theme.font(14 * s, bold=True, narrow=True))
        painter.drawText(QRectF(0, 0, self.width(), 34 * s), centred, legend.words.replace(" ", "\n"))
        painter.setFont(theme.font(16 * s, bold=True))
        painter.drawText(QRectF(0, 34 * s, self.width(), 22 * s), centred, legend.title)
        top, bottom, left, width = 70 * s, self.height() - 96 * s, 6 * s, 20 * s
        span = legend.maximum_gy - legend.minimum_gy
        table = theme.dose_table(legend)[::-1, None, :]
        opaque = np.where(table[..., 3:] > 0, table[..., 2::-1], (0, 0, 0)).astype(np.uint8)
        bar = as_image(np.concatenate([opaque, np.full_like(opaque[..., :1], 255)], axis=-1))
        painter.drawImage(QRectF(left, top, width, bottom - top), bar)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QColor(theme.MUTED))
        painter.drawRect(QRectF(left, top, width, bottom - top))
        painter.setFont(theme.font(15 * s, bold=True))
        for number, level in enumerate(legend.levels_gy):
            y = bottom - (bottom - top) * min(1.0, (level - legend.minimum_gy) / span)
            painter.setPen(theme.level_pen(legend, number, max(1.5, 2.4 * s)))
            painter.drawLine(QPointF(left + width + 3 * s, y), QPointF(left + width + 25 * s, y))
            painter.setPen(QColor(theme.TEXT))
            box = QRectF(left + width + 28 * s, y - 11 * s, self.width(), 22 * s)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), level_words(legend, level))

    def _paint_key(self, painter: QPainter) -> None:
        s = self._scale
        side = round(26 * s)
        painter.setFont(theme.font(13 * s, narrow=True))
        for number, (pattern, words) in enumerate(_KEY):
            top = self.height() - (76 - 38 * number) * s
            painter.fillRect(QRectF(4 * s, top, side, side), QColor("#4a4a4a"))
            painter.drawImage(
                QPointF(4 * s, top), as_image(pattern(np.ones((side, side), dtype=bool), s), transparent=True)
            )
            painter.setPen(QColor(theme.TEXT))
            box = QRectF(8 * s + side, top - 4 * s, self.width() - side - 8 * s, side + 8 * s)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), words)
