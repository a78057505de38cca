"""Interpolation between grids: exact on linear fields, honest about NaN, borders and noise."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.model import Grid
from quantify.resampling import sampler


def positions(grid: Grid) -> np.ndarray:
    index = np.stack(np.indices(grid.shape)).reshape(3, -1)
    return (grid.affine_lps_mm[:3, :3] @ index + grid.affine_lps_mm[:3, 3:]).reshape(3, *grid.shape)


def moved(grid: Grid, offset_mm: tuple[float, float, float]) -> Grid:
    affine = np.array(grid.affine_lps_mm)
    affine[:3, 3] += offset_mm
    return Grid(shape=grid.shape, affine_lps_mm=affine, frame_of_reference_uid=grid.frame_of_reference_uid)


def linear(points: np.ndarray) -> np.ndarray:
    return (3.0 + 0.5 * points[0] - 0.25 * points[1] + 0.125 * points[2]).astype(np.float32)


def test_the_same_grid_copies_bit_for_bit(grid):
    g = grid((4, 5, 6))
    values = np.random.default_rng(1).normal(size=g.shape).astype(np.float32)
    assert (sampler(source=g, target=g).sample(values) == values).all()


def test_a_linear_field_is_reproduced_on_a_shifted_grid(grid):
    source = grid((8, 12, 12))
    target = moved(grid((4, 6, 6)), (5.3, 7.1, 6.4))
    sampled = sampler(source=source, target=target).sample(linear(positions(source)))
    assert sampled == pytest.approx(linear(positions(target)), abs=1e-4)


def test_a_transform_takes_target_points_into_the_source(grid):
    source, target = grid((8, 12, 12)), moved(grid((4, 6, 6)), (9.0, 9.0, 8.0))
    angle = np.radians(5.0)
    transform = np.eye(4)
    transform[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    transform[:3, 3] = (1.5, -0.7, 2.2)
    sampled = sampler(source=source, target=target, target_to_source_lps_mm=transform).sample(linear(positions(source)))
    points = positions(target).reshape(3, -1)
    there = (transform[:3, :3] @ points + transform[:3, 3:]).reshape(3, *target.shape)
    assert sampled == pytest.approx(linear(there), abs=1e-4)


def test_outside_the_source_is_nan_and_has_no_coverage(grid):
    source = grid((4, 6, 6))
    far = sampler(source=source, target=moved(source, (300.0, 0.0, 0.0)))
    assert np.isnan(far.sample(np.ones(source.shape, dtype=np.float32))).all()
    assert (far.coverage() == 0).all()


def test_coverage_is_the_share_of_weight_inside_the_source(grid):
    source = grid((4, 6, 6))
    sample = sampler(source=source, target=moved(source, (0.75, 0.0, 0.0)))  # a quarter of a column
    coverage = sample.coverage()
    assert coverage[..., :-1] == pytest.approx(1.0)
    assert coverage[..., -1] == pytest.approx(0.75)


def test_nan_is_left_out_and_wins_only_with_more_than_half_of_the_weight(grid):
    source = grid((1, 1, 4))
    values = np.array([[[1.0, np.nan, 3.0, 3.0]]], dtype=np.float32)

    def at(columns: float) -> float:
        return float(
            sampler(source=source, target=moved(grid((1, 1, 1)), (3.0 * columns, 0, 0))).sample(values)[0, 0, 0]
        )

    assert at(0.4) == pytest.approx(1.0), "60 % of the weight is valid: its value stands, undiluted"
    assert np.isnan(at(0.6))
    assert np.isnan(at(1.0))
    assert at(1.6) == pytest.approx(3.0)


def test_noise_of_an_average_is_smaller_than_its_parts(grid):
    source = grid((8, 8, 8))
    halfway = sampler(source=source, target=moved(grid((6, 6, 6)), (1.5, 1.5, 2.0)))
    error = halfway.sample_standard_error(np.full(source.shape, 2.0, dtype=np.float32))
    assert error == pytest.approx(2.0 / np.sqrt(8), rel=1e-5), "eight voxels of equal weight"


def test_the_stated_standard_error_is_that_of_repeated_noise(grid):
    source = grid((3, 3, 3))
    sample = sampler(source=source, target=moved(grid((1, 1, 1)), (3.9, 2.4, 5.0)))
    rng = np.random.default_rng(2)
    drawn = [float(sample.sample(rng.normal(size=(3, 3, 3)).astype(np.float32))[0, 0, 0]) for _ in range(4000)]
    stated = float(sample.sample_standard_error(np.ones((3, 3, 3), dtype=np.float32))[0, 0, 0])
    assert np.std(drawn) == pytest.approx(stated, rel=0.05)


def test_voxels_not_asked_for_are_nan_and_the_others_the_same(grid):
    source, target = grid((6, 8, 8)), moved(grid((4, 5, 5)), (2.0, 1.0, 3.0))
    values = np.random.default_rng(3).normal(size=source.shape).astype(np.float32)
    where = np.random.default_rng(4).random(target.shape) < 0.3
    some = sampler(source=source, target=target, where=where).sample(values)
    every = sampler(source=source, target=target).sample(values)
    assert np.isnan(some[~where]).all()
    assert (some[where] == every[where]).all()


def test_a_displacement_is_added_before_the_transform(grid):
    source, target = grid((10, 16, 16)), moved(grid((4, 6, 6)), (12.0, 12.0, 10.0))
    transform = np.eye(4)
    transform[:2, :2] = [[0.0, -1.0], [1.0, 0.0]]
    transform[:3, 3] = (40.0, 1.5, 2.0)
    rng = np.random.default_rng(5)
    u = rng.uniform(-3, 3, (3, *target.shape)).astype(np.float32)
    sampled = sampler(source=source, target=target, target_to_source_lps_mm=transform, displacement_mm=u).sample(
        linear(positions(source))
    )
    points = (positions(target) + u).reshape(3, -1)
    there = (transform[:3, :3] @ points + transform[:3, 3:]).reshape(3, *target.shape)
    assert sampled == pytest.approx(linear(there), abs=1e-3)


def test_no_displacement_is_the_same_as_none_bit_for_bit(grid):
    source, target = grid((6, 8, 8)), moved(grid((4, 5, 5)), (2.0, 1.0, 3.0))
    values = np.random.default_rng(3).normal(size=source.shape).astype(np.float32)
    none = sampler(source=source, target=target).sample(values)
    zero = sampler(source=source, target=target, displacement_mm=np.zeros((3, 4, 5, 5), np.float32)).sample(values)
    assert (none == zero).all()


def test_a_displacement_may_be_sampled_at_chosen_voxels(grid):
    source = grid((6, 8, 8))
    u = np.random.default_rng(4).uniform(-2, 2, (3, 6, 8, 8)).astype(np.float32)
    where = np.random.default_rng(5).random(source.shape) < 0.3
    values = np.random.default_rng(6).normal(size=source.shape).astype(np.float32)
    some = sampler(source=source, target=source, where=where, displacement_mm=u).sample(values)
    every = sampler(source=source, target=source, displacement_mm=u).sample(values)
    assert (some[where & np.isfinite(every)] == every[where & np.isfinite(every)]).all()


@pytest.mark.parametrize(
    ("field", "words"),
    [(np.zeros((3, 6, 8, 7)), "shape"), (np.full((3, 6, 8, 8), np.nan), "finite")],
    ids=["shape", "nan"],
)
def test_an_unusable_displacement_is_refused(grid, field, words):
    source = grid((6, 8, 8))
    with pytest.raises(ValueError, match=words):
        sampler(source=source, target=source, displacement_mm=field.astype(np.float32))
