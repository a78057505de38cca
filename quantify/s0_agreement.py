"""Whether two values of S₀ are the same: that of a fit, and what the reference and the gain let expect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantify.cramer_rao import cramer_rao_log_s0_sd
from quantify.model import Array
from quantify.r2star import DecayFit
from quantify.r2star_numpy import R2STAR_RANGE_PER_S

_CONFLICT_SIGMA = 3.0
"""Beyond this many standard errors two values of S₀ are not the same."""


def log_s0_error(fit: DecayFit) -> Array:
    """Standard error of ln S₀; 0 where the fit tells none."""
    if fit.s0_standard_error is None:
        return np.zeros_like(fit.s0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(fit.s0_standard_error / np.abs(fit.s0), dtype=np.float32)


def s0_differs(
    s0: Array, expected: Array, error: Array, *, first_echo: Array, sigma: float, echo_times_s: tuple[float, ...]
) -> NDArray[np.bool_]:
    """Where S₀ is not the expected one, beyond three standard errors of its logarithm.

    In hot voxels a fit that came out too low in R2* is too low in S₀ and too sure of it. Were S₀ the expected one, R2*
    would be what leads from there to the first echo; the standard error at that R2* is what the difference has to
    exceed too.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.abs(np.log(s0 / expected))
        differs: NDArray[np.bool_] = difference > _CONFLICT_SIGMA * error
        if echo_times_s[0] <= 0 or sigma <= 0:
            return differs
        rate = np.log(expected[differs] / np.maximum(first_echo[differs], sigma)) / echo_times_s[0]
    snr = expected[differs] / sigma
    then = cramer_rao_log_s0_sd(np.clip(rate, 0.0, R2STAR_RANGE_PER_S[1]), echo_times_s, snr)
    differs[differs] = difference[differs] > _CONFLICT_SIGMA * then
    return differs
