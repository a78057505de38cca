"""The signal at the echo time 0: what two series have in common, whatever holmium has come between them."""

from __future__ import annotations

import numpy as np

from quantify.model import Array

_FASTEST_DECAY_PER_S = 1500.0


def signal_at_zero(signal: Array, echo_times_s: tuple[float, ...]) -> Array:
    """S₀ of the log-linear fit weighted by S² (the variance of ln S is σ²/S²), R2* held between 0 and 1500 s⁻¹.

    Meant for comparing images, not for quantification. ``signal`` is (echo, …), the result float32 (…), in the unit
    of the signal; of a single echo it is that echo. NaN where the first echo is not finite.
    """
    first: Array = signal[0]
    if len(echo_times_s) < 2:
        return first
    seen = np.maximum(np.nan_to_num(signal), np.float32(1e-6))
    weights, logs = seen * seen, np.log(seen)
    times = np.asarray(echo_times_s, dtype=np.float32).reshape(-1, *(1 for _ in signal.shape[1:]))
    total = weights.sum(axis=0)
    time = (weights * times).sum(axis=0) / total
    level = (weights * logs).sum(axis=0) / total
    away = times - time
    spread = (weights * away**2).sum(axis=0)
    slope = (weights * away * logs).sum(axis=0) / np.maximum(spread, np.float32(1e-30))
    zero: Array = np.exp(level + np.clip(-slope, 0.0, _FASTEST_DECAY_PER_S) * time).astype(np.float32)
    return np.where(np.isfinite(first), zero, np.float32(np.nan))
