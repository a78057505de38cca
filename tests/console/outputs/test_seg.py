"""SEG: volumes keep their size and place, and voxels without a value are told by reason."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from written import enhanced, errors_of_dciodvfy, file_bytes

from console.outputs.dicom.frames import reference_grid
from console.outputs.dicom.seg import reasons_segmentation, segmentation
from console.outputs.error import OutputError
from dicom_listener.decode import decode
from dicom_listener.images import RegionMask
from quantify.model import Reason

ZONE = ZoneInfo("Europe/Amsterdam")


def structures_of(dataset):
    found = decode(file_bytes(dataset), time_zone=ZONE)
    assert found.reason == ""
    return found.structure_set


def on_grid(mask: RegionMask, grid) -> np.ndarray:
    """The mask on the whole grid, whatever order and part of its slices was written."""
    values = np.zeros(grid.shape, dtype=np.float32)
    index = np.indices(mask.values.shape).reshape(3, -1)
    points = mask.affine_lps_mm @ np.vstack([index, np.ones(index.shape[1])])
    there = grid.index_from_lps @ points
    assert np.abs(there - np.rint(there)).max() < 1e-6
    at = tuple(np.rint(there[:3]).astype(int))
    values[at] = mask.values.ravel()
    return values


def test_every_volume_comes_back_in_its_place_within_a_step(treated):
    snapshot, grid = treated.snapshot, reference_grid(treated)
    found = structures_of(segmentation(treated))
    assert found.unusable == ()
    assert found.frame_of_reference_uid == grid.frame_of_reference_uid
    assert [s.name for s in found.structures] == [v.name for v in snapshot.volumes]
    assert min(v.volume_ml for v in snapshot.volumes) < 1.0, "a small tumour is where volumes are lost"
    for structure, volume in zip(found.structures, snapshot.volumes, strict=True):
        shares = on_grid(structure.mask, grid)
        assert np.abs(shares - volume.occupancy).max() <= 0.5 / 255 + 1e-6
        ml = float(shares.sum(dtype=np.float64)) * grid.voxel_volume_ml
        assert ml == pytest.approx(volume.volume_ml, rel=0.002)


def test_where_a_map_has_no_value_is_told_by_reason(treated):
    result, grid = treated.snapshot.results[3], reference_grid(treated)
    dose = result.maps.dose
    found = structures_of(reasons_segmentation(treated, result))
    masks = {s.name: on_grid(s.mask, grid) for s in found.structures}
    assert set(masks) == {"Not evaluable: no signal in the reference", "Lower bound"}
    np.testing.assert_array_equal(masks["Not evaluable: no signal in the reference"] > 0, np.isnan(dose.values))
    np.testing.assert_array_equal(masks["Lower bound"] > 0, dose.reason == Reason.LOWER_BOUND)


def test_where_every_voxel_has_a_value_there_is_no_object(oblique):
    result = oblique.snapshot.results[0]
    dose = result.maps.dose
    whole = replace(dose, values=np.ones_like(dose.values), reason=np.zeros_like(dose.reason))
    with pytest.raises(OutputError, match="Every voxel of RHA F1 has a value"):
        reasons_segmentation(oblique, replace(result, maps=replace(result.maps, dose=whole)))


def test_a_voxel_without_value_and_reason_is_still_told(oblique):
    result = oblique.snapshot.results[0]
    unexplained = replace(result.maps.dose, reason=np.zeros_like(result.maps.dose.reason))
    made = reasons_segmentation(oblique, replace(result, maps=replace(result.maps, dose=unexplained)))
    assert [s.SegmentLabel for s in made.SegmentSequence] == ["Not evaluable: no reason recorded"]


def test_dciodvfy_finds_no_error(treated, tmp_path):
    assert errors_of_dciodvfy(segmentation(treated), tmp_path) == []
    assert errors_of_dciodvfy(reasons_segmentation(treated, treated.snapshot.results[3]), tmp_path) == []


def test_segments_say_what_they_are_and_what_made_them(oblique):
    made = segmentation(oblique)
    assert [(s.SegmentLabel, s.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) for s in made.SegmentSequence] == [
        ("Liver", "Liver"),
        ("Tumour 1", "Neoplasm"),
        ("Tumour 2", "Neoplasm"),
        ("Healthy liver", "Liver"),
    ]
    healthy = made.SegmentSequence[3].SegmentedPropertyTypeCodeSequence[0]
    assert healthy.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Normal"
    assert len({s.TrackingUID for s in made.SegmentSequence}) == 4
    for text in ("For research use only", oblique.snapshot.settings_sha256, oblique.snapshot.head_hash):
        assert text in made.DerivationDescription
    assert (made.PatientID, made.AccessionNumber) == ("EM1-004", "ACC-77")


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_frames_refer_to_the_images_of_their_slice(oblique, kind):
    exported = oblique if kind == "classic" else enhanced(oblique)
    grid = reference_grid(oblique)
    classic = oblique.reference_images
    for frame in segmentation(exported).PerFrameFunctionalGroupsSequence:
        here = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        near = [np.allclose(image.ImagePositionPatient, here, atol=0.01) for image in classic]
        sources = frame.DerivationImageSequence[0].SourceImageSequence
        if kind == "classic":
            wanted = [image.SOPInstanceUID for image, own in zip(classic, near, strict=True) if own]
            assert [item.ReferencedSOPInstanceUID for item in sources] == wanted
        else:
            assert list(sources[0].ReferencedFrameNumber) == [n for n, own in enumerate(near, start=1) if own]
        assert sum(near) == 3
    assert grid.shape[0] * 3 == len(classic)


def test_enhanced_images_without_study_time_make_a_sound_object(oblique, tmp_path):
    assert errors_of_dciodvfy(segmentation(enhanced(oblique)), tmp_path) == []


def test_the_same_export_has_the_same_bytes(oblique):
    assert file_bytes(segmentation(oblique)) == file_bytes(segmentation(oblique))


def test_nothing_to_segment_is_said(oblique):
    bare = replace(oblique, snapshot=replace(oblique.snapshot, volumes=()))
    with pytest.raises(OutputError, match="no volume of interest"):
        segmentation(bare)
    failed = replace(oblique.snapshot.results[0], maps=None, error="the slab was moved")
    with pytest.raises(OutputError, match="the slab was moved"):
        reasons_segmentation(oblique, failed)
