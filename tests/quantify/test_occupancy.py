"""Contours to occupancy."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from quantify.model import Grid
from quantify.occupancy import occupancy

OBLIQUE = Rotation.from_euler("xyz", [20, 10, 5], degrees=True).as_matrix()


def make_grid(shape=(40, 64, 64), spacing=(4.0, 3.0, 3.0), origin=(-96.0, -96.0, -80.0), rotation=None):
    rotation = np.eye(3) if rotation is None else rotation
    affine = np.eye(4)
    affine[:3, :3] = rotation[:, ::-1] * np.array(spacing)
    affine[:3, 3] = origin
    return Grid(shape=shape, affine_lps_mm=affine)


def polygon(points, z, rotation=None, centre=(0.0, 0.0, 0.0)):
    points = np.column_stack([np.asarray(points, dtype=float), np.full(len(points), float(z))])
    return points @ (np.eye(3) if rotation is None else rotation).T + np.asarray(centre)


def rectangle(x0, x1, y0, y1):
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def sphere(radius, spacing=2.5, centre=(0.0, 0.0, 0.0), rotation=None, n=180, stretch=(1.0, 1.0, 1.0)):
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    circle = np.column_stack([np.cos(angle) * stretch[0], np.sin(angle) * stretch[1]])
    return [
        polygon(circle * np.sqrt(radius**2 - z**2), z * stretch[2], rotation, centre)
        for z in np.arange(-radius + spacing / 2, radius, spacing)
    ]


def on_grid_ml(filled, grid):
    return float(filled.sum(dtype=float)) * grid.voxel_volume_ml


@pytest.mark.parametrize("rotation", [None, OBLIQUE], ids=["aligned", "oblique"])
@pytest.mark.parametrize("radius", [8.0, 15.0, 30.0])
def test_a_spheres_volume_is_that_of_its_contours_and_of_the_formula(radius, rotation):
    grid = make_grid()
    filled, volume_ml = occupancy(sphere(radius, centre=(1.3, 2.1, 0.7), rotation=rotation), grid)
    assert volume_ml == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.01)
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=0.01)
    assert filled.dtype == np.float32
    assert filled.min() >= 0.0
    assert filled.max() <= 1.0


@pytest.mark.parametrize("grid_rotation", [None, OBLIQUE], ids=["aligned", "oblique"])
def test_the_centroid_lies_where_the_contours_do(grid_rotation):
    grid = make_grid(
        origin=(-96, -96, -80) if grid_rotation is None else tuple(OBLIQUE @ (-96, -96, -80)), rotation=grid_rotation
    )
    filled, _ = occupancy(sphere(18.0, spacing=3.0, centre=(11.0, -7.0, 5.0)), grid)
    index = np.array([(axis * filled).sum() / filled.sum() for axis in np.indices(filled.shape)] + [1.0])
    assert (grid.affine_lps_mm @ index)[:3] == pytest.approx([11.0, -7.0, 5.0], abs=0.05)


@pytest.mark.parametrize("rotation", [None, OBLIQUE], ids=["aligned", "oblique"])
def test_the_mean_over_a_volume_follows_a_shift_smoothly(rotation):
    grid = make_grid()
    z = (np.indices(grid.shape)[0] * 4.0 - 80.0).astype(float)
    means = []
    for shift in np.linspace(0, 4, 17):
        filled, _ = occupancy(sphere(12.0, centre=(1.3, 2.1, shift), rotation=rotation), grid)
        means.append(float((filled * z).sum() / filled.sum()))
    steps = np.diff(means)
    assert steps == pytest.approx(np.full(16, 0.25), abs=0.05)


def test_a_box_that_fills_voxels_is_exactly_one_there_and_zero_elsewhere():
    grid = make_grid(shape=(6, 8, 8), spacing=(4, 2, 2), origin=(0, 0, 0))
    contours = [polygon(rectangle(3, 9, 5, 11), z) for z in (8.0, 12.0)]
    filled, volume_ml = occupancy(contours, grid)
    inside = np.zeros(grid.shape)
    inside[2:4, 3:6, 2:5] = 1.0
    assert volume_ml == pytest.approx(6 * 6 * 8 / 1000)
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=1e-3)
    assert filled[2:4, 4, 3] == pytest.approx(1.0, abs=1e-6)
    assert np.abs(filled - inside).max() < 0.35  # only the surface is softened
    assert filled[inside == 0].sum() < 0.15 * inside.sum()
    assert np.all(filled[:1] == 0)


def test_half_a_voxel_is_half_occupied():
    grid = make_grid(shape=(5, 9, 9), spacing=(4, 4, 4), origin=(0, 0, 0))
    filled, _ = occupancy([polygon(rectangle(-2, 16, -2, 34), z) for z in (4.0, 8.0, 12.0)], grid)
    assert filled[2, 4, 4] == pytest.approx(0.5, abs=0.02)
    assert filled[2, 4, 2] == pytest.approx(1.0, abs=1e-5)
    assert filled[2, 4, 6] == 0.0


def test_a_slab_stands_for_half_the_distance_to_each_neighbour():
    grid = make_grid(shape=(12, 9, 9), spacing=(1, 4, 4), origin=(0, 0, 0))
    big, small = rectangle(4, 28, 4, 28), rectangle(12, 20, 12, 20)
    filled, volume_ml = occupancy([polygon(big, 3.5), polygon(small, 7.5)], grid)
    # First slab from 1.5 to 5.5, second from 5.5 to 9.5: voxels 2…5 and 6…9.
    assert volume_ml == pytest.approx((24 * 24 * 4 + 8 * 8 * 4) / 1000)
    assert filled[:, 2, 2] == pytest.approx([0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0], abs=0.02)
    assert filled[:, 4, 4] == pytest.approx([0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0], abs=0.02)


def test_skipped_planes_are_filled_but_two_bodies_are_not_joined():
    grid = make_grid(shape=(40, 9, 9), spacing=(1, 4, 4), origin=(0, 0, 0))
    square = rectangle(4, 28, 4, 28)
    skipped, _ = occupancy([polygon(square, z) for z in (5, 7, 9, 13, 15)], grid)
    assert (skipped[6:15, 4, 4] > 0.99).all()
    apart, volume_ml = occupancy([polygon(square, z) for z in (5, 7, 9, 29, 31, 33)], grid)
    assert volume_ml == pytest.approx(24 * 24 * 12 / 1000)
    assert (apart[13:25] == 0).all()


@pytest.mark.parametrize("kind", ["xor", "keyhole"])
def test_a_hole_is_empty_however_it_is_drawn(kind):
    outer, inner = rectangle(-20, 20, -20, 20), rectangle(-8, 8, -8, 8)
    keyhole = [*outer, outer[0], inner[0], *inner[::-1]]
    grid = make_grid(shape=(10, 32, 32), spacing=(4, 2, 2), origin=(-32, -32, -20))
    contours = [
        contour
        for z in (-4, 0, 4)
        for contour in ([polygon(outer, z), polygon(inner, z)] if kind == "xor" else [polygon(keyhole, z)])
    ]
    filled, volume_ml = occupancy(contours, grid)
    assert volume_ml == pytest.approx((40 * 40 - 16 * 16) * 12 / 1000, rel=1e-6)
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=0.005)
    assert filled[5, 16, 16] == 0.0
    assert filled[5, 16, 9] == pytest.approx(1.0, abs=1e-5)


def test_the_order_direction_and_start_of_contours_do_not_matter():
    contours = sphere(14.0, rotation=OBLIQUE)
    grid = make_grid()
    first, _ = occupancy(contours, grid)
    second, _ = occupancy([np.roll(contour[::-1], 7, axis=0) for contour in contours[::-1]], grid)
    assert np.abs(first - second).max() < 1e-3


def test_what_the_grid_does_not_cover_is_in_the_volume_only():
    contours = sphere(20.0)
    filled, volume_ml = occupancy(contours, make_grid(shape=(20, 64, 64), origin=(-96, -96, -78)))
    assert filled.sum() * 0.036 == pytest.approx(volume_ml / 2, rel=0.02)
    nothing, same = occupancy(contours, make_grid(shape=(4, 8, 8), origin=(300, 300, 300)))
    assert same == volume_ml
    assert not nothing.any()


def test_a_single_plane_is_as_thick_as_a_voxel():
    grid = make_grid()
    filled, volume_ml = occupancy([polygon(rectangle(-9, 9, -9, 9), 0.0)], grid)
    assert volume_ml == pytest.approx(18 * 18 * 4 / 1000)
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=0.01)


def test_planes_closer_than_the_points_are_all_seen():
    grid = make_grid(shape=(20, 32, 32), spacing=(8, 4, 4), origin=(-64, -64, -80))
    contours = sphere(15.0, spacing=1.0)
    filled, volume_ml = occupancy(contours, grid)
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=0.01)


def test_a_structure_much_smaller_than_a_voxel_keeps_its_volume():
    grid = make_grid(spacing=(8, 6, 6), origin=(-192, -192, -160))
    filled, volume_ml = occupancy(sphere(2.5, spacing=0.5, centre=(1.0, 2.0, 3.0)), grid)
    assert volume_ml == pytest.approx(4 / 3 * np.pi * 2.5**3 / 1000, rel=0.02)
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=0.1)


def ring(outer_mm, inner_mm, kind, n=240):
    """Contours of one plane's annulus as (n, 2) arrays: two for XOR, one with a zero-width channel for a keyhole."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    outer, inner = outer_mm * circle, inner_mm * circle
    if inner_mm <= 0:
        return [outer]
    if kind == "xor":
        return [outer, inner]
    return [np.vstack([outer, outer[:1], inner[:1], inner[::-1]])]


STEEP = Rotation.from_euler("xyz", [80, 30, 45], degrees=True).as_matrix()


def shell(kind, rotation, outer=30.0, inner=18.0, spacing=2.5, centre=(1.0, 2.0, 3.0)):
    return [
        polygon(points, z, rotation, centre)
        for z in np.arange(-outer + spacing / 2, outer, spacing)
        for points in ring(np.sqrt(outer**2 - z**2), np.sqrt(max(inner**2 - z**2, 0.0)), kind)
    ]


@pytest.mark.parametrize("rotation", [None, OBLIQUE, STEEP], ids=["aligned", "oblique", "steep"])
@pytest.mark.parametrize("kind", ["xor", "keyhole"])
def test_a_spherical_shell_has_the_volume_of_its_formula(kind, rotation):
    grid = make_grid()
    filled, volume_ml = occupancy(shell(kind, rotation), grid)
    formula = 4 / 3 * np.pi * (30.0**3 - 18.0**3) / 1000
    assert volume_ml == pytest.approx(formula, rel=0.01)
    assert on_grid_ml(filled, grid) == pytest.approx(formula, rel=0.01)
    centre = tuple(np.rint(grid.index_from_lps @ (1.0, 2.0, 3.0, 1.0))[:3].astype(int))
    assert filled[centre] == 0.0


@pytest.mark.parametrize("rotation", [None, OBLIQUE, STEEP], ids=["aligned", "oblique", "steep"])
def test_a_keyhole_is_the_same_solid_as_its_xor(rotation):
    grid = make_grid()
    xor, xor_ml = occupancy(shell("xor", rotation), grid)
    keyhole, keyhole_ml = occupancy(shell("keyhole", rotation), grid)
    assert keyhole_ml == pytest.approx(xor_ml, rel=1e-9)
    assert np.abs(xor - keyhole).max() < 1e-5


def test_an_island_in_a_hole_is_filled_again():
    grid = make_grid(shape=(10, 32, 32), spacing=(4, 2, 2), origin=(-32, -32, -20))
    squares = [rectangle(-a, a, -a, a) for a in (20, 12, 6)]
    filled, volume_ml = occupancy([polygon(s, z) for z in (-4, 0, 4) for s in squares], grid)
    assert volume_ml == pytest.approx((40**2 - 24**2 + 12**2) * 12 / 1000, rel=1e-6)
    assert filled[5, 16, 16] == pytest.approx(1.0, abs=1e-5)
    assert filled[5, 16, 11] == 0.0
    assert filled[5, 16, 8] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("angle_deg", [15, 35, 45, 60, 90])
def test_planes_at_any_angle_to_the_grid_keep_an_annulus_within_two_percent(angle_deg):
    rotation = Rotation.from_euler("xy", [angle_deg, angle_deg / 2], degrees=True).as_matrix()
    grid = make_grid()
    contours = [polygon(p, z, rotation, (2.0, -3.0, 1.0)) for z in np.arange(-14, 15, 4.0) for p in ring(28, 12, "xor")]
    filled, volume_ml = occupancy(contours, grid)
    formula = np.pi * (28**2 - 12**2) * 32 / 1000
    assert volume_ml == pytest.approx(formula, rel=0.005)
    assert on_grid_ml(filled, grid) == pytest.approx(formula, rel=0.02)


def bent(contour):
    contour = contour.copy()
    contour[0, 2] += 3.0
    return contour


SQUARE = polygon(rectangle(-9, 9, -9, 9), 0.0)


@pytest.mark.parametrize(
    ("contours", "words"),
    [
        ([], "no closed contours"),
        ([SQUARE[:2]], "at least three points"),
        ([SQUARE, SQUARE[:, :2]], "Contour 2"),
        ([SQUARE, bent(polygon(rectangle(-5, 5, -5, 5), 4.0))], "not planar"),
        ([SQUARE, polygon(rectangle(-5, 5, -5, 5), 4.0, OBLIQUE)], "not parallel"),
        ([np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])], "encloses an area"),
        ([SQUARE * np.nan], "finite"),
    ],
    ids=["none", "two points", "2-D", "bent", "tilted", "line", "nan"],
)
def test_unusable_contours_are_refused_with_a_sentence(contours, words):
    with pytest.raises(ValueError, match=words):
        occupancy(contours, make_grid())


def test_a_liver_keeps_its_volume():
    grid = make_grid(shape=(60, 180, 240), spacing=(4, 1.2, 1.2), origin=(-144, -108, -118))
    filled, volume_ml = occupancy(sphere(100.0, spacing=3.0, n=400, stretch=(1.2, 0.9, 0.8)), grid)
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=1e-3)


@pytest.mark.parametrize("copy", [lambda p: p, lambda p: p[::-1], lambda p: np.roll(p, 3, axis=0), lambda p: p + 1e-3])
def test_a_contour_that_was_written_twice_does_not_erase_itself(copy):
    grid = make_grid(shape=(10, 32, 32), spacing=(4, 2, 2), origin=(-32, -32, -20))
    once = [polygon(points, z) for z in (-4, 0, 4) for points in ring(20, 8, "xor", n=60)]
    first, volume_ml = occupancy(once, grid)
    twice, same = occupancy([*once, *(copy(contour) for contour in once)], grid)
    assert same == pytest.approx(volume_ml, rel=1e-9)
    assert np.abs(first - twice).max() < 1e-5


def test_a_contour_through_voxel_centres_takes_half_of_the_voxels_on_it():
    """The convention of patient coordinates: a point at a voxel's centre, not at its corner."""
    grid = make_grid(shape=(5, 12, 12), spacing=(4, 2, 2), origin=(0, 0, 0))
    filled, volume_ml = occupancy([polygon(rectangle(4, 16, 4, 16), z) for z in (4.0, 8.0, 12.0)], grid)
    assert volume_ml == pytest.approx(12 * 12 * 12 / 1000)
    assert filled[2, 5, 1:10] == pytest.approx([0, 0.5, 1, 1, 1, 1, 1, 0.5, 0], abs=0.02)
    assert filled[2, 2, 2] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("rotation", [None, OBLIQUE], ids=["aligned", "oblique"])
def test_contours_that_touch_themselves_or_each_other_enclose_what_they_draw(rotation):
    """A figure of two squares that meet in a point, as one contour; two squares that share an edge, as two."""
    grid = make_grid()
    eight = [(-20, -20), (0, -20), (0, 0), (20, 0), (20, 20), (0, 20), (0, 0), (-20, 0)]
    filled, volume_ml = occupancy([polygon(eight, z, rotation) for z in (-4, 0, 4)], grid)
    assert volume_ml == pytest.approx(2 * 400 * 12 / 1000, rel=1e-3)
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=0.03)
    halves = [rectangle(-20, 0, -20, 20), rectangle(0, 20, -20, 20)]
    filled, volume_ml = occupancy([polygon(half, z, rotation) for z in (-4, 0, 4) for half in halves], grid)
    assert volume_ml == pytest.approx(1600 * 12 / 1000, rel=1e-3)
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=0.03)


def test_thousands_of_points_change_nothing_but_the_outline():
    grid = make_grid()
    rough, rough_ml = occupancy(sphere(25.0, n=90), grid)
    fine, fine_ml = occupancy(sphere(25.0, n=6000), grid)
    assert fine_ml == pytest.approx(rough_ml, rel=2e-3)
    assert np.abs(fine - rough).max() < 0.05
