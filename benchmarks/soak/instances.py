"""Data sets of MR images, sound and hostile, made byte by byte, and what a listener has to answer to each."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from benchmarks.soak.raw_pdu import EXPLICIT, MR_IMAGE, RLE_CONTEXT, STORE_CONTEXT

ROOT = "1.2.826.0.1.3680043.10.7"
_SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
_ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
_UNDEFINED = 0xFFFFFFFF
PIXELS = bytes(range(128))
_LONG = ("OB", "OW", "SQ", "UN", "UT")

STORED, INVALID_UID, MISMATCH, UNREADABLE, NO_RESOURCES = 0x0000, 0x0117, 0xA900, 0xC000, 0xA700


def element(tag: int, vr: str, value: bytes, *, declared: int | None = None) -> bytes:
    """An element in explicit little endian; `declared` lies about its length."""
    length = len(value) if declared is None else declared
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    return head + (struct.pack("<xxL", length) if vr in _LONG else struct.pack("<H", length)) + value


def text(tag: int, vr: str, value: str) -> bytes:
    """An element of text, padded to an even length."""
    data = value.encode("latin-1")
    return element(tag, vr, data + (b"\0" if vr == "UI" else b" ") * (len(data) % 2))


def image(uid: str, **changed: bytes) -> bytes:
    """The data set of a small MR image; `changed` replaces, adds or (empty) removes elements: ``e00100020=…``."""
    elements = {
        0x00080016: text(0x00080016, "UI", MR_IMAGE),
        0x00080018: text(0x00080018, "UI", uid),
        0x00080060: text(0x00080060, "CS", "MR"),
        0x00100020: text(0x00100020, "LO", "EM1-004"),
        0x0020000E: text(0x0020000E, "UI", f"{ROOT}.1"),
        0x00280002: element(0x00280002, "US", struct.pack("<H", 1)),
        0x00280004: text(0x00280004, "CS", "MONOCHROME2"),
        0x00280008: text(0x00280008, "IS", "1"),
        0x00280010: element(0x00280010, "US", struct.pack("<H", 8)),
        0x00280011: element(0x00280011, "US", struct.pack("<H", 8)),
        0x00280100: element(0x00280100, "US", struct.pack("<H", 16)),
        0x00280101: element(0x00280101, "US", struct.pack("<H", 16)),
        0x00280102: element(0x00280102, "US", struct.pack("<H", 15)),
        0x00280103: element(0x00280103, "US", struct.pack("<H", 0)),
        0x7FE00010: element(0x7FE00010, "OW", PIXELS),
    }
    elements |= {int(name[1:], 16): value for name, value in changed.items()}
    return b"".join(value for _, value in sorted(elements.items()))


def nested(depth: int) -> bytes:
    """A private sequence in a sequence in a sequence …, of undefined lengths."""
    start = struct.pack("<HH2sxxL", 0x0009, 0x1001, b"SQ", _UNDEFINED) + struct.pack("<HHL", 0xFFFE, 0xE000, _UNDEFINED)
    return start * depth + (_ITEM_END + _SEQUENCE_END) * depth


def encapsulated(*frames: bytes) -> bytes:
    """Pixel data in fragments, as compressed transfer syntaxes have them; the first is the empty offset table."""
    items = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(f)) + f for f in (b"", *frames))
    return element(0x7FE00010, "OB", items + _SEQUENCE_END, declared=_UNDEFINED)


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """An instance as somebody would send it who means harm, or whose software is broken."""

    name: str
    data: bytes
    answer: int
    uid: str
    context: int = STORE_CONTEXT
    before: bytes | None = None
    """Sent before it under the same UID, and stored: what comes then has to be compared with it."""


def hostile_instances(root: str) -> list[Hostile]:
    """Every hostile instance, under UIDs of its own that begin with `root`."""
    found: list[Hostile] = []

    def add(name: str, answer: int, data: bytes | None = None, *, uid: str | None = None, **more: bytes) -> None:
        uid = f"{root}.{len(found) + 1}" if uid is None else uid
        found.append(Hostile(name=name, answer=answer, uid=uid, data=image(uid, **more) if data is None else data))

    def next_uid() -> str:
        return f"{root}.{len(found) + 1}"

    largest = struct.pack("<H", 65535)
    add(
        "lying dimensions: 65535 × 65535 pixels in 128 bytes",
        STORED,
        e00280010=element(0x00280010, "US", largest),
        e00280011=element(0x00280011, "US", largest),
        e00280008=text(0x00280008, "IS", "65535"),
    )
    uid = next_uid()
    lie = {
        "e00280008": text(0x00280008, "IS", "65535"),
        "e00280010": element(0x00280010, "US", largest),
        "e00280011": element(0x00280011, "US", largest),
    }
    found.append(
        Hostile(
            name="lying dimensions, compressed: 65535 frames of 65535 × 65535, to be compared",
            data=image(uid, e7FE00010=_rle_lie(), **lie),
            before=image(uid, **lie),
            answer=STORED,
            uid=uid,
            context=RLE_CONTEXT,
        )
    )
    add("odd length of a value", STORED, e00100020=element(0x00100020, "LO", b"odd"))
    add("odd length of the pixel data", STORED, e7FE00010=element(0x7FE00010, "OW", bytes(127)))
    add("20,000 sequences in each other", STORED, e00091001=nested(20_000))
    uid = next_uid()
    found.append(
        Hostile(
            name="20,000 sequences in each other, to be compared",
            data=image(uid, e00091001=nested(20_000), e00100020=text(0x00100020, "LO", "EM1-005")),
            before=image(uid, e00091001=nested(20_000)),
            answer=STORED,
            uid=uid,
        )
    )
    add("20,000 sequences that never end", UNREADABLE, e00091001=nested(20_000)[: 20 * 20_000])
    whole = image(next_uid())
    for cut, name in ((1, "one byte"), (130, "the pixel data"), (len(whole) - 3, "almost everything")):
        add(f"truncated by {name}", UNREADABLE, image(next_uid())[:-cut])
    add("a data set of no bytes", MISMATCH, b"")
    add("noise", UNREADABLE, bytes((7 * n * n + 13) & 0xFF for n in range(4096)))
    add("an element of 4 GiB", UNREADABLE, e00091002=element(0x00091002, "UN", b"x", declared=0xFFFFFFF0))
    add("pixel data that never end", UNREADABLE, e7FE00010=element(0x7FE00010, "OB", bytes(64), declared=_UNDEFINED))
    add("delimiters without a sequence", UNREADABLE, e00091002=_SEQUENCE_END + _ITEM_END)
    add("an executable for Windows as data set", UNREADABLE, b"MZ" + bytes(126))
    add("an executable for Linux as data set", UNREADABLE, b"\x7fELF" + bytes(124))
    for name, bad in (
        ("../../../../tmp/holmia-was-here", "a path as UID"),
        ("/etc/passwd", "an absolute path as UID"),
        ("1.2.840\0.1", "NUL within a UID"),
        ("1." * 32 + "1", "a UID of 65 characters"),
        ("1..2", "a UID with an empty component"),
        ("1.2.3\n.4", "a line break in a UID"),
        ("%00%2e%2e%2f", "an escaped path as UID"),
    ):
        add(bad, INVALID_UID, uid=name)
    add("another UID in the data set than in the command", MISMATCH, image(f"{root}.999"))
    add("a path as UID in the data set only", MISMATCH, image("../../x"))
    add("a path as series UID", UNREADABLE, e0020000E=text(0x0020000E, "UI", "../../x"))
    add("a series UID of 65 characters", UNREADABLE, e0020000E=text(0x0020000E, "UI", "1." * 32 + "1"))
    add("a path as Patient ID", STORED, e00100020=text(0x00100020, "LO", "../.."))
    add("NUL and line breaks in the Patient ID", STORED, e00100020=element(0x00100020, "LO", b"a\0b\n\r\x1bc"))
    add("an unknown character set", STORED, e00080005=text(0x00080005, "CS", "ISO_IR 99999\\../x"))
    add("no patient, no series", STORED, e00100020=b"", e0020000E=b"")
    add("a modality of 60 kB", UNREADABLE, e00080060=element(0x00080060, "CS", b"M" * 60_000))
    return found


def rle(pixels: bytes) -> bytes:
    """Up to 128 pixels of 16 bits without any gain, as the RLE syntax has them (PS3.5, annex G): valid."""
    planes = [bytes([len(pixels) // 2 - 1]) + pixels[start::2] for start in (1, 0)]
    planes = [plane + b"\0" * (len(plane) % 2) for plane in planes]
    header = struct.pack("<16L", 2, 64, 64 + len(planes[0]), *([0] * 13))
    return encapsulated(header + b"".join(planes))


def _rle_lie() -> bytes:
    # One segment that claims to begin far beyond the end.
    header = struct.pack("<16L", 2, 64, 0xFFFFFF00, *([0] * 13))
    return encapsulated(header + b"\x7f" * 64)


def zeros_header(uid: str, pixel_bytes: int) -> bytes:
    """The data set of an image of `pixel_bytes` up to where its pixels begin; zeros are to follow."""
    return image(uid, e7FE00010=element(0x7FE00010, "OW", b"", declared=pixel_bytes))


def part10(uid: str, data: bytes, *, preamble: bytes = bytes(128)) -> bytes:
    """The data set as a file (PS3.10, section 7.1)."""
    meta = text(0x00020002, "UI", MR_IMAGE) + text(0x00020003, "UI", uid) + text(0x00020010, "UI", EXPLICIT)
    return preamble + b"DICM" + element(0x00020000, "UL", struct.pack("<L", len(meta))) + meta + data
