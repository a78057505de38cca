"""Fat in the liver: the beating of its six peaks against water on a magnitude signal, and its share from a series.

The chemical shifts and relative areas of liver fat are those of Hamilton et al. 2011, NMR Biomed 24:784 (water at
4.70 ppm, 37 °C). With the share η of the signal at TE = 0 that is fat's and one R2* for both,

    |S(t)| = S₀·exp(−R2*·t)·|1 − η + η·Σₚ aₚ·exp(i·2π·fₚ·t)|,  fₚ = γ/2π·B₀·(δₚ − 4.70 ppm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantify.model import Array, EchoSeries, FloatArray
from quantify.noise import noise_sigma
from quantify.r2star import DecayFit, checked_times, fit_r2star

LIVER_FAT_PEAKS = ((5.30, 0.047), (4.20, 0.039), (2.75, 0.006), (2.10, 0.120), (1.30, 0.700), (0.90, 0.088))
"""(ppm, share of the area). Of the total 8.6 % lies under the water peak, 0.6 % at 2.75 ppm (Hamilton 2011)."""
WATER_PPM = 4.70
GAMMA_MHZ_PER_T = 42.577478
"""Gyromagnetic ratio of the proton over 2π, CODATA."""
LARGEST_FAT_FRACTION = 0.5
"""A magnitude cannot tell more fat than water from more water than fat; a liver has more water."""
_COARSE_STEP, _FINE_STEP = 0.05, 0.01
_DETECTED_SIGMA = 2.0
_SMALLEST_MODULATION = 1e-3


def fat_modulation(fat_fraction: ArrayLike, echo_times_s: Sequence[float], field_t: float) -> Array:
    """Factor |1 − η + η·Σ aₚ·exp(i·2π·fₚ·t)| on the signal of every echo.

    Parameters
    ----------
    fat_fraction
        η, 0…1, of any shape. NaN (unknown) counts as no fat.
    echo_times_s
        In seconds.
    field_t
        Field strength, T.

    Returns
    -------
    float32 array (echo, *shape of `fat_fraction*), above 0.

    Raises
    ------
    ValueError
        For a fraction outside 0…1 or a field strength that is not positive.
    """
    eta = np.nan_to_num(np.asarray(fat_fraction, dtype=np.float64), nan=0.0)
    if (eta < 0).any() or (eta > 1).any():
        raise ValueError(f"fat_modulation: fat_fraction reaches from {eta.min():g} to {eta.max():g}; expected 0 to 1.")
    if not (np.isfinite(field_t) and field_t > 0):
        raise ValueError(f"fat_modulation: field_t is {field_t}; expected a positive number of tesla.")
    times = np.asarray(echo_times_s, dtype=np.float64)
    ppm, area = np.array(LIVER_FAT_PEAKS).T
    frequency_hz = GAMMA_MHZ_PER_T * field_t * (ppm - WATER_PPM)
    fat = (area * np.exp(2j * np.pi * frequency_hz * times[:, None])).sum(axis=1)
    factors = np.empty((times.size, *eta.shape), dtype=np.float32)
    for echo, signal in enumerate(fat):
        factors[echo] = np.hypot(1.0 + eta * (signal.real - 1.0), eta * signal.imag)
    # Where water and fat cancel the echo says nothing; it must not divide by nothing.
    modulation: Array = np.maximum(factors, np.float32(_SMALLEST_MODULATION))
    return modulation


def fit_fat_fraction(series: EchoSeries, *, sigma: float | None = None) -> tuple[Array, DecayFit]:
    """Share of fat η in every voxel, and the decay fit with its beating modelled.

    η minimises the residual of the nonlinear fit, whose R2* and S₀ are at their optimum for every η: on a grid, then
    by two parabolas. It stays within 0…0.5, since a magnitude cannot tell fat-rich from water-rich.

    Parameters
    ----------
    series
        At least four echoes; the field strength must be known.
    sigma
        Noise of one channel in signal units; estimated when None.

    Returns
    -------
    (fat fraction, fit)
        Float32 (slice, row, column), NaN where the fit is; 0 where the residual without fat is not larger by (2σ)².

    Raises
    ------
    ValueError
        For fewer than four echoes, an unknown field strength, and as `fit_r2star`.
    """
    times = checked_times(series.echo_times_s, where="fit_fat_fraction")
    if times.size < 4:
        raise ValueError("fit_fat_fraction: the series has 3 echoes; fat, R2* and S0 together need at least 4.")
    if sigma is None:
        sigma = noise_sigma(series.signal, series.echo_times_s)
    plain = fit_r2star(series, sigma=sigma)
    inside = np.isfinite(plain.r2star_per_s)
    fraction = np.full(series.grid.shape, np.nan, dtype=np.float32)
    if not inside.any():
        return fraction, plain
    voxels = _Profile(series, inside, sigma)
    grid = np.arange(0.0, LARGEST_FAT_FRACTION + _COARSE_STEP / 2, _COARSE_STEP)
    residuals = np.stack([voxels.squares(np.full(voxels.count, eta)) for eta in grid])
    lowest = np.clip(residuals.argmin(axis=0), 1, grid.size - 2)
    around = np.stack([np.take_along_axis(residuals, (lowest + k)[None], axis=0)[0] for k in (-1, 0, 1)])
    eta = _vertex(grid[lowest], around, _COARSE_STEP)
    centre = np.clip(eta, _FINE_STEP, LARGEST_FAT_FRACTION - _FINE_STEP)
    around = np.stack([voxels.squares(centre + k * _FINE_STEP) for k in (-1, 0, 1)])
    eta = _vertex(centre, around, _FINE_STEP)
    gained = residuals[0] - voxels.squares(eta)
    # Noise alone lowers the residual by σ² for the freedom of η; rounding of single precision by far less.
    certain = gained > np.maximum((_DETECTED_SIGMA * sigma) ** 2, 1e-9 * plain.s0[inside].astype(np.float64) ** 2)
    fraction[inside] = np.where(certain, eta, 0.0)
    modulation = fat_modulation(fraction, series.echo_times_s, series.field_strength_t)
    return fraction, fit_r2star(series, sigma=sigma, modulation=modulation)


class _Profile:
    """The residual of the voxels with signal as a function of their fat fraction."""

    def __init__(self, series: EchoSeries, inside: NDArray[np.bool_], sigma: float) -> None:
        count = int(inside.sum())
        grid = replace(series.grid, shape=(1, 1, count))
        self._series = replace(series, signal=series.signal[:, inside][:, None, None, :], phase_rad=None, grid=grid)
        self._sigma = sigma
        self.count = count

    def squares(self, eta: FloatArray) -> FloatArray:
        """Σ of the squared residuals of the nonlinear fit with these fat fractions (voxel,)."""
        modulation = fat_modulation(eta[None, None, :], self._series.echo_times_s, self._series.field_strength_t)
        fit = fit_r2star(self._series, sigma=self._sigma, modulation=modulation)
        squares: FloatArray = fit.residual[0, 0].astype(np.float64) ** 2 * (len(self._series.echo_times_s) - 2)
        return squares


def _vertex(centre: FloatArray, around: FloatArray, step: float) -> FloatArray:
    """Lowest point of the parabola through three residuals a step apart, within 0…0.5 and a step of the centre."""
    before, at, after = around
    curvature = before - 2.0 * at + after
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = 0.5 * step * (before - after) / curvature
    downhill = np.where(after < before, step, -step)
    shift = np.where(curvature > 0, np.clip(shift, -step, step), downhill)
    lowest: FloatArray = np.clip(centre + shift, 0.0, LARGEST_FAT_FRACTION)
    return lowest
