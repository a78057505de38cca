"""Repeated timings, and the rows of the table they end in."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

RUNS = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: what was measured, the median, its unit, how many runs, and what to know about it."""

    what: str
    value: float | None
    unit: str
    runs: int = RUNS
    spread: tuple[float, float] | None = None
    note: str = ""


def seconds_of(action: Callable[[], object], *, runs: int = RUNS) -> list[float]:
    """How long each of several runs takes; one unmeasured run goes before, for caches and first imports."""
    action()
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return taken


def row(what: str, values: Sequence[float], unit: str, note: str = "") -> Row:
    """The row of several runs."""
    return Row(
        what=what,
        value=statistics.median(values),
        unit=unit,
        runs=len(values),
        spread=(min(values), max(values)),
        note=note,
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as text in columns."""
    lines = [f"{'what':<58} {'median':>9} {'unit':<8} {'runs':>4}  {'least … most':<19} note"]
    for line in rows:
        value = "—" if line.value is None else f"{line.value:.3g}"
        spread = "" if line.spread is None else f"{line.spread[0]:.3g} … {line.spread[1]:.3g}"
        lines.append(f"{line.what:<58} {value:>9} {line.unit:<8} {line.runs:>4}  {spread:<19} {line.note}".rstrip())
    return "\n".join(lines)
