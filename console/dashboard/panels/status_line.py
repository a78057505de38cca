"""The foot of the window: machine, file and settings in one line; what is out of order keeps its colour."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import plain
from console.dashboard.screen.model import Cell

_PIXELS = 13.0
_GAP = 22.0


class StatusLine(QWidget):
    """Cells from the left; the first that does not fit is cut with an ellipsis. All of them stand in the tooltip."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: tuple[Cell, ...] = ()
        self._scale = 1.0
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.set_scale(1.0)

    def set_scale(self, scale: float) -> None:
        """Scale the letters from 1920 × 1080."""
        self._scale = scale
        self.setFixedHeight(round(QFontMetricsF(theme.font(_PIXELS * scale)).height()) + 1)
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """As wide as there is room."""
        return QSize(400, self.height())

    def draw(self, cells: tuple[Cell, ...]) -> None:
        """Show other cells."""
        if cells != self.cells:
            self.cells = cells
            self.setAccessibleDescription("\n".join(cell.text for cell in cells))
            self.setToolTip(plain("\n".join(cell.tooltip or cell.text for cell in cells)))
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the cells."""
        painter = QPainter(self)
        letters = theme.font(_PIXELS * self._scale)
        metrics = QFontMetricsF(letters)
        painter.setFont(letters)
        left, gap = 0.0, _GAP * self._scale
        for cell in self.cells:
            room = self.width() - left
            if room < 4 * gap:
                break
            text = metrics.elidedText(cell.text, Qt.TextElideMode.ElideRight, room)
            painter.setPen(theme.colour(cell.tone))
            painter.drawText(QRectF(left, 0, room, self.height()), int(Qt.AlignmentFlag.AlignVCenter), text)
            left += metrics.horizontalAdvance(text) + gap
        painter.end()
