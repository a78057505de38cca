"""The anatomy that structures were drawn on, and the reference: registered also where their frames differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from config.settings import RegistrationSettings
from quantify.findings import Registration, RegistrationStatus
from quantify.model import Array, EchoSeries, FloatArray, Grid
from quantify.registration_gates import MINIMUM_VOXELS, check_region, failed, joined, judge
from quantify.rigid_search import centre_of, dilated, mutual_information, search

_REACH_MM = 100.0
"""How far beyond the overlap of the bodies a transform is looked for where the frames of reference differ."""
_BODY_SHARE = 0.2
"""Tissue is what has more than this share of the image's 95th percentile."""
_RIM_MM = 8.0
_BINS = 32
_LEAST_GAIN = 0.02
"""Share of mutual information that a motion must gain where the frames coincide: half a millimetre gains as much."""


def register_anatomy(
    *,
    anatomy: EchoSeries,
    reference: EchoSeries,
    settings: RegistrationSettings,
    region: NDArray[np.bool_] | None = None,
) -> Registration:
    """Find the rigid transform that takes points of the reference to the same tissue in the anatomy, and judge it.

    Mattes mutual information of the first echoes from many starts (`quantify.rigid_search`): around where the series
    lies if both have one frame of reference, else around the position at which the bodies' centres coincide. The
    similarity is the correlation ratio √η² (Roche 1998): 1 where the reference's signal determines the anatomy's,
    whatever the contrasts; for a linear relation it is the size of the correlation.

    Parameters
    ----------
    anatomy
        One or more echoes; the first is compared, e.g. T1-weighted.
    reference
        The reference series, on whose grid the region is.
    settings
        Gates; those of motion hold only inside one frame of reference.
    region
        Boolean on the reference grid: what must match; all tissue when None.

    Returns
    -------
    Registration
        ``failed`` with its sentence where no transform makes the images match: never replaced by the identity.
        ``not_needed`` where, in one frame of reference, no motion makes them match better. Invert the matrix to take
        contours from the anatomy to the reference (`move_contours`).

    Raises
    ------
    ValueError
        If the region is not on the reference grid.
    """
    tissue = _tissue(reference)
    where = tissue if region is None else region
    check_region(where, reference.grid)
    if int(where.sum()) < MINIMUM_VOXELS:
        return failed("the region to register holds too few voxels of the reference; check the liver contour.")
    other = _tissue(anatomy)
    if not tissue.any() or not other.any():
        return failed("the anatomy or the reference holds no signal; check that the series is complete.")
    frames = anatomy.grid.frame_of_reference_uid, reference.grid.frame_of_reference_uid
    same = frames[0] == frames[1]
    start = np.zeros(3) if same else centre_of(other, anatomy.grid) - centre_of(tissue, reference.grid)
    as_it_lies = np.eye(4)
    as_it_lies[:3, 3] = start
    centre = centre_of(where, reference.grid)
    found = search(
        reference=reference,
        moving=anatomy,
        region=where,
        centre_mm=centre,
        reach_mm=settings.maximum_translation_mm if same else _REACH_MM,
        start_mm=start,
        also=(as_it_lies,),
    )
    if not found:
        return failed("the anatomy does not overlap the reference anywhere; register them by hand.")
    rim = dilated(where, reference.grid, _RIM_MM)
    after = mutual_information(reference, anatomy, rim, found[0])
    before = mutual_information(reference, anatomy, rim, np.eye(4)) if same else None
    if after is not None and before is not None and after < (1.0 + _LEAST_GAIN) * before:
        lying = judge(np.eye(4), centre, _correlation_ratio(reference, anatomy, rim, np.eye(4)), settings)
        if lying.status == RegistrationStatus.OK:
            return replace(
                lying,
                status=RegistrationStatus.NOT_NEEDED,
                message="the anatomy already lies on the reference: no motion makes it match better",
            )
    similarity = _correlation_ratio(reference, anatomy, rim, found[0])
    judged = judge(found[0], centre, similarity, settings, gate_motion=same)
    if same or judged.status == RegistrationStatus.FAILED:
        return judged
    return replace(judged, message=joined("the anatomy lies in another frame of reference.", judged.message))


def move_contours(contours: Sequence[FloatArray], matrix_lps_mm: FloatArray) -> tuple[FloatArray, ...]:
    """Move contours, each (n, 3) LPS mm, by a 4×4: x' = M · x.

    To bring contours of the anatomy to the reference, give the inverse of `register_anatomy`'s matrix.

    Raises
    ------
    ValueError
        If the matrix is not a finite, affine 4×4, or a contour is not (n, 3).
    """
    matrix = np.asarray(matrix_lps_mm, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or np.abs(matrix[3] - [0, 0, 0, 1]).max() > 1e-9:
        raise ValueError(
            f"matrix_lps_mm has shape {matrix.shape} or is not an affine transform; expected a finite 4×4 matrix "
            "with the last row 0, 0, 0, 1."
        )
    moved = []
    for number, contour in enumerate(contours, 1):
        points = np.asarray(contour, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"Contour {number} has shape {points.shape}; expected (n, 3), LPS mm.")
        moved.append(points @ matrix[:3, :3].T + matrix[:3, 3])
    return tuple(moved)


def _tissue(series: EchoSeries) -> NDArray[np.bool_]:
    signal = np.nan_to_num(series.signal[0])
    return np.asarray(signal > max(_BODY_SHARE * float(np.percentile(signal, 95)), 0.0))


def _correlation_ratio(
    reference: EchoSeries, anatomy: EchoSeries, where: NDArray[np.bool_], matrix: FloatArray
) -> float | None:
    """√η² of the anatomy given the reference, both blurred by a voxel, at every other row and column of `where`."""
    chosen = np.zeros_like(where)
    chosen[:, ::2, ::2] = where[:, ::2, ::2]
    given = _blurred(reference)[chosen].astype(np.float64)
    other = _read(_blurred(anatomy), anatomy.grid, reference.grid, chosen, matrix)
    valid = np.isfinite(other) & np.isfinite(given)
    if 2 * int(valid.sum()) < len(given) or int(valid.sum()) < MINIMUM_VOXELS:
        return None
    given, other = given[valid], other[valid]
    if given.std() == 0 or other.std() == 0:
        return None
    # Bins of equal count: each holds enough voxels for a mean.
    edges = np.unique(np.quantile(given, np.linspace(0.0, 1.0, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, given, side="right")
    count = np.bincount(bins)
    mean = np.bincount(bins, other) / np.maximum(count, 1)
    explained = float((count * (mean - other.mean()) ** 2).sum() / len(other))
    return float(np.sqrt(explained / other.var()))


def _blurred(series: EchoSeries) -> Array:
    blurred: Array = ndimage.gaussian_filter(series.signal[0], 1.0)
    return blurred


def _read(values: Array, grid: Grid, target: Grid, chosen: NDArray[np.bool_], matrix: FloatArray) -> FloatArray:
    to_index = grid.index_from_lps @ matrix @ target.affine_lps_mm
    at = to_index[:3, :3] @ np.argwhere(chosen).T + to_index[:3, 3:]
    read = ndimage.map_coordinates(values, at, order=1, mode="constant", cval=np.nan, prefilter=False)
    return np.asarray(read, dtype=np.float64)
