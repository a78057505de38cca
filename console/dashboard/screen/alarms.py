"""The alarms in order of urgency, latched. Acknowledging is not clearing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from functools import lru_cache

from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, Row, State, Table, Tone
from console.snapshot import RaisedAlarm, Snapshot
from quantify.findings import Alarm, Priority

_PRIORITIES = {
    Priority.HIGH: (0, State(sign="▲▲▲", word="HIGH", tone=Tone.ALERT)),
    Priority.MEDIUM: (1, State(sign="▲▲", word="MEDIUM", tone=Tone.CAUTION)),
    Priority.LOW: (2, State(sign="▲", word="LOW", tone=Tone.ACTIVE)),
}
_LONGEST = 150
"""Letters of an alarm in the panel, so that the gravest always fits whole; a longer one goes on in its tooltip."""
_MEANING = {
    "patient_mismatch": "Identity in the images against the plan's; such images are never shown or computed from.",
    "instance_conflict": "Two images with one SOP Instance UID; the first counts.",
    "file_damaged": "The hash chain of the treatment file is broken from there on.",
    "storage_failed": "Images that the listener refused because disk or memory failed.",
    "listener_down": "The listener's lock on the treatment file is free: nobody receives images.",
    "disk_full": "Free space in MB against the site's setting site.minimum_free_disk_MB.",
    "not_quantified": "Nothing can be computed from this treatment as it stands.",
    "limit": "Upper end of the 95 % interval of the mean dose, Gy, against the plan's limit of this volume.",
    "registration_failed": "Registration gates of the settings; the dose is withheld.",
    "fraction_failed": "The fraction has an error in place of a dose.",
    "recovery": "Activity measured over activity injected, %, against setting alarms.recovery_band_pct and 2u.",
    "trend_deviation": "Mean dose against the line of the position's first points; setting "
    "quantification.trend.threshold_pct (EMERITUS-1: 10 %).",
    "clock_offset": "Scanner's clock minus true time, s, against setting alarms.clock_offset_s.",
    "series_incomplete": "Images missing longer than setting alarms.incomplete_after_s after the series fell silent.",
    "ambiguous_series": "More than one series in the time window of one injection.",
    "late_image": "Images that a complete series gained afterwards, by series.",
    "series_refused": "The protocol against the reference's and the calibration's.",
    "structures": "Structures named by the plan against those received.",
    "instance_unusable": "Images that could not be read, by series and cause.",
    "assumption": "What had to be assumed to read an image, by series.",
}


def alarms_table(snapshot: Snapshot, now: datetime | None) -> Table:
    """All alarms: unacknowledged first, the gravest on top; acknowledged ones while active; then what is settled."""
    return _table(snapshot.alarms, now.tzinfo if now is not None else None)


@lru_cache(maxsize=4)
def _table(alarms: tuple[RaisedAlarm, ...], zone: tzinfo | None) -> Table:
    rows = []
    for raised in sorted(alarms, key=_urgency):
        alarm = raised.alarm
        _, state = _PRIORITIES[alarm.priority]
        settled = raised.acknowledged_by is not None and not raised.active
        whole = alarm_words(alarm)
        text = whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST].rsplit(' ', 1)[0]}… (whole in the tooltip)"
        tooltip = _tooltip(raised, whole, zone)
        rows.append(
            Row(
                cells=(
                    Cell(text=state.text, tone=Tone.MUTED if settled else state.tone, bold=True, tooltip=tooltip),
                    Cell(text=_clock(alarm.raised_at, zone), tone=Tone.MUTED, tooltip=tooltip),
                    Cell(
                        text=f"{text} · {_alarm_state(raised, zone)}",
                        tone=Tone.MUTED if settled else Tone.NORMAL,
                        bold=raised.acknowledged_by is None,
                        tooltip=tooltip,
                    ),
                ),
                key=alarm.id,
            )
        )
    return Table(columns=("", "", ""), rows=tuple(rows), empty="✓ no alarms")


def alarm_words(alarm: Alarm) -> str:
    """What an alarm says, with its place wherever its own sentence leaves it out."""
    place = []
    if alarm.position is not None:
        label = f"{alarm.position} F{alarm.fraction}" if alarm.fraction is not None else alarm.position
        place += [label] if label not in alarm.text else []
    if alarm.volume is not None and alarm.volume not in alarm.text:
        place.append(alarm.volume)
    return f"{' '.join(place)}: {alarm.text}" if place else alarm.text


def alarm_summary(snapshot: Snapshot) -> State:
    """The alarms in a word: how many of each priority nobody has acknowledged, coloured by the gravest.

    Acknowledged ones whose cause is still there are told when nothing else is: acknowledging is not clearing.
    """
    waiting = [a.alarm for a in snapshot.alarms if a.acknowledged_by is None]
    if waiting:
        sign, words = _counted(waiting)
        tone = min((_PRIORITIES[alarm.priority] for alarm in waiting), key=lambda own: own[0])[1].tone
        return State(sign=sign, word=f"{words}, unacknowledged", tone=tone)
    active = [a.alarm for a in snapshot.alarms if a.active]
    if active:
        sign, words = _counted(active)
        return State(sign=sign, word=f"{words}, acknowledged, still active")
    return State(sign="✓", word="none active, all acknowledged" if snapshot.alarms else "none", tone=Tone.GOOD)


def _counted(alarms: Iterable[Alarm]) -> tuple[str, str]:
    """The gravest priority's sign, and the counts: ``▲▲▲``, ``1 high  ▲ 2 low``."""
    counts = dict.fromkeys(_PRIORITIES, 0)
    for alarm in alarms:
        counts[alarm.priority] += 1
    parts = [(_PRIORITIES[own][1].sign, f"{count} {own.value}") for own, count in counts.items() if count]
    return parts[0][0], "  ".join([parts[0][1], *(f"{sign} {words}" for sign, words in parts[1:])])


def _urgency(raised: RaisedAlarm) -> tuple[bool, bool, int, bool, float]:
    acknowledged = raised.acknowledged_by is not None
    return (
        acknowledged,
        acknowledged and not raised.active,
        _PRIORITIES[raised.alarm.priority][0],
        not raised.active,
        -raised.alarm.raised_at.timestamp(),
    )


def _alarm_state(raised: RaisedAlarm, zone: tzinfo | None) -> str:
    if raised.acknowledged_by is None:
        return "not acknowledged" if raised.active else "cause gone · not acknowledged"
    active = "active" if raised.active else "cause gone"
    return f"{active} · seen by {raised.acknowledged_by} {_clock(raised.acknowledged_at, zone)}"


def _tooltip(raised: RaisedAlarm, whole: str, zone: tzinfo | None) -> str:
    alarm = raised.alarm
    lines = [
        whole,
        f"Priority {alarm.priority.value}, dated {_clock(alarm.raised_at, zone)} (time of day) by the "
        "image or event that shows it.",
        _MEANING.get(alarm.kind, ""),
        "Latched: it stays until somebody acknowledges it, its cause gone or not. Acknowledging is not clearing.",
    ]
    return "\n".join(line for line in lines if line)


def _clock(time: datetime | None, zone: tzinfo | None) -> str:
    """Hours and minutes in the room's zone."""
    if time is not None and time.tzinfo is not None and zone is not None:
        time = time.astimezone(zone)
    return formatting.clock(time)
