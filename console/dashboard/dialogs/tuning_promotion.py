"""Promoting a draft: every changed key, the largest change of dose of every volume, who and why."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from console.dashboard.desk.tuning import Judged, name_fault, promotion_fault, reason_fault
from console.dashboard.dialogs.tool_dialog import plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.panels.table_panel import TableView
from console.dashboard.screen.model import Cell, Row, Table, Tone

_WHAT = (
    "Recording makes B the active settings of this treatment: all results are computed anew and are STALE until then. "
    "Name, reason and every changed value are kept in the treatment file. It can be taken back by another change."
)


class PromotionPage(QWidget):
    """Asks for name and reason, and shows what the promotion would change. Nothing is recorded without both."""

    promoted = Signal(str, str)
    """(name, reason)"""
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.values, self.doses = TableView(wrapped=0, pixels=15.0), TableView(wrapped=0, pixels=15.0)
        self.name, self.reason = QLineEdit(), QLineEdit()
        self.name.setMaxLength(64)
        self.name.setPlaceholderText("who promotes, such as P. Jansen")
        self.name.setAccessibleName("Name of who promotes")
        self.reason.setMaxLength(400)
        self.reason.setPlaceholderText("why, such as: relaxivity of batch 26-114 measured on 3 March")
        self.reason.setAccessibleName("Reason of the promotion")
        self.name_verdict, self.reason_verdict, self.verdict = plain(""), plain(""), plain("")
        self.verdict.setWordWrap(True)
        self.back, self.record = touch_button("Back to the draft"), touch_button("Record as active settings")
        self.back.setAutoDefault(False)
        self.record.setAutoDefault(False)
        self._judged, self._shown = Judged(), False
        self._lay_out()
        self.name.textChanged.connect(lambda _: self.judge())
        self.reason.textChanged.connect(lambda _: self.judge())
        self.name.returnPressed.connect(self._press)
        self.reason.returnPressed.connect(self._press)
        self.record.clicked.connect(self._press)
        self.back.clicked.connect(self.left)

    def draw(self, judged: Judged, changes: tuple[Cell, ...], *, shown: bool) -> None:
        """Show a draft; `shown`: its own results are known."""
        self._judged, self._shown = judged, shown
        lines = tuple(Cell(text=line, bold=True) for line in judged.lines)
        self.values.draw(_listed("CHANGED VALUES: A → B", lines, "nothing is changed"))
        head = "WHAT CHANGES: THE MEAN DOSE MOST, FLAGS AND BOUNDS" + ("" if shown else " · OLD: B is being computed")
        self.doses.draw(_listed(head, changes, "B is not computed yet"))
        self.judge()

    def judge(self) -> None:
        """Say beside name and reason what is expected of them, and whether it can be recorded."""
        name, reason = self.name.text(), self.reason.text()
        for label, fault in ((self.name_verdict, name_fault(name)), (self.reason_verdict, reason_fault(reason))):
            label.setText(f"✕ {fault}" if fault else "✓ is recorded with it")
            theme.restyle(label, f"color: {theme.TONES[Tone.ALERT if fault else Tone.GOOD]};")
        fault = promotion_fault(self._judged, name=name, reason=reason, shown=self._shown)
        own = "" if fault in (name_fault(name), reason_fault(reason)) else fault
        self.verdict.setText(f"✕ {own}" if own else "")
        theme.restyle(self.verdict, f"color: {theme.TONES[Tone.ALERT]}; font-weight: bold;")
        self.record.setEnabled(not fault)

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self.values.set_scale(scale)
        self.doses.set_scale(scale)

    def _press(self) -> None:
        if self.record.isEnabled():
            self.promoted.emit(self.name.text().strip(), self.reason.text().strip())

    def _lay_out(self) -> None:
        what = plain(_WHAT)
        what.setWordWrap(True)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(10, 0, 0, 0)
        rows.setSpacing(10)
        heading = plain("Promote B to the active settings")
        heading.setObjectName("sentence")
        rows.addWidget(heading)
        rows.addWidget(what)
        rows.addWidget(self.values, 1)
        rows.addWidget(self.doses, 1)
        for label, field, verdict in (
            ("Name", self.name, self.name_verdict),
            ("Reason", self.reason, self.reason_verdict),
        ):
            rows.addLayout(_line(label, field, verdict))
        rows.addWidget(self.verdict)
        foot = QHBoxLayout()
        foot.addWidget(self.back)
        foot.addStretch(1)
        foot.addWidget(self.record)
        rows.addLayout(foot)


def _line(label: str, field: QLineEdit, verdict: QLabel) -> QVBoxLayout:
    row = QHBoxLayout()
    name = plain(label)
    name.setBuddy(field)
    name.setMinimumWidth(70)
    field.setMinimumHeight(round(2.2 * field.fontMetrics().height()))
    row.addWidget(name)
    row.addWidget(field, 1)
    lines = QVBoxLayout()
    lines.setSpacing(2)
    lines.addLayout(row)
    lines.addWidget(verdict)
    return lines


def _listed(head: str, cells: tuple[Cell, ...], empty: str) -> Table:
    return Table(columns=(head,), rows=tuple(Row(cells=(cell,)) for cell in cells), empty=empty)
