"""Stored pixel values, after their declared size has been held against the bytes that are there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

NATIVE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian})

_RLE_EXPANSION = 64
"""PS3.5 G.3.1: two bytes of a replicate run give at most 128 bytes, so nothing expands more."""
_DECODED_LIMIT_BYTES = 1 << 30
"""1 GiB: three times a 512 × 512 × 60 × 10 series of 16 bit; keeps a hostile object inside the memory limit."""


class PixelError(ValueError):
    """The pixels of an instance cannot be used; the text is the sentence shown."""


def stored_values(dataset: Dataset) -> NDArray[np.generic]:
    """Return stored values as integers, shape (frame, row, column), not rescaled.

    Raises
    ------
    PixelError
        If the transfer syntax cannot be decoded here, if the image is not one grey-scale sample of 8, 16 or 32
        bits, or if rows × columns × frames need more bytes than there are.
    """
    frames, rows, columns = _shape(dataset)
    allocated, stored = int(dataset.get("BitsAllocated") or 0), int(dataset.get("BitsStored") or 0)
    signed = int(dataset.get("PixelRepresentation") or 0) == 1
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or allocated not in (8, 16, 32) or not 0 < stored <= allocated:
        raise PixelError(
            f"Not a grey-scale image of 8, 16 or 32 bits (samples {dataset.get('SamplesPerPixel')}, bits allocated "
            f"{allocated}, stored {stored}); the instance was not used."
        )
    needed = rows * columns * frames * (allocated // 8)
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    data = dataset.get("PixelData")
    if not isinstance(data, bytes):
        raise PixelError("The instance has no pixel data.")
    if syntax in NATIVE:
        if len(data) < needed:
            raise PixelError(
                f"The pixel data is {len(data)} bytes; {rows} rows × {columns} columns × {frames} frames of "
                f"{allocated} bits need {needed}. The instance is truncated or its header is wrong."
            )
        dtype = np.dtype(f"<{'i' if signed else 'u'}{allocated // 8}")
        values: NDArray[Any] = np.frombuffer(data, dtype, count=rows * columns * frames)
        return _without_spare_bits(values.reshape(frames, rows, columns), stored, int(dataset.get("HighBit") or 0))
    if syntax != RLELossless:
        raise PixelError(f"The transfer syntax {syntax.name} cannot be decoded; send the series uncompressed.")
    if needed > min(_RLE_EXPANSION * len(data), _DECODED_LIMIT_BYTES):
        raise PixelError(
            f"{rows} rows × {columns} columns × {frames} frames of {allocated} bits cannot come from {len(data)} "
            "bytes of RLE data; the header is wrong."
        )
    decoded: NDArray[Any] = dataset.pixel_array.reshape(frames, rows, columns)
    return decoded


def _shape(dataset: Dataset) -> tuple[int, int, int]:
    frames = int(dataset.get("NumberOfFrames") or 1)
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if min(frames, rows, columns) < 1:
        raise PixelError(f"The image is declared as {frames} frames of {rows} × {columns}; it has no pixels.")
    return frames, rows, columns


def _without_spare_bits(values: NDArray[Any], stored: int, high_bit: int) -> NDArray[Any]:
    """Clear, or fill with the sign, the bits above the stored ones: overlays once lived there."""
    width = values.dtype.itemsize * 8
    if stored == width:
        return values
    # To the top, so that what lies above the high bit falls out, and back; a signed type brings its sign along.
    left = max(0, width - 1 - high_bit)
    shifted: NDArray[Any] = np.right_shift(np.left_shift(values, left), width - stored)
    return shifted
