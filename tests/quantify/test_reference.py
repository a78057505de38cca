"""What is subtracted: each voxel's own baseline, its volume's mean, or the liver's (physics §2)."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.model import Reason, Role, Volume
from quantify.r2star import fit_r2star
from quantify.reference import LEVELS_PER_S, MatchedReference, matched_reference, with_mode

SHAPE = (2, 4, 6)


def matched(values: np.ndarray, errors: np.ndarray | float = 2.0) -> MatchedReference:
    """The same baseline at every level, but for 1 s⁻¹ more at each next one."""
    levels = np.stack([values + n for n in range(len(LEVELS_PER_S))]).astype(np.float32)
    return MatchedReference(
        r2star_per_s=levels, standard_error_per_s=np.broadcast_to(np.float32(errors), levels.shape).copy()
    )


def volume(name: str, role: Role, occupancy: np.ndarray, grid) -> Volume:
    return Volume(name=name, role=role, occupancy=occupancy.astype(np.float32), grid=grid(SHAPE), contour_volume_ml=1.0)


@pytest.fixture
def scene(grid):
    """Columns 0…3 are liver, of which column 1 is tumour and column 2 half tumour; columns 4, 5 are muscle."""
    liver, tumour = np.zeros(SHAPE), np.zeros(SHAPE)
    liver[..., :4] = 1.0
    tumour[..., 1], tumour[..., 2] = 1.0, 0.5
    values = np.random.default_rng(3).uniform(30, 60, SHAPE).astype(np.float32)
    volumes = [
        volume("Liver", Role.LIVER, liver, grid),
        volume("Tumour 1", Role.TUMOUR, tumour, grid),
        volume("Healthy liver RHA", Role.HEALTHY_LIVER, liver - tumour, grid),
    ]
    return values, volumes, np.zeros(SHAPE, dtype=np.uint8)


def test_voxelwise_is_the_reference_itself(scene):
    values, volumes, reasons = scene
    own = matched(values)
    assert with_mode(own, "voxelwise", volumes=volumes, reasons=reasons) is own
    assert with_mode(own, "voxelwise", volumes=[], reasons=reasons) is own


def test_every_volume_takes_its_own_mean_and_mixed_voxels_the_blend(scene):
    values, volumes, reasons = scene
    changed = with_mode(matched(values), "volume_mean", volumes=volumes, reasons=reasons)
    tumour, healthy = (volumes[1].occupancy, volumes[0].occupancy - volumes[1].occupancy)
    of_tumour, of_healthy = (np.average(values, weights=w) for w in (tumour, healthy))
    for n, level in enumerate(changed.r2star_per_s):
        np.testing.assert_allclose(level[..., 1], of_tumour + n, rtol=1e-5)
        np.testing.assert_allclose(level[..., [0, 3]], of_healthy + n, rtol=1e-5)
        np.testing.assert_allclose(level[..., 2], 0.5 * (of_tumour + of_healthy) + n, rtol=1e-5)
        np.testing.assert_allclose(level[..., 4:], values[..., 4:] + n, rtol=1e-6, err_msg="outside stays voxelwise")


def test_the_mean_of_a_volume_is_kept(scene):
    """A uniform baseline moves doses inside a volume, not its mean."""
    values, volumes, reasons = scene
    weights = np.where(volumes[1].occupancy == 1.0, 1.0, 0.0)  # pure voxels
    alone = [volume("T", Role.TUMOUR, weights, lambda shape: volumes[0].grid)]
    changed = with_mode(matched(values), "volume_mean", volumes=alone, reasons=reasons)
    assert np.average(changed.r2star_per_s[0], weights=weights) == pytest.approx(np.average(values, weights=weights))


def test_the_livers_mean_reaches_beyond_the_liver(scene):
    values, volumes, reasons = scene
    changed = with_mode(matched(values), "liver_mean", volumes=volumes, reasons=reasons)
    np.testing.assert_allclose(changed.r2star_per_s[2], values[..., :4].mean() + 2, rtol=1e-5)


def test_the_error_is_that_of_a_mean(scene):
    values, volumes, reasons = scene
    changed = with_mode(matched(values, errors=2.0), "liver_mean", volumes=volumes, reasons=reasons)
    np.testing.assert_allclose(changed.standard_error_per_s, 2.0 / np.sqrt(2 * 4 * 4), rtol=1e-5)
    by_volume = with_mode(matched(values, errors=2.0), "volume_mean", volumes=volumes, reasons=reasons)
    weights = volumes[1].occupancy.astype(float)
    expected = 2.0 * np.sqrt((weights**2).sum()) / weights.sum()
    np.testing.assert_allclose(by_volume.standard_error_per_s[..., 1], expected, rtol=1e-5)
    np.testing.assert_allclose(by_volume.standard_error_per_s[..., 4:], 2.0)


def test_only_evaluable_voxels_make_the_mean_and_nan_stays(scene):
    values, volumes, reasons = scene
    values = values.copy()
    values[0, 0, 0], values[1, 1, 1] = 900.0, np.nan
    reasons[0, 0, 0] = Reason.AIR_INTERFACE
    changed = with_mode(matched(values), "liver_mean", volumes=volumes, reasons=reasons)
    inside = values[..., :4].copy()
    inside[0, 0, 0] = np.nan
    assert changed.r2star_per_s[0, 0, 1, 0] == pytest.approx(np.nanmean(inside), rel=1e-5)
    assert np.array_equal(np.isnan(changed.r2star_per_s), np.isnan(matched(values).r2star_per_s))


def test_overlapping_tumours_share_their_voxels(scene):
    values, volumes, reasons = scene
    twice = [volumes[1], volume("Tumour 2", Role.TUMOUR, volumes[1].occupancy, lambda shape: volumes[0].grid)]
    one = with_mode(matched(values), "volume_mean", volumes=[volumes[1]], reasons=reasons)
    two = with_mode(matched(values), "volume_mean", volumes=twice, reasons=reasons)
    pure = volumes[1].occupancy == 1.0
    np.testing.assert_allclose(two.r2star_per_s[:, pure].std(axis=1), 0.0, atol=1e-4)
    assert np.abs(two.r2star_per_s - one.r2star_per_s).max() < 15.0


def test_a_volume_that_cannot_be_evaluated_keeps_its_voxels(scene):
    values, volumes, reasons = scene
    reasons[..., 1:3] = Reason.POOR_FIT
    changed = with_mode(matched(values), "volume_mean", volumes=volumes, reasons=reasons)
    np.testing.assert_allclose(changed.r2star_per_s[0][..., 1], values[..., 1], rtol=1e-6)


def test_without_the_volumes_a_mode_is_refused(scene):
    values, volumes, reasons = scene
    own = matched(values)
    with pytest.raises(ValueError, match="liver_mean needs a liver"):
        with_mode(own, "liver_mean", volumes=volumes[1:], reasons=reasons)
    with pytest.raises(ValueError, match="volume_mean needs a tumour or a liver"):
        with_mode(own, "volume_mean", volumes=[], reasons=reasons)
    with pytest.raises(ValueError, match="finds no evaluable voxel"):
        with_mode(own, "liver_mean", volumes=volumes, reasons=np.full_like(reasons, Reason.NO_SIGNAL))
    with pytest.raises(ValueError, match="mode is 'mean'"):
        with_mode(own, "mean", volumes=volumes, reasons=reasons)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"reasons has shape \(1, 4, 6\)"):
        with_mode(own, "liver_mean", volumes=volumes, reasons=reasons[:1])


def test_a_mono_exponential_reference_has_one_baseline_at_all_levels(series):
    r2star = np.linspace(20, 80, 48).reshape(SHAPE)
    reference = series(r2star)
    own = matched_reference(reference, fit_r2star(reference, sigma=0.0))
    np.testing.assert_allclose(own.r2star_per_s, np.broadcast_to(r2star, own.r2star_per_s.shape), rtol=2e-3)
    change, _ = own.change((r2star + 100).astype(np.float32))
    np.testing.assert_allclose(change, 100.0, rtol=2e-3)
