"""The 10 % rule of EMERITUS-1 and what physics.md §5 makes of it."""

from __future__ import annotations

import pytest

from config.settings import TrendSettings
from quantify.findings import TrendStatus
from quantify.trend import Uptake, trend

PERCENT = (10.0, 40.0, 70.0, 100.0)


def points(doses, u=0.5, injected=PERCENT):
    return [
        Uptake(fraction=n + 1, injected_mbq=x, dose_gy=dose, u_repeat_gy=u, u_gy=u)
        for n, (x, dose) in enumerate(zip(injected, doses, strict=False))
    ]


def last(doses, *, u=0.5, baseline=0.0, fed=True, **settings):
    return trend(
        points(doses, u), baseline_gy=baseline, volume="Tumour 1", settings=TrendSettings(**settings), fed=fed
    )[-1]


@pytest.mark.parametrize(
    ("fourth", "flagged", "direction"),
    [
        (90.0, True, "below"),
        (90.1, False, "below"),
        (100.0, False, "above"),
        (109.9, False, "above"),
        (110.0, True, "above"),
    ],
)
def test_a_deviation_of_10_percent_or_more_flags(fourth, flagged, direction):
    """physics.md §8: D = 10, 40, 70 → D̂₄ = 100; D₄ = 90 → −10 %, flagged; 90.1 not; 110 flagged."""
    point = last((10, 40, 70, fourth))
    assert point.status == TrendStatus.TESTED
    assert point.expected_gy == pytest.approx(100.0)
    assert point.deviation_pct == pytest.approx(fourth - 100.0)
    assert (point.flagged, point.direction) == (flagged, direction)


def test_the_expectation_is_least_squares_with_intercept():
    d1, d2, d3 = 13.0, 39.0, 71.0
    assert last((d1, d2, d3, 90.0)).expected_gy == pytest.approx((4 * d3 + d2 - 2 * d1) / 3)


def test_statuses_of_the_first_points():
    statuses = [
        p.status for p in trend(points((10, 40, 70, 99)), baseline_gy=0.0, volume="T", settings=TrendSettings())
    ]
    assert statuses == [TrendStatus.TOO_FEW_POINTS, TrendStatus.TOO_FEW_POINTS, TrendStatus.FIT, TrendStatus.TESTED]


def test_every_later_point_is_tested_against_the_first_three():
    later = trend(
        points((10, 40, 70, 100, 115), injected=(*PERCENT, 130.0)),
        baseline_gy=0.0,
        volume="T",
        settings=TrendSettings(),
    )
    assert later[-1].expected_gy == pytest.approx(130.0)
    assert later[-1].flagged


def test_tested_is_the_dose_gained_at_this_position():
    """physics.md §5: with 50 Gy from before, losing half of an expected 9 Gy is −15 % of this position's uptake."""
    point = last((53, 62, 71, 75.5), baseline=50.0)
    assert point.expected_gy == pytest.approx(80.0)
    assert point.deviation_pct == pytest.approx(-15.0)
    assert point.flagged


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"doses": (0.1, -0.3, 0.2, 0.9)}, "nothing to test"),
        ({"doses": (10, 40, 70, 85), "fed": False}, "does not feed"),
        ({"doses": (10, None, 70, 85)}, "only 2 of 3"),
        ({"doses": (10, 40, 70, 85), "baseline": None}, "not measured"),
        ({"doses": (1, 4, 7, 8), "u": 6.0}, "nothing to test"),
    ],
    ids=["no uptake", "not fed", "a point missing", "no baseline", "gain under 2u"],
)
def test_where_there_is_nothing_to_test_nothing_is_flagged(case, words):
    point = last(**case)
    assert point.status == TrendStatus.NOT_TESTABLE
    assert point.flagged is None
    assert words in point.message


def test_a_point_that_cannot_be_evaluated_says_so():
    assert last((10, 40, 70, None)).status == TrendStatus.NOT_EVALUABLE


def test_the_prediction_interval_follows_the_weights_of_the_line():
    """Weights (−2, 1, 4)/3 on the three points and 1 on the tested one: σ·√(21/9 + 1)."""
    point = last((10, 40, 70, 85), u=2.0)
    half = 1.96 * 2.0 * (21 / 9 + 1) ** 0.5
    assert point.prediction_interval_gy == (pytest.approx(100 - half, abs=0.01), pytest.approx(100 + half, abs=0.01))
    assert point.significant


def test_a_flag_is_never_suppressed_by_its_insignificance():
    point = last((10, 40, 70, 88), u=6.0)
    assert point.flagged
    assert point.significant is False


def test_through_origin_forces_the_line_through_the_baseline():
    point = last((12, 40, 70, 85), through_origin=True)
    x, y = (10, 40, 70), (12, 40, 70)
    slope = sum(a * b for a, b in zip(x, y, strict=True)) / sum(a * a for a in x)
    assert point.expected_gy == pytest.approx(100 * slope)


def test_threshold_and_number_of_points_are_settings():
    assert not last((10, 40, 70, 85), threshold_pct=20.0).flagged
    assert last((10, 40, 70, 85), fit_points=2).expected_gy == pytest.approx(100.0)
