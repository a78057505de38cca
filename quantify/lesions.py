"""Lesions too small for their dose to be believed: partial volume and spill-over dominate it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from config.settings import StatisticsSettings
from quantify.model import Volume
from quantify.volumes import bounding_box

_FINE_MM = 0.75


def small_lesion_warning(volume: Volume, settings: StatisticsSettings) -> str:
    """The sentence that marks a lesion under ``small_lesion_diameter_mm`` or ``small_lesion_volume_ml``; else "".

    The volume is that of the contours; the diameter is `smallest_diameter_mm` of what of it lies on the grid.
    """
    small = []
    limit_mm, limit_ml = settings.small_lesion_diameter_mm, settings.small_lesion_volume_ml
    diameter_mm = smallest_diameter_mm(volume, up_to_mm=limit_mm)
    if diameter_mm is not None and diameter_mm < limit_mm:
        small.append(f"smallest diameter {diameter_mm:.0f} mm (under {limit_mm:g} mm)")
    volume_ml = volume.contour_volume_ml if volume.contour_volume_ml > 0 else volume.volume_ml
    if volume_ml < limit_ml:
        small.append(f"volume {volume_ml:.1f} mL (under {limit_ml:g} mL)")
    return f"small lesion: {' and '.join(small)}; partial volume dominates its dose" if small else ""


def smallest_diameter_mm(volume: Volume, *, up_to_mm: float = np.inf) -> float | None:
    """Diameter [mm] of the largest ball that fits into the volume; None if no voxel of it lies on the grid.

    For an ellipsoid it is the smallest axis; of a dumbbell or a horseshoe it is the thickness, which extents are not.

    A distance transform of the voxels would be off by a voxel, all of a small lesion. So the occupancy is interpolated
    linearly to 0.75 mm, and as many of the fullest fine voxels are taken as make up the volume (a fixed level of
    0.5 would shave convex shapes). Twice the largest distance to their surface is within 1 mm of the diameter of balls
    from 6 to 20 mm at 3 × 3 × 4 mm.

    Parameters
    ----------
    volume
        The lesion.
    up_to_mm
        A diameter that surely exceeds this is not looked at closely: infinity is returned.
    """
    box = bounding_box(volume.occupancy > 0, (1, 1, 1))
    occupancy = volume.occupancy[box]
    if occupancy.size == 0:
        return None
    # The volume goes on where the grid ends: there is a surface too, as far as anybody knows.
    occupancy = np.pad(occupancy, 1)
    spacing = volume.grid.spacing_mm
    if np.isfinite(up_to_mm):
        coarse = float(ndimage.distance_transform_edt(occupancy >= 0.5, sampling=spacing).max())
        if 2.0 * (coarse - max(spacing)) > up_to_mm:
            return float("inf")
    counts = [max(1, round(size * step / _FINE_MM)) for size, step in zip(occupancy.shape, spacing, strict=True)]
    fine_mm = [size * step / count for size, step, count in zip(occupancy.shape, spacing, counts, strict=True)]
    places = [
        (np.arange(count) + 0.5) * (size / count) - 0.5 for size, count in zip(occupancy.shape, counts, strict=True)
    ]
    fine = ndimage.map_coordinates(
        occupancy, np.meshgrid(*places, indexing="ij"), order=1, mode="constant", output=np.float32
    )
    wanted = round(float(occupancy.sum(dtype=np.float64)) * float(np.prod(spacing)) / float(np.prod(fine_mm)))
    wanted = min(max(wanted, 1), fine.size)
    level = np.partition(fine.ravel(), fine.size - wanted)[fine.size - wanted]
    inside = fine >= max(float(level), 1e-6)
    # The surface lies half a fine voxel before the first centre outside.
    radius = float(ndimage.distance_transform_edt(inside, sampling=fine_mm).max()) - float(np.mean(fine_mm)) / 2.0
    return 2.0 * radius
