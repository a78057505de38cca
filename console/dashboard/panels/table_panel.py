"""A titled panel with a painted table: columns by their content, one column wraps, nothing is cut without saying so."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFont,
    QHelpEvent,
    QHideEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
)
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import plain
from console.dashboard.panels.table_layout import (
    STRIP,
    WORDS,
    Layout,
    Placed,
    Style,
    advance,
    elided,
    lay_out,
    middle_to_baseline,
    with_units,
)
from console.dashboard.screen.model import Cell, Row, Table, Tone

_SIDES = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight)
_ARROWS = {
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
}


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


class TableView(QWidget):
    """Draws a `Table`. Letters shrink a little before anything is left out; what is left out is counted.

    A `log` shows as many of its rows as there is room for and counts none: the newest is on top.
    `wrapped` is the column that takes the remaining width and wraps; `right` the columns set flush right.
    With the keyboard: Tab to the table, arrows from cell to cell (each shows its tooltip), Enter presses the row, Esc
    gives the keys back to the window.
    """

    row_clicked = Signal(int)

    def __init__(
        self, *, wrapped: int, right: tuple[int, ...] = (), pixels: float = 15.0, spread: float = 1.0, log: bool = False
    ) -> None:
        super().__init__()
        self.table = Table()
        self._style = Style(wrapped=wrapped, pixels=pixels, spread=spread, log=log)
        self._right = right
        self._alignments = tuple(int(side | Qt.AlignmentFlag.AlignVCenter) for side in _SIDES)
        self._scale = 1.0
        self._laid: Layout | None = None
        self._picture: QPixmap | None = None
        self._at = (0, 0)
        """Row and column of the cell in focus."""
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)

    def draw(self, table: Table) -> None:
        """Show another table."""
        if table is self.table or table == self.table:
            return
        self.table = table
        self._laid = self._picture = None
        self.setAccessibleDescription("\n".join(" ".join(c.text for c in row.cells) for row in table.rows))
        self.update()

    def set_scale(self, scale: float) -> None:
        """Scale the letters from 1920 × 1080."""
        self._scale = scale
        self._laid = self._picture = None
        self.update()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Any size will do: the letters follow."""
        return QSize(10, 10)

    def resizeEvent(self, event: object) -> None:  # noqa: N802
        """Lay out anew at the next painting."""
        self._laid = self._picture = None

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Show the picture of the table, painted if there is none, and the frame of the cell in focus."""
        laid = self._fit()
        if self._picture is None:
            ratio = self.devicePixelRatioF()
            self._picture = QPixmap(max(1, round(self.width() * ratio)), max(1, round(self.height() * ratio)))
            self._picture.setDevicePixelRatio(ratio)
            self._picture.fill(QColor(theme.PANEL))
            painter = QPainter(self._picture)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint(painter, laid)
            painter.end()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._picture)
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint_focus(painter)
        painter.end()

    def _paint(self, painter: QPainter, laid: Layout) -> None:
        """Paint the rows that fit."""
        if not self.table.rows:
            painter.setFont(theme.font(self._style.pixels * self._scale))
            painter.setPen(theme.colour(Tone.MUTED))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignTop) | WORDS, self.table.empty)
            return
        if laid.heads:
            painter.setFont(theme.font(round(laid.pixels * 0.86), bold=True))
            painter.setPen(theme.colour(Tone.MUTED))
            for number, ((left, width), head) in enumerate(zip(laid.columns, self.table.columns, strict=True)):
                box = QRectF(left, 0, width, laid.heads)
                paint_line(painter, head, round(laid.pixels * 0.86), True, box, number in self._right)
        letters = tuple(theme.font(round(laid.pixels), bold=bold) for bold in (False, True))
        for placed in laid.rows:
            self._paint_row(painter, self.table.rows[placed.number], placed, laid, letters)
        if laid.left_out and not self._style.log:
            painter.setFont(theme.font(laid.pixels, bold=True))
            painter.setPen(theme.colour(Tone.CAUTION))
            strip = QRectF(0, self.height() - laid.pixels * STRIP, self.width(), laid.pixels * STRIP)
            painter.drawText(strip, int(Qt.AlignmentFlag.AlignRight), f"+ {laid.left_out} more")

    def event(self, event: QEvent) -> bool:
        """Tell more of the cell under the cursor."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self._told(self._cell_at(QPointF(event.pos()))), self)
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Say which row was pressed."""
        for placed in self._fit().rows:
            if placed.top <= event.position().y() < placed.top + placed.height:
                self.row_clicked.emit(placed.number)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Arrows go from cell to cell, Enter presses the row, Esc leaves; all other keys are the window's."""
        key = Qt.Key(event.key())
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().keyPressEvent(event)
        elif key in _ARROWS and self._fit().rows:
            self._at = self._moved(*_ARROWS[key])
            self._tell_focus()
            self.update()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._fit().rows:
            self.row_clicked.emit(self._focused().number)
        elif key == Qt.Key.Key_Escape:
            self.window().setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Show the frame and tell the cell; a window that comes to the front keeps the keys for its images."""
        if event.reason() in (Qt.FocusReason.ActiveWindowFocusReason, Qt.FocusReason.PopupFocusReason):
            self.window().setFocus(Qt.FocusReason.OtherFocusReason)
            return
        super().focusInEvent(event)
        if self._fit().rows:
            self._tell_focus()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Take frame and words away."""
        super().focusOutEvent(event)
        QToolTip.hideText()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Leave no words behind."""
        super().hideEvent(event)
        if self.hasFocus():
            QToolTip.hideText()

    @property
    def focused_cell(self) -> Cell | None:
        """The cell that the keyboard is at; None while the table has not the focus, or nothing to show."""
        return self._cell_in_focus() if self.hasFocus() and self._fit().rows else None

    def _focused(self) -> Placed:
        """The row in focus, among those that are shown."""
        rows = self._fit().rows
        return rows[min(self._at[0], len(rows) - 1)]

    def _cell_in_focus(self) -> Cell:
        cells = self.table.rows[self._focused().number].cells
        return cells[min(self._at[1], len(cells) - 1)]

    def _moved(self, down: int, along: int) -> tuple[int, int]:
        """The next row, or the next cell of the row that holds words; where there is none, it stays."""
        row, column = self._fit().rows.index(self._focused()), self._at[1]
        if down:
            return min(max(row + down, 0), len(self._fit().rows) - 1), column
        cells = self.table.rows[self._focused().number].cells
        at = min(column, len(cells) - 1) + along
        while 0 <= at < len(cells) and not (cells[at].text or cells[at].tooltip):
            at += along
        return row, at if 0 <= at < len(cells) else min(column, len(cells) - 1)

    def _focus_box(self) -> QRectF:
        placed, laid = self._focused(), self._fit()
        row = self.table.rows[placed.number]
        if row.heading:
            return QRectF(1, placed.top + 1, self.width() - 2, placed.height - 2)
        left, width = laid.columns[min(self._at[1], len(row.cells) - 1)]
        return QRectF(left - 3, placed.top + 1, width + 6, placed.height - 2).intersected(QRectF(self.rect()))

    def _paint_focus(self, painter: QPainter) -> None:
        if self._fit().rows:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.colour(Tone.ACTIVE), max(2.0, 2.0 * self._scale)))
            painter.drawRoundedRect(self._focus_box(), 3, 3)

    def _tell_focus(self) -> None:
        """Show the tooltip of the cell in focus under it."""
        box = self._focus_box().toRect()
        QToolTip.showText(self.mapToGlobal(box.bottomLeft()), self._told(self._cell_in_focus()), self, box)

    @staticmethod
    def _told(cell: Cell | None) -> str:
        """Words of a cell as Qt shows them: names from the images are never markup."""
        words = f"{cell.text}\n{cell.tooltip}".strip() if cell is not None else ""
        return plain(words) if words else ""

    def _cell_at(self, point: QPointF) -> Cell | None:
        laid = self._fit()
        for placed in laid.rows:
            if placed.top <= point.y() < placed.top + placed.height:
                row = self.table.rows[placed.number]
                if row.heading:
                    return row.cells[0]
                for (left, width), cell in zip(laid.columns, row.cells, strict=False):
                    if left <= point.x() < left + width:
                        return cell
        return None

    def _fit(self) -> Layout:
        if self._laid is None:
            pressed = self.receivers("2row_clicked(int)") > 0
            self._laid = lay_out(
                self.table, self._style, self.width(), self.height(), scale=self._scale, pressed=pressed
            )
        return self._laid

    def _paint_row(self, painter: QPainter, row: Row, placed: Placed, laid: Layout, letters: tuple[QFont, ...]) -> None:
        box = QRectF(0, placed.top + 1, self.width(), placed.height - 2)
        if row.highlighted:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.RAISED))
            painter.drawRoundedRect(box, 3, 3)
            painter.setBrush(theme.colour(Tone.ACTIVE))
            painter.drawRect(QRectF(0, box.top(), max(2.0, laid.pixels * 0.16), box.height()))
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
        pixels, tone = round(laid.pixels), None
        for number, ((left, width), cell) in enumerate(zip(laid.columns, row.cells, strict=False)):
            if not cell.text:
                continue
            wraps = number == self._style.wrapped
            painter.setFont(letters[cell.bold])
            if cell.tone is not tone:
                tone = cell.tone
                painter.setPen(theme.colour(tone))
            flush_right = number in self._right
            box = QRectF(left, placed.top, width + 2, placed.height)
            if wraps and advance(cell.text, pixels, cell.bold) > width:
                painter.drawText(box, self._alignments[flush_right] | WORDS, with_units(cell.text))
            else:
                paint_line(
                    painter, elided(cell.text, pixels, cell.bold, width + 2), pixels, cell.bold, box, flush_right
                )


def paint_line(painter: QPainter, text: str, pixels: int, bold: bool, box: QRectF, flush_right: bool) -> None:
    """Paint one line in the middle of a box: ten times as fast as what Qt does for a text that may wrap."""
    x = box.right() - advance(text, pixels, bold) if flush_right else box.left()
    painter.drawText(QPointF(x, box.center().y() + middle_to_baseline(pixels, bold)), text)


def paint_symbol(painter: QPainter, series: int, middle: QPointF, size: float) -> None:
    """Paint a volume's symbol as it is in the plot."""
    painter.save()
    painter.translate(middle)
    painter.scale(size, size)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.series_colour(series))
    painter.drawPath(pg.graphicsItems.ScatterPlotItem.Symbols[theme.series_symbol(series)])
    painter.restore()
