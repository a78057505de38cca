"""The voxel kernel against published S values and absorbed fractions, and the laws that a convolution obeys."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import ndimage

from quantify import kernel as module
from quantify.dose import local_deposition_gy
from quantify.isotope import HOLMIUM_166, PHOSPHORUS_32, STRONTIUM_89, YTTRIUM_90, Isotope, holmium_166
from quantify.kernel import kernel_dose_gy, kernel_standard_error_gy, voxel_kernel
from quantify.point_kernel import radial_energy, sphere_absorbed_fraction
from quantify.spectra import JOULE_PER_MEV, electron_spectrum

HO = holmium_166()
MRI = (4.0, 3.0, 3.0)
DENSITY = 1.06


def self_s_value(nuclide, edge_mm, density_g_per_ml):
    """Self-dose of a cubic voxel [mGy per MBq·s]."""
    kernel = voxel_kernel(nuclide, (edge_mm,) * 3, density_g_per_ml=density_g_per_ml)
    energy_mj = 1e9 * JOULE_PER_MEV * electron_spectrum(nuclide).energy_per_decay_mev
    return energy_mj * kernel.self_absorbed_fraction / (edge_mm**3 * 1e-6 * density_g_per_ml)


def dose(activity, *, isotope=HO, spacing_mm=MRI, region=None):
    return kernel_dose_gy(activity, spacing_mm=spacing_mm, isotope=isotope, density_g_per_ml=DENSITY, region=region)


def standard_error(error, **given):
    return kernel_standard_error_gy(error, spacing_mm=MRI, isotope=HO, density_g_per_ml=DENSITY, **given)


def local(activity):
    return local_deposition_gy(activity, isotope=HO, density_g_per_ml=DENSITY)


def noise(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(1.0, 0.5, shape).astype(dtype)


@pytest.mark.parametrize("density", [1.0, 1.04], ids=["water", "soft tissue"])
@pytest.mark.parametrize(
    ("nuclide", "edge_mm", "published"),
    [
        (PHOSPHORUS_32, 3.0, 1.65),
        (PHOSPHORUS_32, 6.0, 0.319),
        (STRONTIUM_89, 3.0, 1.55),
        (STRONTIUM_89, 6.0, 0.285),
        (YTTRIUM_90, 3.0, 1.61),
        (YTTRIUM_90, 6.0, 0.346),
    ],
)
def test_self_s_values_agree_with_mird_17(nuclide, edge_mm, published, density):
    """docs/physics.md §3: within 2 %, in either medium."""
    assert self_s_value(nuclide, edge_mm, density) == pytest.approx(published, rel=0.02)


def test_self_s_value_of_166ho_in_3_mm():
    """docs/physics.md §3: 1.745 mGy/MBq·s in water."""
    assert self_s_value(HOLMIUM_166, 3.0, 1.0) == pytest.approx(1.745, rel=0.02)


@pytest.mark.parametrize(
    ("spacing_mm", "published"),
    [((2.0, 2.0, 2.0), 0.315), ((3.0, 3.0, 3.0), 0.423), ((4.42, 4.42, 4.42), 0.541), ((5.0, 2.0, 2.0), 0.373)],
)
def test_a_voxel_keeps_the_published_share_of_its_166ho_energy(spacing_mm, published):
    """docs/physics.md §3, in water."""
    assert voxel_kernel(HO, spacing_mm, density_g_per_ml=1.0).self_absorbed_fraction == pytest.approx(
        published, abs=0.01
    )


@pytest.mark.parametrize(("diameter_mm", "published"), [(5, 0.53), (10, 0.736), (20, 0.865), (30, 0.910), (50, 0.945)])
def test_a_sphere_keeps_the_published_share_of_its_166ho_energy(diameter_mm, published):
    """docs/physics.md §3."""
    assert sphere_absorbed_fraction(HO, diameter_mm, 1.0) == pytest.approx(published, abs=0.01)


def test_spheres_keep_all_or_nothing_in_the_limits():
    assert sphere_absorbed_fraction(HO, 1e5, 1.0) == pytest.approx(1.0, abs=1e-3)
    assert sphere_absorbed_fraction(HO, 1e-3, 1.0) < 0.01
    # A denser sphere is a larger one.
    assert sphere_absorbed_fraction(HO, 10.0, 2.0) == pytest.approx(sphere_absorbed_fraction(HO, 20.0, 1.0))
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="diameter_mm"):
            sphere_absorbed_fraction(HO, wrong, 1.0)


def voxel_sphere_excess(spacing_mm):
    """What a 20 mm sphere of voxels keeps more than one of the same volume by the formula."""
    axis = np.arange(-int(19 / spacing_mm), int(19 / spacing_mm) + 1) * spacing_mm
    inside = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 < 10.0**2).astype(np.float64)
    kept = dose(inside, spacing_mm=(spacing_mm,) * 3)[inside > 0].sum() / local(inside).sum()
    same_volume_mm = 2 * (3 * inside.sum() * spacing_mm**3 / (4 * np.pi)) ** (1 / 3)
    return kept - sphere_absorbed_fraction(HO, same_volume_mm, DENSITY)


def test_a_sphere_of_small_voxels_keeps_what_the_formula_says():
    """Two ways to one number, convolution and chords; steps at the surface leak, ever less with smaller voxels."""
    coarse, fine = voxel_sphere_excess(1.0), voxel_sphere_excess(0.5)
    assert coarse < fine < 0.0
    assert 2 * fine - coarse == pytest.approx(0.0, abs=0.003)


@pytest.mark.parametrize("spacing_mm", [(3.0, 3.0, 3.0), (4.0, 3.0, 3.0), (1.3, 1.7, 5.0), (20.0, 20.0, 20.0)])
def test_weights_are_shares_of_the_energy(spacing_mm):
    weights = voxel_kernel(HO, spacing_mm, density_g_per_ml=DENSITY).weights
    assert weights.dtype == np.float64
    assert all(n % 2 for n in weights.shape)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (weights >= 0).all()
    for axis in range(3):
        np.testing.assert_array_equal(weights, np.flip(weights, axis))
    assert not weights.flags.writeable


def test_equal_spacings_are_exchangeable():
    weights = voxel_kernel(HO, (3.0, 3.0, 3.0), density_g_per_ml=DENSITY).weights
    for order in ((1, 0, 2), (2, 1, 0), (0, 2, 1)):
        assert weights == pytest.approx(weights.transpose(order), abs=2e-5)
    swapped = voxel_kernel(HO, (3.0, 3.0, 5.0), density_g_per_ml=DENSITY).weights
    assert swapped == pytest.approx(
        voxel_kernel(HO, (5.0, 3.0, 3.0), density_g_per_ml=DENSITY).weights.transpose(2, 1, 0), abs=2e-5
    )


def test_weights_agree_with_a_plain_monte_carlo():
    rng = np.random.default_rng(7)
    n, spacing = 400_000, np.array([4.0, 3.0, 3.0])
    radial = radial_energy(HOLMIUM_166)
    reach = np.interp(rng.random(n), radial.share_within, radial.radii_mm) / DENSITY
    direction = rng.standard_normal((n, 3))
    direction *= (reach / np.linalg.norm(direction, axis=1))[:, None]
    voxel = np.floor(rng.random((n, 3)) + direction / spacing).astype(int)
    weights = voxel_kernel(HO, tuple(spacing), density_g_per_ml=DENSITY).weights
    drawn = np.zeros(weights.shape)
    np.add.at(drawn, tuple((voxel + np.array(weights.shape) // 2).T), 1.0 / n)
    assert np.abs(drawn - weights).max() < 5 * np.sqrt(0.25 / n)


def test_density_scales_lengths():
    dense = voxel_kernel(HO, (3.0, 3.0, 3.0), density_g_per_ml=1.06).weights
    wide = voxel_kernel(HO, (3.18, 3.18, 3.18), density_g_per_ml=1.0).weights
    assert dense == pytest.approx(wide, abs=2e-5)


def test_a_kernel_is_computed_once_and_quickly():
    started = time.perf_counter()
    first = voxel_kernel(HO, (3.01, 3.01, 3.01), density_g_per_ml=DENSITY)
    assert time.perf_counter() - started < 2.0
    # An affine's spacing comes with rounding.
    assert voxel_kernel(HOLMIUM_166, (3.01 + 1e-12, 3.01, 3.01), density_g_per_ml=DENSITY) is first


def test_energy_is_conserved():
    """Sum over a padded array: that of local deposition to 1e-9."""
    activity = np.pad(noise((6, 7, 8)), 6)
    assert dose(activity).sum() == pytest.approx(local(activity).sum(), rel=1e-9)
    single = activity.astype(np.float32)
    assert dose(single).dtype == np.float32
    assert dose(single).sum(dtype=np.float64) == pytest.approx(local(single).sum(dtype=np.float64), rel=1e-6)


def test_a_uniform_activity_gives_the_local_dose_away_from_the_edge():
    activity = np.full((13, 15, 17), 4.008)
    inner = dose(activity)[4:-4, 4:-4, 4:-4]
    assert inner == pytest.approx(np.full(inner.shape, 60.0), rel=1e-3)
    assert inner == pytest.approx(local(activity)[4:-4, 4:-4, 4:-4], rel=1e-12)


@pytest.mark.parametrize("shape", [(9, 12, 14), (1, 1, 1), (2, 3, 20), (1, 30, 2)], ids=str)
def test_the_dose_is_the_convolution_written_out(shape):
    activity = noise(shape)
    weights = voxel_kernel(HO, MRI, density_g_per_ml=DENSITY).weights
    written_out = ndimage.convolve(local(activity), weights, mode="constant", cval=0.0)
    assert dose(activity) == pytest.approx(written_out, rel=1e-9, abs=1e-9)


def test_dose_is_linear_in_activity():
    first, second = noise((6, 7, 8), 1), noise((6, 7, 8), 2)
    assert dose(2 * first - 3 * second) == pytest.approx(2 * dose(first) - 3 * dose(second), rel=1e-9, abs=1e-9)


def test_heterogeneity_shrinks():
    """At MRI voxels local deposition exaggerates it (docs/physics.md §3)."""
    activity = noise((16, 24, 24))
    inner = (slice(3, -3),) * 3
    assert dose(activity)[inner].std() < 0.6 * local(activity)[inner].std()


def test_nan_emits_nothing_and_stays_nan():
    activity = noise((8, 9, 10))
    missing = activity.copy()
    missing[3, 4, 5] = np.nan
    emptied = np.where(np.isnan(missing), 0.0, activity)
    given = dose(missing)
    assert np.isnan(given).sum() == 1
    assert np.isnan(given[3, 4, 5])
    assert given[~np.isnan(given)] == pytest.approx(dose(emptied)[~np.isnan(missing)], rel=1e-12)
    assert np.isnan(dose(np.full((3, 4, 5), np.nan))).all()


def test_only_the_region_emits_and_all_around_receives():
    activity = noise((14, 20, 22))
    region = np.zeros(activity.shape, dtype=bool)
    region[5:9, 8:12, 1:6] = True
    given = dose(activity, region=region)
    assert given == pytest.approx(dose(np.where(region, activity, 0.0)), rel=1e-9, abs=1e-9)
    assert given[4, 8, 3] > 0.0
    assert given[0, 0, -1] == 0.0
    assert not dose(activity, region=np.zeros_like(region)).any()


def test_the_result_does_not_depend_on_the_workers(monkeypatch):
    activity = noise((20, 33, 29), dtype=np.float32)
    given = []
    for workers in (1, 2, 5):
        monkeypatch.setattr(module, "_WORKERS", workers)
        module._transform.cache_clear()
        given.append(dose(activity))
    np.testing.assert_array_equal(given[0], given[1])
    np.testing.assert_array_equal(given[0], given[2])


def test_standard_error_is_that_of_drawn_noise():
    rng = np.random.default_rng(3)
    error = rng.uniform(0.1, 1.0, (7, 8, 9))
    drawn = np.stack([dose(rng.normal(0.0, error)) for _ in range(600)])
    assert np.median(drawn.std(axis=0) / standard_error(error)) == pytest.approx(1.0, abs=0.01)


def test_standard_error_of_one_voxel_is_its_share_of_the_local_one():
    error = np.zeros((9, 9, 9), dtype=np.float32)
    error[4, 4, 4] = 0.2
    given = standard_error(error)
    weights = voxel_kernel(HO, MRI, density_g_per_ml=DENSITY).weights
    assert given[4, 4, 4] == pytest.approx(local(error)[4, 4, 4] * weights.max(), rel=1e-5)
    assert given.dtype == np.float32
    assert (given >= 0).all()
    error[0, 0, 0] = np.nan
    assert np.isnan(standard_error(error)).sum() == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"spacing_mm": (3.0, 3.0)}, "spacing_mm"),
        ({"spacing_mm": (3.0, 0.0, 3.0)}, "spacing_mm"),
        ({"spacing_mm": (3.0, np.nan, 3.0)}, "spacing_mm"),
        ({"spacing_mm": (0.05, 0.05, 0.05)}, "coarser grid"),
        ({"density_g_per_ml": -1.0}, "density_g_per_ml is -1"),
        ({"density_g_per_ml": np.nan}, "density_g_per_ml is nan"),
        ({"isotope": Isotope(name="177Lu", half_life_h=160.0, absorbed_energy_mj_per_mbq=85.0)}, "'177Lu'"),
        ({"activity_mbq_per_ml": np.zeros((3, 3))}, "activity_mbq_per_ml has shape"),
        ({"activity_mbq_per_ml": np.zeros((0, 3, 3))}, "activity_mbq_per_ml has shape"),
        ({"activity_mbq_per_ml": np.zeros((3, 3, 3), dtype=int)}, "floating point"),
        ({"activity_mbq_per_ml": np.full((3, 3, 3), np.inf)}, "infinite"),
        ({"region": np.ones((2, 3, 3), dtype=bool)}, "region has shape"),
    ],
)
def test_bad_input_is_named(given, message):
    usual = {
        "activity_mbq_per_ml": np.zeros((3, 3, 3)),
        "spacing_mm": MRI,
        "isotope": HO,
        "density_g_per_ml": DENSITY,
    }
    with pytest.raises(ValueError, match=message):
        kernel_dose_gy(**{**usual, **given})


def test_a_negative_standard_error_is_refused():
    with pytest.raises(ValueError, match="se_mbq_per_ml goes down to -1"):
        standard_error(np.full((3, 3, 3), -1.0))
