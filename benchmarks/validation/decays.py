"""Mono-exponential decays with Rice noise, and the Cramér–Rao bound by a formula that shares no code with the fit."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from quantify.model import EchoSeries, Grid

ECHO_TIMES_S = tuple(round(0.0012 * k, 6) for k in range(1, 11))
"""Ten echoes, 1.2 to 12 ms."""
S0 = 1000.0


def rice_signal(r2star_per_s: NDArray[np.float64], snr: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """|S₀·exp(−R2*·TE) + n|, n complex Gaussian of σ = S₀/snr per channel: (echo, voxel) float32."""
    times = np.array(ECHO_TIMES_S)[:, None]
    clean = S0 * np.exp(-times * r2star_per_s[None, :])
    sigma = S0 / snr
    real = clean + sigma * rng.standard_normal(clean.shape)
    imaginary = sigma * rng.standard_normal(clean.shape)
    return np.hypot(real, imaginary).astype(np.float32)


def as_series(signal: NDArray[np.float32]) -> EchoSeries:
    """Decays (echo, voxel) as a series of one row."""
    grid = Grid(shape=(1, 1, signal.shape[1]), affine_lps_mm=np.diag([4.0, 3.0, 3.0, 1.0]))
    return EchoSeries(
        signal=signal.reshape(signal.shape[0], 1, 1, -1),
        echo_times_s=ECHO_TIMES_S,
        grid=grid,
        acquired_at=datetime(2026, 3, 4, 10, 0, tzinfo=UTC),
        series_instance_uid="validation",
        field_strength_t=3.0,
    )


def bound_per_s(r2star_per_s: float, snr: float, *, s0_known: bool) -> float:
    """Cramér–Rao SD of R2* [s⁻¹] for Gaussian noise of σ = S₀/snr on every echo.

    The Fisher information of (S₀, R2*) is JᵀJ/σ² with ∂S/∂S₀ = e and ∂S/∂R2* = −S₀·TE·e, e = exp(−R2*·TE).
    """
    times = np.array(ECHO_TIMES_S)
    decay = np.exp(-r2star_per_s * times)
    jacobian = np.stack([decay, -times * decay], axis=1) * snr
    information = jacobian.T @ jacobian
    if s0_known:
        return float(1.0 / np.sqrt(information[1, 1]))
    return float(np.sqrt(np.linalg.inv(information)[1, 1]))
