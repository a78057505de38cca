"""Standard errors and confidence intervals of what a validation counts and averages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Z95 = 1.959963984540054


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a rate (Wilson 1927): sound at 0 and n hits too; (0, 1) for no trials."""
    if n == 0:
        return 0.0, 1.0
    rate, square = hits / n, Z95 * Z95 / n
    centre = (rate + square / 2) / (1 + square)
    half = Z95 / (1 + square) * float(np.sqrt(rate * (1 - rate) / n + square / (4 * n)))
    return max(0.0, centre - half), min(1.0, centre + half)


def rate_text(hits: int, n: int, digits: int = 1) -> str:
    """A rate with its interval, in percent: ``7.0 (6.4–7.6)``."""
    if n == 0:
        return "–"
    low, high = wilson(hits, n)
    return f"{100 * hits / n:.{digits}f} ({100 * low:.{digits}f}–{100 * high:.{digits}f})"


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; the error is NaN for fewer than two values."""
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        return float("nan"), float("nan")
    return float(data.mean()), float(data.std(ddof=1) / np.sqrt(data.size)) if data.size > 1 else float("nan")


def plus_minus(mean: float, error: float, digits: int = 2) -> str:
    """``+0.12 ± 0.03``; without the error where it is not known, – for no value at all."""
    if np.isnan(mean):
        return "–"
    return f"{mean:+.{digits}f}" if np.isnan(error) else f"{mean:+.{digits}f} ± {error:.{digits}f}"
