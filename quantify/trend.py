"""The 10 % rule: whether a volume still takes up in proportion to what is injected.

EMERITUS-1 drew a straight line through the first three points of each volume (10, 40, 70 %) and called the
fourth different when it deviated by 10 % or more from the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from config.settings import TrendSettings
from quantify.findings import TrendPoint, TrendStatus
from quantify.model import FloatArray

_K95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Uptake:
    """One volume after one fraction of a position. ``dose_gy`` is None where it was not measured or not evaluable.

    ``dose_gy`` is cumulative over the treatment; ``u_repeat_gy`` is the part of its uncertainty that is independent
    between series; ``u_gy`` all of it. ``injected_mbq`` is cumulative at this position.
    """

    fraction: int
    injected_mbq: float
    dose_gy: float | None
    u_repeat_gy: float = 0.0
    u_gy: float = 0.0
    why_not: str = ""


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
        from the scatter between series alone: common terms (relaxivity, reference) cancel in a trend.
    """
    measured: list[Uptake] = []
    results = []
    for number, point in enumerate(points, start=1):
        results.append(_judge(point, number, measured, baseline_gy, baseline_u_repeat_gy, volume, settings, fed))
        if point.dose_gy is not None:
            measured.append(point)
    return results


def _judge(
    point: Uptake,
    number: int,
    earlier: Sequence[Uptake],
    baseline_gy: float | None,
    baseline_u_repeat_gy: float,
    volume: str,
    settings: TrendSettings,
    fed: bool,
) -> TrendPoint:
    def answer(status: TrendStatus, message: str) -> TrendPoint:
        return TrendPoint(volume=volume, status=status, message=message)

    if point.dose_gy is None:
        return answer(TrendStatus.NOT_EVALUABLE, point.why_not or "the volume could not be evaluated")
    needed = settings.fit_points
    if number < needed:
        return answer(TrendStatus.TOO_FEW_POINTS, f"{number} of the {needed} points that make the line")
    if number == needed:
        if len(earlier) + 1 < needed:
            return answer(TrendStatus.TOO_FEW_POINTS, f"only {len(earlier) + 1} of {needed} points were measured")
        slope, intercept = _line([*earlier, point], baseline_gy, settings)
        return TrendPoint(
            volume=volume, status=TrendStatus.FIT, slope_gy_per_mbq=slope, intercept_gy=intercept, message="line fitted"
        )
    if len(earlier) < needed:
        return answer(TrendStatus.NOT_TESTABLE, f"only {len(earlier)} of {needed} earlier points were measured")
    if not fed:
        return answer(TrendStatus.NOT_TESTABLE, "this injection position does not feed the volume")
    if baseline_gy is None:
        return answer(TrendStatus.NOT_TESTABLE, "the dose before this injection position was not measured")
    return _test(point, earlier[:needed], baseline_gy, baseline_u_repeat_gy, volume, settings)


def _test(
    point: Uptake,
    fitted: Sequence[Uptake],
    baseline_gy: float,
    baseline_u_repeat_gy: float,
    volume: str,
    settings: TrendSettings,
) -> TrendPoint:
    if point.dose_gy is None:  # _judge has answered for it
        raise ValueError(f"trend: {volume} has no dose at fraction {point.fraction}; expected a measured point.")
    slope, intercept = _line(fitted, baseline_gy, settings)
    expected = intercept + slope * point.injected_mbq
    gain = expected - baseline_gy
    weights = _prediction_weights([p.injected_mbq for p in fitted], point.injected_mbq, settings.through_origin)
    scatter = np.array([p.u_repeat_gy for p in fitted])
    # Through the origin the line hangs on the baseline, whose own scatter then counts too.
    hanging = (1.0 - weights.sum()) * baseline_u_repeat_gy if settings.through_origin else 0.0
    u_prediction = float(np.sqrt(((weights * scatter) ** 2).sum() + hanging**2 + point.u_repeat_gy**2))
    interval = (expected - _K95 * u_prediction, expected + _K95 * u_prediction)
    u_gain = float(np.hypot(point.u_repeat_gy, baseline_u_repeat_gy))
    common = {
        "volume": volume,
        "expected_gy": expected,
        "prediction_interval_gy": interval,
        "slope_gy_per_mbq": slope,
        "intercept_gy": intercept,
        "deviation_gy": point.dose_gy - expected,
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


def _line(points: Sequence[Uptake], baseline_gy: float | None, settings: TrendSettings) -> tuple[float, float]:
    """Slope [Gy/MBq] and intercept [Gy] of the least-squares line, free or through the baseline at zero injected."""
    x = np.array([p.injected_mbq for p in points])
    y = np.array([p.dose_gy for p in points], dtype=np.float64)
    if settings.through_origin:
        start = baseline_gy or 0.0
        return float((x * (y - start)).sum() / (x * x).sum()), start
    centred = x - x.mean()
    slope = float((centred * y).sum() / (centred * centred).sum())
    return slope, float(y.mean() - slope * x.mean())


def _prediction_weights(x: Sequence[float], at: float, through_origin: bool) -> FloatArray:
    """How much each fitted dose counts in the prediction at `at`: for 10, 40, 70 → 100 %, (−2, 1, 4)/3."""
    places = np.asarray(x, dtype=np.float64)
    if through_origin:
        origin: FloatArray = at * places / (places * places).sum()
        return origin
    centred = places - places.mean()
    line: FloatArray = 1.0 / places.size + (at - places.mean()) * centred / (centred * centred).sum()
    return line
