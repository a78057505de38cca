"""Paints an `OutlinePicture`: grey anatomy, an outline, and the letters of the patient's directions."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard.desk.volume_outline import Outline, OutlinePicture
from console.dashboard.panels import theme
from console.dashboard.screen.model import Tone

_MARGIN = 4.0


class OutlineView(QWidget):
    """A small picture in its true proportions; without one it says why."""

    def __init__(self) -> None:
        super().__init__()
        self._picture: OutlinePicture | None = None
        self._words = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(QSize(220, 180))

    def draw(self, picture: OutlinePicture | None, words: str) -> None:
        """Show a picture with words below it, or the words alone."""
        if picture is not self._picture or words != self._words:
            self._picture, self._words = picture, words
            self.setAccessibleName(words)
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint."""
        del event
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.IMAGE_BACKGROUND))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        line = painter.fontMetrics().height()
        words = QRectF(_MARGIN, self.height() - 2.2 * line, self.width() - 2 * _MARGIN, 2.2 * line)
        painter.setPen(theme.colour(Tone.NORMAL))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(words, int(flags), self._words)
        if self._picture is not None:
            room = QRectF(_MARGIN, _MARGIN, self.width() - 2 * _MARGIN, words.top() - 2 * _MARGIN)
            self._paint(painter, self._picture, room)
        painter.end()

    def _paint(self, painter: QPainter, picture: OutlinePicture, room: QRectF) -> None:
        width, height = picture.size_mm
        scale = min(room.width() / width, room.height() / height)
        left = room.left() + (room.width() - scale * width) / 2
        top = room.top() + (room.height() - scale * height) / 2
        rows, columns = picture.grey.shape
        image = QImage(picture.grey.data, columns, rows, columns, QImage.Format.Format_Grayscale8)
        there = QRectF(left, top, scale * width, scale * height)
        painter.drawImage(there, image)
        if picture.before is not None:
            pen = QPen(theme.colour(Tone.NORMAL), 1.5, Qt.PenStyle.DashLine)
            _draw(painter, picture.before, pen, left, top, scale)
        _draw(painter, picture.outline, QPen(theme.colour(Tone.CAUTION), 2.0), left, top, scale)
        painter.setPen(theme.colour(Tone.NORMAL))
        inner = there.adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        centre, middle = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignVCenter
        sides = (
            Qt.AlignmentFlag.AlignLeft | middle,
            Qt.AlignmentFlag.AlignRight | middle,
            Qt.AlignmentFlag.AlignTop | centre,
            Qt.AlignmentFlag.AlignBottom | centre,
        )
        for letters, side in zip(picture.letters, sides, strict=True):
            painter.drawText(inner, int(side), letters)


def _draw(painter: QPainter, outline: Outline, pen: QPen, left: float, top: float, scale: float) -> None:
    x, y, connect = outline
    path, joined = QPainterPath(), False
    for at in range(len(x)):
        point = QPointF(left + scale * float(x[at]), top + scale * float(y[at]))
        if joined:
            path.lineTo(point)
        else:
            path.moveTo(point)
        joined = bool(connect[at])
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPath(path)
