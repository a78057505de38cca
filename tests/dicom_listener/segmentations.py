"""Segmentation objects written by hand from arrays: packed bits, fractions or labels, on any grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

FRAME, SERIES = "1.9", "1.2.7"


def item(**elements) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def affine_of(spacing=(4.0, 1.5, 2.0), rotation=None, origin=(-20.0, -30.0, 15.0)) -> np.ndarray:
    """(slice, row, column) to LPS mm; an identity rotation is axial: columns along x, rows along y, slices along z."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if rotation is None else rotation)[:, ::-1] * np.array(spacing)
    affine[:3, 3] = origin
    return affine


def geometry(affine: np.ndarray, **measures) -> tuple[Dataset, Dataset]:
    """Orientation and measures, as functional groups."""
    along_row, along_column = (affine[:3, axis] / np.linalg.norm(affine[:3, axis]) for axis in (2, 1))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    orientation = item(ImageOrientationPatient=[float(f"{v:.12f}") for v in (*along_row, *along_column)])
    given = {"SpacingBetweenSlices": float(spacing[0]), "SliceThickness": float(spacing[0]), **measures}
    pixel = item(
        PixelSpacing=[float(spacing[1]), float(spacing[2])], **{k: v for k, v in given.items() if v is not None}
    )
    return orientation, pixel


def segmentation(
    regions: Mapping[str, np.ndarray],
    affine: np.ndarray,
    *,
    kind: str = "BINARY",
    maximum: int = 200,
    fractional_type: str = "OCCUPANCY",
    every_frame: bool = False,
    per_frame_geometry: bool = False,
    order: int | None = None,
    measures: Mapping[str, float | None] | None = None,
    frame_of_reference: str = FRAME,
    series: Sequence[str] = (SERIES,),
    uid: str = "1.2.66",
    label: str = "SEG",
    frames: Callable[[list], list] | None = None,
    patient: str = "EM1-004",
) -> Dataset:
    """One segment a region, numbered from 1; `regions` are shares 0…1, (slice, row, column).

    Frames that would be empty are left out unless `every_frame`; `order` seeds a shuffle of the frames; `frames`
    changes the list of (segment, slice, values).
    """
    arrays = list(regions.values())
    slices, rows, columns = arrays[0].shape
    listed: list[tuple[int | None, int, np.ndarray]] = []
    if kind == "LABELMAP":
        labelled = np.zeros(arrays[0].shape, dtype=np.uint8)
        for number, values in enumerate(arrays, start=1):
            labelled[values > 0] = number
        listed = [(None, k, labelled[k]) for k in range(slices) if every_frame or labelled[k].any()]
    else:
        for number, values in enumerate(arrays, start=1):
            scaled = np.rint(values * maximum) if kind == "FRACTIONAL" else values
            stored = scaled.astype(np.uint8)
            listed += [(number, k, stored[k]) for k in range(slices) if every_frame or stored[k].any()]
    if order is not None:
        listed = [listed[n] for n in np.random.default_rng(order).permutation(len(listed))]
    if frames is not None:
        listed = frames(listed)
    orientation, pixel = geometry(affine, **(measures or {}))
    per_frame = []
    for number, k, _ in listed:
        position = affine[:3, 3] + affine[:3, 0] * k
        group = item(PlanePositionSequence=Items([item(ImagePositionPatient=[float(f"{v:.6f}") for v in position])]))
        if number is not None:
            group.SegmentIdentificationSequence = Items([item(ReferencedSegmentNumber=number)])
        if per_frame_geometry:
            group.PlaneOrientationSequence, group.PixelMeasuresSequence = Items([orientation]), Items([pixel])
        per_frame.append(group)
    shared = Dataset()
    if not per_frame_geometry:
        shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Items([orientation]), Items([pixel])
    stack = np.stack([values for *_, values in listed])
    bits = 1 if kind == "BINARY" else 8
    data = np.packbits(stack.ravel(), bitorder="little").tobytes() if bits == 1 else stack.tobytes()
    made = item(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.66.7" if kind == "LABELMAP" else SegmentationStorage,
        SOPInstanceUID=uid,
        SeriesInstanceUID=f"{uid}.1",
        PatientID=patient,
        Modality="SEG",
        ContentLabel=label,
        FrameOfReferenceUID=frame_of_reference,
        SegmentationType=kind,
        NumberOfFrames=len(listed),
        Rows=rows,
        Columns=columns,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=0,
        SegmentSequence=Items([item(SegmentNumber=n, SegmentLabel=name) for n, name in enumerate(regions, start=1)]),
        ReferencedSeriesSequence=Items([item(SeriesInstanceUID=own) for own in series]),
        SharedFunctionalGroupsSequence=Items([shared]),
        PerFrameFunctionalGroupsSequence=Items(per_frame),
        PixelData=data + b"\0" * (len(data) % 2),
    )
    made["PixelData"].VR = "OB"
    if kind == "FRACTIONAL":
        made.MaximumFractionalValue = maximum
        made.SegmentationFractionalType = fractional_type
    return made


def part10(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    out = DicomBytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()
