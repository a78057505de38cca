"""What was said in this window: in a few words, and as it stands before the engine has read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from console.dashboard.screen import formatting
from console.dashboard.screen.room_time import room_time
from console.operations import (
    AssignSeries,
    ChooseVolume,
    CloseTreatment,
    ConfirmClock,
    GiveRegistration,
    GiveUpPosition,
    GiveVolumes,
    Operation,
    RecordInjection,
    RestorePosition,
    RetractNote,
    RevisePlan,
    TapEvent,
    Together,
)
from console.snapshot import Snapshot
from quantify.findings import Injection


@dataclass(frozen=True, kw_only=True)
class Said:
    """A word that was recorded from this window."""

    operation: Operation
    at: datetime
    seq: int
    """The number of its last event."""


@dataclass(frozen=True, kw_only=True)
class SaidHere:
    """What was said in this window: what undo takes back, what the engine has not told of yet, what went wrong."""

    last: Said | None = None
    unread: tuple[Said, ...] = ()
    taken_back: str = ""
    fault: str = ""
    final: bool = False
    """Whether nothing takes the last word back: what was said before it stays as it is then, too."""


def with_unread(snapshot: Snapshot, unread: Iterable[Said]) -> Snapshot:
    """The snapshot with what was recorded since: for the button, for what may be said next, and for what undo restores.

    Of injections only starts, ends, what was said and what was cancelled: activities are the engine's.
    """
    read = snapshot.injections
    for said, operation in ((one, each) for one in unread for each in _each(one.operation)):
        match operation:
            case RecordInjection() as one:
                snapshot = _with_injection(snapshot, one, read)
            case RestorePosition(position=position, fractions=fractions):
                for number in fractions:
                    restored = RecordInjection(position=position, fraction=number, cancelled=False)
                    snapshot = _with_injection(snapshot, restored, read)
            case GiveUpPosition(position=position):
                gone = [i for i in snapshot.injections if i.position == position and i.time is None]
                for own in (i for i in gone if not i.under_way and not i.aborted):
                    cancelled = RecordInjection(position=own.position, fraction=own.fraction, cancelled=True)
                    snapshot = _with_injection(snapshot, cancelled, read)
            case AssignSeries(series_key=key) as one:
                word = {"role": one.role, "position": one.position, "fraction": one.fraction}
                snapshot = replace(snapshot, assigned={**snapshot.assigned, key: word})
            case GiveRegistration(series_key=key, reference_to_series_lps_mm=matrix):
                given = {**snapshot.given_registrations, key: (matrix, "this window")}
                snapshot = replace(snapshot, given_registrations=given)
            case ConfirmClock(seconds=seconds):
                snapshot = replace(snapshot, clock_offset_s=seconds)
            case ChooseVolume(volume=volume, object_sha256=sha256):
                snapshot = replace(snapshot, chosen_volumes={**snapshot.chosen_volumes, volume: sha256})
            case RevisePlan(plan=plan):
                snapshot = replace(snapshot, loaded={**snapshot.loaded, "plan": plan})
            case GiveVolumes(labels=labels, plan=revised):
                # Which version is in use now only the engine tells.
                sources = {n: own for n, own in snapshot.volume_sources.items() if n not in labels.values()}
                loaded = snapshot.loaded if revised is None else {**snapshot.loaded, "plan": revised}
                snapshot = replace(snapshot, volume_sources=sources, loaded=loaded)
            case CloseTreatment(closed=closed):
                snapshot = replace(snapshot, closed=("this window", said.at) if closed else None)
    return snapshot


def _with_injection(snapshot: Snapshot, operation: RecordInjection, read: tuple[Injection, ...]) -> Snapshot:
    """`read` are the injections as the engine told them: what was cancelled since is restored from there."""
    was = {k: v for k, v in snapshot.recorded.get(operation.key, {}).items() if k not in operation.unsaid}
    recorded = {**snapshot.recorded, operation.key: {**was, **operation.said}}
    own = tuple(_after(i, operation) if i.key == operation.key else i for i in snapshot.injections)
    cancelled = tuple(key for key in snapshot.cancelled if key != operation.key or operation.cancelled is None)
    if operation.cancelled:
        own = tuple(i for i in own if i.key != operation.key)
        cancelled = (*cancelled, operation.key)
    elif operation.cancelled is False:
        there = {i.key: i for i in own}
        own = tuple(there.get(i.key, i) for i in read if i.key in there or i.key == operation.key)
    return replace(snapshot, recorded=recorded, injections=own, cancelled=cancelled)


def _each(operation: Operation) -> tuple[Operation, ...]:
    return operation.operations if isinstance(operation, Together) else (operation,)


def _after(injection: Injection, operation: RecordInjection) -> Injection:
    started_at, time, aborted = injection.started_at, injection.time, injection.aborted
    said, unsaid = operation.said, operation.unsaid
    if said.get("started") or "started" in unsaid:
        started_at = datetime.fromisoformat(str(said["started"])) if said.get("started") else None
    if said.get("time") or "time" in unsaid:
        time = datetime.fromisoformat(str(said["time"])) if said.get("time") else None
    if "aborted" in said or "aborted" in unsaid:
        aborted = bool(said.get("aborted"))
    return replace(injection, started_at=started_at, time=time, aborted=aborted)


def said_words(snapshot: Snapshot, said: Said) -> str:
    """What was said, in a few words, with its time: ``STOP RHA F2 10:41:12``, ``reflux 10:31``."""
    return _words(snapshot, said.operation, formatting.clock(room_time(snapshot, said.at)))


def _words(snapshot: Snapshot, operation: Operation, at: str) -> str:
    match operation:
        case RecordInjection() as own:
            return _injection_words(snapshot, own, at)
        case TapEvent(label=label, text=text):
            return f"{label or text or 'note'} {at}"
        case GiveUpPosition(position=position):
            return f"{position} given up {at}"
        case RestorePosition(position=position):
            return f"{position} goes on {at}"
        case AssignSeries(role=role, position=position, fraction=fraction):
            of = f" {position}{f' F{fraction}' if fraction is not None else ''}" if position else ""
            return f"series: {role}{of} {at}"
        case GiveRegistration(reference_to_series_lps_mm=matrix):
            return f"registration {'given' if matrix else 'taken back'} {at}"
        case ConfirmClock(seconds=seconds):
            told = "not confirmed" if seconds is None else f"{formatting.signed(seconds, 1)} s"
            return f"scanner clock {told} {at}"
        case RevisePlan(reason=reason):
            return f"{'settings promoted' if reason else 'plan'} {at}"
        case GiveVolumes(labels=labels):
            return f"{', '.join(labels.values()) or 'volumes'} given {at}"
        case ChooseVolume(volume=volume):
            return f"version of {volume} {at}"
        case CloseTreatment(closed=closed):
            return f"treatment {'closed' if closed else 'opened again'} {at}"
        case RetractNote(seq=seq):
            return f"event {seq} taken back {at}"
        case Together(operations=operations):
            more = f" and {len(operations) - 1} more" if len(operations) > 1 else ""
            return f"{_words(snapshot, operations[0], at)}{more}" if operations else f"nothing {at}"


def _injection_words(snapshot: Snapshot, own: RecordInjection, at: str) -> str:
    label = f"{own.position} F{own.fraction}"
    times = {key: str(own.said[key]) for key in ("started", "time") if own.said.get(key)}
    if own.said.get("aborted"):
        return f"ABORTED {label} {at}"
    if own.cancelled is not None and not own.said:
        return f"{label} {'cancelled' if own.cancelled else 'planned'} {at}"
    if len(times) == 1 and len(own.said) == 1:
        ((key, told),) = times.items()
        word = "START" if key == "started" else "STOP"
        return f"{word} {label} {clock_seconds(snapshot, datetime.fromisoformat(told))}"
    return f"{label} {'recorded' if own.said else 'taken back'} {at}"


def clock_seconds(snapshot: Snapshot, time: datetime) -> str:
    """Hours, minutes and seconds on the room's clock."""
    return room_time(snapshot, time).strftime("%H:%M:%S")
