"""The dose that the next fraction would give, and the activity left until a limit (physics §5, beyond the paper).

With fewer measured points than the trend's line takes, the gain since the position's baseline is taken as proportional
to the activity injected there; from then on the least-squares line through all measured points is continued. A tumour
that saturates stays below, a healthy liver that receives the overflow rises above: the trend tells of both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from config.settings import TrendSettings
from quantify.trend import (
    K95,
    MeasuredPoint,
    Uptake,
    check_baseline,
    line,
    makes_a_line,
    measured_points,
    prediction_u_gy,
    prediction_weights,
)

Method = Literal["proportional", "line", "none"]


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Dose after the next fraction with its 95 % interval [Gy]; all None, with a message, where nothing is known.

    The interval is that of the dose itself: a measurement of it scatters by its own ``u_repeat_gy`` besides.
    """

    dose_gy: float | None
    low_95_gy: float | None
    high_95_gy: float | None
    method: Method
    message: str = ""

    @property
    def u_gy(self) -> float | None:
        """Standard uncertainty of the dose (k = 1) [Gy]: half of the 95 % interval over 1.96; None without a dose."""
        if self.low_95_gy is None or self.high_95_gy is None:
            return None
        return (self.high_95_gy - self.low_95_gy) / (2.0 * K95)


@dataclass(frozen=True, kw_only=True)
class ActivityLeft:
    """Activity at this position until the upper 95 % bound of the dose reaches a limit [MBq].

    0 when it has; None, with a message, where the dose does not rise with activity or is not known: there is no number
    for "unlimited".
    """

    mbq: float | None
    method: Method
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class _Model:
    """A line through measured points, and all that makes its dose uncertain."""

    points: tuple[MeasuredPoint, ...]
    through_baseline: bool
    slope_gy_per_mbq: float
    intercept_gy: float
    injected_mbq: float
    variance_mbq2: float
    baseline_u_repeat_gy: float
    u_common_relative: float
    u_reference_gy: float

    @property
    def method(self) -> Method:
        return "proportional" if self.through_baseline else "line"

    def dose_gy(self, more_mbq: float) -> float:
        return self.intercept_gy + self.slope_gy_per_mbq * (self.injected_mbq + more_mbq)

    def u_gy(self, more_mbq: float, u_more_mbq: float = 0.0) -> float:
        """Standard uncertainty of the dose after `more_mbq`: line, activities, reference and common terms [Gy]."""
        at = self.injected_mbq + more_mbq
        u_line = prediction_u_gy(
            self.points,
            at_mbq=at,
            at_variance_mbq2=self.variance_mbq2 + u_more_mbq**2,
            slope_gy_per_mbq=self.slope_gy_per_mbq,
            baseline_u_repeat_gy=self.baseline_u_repeat_gy,
            through_origin=self.through_baseline,
        )
        # The reference's offset lies on every measured dose. Before any injection the dose is exactly 0, without it:
        # a first fraction of 10 % carries it into the whole treatment tenfold.
        times = 1.0
        if self.through_baseline and self.baseline_u_repeat_gy == 0:
            times = float(prediction_weights([p.injected_mbq for p in self.points], at, True).sum())
        common = self.u_common_relative * self.dose_gy(more_mbq)
        return math.sqrt(u_line**2 + (times * self.u_reference_gy) ** 2 + common**2)

    def upper_95_gy(self, more_mbq: float) -> float:
        return self.dose_gy(more_mbq) + K95 * self.u_gy(more_mbq)


def project_next(
    points: Sequence[Uptake],
    *,
    planned_mbq: float,
    baseline_gy: float | None,
    settings: TrendSettings,
    baseline_u_repeat_gy: float = 0.0,
    u_planned_mbq: float = 0.0,
    u_common_relative: float = 0.0,
    u_reference_gy: float = 0.0,
) -> Projection:
    """Dose in a volume after the position's next fraction, from the first fraction on.

    Parameters
    ----------
    points
        The position's fractions so far, in order; the last one may still be without a dose.
    planned_mbq
        Net activity of the next fraction; ``u_planned_mbq`` its standard uncertainty.
    baseline_gy
        Dose before the position's first fraction; None when it was not measured. ``baseline_u_repeat_gy`` is 0 for
        the exact zero before all treatment; a measured baseline shares the reference's offset.
    u_common_relative, u_reference_gy
        Relative uncertainty that all doses share (relaxivity, specific activity, energy, density) and what the offset
        of the reference amounts to in dose. Give 0 to compare with a measurement of the same treatment.

    Returns
    -------
    Projection
        By ``proportional`` up to ``fit_points − 1`` measured points (or with ``through_origin``), then by ``line``.

    Raises
    ------
    ValueError
        If a number is not finite, an uncertainty negative or the planned activity not positive; as
        `quantify.trend.measured_points`.
    """
    if not (math.isfinite(planned_mbq) and planned_mbq > 0):
        raise ValueError(f"project_next: planned_mbq is {planned_mbq}; expected a positive number of MBq.")
    _not_negative("project_next", u_planned_mbq=u_planned_mbq)
    model = _model(points, baseline_gy, baseline_u_repeat_gy, u_common_relative, u_reference_gy, settings)
    if isinstance(model, str):
        return Projection(dose_gy=None, low_95_gy=None, high_95_gy=None, method="none", message=model)
    dose = model.dose_gy(planned_mbq)
    half = K95 * model.u_gy(planned_mbq, u_planned_mbq)
    return Projection(dose_gy=dose, low_95_gy=dose - half, high_95_gy=dose + half, method=model.method)


def activity_left(
    points: Sequence[Uptake],
    *,
    limit_gy: float,
    baseline_gy: float | None,
    settings: TrendSettings,
    baseline_u_repeat_gy: float = 0.0,
    u_common_relative: float = 0.0,
    u_reference_gy: float = 0.0,
) -> ActivityLeft:
    """Activity that this position can still take before the upper 95 % bound of a volume's dose reaches `limit_gy`.

    A limit is absolute, so the terms that all doses share count here. The bound is that of the continued line or of
    the last measured dose, whichever is higher now. Arguments as `project_next`.

    Raises
    ------
    ValueError
        If the limit is not positive; as `project_next`.
    """
    if not (math.isfinite(limit_gy) and limit_gy > 0):
        raise ValueError(f"activity_left: limit_gy is {limit_gy}; expected a positive number of Gy.")
    model = _model(points, baseline_gy, baseline_u_repeat_gy, u_common_relative, u_reference_gy, settings)
    if isinstance(model, str):
        return ActivityLeft(mbq=None, method="none", message=model)
    last = model.points[-1]
    u_last = math.sqrt(last.u_repeat_gy**2 + u_reference_gy**2 + (u_common_relative * last.dose_gy) ** 2)
    now = max(model.upper_95_gy(0.0), last.dose_gy + K95 * u_last)
    if now >= limit_gy:
        return ActivityLeft(
            mbq=0.0,
            method=model.method,
            message=f"the upper 95 % bound, {now:.1f} Gy, has reached the limit of {limit_gy:g} Gy",
        )
    if model.slope_gy_per_mbq <= 0:
        return ActivityLeft(mbq=None, method=model.method, message="the dose does not rise with the activity")
    # The bound starts below the limit and lies above the line, which reaches it here: one crossing in between.
    farthest = (limit_gy - model.dose_gy(0.0)) / model.slope_gy_per_mbq * (1 + 1e-9) + 1e-9
    from scipy import optimize  # a third of a second at the start of every process that never needs it

    left = optimize.brentq(lambda more: model.upper_95_gy(more) - limit_gy, 0.0, farthest)
    return ActivityLeft(mbq=float(left), method=model.method)


def _model(
    points: Sequence[Uptake],
    baseline_gy: float | None,
    baseline_u_repeat_gy: float,
    u_common_relative: float,
    u_reference_gy: float,
    settings: TrendSettings,
) -> _Model | str:
    """The line to continue, or the sentence that says why there is none."""
    check_baseline(baseline_gy, baseline_u_repeat_gy)
    _not_negative("projection", u_common_relative=u_common_relative, u_reference_gy=u_reference_gy)
    measured = measured_points(points)
    if not measured:
        return "no fraction of this position has been measured yet"
    injected = points[-1].injected_mbq
    if not math.isfinite(injected) or injected < measured[-1].injected_mbq:
        return "the activity injected at this position is not known"
    through_baseline = settings.through_origin or len(measured) < settings.fit_points
    if through_baseline and baseline_gy is None:
        return "the dose before this injection position was not measured"
    if not makes_a_line(measured, through_baseline):
        return "all points were measured at one activity"
    slope, intercept = line(measured, baseline_gy, through_baseline)
    return _Model(
        points=tuple(measured),
        through_baseline=through_baseline,
        slope_gy_per_mbq=slope,
        intercept_gy=intercept,
        injected_mbq=injected,
        variance_mbq2=float(np.sum([point.u_injected_mbq**2 for point in points])),
        baseline_u_repeat_gy=baseline_u_repeat_gy,
        u_common_relative=u_common_relative,
        u_reference_gy=u_reference_gy,
    )


def _not_negative(where: str, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{where}: {name} is {value}; expected a finite number of at least 0.")
