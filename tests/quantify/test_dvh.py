"""DVH laws: V_x and D_x are inverse, noise is taken out, thinning states its error."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.dvh import Dvh, dose_received_by, exact_dvh, thinned, volume_receiving
from quantify.statistics import Distribution


def ones(n):
    return np.ones(n)


def doses_of(values, *, error=0.0, weights=None):
    values = np.asarray(values, dtype=np.float64)
    return Distribution(
        values=values,
        standard_error=np.full(values.shape, error),
        weights=ones(values.size) if weights is None else np.asarray(weights, dtype=np.float64),
        evaluable_fraction=1.0,
        lower_bound_fraction=0.0,
    )


def random_case(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 400))
    return rng.gamma(2.0, 30.0, n), rng.uniform(0.05, 1.0, n)


def test_d70_of_1_to_100_is_the_30th_percentile():
    """docs/physics.md §8."""
    curve = exact_dvh(np.arange(100.0, 0.0, -1.0), ones(100))
    assert dose_received_by(curve, 70) == pytest.approx(np.percentile(np.arange(1, 101), 30))
    assert dose_received_by(curve, 70) == pytest.approx(30.7)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("percent", [0, 1.7, 30, 50, 70, 98, 100])
def test_v_at_d_x_is_x(seed, percent):
    curve = exact_dvh(*random_case(seed))
    assert 100 * volume_receiving(curve, dose_received_by(curve, percent)) == pytest.approx(percent, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_d_at_v_x_is_the_dose(seed):
    curve = exact_dvh(*random_case(seed))
    for dose in np.linspace(curve.dose_gy[0], curve.dose_gy[-1], 23):
        assert dose_received_by(curve, 100 * volume_receiving(curve, dose)) == pytest.approx(dose)


@pytest.mark.parametrize("seed", range(4))
def test_it_falls_from_one_to_zero(seed):
    curve = exact_dvh(*random_case(seed))
    v = [volume_receiving(curve, dose) for dose in np.linspace(0.0, 500.0, 301)]
    assert (np.diff(v) <= 0).all()
    assert v[0] == 1.0
    assert v[-1] == 0.0
    assert (np.diff(curve.dose_gy) >= 0).all()


def test_it_agrees_with_counting():
    values, weights = random_case(3)
    curve = exact_dvh(values, weights)
    for dose in (20.0, 50.0, 90.0):
        counted = weights[values >= dose].sum() / weights.sum()
        assert volume_receiving(curve, dose) == pytest.approx(counted, abs=1.5 / values.size)


def test_scaling_the_dose_scales_the_curve():
    values, weights = random_case(5)
    one, three = exact_dvh(values, weights), exact_dvh(3.0 * values, weights)
    assert volume_receiving(three, 150.0) == pytest.approx(volume_receiving(one, 50.0))
    assert dose_received_by(three, 70) == pytest.approx(3.0 * dose_received_by(one, 70))
    assert volume_receiving(exact_dvh(values, 7.0 * weights), 50.0) == pytest.approx(volume_receiving(one, 50.0))


def test_a_uniform_volume_is_a_step():
    for n in (1, 2, 9):
        curve = exact_dvh(np.full(n, 60.0), ones(n))
        assert [volume_receiving(curve, dose) for dose in (0.0, 59.9, 60.0, 60.1)] == [1.0, 1.0, 1.0, 0.0]
        assert dose_received_by(curve, 70) == 60.0


def test_voxels_of_equal_dose_belong_to_those_that_receive_it():
    """120 Gy over 70 % of the liver: V at 120 Gy is 70 %, to one voxel."""
    curve = exact_dvh(np.repeat([0.0, 120.0], [300, 700]), ones(1000))
    assert volume_receiving(curve, 120.0) == pytest.approx(0.7, abs=1e-3)
    assert volume_receiving(curve, 60.0) == pytest.approx(0.7, abs=1e-3)
    assert volume_receiving(curve, 120.1) == 0.0


def test_noise_leaves_the_curve_of_a_uniform_volume_a_step():
    rng = np.random.default_rng(11)
    noisy = doses_of(100.0 + 10.0 * rng.standard_normal(20000), error=10.0)
    assert noisy.coverage(95.0) > 0.98
    assert doses_of(noisy.values).coverage(95.0) < 0.72
    assert volume_receiving(noisy, 95.0) == noisy.coverage(95.0) == volume_receiving(noisy.dvh, 95.0)


def test_noise_is_taken_out_of_v_x():
    rng = np.random.default_rng(12)
    true = 100.0 + 12.0 * rng.standard_normal(40000)
    measured = doses_of(true + 9.0 * rng.standard_normal(true.size), error=9.0)
    assert measured.coverage(90.0) == pytest.approx((true >= 90.0).mean(), abs=0.01)


@pytest.mark.parametrize("n", [4, 20, 200])
def test_a_thinned_curve_states_its_error(n):
    rng = np.random.default_rng(13)
    # Half of it a step, half spread out: what thinning likes least.
    values = np.concatenate((np.full(3000, 40.0), rng.gamma(3.0, 30.0, 5000)))
    exact = exact_dvh(values, rng.uniform(0.1, 1.0, values.size))
    few = thinned(exact, n)
    assert few.dose_gy.size <= n
    assert 0 < few.volume_error <= 1.0 / (n // 2 - 1)
    for dose in np.concatenate((np.linspace(0.0, 300.0, 997), [40.0, np.nextafter(40.0, 41.0)])):
        assert abs(volume_receiving(few, dose) - volume_receiving(exact, dose)) <= few.volume_error + 1e-12
    width = exact.dose_gy[-1] - exact.dose_gy[0]
    for percent in (2, 30, 70, 95):
        assert abs(dose_received_by(few, percent) - dose_received_by(exact, percent)) <= width / (n // 2 - 1)


def test_thinning_a_smooth_curve_costs_a_thousandth():
    smooth = exact_dvh(np.random.default_rng(14).normal(80.0, 20.0, 30000), ones(30000))
    assert thinned(smooth).volume_error < 1e-3
    assert exact_dvh(np.arange(150.0), ones(150)).volume_error == 0.0


def test_a_short_curve_is_not_thinned():
    curve = exact_dvh(np.arange(150.0), ones(150))
    assert thinned(curve) is curve


@pytest.mark.parametrize("dose", [-0.1, np.nan, np.inf])
def test_a_threshold_that_is_no_dose_is_refused(dose):
    curve = exact_dvh(np.arange(5.0), ones(5))
    with pytest.raises(ValueError, match=r"dose_gy is .* at least 0 Gy"):
        volume_receiving(curve, dose)


@pytest.mark.parametrize("percent", [-1, 100.1, np.nan])
def test_a_percentage_out_of_range_is_refused(percent):
    with pytest.raises(ValueError, match=r"percent is .* 0 to 100"):
        dose_received_by(exact_dvh(np.arange(5.0), ones(5)), percent)


@pytest.mark.parametrize(
    ("values", "weights", "message"),
    [
        ([], [], "no values"),
        ([1.0, np.nan], [1.0, 1.0], "not finite"),
        ([1.0, 2.0], [1.0, 0.0], "weight is zero"),
        ([1.0, 2.0], [1.0, np.nan], "weight is zero"),
        ([1.0, 2.0], [1.0], "as many"),
    ],
)
def test_bad_voxels_are_refused(values, weights, message):
    with pytest.raises(ValueError, match=message):
        exact_dvh(np.array(values, dtype=np.float64), np.array(weights, dtype=np.float64))


@pytest.mark.parametrize(
    ("dose", "fraction", "message"),
    [
        ([1.0, 2.0], [1.0], "two equal"),
        ([1.0], [1.0], "at least two"),
        ([2.0, 1.0], [1.0, 0.0], "ascending"),
        ([1.0, np.nan], [1.0, 0.0], "finite"),
        ([1.0, 2.0, 3.0], [1.0, np.nan, 0.0], "fall"),
        ([1.0, 2.0], [0.9, 0.0], "from 1 to 0"),
    ],
)
def test_a_curve_that_is_no_dvh_is_refused(dose, fraction, message):
    with pytest.raises(ValueError, match=message):
        Dvh(dose_gy=np.array(dose), volume_fraction=np.array(fraction))


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="n is 3"):
        thinned(exact_dvh(np.arange(9.0), ones(9)), 3)


def test_the_curve_cannot_be_written_to():
    curve = exact_dvh(np.arange(9.0), ones(9))
    with pytest.raises(ValueError, match="read-only"):
        curve.dose_gy[0] = 5.0
