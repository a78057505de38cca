"""The plan's structures as volumes: names, order, faults in sentences, disjoint occupancies."""

from __future__ import annotations

import re

import numpy as np
import pytest

from config.plan import plan_from_mapping
from console.structures import disjoint_occupancies, treatment_volumes
from dicom_listener.images import Contour, Structure, StructureSet
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
