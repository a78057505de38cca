"""What a comparison found: the table of a pair of fractions, what differs in words, and the plots of both."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QScrollArea, QSplitter, QVBoxLayout, QWidget

from console.comparison import Comparison
from console.comparison_words import pair_words
from console.dashboard.desk.comparison_table import (
    COLUMNS,
    RIGHT,
    comparison_table,
    head_state,
    plots,
    sentences,
    side_words,
)
from console.dashboard.dialogs.comparison_plots import ComparisonPlots
from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel
from console.dashboard.panels.table_panel import TableView
from console.dashboard.screen.model import Row, State, Table
from console.snapshot import Snapshot

EVERYTHING, ONLY_DIFFERING = "every value", "only what is not the same"
_PIXELS = 14.0
_ROW = 1.65
"""Height of a row of the table, in its letters."""


class ResultView(QWidget):
    """Shows a comparison; remembers which pair of fractions is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.labels = (ElidedLabel(), ElidedLabel())
        self.summary = ElidedLabel()
        self.pair, self.rows = QComboBox(), QComboBox()
        self.pair.setAccessibleName("Fractions of the table and the plots")
        self.rows.addItems([EVERYTHING, ONLY_DIFFERING])
        self.rows.setAccessibleName("Which rows of the table")
        self.table = TableView(wrapped=len(COLUMNS) - 1, right=RIGHT, pixels=_PIXELS)
        self.words = TableView(wrapped=0, pixels=_PIXELS)
        self.plots = ComparisonPlots()
        self.comparison: Comparison | None = None
        self._sides: tuple[Snapshot, Snapshot] = (Snapshot(), Snapshot())
        self._scale = 1.0
        self._lay_out()
        self.pair.currentIndexChanged.connect(lambda _: self._draw_pair())
        self.rows.currentIndexChanged.connect(lambda _: self._draw_pair())

    def draw(self, comparison: Comparison, a: Snapshot, b: Snapshot) -> None:
        """Show a comparison; the last fractions first."""
        self.comparison, self._sides = comparison, (a, b)
        for label, side in zip(self.labels, (comparison.a, comparison.b), strict=True):
            _tell(label, side_words(side))
        _tell(self.summary, head_state(comparison))
        self.pair.blockSignals(True)
        self.pair.clear()
        self.pair.addItems([pair_words(pair) for pair in comparison.pairs])
        self.pair.setCurrentIndex(len(comparison.pairs) - 1)
        self.pair.blockSignals(False)
        told = sentences(comparison)
        rows = tuple(Row(cells=(cell,)) for cell in told)
        self.words.draw(Table(columns=("WHAT DIFFERS IN WHAT WENT IN, AND HOW TO READ THE TABLE",), rows=rows))
        self._draw_pair()

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self._scale = scale
        for part in (self.table, self.words, self.plots):
            part.set_scale(scale)
        self._fit()

    def _draw_pair(self) -> None:
        number = self.pair.currentIndex()
        if self.comparison is None or number < 0:
            self.table.draw(Table(empty="neither A nor B has a result"))
            return
        a, b = self._sides
        only = self.rows.currentText() == ONLY_DIFFERING
        self.table.draw(comparison_table(self.comparison, number, a, only_differing=only))
        self.plots.draw(plots(self.comparison, number, a, b))
        self._fit()

    def _fit(self) -> None:
        self.table.setMinimumHeight(round((len(self.table.table.rows) + 1.5) * _ROW * _PIXELS * self._scale))

    def _lay_out(self) -> None:
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.area.setAccessibleName("Values of A and B; arrows scroll")
        self.area.setWidget(self.table)
        right = QSplitter(Qt.Orientation.Vertical)
        right.setChildrenCollapsible(False)
        right.addWidget(self.plots)
        right.addWidget(self.words)
        right.setSizes([620, 380])
        sides = QSplitter(Qt.Orientation.Horizontal)
        sides.setChildrenCollapsible(False)
        sides.addWidget(self.area)
        sides.addWidget(right)
        sides.setSizes([560, 440])
        head = QHBoxLayout()
        names = QVBoxLayout()
        for label in (*self.labels, self.summary):
            names.addWidget(label)
        head.addLayout(names, 1)
        for choice in (self.pair, self.rows):
            head.addWidget(choice)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(sides, 1)


def _tell(label: ElidedLabel, state: State) -> None:
    label.show_text(state.text.strip())
    theme.restyle(label, f"color: {theme.TONES[state.tone]}; font-weight: bold;")
