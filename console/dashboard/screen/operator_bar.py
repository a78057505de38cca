"""The operator's bar: start and stop of an injection on one button, events of one tap, and the dialogs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from console.dashboard.screen import formatting
from console.dashboard.screen.model import BarButton, OperatorBar, State, Tone
from console.dashboard.screen.room_time import room_clock
from console.dashboard.screen.said import Said, SaidHere, clock_seconds, said_words, with_unread
from console.dashboard.screen.view import OpenTool, Operate, Tool, UndoOperation
from console.operations import (
    ONE_TAP,
    RecordInjection,
    TapEvent,
    next_injection,
    start_injection,
    stop_injection,
    under_way,
)
from console.snapshot import Mode, Snapshot
from quantify.findings import Injection

TOOL_KEYS: dict[Tool, str] = {
    Tool.SETUP: "F2",
    Tool.INJECTIONS: "F3",
    Tool.SERIES: "F4",
    Tool.REGISTRATION: "F5",
    Tool.VOLUMES: "F6",
    Tool.DRAWING: "F7",
    Tool.CONNECTION: "F8",
    Tool.TUNING: "F9",
}
"""The key of each dialog."""
_ON_THE_BAR = (Tool.SETUP, Tool.INJECTIONS, Tool.SERIES, Tool.VOLUMES, Tool.CONNECTION, Tool.TUNING)
_TOOL_MEANS = {
    Tool.SETUP: "Patient, positions, fractions, vials and residuals.",
    Tool.INJECTIONS: "Every injection: times and net activity; cancelled, aborted, outside the MRI; closing.",
    Tool.SERIES: "What each series is, and of which fraction; from here also the registration by hand (F5).",
    Tool.VOLUMES: "Volumes of interest and their versions; from here also the drawing (F7).",
    Tool.CONNECTION: "What the scanner needs to send images here, and whether it can.",
    Tool.TUNING: "Settings of the computation: a draft beside what is in force.",
}
_TAP_MEANS = {
    "stasis": "Stasis: the flow has stopped.",
    "reflux": "Reflux: microspheres flow back.",
    "spasm": "Spasm of the artery.",
    "dislocation": "Dislocation: the catheter has moved.",
    "contrast": "Contrast agent given. It changes the computation: series acquired after it are fitted with their own "
    "signal at TE = 0, not the reference's.",
}
_SHORT = timedelta(seconds=2)
"""An injection that ended sooner after its start was hardly meant."""


_NOTHING = SaidHere()


def build_operator_bar(
    snapshot: Snapshot, *, now: datetime | None, mode: Mode, said: SaidHere = _NOTHING
) -> OperatorBar:
    """The bar as it stands now; none in a replay.

    Parameters
    ----------
    now
        The time on the wall: what a press records. None: no press can be told a time, so none is possible.
    said
        What was recorded here. What the engine has not read yet counts already: a computation may take many seconds,
        and the button must not offer the start of what has begun.
    """
    if mode is Mode.REPLAY:
        return OperatorBar()
    known = with_unread(snapshot, said.unread)
    return OperatorBar(
        shown=True,
        main=_main(known, now),
        taps=tuple(
            BarButton(words=label, action=Operate(operation=TapEvent(label=label)), tooltip=_TAP_MEANS[label])
            for label in ONE_TAP
        ),
        said=_said(known, said),
        undo=_undo(known, said),
        tools=tuple(
            BarButton(
                words=tool.value.capitalize(),
                sign=TOOL_KEYS[tool],
                action=OpenTool(tool=tool),
                tooltip=f"{_TOOL_MEANS[tool]}\nKey {TOOL_KEYS[tool]}.",
            )
            for tool in _ON_THE_BAR
        ),
    )


def halted(bar: OperatorBar) -> OperatorBar:
    """The bar of a screen that cannot be drawn anew: its button would record the time of that screen."""
    why = "The screen cannot be drawn anew, so the button would record an old time: use F3 Injections."
    return replace(bar, main=replace(bar.main, action=None, tone=Tone.MUTED, tooltip=why))


# -- the big button ------------------------------------------------------------------------------------------------


def _main(snapshot: Snapshot, now: datetime | None) -> BarButton:
    running = under_way(snapshot)
    if running is not None:
        return _stop(snapshot, running, now)
    if snapshot.closed is not None:
        by, at = snapshot.closed
        told = f"closed {room_clock(snapshot, at)} by {by}"
        return _resting("✓", "TREATMENT CLOSED", told, "Nothing more is given. It is opened again under F3 Injections.")
    upcoming = next_injection(snapshot)
    if upcoming is not None:
        return _start(snapshot, upcoming, now)
    if not snapshot.injections:
        return _resting("○", "NO INJECTION PLANNED", "F2 Setup", "Injections are planned under F2 Setup.")
    another = "Another injection is added under F3 Injections."
    return _resting("✓", "ALL PLANNED GIVEN", "another: F3", f"Every planned injection has happened. {another}")


def _resting(sign: str, words: str, detail: str, tooltip: str) -> BarButton:
    return BarButton(sign=sign, words=words, detail=detail, tone=Tone.MUTED, tooltip=tooltip)


def _start(snapshot: Snapshot, upcoming: Injection, now: datetime | None) -> BarButton:
    planned = "no activity planned"
    if upcoming.planned_mbq is not None:
        planned = f"{formatting.activity(upcoming.planned_mbq)} planned"
    told = f"Records that the injection of {upcoming.label} begins now ({planned}). Ctrl+Enter does the same."
    before = snapshot.reference is None and not snapshot.results
    if before:
        planned = f"{planned} · ! no reference yet"
        told += "\nNo reference series has been read: without one from before the first injection there is no dose."
    return BarButton(
        sign="▶",
        words=f"START {upcoming.label}",
        detail=planned,
        action=None if now is None else Operate(operation=start_injection(upcoming, now)),
        tone=Tone.GOOD,
        tooltip=f"{told}\nUndo takes it back.",
    )


def _stop(snapshot: Snapshot, running: Injection, now: datetime | None) -> BarButton:
    begun = running.started_at
    since = "" if begun is None else f"since {clock_seconds(snapshot, begun)}"
    # A start that was typed may carry seconds that the window's clock has not reached.
    ended = now if begun is None or now is None else max(now, begun)
    lasting = "" if ended is None or begun is None else formatting.age(ended - begun)
    return BarButton(
        sign="■",
        words=f"STOP {running.label}",
        detail=" · ".join(part for part in (since, lasting) if part),
        action=None if ended is None else Operate(operation=stop_injection(running, ended)),
        tone=Tone.ALERT,
        tooltip=f"Records that the injection of {running.label} has ended now. Ctrl+Enter does the same.\n"
        "Undo takes it back. What it delivered: from its vials, or typed under F3 Injections.",
    )


# -- what was said -------------------------------------------------------------------------------------------------


def _said(snapshot: Snapshot, said: SaidHere) -> State:
    if said.fault:
        return State(sign="✕", word=said.fault, tone=Tone.ALERT)
    if said.taken_back:
        return State(sign="↶", word=f"taken back: {said.taken_back}", tone=Tone.CAUTION)
    if said.last is None:
        return State(sign="", word="nothing said here yet", tone=Tone.MUTED)
    words = said_words(snapshot, said.last)
    short = _too_short(snapshot, said.last)
    if short:
        return State(sign="!", word=f"{words}, {short}", tone=Tone.CAUTION)
    return State(sign="✓", word=words, tone=Tone.GOOD)


def _undo(snapshot: Snapshot, said: SaidHere) -> BarButton:
    if said.last is None:
        told = "Takes back, by a later event, what was said last in this window: nothing yet."
        return BarButton(words="undo", sign="↶", tooltip=told)
    if said.final:
        told = f"{said_words(snapshot, said.last)} cannot be taken back here: change it where it was said."
        return BarButton(words="undo", sign="↶", tooltip=told)
    told = f"Takes back, by a later event: {said_words(snapshot, said.last)}. What was said stays in the record."
    return BarButton(words="undo", sign="↶", action=UndoOperation(), tooltip=told)


def _too_short(snapshot: Snapshot, said: Said) -> str:
    """``1 s after its start``, where a stop followed a start too soon to be meant."""
    operation = said.operation
    if not isinstance(operation, RecordInjection) or not operation.said.get("time"):
        return ""
    own = next((i for i in snapshot.injections if i.key == operation.key), None)
    if own is None or own.started_at is None or own.time is None or not own.time - own.started_at < _SHORT:
        return ""
    return f"{(own.time - own.started_at).total_seconds():.0f} s after its start"
