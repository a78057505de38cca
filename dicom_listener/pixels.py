"""Stored pixel values, after their declared size has been held against the bytes that are there.

Uncompressed and RLE pixels are decoded by numpy and pydicom alone; the JPEG family by GDCM, which is native code: let
hostile ones meet it in `dicom_listener.decoding` only.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_listener.codestreams import (
    CodedFrame,
    CodestreamError,
    jpeg_2000_frame,
    jpeg_lossless_frame,
    jpeg_ls_frame,
)

CODEC_FAILED = "the data is damaged or too large"
"""In the sentence of an image that a decoder was given and could not decode: native code may be left in any state."""

NATIVE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian})

_CODED: dict[str, Callable[[bytes], CodedFrame]] = {
    JPEGLosslessSV1: jpeg_lossless_frame,
    JPEGLSLossless: jpeg_ls_frame,
    JPEG2000Lossless: jpeg_2000_frame,
}
_RLE_EXPANSION = 64
"""PS3.5 G.3.1: two bytes of a replicate run give at most 128 bytes, so nothing expands more."""
_JPEG_LOSSLESS_SAMPLES_PER_BYTE = 8
"""ISO/IEC 10918-1 annex H: a sample takes one Huffman code, of one bit at least."""
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
        bits, if rows × columns × frames need more bytes than there are, or if compressed frames are cut off or say
        otherwise than the header.
    """
    return _values(dataset, samples=1)[..., 0]


def same_pixels(one: bytes, other: bytes) -> bool:
    """Return whether two Part-10 files, of whatever transfer syntax, hold equal pixels, grey-scale or of three samples.

    Pixels that cannot be decoded count as different; two files without any as equal.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            a, b = pydicom.dcmread(io.BytesIO(one)), pydicom.dcmread(io.BytesIO(other))
            if "PixelData" not in a and "PixelData" not in b:
                return True
            samples = int(a.get("SamplesPerPixel") or 1)
            return samples in (1, 3) and np.array_equal(_values(a, samples=samples), _values(b, samples=samples))
        # pydicom and decoders raise anything on hostile bytes; unknown is different, and is kept.
        except Exception:  # noqa: BLE001
            return False


def _values(dataset: Dataset, *, samples: int) -> NDArray[Any]:
    """Return stored values, (frame, row, column, sample)."""
    frames, rows, columns = _shape(dataset)
    allocated, stored = int(dataset.get("BitsAllocated") or 0), int(dataset.get("BitsStored") or 0)
    signed = int(dataset.get("PixelRepresentation") or 0) == 1
    if (
        int(dataset.get("SamplesPerPixel") or 1) != samples
        or allocated not in (8, 16, 32)
        or not 0 < stored <= allocated
    ):
        raise PixelError(
            f"Not a grey-scale image of 8, 16 or 32 bits (samples {dataset.get('SamplesPerPixel')}, bits allocated "
            f"{allocated}, stored {stored}); the instance was not used."
        )
    needed = rows * columns * frames * samples * (allocated // 8)
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    data = dataset.get("PixelData")
    if not isinstance(data, bytes):
        raise PixelError("The instance has no pixel data.")
    dtype = np.dtype(f"<{'i' if signed else 'u'}{allocated // 8}")
    told = dataset.get("HighBit")
    high_bit = stored - 1 if told is None else int(told)
    if not stored <= high_bit + 1 <= allocated:
        raise PixelError(
            f"The high bit {high_bit} does not fit {stored} stored bits of {allocated} allocated; the header is wrong."
        )
    if syntax in NATIVE:
        if len(data) < needed:
            raise PixelError(
                f"The pixel data is {len(data)} bytes; {rows} rows × {columns} columns × {frames} frames of "
                f"{allocated} bits need {needed}. The instance is truncated or its header is wrong."
            )
        values: NDArray[Any] = np.frombuffer(data, dtype, count=needed // dtype.itemsize)
        if samples > 1 and int(dataset.get("PlanarConfiguration") or 0) == 1:
            values = np.moveaxis(values.reshape(frames, samples, rows, columns), 1, -1)
        return _without_spare_bits(values.reshape(frames, rows, columns, samples), stored, high_bit)
    if syntax != RLELossless and syntax not in _CODED:
        raise PixelError(f"The transfer syntax {syntax.name} cannot be decoded; send the series uncompressed.")
    if needed > min(_expanded_bytes(syntax, len(data), allocated), _DECODED_LIMIT_BYTES):
        raise PixelError(
            f"{rows} rows × {columns} columns × {frames} frames of {allocated} bits cannot come from {len(data)} "
            f"bytes of {syntax.name} data; the header is wrong."
        )
    decoded = np.empty((frames, rows, columns, samples), dtype)
    for index, coded in enumerate(_coded_frames(dataset, data, frames)):
        decoded[index] = _decoded_frame(dataset, syntax, coded, decoded.shape[1:], index)
    return _without_spare_bits(decoded, stored, high_bit)


def _shape(dataset: Dataset) -> tuple[int, int, int]:
    frames = int(dataset.get("NumberOfFrames") or 1)
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if min(frames, rows, columns) < 1:
        raise PixelError(f"The image is declared as {frames} frames of {rows} × {columns}; it has no pixels.")
    return frames, rows, columns


def _expanded_bytes(syntax: UID, coded_bytes: int, allocated: int) -> int:
    """Return the most that so many coded bytes can stand for."""
    if syntax == RLELossless:
        return _RLE_EXPANSION * coded_bytes
    if syntax == JPEGLosslessSV1:
        return _JPEG_LOSSLESS_SAMPLES_PER_BYTE * coded_bytes * (allocated // 8)
    # JPEG-LS and JPEG 2000 code an empty slice in a hundred bytes, whatever its size: each frame's own header decides.
    return _DECODED_LIMIT_BYTES


def _coded_frames(dataset: Dataset, data: bytes, frames: int) -> list[bytes]:
    """Return the codestream of every frame, however they are split into fragments (PS3.5 A.4)."""
    table = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    try:
        found = list(
            generate_frames(data, number_of_frames=frames, extended_offsets=table if None not in table else None)
        )
    except MemoryError:
        raise
    except Exception as error:  # broken items and tables raise nearly anything
        raise PixelError(f"The fragments of the pixel data are broken ({error}); the instance was not used.") from error
    if len(found) != frames:
        raise PixelError(
            f"The pixel data has {len(found)} coded frames, the header declares {frames}; the instance was not used."
        )
    return found


def _decoded_frame(
    dataset: Dataset, syntax: UID, coded: bytes, shape: tuple[int, ...], index: int
) -> NDArray[np.generic]:
    rows, columns, samples = shape
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    options: dict[str, Any] = {
        "rows": rows,
        "columns": columns,
        "number_of_frames": 1,
        "samples_per_pixel": samples,
        "photometric_interpretation": "MONOCHROME2" if samples == 1 else "RGB",
        "planar_configuration": 0,
        "bits_allocated": allocated,
        "bits_stored": stored,
        "pixel_representation": int(dataset.get("PixelRepresentation") or 0),
        "pixel_keyword": "PixelData",
        "decoding_plugin": "pydicom" if syntax == RLELossless else "gdcm",
    }
    try:
        if syntax in _CODED:
            stated = _CODED[syntax](coded)
            if (stated.rows, stated.columns, stated.samples) != (rows, columns, samples):
                raise CodestreamError(
                    f"it holds {stated.rows} rows × {stated.columns} columns of {stated.samples} samples, the header "
                    f"says {rows} × {columns} of {samples}"
                )
            if not stored <= stated.bits <= allocated:
                raise CodestreamError(f"it holds {stated.bits} bits, the header says {stored} of {allocated}")
        values, _ = get_decoder(syntax).as_array(
            encapsulate([coded + bytes(len(coded) % 2)], has_bot=False), index=0, raw=True, **options
        )
        return np.asarray(values).reshape(shape)
    except CodestreamError as error:
        raise PixelError(f"Frame {index + 1} cannot be decoded: {error}; send the series uncompressed.") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything on broken data
        raise PixelError(
            f"Frame {index + 1} cannot be decoded as {syntax.name}, {CODEC_FAILED}; send the series uncompressed."
        ) from error


def _without_spare_bits(values: NDArray[Any], stored: int, high_bit: int) -> NDArray[Any]:
    """Clear, or fill with the sign, the bits above the stored ones: overlays once lived there."""
    width = values.dtype.itemsize * 8
    if stored == width:
        return values
    # To the top, so that what lies above the high bit falls out, and back; a signed type brings its sign along.
    left = width - 1 - high_bit
    shifted: NDArray[Any] = np.right_shift(np.left_shift(values, left), width - stored)
    return shifted
