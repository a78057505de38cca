"""Volumes of interest, and where a map has no value of its own, as Segmentation objects on the reference grid."""

from __future__ import annotations

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    Segmentation as HighdicomSegmentation,
)
from highdicom.seg import (
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

from console.outputs.dicom.codes import (
    CATEGORY_TYPE_MODIFIER,
    LOWER_BOUND,
    NOT_EVALUABLE,
    QUANTIFICATION,
    RASTERISATION,
    SEGMENTATION,
    SPATIAL,
)
from console.outputs.dicom.common import MANUFACTURER, SERIES_NUMBERS, output_uid
from console.outputs.dicom.frames import finished, geometry, identification, source_header
from console.outputs.dicom.header import long_string, provenance
from console.outputs.error import OutputError
from console.outputs.exported import Exported
from console.outputs.wording import RESEARCH_USE, software_version
from quantify.findings import FractionResult
from quantify.model import Grid, Reason, Volume

WHOLE_VOXEL = 255
"""The value of a voxel that lies wholly in a segment: shares are kept in steps of 1/255."""
_SHORT_TEXT = 1024


def segmentation(exported: Exported) -> Dataset:
    """All volumes of interest as the share of every voxel (FRACTIONAL, OCCUPANCY), a segment for each.

    Shares keep a volume's size where a mask of whole voxels would change it with every voxel size. Segments overlap:
    the liver holds the healthy liver and its tumours. Segments are numbered in the order of the snapshot's volumes
    (`segment_numbers`); slices descend along the image plane's normal, and those that a segment does not touch are left
    out.

    Raises
    ------
    OutputError
        If there are no volumes of interest on the grid.
    """
    volumes, numbers = exported.snapshot.volumes, segment_numbers(exported)
    if not numbers:
        raise OutputError(
            "There is no volume of interest on the reference grid, so there is nothing to write as SEG; "
            "send contours or draw volumes first."
        )
    shown = [volume for volume in volumes if volume.name in numbers]
    return _object(
        exported,
        parts=("seg",),
        kind=SegmentationTypeValues.FRACTIONAL,
        values=np.stack([np.clip(volume.occupancy, 0.0, 1.0) for volume in shown], axis=-1),
        grid=shown[0].grid,
        segments=[_volume_segment(exported, numbers[volume.name], volume) for volume in shown],
        label="VOLUMES",
        series_description="Holmia volumes of interest, for research use only",
    )


def segment_numbers(exported: Exported) -> dict[str, int]:
    """The number of each volume's segment by the volume's name; a volume without any voxel has none."""
    shown = [volume.name for volume in exported.snapshot.volumes if (volume.occupancy > 0.5 / WHOLE_VOXEL).any()]
    return {name: number for number, name in enumerate(shown, start=1)}


def segmentation_uids(exported: Exported) -> tuple[UID, UID]:
    """(series, instance) of what `segmentation` writes."""
    return output_uid(exported, "seg", "series"), output_uid(exported, "seg", "instance")


def tracking_uid(exported: Exported, name: str) -> UID:
    """What tells that a segment and its measurements are of one volume."""
    return output_uid(exported, "tracking", name)


def reasons_segmentation(exported: Exported, result: FractionResult) -> Dataset:
    """Where the dose map of a fraction has no value, a segment for each reason, and where its value is a lower bound.

    Binary segments on the reference grid.

    Raises
    ------
    OutputError
        If the fraction has no maps, or every voxel a value of its own.
    """
    if result.maps is None:
        raise OutputError(f"{result.label} has no maps, so there is no voxel to give a reason for: {result.error}")
    dose = result.maps.dose
    missing = np.isnan(dose.values)
    masks: list[NDArray[np.bool_]] = []
    segments: list[SegmentDescription] = []
    kinds = [(reason, missing & (dose.reason == reason), NOT_EVALUABLE) for reason in Reason]
    kinds += [(Reason.LOWER_BOUND, ~missing & (dose.reason == Reason.LOWER_BOUND), LOWER_BOUND)]
    for reason, mask, kind in kinds:
        if mask.any():
            masks.append(mask)
            words = "no reason recorded" if reason is Reason.EVALUABLE else reason.sentence
            label = "Lower bound" if kind is LOWER_BOUND else f"Not evaluable: {words}"
            segments.append(_segment(exported, len(masks), label, (SPATIAL, kind, None), QUANTIFICATION))
    if not masks:
        raise OutputError(f"Every voxel of {result.label} has a value of its own, so there is no reason to write.")
    return _object(
        exported,
        parts=("reasons", result.position, result.fraction),
        kind=SegmentationTypeValues.BINARY,
        values=np.stack(masks, axis=-1),
        grid=dose.grid,
        segments=segments,
        label="NOT_EVALUABLE",
        series_description=f"Holmia {result.label}: voxels not evaluable, lower bounds; research only",
    )


def _volume_segment(exported: Exported, number: int, volume: Volume) -> SegmentDescription:
    source = exported.snapshot.volume_sources.get(volume.name)
    segment = _segment(exported, number, volume.name, CATEGORY_TYPE_MODIFIER[volume.role], RASTERISATION)
    whence = f"from {source.title}, version {source.version}" if source is not None else "made from other volumes"
    segment.SegmentDescription = (
        f"{volume.name} ({str(volume.role).replace('_', ' ')}), {whence}; {volume.volume_ml:.2f} mL on this grid."
    )
    return segment


def _segment(
    exported: Exported, number: int, label: str, coded: tuple[Code, Code, Code | None], procedure: Code
) -> SegmentDescription:
    category, kind, modifier = coded
    segment = SegmentDescription(
        segment_number=number,
        segment_label=long_string(label),
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="SEMIAUTOMATIC" if procedure is RASTERISATION else "AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=procedure.meaning, family=procedure, version=software_version(), source=MANUFACTURER
        ),
        tracking_uid=tracking_uid(exported, label),
        tracking_id=label,
    )
    if modifier is not None:
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            CodedConcept.from_code(modifier)
        ]
    return segment


def _object(
    exported: Exported,
    *,
    parts: tuple[object, ...],
    kind: SegmentationTypeValues,
    values: NDArray[np.generic],
    grid: Grid,
    segments: list[SegmentDescription],
    label: str,
    series_description: str,
) -> Dataset:
    """The Segmentation of `values` (slice, row, column, segment)."""
    made = HighdicomSegmentation(
        source_images=[source_header(exported)],
        pixel_array=values,
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=output_uid(exported, *parts, "series"),
        series_number=SERIES_NUMBERS["seg"],
        sop_instance_uid=output_uid(exported, *parts, "instance"),
        instance_number=1,
        fractional_type=SegmentationFractionalTypeValues.OCCUPANCY,
        max_fractional_value=WHOLE_VOXEL,
        content_label=label,
        content_description=RESEARCH_USE.split(".")[0],
        **geometry(grid),
        **identification(exported, series_description),
    )
    made.DerivationDescription = provenance(exported)[:_SHORT_TEXT]
    return finished(made, exported, SEGMENTATION)
