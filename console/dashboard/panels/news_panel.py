"""The line under the guide: what changed last, and how many alarms wait."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel, fitting
from console.dashboard.screen.model import News, State, Tone

_LETTERS = 17.0
_DISMISS = "A press here, or Enter, marks it as read."
_ACKNOWLEDGE = "A press here, or A, asks who has seen them."


class PressedLabel(ElidedLabel):
    """A label that is pressed anywhere, over the whole height of the bar."""

    pressed = Signal()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Say that it was pressed."""
        if event.button() is Qt.MouseButton.LeftButton:
            self.pressed.emit()


class NewsPanel(QFrame):
    """News on the left, the summary of the alarms on the right; both are seen in glance mode too."""

    dismissed = Signal()
    alarms_pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.news, self.alarms = PressedLabel("news"), PressedLabel("alarm_chip")
        self.news.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.alarms.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Expanding)
        self.news.pressed.connect(self.dismissed)
        self.alarms.pressed.connect(self.alarms_pressed)
        self._scale = 1.0
        self._drawn: tuple[News, State] | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(6)
        row.addWidget(self.news, 1)
        row.addWidget(self.alarms)

    def set_scale(self, scale: float) -> None:
        """Scale the letters from 1920 × 1080."""
        self._scale = scale
        self.setFixedHeight(round(32 * scale))
        if self._drawn is not None:
            news, alarms = self._drawn
            self._drawn = None
            self.draw(news, alarms)

    def draw(self, news: News, alarms: State) -> None:
        """Show both."""
        if (news, alarms) == self._drawn:
            return
        self._drawn = (news, alarms)
        grave = alarms.tone in (Tone.ALERT, Tone.CAUTION, Tone.ACTIVE)
        theme.restyle(self.alarms, self._style(alarms.tone, _LETTERS * self._scale, filled=grave))
        self.alarms.show_text(f"ALARMS  {alarms.text}", _ACKNOWLEDGE)
        self.news.show_text(f"{news.state.sign} {news.text}".strip(), "\n".join(filter(None, (news.tooltip, _DISMISS))))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Choose the letters for the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Letters shrink a little before the end of the news is left to the tooltip."""
        if self._drawn is None:
            return
        news = self._drawn[0]
        room = self.width() - self.alarms.sizeHint().width() - (14 + 26 * self._scale)
        pixels = fitting(self.news.whole, _LETTERS * self._scale, room)
        theme.restyle(self.news, self._style(news.state.tone, pixels, filled=news.fresh))

    def _style(self, tone: Tone, pixels: float, *, filled: bool) -> str:
        """Dark letters on the tone's colour, or the tone's letters on the ground: told apart in greyscale too."""
        ink, ground = (theme.BACKGROUND, theme.TONES[tone]) if filled else (theme.TONES[tone], theme.BACKGROUND)
        size, side, radius = max(9, round(pixels)), round(10 * self._scale), round(4 * self._scale)
        weight = "bold" if filled else "normal"
        return (
            f"QLabel {{ color: {ink}; background: {ground}; font-size: {size}px; font-weight: {weight};"
            f" border-radius: {radius}px; padding: 0px {side}px; }}"
        )
