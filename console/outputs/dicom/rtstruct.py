"""The volumes of interest as an RT Structure Set (PS3.3 A.19)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID, ImplicitVRLittleEndian, RTStructureSetStorage

from console.outputs.dicom.common import output_uid
from console.outputs.dicom.contouring import occupancy_contours
from console.outputs.dicom.header import (
    add_frame_of_reference,
    decimal,
    long_string,
    provenance,
    reference_to,
    rt_dataset,
)
from console.outputs.dicom.planes import ReferencePlane, reference_planes
from console.outputs.error import OutputError
from console.outputs.exported import Exported
from console.snapshot import Snapshot
from quantify.model import FloatArray, Grid, Role, Volume

_STUDY = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management: retired, and what the attribute asks for."""
_TYPES = {Role.TUMOUR: "GTV"}
"""RT ROI Interpreted Type; ORGAN for every other role."""
_TUMOUR_COLOURS = ((220, 40, 40), (240, 150, 30), (200, 60, 200), (250, 220, 60), (255, 110, 110), (150, 30, 90))
_COLOURS = {Role.LIVER: (180, 120, 60), Role.HEALTHY_LIVER: (40, 160, 80), Role.TERRITORY: (60, 110, 220)}
_CONTOUR_DATA = Tag("ContourData")
_IN_PLANE_MM = 0.1
_DECIMALS = 6
"""Of a drawn contour's points, mm: finer than any reader resolves."""


def structure_set_uid(exported: Exported) -> UID:
    """SOP Instance UID of the structure set of this export, whether it is written or not."""
    return output_uid(exported, "rtstruct")


def roi_number(snapshot: Snapshot, name: str) -> int | None:
    """ROI number of a volume in the structure set, from 1; None where there is no such volume."""
    return next((number for number, own in enumerate(snapshot.volumes, start=1) if own.name == name), None)


def rtstruct(exported: Exported) -> Dataset:
    """All volumes of interest, as they were given where they came as contours, else around their occupancy.

    A volume that came as contours in the reference's frame of reference is written with those very contours. One that
    came as a mask, was brought over from another frame of reference or follows from others (the healthy liver) is
    drawn on the slices of the reference grid so that area × slice distance is its volume there.

    Raises
    ------
    OutputError
        If the treatment has no volumes.
    """
    snapshot = exported.snapshot
    if not snapshot.volumes:
        raise OutputError("This treatment has no volumes of interest, so no RTSTRUCT can be written; draw or send one.")
    grid = snapshot.volumes[0].grid
    planes = reference_planes(exported, grid)
    ds = rt_dataset(
        exported,
        RTStructureSetStorage,
        structure_set_uid(exported),
        kind="rtstruct",
        series=("rtstruct",),
        about="Holmia volumes of interest (research use only)",
    )
    # Explicit, the coordinates of one contour may not exceed 64 kB: a contour of 2000 points does.
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    add_frame_of_reference(exported, ds)
    ds.InstanceNumber = 1
    ds.StructureSetLabel = "Holmia volumes"
    ds.StructureSetName = "Volumes of interest of the treatment"
    ds.StructureSetDescription = provenance(exported)[:1024]
    ds.StructureSetDate, ds.StructureSetTime = ds.InstanceCreationDate, ds.InstanceCreationTime
    ds.ReferencedFrameOfReferenceSequence = [_frame_of_reference(ds, planes)]
    ds.StructureSetROISequence, ds.ROIContourSequence, ds.RTROIObservationsSequence = [], [], []
    tumours = 0
    for number, volume in enumerate(snapshot.volumes, start=1):
        given = _given_contours(snapshot, volume)
        colour = _COLOURS.get(volume.role) or _TUMOUR_COLOURS[tumours % len(_TUMOUR_COLOURS)]
        tumours += volume.role is Role.TUMOUR
        ds.StructureSetROISequence.append(_roi(ds, number, volume, snapshot, as_given=given is not None))
        contours = [own.points_mm for own in occupancy_contours(volume.occupancy, grid)] if given is None else given
        item = Dataset()
        item.ROIDisplayColor = list(colour)
        item.ContourSequence = [
            _contour(points, _plane_of(points, grid, planes), exact=given is not None) for points in contours
        ]
        item.ReferencedROINumber = number
        ds.ROIContourSequence.append(item)
        observation = Dataset()
        observation.ObservationNumber = number
        observation.ReferencedROINumber = number
        observation.RTROIInterpretedType = _TYPES.get(volume.role, "ORGAN")
        observation.ROIInterpreter = ""
        ds.RTROIObservationsSequence.append(observation)
    ds.ApprovalStatus = "UNAPPROVED"
    return ds


def _given_contours(snapshot: Snapshot, volume: Volume) -> list[FloatArray] | None:
    """The contours that the volume was made from, where they lie in the grid's frame of reference; else None."""
    source = snapshot.volume_sources.get(volume.name)
    if source is None or volume.role is Role.HEALTHY_LIVER:
        return None
    for given in snapshot.structures:
        own = given.structures
        if own.object_sha256 != source.sha256 or own.frame_of_reference_uid != volume.grid.frame_of_reference_uid:
            continue
        found = [structure for structure in own.structures if structure.name.strip() == volume.name]
        if len(found) == 1 and found[0].contours:
            return [contour.points_mm for contour in found[0].contours]
    return None


def _roi(ds: Dataset, number: int, volume: Volume, snapshot: Snapshot, *, as_given: bool) -> Dataset:
    roi = Dataset()
    roi.ROINumber = number
    roi.ReferencedFrameOfReferenceUID = ds.FrameOfReferenceUID
    roi.ROIName = long_string(volume.name)
    source = snapshot.volume_sources.get(volume.name)
    origin = f"From {source.title}, version {source.version}." if source is not None else "Follows from other volumes."
    if as_given:
        text = (
            f"{origin} Contours as given: {volume.contour_volume_ml:.2f} mL, of which {volume.volume_ml:.2f} mL lie on"
        )
        text += " the reference grid, where doses are computed."
    else:
        text = f"{origin} Drawn around its share of the reference grid's voxels, {volume.volume_ml:.2f} mL."
        if volume.fraction_outside_grid > 0.001:
            text += f" {100 * volume.fraction_outside_grid:.1f} % of it lies outside that grid and is not drawn."
    roi.ROIDescription = text[:1024]
    roi.ROIVolume = decimal(round(volume.contour_volume_ml if as_given else volume.volume_ml, 4))
    roi.ROIGenerationAlgorithm = "" if as_given else "AUTOMATIC"
    return roi


def _frame_of_reference(ds: Dataset, planes: Sequence[ReferencePlane | None]) -> Dataset:
    by_series: dict[str, dict[tuple[str, str], Dataset]] = {}
    for plane in planes:
        if plane is not None:
            images = by_series.setdefault(plane.series_instance_uid, {})
            # Of a multi-frame object every frame counts: one item without frame numbers.
            key = plane.sop_class_uid, plane.sop_instance_uid
            images[key] = reference_to(*key)
    study = reference_to(_STUDY, ds.StudyInstanceUID)
    study.RTReferencedSeriesSequence = []
    for series_instance_uid, images in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID = series_instance_uid
        series.ContourImageSequence = list(images.values())
        study.RTReferencedSeriesSequence.append(series)
    frame = Dataset()
    frame.FrameOfReferenceUID = ds.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _plane_of(points: FloatArray, grid: Grid, planes: Sequence[ReferencePlane | None]) -> ReferencePlane | None:
    """The image that all points of a contour lie in, if there is one: given contours may lie on another series."""
    along = points @ grid.index_from_lps[0, :3] + grid.index_from_lps[0, 3]
    at = round(float(along.mean()))
    if not 0 <= at < len(planes) or np.abs(along - at).max() * grid.spacing_mm[0] > _IN_PLANE_MM:
        return None
    return planes[at]


def _contour(points: FloatArray, plane: ReferencePlane | None, *, exact: bool) -> Dataset:
    item = Dataset()
    if plane is not None:
        item.ContourImageSequence = [plane.item()]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(points)
    values = points.ravel() if exact else np.round(points.ravel(), _DECIMALS)
    text = "\\".join(decimal(value) for value in values).encode("ascii")
    text += b" " * (len(text) % 2)
    # As read from a file: pydicom's number objects, made and checked one by one, cost seconds for a liver.
    item[_CONTOUR_DATA] = RawDataElement(_CONTOUR_DATA, "DS", len(text), text, 0, False, True)
    return item
