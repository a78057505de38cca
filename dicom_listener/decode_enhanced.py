"""Enhanced and Legacy Converted Enhanced MR: many frames an instance, told apart by functional groups (PS3.3 A.36).

An attribute of a frame stands in its own functional group, else in the shared one. Legacy converted objects keep
what had no place in "unassigned" groups; Philips repeats the classic attributes in a private group (2005,xx0F),
with positions half a voxel off: positions are never taken from there.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from dicom_listener.decode_classic import (
    directions_of,
    integer,
    is_philips,
    milliseconds,
    number,
    position_of,
    series_fields,
    spacing_of,
)
from dicom_listener.identity import text_of
from dicom_listener.image_kind import component_of, frame_kind, processing_of, sequence_of, values_of
from dicom_listener.images import ImageKind, MrImage, Sequence
from dicom_listener.pixels import PixelError, stored_values
from dicom_listener.scaling import NO_SCALE_SLOPE, Scaling, philips_scale_slope, private_value, rescale_of
from dicom_listener.times import acquisition_time, parse_date_time, zone_of

_PHILIPS_GROUP_CREATOR, _PHILIPS_GROUP_OFFSET = "Philips MR Imaging DD 005", 0x0F


def enhanced_images(dataset: Dataset, time_zone: tzinfo) -> tuple[tuple[MrImage, ...], str]:
    """Decode every frame of an enhanced MR object.

    Returns
    -------
    tuple
        One image a frame, and a sentence on what was substituted (empty where nothing was).

    Raises
    ------
    PixelError
        If the instance cannot be used; the text says why.
    """
    values = stored_values(dataset)
    frames = [_Frame(dataset, item) for item in dataset.get("PerFrameFunctionalGroupsSequence") or ()]
    if len(frames) != len(values):
        raise PixelError(
            f"The object declares {len(values)} frames but describes {len(frames)} in its functional groups; "
            "which frame is which cannot be told."
        )
    started_at, remark = acquisition_time(dataset, time_zone)
    repetitions = _repetitions(dataset, frames)
    several = len(set(repetitions)) > 1
    series = series_fields(dataset)
    sop_instance_uid = text_of(dataset, "SOPInstanceUID")
    philips = is_philips(dataset)
    images: list[MrImage] = []
    for index, (frame, repetition) in enumerate(zip(frames, repetitions, strict=True)):
        kind = frame.kind()
        slope, intercept = rescale_of(frame.group("PixelValueTransformationSequence"), frame.philips, dataset)
        scale_slope = philips_scale_slope(frame.philips, frame.item, dataset)
        displayed = philips and scale_slope is None and kind is ImageKind.MAGNITUDE
        if displayed and NO_SCALE_SLOPE not in remark:
            remark = f"{remark} {NO_SCALE_SLOPE}".strip()
        row_direction, column_direction = directions_of(frame.of("PlaneOrientationSequence", "ImageOrientationPatient"))
        images.append(
            MrImage(
                signal=Scaling(slope=slope, intercept=intercept, scale_slope=scale_slope).signal(values[index]),
                kind=kind,
                echo_time_s=frame.echo_time_s(),
                position_mm=position_of(frame.of("PlanePositionSequence", "ImagePositionPatient")),
                row_direction=row_direction,
                column_direction=column_direction,
                pixel_spacing_mm=spacing_of(frame.of("PixelMeasuresSequence", "PixelSpacing")),
                sop_instance_uid=sop_instance_uid,
                frame_number=index + 1,
                acquisition_number=repetition,
                # The object's own start comes first: Philips writes the reconstruction into the frames' times.
                acquired_at=(frame.acquired_at(time_zone) if several or started_at is None else None) or started_at,
                sequence=frame.sequence(),
                field_strength_t=number(frame.anywhere("MagneticFieldStrength")),
                processing=processing_of(frame.type_words()),
                display_slope=slope if displayed else None,
                **series,
            )
        )
    if started_at is None and all(image.acquired_at for image in images):
        remark = ""
    return tuple(images), remark


class _Frame:
    """One frame's functional groups, with the shared ones and the top of the object behind them."""

    def __init__(self, dataset: Dataset, item: Dataset) -> None:
        self.dataset = dataset
        self.item = item
        self.shared = _first(dataset, "SharedFunctionalGroupsSequence") or Dataset()
        private = private_value(item, 0x2005, _PHILIPS_GROUP_CREATOR, _PHILIPS_GROUP_OFFSET)
        self.philips: Dataset | None = private[0] if isinstance(private, pydicom.Sequence) and private else None
        self._unassigned = [
            group
            for group in (
                _first(item, "UnassignedPerFrameConvertedAttributesSequence"),
                _first(self.shared, "UnassignedSharedConvertedAttributesSequence"),
            )
            if group is not None
        ]

    def group(self, sequence: str) -> Dataset | None:
        """Return the functional group macro of the frame, else the shared one."""
        own = _first(self.item, sequence)
        return _first(self.shared, sequence) if own is None else own

    def of(self, sequence: str, keyword: str) -> Any:  # noqa: ANN401
        """Return an attribute from its macro, else from the unassigned groups."""
        group = self.group(sequence)
        value = None if group is None else group.get(keyword)
        return self.unassigned(keyword) if value is None else value

    def unassigned(self, keyword: str) -> Any:  # noqa: ANN401
        """Return an attribute that a legacy conversion could not place."""
        return next((group.get(keyword) for group in self._unassigned if group.get(keyword) is not None), None)

    def anywhere(self, keyword: str) -> Any:  # noqa: ANN401
        """Return an attribute from the top of the object, the unassigned groups, or Philips' private group."""
        for value in (self.dataset.get(keyword), self.unassigned(keyword)):
            if value is not None:
                return value
        return None if self.philips is None else self.philips.get(keyword)

    def kind(self) -> ImageKind:
        """Return what the frame's pixels are; Philips' private code where the public one is missing."""
        macro = self.group("MRImageFrameTypeSequence") or Dataset()
        words = self.type_words()
        component = component_of(str(macro.get("ComplexImageComponent") or ""))
        if component is None and self.philips is not None:
            private = values_of(self.philips, "ImageType")
            if private:
                return frame_kind(private, None)
        return frame_kind(words, component or component_of(str(self.dataset.get("ComplexImageComponent") or "")))

    def type_words(self) -> tuple[str, ...]:
        """Return the frame type, else the image type of the object."""
        macro = self.group("MRImageFrameTypeSequence") or Dataset()
        return values_of(macro, "FrameType") or values_of(self.dataset, "ImageType")

    def echo_time_s(self) -> float | None:
        """Return the effective echo time, s."""
        value = self.of("MREchoSequence", "EffectiveEchoTime")
        return milliseconds(self.anywhere("EchoTime") if value is None else value)

    def sequence(self) -> Sequence:
        """Return what formed the frame's echo."""
        pulse = str(self.anywhere("EchoPulseSequence") or "")
        stated = self.anywhere("ScanningSequence")
        codes = () if stated is None else ((stated,) if isinstance(stated, str) else tuple(map(str, stated)))
        return sequence_of(() if pulse else codes, pulse)

    def acquired_at(self, time_zone: tzinfo) -> datetime | None:
        """Return the frame's own start."""
        stated = self.of("FrameContentSequence", "FrameAcquisitionDateTime")
        return parse_date_time(stated, zone_of(self.dataset, time_zone))


def _repetitions(dataset: Dataset, frames: list[_Frame]) -> list[int | None]:
    """Return the acquisition number of each frame: its temporal position where the series has several.

    They may be in this object, or one in each object (then NumberOfTemporalPositions tells).
    """
    temporal = [integer(frame.of("FrameContentSequence", "TemporalPositionIndex")) for frame in frames]
    several = len(set(temporal)) > 1 or (integer(dataset.get("NumberOfTemporalPositions")) or 1) > 1
    if several and None not in temporal:
        return temporal
    stated = [integer(frame.of("FrameContentSequence", "FrameAcquisitionNumber")) for frame in frames]
    if None in stated:
        return [integer(frame.anywhere("AcquisitionNumber")) for frame in frames]
    return stated


def _first(dataset: Dataset, sequence: str) -> Dataset | None:
    items = dataset.get(sequence)
    first: Dataset | None = items[0] if items else None
    return first
