"""A table of fields: a row for each vial, residual, position, fraction or limit, with its verdict at the end."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from console.dashboard.desk.form import Entry, Field
from console.dashboard.desk.setup_pages import FieldTable, TableRow
from console.dashboard.desk.setup_texts import TICKED
from console.dashboard.dialogs.acknowledge_dialog import TickBox
from console.dashboard.dialogs.tool_dialog import plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.screen.model import State, Tone

_TOUCH = 2.0
_RIM = f"border: 2px solid {theme.TONES[Tone.ALERT]};"
_FEW_LETTERS, _SPLIT_LETTERS, _MARGINS = 6, 12, 24
"""A field is never narrower than a number in it, or a split into four."""
_STRETCH = {"territory": 4, "volumes": 4, "injections": 5, "assay_time": 5, "vials": 4, "volume": 4, "source": 6,
            "split": 5}  # fmt: skip
"""Of columns that hold names and times; the others hold numbers."""


class SetupTable(QWidget):
    """The rows of one list. Widgets are made once for the same rows, so the cursor stays where it is."""

    changed = Signal(str, str)
    """(key, text as typed)"""
    removed = Signal(str, int)
    """(list, row)"""
    acted = Signal(str, int)
    """(words on the button, row)"""

    def __init__(self) -> None:
        super().__init__()
        self._outer = QVBoxLayout(self)
        self._outer.setContentsMargins(0, 0, 0, 0)
        self._body = QWidget()
        self._outer.addWidget(self._body)
        self._shape: object = None
        self._drawing = False
        self.editors: dict[str, QLineEdit | TickBox] = {}
        self.verdicts: dict[int, QLabel] = {}
        self.states: dict[int, QLabel] = {}
        self.buttons: dict[tuple[str, int], QPushButton] = {}

    def draw(self, table: FieldTable) -> None:
        """Show the rows."""
        shape = (table.columns, tuple((row.number, row.fields, row.actions) for row in table.rows))
        if shape != self._shape:
            self._shape = shape
            self._make(table)
        self._drawing = True
        for row in table.rows:
            self._fill(row)
        self._drawing = False

    def _fill(self, row: TableRow) -> None:
        for one, text, wrong in zip(row.fields, row.texts, row.faults, strict=True):
            editor = self.editors[one.key]
            if isinstance(editor, TickBox):
                editor.setChecked(text == TICKED)
            else:
                if editor.text() != text:
                    editor.setText(text)
                theme.restyle(editor, _RIM if wrong else "")
        self.states[row.number].setText(row.state.text)
        theme.restyle(self.states[row.number], f"color: {theme.TONES[row.state.tone]};")
        _show(self.verdicts[row.number], row.verdict.state)

    def _make(self, table: FieldTable) -> None:
        self._body.hide()
        self._body.deleteLater()
        self._body = QWidget()
        self._outer.addWidget(self._body)
        self.editors, self.verdicts, self.states, self.buttons = {}, {}, {}, {}
        grid = QGridLayout(self._body)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(6)
        labelled = table.rows_key in ("injections", "residuals")
        first = 1 if labelled else 0
        if table.rows:
            for column, one in enumerate(table.columns, start=first):
                head = plain(f"{one.label}, {one.unit}" if one.unit else one.label)
                head.setObjectName("title")
                head.setToolTip(one.tooltip)
                grid.addWidget(head, 0, column)
        for place, row in enumerate(table.rows, start=1):
            self._make_row(grid, place, row, table, labelled=labelled)
        for column, one in enumerate(table.columns, start=first):
            grid.setColumnStretch(column, _STRETCH.get(one.key, 0 if one.entry is Entry.TICK else 3))
        grid.setColumnStretch(first + len(table.columns) + 4, 7)

    def _make_row(self, grid: QGridLayout, place: int, row: TableRow, table: FieldTable, *, labelled: bool) -> None:
        middle = Qt.AlignmentFlag.AlignVCenter
        if labelled:
            label = plain(row.label)
            theme.restyle(label, "font-weight: bold;")
            grid.addWidget(label, place, 0, middle)
        column = 1 if labelled else 0
        for one in row.fields:
            editor = self._editor(one, row.label)
            self.editors[one.key] = editor
            centred = Qt.AlignmentFlag.AlignHCenter if isinstance(editor, TickBox) else Qt.AlignmentFlag(0)
            grid.addWidget(editor, place, column, middle | centred)
            column += 1
        state = plain("")
        self.states[row.number] = state
        state.setVisible(table.rows_key == "injections")
        grid.addWidget(state, place, column, middle)
        for words in row.actions:
            column += 1
            grid.addWidget(self._button(words, row, words), place, column, middle)
        column = len(row.fields) + (1 if labelled else 0) + 3
        grid.addWidget(self._button("✕", row, f"Remove {row.label}"), place, column, middle)
        verdict = plain("")
        verdict.setWordWrap(True)
        verdict.setMinimumWidth(10 * verdict.fontMetrics().averageCharWidth())
        self.verdicts[row.number] = verdict
        grid.addWidget(verdict, place, column + 1, middle)

    def _editor(self, one: Field, label: str) -> QLineEdit | TickBox:
        key = one.key
        if one.entry is Entry.TICK:
            box = TickBox()
            box.setFixedSize(26, 26)
            box.toggled.connect(lambda on: self._emit(key, TICKED if on else ""))
            editor: QLineEdit | TickBox = box
        else:
            line = QLineEdit()
            line.setPlaceholderText(one.hint)
            line.textEdited.connect(lambda text: self._emit(key, text))
            line.ensurePolished()
            letters = _SPLIT_LETTERS if one.key.endswith("split") else _FEW_LETTERS
            line.setMinimumWidth(letters * line.fontMetrics().horizontalAdvance("0") + _MARGINS)
            line.setMinimumHeight(round(_TOUCH * line.fontMetrics().height()))
            editor = line
        editor.setAccessibleName(f"{label}, {one.label}, {one.unit}".rstrip(", "))
        editor.setToolTip(one.tooltip)
        editor.setEnabled(one.enabled)
        return editor

    def _button(self, words: str, row: TableRow, spoken: str) -> QPushButton:
        button = touch_button(words)
        button.setAutoDefault(False)
        button.setToolTip(spoken)
        button.setAccessibleName(f"{spoken}, {row.label}")
        rows = row.fields[0].key.partition("[")[0]
        if words == "✕":
            button.clicked.connect(lambda: self.removed.emit(rows, row.number))
        else:
            button.clicked.connect(lambda: self.acted.emit(words, row.number))
        self.buttons[words, row.number] = button
        return button

    def _emit(self, key: str, text: str) -> None:
        if not self._drawing:
            self.changed.emit(key, text)


def _show(label: QLabel, state: State) -> None:
    label.setText(state.text)
    theme.restyle(label, f"color: {theme.TONES[state.tone]};")
