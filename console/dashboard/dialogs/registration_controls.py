"""Beside the cuts of a registration by hand: which series, what is in force, the six numbers, and what is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from console.dashboard.desk.registration_view import CONVENTION, Candidate, DraftScreen
from console.dashboard.dialogs.degree_fields import DegreeFields
from console.dashboard.dialogs.tool_dialog import plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.screen.model import State, Tone


class Ask(StrEnum):
    """What a button asks for."""

    FORCE = "As in force"
    FOUND = "As found"
    ACQUIRED = "As acquired"
    TAKE_BACK = "Take back"
    RECORD = "Record this registration"


_TOOLTIPS = {
    Ask.FORCE: "Throws away what was changed and not recorded.",
    Ask.ACQUIRED: "No motion at all: the series as the scanner places it.",
    Ask.FOUND: "What the console found by itself, where it is known here: a given one takes its place.",
    Ask.TAKE_BACK: "Takes back the registration that was given: the console's own counts again.",
}


class RegistrationControls(QWidget):
    """Draws what was decided elsewhere; tells what is chosen, typed and pressed."""

    chosen = Signal(str)
    """Another series, by its key."""
    typed = Signal(int, float)
    """(which of the six, its value)"""
    asked = Signal(object)
    """An `Ask`."""

    def __init__(self) -> None:
        super().__init__()
        self._drawing = False
        self.series = QComboBox()
        self.series.setAccessibleName("Series")
        self.series.currentIndexChanged.connect(self._choose)
        self.in_force, self.measured, self.draft, self.verdict = (_paragraph(n) for n in (2, 3, 1, 3))
        self.fields = DegreeFields()
        self.fields.setToolTip(CONVENTION)
        self.fields.changed.connect(self.typed)
        self.buttons = {ask: touch_button(ask.value) for ask in Ask}
        for ask, button in self.buttons.items():
            button.setAutoDefault(False)
            button.setToolTip(_TOOLTIPS.get(ask, ""))
            button.clicked.connect(partial(self._press, ask))
        self.series.setMinimumHeight(self.buttons[Ask.RECORD].minimumHeight())
        self._lay_out()

    def _lay_out(self) -> None:
        resets, last = QHBoxLayout(), QHBoxLayout()
        for row, asks in ((resets, (Ask.FORCE, Ask.FOUND, Ask.ACQUIRED)), (last, (Ask.TAKE_BACK, Ask.RECORD))):
            row.setSpacing(4)
            for ask in asks:
                row.addWidget(self.buttons[ask], 2 if ask is Ask.RECORD else 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(6, 0, 0, 0)
        rows.setSpacing(6)
        for part in (self.series, self.in_force, self.measured, self.fields):
            rows.addWidget(part)
        rows.addLayout(resets)
        rows.addStretch(1)
        rows.addWidget(self.draft)
        rows.addWidget(self.verdict)
        rows.addLayout(last)

    def draw_list(self, of: Sequence[Candidate], key: str) -> None:
        """Show the series that can be registered, and which is chosen."""
        self._drawing = True
        if [c.words for c in of] != [self.series.itemText(n) for n in range(self.series.count())]:
            self.series.clear()
            for candidate in of:
                self.series.addItem(candidate.words, candidate.series_key)
        self.series.setCurrentIndex([c.series_key for c in of].index(key))
        self._drawing = False

    def draw_in_force(self, state: State, measured: str) -> None:
        """Show which registration counts, and what was measured of it."""
        _show(self.in_force, State(sign=f"In force: {state.sign}", word=state.word, tone=state.tone))
        self.measured.setText(measured)

    def draw_draft(self, draft: DraftScreen, possible: Mapping[Ask, bool], *, busy: bool) -> None:
        """Show what is set and not recorded; `busy`: a word was recorded and is not known yet."""
        _show(self.draft, draft.state)
        told = State(sign="", word=draft.follows, tone=Tone.NORMAL)
        if draft.fault:
            told = State(sign="✕", word=draft.fault, tone=Tone.ALERT)
        elif draft.warning:
            told = State(sign="▲", word=f"{draft.warning}. {draft.follows}", tone=Tone.CAUTION)
        _show(self.verdict, told)
        for ask, on in possible.items():
            self.buttons[ask].setEnabled(on and not (busy and ask is Ask.TAKE_BACK))
        self.buttons[Ask.RECORD].setEnabled(draft.operation is not None and not busy)

    def _choose(self, number: int) -> None:
        if not self._drawing and number >= 0:
            self.chosen.emit(str(self.series.itemData(number)))

    def _press(self, ask: Ask, _pressed: bool = False) -> None:
        self.asked.emit(ask)


def _paragraph(lines: int) -> QLabel:
    """Room for so many lines, whether there is so much to say or not: what stands below stays where it is."""
    label = plain("")
    label.setWordWrap(True)
    label.setMinimumHeight(lines * label.fontMetrics().lineSpacing())
    label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
    return label


def _show(label: QLabel, state: State) -> None:
    label.setText(state.text)
    weight = "normal" if state.tone is Tone.NORMAL else "bold"
    theme.restyle(label, f"color: {theme.TONES[state.tone]}; font-weight: {weight};")
