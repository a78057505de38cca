"""Fat: its spectrum, what it does to R2* unmodelled, and that the model takes it out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantify.echoes import with_echoes
from quantify.fat import LIVER_FAT_PEAKS, fat_modulation, fit_fat_fraction
from quantify.r2star import fit_r2star

SHAPE = (4, 20, 20)
TEN_ECHOES_S = tuple(1.2e-3 * n for n in range(1, 11))
FIELDS = pytest.mark.parametrize("field_t", [1.5, 3.0])


def fatty(series, rate, fraction, field_t, *, sigma=0.0, seed=0):
    """A decay of the rate with the beating of fat, written out independently of the code under test."""
    t = np.array(TEN_ECHOES_S)
    ppm = np.array([5.30, 4.20, 2.75, 2.10, 1.30, 0.90]) - 4.70
    area = np.array([0.047, 0.039, 0.006, 0.120, 0.700, 0.088])
    phase = 2j * np.pi * 42.577478 * field_t * np.outer(t, ppm)
    beat = np.abs(1 - fraction + fraction * (np.exp(phase) * area).sum(axis=1))
    clean = 100 * beat * np.exp(-rate * t)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((2, 10, *SHAPE)) * sigma
    signal = np.hypot(clean[:, None, None, None] + noise[0], noise[1]).astype(np.float32)
    return replace(series(np.full(SHAPE, float(rate))), signal=signal, field_strength_t=field_t)


def test_the_spectrum_is_hamiltons():
    """Hamilton 2011: 8.6 % of fat under the water peak, 0.6 % at 2.75 ppm; 2.1/1.3 ppm 0.172, 0.9/1.3 0.125."""
    area = dict(LIVER_FAT_PEAKS)
    assert sum(area.values()) == pytest.approx(1.0)
    assert area[5.30] + area[4.20] == pytest.approx(0.086)
    assert area[2.75] == 0.006
    assert area[2.10] / area[1.30] == pytest.approx(0.172, abs=0.001)
    assert area[0.90] / area[1.30] == pytest.approx(0.125, abs=0.001)


def test_no_fat_does_not_modulate_and_te_0_neither():
    assert fat_modulation(0.0, TEN_ECHOES_S, 3.0) == pytest.approx(1.0)
    assert fat_modulation(np.array([0.1, 0.4]), (0.0,), 1.5) == pytest.approx(1.0)


def test_fat_is_opposed_after_2_3_ms_and_in_phase_after_4_6_ms_at_1_5_tesla():
    opposed, in_phase = fat_modulation(0.2, (0.0023, 0.0046), 1.5)
    assert opposed < 0.7
    assert in_phase > 0.9


def test_half_the_field_beats_at_half_the_speed():
    slow = fat_modulation(0.2, tuple(2 * t for t in TEN_ECHOES_S), 1.5)
    assert slow == pytest.approx(fat_modulation(0.2, TEN_ECHOES_S, 3.0), rel=1e-6)


@FIELDS
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3])
def test_the_fat_fraction_is_recovered_without_noise(series, fraction, field_t):
    found, fit = fit_fat_fraction(fatty(series, 60, fraction, field_t), sigma=0.0)
    assert found == pytest.approx(fraction, abs=0.001)
    assert fit.r2star_per_s == pytest.approx(60, rel=1e-3)


@FIELDS
@pytest.mark.parametrize("rate", [40, 150])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3])
def test_fat_and_r2star_are_unbiased_at_snr_50(series, fraction, rate, field_t):
    found, fit = fit_fat_fraction(fatty(series, rate, fraction, field_t, sigma=2.0, seed=1), sigma=2.0)
    assert found.mean() == pytest.approx(fraction, abs=0.005)
    standard_error = fit.r2star_per_s.std() / np.sqrt(fit.r2star_per_s.size)
    assert abs(fit.r2star_per_s.mean() - rate) < 0.01 * rate + 2 * standard_error


def test_noise_alone_is_not_fat(series):
    found, _ = fit_fat_fraction(fatty(series, 60, 0.0, 3.0, sigma=2.0, seed=2), sigma=2.0)
    assert (found == 0).mean() > 0.95


@FIELDS
def test_three_echoes_against_ten_lose_tens_per_s_unless_fat_is_modelled(series, field_t):
    """docs/physics.md §2: 10 % fat, three usable echoes against a ten-echo reference, ΔR2* 300 s⁻¹."""
    reference = fatty(series, 40, 0.1, field_t, sigma=0.5, seed=1)
    hot = with_echoes(fatty(series, 340, 0.1, field_t, sigma=0.5, seed=2), (0, 1, 2))
    unmodelled = fit_r2star(hot, sigma=0.5).r2star_per_s - fit_r2star(reference, sigma=0.5).r2star_per_s
    assert abs(unmodelled.mean() - 300) > 15
    fraction, base = fit_fat_fraction(reference, sigma=0.5)
    modelled = fit_r2star(hot, sigma=0.5, modulation=fat_modulation(fraction, hot.echo_times_s, field_t))
    change = modelled.r2star_per_s - base.r2star_per_s
    spread = np.hypot(modelled.standard_error_per_s, base.standard_error_per_s).mean()
    assert abs(change.mean() - 300) < spread
    assert abs(change.mean() - 300) < 0.1 * abs(unmodelled.mean() - 300) + 2 * change.std() / np.sqrt(change.size)


def test_a_series_with_phases_is_fitted_by_its_magnitude(series):
    plain = fatty(series, 60, 0.1, 3.0)
    found, _ = fit_fat_fraction(replace(plain, phase_rad=np.zeros_like(plain.signal)), sigma=0.0)
    assert found == pytest.approx(0.1, abs=0.001)


def test_air_has_no_fat_fraction(series):
    noisy = fatty(series, 60, 0.1, 3.0)
    signal = noisy.signal.copy()
    signal[:, 0] = 0.0
    found, fit = fit_fat_fraction(replace(noisy, signal=signal), sigma=0.0)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1:]).all()
    assert np.isnan(fit.r2star_per_s[0]).all()
    nothing, _ = fit_fat_fraction(replace(noisy, signal=np.zeros_like(signal)), sigma=0.0)
    assert np.isnan(nothing).all()


def test_bad_input_is_refused(series):
    noisy = fatty(series, 60, 0.1, 3.0)
    with pytest.raises(ValueError, match="at least 4"):
        fit_fat_fraction(with_echoes(noisy, (0, 1, 2)))
    with pytest.raises(ValueError, match="field_t is 0"):
        fit_fat_fraction(replace(noisy, field_strength_t=0.0))
    with pytest.raises(ValueError, match="expected 0 to 1"):
        fat_modulation(1.2, TEN_ECHOES_S, 3.0)
