"""The plan's structures as volumes: names, order, faults in sentences, disjoint occupancies."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from config.plan import plan_from_mapping
from console.structures import (
    brought_over,
    disjoint_occupancies,
    in_the_frame_drawn_on,
    treatment_volumes,
    with_chosen,
)
from dicom_listener.images import Contour, RegionMask, Structure, StructureSet
from quantify.model import Grid, Role

AFFINE = np.array([[0, 0, 3.0, -60], [0, 3.0, 0, -60], [4.0, 0, 0, -40], [0, 0, 0, 1]])
GRID = Grid(shape=(20, 40, 40), affine_lps_mm=AFFINE, frame_of_reference_uid="1.2.3")


def plan(tumours=("Tumour 1",), liver: str | None = "Liver", positions: dict | None = None):
    structures = {"tumours": list(tumours), **({"liver": liver} if liver else {})}
    return plan_from_mapping(
        {
            "schema": 1,
            "time_zone": "Europe/Amsterdam",
            "patient": {"id": "EM1-004"},
            "microspheres": {
                "holmium_fraction": 0.195,
                "specific_activity_MBq_per_mg": 12.0,
                "reference_time": "2026-03-04T10:00:00",
            },
            "calibration": {"relaxivity_per_s_per_mg_mL": 218.0, "field_T": 3.0, "holmium_fraction": 0.195},
            "structures": structures,
            "positions": positions or {},
            "injections": [{"position": "RHA", "fraction": 1, "planned_MBq": 400.0}],
        },
        site_time_zone="Europe/Amsterdam",
    )


def block(name: str, low: tuple[float, float, float], high: tuple[float, float, float]) -> Structure:
    """A box with a contour every 2 mm."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    heights = np.arange(z0 + 1.0, z1, 2.0)
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    contours = tuple(Contour(points_mm=np.array([(x, y, z) for x, y in corners])) for z in heights)
    return Structure(name=name, number=1, contours=contours)


LIVER = block("Liver", (-45.0, -45.0, -30.0), (45.0, 45.0, 30.0))
RIGHT = block("Right liver", (-45.0, -45.0, -30.0), (0.0, 45.0, 30.0))
FIRST = block("Tumour 1", (-30.0, -10.0, -10.0), (-10.0, 10.0, 10.0))
SECOND = block("Tumour 2", (10.0, -10.0, -10.0), (30.0, 10.0, 10.0))


def structure_set(*structures: Structure, frame: str = "1.2.3") -> StructureSet:
    return StructureSet(
        label="RS",
        sop_instance_uid="9.9",
        frame_of_reference_uid=frame,
        referenced_series_uids=("1.1",),
        structures=structures,
    )


def test_volumes_come_in_the_order_of_the_results_and_healthy_liver_is_derived():
    found = treatment_volumes([structure_set(LIVER, FIRST, SECOND)], plan(("Tumour 2", "Tumour 1")), GRID)
    assert [(v.name, v.role) for v in found.all] == [
        ("Tumour 2", Role.TUMOUR),
        ("Tumour 1", Role.TUMOUR),
        ("Liver", Role.LIVER),
        ("Healthy liver", Role.HEALTHY_LIVER),
    ]
    by = {v.name: v.volume_ml for v in found.all}
    assert by["Liver"] == pytest.approx(90 * 90 * 60 / 1000, rel=0.01)
    assert by["Tumour 1"] == pytest.approx(8.0, rel=0.03)
    assert by["Healthy liver"] == pytest.approx(by["Liver"] - by["Tumour 1"] - by["Tumour 2"], rel=1e-4)
    assert found.faults == ()
    assert found.liver is found.all[2]


def test_a_territory_adds_its_healthy_part():
    with_territory = plan(positions={"RHA": {"territory": "Right liver"}})
    found = treatment_volumes([structure_set(LIVER, RIGHT, FIRST)], with_territory, GRID)
    last = found.all[-1]
    assert (last.name, last.role) == ("Healthy liver RHA", Role.HEALTHY_LIVER)
    assert last.volume_ml == pytest.approx(45 * 90 * 60 / 1000 - 8.0, rel=0.01)


def test_a_missing_structure_is_left_out_with_a_sentence_that_names_what_there_is():
    found = treatment_volumes([structure_set(LIVER, SECOND)], plan(("Tumour 1", "Tumour 2")), GRID)
    assert [v.name for v in found.all] == ["Tumour 2", "Liver", "Healthy liver"]
    assert found.faults == (
        "Structure 'Tumour 1' of the plan is not in the structure set, which has: Liver, Tumour 2.",
    )


def test_without_a_liver_there_is_no_healthy_part():
    found = treatment_volumes([structure_set(FIRST)], plan(liver=None), GRID)
    assert [v.name for v in found.all] == ["Tumour 1"]
    assert found.liver is None
    assert disjoint_occupancies([structure_set(FIRST)], plan(liver=None), GRID) == {}


def test_a_name_with_spaces_around_it_is_found():
    spaced = Structure(name=" Liver ", number=1, contours=LIVER.contours)
    assert [v.name for v in treatment_volumes([structure_set(spaced, FIRST)], plan(), GRID).all][1] == "Liver"


def test_another_frame_of_reference_is_refused():
    found = treatment_volumes([structure_set(LIVER, FIRST, frame="7.7")], plan(), GRID)
    assert found.all == ()
    assert "another frame of reference" in found.faults[0]


def test_a_structure_outside_the_grid_says_how_much():
    far = block("Tumour 1", (-30.0, -10.0, 20.0), (-10.0, 10.0, 60.0))
    found = treatment_volumes([structure_set(LIVER, far)], plan(), GRID)
    assert any("of Tumour 1 lies outside the reference series" in fault for fault in found.faults)


def test_tumours_that_overlap_are_told():
    close = block("Tumour 2", (-20.0, -10.0, -10.0), (0.0, 10.0, 10.0))
    found = treatment_volumes([structure_set(LIVER, FIRST, close)], plan(("Tumour 1", "Tumour 2")), GRID)
    (fault,) = found.faults
    told = re.fullmatch(r"Tumour 1 and Tumour 2 overlap by (\d\.\d) mL; voxels in both count in both\.", fault)
    assert told
    assert float(told[1]) == pytest.approx(4.0, rel=0.1)


def test_nothing_without_structures():
    assert treatment_volumes([], plan(), GRID).all == ()
    assert disjoint_occupancies([], plan(), GRID) == {}


def test_disjoint_occupancies_add_up_to_the_liver():
    parts = disjoint_occupancies([structure_set(LIVER, FIRST, SECOND)], plan(("Tumour 1", "Tumour 2")), GRID)
    whole = treatment_volumes([structure_set(LIVER, FIRST, SECOND)], plan(("Tumour 1", "Tumour 2")), GRID).liver
    assert list(parts) == ["Tumour 1", "Tumour 2", "Healthy liver"]
    assert sum(parts.values()) == pytest.approx(whole.occupancy, abs=1e-5)


# -- masks, and several objects ----------------------------------------------------------------------------------------


def masked(
    name: str, low: tuple[float, float, float], high: tuple[float, float, float], step: float = 1.0
) -> Structure:
    """The same box as `block`, as a mask."""
    shape = tuple(round((b - a) / step) for a, b in zip(low[::-1], high[::-1], strict=True))
    affine = np.eye(4)[:, [2, 1, 0, 3]] * np.array([step, step, step, 1.0])
    affine[:3, 3] = np.array(low) + step / 2
    mask = RegionMask(values=np.ones(shape, dtype=np.float32), affine_lps_mm=affine)
    return Structure(name=name, number=1, mask=mask)


BOXES = {
    "Liver": ((-45.0, -45.0, -30.0), (45.0, 45.0, 30.0)),
    "Tumour 1": ((-30.0, -10.0, -10.0), (-10.0, 10.0, 10.0)),
    "Tumour 2": ((10.0, -10.0, -10.0), (30.0, 10.0, 10.0)),
}
BOTH = ("Tumour 1", "Tumour 2")


def of(label: str, *structures: Structure, **changes) -> StructureSet:
    return replace(structure_set(*structures), label=label, sop_instance_uid=f"9.{label}", **changes)


def test_masks_and_contours_of_the_same_solids_are_the_same_volumes():
    drawn = treatment_volumes([structure_set(LIVER, FIRST, SECOND)], plan(BOTH), GRID)
    masks = treatment_volumes([structure_set(*(masked(name, *box) for name, box in BOXES.items()))], plan(BOTH), GRID)
    assert [(v.name, v.role) for v in masks.all] == [(v.name, v.role) for v in drawn.all]
    for one, other in zip(drawn.all, masks.all, strict=True):
        assert other.volume_ml == pytest.approx(one.volume_ml, rel=0.03)
        assert other.contour_volume_ml == pytest.approx(one.contour_volume_ml, rel=0.01)
    assert masks.faults == ()
    assert masks.remarks == ()


@pytest.mark.parametrize("first", ["RS", "SEG"])
def test_volumes_may_come_from_several_objects_in_any_order(first):
    sets = [of("RS", LIVER), of("SEG", *(masked(name, *BOXES[name]) for name in BOTH))]
    found = treatment_volumes(sets if first == "RS" else sets[::-1], plan(BOTH), GRID)
    assert [v.name for v in found.all] == ["Tumour 1", "Tumour 2", "Liver", "Healthy liver"]
    assert found.faults == ()
    (remark,) = found.remarks
    assert remark.startswith("Volumes come from 2 objects: ")
    assert "Liver from structure set 'RS'" in remark
    assert "Tumour 1, Tumour 2 from structure set 'SEG'" in remark
    assert list(disjoint_occupancies(sets, plan(BOTH), GRID)) == ["Tumour 1", "Tumour 2", "Healthy liver"]


def test_of_a_name_in_two_objects_the_later_one_counts_and_it_is_said():
    smaller = block("Tumour 1", (-25.0, -10.0, -10.0), (-15.0, 10.0, 10.0))
    for sets, volume_ml in (
        ([of("old", LIVER, FIRST), of("new", smaller)], 4.0),
        ([of("new", smaller), of("old", LIVER, FIRST)], 8.0),
    ):
        found = treatment_volumes(sets, plan(), GRID)
        assert found.all[0].volume_ml == pytest.approx(volume_ml, rel=0.03)
        assert found.faults == ()
        later, earlier = sets[1].label, sets[0].label
        assert (
            f"Tumour 1 is the later one, of structure set {later!r}; also in structure set {earlier!r}."
            in found.remarks
        )
        parts = disjoint_occupancies(sets, plan(), GRID)
        assert parts["Tumour 1"].sum() * GRID.voxel_volume_ml == pytest.approx(volume_ml, rel=0.03)


def test_what_cannot_be_used_does_not_displace_an_earlier_structure_that_can():
    empty = Structure(name="Tumour 1", number=1)
    for later, words in (
        (of("new", empty), "no closed contours"),
        (of("new", unusable=(("Tumour 1", "it is damaged"),)), "it is damaged"),
        (of("new", FIRST, FIRST), "2 times in structure set 'new'"),
    ):
        found = treatment_volumes([of("old", LIVER, FIRST), later], plan(), GRID)
        (fault,) = found.faults
        assert words in fault
        assert fault.endswith("Tumour 1 of structure set 'old' is used.")
        assert [v.name for v in found.all] == ["Tumour 1", "Liver", "Healthy liver"]


def test_a_later_object_in_another_frame_of_reference_is_refused_by_name_and_the_earlier_stands():
    ct = of("CT", LIVER, FIRST, frame_of_reference_uid="7.7")
    found = treatment_volumes([of("MR", LIVER, FIRST), ct], plan(), GRID)
    assert [v.name for v in found.all] == ["Tumour 1", "Liver", "Healthy liver"]
    (fault,) = found.faults
    assert fault.startswith("Structure set 'CT' (Tumour 1, Liver) lies in another frame of reference")
    alone = treatment_volumes([ct], plan(), GRID)
    assert alone.all == ()
    assert alone.faults == found.faults
    assert disjoint_occupancies([ct], plan(), GRID) == {}


def test_a_name_twice_in_one_object_is_a_fault():
    found = treatment_volumes([structure_set(LIVER, FIRST, FIRST)], plan(), GRID)
    assert [v.name for v in found.all] == ["Liver", "Healthy liver"]
    assert "Structure 'Tumour 1' is 2 times in structure set 'RS'" in found.faults[0]


@pytest.mark.parametrize("written", ["tumour 1", "Tumour_1", "TUMOUR-1", "Tumor 1"])
def test_a_near_miss_of_a_name_is_a_fault_that_names_what_was_meant(written):
    found = treatment_volumes([structure_set(LIVER, replace(FIRST, name=written))], plan(), GRID)
    assert [v.name for v in found.all] == ["Liver", "Healthy liver"]
    assert found.faults[0].endswith(f"which has: {', '.join(sorted(['Liver', written]))}. Did you mean {written!r}?")


def test_another_number_is_no_near_miss():
    found = treatment_volumes([structure_set(LIVER, SECOND)], plan(), GRID)
    assert "Did you mean" not in found.faults[0]


def test_objects_of_one_label_are_told_apart():
    found = treatment_volumes([of("RS", LIVER), of("RS", FIRST)], plan(), GRID)
    assert "Liver from structure set 'RS' (no. 1)" in found.remarks[0]
    assert "Tumour 1 from structure set 'RS' (no. 2)" in found.remarks[0]


def test_an_object_without_a_frame_of_reference_is_taken_as_the_references_and_said_to_be():
    found = treatment_volumes([of("l.nii", LIVER, FIRST, frame_of_reference_uid="", remark="Read me.")], plan(), GRID)
    assert [v.name for v in found.all] == ["Tumour 1", "Liver", "Healthy liver"]
    assert found.faults == ()
    assert found.remarks == (
        "Structure set 'l.nii' states no frame of reference: its coordinates are taken as the reference series' own.",
        "Read me.",
    )


def test_the_part_of_a_mask_outside_the_grid_is_told():
    far = masked("Tumour 1", (-30.0, -10.0, 20.0), (-10.0, 10.0, 60.0))
    found = treatment_volumes([structure_set(LIVER, far)], plan(), GRID)
    (fault,) = found.faults
    told = re.fullmatch(r"(\d+) % of Tumour 1 lies outside the reference series; its mean speaks for the rest\.", fault)
    assert float(told[1]) == pytest.approx(100 * 22 / 40, abs=1)  # the grid ends at 38 mm
    assert found.all[0].fraction_outside_grid == pytest.approx(22 / 40, abs=0.005)


def test_masks_move_with_their_frame_of_reference():
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", [10, -5, 30], degrees=True).as_matrix()
    turn[:3, 3] = (40.0, -25.0, 60.0)
    there = [
        brought_over(structure_set(*made, frame="7.7"), turn, "1.2.3")
        for made in ((LIVER, FIRST), (masked("Liver", *BOXES["Liver"]), masked("Tumour 1", *BOXES["Tumour 1"])))
    ]
    moved_grid = Grid(shape=GRID.shape, affine_lps_mm=turn @ GRID.affine_lps_mm, frame_of_reference_uid="1.2.3")
    drawn, masks = (treatment_volumes([own], plan(), moved_grid) for own in there)
    still = treatment_volumes(
        [structure_set(masked("Liver", *BOXES["Liver"]), masked("Tumour 1", *BOXES["Tumour 1"]))], plan(), GRID
    )
    for one, other, before in zip(drawn.all, masks.all, still.all, strict=True):
        assert other.volume_ml == pytest.approx(one.volume_ml, rel=0.01)
        assert other.occupancy == pytest.approx(before.occupancy, abs=1e-5)


def test_a_liver_drawn_without_its_tumours_is_remarked():
    """What a label map holds in which each voxel has one label."""
    hollow = masked("Liver", *BOXES["Liver"])
    values = np.array(hollow.mask.values)
    values[20:40, 35:55, 15:35] = 0.0  # Tumour 1
    mask = replace(hollow.mask, values=values)
    tumour = masked("Tumour 1", *BOXES["Tumour 1"])
    found = treatment_volumes([structure_set(replace(hollow, mask=mask), tumour)], plan(), GRID)
    assert found.faults == ()
    (remark,) = found.remarks
    assert remark.startswith("100 % of Tumour 1 lies outside Liver: if Liver was drawn without its tumours")
    by = {v.name: v.volume_ml for v in found.all}
    assert by["Healthy liver"] == pytest.approx(by["Liver"], rel=0.01)
    assert by["Liver"] == pytest.approx(486.0 - 8.0, rel=0.01)


def test_a_set_that_states_no_frame_of_reference_lies_in_that_of_its_series():
    """Not in the reference's: the patient may have been moved between the two."""
    series = SimpleNamespace(series_instance_uids=("1.1", "1.7"), frame_of_reference_uid="4.5.6")
    other = SimpleNamespace(series_instance_uids=("1.2",), frame_of_reference_uid="7.8.9")
    unstated = in_the_frame_drawn_on(structure_set(LIVER, frame=""), [other, series])
    assert unstated.frame_of_reference_uid == "4.5.6"
    assert any("another frame of reference" in fault for fault in treatment_volumes([unstated], plan(), GRID).faults)
    assert in_the_frame_drawn_on(structure_set(LIVER), [series]).frame_of_reference_uid == "1.2.3"
    assert in_the_frame_drawn_on(structure_set(LIVER, frame=""), [other]).frame_of_reference_uid == ""


def test_a_chosen_version_counts_over_later_ones_for_its_name_only():
    first = replace(of("first", block("Tumour 1", (-20, -20, -20), (0, 0, 0)), LIVER), object_sha256="a")
    second = replace(of("second", block("Tumour 1", (-20, -20, -20), (20, 0, 0)), LIVER), object_sha256="b")
    volumes = treatment_volumes(with_chosen([first, second], {"Tumour 1": "a"}), plan(), GRID)
    assert (volumes.sources["Tumour 1"].sha256, volumes.sources["Tumour 1"].version) == ("a", 1)
    assert (volumes.sources["Liver"].sha256, volumes.sources["Liver"].version) == ("b", 2)
    assert with_chosen([first, second], {"Tumour 1": "never came"}) == (first, second)
