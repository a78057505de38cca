"""Scintigraphic contour and expansion: known balls, units, what is left out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from quantify.model import ParametricMap, Reason, Role, Volume
from quantify.scintigraphy import expanded, ring_content, scintigraphic_contour


def make_map(values, grid, *, reason=None):
    values = np.asarray(values, dtype=np.float32)
    return ParametricMap(
        values=values,
        reason=np.zeros(values.shape, dtype=np.uint8) if reason is None else np.asarray(reason, dtype=np.uint8),
        grid=grid,
        quantity="166Ho activity",
        unit="MBq/mL",
    )


def make_volume(occupancy, grid, *, outside_ml=0.0):
    occupancy = np.asarray(occupancy, dtype=np.float32)
    on_grid = float(occupancy.sum()) * grid.voxel_volume_ml
    return Volume(name="Liver", role=Role.LIVER, occupancy=occupancy, grid=grid, contour_volume_ml=on_grid + outside_ml)


def ball(grid, radius_mm):
    """Volume of a ball a little off the middle, from 4×4×4 points a voxel."""
    offsets = (np.arange(4) - 1.5) / 4
    shift = (0.3, -1.1, 0.7)
    middle = [(n - 1) / 2 * step + s for n, step, s in zip(grid.shape, grid.spacing_mm, shift, strict=True)]
    index = np.indices(grid.shape)
    total = np.zeros(grid.shape)
    for a in offsets:
        for b in offsets:
            for c in offsets:
                at = [
                    (index[n] + part) * step - m
                    for n, (part, step, m) in enumerate(zip((a, b, c), grid.spacing_mm, middle, strict=True))
                ]
                total += at[0] ** 2 + at[1] ** 2 + at[2] ** 2 <= radius_mm**2
    return make_volume(total / 64, grid)


def ball_ml(radius_mm):
    return 4.0 / 3.0 * np.pi * radius_mm**3 / 1000.0


def test_the_contour_holds_what_exceeds_ten_percent_of_the_maximum(grid):
    g = grid((1, 2, 4))
    values = make_map([[[100.0, 50.0, 10.1, 10.0], [9.9, 0.0, -3.0, 80.0]]], g)
    contour = scintigraphic_contour(values, make_volume(np.ones(g.shape), g), threshold_pct=10.0)
    assert contour.occupancy.tolist() == [[[1, 1, 1, 0], [0, 0, 0, 1]]]
    assert contour.contour_volume_ml == pytest.approx(4 * g.voxel_volume_ml)
    assert contour.role == Role.TERRITORY


def test_at_the_resolution_of_a_scan_one_noisy_voxel_makes_no_contour(grid):
    """A uniform uptake with one voxel of a hundred times as much: as it stands, the contour is that voxel."""
    g = grid((12, 24, 24))
    values = np.ones(g.shape)
    values[6, 12, 12] = 100.0
    liver = make_volume(np.ones(g.shape), g)
    sharp = scintigraphic_contour(make_map(values, g), liver, threshold_pct=10.0)
    smooth = scintigraphic_contour(make_map(values, g), liver, threshold_pct=10.0, resolution_mm=15.0)
    assert sharp.volume_ml == pytest.approx(g.voxel_volume_ml)
    assert smooth.volume_ml > 0.9 * liver.volume_ml


def test_only_the_liver_counts_for_contour_and_maximum(grid):
    """A hot vial beside the liver, or one that a surface voxel touches, raises no threshold."""
    g = grid((1, 1, 4))
    values = make_map([[[1000.0, 900.0, 20.0, 1.0]]], g)
    contour = scintigraphic_contour(values, make_volume([[[0.0, 0.4, 1.0, 0.5]]], g), threshold_pct=10.0)
    assert contour.occupancy.ravel() == pytest.approx([0.0, 0.4, 1.0, 0.0])


def test_the_unit_does_not_matter(grid):
    g = grid((2, 8, 8))
    values = np.random.default_rng(2).gamma(1.0, 10.0, g.shape)
    liver = make_volume(np.ones(g.shape), g)
    one = scintigraphic_contour(make_map(values, g), liver, threshold_pct=10.0)
    other = scintigraphic_contour(make_map(14.97 * values, g), liver, threshold_pct=10.0)
    assert (one.occupancy == other.occupancy).all()
    assert scintigraphic_contour(make_map(values, g), liver, threshold_pct=40.0).volume_ml < one.volume_ml


def test_voxels_without_value_set_no_maximum_and_are_left_out(grid):
    g = grid((1, 1, 4))
    reason = [[[Reason.POOR_FIT, Reason.LOWER_BOUND, 0, 0]]]
    values = make_map([[[9000.0, 100.0, 11.0, np.nan]]], g, reason=reason)
    contour = scintigraphic_contour(values, make_volume(np.ones(g.shape), g), threshold_pct=10.0)
    assert contour.occupancy.ravel().tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("value", "reason", "occupancy"),
    [(np.nan, Reason.OUTSIDE, 1.0), (-1.0, 0, 1.0), (0.0, 0, 1.0), (50.0, 0, 0.0)],
    ids=["all excluded", "all negative", "all zero", "no liver"],
)
def test_without_uptake_the_contour_is_empty(grid, value, reason, occupancy):
    g = grid((1, 2, 2))
    values = make_map(np.full(g.shape, value), g, reason=np.full(g.shape, reason))
    contour = scintigraphic_contour(values, make_volume(np.full(g.shape, occupancy), g), threshold_pct=10.0)
    assert (contour.volume_ml, contour.contour_volume_ml) == (0.0, 0.0)


@pytest.mark.parametrize("threshold", [0.0, -10.0, 100.0, np.nan])
def test_a_threshold_out_of_range_is_refused(grid, threshold):
    g = grid((1, 2, 2))
    with pytest.raises(ValueError, match="threshold_pct is"):
        scintigraphic_contour(make_map(np.ones(g.shape), g), make_volume(np.ones(g.shape), g), threshold_pct=threshold)


def test_another_grid_is_refused(grid):
    g = grid((1, 2, 2))
    elsewhere = make_volume(np.ones(g.shape), grid(g.shape, (4.0, 3.0, 3.1)))
    with pytest.raises(ValueError, match="different grids"):
        scintigraphic_contour(make_map(np.ones(g.shape), g), elsewhere, threshold_pct=10.0)
    with pytest.raises(ValueError, match="different grids"):
        ring_content(make_map(np.ones(g.shape), g), elsewhere, expanded(elsewhere, margin_mm=10.0))


@pytest.mark.parametrize("spacing", [(4.0, 3.0, 3.0), (3.0, 3.0, 3.0), (6.0, 2.0, 2.0)], ids=str)
@pytest.mark.parametrize("margin", [5.0, 10.0])
def test_an_expanded_ball_is_a_larger_ball(grid, spacing, margin):
    g = grid(tuple(int(84 / step) + 2 for step in spacing), spacing)
    grown = expanded(ball(g, 30.0), margin_mm=margin)
    radius = 10.0 * (3.0 * grown.volume_ml / (4.0 * np.pi)) ** (1.0 / 3.0)
    assert radius == pytest.approx(30.0 + margin, abs=0.35)


def test_a_flat_face_moves_by_the_margin_along_every_axis(grid):
    g = grid((20, 30, 30), (4.0, 3.0, 2.0))
    block = np.zeros(g.shape)
    block[6:14, 8:22, 8:22] = 1.0
    grown = expanded(make_volume(block, g), margin_mm=10.0).occupancy
    extents = [grown[:, 15, 15].sum() * 4.0, grown[10, :, 15].sum() * 3.0, grown[10, 15, :].sum() * 2.0]
    assert extents == pytest.approx([32.0 + 20.0, 42.0 + 20.0, 28.0 + 20.0], abs=0.01)


def test_a_partly_filled_surface_moves_from_where_it_is(grid):
    g = grid((1, 1, 20), (4.0, 3.0, 2.0))
    slab = np.zeros(g.shape)
    slab[0, 0, 6:12], slab[0, 0, 12] = 1.0, 0.3
    grown = expanded(make_volume(slab, g), margin_mm=5.0).occupancy
    assert grown.sum() * 2.0 == pytest.approx(6.3 * 2.0 + 10.0, abs=0.1)


def test_expansion_holds_the_volume_and_grows_with_the_margin(grid):
    g = grid((22, 28, 28))
    liver = ball(g, 20.0)
    volumes = [expanded(liver, margin_mm=margin) for margin in (0.0, 1.0, 3.0, 10.0)]
    assert (volumes[0].occupancy == liver.occupancy).all()
    for smaller, larger in pairwise(volumes):
        assert (larger.occupancy >= smaller.occupancy).all()
        assert larger.volume_ml > smaller.volume_ml
    assert volumes[-1].occupancy.max() <= 1.0


def test_what_lies_outside_the_grid_still_does(grid):
    g = grid((22, 28, 28))
    whole = ball(g, 20.0)
    part = make_volume(whole.occupancy, g, outside_ml=7.0)
    grown = expanded(part, margin_mm=5.0)
    assert grown.contour_volume_ml == pytest.approx(grown.volume_ml + 7.0, rel=1e-5)


def test_an_empty_volume_stays_empty(grid):
    g = grid((3, 3, 3))
    empty = make_volume(np.zeros(g.shape), g)
    assert expanded(empty, margin_mm=10.0).volume_ml == 0.0
    assert ring_content(make_map(np.ones(g.shape), g), empty, expanded(empty, margin_mm=10.0)) == 0.0


@pytest.mark.parametrize("margin", [-1.0, np.nan, np.inf])
def test_a_margin_that_is_none_is_refused(grid, margin):
    g = grid((3, 3, 3))
    with pytest.raises(ValueError, match="margin_mm is"):
        expanded(make_volume(np.ones(g.shape), g), margin_mm=margin)


def test_blur_carries_activity_out_and_the_expansion_brings_it_back(grid):
    """Activity from the expanded volume, mass from the original: the mean before the blur."""
    g = grid((22, 30, 30))
    liver = ball(g, 25.0)
    blurred = ndimage.gaussian_filter(5.0 * liver.occupancy, (1.0, 1.3, 1.3), mode="constant")
    inside = float((blurred * liver.occupancy).sum()) * g.voxel_volume_ml
    ring = ring_content(make_map(blurred, g), liver, expanded(liver, margin_mm=10.0))
    assert inside / liver.volume_ml < 4.5
    assert (inside + ring) / liver.volume_ml == pytest.approx(5.0, rel=0.01)


def test_a_ring_without_values_adds_nothing(grid):
    g = grid((1, 1, 12))
    liver = make_volume([[[0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]]], g)
    values = np.full(g.shape, np.nan)
    values[0, 0, 4:7] = 6.0
    reason = np.where(np.isnan(values), np.uint8(Reason.AIR_INTERFACE), np.uint8(0))
    assert ring_content(make_map(values, g, reason=reason), liver, expanded(liver, margin_mm=6.0)) == 0.0
