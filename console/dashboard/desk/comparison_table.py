"""What the comparison shows: the table, the sentences above it, and the plots of both. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from console.comparison import Comparison, Row, Side, Verdict
from console.comparison_words import HEADINGS, LEGEND, UNCERTAINTY, line, short_words, summary
from console.dashboard.screen.dvh import build_dvh
from console.dashboard.screen.model import Cell, DvhScreen, State, Table, Tone, TrendScreen
from console.dashboard.screen.model import Row as TableRow
from console.dashboard.screen.trend import build_trend, series_indices
from console.snapshot import Snapshot
from quantify.findings import FractionResult

COLUMNS = ("", *HEADINGS)
"""The first holds the symbol of a volume."""
RIGHT = tuple(range(3, len(COLUMNS) - 1))
"""Columns of numbers."""
_TONES = {
    Verdict.SAME: Tone.MUTED,
    Verdict.UNTOLD: Tone.MUTED,
    Verdict.WITHIN: Tone.NORMAL,
    Verdict.EITHER: Tone.ACTIVE,
    Verdict.CHANGED: Tone.ACTIVE,
    Verdict.BEYOND: Tone.CAUTION,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Plots:
    """The plots of a pair of fractions; None where a side has none. With `overlaid` both go into one pair of axes."""

    overlaid: bool
    trends: tuple[TrendScreen | None, TrendScreen | None]
    histograms: tuple[DvhScreen | None, DvhScreen | None]


def comparison_table(comparison: Comparison, pair: int, a: Snapshot, *, only_differing: bool) -> Table:
    """The rows of a pair of fractions under the names of their volumes.

    Parameters
    ----------
    a
        Gives the volumes their symbols.
    only_differing
        Leave out what is the same.
    """
    rows: list[TableRow] = []
    indices = series_indices(a)
    volume = ""
    for own in comparison.rows_of(pair):
        if only_differing and own.verdict is Verdict.SAME:
            continue
        if own.volume != volume:
            volume = own.volume
            rows.append(TableRow(cells=(Cell(text=volume),), heading=True, series=indices.get(volume)))
        rows.append(TableRow(cells=_cells(own)))
    return Table(columns=COLUMNS, rows=tuple(rows), empty="nothing differs" if only_differing else "no result")


def head_state(comparison: Comparison) -> State:
    """The whole in a line."""
    tone = Tone.GOOD if comparison.nothing_differs else Tone.NORMAL
    return State(sign="", word=summary(comparison), tone=tone)


def side_words(side: Side) -> State:
    """A side as the result names it: what it is, and whose."""
    whose = f" · patient {side.patient_id}" if side.patient_id else ""
    return State(sign="", word=f"{side.label}{whose}", tone=Tone.ACTIVE)


def sentences(comparison: Comparison) -> tuple[Cell, ...]:
    """What differs in what went in, and what the table cannot be read without."""
    about = "What A and B were made from: A → B."
    inputs = tuple(Cell(text=f"Δ {words}", tone=Tone.ACTIVE, tooltip=about) for words in comparison.inputs)
    notes = tuple(Cell(text=words, tone=Tone.MUTED) for words in comparison.notes)
    return (*inputs, *notes, Cell(text=UNCERTAINTY, tone=Tone.MUTED), Cell(text=LEGEND, tone=Tone.MUTED))


def plots(comparison: Comparison, pair: int, a: Snapshot, b: Snapshot) -> Plots:
    """Trend and histograms of a pair, in one pair of axes where both are of the same images.

    Otherwise they stand side by side: volumes of one name are not the same, and axes have the same ends.
    """
    own, its = comparison.pairs[pair].a, comparison.pairs[pair].b
    of_a, of_b = _of(a, own), _of(b, its)
    trends = (build_trend(a, of_a) if of_a else None), (build_trend(b, of_b) if of_b else None)
    curves = (build_dvh(a, of_a) if of_a else None), (build_dvh(b, of_b) if of_b else None)
    return Plots(overlaid=comparison.same_treatment, trends=_same_trend_axes(*trends), histograms=_same_axes(*curves))


def _of(snapshot: Snapshot, result: FractionResult | None) -> FractionResult | None:
    """The snapshot's own result of that fraction."""
    return next((r for r in snapshot.results if result is not None and r.key == result.key), None)


def _same_trend_axes(a: TrendScreen | None, b: TrendScreen | None) -> tuple[TrendScreen | None, TrendScreen | None]:
    if a is None or b is None:
        return a, b
    x, y = max(a.x_maximum_mbq, b.x_maximum_mbq), max(a.y_maximum_gy, b.y_maximum_gy)
    return replace(a, x_maximum_mbq=x, y_maximum_gy=y), replace(b, x_maximum_mbq=x, y_maximum_gy=y)


def _same_axes(a: DvhScreen | None, b: DvhScreen | None) -> tuple[DvhScreen | None, DvhScreen | None]:
    if a is None or b is None:
        return a, b
    x = max(a.x_maximum_gy, b.x_maximum_gy)
    return replace(a, x_maximum_gy=x), replace(b, x_maximum_gy=x)


def _cells(row: Row) -> tuple[Cell, ...]:
    name, unit, a, b, *change, verdict = line(row).cells
    tone = _TONES[row.verdict]
    marked = row.verdict in (Verdict.BEYOND, Verdict.EITHER, Verdict.CHANGED)
    return (
        Cell(text=""),
        Cell(text=name),
        Cell(text=unit, tone=Tone.MUTED),
        *(_value_cell(text, bound=value.bound, worded=row.quantity.worded) for text, value in ((a, row.a), (b, row.b))),
        *(Cell(text=text, tone=tone, bold=marked) for text in change[:1]),
        *(Cell(text=text, tone=Tone.MUTED) for text in change[1:]),
        Cell(text=verdict, tone=tone, bold=marked, tooltip=UNCERTAINTY),
    )


def _value_cell(text: str, *, bound: bool, worded: bool) -> Cell:
    """A value; of a status its first word, the rest beside it: sentences do not go into a column."""
    short = short_words(text) if worded else text
    tone = Tone.CAUTION if bound else Tone.NORMAL
    return Cell(text=short, tone=tone, tooltip=text if short != text else "")
