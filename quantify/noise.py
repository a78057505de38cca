"""The noise of a multi-echo magnitude series, from the series itself."""

from __future__ import annotations

import numpy as np

from quantify.model import Array

_RAYLEIGH_MEDIAN = 1.1774100225154747  # median of a Rayleigh distribution over its σ, √(2 ln 2)
_MINIMUM_BACKGROUND_VOXELS = 500
_VOXELS_ENOUGH = 100_000
"""σ from so many voxels is known to a few parts in a thousand."""


def noise_sigma(signal: Array, echo_times_s: tuple[float, ...]) -> float:
    """Standard deviation σ of one channel of the complex noise under a magnitude series, in units of `signal`.

    Taken from the background, where a magnitude is Rayleigh distributed (σ = median/1.177), when the field of view
    holds enough of it; else from the scatter of the decay in bright voxels.

    Parameters
    ----------
    signal
        (echo, slice, row, column), arbitrary unit.
    echo_times_s
        Ascending; used only by the second way.

    Returns
    -------
    float
        σ, never negative; 0 for a noiseless series.

    Raises
    ------
    ValueError
        For a signal that is not (echo, slice, row, column), is empty, or holds values that are not finite.
    """
    if np.ndim(signal) != 4 or signal.size == 0 or signal.shape[0] != len(echo_times_s):
        raise ValueError(
            f"noise_sigma: signal has shape {np.shape(signal)}; expected (echo, slice, row, column) with "
            f"{len(echo_times_s)} echoes."
        )
    flat = np.asarray(signal, dtype=np.float32).reshape(signal.shape[0], -1)
    # A stride prime to the usual matrix sizes samples the whole volume evenly.
    flat = np.ascontiguousarray(flat[:, :: max(1, flat.shape[1] // _VOXELS_ENOUGH) | 1])
    if not np.isfinite(flat).all():
        raise ValueError("noise_sigma: the signal holds values that are not finite; check the decoding of the series.")
    background = _background_sigma(flat)
    return background if background is not None else _residual_sigma(flat, echo_times_s)


def _background_sigma(flat: Array) -> float | None:
    """σ of the air, found as the voxels whose mean power over the echoes stays at the Rayleigh level 2σ²."""
    rms = np.sqrt(np.mean(flat * flat, axis=0))
    inside = rms > 0  # some scanners mask the air to exactly zero
    if not inside.any():
        return 0.0
    limit = 0.15 * float(np.percentile(rms[inside], 99))
    sigma = 0.0
    for _ in range(30):
        chosen = inside & (rms <= limit)
        if int(chosen.sum()) < _MINIMUM_BACKGROUND_VOXELS:
            return None
        sigma = float(np.median(rms[chosen])) / np.sqrt(2.0)
        # The mean power of N echoes scatters by 1/√N: 1.5 times its root is beyond every pure-noise voxel for N ≥ 6.
        following = 1.5 * np.sqrt(2.0) * sigma
        if abs(following - limit) < 1e-3 * limit:
            break
        limit = following
    values = flat[:, inside & (rms <= limit)]
    if _looks_rayleigh(values, sigma):
        return float(np.median(values)) / _RAYLEIGH_MEDIAN
    return None


def _looks_rayleigh(values: Array, sigma: float) -> bool:
    """Whether mean/SD is a Rayleigh distribution's 1.913 and the level does not fall from echo to echo."""
    spread = float(values.std())
    if sigma <= 0 or spread <= 0:
        return False
    ratio = float(values.mean()) / spread
    by_echo = np.median(values, axis=1)
    return abs(ratio / 1.913 - 1.0) < 0.15 and float(by_echo.min()) > 0.75 * float(by_echo.max())


def _residual_sigma(flat: Array, echo_times_s: tuple[float, ...]) -> float:
    """σ from the residual of a weighted log-linear decay in the brightest quarter of the voxels (N − 2 degrees)."""
    n_echoes = flat.shape[0]
    if n_echoes < 3:
        return 0.0
    last = flat[-1]
    bright = flat[:, last >= np.percentile(last, 75)].astype(np.float64)
    bright = bright[:, (bright > 0).all(axis=0)]
    if bright.shape[1] == 0:
        return 0.0
    times = np.asarray(echo_times_s, dtype=np.float64)[:, None]
    weight = bright**2
    log_signal = np.log(bright)
    total = weight.sum(axis=0)
    mean_time = (weight * times).sum(axis=0) / total
    mean_log = (weight * log_signal).sum(axis=0) / total
    slope = (weight * (times - mean_time) * (log_signal - mean_log)).sum(axis=0) / (
        weight * (times - mean_time) ** 2
    ).sum(axis=0)
    model = np.exp(mean_log + slope * (times - mean_time))
    squares = ((bright - model) ** 2).sum(axis=0) / (n_echoes - 2)
    # Median of χ²/ν, by the Wilson–Hilferty approximation: robust against voxels that are not mono-exponential.
    degrees = n_echoes - 2
    return float(np.sqrt(np.median(squares) / (1 - 2 / (9 * degrees)) ** 3))
