"""The echoes at a point are those of the voxel that it lies in, and the curve is the fit's own."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from config.settings import QuantificationSettings
from quantify.decay import change_of_r2star, decay_at
from quantify.holmium import FittedSeries, fit_series
from quantify.model import EchoSeries, Grid
from quantify.r2star import fit_r2star

TIMES_S = (0.0013, 0.0026, 0.0039, 0.0052, 0.0065)
SHAPE = (4, 5, 6)
STILL = np.eye(4)


def turned_grid() -> Grid:
    """2 × 3 × 4 mm voxels, turned about two axes and away from the origin."""
    a, b = np.radians(25.0), np.radians(-14.0)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.array([[0, 0, 4.0], [0, 3.0, 0], [2.0, 0, 0]])
    affine[:3, 3] = (-31.0, 12.0, 7.0)
    return Grid(shape=SHAPE, affine_lps_mm=affine)


def r2star_of_voxels() -> np.ndarray:
    """Another R2* in every voxel: which voxel was read can be told."""
    return 30.0 + np.arange(np.prod(SHAPE), dtype=np.float64).reshape(SHAPE)


def fitted_series(*, grid: Grid | None = None, modulation: np.ndarray | None = None, noise: float = 0.0):
    times = np.array(TIMES_S)[:, None, None, None]
    signal = 800.0 * np.exp(-r2star_of_voxels() * times)
    if modulation is not None:
        signal = signal * modulation
    signal = signal + np.random.default_rng(3).normal(0, noise, signal.shape) if noise else signal
    series = EchoSeries(
        signal=signal.astype(np.float32),
        echo_times_s=TIMES_S,
        grid=grid or turned_grid(),
        acquired_at=datetime(2026, 3, 4, tzinfo=UTC),
        series_instance_uid="1.2",
        field_strength_t=3.0,
    )
    if modulation is None:
        return fit_series(series, QuantificationSettings())
    # So few voxels cannot tell the noise from the modulation: it is said.
    factor = np.broadcast_to(modulation, signal.shape).astype(np.float32)
    every = np.ones(SHAPE, dtype=bool)
    fit = fit_r2star(series, sigma=0.5, modulation=factor)
    return FittedSeries(series=series, fit=fit, usable=every, poor=~every, modulation=factor)


@pytest.fixture(scope="module")
def fitted() -> FittedSeries:
    return fitted_series()


def centre(grid: Grid, voxel: tuple[float, float, float]) -> np.ndarray:
    return (grid.affine_lps_mm @ [*voxel, 1.0])[:3]


@pytest.mark.parametrize("voxel", [(0, 0, 0), (3, 4, 5), (2, 1, 3)])
@pytest.mark.parametrize("off", [0.0, 0.45, -0.45], ids=["centre", "one side", "other side"])
def test_the_voxel_is_the_one_that_the_point_lies_in(fitted, voxel, off):
    grid = fitted.series.grid
    point = centre(grid, tuple(i + off for i in voxel))
    decay = decay_at(fitted, point, STILL)
    assert decay.voxel == voxel
    assert decay.r2star_per_s == pytest.approx(r2star_of_voxels()[voxel], rel=1e-3)
    np.testing.assert_allclose(decay.signal, fitted.series.signal[(slice(None), *voxel)])
    np.testing.assert_allclose(decay.echo_times_s, TIMES_S)


@pytest.mark.parametrize("voxel", [(-0.6, 0, 0), (3.6, 4, 5), (2, -0.6, 3), (2, 4.6, 3), (2, 1, -0.6), (2, 1, 5.6)])
def test_a_point_outside_the_series_has_no_echoes(fitted, voxel):
    assert decay_at(fitted, centre(fitted.series.grid, voxel), STILL) is None


def test_the_transform_takes_the_point_of_the_reference_to_the_series(fitted):
    """An oblique rotation with a shift: the inverse, or none at all, reads another voxel."""
    angle = np.radians(37.0)
    move = np.eye(4)
    move[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    move[:3, 3] = (6.0, -4.0, 9.0)
    for voxel in ((1, 3, 2), (3, 0, 4)):
        in_series = centre(fitted.series.grid, voxel)
        in_reference = (np.linalg.inv(move) @ [*in_series, 1.0])[:3]
        assert decay_at(fitted, in_reference, move).voxel == voxel
        other = decay_at(fitted, in_reference, STILL)
        assert other is None or other.voxel != voxel


def test_the_curve_is_the_fitted_exponential(fitted):
    decay = decay_at(fitted, centre(fitted.series.grid, (2, 2, 2)), STILL)
    times = np.linspace(0.0, 0.02, 7)
    rate = r2star_of_voxels()[2, 2, 2]
    np.testing.assert_allclose(decay.curve(times), 800.0 * np.exp(-rate * times), rtol=2e-3)
    assert decay.curve([0.0])[0] == pytest.approx(decay.s0)
    assert decay.residual_share == pytest.approx(decay.residual / decay.s0)


def test_a_known_modulation_is_in_the_curve_at_the_echoes_and_unknown_between_them():
    factor = np.array([1.0, 0.7, 1.1, 0.8, 1.0])
    fitted = fitted_series(modulation=factor[:, None, None, None])
    decay = decay_at(fitted, centre(fitted.series.grid, (1, 1, 1)), STILL)
    np.testing.assert_allclose(decay.curve(TIMES_S), decay.signal, rtol=5e-3)
    np.testing.assert_allclose(decay.modulation, factor, rtol=1e-6)
    with pytest.raises(ValueError, match="known at the echoes only"):
        decay.curve([0.0, 0.001])


def test_where_nothing_was_fitted_the_curve_is_nan():
    grid = turned_grid()
    series = EchoSeries(
        signal=np.zeros((5, *SHAPE), dtype=np.float32),
        echo_times_s=TIMES_S,
        grid=grid,
        acquired_at=datetime(2026, 3, 4, tzinfo=UTC),
        series_instance_uid="1.2",
        field_strength_t=3.0,
    )
    decay = decay_at(fit_series(series, QuantificationSettings()), centre(grid, (0, 0, 0)), STILL)
    assert np.isnan(decay.curve(TIMES_S)).all()
    assert np.isnan(decay.residual_share)
    assert not decay.usable


def test_a_decay_cannot_be_written_to(fitted):
    decay = decay_at(fitted, centre(fitted.series.grid, (0, 0, 0)), STILL)
    with pytest.raises(ValueError, match="read-only"):
        decay.signal[0] = 1.0


def test_the_change_is_the_difference_of_the_fits_with_both_errors():
    fitted = fitted_series(noise=5.0)
    grid = fitted.series.grid
    first, later = (decay_at(fitted, centre(grid, voxel), STILL) for voxel in ((0, 0, 0), (3, 4, 5)))
    change, error = change_of_r2star(first, later)
    assert change == pytest.approx(later.r2star_per_s - first.r2star_per_s)
    assert error == pytest.approx(np.hypot(first.standard_error_per_s, later.standard_error_per_s))
    assert 0 < error < 10
