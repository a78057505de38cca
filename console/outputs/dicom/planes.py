"""Which of the reference series' images shows which slice of the grid, so that contours can refer to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from console.outputs.dicom.header import reference_to
from console.outputs.exported import Exported
from quantify.model import Grid

_NOT_MAGNITUDE = frozenset({"P", "R", "I", "PHASE", "REAL", "IMAGINARY", "PHASE MAP"})
_OFF_PLANE_MM = 0.2


@dataclass(frozen=True, kw_only=True)
class ReferencePlane:
    """The image of one slice: the magnitude of the first echo. ``frame`` counts from 1; None for a classic image."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    frame: int | None

    def item(self) -> Dataset:
        """An item of a Contour Image Sequence."""
        item = reference_to(self.sop_class_uid, self.sop_instance_uid)
        if self.frame is not None:
            item.ReferencedFrameNumber = self.frame
        return item


def reference_planes(exported: Exported, grid: Grid) -> tuple[ReferencePlane | None, ...]:
    """The image of every slice of the reference grid; None where the series has none there."""
    found: dict[int, tuple[tuple[bool, float], ReferencePlane]] = {}
    for image in exported.reference_images:
        for frame, position_mm, echo_time_ms, kind in _frames(image):
            index = grid.index_from_lps @ np.array([*position_mm, 1.0])
            at = round(float(index[0]))
            if not 0 <= at < grid.shape[0] or abs(index[0] - at) * grid.spacing_mm[0] > _OFF_PLANE_MM:
                continue
            rank = (bool(_NOT_MAGNITUDE.intersection(kind)), echo_time_ms)
            if at not in found or rank < found[at][0]:
                plane = ReferencePlane(
                    sop_class_uid=str(image.SOPClassUID),
                    sop_instance_uid=str(image.SOPInstanceUID),
                    series_instance_uid=str(image.SeriesInstanceUID),
                    frame=frame,
                )
                found[at] = rank, plane
    return tuple(found[at][1] if at in found else None for at in range(grid.shape[0]))


def _frames(image: Dataset) -> Iterator[tuple[int | None, tuple[float, ...], float, tuple[str, ...]]]:
    """Frame number, position, echo time (ms; 0 where none is stated) and image type of every frame of an instance."""
    groups = image.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        if image.get("ImagePositionPatient"):
            yield None, *_described(image.ImagePositionPatient, image.get("EchoTime"), image.get("ImageType"))
        return
    shared = (image.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for number, own in enumerate(groups, start=1):
        position = _of_frame(own, shared, "PlanePositionSequence", "ImagePositionPatient")
        if position:
            echo_time = _of_frame(own, shared, "MREchoSequence", "EffectiveEchoTime")
            kind = _of_frame(own, shared, "MRImageFrameTypeSequence", "FrameType") or image.get("ImageType")
            yield number, *_described(position, echo_time, kind)


def _of_frame(own: Dataset, shared: Dataset, sequence: str, keyword: str) -> Any:  # noqa: ANN401 - pydicom's own
    """A value of a frame: from its own functional group, else from the shared one."""
    return next((group.get(sequence)[0].get(keyword) for group in (own, shared) if group.get(sequence)), None)


def _described(
    position_mm: Iterable[object], echo_time_ms: object, kind: Iterable[object] | None
) -> tuple[tuple[float, ...], float, tuple[str, ...]]:
    return tuple(float(str(v)) for v in position_mm), float(str(echo_time_ms or 0.0)), tuple(map(str, kind or ()))
