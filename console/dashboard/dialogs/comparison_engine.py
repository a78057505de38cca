"""The engine of one side: a process of its own that computes a file once; what it tells, on the GUI thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from console.engine_process import EngineProcess
from console.outputs.results import results_document
from console.snapshot import Snapshot
from console.tasks import Computing

_LOOK_MS = 500
"""Between two looks at whether the process has ended by itself."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Computed:
    """What is kept of a side: its document, and the snapshot without maps and images, which a window need not hold."""

    snapshot: Snapshot = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)


class Engine(Protocol):
    """What computes a side; `EngineProcess` does."""

    failure: str

    def start(self) -> None:
        """Begin; return at once."""

    def stop(self) -> None:
        """End, and wait for it."""


TakeSnapshot = Callable[[Snapshot], None]
TakeTold = Callable[[object], None]
MakeEngine = Callable[[Computing, TakeSnapshot, TakeTold], Engine]
"""Given the task, what takes the snapshot and what takes progress and refusals; both are called on any thread."""


def engine_process(task: Computing, on_snapshot: TakeSnapshot, on_told: TakeTold) -> Engine:
    """The engine in a process of its own."""
    return EngineProcess(task, on_snapshot=on_snapshot, on_told=on_told)


def kept(snapshot: Snapshot) -> Computed:
    """The side without its arrays; the document has their hashes."""
    results = tuple(replace(result, maps=None) for result in snapshot.results)
    bare = replace(snapshot, results=results, reference=None, anatomy=None, imaged=(), volumes=(), structures=())
    return Computed(snapshot=bare, document=results_document(snapshot))


class SideEngine(QObject):
    """Computes one side. `computed`, `told` and `failed` come on the thread that this lives on; none after `end`."""

    computed = Signal(object)
    """A `Computed`."""
    told = Signal(object)
    """`console.tasks.Progress` or `Refused`."""
    failed = Signal(str)
    _arrived = Signal(object)

    def __init__(self, parent: QObject, task: Computing, make: MakeEngine = engine_process) -> None:
        super().__init__(parent)
        self._ended = False
        self._ending: threading.Thread | None = None
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._engine = make(task, lambda snapshot: self._hand_over(kept(snapshot)), self._hand_over)
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self._look_after)

    def start(self) -> None:
        """Start it; raises OSError if it cannot be."""
        self._engine.start()
        self._look.start()

    def end(self) -> None:
        """End the process without waiting for it."""
        self._ended = True
        self._look.stop()
        if self._ending is None:
            # No daemon: whoever closes the console meanwhile leaves no process behind.
            self._ending = threading.Thread(target=self._engine.stop, name="holmia-comparison-ending")
            self._ending.start()

    def wait(self, timeout_s: float) -> bool:
        """Whether the process has ended within that time, once it was told to."""
        if self._ending is None:
            return False
        self._ending.join(timeout_s)
        return not self._ending.is_alive()

    def _hand_over(self, what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the dialog was destroyed meanwhile
            self._arrived.emit(what)

    def _deliver(self, what: object) -> None:
        if self._ended:
            return
        if isinstance(what, Computed):
            self.end()
            self.computed.emit(what)
        else:
            self.told.emit(what)

    def _look_after(self) -> None:
        """A process that ended by itself would end again: it computes one thing."""
        if self._engine.failure and not self._ended:
            failure = self._engine.failure
            self.end()
            self.failed.emit(failure)
