"""What fuzzing and thought have found, each as the smallest file that shows it."""

from __future__ import annotations

import struct
import time
from datetime import UTC

import pytest

from benchmarks.fuzz.laws import decoding_tells_what_it_found, header_is_read_or_refused, times_are_read_or_not
from benchmarks.fuzz.seeds import PATIENT_ID, seeds
from benchmarks.fuzz.tree import EXPLICIT, IMPLICIT, PIXEL_DATA, Element, encode, parse
from dicom_listener import instance_header
from dicom_listener.instance_header import UnreadableInstanceError, read_header
from dicom_listener.same_content import same_content
from dicom_listener.times import parse_date, parse_date_time

OTHER = Element(tag=0x00100020, vr="LO", value=b"OTHER-PATIENT ")
ITEM, ITEM_END, SEQUENCE_END = (b"\xfe\xff" + end for end in (b"\x00\xe0", b"\x0d\xe0", b"\xdd\xe0"))
PRIVATE = 0x00091010


def with_inserted(raw: bytes, syntax: str = EXPLICIT, before: int = 0x00100020, kind: str = "siemens_classic") -> bytes:
    """A sound file with raw bytes in front of one of its elements."""
    file = parse(seeds()[kind]).with_syntax(syntax)
    front = [element for element in file.elements if element.tag < before]
    back = [element for element in file.elements if element.tag >= before]
    whole, end = file.encoded(), encode(back, explicit=file.explicit)
    file.elements = front
    start = file.encoded()
    assert start + end == whole
    return start + raw + end


def head(tag: int, vr: bytes, length: int) -> bytes:
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, length)


def implicit_head(tag: int, length: int) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length)


def item(length: int) -> bytes:
    return ITEM + struct.pack("<L", length)


# Other readers end the data set at a stray item delimiter: the patient behind it was another one to them.
STRAY_DELIMITER = with_inserted(encode([OTHER], explicit=False) + ITEM_END + bytes(4), IMPLICIT)
# An item declared shorter than its elements: others go on behind the elements, where another patient stands.
OVERRUN = with_inserted(
    head(PRIVATE, b"SQ", 0xFFFFFFFF)
    + item(8)
    + head(PRIVATE, b"OB", 12)[:8]
    + struct.pack("<L", 40)
    + bytes(40)
    + SEQUENCE_END
    + bytes(4)
)
# A sequence of unknown representation holds implicit data sets; others take letters there for explicit ones.
EXPLICIT_IN_UNKNOWN = with_inserted(
    head(PRIVATE, b"UN", 0xFFFFFFFF)
    + item(0xFFFFFFFF)
    + struct.pack("<HH2sH", 0x0009, 0x1011, b"LO", 0)
    + bytes(0x4F4C)
    + ITEM_END
    + bytes(4)
    + SEQUENCE_END
    + bytes(4)
)
# Declared implicit, but what comes first looks explicit: its length would be 17 kB.
EXPLICIT_AS_IMPLICIT = with_inserted(
    struct.pack("<HH2sH", 0x0008, 0x0001, b"CS", 0) + bytes(0x5343), IMPLICIT, before=0
)
BEHIND_PIXELS = seeds()["siemens_classic"] + encode([OTHER], explicit=True)
BEHIND_NOISE_BEHIND_PIXELS = seeds()["siemens_classic"] + b"\1\0\1\0??\0\0" + encode([OTHER], explicit=True)
NO_TEXT = with_inserted(head(0x00100020, b"OB", 8) + b"EM1-004 ", before=0x00100021)
A_NOVEL = with_inserted(head(0x00100021, b"UT", 5000) + b"x" * 5000, before=0x00100030)
COMMAND = with_inserted(struct.pack("<HH2sH", 0, 0x0100, b"US", 2) + b"\1\0", before=0)
# Fragments have a length each; a nested one ended elsewhere for others.
NESTED_FRAGMENTS = with_inserted(
    head(PRIVATE, b"OB", 0xFFFFFFFF) + item(0xFFFFFFFF) + ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)
)
DELIMITER_WITH_REPRESENTATION = with_inserted(
    head(PRIVATE, b"SQ", 0xFFFFFFFF) + item(0xFFFFFFFF) + ITEM_END + b"OB\0\0" + SEQUENCE_END + bytes(4)
)


@pytest.mark.parametrize(
    "data",
    [
        STRAY_DELIMITER,
        OVERRUN,
        EXPLICIT_IN_UNKNOWN,
        EXPLICIT_AS_IMPLICIT,
        BEHIND_PIXELS,
        BEHIND_NOISE_BEHIND_PIXELS,
        NO_TEXT,
        A_NOVEL,
        COMMAND,
        NESTED_FRAGMENTS,
        DELIMITER_WITH_REPRESENTATION,
    ],
    ids=[
        "stray delimiter",
        "item overrun",
        "explicit in unknown",
        "explicit as implicit",
        "behind the pixels",
        "behind noise",
        "no text",
        "a novel",
        "command",
        "nested fragments",
        "delimiter with a representation",
    ],
)
def test_what_two_readers_could_take_differently_is_refused(data):
    with pytest.raises(UnreadableInstanceError):
        read_header(data)


@pytest.mark.parametrize(
    "tail", [b"", bytes(64), b"\n", b"\xff" * 9, encode([Element(tag=0x7FE10010, vr="LO")], explicit=True)]
)
def test_what_follows_the_pixels_may_be_padding_or_private(tail):
    assert header_is_read_or_refused(seeds()["siemens_classic"] + tail).patient_id == PATIENT_ID


def test_what_follows_the_pixels_counts():
    data = seeds()["siemens_classic"]
    one, other = (data + encode([Element(tag=0x7FE11010, vr="OB", value=v)], explicit=True) for v in (b"ab", b"ac"))
    assert not same_content(one, other)
    assert not same_content(data, one)
    assert same_content(data + bytes(64), data)


def test_bytes_that_begin_like_a_sequence_are_bytes():
    broken = [ITEM + struct.pack("<L", 4) + last for last in (b"\1\2\3\4", b"\1\2\3\5")]
    one, other = (with_inserted(head(PRIVATE, b"UN", 12) + value) for value in broken)
    assert not same_content(one, other)
    assert same_content(one, one[:10] + b"\1" + one[11:])


def test_two_data_sets_of_20000_nested_sequences_are_compared_at_once():
    depth = 20_000
    start = (head(PRIVATE, b"SQ", 0xFFFFFFFF) + item(0xFFFFFFFF)) * depth
    end = (ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)) * depth
    one, other = (
        with_inserted(start + encode([Element(tag=PRIVATE, vr="LO", value=v)], explicit=True) + end)
        for v in (b"ab", b"ac")
    )
    began = time.perf_counter()
    assert not same_content(one, other)
    assert same_content(one, b"\1" + one[1:])
    assert time.perf_counter() - began < 10.0


@pytest.mark.parametrize("kind", ["elements", "items", "nested elements", "fragments"])
def test_the_time_of_reading_grows_with_the_size_only(kind):
    def built(n):
        empty = struct.pack("<HH2sH", 0x0009, 0x1011, b"LO", 0)
        middle = {"elements": empty * n, "items": item(0) * n, "fragments": item(0) * n, "nested elements": empty * n}[
            kind
        ]
        if kind == "elements":
            return with_inserted(middle)
        if kind == "nested elements":
            depth = 48
            return with_inserted(
                (head(PRIVATE, b"SQ", 0xFFFFFFFF) + item(0xFFFFFFFF)) * depth
                + middle
                + (ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)) * depth
            )
        return with_inserted(
            head(PRIVATE, b"OB" if kind == "fragments" else b"SQ", 0xFFFFFFFF) + middle + SEQUENCE_END + bytes(4)
        )

    def seconds(n):
        one, other = built(n), built(n).replace(b"EM1-004", b"EM1-005")
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            assert not same_content(one, other)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(16_000) < 20 * seconds(2_000) + 0.1


def test_more_elements_than_any_image_has_are_refused(monkeypatch):
    monkeypatch.setattr(instance_header, "MOST_ELEMENTS", 50_000)
    data = with_inserted(struct.pack("<HHL", 0x0009, 0x1011, 0) * 51_000, IMPLICIT)
    with pytest.raises(UnreadableInstanceError, match="too many elements"):
        read_header(data)


def test_too_many_elements_to_compare_count_as_different(monkeypatch):
    empty = struct.pack("<HH2sH", 0x0009, 0x1011, b"LO", 0)
    data = with_inserted(head(PRIVATE, b"SQ", 8 + 8 * 5_000) + item(8 * 5_000) + empty * 5_000)
    implicit = parse(data).with_syntax(IMPLICIT).encoded()
    assert same_content(data, implicit)
    monkeypatch.setattr("dicom_listener.same_content._MOST_COMPARED", 4_000)
    assert same_content(data, b"\1" + data[1:])  # equal bytes of the data set
    assert not same_content(data, implicit)


@pytest.mark.parametrize("text", ["20260304\n", "٢٠٢٦٠٣٠٤", "2026-03-04\n"])
def test_only_ascii_digits_are_a_date(text):
    assert parse_date(text) is None


@pytest.mark.parametrize("text", ["00010101000000+1400", "99991231235960-1200", "99991231235960"])
def test_times_that_no_other_zone_can_hold_are_no_times(text):
    assert parse_date_time(text, UTC) is None
    times_are_read_or_not(text.encode())


@pytest.mark.parametrize("kind", ["segmentation", "siemens_classic"])
def test_a_name_of_an_unknown_representation_and_no_length_is_no_name(kind):
    file = parse(seeds()[kind])
    for element in file.elements:
        if element.tag == 0x00100010:
            element.vr, element.value = "P\1", b""
    assert decoding_tells_what_it_found(file.encoded()).patient.name == ""


def test_the_pixel_data_are_where_the_tests_think():
    assert parse(seeds()["siemens_classic"]).elements[-1].tag == PIXEL_DATA
