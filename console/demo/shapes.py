"""Implicit shapes of the phantom: negative inside, zero on the surface, growing outwards in about millimetres.

Points are arrays with a leading axis of 3 (LPS x, y, z in mm); every function returns the shape of one component.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""float32 (images) or float64 (truth): the result has the precision of the points."""

Triple = tuple[float, float, float]


def normalised_radius_squared(points_mm: Floats, centre_mm: Triple, half_axes_mm: Triple) -> Floats:
    """Return ρ² of an axis-parallel ellipsoid: 0 at its centre, 1 on its surface."""
    x = (points_mm[0] - centre_mm[0]) / half_axes_mm[0]
    y = (points_mm[1] - centre_mm[1]) / half_axes_mm[1]
    z = (points_mm[2] - centre_mm[2]) / half_axes_mm[2]
    return np.asarray(x * x + y * y + z * z)


def ellipsoid(points_mm: Floats, centre_mm: Triple, half_axes_mm: Triple) -> Floats:
    """Return (ρ − 1) · shortest half axis: zero exactly on the ellipsoid."""
    rho = np.sqrt(normalised_radius_squared(points_mm, centre_mm, half_axes_mm))
    return np.asarray((rho - 1.0) * min(half_axes_mm))


def elliptic_cylinder(points_mm: Floats, centre_mm: tuple[float, float], half_axes_mm: tuple[float, float]) -> Floats:
    """Return the implicit function of a cylinder along z (head–foot)."""
    x = (points_mm[0] - centre_mm[0]) / half_axes_mm[0]
    y = (points_mm[1] - centre_mm[1]) / half_axes_mm[1]
    return np.asarray((np.sqrt(x * x + y * y) - 1.0) * min(half_axes_mm))


def tube(points_mm: Floats, start_mm: Triple, end_mm: Triple, radius_mm: float) -> Floats:
    """Return the distance to a straight segment with round ends, minus its radius."""
    axis = [end - start for start, end in zip(start_mm, end_mm, strict=True)]
    length_squared = sum(component * component for component in axis)
    offset = [points_mm[i] - start_mm[i] for i in range(3)]
    along = (offset[0] * axis[0] + offset[1] * axis[1] + offset[2] * axis[2]) / length_squared
    along = np.clip(along, 0.0, 1.0)
    squared = sum((offset[i] - along * axis[i]) ** 2 for i in range(3))
    return np.asarray(np.sqrt(squared) - radius_mm)


def smooth_union(first: Floats, second: Floats, width_mm: float) -> Floats:
    """Return the union of two shapes with their crease rounded over `width_mm` (polynomial smooth minimum)."""
    blend = np.clip(0.5 + 0.5 * (second - first) / width_mm, 0.0, 1.0)
    return np.asarray(second + (first - second) * blend - width_mm * blend * (1.0 - blend))


def smooth_intersection(first: Floats, second: Floats, width_mm: float) -> Floats:
    """Return the intersection of two shapes with its edge rounded over `width_mm`."""
    return np.asarray(-smooth_union(-first, -second, width_mm))
