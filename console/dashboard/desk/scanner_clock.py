"""The scanner's clock: what arrivals prove of it, what was confirmed, and what another offset does to the matching."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from console.dashboard.desk.form import Entry, Field, Form, Verdict, checked, number, number_check
from console.dashboard.desk.series_questions import series_name
from console.dashboard.screen.formatting import decimal, signed
from console.operations import ConfirmClock
from console.snapshot import Snapshot
from dicom_listener.images import SeriesState, SeriesStatus

_STILL_TELLING_S = 3600.0
"""Images that came later than this after their acquisition were sent afterwards: they tell nothing of a clock."""
_LARGEST_S = 86400.0
KEY = "offset"


@dataclass(frozen=True, kw_only=True)
class ClockScreen:
    """What is proven, what is in force, the field, and what follows from what stands in it."""

    proven: str
    in_force: str
    form: Form
    follows: str
    operation: ConfirmClock | None


def clock_screen(snapshot: Snapshot, text: str) -> ClockScreen:
    """The clock with what was typed so far: scanner's clock minus true time, s."""
    field = Field(
        key=KEY,
        label="Scanner's clock minus true time",
        unit="s",
        entry=Entry.NUMBER,
        hint="e.g. 74; −12 if it is behind",
        tooltip="Read both clocks at the same moment. True time is that of this console.",
        required=True,
    )
    form = checked(
        Form(fields=(field,), texts={KEY: text}), {KEY: number_check(unit="s", low=-_LARGEST_S, high=_LARGEST_S)}
    )
    if not form.ready:
        return ClockScreen(
            proven=proven_words(snapshot), in_force=_in_force(snapshot), form=form, follows="", operation=None
        )
    seconds = number(text, unit="s", low=-_LARGEST_S, high=_LARGEST_S)
    bound = snapshot.clock_ahead_at_least_s
    if bound is not None and seconds < bound:
        warning = f"by that an image arrived before it was begun: the clock is {_bound_words(bound)}"
        form = Form(fields=form.fields, texts=form.texts, verdicts={KEY: Verdict(warning=warning)})
    return ClockScreen(
        proven=proven_words(snapshot),
        in_force=_in_force(snapshot),
        form=form,
        follows=_follows(snapshot, seconds),
        operation=ConfirmClock(seconds=seconds),
    )


def proven_words(snapshot: Snapshot) -> str:
    """What arrivals prove of the scanner's clock."""
    ahead_s = snapshot.clock_ahead_at_least_s
    if ahead_s is None or ahead_s <= -_STILL_TELLING_S:
        return "Arrivals say nothing of the scanner's clock: no image came within an hour of its acquisition."
    how = "before it was begun by it" if ahead_s > 0 else f"{decimal(-ahead_s, 0)} s after it was begun by it"
    return f"The scanner's clock is {_bound_words(ahead_s)}: an image arrived {how}. More cannot be told from arrivals."


def _bound_words(ahead_s: float) -> str:
    return f"at least {decimal(ahead_s, 0)} s ahead" if ahead_s > 0 else f"at most {decimal(-ahead_s, 0)} s behind"


def _in_force(snapshot: Snapshot) -> str:
    if snapshot.clock_offset_s is None:
        return "? not confirmed: taken as 0 s"
    return f"✓ confirmed: {signed(snapshot.clock_offset_s, 1)} s"


def _follows(snapshot: Snapshot, seconds: float) -> str:
    """Which series would come after another injection than now."""
    now_s = snapshot.clock_offset_s or 0.0
    moved = []
    for state in snapshot.series:
        if state.status is not SeriesStatus.COMPLETE or state.holmium_refusal is not None:
            continue
        before, after = (_window(snapshot, state, offset) for offset in (now_s, seconds))
        if before != after and state.key in snapshot.assigned:
            moved.append(
                f"{series_name(snapshot, state)} lies {after} instead of {before}, but stays what was said of it"
            )
        elif before != after:
            moved.append(f"{series_name(snapshot, state)} lies {after} instead of {before}")
    if moved:
        return f"▲ With {signed(seconds, 1)} s {'; '.join(moved)}."
    return f"With {signed(seconds, 1)} s every series stays with its injection."


def _window(snapshot: Snapshot, state: SeriesState, offset_s: float) -> str:
    """Between which injections a series lies, in words."""
    if state.acquired_at is None:
        return "at an unknown time"
    begun = state.acquired_at - timedelta(seconds=offset_s)
    ended = [i for i in snapshot.injections if i.time is not None and i.time <= begun]
    return f"after {ended[-1].label}" if ended else "before the first injection"
