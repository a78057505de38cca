"""The liver's change of shape after the rigid registration: demons on images that holmium leaves alone."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the library's own short name
from numpy.typing import NDArray
from scipy import ndimage

from quantify.model import Array, EchoSeries, FloatArray, Grid
from quantify.resampling import sampler
from quantify.rigid_search import bounding_box, cropped, itk_image
from quantify.signal_at_zero import signal_at_zero

_OUTER_MM = 24.0
_INNER_MM = 8.0
"""The field is whole to 8 mm around the region and has gone at 24 mm: what lies beyond stays rigid."""
_BLUR_MM = 3.0
_SMOOTH_MM = 10.0
"""σ of the field's smoothing: at 6 mm noise bends it (2.4 mm error without any motion), at 14 mm it lags behind."""
_ITERATIONS = 60
_LEAST_DIFFERENCE = 0.03
"""Differences below this share of the region's signal move nothing; twice the noise found in the region, if more."""
_LARGEST_MM = 25.0
_LEAST_JACOBIAN = 0.3
"""Tissue does not shrink to less, nor grow to more than the inverse, between two breath-holds."""
_NEGLIGIBLE_MM = 0.5


def deformation(
    *, reference: EchoSeries, moving: EchoSeries, region: NDArray[np.bool_], matrix_lps_mm: FloatArray
) -> Array | None:
    """Find the displacement u that is left after a rigid registration: x_series = M · (x + u(x)).

    Holmium darkens every echo, and demons take darkening for motion (7 mm of error in the phantom). Both series are
    therefore compared by their signal extrapolated to the echo time 0, S₀ of the log-linear fit weighted by S², which
    holmium does not change; the gain is taken out by the region's medians.

    Parameters
    ----------
    reference, moving
        The series; with a single echo that echo is compared.
    region
        Boolean on the reference grid: the liver.
    matrix_lps_mm
        4×4, reference to series.

    Returns
    -------
    array or None
        Float32 (3, slice, row, column), LPS mm, on the reference grid, 0 beyond 24 mm from the region; all 0 where
        it stays below 0.5 mm. None where it is not to be trusted: no common signal, tissue folded, or farther than
        25 mm.
    """
    grid = reference.grid
    box = bounding_box(region, grid, _OUTER_MM)
    where = np.zeros(grid.shape, dtype=bool)
    where[box] = True
    inside = region[box]
    fixed = signal_at_zero(reference.signal[(slice(None), *box)], reference.echo_times_s)
    other = sampler(source=moving.grid, target=grid, target_to_source_lps_mm=matrix_lps_mm, where=where).sample(
        signal_at_zero(moving.signal, moving.echo_times_s)
    )[box]
    known = np.isfinite(other) & np.isfinite(fixed)
    if 2 * int((known & inside).sum()) < int(inside.sum()):
        return None
    typical = float(np.median(fixed[known & inside])), float(np.median(other[known & inside]))
    if min(typical) <= 0:
        return None
    # Where the series does not reach, the reference stands in for it: no difference, no force.
    first = np.clip(np.where(known, fixed / typical[0], 1.0), 0.0, 2.0).astype(np.float32)
    second = np.clip(np.where(known, other / typical[1], first), 0.0, 2.0).astype(np.float32)
    field = _demons(first, second, inside, cropped(grid, box))
    away = ndimage.distance_transform_edt(~inside, sampling=grid.spacing_mm)
    part = np.clip((_OUTER_MM - away) / (_OUTER_MM - _INNER_MM), 0.0, 1.0)
    field = field * (part * part * (3.0 - 2.0 * part))
    length = np.sqrt((field**2).sum(axis=0))
    jacobian = _jacobian(field, grid)[inside]
    if length.max() > _LARGEST_MM or jacobian.min() < _LEAST_JACOBIAN or jacobian.max() > 1.0 / _LEAST_JACOBIAN:
        return None
    result = np.zeros((3, *grid.shape), dtype=np.float32)
    if length[inside].max() >= _NEGLIGIBLE_MM:
        result[(slice(None), *box)] = field
    return result


def _demons(first: Array, second: Array, inside: NDArray[np.bool_], grid: Grid) -> FloatArray:
    """Displacement (3, slice, row, column) in mm that takes `first` to `second`, found at half the resolution."""
    # One thread: sums in another order change the last digits.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    full = [sitk.SmoothingRecursiveGaussian(itk_image(values, grid), _BLUR_MM) for values in (first, second)]
    shrink = [2 if size >= 32 else 1 for size in full[0].GetSize()[:2]] + [1]
    fixed, moving = (sitk.BinShrink(image, shrink) for image in full)
    difference = (sitk.GetArrayFromImage(full[0]) - sitk.GetArrayFromImage(full[1]))[inside]
    noise = 1.4826 * float(np.median(np.abs(difference - np.median(difference))))
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfThreads(1)
    demons.SetNumberOfIterations(_ITERATIONS)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations([_SMOOTH_MM / spacing for spacing in fixed.GetSpacing()])
    demons.SetMaximumKernelWidth(60)
    demons.SetMaximumError(0.01)
    demons.SetIntensityDifferenceThreshold(max(_LEAST_DIFFERENCE, 2.0 * noise))
    found = demons.Execute(fixed, moving)
    # Between the voxel centres of half the resolution linear, beyond the outermost ones the nearest.
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(full[0])
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetUseNearestNeighborExtrapolator(True)
    resampler.SetOutputPixelType(sitk.sitkVectorFloat64)
    field = sitk.GetArrayFromImage(resampler.Execute(found))
    return np.asarray(np.moveaxis(field, -1, 0), dtype=np.float64)


def _jacobian(field: FloatArray, grid: Grid) -> FloatArray:
    """Determinant of ∂(x + u)/∂x: the local change of volume."""
    by_index = np.stack([np.stack(_differences(component), axis=-1) for component in field], axis=-2)
    steps = np.linalg.inv(grid.affine_lps_mm[:3, :3])
    return np.asarray(np.linalg.det(np.eye(3) + by_index @ steps), dtype=np.float64)


def _differences(component: FloatArray) -> list[FloatArray]:
    return [
        np.gradient(component, axis=axis) if component.shape[axis] > 1 else np.zeros_like(component)
        for axis in range(3)
    ]
