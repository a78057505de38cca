"""The line under the guide: what changed last, and how many alarms wait."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel

from console.dashboard.screen_model import News, State


class NewsPanel(QFrame):
    """News on the left, the summary of the alarms on the right; both are seen in glance mode too."""

    dismissed = Signal()
    alarms_pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.news, self.alarms = QLabel(), QLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 0, 10, 0)
        row.addWidget(self.news, 1)
        row.addWidget(self.alarms)

    def set_scale(self, scale: float) -> None:
        """Scale the letters from 1920 × 1080."""
        self.setFixedHeight(round(32 * scale))

    def draw(self, news: News, alarms: State) -> None:
        """Show both."""
        self.news.setText(news.text)
        self.alarms.setText(f"ALARMS {alarms.text}")
