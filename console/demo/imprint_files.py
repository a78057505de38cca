"""The DICOM side of an imprint: a site's multi-echo series in, the same files with other pixels, UIDs and times out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from console.demo.phantom_dicom import PhantomError
from console.demo.phantom_headers import uid
from dicom_listener.decode import decode
from dicom_listener.images import ImageKind, MrImage
from dicom_listener.images import Sequence as PulseSequence
from dicom_listener.pixels import stored_values
from quantify.model import Array, Grid

_TIME_PAIRS = (
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("SeriesDate", "SeriesTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
)
_DATETIMES = ("AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime")


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceImage:
    """One magnitude image of the series: where its pixels are, and what they show."""

    path: Path
    frame: int
    """From 0; 0 in a classic file."""
    image: MrImage
    slice_index: int


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceSeries:
    """The multi-echo magnitude series found in a folder; images by echo time, then slice."""

    images: tuple[SourceImage, ...]
    grid: Grid
    echo_times_s: tuple[float, ...]
    field_strength_t: float
    dropped: int
    """Images in the folder that are no part of it: phase, other series."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files, by name."""
        return tuple(sorted({image.path for image in self.images}))


def read_series(folder: Path, *, time_zone: ZoneInfo) -> SourceSeries:
    """Find the multi-echo gradient-echo magnitude series under a folder.

    Raises
    ------
    PhantomError
        If there is none, if it has holes or repetitions, or if its slices are not evenly spaced.
    """
    groups: dict[tuple[object, ...], list[tuple[Path, int, MrImage]]] = defaultdict(list)
    total, reasons = 0, set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        decoded = decode(path.read_bytes(), time_zone=time_zone)
        if decoded.reason and not decoded.images:
            reasons.add(decoded.reason)
        for image in decoded.images:
            total += 1
            usable = image.kind is ImageKind.MAGNITUDE and image.sequence is PulseSequence.GRADIENT_ECHO
            if usable and image.echo_time_s and image.field_strength_t:
                frame = 0 if image.frame_number is None else image.frame_number - 1
                groups[_group(image)].append((path, frame, image))
            elif image.sequence is not PulseSequence.GRADIENT_ECHO:
                reasons.add("Only a gradient echo shows T2*; this folder holds another kind of sequence.")
    best = max(groups.values(), key=lambda g: (len({i.echo_time_s for _, _, i in g}), len(g)), default=[])
    echo_times = sorted({float(image.echo_time_s or 0.0) for _, _, image in best})
    if len(echo_times) < 2:
        why = f" {' '.join(sorted(reasons)[:2])}" if reasons else ""
        raise PhantomError(
            f"{folder} holds no multi-echo gradient-echo magnitude series ({total} images read); name the folder of "
            f"one.{why}"
        )
    return _series(folder, best, tuple(echo_times), total)


def _group(image: MrImage) -> tuple[object, ...]:
    directions = tuple(round(v, 3) for v in (*image.row_direction, *image.column_direction))
    return image.protocol, image.frame_of_reference_uid, image.signal.shape, directions


def _series(
    folder: Path, found: Sequence[tuple[Path, int, MrImage]], echo_times: tuple[float, ...], total: int
) -> SourceSeries:
    first = found[0][2]
    normal = np.cross(first.row_direction, first.column_direction)
    heights = [round(float(normal @ image.position_mm), 2) for _, _, image in found]
    planes = sorted(set(heights))
    images = [
        SourceImage(path=path, frame=frame, image=image, slice_index=planes.index(height))
        for (path, frame, image), height in zip(found, heights, strict=True)
    ]
    places = {(image.image.echo_time_s, image.slice_index) for image in images}
    if len(places) != len(images) or len(places) != len(echo_times) * len(planes):
        raise PhantomError(
            f"The multi-echo series in {folder} has {len(images)} images for {len(echo_times)} echo times and "
            f"{len(planes)} slices; name a folder that holds one complete series once."
        )
    steps = np.diff(planes)
    if len(steps) and steps.max() - steps.min() > 0.1:
        raise PhantomError(
            f"The slices in {folder} are {steps.min():g} to {steps.max():g} mm apart; they must be even."
        )
    images.sort(key=lambda one: (one.image.echo_time_s or 0.0, one.slice_index))
    affine = np.eye(4)
    affine[:3, 0] = normal * (float(steps.mean()) if len(steps) else max(first.pixel_spacing_mm))
    affine[:3, 1] = np.multiply(first.column_direction, first.pixel_spacing_mm[0])
    affine[:3, 2] = np.multiply(first.row_direction, first.pixel_spacing_mm[1])
    affine[:3, 3] = images[0].image.position_mm
    shape = (len(planes), first.signal.shape[0], first.signal.shape[1])
    return SourceSeries(
        images=tuple(images),
        grid=Grid(shape=shape, affine_lps_mm=affine, frame_of_reference_uid=first.frame_of_reference_uid),
        echo_times_s=echo_times,
        field_strength_t=float(first.field_strength_t or 0.0),
        dropped=total - len(images),
    )


def rewritten(path: Path, signals: Mapping[int, tuple[Array, Array]], *, identity: str, later_by: timedelta) -> bytes:
    """Return a file with other magnitudes, new series and instance UIDs and later times; nothing else changes.

    Parameters
    ----------
    path
        The original.
    signals
        By frame: the magnitude as decoded, and the one to store. Frames without one (phase) are dropped.
    identity
        Text that the new UIDs are derived from, together with the old ones.
    later_by
        What is added to every time of the acquisition.

    New values are rounded and clipped to the range that the stored bits can hold.
    """
    ds = dcmread(path)
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        ds.decompress(generate_instance_uid=False)
    values = stored_values(ds)
    bits, signed = int(ds.BitsStored), int(ds.PixelRepresentation) == 1
    lowest, highest = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    kept = sorted(signals)
    planes = []
    for frame in kept:
        slope, intercept = _display_scale(values[frame], signals[frame][0])
        stored = np.rint((signals[frame][1].astype(np.float64) - intercept) / slope)
        planes.append(np.clip(stored, lowest, highest))
    if len(kept) < len(values):
        ds.PerFrameFunctionalGroupsSequence = [ds.PerFrameFunctionalGroupsSequence[frame] for frame in kept]
        ds.NumberOfFrames = str(len(kept))
    kind = np.dtype(f"<{'i' if signed else 'u'}{int(ds.BitsAllocated) // 8}")
    ds.PixelData = np.array(planes).astype(kind).tobytes()
    ds.SOPInstanceUID = uid(identity, ds.SOPInstanceUID)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.SeriesInstanceUID = uid(identity, ds.SeriesInstanceUID)
    _postpone(ds, later_by)
    for frame_group in ds.get("PerFrameFunctionalGroupsSequence", []):
        for content in frame_group.get("FrameContentSequence", []):
            _postpone(content, later_by)
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _display_scale(stored: NDArray[np.generic], decoded: Array) -> tuple[float, float]:
    """Return slope and intercept of decoded = slope · stored + intercept.

    Every maker's scaling is linear, and the decoder knows them all; its darkest and brightest voxel tell which it used.
    """
    flat, signal = np.asarray(stored, dtype=np.float64).ravel(), decoded.astype(np.float64).ravel()
    low, high = int(flat.argmin()), int(flat.argmax())
    if flat[high] == flat[low]:
        return 1.0, float(signal[low] - flat[low])
    slope = (signal[high] - signal[low]) / (flat[high] - flat[low])
    return float(slope), float(signal[low] - slope * flat[low])


def _postpone(ds: Dataset, later_by: timedelta) -> None:
    for date_name, time_name in _TIME_PAIRS:
        if ds.get(date_name) and ds.get(time_name):
            moved = _later(str(ds.get(date_name)) + str(ds.get(time_name)), later_by)
            setattr(ds, date_name, moved[:8])
            setattr(ds, time_name, moved[8:])
    for name in _DATETIMES:
        if ds.get(name):
            setattr(ds, name, _later(str(ds.get(name)), later_by))


def _later(text: str, later_by: timedelta) -> str:
    """Add to a DICOM date-time; the fraction is written with six digits, an offset from UTC is kept."""
    sign = max(text.find("+"), text.find("-"))
    offset = text[sign:] if sign > 0 else ""
    digits, _, fraction = (text[:sign] if sign > 0 else text).partition(".")
    at = datetime.strptime(digits.ljust(14, "0")[:14], "%Y%m%d%H%M%S").replace(
        microsecond=int(fraction.ljust(6, "0")[:6]) if fraction else 0
    )
    return (at + later_by).strftime("%Y%m%d%H%M%S.%f") + offset
