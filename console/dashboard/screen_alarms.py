"""The alarms in order of urgency. Acknowledging is not clearing."""

from __future__ import annotations

from datetime import datetime

from console.dashboard import formatting
from console.dashboard.screen_model import Cell, Row, State, Table, Tone
from console.snapshot import RaisedAlarm, Snapshot
from quantify.findings import Priority

_PRIORITIES = {
    Priority.HIGH: (0, State(sign="▲▲▲", word="HIGH", tone=Tone.ALERT)),
    Priority.MEDIUM: (1, State(sign="▲▲", word="MEDIUM", tone=Tone.CAUTION)),
    Priority.LOW: (2, State(sign="▲", word="LOW", tone=Tone.ACTIVE)),
}


def alarms_table(snapshot: Snapshot, now: datetime | None) -> Table:
    """All alarms: unacknowledged first, then by priority, then the newest. Acknowledging is not clearing."""
    rows = []
    for raised in sorted(snapshot.alarms, key=_urgency):
        alarm = raised.alarm
        _, state = _PRIORITIES[alarm.priority]
        settled = raised.acknowledged_by is not None and not raised.active
        rows.append(
            Row(
                cells=(
                    Cell(text=state.text, tone=Tone.MUTED if settled else state.tone, bold=True),
                    Cell(text=formatting.clock_like(alarm.raised_at, now), tone=Tone.MUTED),
                    Cell(
                        text=f"{alarm.text} · {_alarm_words(raised, now)}",
                        tone=Tone.MUTED if settled else Tone.NORMAL,
                        bold=raised.acknowledged_by is None,
                    ),
                ),
                key=alarm.id,
            )
        )
    return Table(columns=("", "", ""), rows=tuple(rows), empty="✓ no alarms")


def alarm_summary(snapshot: Snapshot) -> State:
    """The alarms in a word: how many nobody has acknowledged, coloured by the gravest."""
    waiting = sorted((a for a in snapshot.alarms if a.acknowledged_by is None), key=_urgency)
    if not waiting:
        return State(sign="✓", word="all acknowledged" if snapshot.alarms else "none", tone=Tone.GOOD)
    return State(sign="▲", word=f"{len(waiting)} unacknowledged", tone=_PRIORITIES[waiting[0].alarm.priority][1].tone)


def _urgency(raised: RaisedAlarm) -> tuple[bool, bool, int, float]:
    return (
        raised.acknowledged_by is not None,
        not raised.active,
        _PRIORITIES[raised.alarm.priority][0],
        -raised.alarm.raised_at.timestamp(),
    )


def _alarm_words(raised: RaisedAlarm, now: datetime | None) -> str:
    active = "active" if raised.active else "cause gone"
    if raised.acknowledged_by is None:
        return f"{active} · not acknowledged"
    return f"{active} · seen by {raised.acknowledged_by} {formatting.clock_like(raised.acknowledged_at, now)}"
