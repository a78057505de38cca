"""RT Structure Set to named closed contours in patient coordinates (PS3.3 A.19, C.8.8.5, C.8.8.6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_listener.decode_classic import integer
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
        contours are left out silently: they enclose nothing. Regions without a closed contour stay, empty. Regions
        drawn in another frame of reference than most are unusable, by name.
    """
    regions = _regions_by_number(dataset)
    items = list(dataset.get("StructureSetROISequence") or ())
    frame = _frame_of_reference(dataset, items)
    structures, unusable, remarks = [], [], []
    for item in items:
        number = integer(item.get("ROINumber")) or 0
        name = text_of(item, "ROIName")
        own = text_of(item, "ReferencedFrameOfReferenceUID")
        if own and frame and own != frame:
            unusable.append((name, "it was drawn in another frame of reference than the other structures"))
            continue
        region = regions.get(number, _Region())
        structures.append(Structure(name=name, number=number, contours=tuple(region.contours)))
        if region.unreadable:
            remarks.append(
                f"{region.unreadable} contours of {name!r} were ignored: their ContourData is not a list of finite "
                "x\\y\\z points."
            )
        if region.degenerate:
            remarks.append(
                f"{region.degenerate} contours of {name!r} were ignored: fewer than three points enclose nothing."
            )
    if unusable:
        foreign = ", ".join(name for name, _ in unusable)
        remarks.insert(0, f"Structures in another frame of reference were ignored: {foreign}.")
    remark = " ".join(remarks)
    found = StructureSet(
        label=text_of(dataset, "StructureSetLabel"),
        sop_instance_uid=text_of(dataset, "SOPInstanceUID"),
        frame_of_reference_uid=frame,
        referenced_series_uids=_referenced_series(dataset),
        structures=tuple(structures),
        unusable=tuple(unusable),
        remark=remark,
    )
    return found, remark


@dataclass
class _Region:
    """The closed contours of one ROI, and how many were left out and why."""

    contours: list[Contour] = field(default_factory=list)
    unreadable: int = 0
    degenerate: int = 0


def _regions_by_number(dataset: Dataset) -> dict[int, _Region]:
    found: dict[int, _Region] = {}
    for item in dataset.get("ROIContourSequence") or ():
        region = found.setdefault(integer(item.get("ReferencedROINumber")) or 0, _Region())
        for contour in item.get("ContourSequence") or ():
            if text_of(contour, "ContourGeometricType") not in _CLOSED:
                continue
            points = _points(contour)
            if points is None:
                region.unreadable += 1
                continue
            # A drawing program leaves single points behind; they must not cost the whole structure.
            if len(points) < 3:
                region.degenerate += 1
                continue
            images = contour.get("ContourImageSequence") or ()
            reference = text_of(images[0], "ReferencedSOPInstanceUID") if images else ""
            region.contours.append(Contour(points_mm=points, referenced_sop_instance_uid=reference))
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


def _frame_of_reference(dataset: Dataset, regions: list[Dataset]) -> str:
    """Return the frame of reference of most regions; of two with equally many, and of none, the one stated first."""
    stated = [text_of(item, "FrameOfReferenceUID") for item in dataset.get("ReferencedFrameOfReferenceSequence") or ()]
    stated.append(text_of(dataset, "FrameOfReferenceUID"))
    own = [text_of(item, "ReferencedFrameOfReferenceUID") for item in regions]
    every = list(dict.fromkeys(uid for uid in (*stated, *own) if uid))
    return max(every, key=own.count, default="")


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
