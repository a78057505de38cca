"""The row with which a comparison is written to files, and the work of writing it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from console.dashboard.dialogs.acknowledge_dialog import TickBox
from console.dashboard.dialogs.tool_dialog import plain, touch_button


@dataclass(frozen=True, kw_only=True, eq=False)
class SideToWrite:
    """A side as it is known here: its file, its document, and what was laid over it in words."""

    file: Path
    document: Mapping[str, Any] = field(repr=False)
    details: str = ""


def writing(
    sides: Sequence[SideToWrite], folder: Path, *, identified: bool
) -> Callable[[Callable[[], bool]], Generator[object, None, None]]:
    """Work that writes what ``holmia compare --out`` writes, and yields the folder when it is done."""

    def work(_stopped: Callable[[], bool]) -> Generator[object, None, None]:
        # What draws pages takes a second to load: only who writes waits for it.
        from console.comparison import compare
        from console.outputs.comparison_document import side_that_may_leave
        from console.outputs.comparison_folder import write_comparison_files
        from console.outputs.identity import Identified, Identity
        from dicom_listener.record import Record

        made = []
        for letter, side in zip("AB", sides, strict=True):
            if identified:
                identity: Identity = Identified(side.file.stem)
            else:
                from console.outputs.deidentification import deidentifier_of

                with Record.salvage(side.file) as record:
                    identity = deidentifier_of(record)
            made.append(side_that_may_leave(letter, side.document, identity, side.details))
        write_comparison_files(compare(*made), folder)
        yield folder

    return work


class ExportRow(QWidget):
    """A folder, whether the patients are named in it, and the button."""

    asked = Signal(str, bool)
    """(folder, identified)"""

    def __init__(self) -> None:
        super().__init__()
        self.folder, self.identified = QLineEdit(), TickBox()
        self.button = touch_button("Export")
        self.button.setAutoDefault(False)
        self.folder.setPlaceholderText("folder to write comparison.json, .csv and .pdf to")
        self.folder.setAccessibleName("Folder to write the comparison to")
        self.folder.setMinimumHeight(self.button.minimumHeight())
        self.identified.setAccessibleName("Name the patients in what is written")
        tall = self.button.minimumHeight()
        self.identified.setFixedSize(tall, tall)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.folder, 1)
        row.addWidget(self.identified)
        row.addWidget(plain("name the patients"))
        row.addWidget(self.button)
        self.folder.textChanged.connect(lambda _: self._enable())
        self.button.clicked.connect(lambda: self.asked.emit(self.folder.text().strip(), self.identified.isChecked()))
        self._possible = False
        self._enable()

    def allow(self, possible: bool) -> None:
        """Let it be asked for, or not."""
        self._possible = possible
        self._enable()

    def _enable(self) -> None:
        self.button.setEnabled(self._possible and bool(self.folder.text().strip()))
