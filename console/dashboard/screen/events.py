"""The log of the screen: one sentence for every kind of event."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, Row, Table, Tone
from dicom_listener.events import Event, Kind

# Instances arrive by the hundred: they are counted in the series' progress, not told one by one.
_NOT_TOLD = frozenset({Kind.INSTANCE_STORED})

_ENDINGS = {
    "released": "ended in order",
    "aborted": "ABORTED by the sender",
    "connection_lost": "LOST: the connection broke",
    "import_finished": "ended: import finished",
}


def _label(payload: dict[str, Any]) -> str:
    return f"{payload.get('position', '?')} F{payload.get('fraction', '?')}"


def _images(payload: dict[str, Any]) -> str:
    count = payload.get("instances", "?")
    return f"{count} image{'' if count == 1 else 's'}"


def _seconds(payload: dict[str, Any]) -> str:
    seconds = payload.get("seconds")
    return f"{float(seconds):g} s" if isinstance(seconds, int | float) else "? s"


def _injection(payload: dict[str, Any]) -> str:
    if payload.get("cancelled"):
        return f"injection {_label(payload)} cancelled"
    remarks = [words for key, words in (("aborted", "aborted"), ("outside_mri", "outside the MRI")) if payload.get(key)]
    remark = f" ({', '.join(remarks)})" if remarks else ""
    activity, planned = payload.get("activity_MBq"), payload.get("planned_MBq")
    if activity is None and planned is not None and not remarks:
        return f"injection {_label(payload)}: {formatting.activity(float(planned))} planned"
    amount = "activity unknown" if activity is None else formatting.activity(float(activity))
    return f"injection {_label(payload)}: {amount}{remark}"


def _assigned(payload: dict[str, Any]) -> str:
    if payload.get("role") == "automatic":
        return "series: an earlier assignment taken back"
    if payload.get("role") == "baseline":
        return f"series assigned as new baseline of {payload.get('position', '?')}"
    if payload.get("role") == "ignore":
        return "series to be ignored"
    fraction = f" {_label(payload)}" if payload.get("position") else ""
    return f"series assigned as {payload.get('role', '?')}{fraction}"


def _closed(payload: dict[str, Any]) -> str:
    how = str(payload.get("how", "closed"))
    return f"association {_ENDINGS.get(how, how.replace('_', ' '))}, {_images(payload)}"


def _offset(payload: dict[str, Any]) -> str:
    seconds = payload.get("seconds")
    told = f"{formatting.signed(float(seconds), 1)} s" if isinstance(seconds, int | float) else "? s"
    return f"scanner clock offset confirmed: {told} (scanner minus true time)"


def _shown(payload: dict[str, Any]) -> str:
    result = dict(payload.get("result") or {})
    error = f": {result['error']}" if result.get("error") else ""
    return f"result {_label(payload)} shown, {result.get('status', 'status unknown')}{error}"


def _alarm(payload: dict[str, Any]) -> str:
    alarm = dict(payload.get("alarm") or {})
    return f"alarm, {alarm.get('priority', 'priority unknown')}: {alarm.get('text', '?')}"


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    Kind.TREATMENT_CREATED: lambda p: f"treatment file created, version {p.get('software_version', '?')}",
    Kind.PLAN_LOADED: lambda p: f"plan loaded{_digest(p)}",
    Kind.PLAN_REVISED: lambda p: f"plan or settings revised{_digest(p)}",
    Kind.LISTENER_STARTED: lambda p: f"listener {p.get('ae_title', '?')} started on port {p.get('port', '?')}",
    Kind.LISTENER_STOPPED: lambda p: "LISTENER STOPPED: no images can arrive",
    Kind.ASSOCIATION_OPENED: lambda p: f"association from {p.get('calling_ae', '?')} ({p.get('address', '?')})",
    Kind.ASSOCIATION_CLOSED: _closed,
    Kind.ASSOCIATION_REFUSED: lambda p: (
        f"association from {p.get('calling_ae', '?')} ({p.get('address', '?')}) to {p.get('called_ae', '?')} "
        f"REFUSED: {p.get('why', '?')}"
    ),
    Kind.INSTANCE_QUARANTINED: lambda p: f"image quarantined: {p.get('text') or p.get('cause', '?')}",
    Kind.INSTANCE_REFUSED: lambda p: f"image refused: {p.get('comment', '?')}",
    Kind.SERIES_QUIET: lambda p: f"series silent for {_seconds(p)}, {_images(p)} so far",
    Kind.STORAGE_FAILED: lambda p: f"{_images(p)} could not be stored: {p.get('comment', '?')}",
    Kind.LABEL_MAP_GIVEN: lambda p: (
        f"label map {p.get('name', '?')}: {', '.join(map(str, dict(p.get('labels') or {}).values())) or 'no names'}"
    ),
    Kind.INJECTION_RECORDED: _injection,
    Kind.CLOCK_OFFSET_CONFIRMED: _offset,
    Kind.SERIES_ASSIGNED: _assigned,
    Kind.REGISTRATION_GIVEN: lambda p: (
        f"registration {'given' if p.get('reference_to_series_lps_mm') else 'taken back'} by {p.get('name') or '?'}"
    ),
    Kind.ALARM_ACKNOWLEDGED: lambda p: f"alarm acknowledged by {p.get('name', '?')}",
    Kind.ALARM_RAISED: _alarm,
    Kind.RESULT_SHOWN: _shown,
    Kind.SNAPSHOT_TAKEN: lambda p: f"snapshot taken: {p.get('name', '?')}",
    Kind.NOTE: lambda p: f"{p.get('label') or 'note'}: {p.get('text', '')}".rstrip(": "),
}


def _digest(payload: dict[str, Any]) -> str:
    return f" ({str(payload['sha256'])[:8]})" if payload.get("sha256") else ""


_TONES = {
    Kind.ALARM_RAISED: Tone.CAUTION,
    Kind.INSTANCE_QUARANTINED: Tone.ALERT,
    Kind.INSTANCE_REFUSED: Tone.CAUTION,
    Kind.STORAGE_FAILED: Tone.ALERT,
    Kind.ASSOCIATION_REFUSED: Tone.CAUTION,
    Kind.LISTENER_STOPPED: Tone.CAUTION,
    Kind.INJECTION_RECORDED: Tone.ACTIVE,
    Kind.PLAN_REVISED: Tone.CAUTION,
}


def event_words(event: Event) -> str:
    """What an event says, in a sentence without the time; a kind that this version does not know is named as it is."""
    tell = _WORDS.get(event.kind)
    return tell(event.payload) if tell is not None else event.kind.replace("_", " ")


def events_table(events: tuple[Event, ...], *, now: datetime | None, most: int = 60) -> Table:
    """The latest events, newest first; the same said again and again is one line with its count."""
    zone = now.tzinfo if now is not None else None
    for known, own_zone, own_most, table in _told:
        if known is events and own_zone is zone and own_most == most:
            return table
    table = _table(events, now, most)
    _told.append((events, zone, most, table))
    return table


_told: deque[tuple[tuple[Event, ...], tzinfo | None, int, Table]] = deque(maxlen=2)
"""The last tables: every key press asks for the table of the same events."""


def _table(events: tuple[Event, ...], now: datetime | None, most: int) -> Table:
    told = [event for event in events if event.kind not in _NOT_TOLD][-most:]
    alarms = {a["id"]: a for e in told if e.kind == Kind.ALARM_RAISED and (a := dict(e.payload.get("alarm") or {}))}
    quiet: set[str] = set()
    lines: list[tuple[Event, str, int]] = []
    for event in told:
        words = event_words(event)
        if event.kind == Kind.SERIES_QUIET:
            uid = str(event.payload.get("series_instance_uid", ""))
            words = words.replace("silent", "still silent") if uid in quiet else words
            quiet.add(uid)
        elif event.kind == Kind.ALARM_ACKNOWLEDGED and event.payload.get("alarm") in alarms:
            words += f": {alarms[event.payload['alarm']].get('text', '?')}"
        if lines and lines[-1][1] == words and lines[-1][0].kind == event.kind:
            lines[-1] = (event, words, lines[-1][2] + 1)
        else:
            lines.append((event, words, 1))
    rows = tuple(_row(event, words, count, now) for event, words, count in reversed(lines))
    return Table(columns=("", ""), rows=rows, empty="no events yet")


def _row(event: Event, words: str, count: int, now: datetime | None) -> Row:
    kind = Kind(event.kind) if event.kind in _KINDS else None
    tone = _TONES.get(kind, Tone.NORMAL) if kind is not None else Tone.NORMAL
    if kind is Kind.ASSOCIATION_CLOSED and event.payload.get("how") in ("aborted", "connection_lost"):
        tone = Tone.CAUTION
    time = formatting.clock_like(event.utc, now)
    tooltip = (
        f"{time} (time of day, when it was recorded), by {event.actor or 'nobody'}: event {event.seq} of the "
        f"treatment file, {event.kind.replace('_', ' ')}. Activities in MBq at the time of injection."
    )
    text = f"{words} ({count} times)" if count > 1 else words
    return Row(cells=(Cell(text=time, tone=Tone.MUTED, tooltip=tooltip), Cell(text=text, tone=tone, tooltip=tooltip)))


_KINDS = frozenset(Kind)
