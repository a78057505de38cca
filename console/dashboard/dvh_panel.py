"""The plot of cumulative dose–volume histograms."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtWidgets import QVBoxLayout, QWidget

from console.dashboard import theme
from console.dashboard.screen_model import DvhScreen


class DvhPanel(QWidget):
    """Curves of all plotted volumes, limits as marks. Items are made once."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = pg.PlotWidget(background=theme.PANEL)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.plot, 1)

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""

    def draw(self, dvh: DvhScreen) -> None:
        """Show the histograms."""
