"""Statistics of a map inside a volume of interest, weighted by occupancy and freed from voxel noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quantify.model import Array, FloatArray, Grid, ParametricMap, Reason, Volume
from quantify.partial_volume import Mixture


@dataclass(frozen=True, kw_only=True, eq=False)
class Distribution:
    """A map's evaluable voxels inside a volume: values, their noise, their weights (occupancy). Flat float64 arrays."""

    values: FloatArray
    standard_error: FloatArray
    weights: FloatArray
    evaluable_fraction: float
    lower_bound_fraction: float

    @property
    def mean(self) -> float:
        """Weighted mean; negative voxels included."""
        return float(np.average(self.values, weights=self.weights))

    @property
    def mean_standard_error(self) -> float:
        """What voxel noise, independent between voxels, leaves on the mean."""
        return float(np.sqrt(((self.weights * self.standard_error) ** 2).sum()) / self.weights.sum())

    @property
    def standard_deviation(self) -> float:
        """Spread of the true values: √max(measured variance − mean noise variance, 0)."""
        measured, noise = self._variances()
        return float(np.sqrt(max(measured - noise, 0.0)))

    def dose_received_by(self, percent: float) -> float:
        """D_x: what the hottest `percent` of the volume receives at least, i.e. the (100 − x)th percentile.

        Voxel noise widens a distribution (SNR 40 moves the D70 of a uniform 20 Gy by −2 Gy), so the values are first
        drawn towards their mean until their variance is the noise-corrected one.
        """
        measured, noise = self._variances()
        shrink = np.sqrt(max(measured - noise, 0.0) / measured) if measured > 0 else 0.0
        mean = self.mean
        return mean + shrink * (weighted_percentile(self.values, self.weights, 100.0 - percent) - mean)

    def _variances(self) -> tuple[float, float]:
        mean = self.mean
        measured = float(np.average((self.values - mean) ** 2, weights=self.weights))
        noise = float(np.average(self.standard_error**2, weights=self.weights))
        return measured, noise


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
    inside = volume.occupancy > 0
    weights = volume.occupancy[inside].astype(np.float64)
    reasons = values.reason[inside]
    usable = ((reasons == Reason.EVALUABLE) | (reasons == Reason.LOWER_BOUND)) & np.isfinite(values.values[inside])
    total = max(float(weights.sum()), volume.contour_volume_ml / values.grid.voxel_volume_ml)
    used = float(weights[usable].sum())
    if total <= 0 or used <= 0:
        return None
    error = (
        np.zeros_like(weights) if values.standard_error is None else values.standard_error[inside].astype(np.float64)
    )
    bounds = float(weights[usable & (reasons == Reason.LOWER_BOUND)].sum())
    own_values = values.values[inside].astype(np.float64)
    if mixed is not None and (usable & mixed.usable[inside]).any():
        solved = usable & mixed.usable[inside]
        weights = _inherited(weights, usable & ~solved, solved, inside, values.grid)
        usable = solved
        own = np.where(usable, mixed.own[inside], 1.0)
        own_values = (own_values - mixed.foreign[inside]) / own
        error = error / own
    return Distribution(
        values=own_values[usable],
        standard_error=np.nan_to_num(error[usable]),
        weights=weights[usable],
        evaluable_fraction=min(1.0, used / total),
        lower_bound_fraction=bounds / used,
    )


def _inherited(
    weights: FloatArray, heirless: NDArray[np.bool_], heirs: NDArray[np.bool_], inside: NDArray[np.bool_], grid: Grid
) -> FloatArray:
    """Weights (flat, of the voxels `inside`) after each of the `heirless` voxels gave its own to the nearest heir."""
    box = _grown_box(inside, grid)
    place = np.zeros(inside.shape, dtype=bool)
    place[inside] = heirs
    nearest = ndimage.distance_transform_edt(
        ~place[box], sampling=grid.spacing_mm, return_distances=False, return_indices=True
    )
    number = np.zeros(inside.shape, dtype=np.intp)
    number[inside] = np.arange(weights.size)
    place[inside] = heirless
    givers = place[box]
    result = np.where(heirless, 0.0, weights)
    np.add.at(result, number[box][tuple(axis[givers] for axis in nearest)], weights[heirless])
    return result


def weighted_percentile(values: FloatArray, weights: FloatArray, percent: float) -> float:
    """Weighted percentile; with equal weights it is NumPy's linear one (of 1…100, the 30th is 30.7).

    Raises
    ------
    ValueError
        For no values, or weights that are not positive.
    """
    if values.size == 0:
        raise ValueError("weighted_percentile: no values; expected at least one.")
    if (weights <= 0).any():
        raise ValueError("weighted_percentile: a weight is zero or negative; expected positive weights.")
    order = np.argsort(values, kind="stable")
    ordered, weight = values[order], weights[order]
    if ordered.size == 1:
        return float(ordered[0])
    before = np.concatenate(([0.0], np.cumsum(weight)[:-1]))
    position = np.arange(ordered.size) * weight + (ordered.size - 1) * before
    return float(np.interp(percent / 100.0 * position[-1], position, ordered))


def resized(volume: Volume, change: float) -> Array:
    """The volume grown (change > 0) or shrunk (< 0) by that share of itself, along the distance from its surface.

    Used for the uncertainty of the contour. Occupancy 0…1 on the volume's grid; where the wanted size falls inside a
    shell of voxels equally far from the surface, all of them take part by the same share.
    """
    inside = volume.occupancy >= 0.5
    result = np.zeros(inside.shape, dtype=np.float32)
    if not inside.any():
        return result
    box = _grown_box(inside, volume.grid)
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


def _grown_box(inside: NDArray[np.bool_], grid: Grid) -> tuple[slice, slice, slice]:
    """Bounding box with room for a surface that moves by a few voxels."""
    slices = []
    for axis in range(3):
        occupied = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        slices.append(slice(max(0, int(occupied[0]) - 4), min(grid.shape[axis], int(occupied[-1]) + 5)))
    return slices[0], slices[1], slices[2]
