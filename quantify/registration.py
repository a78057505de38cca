"""Registration of a fraction's series to the reference, and the judgement of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the library's own short name
from numpy.typing import NDArray

from config.settings import RegistrationSettings
from quantify.deformation import deformation
from quantify.findings import Registration, RegistrationStatus
from quantify.model import EchoSeries, FloatArray
from quantify.registration_gates import (
    MINIMUM_VOXELS,
    check_region,
    failed,
    joined,
    judge,
    similarity_in,
    smoothed,
    with_edges,
)
from quantify.rigid_search import (
    bounding_box,
    centre_of,
    cropped,
    descend,
    dilated,
    itk_image,
    matrix_of,
    mutual_information,
    search,
)
from quantify.signal_at_zero import signal_at_zero

_LEAST_GAIN = 2e-4
"""Similarity that a motion must gain: noise alone changes it by less than 1e-4, half a millimetre by 2e-4 and more."""
_SETTLED_MEDIAN, _SETTLED_95 = 0.5, 0.6
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
    check_region(region, reference.grid)
    if moving is reference:
        return Registration(status=RegistrationStatus.NOT_NEEDED, similarity=1.0)
    if int(region.sum()) < MINIMUM_VOXELS:
        return failed("the region to register holds too few voxels of the reference; check the liver contour.")
    found = with_edges(_from_nearby(reference, moving, region, settings), reference, moving, region, settings)
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
    check_region(region, reference.grid)
    if not region.any():
        raise ValueError("given_registration: the region is empty; expected the liver on the reference grid.")
    if not by.strip():
        raise ValueError("given_registration: by is empty; expected the name of the person who gives the transform.")
    box = bounding_box(region, reference.grid, settings.margin_mm)
    similarity = similarity_in(smoothed(reference), smoothed(moving), box, matrix)
    judged = judge(matrix, centre_of(region, reference.grid), similarity, settings)
    judged = with_edges(judged, reference, moving, region, settings)
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
        return failed(f"the optimisation stopped: {reason}")
    matrix = matrix_of(transform)
    smooth = smoothed(reference), smoothed(moving)
    similarity = similarity_in(*smooth, box, matrix)
    as_it_lies = similarity_in(*smooth, box, np.eye(4))
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
    return judge(matrix, centre, similarity, settings)


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
    similarity = similarity_in(smoothed(reference), smoothed(moving), box, found[0])
    return with_edges(judge(found[0], centre, similarity, settings), reference, moving, region, settings)


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
        return replace(rigid, message=joined(rigid.message, "no deformation was found that could be trusted."))
    if not displacement.any():
        return rigid
    box = bounding_box(region, reference.grid, settings.margin_mm)
    similarity = similarity_in(smoothed(reference), smoothed(moving), box, matrix, displacement)
    judged = judge(matrix, centre_of(region, reference.grid), similarity, settings)
    judged = replace(judged, displacement_mm=displacement)
    return with_edges(judged, reference, moving, region, settings)


def _is_settled(found: Registration, settings: RegistrationSettings) -> bool:
    """Whether a registration needs no second attempt.

    Edges that can be measured must agree well inside their gates (correct registrations of the phantom: median below
    0.5 mm, 95th percentile below 2.4 mm); then a low similarity alone, which holmium lowers too, calls for no other.
    """
    if found.status == RegistrationStatus.FAILED:
        return False
    if found.edge_median_mm is None or found.edge_95_mm is None:
        return found.status != RegistrationStatus.WARNING
    return (
        found.edge_median_mm <= _SETTLED_MEDIAN * settings.edge_median_mm
        and found.edge_95_mm <= _SETTLED_95 * settings.edge_95_mm
    )


def _at_zero(series: EchoSeries) -> EchoSeries:
    """The series with its signal at the echo time 0 as the only echo, from the first three."""
    values = signal_at_zero(series.signal[:_ECHOES], series.echo_times_s[:_ECHOES])
    return replace(series, signal=values[None], echo_times_s=(0.0,), phase_rad=None)


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
