"""Segmentation and Label Map Segmentation objects to masks on their own grid (PS3.3 A.51, A.96, C.8.20).

A binary frame shows one segment in one bit a voxel, packed without padding; a fractional one its share in 8 bits; a
label map frame the number of the segment that owns each voxel. Frames come in any order, and those that would be empty
may be left out. Segments of binary and fractional objects may overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_listener.decode_classic import integer
from dicom_listener.identity import text_of
from dicom_listener.images import RegionMask, Structure, StructureSet
from dicom_listener.pixels import PixelError, stored_values
from dicom_listener.region_mask import MASK_LIMIT_BYTES, check_size, masks_of_labels
from dicom_listener.segmentation_geometry import SegmentationGrid, frame_group, segmentation_grid

LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
"""Not among pydicom's named constants."""
_PROBABILITY = "The segmentation states probabilities; they are taken as the share of each voxel."


def segmentation(dataset: Dataset) -> tuple[StructureSet, str]:
    """Read a Segmentation or Label Map Segmentation.

    Returns
    -------
    tuple
        Its segments as structures, named by SegmentLabel and numbered by SegmentNumber, each as the share 0…1 of the
        voxels of the segmentation's own grid; and a sentence on what was left out or assumed (empty where nothing
        was). Where the whole object cannot be used every segment is unusable for that reason. Never raises PixelError.
    """
    segments = _segments(dataset)
    found = StructureSet(
        label=text_of(dataset, "ContentLabel") or text_of(dataset, "SeriesDescription") or "segmentation",
        sop_instance_uid=text_of(dataset, "SOPInstanceUID"),
        frame_of_reference_uid=text_of(dataset, "FrameOfReferenceUID"),
        referenced_series_uids=_referenced_series(dataset),
        structures=(),
    )
    try:
        masks, remark = _masks(dataset, tuple(segments))
    except PixelError as error:
        why = f"the segmentation cannot be used: {error}"
        unusable = tuple((name, why) for name in segments.values())
        return replace(found, unusable=unusable), f"T{why[1:]}"
    structures = tuple(
        Structure(name=name, number=key, mask=masks[key]) for key, name in segments.items() if key in masks
    )
    empty = tuple((name, "no voxel belongs to it") for key, name in segments.items() if key not in masks)
    return replace(found, structures=structures, unusable=empty, remark=remark), remark


def _segments(dataset: Dataset) -> dict[int, str]:
    """Return the label of every described segment by its number; 0 is the background of a label map."""
    found: dict[int, str] = {}
    for item in dataset.get("SegmentSequence") or ():
        key = integer(item.get("SegmentNumber"))
        if key is not None and key > 0 and key not in found:
            found[key] = text_of(item, "SegmentLabel") or f"Segment {key}"
    return found


def _masks(dataset: Dataset, segments: tuple[int, ...]) -> tuple[dict[int, RegionMask], str]:
    """Return the mask of every segment that has one, and a remark; raises PixelError."""
    if not segments:
        raise PixelError("it describes no segment (SegmentSequence).")
    kind = text_of(dataset, "SegmentationType").upper()
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise PixelError(f"its SegmentationType is {kind!r}; expected BINARY, FRACTIONAL or LABELMAP.")
    grid = segmentation_grid(dataset)
    frames, remark = _frames(dataset, kind, grid)
    if kind == "LABELMAP":
        return _labelled(frames, grid, segments), f"{grid.remark} {remark}".strip()
    shown: dict[int, list[int]] = {}
    for index in range(len(grid.slices)):
        item = frame_group(dataset, index, "SegmentIdentificationSequence")
        key = integer(item.get("ReferencedSegmentNumber")) if item is not None else None
        if key is None:
            raise PixelError(f"frame {index + 1} does not say which segment it shows (ReferencedSegmentNumber).")
        shown.setdefault(key, []).append(index)
    unknown = [str(key) for key in shown if key not in segments]
    if unknown:
        remark = f"{remark} Frames of segments that are not described were left out: {', '.join(unknown)}.".strip()
    parts = {key: _parts(frames, grid, indices) for key, indices in shown.items() if key in segments}
    check_size([part.shape for part in parts.values() if part is not None])
    masks = {key: _mask(frames, grid, part) for key, part in parts.items() if part is not None}
    return masks, f"{grid.remark} {remark}".strip()


# -- frames ------------------------------------------------------------------------------------------------------------

_Frame = Callable[[int], NDArray[Any]]
"""Gives the values of a frame, (row, column)."""


def _frames(dataset: Dataset, kind: str, grid: SegmentationGrid) -> tuple[_Frame, str]:
    """Return what gives a frame's values (shares 0…1, or labels), and a remark."""
    if integer(dataset.get("BitsAllocated")) == 1:
        if kind != "BINARY":
            raise PixelError(f"it is {kind} but has one bit a voxel.")
        return _packed(dataset, grid), ""
    if text_of(dataset, "PixelRepresentation") not in ("", "0"):
        raise PixelError("its values are signed; a segmentation's are not.")
    values = stored_values(dataset)
    if kind == "LABELMAP":
        return lambda index: values[index], ""
    if kind == "BINARY":
        if values.max() > 1:
            raise PixelError(f"it is BINARY but has values up to {values.max()}.")
        return lambda index: values[index], ""
    most = integer(dataset.get("MaximumFractionalValue"))
    if most is None or most < 1:
        raise PixelError("it is FRACTIONAL but states no MaximumFractionalValue: which value is a whole voxel?")
    if values.max() > most:
        raise PixelError(f"it has values up to {values.max()}, beyond its MaximumFractionalValue of {most}.")
    occupancy = text_of(dataset, "SegmentationFractionalType").upper() == "OCCUPANCY"
    return lambda index: values[index] / np.float32(most), "" if occupancy else _PROBABILITY


def _packed(dataset: Dataset, grid: SegmentationGrid) -> _Frame:
    """Return what unpacks a frame of bits: the first voxel is the lowest bit, and frames begin inside bytes."""
    data = dataset.get("PixelData")
    size = grid.rows * grid.columns
    needed = (size * len(grid.slices) + 7) // 8
    if not isinstance(data, bytes):
        raise PixelError("it has no pixel data.")
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        syntax = dataset.file_meta.TransferSyntaxUID.name
        raise PixelError(f"the transfer syntax {syntax} cannot be decoded for single bits; send it uncompressed.")
    if len(data) < needed:
        raise PixelError(
            f"its pixel data is {len(data)} bytes; {grid.rows} rows × {grid.columns} columns × {len(grid.slices)} "
            f"frames of one bit need {needed}. It is truncated or its header is wrong."
        )
    packed = np.frombuffer(data, dtype=np.uint8)

    def frame(index: int) -> NDArray[np.uint8]:
        first = index * size
        of_bytes = packed[first // 8 : (first + size + 7) // 8]
        bits = np.unpackbits(of_bytes, bitorder="little")[first % 8 : first % 8 + size]
        return bits.reshape(grid.rows, grid.columns)

    return frame


# -- masks -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The frames of one segment by slice, and the rows and columns that they touch."""

    frame_of_slice: dict[int, int]
    rows: slice
    columns: slice

    @property
    def first(self) -> int:
        return min(self.frame_of_slice)

    @property
    def shape(self) -> tuple[int, int, int]:
        slices = max(self.frame_of_slice) - self.first + 1
        return slices, self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def _parts(frames: _Frame, grid: SegmentationGrid, indices: list[int]) -> _Part | None:
    """Return where a segment's frames are not empty; None where all are."""
    of_slice: dict[int, int] = {}
    rows, columns = np.zeros(grid.rows, dtype=bool), np.zeros(grid.columns, dtype=bool)
    for index in indices:
        shares = frames(index) > 0
        if not shares.any():
            continue
        before = of_slice.setdefault(grid.slices[index], index)
        if before != index and not np.array_equal(frames(before), frames(index)):
            raise PixelError(
                f"frames {before + 1} and {index + 1} show one segment on one plane and differ; "
                "which of the two holds cannot be told."
            )
        rows |= shares.any(axis=1)
        columns |= shares.any(axis=0)
    if not of_slice:
        return None
    (touched_rows, touched_columns) = (np.flatnonzero(axis) for axis in (rows, columns))
    return _Part(
        frame_of_slice=of_slice,
        rows=slice(int(touched_rows[0]), int(touched_rows[-1]) + 1),
        columns=slice(int(touched_columns[0]), int(touched_columns[-1]) + 1),
    )


def _mask(frames: _Frame, grid: SegmentationGrid, part: _Part) -> RegionMask:
    values = np.zeros(part.shape, dtype=np.float32)
    for slice_index, index in part.frame_of_slice.items():
        values[slice_index - part.first] = frames(index)[part.rows, part.columns]
    affine = grid.affine_lps_mm.copy()
    affine[:3, 3] += affine[:3, :3] @ (part.first, part.rows.start, part.columns.start)
    return RegionMask(values=values, affine_lps_mm=affine)


def _labelled(frames: _Frame, grid: SegmentationGrid, segments: tuple[int, ...]) -> dict[int, RegionMask]:
    if len(set(grid.slices)) != len(grid.slices):
        raise PixelError("two of its frames lie on one plane; in a label map each voxel has one label.")
    first = frames(0)
    shape = (grid.n_slices, grid.rows, grid.columns)
    if first.itemsize * grid.n_slices * grid.rows * grid.columns > MASK_LIMIT_BYTES:
        raise PixelError(f"its label map of {shape} voxels needs more than {MASK_LIMIT_BYTES >> 20} MiB of memory.")
    labelled = np.zeros(shape, dtype=first.dtype)
    for index, slice_index in enumerate(grid.slices):
        labelled[slice_index] = frames(index)
    return masks_of_labels(labelled, segments, grid.affine_lps_mm)


def _referenced_series(dataset: Dataset) -> tuple[str, ...]:
    series = (text_of(item, "SeriesInstanceUID") for item in dataset.get("ReferencedSeriesSequence") or ())
    return tuple(dict.fromkeys(uid for uid in series if uid))
