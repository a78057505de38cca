"""Draft B beside active A: the table of doses, what changes in words, the difference map and the trends of both."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QScrollArea, QSplitter, QTabWidget, QVBoxLayout, QWidget

from console.dashboard.desk.difference import Drafted, active_state, changes_in_words, difference_table, marked_old
from console.dashboard.desk.difference_images import (
    RANGES_GY,
    USUAL_RANGE_GY,
    DifferenceImages,
    difference_images,
    result_of,
)
from console.dashboard.dialogs.tool_dialog import plain
from console.dashboard.dialogs.tuning_trend import TuningTrend
from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel
from console.dashboard.panels.image_panel import Cuts
from console.dashboard.panels.table_panel import TableView
from console.dashboard.screen.model import Row, State, Table
from console.dashboard.screen.trend import build_trend
from console.snapshot import Mode, Snapshot

LATEST, ALL = "latest fraction", "all fractions"
_PIXELS = 14.0
_MAPS_FOLLOW_MS = 80
_ROW = 1.65
"""Height of a row of the table, in its letters."""


class TuningComparison(QWidget):
    """Shows both snapshots; remembers which fraction, voxel and colour range are looked at."""

    looked_elsewhere = Signal()
    """Another fraction, voxel or range was chosen: draw again."""

    def __init__(self, mode: Mode) -> None:
        super().__init__()
        self._watermark = "" if mode is Mode.LIVE else mode.value
        self.active, self.draft = ElidedLabel(), ElidedLabel()
        self.fraction, self.range = QComboBox(), QComboBox()
        self.range.addItems([f"± {value:g} Gy" for value in RANGES_GY])
        self.range.setCurrentIndex(RANGES_GY.index(USUAL_RANGE_GY))
        self.range.setAccessibleName("Ends of the colours of the difference map, Gy")
        self.fraction.addItems([LATEST, ALL])
        self.fraction.setAccessibleName("Fraction of the table, the difference map and the trends")
        self.table = TableView(wrapped=1, right=(2, 3, 4, 5, 6, 7, 8, 9), pixels=_PIXELS)
        self.changes = TableView(wrapped=0, pixels=_PIXELS)
        self.cuts, self.trend = Cuts(), TuningTrend()
        self.message, self.probe = plain(""), ElidedLabel()
        self.tabs = QTabWidget()
        self._images: DifferenceImages | None = None
        self._voxel: tuple[int, int, int] | None = None
        self._images_of: tuple[Snapshot, Snapshot | None, bool] = (Snapshot(), None, False)
        self._mapped: Snapshot | None = None
        self._drawing = QTimer(self)
        self._drawing.setSingleShot(True)
        self._drawing.timeout.connect(self.draw_images)
        self._scale = 1.0
        self._lay_out()
        self.fraction.currentIndexChanged.connect(lambda _: self.looked_elsewhere.emit())
        self.range.currentIndexChanged.connect(lambda _: self.looked_elsewhere.emit())
        self.tabs.currentChanged.connect(lambda _: self.looked_elsewhere.emit())
        for number, view in enumerate(self.cuts.views):
            view.pointed.connect(lambda x, y, n=number: self._point(n, x, y))
            view.stepped.connect(lambda step, n=number: self._step(n, step))

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self._scale = scale
        for part in (self.table, self.changes, self.cuts.scale_bar, self.trend):
            part.set_scale(scale)
        for view in self.cuts.views:
            view.scale_factor = scale
            view.update()

    def draw(
        self, a: Snapshot, drafted: Drafted, mapped: Snapshot | None, draft: State, now: datetime | None, *, old: bool
    ) -> None:
        """Show both.

        Parameters
        ----------
        mapped
            The newest snapshot of B with the maps of the fraction that is looked at; an older one than ``drafted`` has
            while they are on their way.
        draft
            What B is worth, in a line.
        old
            Whether B is of another draft than what was typed.
        """
        b = drafted.shown
        _tell(self.active, active_state(a, now))
        _tell(self.draft, draft)
        self._draw_fractions(a)
        every = self.fraction.currentText() == ALL
        table = difference_table(a, b, None if every else result_of(a, self.key))
        if old:
            table = marked_old(table)
        if table is not self.table.table:
            self.table.draw(table)
            self.table.setMinimumHeight(round((len(table.rows) + 1.5) * _ROW * _PIXELS * self._scale))
        words = changes_in_words(a, b)
        head = ("CHANGES OF B AGAINST A" + (" · B IS OLD" if old and b is not None else ""),)
        self.changes.draw(Table(columns=head, rows=tuple(Row(cells=(cell,)) for cell in words), empty="no B yet"))
        if self.tabs.currentIndex() == 0:
            # The numbers first. Maps follow them within a moment: only what waits longer is marked as old.
            behind = mapped is not None and (old or mapped is not b)
            self._images_of = (a, mapped, behind)
            self._drawing.start(_MAPS_FOLLOW_MS if behind and mapped is self._mapped else 0)
        else:
            self._draw_trends(a, b, old=old)

    def rest(self) -> None:
        """Draw nothing any more until the next `draw`, and keep nothing of what was drawn."""
        self._drawing.stop()
        self._images_of, self._mapped = (Snapshot(), None, False), None

    @property
    def key(self) -> tuple[str, int] | None:
        """Which fraction is looked at; None: the latest, beside a table of all."""
        chosen = self.fraction.currentData()
        return (str(chosen[0]), int(chosen[1])) if chosen is not None else None

    def _draw_fractions(self, a: Snapshot) -> None:
        known = [self.fraction.itemText(i) for i in range(2, self.fraction.count())]
        labels = [result.label for result in a.results]
        if known != labels:
            before = self.fraction.currentText()
            self.fraction.blockSignals(True)
            self.fraction.clear()
            self.fraction.addItems([LATEST, ALL])
            for result in a.results:
                self.fraction.addItem(result.label, result.key)
            self.fraction.setCurrentIndex(max(0, self.fraction.findText(before)))
            self.fraction.blockSignals(False)

    def draw_images(self) -> None:
        """Draw the cuts of what was shown last."""
        a, mapped, old = self._images_of
        self._mapped = mapped
        maximum_gy = RANGES_GY[self.range.currentIndex()]
        shown = difference_images(a, mapped, self.key, voxel=self._voxel, maximum_gy=maximum_gy, old=old)
        self._images = shown
        self.cuts.scale_bar.draw(shown.legend)
        for number, view in enumerate(self.cuts.views):
            plane = shown.planes[number] if number < len(shown.planes) else None
            cross = shown.crosshairs_mm[number] if plane is not None else (0.0, 0.0)
            view.draw(plane, shown.legend, crosshair_mm=cross, watermark=self._watermark, stale=old)
        self.cuts.setVisible(bool(shown.planes))
        self.message.setText(shown.message)
        self.message.setVisible(bool(shown.message))
        self.probe.show_text(shown.probe)

    def _draw_trends(self, a: Snapshot, b: Snapshot | None, *, old: bool) -> None:
        own, its = result_of(a, self.key), result_of(b, self.key)
        self.trend.draw(
            build_trend(a, own), build_trend(b, its) if b is not None and its is not None else None, old=old
        )

    def _point(self, plane: int, x_mm: float, y_mm: float) -> None:
        shown = self._images
        if shown is not None and plane < len(shown.planes):
            self._voxel = shown.planes[plane].geometry.voxel_at(x_mm, y_mm, shown.voxel)
            self.looked_elsewhere.emit()

    def _step(self, plane: int, steps: int) -> None:
        shown = self._images
        if shown is not None and plane < len(shown.planes):
            geometry, voxel = shown.planes[plane].geometry, list(shown.voxel)
            voxel[geometry.normal_axis] += steps * geometry.towards
            self._voxel = (voxel[0], voxel[1], voxel[2])
            self.looked_elsewhere.emit()

    def step_axial(self, steps: int) -> None:
        """The next axial cut towards the head, or back: what the wheel does, for the keyboard."""
        self._step(0, steps)

    def _lay_out(self) -> None:
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        area.setAccessibleName("Doses of A and B; arrows scroll")
        area.setWidget(self.table)
        self.area = area
        images = QWidget()
        rows = QVBoxLayout(images)
        rows.setContentsMargins(0, 4, 0, 0)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        rows.addWidget(self.message, 1)
        rows.addWidget(self.cuts, 1)
        rows.addWidget(self.probe)
        self.tabs.addTab(images, "Difference map B − A")
        self.tabs.addTab(self.trend, "Trends of both")
        corner = QWidget()
        choices = QHBoxLayout(corner)
        choices.setContentsMargins(0, 0, 0, 4)
        choices.addWidget(plain("colours"))
        choices.addWidget(self.range)
        self.tabs.setCornerWidget(corner)
        head = QHBoxLayout()
        states = QVBoxLayout()
        states.addWidget(self.active)
        states.addWidget(self.draft)
        head.addLayout(states, 1)
        head.addWidget(plain("after"))
        head.addWidget(self.fraction)
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.setChildrenCollapsible(False)
        for part, share in ((area, 28), (self.changes, 12), (self.tabs, 60)):
            parts.addWidget(part)
            parts.setStretchFactor(parts.count() - 1, share)
        parts.setSizes([280, 110, 610])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(parts, 1)


def _tell(label: ElidedLabel, state: State) -> None:
    label.show_text(state.text)
    theme.restyle(label, f"color: {theme.TONES[state.tone]}; font-weight: bold;")
