"""What changes between two results of the same images: a treatment as it is (A), and with other settings (B).

B − A is a sensitivity, not a measurement: both results come from the same echoes and the same activities. How much of
their errors they share is not known, so the standard uncertainty of a difference lies between two bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quantify.findings import FractionResult, VolumeStatistics, VolumeStatus
from quantify.model import ParametricMap, Reason, Role


@dataclass(frozen=True, kw_only=True)
class Difference:
    """B − A of one number, in the number's unit. None, with ``why``, where there is no difference to tell.

    ``change_pct`` is relative to A; None where A is not positive, which would turn its sign. The uncertainty (k = 1)
    lies between ``u_shared`` (A and B share all errors: |u_B − u_A|) and ``u_separate`` (they share none: root of the
    sum of squares).
    """

    change: float | None = None
    change_pct: float | None = None
    u_shared: float | None = None
    u_separate: float | None = None
    why: str = ""


def difference(a: float | None, b: float | None, u_a: float | None = None, u_b: float | None = None) -> Difference:
    """B − A of two numbers; none where one is not known (None or not finite)."""
    if a is None or b is None or not (math.isfinite(a) and math.isfinite(b)):
        missing = [name for name, value in (("A", a), ("B", b)) if value is None or not math.isfinite(value)]
        return Difference(why=f"not known in {' and '.join(missing)}")
    known = u_a is not None and u_b is not None and math.isfinite(u_a) and math.isfinite(u_b)
    return Difference(
        change=b - a,
        change_pct=100.0 * (b - a) / a if a > 0 else None,
        u_shared=abs((u_b or 0.0) - (u_a or 0.0)) if known else None,
        u_separate=math.hypot(u_a or 0.0, u_b or 0.0) if known else None,
    )


def mean_difference(a: VolumeStatistics | None, b: VolumeStatistics | None) -> Difference:
    """B − A of a volume's mean dose [Gy]; none where one of them is a lower bound or cannot be evaluated."""
    if (why := _untold(a, b)) or a is None or b is None:
        return Difference(why=why)
    return difference(a.dose_mean_gy, b.dose_mean_gy, a.dose_mean_u_gy, b.dose_mean_u_gy)


def d70_difference(a: VolumeStatistics | None, b: VolumeStatistics | None) -> Difference:
    """As `mean_difference`, of D70 [Gy]."""
    if (why := _untold(a, b)) or a is None or b is None:
        return Difference(why=why)
    u_a, u_b = (own.intervals["d70_gy"].u if "d70_gy" in own.intervals else None for own in (a, b))
    return difference(a.d70_gy, b.d70_gy, u_a, u_b)


def recovery_difference(a: FractionResult | None, b: FractionResult | None) -> Difference:
    """B − A of the recovery ratio (1 = all that was injected); none where a volume behind it is a lower bound."""
    if a is None or b is None:
        return Difference(why=f"not in {'A' if a is None else 'B'}")
    for name, own in (("A", a), ("B", b)):
        if any(s.status is VolumeStatus.LOWER_BOUND and s.role is Role.LIVER for s in own.volumes.values()):
            return Difference(why=f"{name} is a lower bound")
    return difference(a.recovery_ratio, b.recovery_ratio, a.recovery_u, b.recovery_u)


def largest_changes(a: Sequence[FractionResult], b: Sequence[FractionResult]) -> Mapping[str, tuple[str, Difference]]:
    """Of every volume the largest change of its mean dose: (label of the fraction, difference).

    Where no fraction has one, the reason at the last fraction.
    """
    others = {result.key: result for result in b}
    found: dict[str, tuple[str, Difference]] = {}
    for result in a:
        other = others.get(result.key)
        names = dict.fromkeys([*result.volumes, *(other.volumes if other is not None else ())])
        for name in names:
            own = mean_difference(result.volumes.get(name), other.volumes.get(name) if other is not None else None)
            before = found.get(name)
            if before is None or before[1].change is None or abs(own.change or 0.0) > abs(before[1].change):
                found[name] = result.label, own
    return found


def map_difference(a: ParametricMap, b: ParametricMap) -> ParametricMap:
    """B − A in every voxel, in the maps' unit.

    NaN where one of them has no value, with the reason of that one; NaN with `Reason.LOWER_BOUND` where one is only a
    lower bound and the other a value or another bound: the difference of a bound is none.

    Raises
    ------
    ValueError
        When the maps lie on different grids or differ in their unit.
    """
    if not a.grid.same_as(b.grid):
        raise ValueError("map_difference: the maps lie on different grids; expected the same one.")
    if a.unit != b.unit:
        raise ValueError(f"map_difference: the maps are in {a.unit} and {b.unit}; expected one unit.")
    bound = np.uint8(Reason.LOWER_BOUND)
    low, reason = np.minimum(a.reason, b.reason), np.maximum(a.reason, b.reason)
    # A voxel without any value is worse than one with a bound.
    np.copyto(reason, low, where=(reason == bound) & (low > Reason.EVALUABLE) & (low < bound))
    values = np.subtract(b.values, a.values, dtype=np.float32)
    np.copyto(values, np.float32(np.nan), where=reason != Reason.EVALUABLE)
    return ParametricMap(
        values=values, reason=reason, grid=a.grid, quantity=f"difference of {a.quantity}, B − A", unit=a.unit
    )


def _untold(a: VolumeStatistics | None, b: VolumeStatistics | None) -> str:
    words = {VolumeStatus.NOT_EVALUABLE: "not evaluable", VolumeStatus.LOWER_BOUND: "a lower bound"}
    told = {name: words.get(own.status, "") if own is not None else "missing" for name, own in (("A", a), ("B", b))}
    if told["A"] and told["A"] == told["B"]:
        return f"A and B are {told['A'].removeprefix('a ')}{'s' if 'bound' in told['A'] else ''}"
    return " and ".join(f"{name} is {word}" for name, word in told.items() if word)
