"""A table of `Cell`s from whose rows one is chosen, by mouse or by arrow keys."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import plain as tooltip
from console.dashboard.screen.model import Cell

_TOUCH = 2.1
"""Height of a row that a gloved finger chooses, in heights of the letters."""


class CellTable(QTableWidget):
    """Filled anew only where it changed: the chosen row stays, the place that was scrolled to too.

    `wide` are the columns that share what room is left.
    """

    chosen = Signal(int)
    """Another row, or −1."""

    def __init__(self, columns: Sequence[str], *, wide: Sequence[int], name: str) -> None:
        super().__init__(0, len(columns))
        self._cells: tuple[tuple[Cell, ...], ...] = ()
        self._filling = False
        self.setHorizontalHeaderLabels(list(columns))
        self.setAccessibleName(name)
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setWordWrap(True)
        self.setTabKeyNavigation(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        head = self.horizontalHeader()
        head.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        head.setHighlightSections(False)
        for column in range(len(columns)):
            mode = QHeaderView.ResizeMode.Stretch if column in wide else QHeaderView.ResizeMode.ResizeToContents
            head.setSectionResizeMode(column, mode)
        self.currentCellChanged.connect(self._moved)

    def fill(self, rows: Sequence[tuple[Cell, ...]]) -> None:
        """Show these rows; the first is chosen where none was."""
        if tuple(rows) == self._cells:
            return
        self._cells = tuple(rows)
        row = self.currentRow()
        self._filling = True
        self.setRowCount(len(rows))
        for number, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                self.setItem(number, column, _item(cell))
            self._span(number, len(cells))
        self._filling = False
        if rows:
            self.setCurrentCell(min(max(row, 0), len(rows) - 1), 0)
        self._fit_rows()
        self.chosen.emit(self.currentRow())

    def _span(self, row: int, cells: int) -> None:
        """The last cell of a row that has fewer than there are columns takes the rest of the line."""
        columns = self.columnCount()
        for column in range(columns):
            width = columns - cells + 1 if column == cells - 1 else 1
            if self.columnSpan(row, column) != width and column < cells:
                self.setSpan(row, column, 1, width)

    def _fit_rows(self) -> None:
        self.resizeRowsToContents()
        least = round(_TOUCH * self.fontMetrics().height())
        for row in range(self.rowCount()):
            self.setRowHeight(row, max(least, self.rowHeight(row)))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Rows wrap anew in another width."""
        super().resizeEvent(event)
        self._fit_rows()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter is for the button of the dialog, not for a cell."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.ignore()
            return
        super().keyPressEvent(event)

    def _moved(self, row: int, _column: int, before: int, _before_column: int) -> None:
        if row != before and not self._filling:
            self.chosen.emit(row)


def _item(cell: Cell) -> QTableWidgetItem:
    item = QTableWidgetItem(cell.text)
    item.setForeground(theme.colour(cell.tone))
    if cell.tooltip:
        item.setToolTip(tooltip(cell.tooltip))
    if cell.bold:
        letters = item.font()
        letters.setBold(True)
        item.setFont(letters)
    return item
