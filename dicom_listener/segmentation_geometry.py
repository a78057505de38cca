"""Where the frames of a segmentation lie: one grid of evenly spaced parallel planes, on which frames may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_listener.decode_classic import integer, number, numbers_of, spacing_of
from dicom_listener.identity import text_of
from dicom_listener.pixels import PixelError

_DIRECTION_TOLERANCE = 1e-3
"""Of a direction's components: 0.4 mm over a field of view of 400 mm."""
_SAME_PLANE_MM = 0.01
"""Positions closer than this are one plane: what decimals round."""
_EVEN = 0.05
"""How far a plane may lie from its place, as a share of the spacing."""
_IN_PLANE = 0.1
"""How far a frame may be shifted within its plane, as a share of a pixel."""
_MOST_SLICES = 10_000
_FARTHEST_MM = 1e5
"""No scanner's coordinates reach 100 m; squares of what is written there may not overflow."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentationGrid:
    """The grid that frames lie on: ``slices`` is the slice index of every frame, in the order of the frames.

    ``affine_lps_mm`` maps (slice, row, column, 1) to the voxel's centre, LPS mm.
    """

    rows: int
    columns: int
    n_slices: int
    slices: tuple[int, ...]
    affine_lps_mm: NDArray[np.float64]
    remark: str


def segmentation_grid(dataset: Dataset) -> SegmentationGrid:
    """Read the grid of a segmentation.

    Slices are ordered by position. Their distance is SpacingBetweenSlices where the positions agree with it, since
    empty frames may have been left out; else the smallest distance of two planes, if all are multiples of it. Where
    only one plane is stated the slice is as thick as SpacingBetweenSlices or SliceThickness says.

    Raises
    ------
    PixelError
        If the geometry is missing, tiled, not parallel, unevenly spaced or shifted within the planes.
    """
    rows, columns = integer(dataset.get("Rows")) or 0, integer(dataset.get("Columns")) or 0
    n_frames = integer(dataset.get("NumberOfFrames")) or 0
    if min(rows, columns, n_frames) < 1:
        raise PixelError(f"it is declared as {n_frames} frames of {rows} × {columns}; there is nothing in it.")
    described = len(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if described != n_frames:
        raise PixelError(
            f"it declares {n_frames} frames but describes {described} in its functional groups; which frame is which "
            "cannot be told."
        )
    if text_of(dataset, "DimensionOrganizationType").startswith("TILED") or "TotalPixelMatrixColumns" in dataset:
        raise PixelError("it is TILED, as of a microscope's slide; its frames are no slices of the patient.")
    groups = partial(frame_group, dataset)
    directions = _same_in_all(
        [_numbers(groups(n, "PlaneOrientationSequence"), "ImageOrientationPatient", 6) for n in range(n_frames)],
        _DIRECTION_TOLERANCE,
        "its frames are not parallel (ImageOrientationPatient differs)",
    )
    along_row, along_column = directions[:3], directions[3:]
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    if np.abs(np.array([*lengths, 1.0 + along_row @ along_column]) - 1.0).max() > 10 * _DIRECTION_TOLERANCE:
        raise PixelError("its ImageOrientationPatient is not two perpendicular directions of length 1.")
    measures = [groups(n, "PixelMeasuresSequence") for n in range(n_frames)]
    between_rows, between_columns = _same_in_all(
        [np.array(spacing_of(m.get("PixelSpacing") if m is not None else None)) for m in measures],
        1e-3,
        "its frames differ in PixelSpacing",
    )
    positions = np.array(
        [_numbers(groups(n, "PlanePositionSequence"), "ImagePositionPatient", 3) for n in range(n_frames)]
    )
    if np.abs(positions).max() > _FARTHEST_MM:
        raise PixelError(f"its ImagePositionPatient reaches {np.abs(positions).max():g} mm; the header is wrong.")
    normal = np.cross(along_row, along_column)
    heights = positions @ (normal / np.linalg.norm(normal))
    spacing, remark = _spacing(heights, measures[0])
    slices = np.rint((heights - heights.min()) / spacing)
    if np.abs((heights - heights.min()) / spacing - slices).max() > _EVEN:
        raise PixelError("its planes are not evenly spaced.")
    if slices.max() >= _MOST_SLICES:
        raise PixelError(f"its planes reach over {slices.max() + 1:.0f} slices of {spacing:g} mm; the header is wrong.")
    first, last = int(slices.argmin()), int(slices.argmax())
    n_slices = int(slices[last]) + 1
    # A tilted gantry shears the volume: the step from slice to slice need not be along the normal.
    step = (positions[last] - positions[first]) / (n_slices - 1) if n_slices > 1 else spacing * normal
    astray = positions - (positions[first] + slices[:, None] * step)
    if np.abs(astray @ np.stack([along_row, along_column]).T).max() > _IN_PLANE * min(between_rows, between_columns):
        raise PixelError("its frames are shifted within their planes against each other; they are no one volume.")
    affine = np.eye(4)
    affine[:3] = np.column_stack([step, along_column * between_rows, along_row * between_columns, positions[first]])
    return SegmentationGrid(
        rows=rows,
        columns=columns,
        n_slices=n_slices,
        slices=tuple(int(index) for index in slices),
        affine_lps_mm=affine,
        remark=remark,
    )


def frame_group(dataset: Dataset, index: int, keyword: str) -> Dataset | None:
    """Return a functional group of frame `index`, else the one that all frames share, else None."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or ()
    for groups in (dataset.PerFrameFunctionalGroupsSequence[index], *shared[:1]):
        item = groups.get(keyword)
        if item:
            first: Dataset = item[0]
            return first
    return None


def _numbers(group: Dataset | None, keyword: str, count: int) -> NDArray[np.float64]:
    return np.array(numbers_of(group.get(keyword) if group is not None else None, count, keyword))


def _same_in_all(values: list[NDArray[np.float64]], tolerance: float, otherwise: str) -> NDArray[np.float64]:
    every = np.array(values)
    if np.abs(every - every[0]).max() > tolerance:
        raise PixelError(f"{otherwise}.")
    first: NDArray[np.float64] = every[0]
    return first


def _spacing(heights: NDArray[np.float64], measures: Dataset | None) -> tuple[float, str]:
    """Return the distance of neighbouring slices, mm, and a remark where what is stated was not followed."""
    measures = measures if measures is not None else Dataset()
    stated = number(measures.get("SpacingBetweenSlices"))
    stated = abs(stated) if stated else None
    ordered = np.sort(heights)
    gaps = np.diff(ordered)
    gaps = gaps[gaps > _SAME_PLANE_MM]
    if gaps.size == 0:
        thickness = stated or number(measures.get("SliceThickness")) or 0.0
        if thickness <= 0:
            raise PixelError("it shows one plane and states neither SpacingBetweenSlices nor SliceThickness.")
        return thickness, ""
    least = float(gaps.min())
    equal = bool(np.ptp(gaps) <= _EVEN * least)
    # All planes equally far apart, and none at the stated distance: that is a wrong statement, not empty frames.
    if stated is not None and not (equal and gaps.size > 1 and least > 1.5 * stated) and _fits(gaps, stated):
        return _refined(gaps, stated), ""
    if stated is None and _fits(gaps, least):
        return _refined(gaps, least), ""
    if not equal:
        raise PixelError(
            f"its planes are not evenly spaced: neighbours lie {least:.3g} to {gaps.max():.3g} mm apart"
            + (f", SpacingBetweenSlices is {stated:.3g} mm." if stated is not None else ".")
        )
    found = _refined(gaps, least)
    return found, (
        f"SpacingBetweenSlices of the segmentation is {stated:g} mm, but its planes lie {found:g} mm apart; their "
        "positions were followed."
    )


def _fits(gaps: NDArray[np.float64], spacing: float) -> bool:
    multiples = gaps / spacing
    return bool(multiples.min() > 0.5 and np.abs(multiples - np.rint(multiples)).max() <= _EVEN)


def _refined(gaps: NDArray[np.float64], spacing: float) -> float:
    """Return the mean distance that the gaps, as multiples of about `spacing`, agree on."""
    return float(gaps.sum() / max(1.0, np.rint(gaps / spacing).sum()))
