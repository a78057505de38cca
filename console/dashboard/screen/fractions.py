"""The table of the fractions: every injection under its position, and how far it has come."""

from __future__ import annotations

from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, Row, State, Table, Tone
from console.dashboard.screen.remembered import by_identity
from console.dashboard.screen.room_time import room_clock
from console.dashboard.screen.series import TIME, holmium_series_arriving
from console.snapshot import Binding, Snapshot
from dicom_listener.images import SeriesState, SeriesStatus
from quantify.findings import FractionResult, FractionStatus, Injection


@by_identity()
def fractions_table(snapshot: Snapshot, shown: FractionResult | None) -> Table:
    """Every injection in order, under its position, with the key that shows it and how far it has come.

    Injections of the plan that were cancelled stand at the end, so that the keys count what is given or still planned.
    """
    rows: list[Row] = []
    position = None
    positions = list(dict.fromkeys(i.position for i in snapshot.injections))
    for number, injection in enumerate(snapshot.injections, start=1):
        if injection.position != position:
            position = injection.position
            which = f"POSITION {position}  {positions.index(position) + 1}/{len(positions)}"
            told = "injection position: its number of the number of positions, from the plan and what was recorded"
            rows.append(Row(cells=(Cell(text=which, bold=True, tooltip=told),), heading=True))
        rows.append(_fraction_row(snapshot, injection, number, highlighted=_is(shown, injection)))
    cancelled = _cancelled(snapshot)
    if cancelled:
        rows.append(Row(cells=(Cell(text="CANCELLED", bold=True),), heading=True))
    rows += [_cancelled_row(label, planned_mbq) for label, planned_mbq in cancelled]
    return Table(columns=("", "", "", ""), rows=tuple(rows), empty="no injections planned")


def _is(shown: FractionResult | None, injection: Injection) -> bool:
    return shown is not None and shown.key == injection.key


def _fraction_row(snapshot: Snapshot, injection: Injection, number: int, *, highlighted: bool) -> Row:
    state, words = fraction_state(snapshot, injection)
    given = injection.activity_mbq
    share = _planned_share(snapshot, injection)
    planned = (
        f"planned {formatting.activity(injection.planned_mbq)}{f', {share} of {injection.position}' if share else ''}"
    )
    net = f"net, in MBq at the end of the injection, as recorded; {planned} by the plan"
    if injection.activity_u_mbq:
        u = formatting.with_uncertainty(given, injection.activity_u_mbq, "MBq")
        net = f"{net}; {u} (k = 1) by its own loss, assay besides"
    if state.word == "planned" and share:
        words = f"{words}, {share} of {injection.position}"
    return Row(
        cells=(
            Cell(
                text=str(number) if number < 10 else "",
                tone=Tone.MUTED,
                tooltip="number of the key that shows it on this console",
            ),
            Cell(
                text=f"{state.sign} F{injection.fraction}",
                tone=state.tone,
                bold=True,
                tooltip=f"{injection.label}: {state.word}; number of the fraction at its position, from the plan",
            ),
            Cell(
                text=formatting.activity(given if given is not None else injection.planned_mbq),
                tone=Tone.MUTED if given is None else Tone.NORMAL,
                tooltip=f"{planned} by the plan" if given is None else net,
            ),
            Cell(
                text=words,
                tone=Tone.CAUTION if state.tone is Tone.GOOD and "unconfirmed" in words else state.tone,
                tooltip=_why(snapshot, injection, words),
            ),
        ),
        highlighted=highlighted,
    )


def _planned_share(snapshot: Snapshot, injection: Injection) -> str:
    """``30 %``: what is planned of all that is planned at the position."""
    planned = [i.planned_mbq for i in snapshot.injections if i.position == injection.position]
    total = sum(p for p in planned if p is not None)
    if injection.planned_mbq is None or any(p is None for p in planned) or total <= 0:
        return ""
    return f"{100.0 * injection.planned_mbq / total:.0f} %"


def _cancelled(snapshot: Snapshot) -> list[tuple[str, float | None]]:
    """What the plan has and the treatment has no more."""
    planned = getattr(snapshot.plan, "injections", ())
    keys = {injection.key for injection in snapshot.injections}
    return [(i.label, i.planned_mbq) for i in planned if i.key not in keys]


def _cancelled_row(label: str, planned_mbq: float | None) -> Row:
    told = f"{label}: in MBq and number of the fraction from the plan; cancelled by what was recorded"
    return Row(
        cells=(
            Cell(text=""),
            Cell(text=f"– {label.split()[-1]}", tone=Tone.MUTED, tooltip=told),
            Cell(text=formatting.activity(planned_mbq), tone=Tone.MUTED, tooltip=told),
            Cell(text=f"{label} cancelled", tone=Tone.MUTED, tooltip=told),
        )
    )


def fraction_state(snapshot: Snapshot, injection: Injection) -> tuple[State, str]:
    """How far one injection has come: its state and the words beside it."""
    result = next((r for r in snapshot.results if r.key == injection.key), None)
    state, words = _state_with(snapshot, injection, result) if result is not None else _state_of(snapshot, injection)
    if injection.aborted and "aborted" not in words:
        words += ", aborted"
    bound = next((b for b in _own(snapshot, injection) if b.role == "fraction"), None)
    return state, words if bound is None or bound.confirmed else f"{words} · ?\u00a0binding unconfirmed"


def _own(snapshot: Snapshot, injection: Injection) -> list[Binding]:
    return [b for b in snapshot.bindings if (b.position, b.fraction) == injection.key]


def _state_with(snapshot: Snapshot, injection: Injection, result: FractionResult) -> tuple[State, str]:
    """Of an injection with a result, which may be an error."""
    if result.status is FractionStatus.FAILED:
        if injection.outside_mri:
            given = "aborted" if injection.aborted else "given"
            words = f"{given} {room_clock(snapshot, injection.time)} outside MRI, not imaged"
            return State(sign="●", word="outside MRI", tone=Tone.CAUTION), words
        refused = _without_dose(snapshot, injection)
        if refused is not None:
            return refused
        if not _own(snapshot, injection) and result.series_instance_uid is None:
            given = "aborted" if injection.aborted else "given"
            words = f"{given} {room_clock(snapshot, injection.time)}, not imaged"
            return State(sign="●", word="not imaged", tone=Tone.CAUTION), words
        return State(sign="✕", word="failed", tone=Tone.ALERT), f"failed: {result.error or 'cause unknown'}"
    at = f"{room_clock(snapshot, result.acquired_at)}{', aborted' if injection.aborted else ''}"
    if result.status is FractionStatus.PROVISIONAL:
        why = "; ".join(result.provisional_reasons)
        return (
            State(sign="!", word="provisional", tone=Tone.CAUTION),
            f"provisional {at}{f': {why}' if why else ''}",
        )
    superseded = any(b.role == "superseded" for b in _own(snapshot, injection))
    return State(
        sign="✓", word="result", tone=Tone.GOOD
    ), f"result {at}{', earlier series superseded' if superseded else ''}"


def _state_of(snapshot: Snapshot, injection: Injection) -> tuple[State, str]:
    """Of an injection that has no result yet."""
    if injection.under_way:
        where = ", outside MRI" if injection.outside_mri else ""
        words = f"under way since {room_clock(snapshot, injection.started_at)}{where}"
        return State(sign="●", word="under way", tone=Tone.ACTIVE), words
    if injection.time is None:
        if injection.aborted:
            return State(sign="!", word="aborted", tone=Tone.CAUTION), "aborted"
        where = ", outside MRI" if injection.outside_mri else ""
        return State(sign="○", word="planned", tone=Tone.MUTED), f"planned{where}"
    refused = _without_dose(snapshot, injection)
    if refused is not None:
        return refused
    given = f"given {room_clock(snapshot, injection.time)}"
    state = State(sign="●", word="given", tone=Tone.ACTIVE)
    if injection.aborted:
        state = State(sign="!", word="aborted", tone=Tone.CAUTION)
        given = f"aborted {room_clock(snapshot, injection.time)}"
    if injection.outside_mri:
        return state, f"{given} outside MRI, not imaged"
    arriving = _arriving_for(snapshot, injection)
    if arriving is not None:
        return state, f"{given}, series arriving {arriving.received}/{arriving.expected or '?'}"
    if any(b.role == "fraction" for b in _own(snapshot, injection)):
        return state, f"{given}, series complete, computing"
    waiting = "waiting for its series" if snapshot.awaited == injection.key else "not imaged"
    unsure = ", activity provisional" if injection.provisional_reason else ""
    return state, f"{given}, {waiting}{unsure}"


def _without_dose(snapshot: Snapshot, injection: Injection) -> tuple[State, str] | None:
    """The series of an injection that cannot give a dose: refused, or ended with holes. None if there is none such."""
    states = {series.key: series for series in snapshot.series}
    for binding in _own(snapshot, injection):
        series = states.get(binding.series_key)
        if binding.role == "refused":
            return State(sign="✕", word="refused", tone=Tone.ALERT), f"series refused: {binding.why or 'cause unknown'}"
        if series is not None and series.status is SeriesStatus.INCOMPLETE and binding.role in ("unbound", "fraction"):
            words = f"incomplete {series.received}/{series.expected or '?'}, dose refused"
            return State(sign="!", word="incomplete", tone=Tone.CAUTION), words
    return None


def _arriving_for(snapshot: Snapshot, injection: Injection) -> SeriesState | None:
    keys = {binding.series_key for binding in _own(snapshot, injection)}
    own = [s for s in snapshot.series if s.key in keys and s.status is SeriesStatus.ARRIVING]
    if own:
        return own[-1]
    return holmium_series_arriving(snapshot) if snapshot.awaited == injection.key else None


def _why(snapshot: Snapshot, injection: Injection, words: str) -> str:
    """The words in full, with what stands behind them."""
    result = next((r for r in snapshot.results if r.key == injection.key), None)
    told = [f"{injection.label}: {words}"]
    if injection.provisional_reason:
        told.append(f"Activity: {injection.provisional_reason}.")
    if result is not None and result.error:
        told.append(f"{result.error}.")
    if result is not None:
        told += [f"{note}." for note in result.notes]
    told += [f"Series: {b.role}, {b.why}." for b in _own(snapshot, injection) if b.why]
    told.append(
        f"Times: {TIME}; of the injection as recorded by the operator, of the result from the DICOM series; n/N counts "
        "images received."
    )
    return "\n".join(told)
