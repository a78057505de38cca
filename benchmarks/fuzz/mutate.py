"""Nearly valid DICOM: a sound file with a few things wrong, as broken writers and hostile peers send them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from benchmarks.fuzz.tree import EXPLICIT, IMPLICIT, LONG_LENGTH, PIXEL_DATA, UNDEFINED, Element, File, padded, parse

Mutation = Callable[[File, Random], None]

_VRS = [*sorted(LONG_LENGTH), *"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split(), "??"]  # noqa: SIM905
_SYNTAXES = [
    IMPLICIT,
    EXPLICIT,
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "",
    "1.2.3",
]
_CHARSETS = [b"ISO_IR 192", b"ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"GB18030", b"nonsense", b"\xff\xfe", b""]
_NUMBERS = [
    b"0",
    b"-1",
    b"1e308",
    b"-1e308",
    b"1e-308",
    b"1e999",
    b"nan",
    b"inf",
    b"-inf",
    b"9" * 40,
    b"65536",
    b"2147483648",
    b"1,5",
    b"",
    b" ",
    b"0x10",
    b"1_000",
    b"1\\2\\3\\4\\5\\6\\7",
    b"\\",
    "٣".encode(),
]
_TEXTS = [
    b"../../../etc/passwd",
    b"..",
    b"\0",
    b"a\0b",
    b"9" * 65,
    b"1.2.3\n",
    b"\x1b$B%d",
    b"\xff" * 9,
    b"%s%n{0}",
    b"\xed\xa0\x80",
    "٣.٤".encode(),
    b"",
    b"\\" * 5,
    b"x" * 5000,
]
_TIMES = [b"00010101", b"99991231", b"20260230", b"235960", b"240000", b"99991231235960+1400", b"00010101000000-1200"]
_SOP_CLASSES = [
    b"1.2.840.10008.5.1.4.1.1.4",
    b"1.2.840.10008.5.1.4.1.1.4.1",
    b"1.2.840.10008.5.1.4.1.1.4.4",
    b"1.2.840.10008.5.1.4.1.1.481.3",
    b"1.2.840.10008.5.1.4.1.1.66.4",
    b"1.2.840.10008.5.1.4.1.1.66.7",
]
_SIZES = {0x00280010: "US", 0x00280011: "US", 0x00280100: "US", 0x00280101: "US", 0x00280102: "US", 0x00280103: "US"}
_TEXT_VRS = frozenset(["AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT"])


def mutated(data: bytes, chance: Random, *, others: tuple[bytes, ...] = ()) -> bytes:
    """Return the sound file `data` after one to four mutations of its tree and, one time in three, of its bytes.

    Parameters
    ----------
    chance
        Decides everything: the same state gives the same bytes.
    others
        Sound files to take elements from.
    """
    file = parse(data)
    foreign = [parse(other) for other in others[:1]]
    for _ in range(chance.randint(1, 4)):
        if foreign and chance.random() < 0.1:
            chance.choice(file.all_lists()).append(
                chance.choice(chance.choice(foreign[0].all_lists()) or file.elements)
            )
        else:
            chance.choice(_MUTATIONS)(file, chance)
    encoded = file.encoded()
    return mutated_bytes(encoded, chance, others) if chance.random() < 0.33 else encoded


def mutated_bytes(data: bytes, chance: Random, others: tuple[bytes, ...] = ()) -> bytes:
    """Return `data` cut, flipped, overwritten or joined with another."""
    kind, at = chance.randrange(6), chance.randrange(len(data) + 1)
    if kind == 0:
        return data[:at]
    if kind == 1 and data:
        flipped = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(flipped)
    if kind == 2:
        return data[:at] + chance.randbytes(chance.randint(1, 16)) + data[at:]
    if kind == 3:
        return data[:at] + data[at + chance.randint(1, 64) :]
    if kind == 4:
        word = chance.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"])
        return data[:at] + word + data[at + len(word) :]
    return data + (chance.choice(others) if others else data)


def _one(file: File, chance: Random) -> tuple[list[Element], int]:
    """Return a list of elements that is not empty, and a place in it; the top level half the time."""
    lists = [found for found in file.all_lists() if found] or [[Element(tag=0x00080060, vr="CS", value=b"MR")]]
    chosen = lists[0] if chance.random() < 0.5 else chance.choice(lists)
    return chosen, chance.randrange(len(chosen))


def _change_vr(file: File, chance: Random) -> None:
    elements, at = _one(file, chance)
    elements[at].vr = chance.choice(_VRS)


def _lie_about_length(file: File, chance: Random) -> None:
    elements, at = _one(file, chance)
    true = len(elements[at].value)
    lies = [0, 1, true + 1, true + 2, max(0, true - 1), 0xFFFF, UNDEFINED, 0xFFFFFFFE, 1 << 31, 0xFFFFFFF]
    elements[at].length = chance.choice(lies)


def _toggle_undefined(file: File, chance: Random) -> None:
    elements, at = _one(file, chance)
    elements[at].undefined = not elements[at].undefined
    elements[at].undefined_items = chance.random() < 0.5


def _drop(file: File, chance: Random) -> None:
    elements, at = _one(file, chance)
    del elements[at]


def _duplicate(file: File, chance: Random) -> None:
    elements, at = _one(file, chance)
    twin = elements[at].copy()
    _replace(twin, chance)
    elements.insert(chance.randrange(len(elements) + 1), twin)


def _swap(file: File, chance: Random) -> None:
    elements, at = _one(file, chance)
    other = chance.randrange(len(elements))
    elements[at], elements[other] = elements[other], elements[at]


def _nest(file: File, chance: Random) -> None:
    elements, at = _one(file, chance)
    inner = elements[at]
    for _ in range(chance.choice([1, 1, 2, 49, 60, 120])):
        undefined = chance.random() < 0.5
        inner = Element(
            tag=inner.tag,
            vr=chance.choice(["SQ", "SQ", "UN", "OB"]),
            items=[[inner]],
            undefined=undefined,
            undefined_items=chance.random() < 0.5,
        )
    elements[at] = inner


def _unnest(file: File, chance: Random) -> None:
    elements, at = _one(file, chance)
    if elements[at].items:
        elements[at : at + 1] = elements[at].items[0]


def _empty_or_repeat_items(file: File, chance: Random) -> None:
    sequences = [element for found in file.all_lists() for element in found if element.items is not None]
    if sequences:
        element = chance.choice(sequences)
        items = element.items or [[]]
        element.items = chance.choice([[], [[]], items[1:], items * 2, [*items, []], items[::-1]])


def _replace_value(file: File, chance: Random) -> None:
    elements, at = _one(file, chance)
    _replace(elements[at], chance)


def _replace(element: Element, chance: Random) -> None:
    element.items = None
    if element.vr in ("DS", "IS"):
        parts = element.value.split(b"\\")
        parts[chance.randrange(len(parts))] = chance.choice(_NUMBERS)
        element.value = padded(b"\\".join(parts), b" ")
    elif element.vr in ("DA", "TM", "DT"):
        element.value = padded(chance.choice(_TIMES + _NUMBERS), b" ")
    elif element.vr in ("FD", "FL"):
        number = chance.choice([0.0, -1.0, float("nan"), float("inf"), 3e38])
        element.value = struct.pack("<d" if element.vr == "FD" else "<f", number)
    elif element.tag == 0x00080005:
        element.value = padded(chance.choice(_CHARSETS), b" ")
    elif element.tag == 0x00080016:
        element.value = padded(chance.choice(_SOP_CLASSES))
    elif element.vr in _TEXT_VRS:
        element.value = chance.choice(_TEXTS + _NUMBERS)
    else:
        element.value = chance.choice(
            [b"", element.value[:-1], element.value * 2, chance.randbytes(len(element.value))]
        )


def _change_numbers(file: File, chance: Random) -> None:
    numbers = [e for found in file.all_lists() for e in found if e.vr in ("DS", "IS", "FD", "FL", "DA", "TM", "DT")]
    if numbers:
        _replace(chance.choice(numbers), chance)


def _change_sizes(file: File, chance: Random) -> None:
    tag = chance.choice([*_SIZES, 0x00280008])
    number = chance.choice([0, 1, 2, 7, 8, 12, 15, 16, 17, 32, 64, 255, 65535])
    value = struct.pack("<H", number) if tag in _SIZES else padded(chance.choice(_NUMBERS), b" ")
    kept = [element for element in file.elements if element.tag != tag]
    file.elements = sorted([*kept, Element(tag=tag, vr=_SIZES.get(tag, "IS"), value=value)], key=lambda e: e.tag)


def _change_pixels(file: File, chance: Random) -> None:
    for element in file.elements:
        if element.tag == PIXEL_DATA and element.fragments is not None:
            fragments = element.fragments or [b""]
            last = fragments[-1]
            element.fragments = chance.choice(
                [
                    [],
                    fragments[:1],
                    fragments * 3,
                    [*fragments[:-1], last[: chance.randrange(len(last) + 1)]],
                    [*fragments[:-1], struct.pack("<L", 0xFFFFFFFF) + last[4:]],
                    [*fragments[:-1], last[:4] + struct.pack("<15L", *[chance.randrange(1 << 32)] * 15) + last[64:]],
                    [b"\0"] * 500,
                ]
            )
        elif element.tag == PIXEL_DATA:
            value = element.value
            element.value = chance.choice([b"", value[:-1], value[:-2], value * 2, value + b"\0", bytes(len(value))])


def _move_private_blocks(file: File, chance: Random) -> None:
    for found in file.all_lists():
        for element in found:
            group, number = element.tag >> 16, element.tag & 0xFFFF
            if group % 2 and chance.random() < 0.7:
                number = number + 1 if number < 0x100 else number + chance.choice([0x100, 1])
                element.tag = group << 16 | number & 0xFFFF
                element.vr = chance.choice([element.vr, "UN"])


def _break_meta(file: File, chance: Random) -> None:
    kind = chance.randrange(7)
    if kind == 0 and file.meta:
        del file.meta[chance.randrange(len(file.meta))]
    elif kind == 1:
        file.meta_length = chance.choice([0, 1, 0xFFFF, UNDEFINED])
    elif kind == 2:
        file.preamble = chance.randbytes(chance.choice([0, 128, 128, 127]))
    elif kind == 3:
        file.prefix = chance.choice([b"", b"DICN", b"DICMDICM"])
    elif kind == 4:
        _replace_value(File(meta=[], elements=file.meta), chance)
    elif kind == 5:
        file.explicit = not file.explicit  # what is declared and what is written disagree
    else:
        declared = file.with_syntax(chance.choice(_SYNTAXES))
        file.meta, file.explicit = declared.meta, declared.explicit


def _add_tail(file: File, chance: Random) -> None:
    late = chance.choice(file.elements).copy() if file.elements else Element(tag=0x00100020, vr="LO", value=b"X ")
    _replace(late, chance)
    file.tail = chance.choice([bytes(64), b"\n", b"\xff" * 9, File(meta=[], elements=[late]).encoded()[144:]])


def _add_delimiter(file: File, chance: Random) -> None:
    elements, at = _one(file, chance)
    tag = chance.choice([0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x00000002, 0x00020010, 0xFFFCFFFC])
    elements.insert(at, Element(tag=tag, vr=chance.choice(["OB", "UL", "UN", "\0\0"]), value=bytes(4)))


_MUTATIONS: list[Mutation] = [
    _change_vr,
    _lie_about_length,
    _toggle_undefined,
    _drop,
    _duplicate,
    _swap,
    _nest,
    _unnest,
    _empty_or_repeat_items,
    _replace_value,
    _replace_value,
    _change_numbers,
    _change_numbers,
    _change_numbers,
    _change_sizes,
    _change_pixels,
    _move_private_blocks,
    _break_meta,
    _add_tail,
    _add_delimiter,
]
