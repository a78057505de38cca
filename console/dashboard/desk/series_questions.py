"""The question that only a person can answer: two series in one window. What each answer means, and what it records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from console.dashboard.desk.form import Entry, Field, Form, Verdict, checked, number, number_check, past_moment
from console.dashboard.desk.injection_form import ACTIVITY, ENDED, HIGHEST_MBQ, LOWEST_MBQ, injection_form
from console.dashboard.screen.formatting import clock
from console.dashboard.screen.room_time import room_clock, room_time
from console.operations import AssignSeries, Operation, RecordInjection, Together, questions
from console.snapshot import Binding, Snapshot
from dicom_listener.images import SeriesState
from quantify.findings import Injection

LATER, EARLIER, UNLOGGED, BASELINE = "later", "earlier", "unlogged", "baseline"
_ONE_UNDO = "One Undo takes this answer back."


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer: what its button says, what it will record, and what has to be filled in for it."""

    key: str
    words: str
    records: tuple[str, ...]
    """What will be recorded and what follows, a sentence each."""
    operation: Operation | None
    """None while something is missing."""
    form: Form = field(default_factory=Form)
    impossible: str = ""
    """Why it cannot be given; the button is off then."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Two series between one injection and the next."""

    key: tuple[str, str]
    sentence: str
    why: str
    answers: tuple[Answer, ...]


def open_question_keys(snapshot: Snapshot) -> frozenset[str]:
    """Keys of the series that something is asked of."""
    return frozenset(b.series_key for pair in questions(snapshot) for b in pair)


def series_name(snapshot: Snapshot, state: SeriesState) -> str:
    """``gre 10:26``: description and the time of day of its acquisition."""
    return f"{state.description or state.protocol or 'series'} {room_clock(snapshot, state.acquired_at)}"


def series_question(snapshot: Snapshot, typed: Mapping[str, str], now: datetime | None) -> Question | None:
    """The first open question, with its answers as far as they are filled in; None where nothing is asked.

    Parameters
    ----------
    typed
        What stands in the fields of the answers.
    now
        The time on the wall; None where there is none.
    """
    pairs = questions(snapshot)
    states = {s.key: s for s in snapshot.series}
    if not pairs or any(b.series_key not in states for b in pairs[0]):
        return None
    aside, used = pairs[0]
    first, last = sorted((aside, used), key=lambda b: _begun(states[b.series_key]))
    earlier, later = states[first.series_key], states[last.series_key]
    label = f"{used.position} F{used.fraction}"
    more = f" ({len(pairs)} questions: this is the first)" if len(pairs) > 1 else ""
    times = f"{room_clock(snapshot, earlier.acquired_at)} and {room_clock(snapshot, later.acquired_at)}"
    return Question(
        key=(first.series_key, last.series_key),
        sentence=f"? Two series were acquired after {label} and before the next injection, at {times}. "
        f"What are they?{more}",
        why=f"Until this is answered {label} is computed from {series_name(snapshot, states[used.series_key])} and "
        "marked provisional.",
        answers=(
            _repeat(snapshot, LATER, used, later, earlier),
            _repeat(snapshot, EARLIER, used, earlier, later),
            _unlogged(snapshot, used, earlier, later, typed, now),
            _baseline(snapshot, used, earlier, later, typed),
        ),
    )


def _repeat(snapshot: Snapshot, key: str, used: Binding, kept: SeriesState, left: SeriesState) -> Answer:
    label = f"{used.position} F{used.fraction}"
    is_one = AssignSeries(series_key=kept.key, role="fraction", position=used.position, fraction=used.fraction)
    return Answer(
        key=key,
        words=f"A repeat: use the {key}, {room_clock(snapshot, kept.acquired_at)}",
        records=(
            f"{series_name(snapshot, kept)} is {label}; {label} is computed from it.",
            f"{series_name(snapshot, left)} is not used; it stays in the file.",
            _ONE_UNDO,
        ),
        operation=Together(operations=(is_one, AssignSeries(series_key=left.key, role="ignore"))),
    )


# -- an injection that was not logged ------------------------------------------------------------------------------


def _unlogged(
    snapshot: Snapshot,
    used: Binding,
    earlier: SeriesState,
    later: SeriesState,
    typed: Mapping[str, str],
    now: datetime | None,
) -> Answer:
    possible = _may_have_happened(snapshot, used)
    after, until = (_true_time(snapshot, s) for s in (earlier, later))
    words = "An injection between them was not logged"
    if after is None or until is None or now is None:
        why = "the time of one of the series is not known"
        return Answer(key=UNLOGGED, words=words, records=(), operation=None, impossible=why)
    form = Form(
        fields=(
            Field(
                key="injection",
                label="Injection",
                entry=Entry.CHOICE,
                choices=tuple(f"{p} F{n}" for p, n in possible),
                required=True,
                tooltip="The next planned injection, unless it was another one",
            ),
            Field(
                key="ended",
                label="Ended at",
                unit="time of day",
                hint=f"between {clock(after)} and {clock(until)}",
                required=True,
                tooltip="End of the injection, in the plan's time zone, by this console's clock",
            ),
            Field(
                key="activity",
                label="Net activity",
                unit="MBq",
                entry=Entry.NUMBER,
                hint="empty: not known",
                tooltip="At the end of the injection",
            ),
        ),
        texts={"injection": f"{possible[0][0]} F{possible[0][1]}", **typed},
    )
    zone = _zone(snapshot, after)

    def between(text: str) -> str:
        try:
            told = past_moment(text, zone=zone, now=now, days=3650.0)
        except ValueError as error:
            return str(error)
        # Hours and minutes are the minute's beginning: the minute of the first series may be meant.
        if not after < told <= until:
            return f"expected a time after {after:%H:%M:%S} and before {until:%H:%M:%S}, when the series were begun"
        return ""

    form = checked(form, {"ended": between, "activity": number_check(unit="MBq", low=LOWEST_MBQ, high=HIGHEST_MBQ)})
    form = _as_of_the_injection(snapshot, form, now)
    label = form.text("injection")
    given = form.text("activity").strip()
    activity = "activity not known" if not given else f"{given} MBq"
    return Answer(
        key=UNLOGGED,
        words=words,
        records=(
            f"{label} was injected, {activity}; {series_name(snapshot, later)} then shows {label} and "
            f"{series_name(snapshot, earlier)} shows {used.position} F{used.fraction}.",
            f"▲ {label} is provisional, and nothing after it has a recovery, until its activity is recorded."
            if not given
            else f"Everything from {label} on is computed with that activity.",
            _ONE_UNDO,
        ),
        operation=_recorded(form, dict(zip(form.fields[0].choices, possible, strict=True)), zone, now),
        form=form,
    )


def _as_of_the_injection(snapshot: Snapshot, form: Form, now: datetime) -> Form:
    """The form with what is said of such an activity where injections are recorded: vials, plan, unit."""
    own = next((i for i in snapshot.injections if i.label == form.text("injection")), None)
    given = form.text("activity").strip()
    if own is None or not given or not form.ready:
        return form
    said = injection_form(snapshot, own, {ENDED: form.text("ended"), ACTIVITY: given}, now).form
    return replace(form, verdicts={**form.verdicts, "activity": said.verdicts[ACTIVITY]})


def _recorded(form: Form, keys: Mapping[str, tuple[str, int]], zone: ZoneInfo, now: datetime) -> RecordInjection | None:
    if not form.ready or form.text("injection") not in keys:
        return None
    position, fraction = keys[form.text("injection")]
    ended = past_moment(form.text("ended"), zone=zone, now=now, days=3650.0)
    given = form.text("activity").strip()
    said = {"time": ended.isoformat(), "activity_MBq": number(given, unit="MBq", low=0.0) if given else None}
    return RecordInjection(position=position, fraction=fraction, said=said)


def _may_have_happened(snapshot: Snapshot, used: Binding) -> list[tuple[str, int]]:
    """Injections that may be meant: those to come at the same position, its next number if none, then the others'."""
    to_come = [i for i in snapshot.injections if i.time is None and not i.aborted]
    own: list[tuple[str, int]] = [i.key for i in to_come if i.position == used.position]
    if not own:
        known = (i.fraction for i in snapshot.injections if i.position == used.position)
        own = [(str(used.position), max(known, default=0) + 1)]
    return [*own, *(i.key for i in to_come if i.position != used.position)]


# -- a new baseline ------------------------------------------------------------------------------------------------


def _baseline(
    snapshot: Snapshot, used: Binding, earlier: SeriesState, later: SeriesState, typed: Mapping[str, str]
) -> Answer:
    positions = _positions_to_come(snapshot.injections, used)
    if not positions:
        why = "no other injection position has an injection to come"
        words = "The later one is a new baseline of the next position"
        return Answer(key=BASELINE, words=words, records=(), operation=None, impossible=why)
    chosen = typed.get("position", positions[0])
    position = chosen if chosen in positions else positions[0]
    form = Form()
    if len(positions) > 1:
        one = Field(key="position", label="Position", entry=Entry.CHOICE, choices=positions, required=True)
        form = Form(fields=(one,), texts={"position": position}, verdicts={"position": Verdict()})
    label = f"{used.position} F{used.fraction}"
    return Answer(
        key=BASELINE,
        words=f"The later one is a new baseline of {position}",
        records=(
            f"{series_name(snapshot, later)} was acquired after re-positioning, before the first injection at "
            f"{position}: only what comes on top of it is {position}'s.",
            f"{label} is computed from {series_name(snapshot, earlier)}.",
            _ONE_UNDO,
        ),
        operation=AssignSeries(series_key=later.key, role="baseline", position=position),
        form=form,
    )


def _positions_to_come(injections: tuple[Injection, ...], used: Binding) -> tuple[str, ...]:
    to_come = (i.position for i in injections if i.time is None and not i.aborted)
    return tuple(dict.fromkeys(p for p in to_come if p != used.position))


# -- times ---------------------------------------------------------------------------------------------------------


def _begun(state: SeriesState) -> float:
    return state.acquired_at.timestamp() if state.acquired_at is not None else 0.0


def _true_time(snapshot: Snapshot, state: SeriesState) -> datetime | None:
    """When a series was begun, by this console's clock, in the plan's time zone."""
    if state.acquired_at is None:
        return None
    return room_time(snapshot, state.acquired_at - timedelta(seconds=snapshot.clock_offset_s or 0.0))


def _zone(snapshot: Snapshot, moment: datetime) -> ZoneInfo:
    if snapshot.plan is not None:
        return ZoneInfo(snapshot.plan.time_zone)
    return moment.tzinfo if isinstance(moment.tzinfo, ZoneInfo) else ZoneInfo("UTC")
