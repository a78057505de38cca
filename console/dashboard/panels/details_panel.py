"""Beside the trend: dose–volume histograms or the table of the volumes, one at a time."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QStackedWidget

from console.dashboard.panels import theme
from console.dashboard.panels.dvh_panel import DvhPanel
from console.dashboard.panels.table_panel import Panel, TableView
from console.dashboard.screen.model import DvhScreen, Table
from console.dashboard.screen.view import Details, ShowDetails

_TABS = {Details.DVH: "DVH", Details.VOLUMES: "VOLUMES"}
_RIGHT = (2, 3, 4, 5, 6, 7, 8)
_WRAPPED = 11


class DetailsPanel(Panel):
    """A titled panel whose two tabs are pressed, or turned by a key."""

    asked = Signal(object)
    """An `Action`: `ShowDetails`."""

    def __init__(self) -> None:
        self.pages = QStackedWidget()
        super().__init__("", self.pages)
        self.dvh = DvhPanel()
        self.volumes = TableView(wrapped=_WRAPPED, right=_RIGHT, pixels=15.5, spread=2.6)
        self.pages.addWidget(self.dvh)
        self.pages.addWidget(self.volumes)
        self.tabs = {details: self._tab(details) for details in _TABS}
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        head = QHBoxLayout()
        head.setSpacing(6)
        for tab in self.tabs.values():
            head.addWidget(tab)
        self._layout.removeWidget(self.title)
        head.addWidget(self.title, 1)
        self._layout.insertLayout(0, head)

    def set_scale(self, scale: float) -> None:
        """Scale the letters from 1920 × 1080."""
        self.dvh.set_scale(scale)
        self.volumes.set_scale(scale)
        pixels, touch = max(9, round(14 * scale)), max(20, round(32 * scale))
        sheet = (
            f"QPushButton {{ color: {theme.MUTED}; background: {theme.PANEL}; border: 1px solid {theme.LINE}; "
            f"border-radius: 4px; padding: 0 {pixels}px; font-size: {pixels}px; font-weight: bold; }}"
            f"QPushButton:checked {{ color: {theme.TEXT}; background: {theme.RAISED}; "
            f"border: 2px solid {theme.TEXT}; }}"
        )
        for tab in self.tabs.values():
            theme.restyle(tab, sheet)
            tab.setFixedHeight(touch)

    def draw(self, dvh: DvhScreen, volumes: Table, shown: Details) -> None:
        """Show one of both; both are kept up to date."""
        self.dvh.draw(dvh)
        self.volumes.draw(volumes)
        page = self.dvh if shown is Details.DVH else self.volumes
        if self.pages.currentWidget() is not page:
            self.pages.setCurrentWidget(page)
        if self.title.text() != dvh.title:
            self.title.setText(dvh.title)
        for details, tab in self.tabs.items():
            tab.setChecked(details is shown)
            words = f"{'■' if details is shown else '□'} {_TABS[details]}"
            if tab.text() != words:
                tab.setText(words)

    def _tab(self, details: Details) -> QPushButton:
        tab = QPushButton(f"□ {_TABS[details]}")
        tab.setCheckable(True)
        tab.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        tab.setToolTip(f"Show the {'dose–volume histograms' if details is Details.DVH else 'table of volumes'} (key T)")
        tab.clicked.connect(lambda: self._press(details))
        return tab

    def _press(self, details: Details) -> None:
        """What is shown is the screen's to say: a press only asks."""
        self.tabs[details].setChecked(not self.tabs[details].isChecked())
        self.asked.emit(ShowDetails(details=details))
