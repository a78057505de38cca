"""Masks to occupancy on another grid: volume for volume, share for share."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from quantify.model import Grid
from quantify.occupancy_of_mask import mask_occupancy

OBLIQUE = Rotation.from_euler("xyz", [20, 10, 5], degrees=True).as_matrix()
NEARLY = Rotation.from_euler("xyz", [0.4, 0.1, -0.2], degrees=True).as_matrix()
STEEP = Rotation.from_euler("xyz", [80, 30, 45], degrees=True).as_matrix()
ROTATIONS = pytest.mark.parametrize(
    "rotation", [None, NEARLY, OBLIQUE, STEEP], ids=["aligned", "nearly", "oblique", "steep"]
)


def affine_around(centre, shape, spacing, rotation=None) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if rotation is None else rotation)[:, ::-1] * np.array(spacing)
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def make_grid(spacing, rotation=None, extent=64.0, centre=(1.1, 0.7, -0.9)) -> Grid:
    shape = tuple(int(extent / step) + 2 for step in spacing)
    return Grid(shape=shape, affine_lps_mm=affine_around(centre, shape, spacing, rotation))


@cache
def sphere(radius: float, spacing: tuple[float, float, float], rotation: str = "aligned", subsamples: int = 5):
    """Share of every voxel that a sphere around (0.3, −0.2, 0.4) takes; one subsample makes it binary."""
    shape = tuple(int(2 * np.ceil((radius + 4) / step)) + 3 for step in spacing)
    turned = {"aligned": None, "oblique": OBLIQUE}[rotation]
    affine = affine_around((0.0, 0.0, 0.0), shape, spacing, turned)
    index = np.indices(shape).reshape(3, -1)
    share = np.zeros(index.shape[1])
    for offset in np.ndindex((subsamples,) * 3):
        at = affine[:3, :3] @ (index + ((np.array(offset) + 0.5) / subsamples - 0.5)[:, None]) + affine[:3, 3:]
        share += ((at - np.array([[0.3], [-0.2], [0.4]])) ** 2).sum(axis=0) <= radius**2
    return (share / subsamples**3).reshape(shape).astype(np.float32), affine


def on_grid_ml(filled: np.ndarray, grid: Grid) -> float:
    return float(filled.sum(dtype=float)) * grid.voxel_volume_ml


@ROTATIONS
@pytest.mark.parametrize("target", [(1.0, 1.0, 1.0), (3.0, 1.5, 1.5), (5.0, 3.0, 3.0), (5.0, 5.0, 5.0)], ids=str)
@pytest.mark.parametrize("source", [(1.0, 1.0, 1.0), (3.0, 1.0, 4.0), (5.0, 5.0, 5.0)], ids=str)
def test_a_sphere_of_20_mm_keeps_its_volume_whatever_the_voxels(source, target, rotation):
    values, affine = sphere(10.0, source)
    grid = make_grid(target, rotation, extent=40.0)
    filled, volume_ml = mask_occupancy(values, affine, grid)
    assert volume_ml == pytest.approx(4 / 3 * np.pi * 10.0**3 / 1000, rel=0.01)
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=0.005)
    assert filled.dtype == np.float32
    assert filled.min() >= 0.0
    assert filled.max() <= 1.0


@pytest.mark.parametrize("rotation", ["aligned", "oblique"])
def test_a_binary_mask_keeps_its_volume_to_a_thousandth(rotation):
    values, affine = sphere(20.0, (4.0, 1.3, 1.3), rotation, subsamples=1)
    for grid in (make_grid((2.0, 2.0, 2.0)), make_grid((4.0, 3.0, 3.0), STEEP)):
        filled, volume_ml = mask_occupancy(values, affine, grid)
        assert volume_ml == pytest.approx(values.sum(dtype=float) * 4.0 * 1.3 * 1.3 / 1000)
        assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=1e-3)


@pytest.mark.parametrize("rotation", [None, OBLIQUE], ids=["aligned", "oblique"])
def test_on_its_own_grid_a_mask_is_its_occupancy_bit_for_bit(rotation):
    values = np.random.default_rng(3).random((5, 6, 7), dtype=np.float32)
    grid = Grid(
        shape=values.shape, affine_lps_mm=affine_around((11.3, -7.1, 100.2), values.shape, (4, 1.3, 1.7), rotation)
    )
    filled, _ = mask_occupancy(values, np.array(grid.affine_lps_mm), grid)
    assert np.array_equal(filled, values)


def test_a_part_of_the_same_grid_is_put_in_its_place_bit_for_bit():
    values = np.random.default_rng(3).random((5, 6, 7), dtype=np.float32)
    grid = make_grid((4.0, 3.0, 3.0), OBLIQUE)
    affine = np.array(grid.affine_lps_mm)
    affine[:3, 3] += affine[:3, :3] @ (2, 3, 4)
    filled, _ = mask_occupancy(values, affine, grid)
    assert np.array_equal(filled[2:7, 3:9, 4:11], values)
    assert np.count_nonzero(filled) == np.count_nonzero(values)


def overlap_matrix(source_edges: np.ndarray, target_edges: np.ndarray) -> np.ndarray:
    """Share of each target interval that each source interval covers."""
    low = np.maximum(source_edges[None, :-1], target_edges[:-1, None])
    high = np.minimum(source_edges[None, 1:], target_edges[1:, None])
    return np.clip(high - low, 0, None) / np.diff(target_edges)[:, None]


@pytest.mark.parametrize("step", [0.7, 1.0, 2.5, 3.0, 7.3])
def test_between_parallel_grids_it_is_the_overlap_of_boxes(step):
    """The analytic value: boxes' overlaps along three axes, multiplied; axes swapped and turned round."""
    values = np.random.default_rng(8).random((4, 5, 6), dtype=np.float32)
    affine = np.eye(4)[:, [2, 1, 0, 3]] * np.array([3.0, 2.0, 1.5, 1.0])
    shape, spacing, first = (9, 10, 11), np.array([step, 2.1, 1.9]), np.array([-3.3, -2.7, -1.2])
    target = np.eye(4)
    # Slices of the target run along x, rows against z, columns along y.
    target[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) * spacing
    target[:3, 3] = first[0], first[2], 15.0
    along = {
        "x": np.arange(-0.5, 9) * spacing[0] + first[0],
        "y": np.arange(-0.5, 11) * spacing[2] + first[2],
        "z": 15.0 - np.arange(-0.5, 10) * spacing[1],
    }
    of_x = overlap_matrix(np.arange(-0.5, 6) * 1.5, along["x"])
    of_y = overlap_matrix(np.arange(-0.5, 5) * 2.0, along["y"])
    of_z = overlap_matrix(np.arange(-0.5, 4) * 3.0, along["z"][::-1])[::-1]
    expected = np.einsum("zyx,az,by,cx->cab", values, of_z, of_y, of_x)
    filled, _ = mask_occupancy(values, affine, Grid(shape=shape, affine_lps_mm=target))
    assert filled == pytest.approx(expected, abs=1e-5)


@ROTATIONS
def test_occupancy_is_linear_in_the_shares(rotation):
    rng = np.random.default_rng(5)
    first, second = (rng.random((6, 8, 8), dtype=np.float32) * 0.5 for _ in range(2))
    affine, grid = affine_around((0, 0, 0), first.shape, (4, 2, 2)), make_grid((3.0, 2.5, 2.5), rotation, 30.0)
    one, other, both = (mask_occupancy(values, affine, grid)[0] for values in (first, second, first + second))
    assert both == pytest.approx(one + other, abs=2e-6)
    assert mask_occupancy(first / 4, affine, grid)[0] == pytest.approx(one / 4, abs=1e-6)


@ROTATIONS
def test_a_mask_of_ones_fills_the_voxels_inside_it(rotation):
    values = np.ones((20, 40, 40), dtype=np.float32)
    grid = make_grid((3.0, 2.5, 2.5), rotation, 20.0)
    filled, _ = mask_occupancy(values, affine_around((0, 0, 0), values.shape, (4, 2, 2)), grid)
    assert filled == pytest.approx(np.ones(grid.shape), abs=1e-6)


@pytest.mark.parametrize("rotation", [None, OBLIQUE], ids=["aligned", "oblique"])
def test_the_centroid_follows_a_shift_smoothly(rotation):
    values, affine = sphere(10.0, (3.0, 2.0, 2.0))
    grid = make_grid((5.0, 4.0, 4.0), rotation)
    at = grid.affine_lps_mm[:3, :3] @ np.indices(grid.shape).reshape(3, -1) + grid.affine_lps_mm[:3, 3:]
    for shift in np.linspace(0.0, 4.0, 6):
        moved = np.array(affine)
        moved[:3, 3] += shift
        filled, _ = mask_occupancy(values, moved, grid)
        centroid = at @ filled.ravel() / filled.sum()
        assert centroid - shift == pytest.approx([0.3, -0.2, 0.4], abs=0.03)


def test_half_a_voxel_is_half_occupied():
    values = np.ones((2, 2, 2), dtype=np.float32)
    grid = Grid(shape=(4, 4, 4), affine_lps_mm=np.diag([4.0, 4.0, 4.0, 1.0])[:, [2, 1, 0, 3]])
    affine = np.array(grid.affine_lps_mm)
    affine[:3, 3] += (2.0, 0.0, 0.0)  # half a voxel along x, the columns
    filled, volume_ml = mask_occupancy(values, affine, grid)
    assert filled[0, 0] == pytest.approx([0.5, 1.0, 0.5, 0.0])
    assert volume_ml == pytest.approx(8 * 64 / 1000)


def test_what_the_grid_does_not_cover_is_in_the_volume_only():
    values, affine = sphere(15.0, (2.0, 2.0, 2.0))
    shape = (16, 40, 40)
    half = Grid(shape=shape, affine_lps_mm=affine_around((0.3, -0.2, 0.4 - 16.0), shape, (2.0, 2.0, 2.0)))
    filled, volume_ml = mask_occupancy(values, affine, half)
    assert on_grid_ml(filled, half) == pytest.approx(volume_ml / 2, rel=0.01)
    nothing, same = mask_occupancy(values, affine, make_grid((4.0, 4.0, 4.0), centre=(300, 300, 300)))
    assert same == volume_ml
    assert not nothing.any()


def test_a_region_much_smaller_than_a_voxel_keeps_its_volume():
    values, affine = sphere(2.5, (0.5, 0.5, 0.5))
    for rotation in (None, OBLIQUE):
        grid = make_grid((8.0, 6.0, 6.0), rotation)
        filled, volume_ml = mask_occupancy(values, affine, grid)
        assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=0.02)


def test_two_islands_and_the_hole_between_them_stay_apart():
    values = np.zeros((40, 40, 40), dtype=np.float32)
    values[10:30, 10:15, 10:30] = values[10:30, 25:30, 10:30] = 1.0
    grid = make_grid((1.7, 1.7, 1.7), OBLIQUE, extent=30.0, centre=(0.0, 0.0, 0.0))
    filled, volume_ml = mask_occupancy(values, affine_around((0, 0, 0), values.shape, (1, 1, 1)), grid)
    centre = tuple(np.rint(grid.index_from_lps @ (0, 0, 0, 1.0))[:3].astype(int))
    assert filled[centre] == 0.0
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=2e-3)


def test_a_large_mask_is_fast():
    values = np.zeros((100, 512, 512), dtype=np.float32)
    z, y, x = np.ogrid[-50:50, -256:256, -256:256]
    values[(z / 26) ** 2 + (y / 95) ** 2 + (x / 130) ** 2 <= 1] = 1.0  # 1.9 L at 0.75 × 0.75 × 2.5 mm
    affine = affine_around((0, 0, 0), values.shape, (2.5, 0.75, 0.75))
    shape = (32, 128, 128)
    grid = Grid(shape=shape, affine_lps_mm=affine_around((0, 0, 0), shape, (8.0, 3.0, 3.0), OBLIQUE))
    took = []
    for _ in range(2):
        start = time.process_time()
        filled, volume_ml = mask_occupancy(values, affine, grid)
        took.append(time.process_time() - start)
    assert min(took) < 1.5, took
    assert on_grid_ml(filled, grid) == pytest.approx(volume_ml, rel=1e-3)


@pytest.mark.parametrize(
    ("values", "affine", "words"),
    [
        (np.zeros((2, 2, 2), np.float32), np.eye(4), "empty"),
        (np.full((2, 2, 2), 1.5, np.float32), np.eye(4), "0…1"),
        (np.full((2, 2, 2), -0.5, np.float32), np.eye(4), "0…1"),
        (np.full((2, 2, 2), np.nan, np.float32), np.eye(4), "0…1"),
        (np.ones((2, 2), np.float32), np.eye(4), "shape"),
        (np.ones((0, 2, 2), np.float32), np.eye(4), "shape"),
        (np.ones((2, 2, 2), np.float32), np.diag([1.0, 1.0, 0.0, 1.0]), "invertible"),
        (np.ones((2, 2, 2), np.float32), np.eye(4) * np.nan, "invertible"),
    ],
    ids=["empty", "above 1", "negative", "nan", "2-D", "no voxels", "flat", "no affine"],
)
def test_unusable_masks_are_refused_with_a_sentence(values, affine, words):
    with pytest.raises(ValueError, match=words):
        mask_occupancy(values, affine, make_grid((4.0, 4.0, 4.0)))
