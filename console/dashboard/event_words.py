"""The log of the screen: one sentence for every kind of event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from console.dashboard import formatting
from console.dashboard.screen_model import Cell, Row, Table, Tone
from dicom_listener.events import Event, Kind

# Instances arrive by the hundred: they are counted in the series' progress, not told one by one.
_NOT_TOLD = frozenset({Kind.INSTANCE_STORED, Kind.RESULT_SHOWN})


def _label(payload: dict[str, Any]) -> str:
    return f"{payload.get('position', '?')} F{payload.get('fraction', '?')}"


def _injection(payload: dict[str, Any]) -> str:
    if payload.get("cancelled"):
        return f"injection {_label(payload)} cancelled"
    activity = payload.get("activity_MBq")
    amount = "activity unknown" if activity is None else formatting.activity(float(activity))
    aborted = " (aborted)" if payload.get("aborted") else ""
    return f"injection {_label(payload)}: {amount}{aborted}"


def _assigned(payload: dict[str, Any]) -> str:
    if payload.get("role") == "automatic":
        return "series: an earlier assignment taken back"
    if payload.get("role") == "baseline":
        return f"series assigned as new baseline of {payload.get('position', '?')}"
    fraction = f" {_label(payload)}" if payload.get("position") else ""
    return f"series assigned as {payload.get('role', '?')}{fraction}"


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    Kind.TREATMENT_CREATED: lambda p: f"treatment file created, version {p.get('software_version', '?')}",
    Kind.PLAN_LOADED: lambda p: "plan loaded",
    Kind.PLAN_REVISED: lambda p: "plan revised",
    Kind.LISTENER_STARTED: lambda p: f"listener {p.get('ae_title', '?')} on port {p.get('port', '?')}",
    Kind.LISTENER_STOPPED: lambda p: "listener stopped",
    Kind.ASSOCIATION_OPENED: lambda p: f"association from {p.get('calling_ae', '?')}",
    Kind.ASSOCIATION_CLOSED: lambda p: (
        f"association {str(p.get('how', 'closed')).replace('_', ' ')}: {p.get('instances', '?')} images"
    ),
    Kind.ASSOCIATION_REFUSED: lambda p: f"association from {p.get('calling_ae', '?')} refused: {p.get('why', '?')}",
    Kind.INSTANCE_QUARANTINED: lambda p: f"image quarantined: {p.get('text') or p.get('cause', '?')}",
    Kind.INSTANCE_REFUSED: lambda p: f"image refused: {p.get('comment', '?')}",
    Kind.SERIES_QUIET: lambda p: f"series quiet for {p.get('seconds', '?')} s, {p.get('instances', '?')} images",
    Kind.STORAGE_FAILED: lambda p: f"{p.get('instances', '?')} images could not be stored: {p.get('comment', '?')}",
    Kind.LABEL_MAP_GIVEN: lambda p: (
        f"label map {p.get('name', '?')}: {', '.join(map(str, dict(p.get('labels') or {}).values())) or 'no names'}"
    ),
    Kind.INJECTION_RECORDED: _injection,
    Kind.CLOCK_OFFSET_CONFIRMED: lambda p: f"scanner clock offset confirmed: {p.get('seconds', '?')} s",
    Kind.SERIES_ASSIGNED: _assigned,
    Kind.REGISTRATION_GIVEN: lambda p: (
        f"registration {'given' if p.get('reference_to_series_lps_mm') else 'taken back'} by {p.get('name') or '?'}"
    ),
    Kind.ALARM_ACKNOWLEDGED: lambda p: f"alarm acknowledged by {p.get('name', '?')}",
    Kind.ALARM_RAISED: lambda p: f"alarm: {p.get('alarm', {}).get('text', '?')}",
    Kind.SNAPSHOT_TAKEN: lambda p: f"snapshot taken: {p.get('name', '?')}",
    Kind.NOTE: lambda p: f"{p.get('label') or 'note'}: {p.get('text', '')}".rstrip(": "),
}

_TONES = {
    Kind.ALARM_RAISED: Tone.CAUTION,
    Kind.INSTANCE_QUARANTINED: Tone.ALERT,
    Kind.INSTANCE_REFUSED: Tone.CAUTION,
    Kind.STORAGE_FAILED: Tone.ALERT,
    Kind.ASSOCIATION_REFUSED: Tone.CAUTION,
    Kind.LISTENER_STOPPED: Tone.CAUTION,
    Kind.INJECTION_RECORDED: Tone.ACTIVE,
}


def event_words(event: Event) -> str:
    """What an event says, in a sentence without the time; a kind that this version does not know is named as it is."""
    tell = _WORDS.get(event.kind)
    return tell(event.payload) if tell is not None else event.kind.replace("_", " ")


def events_table(events: tuple[Event, ...], *, now: datetime | None, most: int = 60) -> Table:
    """The latest events, newest first."""
    told = [event for event in events if event.kind not in _NOT_TOLD][-most:]
    rows = tuple(
        Row(
            cells=(
                Cell(text=formatting.clock_like(event.utc, now), tone=Tone.MUTED),
                Cell(text=event_words(event), tone=_TONES.get(Kind(event.kind), Tone.NORMAL), tooltip=event.actor)
                if event.kind in list(Kind)
                else Cell(text=event_words(event)),
            )
        )
        for event in reversed(told)
    )
    return Table(columns=("", ""), rows=rows, empty="no events yet")
