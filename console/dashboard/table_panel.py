"""A titled panel with a painted table: columns by their content, one column wraps, nothing is cut without saying so."""

from __future__ import annotations

from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QHelpEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from console.dashboard import theme
from console.dashboard.screen_model import Cell, Row, Table, Tone

_FACTORS = (1.0, 0.93, 0.86, 0.79, 0.72)
_WORDS = int(Qt.TextFlag.TextWordWrap)


class Panel(QFrame):
    """A framed part of the window with a title; `body` fills it."""

    def __init__(self, title: str, body: QWidget) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.title = QLabel(title)
        self.title.setObjectName("title")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(10, 6, 10, 6)
        self._layout.setSpacing(2)
        self._layout.addWidget(self.title)
        self._layout.addWidget(body, 1)

    def add(self, widget: QWidget) -> None:
        """Put another widget under the body."""
        self._layout.addWidget(widget)


@dataclass(frozen=True)
class _Placed:
    """A row as laid out: its number, top and height."""

    number: int
    top: float
    height: float


@dataclass(frozen=True)
class _Layout:
    """A table laid out for one size: letters, columns (left, width), rows, and how many did not fit."""

    pixels: float
    columns: tuple[tuple[float, float], ...]
    heads: float
    rows: tuple[_Placed, ...]
    left_out: int


class TableView(QWidget):
    """Draws a `Table`. Letters shrink a little before anything is left out; what is left out is counted.

    A `log` shows as many of its rows as there is room for and counts none: the newest is on top.
    `wrapped` is the column that takes the remaining width and wraps; `right` the columns set flush right.
    """

    row_clicked = Signal(int)

    def __init__(
        self, *, wrapped: int, right: tuple[int, ...] = (), pixels: float = 15.0, spread: float = 1.0, log: bool = False
    ) -> None:
        super().__init__()
        self.table = Table()
        self._wrapped, self._right, self._pixels, self._spread = wrapped, right, pixels, spread
        self._log = log
        self._scale = 1.0
        self._laid: _Layout | None = None
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)

    def draw(self, table: Table) -> None:
        """Show another table."""
        if table == self.table:
            return
        self.table = table
        self._laid = None
        self.setAccessibleDescription("\n".join(" ".join(c.text for c in row.cells) for row in table.rows))
        self.updateGeometry()
        self.update()

    def set_scale(self, scale: float) -> None:
        """Scale the letters from 1920 × 1080."""
        self._scale = scale
        self._laid = None
        self.update()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Any size will do: the letters follow."""
        return QSize(10, 10)

    def resizeEvent(self, event: object) -> None:  # noqa: N802
        """Lay out anew at the next painting."""
        self._laid = None

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the rows that fit."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        laid = self._fit()
        if not self.table.rows:
            painter.setFont(theme.font(self._pixels * self._scale))
            painter.setPen(theme.colour(Tone.MUTED))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignTop) | _WORDS, self.table.empty)
            painter.end()
            return
        if laid.heads:
            painter.setFont(theme.font(laid.pixels * 0.86, bold=True))
            painter.setPen(theme.colour(Tone.MUTED))
            for number, ((left, width), head) in enumerate(zip(laid.columns, self.table.columns, strict=True)):
                painter.drawText(QRectF(left, 0, width, laid.heads), self._alignment(number), head)
        for placed in laid.rows:
            self._paint_row(painter, self.table.rows[placed.number], placed, laid)
        if laid.left_out and not self._log:
            painter.setFont(theme.font(laid.pixels, bold=True))
            painter.setPen(theme.colour(Tone.CAUTION))
            strip = QRectF(0, self.height() - laid.pixels * 1.3, self.width(), laid.pixels * 1.3)
            painter.drawText(strip, int(Qt.AlignmentFlag.AlignRight), f"+ {laid.left_out} more")
        painter.end()

    def event(self, event: QEvent) -> bool:
        """Tell more of the cell under the cursor."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            cell = self._cell_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), f"{cell.text}\n{cell.tooltip}".strip() if cell else "", self)
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Say which row was pressed."""
        for placed in self._fit().rows:
            if placed.top <= event.position().y() < placed.top + placed.height:
                self.row_clicked.emit(placed.number)

    def _cell_at(self, point: QPointF) -> Cell | None:
        laid = self._fit()
        for placed in laid.rows:
            if placed.top <= point.y() < placed.top + placed.height:
                row = self.table.rows[placed.number]
                for (left, width), cell in zip(laid.columns, row.cells, strict=False):
                    if left <= point.x() < left + width:
                        return cell
        return None

    def _alignment(self, column: int) -> int:
        side = Qt.AlignmentFlag.AlignRight if column in self._right else Qt.AlignmentFlag.AlignLeft
        return int(side | Qt.AlignmentFlag.AlignVCenter) | (_WORDS if column == self._wrapped else 0)

    def _fit(self) -> _Layout:
        if self._laid is not None:
            return self._laid
        full = self._pixels * self._scale
        for factor in _FACTORS:
            laid = self._lay(full * factor, self.width(), self.height())
            whole = self._log or not laid.left_out
            if whole and laid.columns[self._wrapped][1] >= self._needed(full * factor):
                break
        self._laid = laid
        return laid

    def _needed(self, pixels: float) -> float:
        """The width of the longest word of the wrapping column: it must not be broken."""
        metrics = QFontMetricsF(theme.font(pixels, bold=True))
        words = [
            word
            for row in self.table.rows
            if not row.heading and len(row.cells) > self._wrapped
            for word in row.cells[self._wrapped].text.split()
        ]
        return max((metrics.horizontalAdvance(word) for word in words), default=0.0)

    def _lay(self, pixels: float, width: float, height: float) -> _Layout:
        gap = pixels * 0.6
        bold, heads = QFontMetricsF(theme.font(pixels, bold=True)), QFontMetricsF(theme.font(pixels * 0.86, bold=True))
        plain = QFontMetricsF(theme.font(pixels))
        count = len(self.table.columns) or 1
        widths = [heads.horizontalAdvance(head) for head in self.table.columns] or [0.0]
        for row in self.table.rows:
            if not row.heading:
                for number, cell in enumerate(row.cells):
                    metrics = bold if cell.bold else plain
                    widths[number] = max(widths[number], metrics.horizontalAdvance(cell.text) + 1)
                if row.series is not None:
                    widths[0] = max(widths[0], pixels)
        taken = sum(w + gap for number, w in enumerate(widths) if number != self._wrapped and w > 0)
        widths[self._wrapped] = max(width - taken - gap * 0.6, 1.0)
        columns, left = [], gap * 0.3
        for number in range(count):
            columns.append((left, widths[number]))
            left += widths[number] + gap if widths[number] > 0 else 0
        head_height = pixels * 1.5 if any(self.table.columns) else 0.0
        placed, top = [], head_height
        for number, row in enumerate(self.table.rows):
            tall = self._row_height(row, columns, plain, bold, pixels)
            if top + tall > height:
                break
            placed.append(_Placed(number, top, tall))
            top += tall
        left_out = len(self.table.rows) - len(placed)
        return _Layout(pixels, tuple(columns), head_height, tuple(placed), left_out)

    def _row_height(
        self, row: Row, columns: list[tuple[float, float]], plain: QFontMetricsF, bold: QFontMetricsF, pixels: float
    ) -> float:
        lines = plain.height()
        if not row.heading and len(row.cells) > self._wrapped:
            cell = row.cells[self._wrapped]
            room = QRectF(0, 0, columns[self._wrapped][1], 1e6)
            lines = max(lines, (bold if cell.bold else plain).boundingRect(room, _WORDS, cell.text).height())
        return lines + pixels * 0.3 * self._spread

    def _paint_row(self, painter: QPainter, row: Row, placed: _Placed, laid: _Layout) -> None:
        box = QRectF(0, placed.top + 1, self.width(), placed.height - 2)
        if row.highlighted:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.RAISED))
            painter.drawRoundedRect(box, 3, 3)
        if row.heading:
            painter.setFont(theme.font(laid.pixels * 0.95, bold=True))
            painter.setPen(theme.colour(Tone.MUTED))
            painter.drawText(
                box.adjusted(laid.columns[0][0], 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), row.cells[0].text
            )
            return
        if row.series is not None:
            middle = QPointF(laid.columns[0][0] + laid.pixels * 0.5, box.center().y())
            paint_symbol(painter, row.series, middle, laid.pixels * 0.8)
        for number, ((left, width), cell) in enumerate(zip(laid.columns, row.cells, strict=False)):
            letters = theme.font(laid.pixels, bold=cell.bold)
            painter.setFont(letters)
            painter.setPen(theme.colour(cell.tone))
            text = cell.text if number == self._wrapped else _elided(cell.text, letters, width + 2)
            painter.drawText(QRectF(left, placed.top, width + 2, placed.height), self._alignment(number), text)


def paint_symbol(painter: QPainter, series: int, middle: QPointF, size: float) -> None:
    """Paint a volume's symbol as it is in the plot."""
    painter.save()
    painter.translate(middle)
    painter.scale(size, size)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.series_colour(series))
    painter.drawPath(pg.graphicsItems.ScatterPlotItem.Symbols[theme.series_symbol(series)])
    painter.restore()


def _elided(text: str, letters: QFont, width: float) -> str:
    return QFontMetricsF(letters).elidedText(text, Qt.TextElideMode.ElideRight, width)
