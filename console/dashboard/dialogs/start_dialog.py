"""The empty start: a new treatment, or one that exists. Asked before there is a window, so it runs its own loop."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent
from PySide6.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QLineEdit, QListWidget, QPushButton, QVBoxLayout

from console.dashboard.desk.form import Verdict
from console.dashboard.desk.setup_start import name_fault, new_name, open_fault, treatments_in
from console.dashboard.dialogs.setup_page import group
from console.dashboard.dialogs.tool_dialog import PRESSED, plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.screen.model import DISCLAIMER, RESEARCH_USE
from console.outputs.wording import software_version

_SIZE = QSize(900, 720)
"""On a screen of 1920 × 1080; grows and shrinks with it."""


def ask_for_a_file(folder: Path, now: datetime) -> Path | None:
    """Ask which treatment to open or to begin, and wait for the answer.

    Parameters
    ----------
    folder
        Where new ones go, and where there may be others.
    now
        Names a new one, and tells in which zone times are told.

    Returns
    -------
    The file, which need not exist yet; None if the dialog was left without an answer.
    """
    dialog = StartDialog(folder, now.astimezone())
    dialog.exec()
    dialog.deleteLater()
    return dialog.chosen


class StartDialog(QDialog):
    """Two ways to begin. ``chosen`` is the file, once one was; nothing is made or opened here."""

    def __init__(self, folder: Path, now: datetime) -> None:
        super().__init__()
        self.chosen: Path | None = None
        self._folder = folder
        self.setWindowTitle(f"Holmia — {RESEARCH_USE}")
        self.setStyleSheet(theme.style_sheet(_scale()) + PRESSED + "QListView::item { padding: 8px; }")
        self.name = QLineEdit(new_name(folder, now))
        self.name.setAccessibleName("Name of the new treatment file")
        self.refusal, self.open_refusal = plain(""), plain("")
        self.begin_button, self.open_button = touch_button("Begin new treatment"), touch_button("Open")
        self.browse_button, self.quit_button = touch_button("Browse…"), touch_button("Quit")
        self.name.setMinimumHeight(self.begin_button.minimumHeight())
        self.files = QListWidget()
        self.files.setAccessibleName("Treatments in this folder, the latest first")
        self._found = treatments_in(folder, now)
        self.files.addItems([one.label for one in self._found])
        if self._found:
            self.files.setCurrentRow(0)
        self._lay_out()
        self.name.textChanged.connect(lambda _: self._judge())
        self.files.currentRowChanged.connect(lambda _: self._judge())
        self.files.itemActivated.connect(lambda _: self._open())
        self.begin_button.clicked.connect(self._begin)
        self.open_button.clicked.connect(self._open)
        self.browse_button.clicked.connect(self._browse)
        self.quit_button.clicked.connect(self.reject)
        self.name.setFocus()
        self.name.setSelection(0, len(self.name.text().removesuffix(".holmia")))
        self._judge()
        self.resize(_SIZE * _scale())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter begins from the name, opens from the list, and presses the button that has the focus."""
        if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)
            return
        focused = self.focusWidget()
        if focused is self.name:
            self._begin()
        elif focused is self.files:
            self._open()
        elif isinstance(focused, QPushButton):
            focused.click()

    def take(self, path: Path) -> None:
        """Open a file from anywhere, if it can be one."""
        fault = open_fault(path)
        self._show_open_fault(fault)
        if not fault:
            self._choose(path)

    def _choose(self, path: Path) -> None:
        self.chosen = path
        self.accept()

    def _begin(self) -> None:
        name = self.name.text().strip()
        if not name_fault(self._folder, name):
            self._choose(self._folder / name)
        self._judge()

    def _open(self) -> None:
        row = self.files.currentRow()
        if row >= 0:
            self.take(self._found[row].path)

    def _browse(self) -> None:
        dialog = QFileDialog(self, "Open a treatment", str(self._folder), "Treatment (*.holmia)")
        dialog.setOptions(QFileDialog.Option.DontUseNativeDialog)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(lambda name: self.take(Path(name)))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _judge(self) -> None:
        fault = name_fault(self._folder, self.name.text())
        self.refusal.setText(Verdict(fault=fault).state.text or "✓ is free")
        tone = Verdict(fault=fault).state.tone if fault else None
        theme.restyle(self.refusal, f"color: {theme.TONES[tone] if tone else theme.MUTED};")
        self.begin_button.setEnabled(not fault)
        row = self.files.currentRow()
        self._show_open_fault(open_fault(self._found[row].path) if row >= 0 else "")
        self.open_button.setEnabled(row >= 0 and not self.open_refusal.text())

    def _show_open_fault(self, fault: str) -> None:
        state = Verdict(fault=fault).state
        self.open_refusal.setText(state.text)
        theme.restyle(self.open_refusal, f"color: {theme.TONES[state.tone]};")

    def _lay_out(self) -> None:
        heading = plain(f"Holmia {software_version()}")
        heading.setObjectName("patient")
        research = plain(RESEARCH_USE)
        research.setObjectName("research")
        top = QHBoxLayout()
        top.addWidget(heading)
        top.addStretch(1)
        top.addWidget(research)
        disclaimer = plain(DISCLAIMER)
        for label in (disclaimer, self.refusal, self.open_refusal):
            label.setWordWrap(True)
        new = QHBoxLayout()
        new.setSpacing(10)
        new.addWidget(self.name, 1)
        new.addWidget(self.begin_button)
        opening = QHBoxLayout()
        opening.setSpacing(10)
        opening.addWidget(self.open_refusal, 1)
        opening.addWidget(self.browse_button)
        opening.addWidget(self.open_button)
        begin = group("New treatment", new, self.refusal, note=f"A file in {self._folder}")
        title = "Open a treatment" if self._found else "Open a treatment (there is none in this folder)"
        existing = group(title, self.files, opening, note="The latest first")
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.quit_button)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(18, 14, 18, 14)
        rows.setSpacing(10)
        rows.addLayout(top)
        rows.addWidget(disclaimer)
        rows.addWidget(begin)
        rows.addWidget(existing, 1)
        rows.addLayout(foot)
        for button in (self.begin_button, self.open_button, self.browse_button, self.quit_button):
            button.setAutoDefault(False)
        order = (self.name, self.begin_button, self.files, self.browse_button, self.open_button, self.quit_button)
        for one, following in pairwise(order):
            self.setTabOrder(one, following)


def _scale() -> float:
    """Of the letters, from a screen of 1080 lines."""
    screen = QGuiApplication.primaryScreen()
    return 1.0 if screen is None else max(0.6, screen.availableGeometry().height() / 1080.0)
