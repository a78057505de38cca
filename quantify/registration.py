"""Rigid registration of a fraction's series to the reference, and the judgement of it."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the library's own short name
from numpy.typing import NDArray
from scipy import ndimage

from config.settings import RegistrationSettings
from quantify.findings import Registration, RegistrationStatus
from quantify.model import Array, EchoSeries, FloatArray, Grid
from quantify.resampling import sampler

_SEED = 121_212
_MINIMUM_VOXELS = 200
_LEAST_GAIN = 2e-4
"""Similarity that a motion must gain: noise alone changes it by less than 1e-4, half a millimetre by 2e-4 and more."""


def register(
    *,
    reference: EchoSeries,
    moving: EchoSeries,
    region: NDArray[np.bool_],
    settings: RegistrationSettings,
) -> Registration:
    """Find the rigid transform that takes reference points to the same tissue in `moving`, and judge it.

    The first echoes are compared (holmium has darkened them least) by Mattes mutual information, in the region's box
    plus a margin, at half the in-plane resolution: 0.7 mm mean target error on known shifts. The similarity reported
    is the correlation of the first echoes in that box after the registration.

    Parameters
    ----------
    reference, moving
        Series whose frames of reference coincide up to the patient's motion.
    region
        Boolean on the reference grid: what must match, normally the liver.
    settings
        Margin and gates.

    Returns
    -------
    Registration
        ``failed``, with the sentence that says why, when it did not converge inside the gates: it is never replaced by
        the identity. ``not_needed`` when `moving` is the reference itself, or matches it as well where it lies as
        after any motion found. Translation is that of the region's centre.
    """
    if moving is reference:
        return Registration(status=RegistrationStatus.NOT_NEEDED, similarity=1.0)
    if int(region.sum()) < _MINIMUM_VOXELS:
        return _failed("the region to register holds too few voxels of the reference; check the liver contour.")
    box = _box(region, reference.grid, settings.margin_mm)
    fixed_image = _image(reference.signal[0][box], _cropped(reference.grid, box))
    moving_image = _image(moving.signal[0], moving.grid)
    centre = _centre(region, reference.grid)
    initial = sitk.Euler3DTransform()
    initial.SetCenter(centre.tolist())
    try:
        transform = _optimise(fixed_image, moving_image, initial)
    except RuntimeError as error:  # ITK's: no overlap, all samples outside
        reason = str(error).strip().splitlines()[-1].split("):")[-1].strip()
        return _failed(f"the optimisation stopped: {reason}")
    matrix = _matrix(transform)
    translation = (matrix @ np.append(centre, 1.0))[:3] - centre
    rotation = np.degrees([transform.GetAngleX(), transform.GetAngleY(), transform.GetAngleZ()])
    smooth = _smoothed(reference), _smoothed(moving)
    similarity = _similarity(*smooth, box, matrix)
    as_it_lies = _similarity(*smooth, box, np.eye(4))
    if as_it_lies is not None and (similarity is None or similarity < as_it_lies + _LEAST_GAIN):
        # An object without structure along an axis lets the optimiser drift; what does not match better is not moved.
        return Registration(
            status=RegistrationStatus.NOT_NEEDED
            if as_it_lies >= settings.warning_similarity
            else RegistrationStatus.FAILED,
            similarity=as_it_lies,
            message="the series already lies on the reference: no motion makes it match better"
            if as_it_lies >= settings.warning_similarity
            else f"similarity {as_it_lies:.2f}; no motion makes the images match.",
        )
    return _judge(matrix, translation, rotation, similarity, settings)


def _judge(
    matrix: FloatArray,
    translation: FloatArray,
    rotation: FloatArray,
    similarity: float | None,
    settings: RegistrationSettings,
) -> Registration:
    """Hold a transform against the gates."""
    length = float(np.linalg.norm(translation))
    angle = float(np.linalg.norm(rotation))
    status, message = RegistrationStatus.OK, ""
    if similarity is None:
        status, message = (
            RegistrationStatus.FAILED,
            "the registered series does not overlap the liver of the reference.",
        )
    elif similarity < settings.minimum_similarity:
        status = RegistrationStatus.FAILED
        message = f"similarity {similarity:.2f} is below {settings.minimum_similarity:.2f}; the images do not match."
    elif length > settings.maximum_translation_mm:
        status = RegistrationStatus.FAILED
        message = f"translation {length:.0f} mm is beyond the limit of {settings.maximum_translation_mm:.0f} mm."
    elif angle > settings.maximum_rotation_deg:
        status = RegistrationStatus.FAILED
        message = f"rotation {angle:.0f}° is beyond the limit of {settings.maximum_rotation_deg:.0f}°."
    elif similarity < settings.warning_similarity:
        status = RegistrationStatus.WARNING
        message = f"similarity {similarity:.2f} is below {settings.warning_similarity:.2f}: look at the overlay."
    return Registration(
        status=status,
        translation_mm=_triple(translation),
        rotation_deg=_triple(rotation),
        similarity=similarity,
        reference_to_series_lps_mm=tuple(tuple(float(v) for v in row) for row in matrix),
        message=message,
    )


def _triple(values: FloatArray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _failed(message: str) -> Registration:
    return Registration(status=RegistrationStatus.FAILED, message=message)


def _optimise(fixed: sitk.Image, moving: sitk.Image, initial: sitk.Transform) -> sitk.Euler3DTransform:
    """Mattes mutual information, one level: as good as three at a tenth of the time. Same input, same bits."""
    # ITK sums a metric in as many parts as there are threads, so more than one thread changes the last digits.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    shrink = [2 if size >= 32 else 1 for size in fixed.GetSize()[:2]] + [1]
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.25, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=1e-3, numberOfIterations=100, relaxationFactor=0.5
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(initial, inPlace=False)
    result = method.Execute(sitk.BinShrink(fixed, shrink), sitk.BinShrink(moving, shrink))
    return sitk.Euler3DTransform(sitk.CompositeTransform(result).GetBackTransform())


def _box(region: NDArray[np.bool_], grid: Grid, margin_mm: float) -> tuple[slice, slice, slice]:
    """Bounding box of the region, grown by the margin, inside the grid."""
    slices = []
    for axis in range(3):
        occupied = np.flatnonzero(region.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = int(np.ceil(margin_mm / grid.spacing_mm[axis]))
        slices.append(slice(max(0, int(occupied[0]) - margin), min(grid.shape[axis], int(occupied[-1]) + margin + 1)))
    return slices[0], slices[1], slices[2]


def _cropped(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    """The part of a grid that a box leaves."""
    affine = np.array(grid.affine_lps_mm)
    affine[:3, 3] += affine[:3, :3] @ np.array([part.start for part in box], dtype=float)
    shape = (box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start)
    return Grid(shape=shape, affine_lps_mm=affine, frame_of_reference_uid=grid.frame_of_reference_uid)


def _centre(region: NDArray[np.bool_], grid: Grid) -> FloatArray:
    """Centre of the region, LPS mm."""
    index = np.argwhere(region).mean(axis=0)
    centre: FloatArray = (grid.affine_lps_mm @ np.append(index, 1.0))[:3]
    return centre


def _image(values: Array, grid: Grid) -> sitk.Image:
    """A SimpleITK image of an array (slice, row, column); ITK counts columns first."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values, dtype=np.float32))
    spacing = grid.spacing_mm[::-1]
    image.SetSpacing(spacing)
    image.SetOrigin(grid.affine_lps_mm[:3, 3].tolist())
    direction = grid.affine_lps_mm[:3, 2::-1] / np.array(spacing)
    image.SetDirection(direction.ravel().tolist())
    return image


def _matrix(transform: sitk.Euler3DTransform) -> FloatArray:
    """4×4 of an Euler transform about a centre."""
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - rotation @ centre
    return matrix


def _smoothed(series: EchoSeries) -> tuple[Array, Grid]:
    """First echo blurred by a voxel: so that the blur of interpolation does not count against a motion."""
    blurred: Array = ndimage.gaussian_filter(series.signal[0], 1.0)
    return blurred, series.grid


def _similarity(
    reference: tuple[Array, Grid],
    moving: tuple[Array, Grid],
    box: tuple[slice, slice, slice],
    matrix: FloatArray,
) -> float | None:
    """Pearson correlation of two images at every other row and column of the box; None without overlap."""
    fixed, grid = reference
    where = np.zeros(grid.shape, dtype=bool)
    where[box[0], box[1].start : box[1].stop : 2, box[2].start : box[2].stop : 2] = True
    moved = sampler(source=moving[1], target=grid, target_to_source_lps_mm=matrix, where=where).sample(moving[0])
    valid = np.isfinite(moved)
    if int(valid.sum()) < _MINIMUM_VOXELS:
        return None
    first, second = fixed[valid].astype(np.float64), moved[valid].astype(np.float64)
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
