"""Verify: compute the whole treatment again, in a process of its own, and hold it against what was shown."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QWidget

from console.dashboard.desk.verification import COLUMNS, WHAT, Verifying, file_state, percent, rows, verdict
from console.dashboard.dialogs.cell_table import CellTable
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog, plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.screen.model import State
from console.engine_process import EngineProcess
from console.tasks import Progress
from console.tasks import Verifying as VerifyTask
from console.verify import Verification


class Engine(Protocol):
    """What verifies; `EngineProcess` does."""

    failure: str

    def start(self) -> None:
        """Begin; return at once."""

    def stop(self) -> None:
        """End, and wait for it."""


MakeEngine = Callable[[Path, Callable[[object], None]], Engine]
"""Given the file and what takes what is told, on any thread."""


def engine_process(path: Path, on_told: Callable[[object], None]) -> Engine:
    """The engine in a process of its own."""
    return EngineProcess(VerifyTask(path=path), on_snapshot=lambda _: None, on_told=on_told)


class VerificationDialog(ToolDialog):
    """Begins when it is opened for the first time; can be broken off and done again. It records nothing."""

    _told = Signal(int, object)

    def __init__(self, parent: QWidget, services: Services, make_engine: MakeEngine = engine_process) -> None:
        super().__init__(parent, services, f"Verify {services.record.name}")
        self._make_engine = make_engine
        self.stands = Verifying()
        self.engine: Engine | None = None
        self.ending: threading.Thread | None = None
        self._run = 0
        self.verdict, self.file = plain(""), plain("")
        self.table = CellTable(COLUMNS, wide=(5,), name="Results that were shown, against their recomputation")
        self.progress = QProgressBar()
        self.again, self.cancel = touch_button("Verify again"), touch_button("Break off")
        self._lay_out()
        self.again.clicked.connect(self.begin)
        self.cancel.clicked.connect(self.break_off)
        self._told.connect(self._take, Qt.ConnectionType.QueuedConnection)

    def begin(self) -> None:
        """Compute everything again."""
        self._end()
        self._run += 1
        run = self._run
        self.stands = Verifying(running=True)
        self.engine = self._make_engine(self.services.record, lambda told: self._told.emit(run, told))
        try:
            self.engine.start()
        except OSError as error:
            self._end()
            self.stands = Verifying(failure=f"the engine cannot be started: {error}")
        self._draw()

    def break_off(self) -> None:
        """Compute nothing more; what came of it so far tells nothing."""
        if self.stands.running:
            self._end()
            self.stands = Verifying(cancelled=True)
            self._draw()

    def draw(self) -> None:
        """Begin, the first time; notice an engine that has failed."""
        if self.stands == Verifying():
            self.begin()
        elif self.stands.running and self.engine is not None and self.engine.failure:
            failure = self.engine.failure
            self._end()
            self.stands = Verifying(failure=failure)
        self._draw()

    def _take(self, run: int, told: object) -> None:
        if run != self._run or not self.stands.running:
            return
        if isinstance(told, Progress):
            self.stands = replace(self.stands, progress=told)
        elif isinstance(told, Verification):
            self._end()
            self.stands = Verifying(found=told)
        self._draw()

    def _end(self) -> None:
        """End the process without waiting for it."""
        if self.engine is not None:
            # No daemon: whoever closes the window meanwhile leaves no process behind.
            self.ending = threading.Thread(target=self.engine.stop, name="holmia-verification-ending")
            self.ending.start()
            self.engine = None

    def _draw(self) -> None:
        state = verdict(self.stands)
        _show(self.verdict, state, points=1.5)
        found = self.stands.found
        self.file.setVisible(found is not None)
        if found is not None:
            _show(self.file, file_state(found))
        self.progress.setVisible(self.stands.running)
        self.progress.setValue(percent(self.stands.progress))
        self.again.setEnabled(not self.stands.running)
        self.cancel.setEnabled(self.stands.running)
        self.table.fill(rows(found))

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Break off: nothing is computed for a dialog that nobody looks at."""
        super().hideEvent(event)
        if not event.spontaneous():
            self.break_off()

    def _lay_out(self) -> None:
        what = plain(WHAT)
        what.setWordWrap(True)
        for label in (self.verdict, self.file):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.progress.setRange(0, 100)
        kept = self.progress.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(kept)
        self.table.setSelectionMode(CellTable.SelectionMode.NoSelection)  # its colour would hide the rows' own
        buttons = QHBoxLayout()
        buttons.addWidget(self.progress, 1)
        for button in (self.cancel, self.again):
            button.setAutoDefault(False)
            buttons.addWidget(button)
        self.body.addWidget(self.verdict)
        self.body.addWidget(self.file)
        self.body.addLayout(buttons)
        self.body.addWidget(self.table, 1)
        self.body.addWidget(what)


def _show(label: QLabel, state: State, points: float = 1.0) -> None:
    """A state by shape, word and colour."""
    label.setText(state.text)
    size = f"font-size: {round(points * label.window().fontMetrics().height() * 0.8)}px; " if points > 1.0 else ""
    theme.restyle(label, f"{size}color: {theme.TONES[state.tone]}; font-weight: bold;")
