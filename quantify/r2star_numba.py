"""The R2* fit compiled: the mathematics of `quantify.r2star_numpy` in blocks of voxels, by numba.

Loops run over the voxels of a block, echo by echo, so that they compile to vector instructions; exponential and
logarithm are polynomials for the same reason. No voxel's arithmetic looks at another's: a
result depends neither on its neighbours nor on how voxels are divided, bit for bit the same for any number of threads.
Two Python threads share the work (the kernel releases the interpreter's lock); numba's own thread layer is not used,
it aborts the process on concurrent calls.

Everything that is compiled stands in this file or comes as an argument: numba's cache would not notice a change
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from quantify.model import Array, read_only
from quantify.r2star_numpy import MAXIMUM_ITERATIONS, R2STAR_RANGE_PER_S, Voxels, evenly_spaced

_THREADS = 2
_BLOCK = 256
"""Voxels fitted together: ten echoes of them and the sums stay in the first-level cache."""
_NO_ECHOES = np.zeros((0, 0), dtype=np.float32)
_NO_PRIOR = np.zeros(0)

# Exponential and logarithm split off the power of two through the bits of the number (IEEE 754).
_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two parts, the first of which times a small whole number is exact."""
_ROUNDING = 6755399441055744.0
"""1.5·2⁵²: adding it rounds to a whole number, which then stands in the lowest bits."""
_LARGEST_EXPONENT = 700.0
_SQRT_2, _LN_SQRT_2 = 1.4142135623730951, 0.34657359027997264
_MANTISSA, _ONE_BITS = 0x000FFFFFFFFFFFFF, 0x3FF0000000000000
_COUNTER_BITS, _COUNTER = 0x4330000000000000, 4503599627370496.0 + 1023.0
"""2⁵² as bits, and the number that it and an exponent's offset come to."""


def fit_voxels(voxels: Voxels, *, nonlinear: bool = True, threads: int = _THREADS) -> Array:
    """As `quantify.r2star_numpy.fit_voxels`: (6, voxel), NaN where not chosen."""
    result = np.full((6, voxels.signal.shape[1]), np.nan, dtype=np.float32)
    chosen = np.ascontiguousarray(voxels.chosen, dtype=np.int64)
    ends = [chosen.size * part // threads for part in range(threads + 1)]
    # Read-only all of them: to numba that is a type, and each combination of types would be compiled anew.
    signal = read_only(np.ascontiguousarray(voxels.signal, dtype=np.float32))
    times, all_chosen = read_only(voxels.times_s), read_only(chosen)
    modulation = read_only(_NO_ECHOES if voxels.modulation is None else voxels.modulation)
    prior_mean = read_only(_NO_PRIOR if voxels.prior_mean is None else voxels.prior_mean)
    prior_weight = read_only(_NO_PRIOR if voxels.prior_weight is None else voxels.prior_weight)
    spacing = (voxels.times_s[-1] - voxels.times_s[0]) / (voxels.times_s.size - 1)

    def fit_part(part: int) -> None:
        _fit(
            signal,
            times,
            spacing if evenly_spaced(voxels.times_s) else 0.0,
            voxels.sigma,
            modulation,
            prior_mean,
            prior_weight,
            all_chosen[ends[part] : ends[part + 1]],
            MAXIMUM_ITERATIONS if nonlinear else 0,
            R2STAR_RANGE_PER_S,
            result,
        )

    if threads == 1 or chosen.size <= _BLOCK:
        ends = [0, chosen.size]
        fit_part(0)
        return result
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for done in [pool.submit(fit_part, part) for part in range(threads)]:
            done.result()
    return result


def _fit_in_blocks(
    signal: np.ndarray,
    times: np.ndarray,
    spacing: float,
    sigma: float,
    modulation: np.ndarray,
    prior_mean: np.ndarray,
    prior_weight: np.ndarray,
    chosen: np.ndarray,
    iterations: int,
    limits: tuple[float, float],
    result: np.ndarray,
) -> None:
    """Fit the chosen voxels; ``spacing`` is 0 for unevenly spaced echoes; see `r2star_numpy` for the equations."""
    n = times.size
    measured, factor = np.empty((n, _BLOCK)), np.ones((n, _BLOCK))
    mean, weight, active = np.zeros(_BLOCK), np.zeros(_BLOCK), np.empty(_BLOCK)
    r2star, sums, work = np.empty(_BLOCK), np.empty((6, _BLOCK)), np.empty((4, _BLOCK))
    for start in range(0, chosen.size, _BLOCK):
        size = min(_BLOCK, chosen.size - start)
        for i in range(n):
            for j in range(size):
                value = np.float64(signal[i, chosen[start + j]])
                measured[i, j] = np.sqrt(max(value * value - sigma * sigma, 0.0))
        if modulation.size > 0:
            for i in range(n):
                for j in range(size):
                    factor[i, j] = modulation[i, chosen[start + j]]
        if prior_mean.size > 0:
            for j in range(size):
                mean[j] = prior_mean[chosen[start + j]]
                weight[j] = prior_weight[chosen[start + j]]
        _start(measured, factor, times, mean, weight, limits, r2star, sums, work)
        active[:] = 1.0
        for _ in range(iterations):
            _sums(measured, factor, times, spacing, r2star, sums, work)
            if _step(sums, mean, weight, limits, r2star, active, size) == 0.0:
                break
        _sums(measured, factor, times, spacing, r2star, sums, work)
        for j in range(size):
            voxel = chosen[start + j]
            power, first, squares, product = sums[0, j], sums[1, j], sums[2, j], sums[3, j]
            total = power + weight[j]
            s0 = (product + weight[j] * mean[j]) / total
            information = abs(s0) * np.sqrt(max(squares - first * first / total, 0.0))
            own = max(power - first * first / squares, 0.0)
            remainder = sums[5, j] - 2.0 * s0 * product + s0 * s0 * power
            result[0, voxel] = r2star[j]
            result[1, voxel] = s0
            result[2, voxel] = sigma / information if information > 0.0 else np.inf
            result[3, voxel] = sigma / np.sqrt(own + weight[j]) if own + weight[j] > 0.0 else np.inf
            result[4, voxel] = np.sqrt(max(remainder, 0.0) / (n - 2))
            result[5, voxel] = weight[j] / (own + weight[j]) if weight[j] > 0.0 else 0.0


def _log_linear_block(
    measured: np.ndarray,
    factor: np.ndarray,
    times: np.ndarray,
    mean: np.ndarray,
    weight: np.ndarray,
    limits: tuple[float, float],
    r2star: np.ndarray,
    sums: np.ndarray,
    work: np.ndarray,
) -> None:
    """R2* of the weighted log-linear fit, where the iteration starts; a prior is an echo at t = 0."""
    total, moment, squares, logs, product = sums[0], sums[1], sums[2], sums[3], sums[4]
    value, level = work[0], work[1]
    for j in range(_BLOCK):
        level[j] = max(mean[j], 1e-12)
    _log(level, value, work[2], work[3])
    for j in range(_BLOCK):
        total[j] = weight[j] * mean[j] * mean[j]
        moment[j] = squares[j] = product[j] = 0.0
        logs[j] = total[j] * value[j]
    for i in range(times.size):
        t = times[i]
        for j in range(_BLOCK):
            level[j] = max(measured[i, j], 1e-12) / factor[i, j]
        _log(level, value, work[2], work[3])
        for j in range(_BLOCK):
            square = measured[i, j] * measured[i, j]
            total[j] += square
            moment[j] += square * t
            squares[j] += square * t * t
            logs[j] += square * value[j]
            product[j] += square * t * value[j]
    for j in range(_BLOCK):
        spread = max(total[j], 1e-30)
        variance = max(squares[j] - moment[j] * moment[j] / spread, 1e-30)
        slope = (product[j] - moment[j] * logs[j] / spread) / variance
        r2star[j] = min(max(-slope, limits[0]), limits[1])


def _sums_block(
    measured: np.ndarray,
    factor: np.ndarray,
    times: np.ndarray,
    spacing: float,
    r2star: np.ndarray,
    sums: np.ndarray,
    work: np.ndarray,
) -> None:
    """Σb², Σtb², Σt²b², ΣSb, ΣtSb and ΣS² with b = m·exp(−R2*·TE); evenly spaced echoes cost two exponentials."""
    power, first, squares = sums[0], sums[1], sums[2]
    fit, slope, energy = sums[3], sums[4], sums[5]
    exponent, decay, ratio = work[0], work[1], work[2]
    for j in range(_BLOCK):
        exponent[j] = -r2star[j] * spacing
    _exp(exponent, ratio, work[3])
    for j in range(_BLOCK):
        exponent[j] = -r2star[j] * times[0]
    _exp(exponent, decay, work[3])
    for j in range(_BLOCK):
        power[j] = first[j] = squares[j] = fit[j] = slope[j] = energy[j] = 0.0
    for i in range(times.size):
        t = times[i]
        if i > 0:
            if spacing > 0.0:
                for j in range(_BLOCK):
                    decay[j] *= ratio[j]
            else:
                for j in range(_BLOCK):
                    exponent[j] = -r2star[j] * t
                _exp(exponent, decay, work[3])
        for j in range(_BLOCK):
            basis = decay[j] * factor[i, j]
            square = basis * basis
            product = measured[i, j] * basis
            power[j] += square
            first[j] += t * square
            squares[j] += t * t * square
            fit[j] += product
            slope[j] += t * product
            energy[j] += measured[i, j] * measured[i, j]


def _step_block(
    sums: np.ndarray,
    mean: np.ndarray,
    weight: np.ndarray,
    limits: tuple[float, float],
    r2star: np.ndarray,
    active: np.ndarray,
    size: int,
) -> float:
    """One Gauss–Newton step of the voxels still moving; how many go on."""
    for j in range(_BLOCK):
        total = sums[0, j] + weight[j]
        s0 = (sums[3, j] + weight[j] * mean[j]) / total
        curvature = s0 * (sums[2, j] - sums[1, j] * sums[1, j] / total)
        # Without signal or curvature 0/0 or x/0: such a voxel stays where it is.
        step = (s0 * sums[1, j] - sums[4, j]) / curvature
        step = step * active[j] if abs(step) < np.inf else 0.0
        # Far from the optimum the exponential is not a parabola: no step longer than the value itself.
        bound = max(abs(r2star[j]), 50.0)
        step = min(max(step, -bound), bound)
        r2star[j] = min(max(r2star[j] + step, limits[0]), limits[1])
        active[j] = 1.0 if abs(step) > 1e-6 * bound else 0.0
    moving = 0.0
    for j in range(size):
        moving += active[j]
    return moving


def _exponential(x: np.ndarray, result: np.ndarray, work: np.ndarray) -> None:
    """``result`` = exp(x), to 1e-14 relative; x beyond ±700 counts as ±700. All float64 of one length."""
    for j in range(x.size):
        value = min(max(x[j], -_LARGEST_EXPONENT), _LARGEST_EXPONENT)
        rounded = value * _LOG2_E + _ROUNDING
        power = rounded - _ROUNDING
        r = value - power * _LN2_HIGH - power * _LN2_LOW
        series = 1.0 + r / 11.0
        series = 1.0 + r * series * (1.0 / 10.0)
        series = 1.0 + r * series * (1.0 / 9.0)
        series = 1.0 + r * series * (1.0 / 8.0)
        series = 1.0 + r * series * (1.0 / 7.0)
        series = 1.0 + r * series * (1.0 / 6.0)
        series = 1.0 + r * series * (1.0 / 5.0)
        series = 1.0 + r * series * (1.0 / 4.0)
        series = 1.0 + r * series * (1.0 / 3.0)
        series = 1.0 + r * series * (1.0 / 2.0)
        result[j] = 1.0 + r * series
        work[j] = rounded
    bits, powers = result.view(np.int64), work.view(np.int64)
    for j in range(x.size):
        bits[j] += powers[j] << 52


def _logarithm(x: np.ndarray, result: np.ndarray, work: np.ndarray, counter: np.ndarray) -> None:
    """``result`` = ln(x) of positive, normal x, to 1e-10 absolute. All float64 of one length."""
    bits, mantissas, exponents = x.view(np.int64), work.view(np.int64), counter.view(np.int64)
    for j in range(x.size):
        mantissas[j] = (bits[j] & _MANTISSA) | _ONE_BITS
        exponents[j] = (bits[j] >> 52) | _COUNTER_BITS
    for j in range(x.size):
        t = (work[j] - _SQRT_2) / (work[j] + _SQRT_2)
        square = t * t
        series = 1.0 / 9.0 + square * (1.0 / 11.0)
        series = 1.0 / 7.0 + square * series
        series = 1.0 / 5.0 + square * series
        series = 1.0 / 3.0 + square * series
        ln_mantissa = _LN_SQRT_2 + 2.0 * t * (1.0 + square * series)
        result[j] = (counter[j] - _COUNTER) * 0.6931471805599453 + ln_mantissa


# Called on the functions rather than written above them: the plain Python ones keep their types. Division by zero
# gives infinity or NaN as in numpy.
_compile = numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
_exp: Callable[..., None] = _compile(_exponential)
_log: Callable[..., None] = _compile(_logarithm)
_start: Callable[..., None] = _compile(_log_linear_block)
_sums: Callable[..., None] = _compile(_sums_block)
_step: Callable[..., float] = _compile(_step_block)
_fit: Callable[..., None] = _compile(_fit_in_blocks)
