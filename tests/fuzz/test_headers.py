"""Headers and contents of nearly valid files: read alike by all readers, or refused; never anything else."""

from __future__ import annotations

import struct
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz.laws import content_equals_itself, header_is_read_or_refused, times_are_read_or_not
from benchmarks.fuzz.mutate import mutated
from benchmarks.fuzz.seeds import PATIENT_ID, seeds
from benchmarks.fuzz.tree import EXPLICIT, IMPLICIT, Element, File, parse
from dicom_listener.instance_header import read_header
from dicom_listener.same_content import same_content

KINDS = sorted(seeds())
NATIVE = [kind for kind in KINDS if kind not in ("rle", "jpeg_lossless")]
BOUNDED = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], print_blob=False
)
DERIVATION = 0x00082111
"""Derivation Description: the one value that archives change and that does not count."""
SEED = st.integers(0, 2**32 - 1)


@settings(BOUNDED, max_examples=400)
@given(kind=st.sampled_from(KINDS), seed=SEED)
def test_a_header_is_read_as_pydicom_reads_it_or_refused(kind, seed):
    header_is_read_or_refused(mutated(seeds()[kind], Random(seed), others=(seeds()["philips_enhanced"],)))


@settings(BOUNDED, max_examples=150)
@given(kind=st.sampled_from(KINDS), seed=SEED)
def test_equality_of_content_is_reflexive_and_symmetric(kind, seed):
    chance = Random(seed)
    content_equals_itself(mutated(seeds()[kind], chance), mutated(seeds()[kind], chance))


@settings(BOUNDED, max_examples=100)
@given(kind=st.sampled_from(NATIVE), seed=SEED)
def test_the_encoding_of_a_data_set_is_not_its_content(kind, seed):
    chance = Random(seed)
    one, other = (encoded_otherwise(parse(seeds()[kind]), chance) for _ in range(2))
    assert same_content(one, other)
    assert read_header(one).patient_id == read_header(other).patient_id == PATIENT_ID


@settings(BOUNDED, max_examples=150)
@given(kind=st.sampled_from(KINDS), seed=SEED)
def test_any_changed_value_is_another_content(kind, seed):
    chance = Random(seed)
    file = parse(seeds()[kind])
    changed = file.copy()
    elements = chance.choice([found for found in changed.all_lists() if found])
    element = chance.choice([element for element in elements if element.tag != DERIVATION])
    if element.items is not None:
        element.items = [*element.items, []]
    elif element.fragments is not None:
        element.fragments[-1] += b"\1\0"
    elif element.value:
        at = chance.randrange(len(element.value.rstrip(b"\0 ")) or 1)
        element.value = element.value[:at] + bytes([element.value[at] ^ 0x21]) + element.value[at + 1 :]
    else:
        element.value = b"\1\1"
    recoded = encoded_otherwise(changed, chance) if kind in NATIVE else changed.encoded()
    assert not same_content(seeds()[kind], recoded)


@settings(BOUNDED, max_examples=300)
@given(data=st.binary(max_size=40) | st.text("0123456789.:+-٣ \n\\", max_size=30).map(str.encode))
def test_times_are_read_or_not(data):
    times_are_read_or_not(data)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT], ids=["implicit", "explicit"])
def test_every_truncation_is_refused_or_leaves_the_identity_alone(syntax):
    data = parse(seeds()["siemens_classic"]).with_syntax(syntax).encoded()
    for length in range(0, len(data) - 1, 7):
        found = header_is_read_or_refused(data[:length])
        assert found is None or found.patient_id in ("", PATIENT_ID)


def encoded_otherwise(file: File, chance: Random) -> bytes:
    """The same data set in another encoding: syntax, sequences' lengths, padding, group lengths, trailing padding."""
    other = file.with_syntax(chance.choice([IMPLICIT, EXPLICIT]))
    for elements in other.all_lists():
        for element in elements:
            if element.items is not None:
                element.undefined, element.undefined_items = chance.random() < 0.5, chance.random() < 0.5
                if other.explicit and element.undefined is False and chance.random() < 0.2:
                    element.vr = "UN"
            # The padding of private elements is not known to be padding, but for their creators'.
            elif (
                element.vr in ("LO", "PN", "CS", "DS", "IS") and is_public_or_creator(element) and chance.random() < 0.3
            ):
                element.value += b"  "
        if elements and chance.random() < 0.3:
            group = elements[0].tag >> 16
            elements.insert(0, Element(tag=group << 16, vr="UL", value=struct.pack("<L", chance.randrange(999))))
    if chance.random() < 0.5:
        other.elements.append(Element(tag=0xFFFCFFFC, vr="OB", value=bytes(2 * chance.randrange(20))))
    other.preamble = chance.randbytes(128)
    return other.encoded()


def test_a_remark_of_the_archive_on_its_compression_does_not_count():
    file = parse(seeds()["siemens_classic"])
    remarked = file.copy()
    remarked.elements.append(Element(tag=DERIVATION, vr="ST", value=b"Lossless JPEG compression "))
    remarked.elements.sort(key=lambda element: element.tag)
    assert same_content(file.encoded(), remarked.encoded())


def is_public_or_creator(element: Element) -> bool:
    return element.tag >> 16 & 1 == 0 or 0x10 <= element.tag & 0xFFFF <= 0xFF


def test_the_tree_writes_what_it_read():
    for data in seeds().values():
        assert parse(data).encoded()[132:] == data[132:]
