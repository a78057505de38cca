"""Draft B beside active A: what each is worth now, doses of both with their difference, and flags that change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, Row, State, Table, Tone
from console.dashboard.screen.remembered import by_identity
from console.dashboard.screen.trend import series_indices
from console.dashboard.screen.words import dose_words, recovery_words
from console.snapshot import Snapshot
from quantify.difference import (
    Difference,
    d70_difference,
    largest_changes,
    mean_difference,
    recovery_difference,
)
from quantify.findings import FractionResult, FractionStatus, TrendPoint, VolumeStatistics, VolumeStatus

COLUMNS = ("", "", "A (Gy)", "B (Gy)", "Δ (Gy)", "Δ (%)", "± of Δ", "D70 A (Gy)", "D70 B (Gy)", "Δ D70 (Gy)")
_SENSITIVITY = (
    "B − A: a sensitivity, not a measurement. Both come from the same echoes and activities; its standard uncertainty "
    "(k = 1) lies between the first value (A and B share all errors) and the second (they share none)."
)
_LEAST_PLACES, _MOST_PLACES = 0, 2


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """What is known of B: its newest snapshot, and the newest with the results of what it was laid over with."""

    latest: Snapshot | None = None
    shown: Snapshot | None = None
    shown_at: datetime | None = None
    """When the numbers of ``shown`` came, on the treatment's own clock."""
    wanted: Mapping[str, object] = field(default_factory=dict)
    """What B is to be laid over with now."""
    refused: str = ""
    """Why the engine would not have it."""
    failure: str = ""
    """What is wrong with the engine's process."""

    def is_current(self, a: Snapshot) -> bool:
        """Whether the results shown are those of the present draft, over the plan that A is computed with."""
        shown = self.shown
        if shown is None or shown is not self.latest or self.refused:
            return False
        return shown.overrides == self.wanted and shown.loaded == a.loaded


def is_computed(snapshot: Snapshot) -> bool:
    """Whether a snapshot's results were made with its own plan and settings, and nothing newer is being computed."""
    return bool(snapshot.inputs) and snapshot.results_inputs == snapshot.inputs and not snapshot.computing


def active_state(a: Snapshot, now: datetime | None) -> State:
    """A in a line: settings, latest fraction, age of its images."""
    if not a.results:
        return State(sign="○", word="A: no fraction has a result yet", tone=Tone.MUTED)
    last = a.results[-1]
    known = now is not None and last.acquired_at is not None
    age = formatting.age(now - last.acquired_at) if known and now is not None and last.acquired_at else ""
    acquired = f"after {last.label} · {formatting.clock_like(last.acquired_at, now)}"
    words = " · ".join(filter(None, (f"A: active, {_hashes(a)}", acquired, f"age {age}" if age else "")))
    if a.computing or a.results_inputs != a.inputs:
        return State(sign="●", word=f"{words} · computing: {a.computing or 'new settings'}", tone=Tone.CAUTION)
    return State(sign="✓", word=words, tone=Tone.GOOD)


def draft_state(a: Snapshot, drafted: Drafted, *, unlocked: bool, faulty: bool, now: datetime | None) -> State:
    """B in a line: whether its numbers are those of the draft, and if not why.

    Parameters
    ----------
    a
        What B stands beside.
    faulty
        Whether something that was typed cannot be used: B then is still the draft before it.
    """
    if not unlocked:
        return State(sign="‖", word="B: locked. Unlock to try other values", tone=Tone.MUTED)
    old = " · B below is OLD: of the draft before" if drafted.shown is not None else ""
    if drafted.refused:
        return State(sign="✕", word=f"B refused: {drafted.refused}{old}", tone=Tone.ALERT)
    if faulty:
        return State(sign="✕", word=f"B not computed: a value cannot be used{old}", tone=Tone.ALERT)
    if not drafted.is_current(a):
        if drafted.failure:
            return State(sign="✕", word=f"B: {drafted.failure}{old}", tone=Tone.ALERT)
        words = drafted.latest.computing if drafted.latest is not None else ""
        return State(sign="●", word=f"B: computing: {words or 'starting'}{old}", tone=Tone.ACTIVE)
    shown = drafted.shown or Snapshot()
    came = drafted.shown_at
    age = f" · {formatting.clock_like(came, now)} · age {formatting.age(now - came)}" if came and now else ""
    which = "draft" if drafted.wanted else "draft without a change"
    return State(sign="✓", word=f"B: {which}, {_hashes(shown)}{age}", tone=Tone.GOOD)


@by_identity(kept=2)
def difference_table(a: Snapshot, b: Snapshot | None, only: FractionResult | None) -> Table:
    """Every volume: A, B and what changes; a bound stays a bound.

    Parameters
    ----------
    only
        The result of A that is looked at; None: all of them, the latest first.
    """
    others = {result.key: result for result in b.results} if b is not None else {}
    indices = series_indices(a)
    rows: list[Row] = []
    for result in reversed(a.results) if only is None else (only,):
        other = others.get(result.key)
        rows.append(Row(cells=(Cell(text=f"after {result.label}{_failed(result, other)}"),), heading=True))
        names = dict.fromkeys([*result.volumes, *(other.volumes if other is not None else ())])
        for name in names:
            own, its = result.volumes.get(name), other.volumes.get(name) if other is not None else None
            rows.append(Row(cells=_volume_cells(name, own, its, known=b is not None), series=indices.get(name)))
        rows.append(Row(cells=_recovery_cells(result, other, known=b is not None)))
    return Table(columns=COLUMNS, rows=tuple(rows), empty="no fraction has a result yet")


@by_identity(kept=2)
def marked_old(table: Table) -> Table:
    """The table with B named for what it is while another draft is being computed."""
    return replace(table, columns=tuple(head.replace("B (Gy)", "B, OLD (Gy)") for head in table.columns))


@by_identity(kept=2)
def changes_in_words(a: Snapshot, b: Snapshot | None) -> tuple[Cell, ...]:
    """What changes that is no number: flags, bounds, failures."""
    if b is None:
        return ()
    others = {result.key: result for result in b.results}
    told = tuple(
        Cell(text=f"▲ {result.label} {words}", tone=Tone.CAUTION, bold=True)
        for result in reversed(a.results)
        if (other := others.get(result.key)) is not None
        for words in _changes(result, other)
    )
    return told or (Cell(text="= no flag, lower bound or failure changes", tone=Tone.GOOD),)


@by_identity(kept=2)
def largest_in_words(a: Snapshot, b: Snapshot) -> tuple[Cell, ...]:
    """Of every volume the largest change of its mean dose, over all fractions."""
    cells = []
    for name, (label, change) in largest_changes(a.results, b.results).items():
        text, tone = _change_text(change)
        share = f" ({_percent(change)})" if change.change_pct is not None else ""
        unit = " Gy" if change.change is not None else ""
        cells.append(
            Cell(text=f"{name}: {text}{unit}{share}, after {label}", tone=tone, bold=change.change is not None)
        )
    return tuple(cells)


def _hashes(snapshot: Snapshot) -> str:
    plan, _, settings = (snapshot.results_inputs or f"/{snapshot.settings_sha256}").partition("/")
    return f"plan {plan[:8]} settings {settings[:8]}" if plan else f"settings {settings[:8] or formatting.NOT_KNOWN}"


def _failed(result: FractionResult, other: FractionResult | None) -> str:
    told = [f"{name}: {own.error}" for name, own in (("A", result), ("B", other)) if own is not None and own.error]
    return f" · {' · '.join(told)}" if told else ""


def _volume_cells(
    name: str, a: VolumeStatistics | None, b: VolumeStatistics | None, *, known: bool
) -> tuple[Cell, ...]:
    mean = mean_difference(a, b) if known else Difference()
    d70 = d70_difference(a, b) if known else Difference()
    text, tone = _change_text(mean)
    return (
        Cell(text=""),
        Cell(text=name, bold=True),
        _mean_cell(a),
        _mean_cell(b),
        Cell(text=text, tone=tone, bold=mean.change is not None, tooltip=mean.why or _SENSITIVITY),
        Cell(text=_percent(mean), tone=tone, tooltip=_SENSITIVITY),
        Cell(text=_bounds(mean), tone=Tone.MUTED, tooltip=_SENSITIVITY),
        _d70_cell(a),
        _d70_cell(b),
        Cell(
            text=_change_text(d70)[0] if d70.change is not None else formatting.NOT_KNOWN if d70.why else "",
            tone=_change_text(d70)[1],
            tooltip=d70.why or _SENSITIVITY,
        ),
    )


def _recovery_cells(a: FractionResult, b: FractionResult | None, *, known: bool) -> tuple[Cell, ...]:
    change = recovery_difference(a, b) if known else Difference()
    about = "Activity measured in the liver over injected, cumulative, %; Δ in percentage points."
    words = f"— {change.why}" if change.why else ""
    if change.change is not None:
        words = f"{formatting.signed(100 * change.change, 1)} %"
    return (
        Cell(text=""),
        Cell(text="Recovery", bold=True, tooltip=about),
        Cell(text=recovery_words(a), tooltip=about),
        Cell(text=recovery_words(b) if b is not None else "", tooltip=about),
        Cell(text=words, tone=Tone.NORMAL if change.change else Tone.MUTED, tooltip=f"{about}\n{_SENSITIVITY}"),
        *(Cell(text="") for _ in COLUMNS[6:]),
        Cell(text=""),
    )


def _mean_cell(own: VolumeStatistics | None) -> Cell:
    if own is None:
        return Cell(text="")
    if own.status is VolumeStatus.NOT_EVALUABLE:
        return Cell(text="— not evaluable", tone=Tone.CAUTION, tooltip=own.message)
    bound = own.status is VolumeStatus.LOWER_BOUND
    tooltip = f"a lower bound: {own.message}" if bound else "mean absorbed dose, cumulative, Gy ± u (k = 1)"
    return Cell(text=_without_unit(dose_words(own)), tone=Tone.CAUTION if bound else Tone.NORMAL, tooltip=tooltip)


def _d70_cell(own: VolumeStatistics | None) -> Cell:
    if own is None:
        return Cell(text="")
    interval = own.intervals.get("d70_gy")
    if own.d70_gy is None or interval is None or own.status is VolumeStatus.NOT_EVALUABLE:
        return Cell(text=formatting.NOT_KNOWN, tone=Tone.MUTED, tooltip=own.message or "D70 is withheld")
    if own.status is VolumeStatus.LOWER_BOUND:
        words = formatting.lower_bound(own.d70_gy, interval.u, "Gy")
        return Cell(text=_without_unit(words), tone=Tone.CAUTION, tooltip="a lower bound")
    return Cell(text=_without_unit(formatting.with_uncertainty(own.d70_gy, interval.u, "Gy")))


def _without_unit(words: str) -> str:
    """The unit stands in the column's head."""
    return words.removesuffix(" Gy")


def _places(change: Difference) -> int:
    """One digit more than A and B have: what changes is seen before it matters."""
    u = change.u_separate
    if u is None or not u > 0:
        return 1
    return min(max(1 + formatting.decimals_for(u), _LEAST_PLACES), _MOST_PLACES)


def _change_text(change: Difference) -> tuple[str, Tone]:
    if change.change is None:
        return (f"— {change.why}" if change.why else "", Tone.MUTED)
    if change.change == 0:
        return "= 0", Tone.MUTED
    places = _places(change)
    if round(change.change, places) == 0:
        return f"≈ {formatting.decimal(0.0, places)}", Tone.MUTED
    return formatting.signed(change.change, places), Tone.NORMAL


def _percent(change: Difference) -> str:
    return "" if change.change_pct is None else f"{formatting.signed(change.change_pct, 1)} %"


def _bounds(change: Difference) -> str:
    if not change.change or change.u_shared is None or change.u_separate is None:
        return ""
    places = max(0, formatting.decimals_for(change.u_separate)) if change.u_separate > 0 else 1
    return f"± {formatting.decimal(change.u_shared, _places(change))}…{formatting.decimal(change.u_separate, places)}"


def _changes(a: FractionResult, b: FractionResult) -> Iterator[str]:
    if a.status is not b.status:
        yield f"is {_result_words(a)} in A, {_result_words(b)} in B"
    for name in dict.fromkeys([*a.volumes, *b.volumes]):
        own, its = a.volumes.get(name), b.volumes.get(name)
        if own is not None and its is not None and own.status is not its.status:
            yield f"{name}: {_status_words(own)} in A, {_status_words(its)} in B"
        flag, other = a.trend.get(name), b.trend.get(name)
        if _flag_words(flag) != _flag_words(other):
            yield f"{name}: {_flag_words(flag)} in A{_by(flag)}, {_flag_words(other)} in B{_by(other)}"


def _result_words(result: FractionResult) -> str:
    return f"failed ({result.error})" if result.status is FractionStatus.FAILED else result.status.value


def _status_words(own: VolumeStatistics) -> str:
    return {VolumeStatus.OK: "evaluable", VolumeStatus.LOWER_BOUND: "a lower bound"}.get(own.status, "not evaluable")


def _flag_words(point: TrendPoint | None) -> str:
    if point is None or point.flagged is None:
        return "not tested"
    return "flagged" if point.flagged else "not flagged"


def _by(point: TrendPoint | None) -> str:
    if point is None or point.deviation_pct is None:
        return ""
    return f" ({formatting.signed(point.deviation_pct, 1)} %)"
