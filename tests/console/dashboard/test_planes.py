"""A flip of left and right, or of head and foot, cannot hide: letters and pixels come from the affine alone."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from console.dashboard.screen.planes import bounds_mm, contour_lines, direction_letters, plane_geometries
from quantify.model import Grid

AXIAL, CORONAL, SAGITTAL = 0, 1, 2


def _grid(directions: np.ndarray, *, shape=(6, 7, 8), spacing=(4.0, 3.0, 2.0), origin=(0.0, 0.0, 0.0)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing)
    affine[:3, 3] = origin
    return Grid(shape=shape, affine_lps_mm=affine)


_ORIENTATIONS = [
    np.array([np.eye(3)[axis] * sign for axis, sign in zip(order, signs, strict=True)]).T
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def _rotation(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    made = np.eye(3)
    i, j = [k for k in range(3) if k != axis]
    made[i, i], made[j, j], made[i, j], made[j, i] = c, c, -s, s
    return made


@pytest.mark.parametrize("directions", _ORIENTATIONS, ids=range(len(_ORIENTATIONS)))
def test_letters_are_the_radiologist_s_for_every_acquisition_order_and_flip(directions):
    axial, coronal, sagittal = plane_geometries(_grid(directions))
    assert axial.letters == ("R", "L", "A", "P")
    assert coronal.letters == ("R", "L", "H", "F")
    assert sagittal.letters == ("A", "P", "H", "F")


@pytest.mark.parametrize("directions", _ORIENTATIONS, ids=range(len(_ORIENTATIONS)))
def test_pixels_agree_with_letters_for_every_acquisition_order_and_flip(directions):
    grid = _grid(directions)
    index = np.indices(grid.shape).reshape(3, -1)
    lps = (grid.affine_lps_mm[:3, :3] @ index + grid.affine_lps_mm[:3, 3:]).reshape(3, *grid.shape)
    wanted = {AXIAL: ((0, 1), (1, 1)), CORONAL: ((0, 1), (2, -1)), SAGITTAL: ((1, 1), (2, -1))}
    for number, geometry in enumerate(plane_geometries(grid)):
        (right, right_sign), (down, down_sign) = wanted[number]
        along_right = np.diff(geometry.cut(lps[right], 2), axis=1) * right_sign
        along_down = np.diff(geometry.cut(lps[down], 2), axis=0) * down_sign
        np.testing.assert_allclose(along_right, geometry.spacing_mm[0])
        np.testing.assert_allclose(along_down, geometry.spacing_mm[1])


@pytest.mark.parametrize("directions", _ORIENTATIONS, ids=range(len(_ORIENTATIONS)))
def test_a_pressed_point_is_the_voxel_drawn_there(directions):
    grid = _grid(directions)
    values = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    for geometry in plane_geometries(grid):
        voxel = (2, 5, 1)
        cut = geometry.cut(values, voxel[geometry.normal_axis])
        x, y = geometry.place_mm(voxel)
        row, column = int(y // geometry.spacing_mm[1]), int(x // geometry.spacing_mm[0])
        assert cut[row, column] == values[voxel]
        assert geometry.voxel_at(x, y, voxel) == voxel


def test_a_point_outside_the_image_is_the_nearest_voxel():
    geometry = plane_geometries(_grid(_ORIENTATIONS[0]))[AXIAL]
    found = geometry.voxel_at(-50.0, 1e6, (0, 0, 0))
    assert all(0 <= i < n for i, n in zip(found, (6, 7, 8), strict=True))


def test_an_oblique_grid_is_named_by_both_axes_and_says_its_tilt():
    slices_first = _rotation(0, 20.0) @ np.array([[0, 0, 1.0], [0, 1.0, 0], [1.0, 0, 0]])
    axial = plane_geometries(_grid(slices_first))[AXIAL]
    left, right, top, bottom = axial.letters
    assert (left, right) == ("R", "L")
    assert top in {"AH", "AF"}
    assert bottom in {"PF", "PH"}
    assert top[1] != bottom[1]
    assert axial.oblique_deg == pytest.approx(20.0, abs=0.1)


def test_a_straight_grid_has_no_tilt():
    assert all(g.oblique_deg == 0.0 for g in plane_geometries(_grid(_ORIENTATIONS[3])))


def test_letters_put_the_strongest_axis_first():
    assert direction_letters(np.array([0.3, -0.9, 0.1])) == "AL"
    assert direction_letters(np.array([0.0, 0.0, -2.0])) == "F"


def test_anisotropic_voxels_keep_their_millimetres():
    slices_first = np.array([[0, 0, 1.0], [0, 1.0, 0], [1.0, 0, 0]])
    axial, coronal, sagittal = plane_geometries(_grid(slices_first))
    assert axial.size_mm == (16.0, 21.0)
    assert coronal.size_mm == (16.0, 24.0)
    assert sagittal.size_mm == (21.0, 24.0)


def test_a_contour_of_a_disc_has_its_radius_in_millimetres():
    rows, columns = np.indices((60, 40))
    distance = np.hypot((rows + 0.5) * 2.0 - 60.0, (columns + 0.5) * 3.0 - 60.0)
    ((x, y, connect),) = contour_lines(distance.astype(np.float32), (25.0,), (3.0, 2.0))
    np.testing.assert_allclose(np.hypot(x - 60.0, y - 60.0), 25.0, atol=0.1)
    assert not connect[-1]
    assert connect[:-1].all()


def test_contours_stop_at_voxels_without_a_value():
    plane = np.tile(np.arange(20.0, dtype=np.float32), (20, 1))
    plane[8:12] = np.nan
    ((x, y, connect),) = contour_lines(plane, (9.5,), (1.0, 1.0))
    assert np.isfinite(x).all()
    assert (~connect).sum() == 2
    assert not ((y > 8) & (y < 12)).any()


def test_a_single_row_has_no_contours():
    assert contour_lines(np.ones((1, 9), dtype=np.float32), (0.5,), (1.0, 1.0))[0][0].size == 0


def test_the_focus_encloses_the_volume_and_its_margin():
    grid = _grid(np.array([[0, 0, 1.0], [0, 1.0, 0], [1.0, 0, 0]]), shape=(20, 20, 20), spacing=(1.0, 1.0, 1.0))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[5:8, 9:12, 3:5] = True
    axial = plane_geometries(grid)[AXIAL]
    assert bounds_mm(mask, axial, margin_mm=1.0) == (2.0, 8.0, 4.0, 5.0)
    assert bounds_mm(np.zeros_like(mask), axial, margin_mm=1.0) == (0.0, 0.0, 20.0, 20.0)
