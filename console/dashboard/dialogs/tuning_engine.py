"""The draft's engine: a process of its own beside the one of the live window; what it tells, on the GUI thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, Qt, Signal

from console.dashboard.app import SnapshotBridge
from console.engine_process import EngineProcess
from console.snapshot import Snapshot
from console.tasks import Tuning


class Engine(Protocol):
    """What computes a draft; `EngineProcess` does."""

    failure: str

    def start(self) -> None:
        """Begin; return at once."""

    def lay_over(self, overrides: Mapping[str, object]) -> None:
        """Compute with these values from now on; return at once."""

    def stop(self) -> None:
        """End, and wait for it."""


TakeSnapshot = Callable[[Snapshot], None]
TakeRefusal = Callable[[object], None]
MakeEngine = Callable[[Path, TakeSnapshot, TakeRefusal], Engine]
"""Given the file, what takes snapshots and what takes refusals; both are called on any thread."""


def engine_process(path: Path, on_snapshot: TakeSnapshot, on_refused: TakeRefusal) -> Engine:
    """The engine in a process of its own."""
    return EngineProcess(Tuning(path=path), on_snapshot=on_snapshot, on_refused=on_refused)


class DraftEngine(QObject):
    """Runs a draft's engine until `end`; afterwards tells nothing.

    ``on_snapshot`` and ``refused`` are told on the thread that this lives on.
    """

    refused = Signal(object)
    """A `console.draft.DraftRefused`."""
    _came_back = Signal(object)

    def __init__(self, path: Path, on_snapshot: TakeSnapshot, make: MakeEngine = engine_process) -> None:
        super().__init__()
        self._bridge = SnapshotBridge()
        self._bridge.deliver_to(on_snapshot)
        self._ended = False
        self._came_back.connect(self._refuse, Qt.ConnectionType.QueuedConnection)
        self._engine = make(path, self._bridge.publish, self._tell_refused)
        self._ending: threading.Thread | None = None

    @property
    def failure(self) -> str:
        """What is wrong with the process; "" while all is well."""
        return self._engine.failure

    def start(self) -> None:
        """Start it."""
        self._engine.start()

    def lay_over(self, overrides: Mapping[str, object]) -> None:
        """Lay these values over plan and settings, and none of those before."""
        self._engine.lay_over(overrides)

    def end(self) -> None:
        """End the process without waiting for it: what it is computing may take a second to be left."""
        if self._ending is None:
            self._ended = True
            self._bridge.stop()
            # No daemon: whoever closes the console meanwhile leaves no process behind.
            self._ending = threading.Thread(target=self._engine.stop, name="holmia-draft-ending")
            self._ending.start()

    def wait(self, timeout_s: float) -> bool:
        """Whether the process has ended within that time, once it was told to."""
        if self._ending is None:
            return False
        self._ending.join(timeout_s)
        return not self._ending.is_alive()

    def _tell_refused(self, refusal: object) -> None:
        with contextlib.suppress(RuntimeError):  # the dialog was destroyed meanwhile
            self._came_back.emit(refusal)

    def _refuse(self, refusal: object) -> None:
        if not self._ended:
            self.refused.emit(refusal)
