"""The gates of a registration: similarity, motion and the distance between the liver's edges, told in sentences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from config.settings import RegistrationSettings
from quantify.findings import Registration, RegistrationStatus
from quantify.liver_edge import EdgeDistance, liver_edge_distance
from quantify.model import Array, EchoSeries, FloatArray, Grid
from quantify.resampling import sampler
from quantify.rigid_search import rotation_deg

MINIMUM_VOXELS = 200


def judge(
    matrix: FloatArray,
    centre: FloatArray,
    similarity: float | None,
    settings: RegistrationSettings,
    *,
    gate_motion: bool = True,
) -> Registration:
    """Hold a transform against the gates of similarity and, where frames of reference coincide, of motion."""
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
    elif gate_motion and length > settings.maximum_translation_mm:
        status = RegistrationStatus.FAILED
        message = f"translation {length:.0f} mm is beyond the limit of {settings.maximum_translation_mm:.0f} mm."
    elif gate_motion and angle > settings.maximum_rotation_deg:
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


def with_edges(
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


def judged_by_edges(registration: Registration, edges: EdgeDistance, settings: RegistrationSettings) -> Registration:
    """The registration with the distance between edges, marked or failed where that is too large.

    It is marked, too, where the edges agree on a translation longer than the limit of the median: a surface hardly
    moves along its normal where it runs along the motion, so the median alone would not see 4 mm from side to side.
    """
    measured = replace(registration, edge_median_mm=edges.median_mm, edge_95_mm=edges.percentile_95_mm)
    if registration.status == RegistrationStatus.FAILED:
        return measured
    distances = (
        f"the liver's edge lies {edges.median_mm:.1f} mm (median) and {edges.percentile_95_mm:.1f} mm "
        "(95th percentile) from that of the reference"
    )
    limits = f"the limits are {settings.edge_median_mm:g} and {settings.edge_95_mm:g} mm"
    if edges.median_mm > 2 * settings.edge_median_mm:
        message = f"{distances}, more than twice the limit of {settings.edge_median_mm:g} mm."
        return replace(measured, status=RegistrationStatus.FAILED, message=joined(message, registration.message))
    if edges.median_mm > settings.edge_median_mm or edges.percentile_95_mm > settings.edge_95_mm:
        message = f"{distances}; {limits}: look at the overlay."
        return replace(measured, status=RegistrationStatus.WARNING, message=joined(registration.message, message))
    length = float(np.linalg.norm(edges.shift_mm))
    if length > settings.edge_median_mm:
        message = f"the liver's edge still lies {length:.1f} mm off as a whole: look at the overlay."
        return replace(measured, status=RegistrationStatus.WARNING, message=joined(registration.message, message))
    return measured


def joined(first: str, second: str) -> str:
    """Two sentences, either of which may be empty."""
    return f"{first} {second}".strip()


def _triple(values: FloatArray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def failed(message: str) -> Registration:
    """A registration that has failed for the reason that the sentence gives."""
    return Registration(status=RegistrationStatus.FAILED, message=message)


def check_region(region: NDArray[np.bool_], grid: Grid) -> None:
    """Raise a ValueError unless the region is on the grid."""
    if region.shape != grid.shape:
        raise ValueError(f"region has shape {region.shape}; expected that of the reference, {grid.shape}.")


def smoothed(series: EchoSeries) -> tuple[Array, Grid]:
    """First echo blurred by a voxel: so that the blur of interpolation does not count against a motion."""
    blurred: Array = ndimage.gaussian_filter(series.signal[0], 1.0)
    return blurred, series.grid


def similarity_in(
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
    if int(valid.sum()) < MINIMUM_VOXELS:
        return None
    first, second = fixed[valid].astype(np.float64), moved[valid].astype(np.float64)
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
