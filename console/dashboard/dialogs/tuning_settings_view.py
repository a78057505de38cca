"""The list of settings: a row for each with A, the default and an editor of B; under it what is to be said of it."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGraphicsOpacityEffect,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from console.dashboard.desk.form import Entry
from console.dashboard.desk.tuning import Active, Draft, Judged
from console.dashboard.desk.tuning_settings import Setting, tunable
from console.dashboard.dialogs.acknowledge_dialog import TickBox
from console.dashboard.dialogs.tool_dialog import plain
from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel
from console.dashboard.panels.elided_label import plain as plain_tooltip
from console.dashboard.screen.model import State, Tone

_HEADS = ("A: active", "default", "B: draft", "unit", "to A")
_STRETCH = (40, 12, 12, 26, 10, 0)
_STYLE = f"""QToolButton {{ padding: 0; }}
    QComboBox, QLineEdit {{ padding: 0 5px; }}
    QComboBox:disabled, QToolButton:disabled {{ background: {theme.BACKGROUND}; color: {theme.MUTED};
    border: 1px dashed {theme.MUTED}; }}"""
_TRUE, _FALSE = "true", "false"
_TOUCH = 1.9
_EDITOR_LETTERS = 15


class _Choice(QComboBox):
    """A choice that the wheel does not change: it scrolls the list of settings."""

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave the wheel to the list."""
        event.ignore()


Editor = QLineEdit | QComboBox | TickBox


class SettingRow:
    """The widgets of one setting."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        tooltip = plain_tooltip(setting.tooltip)
        self.name, self.active, self.default = ElidedLabel(), ElidedLabel(), ElidedLabel()
        self.name.show_text(setting.name, setting.tooltip)
        self.default.show_text(setting.default or "—")
        self.editor = _editor(setting)
        self.editor.setToolTip(tooltip)
        self.editor.setAccessibleName(f"{setting.path}, {setting.about.unit}".rstrip(", "))
        self.unit = ElidedLabel()
        self.unit.show_text(setting.about.unit)
        self.reset = QToolButton()
        self.reset.setText("↺")
        self.reset.setToolTip(f"Back to A: {setting.name}")
        self.reset.setAccessibleName(f"Back to A: {setting.path}")
        self.verdict = plain("")
        self.verdict.setWordWrap(True)
        self.verdict.hide()
        self.widgets: tuple[QWidget, ...] = (
            self.name, self.active, self.default, self.editor, self.unit, self.reset
        )  # fmt: skip

    def text(self) -> str:
        """What stands in the editor."""
        if isinstance(self.editor, QLineEdit):
            return self.editor.text()
        if isinstance(self.editor, QComboBox):
            return self.editor.currentText()
        return _TRUE if self.editor.isChecked() else _FALSE

    def draw(self, active: str, text: str, state: State, *, editable: bool) -> None:
        """Show A's value, what was typed, and what is to be said of it."""
        self.active.show_text(active or "—")
        _fill(self.editor, text)
        changed = bool(state.text)
        if self.editor.isEnabled() != editable:
            self.editor.setEnabled(editable)
            if isinstance(self.editor, TickBox):  # it paints itself, and looks the same
                faint = None if editable else QGraphicsOpacityEffect(self.editor)
                self.editor.setGraphicsEffect(faint)  # type: ignore[arg-type]
        self.reset.setEnabled(editable and changed)
        if self.verdict.text() != state.text:
            self.verdict.setText(state.text)
            theme.restyle(self.verdict, f"color: {theme.TONES[state.tone]}; font-weight: bold;")
            theme.restyle(self.name, f"color: {theme.TONES[state.tone]}; font-weight: bold;" if changed else "")

    def show(self, shown: bool) -> None:
        """Show the row, or leave it out."""
        for widget in self.widgets:
            widget.setVisible(shown)
        self.verdict.setVisible(shown and bool(self.verdict.text()))


class SettingsView(QScrollArea):
    """All settings, grouped by table. Emits what is typed; the draft decides what it comes to."""

    typed = Signal(str, str)
    """(path, text)"""
    reset = Signal(str)
    """Back to A, by path."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.rows = {one.path: SettingRow(one) for one in tunable()}
        self._headings: dict[str, tuple[QLabel, ...]] = {}
        self._found: frozenset[str] = frozenset(self.rows)
        self._drawing = False
        self.setStyleSheet(_STYLE)
        self._lay_out()

    def draw(self, active: Active, draft: Draft, judged: Judged, *, editable: bool) -> None:
        """Show what is in force, what was typed, and the verdicts."""
        self._drawing = True
        for path, row in self.rows.items():
            value = active.text(path)
            typed = draft.typed.get(path, value)
            state = _state(row.setting, value, typed, path in judged.changed, judged)
            row.draw(value, typed, state, editable=editable)
            row.verdict.setVisible(bool(state.text) and path in self._found)
        self._drawing = False

    def show_only(self, paths: frozenset[str]) -> None:
        """Show these settings and no others."""
        self._found = paths
        for path, row in self.rows.items():
            row.show(path in paths)
        for group, heads in self._headings.items():
            shown = any(row.setting.group == group and path in paths for path, row in self.rows.items())
            for head in heads:
                head.setVisible(shown)

    def fit(self) -> None:
        """Give the editors the height that the letters ask for."""
        for row in self.rows.values():
            tall = round(_TOUCH * row.editor.fontMetrics().height())
            if isinstance(row.editor, TickBox):
                row.editor.setFixedSize(tall, tall)
            else:
                row.editor.setMinimumSize(_EDITOR_LETTERS * row.editor.fontMetrics().averageCharWidth(), tall)
            row.reset.setMinimumSize(tall, tall)

    def _lay_out(self) -> None:
        inner = QWidget()
        grid = QGridLayout(inner)
        grid.setContentsMargins(0, 0, 10, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(3)
        for column, stretch in enumerate(_STRETCH):
            grid.setColumnStretch(column, stretch)
        for at, row in zip(self._places(grid), self.rows.values(), strict=True):
            for column, widget in enumerate(row.widgets):
                grid.addWidget(widget, at, column, Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(row.verdict, at + 1, 0, 1, len(_STRETCH))
            self._connect(row)
        grid.setRowStretch(grid.rowCount(), 1)
        self.setWidget(inner)

    def _places(self, grid: QGridLayout) -> Iterator[int]:
        """Where each row goes; a heading before each group."""
        at = 0
        for row in self.rows.values():
            if row.setting.group not in self._headings:
                heading = ElidedLabel("sentence")
                heading.show_text(row.setting.group)
                heads = [plain(head) for head in _HEADS]
                self._headings[row.setting.group] = (heading, *heads)
                grid.addWidget(heading, at, 0)
                for column, head in enumerate(heads, start=1):
                    head.setObjectName("title")
                    grid.addWidget(head, at, column, Qt.AlignmentFlag.AlignBottom)
                at += 1
            yield at
            at += 2

    def _connect(self, row: SettingRow) -> None:
        editor, path = row.editor, row.setting.path
        if isinstance(editor, QLineEdit):
            editor.textEdited.connect(lambda text: self._emit(path, text))
        elif isinstance(editor, QComboBox):
            editor.currentTextChanged.connect(lambda text: self._emit(path, text))
        else:
            editor.toggled.connect(lambda on: self._emit(path, _TRUE if on else _FALSE))
        row.reset.clicked.connect(lambda: self.reset.emit(path))

    def _emit(self, path: str, text: str) -> None:
        if not self._drawing:
            self.typed.emit(path, text)


def _editor(setting: Setting) -> Editor:
    if setting.entry is Entry.TICK:
        return TickBox()
    if setting.entry is Entry.CHOICE:
        choice = _Choice()
        choice.addItems(setting.choices)
        choice.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        return choice
    line = QLineEdit()
    line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    line.setPlaceholderText("not stated")
    return line


def _fill(editor: Editor, text: str) -> None:
    if isinstance(editor, QLineEdit):
        if editor.text() != text:
            editor.setText(text)
    elif isinstance(editor, QComboBox):
        if editor.currentText() != text:
            editor.setCurrentText(text)
    elif editor.isChecked() != (text == _TRUE):
        editor.setChecked(text == _TRUE)


def _state(setting: Setting, value: str, typed: str, changed: bool, judged: Judged) -> State:
    """Sign, words and colour under a row; nothing under one that is as A has it."""
    verdict = judged.verdicts.get(setting.path)
    if verdict is not None and verdict.fault:
        return verdict.state
    if not changed:
        return State(sign="", word="")
    words = f"changed: {value or 'not stated'} → {typed.strip()} {setting.about.unit}".rstrip()
    return State(sign="Δ", word=words, tone=Tone.ACTIVE)
