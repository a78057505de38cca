"""Who has seen the alarms: a name is asked for before anything is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QLineEdit, QVBoxLayout, QWidget


class AcknowledgeDialog(QDialog):
    """Tells the alarms and takes a name; Enter confirms, Esc leaves everything as it is. Never blocks the window."""

    acknowledged = Signal(tuple, str)
    """(identifiers of the alarms, name)"""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.name = QLineEdit()
        self._alarm_ids: tuple[str, ...] = ()
        rows = QVBoxLayout(self)
        rows.addWidget(self.name)
        self.name.returnPressed.connect(self.accept)

    def ask(self, alarms: Sequence[str], alarm_ids: tuple[str, ...]) -> None:
        """Show the alarms and wait for a name, the last one given standing there already."""
        self._alarm_ids = alarm_ids
        self.open()

    def accept(self) -> None:
        """Acknowledge, if there is a name."""
        if self.name.text().strip():
            self.acknowledged.emit(self._alarm_ids, self.name.text().strip())
            super().accept()
