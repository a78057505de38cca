"""The noise estimate finds the σ that was put in, with and without air in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.noise import noise_sigma

SIGMAS = [1.0, 2.0, 5.0]


@pytest.mark.parametrize("sigma", SIGMAS)
def test_sigma_is_found_in_the_air(series, sigma):
    s0 = np.full((8, 40, 40), 100.0)
    s0[:, :10] = 0.0
    s0[:, 10:14] = 8.0  # something faint must not be taken for air
    noisy = series(np.random.default_rng(1).uniform(20, 200, s0.shape), s0=s0, sigma=sigma, seed=2)
    assert noise_sigma(noisy.signal, noisy.echo_times_s) == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_sigma_is_found_without_air(series, sigma):
    noisy = series(np.random.default_rng(1).uniform(20, 80, (8, 40, 40)), sigma=sigma, seed=2)
    assert noise_sigma(noisy.signal, noisy.echo_times_s) == pytest.approx(sigma, rel=0.08)


def test_air_masked_to_zero_is_not_noise(series):
    s0 = np.full((8, 40, 40), 100.0)
    noisy = series(np.full(s0.shape, 40.0), s0=s0, sigma=2.0, seed=2)
    masked = noisy.signal.copy()
    masked[:, :, :20] = 0.0
    assert noise_sigma(masked, noisy.echo_times_s) == pytest.approx(2.0, rel=0.08)


def test_a_noiseless_series_has_no_noise(series):
    clean = series(np.full((4, 20, 20), 40.0))
    assert noise_sigma(clean.signal, clean.echo_times_s) == pytest.approx(0.0, abs=1e-3)


def test_a_series_of_zeros_has_no_noise():
    assert noise_sigma(np.zeros((5, 2, 3, 4), dtype=np.float32), (0.001, 0.002, 0.003, 0.004, 0.005)) == 0.0


@pytest.mark.parametrize(
    ("signal", "words"),
    [
        (np.full((3, 1, 2, 2), np.nan, dtype=np.float32), "not finite"),
        (np.ones((3, 2, 2), dtype=np.float32), "shape"),
        (np.ones((3, 0, 2, 2), dtype=np.float32), "shape"),
        (np.ones((4, 1, 2, 2), dtype=np.float32), "3 echoes"),
    ],
    ids=["nan", "three axes", "empty", "other echoes"],
)
def test_a_signal_that_cannot_tell_is_refused(signal, words):
    with pytest.raises(ValueError, match=words):
        noise_sigma(signal, (0.001, 0.002, 0.003))
