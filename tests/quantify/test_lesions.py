"""Small lesions: the diameter of balls and other shapes, and the sentence that marks them."""

from __future__ import annotations

import numpy as np
import pytest

from config.settings import StatisticsSettings
from quantify.lesions import small_lesion_warning, smallest_diameter_mm
from quantify.model import Role, Volume

SETTINGS = StatisticsSettings()


def shape_on(grid, inside, *, seed=0):
    """Volume of the points where inside(z, y, x) [mm from a random place near the middle], 6×6×6 points a voxel."""
    rng = np.random.default_rng(seed)
    middle = [
        (n - 1) / 2 * step + rng.uniform(-step, step) / 2 for n, step in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    offsets = (np.arange(6) - 2.5) / 6
    index = np.indices(grid.shape)
    total = np.zeros(grid.shape)
    for a in offsets:
        for b in offsets:
            for c in offsets:
                z, y, x = ((index[n] + part) * grid.spacing_mm[n] - middle[n] for n, part in enumerate((a, b, c)))
                total += inside(z, y, x)
    occupancy = (total / 216).astype(np.float32)
    return Volume(
        name="Tumour 1",
        role=Role.TUMOUR,
        occupancy=occupancy,
        grid=grid,
        contour_volume_ml=float(occupancy.sum()) * grid.voxel_volume_ml,
    )


def ball(grid, diameter_mm, seed=0):
    return shape_on(grid, lambda z, y, x: z**2 + y**2 + x**2 <= diameter_mm**2 / 4, seed=seed)


@pytest.mark.parametrize("spacing", [(4.0, 3.0, 3.0), (2.0, 2.0, 2.0), (6.0, 2.0, 2.0)], ids=str)
@pytest.mark.parametrize("diameter", [6.0, 10.0, 14.0, 20.0])
def test_the_diameter_of_a_ball_is_right(grid, spacing, diameter):
    g = grid(tuple(int(diameter / step) + 5 for step in spacing), spacing)
    found = [smallest_diameter_mm(ball(g, diameter, seed)) for seed in range(4)]
    assert np.mean(found) == pytest.approx(diameter, abs=1.0)
    assert np.abs(np.array(found) - diameter).max() < max(1.0, 0.3 * max(spacing))
    assert max(found) < diameter + 0.7, "rather marked than missed"


def test_of_an_ellipsoid_it_is_the_smallest_axis(grid):
    g = grid((12, 16, 20))
    flat = shape_on(g, lambda z, y, x: (z / 15) ** 2 + (y / 6) ** 2 + (x / 20) ** 2 <= 1)
    assert smallest_diameter_mm(flat) == pytest.approx(12.0, abs=1.3)


def test_of_two_joined_balls_it_is_one_ball(grid):
    """Neither the length nor the spread of the whole."""
    g = grid((8, 10, 24))
    pair = shape_on(
        g, lambda z, y, x: ((z**2 + y**2 + (np.abs(x) - 12) ** 2) <= 49) | ((z**2 + y**2 <= 9) & (np.abs(x) < 12))
    )
    assert smallest_diameter_mm(pair) == pytest.approx(14.0, abs=1.3)


def test_of_a_ring_it_is_the_thickness(grid):
    """A horseshoe's extents, and its moments, are those of the whole."""
    g = grid((8, 18, 18))
    ring = shape_on(g, lambda z, y, x: (np.hypot(y, x) - 16) ** 2 + z**2 <= 36)
    assert smallest_diameter_mm(ring) == pytest.approx(12.0, abs=1.5)


def test_a_lesion_of_12_mm_is_marked_for_its_volume_only(grid):
    """A ball of 12 mm holds 0.9 mL."""
    warning = small_lesion_warning(ball(grid((8, 10, 10)), 12.0), SETTINGS)
    assert warning == "small lesion: volume 0.9 mL (under 5 mL); partial volume dominates its dose"


def test_a_lesion_of_7_mm_is_marked_for_both(grid):
    warning = small_lesion_warning(ball(grid((8, 10, 10)), 7.0), SETTINGS)
    assert "smallest diameter 7 mm (under 10 mm) and volume 0.2 mL (under 5 mL)" in warning


def test_a_thin_lesion_is_marked_for_its_diameter_only(grid):
    plate = shape_on(grid((8, 24, 24)), lambda z, y, x: (z / 4) ** 2 + (y / 30) ** 2 + (x / 30) ** 2 <= 1)
    warning = small_lesion_warning(plate, SETTINGS)
    assert "smallest diameter 8 mm" in warning
    assert "volume" not in warning.split(";")[0]


def test_a_large_lesion_is_not_marked(grid):
    large = ball(grid((14, 18, 18)), 40.0)
    assert small_lesion_warning(large, SETTINGS) == ""
    assert smallest_diameter_mm(large, up_to_mm=10.0) == np.inf, "no need to look closely"


def test_the_shortcut_never_hides_a_small_lesion(grid):
    for diameter in (8.0, 9.0):
        for seed in range(3):
            lesion = ball(grid((8, 9, 9), (4.0, 3.0, 3.0)), diameter, seed)
            assert smallest_diameter_mm(lesion, up_to_mm=10.0) == smallest_diameter_mm(lesion)


def test_the_volume_is_that_of_the_contours(grid):
    """Nine tenths of it outside the grid: what is seen is small, the lesion is not."""
    seen = ball(grid((8, 10, 10)), 16.0)
    whole = Volume(
        name="T", role=Role.TUMOUR, occupancy=seen.occupancy, grid=seen.grid, contour_volume_ml=10 * seen.volume_ml
    )
    assert "volume 2.1 mL" in small_lesion_warning(seen, SETTINGS)
    assert small_lesion_warning(whole, SETTINGS) == ""


def test_limits_of_zero_mark_nothing(grid):
    none = SETTINGS.model_copy(update={"small_lesion_diameter_mm": 0.0, "small_lesion_volume_ml": 0.0})
    assert small_lesion_warning(ball(grid((6, 8, 8)), 5.0), none) == ""


def test_nothing_on_the_grid_has_no_diameter(grid):
    g = grid((4, 4, 4))
    empty = Volume(name="E", role=Role.TUMOUR, occupancy=np.zeros(g.shape, np.float32), grid=g, contour_volume_ml=0.0)
    assert smallest_diameter_mm(empty) is None
    assert "volume 0.0 mL" in small_lesion_warning(empty, SETTINGS)


def test_a_lesion_that_fills_the_grid_has_a_finite_diameter(grid):
    g = grid((1, 4, 4), (4.0, 3.0, 3.0))
    full = Volume(name="F", role=Role.TUMOUR, occupancy=np.ones(g.shape, np.float32), grid=g, contour_volume_ml=0.576)
    assert 3.0 < smallest_diameter_mm(full) < 7.0
