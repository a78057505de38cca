"""Whether two instances hold the same data set: senders differ in file header, transfer syntax and sequence lengths."""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Callable

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.uid import RLELossless

from dicom_listener.instance_header import (
    ITEM,
    ITEM_END,
    LOSSLESS,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    InstanceHeader,
    UnreadableInstanceError,
    content_of_undefined,
    element_at,
    end_of_undefined,
    read_header,
    tag_and_length,
    walk,
)
from dicom_listener.pixels import same_pixels as same_pixels_of

_MAXIMUM_DEPTH = 50
"""Deeper sequences are compared as bytes; enhanced MR needs about five levels."""
_MOST_COMPARED = 500_000
"""Elements and items of one data set, 2 s; of more, only equal bytes count as equal. Five times an enhanced MR of 600
frames."""
_PADDING = 0xFFFCFFFC
_DERIVATION = 0x00082111
"""Derivation Description: archives built on DCMTK write the coding there when they compress without loss, and leave it
when they decompress again. Nothing reads it."""
_EMPTY = hashlib.sha256().digest()
_ITEM_BYTES = b"\xfe\xff\x00\xe0"
_VALUE = struct.Struct("<LBQ")
_PADDED = frozenset(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
)
"""Value representations whose trailing padding has no meaning (PS3.5, 6.2)."""


def same_content(one: bytes, other: bytes, *, same_pixels: Callable[[bytes, bytes], bool] | None = None) -> bool:
    """Return whether two Part-10 files hold equal data sets, group 0002 apart (PS3.10, section 7.1).

    Bytes are compared first; when they differ, element by element, whatever the encoding of sequences and value
    representations. Pixels are decoded only when one file is compressed and the other is not, or differently; pixels
    that cannot be decoded, and data sets of more than 500,000 elements, count as different.

    `same_pixels` compares them: `DecodingProcess.same_pixels` in a program that must survive whatever a peer sends.
    Without it they are compared here, and pixels in the JPEG family, whose codecs are native code, count as different.

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
    try:
        if _digest(one, a, pixels=not compressed) != _digest(other, b, pixels=not compressed):
            return False
    except _TooMuchError:
        return False
    return not compressed or (same_pixels or _same_pixels)(one, other)


def _digest(data: bytes, header: InstanceHeader, *, pixels: bool) -> bytes:
    digest, reader = hashlib.sha256(), _Reader(data)
    end = header.dataset_offset
    try:
        for element in walk(data, end, explicit=header.explicit):
            if element.tag != PIXEL_DATA:
                reader.add(digest, end, header.explicit, 0)
            elif pixels:
                _add_value(digest, element.tag, memoryview(data)[element.start : element.end])
            end = element.end
    except (UnreadableInstanceError, struct.error):
        # Behind the pixel data, where the header's reader lets pass what is no element.
        if tail := data[end:].rstrip(b"\0"):
            _add_value(digest, ITEM, tail)
    return digest.digest()


def _add_nested(digest: hashlib._Hash, tag: int, nested: hashlib._Hash) -> None:
    if nested.digest() == _EMPTY:  # an empty sequence is an empty value
        _add_value(digest, tag, b"")
    else:
        digest.update(struct.pack("<LB", tag, 1) + nested.digest())


def _add_value(digest: hashlib._Hash, tag: int, value: bytes | memoryview) -> None:
    # Group lengths and padding say nothing.
    if (tag & 0xFFFF == 0 and tag != ITEM) or tag in (_PADDING, _DERIVATION):
        return
    if _is_text(tag):
        value = bytes(value).rstrip(b" \0")
    # The byte tells a value from a sequence, the length where it ends: no value can be made that counts as others.
    digest.update(_VALUE.pack(tag, 0, len(value)))
    digest.update(value)


@functools.lru_cache(maxsize=4096)
def _is_text(tag: int) -> bool:
    # By the dictionary, which is the same for both encodings. Of private elements only the creators are known to be
    # text (PS3.5, 7.8.1); the padding of the others has to agree.
    if tag >> 16 & 1:
        return 0x10 <= tag & 0xFFFF <= 0xFF
    return dictionary_has_tag(tag) and dictionary_VR(tag) in _PADDED


def _same_pixels(one: bytes, other: bytes) -> bool:
    """Compare pixels in this process where pydicom itself decodes them; the native codecs of JPEG are left alone."""
    if {read_header(one).transfer_syntax_uid, read_header(other).transfer_syntax_uid} & (LOSSLESS - {RLELossless}):
        return False
    return same_pixels_of(one, other)


class _TooMuchError(Exception):
    """There are more elements than are compared."""


class _Reader:
    """Adds the elements of one data set to digests; each byte is interpreted once, whatever the depth."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = _MOST_COMPARED

    def add(self, digest: hashlib._Hash, position: int, explicit: bool, depth: int) -> int:
        """Add the element at `position` and return where the next begins."""
        data = self._data
        self._left -= 1
        if self._left < 0:
            raise _TooMuchError
        tag, vr, start, length = element_at(data, position, explicit)
        if length != UNDEFINED and data[start : start + 4] != _ITEM_BYTES:  # nearly all
            _add_value(digest, tag, data[start : start + length])
            return start + length
        fragments, inner = content_of_undefined(tag, vr, explicit)
        if not fragments and depth < _MAXIMUM_DEPTH:
            nested = hashlib.sha256()
            if length == UNDEFINED:
                end = self._add_items(nested, start, None, inner, depth + 1)
                _add_nested(digest, tag, nested)
                return end
            try:
                end = self._add_items(nested, start, start + length, inner, depth + 1)
            except (UnreadableInstanceError, struct.error):
                pass  # a value that only begins like a sequence: its bytes count
            else:
                _add_nested(digest, tag, nested)
                return end
        end = end_of_undefined(data, start, explicit, vr, tag) if length == UNDEFINED else start + length
        _add_value(digest, tag, memoryview(data)[start:end])
        return end

    def _add_items(self, digest: hashlib._Hash, position: int, end: int | None, explicit: bool, depth: int) -> int:
        """Add the items of a sequence that ends at `end`, or with its delimiter; return where the next begins."""
        data = self._data
        while end is None or position < end:
            tag, length = tag_and_length(data, position)
            position += 8
            if tag == SEQUENCE_END and end is None:
                return position
            if tag != ITEM:
                raise UnreadableInstanceError("A sequence holds something else than items.")
            self._left -= 1
            if self._left < 0:  # items without an element
                raise _TooMuchError
            digest.update(_ITEM_BYTES)
            stop = None if length == UNDEFINED else position + length
            while stop is None or position < stop:
                if stop is None and tag_and_length(data, position)[0] == ITEM_END:
                    position += 8
                    break
                position = self.add(digest, position, explicit, depth)
            if stop is not None and position > stop:
                raise UnreadableInstanceError("An element runs over the end of its item.")
        if position > end:
            raise UnreadableInstanceError("An item runs over the end of its sequence.")
        return position
