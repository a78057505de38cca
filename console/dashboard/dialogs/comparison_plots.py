"""The plots of both sides: in one pair of axes where both are of the same images, else side by side."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QTabWidget, QVBoxLayout, QWidget

from console.dashboard.desk.comparison_table import Plots
from console.dashboard.dialogs.comparison_dvh import ComparisonDvh
from console.dashboard.dialogs.tool_dialog import plain
from console.dashboard.dialogs.tuning_trend import TuningTrend
from console.dashboard.panels.dvh_panel import DvhPanel
from console.dashboard.panels.trend_plot import TrendPlot


class ComparisonPlots(QTabWidget):
    """Trends on one tab, histograms on the other."""

    def __init__(self) -> None:
        super().__init__()
        self.trend, self.histogram = TuningTrend(), ComparisonDvh()
        self.trends, self.histograms = (TrendPlot(), TrendPlot()), (DvhPanel(), DvhPanel())
        self._pages = (QStackedWidget(), QStackedWidget())
        for page, together, apart, title in (
            (self._pages[0], self.trend, self.trends, "Trends of both"),
            (self._pages[1], self.histogram, self.histograms, "Dose–volume histograms of both"),
        ):
            page.addWidget(together)
            page.addWidget(_side_by_side(*apart))
            self.addTab(page, title)

    def draw(self, plots: Plots) -> None:
        """Show the plots of a pair of fractions."""
        a, b = plots.trends
        overlaid = plots.overlaid and a is not None
        for page in self._pages:
            page.setCurrentIndex(0 if overlaid else 1)
        if overlaid:
            self.trend.draw(a, b, old=False)
            self.histogram.draw(*plots.histograms)
            return
        for trend, own in zip(self.trends, plots.trends, strict=True):
            trend.setVisible(own is not None)
            if own is not None:
                trend.draw(own)
        for histogram, its in zip(self.histograms, plots.histograms, strict=True):
            histogram.setVisible(its is not None)
            if its is not None:
                histogram.draw(its)

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        for part in (self.trend, self.histogram, *self.trends, *self.histograms):
            part.set_scale(scale)


def _side_by_side(a: QWidget, b: QWidget) -> QWidget:
    held = QWidget()
    columns = QHBoxLayout(held)
    columns.setContentsMargins(0, 4, 0, 0)
    for letter, plot in (("A", a), ("B", b)):
        column = QVBoxLayout()
        column.addWidget(plain(letter))
        column.addWidget(plot, 1)
        columns.addLayout(column, 1)
    return held
