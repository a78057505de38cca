"""Runs the dashboard on a treatment file: an engine thread that follows or replays it, and the window that shows it."""

from __future__ import annotations

import contextlib
import getpass
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from console.dashboard.app import Dashboard, SnapshotBridge, create_application, render_png
from console.dashboard.view import AcknowledgeAlarms, OfTheTreatment, TakeSnapshot
from console.engine import Engine, Update
from console.machine import machine_alarms, machine_status
from console.session import Session
from console.snapshot import Mode, Snapshot
from dicom_listener.decoding import DecodingProcess
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record

_LONGEST_PAUSE_S = 2.0
_JOIN_TIMEOUT_S = 30.0
_SIGNAL_MS = 200


def system_clock() -> datetime:
    """Now, aware. The dashboard's shell is one of the few places that may ask."""
    return datetime.now(UTC)


class EngineThread(threading.Thread):
    """Runs a session's work off the GUI thread and hands its snapshots to the bridge.

    A failure ends the thread, not the window: the window goes on showing what was known, with the sentence.
    """

    def __init__(
        self,
        work: Callable[[EngineThread], None],
        bridge: SnapshotBridge,
    ) -> None:
        super().__init__(name="holmia-engine", daemon=True)
        self._work, self._bridge = work, bridge
        self._stopping = threading.Event()
        self._latest = Snapshot()
        self.failure = ""

    def stopping(self) -> bool:
        """Whether the thread was asked to end."""
        return self._stopping.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the thread is asked to end."""
        self._stopping.wait(seconds)

    def stop(self) -> None:
        """Ask the thread to end and wait for it."""
        self._stopping.set()
        self.join(_JOIN_TIMEOUT_S)

    def publish(self, snapshot: Snapshot) -> None:
        """Hand a snapshot to the window."""
        self._latest = snapshot
        self._bridge.publish(snapshot)

    def announce(self, words: str) -> None:
        """Tell the window what is being computed."""
        self.publish(replace(self._latest, computing=words))

    def run(self) -> None:
        """Do the work."""
        try:
            self._work(self)
        except Exception as error:  # noqa: BLE001 - the window must outlive the engine and say what happened
            self.failure = f"The engine stopped: {error} The treatment file is safe; restart the console."
            self.publish(replace(self._latest, computing=""))


class LiveDashboard:
    """A dashboard that follows a file: LIVE for a treatment, DEMO for the demonstration.

    Parameters
    ----------
    record
        Open for writing: what is shown, alarmed and acknowledged is recorded.
    mode
        What the header says.
    minimum_free_mb
        Below this free space (MB) the disk alarm is raised: the listener refuses images then.
    on_update, on_snapshot
        Called in the engine's thread and in the GUI thread respectively.
    clock
        The time that the window shows and by which a map grows old; events always carry the system's.
    """

    def __init__(
        self,
        record: Record,
        *,
        mode: Mode,
        minimum_free_mb: float,
        on_update: Callable[[Update], None] | None = None,
        on_snapshot: Callable[[Snapshot], None] | None = None,
        clock: Callable[[], datetime] = system_clock,
    ) -> None:
        self._record = record
        self._minimum_free_mb = minimum_free_mb
        self._bridge = SnapshotBridge()
        self._on_snapshot = on_snapshot or (lambda _: None)
        self.engine = EngineThread(self._follow, self._bridge)
        self._on_update = on_update
        self.dashboard = Dashboard(mode=mode, clock=clock, on_operator_action=self._act, machine_status=self._status)
        self._bridge.deliver_to(self._receive)

    def start(self, *, show: bool = True) -> None:
        """Start following; show the window unless it is only rendered to pictures."""
        if show:
            self.dashboard.start()
        self.engine.start()

    def stop(self) -> None:
        """Stop following and the window's clock."""
        self.engine.stop()
        self.dashboard.stop()

    def _follow(self, thread: EngineThread) -> None:
        with DecodingProcess() as decoding:
            session = Session(
                record=self._record,
                engine=Engine(announce=thread.announce, reader=decoding),
                clock=system_clock,
                on_update=self._on_update,
                on_snapshot=thread.publish,
                operator=True,
                machine=lambda: machine_alarms(
                    self._record.path, system_clock(), minimum_free_mb=self._minimum_free_mb
                ),
            )
            session.run(thread.stopping)

    def _receive(self, snapshot: Snapshot) -> None:
        self.dashboard.receive(snapshot)
        self._on_snapshot(snapshot)

    def _status(self) -> Sequence[str]:
        failure = (self.engine.failure,) if self.engine.failure else ()
        return (*failure, *machine_status(self._record.path))

    def _act(self, action: OfTheTreatment) -> None:
        name = action.name if isinstance(action, AcknowledgeAlarms) else getpass.getuser()
        if isinstance(action, AcknowledgeAlarms):
            for alarm in action.alarm_ids:
                payload = {"alarm": alarm, "name": name}
                self._record.append(Kind.ALARM_ACKNOWLEDGED, payload, actor=name, utc=system_clock())
            return
        if not isinstance(action, TakeSnapshot):
            return
        picture = snapshot_path(self._record.path, system_clock())
        render_png(self.dashboard.window, picture, (self.dashboard.window.width(), self.dashboard.window.height()))
        self._record.append(Kind.SNAPSHOT_TAKEN, {"name": picture.name}, actor=name, utc=system_clock())


def snapshot_path(record: Path, moment: datetime) -> Path:
    """Where a picture of the window goes: beside the treatment file, with its time."""
    return record.with_name(f"{record.stem}-{moment:%Y%m%dT%H%M%S%f}Z.png")


def run_live(record: Record, *, minimum_free_mb: float) -> int:
    """Show the live dashboard until its window is closed; returns the exit status."""
    application = create_application(sys.argv)
    live = LiveDashboard(record, mode=Mode.LIVE, minimum_free_mb=minimum_free_mb)
    live.dashboard.window.closed.connect(application.quit)
    live.start()
    with quit_on_signals(application):
        status = application.exec()
    live.stop()
    return status


@contextlib.contextmanager
def quit_on_signals(application: QApplication) -> Iterator[None]:
    """Let SIGTERM and SIGINT close the application in order.

    Python runs its signal handlers between instructions, and Qt's loop executes none while it waits: a timer gives it
    the occasion.
    """
    before = {
        number: signal.signal(number, lambda *_: application.quit()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    timer = QTimer()
    timer.timeout.connect(lambda: None)
    timer.start(_SIGNAL_MS)
    try:
        yield
    finally:
        timer.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def run_replay(record: Record, *, speed: float) -> int:
    """Replay a file as it happened, `speed` times faster and without its long waits; records nothing."""
    application = create_application(sys.argv)
    bridge = SnapshotBridge()
    moment = [system_clock()]
    engine = EngineThread(lambda thread: _replayed(record, speed, thread, moment), bridge)
    dashboard = Dashboard(
        mode=Mode.REPLAY,
        clock=lambda: moment[0],
        on_operator_action=lambda _: None,
        machine_status=lambda: (f"replaying {record.path.name}, ×{speed:g}",),
    )
    bridge.deliver_to(dashboard.receive)
    dashboard.window.closed.connect(application.quit)
    dashboard.start()
    # The first paint comes before the first computation.
    QTimer.singleShot(0, engine.start)
    with quit_on_signals(application):
        status = application.exec()
    engine.stop()
    dashboard.stop()
    return status


def _replayed(record: Record, speed: float, thread: EngineThread, moment: list[datetime]) -> None:
    with DecodingProcess() as decoding:
        engine = Engine(announce=thread.announce, reader=decoding, damage=record.damage)
        session = Session(record=record, engine=engine, clock=lambda: moment[0], on_snapshot=thread.publish)
        _replay(session, record, speed, thread, moment)


def _replay(session: Session, record: Record, speed: float, thread: EngineThread, moment: list[datetime]) -> None:
    """Feed the file's events with their own pauses; what comes within a moment is taken together."""
    after, together = 0, list[Event]()
    while (batch := record.events(after)) and not thread.stopping():
        for event in batch:
            pause = min((event.utc - together[-1].utc).total_seconds() / speed, _LONGEST_PAUSE_S) if together else 0.0
            if pause > 0.05:
                moment[0] = together[-1].utc
                session.take(together)
                together = []
                thread.pause(pause)
            together.append(event)
            if thread.stopping():
                return
        after = batch[-1].seq
    if together:
        moment[0] = together[-1].utc
        session.take(together)
