"""The frame of every dialog in which somebody types or draws: title, body, and what came of the last word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from config.settings import Settings
from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel
from console.dashboard.screen.model import RESEARCH_USE, State, Tone
from console.operations import Operation
from console.snapshot import Mode, Snapshot

_TOUCH = 2.4
"""Height of what a gloved finger presses, in heights of the letters."""
_MADE = "made_height"
"""Property of a widget: the least height that it was made with."""
_LONGEST_NAME = 64
_WIDTH, _HEIGHT = 0.72, 0.82
"""Of the window that it stands over."""
PRESSED = f"""
    QPushButton, QToolButton, QComboBox {{ background: {theme.RAISED}; color: {theme.TEXT};
        border: 2px solid {theme.MUTED}; border-radius: 4px; font-weight: bold; padding: 2px 12px; }}
    QPushButton:focus, QToolButton:focus, QComboBox:focus {{ border-color: {theme.TONES[Tone.ACTIVE]}; }}
    QPushButton:checked, QToolButton:checked {{ background: #1f5f99; border-color: {theme.TEXT}; }}
    QPushButton:disabled, QToolButton:disabled, QComboBox:disabled {{ background: {theme.BACKGROUND};
        color: {theme.MUTED}; border: 1px dashed {theme.MUTED}; }}
    QLineEdit, QPlainTextEdit, QSpinBox, QDoubleSpinBox {{ background: {theme.PANEL}; border: 2px solid {theme.MUTED};
        border-radius: 4px; padding: 0 8px; }}
    QLineEdit:focus, QPlainTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QTableView:focus, QListView:focus,
    QTreeView:focus {{ border-color: {theme.TONES[Tone.ACTIVE]}; }}
    QLineEdit:disabled {{ color: {theme.MUTED}; border: 1px dashed {theme.MUTED}; }}
    QComboBox QAbstractItemView {{ background: {theme.PANEL}; color: {theme.TEXT};
        selection-background-color: #1f5f99; }}
    QTabBar::tab {{ background: {theme.RAISED}; color: {theme.TEXT}; padding: 8px 18px;
        border: 1px solid {theme.LINE}; }}
    QTabBar::tab:selected {{ background: #1f5f99; font-weight: bold; }}
    QTabBar:focus {{ border: 1px solid {theme.TONES[Tone.ACTIVE]}; }}
    QTableView, QListView, QTreeView {{ background: {theme.PANEL}; border: 2px solid {theme.LINE};
        gridline-color: {theme.LINE}; selection-background-color: #1f5f99; selection-color: {theme.TEXT}; }}
    QHeaderView::section {{ background: {theme.RAISED}; color: {theme.MUTED}; border: 0; padding: 4px 8px; }}
    """


_NOT_LIVE = f"""
    ToolDialog {{ border: 6px solid {theme.NOT_LIVE}; }}
    """


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a dialog beside a replay may know of it and ask for; nothing of it is recorded."""

    at_end: Callable[[], bool]
    """Whether what is shown is the file's end."""
    go_to_end: Callable[[], None]
    compute_with: Callable[[Mapping[str, object]], str]
    """Replay with these settings laid over the recorded ones; returns "" or a sentence on why it cannot be."""
    overrides: Callable[[], Mapping[str, object]]
    """What is laid over them now."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a dialog may ask for.

    ``operate`` records what somebody says and returns "" or a sentence on why it could not be recorded. ``settings``
    are the site's. ``record`` is the treatment file; ``port`` the listener's, where this console started it.
    """

    operate: Callable[[Operation], str]
    settings: Settings
    record: Path
    port: int | None = None
    operator: Callable[[], str] = lambda: ""
    """The name that is recorded with what is said."""
    rename: Callable[[str], None] = lambda _: None
    """From now on this is the name."""
    mode: Mode = Mode.LIVE
    """Of the window: a dialog of a demonstration is not to be taken for a treatment's."""
    replayed: Replayed | None = None
    """In a replay."""


class ToolDialog(QDialog):
    """A dialog beside the window: it never blocks it, and shows what the latest snapshot says.

    Subclasses fill ``body``, and ``draw`` what they show; ``say`` records a word and tells what came of it.
    """

    wanted = Signal(str)
    """Another dialog that is to be opened, by the value of its `console.dashboard.tools.Tool`."""

    def __init__(self, parent: QWidget, services: Services, title: str) -> None:
        super().__init__(parent)
        self.services = services
        self.snapshot = Snapshot()
        self.now: datetime | None = None
        self.setWindowTitle(f"{title} — Holmia, research use only")
        live = services.mode is Mode.LIVE
        self.setStyleSheet(PRESSED + ("" if live else _NOT_LIVE))
        self._title = title if live else f"{services.mode.value} · {title}"
        self.heading = ElidedLabel("patient")
        self.heading.show_text(self._title)
        research = plain(RESEARCH_USE)
        research.setObjectName("research")
        self.head = QHBoxLayout()
        self.head.addWidget(self.heading, 1)
        self.head.addWidget(research)
        self.outcome = plain("")
        self.outcome.setWordWrap(True)
        self.close_button = touch_button("Close")
        self.close_button.setAutoDefault(False)
        self.close_button.clicked.connect(self.reject)
        self.body = QVBoxLayout()
        self.body.setSpacing(10)
        self.operator = QLineEdit()
        self.operator.setMaxLength(_LONGEST_NAME)
        self.operator.setMinimumHeight(self.close_button.minimumHeight())
        self.operator.setPlaceholderText("a name is needed")
        self.operator.setAccessibleName("Name that is recorded with what is said")
        self.operator.setToolTip("The name that is recorded with everything that is said in any of these dialogs.")
        self.operator.textEdited.connect(self.services.rename)
        foot = QHBoxLayout()
        foot.setSpacing(10)
        foot.addWidget(self.outcome, 1)
        self.operator_label = plain("recorded by")
        foot.addWidget(self.operator_label)
        foot.addWidget(self.operator)
        foot.addWidget(self.close_button)
        if services.mode is Mode.REPLAY:  # nothing is recorded, by nobody
            self.operator_label.hide()
            self.operator.hide()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(18, 14, 18, 14)
        rows.setSpacing(10)
        rows.addLayout(self.head)
        rows.addLayout(self.body, 1)
        rows.addLayout(foot)

    def receive(self, snapshot: Snapshot, now: datetime | None) -> None:
        """Know what is known now; draws it while the dialog is open.

        Parameters
        ----------
        now
            The time on the wall in the treatment's own zone, or None where there is none.
        """
        self.snapshot, self.now = snapshot, now
        # It may lie over the window's own header: whose treatment it is stands here too.
        name = snapshot.patient_name.replace("^", " ").strip()
        whose = " · ".join(part for part in (snapshot.patient_id, name) if part)
        self.heading.show_text(f"{self._title} · {whose}" if whose else self._title)
        if self.isVisible():
            self.draw()

    def may_close(self) -> bool:
        """Whether nothing would be lost by closing; where something would, ask about it here and say no."""
        return True

    def draw(self) -> None:
        """Show ``self.snapshot``; called when it changes, once a second, and when the dialog opens."""
        raise NotImplementedError

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Open as large as the window allows, showing what is known."""
        super().showEvent(event)
        parent = self.parentWidget()
        if parent is not None:
            window = parent.window()
            self.resize(QSize(round(_WIDTH * window.width()), round(_HEIGHT * window.height())))
        self.operator.setText(self.services.operator())
        self.draw()
        self._fit_touch()

    def _fit_touch(self) -> None:
        """Targets were made with the application's letters; where the window's are larger, so are they."""
        plain_letters = QFontMetrics(QApplication.font()).height()
        for widget in (*self.findChildren(QPushButton), *self.findChildren(QLineEdit)):
            larger = widget.fontMetrics().height() / plain_letters
            made = widget.property(_MADE) or widget.minimumHeight()
            if larger > 1.0 and made > 0:
                widget.setProperty(_MADE, made)
                widget.setMinimumHeight(round(made * larger))

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Forget what came of the last word."""
        super().hideEvent(event)
        if event.spontaneous():
            return  # minimised with its window
        self.tell(State(sign="", word=""))

    def say(self, operation: Operation, done: str) -> bool:
        """Record a word; `done` tells that it was. Returns whether it was."""
        fault = self.services.operate(operation)
        self.tell(State(sign="✕", word=fault, tone=Tone.ALERT) if fault else State(sign="✓", word=done, tone=Tone.GOOD))
        return not fault

    def tell(self, state: State) -> None:
        """Show in a sentence what came of something."""
        self.outcome.setText(state.text)
        theme.restyle(self.outcome, f"color: {theme.TONES[state.tone]}; font-weight: bold;")


def plain(text: str) -> QLabel:
    """A label that takes its text as it is."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def touch_button(text: str) -> QPushButton:
    """A button of touch size."""
    button = QPushButton(text)
    button.ensurePolished()
    button.setMinimumHeight(round(_TOUCH * button.fontMetrics().height()))
    return button
