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


def _injection(payload: dict[str, Any], zone: tzinfo | None = None) -> str:
    """What was said of an injection, and only that; times on the clock of `zone`."""
    label = _label(payload)
    if payload.get("cancelled"):
        return f"injection {label} cancelled"
    aborted = payload.get("aborted")
    parts = [f"started {_clock(payload['started'], zone)}"] if payload.get("started") else []
    if payload.get("time"):
        parts.append(f"{'broken off' if aborted else 'ended'} {_clock(payload['time'], zone)}")
    if payload.get("activity_MBq") is not None:
        parts.append(formatting.activity(float(payload["activity_MBq"])))
    elif "activity_MBq" in payload or (aborted and not payload.get("time")):
        parts.append("activity unknown")
    if payload.get("planned_MBq") is not None:
        parts.append(f"{formatting.activity(float(payload['planned_MBq']))} planned")
    for key, no in (("aborted", "not aborted"), ("outside_mri", "not outside the MRI")):
        parts += [no] if payload.get(key) is False else []
    if payload.get("unsaid"):
        parts.append(f"{', '.join(_SAID.get(str(key), str(key)) for key in payload['unsaid'])} taken back")
    remarks = [words for key, words in (("aborted", "aborted"), ("outside_mri", "outside the MRI")) if payload.get(key)]
    remark = f" ({', '.join(remarks)})" if remarks else ""
    return f"injection {label}: {', '.join(parts) or 'planned'}{remark}"


_SAID = {
    "started": "start",
    "time": "end",
    "activity_MBq": "activity",
    "planned_MBq": "planned activity",
    "aborted": "that it was aborted",
    "outside_mri": "that it was outside the MRI",
}


def _clock(time: object, zone: tzinfo | None) -> str:
    try:
        told = datetime.fromisoformat(str(time))
    except ValueError:
        return str(time)
    return formatting.clock(told if zone is None or told.tzinfo is None else told.astimezone(zone))


def _note(payload: dict[str, Any]) -> str:
    if payload.get("retracts") is not None:
        return f"taken back: event {payload['retracts']}"
    return f"{payload.get('label') or 'note'}: {payload.get('text', '')}".rstrip(": ")


def _treatment_closed(payload: dict[str, Any]) -> str:
    return f"treatment {'closed' if payload.get('closed', True) else 'opened again'} by {payload.get('name') or '?'}"


def _chosen(payload: dict[str, Any]) -> str:
    sha = str(payload.get("object_sha256") or "")
    which = f"version {sha[:8]} chosen" if sha else "the latest version counts again"
    return f"volume {payload.get('volume', '?')}: {which}, by {payload.get('name') or '?'}"


def _revised(payload: dict[str, Any]) -> str:
    if payload.get("reason"):
        return f"settings promoted by {payload.get('name') or '?'}: {payload['reason']}{_digest(payload)}"
    return f"plan or settings revised{_digest(payload)}"


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
    if seconds is None and "seconds" in payload:
        return "scanner clock: confirmation taken back"
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
    Kind.PLAN_REVISED: _revised,
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
    Kind.CLOCK_OFFSET_CONFIRMED: _offset,
    Kind.SERIES_ASSIGNED: _assigned,
    Kind.REGISTRATION_GIVEN: lambda p: (
        f"registration {'given' if p.get('reference_to_series_lps_mm') else 'taken back'} by {p.get('name') or '?'}"
    ),
    Kind.ALARM_ACKNOWLEDGED: lambda p: f"alarm acknowledged by {p.get('name', '?')}",
    Kind.ALARM_RAISED: _alarm,
    Kind.RESULT_SHOWN: _shown,
    Kind.SNAPSHOT_TAKEN: lambda p: f"snapshot taken: {p.get('name', '?')}",
    Kind.NOTE: _note,
    Kind.TREATMENT_CLOSED: _treatment_closed,
    Kind.VOLUME_CHOSEN: _chosen,
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
    Kind.TREATMENT_CLOSED: Tone.ACTIVE,
    Kind.VOLUME_CHOSEN: Tone.CAUTION,
}


def event_words(event: Event, zone: tzinfo | None = None) -> str:
    """What an event says, in a sentence without its time; a kind that this version does not know is named as it is.

    `zone` is the room's: times that were said are told in it.
    """
    kind = event.kind.replace("_", " ")
    try:
        if event.kind == Kind.INJECTION_RECORDED:
            return _injection(event.payload, zone)
        tell = _WORDS.get(event.kind)
        return tell(event.payload) if tell is not None else kind
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return f"{kind}: cannot be read by this version"  # one line of the log must not take the screen with it


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
    raised = [e.payload.get("alarm") for e in told if e.kind == Kind.ALARM_RAISED]
    alarms = {str(alarm.get("id")): alarm for alarm in raised if isinstance(alarm, dict)}
    zone = now.tzinfo if now is not None else None
    by_seq = {event.seq: event for event in told}
    struck = {_retracts(e) for e in told if e.kind == Kind.NOTE}
    quiet: set[str] = set()
    lines: list[tuple[Event, str, int]] = []
    for event in told:
        words = event_words(event, zone)
        if event.seq in struck and event.kind == Kind.NOTE:
            words = f"{words}{_STRUCK}"
        elif event.kind == Kind.NOTE and (own := by_seq.get(_retracts(event))) is not None:
            words = f"taken back: {event_words(own, zone)} {formatting.clock_like(own.utc, now)}"
        elif event.kind == Kind.SERIES_QUIET:
            uid = str(event.payload.get("series_instance_uid", ""))
            words = words.replace("silent", "still silent") if uid in quiet else words
            quiet.add(uid)
        elif event.kind == Kind.ALARM_ACKNOWLEDGED and (alarm := alarms.get(str(event.payload.get("alarm")))):
            words += f": {alarm.get('text', '?')}"
        if lines and lines[-1][1] == words and lines[-1][0].kind == event.kind:
            lines[-1] = (event, words, lines[-1][2] + 1)
        else:
            lines.append((event, words, 1))
    rows = tuple(_row(event, words, count, now) for event, words, count in reversed(lines))
    return Table(columns=("", ""), rows=rows, empty="no events yet")


def _retracts(event: Event) -> int:
    """The number of the note that an event takes back; 0 for none."""
    seq = event.payload.get("retracts")
    return seq if isinstance(seq, int) else 0


def _row(event: Event, words: str, count: int, now: datetime | None) -> Row:
    kind = Kind(event.kind) if event.kind in _KINDS else None
    tone = _TONES.get(kind, Tone.NORMAL) if kind is not None else Tone.NORMAL
    if words.endswith(_STRUCK):
        tone = Tone.MUTED
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
_STRUCK = " – taken back"
"""Behind a note that a later word took back."""
