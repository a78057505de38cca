"""Classic MR Image Storage: one image an instance (PS3.3 A.4)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import tzinfo
from typing import Any

from pydicom.dataset import Dataset

from dicom_listener.identity import text_of
from dicom_listener.image_kind import classic_kind, processing_of, sequence_of, values_of
from dicom_listener.images import ImageKind, MrImage
from dicom_listener.pixels import PixelError, stored_values
from dicom_listener.scaling import NO_SCALE_SLOPE, Scaling, philips_scale_slope, private_integer, rescale_of
from dicom_listener.times import acquisition_time

_PHILIPS_IMAGING_CREATOR = "Philips Imaging DD 001"
Triple = tuple[float, float, float]

_FARTHEST_MM = 1e5
_SPACING_MM = (1e-3, 1e3)
_DIRECTION_TOLERANCE = 1e-2
_LONGEST_MS = 1e4
"""What no scanner writes, and what would overflow further on; headers round directions to 1e-4 or finer."""
_ECHOES_OFFSET, _SLICES_OFFSET, _STACKS_OFFSET = 0x14, 0x18, 0x60
"""(2001,xx14) Number of Echoes, (2001,xx18) Number of Slices MR, (2001,xx60) Number of Stacks."""


def classic_image(dataset: Dataset, time_zone: tzinfo) -> tuple[tuple[MrImage, ...], str]:
    """Decode a classic MR image.

    Returns
    -------
    tuple
        The one image, and a sentence on what was substituted (empty where nothing was).

    Raises
    ------
    PixelError
        If the instance cannot be used; the text says why.
    """
    kind_words = values_of(dataset, "ImageType")
    if "MOSAIC" in kind_words:
        raise PixelError(_mosaic(dataset))
    values = stored_values(dataset)
    if len(values) != 1:
        raise PixelError(f"A classic MR image with {len(values)} frames; one frame was expected.")
    kind = classic_kind(dataset)
    row_direction, column_direction = directions_of(dataset.get("ImageOrientationPatient"))
    acquired_at, remark = acquisition_time(dataset, time_zone)
    slope, intercept = rescale_of(dataset)
    scale_slope = philips_scale_slope(dataset)
    displayed = is_philips(dataset) and scale_slope is None and kind is ImageKind.MAGNITUDE
    if displayed:
        remark = f"{remark} {NO_SCALE_SLOPE}".strip()
    image = MrImage(
        signal=Scaling(slope=slope, intercept=intercept, scale_slope=scale_slope).signal(values[0]),
        kind=kind,
        echo_time_s=milliseconds(dataset.get("EchoTime")),
        position_mm=position_of(dataset.get("ImagePositionPatient")),
        row_direction=row_direction,
        column_direction=column_direction,
        pixel_spacing_mm=spacing_of(dataset.get("PixelSpacing")),
        sop_instance_uid=text_of(dataset, "SOPInstanceUID"),
        frame_number=None,
        acquisition_number=repetition_of(dataset),
        acquired_at=acquired_at,
        sequence=sequence_of(values_of(dataset, "ScanningSequence"), text_of(dataset, "EchoPulseSequence")),
        field_strength_t=number(dataset.get("MagneticFieldStrength")),
        declared_images=integer(dataset.get("ImagesInAcquisition")),
        processing=processing_of(kind_words),
        display_slope=slope if displayed else None,
        **series_fields(dataset),
    )
    return (image,), remark


def series_fields(dataset: Dataset) -> dict[str, Any]:
    """Return the fields of `MrImage` that stand at the top of classic and enhanced objects alike."""
    stacks = _philips_count(dataset, _STACKS_OFFSET)
    return {
        "frame_of_reference_uid": text_of(dataset, "FrameOfReferenceUID"),
        "study_instance_uid": text_of(dataset, "StudyInstanceUID"),
        "series_instance_uid": text_of(dataset, "SeriesInstanceUID"),
        "series_number": integer(dataset.get("SeriesNumber")),
        "protocol": text_of(dataset, "ProtocolName"),
        "description": text_of(dataset, "SeriesDescription"),
        "declared_echoes": _philips_count(dataset, _ECHOES_OFFSET),
        # The number counts the slices of all stacks, and one acquisition of Holmia's is one stack.
        "declared_slices": None if (stacks or 1) > 1 else _philips_count(dataset, _SLICES_OFFSET),
    }


def is_philips(dataset: Dataset) -> bool:
    """Whether the scanner's maker is Philips."""
    return text_of(dataset, "Manufacturer").lower().startswith("philips")


def numbers_of(value: Iterable[object] | None, count: int, name: str) -> tuple[float, ...]:
    """Return `count` finite numbers, or raise `PixelError` naming the attribute."""
    try:
        found = tuple(float(str(part)) for part in value or ())
    except (TypeError, ValueError):
        found = ()
    if len(found) != count or not all(map(math.isfinite, found)):
        raise PixelError(f"{name} is missing or is not {count} numbers; the image has no place in the patient.")
    return found


def spacing_of(value: Iterable[object] | None) -> tuple[float, float]:
    """Return (between rows, between columns) in mm, or raise `PixelError`."""
    rows, columns = numbers_of(value, 2, "PixelSpacing")
    least, most = _SPACING_MM
    if not least <= min(rows, columns) <= max(rows, columns) <= most:
        raise PixelError(f"PixelSpacing is {rows}\\{columns} mm; expected two positive numbers, {least:g} to {most:g}.")
    return rows, columns


def position_of(value: Iterable[object] | None) -> Triple:
    """Return the position of the first voxel, LPS mm, or raise `PixelError`."""
    x, y, z = numbers_of(value, 3, "ImagePositionPatient")
    if max(abs(x), abs(y), abs(z)) > _FARTHEST_MM:
        raise PixelError(f"ImagePositionPatient is {x:g}\\{y:g}\\{z:g} mm; that is not in a scanner.")
    return x, y, z


def directions_of(value: Iterable[object] | None) -> tuple[Triple, Triple]:
    """Return (row direction, column direction), or raise `PixelError` unless they are unit vectors at right angles."""
    a, b, c, d, e, f = numbers_of(value, 6, "ImageOrientationPatient")
    off = (math.hypot(a, b, c) - 1.0, math.hypot(d, e, f) - 1.0, a * d + b * e + c * f)
    if max(map(abs, off)) > _DIRECTION_TOLERANCE:
        raise PixelError(
            "ImageOrientationPatient is not two unit vectors at right angles; where the image lies cannot be told."
        )
    return (a, b, c), (d, e, f)


def milliseconds(value: object) -> float | None:
    """Return a DICOM time in ms as seconds; None where it is missing or impossible. The one place where ms become s."""
    found = number(value)
    if found is not None and not 0.0 <= found <= _LONGEST_MS:
        return None
    # A decimal string of ms has no digits beyond the nanosecond: without rounding 1.2 ms would be 0.0011999…
    return None if found is None else round(found * 1e-3, 9)


def number(value: object) -> float | None:
    """Return a finite number, or None."""
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def integer(value: object) -> int | None:
    """Return a whole number, or None; none of DICOM's (IS, SL, SS) exceeds 32 bits."""
    found = number(value)
    return None if found is None or abs(found) >= 2**31 else int(found)


def repetition_of(dataset: Dataset) -> int | None:
    """Return the repetition: the temporal position where the series has several (Philips, GE), else the acquisition."""
    if (integer(dataset.get("NumberOfTemporalPositions")) or 1) > 1:
        position = integer(dataset.get("TemporalPositionIdentifier"))
        if position is not None:
            return position
    return integer(dataset.get("AcquisitionNumber"))


def _mosaic(dataset: Dataset) -> str:
    number, name = text_of(dataset, "SeriesNumber") or "?", text_of(dataset, "SeriesDescription") or "without a name"
    return (
        f"Series {number} ({name}) is a mosaic: one image holds all slices of a volume. Holmia does not read mosaics; "
        "send a multi-echo gradient echo."
    )


def _philips_count(dataset: Dataset, offset: int) -> int | None:
    return private_integer(dataset, 0x2001, _PHILIPS_IMAGING_CREATOR, offset)
