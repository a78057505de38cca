"""The dialog of the injections: all of them as a table, one of them as a form, and what can be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from console.dashboard.desk.form import Form
from console.dashboard.desk.injection_form import Typed, injection_form, planned_injection
from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, Row, State, Table, Tone
from console.dashboard.screen.room_time import room_time
from console.operations import (
    CloseTreatment,
    GiveUpPosition,
    Operation,
    RecordInjection,
    RestorePosition,
    next_injection,
    under_way,
)
from console.snapshot import Snapshot
from quantify.findings import Injection

Key = tuple[str, int]
COLUMNS = ("Injection", "Planned", "Vials", "Start", "End", "Net activity", "State")
CLOSING = (
    "Closing says that nothing more is given: the treatment counts as complete, and no injection starts until it is "
    "opened again. Images that still arrive are computed as before."
)
_NO_FACT = ("fault",)
"""Of what is kept of an injection: told of what was said, not said."""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """A button: what it is called, what it says (None: nothing, and why not), and how it is told that it was said."""

    label: str
    operation: Operation | None = None
    done: str = ""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class InjectionsScreen:
    """What the dialog shows."""

    table: Table
    keys: tuple[Key, ...] = ()
    """Of the rows, one by one."""
    chosen: Key | None = None
    title: str = ""
    form: Form = field(default_factory=Form)
    net: State = field(default_factory=lambda: State(sign="", word=""))
    """What is known of the chosen injection's activity, and why it is provisional."""
    record: Deed = field(default_factory=lambda: Deed(label="Record"))
    deeds: tuple[Deed, ...] = ()
    """Take back, cancel or restore, give up or go on, another injection."""
    close: Deed = field(default_factory=lambda: Deed(label="Close the treatment"))
    closing: str = CLOSING


def build_injections(
    snapshot: Snapshot, *, chosen: Key | None, typed: Mapping[str, str], now: datetime | None
) -> InjectionsScreen:
    """Everything that the dialog shows of the injections.

    Parameters
    ----------
    chosen
        The injection whose form is shown; None, or one that there is no more: the one that is under way or comes next.
    typed
        What was typed of it, by field.
    now
        The time on the wall; None: nothing can be recorded.
    """
    cancelled = cancelled_keys(snapshot)
    keys = (*(i.key for i in snapshot.injections), *cancelled)
    chosen = chosen if chosen in keys else _usual(snapshot, keys)
    table = Table(
        columns=COLUMNS,
        rows=(
            *(_row(snapshot, i, now) for i in snapshot.injections),
            *(_cancelled_row(snapshot, k) for k in cancelled),
        ),
        empty="no injection planned: F2 Setup",
    )
    if chosen is None:
        return InjectionsScreen(table=table, close=_close(snapshot))
    own = next((i for i in snapshot.injections if i.key == chosen), None)
    form = Typed(form=Form())
    if own is not None and now is not None:
        form = injection_form(snapshot, own, typed, now)
    return InjectionsScreen(
        table=table,
        keys=keys,
        chosen=chosen,
        title=f"{label_of(chosen)}: {injection_state(own).text if own is not None else '– cancelled'}",
        form=form.form,
        net=_net(own),
        record=_record(chosen, form),
        deeds=(
            _take_back(snapshot, chosen),
            _cancel(chosen, own),
            _give_up(snapshot, chosen[0]),
            _another(snapshot, chosen[0], keys),
        ),
        close=_close(snapshot),
    )


def label_of(key: Key) -> str:
    """``RHA F2``."""
    return f"{key[0]} F{key[1]}"


def cancelled_keys(snapshot: Snapshot) -> tuple[Key, ...]:
    """Injections that will not be given, in the order of the plan, then those that were added."""
    known = {i.key for i in snapshot.injections}
    planned = [i.key for i in getattr(snapshot.plan, "injections", ())]
    return tuple(key for key in dict.fromkeys((*planned, *snapshot.cancelled)) if key not in known)


def injection_state(injection: Injection) -> State:
    """How far an injection has come, whatever its images."""
    if injection.under_way:
        return State(sign="●", word="under way", tone=Tone.ACTIVE)
    where = ", outside the MRI" if injection.outside_mri else ""
    if injection.aborted:
        return State(sign="!", word=f"aborted{where}", tone=Tone.CAUTION)
    if injection.time is None:
        return State(sign="○", word=f"planned{where}", tone=Tone.MUTED)
    if injection.activity_mbq is None:
        return State(sign="!", word=f"given{where}, activity not known", tone=Tone.CAUTION)
    if injection.provisional_reason:
        return State(sign="!", word=f"given{where}, activity provisional", tone=Tone.CAUTION)
    return State(sign="✓", word=f"given{where}", tone=Tone.GOOD)


# -- the table -----------------------------------------------------------------------------------------------------


def _row(snapshot: Snapshot, injection: Injection, now: datetime | None) -> Row:
    state = injection_state(injection)
    planned = planned_injection(snapshot, injection.key)
    vials = ", ".join((planned.vials or ()) if planned is not None else ()) or formatting.NOT_KNOWN
    why = f"\nProvisional: {injection.provisional_reason}." if injection.provisional_reason else ""
    told = "Net, in MBq at the end of the injection; ± k = 1 by its own loss, assay besides."
    cells = (
        Cell(text=injection.label, bold=True),
        Cell(text=formatting.activity(injection.planned_mbq), tooltip="As planned."),
        Cell(text=vials, tooltip="The vials that it is drawn from (F2 Setup)."),
        Cell(text=_time(snapshot, injection.started_at, now)),
        Cell(text=_time(snapshot, injection.time, now)),
        Cell(text=_activity(injection), tooltip=told + why, tone=Tone.CAUTION if why else Tone.NORMAL),
        Cell(text=state.text, tone=state.tone, tooltip=state.word + why),
    )
    return Row(cells=cells, key=injection.label)


def _cancelled_row(snapshot: Snapshot, key: Key) -> Row:
    planned = planned_injection(snapshot, key)
    texts = (label_of(key), formatting.activity(planned.planned_mbq if planned is not None else None))
    words = (*texts, *(formatting.NOT_KNOWN,) * 4, "– cancelled")
    return Row(cells=tuple(Cell(text=word, tone=Tone.MUTED) for word in words), key=label_of(key))


def _time(snapshot: Snapshot, time: datetime | None, now: datetime | None) -> str:
    """With its day where that is not today's: a treatment may go on over midnight, or another week."""
    if time is None:
        return formatting.NOT_KNOWN
    told = room_time(snapshot, time)
    today = now is None or told.date() == room_time(snapshot, now).date()
    return told.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def _activity(injection: Injection) -> str:
    if injection.activity_mbq is not None and injection.activity_u_mbq:
        return formatting.with_uncertainty(injection.activity_mbq, injection.activity_u_mbq, "MBq")
    return formatting.activity(injection.activity_mbq)


def _net(injection: Injection | None) -> State:
    if injection is None or injection.time is None:
        return State(sign="", word="")
    # What is recorded, not what is being typed above it.
    known = "recorded: net activity "
    known += _activity(injection) if injection.activity_mbq is not None else "not known"
    if injection.provisional_reason:
        return State(sign="!", word=f"{known}, provisional: {injection.provisional_reason}", tone=Tone.CAUTION)
    if injection.activity_mbq is None:
        return State(sign="!", word=known, tone=Tone.CAUTION)
    return State(sign="●", word=known, tone=Tone.MUTED)


# -- the buttons ---------------------------------------------------------------------------------------------------


def _usual(snapshot: Snapshot, keys: tuple[Key, ...]) -> Key | None:
    usual = under_way(snapshot) or next_injection(snapshot)
    return usual.key if usual is not None else (keys[-1] if keys else None)


def _record(key: Key, typed: Typed) -> Deed:
    label = f"Record {label_of(key)}"
    faults = [verdict.fault for verdict in typed.form.verdicts.values() if verdict.fault]
    if typed.operation is None:
        return Deed(label=label, why="a field is refused" if faults else "nothing is changed")
    return Deed(label=label, operation=typed.operation, done=f"{label_of(key)} recorded")


def _take_back(snapshot: Snapshot, key: Key) -> Deed:
    said = tuple(name for name in snapshot.recorded.get(key, {}) if name not in _NO_FACT)
    label = f"Take back what was said of {label_of(key)}"
    if not said:
        return Deed(label=label, why="nothing was said of it over the plan")
    operation = RecordInjection(position=key[0], fraction=key[1], unsaid=said)
    return Deed(label=label, operation=operation, done=f"{label_of(key)} stands as in the plan")


def _cancel(key: Key, injection: Injection | None) -> Deed:
    position, fraction = key
    if injection is None:
        operation = RecordInjection(position=position, fraction=fraction, cancelled=False)
        return Deed(label=f"Restore {label_of(key)}", operation=operation, done=f"{label_of(key)} is planned again")
    label = f"Cancel {label_of(key)}"
    if injection.time is not None or injection.started_at is not None or injection.aborted:
        return Deed(label=label, why="it has begun: take back first what was said of it")
    operation = RecordInjection(position=position, fraction=fraction, cancelled=True)
    return Deed(label=label, operation=operation, done=f"{label_of(key)} will not be given")


def _give_up(snapshot: Snapshot, position: str) -> Deed:
    own = [i for i in snapshot.injections if i.position == position]
    to_come = [i for i in own if i.time is None and not i.under_way and not i.aborted]
    if to_come:
        return Deed(
            label=f"Give up {position}",
            operation=GiveUpPosition(position=position),
            done=f"{position} given up: {', '.join(i.label for i in to_come)} will not be given",
        )
    fractions = tuple(fraction for own, fraction in cancelled_keys(snapshot) if own == position)
    if fractions:
        operation = RestorePosition(position=position, fractions=fractions)
        return Deed(label=f"Go on at {position}", operation=operation, done=f"{position} goes on")
    return Deed(label=f"Give up {position}", why=f"nothing is planned any more at {position}")


def _another(snapshot: Snapshot, position: str, keys: tuple[Key, ...]) -> Deed:
    number = 1 + max(fraction for own, fraction in keys if own == position)
    label = f"Another injection at {position} (F{number})"
    if snapshot.closed is not None:
        return Deed(label=label, why="the treatment is closed: open it again first")
    operation = RecordInjection(position=position, fraction=number, cancelled=False)
    return Deed(label=label, operation=operation, done=f"{position} F{number} added, without planned activity or vials")


def _close(snapshot: Snapshot) -> Deed:
    if snapshot.closed is not None:
        by, at = snapshot.closed
        told = f"closed {formatting.clock(room_time(snapshot, at))} by {by}"
        return Deed(
            label="Open the treatment again",
            operation=CloseTreatment(closed=False),
            done="the treatment is open again",
            why=told,
        )
    running = under_way(snapshot)
    if running is not None:
        return Deed(label="Close the treatment", why=f"{running.label} is under way: say first that it has ended")
    return Deed(label="Close the treatment", operation=CloseTreatment(closed=True), done="the treatment is closed")
