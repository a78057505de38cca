"""The dose that the next fraction would give, and the activity left until a limit (physics §5)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from config.settings import TrendSettings
from quantify.projection import activity_left, project_next
from quantify.trend import Uptake, trend

K95 = 1.959963984540054
MBQ = (10.0, 40.0, 70.0, 100.0)


def points(doses, u=0.5, injected=MBQ, u_injected=0.0):
    return [
        Uptake(fraction=n + 1, injected_mbq=x, dose_gy=dose, u_repeat_gy=u, u_injected_mbq=u_injected)
        for n, (x, dose) in enumerate(zip(injected, doses, strict=False))
    ]


def projected(doses, *, u=0.5, planned=30.0, baseline=0.0, settings=None, injected=MBQ, **more):
    return project_next(
        points(doses, u, injected),
        planned_mbq=planned,
        baseline_gy=baseline,
        settings=settings or TrendSettings(),
        **more,
    )


def left(doses, *, limit, u=0.5, baseline=0.0, injected=MBQ, **more):
    return activity_left(
        points(doses, u, injected), limit_gy=limit, baseline_gy=baseline, settings=TrendSettings(), **more
    )


def test_from_the_first_fraction_on_the_dose_is_proportional_to_the_activity():
    found = projected((11.0,))
    assert (found.dose_gy, found.method) == (pytest.approx(44.0), "proportional")
    half = K95 * 4 * 0.5  # one dose, taken four times
    assert (found.low_95_gy, found.high_95_gy) == (pytest.approx(44 - half), pytest.approx(44 + half))


def test_two_points_are_proportional_from_the_baseline_by_least_squares():
    found = projected((60.0, 92.0), baseline=50.0)
    slope = (10 * 10 + 40 * 42) / (10**2 + 40**2)
    assert (found.dose_gy, found.method) == (pytest.approx(50 + 70 * slope), "proportional")


def test_from_three_points_on_it_is_the_line_of_the_trend():
    doses = (13.0, 39.0, 71.0)
    found = projected(doses)
    tested = trend(points((*doses, 90.0)), baseline_gy=0.0, volume="T", settings=TrendSettings())[-1]
    assert found.method == "line"
    assert found.dose_gy == pytest.approx(tested.expected_gy) == pytest.approx((4 * 71 + 39 - 2 * 13) / 3)


def test_the_standard_uncertainty_of_a_projection_is_that_of_its_interval():
    assert projected((11.0,)).u_gy == pytest.approx(4 * 0.5)
    assert projected(()).u_gy is None


def test_later_points_count_in_the_projection():
    assert projected((10, 40, 70, 85)).dose_gy < projected((10, 40, 70, 100)).dose_gy


def test_the_interval_of_a_line_follows_its_weights():
    """σ·√(21)/3 at 100 % from 10, 40, 70 %: the dose itself, without the scatter of measuring it."""
    found = projected((10, 40, 70), u=2.0)
    assert found.high_95_gy - found.dose_gy == pytest.approx(K95 * 2.0 * (21 / 9) ** 0.5)


def test_an_offset_of_the_reference_grows_with_a_proportional_projection_and_not_with_a_line():
    """One s⁻¹ of offset on a first tenth is ten on the whole; a line with intercept only shifts."""
    first = projected((10.0,), u=0.0, planned=90.0, u_reference_gy=2.0)
    assert first.high_95_gy - first.dose_gy == pytest.approx(K95 * 20.0)
    third = projected((10, 40, 70), u=0.0, u_reference_gy=2.0)
    assert third.high_95_gy - third.dose_gy == pytest.approx(K95 * 2.0)


def test_a_measured_baseline_shares_the_references_offset():
    found = projected((60.0,), u=0.0, baseline=50.0, baseline_u_repeat_gy=1e-9, u_reference_gy=2.0, planned=90.0)
    assert found.high_95_gy - found.dose_gy == pytest.approx(K95 * 2.0, rel=1e-6)


def test_the_common_terms_scale_the_interval_with_the_dose():
    found = projected((10, 40, 70), u=0.0, u_common_relative=0.05)
    assert found.high_95_gy - found.dose_gy == pytest.approx(K95 * 5.0)


def test_the_planned_activitys_own_uncertainty_counts_by_the_slope():
    found = projected((20, 80, 140), u=0.0, u_planned_mbq=3.0)
    assert found.high_95_gy - found.dose_gy == pytest.approx(K95 * 2 * 3.0)


def test_the_interval_holds_19_of_20_truths():
    """2000 seeded linear volumes with scatter, uncertain activities, a common scale and a reference offset."""
    rng = np.random.default_rng(5)
    inside, n = 0, 2000
    for _ in range(n):
        number = rng.integers(1, 5)
        own = np.array([10.0, 30, 30, 30, 30])[: number + 1] + rng.standard_normal(number + 1)
        truth = 1.2 * np.cumsum(own)
        measured = truth[:number] / (1 + 0.06 * rng.standard_normal())
        measured = measured + 1.5 * rng.standard_normal() + 0.8 * rng.standard_normal(number)
        found = project_next(
            points(measured, u=0.8, u_injected=1.0),
            planned_mbq=30.0,
            baseline_gy=0.0,
            u_planned_mbq=1.0,
            u_common_relative=0.06,
            u_reference_gy=1.5,
            settings=TrendSettings(),
        )
        inside += found.low_95_gy <= truth[-1] <= found.high_95_gy
    assert inside / n == pytest.approx(0.95, abs=0.02)


def test_through_the_origin_it_stays_proportional():
    found = projected((12, 40, 70), settings=TrendSettings(through_origin=True))
    assert found.method == "proportional"


@pytest.mark.parametrize(
    ("uptake", "baseline", "words"),
    [
        ([], 0.0, "no fraction"),
        (points((None,)), 0.0, "no fraction"),
        (points((10, 40)), None, "before this injection position"),
        ([*points((10, 40)), Uptake(fraction=3, injected_mbq=0.0, dose_gy=None)], 0.0, "not known"),
        (points((10, 11, 12), injected=(5.0, 5.0, 5.0)), 0.0, "one activity"),
        (points((0.0,), injected=(0.0,)), 0.0, "one activity"),
    ],
    ids=["no points", "none measured", "no baseline", "activity unknown", "one activity", "nothing injected"],
)
def test_where_nothing_is_known_there_is_no_number(uptake, baseline, words):
    found = project_next(uptake, planned_mbq=30.0, baseline_gy=baseline, settings=TrendSettings())
    assert (found.dose_gy, found.low_95_gy, found.high_95_gy, found.method) == (None, None, None, "none")
    assert words in found.message
    remaining = activity_left(uptake, limit_gy=55.0, baseline_gy=baseline, settings=TrendSettings())
    assert (remaining.mbq, remaining.method) == (None, "none")
    assert words in remaining.message


def test_a_line_needs_no_baseline():
    assert projected((10, 40, 70), baseline=None).dose_gy == pytest.approx(100.0)


def test_activity_injected_but_not_imaged_is_counted():
    uptake = points((10, 40, 70, None))
    found = project_next(uptake, planned_mbq=30.0, baseline_gy=0.0, settings=TrendSettings())
    assert found.dose_gy == pytest.approx(130.0)


def test_without_uncertainty_the_activity_left_is_the_line_to_the_limit():
    assert left((10, 40, 70), u=0.0, limit=100.0).mbq == pytest.approx(30.0)
    assert left((5.0,), u=0.0, limit=55.0).mbq == pytest.approx(100.0)


def test_injecting_the_activity_left_brings_the_upper_bound_to_the_limit():
    terms = {"u_common_relative": 0.075, "u_reference_gy": 1.5}
    for doses in ((5.0,), (5.0, 21.0), (5.0, 21.0, 33.0), (5.0, 21.0, 33.0, 42.0)):
        remaining = left(doses, limit=80.0, **terms)
        found = projected(doses, planned=remaining.mbq, **terms)
        assert found.high_95_gy == pytest.approx(80.0, abs=1e-6)
        assert remaining.method == found.method


def test_uncertainty_only_takes_activity_away():
    plain = left((10, 40, 70), limit=120.0, u=0.5).mbq
    assert left((10, 40, 70), limit=120.0, u=2.0).mbq < plain
    assert left((10, 40, 70), limit=120.0, u_common_relative=0.05).mbq < plain
    assert left((10, 40, 70), limit=120.0, u_reference_gy=2.0).mbq < plain


def test_nothing_is_left_once_the_bound_is_over_the_limit():
    over = left((10, 40, 70), limit=72.0, u=2.0)
    assert over.mbq == 0.0
    assert "has reached the limit of 72 Gy" in over.message


def test_a_last_dose_over_the_limit_leaves_nothing_even_where_the_line_is_below_it():
    assert left((10, 40, 60, 105), u=0.5, limit=104.0).mbq == 0.0


def test_a_dose_that_does_not_rise_has_no_activity_left_to_tell():
    found = left((20, 20, 19), limit=55.0)
    assert found.mbq is None
    assert "does not rise" in found.message


def test_doses_of_other_positions_count_towards_the_limit():
    assert left((35, 38), baseline=34.0, u=0.0, limit=55.0, injected=(10.0, 40.0)).mbq == pytest.approx(
        (55 - 34) / ((10 * 1 + 40 * 4) / 1700) - 40
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"planned_mbq": 0.0}, "planned_mbq is 0"),
        ({"planned_mbq": float("nan")}, "planned_mbq is nan"),
        ({"u_planned_mbq": -1.0}, "u_planned_mbq is -1"),
        ({"u_common_relative": float("inf")}, "u_common_relative is inf"),
        ({"u_reference_gy": -1.0}, "u_reference_gy is -1"),
        ({"baseline_gy": float("nan")}, "baseline_gy is nan"),
    ],
)
def test_bad_input_is_refused_by_name(change, words):
    good = {"planned_mbq": 30.0, "baseline_gy": 0.0, "settings": TrendSettings()}
    with pytest.raises(ValueError, match=words):
        project_next(points((10, 40)), **(good | change))


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ValueError, match="limit_gy"):
        left((10, 40), limit=limit)


def test_a_point_with_a_bad_dose_is_refused():
    uptake = points((10, 40))
    uptake[0] = replace(uptake[0], dose_gy=float("nan"))
    with pytest.raises(ValueError, match="fraction 1: dose_gy is nan"):
        project_next(uptake, planned_mbq=30.0, baseline_gy=0.0, settings=TrendSettings())
