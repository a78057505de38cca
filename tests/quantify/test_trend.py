"""The 10 % rule of EMERITUS-1 and what docs/physics.md §5 makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from config.settings import TrendSettings
from quantify.findings import TrendStatus
from quantify.trend import Uptake, trend

PERCENT = (10.0, 40.0, 70.0, 100.0)


def points(doses, u=0.5, injected=PERCENT):
    return [
        Uptake(fraction=n + 1, injected_mbq=x, dose_gy=dose, u_repeat_gy=u)
        for n, (x, dose) in enumerate(zip(injected, doses, strict=False))
    ]


def with_activity_u(doses, u_injected, injected=PERCENT):
    uptake = points(doses, injected=injected)
    return [replace(p, u_injected_mbq=e) for p, e in zip(uptake, u_injected, strict=True)]


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
    """docs/physics.md §8: D = 10, 40, 70 → D̂₄ = 100; D₄ = 90 → −10 %, flagged; 90.1 not; 110 flagged."""
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
    """physics §5: with 50 Gy from before, losing half of an expected 9 Gy is −15 % of this position's uptake."""
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


def test_the_gain_and_what_was_expected_of_it_are_told():
    point = last((53, 62, 71, 75.5), baseline=50.0)
    assert (point.gain_gy, point.expected_gain_gy) == (pytest.approx(25.5), pytest.approx(30.0))
    assert point.deviation_pct == pytest.approx(100 * (point.gain_gy / point.expected_gain_gy - 1))


@pytest.mark.parametrize(
    ("u_injected", "weight"),
    [((2, 0, 0, 0), 0.0), ((0, 2, 0, 0), 2 / 3), ((0, 0, 2, 0), 1 / 3), ((0, 0, 0, 2), 1.0)],
    ids=["first", "second", "third", "tested"],
)
def test_an_activitys_own_error_bends_the_line_from_its_fraction_on(u_injected, weight):
    """Weights (−2, 1, 4)/3: the first only shifts x; fraction k enters by 1 − Σ_{i≥k} wᵢ, times a slope of 1 Gy/MBq."""
    without = trend(points((10, 40, 70, 85)), baseline_gy=0.0, volume="T", settings=TrendSettings())[-1]
    found = trend(with_activity_u((10, 40, 70, 85), u_injected), baseline_gy=0.0, volume="T", settings=TrendSettings())[
        -1
    ]
    low, high = found.prediction_interval_gy
    bare = without.prediction_interval_gy[1] - without.prediction_interval_gy[0]
    extra = np.sqrt((high - low) ** 2 - bare**2) / (2 * 1.96)
    assert extra == pytest.approx(2.0 * weight, abs=2e-3)
    assert (found.expected_gy, found.deviation_pct) == (without.expected_gy, without.deviation_pct)


def test_an_activity_that_was_injected_but_not_imaged_keeps_its_error():
    imaged = with_activity_u((10, 40, 70, 100, 130), (0, 0, 0, 3, 0), injected=(*PERCENT, 130.0))
    missing = [*imaged[:3], replace(imaged[3], dose_gy=None), imaged[4]]
    arguments = {"baseline_gy": 0.0, "volume": "T", "settings": TrendSettings()}
    assert (
        trend(missing, **arguments)[-1].prediction_interval_gy == trend(imaged, **arguments)[-1].prediction_interval_gy
    )


@pytest.mark.parametrize("u_activity", [0.0, 2.0], ids=["activities exact", "activities uncertain"])
def test_the_prediction_interval_holds_19_of_20_linear_volumes(u_activity):
    """2000 seeded linear volumes: scatter 2 Gy between series, each activity's own error; expected 95 % ± 1 %."""
    rng = np.random.default_rng(7)
    inside, n = 0, 2000
    for _ in range(n):
        own = np.array([10, 30, 30, 30]) + u_activity * rng.standard_normal(4)
        doses = 1.5 * np.cumsum(own) + 2.0 * rng.standard_normal(4)
        uptake = [replace(p, u_injected_mbq=u_activity) for p in points(doses, u=2.0)]
        inside += not trend(uptake, baseline_gy=0.0, volume="T", settings=TrendSettings())[-1].significant
    assert inside / n == pytest.approx(0.95, abs=0.015)


def test_a_common_error_of_the_dose_changes_neither_deviation_nor_significance():
    """Relaxivity scales all doses of a treatment, the reference's offset shifts them: both cancel (physics §4)."""
    doses = np.array([12.0, 41.0, 69.0, 83.0])
    plain = last(doses, u=1.0)
    scaled = last(1.2 * doses, u=1.2)
    assert scaled.deviation_pct == pytest.approx(plain.deviation_pct)
    shifted = last(doses + 3.0, u=1.0, baseline=3.0)
    assert shifted.deviation_pct == pytest.approx(plain.deviation_pct)
    assert plain.significant == scaled.significant == shifted.significant


def test_a_failed_series_leaves_the_next_point_untestable_and_the_one_after_it_tested():
    """Three earlier points must have been measured; with four fractions and the third failed there are only two."""
    found = trend(
        points((10, 40, None, 100, 130), injected=(*PERCENT, 130.0)),
        baseline_gy=0.0,
        volume="T",
        settings=TrendSettings(),
    )
    assert [p.status for p in found[2:]] == [TrendStatus.NOT_EVALUABLE, TrendStatus.NOT_TESTABLE, TrendStatus.TESTED]
    assert found[3].flagged is None


def test_points_at_one_activity_make_no_line():
    found = trend(points((10, 11, 12, 13), injected=(5.0,) * 4), baseline_gy=0.0, volume="T", settings=TrendSettings())
    assert [p.status for p in found[2:]] == [TrendStatus.TOO_FEW_POINTS, TrendStatus.NOT_TESTABLE]
    assert "one activity" in found[3].message


def test_from_six_points_on_the_curve_is_told():
    x = np.arange(1, 8) * 20.0
    doses = 80 * (1 - np.exp(-x / 40))
    found = trend(points(doses, injected=x), baseline_gy=0.0, volume="T", settings=TrendSettings())
    assert [p.saturation is None for p in found] == [True] * 5 + [False] * 2
    assert found[-1].saturation.preferred == "saturating"
    assert found[-1].saturation.d_infinity_gy == pytest.approx(80.0, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dose_gy": float("nan")}, r"fraction 2: dose_gy is nan"),
        ({"injected_mbq": 5.0}, r"fraction 2: injected_mbq is 5\.0 after 10\.0"),
        ({"injected_mbq": float("inf")}, r"injected_mbq is inf"),
        ({"u_repeat_gy": -1.0}, r"u_repeat_gy is -1\.0"),
        ({"u_injected_mbq": float("nan")}, r"u_injected_mbq is nan"),
    ],
    ids=["dose NaN", "activity decreases", "activity infinite", "u negative", "activity's u NaN"],
)
def test_bad_points_are_refused_by_name(change, words):
    uptake = points((10, 40, 70, 85))
    uptake[1] = replace(uptake[1], **change)
    with pytest.raises(ValueError, match=words):
        trend(uptake, baseline_gy=0.0, volume="T", settings=TrendSettings())


@pytest.mark.parametrize("bad", [{"baseline_gy": float("nan")}, {"baseline_gy": 0.0, "baseline_u_repeat_gy": -1.0}])
def test_a_bad_baseline_is_refused(bad):
    with pytest.raises(ValueError, match="baseline"):
        trend(points((10, 40)), volume="T", settings=TrendSettings(), **bad)


def test_no_points_give_no_findings():
    assert trend([], baseline_gy=0.0, volume="T", settings=TrendSettings()) == []
