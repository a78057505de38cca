"""Runs the dashboard on a treatment file: the engine's process follows or replays it, the window shows it."""

from __future__ import annotations

import contextlib
import getpass
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from config.settings import DisplaySettings, Settings
from console.dashboard.app import Dashboard, SnapshotBridge, create_application, render_png
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog
from console.dashboard.screen.model import Cell, Tone
from console.dashboard.screen.news import Announcement
from console.dashboard.screen.view import (
    AcknowledgeAlarms,
    OfTheTreatment,
    OpenTool,
    Operate,
    TakeSnapshot,
    Tool,
    UndoOperation,
)
from console.dashboard.speaker import Speaker
from console.dashboard.tools import load_tools, make_tool
from console.engine_process import EngineProcess
from console.machine import Lag, machine_status
from console.operations import (
    Operation,
)
from console.outputs.wording import software_version
from console.prepared import has_plan
from console.snapshot import Mode, RaisedAlarm, Snapshot
from console.tasks import Following
from console.versions import recorded_by, told
from dicom_listener.events import Kind
from dicom_listener.record import Record, RecordError

_SIGNAL_MS = 200
_TONES = {True: Tone.MUTED, False: Tone.ALERT}


def failures(*told: str) -> tuple[Cell, ...]:
    """What has gone wrong, for the foot of the window."""
    return tuple(Cell(text=f"✕ {failure}", tone=Tone.ALERT) for failure in told if failure)


def system_clock() -> datetime:
    """Now, aware. The dashboard's shell is one of the few places that may ask."""
    return datetime.now(UTC)


def _acknowledged_by(raised: RaisedAlarm, said: tuple[str, datetime] | None) -> RaisedAlarm:
    """An alarm with what was recorded of it here; an earlier occurrence that was acknowledged does not count."""
    if said is None or raised.acknowledged_at is not None or said[1] < raised.alarm.raised_at:
        return raised
    return replace(raised, acknowledged_by=said[0], acknowledged_at=said[1])


class WithEngine:
    """A dashboard with the engine that feeds it, and with the dialogs beside it."""

    engine: EngineProcess
    dashboard: Dashboard
    tools: dict[Tool, ToolDialog]
    """Those that have been opened."""
    services: Services

    def start(self, *, show: bool = True) -> None:
        """Start both; show the window unless it is only rendered to pictures."""
        if show:
            self.dashboard.start()
        self.engine.start()

    def stop(self) -> None:
        """Close the dialogs, stop the engine and the window's clock."""
        for dialog in self.tools.values():
            dialog.close()
        self.engine.stop()
        self.dashboard.stop()

    def open(self, tool: Tool) -> ToolDialog:
        """Show a dialog, made when it is first asked for."""
        if tool not in self.tools:
            made = make_tool(tool, self.dashboard.window, self.services)
            made.wanted.connect(lambda other: self.open(Tool(other)))
            self.tools[tool] = made
        dialog = self.tools[tool]
        dialog.receive(self.dashboard.snapshot, self.dashboard.room_time())
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()
        return dialog

    def tell_tools(self) -> None:
        """Let every open dialog know what is known, and what time it is."""
        for dialog in self.tools.values():
            dialog.receive(self.dashboard.snapshot, self.dashboard.room_time())

    def tools_may_close(self) -> bool:
        """Whether nothing that was typed would be lost with the window."""
        return all(dialog.may_close() for dialog in self.tools.values())


class LiveDashboard(WithEngine):
    """A dashboard that follows a file: LIVE for a treatment, DEMO for the demonstration.

    Parameters
    ----------
    record
        Open for writing: what is shown, alarmed and acknowledged is recorded.
    mode
        What the header says.
    minimum_free_mb
        Below this free space (MB) the disk alarm is raised: the listener refuses images then.
    on_snapshot
        Called in the GUI thread with what the window has just been given.
    display
        Dose levels and colours of this site.
    clock
        The time that the window shows and by which a map grows old; events always carry the system's.
    settings
        The site's.
    port
        Where the listener listens, if this console started it.
    """

    def __init__(
        self,
        record: Record,
        *,
        mode: Mode,
        minimum_free_mb: float,
        on_snapshot: Callable[[Snapshot], None] | None = None,
        display: DisplaySettings | None = None,
        clock: Callable[[], datetime] = system_clock,
        settings: Settings | None = None,
        port: int | None = None,
    ) -> None:
        site = settings or Settings()
        self._speaker = Speaker(record, site, clock=system_clock, name=getpass.getuser())
        self.tools = {}
        self._reading: threading.Thread | None = None
        self.services = Services(
            operate=self.operate,
            settings=site,
            record=record.path,
            port=port,
            operator=lambda: self.operator,
            rename=self._speaker.rename,
            mode=mode,
        )
        self._record, self._minimum_free_mb = record, minimum_free_mb
        self._bridge = SnapshotBridge()
        self._on_snapshot = on_snapshot or (lambda _: None)
        self._unrecorded = ""
        self._lag = Lag()
        self._acknowledged: dict[str, tuple[str, datetime]] = {}
        task = Following(path=record.path, minimum_free_mb=minimum_free_mb)
        self.engine = EngineProcess(task, on_snapshot=self._bridge.publish)
        self.dashboard = Dashboard(
            mode=mode,
            clock=clock,
            on_operator_action=self._act,
            display=display,
            machine_status=self._status,
            outdated=self._outdated,
            said=self._speaker.said_here,
        )
        self.dashboard.ticked.connect(self.tell_tools)
        self.dashboard.window.may_close = self.tools_may_close
        self._bridge.deliver_to(self._receive)

    def _receive(self, snapshot: Snapshot) -> None:
        self.dashboard.receive(self._with_acknowledgements(snapshot))
        self.tell_tools()
        self._on_snapshot(self.dashboard.snapshot)

    def _with_acknowledgements(self, snapshot: Snapshot) -> Snapshot:
        """With those that were recorded here: the engine reads the file again only when it has computed."""
        alarms = tuple(_acknowledged_by(raised, self._acknowledged.get(raised.alarm.id)) for raised in snapshot.alarms)
        return snapshot if alarms == snapshot.alarms else replace(snapshot, alarms=alarms)

    def _status(self) -> Sequence[Cell]:
        machine = machine_status(self._record.path, minimum_free_mb=self._minimum_free_mb)
        return (
            *failures(self._unrecorded, self.engine.failure),
            *(Cell(text=words, tone=_TONES[fine]) for words, fine in machine),
        )

    def _outdated(self, snapshot: Snapshot) -> str:
        """An engine that has ended, or that hangs, must not leave old numbers under a green bar."""
        if self.engine.ended:
            return self.engine.failure or "The engine has ended."
        return self._lag.told(self._record.head().seq, snapshot.head_seq, time.monotonic())

    def start(self, *, show: bool = True) -> None:
        """Start engine and window; the dialogs are read meanwhile, so that the first one opens at once."""
        super().start(show=show)
        self._reading = threading.Thread(target=load_tools, name="holmia-dialogs", daemon=True)
        self._reading.start()

    @property
    def operator(self) -> str:
        """The name that is recorded with what is said."""
        return self._speaker.name

    def operate(self, operation: Operation) -> str:
        """Record what somebody says; returns "" or a sentence on why it could not be recorded."""
        return self._speaker.say(operation, self.dashboard.snapshot)

    def undo(self) -> str:
        """Take back what was said last, by a later word; returns "" or why not."""
        return self._speaker.undo(self.dashboard.snapshot)

    def say_versions(self, sentences: Sequence[str]) -> None:
        """Say, until it has been read, that the file was begun by another version, and what has changed since."""
        if sentences:
            text = " ".join(sentences)
            self.dashboard.announce(Announcement(text=text, tone=Tone.CAUTION, at=system_clock(), lasting=True))

    def stop(self) -> None:
        """Wait for the dialogs that are being read, then stop as any dashboard."""
        if self._reading is not None:
            self._reading.join()
        super().stop()
        self._bridge.stop()

    def _act(self, action: OfTheTreatment) -> None:
        if isinstance(action, OpenTool):
            self.open(action.tool)
            return
        if isinstance(action, Operate | UndoOperation):
            fault = self.operate(action.operation) if isinstance(action, Operate) else self.undo()
            self._unrecorded = self._speaker.refused = fault
            self.dashboard.redraw()
            return
        try:
            self._record_act(action)
            self._unrecorded = ""
        except (RecordError, OSError) as error:
            what = "acknowledgement" if isinstance(action, AcknowledgeAlarms) else "picture"
            self._unrecorded = f"The {what} was not recorded: {error}"
        self.dashboard.redraw()

    def _record_act(self, action: OfTheTreatment) -> None:
        name = action.name if isinstance(action, AcknowledgeAlarms) else getpass.getuser()
        if isinstance(action, AcknowledgeAlarms):
            for alarm in action.alarm_ids:
                payload = {"alarm": alarm, "name": name}
                said = self._record.append(Kind.ALARM_ACKNOWLEDGED, payload, actor=name, utc=system_clock())
                self._acknowledged[alarm] = name, said.utc
            self.dashboard.receive(self._with_acknowledgements(self.dashboard.snapshot))
            return
        if not isinstance(action, TakeSnapshot):
            return
        picture = snapshot_path(self._record.path, system_clock())
        render_png(self.dashboard.window, picture, (self.dashboard.window.width(), self.dashboard.window.height()))
        self._record.append(Kind.SNAPSHOT_TAKEN, {"name": picture.name}, actor=name, utc=system_clock())


def snapshot_path(record: Path, moment: datetime) -> Path:
    """Where a picture of the window goes: beside the treatment file, with its time."""
    return record.with_name(f"{record.stem}-{moment:%Y%m%dT%H%M%S%f}Z.png")


def run_live(record: Record, *, settings: Settings, port: int | None = None) -> int:
    """Show the live dashboard until its window is closed; returns the exit status."""
    application = create_application(sys.argv)
    live = LiveDashboard(
        record,
        mode=Mode.LIVE,
        minimum_free_mb=settings.site.minimum_free_disk_mb,
        display=settings.display,
        settings=settings,
        port=port,
    )
    live.say_versions(told(recorded_by(record), software_version()))
    if not has_plan(record):
        live.open(Tool.SETUP)
    return until_closed(application, live)


def until_closed(application: QApplication, shown: WithEngine) -> int:
    """Run what is shown until its window is closed; returns the exit status."""
    shown.dashboard.window.closed.connect(application.quit)
    shown.start()
    with quit_on_signals(application):
        status = application.exec()
    shown.stop()
    return status


@contextlib.contextmanager
def quit_on_signals(application: QApplication) -> Iterator[None]:
    """Let SIGTERM and SIGINT close the application in order.

    Python runs its signal handlers between instructions, and Qt's loop executes none while it waits: a timer gives it
    the occasion. It is the timer that quits: before the loop has begun there is nothing that could.
    """
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: asked.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    timer = QTimer()
    timer.timeout.connect(lambda: application.exit() if asked else None)  # quit() asks the windows first
    timer.start(_SIGNAL_MS)
    try:
        yield
    finally:
        timer.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
