"""Exponential and logarithm of arrays as straight polynomials, which a compiler turns into vector instructions.

Plain Python on arrays: compiled by `quantify.r2star_numba`. Both split off the power of two through the bits of the
floating-point number (IEEE 754) and leave a short series for the rest.
"""

from __future__ import annotations

import numpy as np

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


def exponential(x: np.ndarray, result: np.ndarray, work: np.ndarray) -> None:
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


def logarithm(x: np.ndarray, result: np.ndarray, work: np.ndarray, counter: np.ndarray) -> None:
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
