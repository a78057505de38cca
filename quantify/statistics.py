"""Statistics of a map inside a volume of interest, weighted by occupancy and freed from voxel noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quantify.dvh import Dvh, dose_received_by, exact_dvh, thinned, volume_receiving
from quantify.model import Array, FloatArray, Grid, ParametricMap, Reason, Volume
from quantify.partial_volume import Mixture
from quantify.volumes import bounding_box

_SEED = 90_70_50
_REPLICATES = 24
_MANY_VOXELS = 5000
_ROOM_VOXELS = (4, 4, 4)
"""Room around a volume for a surface that moves by a few voxels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Distribution:
    """A map's evaluable voxels inside a volume: values, their noise, their weights (occupancy). Flat float64 arrays."""

    values: FloatArray
    standard_error: FloatArray
    weights: FloatArray
    evaluable_fraction: float
    lower_bound_fraction: float

    @cached_property
    def mean(self) -> float:
        """Weighted mean; negative voxels included."""
        return float(np.average(self.values, weights=self.weights))

    @cached_property
    def mean_standard_error(self) -> float:
        """What voxel noise, independent between voxels, leaves on the mean."""
        return float(np.sqrt(((self.weights * self.standard_error) ** 2).sum()) / self.weights.sum())

    @property
    def standard_deviation(self) -> float:
        """Spread of the true values: √max(measured variance − mean noise variance, 0)."""
        measured, noise = self._variances
        return float(np.sqrt(max(measured - noise, 0.0)))

    @cached_property
    def dvh(self) -> Dvh:
        """Exact dose–volume histogram, freed from voxel noise; D_x and V_x read it.

        Voxel noise widens a distribution (SNR 40 moves the D70 of a uniform 20 Gy by −2 Gy), so the values are first
        drawn towards their mean until their variance is the noise-corrected one. That keeps the shape of the measured
        distribution: exact for no noise and for a normal distribution, an approximation for others.
        """
        measured, noise = self._variances
        shrink = np.sqrt(max(measured - noise, 0.0) / measured) if measured > 0 else 0.0
        mean = self.mean
        return exact_dvh(mean + shrink * (self.values - mean), self.weights)

    @cached_property
    def thinned_dvh(self) -> Dvh:
        """The same with few points, for files, plots and samples."""
        return thinned(self.dvh)

    def dose_received_by(self, percent: float) -> float:
        """D_x: what the hottest `percent` of the volume receives at least, i.e. the (100 − x)th percentile."""
        known = self._received
        if percent not in known:
            known[percent] = dose_received_by(self.dvh, percent)
        return known[percent]

    def percentile_noise(self, percents: tuple[float, ...]) -> tuple[float, ...]:
        """What voxel noise leaves on each D_x (k = 1), from the same values with their noise once more.

        The noise of a percentile is that of the few voxels near it and of the spread that it is freed from: several
        times that of the mean. Above 5,000 voxels it is little, and taken as 1.5 times the mean's.
        """
        known = self._noise
        if percents not in known:
            known[percents] = self._percentile_noise(percents)
        return known[percents]

    @cached_property
    def _received(self) -> dict[float, float]:
        return {}

    @cached_property
    def _noise(self) -> dict[tuple[float, ...], tuple[float, ...]]:
        return {}

    def _percentile_noise(self, percents: tuple[float, ...]) -> tuple[float, ...]:
        if self.values.size > _MANY_VOXELS:
            return (1.5 * self.mean_standard_error,) * len(percents)
        rng = np.random.default_rng(_SEED)
        found = []
        for _ in range(_REPLICATES):
            noisy = self.values + self.standard_error * rng.standard_normal(self.values.size)
            again = replace(self, values=noisy, standard_error=np.sqrt(2.0) * self.standard_error)
            found.append([again.dose_received_by(percent) for percent in percents])
        return tuple(float(spread) for spread in np.std(found, axis=0, ddof=1))

    def coverage(self, dose_gy: float) -> float:
        """V_x: the share (0…1) of the evaluable volume that receives at least `dose_gy`."""
        return volume_receiving(self.dvh, dose_gy)

    @cached_property
    def _variances(self) -> tuple[float, float]:
        mean = self.mean
        measured = float(np.average((self.values - mean) ** 2, weights=self.weights))
        noise = float(np.average(self.standard_error**2, weights=self.weights))
        return measured, noise


@dataclass(frozen=True, kw_only=True)
class Doses:
    """The doses of a volume, where they are proportional to what was looked at: ``gy`` for each unit ``of`` it.

    What depends on the voxels alone is found once, whatever energy and density are taken to be.
    """

    of: Distribution
    gy: float = 1.0

    @property
    def mean(self) -> float:
        """Gy, as all of the following."""
        return self.gy * self.of.mean

    @property
    def mean_standard_error(self) -> float:
        """What voxel noise leaves on the mean."""
        return self.gy * self.of.mean_standard_error

    @property
    def standard_deviation(self) -> float:
        """Spread of the true values."""
        return self.gy * self.of.standard_deviation

    @property
    def thinned_dvh(self) -> Dvh:
        """Dose–volume histogram with few points."""
        own = self.of.thinned_dvh
        return replace(own, dose_gy=self.gy * own.dose_gy)

    def dose_received_by(self, percent: float) -> float:
        """D_x."""
        return self.gy * self.of.dose_received_by(percent)

    def percentile_noise(self, percents: tuple[float, ...]) -> tuple[float, ...]:
        """What voxel noise leaves on each D_x (k = 1)."""
        return tuple(self.gy * noise for noise in self.of.percentile_noise(percents))

    def coverage(self, dose_gy: float) -> float:
        """V_x: the share (0…1) of the evaluable volume that receives at least `dose_gy`."""
        return self.of.coverage(dose_gy / self.gy)


def distribution(values: ParametricMap, volume: Volume, mixed: Mixture | None = None) -> Distribution | None:
    """The evaluable voxels of a map inside a volume; None when there are none (or the volume is empty).

    With `mixed` every voxel is solved for the volume's own part (`quantify.partial_volume`), and those that owe the
    volume less than half of their signal leave their say to the others; without it values are taken as they stand.

    Lower bounds count as evaluable and keep their value: dropping them would lose the hottest voxels. The part of the
    volume outside the grid counts as not evaluable.

    Raises
    ------
    ValueError
        If the map and the volume lie on different grids.
    """
    if not values.grid.same_as(volume.grid):
        raise ValueError(f"distribution: map {values.quantity!r} and volume {volume.name!r} lie on different grids.")
    inside = volume.inside
    weights = volume.occupancy.ravel()[inside].astype(np.float64)
    reasons = values.reason.ravel()[inside]
    seen = values.values.ravel()[inside]
    usable = ((reasons == Reason.EVALUABLE) | (reasons == Reason.LOWER_BOUND)) & np.isfinite(seen)
    total = max(float(weights.sum()), volume.contour_volume_ml / values.grid.voxel_volume_ml)
    used = float(weights[usable].sum())
    if total <= 0 or used <= 0:
        return None
    error = (
        np.zeros_like(weights)
        if values.standard_error is None
        else values.standard_error.ravel()[inside].astype(np.float64)
    )
    bounds = float(weights[usable & (reasons == Reason.LOWER_BOUND)].sum())
    own_values = seen.astype(np.float64)
    if mixed is not None:
        share, foreign = mixed.own.ravel()[inside], mixed.foreign.ravel()[inside]
        solved = usable & mixed.solvable(share) & np.isfinite(foreign)
        if solved.any():
            weights = _inherited(weights, usable & ~solved, solved, inside, values.grid)
            usable = solved
            own = np.where(usable, share, 1.0)
            own_values = (own_values - foreign) / own
            error = error / own
    return Distribution(
        values=own_values[usable],
        standard_error=np.where(np.isfinite(error[usable]), error[usable], 0.0),
        weights=weights[usable],
        evaluable_fraction=min(1.0, used / total),
        lower_bound_fraction=bounds / used,
    )


def _inherited(
    weights: FloatArray, heirless: NDArray[np.bool_], heirs: NDArray[np.bool_], inside: NDArray[np.intp], grid: Grid
) -> FloatArray:
    """Weights (flat, of the voxels `inside`) after each of the `heirless` voxels gave its own to the nearest heir."""
    if not heirless.any():
        return weights
    whole = np.zeros(grid.shape, dtype=bool)
    whole.ravel()[inside] = True
    box = bounding_box(whole, _ROOM_VOXELS)
    place = np.zeros(grid.shape, dtype=bool)
    place.ravel()[inside] = heirs
    nearest = ndimage.distance_transform_edt(
        ~place[box], sampling=grid.spacing_mm, return_distances=False, return_indices=True
    )
    number = np.zeros(grid.shape, dtype=np.intp)
    number.ravel()[inside] = np.arange(weights.size)
    place.ravel()[inside] = heirless
    givers = place[box]
    result = np.where(heirless, 0.0, weights)
    np.add.at(result, number[box][tuple(axis[givers] for axis in nearest)], weights[heirless])
    return result


def tumour_to_normal(tumour_mean: float, normal_mean: float) -> float | None:
    """T/N: the tumour's mean concentration (or dose) over that of the normal tissue, never a ratio of totals.

    None where the normal tissue's mean is not positive, or either is not finite: nothing to compare with.
    """
    if not (np.isfinite(tumour_mean) and np.isfinite(normal_mean)) or normal_mean <= 0:
        return None
    return tumour_mean / normal_mean


def tumour_to_normal_of_totals(
    *, tumour_total: float, tumour_volume_ml: float, normal_total: float, normal_volume_ml: float
) -> float | None:
    """T/N from counts or activities and volumes: (200 counts/100 mL) / (300 counts/1500 mL) = 10 (physics §8).

    Raises
    ------
    ValueError
        If a volume is not positive.
    """
    for name, volume_ml in (("tumour_volume_ml", tumour_volume_ml), ("normal_volume_ml", normal_volume_ml)):
        if not (np.isfinite(volume_ml) and volume_ml > 0):
            raise ValueError(f"tumour_to_normal_of_totals: {name} is {volume_ml}; expected a positive volume.")
    return tumour_to_normal(tumour_total / tumour_volume_ml, normal_total / normal_volume_ml)


def whole_volume_dose_gy(parts: Sequence[tuple[float, float]]) -> float:
    """Mean dose of a whole from (dose_gy, share) of its parts: Σ dose·share; what no part covers received nothing.

    120 Gy over 70 % of the liver are 84 Gy to the whole liver (physics §8).

    Raises
    ------
    ValueError
        For no parts, a dose that is not finite, a negative share, or shares that add up to more than 1.
    """
    if not parts:
        raise ValueError("whole_volume_dose_gy: no parts; expected at least one (dose_gy, share).")
    for dose_gy, share in parts:
        if not np.isfinite(dose_gy) or not share >= 0:
            raise ValueError(
                f"whole_volume_dose_gy: a part has dose_gy {dose_gy} and share {share}; expected a finite dose and "
                "a share of at least 0."
            )
    total = sum(share for _, share in parts)
    if total > 1.0 + 1e-9:
        raise ValueError(f"whole_volume_dose_gy: the shares add up to {total:g}; expected at most 1.")
    return float(sum(dose_gy * share for dose_gy, share in parts))


def increment(later: ParametricMap, earlier: ParametricMap | None) -> ParametricMap:
    """What a cumulative map gained: `later` − `earlier` in its unit; `later` itself where there was nothing before.

    A voxel that either map cannot evaluate is NaN, with the later map's reason if it has one, else the earlier's. A
    later lower bound minus a known value is a lower bound. Where the earlier value itself is a lower bound, only this
    is known: microspheres do not leave, so the gain is at least 0 (`Reason.LOWER_BOUND`).

    The standard errors add in quadrature. That is an upper limit for maps that share a reference, since its noise
    cancels in the difference; there is none if either map has none.

    Raises
    ------
    ValueError
        If the maps differ in grid, quantity or unit.
    """
    if earlier is None:
        return replace(later, quantity=f"increment of {later.quantity}")
    if not later.grid.same_as(earlier.grid):
        raise ValueError(f"increment: two maps of {later.quantity!r} lie on different grids.")
    if (later.quantity, later.unit) != (earlier.quantity, earlier.unit):
        raise ValueError(
            f"increment: {earlier.quantity!r} [{earlier.unit}] cannot be taken from {later.quantity!r} [{later.unit}]."
        )
    first, second = earlier.reason, later.reason
    lost_first = (first != Reason.EVALUABLE) & (first != Reason.LOWER_BOUND)
    lost_second = (second != Reason.EVALUABLE) & (second != Reason.LOWER_BOUND)
    reason = np.where(lost_second | ~lost_first & (second == Reason.LOWER_BOUND), second, first)
    values = later.values - earlier.values
    values[(first == Reason.LOWER_BOUND) & ~lost_second] = 0.0
    values[lost_first | lost_second] = np.nan
    error = None
    if later.standard_error is not None and earlier.standard_error is not None:
        error = np.hypot(later.standard_error, earlier.standard_error)
    return ParametricMap(
        values=values,
        reason=reason.astype(np.uint8),
        grid=later.grid,
        quantity=f"increment of {later.quantity}",
        unit=later.unit,
        standard_error=error,
    )


def resized(volume: Volume, change: float) -> Array:
    """The volume grown (change > 0) or shrunk (< 0) by that share of itself, along the distance from its surface.

    Used for the uncertainty of the contour. Occupancy 0…1 on the volume's grid; where the wanted size falls inside a
    shell of voxels equally far from the surface, all of them take part by the same share.
    """
    # A lesion smaller than its voxels fills none of them by half: its fullest voxels are what can be grown.
    inside = volume.occupancy >= min(0.5, 0.5 * float(volume.occupancy.max(initial=0.0)) or 0.5)
    result = np.zeros(inside.shape, dtype=np.float32)
    if not inside.any():
        return result
    box = bounding_box(inside, _ROOM_VOXELS)
    part = inside[box]
    spacing = volume.grid.spacing_mm
    distance: Array = ndimage.distance_transform_edt(~part, sampling=spacing) - ndimage.distance_transform_edt(
        part, sampling=spacing
    )
    # Among voxels equally far from the surface the fuller ones belong to the volume first.
    ranked = np.round(distance - volume.occupancy[box] * min(spacing), 3)
    wanted = float(part.sum()) * (1.0 + change)
    levels, counts = np.unique(ranked, return_counts=True)
    before = np.concatenate(([0], np.cumsum(counts)[:-1]))
    share = np.clip((wanted - before) / counts, 0.0, 1.0)
    result[box] = share[np.searchsorted(levels, ranked)]
    return result
