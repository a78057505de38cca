"""The dialog of the injections: the table of all, the form of one, and what can be said of it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from console.dashboard.desk.injections import COLUMNS, Deed, InjectionsScreen, Key, build_injections
from console.dashboard.dialogs.form_view import FormView
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog, plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import plain as as_text
from console.dashboard.screen.model import Table
from console.operations import Operation

_ROW = 2.0
"""Height of a row, in heights of its letters."""
_DEEDS = 4


class DeedButton(QPushButton):
    """A button that says something of the treatment; where it cannot, it says why."""

    def __init__(self) -> None:
        super().__init__()
        self.deed = Deed(label="")

    def draw(self, deed: Deed) -> None:
        """Show another deed in its place."""
        if deed == self.deed:
            return
        self.deed = deed
        why = deed.why if deed.operation is None else ""
        # An ampersand would be taken for the mark of a key.
        self.setText("\n".join(part for part in (deed.label, why) if part).replace("&", "&&"))
        self.setToolTip(as_text(deed.why or deed.label))
        self.setEnabled(deed.operation is not None)


class InjectionDialog(ToolDialog):
    """All injections; what is typed of the chosen one stands until it is recorded or another one is chosen."""

    def __init__(self, parent: QWidget, services: Services) -> None:
        super().__init__(parent, services, "Injections")
        self._chosen: Key | None = None
        self._typed: dict[str, str] = {}
        self._recorded: Operation | None = None
        self._drawing = False
        self.screen_drawn: InjectionsScreen | None = None
        self.table = QTableWidget(0, len(COLUMNS))
        self._set_up_table()
        self.title, self.net, self.closing = plain(""), plain(""), plain("")
        self.title.setObjectName("details")
        for label in (self.net, self.closing):
            label.setWordWrap(True)
        self.form = FormView()
        self.form.changed.connect(self._type)
        self.record = DeedButton()
        self.record.setDefault(True)
        self.reset = touch_button("Forget what was typed")
        self.reset.clicked.connect(self._forget)
        self.deeds = tuple(DeedButton() for _ in range(_DEEDS))
        self.close_treatment = DeedButton()
        for button in (self.record, *self.deeds, self.close_treatment):
            button.setMinimumHeight(self.reset.minimumHeight())
            button.clicked.connect(lambda _=False, own=button: self._say(own))
        self._lay_out()

    def _set_up_table(self) -> None:
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Injections")
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.table.itemSelectionChanged.connect(self._choose)

    def _lay_out(self) -> None:
        left, right, press = QVBoxLayout(), QGridLayout(), QHBoxLayout()
        for layout in (left, right, press):
            layout.setSpacing(8)
        press.addWidget(self.record, 2)
        press.addWidget(self.reset, 1)
        left.addWidget(self.title)
        left.addWidget(self.form)
        left.addWidget(self.net)
        left.addLayout(press)
        left.addStretch(1)
        for row, button in enumerate((*self.deeds, self.close_treatment)):
            right.addWidget(button, row, 0)
        right.addWidget(self.closing, _DEEDS + 1, 0)
        right.setRowStretch(_DEEDS + 2, 1)
        below = QHBoxLayout()
        below.setSpacing(24)
        below.addLayout(left, 64)
        below.addLayout(right, 36)
        self.body.addWidget(self.table, 1)
        self.body.addLayout(below)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Open on the injection that is under way, or comes next."""
        if not self._typed:
            self._chosen = None
        super().showEvent(event)
        self.table.setFocus()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Forget what was typed and not recorded: nobody would expect it to stand there the next time."""
        super().hideEvent(event)
        self._typed, self._recorded, self._chosen = {}, None, None

    def draw(self) -> None:
        """Show what is known, and over it what was typed."""
        screen = build_injections(self.snapshot, chosen=self._chosen, typed=self._typed, now=self.now)
        if screen.chosen != self._chosen:
            # What was typed is of one injection alone.
            self._chosen, self._typed, self._recorded = screen.chosen, {}, None
            screen = build_injections(self.snapshot, chosen=self._chosen, typed={}, now=self.now)
        refused = any(verdict.fault for verdict in screen.form.verdicts.values())
        if self._recorded is not None and screen.record.operation is None and not refused:
            # The engine tells it now: what was typed is what is known.
            self._typed, self._recorded = {}, None
            screen = build_injections(self.snapshot, chosen=self._chosen, typed={}, now=self.now)
        self.screen_drawn = screen
        self._drawing = True
        self._draw_table(screen.table, screen.keys)
        self._drawing = False
        self.title.setText(screen.title)
        self.form.draw(screen.form)
        self.net.setText(screen.net.text)
        theme.restyle(self.net, f"color: {theme.TONES[screen.net.tone]}; font-weight: bold;")
        self._draw_buttons(screen)

    def _draw_buttons(self, screen: InjectionsScreen) -> None:
        waiting = self._recorded is not None and screen.record.operation == self._recorded
        record = Deed(label="● recorded, being read", why="the next picture shows it") if waiting else screen.record
        self.record.draw(record)
        self.reset.setEnabled(bool(self._typed))
        for button, deed in zip(self.deeds, screen.deeds or (Deed(label="—"),) * _DEEDS, strict=True):
            button.draw(deed)
        self.close_treatment.draw(screen.close)
        self.closing.setText(f"{screen.closing}\n{screen.close.why}".strip())

    def _draw_table(self, table: Table, keys: tuple[Key, ...]) -> None:
        if self.table.rowCount() != len(table.rows):
            self.table.setRowCount(len(table.rows))
        height = round(_ROW * self.table.fontMetrics().height())
        for number, row in enumerate(table.rows):
            self.table.setRowHeight(number, height)
            for column, cell in enumerate(row.cells):
                item = self.table.item(number, column)
                if item is None:
                    item = QTableWidgetItem()
                    self.table.setItem(number, column, item)
                if item.text() != cell.text:
                    item.setText(cell.text)
                item.setForeground(theme.colour(cell.tone))
                item.setToolTip(as_text(cell.tooltip))
        if self._chosen in keys and self.table.currentRow() != keys.index(self._chosen):
            self.table.selectRow(keys.index(self._chosen))

    def _choose(self) -> None:
        screen, row = self.screen_drawn, self.table.currentRow()
        if self._drawing or screen is None or not 0 <= row < len(screen.keys) or screen.keys[row] == self._chosen:
            return
        self._chosen, self._typed, self._recorded = screen.keys[row], {}, None
        self.draw()

    def _type(self, key: str, text: str) -> None:
        self._typed[key] = text
        self.draw()

    def _forget(self) -> None:
        self._typed, self._recorded = {}, None
        self.draw()

    def _say(self, button: DeedButton) -> None:
        operation = button.deed.operation
        if operation is None:
            return
        said = self.say(operation, f"{button.deed.done}; undo on the bar takes it back")
        if said and button is self.record:
            self._recorded = operation
        elif said:
            self._typed, self._recorded = {}, None
        self.draw()
