"""RT Structure Set to named closed contours in patient coordinates (PS3.3 A.19, C.8.8.5, C.8.8.6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_listener.identity import text_of
from dicom_listener.images import Contour, Structure, StructureSet

_CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
"""Geometric types that enclose an area; POINT, OPEN_PLANAR and OPEN_NONPLANAR do not."""
_CONTOUR_DATA = 0x30060050


def structure_set(dataset: Dataset) -> tuple[StructureSet, str]:
    """Read an RT Structure Set.

    Returns
    -------
    tuple
        The structure set, and a sentence on what was left out of it (empty where nothing was). Points and open
        contours are left out silently: they enclose nothing. Regions without a closed contour stay, empty.
    """
    contours = _contours_by_number(dataset)
    frames = _frames_of_reference(dataset)
    structures, foreign = [], []
    for item in dataset.get("StructureSetROISequence") or ():
        number = int(item.get("ROINumber") or 0)
        name = text_of(item, "ROIName")
        own = text_of(item, "ReferencedFrameOfReferenceUID")
        if own and frames and own != frames[0]:
            foreign.append(name)
            continue
        structures.append(Structure(name=name, number=number, contours=tuple(contours.get(number, ([], 0))[0])))
    unreadable = sum(count for _, count in contours.values())
    found = StructureSet(
        label=text_of(dataset, "StructureSetLabel"),
        sop_instance_uid=text_of(dataset, "SOPInstanceUID"),
        frame_of_reference_uid=frames[0] if frames else "",
        referenced_series_uids=_referenced_series(dataset),
        structures=tuple(structures),
    )
    remarks = []
    if foreign:
        remarks.append(f"Structures in another frame of reference were ignored: {', '.join(foreign)}.")
    if unreadable:
        remarks.append(f"{unreadable} contours were ignored: their ContourData is not a list of finite x\\y\\z points.")
    return found, " ".join(remarks)


def _contours_by_number(dataset: Dataset) -> dict[int, tuple[list[Contour], int]]:
    """Return closed contours and the count of unreadable ones, by ROI number."""
    found: dict[int, tuple[list[Contour], int]] = {}
    for region in dataset.get("ROIContourSequence") or ():
        number = int(region.get("ReferencedROINumber") or 0)
        contours, unreadable = found.get(number, ([], 0))
        for item in region.get("ContourSequence") or ():
            if text_of(item, "ContourGeometricType") not in _CLOSED:
                continue
            points = _points(item)
            if points is None:
                unreadable += 1
                continue
            images = item.get("ContourImageSequence") or ()
            reference = text_of(images[0], "ReferencedSOPInstanceUID") if images else ""
            contours.append(Contour(points_mm=points, referenced_sop_instance_uid=reference))
        found[number] = contours, unreadable
    return found


def _points(item: Dataset) -> NDArray[np.float64] | None:
    """(n, 3) LPS mm; None where the values are no list of finite points.

    The decimal strings are split as bytes: pydicom's number objects cost seconds for a liver.
    """
    element: Any = item.get_item(_CONTOUR_DATA)
    value = None if element is None else element.value
    try:
        if isinstance(value, bytes):
            numbers = np.array(value.strip(b" \0").split(b"\\"), dtype=np.float64)
        else:
            numbers = np.array([float(number) for number in value or ()], dtype=np.float64)
    except ValueError:
        return None
    if numbers.size == 0 or numbers.size % 3 or not np.isfinite(numbers).all():
        return None
    return numbers.reshape(-1, 3)


def _frames_of_reference(dataset: Dataset) -> tuple[str, ...]:
    """Frames of reference that the set states, the one it was drawn in first."""
    stated = [text_of(item, "FrameOfReferenceUID") for item in dataset.get("ReferencedFrameOfReferenceSequence") or ()]
    stated.append(text_of(dataset, "FrameOfReferenceUID"))
    stated += [text_of(item, "ReferencedFrameOfReferenceUID") for item in dataset.get("StructureSetROISequence") or ()]
    return tuple(dict.fromkeys(uid for uid in stated if uid))


def _referenced_series(dataset: Dataset) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            uid
            for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ()
            for study in frame.get("RTReferencedStudySequence") or ()
            for series in study.get("RTReferencedSeriesSequence") or ()
            if (uid := text_of(series, "SeriesInstanceUID"))
        )
    )
