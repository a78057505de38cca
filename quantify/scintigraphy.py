"""Volumes as nuclear medicine draws them: the contour at a share of the maximum, and the expanded liver."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quantify.model import Array, ParametricMap, Reason, Role, Volume
from quantify.volumes import bounding_box

SCINTIGRAPHIC_CONTOUR = "Scintigraphic contour"

_TOUCHED = 0.05
"""Occupancy from which a voxel says where the surface is."""


def scintigraphic_contour(
    values: ParametricMap,
    liver: Volume,
    *,
    threshold_pct: float,
    resolution_mm: float = 0.0,
    name: str = SCINTIGRAPHIC_CONTOUR,
) -> Volume:
    """The voxels of the liver above a share of its maximum: the part that took up microspheres.

    EMERITUS-1 and the 166Ho SPECT literature: 10 % of the maximum, so the plain maximum is used here too: a percentile
    in its place would give another contour than the published one. It is that of the voxels that can be evaluated
    (lower bounds included: the truth there is not less) and lie at least half in the liver, since a voxel of the
    neighbourhood is none of the liver's. MRI's voxels are smaller and noisier than those the rule was made for: the
    maximum of the map as it stands is that of one voxel's noise, so it is smoothed to the resolution of a PET first.

    Parameters
    ----------
    values
        Activity, dose or holmium concentration; they differ by a factor only, as far as the contour is concerned.
    liver
        On the same grid. Its partly occupied voxels keep their occupancy.
    threshold_pct
        Share of the maximum [%], more than 0 and less than 100; a voxel must exceed it.
    resolution_mm
        Full width at half maximum of the Gaussian that the evaluable voxels are smoothed with; 0: as they stand.

    Returns
    -------
    Volume
        Empty where no voxel can be evaluated or none is positive. Voxels that cannot be evaluated are left out.

    Raises
    ------
    ValueError
        If the threshold is out of range, or map and liver lie on different grids.
    """
    if not 0 < threshold_pct < 100:
        raise ValueError(f"scintigraphic_contour: threshold_pct is {threshold_pct}; expected more than 0, under 100.")
    if not values.grid.same_as(liver.grid):
        raise ValueError(
            f"scintigraphic_contour: map {values.quantity!r} and volume {liver.name!r} lie on different grids."
        )
    if not (np.isfinite(resolution_mm) and resolution_mm >= 0):
        raise ValueError(f"scintigraphic_contour: resolution_mm is {resolution_mm}; expected at least 0 mm.")
    room = [int(np.ceil(1.5 * resolution_mm / spacing)) for spacing in liver.grid.spacing_mm]
    box = bounding_box(liver.occupancy > 0, (room[0], room[1], room[2]))
    reason, occupied, level = values.reason[box], liver.occupancy[box], values.values[box]
    evaluable = ((reason == Reason.EVALUABLE) | (reason == Reason.LOWER_BOUND)) & np.isfinite(level)
    if resolution_mm > 0:
        level = _smoothed(level, evaluable, liver.grid.spacing_mm, resolution_mm)
    maximum = float(np.max(level, where=evaluable & (occupied >= 0.5), initial=0.0))
    occupancy = np.zeros(liver.grid.shape, dtype=np.float32)
    if maximum > 0:
        above = evaluable & (np.nan_to_num(level) > maximum * threshold_pct / 100.0)
        occupancy[box] = np.where(above, occupied, np.float32(0))
    return Volume(
        name=name,
        role=Role.TERRITORY,
        occupancy=occupancy,
        grid=liver.grid,
        contour_volume_ml=float(occupancy.sum(dtype=np.float64)) * liver.grid.voxel_volume_ml,
    )


def _smoothed(
    level: Array, evaluable: NDArray[np.bool_], spacing_mm: tuple[float, float, float], resolution_mm: float
) -> Array:
    """Mean of the evaluable voxels in a Gaussian neighbourhood; 0 where there are none."""
    width = [resolution_mm / 2.355 / spacing for spacing in spacing_mm]
    weight = ndimage.gaussian_filter(evaluable.astype(np.float32), width, mode="constant")
    total = ndimage.gaussian_filter(np.where(evaluable, level, np.float32(0)), width, mode="constant")
    mean: Array = np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-3)
    return mean


def expanded(volume: Volume, *, margin_mm: float, name: str = "") -> Volume:
    """The volume grown by a margin on all sides, for the activity that motion and blur carried outside of it.

    EMERITUS-1 and the 166Ho SPECT literature: the liver by 10 mm. Mass and volume stay those of the volume itself
    (`ring_content`).

    A voxel's distance to the surface is that to the nearest voxel of the volume (distance transform in mm along each
    axis), less the part of that voxel which the volume fills; the new surface is a voxel thick, as the old one was.
    Measured on balls of 20 to 60 mm radius at 2 × 2 × 2 to 3 × 3 × 4 mm: 10 mm are 9.8.

    Returns
    -------
    Volume
        With the volume's role, and its name unless another is given; what of the volume lies outside the grid still
        does. An empty volume stays empty.

    Raises
    ------
    ValueError
        If the margin is negative or not finite.
    """
    if not (np.isfinite(margin_mm) and margin_mm >= 0):
        raise ValueError(f"expanded: margin_mm is {margin_mm}; expected at least 0 mm.")
    grid = volume.grid
    occupancy = volume.occupancy.astype(np.float32, copy=True)
    room = [int(np.ceil(margin_mm / spacing)) + 2 for spacing in grid.spacing_mm]
    box = bounding_box(volume.occupancy >= _TOUCHED, (room[0], room[1], room[2]))
    if margin_mm > 0 and occupancy[box].size:
        occupancy[box] = np.maximum(occupancy[box], _grown(occupancy[box], grid.spacing_mm, margin_mm))
    gained_ml = float((occupancy - volume.occupancy).sum(dtype=np.float64)) * grid.voxel_volume_ml
    return Volume(
        name=name or volume.name,
        role=volume.role,
        occupancy=occupancy,
        grid=grid,
        contour_volume_ml=volume.contour_volume_ml + gained_ml,
    )


def _grown(occupancy: Array, spacing_mm: tuple[float, float, float], margin_mm: float) -> Array:
    """Occupancy (0…1) after a margin around the surface that `occupancy` describes."""
    result = np.zeros(occupancy.shape, dtype=np.float32)
    # A surface voxel's neighbours see it at a slant: the nearer of two sets of starting points is the better answer.
    for least in (_TOUCHED, 0.5):
        inside = occupancy >= least
        if not inside.any():
            continue
        nearest = ndimage.distance_transform_edt(
            ~inside, sampling=spacing_mm, return_distances=False, return_indices=True
        )
        squared = np.zeros(occupancy.shape, dtype=np.float32)
        stretched = np.zeros(occupancy.shape, dtype=np.float32)
        for axis, spacing in enumerate(spacing_mm):
            size = occupancy.shape[axis]
            own = np.arange(size).reshape([size if a == axis else 1 for a in range(3)])
            away = (np.abs(nearest[axis] - own) * spacing).astype(np.float32)
            squared += away**2
            stretched += (away * np.float32(spacing)) ** 2
        # How thick a voxel is on the way to the surface, √Σ(nᵢ·hᵢ)²; that much a full voxel's occupancy stands for.
        thick = np.sqrt(np.divide(stretched, squared, out=np.zeros_like(squared), where=squared > 0))
        distance = np.sqrt(squared) - (occupancy[tuple(nearest)] - np.float32(0.5)) * thick
        safe = np.maximum(thick, np.float32(min(spacing_mm)))
        reached = np.clip((margin_mm - distance) / safe + np.float32(0.5), 0.0, 1.0)
        result = np.maximum(result, reached.astype(np.float32))
    return result


def ring_content(values: ParametricMap, volume: Volume, grown: Volume) -> float:
    """What a map holds in the ring that an expansion adds: Σ values·occupancy·v, in the map's unit times mL.

    Activity comes from the expanded volume, mass from the original one: the ring's activity is added to the volume's
    own. Voxels of the ring that cannot be evaluated count nothing (air holds no microspheres).

    Parameters
    ----------
    values, volume
        On the same grid.
    grown
        `expanded` of the volume, made once for all fractions.

    Raises
    ------
    ValueError
        If map and volumes lie on different grids.
    """
    if not (grown.grid.same_as(volume.grid) and values.grid.same_as(volume.grid)):
        raise ValueError(f"ring_content: the map, {volume.name!r} and its expansion lie on different grids.")
    box = bounding_box(grown.occupancy > 0)
    reason, level = values.reason[box], values.values[box]
    evaluable = ((reason == Reason.EVALUABLE) | (reason == Reason.LOWER_BOUND)) & np.isfinite(level)
    ring = grown.occupancy[box] - volume.occupancy[box]
    outside = float((ring * np.where(evaluable, level, np.float32(0))).sum(dtype=np.float64))
    return outside * values.grid.voxel_volume_ml
