"""The least scatter that any unbiased fit of R2* can have: what the fits are judged by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from quantify.model import FloatArray


def cramer_rao_sd(
    r2star_per_s: ArrayLike, echo_times_s: Sequence[float], snr: float, s0_known: bool = False
) -> FloatArray:
    """Cramér–Rao bound on the standard deviation of R2* in one voxel [s⁻¹].

    For S₀·exp(−R2*·t) with Gaussian noise of σ = S₀/snr in every echo, and Pₖ = Σ tᵏ·exp(−2·R2*·t):

        SD = 1 / (snr·√P₂) with S₀ known,  1 / (snr·√(P₂ − P₁²/P₀)) with S₀ free.

    Parameters
    ----------
    r2star_per_s
        Any shape.
    echo_times_s
        In seconds, not negative; at least one later than 0, two different ones when S₀ is free.
    snr
        S₀ over the noise of one channel.
    s0_known
        Whether S₀ is known.

    Returns
    -------
    float64 array of the shape of `r2star_per_s`.

    Raises
    ------
    ValueError
        For values that are not finite, a signal-to-noise ratio that is not positive, or echo times that tell nothing.
    """
    if not (np.isfinite(snr) and snr > 0):
        raise ValueError(f"cramer_rao_sd: snr is {snr}; expected a positive number.")
    rate = np.asarray(r2star_per_s, dtype=np.float64)
    times = np.asarray(echo_times_s, dtype=np.float64)
    if not np.isfinite(rate).all():
        raise ValueError("cramer_rao_sd: r2star_per_s holds values that are not finite.")
    if times.ndim != 1 or not np.isfinite(times).all() or (times < 0).any():
        raise ValueError(f"cramer_rao_sd: echo_times_s is {tuple(echo_times_s)}; expected finite times of 0 or more.")
    if np.unique(times).size < (1 if s0_known else 2) or times.max(initial=0.0) <= 0:
        raise ValueError(f"cramer_rao_sd: echo_times_s {tuple(echo_times_s)} cannot tell R2*; they must differ.")
    # Measured from the first echo, no power underflows where the ratio of them still has a value.
    first = times.min()
    power = np.exp(-2.0 * rate[..., None] * (times - first))
    if s0_known:
        information = (power * times**2).sum(axis=-1)
    else:
        mean_time = (power * times).sum(axis=-1) / power.sum(axis=-1)
        information = (power * (times - mean_time[..., None]) ** 2).sum(axis=-1)
    bound: FloatArray = np.exp(rate * first) / (snr * np.sqrt(information))
    return bound


def cramer_rao_log_s0_sd(r2star_per_s: ArrayLike, echo_times_s: Sequence[float], snr: ArrayLike) -> FloatArray:
    """Cramér–Rao bound on the standard deviation of ln S₀ in one voxel, R2* being fitted with it.

    SD = 1 / (snr·√(P₀ − P₁²/P₂)), with Pₖ as in `cramer_rao_sd`; `snr` (S₀/σ) may differ from voxel to voxel. Infinite
    where the echoes tell nothing of S₀. Not finite input gives NaN.
    """
    rate = np.asarray(r2star_per_s, dtype=np.float64)[..., None]
    times = np.asarray(echo_times_s, dtype=np.float64)
    power = np.exp(-2.0 * rate * times)
    zeroth, first, second = ((power * times**k).sum(axis=-1) for k in (0, 1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        bound: FloatArray = 1.0 / (np.asarray(snr) * np.sqrt(np.maximum(zeroth - first * first / second, 0.0)))
    return bound
