"""Statistics inside a volume: weights, percentiles, noise, lower bounds."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.model import ParametricMap, Reason, Role, Volume
from quantify.statistics import distribution, resized, weighted_percentile
from quantify.volumes import healthy_part


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
    """physics.md §8: doses 1…100."""
    g = grid((1, 10, 10))
    doses = distribution(make_map(np.arange(1, 101).reshape(1, 10, 10), g), make_volume(np.ones(g.shape), g))
    assert doses.dose_received_by(70) == pytest.approx(np.percentile(np.arange(1, 101), 30))
    assert doses.dose_received_by(90) < doses.dose_received_by(70) < doses.dose_received_by(50)


def test_120_gy_over_70_percent_is_84_gy(grid):
    """physics.md §8."""
    g = grid((1, 10, 10))
    values = np.where(np.arange(100) < 70, 120.0, 0.0).reshape(1, 10, 10)
    assert distribution(make_map(values, g), make_volume(np.ones(g.shape), g)).mean == pytest.approx(84.0)


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
    """SNR alone must not lower the D70 of a uniform tumour (physics.md §6: −2 Gy at 20 Gy)."""
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
