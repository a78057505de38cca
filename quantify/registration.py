"""Registration of a fraction's series to the reference, and the judgement of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the library's own short name
from numpy.typing import NDArray
from scipy import ndimage

from config.settings import RegistrationSettings
from quantify.deformation import deformation
from quantify.findings import Registration, RegistrationStatus
from quantify.liver_edge import EdgeDistance, liver_edge_distance
from quantify.model import Array, EchoSeries, FloatArray, Grid
from quantify.resampling import sampler
from quantify.rigid_search import (
    bounding_box,
    centre_of,
    cropped,
    descend,
    dilated,
    itk_image,
    matrix_of,
    mutual_information,
    rotation_deg,
    search,
)
from quantify.signal_at_zero import signal_at_zero

_MINIMUM_VOXELS = 200
_LEAST_GAIN = 2e-4
"""Similarity that a motion must gain: noise alone changes it by less than 1e-4, half a millimetre by 2e-4 and more."""
_ECHOES = 3
_RIM_MM = 8.0
"""Two transforms are compared in the region and so far beyond it: its edge, not the spine or the ribs."""
_RIGID_TOLERANCE = 1e-3
"""A given matrix may deviate from a rotation by what decimals round."""


def register(
    *,
    reference: EchoSeries,
    moving: EchoSeries,
    region: NDArray[np.bool_],
    settings: RegistrationSettings,
) -> Registration:
    """Find the transform that takes reference points to the same tissue in `moving`, and judge it.

    The first echoes are compared (holmium has darkened them least) by Mattes mutual information, in the region's box
    plus a margin, at half the in-plane resolution: 0.7 mm mean target error on known shifts. The similarity reported
    is the correlation of the first echoes in that box after the registration. Where what is found does not pass the
    gates, starts from everywhere follow (`quantify.rigid_search`), which capture 30 mm, 10° and a liver that moved by
    itself; the transform with the higher mutual information in the region is kept. If the settings ask for it, a
    deformation of the liver follows (`quantify.deformation`).

    Parameters
    ----------
    reference, moving
        Series whose frames of reference coincide up to the patient's motion.
    region
        Boolean on the reference grid: what must match, normally the liver.
    settings
        Margin, gates, and whether to deform.

    Returns
    -------
    Registration
        ``failed``, with the sentence that says why, when it did not converge inside the gates of similarity, motion
        and distance between the liver's edges: it is never replaced by the identity. ``not_needed`` when `moving` is
        the reference itself, or matches it as well where it lies as after any motion found. Translation is that of
        the region's centre.

    Raises
    ------
    ValueError
        If the region is not on the reference grid.
    """
    _check_region(region, reference.grid)
    if moving is reference:
        return Registration(status=RegistrationStatus.NOT_NEEDED, similarity=1.0)
    if int(region.sum()) < _MINIMUM_VOXELS:
        return _failed("the region to register holds too few voxels of the reference; check the liver contour.")
    found = _with_edges(_from_nearby(reference, moving, region, settings), reference, moving, region, settings)
    if not _is_settled(found, settings):
        found = _from_everywhere(found, reference, moving, region, settings)
    if settings.deformable == "off" or found.status == RegistrationStatus.FAILED:
        return found
    return _deformed(found, reference, moving, region, settings)


def given_registration(
    matrix_lps_mm: FloatArray,
    *,
    reference: EchoSeries,
    moving: EchoSeries,
    region: NDArray[np.bool_],
    settings: RegistrationSettings,
    by: str,
) -> Registration:
    """Judge a rigid transform that somebody gives, without refusing it.

    Parameters
    ----------
    matrix_lps_mm
        4×4 that takes reference points to the same tissue in `moving`, LPS mm.
    reference, moving, region, settings
        As of `register`.
    by
        Who gives it.

    Returns
    -------
    Registration
        ``ok``, or ``warning`` with the sentences for which a registration found would be marked or refused.

    Raises
    ------
    ValueError
        If the matrix is no rigid transform, the region is empty or not on the reference grid, or `by` is empty.
    """
    matrix = _rigid(matrix_lps_mm)
    _check_region(region, reference.grid)
    if not region.any():
        raise ValueError("given_registration: the region is empty; expected the liver on the reference grid.")
    if not by.strip():
        raise ValueError("given_registration: by is empty; expected the name of the person who gives the transform.")
    box = bounding_box(region, reference.grid, settings.margin_mm)
    similarity = _similarity(_smoothed(reference), _smoothed(moving), box, matrix)
    judged = _judge(matrix, centre_of(region, reference.grid), similarity, settings)
    judged = _with_edges(judged, reference, moving, region, settings)
    if judged.status == RegistrationStatus.FAILED:
        judged = replace(
            judged, status=RegistrationStatus.WARNING, message=f"given by {by}, accepted although {judged.message}"
        )
    elif judged.message:
        judged = replace(judged, message=f"given by {by}; {judged.message}")
    return replace(judged, given_by=by)


def _from_nearby(
    reference: EchoSeries, moving: EchoSeries, region: NDArray[np.bool_], settings: RegistrationSettings
) -> Registration:
    """One descent from where the series lies."""
    box = bounding_box(region, reference.grid, settings.margin_mm)
    fixed_image = itk_image(reference.signal[0][box], cropped(reference.grid, box))
    moving_image = itk_image(moving.signal[0], moving.grid)
    centre = centre_of(region, reference.grid)
    initial = sitk.Euler3DTransform()
    initial.SetCenter(centre.tolist())
    try:
        transform = descend(fixed_image, moving_image, initial)
    except RuntimeError as error:  # ITK's: no overlap, all samples outside
        reason = str(error).strip().splitlines()[-1].split("):")[-1].strip()
        return _failed(f"the optimisation stopped: {reason}")
    matrix = matrix_of(transform)
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
    return _judge(matrix, centre, similarity, settings)


def _from_everywhere(
    nearby: Registration,
    reference: EchoSeries,
    moving: EchoSeries,
    region: NDArray[np.bool_],
    settings: RegistrationSettings,
) -> Registration:
    """The best of many starts if it matches better than what was found nearby; else that.

    What is compared here is the signal at the echo time 0, which holmium leaves alone.
    """
    centre = centre_of(region, reference.grid)
    first, second = _at_zero(reference), _at_zero(moving)
    found = search(
        reference=first,
        moving=second,
        region=region,
        centre_mm=centre,
        reach_mm=settings.maximum_translation_mm,
    )
    if not found:
        return nearby
    rim = dilated(region, reference.grid, _RIM_MM)
    matrix = np.array(nearby.reference_to_series_lps_mm)
    before = mutual_information(first, second, rim, matrix)
    after = mutual_information(first, second, rim, found[0])
    if after is None or (before is not None and after <= before):
        return nearby
    box = bounding_box(region, reference.grid, settings.margin_mm)
    similarity = _similarity(_smoothed(reference), _smoothed(moving), box, found[0])
    return _with_edges(_judge(found[0], centre, similarity, settings), reference, moving, region, settings)


def _deformed(
    rigid: Registration,
    reference: EchoSeries,
    moving: EchoSeries,
    region: NDArray[np.bool_],
    settings: RegistrationSettings,
) -> Registration:
    """The registration with the liver's change of shape, its edges measured and judged again."""
    matrix = np.array(rigid.reference_to_series_lps_mm)
    displacement = deformation(reference=reference, moving=moving, region=region, matrix_lps_mm=matrix)
    if displacement is None:
        return replace(rigid, message=_joined(rigid.message, "no deformation was found that could be trusted."))
    if not displacement.any():
        return rigid
    box = bounding_box(region, reference.grid, settings.margin_mm)
    similarity = _similarity(_smoothed(reference), _smoothed(moving), box, matrix, displacement)
    judged = _judge(matrix, centre_of(region, reference.grid), similarity, settings)
    judged = replace(judged, displacement_mm=displacement)
    return _with_edges(judged, reference, moving, region, settings)


def _is_settled(found: Registration, settings: RegistrationSettings) -> bool:
    """Whether a registration needs no second attempt: it passes, or only its similarity warns while edges agree."""
    if found.status in (RegistrationStatus.OK, RegistrationStatus.NOT_NEEDED):
        return True
    return (
        found.status == RegistrationStatus.WARNING
        and found.edge_median_mm is not None
        and found.edge_95_mm is not None
        and found.edge_median_mm <= settings.edge_median_mm
        and found.edge_95_mm <= settings.edge_95_mm
    )


def _judge(
    matrix: FloatArray, centre: FloatArray, similarity: float | None, settings: RegistrationSettings
) -> Registration:
    """Hold a transform against the gates of similarity and motion."""
    translation = (matrix @ np.append(centre, 1.0))[:3] - centre
    rotation = rotation_deg(matrix)
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


def _with_edges(
    registration: Registration,
    reference: EchoSeries,
    moving: EchoSeries,
    region: NDArray[np.bool_],
    settings: RegistrationSettings,
) -> Registration:
    """Measure the distance between the liver's edges, and hold it against its gates."""
    edges = liver_edge_distance(
        reference=reference,
        moving=moving,
        region=region,
        reference_to_series_lps_mm=registration.reference_to_series_lps_mm,
        displacement_mm=registration.displacement_mm,
    )
    return registration if edges is None else judged_by_edges(registration, edges, settings)


def judged_by_edges(
    registration: Registration, edges: EdgeDistance, settings: RegistrationSettings
) -> Registration:
    """The registration with the distance between edges, marked or failed where that is too large.

    It is marked, too, where the edges agree on a translation longer than the limit of the median: a surface hardly
    moves along its normal where it runs along the motion, so the median alone would not see 4 mm from side to side.
    """
    measured = replace(registration, edge_median_mm=edges.median_mm, edge_95_mm=edges.percentile_95_mm)
    if registration.status == RegistrationStatus.FAILED:
        return measured
    distances = (
        f"the liver's edge lies {edges.median_mm:.1f} mm (median) and {edges.percentile_95_mm:.1f} mm (95th percentile) "
        "from that of the reference"
    )
    limits = f"the limits are {settings.edge_median_mm:g} and {settings.edge_95_mm:g} mm"
    if edges.median_mm > 2 * settings.edge_median_mm:
        message = f"{distances}, more than twice the limit of {settings.edge_median_mm:g} mm."
        return replace(measured, status=RegistrationStatus.FAILED, message=_joined(message, registration.message))
    if edges.median_mm > settings.edge_median_mm or edges.percentile_95_mm > settings.edge_95_mm:
        message = f"{distances}; {limits}: look at the overlay."
        return replace(measured, status=RegistrationStatus.WARNING, message=_joined(registration.message, message))
    length = float(np.linalg.norm(edges.shift_mm))
    if length > settings.edge_median_mm:
        message = f"the liver's edge still lies {length:.1f} mm off as a whole: look at the overlay."
        return replace(measured, status=RegistrationStatus.WARNING, message=_joined(registration.message, message))
    return measured


def _at_zero(series: EchoSeries) -> EchoSeries:
    """The series with its signal at the echo time 0 as the only echo, from the first three."""
    values = signal_at_zero(series.signal[:_ECHOES], series.echo_times_s[:_ECHOES])
    return replace(series, signal=values[None], echo_times_s=(0.0,))


def _joined(first: str, second: str) -> str:
    return f"{first} {second}".strip()


def _triple(values: FloatArray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _failed(message: str) -> Registration:
    return Registration(status=RegistrationStatus.FAILED, message=message)


def _check_region(region: NDArray[np.bool_], grid: Grid) -> None:
    if region.shape != grid.shape:
        raise ValueError(f"region has shape {region.shape}; expected that of the reference, {grid.shape}.")


def _rigid(matrix_lps_mm: FloatArray) -> FloatArray:
    """The matrix if it is rigid, its rotation freed of what decimals rounded."""
    matrix = np.array(matrix_lps_mm, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError(f"matrix_lps_mm has shape {matrix.shape} or is not finite; expected a finite 4×4 matrix.")
    if np.abs(matrix[3] - [0.0, 0.0, 0.0, 1.0]).max() > 1e-9:
        raise ValueError(f"matrix_lps_mm ends with the row {matrix[3].tolist()}; expected 0, 0, 0, 1.")
    rotation = matrix[:3, :3]
    away = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if away > _RIGID_TOLERANCE or np.linalg.det(rotation) < 0:
        raise ValueError(
            f"matrix_lps_mm is not rigid: it scales, shears or mirrors (by {away:.3g}, determinant "
            f"{np.linalg.det(rotation):.3g}); expected a rotation and a translation in mm."
        )
    left, _, right = np.linalg.svd(rotation)
    matrix[:3, :3] = left @ right
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
    displacement_mm: Array | None = None,
) -> float | None:
    """Pearson correlation of two images at every other row and column of the box; None without overlap."""
    fixed, grid = reference
    where = np.zeros(grid.shape, dtype=bool)
    where[box[0], box[1].start : box[1].stop : 2, box[2].start : box[2].stop : 2] = True
    moved = sampler(
        source=moving[1], target=grid, target_to_source_lps_mm=matrix, where=where, displacement_mm=displacement_mm
    ).sample(moving[0])
    valid = np.isfinite(moved)
    if int(valid.sum()) < _MINIMUM_VOXELS:
        return None
    first, second = fixed[valid].astype(np.float64), moved[valid].astype(np.float64)
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
