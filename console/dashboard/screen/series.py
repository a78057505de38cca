"""The table of the series: what each is to the treatment, how much of it is here, and whether it can be used."""

from __future__ import annotations

from console.dashboard.screen.model import Cell, Row, State, Table, Tone
from console.dashboard.screen.remembered import by_identity
from console.dashboard.screen.room_time import room_clock
from console.snapshot import Binding, Snapshot
from dicom_listener.images import SeriesState, SeriesStatus

TIME = "time of day, plan's time zone"
_MOST_SERIES = 6


def holmium_series_arriving(snapshot: Snapshot) -> SeriesState | None:
    """The latest series that is arriving and may serve as reference or fraction; None when none is."""
    arriving = [s for s in snapshot.series if s.status is SeriesStatus.ARRIVING and s.holmium_refusal is None]
    return max(arriving, key=lambda s: s.last_seq, default=None)


@by_identity()
def series_table(snapshot: Snapshot) -> Table:
    """The latest series: what they are to the treatment, how much of them is here, and whether they can be used."""
    bindings = {binding.series_key: binding for binding in snapshot.bindings}
    rows = _quarantined(snapshot)
    latest = sorted(snapshot.series, key=lambda s: -s.last_seq)[:_MOST_SERIES]
    rows += [_series_row(snapshot, series, bindings.get(series.key)) for series in latest]
    return Table(
        columns=("", "", ""),
        rows=tuple(rows),
        empty="being read again" if snapshot.restored else "no series has arrived",
    )


def _series_row(snapshot: Snapshot, series: SeriesState, binding: Binding | None) -> Row:
    state = _series_state(series, binding)
    name = series_words(series, binding)
    if binding is not None and binding.role == "unbound" and binding.position is not None:
        name = f"{binding.position} F{binding.fraction}?"
    told = f"{name}: {state.word}"
    if series.echo_times_s and series.n_slices:
        told += f", {len(series.echo_times_s)} × {series.n_slices}"
    why = [series.reason, (binding.why if binding is not None else "") or (series.holmium_refusal or "")]
    if binding is not None and binding.role in ("reference", "fraction") and not binding.confirmed:
        told += " · ?\u00a0binding unconfirmed"
        why.append("What it is was found by its time; the operator has not confirmed it")
    what = f"{state.word}: {'. '.join(dict.fromkeys(w.rstrip('.') for w in why if w))}."
    return Row(
        cells=(
            Cell(
                text=f"{state.sign} {room_clock(snapshot, series.acquired_at)}",
                tone=state.tone,
                tooltip=f"{state.word}; begin of the acquisition ({TIME}), from its DICOM images",
            ),
            Cell(
                text=told,
                tone=_tone_of_words(state, told),
                tooltip=f"{what}\n{series.description or 'no description'}; echoes × slices, from the DICOM series",
            ),
            Cell(
                text=f"{series.received}/{series.expected or '?'}",
                tone=state.tone,
                tooltip=f"images received of those expected of this DICOM series. {what}",
            ),
        )
    )


def _tone_of_words(state: State, told: str) -> Tone:
    if state.tone is not Tone.GOOD:
        return state.tone
    return Tone.CAUTION if "unconfirmed" in told else Tone.NORMAL


def _quarantined(snapshot: Snapshot) -> list[Row]:
    """What was set aside, a short line for each cause: the alarms say it at length."""
    kinds = {"patient_mismatch": "other patient", "instance_conflict": "same image, other content"}
    told: dict[str, str] = {}
    for raised in snapshot.alarms:
        if raised.alarm.kind in kinds:
            told.setdefault(kinds[raised.alarm.kind], raised.alarm.text)
    return [
        Row(
            cells=(
                Cell(text="✕", tone=Tone.ALERT, tooltip=text),
                Cell(text=f"quarantined: {cause}", tone=Tone.ALERT, tooltip=f"{text} Recorded with its alarm."),
                Cell(text=""),
            )
        )
        for cause, text in told.items()
    ]


def series_words(series: SeriesState, binding: Binding | None) -> str:
    """What a series is, by its binding, else by its own description."""
    if binding is not None and binding.role == "fraction":
        return f"{binding.position} F{binding.fraction}"
    if binding is not None and binding.role in ("superseded", "refused") and binding.position is not None:
        return f"{binding.position} F{binding.fraction}"
    if binding is not None and binding.role not in ("unbound", "refused", "ignored"):
        return binding.role
    return series.description or series.protocol or "series without description"


def _series_state(series: SeriesState, binding: Binding | None) -> State:
    role = "" if binding is None else binding.role
    if series.status is SeriesStatus.ARRIVING:
        return State(sign="●", word="arriving", tone=Tone.ACTIVE)
    if series.status is SeriesStatus.INCOMPLETE:
        return State(sign="!", word="incomplete, dose refused", tone=Tone.CAUTION)
    if role == "refused":
        return State(sign="✕", word="refused", tone=Tone.ALERT)
    if role in ("superseded", "ignored"):
        return State(sign="–", word=role, tone=Tone.MUTED)
    if series.holmium_refusal is not None and role != "anatomy":
        return State(sign="–", word="no holmium series", tone=Tone.MUTED)
    return State(sign="✓", word="complete", tone=Tone.GOOD)
