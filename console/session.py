"""A session: an engine that follows a treatment file, and what the operator's console writes back into it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from console.engine import AlarmFound, Engine, FractionComputed, Update
from console.machine import KINDS
from console.outputs.nifti import map_hashes
from console.outputs.results import alarm_document, fraction_document, volume_objects
from console.outputs.wording import software_version
from console.snapshot import RaisedAlarm, Snapshot
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record
from quantify.findings import Alarm, FractionResult

CONSOLE = "console"
"""Actor of what the operator's console records by itself; what a person does carries the person's name."""

_OWN = frozenset({Kind.RESULT_SHOWN, Kind.ALARM_RAISED})
"""What the console records by itself; nothing that is computed depends on it."""
_SHOWN = ("result", "map_sha256", "volume_objects")
"""What makes a result another one than was shown before."""
_MACHINE_S = 1.0


def feed(engine: Engine, record: Record, event: Event) -> None:
    """Give the engine one event, fetching its object only now: no cursor stays open."""
    data = record.object_bytes(event.object_sha256) if event.object_sha256 is not None else None
    engine.take(event, data)


def replayed(record: Record, engine: Engine) -> Iterator[Event]:
    """Feed every event that the file holds now, one by one, yielding each after it was taken."""
    after = 0
    while batch := record.events(after):
        for event in batch:
            feed(engine, record, event)
            yield event
        after = batch[-1].seq


class Session:
    """Follows one file with one engine.

    Parameters
    ----------
    record
        The file; opened for writing when `operator` is set.
    engine
        Fresh; the session feeds it.
    clock
        Now, aware; only for the time of the events that an operator's console appends.
    on_update, on_snapshot
        Called in the thread that runs the session.
    operator
        Whether this is the operator's console: then what is shown and what is alarmed is recorded.
    machine
        Alarms that the file cannot know of: no listener, no room on the disk. Asked about once a second.
    provenance
        What computes here, and on what (`console.provenance`): recorded with what is shown.
    """

    def __init__(
        self,
        *,
        record: Record,
        engine: Engine,
        clock: Callable[[], datetime],
        on_update: Callable[[Update], None] | None = None,
        on_snapshot: Callable[[Snapshot], None] | None = None,
        operator: bool = False,
        machine: Callable[[], Sequence[Alarm]] | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        self._record = record
        self._engine = engine
        self._clock = clock
        self._on_update = on_update or (lambda _: None)
        self._on_snapshot = on_snapshot or (lambda _: None)
        self._operator = operator
        self._machine = machine or (lambda: ())
        self._provenance = dict(provenance or {})
        self._machine_alarms: dict[str, RaisedAlarm] = {}
        self._machine_looked_at: datetime | None = None
        self._shown: dict[tuple[str, int], Mapping[str, Any]] = {}
        self._raised: set[str] = set()
        self._computing = ""
        self._before: Snapshot | None = None
        """What an earlier console showed, until this one has read and computed as far."""
        self._before_seq = 0
        self._raised_before: dict[str, RaisedAlarm] = {}
        engine.announce_to(self._announce)

    def resume(self, before: Snapshot | None) -> None:
        """Show what an earlier console showed (`console.resumption`) until as much is known again."""
        self._before, self._before_seq = before, self._record.head().seq
        if before is not None:
            self._raised_before = {raised.alarm.id: raised for raised in all_active(before.alarms)}
            self._raised = set(self._raised_before)
            self._on_snapshot(before)

    def run(self, stop: Callable[[], bool], *, poll_s: float = 0.02) -> None:
        """Follow until `stop()`: take events, compute, tell."""
        for batch in self._record.follow(0, stop=stop, poll_s=poll_s):
            changed = self._look_at_machine()
            if batch:
                self.take(batch)
            elif changed:
                self._publish()

    def read(self, batch: Sequence[Event]) -> None:
        """Take a batch of events and compute nothing: what they imply will be asked for later."""
        for event in batch:
            feed(self._engine, self._record, event)
            self._remember(event)

    def take(self, batch: Sequence[Event]) -> None:
        """Take a batch of events and compute what they imply."""
        self.read(batch)
        reading = self._before is not None and batch[-1].seq < self._before_seq
        if reading or (self._before is None and all(event.kind in _OWN for event in batch)):
            self._publish()
        else:
            self.compute()

    def compute(self) -> None:
        """Compute what the events so far imply, and tell it."""
        for update in self._engine.advance():
            if self._operator:
                self._record_update(update)
            self._on_update(update)
        self._before = None
        self._publish()

    def _announce(self, words: str) -> None:
        """Show at once what is being computed, and from what: what is shown then is marked as older."""
        self._computing = words
        if words:
            self._publish()

    def _publish(self) -> None:
        snapshot = self._engine.snapshot(computing=self._computing) if self._before is None else self._restored()
        known = {raised.alarm.id: self._as_the_machine_says(raised) for raised in snapshot.alarms}
        merged = {**known, **{key: _with_acknowledgement(own, known) for key, own in self._machine_alarms.items()}}
        self._on_snapshot(replace(snapshot, alarms=tuple(merged.values())))

    def _as_the_machine_says(self, raised: RaisedAlarm) -> RaisedAlarm:
        """A recorded alarm of the machine has gone when the machine, once it was looked at, no longer raises it."""
        gone = raised.alarm.kind in KINDS and self._machine_looked_at is not None
        return replace(raised, active=False) if gone else raised

    def _restored(self) -> Snapshot:
        """What an earlier console showed: as it was while the file is read, then on top of what has been read."""
        before = self._before or Snapshot()
        read = self._engine.snapshot(computing=self._computing, shown=before.results)
        if read.head_seq < self._before_seq:
            done = 100 * read.head_seq // self._before_seq
            return replace(before, restored=f"{before.restored}; reading the file: {done} %")
        told = f"computing again: {self._computing}" if self._computing else "computing again"
        return replace(read, alarms=all_active(read.alarms), restored=f"{before.restored}; {told}")

    def _look_at_machine(self) -> bool:
        """Refresh what only the machine knows, once a second; returns whether it changed."""
        moment, looked_at = self._clock(), self._machine_looked_at
        # A clock that was set back must not end the looking.
        if looked_at is not None and 0.0 <= (moment - looked_at).total_seconds() < _MACHINE_S:
            return False
        self._machine_looked_at = moment
        found = {alarm.id: alarm for alarm in self._machine()}
        before = {key for key, raised in self._machine_alarms.items() if raised.active}
        # One that was there when an earlier console ended is the same one; any other time it is a new one.
        raised_before, self._raised_before = self._raised_before, {}
        if before == found.keys():
            return False
        for key, alarm in found.items():
            if key not in before:
                same = raised_before.get(key)
                self._machine_alarms[key] = same or RaisedAlarm(alarm=alarm)
                if same is None:
                    self._raised.discard(key)
                    self._record_alarm(alarm)
        for key in before - found.keys():
            self._machine_alarms[key] = replace(self._machine_alarms[key], active=False)
        return True

    def _remember(self, event: Event) -> None:
        """What this or an earlier console has already recorded is not recorded again."""
        with contextlib.suppress(KeyError, TypeError, ValueError):  # of another version: it is recorded again
            if event.kind == Kind.RESULT_SHOWN:
                self._shown[str(event.payload["position"]), int(event.payload["fraction"])] = event.payload
            elif event.kind == Kind.ALARM_RAISED:
                self._raised.add(str(event.payload["alarm"]["id"]))

    def _record_update(self, update: Update) -> None:
        snapshot = self._engine.snapshot()
        zone = ZoneInfo(snapshot.plan.time_zone if snapshot.plan is not None else "UTC")
        if isinstance(update, FractionComputed):
            payload = shown_payload(update.result, snapshot, zone)
            before = self._shown.get(update.result.key)
            if before is None or any(before.get(key) != payload[key] for key in _SHOWN):
                self._shown[update.result.key] = payload
                self._record.append(
                    Kind.RESULT_SHOWN, {**payload, **self._provenance}, actor=CONSOLE, utc=self._clock()
                )
        elif isinstance(update, AlarmFound):
            self._record_alarm(update.alarm)

    def _record_alarm(self, alarm: Alarm) -> None:
        if not self._operator or alarm.id in self._raised:
            return
        self._raised.add(alarm.id)
        plan = self._engine.snapshot().plan
        payload = {"alarm": alarm_document(alarm, ZoneInfo(plan.time_zone if plan is not None else "UTC"))}
        self._record.append(Kind.ALARM_RAISED, payload, actor=CONSOLE, utc=self._clock())


def all_active(alarms: Sequence[RaisedAlarm]) -> tuple[RaisedAlarm, ...]:
    """Alarms as long as nothing has been computed: whether the cause of one has gone is not known."""
    return tuple(replace(raised, active=True) for raised in alarms)


def _with_acknowledgement(own: RaisedAlarm, known: Mapping[str, RaisedAlarm]) -> RaisedAlarm:
    """A machine alarm with what the file says of its acknowledgement; one of an earlier occurrence does not count."""
    recorded = known.get(own.alarm.id)
    if recorded is None or recorded.acknowledged_at is None or recorded.acknowledged_at < own.alarm.raised_at:
        return own
    return replace(own, acknowledged_by=recorded.acknowledged_by, acknowledged_at=recorded.acknowledged_at)


def shown_payload(result: FractionResult, snapshot: Snapshot, zone: ZoneInfo) -> dict[str, Any]:
    """What `result_shown` records: the numbers, the hashes of the maps, the transform, version and settings."""
    registration = result.registration
    return {
        "position": result.position,
        "fraction": result.fraction,
        "after_seq": snapshot.head_seq,
        "result": fraction_document(result, zone),
        "map_sha256": map_hashes(result),
        "volume_objects": volume_objects(snapshot),
        "reference_to_series_lps_mm": (
            [list(row) for row in registration.reference_to_series_lps_mm] if registration is not None else None
        ),
        "software_version": software_version(),
        "settings_sha256": snapshot.settings_sha256,
    }
