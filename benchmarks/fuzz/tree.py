"""A DICOM file as a tree that can be written rightly, or wrongly on purpose: what the mutations work on.

It shares nothing with the readers under test; it reads the sound files of `seeds` only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
LONG_LENGTH = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
_ITEM, _ITEM_END, _SEQUENCE_END = (struct.pack("<HH", 0xFFFE, e) for e in (0xE000, 0xE00D, 0xE0DD))


@dataclass(kw_only=True)
class Element:
    """One element; ``items`` or ``fragments`` take the place of ``value``; ``length`` is a lie."""

    tag: int
    vr: str
    value: bytes = b""
    items: list[list[Element]] | None = None
    fragments: list[bytes] | None = None
    undefined: bool = False
    undefined_items: bool = False
    length: int | None = None

    def copy(self) -> Element:
        """Return an equal element that shares nothing mutable."""
        items = None if self.items is None else [[inner.copy() for inner in item] for item in self.items]
        fragments = None if self.fragments is None else list(self.fragments)
        return Element(**{**vars(self), "items": items, "fragments": fragments})


@dataclass(kw_only=True)
class File:
    """A Part-10 file: group 0002 but its length, and the data set."""

    meta: list[Element]
    elements: list[Element]
    preamble: bytes = bytes(128)
    prefix: bytes = b"DICM"
    meta_length: int | None = None
    tail: bytes = b""
    explicit: bool = True

    def copy(self) -> File:
        """Return an equal file that shares nothing mutable."""
        return File(
            **{**vars(self), "meta": [e.copy() for e in self.meta], "elements": [e.copy() for e in self.elements]}
        )

    def all_lists(self) -> list[list[Element]]:
        """Return the data set and every item in it, outermost first."""
        return [self.elements, *(item for item in _items_of(self.elements))]

    def encoded(self) -> bytes:
        """Return the bytes."""
        meta = encode(self.meta, explicit=True)
        length = len(meta) if self.meta_length is None else self.meta_length
        head = struct.pack("<HH2sHL", 2, 0, b"UL", 4, length & UNDEFINED)
        return self.preamble + self.prefix + head + meta + encode(self.elements, explicit=self.explicit) + self.tail

    def with_syntax(self, uid: str) -> File:
        """Return a copy that declares another transfer syntax and is written in it."""
        other = self.copy()
        other.explicit = uid != IMPLICIT
        for element in other.meta:
            if element.tag == 0x00020010:
                element.value = padded(uid.encode())
        return other


def padded(value: bytes, by: bytes = b"\0") -> bytes:
    """Return a value of even length."""
    return value + by if len(value) % 2 else value


def encode(elements: list[Element], *, explicit: bool) -> bytes:
    """Return the bytes of elements in the order they have."""
    return b"".join(_encoded(element, explicit) for element in elements)


def parse(data: bytes) -> File:
    """Read a sound file, explicit or implicit little endian."""
    position, meta = 132, []
    while data[position : position + 2] == b"\x02\x00":
        element, position = _parsed(data, position, explicit=True)
        meta.append(element)
    syntax = next(e.value for e in meta if e.tag == 0x00020010).rstrip(b"\0").decode()
    explicit = syntax != IMPLICIT
    elements, _ = _parsed_elements(data, position, len(data), explicit)
    return File(meta=[e for e in meta if e.tag & 0xFFFF], elements=elements, preamble=data[:128], explicit=explicit)


def _items_of(elements: list[Element]) -> Iterator[list[Element]]:
    for element in elements:
        for item in element.items or ():
            yield item
            yield from _items_of(item)


def _encoded(element: Element, explicit: bool) -> bytes:
    undefined = element.undefined or element.fragments is not None
    inside = explicit and element.vr != "UN"
    if element.items is not None:
        value = b"".join(_encoded_item(encode(i, explicit=inside), element.undefined_items) for i in element.items)
    elif element.fragments is not None:
        value = b"".join(_encoded_item(fragment, False) for fragment in element.fragments)
    else:
        value = element.value
    length = UNDEFINED if undefined else len(value)
    if undefined:
        value += _SEQUENCE_END + bytes(4)
    if element.length is not None:
        length = element.length
    tag = struct.pack("<HH", element.tag >> 16, element.tag & 0xFFFF)
    if not explicit:
        return tag + struct.pack("<L", length) + value
    vr = element.vr.encode("latin-1")[:2].ljust(2)
    if element.vr in LONG_LENGTH:
        return tag + vr + b"\0\0" + struct.pack("<L", length) + value
    return tag + vr + struct.pack("<H", length & 0xFFFF) + value


def _encoded_item(content: bytes, undefined: bool) -> bytes:
    if undefined:
        return _ITEM + struct.pack("<L", UNDEFINED) + content + _ITEM_END + bytes(4)
    return _ITEM + struct.pack("<L", len(content)) + content


def _parsed_elements(data: bytes, position: int, end: int, explicit: bool) -> tuple[list[Element], int]:
    found = []
    while position < end:
        if data[position : position + 4] == _ITEM_END:
            return found, position + 8
        element, position = _parsed(data, position, explicit)
        found.append(element)
    return found, position


def _parsed(data: bytes, position: int, explicit: bool) -> tuple[Element, int]:
    group, number = struct.unpack_from("<HH", data, position)
    tag = group << 16 | number
    if explicit:
        vr = data[position + 4 : position + 6].decode()
        wide = vr in LONG_LENGTH
        start = position + (12 if wide else 8)
        (length,) = struct.unpack_from("<L" if wide else "<H", data, start - (4 if wide else 2))
    else:
        vr, start = "UN", position + 8
        (length,) = struct.unpack_from("<L", data, position + 4)
    undefined = length == UNDEFINED
    if tag == PIXEL_DATA and undefined:
        fragments, position = _parsed_fragments(data, start)
        return Element(tag=tag, vr=vr, fragments=fragments), position
    if vr == "SQ" or undefined:
        end = len(data) if undefined else start + length
        items, position, inner = [], start, False
        while position < end:
            (size,) = struct.unpack_from("<L", data, position + 4)
            if data[position : position + 4] == _SEQUENCE_END:
                position += 8
                break
            inner = inner or size == UNDEFINED
            stop = len(data) if size == UNDEFINED else position + 8 + size
            item, position = _parsed_elements(data, position + 8, stop, explicit)
            items.append(item)
        return Element(tag=tag, vr=vr, items=items, undefined=undefined, undefined_items=inner), position
    return Element(tag=tag, vr=vr, value=data[start : start + length]), start + length


def _parsed_fragments(data: bytes, position: int) -> tuple[list[bytes], int]:
    fragments = []
    while data[position : position + 4] == _ITEM:
        (size,) = struct.unpack_from("<L", data, position + 4)
        fragments.append(data[position + 8 : position + 8 + size])
        position += 8 + size
    return fragments, position + 8
