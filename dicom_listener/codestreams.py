"""What a compressed frame says of itself, read before any decoder sees it.

A decoder allocates by the codestream's own header, not by the DICOM one: both have to agree. Sources: ISO/IEC 10918-1
annex B (JPEG), 14495-1 annex C (JPEG-LS), 15444-1 annex A (JPEG 2000).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_START_OF_IMAGE, _END_OF_IMAGE = 0xFFD8, 0xFFD9
_START_OF_FRAME_LOSSLESS, _START_OF_FRAME_LS, _START_OF_SCAN = 0xFFC3, 0xFFF7, 0xFFDA
_J2K_START, _J2K_SIZE, _J2K_CODING, _J2K_TILE_PART, _J2K_END = 0xFF4F, 0xFF51, 0xFF52, 0xFF90, 0xFFD9
_REVERSIBLE_5_3 = 1
_MAXIMUM_SEGMENTS = 1000
"""Marker segments before the image data: a dozen in practice."""


class CodestreamError(ValueError):
    """The frame is not coded as its transfer syntax says; the text is a clause that says why."""


@dataclass(frozen=True, kw_only=True)
class CodedFrame:
    """Size, samples per pixel and bits per sample, as the codestream states them."""

    rows: int
    columns: int
    samples: int
    bits: int


def jpeg_lossless_frame(data: bytes) -> CodedFrame:
    """Read a JPEG frame of process 14, selection value 1.

    Raises
    ------
    CodestreamError
        If it is another process of JPEG, is cut off, or is none.
    """
    found, scan = _jpeg(data, _START_OF_FRAME_LOSSLESS)
    if scan[0] != 1:
        raise CodestreamError("it has another predictor than selection value 1")
    return found


def jpeg_ls_frame(data: bytes) -> CodedFrame:
    """Read a JPEG-LS frame.

    Raises
    ------
    CodestreamError
        If it is near-lossless, is cut off, or is none.
    """
    found, scan = _jpeg(data, _START_OF_FRAME_LS)
    if scan[0] != 0:
        raise CodestreamError("it is coded with loss (NEAR is not 0)")
    return found


def jpeg_2000_frame(data: bytes) -> CodedFrame:
    """Read a JPEG 2000 frame: the bare codestream, as PS3.5 8.2.4 wants it, not the file format.

    Raises
    ------
    CodestreamError
        If it is coded with the irreversible wavelet, is cut off, or is none.
    """
    try:
        if _word(data, 0) != _J2K_START or _word(data, 2) != _J2K_SIZE:
            raise CodestreamError("it is no JPEG 2000 codestream")
        right, bottom, left, top = struct.unpack_from(">4L", data, 8)
        (samples,) = struct.unpack_from(">H", data, 40)
        # Component by component: precision with the sign in its top bit, and the horizontal and vertical sub-sampling.
        components = [struct.unpack_from(">3B", data, 42 + 3 * index) for index in range(min(samples, 4))]
        position = 4 + _word(data, 4)
        for _ in range(_MAXIMUM_SEGMENTS):
            marker = _word(data, position)
            if marker == _J2K_CODING and data[position + 13] != _REVERSIBLE_5_3:
                raise CodestreamError("it is coded with loss (the irreversible wavelet)")
            if marker == _J2K_TILE_PART:
                break
            position += 2 + _word(data, position + 2)
        else:
            raise CodestreamError("its header has no end")
    except (struct.error, IndexError) as error:
        raise CodestreamError("its header is cut off") from error
    if len({bits for bits, _, _ in components}) != 1 or any(part[1:] != (1, 1) for part in components):
        raise CodestreamError("its components differ in size or bits")
    _check_end(data, _J2K_END)
    return CodedFrame(rows=bottom - top, columns=right - left, samples=samples, bits=(components[0][0] & 0x7F) + 1)


def _jpeg(data: bytes, start_of_frame: int) -> tuple[CodedFrame, bytes]:
    """Return the frame header and the parameters of the first scan (the predictor, or NEAR, first)."""
    try:
        if _word(data, 0) != _START_OF_IMAGE:
            raise CodestreamError("it is no JPEG codestream")
        position, found = 2, None
        for _ in range(_MAXIMUM_SEGMENTS):
            marker, length = _word(data, position), _word(data, position + 2)
            if marker == start_of_frame:
                bits, rows, columns, samples = struct.unpack_from(">BHHB", data, position + 4)
                if found is not None:
                    raise CodestreamError("it has two frame headers")
                found = CodedFrame(rows=rows, columns=columns, samples=samples, bits=bits)
            elif 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):  # not tables, nor reserved
                raise CodestreamError("it is coded with another process than its transfer syntax says")
            elif marker == _START_OF_SCAN:
                break
            elif marker < 0xFF00:
                raise CodestreamError("it has something else than marker segments in its header")
            position += 2 + length
        else:
            raise CodestreamError("its header has no end")
        if found is None:
            raise CodestreamError("it has no frame header of its transfer syntax")
        after_components = position + 5 + 2 * data[position + 4]
        scan = data[after_components : after_components + 3]
    except (struct.error, IndexError) as error:
        raise CodestreamError("its header is cut off") from error
    _check_end(data, _END_OF_IMAGE)
    if len(scan) != 3:
        raise CodestreamError("its header is cut off")
    return found, scan


def _check_end(data: bytes, marker: int) -> None:
    # A zero pads to an even length (PS3.5 A.4); the marker itself does not end in zero.
    if not data.rstrip(b"\0").endswith(marker.to_bytes(2, "big")):
        raise CodestreamError("it is cut off")


def _word(data: bytes, position: int) -> int:
    return int(struct.unpack_from(">H", data, position)[0])
