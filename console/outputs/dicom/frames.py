"""What multi-frame outputs on the reference grid share: patient and study, geometry, references, times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from highdicom import (
    CoordinateSystemNames,
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
)
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code
from pydicom.uid import MRImageStorage

from console.outputs.dicom.codes import SOURCE_IMAGE, coding_schemes
from console.outputs.dicom.common import MANUFACTURER, MODEL, output_uid
from console.outputs.dicom.header import (
    add_frame_of_reference,
    copy_patient_and_study,
    local,
    reference_to,
    series_description,
)
from console.outputs.exported import Exported
from console.outputs.wording import software_version
from dicom_listener.segmentation_geometry import frame_group
from quantify.model import Grid

_SAME_PLANE = 0.1
"""How far an image may lie from a slice of the grid, in slices and voxels, to be called its source."""


def source_header(exported: Exported) -> Dataset:
    """A header of the reference as highdicom wants one: one classic slice of the grid, without patient.

    Received headers may be enhanced, have one series for each echo, or lack what the standard demands; the grid is what
    was made of them all. `finished` puts patient, study and references as received into what highdicom makes of it.
    """
    received, grid = exported.reference_images[0], reference_grid(exported)
    placed = geometry(grid)
    ds = Dataset()
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"):
        setattr(ds, keyword, "")
    ds.AccessionNumber = ""
    ds.StudyInstanceUID = received.StudyInstanceUID
    ds.SOPClassUID, ds.Modality = MRImageStorage, "MR"
    ds.SOPInstanceUID, ds.SeriesInstanceUID = received.SOPInstanceUID, received.SeriesInstanceUID
    ds.FrameOfReferenceUID = received.FrameOfReferenceUID
    _, ds.Rows, ds.Columns = grid.shape
    ds.ImagePositionPatient = placed["plane_positions"][0][0].ImagePositionPatient
    ds.ImageOrientationPatient = placed["plane_orientation"][0].ImageOrientationPatient
    ds.PixelSpacing = placed["pixel_measures"][0].PixelSpacing
    ds.SliceThickness = placed["pixel_measures"][0].SliceThickness
    return ds


def geometry(grid: Grid) -> dict[str, Any]:
    """``plane_positions`` of the slices in the grid's order, ``plane_orientation``, ``pixel_measures``."""
    affine = grid.affine_lps_mm
    between_slices, between_rows, between_columns = grid.spacing_mm
    along_row, along_column = affine[:3, 2] / between_columns, affine[:3, 1] / between_rows
    patient = CoordinateSystemNames.PATIENT
    return {
        "plane_positions": [
            PlanePositionSequence(patient, image_position=(affine @ (index, 0.0, 0.0, 1.0))[:3].tolist())
            for index in range(grid.shape[0])
        ],
        "plane_orientation": PlaneOrientationSequence(
            patient, image_orientation=(*along_row.tolist(), *along_column.tolist())
        ),
        "pixel_measures": PixelMeasuresSequence(
            pixel_spacing=(between_rows, between_columns),
            slice_thickness=between_slices,
            spacing_between_slices=between_slices,
        ),
    }


def identification(exported: Exported, about: str) -> dict[str, Any]:
    """What every constructor of highdicom is told of equipment, times and terms."""
    made = local(exported.reference_images[0], exported.made_at)
    date, time = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL,
        "software_versions": software_version(),
        "device_serial_number": software_version(),  # of software: there is nothing else to tell two apart by
        "series_description": series_description(exported, about),
        "series_date": date,
        "series_time": time,
        "content_date": date,
        "content_time": time,
        "specific_character_set": "ISO_IR 192",
        "coding_schemes": coding_schemes(),
    }


def finished(dataset: Dataset, exported: Exported, derivation: Code) -> Dataset:
    """Refer every frame to the images of its slice, and complete what all outputs have (`completed`)."""
    organisation = output_uid(exported, "dimensions", dataset.SOPInstanceUID)
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organisation
    grid = reference_grid(exported)
    sources = _sources_by_slice(exported.reference_images, grid)
    derived = {index: _derivation(items, derivation) for index, items in sources.items()}
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = [float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient]
        index = round(float((grid.index_from_lps @ (*position, 1.0))[0]))
        frame.DerivationImageSequence = Sequence(derived.get(index, []))
    dataset.SourceImageSequence = Sequence(
        reference_to(image.SOPClassUID, image.SOPInstanceUID) for image in exported.reference_images
    )
    dataset.ReferencedSeriesSequence = _by_series(exported.reference_images)
    add_frame_of_reference(exported, dataset)
    return completed(dataset, exported)


def completed(dataset: Dataset, exported: Exported) -> Dataset:
    """Give patient and study as received, what made the object, and times of the events where highdicom took now."""
    copy_patient_and_study(exported.reference_images[0], dataset)
    made = local(dataset, exported.made_at)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    for equipment in dataset.get("ContributingEquipmentSequence") or ():
        equipment.ContributionDateTime = made.strftime("%Y%m%d%H%M%S%z")
    dataset.SoftwareVersions = [
        software_version(),
        f"settings {exported.snapshot.settings_sha256[:32]}",
        f"record {exported.snapshot.head_hash[:32]}",
    ]
    return dataset


def _by_series(images: Iterable[Dataset]) -> Sequence:
    """The instances by series, in their order."""
    by_series: dict[str, list[Dataset]] = defaultdict(list)
    for image in images:
        by_series[image.SeriesInstanceUID].append(reference_to(image.SOPClassUID, image.SOPInstanceUID))
    return Sequence(
        _item(SeriesInstanceUID=uid, ReferencedInstanceSequence=Sequence(items)) for uid, items in by_series.items()
    )


def reference_grid(exported: Exported) -> Grid:
    """The grid that every map and volume lies on."""
    reference = exported.snapshot.reference
    if reference is None:
        raise ValueError("Exported.snapshot has no reference; `exported` refuses such a treatment.")
    return reference.grid


def _sources_by_slice(images: Iterable[Dataset], grid: Grid) -> Mapping[int, list[Dataset]]:
    """By slice of the grid: an item for every image, or enhanced image with its frames, that shows that slice."""
    found: dict[int, list[Dataset]] = defaultdict(list)
    for image in images:
        frames_of_slice: dict[int, list[int]] = defaultdict(list)
        for number, position in enumerate(_positions_mm(image), start=1):
            voxel = (grid.index_from_lps @ (*position, 1.0))[:3]
            if not np.isfinite(voxel).all():
                continue  # no position is stated: an image of no slice
            nearest = round(float(voxel[0]))
            if np.abs(voxel - (nearest, 0.0, 0.0)).max() <= _SAME_PLANE:
                frames_of_slice[nearest].append(number)
        for index, numbers in frames_of_slice.items():
            item = _item(
                ReferencedSOPClassUID=image.SOPClassUID,
                ReferencedSOPInstanceUID=image.SOPInstanceUID,
                SpatialLocationsPreserved="YES",
                PurposeOfReferenceCodeSequence=[CodedConcept.from_code(SOURCE_IMAGE)],
            )
            if "PerFrameFunctionalGroupsSequence" in image:
                item.ReferencedFrameNumber = numbers
            found[index].append(item)
    return found


def _positions_mm(image: Dataset) -> Iterable[NDArray[np.float64]]:
    if "PerFrameFunctionalGroupsSequence" not in image:
        holders = [image]
    else:
        holders = [
            frame_group(image, index, "PlanePositionSequence") or Dataset()
            for index in range(len(image.PerFrameFunctionalGroupsSequence))
        ]
    for holder in holders:
        stated = holder.get("ImagePositionPatient") or (np.nan,) * 3
        yield np.array([float(value) for value in stated])


def _derivation(sources: list[Dataset], derivation: Code) -> list[Dataset]:
    return [_item(DerivationCodeSequence=[CodedConcept.from_code(derivation)], SourceImageSequence=sources)]


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
