"""The bar of a replay: play and halt, speed, the timeline with its ticks, what time it is, and the tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from console.dashboard.screen import formatting
from console.dashboard.screen.model import BarButton, BreakMark, ReplayBar, State, TickMark, Tone
from console.dashboard.screen.view import LeaveWhatIf, OpenTool, SetSpeed, StepTick, TogglePause, Tool
from console.snapshot import Snapshot
from console.timeline import Break, Tick, TickKind, Timeline

SPEEDS = (1.0, 10.0, 60.0)
REPLAY_KEYS: dict[Tool, str] = {Tool.TUNING: "F9", Tool.COMPARISON: "F10", Tool.VERIFICATION: "F12"}
"""The dialogs of a replay; F11 is the glance."""
_TOOL_WORDS = {Tool.TUNING: "What-if", Tool.COMPARISON: "Compare", Tool.VERIFICATION: "Verify"}
_TOOL_MEANS = {
    Tool.TUNING: "The same treatment with other settings. Nothing of it is recorded.",
    Tool.COMPARISON: "Two settings, two versions of the volumes or two treatments side by side. Nothing is recorded.",
    Tool.VERIFICATION: "Compute everything again and hold it against what was shown during the treatment.",
}
LOOKS: dict[TickKind, tuple[str, Tone, str]] = {
    TickKind.INJECTION: ("▼", Tone.ACTIVE, "injection"),
    TickKind.SERIES: ("■", Tone.MUTED, "series"),
    TickKind.RESULT: ("●", Tone.GOOD, "result"),
    TickKind.ALARM: ("▲", Tone.ALERT, "alarm"),
    TickKind.CHANGE: ("◆", Tone.CAUTION, "change"),
    TickKind.NOTE: ("✎", Tone.NORMAL, "note"),
    TickKind.ACKNOWLEDGED: ("✓", Tone.MUTED, "acknowledged"),
}
"""Shape, colour and word of each kind of tick."""
_LANES = {TickKind.INJECTION: 1, TickKind.RESULT: 1, TickKind.SERIES: 0}
"""What happened stands over the axis, what arrived on it, what was said of it under it: a result comes with its series,
and often with an alarm."""
STEER = "Click or drag on the timeline jumps there. , and . or Ctrl+arrows: tick before, next tick; Home, End; Space."


@dataclass(frozen=True, kw_only=True)
class Jump:
    """A jump under way: to just after event `seq`, whose time is `at`; nothing shown is of that moment yet."""

    seq: int
    at: datetime | None
    words: str = ""
    """What is said of it, where it is not for that moment that it was asked for."""
    done: float | None = None
    """Share of the way that has been read."""
    computing: str = ""
    """What is being computed for it."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """How a replay stands."""

    name: str
    """Of the file."""
    timeline: Timeline = field(default_factory=Timeline)
    seq: int = 0
    """Number of the last event that has been taken."""
    at: datetime | None = None
    """The time of the recording."""
    ended: bool = False
    paused: bool = False
    speed: float = 60.0
    jump: Jump | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)
    """What is laid over the recorded settings: empty but in a what-if."""
    what_if: tuple[str, ...] = ()
    """The same in words, one by one."""
    fault: str = ""
    """Why something that was asked for was not done."""


def build_replay_bar(snapshot: Snapshot, played: Played | None) -> ReplayBar:
    """The bar as it stands now; none but in a replay."""
    if played is None:
        return ReplayBar()
    line, zone = played.timeline, _zone(snapshot)
    target = line.place_of(played.jump.seq) if played.jump is not None and line.seqs else None
    return ReplayBar(
        shown=True,
        play=_play(played),
        speeds=tuple(_speed(speed, played) for speed in SPEEDS),
        steps=(_step(line.previous_tick(_seq(played)), -1, zone), _step(line.next_tick(_seq(played)), 1, zone)),
        tools=tuple(_tool(tool, played) for tool in REPLAY_KEYS),
        back=_back(played),
        words=_words(played, zone),
        message="" if line.seqs else "reading the timeline …",
        place=max(line.place_of(played.seq), line.place(played.at)) if played.at is not None else 0.0,
        target=target,
        ticks=tuple(_mark(tick, line, zone) for tick in line.ticks),
        breaks=tuple(_break(one, zone) for one in line.breaks),
        ends=(_clock(line.start, zone), _clock(line.end, zone)),
        legend=tuple(
            (sign, tone, word) for kind, (sign, tone, word) in LOOKS.items() if any(t.kind is kind for t in line.ticks)
        ),
        timeline=line,
        zone=zone,
    )


def outdated_words(played: Played, snapshot: Snapshot) -> str:
    """Why what is shown is not of the moment that was asked for; "" where it is."""
    if played.jump is None:
        return ""
    zone = _zone(snapshot)
    shown = f"shown: {_clock(played.at, zone, seconds=True)} · " if played.at is not None else ""
    return f"{shown}{_jumping(played.jump, zone)}"  # first: what stands there is what may be misread


# -- details -------------------------------------------------------------------------------------------------------


def _seq(played: Played) -> int:
    """Where the next step starts: from a jump's end, so that steps add up."""
    return played.seq if played.jump is None else played.jump.seq


def _zone(snapshot: Snapshot) -> tzinfo:
    """The room's, as the header has it: before a plan is known, that of the events."""
    return ZoneInfo(snapshot.plan.time_zone) if snapshot.plan is not None else UTC


def _clock(moment: datetime | None, zone: tzinfo, *, seconds: bool = False) -> str:
    if moment is None:
        return ""
    return moment.astimezone(zone).strftime("%H:%M:%S" if seconds else "%H:%M")


def _play(played: Played) -> BarButton:
    if played.ended and played.jump is None:
        told = "The replay is at the end of the file. Home begins anew; the tick before: Ctrl+←."
        return BarButton(sign="■", words="END", tone=Tone.MUTED, tooltip=told)
    if played.paused:
        return BarButton(sign="▶", words="PLAY", action=TogglePause(), tone=Tone.CAUTION, tooltip="Go on. Space.")
    return BarButton(sign="‖", words="HALT", action=TogglePause(), tone=Tone.ACTIVE, tooltip="Halt the replay. Space.")


def _speed(speed: float, played: Played) -> BarButton:
    chosen = speed == played.speed
    told = f"{speed:g} times as fast as it happened" if speed != 1 else "As fast as it happened"
    return BarButton(
        words=f"×{speed:g}",
        sign="■" if chosen else "",
        action=SetSpeed(speed=speed),
        tone=Tone.ACTIVE if chosen else Tone.NORMAL,
        tooltip=f"{told}; where nothing happened for minutes it waits no longer than for two of them.",
    )


def _step(tick: Tick | None, by: int, zone: tzinfo) -> BarButton:
    sign, what = ("◂", "before") if by < 0 else ("▸", "next")
    if tick is None:
        return BarButton(words=sign, tooltip=f"There is no tick {'before' if by < 0 else 'after'} this moment.")
    told = f"{_clock(tick.at, zone, seconds=True)} {tick.words}"
    key = ", or Ctrl+←" if by < 0 else ". or Ctrl+→"
    return BarButton(words=sign, action=StepTick(by=by), tooltip=f"The tick {what}: {told}\nKeys {key}")


def _tool(tool: Tool, played: Played) -> BarButton:
    key, means = REPLAY_KEYS[tool], _TOOL_MEANS[tool]
    return BarButton(
        words=_TOOL_WORDS[tool], sign=key, action=OpenTool(tool=tool), tooltip=f"{means}\nKey {key}. {played.name}"
    )


def _back(played: Played) -> BarButton:
    if not played.overrides:
        return BarButton(words="")
    return BarButton(
        words="to record",
        sign="↶",
        action=LeaveWhatIf(),
        tone=Tone.CAUTION,
        tooltip="Leave the what-if: replay with the settings as recorded. Nothing of the what-if was recorded.",
    )


def _words(played: Played, zone: tzinfo) -> State:
    """What time it is, how fast it goes, and what the latest tick was; before that, what is out of order."""
    what_if = " · WHAT-IF: nothing is recorded" if played.overrides else ""
    if played.fault:
        return State(sign="✕", word=played.fault + what_if, tone=Tone.ALERT)
    if played.jump is not None:
        return State(sign="●", word=_jumping(played.jump, zone) + what_if, tone=Tone.ACTIVE)
    now = _clock(played.at, zone, seconds=True) or "--:--:--"
    how = "at the end" if played.ended else "halted" if played.paused else f"×{played.speed:g}"
    last = next((t for t in reversed(played.timeline.ticks) if t.seq <= played.seq), None)
    after = "" if last is None else f" · last: {_clock(last.at, zone)} {last.words}"
    sign = "■" if played.ended else "‖" if played.paused else "▶"
    tone = Tone.CAUTION if what_if or (played.paused and not played.ended) else Tone.NORMAL
    return State(sign=sign, word=f"{now} · {how}{what_if}{after}", tone=tone)


def _jumping(jump: Jump, zone: tzinfo) -> str:
    target = f"jumping to {_clock(jump.at, zone, seconds=True)}" if jump.at is not None else "starting"
    done = f"{round(100 * jump.done)} % read" if jump.done is not None else ""
    doing = f"computing {jump.computing}" if jump.computing else ""
    return " · ".join(part for part in (f"{jump.words or target} …", done, doing) if part)


def _mark(tick: Tick, line: Timeline, zone: tzinfo) -> TickMark:
    sign, tone, _ = LOOKS[tick.kind]
    words = f"{_clock(tick.at, zone, seconds=True)} {tick.words}"
    return TickMark(place=line.place_of(tick.seq), sign=sign, tone=tone, lane=_LANES.get(tick.kind, -1), words=words)


def _break(one: Break, zone: tzinfo) -> BreakMark:
    told = f"nothing happened from {_clock(one.start, zone)} to {_clock(one.end, zone)}: drawn shorter"
    return BreakMark(place=one.place, words=_lasted(one.lasted), tooltip=told)


def _lasted(wait: timedelta) -> str:
    if wait >= timedelta(days=2):
        return formatting.age(wait)
    hours, minutes = divmod(round(wait.total_seconds() / 60), 60)
    return f"{hours} h {minutes:02d}" if hours else f"{minutes} min"
