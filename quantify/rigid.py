"""A rigid transform as six numbers that a person can set: three translations and three angles about a centre.

They are those of `quantify.findings.Registration`: the translation is how far the centre lies from where it lay in the
reference, LPS mm (positive towards the patient's left, back and head); the angles turn about the patient's axes through
the centre as ITK's Euler transform counts them, R = Rz·Rx·Ry, degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the library's own short name
from scipy.spatial.transform import Rotation

from quantify.model import Array, FloatArray, Grid
from quantify.rigid_search import euler_of, matrix_of, rotation_deg

_TOLERANCE = 1e-3
"""A matrix may deviate from a rotation by what decimals round."""
Triple = tuple[float, float, float]


def six_degrees(matrix: FloatArray, centre_mm: FloatArray) -> tuple[Triple, Triple]:
    """Translation of the centre (mm) and angles about it (degrees) of a rigid 4×4 on LPS mm.

    Raises
    ------
    ValueError
        If the matrix is not rigid.
    """
    exact = nearest_rigid(matrix)
    centre = np.asarray(centre_mm, dtype=np.float64)
    translation = exact[:3, :3] @ centre + exact[:3, 3] - centre
    return _triple(translation), _triple(rotation_deg(exact))


def rigid_matrix(translation_mm: Triple, rotation_deg: Triple, centre_mm: FloatArray) -> FloatArray:
    """The rigid 4×4 on LPS mm that `six_degrees` reads back; x ↦ R·(x − centre) + centre + translation."""
    transform = euler_of(np.eye(4), np.asarray(centre_mm, dtype=np.float64))
    transform.SetRotation(*np.radians(rotation_deg).tolist())
    transform.SetTranslation([float(v) for v in translation_mm])
    return matrix_of(transform)


def nearest_rigid(matrix: FloatArray) -> FloatArray:
    """A rigid 4×4 with its rotation freed of what decimals rounded, as a given registration is before it is applied.

    Raises
    ------
    ValueError
        If the matrix is not rigid.
    """
    exact = np.array(matrix, dtype=np.float64)
    if exact.shape != (4, 4) or not np.isfinite(exact).all() or np.abs(exact[3] - [0, 0, 0, 1]).max() > 1e-9:
        raise ValueError("matrix: expected a finite 4×4 that ends with the row 0, 0, 0, 1.")
    left, stretch, right = np.linalg.svd(exact[:3, :3])
    if np.abs(stretch - 1.0).max() > _TOLERANCE or np.linalg.det(left @ right) < 0:
        raise ValueError("matrix: it scales, shears or mirrors; expected a rotation and a translation in mm.")
    exact[:3, :3] = left @ right
    return exact


def image_moved(matrix: FloatArray, by_mm: FloatArray) -> FloatArray:
    """The transform from the reference after the picture of the series was moved by so much over the reference."""
    step = np.eye(4)
    step[:3, 3] = -np.asarray(by_mm, dtype=np.float64)
    return np.asarray(matrix, dtype=np.float64) @ step


def image_turned(matrix: FloatArray, axis: FloatArray, angle_deg: float, centre_mm: FloatArray) -> FloatArray:
    """The transform from the reference after the picture of the series was turned over the reference.

    Parameters
    ----------
    axis
        Direction of the axis through the centre, LPS; the turn is right-handed about it.
    """
    unit = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    centre = np.asarray(centre_mm, dtype=np.float64)
    back = np.eye(4)
    back[:3, :3] = Rotation.from_rotvec(-np.radians(angle_deg) * unit).as_matrix()
    back[:3, 3] = centre - back[:3, :3] @ centre
    return np.asarray(matrix, dtype=np.float64) @ back


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A rectangle of points: origin + column · across + row · down, LPS mm; ``size`` is (columns, rows)."""

    origin_mm: FloatArray
    across_mm: FloatArray
    down_mm: FloatArray
    size: tuple[int, int]


def seen_on(image: sitk.Image, plane: Plane, matrix: FloatArray) -> Array:
    """An image (`quantify.rigid_search.itk_image`) on a plane of the reference, trilinear; NaN where it does not reach.

    Parameters
    ----------
    matrix
        4×4 that takes points of the reference to the image, LPS mm.

    Returns
    -------
    array
        float32 (row, column).
    """
    axes = np.column_stack([plane.across_mm, plane.down_mm, np.cross(plane.across_mm, plane.down_mm)])
    onto = sitk.AffineTransform(3)
    onto.SetMatrix((matrix[:3, :3] @ axes).ravel().tolist())
    onto.SetTranslation((matrix[:3, :3] @ plane.origin_mm + matrix[:3, 3]).tolist())
    # From pixels of the plane straight into the image: half the time of one array of coordinates.
    resample = sitk.ResampleImageFilter()
    resample.SetNumberOfThreads(1)
    resample.SetSize((*plane.size, 1))
    resample.SetInterpolator(sitk.sitkLinear)
    resample.SetDefaultPixelValue(float("nan"))
    resample.SetTransform(onto)
    seen: Array = sitk.GetArrayFromImage(resample.Execute(image))[0]
    return seen


def share_covered(grid: Grid, points_mm: FloatArray, matrix: FloatArray) -> float:
    """Share, 0…1, of points of the reference (3, n) that come to lie inside a series' grid."""
    to_index = grid.index_from_lps @ np.asarray(matrix, dtype=np.float64)
    at = to_index[:3, :3] @ points_mm + to_index[:3, 3:]
    last = np.array(grid.shape, dtype=np.float64)[:, None] - 1.0
    return float(((at >= 0.0) & (at <= last)).all(axis=0).mean()) if at.shape[1] else 0.0


def _triple(values: FloatArray) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])
