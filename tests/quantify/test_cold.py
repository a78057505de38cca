"""Cold sub-volumes: the missed third of a tumour is found where it is, and noise makes none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantify.cold import cold_sub_volume
from quantify.model import ParametricMap, Reason, Role, Volume
from quantify.partial_volume import Mixture

SHAPE, SPACING = (18, 26, 26), (4.0, 3.0, 3.0)
RADIUS_MM = 25.0


def centred():
    """Distance of every voxel from the middle along (slice, row, column): LPS z, y, x in mm."""
    return [(index - (n - 1) / 2) * step for index, n, step in zip(np.indices(SHAPE), SHAPE, SPACING, strict=True)]


def ball_occupancy():
    """Occupancy of a ball from 4×4×4 points a voxel."""
    z, y, x = centred()
    offsets = (np.arange(4) - 1.5) / 4
    inside = [
        (z + a * SPACING[0]) ** 2 + (y + b * SPACING[1]) ** 2 + (x + c * SPACING[2]) ** 2 <= RADIUS_MM**2
        for a in offsets
        for b in offsets
        for c in offsets
    ]
    return np.mean(inside, axis=0).astype(np.float32)


@pytest.fixture
def tumour(grid):
    g = grid(SHAPE, SPACING)
    occupancy = ball_occupancy()
    return Volume(
        name="Tumour 1",
        role=Role.TUMOUR,
        occupancy=occupancy,
        grid=g,
        contour_volume_ml=float(occupancy.sum()) * g.voxel_volume_ml,
    )


def dose_map(values, volume, *, noise=0.0, seed=0, reason=None):
    rng = np.random.default_rng(seed)
    values = values + noise * rng.standard_normal(SHAPE)
    return ParametricMap(
        values=values.astype(np.float32),
        reason=np.zeros(SHAPE, dtype=np.uint8) if reason is None else reason,
        grid=volume.grid,
        quantity="absorbed dose",
        unit="Gy",
        standard_error=np.full(SHAPE, noise, dtype=np.float32) if noise else None,
    )


def dorsal(volume, *, hot, cold, from_mm=8.0, surroundings=20.0):
    """As measured: the tumour is cold behind `from_mm`; its edge voxels show the surroundings' dose as well."""
    _, y, _ = centred()
    return volume.occupancy * np.where(y > from_mm, cold, hot) + (1 - volume.occupancy) * surroundings


def true_share(volume, from_mm=8.0):
    _, y, _ = centred()
    return float(volume.occupancy[y > from_mm].sum() / volume.occupancy.sum())


@pytest.mark.parametrize("noise", [0.0, 6.0, 15.0, 30.0])
def test_the_dorsal_part_that_was_missed_is_found(tumour, noise):
    """EMERITUS-1, patient 4: mean 113 Gy with the dorsal part missed; recurrence there."""
    share = true_share(tumour)
    hot = (113.0 - 20.0 * share) / (1 - share)
    found = cold_sub_volume(
        dose_map(dorsal(tumour, hot=hot, cold=20.0), tumour, noise=noise, seed=4), tumour, threshold_gy=90.0
    )
    assert found is not None
    assert found.share == pytest.approx(share, abs=0.04)
    assert found.volume_ml == pytest.approx(share * tumour.volume_ml, rel=0.15)
    middle = (tumour.grid.affine_lps_mm @ (*(np.array(SHAPE) - 1) / 2, 1.0))[:3]
    away = np.array(found.centre_lps_mm) - middle
    assert away[1] == pytest.approx(14.5, abs=1.5), "dorsal is +y"
    assert np.abs(away[[0, 2]]).max() < 1.0
    assert found.touches_edge


@pytest.mark.parametrize("noise", [4.0, 8.0, 15.0, 30.0])
@pytest.mark.parametrize("level", [92.0, 95.0, 110.0])
def test_noise_does_not_create_a_cold_part(tumour, noise, level):
    for seed in range(4):
        measured = dose_map(dorsal(tumour, hot=level, cold=level), tumour, noise=noise, seed=seed)
        assert cold_sub_volume(measured, tumour, threshold_gy=90.0) is None


def test_noise_that_interpolation_has_joined_does_not_create_one_either(tumour):
    """Half-way between voxels along all axes, the worst case: an eighth of the variance, joined over neighbours."""
    clean = dorsal(tumour, hot=92.0, cold=92.0)
    for seed in range(6):
        noise = 15.0 * np.random.default_rng(seed).standard_normal(SHAPE)
        for axis in range(3):
            noise = (noise + np.roll(noise, 1, axis)) / 2
        measured = replace(dose_map(clean + noise, tumour), standard_error=np.full(SHAPE, 15.0 / 8**0.5, np.float32))
        assert cold_sub_volume(measured, tumour, threshold_gy=90.0) is None


def test_without_its_standard_error_noise_would_create_one(tumour):
    """The guard is what keeps the test above true."""
    noisy = dose_map(dorsal(tumour, hot=92.0, cold=92.0), tumour, noise=15.0, seed=1)
    blind = ParametricMap(
        values=noisy.values, reason=noisy.reason, grid=noisy.grid, quantity=noisy.quantity, unit=noisy.unit
    )
    assert cold_sub_volume(blind, tumour, threshold_gy=90.0) is not None


@pytest.mark.parametrize("noise", [6.0, 15.0])
def test_noise_does_not_shatter_a_cold_part(tumour, noise):
    for seed in range(4):
        measured = dose_map(dorsal(tumour, hot=110.0, cold=70.0), tumour, noise=noise, seed=seed)
        found = cold_sub_volume(measured, tumour, threshold_gy=90.0)
        assert found is not None
        assert found.share == pytest.approx(true_share(tumour), abs=0.08)


def test_the_edge_of_a_covered_tumour_is_not_cold(tumour):
    """Its voxels are mixtures with the liver (20 Gy): under 90 Gy as measured, yet not the tumour's fault."""
    measured = dorsal(tumour, hot=113.0, cold=113.0)
    assert (measured[tumour.occupancy >= 0.5] < 90.0).sum() > 100
    assert cold_sub_volume(dose_map(measured, tumour), tumour, threshold_gy=90.0) is None
    mixed = Mixture(own=tumour.occupancy, foreign=(1 - tumour.occupancy) * np.float32(20.0))
    assert cold_sub_volume(dose_map(measured, tumour), tumour, threshold_gy=90.0, mixed=mixed) is None
    noisy = dose_map(measured, tumour, noise=10.0)
    assert cold_sub_volume(noisy, tumour, threshold_gy=90.0, mixed=mixed) is None


def test_with_the_mixture_known_the_share_is_right(tumour):
    mixed = Mixture(own=tumour.occupancy, foreign=(1 - tumour.occupancy) * np.float32(20.0))
    measured = dose_map(dorsal(tumour, hot=150.0, cold=30.0), tumour, noise=10.0, seed=2)
    found = cold_sub_volume(measured, tumour, threshold_gy=90.0, mixed=mixed)
    assert found is not None
    assert found.share == pytest.approx(true_share(tumour), abs=0.02)


def test_the_largest_of_several_parts_is_told(tumour):
    z, _, _ = centred()
    measured = np.where(z > 14.0, 30.0, np.where(z < -6.0, 40.0, 150.0))
    found = cold_sub_volume(dose_map(measured, tumour), tumour, threshold_gy=90.0)
    larger = tumour.occupancy[(z < -6.0) & (tumour.occupancy >= 0.5)].sum() * tumour.grid.voxel_volume_ml
    assert found is not None
    assert found.volume_ml == pytest.approx(larger)


def test_a_core_inside_does_not_touch_the_edge(tumour):
    z, y, x = centred()
    measured = np.where(z**2 + y**2 + x**2 < 12.0**2, 10.0, 150.0)
    found = cold_sub_volume(dose_map(measured, tumour), tumour, threshold_gy=90.0)
    assert found is not None
    assert not found.touches_edge


def test_all_of_it_is_cold_or_none(tumour):
    everything = cold_sub_volume(dose_map(np.full(SHAPE, 50.0), tumour), tumour, threshold_gy=90.0)
    assert everything is not None
    assert everything.share == pytest.approx(1.0)
    assert cold_sub_volume(dose_map(np.full(SHAPE, 90.0), tumour), tumour, threshold_gy=90.0) is None


def test_a_colder_threshold_finds_no_more(tumour):
    values = dose_map(dorsal(tumour, hot=120.0, cold=40.0), tumour, noise=8.0)
    shares = [
        0.0 if (found := cold_sub_volume(values, tumour, threshold_gy=t)) is None else found.share
        for t in (20.0, 60.0, 90.0, 150.0)
    ]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, pytest.approx(1.0, abs=0.01))


def test_voxels_that_cannot_be_evaluated_are_neither_cold_nor_warm(tumour):
    """A cold ball cut by a sheet without values is two parts, and the share is of what could be evaluated."""
    z, _, _ = centred()
    reason = np.where(np.abs(z + 2.0) < 1.0, np.uint8(Reason.AIR_INTERFACE), np.uint8(0))
    values = np.where(reason == 0, 40.0, np.nan)
    found = cold_sub_volume(dose_map(values, tumour, reason=reason), tumour, threshold_gy=90.0)
    solid = tumour.occupancy * (tumour.occupancy >= 0.5)
    upper, lower = solid[z > -2.0 + 1.0].sum(), solid[z < -2.0 - 1.0].sum()
    assert found is not None
    assert found.share == pytest.approx(max(upper, lower) / (upper + lower))
    assert found.volume_ml == pytest.approx(max(upper, lower) * tumour.grid.voxel_volume_ml)


def test_a_lower_bound_is_never_cold(tumour):
    bound = np.full(SHAPE, Reason.LOWER_BOUND, dtype=np.uint8)
    assert cold_sub_volume(dose_map(np.full(SHAPE, 50.0), tumour, reason=bound), tumour, threshold_gy=90.0) is None


def test_a_small_tumour_without_pure_voxels_is_judged_too(tumour):
    occupancy = np.where(tumour.occupancy > 0.99, np.float32(0.6), np.float32(0))
    thin = Volume(name="Thin", role=Role.TUMOUR, occupancy=occupancy, grid=tumour.grid, contour_volume_ml=1.0)
    found = cold_sub_volume(dose_map(np.full(SHAPE, 50.0), tumour), thin, threshold_gy=90.0)
    assert found is not None
    assert found.share == pytest.approx(1.0)


def test_nothing_to_judge_is_none(tumour):
    empty = Volume(
        name="E", role=Role.TUMOUR, occupancy=np.zeros(SHAPE, np.float32), grid=tumour.grid, contour_volume_ml=0.0
    )
    cold = np.full(SHAPE, 10.0)
    assert cold_sub_volume(dose_map(cold, tumour), empty, threshold_gy=90.0) is None
    excluded = np.full(SHAPE, Reason.POOR_FIT, dtype=np.uint8)
    none = dose_map(np.full(SHAPE, np.nan), tumour, reason=excluded)
    assert cold_sub_volume(none, tumour, threshold_gy=90.0) is None


@pytest.mark.parametrize("threshold", [0.0, -5.0, np.nan, np.inf])
def test_a_threshold_that_is_no_dose_is_refused(tumour, threshold):
    with pytest.raises(ValueError, match=r"threshold_gy is .*positive"):
        cold_sub_volume(dose_map(np.ones(SHAPE), tumour), tumour, threshold_gy=threshold)


def test_another_grid_is_refused(tumour, grid):
    other = grid(SHAPE, (4.0, 3.0, 2.9))
    elsewhere = Volume(
        name="T", role=Role.TUMOUR, occupancy=tumour.occupancy, grid=other, contour_volume_ml=tumour.volume_ml
    )
    with pytest.raises(ValueError, match="different grids"):
        cold_sub_volume(dose_map(np.ones(SHAPE), tumour), elsewhere, threshold_gy=90.0)
