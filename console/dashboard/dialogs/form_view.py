"""Draws a `Form`: a row for each field, with its unit and, beside it, what is wrong with what was typed."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QLineEdit, QSizePolicy, QWidget

from console.dashboard.desk.form import Entry, Field, Form
from console.dashboard.dialogs.acknowledge_dialog import TickBox
from console.dashboard.dialogs.tool_dialog import plain
from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import plain as as_text

_TOUCH = 2.0
_TICKED = "yes"


class FormView(QWidget):
    """The rows of a form. Emits what is typed; what is typed stands until the form says otherwise.

    Rows are made once for the same fields, so the cursor stays where it is while verdicts change.
    """

    changed = Signal(str, str)
    """(key, text as typed)"""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 5)
        self._grid.setColumnStretch(3, 6)
        self._fields: tuple[Field, ...] = ()
        self.editors: dict[str, QLineEdit | QComboBox | TickBox] = {}
        self.verdicts: dict[str, QLabel] = {}
        self._drawing = False

    def draw(self, form: Form) -> None:
        """Show a form."""
        if form.fields != self._fields:
            self._make(form.fields)
        self._drawing = True
        for one in form.fields:
            _fill(self.editors[one.key], form.text(one.key))
            verdict = form.verdicts.get(one.key)
            label = self.verdicts[one.key]
            state = verdict.state if verdict is not None else None
            label.setText(state.text if state is not None else "")
            if state is not None:
                theme.restyle(label, f"color: {theme.TONES[state.tone]};")
        self._drawing = False

    def _make(self, fields: tuple[Field, ...]) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._fields, self.editors, self.verdicts = fields, {}, {}
        for row, one in enumerate(fields):
            editor = self._editor(one)
            editor.setAccessibleName(f"{one.label}, {one.unit}".rstrip(", "))
            editor.setToolTip(as_text(one.tooltip))
            editor.setEnabled(one.enabled)
            side = round(_TOUCH * editor.fontMetrics().height())
            editor.setMinimumHeight(side)
            if one.entry is Entry.TICK:
                editor.setFixedSize(side, side)
            verdict = plain("")
            verdict.setWordWrap(True)
            label = plain(one.label)
            label.setBuddy(editor)
            label.setToolTip(as_text(one.tooltip))
            for column, widget in enumerate((label, editor, plain(one.unit), verdict)):
                self._grid.addWidget(widget, row, column, Qt.AlignmentFlag.AlignVCenter)
            self.editors[one.key], self.verdicts[one.key] = editor, verdict

    def _editor(self, one: Field) -> QLineEdit | QComboBox | TickBox:
        if one.entry is Entry.TICK:
            box = TickBox()
            box.toggled.connect(lambda on, key=one.key: self._emit(key, _TICKED if on else ""))
            return box
        if one.entry is Entry.CHOICE:
            choice = QComboBox()
            choice.addItems(one.choices)
            choice.currentTextChanged.connect(lambda text, key=one.key: self._emit(key, text))
            return choice
        line = QLineEdit()
        line.setPlaceholderText(one.hint)
        line.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        line.textEdited.connect(lambda text, key=one.key: self._emit(key, text))
        return line

    def _emit(self, key: str, text: str) -> None:
        if not self._drawing:
            self.changed.emit(key, text)


def _fill(editor: QLineEdit | QComboBox | TickBox, text: str) -> None:
    if isinstance(editor, QLineEdit):
        if editor.text() != text:
            editor.setText(text)
    elif isinstance(editor, QComboBox):
        if editor.currentText() != text:
            editor.setCurrentText(text)
    else:
        editor.setChecked(text == _TICKED)
