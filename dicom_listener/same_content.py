"""Whether two instances hold the same data set: senders differ in file header, transfer syntax and sequence lengths."""

from __future__ import annotations

import hashlib
import io
import struct

import pydicom
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from dicom_listener.instance_header import (
    LOSSLESS,
    PIXEL_DATA,
    Element,
    InstanceHeader,
    UnreadableInstanceError,
    items,
    read_header,
    walk,
)

_MAXIMUM_DEPTH = 50
"""Deeper sequences are compared as bytes; enhanced MR needs about five levels."""
_PADDING = 0xFFFCFFFC
_PADDED = frozenset(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
)
"""Value representations whose trailing padding has no meaning (PS3.5, 6.2)."""


def same_content(one: bytes, other: bytes) -> bool:
    """Return whether two Part-10 files hold equal data sets, group 0002 apart (PS3.10, section 7.1).

    Bytes are compared first; when they differ, element by element, whatever the encoding of sequences and value
    representations. Pixels are decoded only when one file is compressed and the other is not, or differently; pixels
    that cannot be decoded count as different.

    Raises
    ------
    UnreadableInstanceError
        If one of them is no readable DICOM file.
    """
    a, b = read_header(one), read_header(other)
    if a.transfer_syntax_uid == b.transfer_syntax_uid and one[a.dataset_offset :] == other[b.dataset_offset :]:
        return True
    compressed = a.transfer_syntax_uid != b.transfer_syntax_uid and bool(
        {a.transfer_syntax_uid, b.transfer_syntax_uid} & LOSSLESS
    )
    if _digest(one, a, pixels=not compressed) != _digest(other, b, pixels=not compressed):
        return False
    return not compressed or _same_pixels(one, other)


def _digest(data: bytes, header: InstanceHeader, *, pixels: bool) -> bytes:
    digest = hashlib.sha256()
    for element in walk(data, header.dataset_offset, explicit=header.explicit):
        if pixels or element.tag != PIXEL_DATA:
            _add(digest, data, element, header.explicit, 0)
        if element.tag == PIXEL_DATA:
            break
    return digest.digest()


def _add(digest: hashlib._Hash, data: bytes, element: Element, explicit: bool, depth: int) -> None:
    if element.tag & 0xFFFF == 0 or element.tag == _PADDING:  # group lengths and padding say nothing
        return
    digest.update(struct.pack("<L", element.tag))
    value = data[element.start : element.end]
    if element.tag != PIXEL_DATA and value[:4] == b"\xfe\xff\x00\xe0" and depth < _MAXIMUM_DEPTH:
        nested = hashlib.sha256()
        try:
            _add_sequence(nested, data, element, explicit and element.vr != b"UN", depth + 1)
        except (UnreadableInstanceError, struct.error):
            pass  # a value that only begins like a sequence
        else:
            digest.update(nested.digest())
            return
    if value == b"\xfe\xff\xdd\xe0\0\0\0\0":  # an empty sequence of undefined length
        value = b""
    elif _is_text(element.tag):
        value = value.rstrip(b" \0")
    digest.update(hashlib.sha256(value).digest())


def _add_sequence(digest: hashlib._Hash, data: bytes, element: Element, explicit: bool, depth: int) -> None:
    for start, end in items(data, element.start, element.end, explicit=explicit):
        digest.update(b"item")
        for inner in walk(data, start, explicit=explicit, end=end):
            _add(digest, data, inner, explicit, depth)


def _is_text(tag: int) -> bool:
    # By the dictionary, which is the same for both encodings; the padding of private elements has to agree.
    return dictionary_has_tag(tag) and dictionary_VR(tag) in _PADDED


def _same_pixels(one: bytes, other: bytes) -> bool:
    try:
        return _pixels(one) == _pixels(other)
    except Exception:  # noqa: BLE001 - decoders raise anything on hostile pixels; unknown is different, and is kept
        return False


def _pixels(data: bytes) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    expected = dataset.Rows * dataset.Columns * int(dataset.get("NumberOfFrames", 1) or 1)
    # A declared size far beyond the bytes is a lie: lossless coding of MR gains a factor of 2 to 4, zeros up to 100.
    if expected > 100 * len(data):
        raise UnreadableInstanceError("The pixel data are shorter than their declared size.")
    return bytes(dataset.pixel_array.tobytes())
