"""The largest part of a tumour that the dose missed: a tumour recurs there, whatever its mean.

EMERITUS-1, patient 4: a mean of 113 Gy with the dorsal part missed, and recurrence there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

from quantify.model import FloatArray, Grid, ParametricMap, Reason, Volume
from quantify.partial_volume import Mixture
from quantify.volumes import bounding_box

_WIDTHS = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Standard deviations of the smoothing that are tried, in voxels of the geometric mean size."""
_COARSER = (1.0, 2.0, 4.0)
"""How much wider than the map's own smoothing the evidence for a cold part is sought."""
_NOISE_SHARE = 0.05
"""Smoothing grows until the noise is below this share of the threshold."""
_FALSE_ALARM = 0.05
"""Chance that noise alone makes a cold part in a tumour that lies at the threshold."""
_INTERPOLATED = 1.5**1.5
"""How much more noise is left on a mean than independent voxels would leave, in a map from trilinear interpolation.

The variance of a point t of the way between two voxels is (1 − t)² + t² of theirs, 2/3 on average over t, along each of
three axes; a wide mean keeps all of it.
"""
_PURE = 0.98
"""Occupancy from which a voxel counts as the tumour's alone, when nothing better is known of its mixture."""


@dataclass(frozen=True, kw_only=True)
class ColdSubVolume:
    """The largest connected part of a tumour below a dose.

    ``share`` (0…1) is of the tumour's evaluable volume; ``centre_lps_mm`` its centre of mass (the posterior is +y);
    ``touches_edge`` whether it reaches the tumour's surface, where a missing feeder shows first.
    """

    volume_ml: float
    share: float
    centre_lps_mm: tuple[float, float, float]
    touches_edge: bool


def cold_sub_volume(
    dose: ParametricMap, volume: Volume, *, threshold_gy: float, mixed: Mixture | None = None
) -> ColdSubVolume | None:
    """The largest connected part of `volume` (occupancy ≥ 0.5) below `threshold_gy`; None if there is none.

    Parameters
    ----------
    dose
        Absorbed dose [Gy] with its voxel noise; without a standard error the map is taken as free from noise.
    volume
        The tumour, on the same grid.
    mixed
        What its voxels hold besides it (`quantify.partial_volume.mixture`). Without it the voxels at its surface,
        which show the dose of what surrounds it as well, take that of their inner neighbours: else every tumour in
        liver would wear a cold shell.

    Notes
    -----
    *Voxels.* Those that cannot be evaluated are neither cold nor warm: they take no part, nor do they join two parts.
    Lower bounds are warm or unknown, never cold. Parts are joined over faces only, which noise does not percolate
    until 31 % of the voxels are below (over corners: 10 %).

    *Noise must not shatter a cold part.* The map is smoothed inside the tumour, by the narrowest of a few Gaussians
    (none to 2 voxels) that brings the voxels' noise below 5 % of the threshold. At 10 % a part that received 80 % of
    the threshold would be crossed by noise in one voxel out of 40; at 5 % in one out of 30,000. Wider ones would fill
    small cold parts from their surroundings.

    *Noise must not create one.* A part counts if somewhere within it the dose is below the threshold by more than
    noise explains anywhere in the tumour with 5 % probability (Bonferroni over voxels and widths; 4.1 standard errors
    at 1,000 voxels). This is sought at the map's own smoothing, at twice and at four times its width: few voxels show
    a deep defect, many a shallow one. The standard error takes account of interpolation between voxels. A tumour that
    lies at the threshold may thus have half of it uncovered and yet no cold part.

    Raises
    ------
    ValueError
        If the threshold is not positive and finite, or the map and the volume lie on different grids.
    """
    search = cold_search(dose, volume, mixed)
    return None if search is None else search.below(threshold_gy)


def cold_search(dose: ParametricMap, volume: Volume, mixed: Mixture | None = None) -> ColdSearch | None:
    """What `cold_sub_volume` looks through, for several thresholds; None where nothing can be evaluated."""
    if not dose.grid.same_as(volume.grid):
        raise ValueError(f"cold_sub_volume: dose and volume {volume.name!r} lie on different grids.")
    box = bounding_box(volume.occupancy >= 0.5)
    tumour = volume.occupancy[box] >= 0.5
    reason = dose.reason[box]
    bound = reason == Reason.LOWER_BOUND
    evaluable = tumour & ((reason == Reason.EVALUABLE) | bound) & np.isfinite(dose.values[box])
    if not evaluable.any():
        return None
    return ColdSearch(
        own=_own_dose(dose, volume, mixed, box, evaluable),
        evaluable=evaluable,
        bound=bound,
        tumour=tumour,
        occupancy=volume.occupancy[box].astype(np.float64),
        start=(box[0].start, box[1].start, box[2].start),
        grid=dose.grid,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ColdSearch:
    """A tumour in its box, as it is searched for cold parts; what smoothing gives is kept for the next threshold."""

    own: _OwnDose
    evaluable: NDArray[np.bool_]
    bound: NDArray[np.bool_]
    tumour: NDArray[np.bool_]
    occupancy: FloatArray
    start: tuple[int, int, int]
    grid: Grid

    def below(self, threshold_gy: float) -> ColdSubVolume | None:
        """The largest connected part below a dose, in the unit of the map; None if there is none.

        Raises
        ------
        ValueError
            If the threshold is not positive and finite.
        """
        if not (np.isfinite(threshold_gy) and threshold_gy > 0):
            raise ValueError(f"cold_sub_volume: threshold_gy is {threshold_gy}; expected a positive dose in Gy.")
        voxel_mm = float(np.prod(self.grid.spacing_mm)) ** (1.0 / 3.0)
        spacing = np.array(self.grid.spacing_mm)
        width, smooth = _quiet(self.own, spacing, voxel_mm, _NOISE_SHARE * threshold_gy)
        level = _filled(smooth, self.own.weight > 0, self.evaluable, spacing)
        cold = self.evaluable & ~self.bound & (level < threshold_gy)
        labels, parts = ndimage.label(cold)
        if parts == 0:
            return None
        evidence = _significant(self.own, width, smooth, spacing, voxel_mm, threshold_gy)
        sizes = np.bincount(labels.ravel(), weights=self.occupancy.ravel())
        real = np.zeros(parts + 1, dtype=bool)
        real[labels[evidence]] = True
        real[0] = False  # what is not cold
        if not real.any():
            return None
        part = labels == int(np.argmax(np.where(real, sizes, 0.0)))
        index = np.array(ndimage.center_of_mass(self.occupancy * part)) + self.start
        centre = self.grid.affine_lps_mm @ (*index, 1.0)
        surface = self.tumour & ~ndimage.binary_erosion(self.tumour)
        cold_voxels = float(self.occupancy[part].sum())
        return ColdSubVolume(
            volume_ml=cold_voxels * self.grid.voxel_volume_ml,
            share=cold_voxels / float(self.occupancy[self.evaluable].sum()),
            centre_lps_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
            touches_edge=bool((part & surface).any()),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _OwnDose:
    """The tumour's own dose, the variance of its noise, and how much say each voxel has (0: none)."""

    values: FloatArray
    variance: FloatArray
    weight: FloatArray

    @cached_property
    def noise(self) -> _OwnDose:
        """The standard deviation of its noise in the place of the dose."""
        return replace(self, values=np.sqrt(self.variance))

    @cached_property
    def smoothed(self) -> dict[tuple[float, ...], tuple[FloatArray, FloatArray]]:
        """What `_smoothed` found, by widths."""
        return {}


def _own_dose(
    dose: ParametricMap,
    volume: Volume,
    mixed: Mixture | None,
    box: tuple[slice, slice, slice],
    evaluable: NDArray[np.bool_],
) -> _OwnDose:
    values = np.where(evaluable, dose.values[box], 0.0).astype(np.float64)
    error = np.zeros_like(values) if dose.standard_error is None else dose.standard_error[box].astype(np.float64)
    error = np.where(evaluable & np.isfinite(error), error, 0.0)
    if mixed is not None:
        solved = evaluable & mixed.solvable(mixed.own[box]) & np.isfinite(mixed.foreign[box])
        if solved.any():
            share = np.where(solved, mixed.own[box], 1.0).astype(np.float64)
            foreign = np.where(solved, mixed.foreign[box], 0.0)
            # Solving for the own part divides the noise by the share: the say goes with 1/variance.
            return _OwnDose(
                values=(values - foreign) / share,
                variance=(error / share) ** 2,
                weight=np.where(solved, share**2, 0.0),
            )
    pure = evaluable & (volume.occupancy[box] >= _PURE)
    if not pure.any():
        pure = evaluable
    return _OwnDose(values=values, variance=error**2, weight=pure.astype(np.float64))


def _quiet(own: _OwnDose, spacing_mm: FloatArray, voxel_mm: float, limit_gy: float) -> tuple[float, FloatArray]:
    """Width (in voxels) of the narrowest smoothing whose noise is below the limit, and its map."""
    known = own.weight > 0
    for width in _WIDTHS:
        smooth, error = _smoothed(own, width * voxel_mm / spacing_mm)
        if float(np.sqrt(np.mean(error[known] ** 2))) < limit_gy:
            break
    return width, smooth


def _smoothed(own: _OwnDose, sigma_voxels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gaussian mean within the tumour, weighted by each voxel's say, and its standard error."""
    widths = tuple(float(sigma) for sigma in sigma_voxels)
    if widths not in own.smoothed:
        own.smoothed[widths] = _filtered(own, widths)
    return own.smoothed[widths]


def _filtered(own: _OwnDose, sigma_voxels: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    total, weight = own.values * own.weight, own.weight
    variance = own.variance * own.weight**2
    for axis, sigma in enumerate(sigma_voxels):
        reach = int(np.ceil(3.0 * sigma))
        if reach == 0:
            continue
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        total = ndimage.correlate1d(total, kernel, axis=axis, mode="constant")
        weight = ndimage.correlate1d(weight, kernel, axis=axis, mode="constant")
        variance = ndimage.correlate1d(variance, kernel**2, axis=axis, mode="constant")
    safe = np.maximum(weight, 1e-12)
    return total / safe, np.sqrt(variance) / safe


def _filled(
    values: FloatArray, known: NDArray[np.bool_], wanted: NDArray[np.bool_], spacing_mm: FloatArray
) -> FloatArray:
    """`values` where known; where wanted but not known, that of the nearest known voxel."""
    if not (wanted & ~known).any():
        return values
    nearest = ndimage.distance_transform_edt(~known, sampling=spacing_mm, return_distances=False, return_indices=True)
    filled: FloatArray = values[tuple(nearest)]
    return filled


def _significant(
    own: _OwnDose,
    width: float,
    smooth: FloatArray,
    spacing_mm: FloatArray,
    voxel_mm: float,
    threshold_gy: float,
) -> NDArray[np.bool_]:
    """Where the tumour's dose is below the threshold by more than noise explains, at one of several widths."""
    known = own.weight > 0
    certain = -float(ndtri(_FALSE_ALARM / (len(_COARSER) * int(known.sum()))))
    if not own.variance.any():
        return np.asarray(known & (smooth < threshold_gy))
    evidence = np.zeros(known.shape, dtype=bool)
    for factor in _COARSER:
        voxels = width if factor == 1.0 else factor * max(width, 0.5)
        mean, independent = _smoothed(own, voxels * voxel_mm / spacing_mm)
        # A mean is no noisier than its voxels, however their noise hangs together.
        alike, _ = _smoothed(own.noise, voxels * voxel_mm / spacing_mm)
        evidence |= known & (mean < threshold_gy - certain * np.minimum(_INTERPOLATED * independent, alike))
    return np.asarray(evidence)
