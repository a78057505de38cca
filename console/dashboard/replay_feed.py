"""What the engine of a replay tells, brought to the GUI thread: a moment and the snapshot of that moment, together.

While a jump is under way nothing is delivered but how far it has come: an older snapshot must not stand under the new
time, and a newer one not under the old.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt, Signal

from console.snapshot import Snapshot
from console.tasks import Progress, Reached


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is known of a replay. `elsewhere`: the snapshot is the first one after a jump, or after its engine's start.

    ``snapshot`` is None while a jump is under way.
    """

    snapshot: Snapshot | None = None
    reached: Reached | None = None
    elsewhere: bool = False
    done: float | None = None
    """Of a jump: the share of its way that has been read."""
    computing: str = ""
    """Of a jump: what is being computed for it."""


class ReplayFeed(QObject):
    """`snapshot`, `moment` and `told` are called on the engine's thread; `receive` on the thread that this lives on.

    Of what follows faster than the window draws, the latest is delivered.
    """

    _published = Signal()

    def __init__(self, receive: Callable[[Told], None]) -> None:
        super().__init__()
        self._receive = receive
        self._lock = threading.Lock()
        self._waiting: Told | None = None
        self._source = 0
        self._target: int | None = None
        self._snapshot: Snapshot | None = None
        """The latest one, delivered or not."""
        self._reached: Reached | None = None
        self._published.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def attach(self, target: int | None) -> Source:
        """Listen to another engine from now on, and to none before; `target` as in `expect`."""
        with self._lock:
            self._source += 1
            self._target, self._waiting, self._snapshot, self._reached = target, None, None, None
            return Source(self, self._source)

    def expect(self, target: int) -> None:
        """Deliver no snapshot until the one of the moment just after this event: a jump has been asked for."""
        with self._lock:
            self._target, self._waiting = target, None

    def stop(self) -> None:
        """Deliver nothing any more."""
        self.attach(None)

    def take(self, source: int, message: Snapshot | Reached | Progress) -> None:
        """Take what an engine tells; on its thread."""
        with self._lock:
            if source != self._source:
                return
            told = self._heard(message)
            if told is None:
                return
            first, self._waiting = self._waiting is None, _after(self._waiting, told)
        if first:
            self._published.emit()

    def _heard(self, message: Snapshot | Reached | Progress) -> Told | None:
        jumping = self._target is not None
        if isinstance(message, Progress):
            return Told(done=message.done / max(message.of, 1)) if jumping else None
        if isinstance(message, Snapshot):
            self._snapshot = message
            if jumping:
                return Told(computing=message.computing) if message.computing else None
            return Told(snapshot=message, reached=self._reached)
        self._reached = message
        # A target beyond what the engine has read, of a file that has grown since: its end is as far as it goes.
        beyond = self._target is not None and message.ended and message.seq < self._target
        if jumping and message.seq != self._target and not beyond:
            return None
        self._target = None
        return Told(snapshot=self._snapshot, reached=message, elsewhere=jumping)

    def _deliver(self) -> None:
        with self._lock:
            told, self._waiting = self._waiting, None
        if told is not None:
            self._receive(told)


class Source:
    """One engine's way into a feed."""

    def __init__(self, feed: ReplayFeed, number: int) -> None:
        self._feed, self._number = feed, number

    def take(self, message: object) -> None:
        """Take what the engine tells; what is of no concern here is dropped."""
        if isinstance(message, Snapshot | Reached | Progress):
            self._feed.take(self._number, message)


def _after(waiting: Told | None, told: Told) -> Told:
    """What is delivered in place of two: that something is from elsewhere is not lost with the first."""
    if waiting is None or not waiting.elsewhere or told.snapshot is None:
        return told
    return Told(snapshot=told.snapshot, reached=told.reached, elsewhere=True)
