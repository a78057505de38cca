"""Echoes that two series have in common: with other echo times, a series is compared by what both measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from quantify.model import EchoSeries

_FEWEST = 3
"""R2* and S₀ take two echoes; a third is needed to see whether the decay is one."""


def common_echoes(
    reference_times_s: Sequence[float], series_times_s: Sequence[float], *, tolerance_s: float
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the echoes that the reference and a series both have, in order of time.

    Each echo is paired with at most one of the other series, the nearest within `tolerance_s`.

    Parameters
    ----------
    reference_times_s, series_times_s
        Ascending, in seconds.
    tolerance_s
        Times that differ by no more than this are the same echo.

    Returns
    -------
    (of the reference, of the series)
        Two tuples of equal length, at least three.

    Raises
    ------
    ValueError
        For times that are not ascending, a negative tolerance, or fewer than three common echoes.
    """
    reference = _ascending(reference_times_s, "reference_times_s")
    series = _ascending(series_times_s, "series_times_s")
    if not (np.isfinite(tolerance_s) and tolerance_s >= 0):
        raise ValueError(f"common_echoes: tolerance_s is {tolerance_s}; expected a finite number, 0 or more.")
    # A nanosecond forgives the last digit of times that were milliseconds in a file.
    difference = np.abs(reference[:, None] - series[None, :])
    pairs = []
    for r in range(reference.size if series.size else 0):
        s = int(difference[r].argmin())
        if difference[r, s] <= tolerance_s + 1e-9 and int(difference[:, s].argmin()) == r:
            pairs.append((r, s))
    if len(pairs) < _FEWEST:
        raise ValueError(
            f"The series and the reference share {len(pairs)} echoes within {1000 * tolerance_s:g} ms; at least "
            f"{_FEWEST} are needed. Reference: {_in_ms(reference)} ms; series: {_in_ms(series)} ms. "
            "Acquire the series with the reference's echo times."
        )
    return tuple(r for r, _ in pairs), tuple(s for _, s in pairs)


def with_echoes(series: EchoSeries, indices: Sequence[int]) -> EchoSeries:
    """The series with only the echoes at `indices` (ascending, at least three); everything else as it was.

    Raises
    ------
    ValueError
        For fewer than three indices, or indices that are not ascending or not of this series.
    """
    wanted = tuple(int(i) for i in indices)
    available = len(series.echo_times_s)
    if len(wanted) < _FEWEST:
        raise ValueError(f"with_echoes: {len(wanted)} echoes asked for; at least {_FEWEST} are needed.")
    if any(b <= a for a, b in pairwise(wanted)) or wanted[0] < 0 or wanted[-1] >= available:
        raise ValueError(f"with_echoes: indices are {wanted}; expected ascending ones from 0 to {available - 1}.")
    if wanted == tuple(range(available)):
        return series
    return replace(
        series,
        signal=series.signal[list(wanted)],
        phase_rad=None if series.phase_rad is None else series.phase_rad[list(wanted)],
        echo_times_s=tuple(series.echo_times_s[i] for i in wanted),
    )


def _ascending(times_s: Sequence[float], name: str) -> np.ndarray:
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or not np.isfinite(times).all() or (times < 0).any() or (np.diff(times) <= 0).any():
        raise ValueError(f"common_echoes: {name} is {tuple(times_s)}; expected ascending times of 0 or more.")
    return times


def _in_ms(times_s: np.ndarray) -> str:
    return ", ".join(f"{1000 * t:.2f}" for t in times_s)
