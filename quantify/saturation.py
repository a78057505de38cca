"""Whether a volume's uptake runs straight or saturates: D = D∞·(1 − exp(−A/A₀)) against the line, by AICc.

Both curves have the same number of parameters with the line's intercept, and one more for the size of the scatter,
which both estimate. With k = 3 of them AICc is undefined at four points, so the question is put from six on
(physics §5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantify.model import FloatArray

Preferred = Literal["line", "saturating", "undecided"]

_DECISIVE = 2.0
"""|ΔAICc| from which one curve is preferred (Burnham & Anderson 2002: less is substantial support for both)."""
_LEAST_BEND = 0.01
"""A/A₀ at the last point below which a curve bends by less than 0.5 % of its dose: a line."""
_MOST_BEND = 50.0
_FLOOR = 1e-6
"""Residuals (in units of u) below which both curves fit exactly: rounding is no evidence."""


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """Which curve the gain since the position's baseline follows.

    ``delta_aicc`` = AICc(line) − AICc(saturating): positive speaks for saturation; under 2 either way is undecided.
    ``d_infinity_gy`` is the gain that the position would end at, ``a_0_mbq`` the activity that gives 63 % of it; both
    None where the curve does not bend. Uncertainties are k = 1.
    """

    preferred: Preferred
    delta_aicc: float
    d_infinity_gy: float | None = None
    d_infinity_u_gy: float | None = None
    a_0_mbq: float | None = None
    a_0_u_mbq: float | None = None


def saturation(
    *,
    injected_mbq: Sequence[float],
    gain_gy: Sequence[float],
    u_gy: Sequence[float],
    variance_mbq2: Sequence[float] | None = None,
    u_baseline_gy: float = 0.0,
    through_origin: bool = False,
    minimum_points: int = 6,
) -> Saturation | None:
    """Hold the gains of one volume at one position against a line and a saturating curve from the baseline.

    Weighted least squares; gains share the baseline's scatter, and the activities' own uncertainties are propagated
    by the line's slope. Where an uncertainty is missing (0) all points count alike.

    Parameters
    ----------
    injected_mbq, gain_gy, u_gy
        Of the measured points: cumulative activity at the position, dose since its baseline, scatter between series.
    variance_mbq2
        Variance of each cumulative activity [MBq²] (`quantify.trend.measured_points`); None: exact.
    u_baseline_gy
        Scatter of the baseline, shared by all gains.
    through_origin
        Whether the line passes through the baseline (`trend.through_origin`).
    minimum_points
        `trend.saturation_points`.

    Returns
    -------
    Saturation or None
        None with fewer points or fewer than three different activities. Without any bend, or without uptake, the
        line is preferred and the curve's parameters are None.

    Raises
    ------
    ValueError
        If the sequences differ in length or hold values that are not finite, activities or uncertainties that are
        negative, or `minimum_points` is below 6.
    """
    x, y, u = (np.asarray(values, dtype=np.float64) for values in (injected_mbq, gain_gy, u_gy))
    along = np.zeros_like(x) if variance_mbq2 is None else np.asarray(variance_mbq2, dtype=np.float64)
    _check(x, y, u, along, u_baseline_gy, minimum_points)
    if x.size < minimum_points or np.unique(x).size < 3:
        return None
    whiten = _whitening(x, y, u, along, u_baseline_gy)
    line_basis = x[:, None] if through_origin else np.stack([np.ones_like(x), x], axis=1)
    _, line_chi2 = _fit(line_basis, y, whiten)
    bend, gradient, curve_chi2 = _best_curve(x, y, whiten)
    parameters = line_basis.shape[1] + 1
    delta = _aicc(line_chi2, x.size, parameters) - _aicc(curve_chi2, x.size, 3)
    if bend is None or gradient <= 0:
        return Saturation(preferred="line", delta_aicc=delta)
    preferred: Preferred = "undecided"
    if abs(delta) >= _DECISIVE:
        preferred = "saturating" if delta > 0 else "line"
    a_0 = 1.0 / bend
    d_infinity = gradient * a_0
    u_d, u_a = _uncertainties(x, d_infinity, a_0, whiten, curve_chi2)
    return Saturation(
        preferred=preferred,
        delta_aicc=delta,
        d_infinity_gy=d_infinity,
        d_infinity_u_gy=u_d,
        a_0_mbq=a_0,
        a_0_u_mbq=u_a,
    )


def _check(
    x: FloatArray, y: FloatArray, u: FloatArray, along: FloatArray, u_baseline_gy: float, minimum_points: int
) -> None:
    named = {"injected_mbq": x, "gain_gy": y, "u_gy": u, "variance_mbq2": along}
    for name, values in named.items():
        if values.shape != x.shape or values.ndim != 1:
            raise ValueError(f"saturation: {name} has shape {values.shape}; expected one value for each point.")
        if not np.isfinite(values).all():
            raise ValueError(f"saturation: {name} is {values.tolist()}; expected finite numbers.")
        if name != "gain_gy" and (values < 0).any():
            raise ValueError(f"saturation: {name} is {values.tolist()}; expected numbers of at least 0.")
    if not (np.isfinite(u_baseline_gy) and u_baseline_gy >= 0):
        raise ValueError(f"saturation: u_baseline_gy is {u_baseline_gy}; expected a finite number of at least 0.")
    if minimum_points < 6:
        raise ValueError(f"saturation: minimum_points is {minimum_points}; expected at least 6 (AICc, three unknowns).")


def _whitening(x: FloatArray, y: FloatArray, u: FloatArray, along: FloatArray, u_baseline_gy: float) -> FloatArray:
    """L⁻¹ of the gains' covariance L·Lᵀ: residuals times it are independent, of variance 1."""
    if (u <= 0).any():
        size = float(np.abs(y).max()) or 1.0
        return np.eye(x.size) / (0.01 * size)
    slope = float(np.polynomial.polynomial.polyfit(x, y, 1)[1])
    covariance = np.diag(u**2) + u_baseline_gy**2 + slope**2 * np.minimum.outer(along, along)
    inverse: FloatArray = np.linalg.inv(np.linalg.cholesky(covariance))
    return inverse


def _fit(basis: FloatArray, y: FloatArray, whiten: FloatArray) -> tuple[FloatArray, float]:
    """Coefficients and χ² of a linear least-squares fit."""
    coefficients = np.asarray(np.linalg.lstsq(whiten @ basis, whiten @ y, rcond=None)[0], dtype=np.float64)
    residual = whiten @ (y - basis @ coefficients)
    return coefficients, float(residual @ residual)


def _best_curve(x: FloatArray, y: FloatArray, whiten: FloatArray) -> tuple[float | None, float, float]:
    """(1/A₀ [1/MBq], initial slope D∞/A₀ [Gy/MBq], χ²); 1/A₀ is None where the best curve does not bend.

    The slope enters linearly and is eliminated; the curve slope·A₀·(1 − exp(−A/A₀)) becomes the line from the
    baseline as 1/A₀ → 0, so the search over 1/A₀ has a finite end there.
    """

    def chi2(bend: float) -> float:
        return _fit(_curve(x, bend)[:, None], y, whiten)[1]

    last = float(x.max())
    bends = np.concatenate([[0.0], np.geomspace(_LEAST_BEND, _MOST_BEND, 60)]) / last
    values = np.array([chi2(b) for b in bends])
    best = int(np.argmin(values))
    if best == 0:
        return None, float(_fit(x[:, None], y, whiten)[0][0]), float(values[0])
    low, high = bends[best - 1], bends[min(best + 1, bends.size - 1)]
    from scipy import optimize  # a third of a second at the start of every process that never needs it

    refined = optimize.minimize_scalar(chi2, bounds=(low, high), method="bounded", options={"xatol": 1e-9 / last})
    bend = float(refined.x) if refined.fun < values[best] else float(bends[best])
    coefficients, least = _fit(_curve(x, bend)[:, None], y, whiten)
    # χ² is flat towards 0 where the data do not bend: the search then ends anywhere near it.
    return (bend if bend * last >= _LEAST_BEND else None), float(coefficients[0]), least


def _curve(x: FloatArray, bend: float) -> FloatArray:
    """(1 − exp(−bend·x))/bend: x itself without a bend."""
    curve: FloatArray = x.copy() if bend == 0 else -np.expm1(-bend * x) / bend
    return curve


def _aicc(chi2: float, points: int, parameters: int) -> float:
    """AICc of a least-squares fit whose scatter is estimated (and counted in `parameters`)."""
    scatter = max(chi2 / points, _FLOOR**2)
    return float(
        points * np.log(scatter) + 2 * parameters + 2 * parameters * (parameters + 1) / (points - parameters - 1)
    )


def _uncertainties(
    x: FloatArray, d_infinity: float, a_0: float, whiten: FloatArray, chi2: float
) -> tuple[float | None, float | None]:
    """Standard uncertainties of D∞ [Gy] and A₀ [MBq], widened where the points scatter more than their own u says."""
    fall = np.exp(-x / a_0)
    jacobian = whiten @ np.stack([1.0 - fall, -d_infinity * fall * x / a_0**2], axis=1)
    information = jacobian.T @ jacobian
    size = np.sqrt(np.diag(information))
    if not (size > 0).all() or np.linalg.cond(information / np.outer(size, size)) > 1e12:
        return None, None
    covariance = np.linalg.inv(information) * max(1.0, chi2 / (x.size - 2))
    return float(np.sqrt(covariance[0, 0])), float(np.sqrt(covariance[1, 1]))
