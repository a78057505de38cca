"""Volumes from volumes: territories, healthy parts, overlap, Dice, boxes."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.model import Role, Volume
from quantify.volumes import bounding_box, dice, healthy_part, overlap_ml


def make_volume(occupancy, grid, *, name="Tumour 1", role=Role.TUMOUR, outside_ml=0.0):
    occupancy = np.asarray(occupancy, dtype=np.float32)
    on_grid = float(occupancy.sum()) * grid.voxel_volume_ml
    return Volume(name=name, role=role, occupancy=occupancy, grid=grid, contour_volume_ml=on_grid + outside_ml)


def row(grid):
    return grid((1, 1, 6), (10.0, 10.0, 10.0))


def test_a_territory_loses_only_the_tumour_inside_it(grid):
    g = row(grid)
    territory = make_volume([[[1, 1, 1, 1, 0, 0]]], g, name="Right liver", role=Role.TERRITORY)
    across = make_volume([[[0, 0, 0, 0.5, 1, 1]]], g)
    elsewhere = make_volume([[[0, 0, 0, 0, 0, 1]]], g)
    healthy = healthy_part(territory, [across, elsewhere], name="Healthy liver RHA")
    assert healthy.occupancy.ravel() == pytest.approx([1, 1, 1, 0.5, 0, 0])
    assert (healthy.name, healthy.role) == ("Healthy liver RHA", Role.HEALTHY_LIVER)
    assert healthy.contour_volume_ml == pytest.approx(3.5)


def test_healthy_parts_of_two_territories_make_up_that_of_the_liver(grid):
    rng = np.random.default_rng(3)
    g = grid((4, 8, 8))
    share = rng.uniform(0, 1, g.shape)
    inside = (rng.uniform(0, 1, g.shape) > 0.3).astype(np.float64)
    cut = np.arange(8) < 4
    tumour = make_volume(inside * np.where(share > 0.7, 1.0, 0.0), g)
    parts = [
        healthy_part(make_volume(inside * side, g, role=Role.TERRITORY), [tumour]).volume_ml for side in (cut, ~cut)
    ]
    assert sum(parts) == pytest.approx(healthy_part(make_volume(inside, g, role=Role.LIVER), [tumour]).volume_ml)


def test_overlapping_tumours_take_no_more_than_there_is(grid):
    g = row(grid)
    liver = make_volume(np.ones(g.shape), g, role=Role.LIVER)
    first, second = make_volume([[[1, 1, 0, 0, 0, 0]]], g), make_volume([[[0, 1, 1, 0, 0, 0]]], g)
    healthy = healthy_part(liver, [first, second])
    assert healthy.volume_ml == pytest.approx(liver.volume_ml - 3.0)
    assert overlap_ml(first, second) == pytest.approx(1.0)


def test_without_tumours_all_of_it_is_healthy(grid):
    g = row(grid)
    liver = make_volume([[[1, 1, 0.3, 0, 0, 0]]], g, role=Role.LIVER, outside_ml=2.0)
    healthy = healthy_part(liver, [])
    assert (healthy.occupancy == liver.occupancy).all()
    assert healthy.contour_volume_ml == pytest.approx(liver.contour_volume_ml)


def test_a_liver_that_is_all_tumour_has_no_healthy_part(grid):
    g = row(grid)
    liver = make_volume([[[1, 1, 0.5, 0, 0, 0]]], g, role=Role.LIVER)
    healthy = healthy_part(liver, [make_volume(np.ones(g.shape), g)])
    assert (healthy.volume_ml, healthy.contour_volume_ml) == (0.0, pytest.approx(0.0, abs=1e-6))


def test_voxels_that_two_volumes_only_touch_are_no_overlap(grid):
    g = row(grid)
    first, second = make_volume([[[1, 0.6, 0, 0, 0, 0]]], g), make_volume([[[0, 0.4, 1, 0, 0, 0]]], g)
    assert overlap_ml(first, second) == pytest.approx(0.0, abs=1e-6)
    assert overlap_ml(first, first) == pytest.approx(1.2)


def test_dice_is_one_for_the_same_and_zero_for_others(grid):
    g = row(grid)
    first, second = make_volume([[[1, 0.6, 0, 0, 0, 0]]], g), make_volume([[[0, 0, 1, 1, 0, 0]]], g)
    assert dice(first, first) == pytest.approx(1.0)
    assert dice(first, second) == 0.0
    half = make_volume([[[0, 0, 0, 1, 1, 0]]], g)
    assert dice(second, half) == dice(half, second) == pytest.approx(0.5)


def test_a_liver_shifted_by_15_mm_still_scores_0_85(grid):
    """docs/physics.md §6: why Dice is no gate. Balls of 1.8 L: 1 − 3d/4R + d³/16R³ = 0.851."""
    g = grid((52, 52, 60), (3.0, 3.0, 3.0))
    z, y, x = ((i - (n - 1) / 2) * 3.0 for i, n in zip(np.indices(g.shape), g.shape, strict=True))
    here, shifted = (make_volume(z**2 + y**2 + (x + d) ** 2 <= 75.46**2, g, role=Role.LIVER) for d in (-7.5, 7.5))
    assert here.volume_ml == pytest.approx(1800.0, rel=0.01)
    assert dice(here, shifted) == pytest.approx(0.851, abs=0.003)


def test_two_empty_volumes_have_no_dice(grid):
    g = row(grid)
    empty = make_volume(np.zeros(g.shape), g)
    assert dice(empty, empty) is None
    assert dice(empty, make_volume(np.ones(g.shape), g)) == 0.0


@pytest.mark.parametrize("function", [dice, overlap_ml, lambda a, b: healthy_part(a, [b])])
def test_another_grid_is_refused(grid, function):
    first = make_volume(np.ones((1, 1, 6)), row(grid))
    second = make_volume(np.ones((1, 1, 6)), grid((1, 1, 6), (10.0, 10.0, 9.0)))
    with pytest.raises(ValueError, match="different grids"):
        function(first, second)


def test_a_box_holds_all_and_stays_in_the_array():
    inside = np.zeros((5, 9, 9), dtype=bool)
    inside[1, 4, 2] = inside[3, 6, 2] = True
    assert bounding_box(inside) == (slice(1, 4), slice(4, 7), slice(2, 3))
    assert bounding_box(inside, (2, 1, 3)) == (slice(0, 5), slice(3, 8), slice(0, 6))
    assert inside[bounding_box(np.zeros_like(inside))].size == 0
