"""A comparison in words: values with the digits that their uncertainty allows, differences with both ends of theirs."""

from __future__ import annotations

from dataclasses import dataclass

from console.comparison import COVERAGE_FACTOR, Comparison, Pair, Row, Verdict
from console.comparison_quantities import TREND, Quantity, Value
from console.outputs.rounding import NOT_KNOWN, decimal, decimals_for, lower_bound, pair, signed

HEADINGS = ("", "unit", "A", "B", "B − A", "%", "± of B − A", "")
"""Of the columns of a line; the last is what the difference is worth."""
UNCERTAINTY = (
    "± are standard uncertainties (k = 1). That of B − A lies between the first value (A and B share all errors) and "
    "the second (they share none); how much they share is not known. A difference of a lower bound (≥) is not told."
)
LEGEND = (
    f"▲ beyond: more than {COVERAGE_FACTOR:g} u even if A and B share no error · "
    f"◇ between: more than {COVERAGE_FACTOR:g} u if they share all errors, less if none · "
    f"○ within: less than {COVERAGE_FACTOR:g} u in either case · "
    "Δ differs: no uncertainty of the difference is known · = same, to 1e-5"
)
_SIGNS = {
    Verdict.SAME: "=",
    Verdict.CHANGED: "Δ",
    Verdict.WITHIN: "○",
    Verdict.EITHER: "◇",
    Verdict.BEYOND: "▲",
    Verdict.UNTOLD: "—",
}
_PLACES = {"mL": 1, "%": 1, "": 2}
"""Of values without an uncertainty, by unit; others are whole."""
_MOST_PLACES = 2


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table: its cells in the order of `HEADINGS`, and the row that it tells."""

    cells: tuple[str, str, str, str, str, str, str, str]
    row: Row


def line(row: Row) -> Line:
    """A row in words."""
    return Line(
        cells=(
            row.quantity.name,
            row.quantity.unit,
            value_words(row.a, row.quantity),
            value_words(row.b, row.quantity),
            change_words(row),
            percent_words(row),
            bounds_words(row),
            verdict_words(row),
        ),
        row=row,
    )


def value_words(value: Value, quantity: Quantity) -> str:
    """A value without its unit: ``78 ± 11``, ``≥ 120``, ``≈ 95`` without an uncertainty, or why there is none."""
    if value.number is None:
        return value.words or NOT_KNOWN
    number = value.number * quantity.factor
    u = None if value.u is None else value.u * quantity.factor
    if value.bound:
        return lower_bound(number, u, "").rstrip()
    if quantity is TREND:
        return f"{signed(number, 1)} ({value.words})"
    if u is not None and u > 0:
        return " ± ".join(pair(number, u))
    about = "≈ " if quantity.unit.startswith("Gy") else ""
    return f"{about}{decimal(number, _PLACES.get(quantity.unit, 0))}"


def short_words(text: str) -> str:
    """The first word of a status, for a narrow column: ``provisional …``."""
    head, colon, _ = text.partition(":")
    return f"{head} …" if colon else text


def change_words(row: Row) -> str:
    """B − A: ``+3.1``, ``= 0``, ``≈ 0.00``, or that it is not told; a digit more than its uncertainty has."""
    change = row.difference.change
    if row.quantity.worded:
        return ""
    if change is None:
        return NOT_KNOWN
    if change == 0:
        return "= 0"
    places = _places(row)
    change *= row.quantity.factor
    return f"≈ {decimal(0.0, places)}" if round(change, places) == 0 else signed(change, places)


def percent_words(row: Row) -> str:
    """The difference in per cent of A; of what is a percentage itself there is none."""
    share = row.difference.change_pct
    if not share or row.quantity.unit == "%":
        return ""
    return f"{signed(share, 1)} %" if round(share, 1) != 0 else "≈ 0.0 %"


def bounds_words(row: Row) -> str:
    """Both ends of the standard uncertainty of the difference: ``± 0.4…11``."""
    own = row.difference
    if not own.change or own.u_shared is None or own.u_separate is None:
        return ""
    shared, separate = own.u_shared * row.quantity.factor, own.u_separate * row.quantity.factor
    places = max(0, decimals_for(separate)) if separate > 0 else 1
    return f"± {decimal(shared, _places(row))}…{decimal(separate, places)}"


def verdict_words(row: Row) -> str:
    """Sign and word of what the difference is worth; why, where it is not told."""
    told = row.verdict
    words = row.difference.why if told is Verdict.UNTOLD and row.difference.why else told.value
    return f"{_SIGNS[told]} {words}"


def pair_words(pair: Pair) -> str:
    """Which fractions stand beside each other."""
    return f"after {pair.label}"


def summary(comparison: Comparison) -> str:
    """The whole in a sentence, for who reads nothing else."""
    if comparison.nothing_differs:
        return "= Nothing differs: neither what went in, nor any number that came out."
    counts = {verdict: 0 for verdict in Verdict}
    for row in comparison.rows:
        counts[row.verdict] += 1
    parts = [f"{_SIGNS[v]} {counts[v]} {v.value}" for v in reversed(Verdict) if counts[v] and v is not Verdict.SAME]
    return f"Of {len(comparison.rows)} values: {' · '.join((*parts, f'= {counts[Verdict.SAME]} same'))}."


def _places(row: Row) -> int:
    """One digit more than A and B have: what changes is seen before it matters."""
    u = row.difference.u_separate
    if u is None or not u > 0:
        return min(_MOST_PLACES, 1 + _PLACES.get(row.quantity.unit, 0))
    return min(max(1 + decimals_for(u * row.quantity.factor), 0), _MOST_PLACES)
