"""Where one side of a comparison is chosen: its file, the settings laid over it, the versions of its volumes."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QLineEdit,
    QPlainTextEdit,
    QWidget,
)  # fmt: skip

from console.dashboard.desk.comparison import AS_RECORDED, OTHER, THIS, Choice
from console.dashboard.dialogs.tool_dialog import plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel
from console.dashboard.screen.model import State

_LINES = 3
"""Of settings that are seen at once."""


class SideView(QWidget):
    """The fields of a side; emits `changed` when one of them is another."""

    changed = Signal()

    def __init__(self, letter: str) -> None:
        super().__init__()
        self.letter = letter
        self.source, self.path, self.settings = QComboBox(), QLineEdit(), QPlainTextEdit()
        self.browse = touch_button("Browse …")
        self.browse.setAutoDefault(False)
        self.state = ElidedLabel()
        self.versions: dict[str, QComboBox] = {}
        self.no_versions = plain("every volume has one version")
        self._titles: dict[str, tuple[str, ...]] | None = None
        self._make_fields()
        self._grid = QGridLayout(self)
        self._lay_out()
        self.source.currentIndexChanged.connect(self._switch)
        self.path.textEdited.connect(lambda _: self.changed.emit())
        self.settings.textChanged.connect(self.changed)
        self.browse.clicked.connect(self._choose_file)

    @property
    def choice(self) -> Choice:
        """What is chosen and typed."""
        versions = {name: box.currentIndex() for name, box in self.versions.items() if box.currentIndex() > 0}
        return Choice(
            other=self.source.currentText() == OTHER,
            path=self.path.text(),
            settings=self.settings.toPlainText(),
            versions=versions,
        )

    def offer(self, versions: dict[str, tuple[str, ...]]) -> None:
        """Let these versions be chosen, by name of the volume; the choice stays where it can."""
        if versions == self._titles:
            return
        before = {name: box.currentIndex() for name, box in self.versions.items()}
        for box in self.versions.values():
            box.deleteLater()
        self._titles, self.versions = versions, {}
        for name, titles in versions.items():
            box = QComboBox()
            box.addItem(f"{name}: {AS_RECORDED}")
            box.addItems([f"{name}: {title}" for title in titles])
            box.setAccessibleName(f"{self.letter}: version of {name}")
            box.setCurrentIndex(min(before.get(name, 0), len(titles)))
            box.currentIndexChanged.connect(lambda _: self.changed.emit())
            box.setMinimumHeight(self.browse.minimumHeight())
            self.versions[name] = box
            self._grid.addWidget(box, 3 + len(self.versions), 1, 1, 2)
        self._show_versions()

    def draw(self, state: State) -> None:
        """Say what the side comes to."""
        self.state.show_text(state.text)
        theme.restyle(self.state, f"color: {theme.TONES[state.tone]}; font-weight: bold;")

    def set_editable(self, editable: bool) -> None:
        """Let the side be changed, or not while it is computed."""
        for widget in (self.source, self.path, self.settings, self.browse, *self.versions.values()):
            widget.setEnabled(editable)

    def _make_fields(self) -> None:
        self.source.addItems([THIS, OTHER])
        self.source.setMinimumHeight(self.browse.minimumHeight())
        self.path.setPlaceholderText("NAME.holmia")
        self.path.setMinimumHeight(self.browse.minimumHeight())
        self.settings.setPlaceholderText("as recorded; or KEY=VALUE, one on a line, such as\ntrend.threshold_pct=5")
        self.settings.setTabChangesFocus(True)
        self.settings.setFixedHeight(round((_LINES + 0.9) * self.settings.fontMetrics().lineSpacing()))
        for widget, name in (
            (self.source, "which treatment"),
            (self.path, "the other treatment file"),
            (self.settings, "settings, KEY=VALUE, one on a line"),
        ):
            widget.setAccessibleName(f"{self.letter}: {name}")

    def _lay_out(self) -> None:
        grid = self._grid
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        title = plain(self.letter)
        title.setObjectName("patient")
        grid.addWidget(title, 0, 0)
        grid.addWidget(self.source, 0, 1, 1, 2)
        grid.addWidget(self.path, 1, 1)
        grid.addWidget(self.browse, 1, 2)
        grid.addWidget(plain("settings"), 2, 0)
        grid.addWidget(self.settings, 2, 1, 1, 2)
        grid.addWidget(plain("volumes"), 3, 0)
        grid.addWidget(self.no_versions, 3, 1, 1, 2)
        grid.addWidget(self.state, 20, 0, 1, 3)
        self._switch_fields()

    def _switch(self) -> None:
        self._switch_fields()
        self.changed.emit()

    def _switch_fields(self) -> None:
        other = self.source.currentText() == OTHER
        self.path.setVisible(other)
        self.browse.setVisible(other)
        self._show_versions()

    def _show_versions(self) -> None:
        other = self.source.currentText() == OTHER
        for box in self.versions.values():
            box.setVisible(not other)
        words = "as recorded in that file" if other else "every volume has one version"
        self.no_versions.setText(words)
        self.no_versions.setVisible(other or not self.versions)

    def _choose_file(self) -> None:
        folder = str(Path(self.path.text()).parent) if self.path.text() else ""
        path, _ = QFileDialog.getOpenFileName(self, "Another treatment file", folder, "Treatment files (*.holmia)")
        if path:
            self.path.setText(path)
            self.changed.emit()
