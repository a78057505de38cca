"""NIfTI label maps: every voxel at its place in LPS, names from the operator, and a sentence for anything else."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dicom_listener.label_map import given_label_map, label_map

SHAPE = (7, 6, 5)  # x, y, z as NIfTI has them
RAS = np.eye(4)
RAS[:3, :3] = Rotation.from_euler("xyz", [20, 10, 5], degrees=True).as_matrix() * (1.5, 2.0, 4.0)
RAS[:3, 3] = (-30.0, 12.0, -70.0)
NAMES = {1: "Liver", 3: "Tumour 1"}


def labelled(dtype=np.uint8) -> np.ndarray:
    values = np.zeros(SHAPE, dtype=dtype)
    values[1:6, 1:5, 1:4] = np.random.default_rng(7).choice([0, 1, 3], (5, 4, 3))
    return values


def nifti(values, affine=RAS, *, zipped=False, kind=nibabel.Nifti1Image, unit="mm") -> bytes:
    image = kind(values, affine)
    image.header.set_xyzt_units(unit)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    data = image.to_bytes()
    return gzip.compress(data) if zipped else data


def patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def with_forms(data: bytes, *, qform: int = 1, sform: int = 1, matrix=None) -> bytes:
    """NIfTI-1 with other form codes, and another sform: where the standard puts them."""
    data = patched(data, 252, np.array([qform, sform], "<i2").tobytes())
    return data if matrix is None else patched(data, 280, np.asarray(matrix, "<f4")[:3].tobytes())


def points(mask) -> dict[tuple[float, ...], float]:
    index = np.argwhere(mask.values > 0)
    at = index @ mask.affine_lps_mm[:3, :3].T + mask.affine_lps_mm[:3, 3]
    shares = mask.values[tuple(index.T)]
    return {tuple(np.round(p, 2) + 0.0): round(float(v), 5) for p, v in zip(at, shares, strict=True)}


def truth(shares, affine=RAS) -> dict[tuple[float, ...], float]:
    """The first two axes of RAS and LPS run against each other."""
    index = np.argwhere(shares > 0)
    at = (index @ affine[:3, :3].T + affine[:3, 3]) * (-1.0, -1.0, 1.0)
    return {tuple(np.round(p, 2) + 0.0): round(float(v), 5) for p, v in zip(at, shares[tuple(index.T)], strict=True)}


@pytest.mark.parametrize("zipped", [False, True], ids=["nii", "nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image], ids=["NIfTI-1", "NIfTI-2"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_every_label_lies_where_it_was_drawn(dtype, kind, zipped):
    found, reason = label_map(nifti(labelled(dtype), kind=kind, zipped=zipped), NAMES, name="liver.nii")
    assert reason == ""
    assert (found.label, found.frame_of_reference_uid, found.referenced_series_uids) == ("liver.nii", "", ())
    assert [(s.number, s.name) for s in found.structures] == [(1, "Liver"), (3, "Tumour 1")]
    for structure in found.structures:
        assert points(structure.mask) == truth((labelled() == structure.number).astype(float))
        assert structure.mask.values.dtype == np.float32


def test_a_file_of_the_other_byte_order_is_the_same():
    image = nibabel.Nifti1Image(labelled(np.int16), RAS)
    swapped = nibabel.Nifti1Image(labelled(np.int16), RAS, image.header.as_byteswapped(">"))
    swapped.set_sform(RAS, 1)
    assert swapped.header.endianness == ">"
    found, _ = label_map(swapped.to_bytes(), NAMES)
    assert points(found.structures[0].mask) == truth((labelled() == 1).astype(float))


@pytest.mark.parametrize("form", ["sform", "qform"])
def test_either_form_alone_places_the_map(form):
    far = RAS * 3.0  # what a code of 0 says is not to be used
    codes = {"qform": 0} if form == "sform" else {"sform": 0, "matrix": far}
    data = with_forms(nifti(labelled()), **codes)
    found, reason = label_map(data, NAMES)
    assert reason == ""
    assert points(found.structures[0].mask) == truth((labelled() == 1).astype(float))


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("micron", 0.001), ("unknown", 1.0)])
def test_lengths_are_converted_to_millimetres(unit, factor):
    scaled = np.diag([1 / factor, 1 / factor, 1 / factor, 1.0]) @ RAS
    found, reason = label_map(nifti(labelled(), scaled, unit=unit), NAMES)
    assert ("mm were assumed" in reason) == (unit == "unknown")
    truly = truth((labelled() == 1).astype(float))
    assert np.array(sorted(points(found.structures[0].mask))) == pytest.approx(np.array(sorted(truly)), abs=0.02)


@pytest.mark.parametrize("stored", ["float32", "scaled bytes"])
def test_a_map_of_shares_is_the_occupancy_of_its_one_structure(stored):
    shares = np.rint(np.random.default_rng(1).random(SHAPE) * 255) / 255 * (labelled() > 0)
    if stored == "float32":
        data = nifti(shares.astype(np.float32))
    else:
        data = nifti(np.rint(shares * 255).astype(np.uint8))
        data = patched(data, 112, np.array([1 / 255, 0.0], "<f4").tobytes())
    found, reason = label_map(data, {1: "Liver"})
    assert reason == ""
    assert points(found.structures[0].mask) == pytest.approx(truth(shares), abs=2e-5)
    assert "shares 0…1, of one structure, but 2 labels" in label_map(data, NAMES)[1]


def test_a_binary_map_stored_as_scaled_bytes_is_a_label_map():
    data = patched(nifti((labelled() > 0).astype(np.uint8) * 255), 112, np.array([1 / 255, 0.0], "<f4").tobytes())
    found, reason = label_map(data, {1: "Liver"})
    assert reason == ""
    assert points(found.structures[0].mask) == truth((labelled() > 0).astype(float))


def test_voxels_that_are_no_number_are_outside_and_said_so():
    values = labelled(np.float32)
    values[0, 0, 0] = np.nan
    found, reason = label_map(nifti(values), NAMES)
    assert reason == "Voxels that are no number were taken as outside."
    assert points(found.structures[0].mask) == truth((labelled() == 1).astype(float))


def test_labels_without_voxels_and_voxels_without_a_name_are_told():
    found, reason = label_map(nifti(labelled()), {1: "Liver", 2: "Tumour 1"})
    assert [s.name for s in found.structures] == ["Liver"]
    assert found.unusable == (("Tumour 1", "no voxel has its label, 2"),)
    assert reason == "Labels without a name were left out: 3."


def test_the_largest_labels_are_found():
    values = labelled(np.int32) * 1_000_000
    found, reason = label_map(nifti(values), {1_000_000: "Liver", 3_000_000: "Tumour 1"})
    assert reason == ""
    assert points(found.structures[1].mask) == truth((labelled() == 3).astype(float))


MOVED = RAS + np.array([[0, 0, 0, 5.0]] + [[0.0] * 4] * 3)
FLAT = np.diag([1.0, 1.0, 0.0, 1.0])


REFUSED = {
    "four dimensions": (lambda: nifti(np.zeros((*SHAPE, 2), np.uint8)), "expected one 3-D volume"),
    "two dimensions": (lambda: patched(nifti(labelled()), 40, b"\x02\0"), "2 dimensions"),
    "no place": (lambda: with_forms(nifti(labelled()), qform=0, sform=0), "no place"),
    "an atlas": (lambda: with_forms(nifti(labelled()), qform=0, sform=4), "no place"),
    "two places": (lambda: with_forms(nifti(labelled()), matrix=MOVED), "5.0 mm apart"),
    "flat": (lambda: with_forms(nifti(labelled()), qform=0, matrix=FLAT), "invertible"),
    "unknown unit": (lambda: patched(nifti(labelled()), 123, b"\x05"), "unknown code 5"),
    "complex": (lambda: nifti(labelled().astype(np.complex64)), "complex64"),
    "unknown type": (lambda: patched(nifti(labelled()), 70, b"\x99\x63"), "unknown"),
    "infinite": (lambda: nifti(np.full(SHAPE, np.inf, np.float32)), "infinite"),
    "beyond 1": (lambda: nifti(np.full(SHAPE, 1.5, np.float32)), "neither labels nor"),
    "beyond any label": (lambda: nifti(np.full(SHAPE, 1e30, np.float32)), "no label"),
    "cut off": (lambda: nifti(labelled())[:-10], "cut off"),
    "cut off while compressed": (lambda: nifti(labelled(), zipped=True)[:-20], "damaged"),
    "offset inside the header": (lambda: patched(nifti(labelled()), 108, np.float32(10).tobytes()), "begin at byte"),
    "offset without end": (lambda: patched(nifti(labelled()), 108, np.float32(np.nan).tobytes()), "begin at byte"),
    "a pair of files": (lambda: patched(nifti(labelled()), 344, b"ni1\0"), "pair of files"),
    "DICOM": (lambda: b"\0" * 128 + b"DICM" + b"\0" * 400, "no NIfTI file"),
    "nothing": (lambda: b"", "no NIfTI file"),
    "nothing, compressed": (lambda: gzip.compress(b""), "no NIfTI file"),
    "negative size": (lambda: patched(nifti(labelled()), 42, b"\xff\xff"), "nothing in it"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_be_used_is_a_sentence_and_every_name_unusable(fault):
    make, words = REFUSED[fault]
    found, reason = label_map(make(), NAMES, name="a.nii")
    assert reason.startswith("Label map 'a.nii' cannot be used: ")
    assert words in reason
    assert found.structures == ()
    assert [name for name, _ in found.unusable] == ["Liver", "Tumour 1"]
    assert all(words in why for _, why in found.unusable)


@pytest.mark.parametrize("labels", [{}, {0: "Liver"}, {-1: "Liver"}])
def test_labels_that_mean_nothing_are_refused(labels):
    assert "label" in label_map(nifti(labelled()), labels)[1]


def bomb(n_voxels_a_side: int, ratio: int = 1000) -> bytes:
    """A header that declares a cube, and as many zeros as `ratio` allows."""
    head = bytearray(nifti(np.zeros((2, 2, 2), np.uint8))[:352])
    head[42:48] = np.array([n_voxels_a_side] * 3, "<i2").tobytes()
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = b"\0" * (1 << 20)
    parts = [packer.compress(bytes(head))]
    parts += [packer.compress(zeros) for _ in range(ratio)]
    return b"".join(parts) + packer.flush()


def test_a_decompression_bomb_is_not_inflated():
    data = bomb(2, ratio=40)  # eight voxels, and 40 MB behind them
    tracemalloc.start()
    try:
        found, reason = label_map(data, {1: "Liver"})
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert found.unusable == (("Liver", "no voxel has its label, 1"),)
    assert reason == ""
    assert "more than 67,108,864" in label_map(bomb(30000, ratio=1), {1: "Liver"})[1]
    assert "cannot hold" in label_map(bomb(400, ratio=1), {1: "Liver"})[1]


@pytest.mark.parametrize("zipped", [False, True], ids=["nii", "nii.gz"])
def test_no_byte_of_a_file_can_raise(zipped):
    whole = nifti(labelled(), zipped=zipped)
    numbers = random.Random(5)
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(numbers.choice([1, 1, 2, 8])):
            data[numbers.randrange(min(len(data), 352))] = numbers.randrange(256)
        found, reason = label_map(bytes(data[: numbers.choice([len(data), numbers.randrange(len(data))])]), NAMES)
        assert len(found.structures) + len(found.unusable) == 2
        assert reason or found.structures


def test_other_names_for_the_same_file_are_another_object():
    data = nifti(labelled())
    one, other, same = (label_map(data, labels)[0].sop_instance_uid for labels in (NAMES, {1: "Liver"}, dict(NAMES)))
    assert one != other
    assert one == same


def test_an_event_gives_labels_as_text():
    found = given_label_map(
        {"name": "l.nii", "labels": {"1": "Liver", "3": "Tumour 1", "x": "Other"}}, nifti(labelled())
    )
    assert [s.name for s in found.structures] == ["Liver", "Tumour 1"]
    assert found.unusable == (("Other", "its label is 'x'; labels are whole numbers from 1"),)
    assert given_label_map({}, b"").structures == ()
