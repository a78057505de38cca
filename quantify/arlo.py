"""R2* by auto-regression on linear operations (ARLO): no iteration, evenly spaced echoes only.

Pei et al. 2015, Magn Reson Med 73:843. For a mono-exponential decay the difference of the signal two echoes apart is
R2* times its integral between them, which Simpson's rule takes from three echoes:

    sᵢ = (Δ/3)(Sᵢ + 4Sᵢ₊₁ + Sᵢ₊₂),  δᵢ = Sᵢ − Sᵢ₊₂,  R2* ≈ Σδ(s + Δδ/3) / Σs(s + Δδ/3).

Simpson's rule is 0.1 % off at R2*·Δ = 0.7 and 4 % at 1.8. For an exponential that error has a closed form,
Δ·R2*(Simpson) = 3·sinh(x)/(2 + cosh(x)) with x = Δ·R2*, which is inverted here: noiseless decays come out exactly.
"""

from __future__ import annotations

import numpy as np

from quantify.model import FloatArray
from quantify.r2star_numpy import R2STAR_RANGE_PER_S, Voxels, chunks, describe, freed_from_floor

_STEEPEST = 2.999
"""Δ·R2* of Simpson's rule tends to 3 as R2* grows without limit."""


def arlo_fit(voxels: Voxels) -> FloatArray:
    """As `quantify.r2star_numpy.fit_voxels`, with this estimator's own standard error; S₀ by least squares."""
    spacing = float(np.diff(voxels.times_s).mean())
    result = np.full((6, voxels.signal.shape[1]), np.nan)
    for part in chunks(voxels.chosen):
        modulation = 1.0 if voxels.modulation is None else voxels.modulation[:, part].astype(np.float64)
        measured = freed_from_floor(voxels.signal[:, part], voxels.sigma) / modulation
        r2star, error = arlo_r2star(measured, spacing)
        result[:, part] = describe(np.clip(r2star, *R2STAR_RANGE_PER_S), voxels, part)
        result[2, part] = voxels.sigma * error
    return result


def arlo_r2star(measured: FloatArray, spacing_s: float) -> tuple[FloatArray, FloatArray]:
    """R2* [s⁻¹] of (echo, voxel) signals and its standard error for noise of σ = 1 (same in every echo).

    The error is the propagated one of this estimator (first order), slightly above the Cramér–Rao bound. Without any
    signal both are 0 and infinite.
    """
    third = spacing_s / 3.0
    integral = third * (measured[:-2] + 4.0 * measured[1:-1] + measured[2:])
    difference = measured[:-2] - measured[2:]
    pivot = integral + third * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        simpson = spacing_s * (difference * pivot).sum(axis=0) / (integral * pivot).sum(axis=0)
    simpson = np.clip(np.nan_to_num(simpson), -_STEEPEST, _STEEPEST)
    root = np.sqrt(3.0 * simpson * simpson + 9.0)
    r2star: FloatArray = -np.log((root - 2.0 * simpson) / (simpson + 3.0)) / spacing_s

    # ∂/∂S of the Simpson estimate near a noiseless decay is Σ sᵢ(∂δᵢ − R·∂sᵢ)/Σ sᵢ²; then that of the inversion.
    rate = simpson / spacing_s * third
    gradient = np.zeros_like(measured)
    gradient[:-2] += integral * (1.0 - rate)
    gradient[1:-1] += integral * (-4.0 * rate)
    gradient[2:] += integral * (-1.0 - rate)
    x = r2star * spacing_s
    stretch = (2.0 + np.cosh(x)) ** 2 / (3.0 * (1.0 + 2.0 * np.cosh(x)))
    with np.errstate(divide="ignore", invalid="ignore"):
        error = stretch * np.sqrt((gradient * gradient).sum(axis=0)) / (integral * integral).sum(axis=0)
    return r2star, np.where(np.isfinite(error), error, np.inf)
