"""The bar of a replay, above the foot of the window: play and speed, the timeline, and the tools of a replay."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel, fitting
from console.dashboard.panels.operator_bar import TouchKey
from console.dashboard.panels.replay_timeline import TimelineView
from console.dashboard.screen.model import ReplayBar

_TALL = 66
_PLAY, _SPEED, _STEP, _TOOL, _BACK = 110, 56, 44, 94, 104
"""Widths at 1920 × 1080."""
_WORDS = 16.0


class ReplayBarPanel(QWidget):
    """One row, in the place of the operator's bar: a replay has none of that."""

    asked = Signal(object)
    """An `Action`."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = ReplayBar()
        self.play = TouchKey(_PLAY, filled=True)
        self.speeds: list[TouchKey] = []
        self.steps: list[TouchKey] = []
        self.tools: list[TouchKey] = []
        self.back = TouchKey(_BACK)
        self.words = ElidedLabel("said")
        self.line = TimelineView()
        self._scale = 1.0
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(4)
        middle = QVBoxLayout()
        middle.setContentsMargins(0, 0, 0, 0)
        middle.setSpacing(0)
        middle.addWidget(self.words)
        middle.addWidget(self.line, 1)
        self._row.addWidget(self.play)
        self._row.addLayout(middle, 1)
        self._row.addWidget(self.back)
        for part in (self.play, self.back, self.line):
            part.asked.connect(self.asked)
        self.hide()

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""
        self._scale = scale
        self.setFixedHeight(round(_TALL * scale))
        for key in (self.play, self.back, *self.speeds, *self.steps, *self.tools):
            key.set_scale(scale)
        self.line.set_scale(scale)
        self._fit()

    def draw(self, bar: ReplayBar) -> None:
        """Show the bar, or none."""
        if bar == self.bar:
            return
        self.bar = bar
        self.setVisible(bar.shown)
        if not bar.shown:
            return
        self._make(bar)
        self.play.draw(bar.play)
        self.back.draw(bar.back)
        self.back.setVisible(bool(bar.back.words))
        buttons = (*bar.speeds, *bar.steps, *bar.tools)
        for key, button in zip((*self.speeds, *self.steps, *self.tools), buttons, strict=True):
            key.draw(button)
        self.words.show_text(bar.words.text)
        self.line.draw(bar)
        self._fit()

    def resizeEvent(self, event: object) -> None:  # noqa: N802
        """Choose the letters for the new width."""
        self._fit()

    def _make(self, bar: ReplayBar) -> None:
        """Make the buttons once: their number is always the same."""
        if self.speeds:
            return
        self.speeds = [TouchKey(_SPEED) for _ in bar.speeds]
        self.steps = [TouchKey(_STEP) for _ in bar.steps]
        self.tools = [TouchKey(_TOOL, key_first=True) for _ in bar.tools]
        for place, key in enumerate((*self.speeds, *self.steps), start=1):
            self._row.insertWidget(place, key)
        for key in self.tools:
            self._row.addWidget(key)
        for key in (*self.speeds, *self.steps, *self.tools):
            key.set_scale(self._scale)
            key.asked.connect(self.asked)

    def _fit(self) -> None:
        pixels = fitting(self.words.whole, _WORDS * self._scale, self.words.width() - 16 * self._scale)
        side = round(6 * self._scale)
        style = f"color: {theme.TONES[self.bar.words.tone]}; font-size: {pixels}px; font-weight: bold;"
        theme.restyle(self.words, f"QLabel {{ {style} padding: 0px {side}px; }}")
