"""MRI sees mass: every microgram carries the specific activity of its own injection (docs/physics.md §2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from quantify.activity import Increment, MeasuredActivity, accumulate, net_activity, nothing_injected
from quantify.dose import dose_per_activity_concentration, local_deposition_gy
from quantify.isotope import holmium_166

HO = holmium_166()
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def one(activity: float, specific: float) -> Increment:
    return Increment(activities_mbq=(activity,), specific_activities_mbq_per_mg=(specific,))


def activity_maps(masses, increments):
    state, activities = nothing_injected(masses[0].shape), []
    for mass, increment in zip(masses, increments, strict=True):
        state, activity = accumulate(state, mass.astype(np.float32), increment)
        activities.append(activity)
    return activities


@pytest.mark.parametrize(
    ("activity_gbq", "days", "expected_gbq"),
    [(6.0, 3.40, 0.7275), (2.0, 1.63, 0.7275)],
    ids=["6 GBq after 3.40 d", "2 GBq after 1.63 d"],
)
def test_decay_reproduces_published_numbers(activity_gbq, days, expected_gbq):
    """docs/physics.md §8."""
    left = MeasuredActivity(activity_mbq=1000 * activity_gbq, time=NOON).at(NOON + timedelta(days=days), HO)
    assert left == pytest.approx(1000 * expected_gbq, rel=2e-3)


def test_an_hours_slip_is_2_6_percent():
    assert HO.decay_factor(NOON, NOON + timedelta(hours=1)) == pytest.approx(0.9745, abs=1e-4)


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        HO.decay_factor(NOON, datetime(2026, 3, 4, 13, 0))


def test_dose_is_15_87_mj_per_mbq_over_density():
    """docs/physics.md §8: uniform 0.334 mg/mL at 12 MBq/mg and 1.06 g/mL is 60.0 Gy; 3.7 MBq in 15.3 mL is 3.62 Gy."""
    sixty = local_deposition_gy(np.array([0.334 * 12.0], dtype=np.float32), isotope=HO, density_g_per_ml=1.06)
    assert sixty[0] == pytest.approx(60.0, rel=1e-3)
    small = local_deposition_gy(np.array([3.7 / 15.3], dtype=np.float32), isotope=HO, density_g_per_ml=1.06)
    assert small[0] == pytest.approx(3.62, rel=1e-3)


def test_1_mg_per_ml_is_179_7_gy():
    assert 12.0 * dose_per_activity_concentration(isotope=HO, density_g_per_ml=1.06) == pytest.approx(179.7, abs=0.05)


def test_each_increment_takes_its_own_specific_activity():
    maps = activity_maps([np.array([1.0]), np.array([3.0])], [one(12.0, 12.0), one(20.0, 10.0)])
    assert maps[0] == pytest.approx(12.0)
    assert maps[1] == pytest.approx(12.0 + 2.0 * 10.0)


def test_a_voxel_missed_once_takes_the_mean_of_the_injections_it_missed():
    maps = activity_maps([np.array([np.nan]), np.array([3.0])], [one(12.0, 12.0), one(20.0, 10.0)])
    assert np.isnan(maps[0]).all()
    assert maps[1] == pytest.approx(3.0 * (12.0 + 20.0) / (12.0 / 12.0 + 20.0 / 10.0))


def test_negative_noise_is_kept():
    maps = activity_maps([np.array([-0.5, 0.5])], [one(1.0, 12.0)])
    assert maps[0].mean() == pytest.approx(0.0)


def test_net_activity_decays_vial_and_residual_before_subtracting():
    vial = MeasuredActivity(activity_mbq=1000.0, time=NOON - timedelta(hours=26.8))
    residual = MeasuredActivity(activity_mbq=25.0, time=NOON + timedelta(hours=26.8))
    net = net_activity(drawn=[vial], residual_share=[residual], time=NOON, isotope=HO, loss_pct=8.6, loss_u_pct=4)
    assert net.activity_mbq == pytest.approx(500.0 - 50.0)
    assert not net.assumed_loss


def test_without_a_residual_8_6_percent_are_assumed_lost():
    vial = MeasuredActivity(activity_mbq=1000.0, time=NOON)
    net = net_activity(drawn=[vial], residual_share=[], time=NOON, isotope=HO, loss_pct=8.6, loss_u_pct=4)
    assert (net.activity_mbq, net.u_mbq, net.assumed_loss) == (pytest.approx(914.0), pytest.approx(40.0), True)


def test_a_residual_above_its_vial_is_refused():
    vial, residual = (MeasuredActivity(activity_mbq=a, time=NOON) for a in (100.0, 101.0))
    with pytest.raises(ValueError, match="exceeds the vials"):
        net_activity(drawn=[vial], residual_share=[residual], time=NOON, isotope=HO, loss_pct=0, loss_u_pct=0)
