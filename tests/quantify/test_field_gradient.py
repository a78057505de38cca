"""A known field gradient is found in the phase images, and the decay that it feigns is taken out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantify.field_gradient import frequency_gradient_hz, gradient_modulation
from quantify.r2star import fit_r2star

SHAPE = (8, 16, 20)
TEN_ECHOES_S = tuple(1.2e-3 * n for n in range(1, 11))


def phases(gradient_hz, *, times=TEN_ECHOES_S, sigma=0.0, seed=0):
    """Wrapped phase of a field that changes by so many Hz per voxel along each axis, with a coil's own phase."""
    s, r, c = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    frequency = gradient_hz[0] * s + gradient_hz[1] * r + gradient_hz[2] * c + 35.0
    coil = 0.4 * s - 0.03 * r * r + 0.1 * c
    total = 2 * np.pi * frequency * np.array(times)[:, None, None, None] + coil
    rng = np.random.default_rng(seed)
    noisy = np.exp(1j * total) + sigma * (rng.standard_normal(total.shape) + 1j * rng.standard_normal(total.shape))
    return np.angle(noisy).astype(np.float32)


def dephased(series, rate, gradient_hz, *, sigma=0.0, seed=0):
    """Magnitude of voxels that are boxes in that field: the mean over 101 points of each axis, not the sinc."""
    points = (np.arange(101) - 50) / 101
    times = np.array(TEN_ECHOES_S)
    factor = np.ones(10)
    for along in gradient_hz:
        factor *= np.abs(np.exp(2j * np.pi * along * times[:, None] * points).mean(axis=1))
    plain = series(np.full(SHAPE, float(rate)), sigma=0.0)
    clean = plain.signal * factor[:, None, None, None]
    rng = np.random.default_rng(seed)
    noise = sigma * rng.standard_normal((2, *clean.shape))
    return replace(plain, signal=np.hypot(clean + noise[0], noise[1]).astype(np.float32))


@pytest.mark.parametrize("gradient", [(40.0, 0.0, 0.0), (0.0, -25.0, 10.0), (-60.0, 5.0, 8.0), (300.0, 0.0, 0.0)])
def test_the_gradient_is_found_through_wraps_and_coil_phase(grid, gradient):
    found = frequency_gradient_hz(phases(gradient), TEN_ECHOES_S, grid(SHAPE))
    for along, expected in zip(found, gradient, strict=True):
        assert along == pytest.approx(expected, abs=0.05)


def test_uneven_echoes_find_it_too(grid):
    times = (0.0012, 0.0022, 0.0041, 0.0056)
    found = frequency_gradient_hz(phases((40.0, 0.0, -7.0), times=times), times, grid(SHAPE))
    assert found[0] == pytest.approx(40.0, abs=0.05)
    assert found[2] == pytest.approx(-7.0, abs=0.05)


def test_without_a_gradient_nothing_is_modulated(grid):
    assert gradient_modulation(phases((0.0, 0.0, 0.0)), TEN_ECHOES_S, grid(SHAPE)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("gradient", [(45.0, 0.0, 0.0), (30.0, 15.0, -12.0)], ids=["through plane", "oblique"])
def test_a_gradient_inflates_r2star_and_the_correction_is_right(series, grid, gradient):
    magnitude = dephased(series, 60.0, gradient, sigma=1.0, seed=1)
    without = fit_r2star(magnitude, sigma=1.0).r2star_per_s.mean()
    modulation = gradient_modulation(phases(gradient, sigma=0.01), TEN_ECHOES_S, grid(SHAPE))
    corrected = fit_r2star(magnitude, sigma=1.0, modulation=modulation).r2star_per_s.mean()
    assert without > 75.0
    assert corrected == pytest.approx(60.0, rel=0.01)


def test_noise_in_the_phase_hardly_modulates(grid):
    modulation = gradient_modulation(phases((0.0, 0.0, 0.0), sigma=0.05, seed=3), TEN_ECHOES_S, grid(SHAPE))
    assert modulation.mean() > 0.995


def test_the_magnitude_keeps_noise_out(grid):
    """Half of the echoes have drowned: their phase is noise, their magnitude says so."""
    noisy = phases((40.0, 0.0, 0.0))
    noisy[5:] = np.random.default_rng(1).uniform(-np.pi, np.pi, noisy[5:].shape)
    magnitude = np.ones_like(noisy)
    magnitude[5:] = 0.01
    found = frequency_gradient_hz(noisy, TEN_ECHOES_S, grid(SHAPE), magnitude=magnitude)
    assert found[0] == pytest.approx(40.0, abs=0.5)


def test_a_strong_gradient_is_held_above_nothing(grid):
    modulation = gradient_modulation(phases((150.0, 0.0, 0.0)), TEN_ECHOES_S, grid(SHAPE))
    assert modulation.min() == pytest.approx(0.05)


def test_a_single_slice_shows_no_gradient_along_itself(grid):
    phase = phases((40.0, 0.0, 20.0))[:, :1]
    found = frequency_gradient_hz(phase, TEN_ECHOES_S, grid((1, *SHAPE[1:])))
    assert (found[0] == 0).all()
    assert found[2] == pytest.approx(20.0, abs=0.05)


def test_bad_input_is_refused(grid):
    phase = phases((0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="phase has shape"):
        gradient_modulation(phase[:5], TEN_ECHOES_S, grid(SHAPE))
    with pytest.raises(ValueError, match="magnitude has shape"):
        gradient_modulation(phase, TEN_ECHOES_S, grid(SHAPE), magnitude=phase[:5])
    with pytest.raises(ValueError, match="ascending"):
        gradient_modulation(phase, TEN_ECHOES_S[::-1], grid(SHAPE))
    with pytest.raises(ValueError, match="not finite"):
        gradient_modulation(np.full_like(phase, np.nan), TEN_ECHOES_S, grid(SHAPE))
