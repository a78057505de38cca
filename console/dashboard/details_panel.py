"""Beside the trend: dose–volume histograms or the table of the volumes, one at a time."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget

from console.dashboard.dvh_panel import DvhPanel
from console.dashboard.screen_model import DvhScreen, Table
from console.dashboard.table_panel import Panel, TableView
from console.dashboard.view import Details

_TITLE = "VOLUMES  cumulative dose, ± k = 1, D70 rounded like the mean"


class DetailsPanel(Panel):
    """A titled panel whose two tabs are pressed, or turned by a key."""

    asked = Signal(object)
    """An `Action`: `ShowDetails`."""

    def __init__(self) -> None:
        self.pages = QStackedWidget()
        super().__init__(_TITLE, self.pages)
        self.dvh = DvhPanel()
        self.volumes = TableView(wrapped=8, right=(2, 3, 4, 5, 6, 7), pixels=15.5, spread=2.6)
        self.pages.addWidget(self.dvh)
        self.pages.addWidget(self.volumes)

    def set_scale(self, scale: float) -> None:
        """Scale the letters from 1920 × 1080."""
        self.dvh.set_scale(scale)
        self.volumes.set_scale(scale)

    def draw(self, dvh: DvhScreen, volumes: Table, shown: Details) -> None:
        """Show one of both; both are kept up to date."""
        self.dvh.draw(dvh)
        self.volumes.draw(volumes)
        self.pages.setCurrentWidget(self.dvh if shown is Details.DVH else self.volumes)
