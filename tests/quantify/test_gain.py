"""The gain field is found through outliers and noise, and says what it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.gain import gain_field

SHAPE = (16, 40, 48)


def smooth_gain(shape=SHAPE):
    s, r, c = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.exp(0.1 + 0.08 * s - 0.05 * r + 0.12 * c + 0.06 * c * c - 0.05 * r * c)


def measured(gain, *, noise=0.03, seed=0):
    """(reference S₀, S₀): tissue of varying brightness and voxel noise."""
    rng = np.random.default_rng(seed)
    reference = rng.uniform(60, 140, gain.shape)
    return reference, reference * gain * (1 + noise * rng.standard_normal(gain.shape))


def test_a_smooth_gain_is_found_within_a_percent(grid):
    gain = smooth_gain()
    reference, s0 = measured(gain)
    field = gain_field(reference, s0, np.ones(SHAPE, dtype=bool), grid(SHAPE))
    assert field.values == pytest.approx(gain, rel=0.01)
    assert field.u_relative < 0.01
    assert "quadratic" in field.message


def test_a_fifth_of_outliers_does_not_matter(grid):
    gain = smooth_gain()
    reference, s0 = measured(gain)
    s0[np.random.default_rng(9).random(SHAPE) < 0.2] *= 1.8
    field = gain_field(reference, s0, np.ones(SHAPE, dtype=bool), grid(SHAPE))
    assert field.values == pytest.approx(gain, rel=0.02)


def test_only_trusted_voxels_tell(grid):
    gain = smooth_gain()
    reference, s0 = measured(gain)
    trusted = np.ones(SHAPE, dtype=bool)
    trusted[:, 10:25, 10:25] = False
    s0[~trusted] = np.nan
    s0[:, 12:14, 12:14] = 5000.0
    field = gain_field(reference, s0, trusted, grid(SHAPE))
    assert field.values == pytest.approx(gain, rel=0.015)


def test_the_uncertainty_holds_what_the_field_misses(grid):
    """A ripple of 5 cm that no quadratic follows."""
    shape = (20, 60, 60)
    ripple = 1 + 0.05 * np.sin(np.arange(60) * 3.0 / 50.0 * 2 * np.pi)[None, :, None] * np.ones(shape)
    reference, s0 = measured(ripple)
    field = gain_field(reference, s0, np.ones(shape, dtype=bool), grid(shape))
    actual = np.std(np.log(field.values / ripple))
    assert 0.4 * actual < field.u_relative < 2 * actual


def test_beyond_the_trusted_voxels_the_field_stays_bounded(grid):
    gain = smooth_gain()
    reference, s0 = measured(gain)
    trusted = np.zeros(SHAPE, dtype=bool)
    trusted[4:12, 14:26, 16:32] = True
    values = gain_field(reference, s0, trusted, grid(SHAPE)).values
    inside = values[trusted]
    assert values.min() > 0.8 * inside.min()
    assert values.max() < 1.25 * inside.max()


def test_a_few_hundred_voxels_give_a_constant(grid):
    gain = np.full(SHAPE, 1.3)
    reference, s0 = measured(gain)
    trusted = np.zeros(SHAPE, dtype=bool)
    trusted[5, 10:30, 10:30] = True
    field = gain_field(reference, s0, trusted, grid(SHAPE))
    assert np.ptp(field.values) == 0
    assert field.values[0, 0, 0] == pytest.approx(1.3, rel=0.01)
    assert "constant" in field.message
    assert field.n_voxels == 400


def test_too_few_voxels_say_nothing_and_say_so(grid):
    reference, s0 = measured(np.full(SHAPE, 1.3))
    trusted = np.zeros(SHAPE, dtype=bool)
    trusted[0, 0, :40] = True
    field = gain_field(reference, s0, trusted, grid(SHAPE))
    assert (field.values == 1).all()
    assert field.u_relative == np.inf
    assert "40 trusted voxels, 200 are needed" in field.message


def test_a_single_slice_has_a_gain_too(grid):
    gain = smooth_gain((1, 60, 60))
    reference, s0 = measured(gain, noise=0.01)
    field = gain_field(reference, s0, np.ones(gain.shape, dtype=bool), grid(gain.shape))
    assert field.values == pytest.approx(gain, rel=0.01)


def test_mismatched_shapes_are_refused(grid):
    with pytest.raises(ValueError, match="s0 has shape"):
        gain_field(np.ones(SHAPE), np.ones((1, 2, 3)), np.ones(SHAPE, dtype=bool), grid(SHAPE))
