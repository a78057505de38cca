"""Dose–volume histograms without bins: V_x and D_x read off one curve and are each other's inverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quantify.model import FloatArray, freeze

if TYPE_CHECKING:
    from quantify.statistics import Distribution


@dataclass(frozen=True, kw_only=True, eq=False)
class Dvh:
    """A cumulative dose–volume histogram: ``volume_fraction`` [0…1] receives at least ``dose_gy`` [Gy].

    One point per voxel, straight lines between them, float64 of equal length: doses ascend (equal ones are a vertical
    step), fractions fall from 1 to 0. ``volume_error`` is how far V_x may be from the exact curve at any dose: 0
    unless `thinned`.

    Raises
    ------
    ValueError
        If the arrays differ in length, hold fewer than two points, are not finite or not sorted, or if fractions do
        not run from 1 to 0.
    """

    dose_gy: FloatArray
    volume_fraction: FloatArray
    volume_error: float = 0.0

    def __post_init__(self) -> None:
        dose, fraction = (np.array(a, dtype=np.float64) for a in (self.dose_gy, self.volume_fraction))
        if dose.ndim != 1 or dose.shape != fraction.shape or dose.size < 2:
            raise ValueError(
                f"Dvh.dose_gy has shape {dose.shape}, volume_fraction {fraction.shape}; expected two equal, flat ones "
                "of at least two points."
            )
        if not np.isfinite(dose).all() or (np.diff(dose) < 0).any():
            raise ValueError("Dvh.dose_gy is not finite and ascending.")
        if fraction[0] != 1.0 or fraction[-1] != 0.0 or not (np.diff(fraction) <= 0).all():
            raise ValueError("Dvh.volume_fraction does not fall from 1 to 0.")
        object.__setattr__(self, "dose_gy", dose)
        object.__setattr__(self, "volume_fraction", fraction)
        freeze(self, "dose_gy", "volume_fraction")


def exact_dvh(values: FloatArray, weights: FloatArray) -> Dvh:
    """The DVH of flat voxel values [Gy] with positive weights (occupancy).

    Of n sorted voxels with weights w the i-th (from 0) stands at the share (i·wᵢ + (n − 1)·Σ_{k<i} w_k) of the curve:
    with equal weights i/(n − 1), which makes D_x NumPy's linear percentile (of 1…100, D70 is 30.7 Gy).

    Raises
    ------
    ValueError
        For no values, values that are not finite, or weights that are not positive.
    """
    if values.size == 0:
        raise ValueError("exact_dvh: no values; expected at least one.")
    if values.shape != weights.shape:
        raise ValueError(f"exact_dvh: {values.shape} values have {weights.shape} weights; expected as many.")
    if not np.isfinite(values).all():
        raise ValueError("exact_dvh: a value is not finite; leave out voxels that cannot be evaluated.")
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError("exact_dvh: a weight is zero, negative or not finite; expected positive weights.")
    order = np.argsort(values, kind="stable")
    ordered, weight = values[order].astype(np.float64), weights[order].astype(np.float64)
    if ordered.size == 1:
        return Dvh(dose_gy=np.repeat(ordered, 2), volume_fraction=np.array([1.0, 0.0]))
    before = np.concatenate(([0.0], np.cumsum(weight)[:-1]))
    position = np.arange(ordered.size) * weight + (ordered.size - 1) * before
    return Dvh(dose_gy=ordered, volume_fraction=1.0 - position / position[-1])


def volume_receiving(source: Dvh | Distribution, dose_gy: float) -> float:
    """V_x: the fraction of the volume [0…1] that receives at least `dose_gy`; 1 below all doses, 0 above them.

    Inverse to D_x: V at D_x is x, unless many voxels share that dose; then V is the largest such x.

    Raises
    ------
    ValueError
        If the dose is negative or not finite.
    """
    if not (np.isfinite(dose_gy) and dose_gy >= 0):
        raise ValueError(f"volume_receiving: dose_gy is {dose_gy}; expected a dose of at least 0 Gy.")
    curve = source if isinstance(source, Dvh) else source.dvh
    return float(_fractions(curve, np.array([dose_gy], dtype=np.float64))[0])


def dose_received_by(source: Dvh | Distribution, percent: float) -> float:
    """D_x [Gy]: what the hottest `percent` of the volume receives at least, i.e. the (100 − x)th percentile.

    Raises
    ------
    ValueError
        If `percent` is not within 0…100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"dose_received_by: percent is {percent}; expected 0 to 100.")
    curve = source if isinstance(source, Dvh) else source.dvh
    return float(_doses(curve, np.array([percent / 100.0]))[0])


def thinned(dvh: Dvh, n: int = 200) -> Dvh:
    """At most `n` points of a DVH, for files and plots; a DVH of so few is returned as it is.

    Half of the points lie at equal steps of dose, half at equal steps of volume, all on the curve. Since the curve
    falls, it leaves no box between two points: V_x is off by at most 1/(n/2 − 1), D_x by that share of the range. The
    largest error of V_x that really occurs is stated in ``volume_error``; of a smooth curve it is about 1e-4.

    Raises
    ------
    ValueError
        If `n` is less than 4.
    """
    if n < 4:
        raise ValueError(f"thinned: n is {n}; expected at least 4 points.")
    if dvh.dose_gy.size <= n:
        return dvh
    half = n // 2
    by_volume = np.linspace(0.0, 1.0, half)
    by_dose = np.linspace(dvh.dose_gy[0], dvh.dose_gy[-1], half)
    dose = np.concatenate((_doses(dvh, by_volume), by_dose))
    fraction = np.concatenate((by_volume, _fractions(dvh, by_dose)))
    # Dose ascending, and at the same dose the fraction falling; both ends are exact and need not be there twice.
    order = np.lexsort((-fraction, dose))
    few = Dvh(
        dose_gy=dose[order],
        volume_fraction=np.minimum.accumulate(np.concatenate(([1.0], fraction[order][1:-1], [0.0]))),
    )
    # Two polygons differ most at a corner of one of them; at a vertical step, on either side of it.
    error = max(
        float(np.abs(_fractions(few, dvh.dose_gy, above=above) - _fractions(dvh, dvh.dose_gy, above=above)).max())
        for above in (False, True)
    )
    return Dvh(dose_gy=few.dose_gy, volume_fraction=few.volume_fraction, volume_error=dvh.volume_error + error)


def _doses(dvh: Dvh, fractions: FloatArray) -> FloatArray:
    """Dose that each fraction of the volume receives at least."""
    doses: FloatArray = np.interp(1.0 - fractions, 1.0 - dvh.volume_fraction, dvh.dose_gy)
    return doses


def _fractions(dvh: Dvh, doses_gy: FloatArray, *, above: bool = False) -> FloatArray:
    """Fraction of the volume that receives at least (`above`: more than) each of the doses."""
    dose, fraction = dvh.dose_gy, dvh.volume_fraction
    right = np.searchsorted(dose, doses_gy, side="right" if above else "left")
    upper = np.clip(right, 1, dose.size - 1)
    lower = upper - 1
    step = dose[upper] - dose[lower]
    part = np.divide(doses_gy - dose[lower], step, out=np.zeros_like(step), where=step > 0)
    between = fraction[lower] + part * (fraction[upper] - fraction[lower])
    return np.where(right == 0, 1.0, np.where(right == dose.size, 0.0, between))
