"""Round numbers for the axes of a plot."""

from __future__ import annotations

import math

_STEPS = (1.0, 2.0, 5.0, 10.0)


def nice_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """At most `most` round values (1, 2, 5 × 10ⁿ) within a range."""
    step = nice_above((high - low) / max(1, most - 1))
    first = math.ceil(low / step - 1e-9)
    return tuple(step * k for k in range(first, math.floor(high / step + 1e-9) + 1))


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """1, 2 and 5 × 10ⁿ within a range; only powers of ten where that would be too many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    leading = (1.0, 2.0, 5.0) if len(decades) <= 3 else (1.0,)
    return tuple(v for n in decades for m in leading if low <= (v := m * 10.0**n) <= high)


def nice_above(value: float) -> float:
    """The smallest of 1, 2, 5 × 10ⁿ that is not below a positive value; 1 for what is not positive."""
    if not value > 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(size * step for step in _STEPS if size * step >= value * (1 - 1e-9))


def rounded_up(value: float) -> float:
    """The end of an axis that holds a positive value: the next multiple of a round step, of which it has about five."""
    step = nice_above(value / 5.0)
    return step * math.ceil(value / step - 1e-9)
