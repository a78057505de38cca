"""The phantom's structures as contours on the planes of the anatomy, and as an RT Structure Set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from contourpy import LineType, contour_generator
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import MRImageStorage, RTStructureSetStorage

from console.demo.phantom import LIVER_BOX_MM, Phantom, Territory
from console.demo.phantom_headers import SeriesHeader, decimal, new_dataset, uid
from console.demo.shapes import Floats, Triple, ellipsoid
from quantify.model import Grid

TERRITORY_NAMES = {Territory.RIGHT: "Right liver", Territory.LEFT: "Left liver"}


_COLOURS = ((180, 120, 60), (220, 40, 40), (40, 180, 60), (60, 90, 220), (200, 200, 60), (160, 60, 200))


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A named structure: ``implicit`` is negative inside, for points (3, …) in mm; ``box_mm`` holds it.

    ``step_mm`` is the spacing of the samples that its contours are traced through: finer for what is small.
    """

    name: str
    implicit: Callable[[Floats], Floats]
    box_mm: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    interpreted_type: str = "ORGAN"
    step_mm: float = 1.5


def phantom_shapes(phantom: Phantom, *, territories: bool) -> tuple[Shape, ...]:
    """Return the liver, its halves where asked for, and the tumours."""
    shapes = [Shape(name="Liver", implicit=phantom.liver, box_mm=LIVER_BOX_MM)]
    if territories:
        for territory in (Territory.RIGHT, Territory.LEFT):
            shapes.append(
                Shape(
                    name=TERRITORY_NAMES[territory],
                    implicit=partial(phantom.territory, territory=territory),
                    box_mm=LIVER_BOX_MM,
                )
            )
    for tumour in phantom.tumours:
        box = tuple((c - a - 3.0, c + a + 3.0) for c, a in zip(tumour.centre_mm, tumour.half_axes_mm, strict=True))
        shapes.append(
            Shape(
                name=tumour.name,
                implicit=tumour.implicit,
                box_mm=(box[0], box[1], box[2]),
                interpreted_type="GTV",
                step_mm=0.75,
            )
        )
    return tuple(shapes)


def plane_contours(shape: Shape, grid: Grid, slice_index: int) -> list[NDArray[np.float64]]:
    """Return the closed contours of a shape on one plane of a grid, each (n, 3) in LPS mm.

    The implicit function is sampled every ``shape.step_mm`` on the part of the plane that can meet the shape and traced
    at zero. A hole is a contour of its own (exclusive or).
    """
    affine = grid.affine_lps_mm
    origin = affine[:3, 3] + affine[:3, 0] * slice_index
    down = affine[:3, 1] / grid.spacing_mm[1]
    right = affine[:3, 2] / grid.spacing_mm[2]
    normal = np.cross(right, down)
    corners = np.array(np.meshgrid(*shape.box_mm, indexing="ij")).reshape(3, -1)
    heights = normal @ (corners - origin[:, None])
    if heights.min() > 0 or heights.max() < 0:
        return []
    u, v = right @ (corners - origin[:, None]), down @ (corners - origin[:, None])
    us = np.arange(u.min(), u.max() + shape.step_mm, shape.step_mm)
    vs = np.arange(v.min(), v.max() + shape.step_mm, shape.step_mm)
    points = origin[:, None, None] + right[:, None, None] * us + down[:, None, None] * vs[:, None]
    lines = contour_generator(us, vs, shape.implicit(points), line_type=LineType.Separate).lines(0.0)
    contours = []
    for line in lines:
        if len(line) < 4:
            continue
        closed = np.asarray(line, dtype=np.float64)
        closed = closed[:-1] if np.allclose(closed[0], closed[-1]) else closed
        contours.append(origin + closed[:, :1] * right + closed[:, 1:] * down)
    return contours


def structure_set(
    header: SeriesHeader,
    shapes: tuple[Shape, ...],
    grid: Grid,
    *,
    frame_of_reference: str,
    anatomy_series_uid: str,
    anatomy_instance_uids: tuple[str, ...],
    anatomy_class_uid: str = MRImageStorage,
) -> Dataset:
    """Return an RT Structure Set drawn on the planes of a series.

    Parameters
    ----------
    header
        Patient, study, number and time of the structure set itself.
    shapes
        What to draw, in order of ROI number from 1.
    grid
        The planes of the anatomy, in patient coordinates.
    frame_of_reference, anatomy_series_uid, anatomy_instance_uids, anatomy_class_uid
        The series it refers to; one instance per plane (or one multi-frame instance for all of them).
    """
    ds = new_dataset(RTStructureSetStorage, uid(header.identity, "structure set"), header)
    ds.Modality = "RTSTRUCT"
    ds.Manufacturer = "Holmia phantom"
    ds.ManufacturerModelName = "phantom"
    ds.OperatorsName = ""
    ds.FrameOfReferenceUID = frame_of_reference
    ds.InstanceNumber = "1"
    ds.StructureSetLabel = "Liver, tumours"
    ds.StructureSetDate = ds.ContentDate
    ds.StructureSetTime = ds.ContentTime
    ds.ApprovalStatus = "UNAPPROVED"
    images = [_reference(anatomy_class_uid, instance) for instance in anatomy_instance_uids]
    series = Dataset()
    series.SeriesInstanceUID = anatomy_series_uid
    series.ContourImageSequence = Sequence(images)
    study = _reference("1.2.840.10008.3.1.2.3.1", ds.StudyInstanceUID)
    study.RTReferencedSeriesSequence = Sequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = frame_of_reference
    frame.RTReferencedStudySequence = Sequence([study])
    ds.ReferencedFrameOfReferenceSequence = Sequence([frame])
    ds.StructureSetROISequence = Sequence()
    ds.ROIContourSequence = Sequence()
    ds.RTROIObservationsSequence = Sequence()
    for number, shape in enumerate(shapes, start=1):
        roi = Dataset()
        roi.ROINumber = str(number)
        roi.ReferencedFrameOfReferenceUID = frame_of_reference
        roi.ROIName = shape.name
        roi.ROIGenerationAlgorithm = "MANUAL"
        ds.StructureSetROISequence.append(roi)
        contours = Dataset()
        contours.ROIDisplayColor = list(_COLOURS[(number - 1) % len(_COLOURS)])
        contours.ReferencedROINumber = str(number)
        contours.ContourSequence = Sequence(_contours(shape, grid, anatomy_class_uid, anatomy_instance_uids))
        ds.ROIContourSequence.append(contours)
        observation = Dataset()
        observation.ObservationNumber = str(number)
        observation.ReferencedROINumber = str(number)
        observation.RTROIInterpretedType = shape.interpreted_type
        observation.ROIInterpreter = ""
        ds.RTROIObservationsSequence.append(observation)
    return ds


def _contours(shape: Shape, grid: Grid, class_uid: str, instance_uids: tuple[str, ...]) -> list[Dataset]:
    items = []
    for index in range(grid.shape[0]):
        for points in plane_contours(shape, grid, index):
            item = Dataset()
            instance = instance_uids[index] if len(instance_uids) > 1 else instance_uids[0]
            item.ContourImageSequence = Sequence([_reference(class_uid, instance)])
            item.ContourGeometricType = "CLOSED_PLANAR"
            item.NumberOfContourPoints = str(len(points))
            # A micrometre is finer than any reader resolves, and keeps every value within 16 characters.
            item.ContourData = [decimal(round(float(value), 4) + 0.0) for value in points.ravel()]
            items.append(item)
    return items


def _reference(class_uid: str, instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = class_uid
    item.ReferencedSOPInstanceUID = instance_uid
    return item


def sphere(name: str, centre_mm: Triple, radius_mm: float) -> Shape:
    """Return a sphere as a shape."""
    box = tuple((c - radius_mm - 3.0, c + radius_mm + 3.0) for c in centre_mm)
    return Shape(
        name=name,
        implicit=lambda points: ellipsoid(points, centre_mm, (radius_mm,) * 3),
        box_mm=(box[0], box[1], box[2]),
        interpreted_type="GTV",
        step_mm=0.75,
    )
