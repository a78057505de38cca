"""The volumes of the treatment: which version of each is used, and how others come: drawn, or from files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QHideEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from console.dashboard.desk.volume_import import Import
from console.dashboard.desk.volume_list import (
    VERSION_COLUMNS,
    VOLUME_COLUMNS,
    History,
    VersionRow,
    VolumeList,
    VolumeRow,
    choosing,
    doses_of,
    untold,
    volume_list,
)
from console.dashboard.dialogs.background import Background, Work
from console.dashboard.dialogs.cell_table import CellTable
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog, plain, touch_button
from console.dashboard.dialogs.volume_import_view import VolumeImportView
from console.dashboard.panels import theme
from console.dashboard.screen.model import State, Tone
from console.dashboard.screen.view import Tool
from console.given_files import GivenFile, Taken, previews, take_objects
from console.snapshot import GivenStructures
from console.volume_preview import volume_ml
from dicom_listener.admission import Fate
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record

_ENDS_S = 0.2
"""How long closing waits for a thread; what is left of a step ends by itself, unheard."""
_HEADINGS = ("Volumes", "Volumes from files: nothing of them is recorded yet")
_FILTER = "Volumes (*.dcm *.DCM *.nii *.nii.gz);;All files (*)"


class VolumesDialog(ToolDialog):
    """The list, and the page on which files are looked at before anything of them is recorded."""

    def __init__(self, parent: QWidget, services: Services) -> None:
        super().__init__(parent, services, _HEADINGS[0])
        self.setAcceptDrops(True)
        self.list_now = VolumeList()
        self._history = History()
        self._read_until: tuple[int, int] | None = None
        self._reading = Background(self, "holmia-volumes-history")
        self._reading.told.connect(self._known)
        self._looking = Background(self, "holmia-volumes-preview")
        self._looking.ended.connect(self._looked)
        self._adding = Background(self, "holmia-volumes-adding")
        self._adding.told.connect(self._taken)
        self._adding.ended.connect(self._added)
        self._import = Import()
        self._fates: list[Taken] = []
        self.importing = VolumeImportView()
        self.importing.added.connect(self.add)
        self.importing.left.connect(self._leave)
        self._looking.told.connect(self.importing.take)
        self.pages = QStackedWidget()
        self.pages.addWidget(self._listed())
        self.pages.addWidget(self.importing)
        self.pages.currentChanged.connect(lambda page: self.heading.setText(_HEADINGS[page]))
        self.body.addWidget(self.pages, 1)

    def _listed(self) -> QWidget:
        page = QWidget()
        rows = QVBoxLayout(page)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(8)
        self.volumes = CellTable(VOLUME_COLUMNS, wide=(5, 6), name="Volumes of the plan")
        self.volumes.chosen.connect(lambda _: self._draw_versions())
        self.empty = _wrapped()
        self.versions_title = plain("")
        self.versions_title.setObjectName("finding")
        self.versions = CellTable(VERSION_COLUMNS, wide=(4, 5), name="Versions of the chosen volume")
        self.versions.chosen.connect(lambda _: self._enable())
        self.use = touch_button("Use this version")
        self.use.setAutoDefault(False)
        self.use.clicked.connect(self.use_version)
        self.latest = touch_button("Use the latest")
        self.latest.setAutoDefault(False)
        self.latest.clicked.connect(self.use_latest)
        choosing_row = QHBoxLayout()
        choosing_row.addWidget(self.versions_title, 1)
        choosing_row.addWidget(self.use)
        choosing_row.addWidget(self.latest)
        self.faults, self.remarks = _wrapped(), _wrapped()
        self.faults.setStyleSheet(f"color: {theme.TONES[Tone.CAUTION]};")
        self.remarks.setStyleSheet(f"color: {theme.TONES[Tone.MUTED]};")
        sentences = QWidget()
        both = QVBoxLayout(sentences)
        both.setContentsMargins(0, 0, 0, 0)
        both.setSpacing(2)
        both.addWidget(self.faults)
        both.addWidget(self.remarks)
        both.addStretch(1)
        told = QScrollArea()
        told.setWidgetResizable(True)
        told.setWidget(sentences)
        told.setMaximumHeight(110)
        told.setFrameShape(QScrollArea.Shape.NoFrame)
        self.draw_button, self.files_button = touch_button("Draw…"), touch_button("Add from file…")
        self.folder_button = touch_button("Add from folder…")
        self.draw_button.clicked.connect(lambda: self.wanted.emit(Tool.DRAWING))
        self.files_button.clicked.connect(self._ask_files)
        self.folder_button.clicked.connect(self._ask_folder)
        buttons = QHBoxLayout()
        for button in (self.draw_button, self.files_button, self.folder_button):
            button.setAutoDefault(False)
            buttons.addWidget(button)
        buttons.addWidget(_wrapped("or drop files and folders here: RT Structure Set, DICOM Segmentation, NIfTI"), 1)
        rows.addLayout(buttons)
        rows.addWidget(self.empty)
        rows.addWidget(self.volumes, 5)
        rows.addLayout(choosing_row)
        rows.addWidget(self.versions, 4)
        rows.addWidget(told)
        return page

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Show the volumes as they are."""
        self._read_history()
        self.list_now = volume_list(self.snapshot, self._history)
        self.importing.receive(self.snapshot)
        self.empty.setText(self.list_now.empty)
        self.empty.setVisible(bool(self.list_now.empty))
        self.volumes.fill([row.cells for row in self.list_now.rows])
        self._draw_versions()
        for label, grave in ((self.faults, True), (self.remarks, False)):
            told = "\n".join(own.text for own in self.list_now.told if (own.tone is Tone.CAUTION) is grave)
            label.setVisible(bool(told))
            if label.text() != told:
                label.setText(told)

    def _draw_versions(self) -> None:
        row = self._volume()
        title = "" if row is None else f"Versions of {row.name}, newest first"
        self.versions_title.setText(title)
        self.versions.fill([] if row is None else [version.cells for version in row.versions])
        self._enable()

    def _volume(self) -> VolumeRow | None:
        at = self.volumes.currentRow()
        return self.list_now.rows[at] if 0 <= at < len(self.list_now.rows) else None

    def _version(self) -> VersionRow | None:
        row, at = self._volume(), self.versions.currentRow()
        return row.versions[at] if row is not None and 0 <= at < len(row.versions) else None

    def _enable(self) -> None:
        row, version = self._volume(), self._version()
        self.use.setEnabled(row is not None and version is not None and choosing(row, version) is not None)
        self.latest.setEnabled(row is not None and choosing(row, None) is not None)

    # -- choosing --------------------------------------------------------------------------------------------------

    def use_version(self) -> None:
        """From now on the chosen version counts; results are computed anew, the older stay recorded."""
        row, version = self._volume(), self._version()
        operation = choosing(row, version) if row is not None and version is not None else None
        if row is not None and version is not None and operation is not None:
            self.say(operation, f"version {version.number} of {row.name} is used from now on")

    def use_latest(self) -> None:
        """The latest version counts again."""
        row = self._volume()
        operation = choosing(row, None) if row is not None else None
        if row is not None and operation is not None:
            self.say(operation, f"the latest version of {row.name} is used from now on")

    # -- what versions gave ----------------------------------------------------------------------------------------

    def _read_history(self) -> None:
        results = (event.seq for event in self.snapshot.events if event.kind == Kind.RESULT_SHOWN)
        shown = (max(results, default=0), len(self.snapshot.structures))
        if self._reading.busy or shown == self._read_until or not self.services.record.is_file():
            return
        self._read_until = shown
        self._reading.start(_history_of(self.services.record, self.snapshot.structures, self._history))

    def _known(self, history: object) -> None:
        if isinstance(history, History):
            self._history = history
            self.draw()

    # -- adding ----------------------------------------------------------------------------------------------------

    def _ask_files(self) -> None:
        asking = QFileDialog(self, "Volumes from files", str(Path.home()), _FILTER)
        asking.setFileMode(QFileDialog.FileMode.ExistingFiles)
        self._ask(asking)

    def _ask_folder(self) -> None:
        asking = QFileDialog(self, "Volumes from a folder", str(Path.home()))
        asking.setFileMode(QFileDialog.FileMode.Directory)
        self._ask(asking)

    def _ask(self, asking: QFileDialog) -> None:
        asking.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        asking.filesSelected.connect(lambda names: self.look_at([Path(name) for name in names]))
        asking.open()

    def look_at(self, paths: Sequence[Path]) -> None:
        """Show what files would bring; nothing is recorded."""
        if self._adding.busy or not paths:
            return
        snapshot, given, record = self.snapshot, list(paths), self.services.record
        zone = snapshot.plan.time_zone if snapshot.plan is not None else self.services.settings.site.time_zone

        def work(stopped: Callable[[], bool]) -> Generator[object, None, None]:
            yield from previews(given, snapshot, time_zone=zone, stopped=stopped, record=record)

        self.tell(State(sign="", word=""))
        self.importing.begin(snapshot)
        self.pages.setCurrentWidget(self.importing)
        self._looking.start(work)

    def _looked(self, fault: str) -> None:
        self.importing.finish()
        if fault:
            self.tell(State(sign="✕", word=f"The files could not be looked at: {fault}", tone=Tone.ALERT))

    def add(self) -> None:
        """Record what the page says: a plan that names what is new, then DICOM objects, then label maps."""
        planned = self.importing.adding()
        if planned.empty or self._adding.busy:
            return
        actor = self.services.operator().strip()
        if not actor:
            word = "It is not recorded who says this; enter a name (recorded by) below."
            self.tell(State(sign="✕", word=word, tone=Tone.ALERT))
            return
        if planned.revision is not None and not self.say(planned.revision, "the plan names the new volumes"):
            return
        self._import, self._fates = planned, []
        if not planned.objects:
            self._added("")
            return
        self.importing.set_busy(True)
        self.importing.tell_progress("recording", 0, len(planned.objects))
        free_mb = self.services.settings.site.minimum_free_disk_mb
        self._adding.start(_taking(self.services.record, planned.objects, actor, free_mb))

    def _taken(self, taken: object) -> None:
        if isinstance(taken, Taken):
            self._fates.append(taken)
            self.importing.tell_progress(f"recording {taken.path.name}", len(self._fates), len(self._import.objects))

    def _added(self, fault: str) -> None:
        faults = [fault] if fault else []
        good = [f"{taken.path.name} {taken.sentence}" for taken in self._fates if taken.fate is Fate.STORED]
        faults += [f"{taken.path.name} {taken.sentence}" for taken in self._fates if taken.fate is not Fate.STORED]
        for given in () if fault else self._import.given:
            why = self.services.operate(given)
            (faults if why else good).append(why or f"{given.name}: {', '.join(given.labels.values())} recorded")
        self.importing.set_busy(False)
        told = "; ".join([*faults, *good])
        self.tell(State(sign="✕", word=told, tone=Tone.ALERT) if faults else State(sign="✓", word=told, tone=Tone.GOOD))
        if not faults:
            self._leave()

    def _leave(self) -> None:
        self._looking.stop()
        self.pages.setCurrentIndex(0)
        self.volumes.setFocus()

    # -- dropping, opening, closing --------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Files may be dropped anywhere on the dialog."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Look at what was dropped."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        self.look_at(paths)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Begin with the list."""
        super().showEvent(event)
        if not self.importing.isVisible():
            self.volumes.setFocus()

    def may_close(self) -> bool:
        """Not while something is being recorded: that is told, and is a moment."""
        if self._adding.busy:
            self.reject()
        return not self._adding.busy

    def reject(self) -> None:
        """Esc leaves the page of files first; what is being recorded is waited for."""
        if self._adding.busy:
            self.tell(State(sign="●", word="being recorded; it is a moment", tone=Tone.ACTIVE))
        elif self.pages.currentWidget() is self.importing:
            self._leave()
        else:
            super().reject()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter presses the button that has the focus, and no other: nothing is added by the end of typing a name."""
        if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)
            return
        focused = self.focusWidget()
        if isinstance(focused, QPushButton):
            focused.click()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Look at nothing more; an object that is being recorded is recorded, those after it are not."""
        if event.spontaneous():
            return  # the window was minimised; it comes back
        for work in (self._reading, self._looking, self._adding):
            work.stop()
            work.wait(_ENDS_S)
        self._read_until = None
        self.pages.setCurrentIndex(0)
        super().hideEvent(event)


def _history_of(record: Path, structures: Sequence[GivenStructures], before: History) -> Work:
    """Read what was shown, and measure the structures that were not measured yet."""

    def work(stopped: Callable[[], bool]) -> Generator[object, None, None]:
        with Record.open(record, read_only=True) as opened:
            shown = [event for event in _events(opened, stopped) if event.kind == Kind.RESULT_SHOWN]
        told = History(doses=doses_of(shown), volumes_ml=before.volumes_ml, untold=untold(shown))
        yield told
        sizes = dict(before.volumes_ml)
        for place, given in enumerate(structures):
            for structure in given.structures.structures:
                key = (place, structure.name.strip())
                if stopped():
                    return
                if key not in sizes and (size := volume_ml(structure)) is not None:
                    sizes[key] = size
        yield replace(told, volumes_ml=sizes)

    return work


def _events(record: Record, stopped: Callable[[], bool]) -> Iterator[Event]:
    after = 0
    while not stopped() and (batch := record.events(after)):
        yield from batch
        after = batch[-1].seq


def _taking(record: Path, objects: Sequence[GivenFile], actor: str, minimum_free_mb: float) -> Work:
    """Append DICOM objects; one that was begun is ended, whatever becomes of the window."""

    def work(stopped: Callable[[], bool]) -> Generator[object, None, None]:
        del stopped  # asked after every object by whoever runs this
        yield from take_objects(
            record, objects, actor=actor, clock=lambda: datetime.now(UTC), minimum_free_mb=minimum_free_mb
        )

    return work


def _wrapped(text: str = "") -> QLabel:
    label = plain(text)
    label.setWordWrap(True)
    return label
