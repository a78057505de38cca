"""What volumes would be, before anything is recorded: sizes, places and overlaps of boxes that are known by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from console.snapshot import Anatomy, Binding, Snapshot
from console.volume_preview import Place, preview, volume_ml
from dicom_listener.images import Contour, RegionMask, Sequence, SeriesState, SeriesStatus, Structure, StructureSet
from quantify.model import Grid, Role, Volume

AFFINE = np.array([[0, 0, 3.0, -60], [0, 3.0, 0, -60], [4.0, 0, 0, -40], [0, 0, 0, 1]])
GRID = Grid(shape=(20, 40, 40), affine_lps_mm=AFFINE, frame_of_reference_uid="1.2.3")


def mask_of(low: tuple[int, int, int], high: tuple[int, int, int], *, affine=AFFINE) -> RegionMask:
    """A box of voxels of the reference's own pitch, from `low` to before `high` (slice, row, column)."""
    shifted = np.array(affine)
    shifted[:3, 3] += shifted[:3, :3] @ np.array(low)
    return RegionMask(values=np.ones(np.subtract(high, low), dtype=np.float32), affine_lps_mm=shifted)


def box(name: str, low, high, *, number: int = 1) -> Structure:
    return Structure(name=name, number=number, mask=mask_of(low, high))


def given(*structures: Structure, frame: str = "1.2.3", series=("1.1",), **more) -> StructureSet:
    return StructureSet(
        label="RS",
        sop_instance_uid="9.9",
        frame_of_reference_uid=frame,
        referenced_series_uids=series,
        structures=structures,
        **more,
    )


def series(key: str, frame: str, uid: str) -> SeriesState:
    return SeriesState(
        key=key,
        series_instance_uids=(uid,),
        description="VIBE",
        protocol="",
        status=SeriesStatus.COMPLETE,
        reason="",
        echo_times_s=(),
        n_slices=20,
        received=20,
        expected=20,
        left_out=0,
        acquired_at=datetime(2026, 3, 4, tzinfo=UTC),
        frame_of_reference_uid=frame,
        field_strength_t=3.0,
        sequence=Sequence.GRADIENT_ECHO,
        holmium_refusal=None,
        revision=1,
        last_seq=1,
    )


def known(*volumes: Volume) -> Snapshot:
    grey = Anatomy(values=np.zeros(GRID.shape, dtype=np.float32), grid=GRID, description="T1")
    return Snapshot(anatomy=grey, volumes=volumes)


def volume(name: str, role: Role, low, high) -> Volume:
    values = np.zeros(GRID.shape, dtype=np.float32)
    values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1.0
    return Volume(name=name, role=role, occupancy=values, grid=GRID, contour_volume_ml=float(values.sum()) * 0.036)


def test_a_box_has_the_volume_of_its_voxels_and_all_of_it_lies_on_the_reference():
    (own,) = preview(given(box("Tumour 1", (5, 10, 10), (10, 20, 20))), known()).structures
    assert own.volume_ml == pytest.approx(5 * 10 * 10 * 0.036)
    assert own.on_reference_ml == pytest.approx(own.volume_ml)
    assert own.outside == pytest.approx(0.0, abs=1e-6)
    assert own.fault == ""
    assert own.on(GRID).sum() == pytest.approx(500)
    assert own.on(GRID)[5:10, 10:20, 10:20].min() == 1.0


def test_the_part_outside_the_reference_series_is_a_share_of_the_whole():
    (own,) = preview(given(box("Tumour 1", (18, 10, 10), (22, 20, 20))), known()).structures
    assert own.outside == pytest.approx(0.5)
    assert own.on_reference_ml == pytest.approx(0.5 * own.volume_ml)


def test_what_lies_wholly_outside_is_refused():
    (own,) = preview(given(box("Tumour 1", (30, 10, 10), (34, 20, 20))), known()).structures
    assert "wholly outside" in own.fault


def test_contours_have_the_volume_they_enclose_with_and_without_a_reference():
    corners = [(-30.0, -30.0), (0.0, -30.0), (0.0, 0.0), (-30.0, 0.0)]
    contours = tuple(
        Contour(points_mm=np.array([(x, y, z) for x, y in corners])) for z in np.arange(-20.0, 20.0, 4.0) + 2.0
    )
    structure = Structure(name="Tumour 1", number=1, contours=contours)
    (own,) = preview(given(structure), known()).structures
    assert own.volume_ml == pytest.approx(36.0, rel=0.01)
    assert volume_ml(structure) == pytest.approx(36.0, rel=0.01)


def test_what_volumes_share_is_told_of_the_treatment_s_and_of_the_object_s_own():
    liver = volume("Liver", Role.LIVER, (0, 0, 0), (20, 40, 20))
    healthy = volume("Healthy liver", Role.HEALTHY_LIVER, (0, 0, 0), (20, 40, 20))
    first = box("Tumour 1", (5, 10, 15), (10, 20, 25))
    second = box("Tumour 2", (8, 18, 23), (12, 30, 30), number=2)
    own, other = preview(given(first, second), known(liver, healthy)).structures
    assert own.overlaps_ml == pytest.approx({"Liver": 5 * 10 * 5 * 0.036})
    assert own.within_ml == pytest.approx({2: 2 * 2 * 2 * 0.036})
    assert other.within_ml == pytest.approx({1: 2 * 2 * 2 * 0.036})
    assert other.overlaps_ml == {"Liver": 0.0}


TUMOUR = box("Tumour 1", (5, 10, 10), (10, 20, 20))


@pytest.mark.parametrize(
    ("frame", "role", "place", "words"),
    [
        ("1.2.3", "ignored", Place.REFERENCE, "of the reference series"),
        ("4.5.6", "anatomy", Place.REGISTERED, "VIBE"),
        ("4.5.6", "ignored", Place.FOREIGN, "no anatomy of this treatment"),
        ("7.8.9", "anatomy", Place.FOREIGN, "another examination's"),
    ],
    ids=["reference", "anatomy that is registered", "other series", "other examination"],
)
def test_the_frame_of_reference_decides_how_a_volume_comes_to_the_reference(frame, role, place, words):
    snapshot = replace(known(), series=(series("a", "4.5.6", "1.1"),), bindings=(Binding(series_key="a", role=role),))
    found = preview(given(TUMOUR, frame=frame), snapshot)
    assert found.place is place
    assert words in found.place_words
    assert bool(found.structures[0].fault) is (place is Place.FOREIGN)
    assert (found.structures[0].on_reference_ml is not None) is (place is Place.REFERENCE)
    assert found.structures[0].volume_ml == pytest.approx(18.0)


def test_without_a_frame_of_reference_that_of_its_series_counts_and_else_the_reference_s_is_assumed():
    assert preview(given(TUMOUR, frame=""), known()).place is Place.ASSUMED
    drawn_on = replace(known(), series=(series("a", "1.2.3", "1.1"),))
    assert preview(given(TUMOUR, frame=""), drawn_on).place is Place.REFERENCE


def test_before_the_reference_only_the_volume_is_known():
    found = preview(given(TUMOUR), Snapshot())
    assert found.place is Place.UNKNOWN
    assert found.structures[0].volume_ml == pytest.approx(18.0)
    assert found.structures[0].on_reference_ml is None
    assert found.structures[0].fault == ""


def test_a_name_that_is_twice_and_a_structure_that_cannot_be_used_are_refused():
    twice = given(TUMOUR, replace(TUMOUR, number=2), unusable=(("Liver", "it has no contours"),))
    found = preview(twice, known()).structures
    assert ["2 times" in own.fault for own in found] == [True, True, False]
    assert (found[2].name, found[2].fault) == ("Liver", "it has no contours")


def test_a_preview_that_is_stopped_leaves_the_rest_out():
    assert preview(given(TUMOUR), known(), stopped=lambda: True).structures == ()
