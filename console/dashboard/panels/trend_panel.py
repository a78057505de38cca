"""Mean dose against injected activity: the plot, and beside it in words what it found."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from console.dashboard.panels.table_panel import TableView
from console.dashboard.panels.trend_plot import TrendPlot
from console.dashboard.screen.model import Cell, Row, Table, TrendScreen


class TrendPanel(QWidget):
    """The plot, and beside it the verdict and every volume by its symbol, flagged ones first."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = TrendPlot()
        self.findings = TableView(wrapped=1, pixels=14.5, spread=1.4)
        self._drawn: TrendScreen | None = None
        columns = QHBoxLayout(self)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(6)
        columns.addWidget(self.plot, 64)
        columns.addWidget(self.findings, 36)

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self.plot.set_scale(scale)
        self.findings.set_scale(scale)

    def draw(self, trend: TrendScreen) -> None:
        """Show the plot of a position."""
        if trend is self._drawn:
            return
        self._drawn = trend
        self.plot.draw(trend)
        self.findings.draw(_findings(trend))


def _findings(trend: TrendScreen) -> Table:
    """The words as a table, each with its volume's symbol."""
    numbers = trend.finding_series or (None,) * len(trend.findings)
    rows = tuple(
        Row(cells=(Cell(text=""), cell), series=number) for cell, number in zip(trend.findings, numbers, strict=True)
    )
    return Table(columns=("", ""), rows=rows, empty=trend.message)
