"""Scatter between two series without holmium between them: u_repeat of a tumour-sized mean (physics §2)."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.repeatability import measured_repeat

SHAPE = (30, 60, 60)
SPACING = (5.0, 3.0, 3.0)  # a block: 6 × 10 × 10 voxels; 5 × 6 × 6 = 180 blocks


def blockwise(rng: np.random.Generator, sd: float) -> np.ndarray:
    """A field that is constant over blocks."""
    return np.kron(rng.normal(0.0, sd, (5, 6, 6)), np.ones((6, 10, 10))).astype(np.float32)


def test_known_scatter_is_found(grid):
    rng = np.random.default_rng(5)
    base = rng.uniform(30, 60, SHAPE).astype(np.float32)
    first, second = base + blockwise(rng, 2.0), base + blockwise(rng, 2.0)
    found = measured_repeat(first, second, np.ones(SHAPE, dtype=bool), grid(SHAPE, SPACING))
    assert found is not None
    assert found.n_blocks == 180
    assert found.u_per_s == pytest.approx(2.0, rel=0.15)
    assert found.offset_per_s == pytest.approx(0.0, abs=0.6)


def test_a_common_offset_counts(grid):
    base = np.full(SHAPE, 40.0, dtype=np.float32)
    found = measured_repeat(base, base + np.float32(3.0), np.ones(SHAPE, dtype=bool), grid(SHAPE, SPACING))
    assert found is not None
    assert found.offset_per_s == pytest.approx(3.0)
    assert found.u_per_s == pytest.approx(3.0 / np.sqrt(2))


def test_it_does_not_matter_which_comes_first(grid):
    rng = np.random.default_rng(6)
    first, second = (rng.normal(40, 4, SHAPE).astype(np.float32) for _ in range(2))
    one = measured_repeat(first, second, np.ones(SHAPE, dtype=bool), grid(SHAPE, SPACING))
    other = measured_repeat(second, first, np.ones(SHAPE, dtype=bool), grid(SHAPE, SPACING))
    assert one is not None
    assert other is not None
    assert (one.u_per_s, one.n_blocks, one.offset_per_s) == (other.u_per_s, other.n_blocks, -other.offset_per_s)


def test_voxel_noise_averages_out(grid):
    rng = np.random.default_rng(7)
    first, second = (rng.normal(40, 4, SHAPE).astype(np.float32) for _ in range(2))
    found = measured_repeat(first, second, np.ones(SHAPE, dtype=bool), grid(SHAPE, SPACING))
    assert found is not None
    assert found.u_per_s == pytest.approx(4.0 / np.sqrt(600), rel=0.2)


def test_voxels_outside_the_region_or_not_evaluable_say_nothing(grid):
    rng = np.random.default_rng(8)
    first = rng.normal(40, 1, SHAPE).astype(np.float32)
    second = first.copy()
    region = np.zeros(SHAPE, dtype=bool)
    region[:, :30] = True
    second[:, 30:] += 50.0
    second[:, :, ::7] = np.nan
    found = measured_repeat(first, second, region, grid(SHAPE, SPACING))
    assert found is not None
    assert (found.u_per_s, found.offset_per_s, found.n_blocks) == (0.0, 0.0, 90)


def test_blocks_less_than_half_filled_do_not_count_and_fewer_than_four_give_nothing(grid):
    same = np.full(SHAPE, 40.0, dtype=np.float32)
    region = np.zeros(SHAPE, dtype=bool)
    region[:6, :20, :20] = True
    four = measured_repeat(same, same, region, grid(SHAPE, SPACING))
    assert four is not None
    assert four.n_blocks == 4
    sparse = same.copy()
    sparse[:6, :10, :6] = np.nan
    assert measured_repeat(same, sparse, region, grid(SHAPE, SPACING)) is None
    assert measured_repeat(same, np.full_like(same, np.nan), region, grid(SHAPE, SPACING)) is None


def test_bad_input_is_refused(grid):
    same = np.full(SHAPE, 40.0, dtype=np.float32)
    with pytest.raises(ValueError, match="the region is empty"):
        measured_repeat(same, same, np.zeros(SHAPE, dtype=bool), grid(SHAPE, SPACING))
    with pytest.raises(ValueError, match="second_r2star has shape"):
        measured_repeat(same, same[:1], np.ones(SHAPE, dtype=bool), grid(SHAPE, SPACING))
