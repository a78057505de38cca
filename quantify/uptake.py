"""The trend of every volume at every injection position, and where it leads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from quantify.findings import FractionResult, FractionStatus, TrendPoint, TrendStatus, VolumeStatistics, VolumeStatus
from quantify.imaged import Physics, VolumeOfInterest
from quantify.model import Role, Volume
from quantify.monte_carlo import MeasuredDose
from quantify.projection import ActivityLeft, Projection, activity_left, project_next
from quantify.trend import Uptake, trend
from quantify.uncertainty import common_relative

Key = tuple[str, int]


_BOUNDED = "a dose so far is a lower bound (≥): nothing can be said of what comes"
_UNBOUNDED = Projection(dose_gy=None, low_95_gy=None, high_95_gy=None, method="none", message=_BOUNDED)
_NO_LIMIT_FROM_BELOW = ActivityLeft(mbq=None, method="none", message=_BOUNDED)


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What is planned: what a position feeds, what comes next, what must not be exceeded.

    ``feeds`` are names of volumes by position (a position that is not listed feeds all); ``next_mbq`` the activity
    planned after each fraction at the same position, by (position, fraction); ``limits_gy`` mean doses by volume.
    """

    feeds: Mapping[str, Sequence[str]] = field(default_factory=dict)
    next_mbq: Mapping[Key, float] = field(default_factory=dict)
    limits_gy: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Course:
    """One volume at one position: its points so far and the dose before them."""

    points: Sequence[Uptake]
    baseline_gy: float | None
    baseline_u_gy: float


def with_trends(
    results: Sequence[FractionResult],
    doses: Sequence[Mapping[str, MeasuredDose]],
    volumes: Sequence[VolumeOfInterest],
    physics: Physics,
    outlook: Outlook,
) -> list[FractionResult]:
    """Add trend, projection and activity left, position by position, each against the dose before its first fraction.

    `doses` belong to `results`, one by one: what the uncertainty of each volume hangs on.
    """
    # What was taken over from an earlier call may have been projected to a plan that has changed since.
    changed = [replace(result, trend={}, projection={}, activity_left={}) for result in results]
    for position in dict.fromkeys(result.position for result in results):
        here = [n for n, result in enumerate(results) if result.position == position]
        for interest in volumes:
            name = interest.volume.name
            baseline, baseline_u = _baseline(results, here[0], name)
            points = [_uptake(results[n], name) for n in here]
            course = _Course(points=points, baseline_gy=baseline, baseline_u_gy=baseline_u)
            judged = trend(
                points,
                baseline_gy=baseline,
                baseline_u_repeat_gy=baseline_u,
                volume=name,
                settings=physics.settings.trend,
                fed=_is_fed(interest.volume, outlook.feeds.get(position)),
            )
            for count, (n, point) in enumerate(zip(here, judged, strict=True), start=1):
                if n - here[0] >= count:
                    changed[n] = replace(changed[n], trend={**changed[n].trend, name: _mixed(name)})
                    continue
                so_far = replace(course, points=points[:count])
                told = [results[k].volumes.get(name) for k in here[:count]]
                changed[n] = _with_volume(
                    changed[n],
                    name,
                    _undecided(point, told),
                    so_far,
                    doses[n].get(name),
                    physics,
                    outlook,
                    bounded=any(own is not None and own.status == VolumeStatus.LOWER_BOUND for own in told),
                )
    return changed


def _undecided(point: TrendPoint, so_far: Sequence[VolumeStatistics | None]) -> TrendPoint:
    """The point, or one that is not testable where lower bounds decide nothing.

    A dose that is at least D may lie anywhere above D: only that it is above its line can be told from it. A line
    through a lower bound may itself lie too low, so nothing can be told from that.
    """
    if point.status != TrendStatus.TESTED or so_far[-1] is None:
        return point
    if any(own is not None and own.status == VolumeStatus.LOWER_BOUND for own in so_far[:-1]):
        why = "its line rests on a lower bound (≥): nothing can be held against it"
    elif so_far[-1].status == VolumeStatus.LOWER_BOUND and not (point.flagged and point.direction == "above"):
        why = "only a lower bound (≥) of its dose is known: it may lie anywhere above"
    else:
        return point
    return replace(
        point,
        status=TrendStatus.NOT_TESTABLE,
        message=why,
        deviation_pct=None,
        deviation_gy=None,
        flagged=None,
        direction=None,
        significant=None,
    )


def _mixed(volume: str) -> TrendPoint:
    """The point of a position that was visited again: its dose holds what other positions gave in between."""
    return TrendPoint(
        volume=volume,
        status=TrendStatus.NOT_TESTABLE,
        message="another position was injected in between: what this one gave is not told apart",
    )


def _with_volume(
    result: FractionResult,
    name: str,
    point: TrendPoint,
    course: _Course,
    dose: MeasuredDose | None,
    physics: Physics,
    outlook: Outlook,
    *,
    bounded: bool,
) -> FractionResult:
    """`bounded`: a dose of this course is a lower bound, from which nothing can be said of what comes."""
    result = replace(result, trend={**result.trend, name: point})
    if result.status == FractionStatus.FAILED or dose is None:
        return result
    planned = outlook.next_mbq.get(result.key)
    if planned is not None and planned > 0:
        projected = _UNBOUNDED if bounded else _projection(course, planned, dose, physics)
        result = replace(result, projection={**result.projection, name: projected})
    limit = outlook.limits_gy.get(name)
    if limit is not None:
        left = _NO_LIMIT_FROM_BELOW if bounded else _left(course, limit, dose, physics)
        result = replace(result, activity_left={**result.activity_left, name: left})
    return result


def _projection(course: _Course, planned_mbq: float, dose: MeasuredDose, physics: Physics) -> Projection:
    return project_next(
        course.points,
        planned_mbq=planned_mbq,
        baseline_gy=course.baseline_gy,
        baseline_u_repeat_gy=course.baseline_u_gy,
        settings=physics.settings.trend,
        u_common_relative=common_relative(physics.settings.uncertainty),
        u_reference_gy=_reference_gy(dose),
    )


def _left(course: _Course, limit_gy: float, dose: MeasuredDose, physics: Physics) -> ActivityLeft:
    return activity_left(
        course.points,
        limit_gy=limit_gy,
        baseline_gy=course.baseline_gy,
        baseline_u_repeat_gy=course.baseline_u_gy,
        settings=physics.settings.trend,
        u_common_relative=common_relative(physics.settings.uncertainty),
        u_reference_gy=_reference_gy(dose),
    )


def _reference_gy(dose: MeasuredDose) -> float:
    """What the offsets of the references make of the mean dose."""
    return math.hypot(*(w * u for w, u in zip(dose.reference_gy_per_s, dose.reference_per_s, strict=True)))


def _is_fed(volume: Volume, fed: Sequence[str] | None) -> bool:
    """Whether a position feeds a volume: the plan's list concerns tumours; the liver takes up from every position."""
    return fed is None or volume.role != Role.TUMOUR or volume.name in fed


def _baseline(results: Sequence[FractionResult], first: int, volume: str) -> tuple[float | None, float]:
    """Dose in a volume before a position's first fraction, and its independent uncertainty; (None, 0) if unknown."""
    if first == 0:
        return 0.0, 0.0
    before = results[first - 1].volumes.get(volume)
    if before is None or before.dose_mean_gy is None:
        return None, 0.0
    return before.dose_mean_gy, before.u_repeat_gy or 0.0


def _uptake(result: FractionResult, volume: str) -> Uptake:
    own = result.volumes.get(volume)
    x = result.position_injected_mbq
    why = result.error or (own.message if own is not None else "not measured")
    if x is None:
        why = "the activity injected at this position is not known"
    dose = None if own is None or x is None else own.dose_mean_gy
    return Uptake(
        fraction=result.fraction,
        injected_mbq=x or 0.0,
        dose_gy=dose,
        u_repeat_gy=(own.u_repeat_gy or 0.0) if own is not None else 0.0,
        u_injected_mbq=result.injected_u_mbq or 0.0,
        why_not=why,
    )
