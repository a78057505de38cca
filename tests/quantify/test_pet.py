"""90Y from PET: the published formula, its map form and the kernel; counts calibrated by what was injected."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.kernel import voxel_kernel
from quantify.pet import Y90_DENSITY_G_PER_ML, relative_calibration, y90_dose_map_gy, y90_local_dose_gy

SPACING = (3.0, 3.0, 3.0)


def test_1_gbq_in_1_l_is_48_54_gy():
    """docs/physics.md §8."""
    assert y90_local_dose_gy(1.0, 1.0) == pytest.approx(48.54, abs=0.005)


def test_the_map_form_has_the_formulas_mean():
    activity = np.random.default_rng(0).uniform(0.0, 3.0, (5, 6, 7))
    volume_l = activity.size * 0.027e-3
    total_gbq = activity.sum() * 0.027 / 1000
    mean = y90_dose_map_gy(activity, spacing_mm=SPACING).mean()
    assert mean == pytest.approx(y90_local_dose_gy(total_gbq, volume_l), rel=1e-9)


def test_the_kernel_moves_the_same_energy():
    activity = np.pad(np.random.default_rng(0).uniform(0.0, 3.0, (5, 6, 7)), 6)
    moved = y90_dose_map_gy(activity, spacing_mm=SPACING, dose_model="kernel")
    assert moved.sum() == pytest.approx(y90_dose_map_gy(activity, spacing_mm=SPACING).sum(), rel=1e-9)
    assert moved.max() < y90_dose_map_gy(activity, spacing_mm=SPACING).max()


def test_90y_spreads_further_than_166ho():
    shares = [
        voxel_kernel(nuclide, SPACING, density_g_per_ml=Y90_DENSITY_G_PER_ML).self_absorbed_fraction
        for nuclide in ("90Y", "166Ho")
    ]
    assert shares[0] < shares[1]


def test_relative_calibration_gives_back_what_was_injected():
    counts = np.random.default_rng(1).poisson(40.0, (4, 5, 6)).astype(np.float64)
    per_count = relative_calibration(counts.sum(), 250.0, 1800.0)
    assert per_count * (counts.sum() + 250.0) == pytest.approx(1800.0)


@pytest.mark.parametrize(
    ("function", "given", "field"),
    [
        (y90_local_dose_gy, (-1.0, 1.0), "activity_gbq is -1"),
        (y90_local_dose_gy, (np.nan, 1.0), "activity_gbq is nan"),
        (y90_local_dose_gy, (1.0, 0.0), "volume_l is 0"),
        (y90_local_dose_gy, (1.0, np.inf), "volume_l is inf"),
        (relative_calibration, (-1.0, 0.0, 1.0), "counts_liver"),
        (relative_calibration, (1.0, np.nan, 1.0), "counts_lungs"),
        (relative_calibration, (1.0, 0.0, 0.0), "injected_mbq is 0"),
        (relative_calibration, (0.0, 0.0, 1.0), "both 0"),
    ],
)
def test_bad_input_is_named(function, given, field):
    with pytest.raises(ValueError, match=field):
        function(*given)


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="dose_model is 'sphere'"):
        y90_dose_map_gy(np.zeros((2, 2, 2)), spacing_mm=SPACING, dose_model="sphere")
