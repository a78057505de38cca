"""The row over a what-if: that nothing is recorded, that it is compared at the file's end, and what shows it whole."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from console.dashboard.dialogs.tool_dialog import plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.screen.model import State, Tone

NOT_AT_END = State(sign="!", word="the replay is not at its end, where B is compared", tone=Tone.CAUTION)


class WhatIfRow(QWidget):
    """Words on the left, on the right what can be done with the draft."""

    replay_pressed = Signal()
    """The whole window is to show it."""
    end_pressed = Signal()
    """The replay is to go to the file's end."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.words, self.where = plain(f"WHAT-IF · nothing is recorded in {name}"), plain("")
        self.words.setStyleSheet(f"color: white; background: {theme.NOT_LIVE}; font-weight: bold; padding: 6px 14px;")
        self.end, self.replay = touch_button("Jump to the end"), touch_button("Replay with these settings")
        for button in (self.end, self.replay):
            button.setAutoDefault(False)
        self.replay.setToolTip("Compute the whole replay with B: the window then says WHAT-IF, until it is left again.")
        self.end.clicked.connect(self.end_pressed)
        self.replay.clicked.connect(self.replay_pressed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.words)
        row.addWidget(self.where, 1)
        row.addWidget(self.end)
        row.addWidget(self.replay)

    def draw(self, *, at_end: bool, possible: bool) -> None:
        """Show where the replay is; `possible`: there is a draft that can be replayed with."""
        state = State(sign="✓", word="A and B at the end of the file", tone=Tone.GOOD) if at_end else NOT_AT_END
        self.where.setText(state.text)
        theme.restyle(self.where, f"color: {theme.TONES[state.tone]}; font-weight: bold; padding-left: 14px;")
        self.end.setEnabled(not at_end)
        self.replay.setEnabled(possible)
