"""From ΔR2* to microspheres, voxel by voxel, with a reason for every voxel left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from config.settings import QuantificationSettings
from quantify.findings import Registration, RegistrationStatus
from quantify.holmium import align, fit_series, holmium_map, relaxivity_per_s_per_mg_ml
from quantify.model import EchoSeries, Grid, Reason
from quantify.reference import matched_reference

SETTINGS = QuantificationSettings()
SAME = Registration(status=RegistrationStatus.OK)
SHAPE = (6, 20, 24)


def quantified(reference, fraction, registration=SAME, relaxivity=218.0):
    fitted = fit_series(reference, SETTINGS)
    aligned = align(fit_series(fraction, SETTINGS), reference=fitted, registration=registration)
    matched = matched_reference(reference, fitted.fit)
    return holmium_map(aligned, reference=fitted, matched=matched, relaxivity=relaxivity, settings=SETTINGS)


def test_0_334_mg_per_ml_is_a_change_of_72_8_per_s(series):
    """physics.md §8: uniform 0.334 mg/mL; ΔR2* 72.8 s⁻¹ at 218."""
    _, holmium = quantified(series(np.full(SHAPE, 40.0)), series(np.full(SHAPE, 112.8)))
    assert holmium.values == pytest.approx(0.334, rel=1e-3)
    assert (holmium.reason == Reason.EVALUABLE).all()


def test_the_reference_is_subtracted_voxel_by_voxel(series):
    baseline = np.random.default_rng(1).uniform(20, 80, SHAPE)
    _, holmium = quantified(series(baseline), series(baseline + 109.0))
    assert holmium.values == pytest.approx(0.5, rel=1e-3)


def test_receiver_gain_does_not_matter(series):
    _, holmium = quantified(series(np.full(SHAPE, 40.0)), series(np.full(SHAPE, 149.0), s0=310.0))
    assert holmium.values == pytest.approx(0.5, rel=1e-3)


def test_negative_values_are_kept_so_that_noise_does_not_bias(series):
    noise = {"sigma": 2.0}
    shape = (12, 40, 40)
    _, holmium = quantified(
        series(np.full(shape, 40.0), seed=1, **noise), series(np.full(shape, 40.0), seed=2, **noise)
    )
    assert (holmium.values < 0).mean() == pytest.approx(0.5, abs=0.03)
    assert abs(np.nanmean(holmium.values)) < 3 * np.nanstd(holmium.values) / np.sqrt(holmium.values.size)
    assert np.nanstd(holmium.values) == pytest.approx(float(np.nanmedian(holmium.standard_error)), rel=0.1)


def test_every_voxel_left_out_has_its_reason(series):
    s0 = np.full(SHAPE, 100.0)
    s0[0] = 0.0  # air in the reference
    baseline = np.full(SHAPE, 40.0)
    baseline[1] = 500.0  # next to lung
    _, holmium = quantified(series(baseline, s0=s0, sigma=0.5, seed=1), series(np.full(SHAPE, 60.0), sigma=0.5, seed=2))
    assert (holmium.reason[0] == Reason.NO_SIGNAL).all()
    assert (holmium.reason[1] == Reason.AIR_INTERFACE).all()
    assert np.isnan(holmium.values[:2]).all()
    assert np.isfinite(holmium.values[2:]).all()


def test_a_decay_that_is_not_exponential_is_a_poor_fit(series):
    post = series(np.full(SHAPE, 60.0), sigma=0.2, seed=2)
    signal = post.signal.copy()
    signal[::2, 2] *= 0.6  # every other echo: fat and water out of phase
    _, holmium = quantified(series(np.full(SHAPE, 40.0), sigma=0.2, seed=1), replace(post, signal=signal))
    assert (holmium.reason[2] == Reason.POOR_FIT).all()
    assert np.isnan(holmium.values[2]).all()


def test_a_voxel_at_the_noise_floor_keeps_a_lower_bound_below_the_truth(series):
    true_r2star = np.full(SHAPE, 100.0)
    true_r2star[3] = 2500.0
    r2star, holmium = quantified(
        series(np.full(SHAPE, 40.0), sigma=2.0, seed=1), series(true_r2star, s0=150.0, sigma=3.0, seed=2)
    )
    drowned = r2star.reason[3] == Reason.LOWER_BOUND
    assert drowned.mean() > 0.97  # pure noise exceeds 3σ in 1.1 % of the voxels
    bound = r2star.values[3][drowned]
    assert (bound > 300).all()  # the hottest voxels are not lost …
    assert (bound < 2500).all()  # … and never overstated
    assert holmium.values[3][drowned].min() > holmium.values[4].max()


def test_what_the_fraction_does_not_cover_is_outside(series, grid):
    reference = series(np.full(SHAPE, 40.0))
    affine = np.array(reference.grid.affine_lps_mm)
    affine[2, 3] += 2 * 4.0  # two slices up
    moved = Grid(shape=SHAPE, affine_lps_mm=affine, frame_of_reference_uid="1.2.3")
    _, holmium = quantified(reference, series(np.full(SHAPE, 60.0), grid=moved))
    assert (holmium.reason[:2] == Reason.OUTSIDE).all()
    assert (holmium.reason[2:] == Reason.EVALUABLE).all()


def test_interpolation_accounts_for_the_noise_it_averages(series):
    half = Registration(
        status=RegistrationStatus.OK,
        reference_to_series_lps_mm=((1, 0, 0, 1.5), (0, 1, 0, 1.5), (0, 0, 1, 2.0), (0, 0, 0, 1)),
    )
    shape = (14, 40, 40)
    clean = series(np.full(shape, 40.0))
    r2star, _ = quantified(clean, series(np.full(shape, 60.0), sigma=2.0, seed=2), registration=half)
    inner = r2star.values[2:-2, 2:-2, 2:-2]
    assert inner.std() == pytest.approx(float(np.median(r2star.standard_error[2:-2, 2:-2, 2:-2])), rel=0.1)


def test_relaxivity_follows_the_holmium_content():
    scaled = relaxivity_per_s_per_mg_ml(calibrated=218.0, calibration_holmium_fraction=0.195, holmium_fraction=0.191)
    assert scaled == pytest.approx(218.0 * 0.191 / 0.195)
    with pytest.raises(ValueError, match="positive"):
        relaxivity_per_s_per_mg_ml(calibrated=0.0, calibration_holmium_fraction=0.195, holmium_fraction=0.195)


def test_mismatched_shapes_are_refused():
    grid = Grid(shape=(1, 2, 2), affine_lps_mm=np.eye(4))
    with pytest.raises(ValueError, match="signal has shape"):
        EchoSeries(
            signal=np.zeros((3, 1, 2, 3), np.float32),
            echo_times_s=(0.1, 0.2, 0.3),
            grid=grid,
            acquired_at=None,
            series_instance_uid="1",
            field_strength_t=3.0,
        )
