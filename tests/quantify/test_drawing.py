"""Laws of drawing: volumes of shapes, strokes that can be taken back, thresholds, slices between slices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from quantify.drawing import Lattice, Patch, brush, drawing_lattice, left_out_ml, sphere
from quantify.drawing_canvas import Canvas, Mode
from quantify.drawing_fill import enclosed, interpolated, sampled_in_sphere, threshold
from quantify.drawing_regions import contours_on_lattice, mask_on_lattice, shared_ml, shares_on_reference
from quantify.model import Grid
from quantify.occupancy_of_mask import mask_occupancy

BALL_ML = 4 / 3 * np.pi * 20.0**3 / 1000


def make_grid(shape=(20, 48, 48), spacing=(5.0, 3.0, 3.0), angles=None) -> Grid:
    """A grid around (10, −20, 30) mm."""
    turned = np.eye(3) if angles is None else Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turned[:, ::-1] * np.array(spacing)
    affine[:3, 3] = np.array([10.0, -20.0, 30.0]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape=shape, affine_lps_mm=affine, frame_of_reference_uid="1.2.3")


GRIDS = {
    "aligned": make_grid(),
    "coarse": make_grid((12, 20, 20), (10.0, 6.0, 6.0)),
    "thick oblique": make_grid((14, 60, 60), (6.0, 1.64, 1.64), (20, 10, 5)),
    "steep": make_grid(angles=(80, 30, 45)),
    "sagittal slices": make_grid((24, 60, 60), (4.0, 2.0, 2.0), (0, 90, 0)),
}
EVERY_GRID = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())


@pytest.fixture(scope="module")
def lattice() -> Lattice:
    return drawing_lattice(GRIDS["aligned"])


def drawn(lattice: Lattice, *patches: Patch) -> Canvas:
    canvas = Canvas(lattice)
    for patch in patches:
        canvas.apply(patch, Mode.ADD, "drawn")
    return canvas


def along(lattice: Lattice, centre, offsets, axis: int = 0) -> np.ndarray:
    """Places (LPS mm) at offsets in voxels of the reference along one of its axes."""
    step = lattice.reference.affine_lps_mm[:3, axis]
    return np.array([np.array(centre) + offset * step for offset in offsets])


def centre_of(grid: Grid, index) -> np.ndarray:
    return grid.affine_lps_mm[:3, :3] @ np.asarray(index, dtype=float) + grid.affine_lps_mm[:3, 3]


def middle(lattice: Lattice, *off_mm: float) -> np.ndarray:
    """The centre of the voxel in the middle of the reference, and so far from it (x, y, z)."""
    index = [n // 2 for n in lattice.reference.shape]
    return centre_of(lattice.reference, index) + np.array(off_mm or (0.0, 0.0, 0.0))


# -- the lattice -------------------------------------------------------------------------------------------------------


@EVERY_GRID
def test_the_lattice_divides_the_reference_and_lies_in_its_place(grid):
    lattice = drawing_lattice(grid)
    assert max(lattice.grid.spacing_mm) <= 1.65
    ratio = np.array(lattice.grid.shape) / np.array(grid.shape)
    assert tuple(ratio) == lattice.subdivision
    # The outer corner of the first voxel and that of the last are the same places.
    for corner in (np.zeros(3), np.ones(3)):
        own = (
            lattice.grid.affine_lps_mm[:3, :3] @ (corner * lattice.grid.shape - 0.5) + lattice.grid.affine_lps_mm[:3, 3]
        )
        other = grid.affine_lps_mm[:3, :3] @ (corner * grid.shape - 0.5) + grid.affine_lps_mm[:3, 3]
        np.testing.assert_allclose(own, other, atol=1e-9)


def test_a_lattice_that_would_be_too_large_is_divided_less():
    grid = make_grid((40, 256, 256), (6.0, 3.0, 3.0))
    lattice = drawing_lattice(grid)
    assert np.prod(lattice.grid.shape) <= 40_000_000
    smaller = drawing_lattice(grid, most_voxels=3_000_000)
    assert smaller.subdivision == (1, 1, 1)


# -- shapes ------------------------------------------------------------------------------------------------------------


@EVERY_GRID
def test_a_sphere_of_20_mm_has_its_volume_anywhere(grid):
    lattice = drawing_lattice(grid)
    rng = np.random.default_rng(3)
    for _ in range(3):
        centre = np.array([10.0, -20.0, 30.0]) + rng.uniform(-4, 4, 3)
        canvas = drawn(lattice, sphere(lattice, centre, 20.0))
        assert canvas.volume_ml == pytest.approx(BALL_ML, rel=0.02)
        _, shares = shares_on_reference(canvas.mask, lattice, canvas.box)
        assert float(shares.sum(dtype=float)) * grid.voxel_volume_ml == pytest.approx(canvas.volume_ml, rel=1e-5)
        found = centre_of(lattice.grid, np.argwhere(canvas.mask).mean(axis=0))
        np.testing.assert_allclose(found, centre, atol=0.3)


def test_what_the_reference_does_not_show_of_a_sphere_is_told(lattice):
    grid = lattice.reference
    edge = grid.affine_lps_mm[:3] @ [-0.5, grid.shape[1] / 2, grid.shape[2] / 2, 1.0]
    patch = sphere(lattice, edge, 20.0)
    assert left_out_ml(patch, lattice) == pytest.approx(BALL_ML / 2, rel=0.02)
    for radius_mm in (1.0, 3.3, 10.0, 20.0):
        assert left_out_ml(sphere(lattice, middle(lattice), radius_mm), lattice) == 0.0
    beyond = sphere(lattice, edge + 500.0, 20.0)
    assert beyond.count == 0
    assert left_out_ml(beyond, lattice) == pytest.approx(BALL_ML)


@pytest.mark.parametrize("axis", [0, 1, 2])
@EVERY_GRID
def test_a_disc_is_one_slice_of_the_reference_thick(grid, axis):
    lattice = drawing_lattice(grid)
    canvas = drawn(lattice, brush(lattice, axis, middle(lattice), 9.0))
    assert canvas.drawn_slices(axis) == 1
    assert canvas.volume_ml == pytest.approx(np.pi * 81.0 * grid.spacing_mm[axis] / 1000, rel=0.06)


def test_a_swept_disc_is_a_stadium_and_does_not_depend_on_how_the_path_is_cut(lattice):
    path = along(lattice, middle(lattice), np.linspace(-8, 8, 17), axis=2)
    whole = drawn(lattice, brush(lattice, 0, path[[0, -1]], 6.0))
    length = float(np.linalg.norm(path[-1] - path[0]))
    expected = (np.pi * 36.0 + 12.0 * length) * lattice.reference.spacing_mm[0] / 1000
    assert whole.volume_ml == pytest.approx(expected, rel=0.03)
    assert np.array_equal(whole.mask, drawn(lattice, brush(lattice, 0, path, 6.0)).mask)
    bits = [brush(lattice, 0, path[k : k + 2], 6.0) for k in range(16)]
    assert np.array_equal(whole.mask, drawn(lattice, *bits).mask)


def test_a_radius_that_is_none_is_refused(lattice):
    for radius in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="expected a finite number above 0"):
            sphere(lattice, (0, 0, 0), radius)
    with pytest.raises(ValueError, match="at least one point"):
        brush(lattice, 0, np.zeros((0, 3)), 5.0)


# -- strokes -----------------------------------------------------------------------------------------------------------


def test_brushing_and_erasing_the_same_path_restores(lattice):
    path = along(lattice, middle(lattice), [-3, 0, 4], axis=1)
    canvas = drawn(lattice, sphere(lattice, middle(lattice, 0, 0, 30.0), 10.0))
    before = canvas.mask.copy()
    canvas.apply(brush(lattice, 0, path, 7.0), Mode.ADD, "brush")
    assert canvas.count > np.count_nonzero(before)
    canvas.apply(brush(lattice, 0, path, 7.0), Mode.REMOVE, "eraser")
    assert np.array_equal(canvas.mask, before)


def test_every_stroke_can_be_undone_and_done_again(lattice):
    rng = np.random.default_rng(5)
    canvas, states = Canvas(lattice), []
    modes = [*Mode, Mode.ADD, Mode.ADD, *Mode]
    canvas.apply(sphere(lattice, middle(lattice), 18.0), Mode.ADD, "sphere")
    states.append((canvas.mask.copy(), canvas.words, canvas.mark))
    for mode in modes:
        patch = sphere(lattice, middle(lattice) + rng.uniform(-15, 15, 3), rng.uniform(8, 20))
        if canvas.apply(patch, mode, mode.value):
            states.append((canvas.mask.copy(), canvas.words, canvas.mark))
        assert canvas.count == np.count_nonzero(canvas.mask)
    assert len(states) > 6
    assert len({mark for *_, mark in states}) == len(states)
    for mask, words, mark in reversed(states):
        assert np.array_equal(canvas.mask, mask)
        assert (canvas.words, canvas.mark) == (words, mark)
        assert canvas.undo()
    assert canvas.count == 0
    assert not canvas.undo()
    for _ in states:
        assert canvas.redo()
    assert not canvas.redo()
    assert np.array_equal(canvas.mask, states[-1][0])
    occupied = [np.flatnonzero(canvas.mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    assert canvas.box == tuple(slice(int(at[0]), int(at[-1]) + 1) for at in occupied)


def test_the_patches_of_one_stroke_are_undone_together_and_its_words_told_once(lattice):
    canvas = Canvas(lattice)
    for _ in range(2):
        canvas.begin("brush r 6 mm, axial")
        for place in along(lattice, middle(lattice), range(4), axis=2):
            canvas.apply(brush(lattice, 0, place + np.array([0, 12.0 * canvas.mark, 0]), 6.0), Mode.ADD)
        canvas.end()
    assert canvas.words == "brush r 6 mm, axial ×2"
    assert canvas.undo()
    assert canvas.words == "brush r 6 mm, axial"
    assert canvas.undo()
    assert canvas.count == 0


def test_what_a_drawing_replaces_is_no_part_of_its_words(lattice):
    canvas = drawn(lattice, sphere(lattice, middle(lattice), 12.0))
    canvas.apply(sphere(lattice, middle(lattice, 9, 0, 0), 9.0), Mode.REPLACE, "Tumour 1, version 2")
    canvas.apply(sphere(lattice, middle(lattice), 4.0), Mode.REMOVE, "eraser")
    assert canvas.words == "Tumour 1, version 2; eraser"


def test_add_subtract_and_keep_are_union_difference_and_intersection(lattice):
    first, second = (sphere(lattice, middle(lattice, x, 0, 0), 12.0) for x in (-5.0, 7.0))
    one, other = drawn(lattice, first).mask.copy(), drawn(lattice, second).mask.copy()
    for mode, expected in ((Mode.ADD, one | other), (Mode.REMOVE, one & ~other), (Mode.KEEP, one & other)):
        canvas = drawn(lattice, first)
        canvas.apply(second, mode, mode.value)
        assert np.array_equal(canvas.mask, expected)


# -- what fills itself in ----------------------------------------------------------------------------------------------


def test_a_threshold_takes_less_the_higher_it_is_and_joined_parts_less_than_all(lattice):
    values = np.random.default_rng(1).random(lattice.reference.shape).astype(np.float32)
    values[3] = np.nan
    sampled = sampled_in_sphere(values, lattice.reference, lattice, middle(lattice), 25.0)
    ball = sphere(lattice, middle(lattice), 25.0)
    wider = ball.inside
    for level in (0.3, 0.4, 0.5, 0.6):
        taken = threshold(sampled, at_least=level)
        assert not (taken.inside & ~wider).any()
        joined = threshold(sampled, at_least=level, connected=True)
        assert not (joined.inside & ~taken.inside).any()
        below = threshold(sampled, at_most=level)
        assert (below.inside | taken.inside).sum() == np.isfinite(sampled.values).sum()
        wider = taken.inside
    assert 0 < np.count_nonzero(wider) < ball.count


def test_a_threshold_on_a_ramp_cuts_the_sphere_where_the_ramp_passes_it(lattice):
    grid = lattice.reference
    x = grid.affine_lps_mm[0, 3] + grid.affine_lps_mm[0, 2] * np.arange(grid.shape[2])
    values = np.broadcast_to(x.astype(np.float32), grid.shape)
    centre = middle(lattice)
    taken = threshold(sampled_in_sphere(values, grid, lattice, centre, 20.0), at_least=float(centre[0]) + 0.1)
    assert taken.count * lattice.grid.voxel_volume_ml == pytest.approx(BALL_ML / 2, rel=0.03)


@pytest.mark.parametrize("axis", [0, 1])
def test_between_two_equal_discs_lies_the_cylinder(lattice, axis):
    ends = along(lattice, middle(lattice), [-4, 4], axis)
    canvas = drawn(lattice, *(brush(lattice, axis, end, 11.0) for end in ends))
    canvas.apply(interpolated(canvas.mask, lattice, axis), Mode.ADD, "interpolated")
    cylinder = drawn(lattice, *(brush(lattice, axis, at, 11.0) for at in along(lattice, ends[0], range(9), axis)))
    assert np.array_equal(canvas.mask, cylinder.mask)
    assert interpolated(canvas.mask, lattice, axis).count == 0


def test_between_discs_of_two_sizes_lie_discs_between(lattice):
    below, above = along(lattice, middle(lattice), [-4, 4])
    canvas = drawn(lattice, brush(lattice, 0, below, 6.0), brush(lattice, 0, above, 14.0))
    canvas.apply(interpolated(canvas.mask, lattice, 0), Mode.ADD, "interpolated")
    areas = np.count_nonzero(canvas.mask, axis=(1, 2))
    areas = areas[areas > 0]
    assert (np.diff(areas) >= 0).all()
    radius = np.sqrt(areas[len(areas) // 2] * np.prod(lattice.grid.spacing_mm[1:]) / np.pi)
    assert radius == pytest.approx(10.0, abs=0.6)


def test_an_outline_is_filled_and_nothing_beyond_it(lattice):
    angle = np.linspace(0, 2 * np.pi, 40)
    ring = middle(lattice) + 15.0 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    canvas = drawn(lattice, brush(lattice, 0, ring, 3.0))
    canvas.apply(enclosed(canvas.mask, 0), Mode.ADD, "filled")
    disc = drawn(lattice, brush(lattice, 0, middle(lattice), 18.0))
    assert canvas.count == pytest.approx(disc.count, rel=0.01)
    assert enclosed(canvas.mask, 0).count == 0


# -- other volumes -----------------------------------------------------------------------------------------------------


def test_a_drawing_comes_back_as_it_was_and_its_shares_are_those_of_the_results(lattice):
    canvas = drawn(lattice, sphere(lattice, middle(lattice, 2.2, -1.4, 0.7), 13.0))
    values, affine = canvas.mask[canvas.box].astype(np.float32), lattice.part(canvas.box).affine_lps_mm
    assert np.array_equal(drawn(lattice, mask_on_lattice(values, affine, lattice)).mask, canvas.mask)
    filled, volume_ml = mask_occupancy(values, affine, lattice.reference)
    box, shares = shares_on_reference(canvas.mask, lattice, canvas.box)
    np.testing.assert_allclose(filled[box], shares, atol=1e-6)
    assert volume_ml == pytest.approx(canvas.volume_ml)
    assert shared_ml(box, shares, lattice, np.ones(lattice.reference.shape, np.float32)) == pytest.approx(volume_ml)
    assert shared_ml(box, shares, lattice, np.zeros(lattice.reference.shape, np.float32)) == 0.0


def test_contours_come_onto_the_lattice_with_their_volume(lattice):
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = 12.0 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) + np.array([0.4, 0.3, 0.0])
    contours = [circle + place for place in along(lattice, middle(lattice), range(-3, 4))]
    patch = contours_on_lattice(contours, lattice)
    expected = np.pi * 144.0 * 35.0 / 1000
    assert patch.count * lattice.grid.voxel_volume_ml == pytest.approx(expected, rel=0.02)
    assert left_out_ml(patch, lattice) == 0.0
    single = contours_on_lattice(contours[:1], lattice)
    assert single.count * lattice.grid.voxel_volume_ml == pytest.approx(expected / 7, rel=0.08)
    elsewhere = contours_on_lattice([contour + 500.0 for contour in contours], lattice)
    assert elsewhere.count == 0
    assert left_out_ml(elsewhere, lattice) == pytest.approx(expected, rel=0.01)
