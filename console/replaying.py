"""A replay: the events of a file in their own time, faster or slower, halted, or from any moment on.

Nothing is recorded.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue

from console.engine import Engine
from console.session import Session
from console.snapshot import Snapshot
from console.tasks import Progress, Reached
from dicom_listener.events import Event
from dicom_listener.record import Record

LONGEST_SILENCE_S = 120.0
"""Of the treatment's time: where nothing happened for longer, a replay waits no longer than for this."""
_TICK_S = 0.1
_TELL_S = 0.25
"""Between two words on how far the file has been read, or what time it is."""


@dataclass
class ReplayOrders:
    """What whoever watches asks for, from any thread."""

    stopping: threading.Event
    paused: threading.Event
    speed: float = 0.0
    """Times faster than it happened."""
    jumps: SimpleQueue[int] = field(default_factory=SimpleQueue)
    """Numbers of events: to just after that one. Of several the last counts."""


class Replay:
    """Feeds the events that a file holds now.

    Parameters
    ----------
    record
        Open for reading.
    engine
        Fresh; after a jump back another takes its place, which uses what this one computed (`Engine.afresh`).
    orders
        What is asked for meanwhile.
    tell
        Takes `Reached` and `Progress`.
    on_snapshot, flush
        Take a snapshot; see to it that the last one has been told.
    """

    def __init__(
        self,
        *,
        record: Record,
        engine: Engine,
        orders: ReplayOrders,
        tell: Callable[[object], None],
        on_snapshot: Callable[[Snapshot], None],
        flush: Callable[[], None],
    ) -> None:
        self._record, self._orders, self._tell = record, orders, tell
        self._on_snapshot, self._flush = on_snapshot, flush
        self._events = _all_events(record)
        self._due = _due_times(self._events)
        self._at = 0
        """How many events have been taken."""
        self._told_at = 0.0
        self._engine = engine
        self._session = self._new_session()
        if self._events:
            self._moment = self._due[0]

    def run(self) -> None:
        """Replay until it is told to stop; at the end of the file it waits for a jump."""
        if not self._events:
            return
        while not self._orders.stopping.is_set():
            wanted = self._jump_asked()
            if wanted is not None:
                self._jump(wanted)
            elif self._at == len(self._events) or self._orders.paused.is_set():
                self._orders.stopping.wait(_TICK_S)
            else:
                self._go_on()

    def _go_on(self) -> None:
        """Let a moment pass, and take what happened in it. What computing takes is no time of the treatment."""
        if self._at:
            began = time.monotonic()
            self._orders.stopping.wait(_TICK_S)
            passed_s = (time.monotonic() - began) * self._orders.speed
            silence = (self._due[self._at] - self._moment).total_seconds()
            skipped_s = max(silence - LONGEST_SILENCE_S, 0.0)
            self._moment += timedelta(seconds=passed_s + skipped_s)
        reached = max(bisect_right(self._due, self._moment, lo=self._at), self._at)
        if reached > self._at:
            self._take_to(reached)
        elif time.monotonic() - self._told_at >= _TELL_S:
            self._say_where()

    def _take_to(self, number: int) -> None:
        self._session.take(self._events[self._at : number])
        self._at = number
        self._flush()
        self._say_where()

    def _jump(self, seq: int) -> None:
        """Go to just after an event: read what lies between, and compute only what is to be seen there."""
        number = min(max(bisect_right([event.seq for event in self._events], seq), 1), len(self._events))
        if number < self._at:
            self._engine = self._engine.afresh()
            self._session = self._new_session()
            self._at = 0
        while self._at < number:
            upto = min(self._at + 16, number)
            self._session.read(self._events[self._at : upto])
            self._at = upto
            if time.monotonic() - self._told_at >= _TELL_S:
                self._told_at = time.monotonic()
                self._tell(Progress(done=self._at, of=number))
            if self._orders.stopping.is_set() or not self._orders.jumps.empty():
                return  # nobody wants to go there any more
        self._moment = self._due[number - 1]
        # Also where the last event is what was shown, or alarmed: after it the result stands on the screen.
        self._session.compute()
        self._flush()
        self._say_where()

    def _jump_asked(self) -> int | None:
        wanted = None
        try:
            while True:
                wanted = self._orders.jumps.get_nowait()
        except Empty:
            return wanted

    def _say_where(self) -> None:
        self._told_at = time.monotonic()
        last = self._events[self._at - 1]
        self._tell(Reached(seq=last.seq, at=self._moment, ended=self._at == len(self._events)))

    def _new_session(self) -> Session:
        return Session(
            record=self._record, engine=self._engine, clock=lambda: self._moment, on_snapshot=self._on_snapshot
        )


def _all_events(record: Record) -> list[Event]:
    events: list[Event] = []
    while batch := record.events(events[-1].seq if events else 0):
        events += batch
    return events


def _due_times(events: list[Event]) -> list[datetime]:
    """When each is taken: in order of number, so never before the one that precedes it, whatever its clock said."""
    due: list[datetime] = []
    for event in events:
        due.append(max(event.utc, due[-1]) if due else event.utc)
    return due
