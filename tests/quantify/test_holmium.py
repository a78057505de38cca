"""From ΔR2* to microspheres, voxel by voxel, with a reason for every voxel left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from config.settings import QuantificationSettings
from quantify.findings import Registration, RegistrationStatus
from quantify.holmium import align, fit_series, holmium_map, refit_with_s0, relaxivity_per_s_per_mg_ml
from quantify.model import EchoSeries, Grid, Reason
from quantify.reference import matched_reference

SETTINGS = QuantificationSettings()
BLENDED = SETTINGS.model_copy(update={"s0": "blended"})
SAME = Registration(status=RegistrationStatus.OK)
SHAPE = (6, 20, 24)


def quantified(reference, fraction, registration=SAME, relaxivity=218.0):
    fitted = fit_series(reference, SETTINGS)
    aligned = align(fit_series(fraction, SETTINGS), reference=fitted, registration=registration)
    matched = matched_reference(reference, fitted.fit)
    return holmium_map(aligned, reference=fitted, matched=matched, relaxivity=relaxivity, settings=SETTINGS)


def test_0_334_mg_per_ml_is_a_change_of_72_8_per_s(series):
    """docs/physics.md §8: uniform 0.334 mg/mL; ΔR2* 72.8 s⁻¹ at 218."""
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


WIDE = (12, 40, 44)


def gain_of(shape):
    s, r, c = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.exp(0.1 + 0.06 * s - 0.05 * r + 0.1 * c + 0.05 * c * c)


def treated(series, *, sigma=2.0, hottest=1200.0):
    """(reference, fraction, ΔR2*): a quarter of the volume treated, and a smooth gain between the two."""
    rng = np.random.default_rng(3)
    baseline, s0 = rng.uniform(25, 60, WIDE), rng.uniform(90, 110, WIDE)
    change = np.zeros(WIDE)
    change[:, 10:30, 10:32] = hottest * rng.uniform(0, 1, (12, 20, 22)) ** 2
    reference = series(baseline, s0=s0, sigma=sigma, seed=1)
    return reference, series(baseline + change, s0=s0 * gain_of(WIDE), sigma=sigma, seed=2), change


def blended_and_free(reference, fraction, registration=SAME):
    fitted, free = fit_series(reference, SETTINGS), fit_series(fraction, SETTINGS)
    again = refit_with_s0(free, reference=fitted, registration=registration, settings=BLENDED)
    matched = matched_reference(reference, fitted.fit)
    maps = []
    for one in (free, again):
        aligned = align(one, reference=fitted, registration=registration)
        maps.append(holmium_map(aligned, reference=fitted, matched=matched, relaxivity=218.0, settings=BLENDED)[1])
    return again, *maps


def test_blending_s0_sharpens_the_hot_voxels_and_states_its_error(series):
    reference, fraction, change = treated(series)
    again, free, blended = blended_and_free(reference, fraction)
    hot = (change > 400) & (change < 800) & (blended.reason == Reason.EVALUABLE)
    errors = [(m.values * 218 - change)[hot] for m in (free, blended)]
    assert errors[1].std() < 0.6 * errors[0].std()
    assert abs(errors[1].mean()) < 0.02 * 600
    # The prior was sure to within 4 % and in truth better: the stated error is not below the scatter.
    stated = (blended.standard_error * 218)[hot]
    assert 0.7 < np.std(errors[1] / stated) < 1.1
    assert again.gain.values == pytest.approx(gain_of(WIDE), rel=0.02)


def test_what_was_blended_is_recorded_in_every_voxel(series):
    reference, fraction, change = treated(series)
    again, _, _ = blended_and_free(reference, fraction)
    weight = again.fit.s0_weight
    assert np.nanmedian(weight[change == 0]) < 0.4
    assert np.nanmedian(weight[(change > 600) & again.usable]) > 0.8
    aligned = align(again, reference=fit_series(reference, SETTINGS), registration=SAME)
    assert aligned.s0_weight == pytest.approx(np.where(again.usable, weight, np.nan), abs=1e-5, nan_ok=True)
    assert fit_series(fraction, SETTINGS).fit.s0_weight is None


def test_s0_is_blended_through_the_registration(series):
    """The fraction lies two voxels up: its prior must come from the tissue, not from the same index."""
    rng = np.random.default_rng(5)
    whole, s0 = rng.uniform(25, 60, (12, 44, 40)), rng.uniform(50, 150, (12, 44, 40))
    reference = series(whole[:, :40], s0=s0[:, :40], sigma=1.0, seed=1)
    fraction = series(whole[:, 2:42] + 5.0, s0=s0[:, 2:42], sigma=1.0, seed=2)
    # The fraction's row r shows the reference's row r + 2, so a point of the reference lies 2 × 3 mm lower in it.
    shift = ((1, 0, 0, 0), (0, 1, 0, -6.0), (0, 0, 1, 0), (0, 0, 0, 1))
    registration = Registration(status=RegistrationStatus.OK, reference_to_series_lps_mm=shift)
    fitted, free = fit_series(reference, SETTINGS), fit_series(fraction, SETTINGS)
    again = refit_with_s0(free, reference=fitted, registration=registration, settings=BLENDED)
    assert (again.fit.s0_weight[:, :38] > 0).mean() > 0.98
    assert (again.fit.s0_weight[:, 38:] == 0).all()  # beyond the reference nothing is known
    wrong = refit_with_s0(free, reference=fitted, registration=SAME, settings=BLENDED)
    assert (wrong.fit.s0_weight > 0).mean() < 0.6  # S₀ that contradicts the data is not blended in


def test_without_enough_tissue_the_fit_stays_free(series):
    reference, fraction = (series(np.full((1, 10, 10), r), sigma=1.0, seed=s) for r, s in ((40.0, 1), (60.0, 2)))
    free = fit_series(fraction, SETTINGS)
    again = refit_with_s0(free, reference=fit_series(reference, SETTINGS), registration=SAME, settings=BLENDED)
    assert again.fit.r2star_per_s == pytest.approx(free.fit.r2star_per_s)
    assert (again.fit.s0_weight == 0).all()
    assert "not estimated" in again.gain.message


def test_drowned_voxels_stay_lower_bounds_when_s0_is_blended(series):
    true_r2star = np.full((12, 40, 40), 45.0)
    true_r2star[6] = 2900.0
    reference = series(np.full((12, 40, 40), 40.0), sigma=2.0, seed=1)
    gain = gain_of((12, 40, 40))
    fraction = series(true_r2star, s0=100.0 * gain, sigma=2.0, seed=2)
    _, free, blended = blended_and_free(reference, fraction)
    drowned = blended.reason[6] == Reason.LOWER_BOUND
    assert drowned.mean() > 0.97
    assert np.array_equal(drowned, free.reason[6] == Reason.LOWER_BOUND)
    assert (blended.values[6][drowned] < (2900 - 40) / 218).all()
    # The gain's own place is used, not the median of all: where it is high, more signal was lost.
    difference = (blended.values - free.values)[6]
    assert np.corrcoef(difference[drowned], np.log(gain[6])[drowned])[0, 1] > 0.9


@pytest.mark.parametrize("factor", [0.25, 3.5], ids=["darker", "brighter"])
def test_other_tissue_than_in_the_reference_has_moved(series, factor):
    reference, fraction, _ = treated(series, hottest=0.0)
    signal = fraction.signal.copy()
    signal[:, 4:6] *= factor
    _, free, blended = blended_and_free(reference, replace(fraction, signal=signal))
    for found in (free, blended):
        assert (found.reason[4:6] == Reason.MOVED).mean() > 0.95
        assert np.isnan(found.values[found.reason == Reason.MOVED]).all()
        others = np.delete(found.reason, [4, 5], axis=0)
        assert (others == Reason.EVALUABLE).all()


@pytest.mark.parametrize("sigma", [1.25, 2.0, 3.3], ids=["SNR 80", "SNR 50", "SNR 30"])
def test_nothing_has_moved_in_an_unmoved_phantom(series, sigma):
    reference, fraction, _ = treated(series, sigma=sigma)
    _, free, blended = blended_and_free(reference, fraction)
    assert not (free.reason == Reason.MOVED).any()
    assert not (blended.reason == Reason.MOVED).any()


def test_how_far_s0_may_change_is_a_setting(series):
    reference, fraction, _ = treated(series, hottest=0.0)
    signal = fraction.signal.copy()
    signal[:, 4] *= 1.6
    fitted = fit_series(reference, SETTINGS)
    aligned = align(fit_series(replace(fraction, signal=signal), SETTINGS), reference=fitted, registration=SAME)
    matched = matched_reference(reference, fitted.fit)
    for percent, marked in ((100.0, False), (25.0, True)):
        settings = SETTINGS.model_copy(update={"moved_s0_change_pct": percent})
        _, holmium = holmium_map(aligned, reference=fitted, matched=matched, relaxivity=218.0, settings=settings)
        assert ((holmium.reason[4] == Reason.MOVED).mean() > 0.9) == marked


def test_a_modulation_reaches_the_fit_and_the_refit(series):
    reference, fraction, _ = treated(series, hottest=200.0)
    factor = np.linspace(1.0, 0.6, 10, dtype=np.float32)[:, None, None, None] * np.ones((1, *WIDE), dtype=np.float32)
    beaten = replace(fraction, signal=fraction.signal * factor)
    fitted = fit_series(beaten, SETTINGS, modulation=factor)
    plain = fit_series(fraction, SETTINGS)
    assert np.nanmean(fitted.fit.r2star_per_s - plain.fit.r2star_per_s) == pytest.approx(0.0, abs=1.0)
    assert np.nanmean(fit_series(beaten, SETTINGS).fit.r2star_per_s - plain.fit.r2star_per_s) > 20
    again = refit_with_s0(fitted, reference=fit_series(reference, SETTINGS), registration=SAME, settings=BLENDED)
    assert np.nanmean(again.fit.r2star_per_s - plain.fit.r2star_per_s) == pytest.approx(0.0, abs=1.0)


def test_a_fit_without_s0_cannot_be_blended(series):
    reference, fraction, _ = treated(series, hottest=0.0)
    arlo = BLENDED.model_copy(update={"fit": "arlo"})
    with pytest.raises(ValueError, match="arlo has no S0"):
        refit_with_s0(
            fit_series(fraction, arlo), reference=fit_series(reference, arlo), registration=SAME, settings=arlo
        )


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
