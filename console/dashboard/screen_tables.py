"""The tables of the screen: fractions, ledger, limits, series, volumes, alarms."""

from __future__ import annotations

import math

from console.dashboard import formatting
from console.dashboard.screen_model import Cell, Row, State, Table, Tone
from console.dashboard.screen_trend import series_indices, trend_cell
from console.snapshot import Binding, Snapshot
from dicom_listener.images import SeriesState, SeriesStatus
from quantify.findings import (
    FractionResult,
    FractionStatus,
    Injection,
    Priority,
    Registration,
    RegistrationStatus,
    VolumeStatistics,
    VolumeStatus,
)
from quantify.model import Role

_ROLE_WORDS = {
    Role.LIVER: "liver",
    Role.HEALTHY_LIVER: "healthy liver",
    Role.TUMOUR: "tumour",
    Role.TERRITORY: "territory",
}


def fractions_table(snapshot: Snapshot, shown: FractionResult | None) -> Table:
    """Every injection in order, under its position, with the key that shows it and how far it has come."""
    rows: list[Row] = []
    position = None
    positions = list(dict.fromkeys(i.position for i in snapshot.injections))
    for number, injection in enumerate(snapshot.injections, start=1):
        if injection.position != position:
            position = injection.position
            which = f"POSITION {position}  {positions.index(position) + 1}/{len(positions)}"
            rows.append(Row(cells=(Cell(text=which, bold=True),), heading=True))
        state, words = fraction_state(snapshot, injection)
        given = injection.activity_mbq if injection.activity_mbq is not None else injection.planned_mbq
        rows.append(
            Row(
                cells=(
                    Cell(text=str(number) if number < 10 else "", tone=Tone.MUTED, tooltip="key that shows it"),
                    Cell(text=f"{state.sign} F{injection.fraction}", tone=state.tone, bold=True),
                    Cell(
                        text=formatting.activity(given),
                        tone=Tone.MUTED if injection.activity_mbq is None else Tone.NORMAL,
                        tooltip="planned" if injection.activity_mbq is None else "injected, net",
                    ),
                    Cell(text=words, tone=state.tone),
                ),
                highlighted=shown is not None and shown.key == injection.key,
            )
        )
    return Table(columns=("", "", "", ""), rows=tuple(rows), empty="no injections planned")


def fraction_state(snapshot: Snapshot, injection: Injection) -> tuple[State, str]:
    """How far one injection has come: its state and the words beside it."""
    result = next((r for r in snapshot.results if r.key == injection.key), None)
    binding = next(
        (b for b in snapshot.bindings if (b.position, b.fraction) == injection.key and b.role == "fraction"), None
    )
    unconfirmed = "" if binding is None or binding.confirmed else ", binding unconfirmed"
    if result is not None and result.status is FractionStatus.FAILED:
        return State(
            sign="✕", word="failed", tone=Tone.ALERT
        ), f"failed: {result.error or 'cause unknown'}{unconfirmed}"
    if result is not None and result.status is FractionStatus.PROVISIONAL:
        why = "; ".join(result.provisional_reasons)
        words = f"provisional {formatting.clock(result.acquired_at)}{f': {why}' if why else ''}{unconfirmed}"
        return State(sign="!", word="provisional", tone=Tone.CAUTION), words
    if result is not None:
        return (
            State(sign="✓", word="result", tone=Tone.GOOD),
            f"result {formatting.clock(result.acquired_at)}{unconfirmed}",
        )
    if injection.aborted:
        return State(sign="!", word="aborted", tone=Tone.CAUTION), "aborted"
    if injection.time is not None:
        waiting = "not imaged"
        if snapshot.awaited == injection.key:
            arriving = holmium_series_arriving(snapshot)
            waiting = "waiting for its series"
            if arriving is not None:
                waiting = f"series arriving {arriving.received}/{arriving.expected or '?'}"
        return State(sign="●", word="given", tone=Tone.ACTIVE), f"given {formatting.clock(injection.time)}, {waiting}"
    return State(sign="○", word="planned", tone=Tone.MUTED), "planned"


def ledger_table(snapshot: Snapshot, shown: FractionResult | None) -> Table:
    """Where the activity is: planned, injected, seen by the images, not seen yet."""
    planned = [i.planned_mbq for i in snapshot.injections if i.planned_mbq is not None]
    injected = [i.activity_mbq for i in snapshot.injections if i.activity_mbq is not None]
    measured = formatting.NOT_KNOWN
    if shown is not None:
        measured = formatting.with_uncertainty(shown.measured_mbq, shown.measured_u_mbq, "MBq")
    missing = snapshot.not_imaged_mbq > 0
    rows = [
        ("injected", formatting.activity(sum(injected)) if injected else "0 MBq", Tone.NORMAL),
        ("planned, all", formatting.activity(sum(planned)) if planned else "not stated", Tone.MUTED),
        (f"measured after {shown.label}" if shown is not None else "measured", measured, Tone.NORMAL),
        (
            "! not imaged" if missing else "not imaged",
            f"{formatting.activity(snapshot.not_imaged_mbq)} not imaged" if missing else "0 MBq",
            Tone.CAUTION if missing else Tone.MUTED,
        ),
    ]
    return Table(
        columns=("", ""),
        rows=tuple(Row(cells=(Cell(text=a, tone=Tone.MUTED), Cell(text=b, tone=tone))) for a, b, tone in rows),
    )


def limits_table(snapshot: Snapshot, shown: FractionResult | None) -> Table:
    """Every limit of the plan with the value it stands against: ``healthy liver 29 ± 5 Gy, limit 55 Gy``."""
    rows = []
    for limit in snapshot.plan.limits if snapshot.plan is not None else ():
        statistics = shown.volumes.get(limit.volume) if shown is not None else None
        state = limit_state(snapshot, statistics, limit.volume, limit.dose_gy)
        rows.append(
            Row(
                cells=(
                    Cell(text=f"{state.sign} {limit.volume}", tone=state.tone),
                    Cell(text=f"{dose_words(statistics)}, limit {limit.dose_gy:g} Gy", tone=state.tone),
                )
            )
        )
    return Table(columns=("", ""), rows=tuple(rows), empty="the plan states no limit")


def limit_state(snapshot: Snapshot, statistics: VolumeStatistics | None, volume: str, limit_gy: float) -> State:
    """Whether a volume is over its limit, or an alarm says that it may be."""
    if statistics is None or statistics.dose_mean_gy is None:
        return State(sign="○", word="no value", tone=Tone.MUTED)
    if statistics.dose_mean_gy >= limit_gy:
        return State(sign="▲", word="over the limit", tone=Tone.ALERT)
    if any(a.active and a.alarm.priority is Priority.HIGH and a.alarm.volume == volume for a in snapshot.alarms):
        return State(sign="▲", word="upper bound over the limit", tone=Tone.ALERT)
    return State(sign="✓", word="under the limit", tone=Tone.GOOD)


def holmium_series_arriving(snapshot: Snapshot) -> SeriesState | None:
    """The latest series that is arriving and may serve as reference or fraction; None when none is."""
    arriving = [s for s in snapshot.series if s.status is SeriesStatus.ARRIVING and s.holmium_refusal is None]
    return max(arriving, key=lambda s: s.last_seq, default=None)


def series_table(snapshot: Snapshot, most: int = 6) -> Table:
    """The latest series: what they are to the treatment, and how much of them is here."""
    bindings = {binding.series_key: binding for binding in snapshot.bindings}
    rows = []
    for series in sorted(snapshot.series, key=lambda s: -s.last_seq)[:most]:
        binding = bindings.get(series.key)
        state = _series_state(series)
        unconfirmed = binding is not None and binding.role in ("reference", "fraction") and not binding.confirmed
        told = f"{series_words(series, binding)}{', binding unconfirmed' if unconfirmed else ''}"
        rows.append(
            Row(
                cells=(
                    Cell(text=f"{state.sign} {formatting.clock(series.acquired_at)}", tone=state.tone),
                    Cell(text=told, tooltip=series.reason),
                    Cell(text=f"{series.received}/{series.expected or '?'}", tone=state.tone, tooltip=series.reason),
                )
            )
        )
    return Table(columns=("", "", ""), rows=tuple(rows), empty="no series has arrived")


def series_words(series: SeriesState, binding: Binding | None) -> str:
    """What a series is, by its binding, else by its own description."""
    if binding is not None and binding.role == "fraction":
        return f"{binding.position} F{binding.fraction}"
    if binding is not None and binding.role != "unbound":
        return binding.role
    return series.description or series.protocol or "series without description"


def _series_state(series: SeriesState) -> State:
    if series.status is SeriesStatus.ARRIVING:
        return State(sign="●", word="arriving", tone=Tone.ACTIVE)
    if series.status is SeriesStatus.INCOMPLETE:
        return State(sign="!", word="incomplete", tone=Tone.CAUTION)
    return State(sign="✓", word="complete", tone=Tone.GOOD)


def dose_words(statistics: VolumeStatistics | None) -> str:
    """Mean dose of a volume: ``78 ± 11 Gy``, ``≥ 120 Gy``, or ``—`` where it cannot be said."""
    if statistics is None or statistics.status is VolumeStatus.NOT_EVALUABLE:
        return formatting.NOT_KNOWN
    if statistics.status is VolumeStatus.LOWER_BOUND:
        return formatting.lower_bound(statistics.dose_mean_gy, statistics.dose_mean_u_gy, "Gy")
    return formatting.with_uncertainty(statistics.dose_mean_gy, statistics.dose_mean_u_gy, "Gy")


def volumes_table(snapshot: Snapshot, shown: FractionResult | None) -> Table:
    """Every volume after the shown fraction. Uncertainties are k = 1; D70 is rounded like the mean."""
    columns = ("", "Volume", "mL", "Mean dose", "D70", "CV", "T/N", "Evaluable", "Trend")
    if shown is None:
        return Table(columns=columns, empty="no fraction has a result yet")
    if not shown.volumes:
        return Table(columns=columns, empty=f"{shown.label}: {shown.error or 'no volumes of interest'}")
    indices = series_indices(snapshot)
    order = (Role.TUMOUR, Role.HEALTHY_LIVER, Role.TERRITORY, Role.LIVER)
    rows = []
    for statistics in sorted(shown.volumes.values(), key=lambda s: order.index(s.role)):
        rows.append(_volume_row(statistics, shown, indices.get(statistics.name)))
    return Table(columns=columns, rows=tuple(rows))


def _volume_row(statistics: VolumeStatistics, shown: FractionResult, index: int | None) -> Row:
    role = _ROLE_WORDS[statistics.role]
    point = shown.trend.get(statistics.name)
    evaluable = f"{100.0 * statistics.evaluable_fraction:.0f} %"
    if statistics.status is VolumeStatus.NOT_EVALUABLE:
        why = statistics.message or "too few voxels can be evaluated"
        dose = Cell(text="— not evaluable", tone=Tone.CAUTION, tooltip=why)
        trend = Cell(text=why, tone=Tone.CAUTION, tooltip=why)
    else:
        tone = Tone.CAUTION if statistics.status is VolumeStatus.LOWER_BOUND else Tone.NORMAL
        dose = Cell(text=dose_words(statistics), tone=tone, bold=True, tooltip=statistics.message or "mean dose, k = 1")
        trend = trend_cell(point)
    return Row(
        cells=(
            Cell(text=""),
            Cell(text=statistics.name, bold=True, tooltip=role),
            Cell(text=f"{statistics.volume_ml:.0f}" if statistics.volume_ml >= 10 else f"{statistics.volume_ml:.1f}"),
            dose,
            Cell(text=_like_the_mean(statistics.d70_gy, statistics), tooltip="rounded like the mean; k not estimated"),
            Cell(text=f"{statistics.cv:.2f}" if statistics.cv is not None else formatting.NOT_KNOWN),
            Cell(text=f"{statistics.tnr:.1f}" if statistics.tnr is not None else formatting.NOT_KNOWN),
            Cell(text=evaluable, tone=Tone.CAUTION if statistics.evaluable_fraction < 0.9 else Tone.NORMAL),
            trend,
        ),
        series=index,
        highlighted=bool(point is not None and point.flagged),
    )


def _like_the_mean(value_gy: float | None, statistics: VolumeStatistics) -> str:
    u = statistics.dose_mean_u_gy
    if value_gy is None or u is None or u <= 0 or statistics.status is VolumeStatus.NOT_EVALUABLE:
        return formatting.NOT_KNOWN
    sign = "≥" if statistics.status is VolumeStatus.LOWER_BOUND else "≈"
    return f"{sign} {formatting.decimal(value_gy, min(formatting.decimals_for(u), 0))} Gy"


def recovery_words(result: FractionResult) -> str:
    """``104 % ± 8``: activity measured in the liver over activity injected, cumulative."""
    if result.recovery_ratio is None or result.recovery_u is None or result.recovery_u <= 0:
        return formatting.NOT_KNOWN
    value, u = formatting.pair(100.0 * result.recovery_ratio, 100.0 * result.recovery_u)
    return f"{value} % ± {u}"


def registration_words(registration: Registration | None) -> str:
    """``1.2 mm, 0.3°, similarity 0.97 · ok``: how far from the reference the patient lay, and the verdict."""
    if registration is None:
        return formatting.NOT_KNOWN
    if registration.status is RegistrationStatus.NOT_NEEDED:
        return "not needed"
    similarity = "" if registration.similarity is None else f", similarity {registration.similarity:.2f}"
    shift, turn = math.hypot(*registration.translation_mm), math.hypot(*registration.rotation_deg)
    return f"{shift:.1f} mm, {turn:.1f}°{similarity} · {registration.status.value.replace('_', ' ')}"
