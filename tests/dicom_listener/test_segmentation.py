"""Segmentations and label map segmentations: every voxel's share at its place in the patient, or a sentence."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydicom.sequence import Sequence as Items
from pydicom.uid import ImplicitVRLittleEndian, RLELossless
from scipy.spatial.transform import Rotation

from dicom_listener.decode import decode

from .segmentations import FRAME, affine_of, item, part10, segmentation

OBLIQUE = Rotation.from_euler("xyz", [20, 10, 5], degrees=True).as_matrix()
SHAPE = (6, 7, 9)  # 63 voxels a frame: no frame but the first begins with a byte


def region(seed: int, share: float = 0.3) -> np.ndarray:
    """Random voxels, with an empty plane inside and an empty rim."""
    values = np.zeros(SHAPE)
    values[1:5, 1:6, 2:8] = np.random.default_rng(seed).random((4, 5, 6)) < share
    values[1, 2, 3] = values[4, 2, 3] = 1
    values[3] = 0
    return values


LIVER, FIRST, SECOND = region(1, 0.9), region(2), region(3)
REGIONS = {"Liver": LIVER, "Tumour 1": FIRST, "Tumour 2": SECOND}


def decoded(dataset, syntax=None):
    data = part10(dataset) if syntax is None else part10(dataset, syntax)
    return decode(data, time_zone=ZoneInfo("Europe/Amsterdam"))


def by_voxel(structure) -> dict[tuple[float, float, float], float]:
    """The share at every voxel centre that has one, LPS mm."""
    index = np.argwhere(structure.mask.values > 0)
    points = index @ structure.mask.affine_lps_mm[:3, :3].T + structure.mask.affine_lps_mm[:3, 3]
    shares = structure.mask.values[tuple(index.T)]
    return {tuple(np.round(p, 3) + 0.0): round(float(v), 5) for p, v in zip(points, shares, strict=True)}


def truth(values: np.ndarray, affine: np.ndarray) -> dict[tuple[float, float, float], float]:
    index = np.argwhere(values > 0)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    return {
        tuple(np.round(p, 3) + 0.0): round(float(v), 5) for p, v in zip(points, values[tuple(index.T)], strict=True)
    }


@pytest.mark.parametrize("rotation", [None, OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("per_frame", [False, True], ids=["shared", "per frame"])
@pytest.mark.parametrize("order", [None, 1, 2], ids=["in order", "shuffled", "shuffled again"])
def test_every_voxel_of_every_segment_lies_where_it_was_drawn(rotation, per_frame, order):
    affine = affine_of(rotation=rotation)
    found = decoded(segmentation(REGIONS, affine, per_frame_geometry=per_frame, order=order))
    assert found.reason == ""
    read = found.structure_set
    assert (read.label, read.frame_of_reference_uid, read.referenced_series_uids) == ("SEG", FRAME, ("1.2.7",))
    assert [(s.number, s.name) for s in read.structures] == [(1, "Liver"), (2, "Tumour 1"), (3, "Tumour 2")]
    for structure, values in zip(read.structures, REGIONS.values(), strict=True):
        assert by_voxel(structure) == truth(values, affine)
        assert structure.mask.values.dtype == np.float32
        assert not structure.mask.values.flags.writeable
    assert read.structures[0].mask.values.shape == (4, 5, 6), "the empty rim is left out"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, None], ids=["implicit", "explicit"])
def test_empty_frames_that_are_sent_say_nothing_more(syntax):
    affine = affine_of()
    sparse, dense = (
        decoded(segmentation(REGIONS, affine, every_frame=every), syntax).structure_set for every in (False, True)
    )
    for one, other in zip(sparse.structures, dense.structures, strict=True):
        assert np.array_equal(one.mask.values, other.mask.values)
        assert one.mask.affine_lps_mm == pytest.approx(other.mask.affine_lps_mm, abs=1e-6)


def test_segments_may_overlap():
    read = decoded(segmentation({"Liver": LIVER, "Tumour 1": FIRST}, affine_of())).structure_set
    one, other = (set(by_voxel(structure)) for structure in read.structures)
    assert one & other
    assert one & other == set(truth(LIVER * FIRST, affine_of()))


@pytest.mark.parametrize("maximum", [1, 100, 255])
def test_fractions_are_shares_of_the_stated_maximum(maximum):
    shares = np.rint(LIVER * np.random.default_rng(4).random(SHAPE) * maximum) / maximum
    shares[1, 2, 3] = shares[4, 2, 3] = 1.0
    found = decoded(segmentation({"Liver": shares}, affine_of(), kind="FRACTIONAL", maximum=maximum))
    assert found.reason == ""
    assert by_voxel(found.structure_set.structures[0]) == truth(shares, affine_of())


def test_probabilities_are_taken_as_shares_and_said_to_be():
    found = decoded(segmentation(REGIONS, affine_of(), kind="FRACTIONAL", fractional_type="PROBABILITY"))
    assert "probabilities" in found.reason
    assert found.structure_set.remark == found.reason
    assert by_voxel(found.structure_set.structures[1]) == truth(FIRST, affine_of())


def disjoint() -> dict[str, np.ndarray]:
    return {"Liver": LIVER * (FIRST == 0), "Tumour 1": FIRST}


@pytest.mark.parametrize("wide", [False, True], ids=["8 bit", "16 bit"])
def test_a_label_map_gives_each_voxel_to_one_segment(wide):
    made = segmentation(disjoint(), affine_of(), kind="LABELMAP", order=3)
    if wide:
        labels = np.frombuffer(made.PixelData, np.uint8).astype("<u2")[: made.NumberOfFrames * 63]
        # Segment numbers beyond a byte.
        made.PixelData = np.where(labels == 2, 700, labels).astype("<u2").tobytes()
        made["PixelData"].VR = "OW"
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
        made.SegmentSequence[1].SegmentNumber = 700
    made.SegmentSequence.insert(0, item(SegmentNumber=0, SegmentLabel="Background"))
    found = decoded(made)
    assert found.reason == ""
    assert [s.name for s in found.structure_set.structures] == ["Liver", "Tumour 1"]
    for structure, values in zip(found.structure_set.structures, disjoint().values(), strict=True):
        assert by_voxel(structure) == truth(values, affine_of())


def test_a_fractional_segmentation_may_be_run_length_coded():
    made = segmentation(REGIONS, affine_of(), kind="FRACTIONAL")
    part10(made)
    made.compress(RLELossless, encoding_plugin="pydicom")  # GDCM aborts on it
    read = decoded(made, RLELossless).structure_set
    assert by_voxel(read.structures[1]) == truth(FIRST, affine_of())


def test_a_single_plane_is_as_thick_as_stated():
    one = np.zeros(SHAPE)
    one[2, 2:4, 2:4] = 1
    for measures, thickness in (({}, 4.0), ({"SpacingBetweenSlices": None, "SliceThickness": 3.0}, 3.0)):
        read = decoded(segmentation({"Liver": one}, affine_of(), measures=measures)).structure_set
        assert np.linalg.norm(read.structures[0].mask.affine_lps_mm[:3, 0]) == pytest.approx(thickness)
    neither = {"SpacingBetweenSlices": None, "SliceThickness": None}
    found = decoded(segmentation({"Liver": one}, affine_of(), measures=neither))
    assert "shows one plane" in found.reason


@pytest.mark.parametrize("stated", [None, 0.0, 4.0, -4.0])
def test_the_distance_of_slices_is_that_of_their_positions(stated):
    measures = {"SpacingBetweenSlices": stated, "SliceThickness": 7.0}
    found = decoded(segmentation(REGIONS, affine_of(), measures=measures))
    assert found.reason == ""
    assert by_voxel(found.structure_set.structures[0]) == truth(LIVER, affine_of())


def test_a_stated_distance_that_no_two_planes_have_is_not_followed():
    dense = np.zeros(SHAPE)
    dense[:, 2:4, 2:4] = 1
    found = decoded(segmentation({"Liver": dense}, affine_of(), measures={"SpacingBetweenSlices": 1.0}))
    assert "SpacingBetweenSlices of the segmentation is 1 mm, but its planes lie 4 mm apart" in found.reason
    assert by_voxel(found.structure_set.structures[0]) == truth(dense, affine_of())


def test_a_volume_sheared_by_a_tilted_gantry_is_placed_as_it_lies():
    affine = affine_of()
    affine[:3, 0] += (0.0, 0.8, 0.0)
    found = decoded(segmentation(REGIONS, affine))
    assert found.reason == ""
    assert by_voxel(found.structure_set.structures[0]) == truth(LIVER, affine)


def test_a_described_segment_without_voxels_is_told_by_name():
    found = decoded(segmentation({"Liver": LIVER, "Tumour 1": np.zeros(SHAPE)}, affine_of()))
    assert [s.name for s in found.structure_set.structures] == ["Liver"]
    assert found.structure_set.unusable == (("Tumour 1", "no voxel belongs to it"),)


def test_frames_of_a_segment_that_is_not_described_are_left_out_and_told():
    made = segmentation(REGIONS, affine_of())
    del made.SegmentSequence[2]
    found = decoded(made)
    assert [s.name for s in found.structure_set.structures] == ["Liver", "Tumour 1"]
    assert "not described were left out: 3" in found.reason


def test_the_same_frame_twice_is_one_frame_and_two_that_differ_are_refused():
    found = decoded(segmentation({"Liver": LIVER}, affine_of(), frames=lambda every: [*every, every[0]]))
    assert by_voxel(found.structure_set.structures[0]) == truth(LIVER, affine_of())
    other = segmentation({"Liver": LIVER}, affine_of(), frames=lambda f: [*f, (f[0][0], f[0][1], 1 - f[0][2])])
    assert "show one segment on one plane and differ" in decoded(other).reason


def shifted(made, frame, by):
    position = made.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0]
    position.ImagePositionPatient = [float(v) + s for v, s in zip(position.ImagePositionPatient, by, strict=True)]


def without_group(keyword):
    return lambda made: delattr(made.SharedFunctionalGroupsSequence[0], keyword)


def other_orientation(made):
    made.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence = Items(
        [item(ImageOrientationPatient=[1, 0, 0, 0, 0, 1])]
    )


FAULTS = {
    "no orientation": (without_group("PlaneOrientationSequence"), "ImageOrientationPatient is missing"),
    "no pixel spacing": (without_group("PixelMeasuresSequence"), "PixelSpacing is missing"),
    "no position": (
        lambda made: delattr(made.PerFrameFunctionalGroupsSequence[0], "PlanePositionSequence"),
        "ImagePositionPatient is missing",
    ),
    "uneven": (lambda made: shifted(made, 1, (0, 0, 1.4)), "not evenly spaced"),
    "shifted in the plane": (lambda made: shifted(made, 1, (1.0, 0, 0)), "shifted within their planes"),
    "not parallel": (other_orientation, "not parallel"),
    "tiled": (lambda made: setattr(made, "DimensionOrganizationType", "TILED_FULL"), "TILED"),
    "tiled by its matrix": (lambda made: setattr(made, "TotalPixelMatrixColumns", 9), "TILED"),
    "unknown type": (lambda made: setattr(made, "SegmentationType", "SURFACE"), "SegmentationType is 'SURFACE'"),
    "no frames": (lambda made: setattr(made, "NumberOfFrames", 0), "0 frames"),
    "more frames than described": (lambda made: setattr(made, "NumberOfFrames", 60000), "declares 60000 frames"),
    "larger than its bytes": (lambda made: setattr(made, "Rows", 65535), "is truncated or its header is wrong"),
    "cut off": (lambda made: setattr(made, "PixelData", made.PixelData[:-10]), "is truncated or its header"),
    "no pixels": (lambda made: delattr(made, "PixelData"), "no pixel data"),
    "no segment number": (
        lambda made: delattr(made.PerFrameFunctionalGroupsSequence[0], "SegmentIdentificationSequence"),
        "frame 1 does not say which segment",
    ),
    "planes kilometres apart": (lambda made: shifted(made, 1, (0, 0, 4e6)), "the header is wrong"),
    "farther than numbers reach": (lambda made: shifted(made, 1, (0, 0, 1e300)), "the header is wrong"),
    "more slices than any volume": (lambda made: shifted(made, 1, (0, 0, 8e4)), "reach over 20002 slices"),
    "position not a number": (lambda made: shifted(made, 1, (float("nan"), 0, 0)), "Position"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_a_sentence_and_every_segment_unusable(fault):
    change, words = FAULTS[fault]
    made = segmentation({"Liver": LIVER, "Tumour 1": FIRST}, affine_of())
    change(made)
    found = decoded(made)
    assert words in found.reason
    assert found.reason.startswith("The segmentation cannot be used: ")
    assert found.structure_set.structures == ()
    assert [name for name, _ in found.structure_set.unusable] == ["Liver", "Tumour 1"]
    assert all(words in why for _, why in found.structure_set.unusable)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda made: delattr(made, "MaximumFractionalValue"), "states no MaximumFractionalValue"),
        (lambda made: setattr(made, "MaximumFractionalValue", 3), "beyond its MaximumFractionalValue of 3"),
        (lambda made: setattr(made, "PixelRepresentation", 1), "signed"),
        (lambda made: setattr(made, "Columns", 10), "truncated"),
        (lambda made: setattr(made, "SegmentationType", "BINARY"), "values up to 200"),
    ],
    ids=["no maximum", "beyond it", "signed", "too wide", "not binary"],
)
def test_fractions_that_cannot_be_shares_are_refused(change, words):
    made = segmentation({"Liver": LIVER}, affine_of(), kind="FRACTIONAL")
    change(made)
    assert words in decoded(made).reason


def test_a_label_map_with_two_frames_on_one_plane_is_refused():
    made = segmentation(disjoint(), affine_of(), kind="LABELMAP", frames=lambda every: [*every, every[0]])
    assert "two of its frames lie on one plane" in decoded(made).reason


def test_masks_that_would_fill_the_memory_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr("dicom_listener.region_mask.MASK_LIMIT_BYTES", 4 * 4 * 5 * 6)
    assert decoded(segmentation({"Liver": LIVER}, affine_of())).reason == ""
    assert "regions would need" in decoded(segmentation(REGIONS, affine_of())).reason
