"""The page on which volumes from files are looked at, named, and added."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from console.dashboard.desk.form import Form
from console.dashboard.desk.volume_import import (
    Import,
    import_form,
    meant_of,
    planned_import,
    structure_words,
    why_not,
)
from console.dashboard.desk.volume_import_table import COLUMNS, ImportRow, import_rows, remarks
from console.dashboard.desk.volume_outline import outline_picture
from console.dashboard.dialogs.cell_table import CellTable
from console.dashboard.dialogs.form_view import FormView
from console.dashboard.dialogs.outline_view import OutlineView
from console.dashboard.dialogs.tool_dialog import plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.screen.model import State, Tone
from console.given_files import FilePreview, Looking
from console.snapshot import Snapshot


class VolumeImportView(QWidget):
    """Holds what was typed until it is added or left; records nothing itself."""

    added = Signal()
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._snapshot = Snapshot()
        self._files: list[FilePreview] = []
        self._typed: dict[str, str] = {}
        self._rows: tuple[ImportRow, ...] = ()
        self._busy = False
        self.form_now = Form()
        self.progress = QProgressBar()
        self.progress.setFixedHeight(26)
        self.table = CellTable(COLUMNS, wide=(2, 6), name="Structures of the files")
        self.table.chosen.connect(lambda _: self._draw_outline())
        self.form = FormView()
        self.form.changed.connect(self._type)
        self.outline = OutlineView()
        self.said = _wrapped()
        self.why = _wrapped()
        self.add = touch_button("Add")
        self.add.clicked.connect(self.added)
        self.leave = touch_button("Leave, record nothing")
        self.leave.setAutoDefault(False)
        self.leave.clicked.connect(self.left)
        below = QHBoxLayout()
        below.setSpacing(12)
        scrolled = QScrollArea()
        scrolled.setWidgetResizable(True)
        scrolled.setFrameShape(QFrame.Shape.NoFrame)
        held = QWidget()
        rows = QVBoxLayout(held)
        rows.setContentsMargins(0, 0, 6, 0)
        rows.addWidget(self.form)
        rows.addWidget(self.said)
        rows.addStretch(1)
        scrolled.setWidget(held)
        below.addWidget(scrolled, 3)
        below.addWidget(self.outline, 2)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add)
        buttons.addWidget(self.leave)
        buttons.addWidget(self.why, 1)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(8)
        page.addWidget(self.progress)
        page.addWidget(self.table, 4)
        page.addLayout(below, 5)
        page.addLayout(buttons)

    def begin(self, snapshot: Snapshot) -> None:
        """Forget the files before; others are looked at now."""
        self._snapshot, self._files, self._typed, self._busy = snapshot, [], {}, True
        self.tell_progress("looking at the files", 0, 0)
        self.draw()

    def take(self, found: object) -> None:
        """One more file was looked at, or is being looked at."""
        if isinstance(found, Looking):
            self.tell_progress(f"{found.name} ({found.done + 1} of {found.of})", found.done, found.of)
        elif isinstance(found, FilePreview):
            self._files.append(found)
            self.draw()

    def finish(self) -> None:
        """All files were looked at."""
        self._busy = False
        self.draw()

    def tell_progress(self, words: str, done: int, of: int) -> None:
        """How far what takes long has come; `of` 0: not known yet."""
        self.progress.setRange(0, of)
        self.progress.setValue(done)
        self.progress.setFormat(words)

    def receive(self, snapshot: Snapshot) -> None:
        """The plan may have changed meanwhile, and with it what a name is."""
        self._snapshot = snapshot

    def adding(self) -> Import:
        """What is to be recorded, by what is known of the treatment now."""
        self.draw()
        return planned_import(self.form_now, self._files, self._snapshot)

    def set_busy(self, busy: bool) -> None:
        """While something is recorded, nothing else can be."""
        self._busy = busy
        self.draw()

    def draw(self) -> None:
        """Show the files as they are, with what was typed of them."""
        self.form_now = import_form(self._files, self._snapshot, self._typed)
        self.form.draw(self.form_now)
        self._rows = import_rows(self.form_now, self._files, self._snapshot)
        self.table.fill([row.cells for row in self._rows])
        why = "" if self._busy else why_not(self.form_now, self._files, self._snapshot)
        state = State(sign="–", word=why, tone=Tone.CAUTION) if why else State(sign="", word="")
        self.why.setText(state.text)
        theme.restyle(self.why, f"color: {theme.TONES[state.tone]};")
        self.add.setEnabled(not self._busy and not why)
        self.progress.setVisible(self._busy)
        told = remarks(self._files)
        if not told and not self.form_now.fields and any(file.object is not None for file in self._files):
            told = (
                State(sign="·", word="Every structure has its name; nothing has to be told of it.", tone=Tone.MUTED),
            )
        self._say(told)
        self._draw_outline()

    def _say(self, told: Sequence[State]) -> None:
        tone = next((t for t in (Tone.ALERT, Tone.CAUTION) if any(own.tone is t for own in told)), Tone.MUTED)
        self.said.setText("\n".join(own.text for own in told))
        theme.restyle(self.said, f"color: {theme.TONES[tone]};")

    def _type(self, key: str, text: str) -> None:
        self._typed[key] = text
        self.draw()

    def _draw_outline(self) -> None:
        at = self.table.currentRow()
        if not 0 <= at < len(self._rows) or self._rows[at].key[1] is None:
            self.outline.draw(None, "")
            return
        file, number = self._rows[at].key
        known = self._files[file].object
        own = next((s for s in known.structures if s.number == number), None) if known is not None else None
        if own is None:
            return
        meant = meant_of(self.form_now, self._files, self._snapshot)
        name = next((one.name for one in meant if (one.file, one.structure.number) == (file, number)), own.name)
        picture = outline_picture(own, self._snapshot, name=name)
        if picture is None:
            self.outline.draw(None, "no outline: it cannot be laid on the reference series")
            return
        before = "; dashed: the version in use" if picture.before is not None else ""
        words = structure_words(self._files[file], own)
        self.outline.draw(picture, f"{words} on the reference, {picture.caption}{before}")


def _wrapped() -> QLabel:
    label = plain("")
    label.setWordWrap(True)
    return label
