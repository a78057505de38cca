"""The 10 % rule: whether a volume still takes up in proportion to what is injected.

EMERITUS-1 drew a straight line through the first three points of each volume (10, 40, 70 %) and called the
fourth different when it deviated by 10 % or more from the line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from config.settings import TrendSettings
from quantify.findings import TrendPoint, TrendStatus
from quantify.model import FloatArray
from quantify.saturation import Saturation, saturation

K95 = 1.959963984540054
"""Half width of a 95 % interval in standard deviations of a normal distribution."""

_ONE_ACTIVITY = "all points that make the line were measured at one activity"


@dataclass(frozen=True, kw_only=True)
class Uptake:
    """One volume after one fraction of a position. ``dose_gy`` is None where it was not measured or not evaluable.

    ``dose_gy`` is cumulative over the treatment; ``u_repeat_gy`` is the part of its uncertainty that is independent
    between series (k = 1). ``injected_mbq`` is cumulative at this position; ``u_injected_mbq`` is the standard
    uncertainty of *this fraction's own* activity (an assumed loss, an assay), independent between fractions: it stays
    in every later cumulative activity.
    """

    fraction: int
    injected_mbq: float
    dose_gy: float | None
    u_repeat_gy: float = 0.0
    u_injected_mbq: float = 0.0
    why_not: str = ""


@dataclass(frozen=True, kw_only=True)
class MeasuredPoint:
    """A point of an uptake curve whose dose is known; ``variance_mbq2`` is that of its cumulative activity [MBq²]."""

    fraction: int
    injected_mbq: float
    variance_mbq2: float
    dose_gy: float
    u_repeat_gy: float


def measured_points(points: Sequence[Uptake]) -> list[MeasuredPoint]:
    """The points whose dose was measured, each with the variance that all activities up to it left on its activity.

    Raises
    ------
    ValueError
        If a measured dose, an activity or an uncertainty is not finite, an uncertainty is negative, or the cumulative
        activity is negative or decreases.
    """
    measured: list[MeasuredPoint] = []
    variance, before = 0.0, 0.0
    for point in points:
        _check(point, before)
        variance += point.u_injected_mbq**2
        if point.dose_gy is None:
            continue
        before = point.injected_mbq
        measured.append(
            MeasuredPoint(
                fraction=point.fraction,
                injected_mbq=point.injected_mbq,
                variance_mbq2=variance,
                dose_gy=point.dose_gy,
                u_repeat_gy=point.u_repeat_gy,
            )
        )
    return measured


def _check(point: Uptake, injected_before_mbq: float) -> None:
    where = f"trend, fraction {point.fraction}"
    for name, value in (("u_repeat_gy", point.u_repeat_gy), ("u_injected_mbq", point.u_injected_mbq)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{where}: {name} is {value}; expected a finite number of at least 0.")
    if point.dose_gy is None:
        return
    if not math.isfinite(point.dose_gy):
        raise ValueError(f"{where}: dose_gy is {point.dose_gy}; expected a finite number, or None where not measured.")
    if not (math.isfinite(point.injected_mbq) and point.injected_mbq >= injected_before_mbq):
        raise ValueError(
            f"{where}: injected_mbq is {point.injected_mbq} after {injected_before_mbq}; expected the cumulative "
            "activity at this position, which does not decrease."
        )


def trend(
    points: Sequence[Uptake],
    *,
    baseline_gy: float | None,
    volume: str,
    settings: TrendSettings,
    fed: bool = True,
    baseline_u_repeat_gy: float = 0.0,
) -> list[TrendPoint]:
    """Hold every point against the least-squares line of the position's first ``fit_points`` measured points.

    The line is fitted to the dose; the deviation is taken relative to the dose expected to be *gained* since the
    position's baseline: losing half of an expected 9 Gy on top of 50 Gy is −15 % of a 30 Gy uptake, not −5.6 %. With
    three points at 10, 40, 70 % and a baseline of 0, the fourth is expected at (4D₃ + D₂ − 2D₁)/3.

    Parameters
    ----------
    points
        The position's fractions so far, in order.
    baseline_gy
        Dose in the volume before the position's first fraction; None when it was not measured.
    fed
        False when the plan says that this position does not feed the volume.

    Returns
    -------
    list of TrendPoint
        One for every point. ``flagged`` is None unless the status is ``tested``. The prediction interval (95 %) comes
        from the scatter between series and from each activity's own uncertainty: common terms (relaxivity, reference)
        cancel in a trend. From ``saturation_points`` measured points on, ``saturation`` tells which curve they follow.

    Raises
    ------
    ValueError
        As `measured_points`; also if the baseline or its uncertainty is not finite, or that uncertainty is negative.
    """
    check_baseline(baseline_gy, baseline_u_repeat_gy)
    measured = measured_points(points)
    results: list[TrendPoint] = []
    so_far = 0
    for number, point in enumerate(points, start=1):
        if point.dose_gy is None:
            message = point.why_not or "the volume could not be evaluated"
            results.append(TrendPoint(volume=volume, status=TrendStatus.NOT_EVALUABLE, message=message))
            continue
        own, earlier = measured[so_far], measured[:so_far]
        so_far += 1
        judged = _judge(own, number, earlier, baseline_gy, baseline_u_repeat_gy, volume, settings, fed)
        curve = _curve([*earlier, own], baseline_gy, baseline_u_repeat_gy, settings)
        results.append(replace(judged, saturation=curve) if curve is not None else judged)
    return results


def check_baseline(baseline_gy: float | None, baseline_u_repeat_gy: float) -> None:
    """Raise ValueError if a baseline is given that is not finite, or its uncertainty is not one."""
    if baseline_gy is not None and not math.isfinite(baseline_gy):
        raise ValueError(f"trend: baseline_gy is {baseline_gy}; expected a finite number, or None where not measured.")
    if not (math.isfinite(baseline_u_repeat_gy) and baseline_u_repeat_gy >= 0):
        raise ValueError(
            f"trend: baseline_u_repeat_gy is {baseline_u_repeat_gy}; expected a finite number of at least 0."
        )


def _curve(
    measured: Sequence[MeasuredPoint], baseline_gy: float | None, baseline_u_repeat_gy: float, settings: TrendSettings
) -> Saturation | None:
    """Straight or saturating, of the points so far; None while there are too few or no baseline to rise from."""
    if baseline_gy is None:
        return None
    return saturation(
        injected_mbq=[p.injected_mbq for p in measured],
        gain_gy=[p.dose_gy - baseline_gy for p in measured],
        u_gy=[p.u_repeat_gy for p in measured],
        variance_mbq2=[p.variance_mbq2 for p in measured],
        u_baseline_gy=baseline_u_repeat_gy,
        through_origin=settings.through_origin,
        minimum_points=settings.saturation_points,
    )


def _judge(
    point: MeasuredPoint,
    number: int,
    earlier: Sequence[MeasuredPoint],
    baseline_gy: float | None,
    baseline_u_repeat_gy: float,
    volume: str,
    settings: TrendSettings,
    fed: bool,
) -> TrendPoint:
    def answer(status: TrendStatus, message: str) -> TrendPoint:
        return TrendPoint(volume=volume, status=status, message=message)

    needed = settings.fit_points
    if number < needed:
        return answer(TrendStatus.TOO_FEW_POINTS, f"{number} of the {needed} points that make the line")
    if number == needed:
        if len(earlier) + 1 < needed:
            return answer(TrendStatus.TOO_FEW_POINTS, f"only {len(earlier) + 1} of {needed} points were measured")
        if not makes_a_line([*earlier, point], settings.through_origin):
            return answer(TrendStatus.TOO_FEW_POINTS, _ONE_ACTIVITY)
        slope, intercept = line([*earlier, point], baseline_gy, settings.through_origin)
        return TrendPoint(
            volume=volume, status=TrendStatus.FIT, slope_gy_per_mbq=slope, intercept_gy=intercept, message="line fitted"
        )
    if len(earlier) < needed:
        return answer(TrendStatus.NOT_TESTABLE, f"only {len(earlier)} of {needed} earlier points were measured")
    if not fed:
        return answer(TrendStatus.NOT_TESTABLE, "this injection position does not feed the volume")
    if baseline_gy is None:
        return answer(TrendStatus.NOT_TESTABLE, "the dose before this injection position was not measured")
    if not makes_a_line(earlier[:needed], settings.through_origin):
        return answer(TrendStatus.NOT_TESTABLE, _ONE_ACTIVITY)
    return _test(point, earlier[:needed], baseline_gy, baseline_u_repeat_gy, volume, settings)


def _test(
    point: MeasuredPoint,
    fitted: Sequence[MeasuredPoint],
    baseline_gy: float,
    baseline_u_repeat_gy: float,
    volume: str,
    settings: TrendSettings,
) -> TrendPoint:
    slope, intercept = line(fitted, baseline_gy, settings.through_origin)
    expected = intercept + slope * point.injected_mbq
    gain = expected - baseline_gy
    u_line = prediction_u_gy(
        fitted,
        at_mbq=point.injected_mbq,
        at_variance_mbq2=point.variance_mbq2,
        slope_gy_per_mbq=slope,
        baseline_u_repeat_gy=baseline_u_repeat_gy,
        through_origin=settings.through_origin,
    )
    u_prediction = float(np.hypot(u_line, point.u_repeat_gy))
    interval = (expected - K95 * u_prediction, expected + K95 * u_prediction)
    u_gain = float(np.hypot(point.u_repeat_gy, baseline_u_repeat_gy))
    common = {
        "volume": volume,
        "expected_gy": expected,
        "prediction_interval_gy": interval,
        "slope_gy_per_mbq": slope,
        "intercept_gy": intercept,
        "deviation_gy": point.dose_gy - expected,
        "expected_gain_gy": gain,
        "gain_gy": point.dose_gy - baseline_gy,
    }
    smallest = max(2.0 * u_gain, settings.minimum_expected_gy)
    if gain < smallest:
        return TrendPoint(
            status=TrendStatus.NOT_TESTABLE,
            message=f"the expected gain of {gain:.1f} Gy is below {smallest:.1f} Gy: nothing to test",
            **common,  # type: ignore[arg-type]
        )
    deviation = 100.0 * (point.dose_gy - expected) / gain
    # ≥ flags: a deviation of exactly 10 % may come out a rounding error below it.
    flagged = abs(deviation) >= settings.threshold_pct * (1 - 1e-9)
    return TrendPoint(
        status=TrendStatus.TESTED,
        deviation_pct=deviation,
        flagged=flagged,
        direction="below" if deviation < 0 else "above",
        significant=not interval[0] <= point.dose_gy <= interval[1],
        **common,  # type: ignore[arg-type]
    )


def makes_a_line(points: Sequence[MeasuredPoint], through_origin: bool) -> bool:
    """Whether the points' activities differ (or, through the origin, differ from 0) so that they have a slope."""
    x = [p.injected_mbq for p in points]
    return bool(x) and (max(x) > 0 if through_origin else max(x) > min(x))


def line(points: Sequence[MeasuredPoint], baseline_gy: float | None, through_origin: bool) -> tuple[float, float]:
    """Slope [Gy/MBq] and intercept [Gy] of the least-squares line, free or through the baseline at zero injected."""
    x = np.array([p.injected_mbq for p in points])
    y = np.array([p.dose_gy for p in points], dtype=np.float64)
    if through_origin:
        start = baseline_gy or 0.0
        return float((x * (y - start)).sum() / (x * x).sum()), start
    centred = x - x.mean()
    slope = float((centred * y).sum() / (centred * centred).sum())
    return slope, float(y.mean() - slope * x.mean())


def prediction_weights(x: Sequence[float], at_mbq: float, through_origin: bool) -> FloatArray:
    """How much each fitted dose counts in the prediction at `at_mbq`: for 10, 40, 70 → 100 %, (−2, 1, 4)/3."""
    places = np.asarray(x, dtype=np.float64)
    if through_origin:
        origin: FloatArray = at_mbq * places / (places * places).sum()
        return origin
    centred = places - places.mean()
    free: FloatArray = 1.0 / places.size + (at_mbq - places.mean()) * centred / (centred * centred).sum()
    return free


def prediction_u_gy(
    fitted: Sequence[MeasuredPoint],
    *,
    at_mbq: float,
    at_variance_mbq2: float,
    slope_gy_per_mbq: float,
    baseline_u_repeat_gy: float,
    through_origin: bool,
) -> float:
    """Standard uncertainty of the line's dose at `at_mbq`, from scatter between series and the activities' own u [Gy].

    With D = a + b·A and each fraction's activity off by its own eₖ, a cumulative activity is off by Eᵢ = Σₖ≤ᵢ eₖ, so
    that the prediction is off by b·(E − Σ wᵢ·Eᵢ): the first fraction's error only shifts a line with intercept, the
    later ones bend it. cov(Eᵢ, Eⱼ) is the variance of the earlier of the two.
    """
    weights = prediction_weights([p.injected_mbq for p in fitted], at_mbq, through_origin)
    scatter = np.array([p.u_repeat_gy for p in fitted])
    # Through the origin the line hangs on the baseline, whose own scatter then counts too.
    hanging = (1.0 - weights.sum()) * baseline_u_repeat_gy if through_origin else 0.0
    variance = np.array([p.variance_mbq2 for p in fitted])
    shared = np.minimum.outer(variance, variance)
    along = max(float(at_variance_mbq2 - 2.0 * (weights * variance).sum() + weights @ shared @ weights), 0.0)
    return float(np.sqrt(((weights * scatter) ** 2).sum() + hanging**2 + slope_gy_per_mbq**2 * along))
