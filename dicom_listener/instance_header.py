"""The few attributes that decide whether an instance is kept, read from its bytes without decoding it.

A walk over the top level of the data set (PS3.5, section 7): no values are interpreted, no memory is allocated on a
declared length and nothing recurses, so hostile bytes can do no more than be refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
LOSSLESS = frozenset(
    {
        "1.2.840.10008.1.2.4.70",  # JPEG Lossless, process 14, selection value 1
        "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless Only
        "1.2.840.10008.1.2.5",  # RLE Lossless
    }
)
"""Compressed transfer syntaxes that give back every pixel (PS3.5, annex A.4); all are explicit little endian."""

UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_LENGTH = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations with a 32-bit length (PS3.5, table 7.1-1)."""
_ALL_VRS = _LONG_LENGTH | frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())

_WANTED = {
    0x00080005: "character_set",
    0x00080016: "sop_class_uid",
    0x00080018: "sop_instance_uid",
    0x00080022: "acquisition_date",
    0x0008002A: "acquisition_date_time",
    0x00080032: "acquisition_time",
    0x00080060: "modality",
    0x00100020: "patient_id",
    0x00100021: "issuer_of_patient_id",
    0x00100030: "patient_birth_date",
    0x0020000E: "series_instance_uid",
    0x00200013: "instance_number",
}


class UnreadableInstanceError(ValueError):
    """The bytes are no DICOM file that can be read; the text is a sentence without any of its content."""


@dataclass(frozen=True, kw_only=True)
class InstanceHeader:
    """What an instance says of itself; texts are stripped of padding, empty where absent."""

    transfer_syntax_uid: str
    dataset_offset: int
    """Where the data set begins, after the file meta information."""
    character_set: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    acquisition_date: str = ""
    acquisition_date_time: str = ""
    acquisition_time: str = ""
    modality: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_birth_date: str = ""
    series_instance_uid: str = ""
    instance_number: str = ""

    @property
    def explicit(self) -> bool:
        """Whether value representations are written in the data set."""
        return self.transfer_syntax_uid != IMPLICIT_LITTLE_ENDIAN


class Element(NamedTuple):
    """Where one element lies: `start` of its value, declared `length`, and `end`, where the next begins."""

    tag: int
    vr: bytes
    start: int
    length: int
    end: int


def read_header(data: bytes) -> InstanceHeader:
    """Read the header of a Part-10 file and walk its data set up to and including the pixel data.

    Raises
    ------
    UnreadableInstanceError
        If it is not in the DICOM file format (PS3.10), has a transfer syntax that is not read here, is cut off, or its
        structure is broken.
    """
    if data[128:132] != b"DICM":
        raise UnreadableInstanceError("No DICOM file: the prefix is missing.")
    try:
        syntax, offset = _transfer_syntax(data)
        if syntax not in LOSSLESS | {IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN}:
            raise UnreadableInstanceError("Its transfer syntax is lossy, deflated, big endian or unknown.")
        found: dict[str, bytes] = {}
        for element in walk(data, offset, explicit=syntax != IMPLICIT_LITTLE_ENDIAN):
            name = _WANTED.get(element.tag)
            if name is not None and element.length != UNDEFINED:
                found[name] = data[element.start : element.end]
            if element.tag == PIXEL_DATA:  # some senders pad what follows
                break
    except struct.error as error:
        raise UnreadableInstanceError("The data set is cut off.") from error
    charset = found.get("character_set", b"").decode("ascii", "replace").strip(" \0")
    texts = {name: _text(value, charset) for name, value in found.items()}
    return InstanceHeader(transfer_syntax_uid=syntax, dataset_offset=offset, **texts)


def walk(data: bytes, start: int, *, explicit: bool, end: int | None = None) -> Iterator[Element]:
    """Yield the elements between `start` and `end` (default: the last byte), stepping over the content of sequences.

    Raises
    ------
    UnreadableInstanceError
        If an element runs over the end or has no valid value representation.
    struct.error
        If the bytes end within an element's header.
    """
    end = len(data) if end is None else end
    while start < end:
        element = _element(data, start, explicit)
        if element.end > end:
            raise UnreadableInstanceError("The data set is cut off.")
        yield element
        start = element.end


def items(data: bytes, start: int, end: int, *, explicit: bool) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the content of each item of the sequence value between `start` and `end`.

    Raises
    ------
    UnreadableInstanceError, struct.error
        If it is no sequence of items.
    """
    while start < end:
        tag, length = _tag_and_length(data, start)
        if tag == _SEQUENCE_END:
            return
        if tag != _ITEM:
            raise UnreadableInstanceError("A sequence holds something else than items.")
        content = start + 8
        start = content + length if length != UNDEFINED else _after(data, content, explicit, in_item=True)
        stop = start if length != UNDEFINED else start - 8
        if start > end:
            raise UnreadableInstanceError("An item runs over the end of its sequence.")
        yield content, stop


def _transfer_syntax(data: bytes) -> tuple[str, int]:
    # The group is read to its end, not by its declared length, which some writers get wrong.
    position, syntax = 132, ""
    while position < len(data) and data[position : position + 2] == b"\x02\x00":
        element = _element(data, position, explicit=True)
        if element.tag == 0x00020010:
            syntax = _text(data[element.start : element.end], "")
        position = element.end
    return syntax, position


def _element(data: bytes, position: int, explicit: bool) -> Element:
    group, number = struct.unpack_from("<HH", data, position)
    tag = group << 16 | number
    vr = b""
    if explicit:
        vr = data[position + 4 : position + 6]
        if vr not in _ALL_VRS:
            raise UnreadableInstanceError(f"Element ({group:04X},{number:04X}) has no valid value representation.")
    if vr in _LONG_LENGTH or not explicit:
        start = position + (12 if explicit else 8)
        (length,) = struct.unpack_from("<L", data, start - 4)
    else:
        start = position + 8
        (length,) = struct.unpack_from("<H", data, start - 2)
    if length != UNDEFINED:
        return Element(tag, vr, start, length, start + length)
    # The content of an undefined-length UN is implicit (PS3.5, 6.2.2 note 2).
    return Element(tag, vr, start, length, _after(data, start, explicit and vr != b"UN", in_item=False))


def _after(data: bytes, position: int, explicit: bool, *, in_item: bool) -> int:
    """Return where a sequence (or item) of undefined length ends, delimiter included. A stack: depth costs nothing."""
    stack = [(in_item, explicit)]
    while stack:
        within_item, explicit = stack[-1]
        tag, length = _tag_and_length(data, position)
        if tag == (_ITEM_END if within_item else _SEQUENCE_END):
            stack.pop()
            position += 8
        elif not within_item:
            if tag != _ITEM:
                raise UnreadableInstanceError("A sequence holds something else than items.")
            position += 8
            if length == UNDEFINED:
                stack.append((True, explicit))
            else:
                position += length
        else:
            vr = data[position + 4 : position + 6] if explicit else b""
            if explicit and vr not in _ALL_VRS:
                raise UnreadableInstanceError("An element of a sequence has no valid value representation.")
            if explicit and vr not in _LONG_LENGTH:
                (length,) = struct.unpack_from("<H", data, position + 6)
                position += 8
            elif explicit:
                (length,) = struct.unpack_from("<L", data, position + 8)
                position += 12
            else:
                position += 8
            if length == UNDEFINED:
                stack.append((False, explicit and vr != b"UN"))
            else:
                position += length
    return position


def _tag_and_length(data: bytes, position: int) -> tuple[int, int]:
    group, number, length = struct.unpack_from("<HHL", data, position)
    return group << 16 | number, length


def _text(value: bytes, character_set: str) -> str:
    # Only identifiers are compared, so the single-byte default of PS3.5 6.1.2 or UTF-8 decides; others stay distinct.
    encoding = "utf-8" if character_set.endswith("ISO_IR 192") else "latin-1"
    return value.decode(encoding, "replace").strip(" \0")
