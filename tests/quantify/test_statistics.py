"""Statistics inside a volume: weights, percentiles, noise, lower bounds."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.dvh import dose_received_by, exact_dvh
from quantify.model import ParametricMap, Reason, Role, Volume
from quantify.partial_volume import Mixture
from quantify.statistics import (
    distribution,
    increment,
    resized,
    tumour_to_normal,
    tumour_to_normal_of_totals,
    whole_volume_dose_gy,
)
from quantify.volumes import healthy_part


def weighted_percentile(values, weights, percent) -> float:
    """The percentile that every D_x reads off the curve."""
    return dose_received_by(exact_dvh(values, weights), 100.0 - percent)


def make_map(values, grid, *, error=None, reason=None):
    values = np.asarray(values, dtype=np.float32)
    return ParametricMap(
        values=values,
        reason=np.zeros(values.shape, dtype=np.uint8) if reason is None else reason,
        grid=grid,
        quantity="absorbed dose",
        unit="Gy",
        standard_error=None if error is None else np.full(values.shape, error, dtype=np.float32),
    )


def make_volume(occupancy, grid, role=Role.TUMOUR):
    occupancy = np.asarray(occupancy, dtype=np.float32)
    volume_ml = float(occupancy.sum()) * grid.voxel_volume_ml
    return Volume(name="Tumour 1", role=role, occupancy=occupancy, grid=grid, contour_volume_ml=volume_ml)


def test_d70_is_the_30th_percentile(grid):
    """docs/physics.md §8: doses 1…100."""
    g = grid((1, 10, 10))
    doses = distribution(make_map(np.arange(1, 101).reshape(1, 10, 10), g), make_volume(np.ones(g.shape), g))
    assert doses.dose_received_by(70) == pytest.approx(np.percentile(np.arange(1, 101), 30))
    assert doses.dose_received_by(90) < doses.dose_received_by(70) < doses.dose_received_by(50)


def test_120_gy_over_70_percent_is_84_gy(grid):
    """docs/physics.md §8."""
    g = grid((1, 10, 10))
    values = np.where(np.arange(100) < 70, 120.0, 0.0).reshape(1, 10, 10)
    assert distribution(make_map(values, g), make_volume(np.ones(g.shape), g)).mean == pytest.approx(84.0)


def test_coverage_is_the_share_that_receives_the_dose(grid):
    g = grid((1, 10, 100))
    values = np.where(np.arange(1000) < 700, 120.0, 0.0).reshape(g.shape)
    doses = distribution(make_map(values, g), make_volume(np.ones(g.shape), g))
    assert doses.coverage(90.0) == pytest.approx(0.7, abs=1e-3)
    assert (doses.coverage(0.0), doses.coverage(121.0)) == (1.0, 0.0)
    assert doses.coverage(doses.dose_received_by(30)) == pytest.approx(0.7, abs=1e-3), "the largest such share"


def test_coverage_counts_by_occupancy(grid):
    g = grid((1, 1, 1000))
    values, occupancy = np.arange(1000.0), np.where(np.arange(1000) < 500, 0.25, 1.0)
    doses = distribution(make_map(values.reshape(g.shape), g), make_volume(occupancy.reshape(g.shape), g))
    assert doses.coverage(500.0) == pytest.approx(0.8, abs=2e-3)


def test_coverage_of_a_negative_dose_is_refused(grid):
    g = grid((1, 2, 2))
    doses = distribution(make_map(np.ones(g.shape), g), make_volume(np.ones(g.shape), g))
    with pytest.raises(ValueError, match="at least 0 Gy"):
        doses.coverage(-1.0)


def test_a_whole_from_its_parts_is_84_gy():
    """docs/physics.md §8: 120 Gy over 70 % of the liver; what no part covers received nothing."""
    assert whole_volume_dose_gy([(120.0, 0.7)]) == pytest.approx(84.0)
    assert whole_volume_dose_gy([(120.0, 0.7), (0.0, 0.3)]) == pytest.approx(84.0)
    assert whole_volume_dose_gy([(60.0, 0.25), (60.0, 0.75)]) == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [([], "no parts"), ([(10.0, -0.1)], "share -0.1"), ([(np.nan, 0.5)], "dose_gy nan"), ([(1.0, 0.7)] * 2, "1.4")],
)
def test_parts_that_make_no_whole_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        whole_volume_dose_gy(parts)


def test_tumour_to_normal_is_a_ratio_of_concentrations():
    """docs/physics.md §8: 200 counts/100 mL over 300 counts/1500 mL = 10; the ratio of totals would be 0.67."""
    counts = {"tumour_total": 200.0, "tumour_volume_ml": 100.0, "normal_total": 300.0, "normal_volume_ml": 1500.0}
    assert tumour_to_normal_of_totals(**counts) == pytest.approx(10.0)
    assert tumour_to_normal(2.0, 0.2) == pytest.approx(10.0)
    for name in ("tumour_volume_ml", "normal_volume_ml"):
        for volume_ml in (0.0, -1.0, np.nan):
            with pytest.raises(ValueError, match=f"{name} is"):
                tumour_to_normal_of_totals(**{**counts, name: volume_ml})


@pytest.mark.parametrize(("tumour", "normal"), [(10.0, 0.0), (10.0, -0.5), (np.nan, 1.0), (1.0, np.nan)])
def test_there_is_no_ratio_to_nothing(tumour, normal):
    assert tumour_to_normal(tumour, normal) is None


def test_an_increment_is_a_difference_with_both_noises(grid):
    g = grid((1, 2, 2))
    later, earlier = make_map(np.full(g.shape, 30.0), g, error=4.0), make_map(np.full(g.shape, 12.5), g, error=3.0)
    gain = increment(later, earlier)
    assert gain.values == pytest.approx(17.5)
    assert gain.standard_error == pytest.approx(5.0)
    assert (gain.quantity, gain.unit) == ("increment of absorbed dose", "Gy")
    assert increment(make_map(np.full(g.shape, 1.0), g), earlier).standard_error is None, "unknown is not zero"


def test_increments_add_up_to_the_last_map(grid):
    g = grid((2, 3, 3))
    rng = np.random.default_rng(4)
    maps = [make_map(level + rng.standard_normal(g.shape), g) for level in (10.0, 40.0, 70.0)]
    gains = [increment(maps[0], None), increment(maps[1], maps[0]), increment(maps[2], maps[1])]
    assert sum(gain.values for gain in gains) == pytest.approx(maps[2].values, rel=1e-5)


def test_an_increment_merges_the_reasons(grid):
    g = grid((1, 1, 6))
    bound, poor, outside = Reason.LOWER_BOUND, Reason.POOR_FIT, Reason.OUTSIDE
    earlier = make_map(
        [[[5, 5, np.nan, np.nan, 5, 5]]], g, reason=np.array([[[0, 0, poor, poor, bound, bound]]], np.uint8)
    )
    later = make_map(
        [[[9, np.nan, 9, np.nan, 3, 9]]], g, reason=np.array([[[bound, outside, bound, outside, 0, bound]]], np.uint8)
    )
    gain = increment(later, earlier)
    assert gain.reason.ravel().tolist() == [bound, outside, poor, outside, bound, bound]
    # Beyond a lower bound nothing is known of the gain but that microspheres do not leave.
    assert gain.values.ravel() == pytest.approx([4, np.nan, np.nan, np.nan, 0, 0], nan_ok=True)


def test_increments_of_different_things_are_refused(grid):
    g = grid((1, 2, 2))
    dose = make_map(np.ones(g.shape), g)
    with pytest.raises(ValueError, match="different grids"):
        increment(dose, make_map(np.ones((1, 2, 3)), grid((1, 2, 3))))
    activity = ParametricMap(values=dose.values, reason=dose.reason, grid=g, quantity="166Ho activity", unit="MBq/mL")
    with pytest.raises(ValueError, match="166Ho activity"):
        increment(dose, activity)


def test_all_voxels_excluded_leave_no_distribution(grid):
    g = grid((1, 2, 2))
    reason = np.full(g.shape, Reason.POOR_FIT, dtype=np.uint8)
    values = make_map(np.full(g.shape, np.nan), g, reason=reason)
    assert distribution(values, make_volume(np.ones(g.shape), g)) is None


def test_a_voxel_whose_mixture_is_not_known_leaves_its_say_to_others(grid):
    g = grid((1, 1, 3))
    mixed = Mixture(own=np.ones(g.shape, np.float32), foreign=np.array([[[0.0, np.nan, 0.0]]], np.float32))
    doses = distribution(make_map([[[10.0, 999.0, 30.0]]], g, error=1.0), make_volume(np.ones(g.shape), g), mixed)
    assert doses.weights.sum() == pytest.approx(3.0)
    assert 10.0 < doses.mean < 30.0


def test_noise_that_is_not_known_counts_as_none(grid):
    g = grid((1, 1, 2))
    values = make_map([[[10.0, 30.0]]], g, error=np.inf)
    assert distribution(values, make_volume(np.ones(g.shape), g)).standard_deviation == pytest.approx(10.0)


def test_a_voxel_counts_by_its_occupancy(grid):
    g = grid((1, 1, 2))
    assert distribution(make_map([[[10.0, 40.0]]], g), make_volume([[[1.0, 0.5]]], g)).mean == pytest.approx(20.0)


@pytest.mark.parametrize("percent", [0, 10, 30, 50, 100])
def test_equal_weights_give_numpys_percentile(percent):
    values = np.random.default_rng(5).normal(size=57)
    assert weighted_percentile(values, np.full(57, 0.3), percent) == pytest.approx(np.percentile(values, percent))


def test_doubling_a_weight_is_having_the_voxel_twice():
    values = np.sort(np.random.default_rng(5).normal(size=400))
    weights = np.where(np.arange(400) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(values, weights.astype(int))
    for percent in (10, 30, 50):
        assert weighted_percentile(values, weights, percent) == pytest.approx(np.percentile(twice, percent), abs=0.02)


def test_noise_is_taken_out_of_spread_and_d70(grid):
    """SNR alone must not lower the D70 of a uniform tumour (docs/physics.md §6: −2 Gy at 20 Gy)."""
    g = grid((10, 40, 40))
    rng = np.random.default_rng(7)
    noisy = 20.0 + 4.0 * rng.standard_normal(g.shape)
    corrected = distribution(make_map(noisy, g, error=4.0), make_volume(np.ones(g.shape), g))
    uncorrected = distribution(make_map(noisy, g), make_volume(np.ones(g.shape), g))
    assert uncorrected.dose_received_by(70) < 18.1
    assert corrected.dose_received_by(70) == pytest.approx(20.0, abs=0.5)
    true = 20.0 + 6.0 * rng.standard_normal(g.shape)
    both = distribution(
        make_map(true + 4.0 * rng.standard_normal(g.shape), g, error=4.0), make_volume(np.ones(g.shape), g)
    )
    assert both.standard_deviation == pytest.approx(6.0, rel=0.03)
    assert both.dose_received_by(70) == pytest.approx(np.percentile(true, 30), abs=0.15)


def test_lower_bounds_stay_in_the_mean_and_are_counted(grid):
    g = grid((1, 2, 2))
    reason = np.array([[[0, Reason.LOWER_BOUND], [Reason.OUTSIDE, Reason.NO_SIGNAL]]], dtype=np.uint8)
    doses = distribution(
        make_map([[[10.0, 50.0], [np.nan, np.nan]]], g, reason=reason), make_volume(np.ones(g.shape), g)
    )
    assert doses.mean == pytest.approx(30.0)
    assert doses.evaluable_fraction == pytest.approx(0.5)
    assert doses.lower_bound_fraction == pytest.approx(0.5)


def test_what_lies_outside_the_grid_is_not_evaluable(grid):
    g = grid((1, 2, 2))
    volume = Volume(
        name="L",
        role=Role.LIVER,
        occupancy=np.ones(g.shape, np.float32),
        grid=g,
        contour_volume_ml=8 * g.voxel_volume_ml,
    )
    assert distribution(make_map(np.ones(g.shape), g), volume).evaluable_fraction == pytest.approx(0.5)


def test_an_empty_volume_has_no_distribution(grid):
    g = grid((1, 2, 2))
    assert distribution(make_map(np.ones(g.shape), g), make_volume(np.zeros(g.shape), g)) is None


def test_another_grid_is_refused(grid):
    with pytest.raises(ValueError, match="different grids"):
        distribution(make_map(np.ones((1, 2, 2)), grid((1, 2, 2))), make_volume(np.ones((1, 2, 3)), grid((1, 2, 3))))


@pytest.mark.parametrize("percent", [-1.0, 101.0])
def test_a_percentile_out_of_range_is_refused(percent):
    with pytest.raises(ValueError, match="expected 0 to 100"):
        weighted_percentile(np.arange(5.0), np.ones(5), percent)


@pytest.mark.parametrize("change", [-0.062, 0.062, 0.045])
def test_a_resized_volume_changes_by_the_asked_share(grid, change):
    g = grid((20, 30, 30), (3.0, 3.0, 3.0))
    s, r, c = np.indices(g.shape)
    ball = make_volume((s - 10) ** 2 + (r - 15) ** 2 + (c - 15) ** 2 <= 49, g)
    assert resized(ball, change).sum() == pytest.approx((1 + change) * ball.occupancy.sum(), rel=1e-3)


def test_healthy_liver_is_liver_minus_tumours(grid):
    g = grid((1, 2, 2))
    liver = make_volume([[[1.0, 1.0], [0.5, 0.0]]], g, Role.LIVER)
    tumour = make_volume([[[1.0, 0.25], [0.0, 0.0]]], g)
    healthy = healthy_part(liver, [tumour])
    assert healthy.occupancy == pytest.approx(np.array([[[0.0, 0.75], [0.5, 0.0]]]))
    assert healthy.volume_ml == pytest.approx(liver.volume_ml - tumour.volume_ml)
    assert healthy.role == Role.HEALTHY_LIVER
