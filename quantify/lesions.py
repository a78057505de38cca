"""Lesions too small for their dose to be believed: partial volume and spill-over dominate it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from config.settings import StatisticsSettings
from quantify.model import Array, Volume
from quantify.volumes import bounding_box

_FINE_MM = 0.75
"""Voxel size to which a lesion is interpolated before the distance to its surface is taken."""
_RESOLVED = 1.5
"""Voxels across an axis from which second moments say how long it is."""
_DENTS = 0.6
"""What the dents of a voxelised round surface take from the diameter of the ball that fits, in mean voxel sizes.

Measured: 0.52 to 0.77 for balls of 6 to 20 mm at random places, voxels of 2×2×2, 3×3×3, 3×3×4 and 2×2×6 mm.
"""


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
    """Smallest diameter [mm] of the volume; None if no voxel of it lies on the grid.

    The smaller of two: the smallest axis of the ellipsoid with the same second moments, the better answer for whatever
    is nearly an ellipsoid and more than 1.5 voxels thick; and the diameter of the largest ball that fits, which is the
    thickness of a dumbbell or a horseshoe, whose extents say nothing of it. Balls of 6 to 20 mm come out within 1 mm
    at 3 × 3 × 4 mm (0.3 mm too small on average), within 2 mm with slices of 6 mm.

    Parameters
    ----------
    volume
        The lesion; voxel axes are taken as perpendicular.
    up_to_mm
        A volume in which a ball of this diameter surely fits is not looked at closely: infinity is returned.
    """
    box = bounding_box(volume.occupancy > 0)
    # Where the grid ends the volume does, as far as anybody knows.
    occupancy = np.pad(volume.occupancy[box], 1)
    if not occupancy.any():
        return None
    spacing = volume.grid.spacing_mm
    if np.isfinite(up_to_mm):
        coarse = float(ndimage.distance_transform_edt(occupancy >= 0.5, sampling=spacing).max())
        if 2.0 * (coarse - max(spacing)) > up_to_mm:
            return float("inf")
    axis_mm, thickness_mm = _smallest_axis_mm(occupancy, spacing)
    ball_mm = _fitting_ball_mm(occupancy, spacing)
    return min(axis_mm, ball_mm) if axis_mm >= _RESOLVED * thickness_mm else ball_mm


def _smallest_axis_mm(occupancy: Array, spacing_mm: tuple[float, float, float]) -> tuple[float, float]:
    """Smallest axis of the ellipsoid with the volume's second moments, and a voxel's thickness along it.

    An axis a has the variance a²/20. Occupancy is the shape seen through a box of one voxel, whose variance h²/12 is
    taken off.
    """
    occupied = np.nonzero(occupancy)
    weights = occupancy[occupied].astype(np.float64)
    places = np.stack([index * step for index, step in zip(occupied, spacing_mm, strict=True)])
    box = np.diag(np.square(spacing_mm))
    variances, directions = np.linalg.eigh(np.cov(places, aweights=weights, ddof=0) - box / 12.0)
    direction = directions[:, 0]
    return float(np.sqrt(20.0 * max(0.0, float(variances[0])))), float(np.sqrt(direction @ box @ direction))


def _fitting_ball_mm(occupancy: Array, spacing_mm: tuple[float, float, float]) -> float:
    """Diameter of the largest ball that fits, by a distance transform.

    That of the voxels would be off by a voxel, which is all of a small lesion. So the occupancy is interpolated
    linearly to 0.75 mm, and as many of the fullest fine voxels are taken as make up the volume (a fixed level of 0.5
    would shave convex shapes).
    """
    counts = [max(1, round(size * step / _FINE_MM)) for size, step in zip(occupancy.shape, spacing_mm, strict=True)]
    fine_mm = [size * step / count for size, step, count in zip(occupancy.shape, spacing_mm, counts, strict=True)]
    places = [
        (np.arange(count) + 0.5) * (size / count) - 0.5 for size, count in zip(occupancy.shape, counts, strict=True)
    ]
    fine = ndimage.map_coordinates(
        occupancy, np.meshgrid(*places, indexing="ij"), order=1, mode="constant", output=np.float32
    )
    wanted = round(float(occupancy.sum(dtype=np.float64)) * float(np.prod(spacing_mm)) / float(np.prod(fine_mm)))
    wanted = min(max(wanted, 1), fine.size)
    level = np.partition(fine.ravel(), fine.size - wanted)[fine.size - wanted]
    inside = fine >= max(float(level), 1e-6)
    # The surface lies half a fine voxel before the first centre outside.
    radius = float(ndimage.distance_transform_edt(inside, sampling=fine_mm).max()) - float(np.mean(fine_mm)) / 2.0
    return 2.0 * radius + _DENTS * float(np.mean(spacing_mm))
