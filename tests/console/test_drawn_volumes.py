"""A drawing as a volume of the treatment: its place, its bytes, its name in the plan, its volume in the results."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from console.drawn_volumes import given_volume, known_names, nifti_bytes, object_sha256, plan_with, volume_on_lattice
from console.operations import GiveVolumes
from console.snapshot import GivenStructures, Snapshot, VolumeSource
from dicom_listener.label_map import given_label_map
from quantify.drawing import brush, drawing_lattice, sphere
from quantify.drawing_canvas import Canvas, Mode
from quantify.model import Grid, Role, Volume
from quantify.occupancy_of_mask import mask_occupancy

BALL_ML = 4 / 3 * np.pi * 20.0**3 / 1000
PLAN = {"structures": {"liver": "Liver", "tumours": ["Tumour 1"]}, "patient": {"id": "X"}}


def make_grid(shape=(14, 30, 36), spacing=(6.0, 4.0, 4.0), angles=(20, 10, 5)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, ::-1] * np.array(spacing)
    affine[:3, 3] = np.array([10.0, -20.0, 30.0]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape=shape, affine_lps_mm=affine, frame_of_reference_uid="1.2.3")


GRIDS = {
    "oblique": make_grid(),
    "aligned": make_grid(angles=(0, 0, 0)),
    "from the head": make_grid(spacing=(-6.0, 4.0, 4.0), angles=(0, 0, 0)),
    "steep": make_grid(angles=(80, 30, 45)),
}


def ball(grid: Grid, centre=(14.0, -22.0, 31.0), radius_mm=20.0) -> Canvas:
    canvas = Canvas(drawing_lattice(grid))
    canvas.apply(sphere(canvas.lattice, centre, radius_mm), Mode.ADD, f"sphere r {radius_mm:g} mm")
    return canvas


def came_back(given: GiveVolumes):
    """The structure set that the engine makes of the event."""
    payload = {
        "name": given.name,
        "labels": {str(label): name for label, name in given.labels.items()},
        "frame_of_reference_uid": given.frame_of_reference_uid,
    }
    return replace(given_label_map(payload, given.nifti), object_sha256=object_sha256(given))


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return Snapshot(loaded={"plan": PLAN})


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_a_drawn_sphere_of_20_mm_has_its_volume_in_the_results(grid, snapshot):
    given = given_volume(ball(grid), name="Tumour 1", role=Role.TUMOUR, snapshot=snapshot)
    structures = came_back(given)
    assert structures.frame_of_reference_uid == "1.2.3"
    (structure,) = structures.structures
    assert structure.name == "Tumour 1"
    filled, volume_ml = mask_occupancy(structure.mask.values, structure.mask.affine_lps_mm, grid)
    on_grid_ml = float(filled.sum(dtype=float)) * grid.voxel_volume_ml
    assert on_grid_ml == pytest.approx(BALL_ML, rel=0.02)
    assert volume_ml == pytest.approx(BALL_ML, rel=0.02)
    index = np.indices(grid.shape).reshape(3, -1)
    centre = (grid.affine_lps_mm[:3, :3] @ index * filled.ravel()).sum(axis=1) / filled.sum() + grid.affine_lps_mm[
        :3, 3
    ]
    np.testing.assert_allclose(centre, (14.0, -22.0, 31.0), atol=0.3)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_no_side_is_exchanged_on_the_way_through_the_file(grid, snapshot):
    """A shape that no reflection brings onto itself comes back voxel for voxel."""
    canvas = ball(grid, radius_mm=6.0)
    lattice = canvas.lattice
    for place, radius, axis in (((14, -22, 40), 9.0, 0), ((30, -22, 31), 5.0, 1), ((14, 0, 31), 3.0, 2)):
        canvas.apply(brush(lattice, axis, np.array(place, dtype=float), radius), Mode.ADD, "brush")
    structures = came_back(given_volume(canvas, name="Tumour 1", role=Role.TUMOUR, snapshot=snapshot))
    source = VolumeSource(title="drawing", sha256=structures.object_sha256, version=1)
    known = replace(
        snapshot,
        volume_sources={"Tumour 1": source},
        structures=(GivenStructures(structures=structures, at=datetime(2026, 3, 4, tzinfo=UTC), by="x"),),
    )
    patch, title = volume_on_lattice(known, "Tumour 1", lattice)
    again = Canvas(lattice)
    again.apply(patch, Mode.ADD, title)
    assert np.array_equal(again.mask, canvas.mask)
    assert title == "Tumour 1 of drawing, version 1"
    assert known_names(known) == ("Tumour 1",)


def test_equal_drawings_are_equal_bytes_and_an_edit_is_another_object(snapshot):
    first, second = (
        given_volume(ball(GRIDS["oblique"]), name="Tumour 1", role=Role.TUMOUR, snapshot=snapshot) for _ in range(2)
    )
    assert first.nifti == second.nifti
    canvas = ball(GRIDS["oblique"])
    canvas.apply(sphere(canvas.lattice, (14, -22, 31), 3.0), Mode.REMOVE, "less")
    edited = nifti_bytes(canvas.mask, canvas.lattice, canvas.box)
    assert edited != first.nifti


def test_how_it_was_drawn_is_told_with_it(snapshot):
    given = given_volume(ball(GRIDS["oblique"]), name="Tumour 1", role=Role.TUMOUR, snapshot=snapshot)
    assert given.drawn == "sphere r 20 mm"
    assert given.labels == {1: "Tumour 1"}
    assert given.plan is None


def test_a_name_that_the_plan_lacks_is_added_to_it_and_nothing_else_is_changed():
    plan = plan_with(PLAN, "Tumour 2", Role.TUMOUR)
    assert plan == {**PLAN, "structures": {"liver": "Liver", "tumours": ["Tumour 1", "Tumour 2"]}}
    assert PLAN["structures"]["tumours"] == ["Tumour 1"]
    assert plan_with({"patient": {}}, "Liver", Role.LIVER) == {"patient": {}, "structures": {"liver": "Liver"}}
    assert plan_with(PLAN, "Liver", Role.LIVER) is None
    assert plan_with(None, "Liver", Role.LIVER) is None


def test_nothing_and_what_no_drawing_can_be_are_refused(snapshot):
    empty = Canvas(drawing_lattice(GRIDS["oblique"]))
    with pytest.raises(ValueError, match="Nothing is drawn"):
        given_volume(empty, name="Tumour 1", role=Role.TUMOUR, snapshot=snapshot)
    with pytest.raises(ValueError, match="expected liver or tumour"):
        given_volume(ball(GRIDS["oblique"]), name="T", role=Role.HEALTHY_LIVER, snapshot=snapshot)


def test_a_structure_of_another_frame_is_taken_from_where_the_results_have_it(snapshot):
    """Its own coordinates would put it elsewhere in the patient."""
    grid = GRIDS["aligned"]
    structures = came_back(given_volume(ball(grid), name="Tumour 1", role=Role.TUMOUR, snapshot=snapshot))
    elsewhere = replace(structures, frame_of_reference_uid="9.9")
    occupancy = np.zeros(grid.shape, dtype=np.float32)
    occupancy[4:7, 10:14, 20:25] = 1.0
    volume_ml = float(occupancy.sum()) * grid.voxel_volume_ml
    volume = Volume(name="Tumour 1", role=Role.TUMOUR, occupancy=occupancy, grid=grid, contour_volume_ml=volume_ml)
    at = datetime(2026, 3, 4, tzinfo=UTC)
    known = replace(snapshot, volumes=(volume,), structures=(GivenStructures(structures=elsewhere, at=at, by="x"),))
    lattice = drawing_lattice(grid)
    patch, _ = volume_on_lattice(known, "Tumour 1", lattice)
    assert patch.count * lattice.grid.voxel_volume_ml == pytest.approx(volume_ml)
    with pytest.raises(ValueError, match="choose another volume"):
        volume_on_lattice(known, "Tumour 7", lattice)
