"""What happened when in a treatment file: the ticks of its timeline, and an axis on which long waits are short.

A replay is steered along it. Places on the axis follow the order of the events: a clock that was set back while the
treatment went on does not make the axis run backwards.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from dicom_listener.events import Event, Kind

LONGEST_WAIT = timedelta(minutes=2)
"""A wait in which nothing happened takes no more of the axis than this, and is marked as a break; so long a replay
waits too (`console.replaying`)."""


_IMAGES = ("MR", "CT", "PT", "NM")


class TickKind(StrEnum):
    """What a tick stands for."""

    INJECTION = "injection"
    SERIES = "series"
    RESULT = "result"
    ALARM = "alarm"
    CHANGE = "change"
    """Plan, settings, volumes, roles, registration, the scanner's clock."""
    NOTE = "note"
    """Events of one tap, notes, pictures; the treatment closed."""
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, kw_only=True)
class Tick:
    """Something worth jumping to. A jump goes to just after event `seq`; `at` is what a clock said then (UTC)."""

    seq: int
    at: datetime
    kind: TickKind
    words: str


@dataclass(frozen=True, kw_only=True)
class Break:
    """A wait that was made short on the axis: from `start` to `end`, at `place` (0…1, its middle)."""

    start: datetime
    end: datetime
    place: float

    @property
    def lasted(self) -> timedelta:
        """How long it was."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The events of a file on an axis from 0 (its first) to 1 (its last); `seqs`, `moments`, `places` go together.

    `moments` are the events' times, never earlier than that of an event before. `places` never decrease.
    """

    seqs: tuple[int, ...] = field(default=(), repr=False)
    moments: tuple[datetime, ...] = field(default=(), repr=False)
    places: tuple[float, ...] = field(default=(), repr=False)
    ticks: tuple[Tick, ...] = field(default=(), repr=False)
    breaks: tuple[Break, ...] = ()

    @property
    def last_seq(self) -> int:
        """Number of the last event; 0 of an empty file."""
        return self.seqs[-1] if self.seqs else 0

    @property
    def start(self) -> datetime | None:
        """Time of the first event."""
        return self.moments[0] if self.moments else None

    @property
    def end(self) -> datetime | None:
        """Time of the last event."""
        return self.moments[-1] if self.moments else None

    def place_of(self, seq: int) -> float:
        """Where the moment just after event `seq` lies, 0…1."""
        number = bisect.bisect_right(self.seqs, seq) - 1
        return self.places[number] if number >= 0 else 0.0

    def moment_of(self, seq: int) -> datetime | None:
        """What time it was just after event `seq`."""
        number = bisect.bisect_right(self.seqs, seq) - 1
        return self.moments[number] if number >= 0 else self.start

    def seq_at(self, place: float) -> int:
        """The last event that had happened at a place; the first one before all."""
        number = bisect.bisect_right(self.places, place) - 1
        return self.seqs[max(number, 0)] if self.seqs else 0

    def place(self, moment: datetime) -> float:
        """Where a time lies, 0…1; what lies outside is at the ends."""
        if not self.moments:
            return 0.0
        number = bisect.bisect_right(self.moments, moment)
        if number == 0:
            return 0.0
        if number == len(self.moments):
            return 1.0
        before, after = self.moments[number - 1], self.moments[number]
        share = (moment - before) / (after - before)
        return self.places[number - 1] + share * (self.places[number] - self.places[number - 1])

    def moment(self, place: float) -> datetime | None:
        """What time it was at a place: within a break the hands run fast. None for an empty file."""
        if not self.moments:
            return None
        number = bisect.bisect_right(self.places, place)
        if number == 0:
            return self.moments[0]
        if number == len(self.places):
            return self.moments[-1]
        before, after = self.places[number - 1], self.places[number]
        return self.moments[number - 1] + (place - before) / (after - before) * (
            self.moments[number] - self.moments[number - 1]
        )

    def next_tick(self, seq: int) -> Tick | None:
        """The first tick after the moment just after event `seq`; None after the last."""
        return next((tick for tick in self.ticks if tick.seq > seq), None)

    def previous_tick(self, seq: int) -> Tick | None:
        """The last tick before the moment just after event `seq`; None before the first."""
        return next((tick for tick in reversed(self.ticks) if tick.seq < seq), None)


def timeline_of(events: Iterable[Event]) -> Timeline:
    """The timeline of a file's events, in their order; none is computed, and none has to be of this version."""
    seqs, moments, ticks = list[int](), list[datetime](), list[Tick]()
    series = _Series()
    for event in events:
        seqs.append(event.seq)
        moments.append(max(event.utc, moments[-1]) if moments else event.utc)
        ticks += series.take(event)
        tick = _tick(event)
        if tick is not None:
            ticks.append(tick)
    ticks += series.rest()
    places, breaks = _axis(moments)
    return Timeline(
        seqs=tuple(seqs),
        moments=tuple(moments),
        places=places,
        ticks=tuple(sorted(ticks, key=lambda tick: tick.seq)),
        breaks=breaks,
    )


def _axis(moments: Sequence[datetime]) -> tuple[tuple[float, ...], tuple[Break, ...]]:
    """Places in proportion to time, long waits cut; evenly where the whole file is of one moment."""
    run = [0.0]
    for before, after in pairwise(moments):
        run.append(run[-1] + min(after - before, LONGEST_WAIT).total_seconds())
    if not moments:
        return (), ()
    if run[-1] == 0.0:
        last = max(len(moments) - 1, 1)
        return tuple(number / last for number in range(len(moments))), ()
    places = tuple(value / run[-1] for value in run)
    breaks = tuple(
        Break(start=before, end=after, place=(places[number] + places[number + 1]) / 2)
        for number, (before, after) in enumerate(pairwise(moments))
        if after - before > LONGEST_WAIT
    )
    return places, breaks


# -- series --------------------------------------------------------------------------------------------------------


@dataclass
class _Arriving:
    """A series of which images have come: what kind, how many, by which association, the last one when."""

    modality: str
    association: str
    objects: int = 0
    last: Event | None = None


class _Series:
    """Notices when the sending of a series was over: with its association, with silence, or with the file."""

    def __init__(self) -> None:
        self._open: dict[str, _Arriving] = {}

    def take(self, event: Event) -> Iterator[Tick]:
        payload = event.payload
        if event.kind == Kind.INSTANCE_STORED:
            uid = str(payload.get("series_instance_uid", ""))
            modality, association = str(payload.get("modality", "")), str(payload.get("association", ""))
            own = self._open.setdefault(uid, _Arriving(modality=modality, association=association))
            own.objects, own.last, own.association = own.objects + 1, event, association
        elif event.kind == Kind.SERIES_QUIET:
            yield from self._end(event, [str(payload.get("series_instance_uid", ""))])
        elif event.kind == Kind.ASSOCIATION_CLOSED:
            association = str(payload.get("association", ""))
            yield from self._end(event, [uid for uid, own in self._open.items() if own.association == association])

    def rest(self) -> Iterator[Tick]:
        """Series whose sending was never said to be over: at their last image."""
        for own in self._open.values():
            if own.last is not None:
                yield Tick(seq=own.last.seq, at=own.last.utc, kind=TickKind.SERIES, words=_series_words([own]))

    def _end(self, event: Event, uids: Sequence[str]) -> Iterator[Tick]:
        over = [self._open.pop(uid) for uid in uids if uid in self._open]
        if over:
            yield Tick(seq=event.seq, at=event.utc, kind=TickKind.SERIES, words=_series_words(over))


def _series_words(series: Sequence[_Arriving]) -> str:
    """``MR series received, 300 images``; several that ended together in one."""
    told = []
    for modality in dict.fromkeys(own.modality for own in series):
        own = [one for one in series if one.modality == modality]
        count, what = sum(one.objects for one in own), "image" if modality in _IMAGES else "object"
        head = f"{modality or 'unknown'} series" if len(own) == 1 else f"{len(own)} {modality or 'unknown'} series"
        told.append(f"{head} received, {count} {what}{'' if count == 1 else 's'}")
    return "; ".join(told)


# -- everything else -----------------------------------------------------------------------------------------------


def _tick(event: Event) -> Tick | None:
    """The tick of an event, if it has one; what cannot be read is named by its kind."""
    if event.kind not in _KINDS:
        return None
    kind, words = _KINDS[Kind(event.kind)], event.kind.replace("_", " ")
    try:
        words = _WORDS[Kind(event.kind)](event.payload)
    except (KeyError, TypeError, AttributeError, ValueError):
        words = f"{words}, of another version"
    return Tick(seq=event.seq, at=event.utc, kind=kind, words=words)


def _label(payload: Mapping[str, Any]) -> str:
    return f"{payload['position']} F{payload['fraction']}"


def _injection(payload: Mapping[str, Any]) -> str:
    label = _label(payload)
    if payload.get("cancelled"):
        return f"{label} cancelled"
    if payload.get("unsaid"):
        return f"{label}: an earlier word taken back"
    said = [
        word for key, word in (("started", "started"), ("time", "ended"), ("aborted", "aborted")) if payload.get(key)
    ]
    if payload.get("activity_MBq") is not None:
        said.append(f"{float(payload['activity_MBq']):.0f} MBq")
    return f"{label} {', '.join(said) or 'changed'}"


def _result(payload: Mapping[str, Any]) -> str:
    error = dict(payload.get("result") or {}).get("error")
    return f"result {_label(payload)} shown{f', FAILED: {error}' if error else ''}"


def _alarm(payload: Mapping[str, Any]) -> str:
    alarm = dict(payload["alarm"])
    return f"alarm, {alarm.get('priority', 'priority unknown')}: {alarm['text']}"


def _revised(payload: Mapping[str, Any]) -> str:
    if payload.get("reason"):
        return f"settings promoted by {payload.get('name') or '?'}: {payload['reason']}"
    return "plan or settings revised"


def _note(payload: Mapping[str, Any]) -> str:
    if payload.get("retracts") is not None:
        return f"event {payload['retracts']} taken back"
    label, text = str(payload.get("label") or ""), str(payload.get("text") or "")
    return ": ".join(part for part in (label, text) if part) or "note"


def _assigned(payload: Mapping[str, Any]) -> str:
    whose = f" {_label(payload)}" if payload.get("position") and payload.get("fraction") is not None else ""
    return f"series assigned: {payload['role']}{whose}"


_KINDS = {
    Kind.INJECTION_RECORDED: TickKind.INJECTION,
    Kind.RESULT_SHOWN: TickKind.RESULT,
    Kind.ALARM_RAISED: TickKind.ALARM,
    Kind.ALARM_ACKNOWLEDGED: TickKind.ACKNOWLEDGED,
    Kind.PLAN_REVISED: TickKind.CHANGE,
    Kind.VOLUME_CHOSEN: TickKind.CHANGE,
    Kind.LABEL_MAP_GIVEN: TickKind.CHANGE,
    Kind.SERIES_ASSIGNED: TickKind.CHANGE,
    Kind.REGISTRATION_GIVEN: TickKind.CHANGE,
    Kind.CLOCK_OFFSET_CONFIRMED: TickKind.CHANGE,
    Kind.NOTE: TickKind.NOTE,
    Kind.SNAPSHOT_TAKEN: TickKind.NOTE,
    Kind.TREATMENT_CLOSED: TickKind.NOTE,
}
_WORDS: Mapping[Kind, Callable[[Mapping[str, Any]], str]] = {
    Kind.INJECTION_RECORDED: _injection,
    Kind.RESULT_SHOWN: _result,
    Kind.ALARM_RAISED: _alarm,
    Kind.ALARM_ACKNOWLEDGED: lambda p: f"alarm acknowledged by {p['name']}",
    Kind.PLAN_REVISED: _revised,
    Kind.VOLUME_CHOSEN: lambda p: f"version of {p['volume']} chosen",
    Kind.LABEL_MAP_GIVEN: lambda p: f"volumes given: {p['name']}",
    Kind.SERIES_ASSIGNED: _assigned,
    Kind.REGISTRATION_GIVEN: lambda p: f"registration {'given' if p['reference_to_series_lps_mm'] else 'taken back'}",
    Kind.CLOCK_OFFSET_CONFIRMED: lambda p: f"scanner's clock {'not ' if p['seconds'] is None else ''}confirmed",
    Kind.NOTE: _note,
    Kind.SNAPSHOT_TAKEN: lambda p: f"picture {p['name']}",
    Kind.TREATMENT_CLOSED: lambda p: f"treatment {'closed' if p.get('closed', True) else 'opened again'}",
}
