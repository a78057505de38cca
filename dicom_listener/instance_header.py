"""The few attributes that decide whether an instance is kept, read from its bytes without decoding it.

A walk over the top level of the data set (PS3.5, section 7): no values are interpreted, no memory is allocated on a
declared length, nothing recurses and no byte is passed twice, so hostile bytes can do no more than be refused.

Whatever two readers could take differently is refused: an instance admitted by the Patient ID seen here must not
show another one to the decoder (pydicom), which is more lenient with lengths, delimiters and representations.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pydicom.datadict import dictionary_has_tag, dictionary_VR

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
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_LENGTH = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations with a 32-bit length (PS3.5, table 7.1-1)."""
_ALL_VRS = _LONG_LENGTH | frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_TEXT_VRS = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT UN".split()) | {b""}
"""Representations that a wanted text may have; unknown (UN) and implicit ones are read by the dictionary."""
_LONGEST_TEXT = 1024
"""Bytes; LO has 64 characters of up to 4 bytes, SpecificCharacterSet several values of 16."""
_QUICK_ELEMENTS = 20_000
"""Up to here several threads read at once: 10 ms each."""
MOST_ELEMENTS = 2_000_000
"""Elements and items passed: a structure set of 100,000 contours has 1,000,000, an enhanced MR of 10,000 frames as
many; 256 MiB could hold 33,000,000 empty ones, half a minute's work."""

_HEAD, _LENGTH = struct.Struct("<HHL"), struct.Struct("<L")
_one_at_a_time = threading.Lock()

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


class TooManyElementsError(UnreadableInstanceError):
    """The data set has more elements than are read."""


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
    """Read the header of a Part-10 file and walk its data set, once and in linear time.

    What follows the pixel data need not be well formed (some senders pad), but must hold none of the attributes that
    are read here.

    Raises
    ------
    UnreadableInstanceError
        If it is not in the DICOM file format (PS3.10), has a transfer syntax that is not read here, is cut off, its
        structure is broken or ambiguous, or it has more than 2,000,000 elements.
    """
    if data[128:132] != b"DICM":
        raise UnreadableInstanceError("No DICOM file: the prefix is missing.")
    try:
        return _header(data, _QUICK_ELEMENTS)
    except TooManyElementsError:
        # One at a time: together, the data sets of eight senders would keep an echo waiting for the interpreter.
        with _one_at_a_time:
            return _header(data, MOST_ELEMENTS)


def _header(data: bytes, most: int) -> InstanceHeader:
    try:
        syntax, offset = _transfer_syntax(data)
        if syntax not in LOSSLESS | {IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN}:
            raise UnreadableInstanceError("Its transfer syntax is lossy, deflated, big endian or unknown.")
        found: dict[str, bytes] = {}
        explicit = syntax != IMPLICIT_LITTLE_ENDIAN
        if not explicit:
            _refuse_explicit(data, offset)
        after_pixels = None
        for element in walk(data, offset, explicit=explicit, most=most):
            name = _WANTED.get(element.tag)
            if name is not None:
                found[name] = _value(data, element)
            if element.tag == PIXEL_DATA:
                after_pixels = element.end
                break
    except struct.error as error:
        raise UnreadableInstanceError("The data set is cut off.") from error
    if after_pixels is not None:
        _check_tail(data, after_pixels, explicit, most)
    charset = found.get("character_set", b"").decode("ascii", "replace").strip(" \0")
    texts = {name: _text(value, charset) for name, value in found.items()}
    return InstanceHeader(transfer_syntax_uid=syntax, dataset_offset=offset, **texts)


def walk(data: bytes, start: int, *, explicit: bool, most: int = MOST_ELEMENTS) -> Iterator[Element]:
    """Yield the elements from `start` to the last byte, stepping over the content of sequences.

    Raises
    ------
    UnreadableInstanceError
        If an element runs over the end, has no valid value representation, or has no place in a data set; a
        `TooManyElementsError` if there are more than `most`, those of sequences of undefined length included.
    struct.error
        If the bytes end within an element's header.
    """
    end, passed = len(data), 0
    while start < end:
        tag, vr, value, length = element_at(data, start, explicit)
        if tag < 0x00010000:
            raise UnreadableInstanceError("An element of a command stands in the data set.")
        if length == UNDEFINED:
            after, inside = _after(data, value, explicit, vr, tag, most - passed)
            passed += inside
        else:
            after = value + length
        passed += 1
        if after > end:
            raise UnreadableInstanceError("The data set is cut off.")
        if passed > most:
            raise TooManyElementsError("The data set has too many elements.")
        yield Element(tag, vr, value, length, after)
        start = after


def element_at(data: bytes, position: int, explicit: bool) -> tuple[int, bytes, int, int]:
    """Return (tag, value representation, start of the value, declared length) of the element at `position`.

    Raises
    ------
    UnreadableInstanceError
        If it has no valid value representation, or is a delimiter.
    struct.error
        If the bytes end within its header.
    """
    group, number, length = _HEAD.unpack_from(data, position)
    if group == 0xFFFE:
        raise UnreadableInstanceError("A delimiter stands where an element was expected.")
    tag = group << 16 | number
    if not explicit:
        return tag, b"", position + 8, length
    vr = data[position + 4 : position + 6]
    if vr in _LONG_LENGTH:
        (length,) = _LENGTH.unpack_from(data, position + 8)
        return tag, vr, position + 12, length
    if vr not in _ALL_VRS:
        raise UnreadableInstanceError(f"Element ({group:04X},{number:04X}) has no valid value representation.")
    return tag, vr, position + 8, length >> 16


def content_of_undefined(tag: int, vr: bytes, explicit: bool) -> tuple[bool, bool]:
    """Return (whether a value of undefined length is fragments, not data sets; whether its data sets are explicit).

    Without a value representation the dictionary tells; what it does not know is a sequence. The content of UN is
    implicit (PS3.5, 6.2.2 note 2).
    """
    if explicit:
        return vr not in (b"SQ", b"UN"), vr != b"UN"
    return dictionary_has_tag(tag) and dictionary_VR(tag) != "SQ", False


def end_of_undefined(data: bytes, start: int, explicit: bool, vr: bytes, tag: int) -> int:
    """Return where a value of undefined length that begins at `start` ends, delimiter included.

    Raises
    ------
    UnreadableInstanceError, struct.error
        If its structure is broken or cut off.
    """
    return _after(data, start, explicit, vr, tag, MOST_ELEMENTS)[0]


def tag_and_length(data: bytes, position: int) -> tuple[int, int]:
    """Return tag and length of an item or a delimiter; raise struct.error if the bytes end there."""
    group, number, length = _HEAD.unpack_from(data, position)
    return group << 16 | number, length


def _transfer_syntax(data: bytes) -> tuple[str, int]:
    # The group is read to its end, not by its declared length, which some writers get wrong.
    position, syntax = 132, ""
    while position < len(data) and data[position : position + 2] == b"\x02\x00":
        tag, _, start, length = element_at(data, position, True)
        if length == UNDEFINED or start + length > len(data):
            raise UnreadableInstanceError("The file meta information is cut off.")
        position = start + length
        if tag == 0x00020010:
            syntax = _text(data[start : min(position, start + _LONGEST_TEXT)], "")
    return syntax, position


def _after(data: bytes, position: int, explicit: bool, vr: bytes, tag: int, most: int) -> tuple[int, int]:
    """Return (where a value of undefined length ends, delimiter included; how many elements and items it has).

    A stack of what is open: depth costs nothing. Items have to be tiled by their elements, whatever their length is
    declared as; sequences of a declared length are stepped over, as every reader does.
    """
    fragments, inner = content_of_undefined(tag, vr, explicit)
    # Whether it is an item, fragments, its elements explicit, whether it is the content of UN, where it has to end.
    stack = [(False, fragments, inner, explicit and not inner, -1)]
    passed = 0
    while stack:
        within_item, fragments, explicit, unknown, end = stack[-1]
        if position >= end >= 0:
            if position > end:
                raise UnreadableInstanceError("An element runs over the end of its item.")
            stack.pop()
            continue
        passed += 1
        if passed > most:
            raise TooManyElementsError("The data set has too many elements.")
        tag, length = tag_and_length(data, position)
        if not within_item:
            position += 8
            if tag == SEQUENCE_END:
                stack.pop()
            elif tag != ITEM:
                raise UnreadableInstanceError("A sequence holds something else than items.")
            elif fragments:
                if length == UNDEFINED:
                    raise UnreadableInstanceError("A fragment has no length.")
                position += length
            else:
                if unknown:
                    _refuse_explicit(data, position)
                stack.append((True, False, explicit, False, -1 if length == UNDEFINED else position + length))
        elif tag == ITEM_END and end < 0:
            if length & 0xFFFF and data[position + 4 : position + 6] in _LONG_LENGTH:
                raise UnreadableInstanceError("The delimiter of an item has a value representation.")
            stack.pop()
            position += 8
        else:
            tag, vr, position, length = element_at(data, position, explicit)
            if length == UNDEFINED:
                fragments, inner = content_of_undefined(tag, vr, explicit)
                stack.append((False, fragments, inner, explicit and not inner, -1))
            else:
                position += length
    return position, passed


def _refuse_explicit(data: bytes, position: int) -> None:
    """Refuse implicit content whose first element some readers would take for explicit; its length says 16 kB."""
    if all(0x41 <= byte <= 0x5A for byte in data[position + 4 : position + 6].ljust(2, b"\0")):
        raise UnreadableInstanceError("Its value representations are explicit, but declared as implicit.")


def _value(data: bytes, element: Element) -> bytes:
    if element.length == UNDEFINED or element.vr not in _TEXT_VRS:
        raise UnreadableInstanceError(f"Element ({element.tag >> 16:04X},{element.tag & 0xFFFF:04X}) is no text.")
    if element.length > _LONGEST_TEXT:
        raise UnreadableInstanceError(
            f"Element ({element.tag >> 16:04X},{element.tag & 0xFFFF:04X}) is too long for what it is."
        )
    return data[element.start : element.end]


def _check_tail(data: bytes, position: int, explicit: bool, most: int) -> None:
    """Refuse attributes that are read here after the pixel data, even where the bytes there are no elements."""
    misplaced = False
    try:
        for element in walk(data, position, explicit=explicit, most=most):
            position = element.end
            misplaced = misplaced or element.tag in _WANTED
    except TooManyElementsError:
        raise
    except (UnreadableInstanceError, struct.error):
        tail = data[position:]
        misplaced = misplaced or any(struct.pack("<HH", tag >> 16, tag & 0xFFFF) in tail for tag in _WANTED)
    if misplaced:
        raise UnreadableInstanceError("An attribute of the instance stands behind its pixel data.")


def _text(value: bytes, character_set: str) -> str:
    # Only identifiers are compared, so the single-byte default of PS3.5 6.1.2 or UTF-8 decides; others stay distinct.
    encoding = "utf-8" if character_set.endswith("ISO_IR 192") else "latin-1"
    return value.decode(encoding, "replace").strip(" \0")
