"""Six numbers and a rigid transform are two ways to say the same; a picture that is moved goes where it is moved to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import RegistrationSettings
from quantify.model import Grid
from quantify.registration_gates import judge
from quantify.resampling import sampler
from quantify.rigid import Plane, image_moved, image_turned, rigid_matrix, seen_on, share_covered, six_degrees
from quantify.rigid_search import itk_image

millimetres = st.floats(-400, 400)
CENTRE = np.array([-60.0, -12.0, 31.0])
GRID = Grid(
    shape=(12, 20, 24),
    affine_lps_mm=np.array([[0, 0, 3.0, -40], [0, 3.0, 0, -30], [4.0, 0, 0, -20], [0, 0, 0, 1]]),
    frame_of_reference_uid="1.2.3",
)


def _blob(grid: Grid, at: np.ndarray) -> np.ndarray:
    index = np.indices(grid.shape).reshape(3, -1)
    points = grid.affine_lps_mm[:3, :3] @ index + grid.affine_lps_mm[:3, 3:]
    return np.exp(-((points - at[:, None]) ** 2).sum(axis=0) / 50.0).reshape(grid.shape).astype(np.float32)


def _points(grid: Grid) -> np.ndarray:
    index = np.indices(grid.shape).reshape(3, -1)
    return grid.affine_lps_mm[:3, :3] @ index + grid.affine_lps_mm[:3, 3:]


def _seen_on_all(image: object, matrix: np.ndarray) -> np.ndarray:
    """Every slice of the grid as a plane."""
    affine = GRID.affine_lps_mm
    planes = [
        Plane(
            origin_mm=affine[:3, 3] + k * affine[:3, 0], across_mm=affine[:3, 2], down_mm=affine[:3, 1], size=(24, 20)
        )
        for k in range(GRID.shape[0])
    ]
    return np.stack([seen_on(image, plane, matrix) for plane in planes])


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    translation=st.tuples(millimetres, millimetres, millimetres),
    turn=st.tuples(st.floats(-89, 89), st.floats(-179, 179), st.floats(-179, 179)),
    centre=st.tuples(millimetres, millimetres, millimetres),
)
def test_six_degrees_and_the_matrix_say_the_same_and_the_matrix_is_rigid(translation, turn, centre):
    matrix = rigid_matrix(translation, turn, np.array(centre))
    rotation = matrix[:3, :3]
    assert np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-12
    assert np.linalg.det(rotation) == pytest.approx(1.0, abs=1e-12)
    back_mm, back_deg = six_degrees(matrix, np.array(centre))
    assert back_mm == pytest.approx(translation, abs=1e-8)
    assert back_deg == pytest.approx(turn, abs=1e-8)


def test_they_are_those_that_a_registration_reports():
    matrix = rigid_matrix((3.0, -4.0, 7.5), (2.0, -3.0, 5.0), CENTRE)
    judged = judge(matrix, CENTRE, 0.99, RegistrationSettings())
    assert judged.translation_mm == pytest.approx((3.0, -4.0, 7.5))
    assert judged.rotation_deg == pytest.approx((2.0, -3.0, 5.0))


def test_what_decimals_rounded_is_read_and_what_is_not_rigid_is_refused():
    rounded = np.round(rigid_matrix((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), CENTRE), 5)
    assert six_degrees(rounded, CENTRE)[1] == pytest.approx((4.0, 5.0, 6.0), abs=1e-3)
    for wrong in (np.diag([1.01, 1.0, 1.0, 1.0]), np.diag([-1.0, 1.0, 1.0, 1.0]), np.full((4, 4), np.nan), np.eye(3)):
        with pytest.raises(ValueError, match="expected a"):
            six_degrees(wrong, CENTRE)


@pytest.mark.parametrize("by_mm", [(6.0, 0.0, 0.0), (0.0, -6.0, 0.0), (0.0, 0.0, 8.0)], ids=["left", "front", "head"])
def test_the_picture_of_a_series_goes_where_it_is_moved_to(by_mm):
    start, by = rigid_matrix((2.0, 1.0, -3.0), (5.0, -4.0, 3.0), np.zeros(3)), np.array(by_mm)
    series = itk_image(_blob(GRID, np.zeros(3)), GRID)
    before = _seen_on_all(series, start)
    after = _seen_on_all(series, image_moved(start, by))
    peak = [_points(GRID)[:, np.nanargmax(values)] for values in (before, after)]
    assert peak[1] - peak[0] == pytest.approx(by, abs=3.1)  # to the nearest voxel
    assert (peak[1] - peak[0]) @ by > 0


def test_a_plane_sees_what_trilinear_sampling_of_its_points_sees():
    rng = np.random.default_rng(4)
    values = rng.random(GRID.shape).astype(np.float32)
    matrix = rigid_matrix((2.0, 1.0, -3.0), (5.0, -4.0, 3.0), CENTRE)
    expected = sampler(source=GRID, target=GRID, target_to_source_lps_mm=matrix).sample(values)
    seen = _seen_on_all(itk_image(values, GRID), matrix)
    inside = sampler(source=GRID, target=GRID, target_to_source_lps_mm=matrix).coverage() > 0.9999
    assert inside.sum() > 500
    assert seen[inside] == pytest.approx(expected[inside], abs=1e-5)


def test_the_picture_turns_right_handed_about_the_axis_and_its_centre_stays():
    centre, start = np.array([5.0, 4.0, 3.0]), rigid_matrix((2.0, 1.0, -3.0), (5.0, -4.0, 3.0), np.zeros(3))
    turned = image_turned(start, np.array([0.0, 0.0, 2.0]), 90.0, centre)
    assert turned @ [*centre, 1.0] == pytest.approx(start @ [*centre, 1.0])
    # What the series shows 10 mm to the left of the centre is seen 10 mm behind it now.
    behind, left = (np.append(centre, 1.0) + step for step in ([0, 10, 0, 0], [10, 0, 0, 0]))
    assert turned @ behind == pytest.approx(start @ left)


def test_outside_the_series_nothing_is_seen_and_the_share_covered_says_how_much_is_inside():
    points = _points(GRID)
    ones = itk_image(np.ones(GRID.shape, np.float32), GRID)
    assert np.isfinite(_seen_on_all(ones, np.eye(4))).all()
    assert share_covered(GRID, points, np.eye(4)) == 1.0
    half = rigid_matrix((3.0 * 12, 0.0, 0.0), (0.0, 0.0, 0.0), np.zeros(3))
    assert share_covered(GRID, points, half) == pytest.approx(0.5)
    away = rigid_matrix((400.0, 0.0, 0.0), (0.0, 0.0, 0.0), np.zeros(3))
    assert share_covered(GRID, points, away) == 0.0
    assert np.isnan(_seen_on_all(ones, away)).all()
