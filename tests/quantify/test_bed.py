"""BED: limits of the linear–quadratic model, the protraction integral, noise."""

from __future__ import annotations

import numpy as np
import pytest

from config.settings import StatisticsSettings
from quantify.bed import Radiosensitivity, bed_gy, bed_of_mean_gy, effect_per_dose, mean_bed_gy, radiosensitivity
from quantify.isotope import Isotope, holmium_166
from quantify.model import Role
from quantify.statistics import Distribution

HOLMIUM = holmium_166()
LIVER = Radiosensitivity(alpha_beta_gy=2.5, repair_half_time_h=2.5)


def tissue(alpha_beta_gy=2.5, repair_half_time_h=2.5):
    return Radiosensitivity(alpha_beta_gy=alpha_beta_gy, repair_half_time_h=repair_half_time_h)


def doses_of(values, error=0.0):
    return Distribution(
        values=values,
        standard_error=np.full(values.shape, error),
        weights=np.ones(values.shape),
        evaluable_fraction=1.0,
        lower_bound_fraction=0.0,
    )


def test_60_gy_of_holmium_to_liver_by_hand():
    """60 + 60²·2.5/((2.5 + 26.8)·2.5) = 60 + 3600/29.3."""
    assert bed_of_mean_gy(60.0, LIVER, HOLMIUM) == pytest.approx(60.0 + 3600.0 / 29.3)


def test_40_gy_of_yttrium_to_liver_by_hand():
    """The form of Cremonesi 2008 with T½ 64.2 h: 40 + 40²·2.5/((2.5 + 64.2)·2.5)."""
    yttrium = Isotope(name="90Y", half_life_h=64.2, absorbed_energy_mj_per_mbq=49.67)
    assert bed_of_mean_gy(40.0, LIVER, yttrium) == pytest.approx(40.0 + 1600.0 / 66.7)


def test_no_dose_has_no_effect():
    assert bed_of_mean_gy(0.0, LIVER, HOLMIUM) == 0.0


@pytest.mark.parametrize("limit", [tissue(alpha_beta_gy=1e9), tissue(repair_half_time_h=1e-9)])
def test_without_fractionation_effect_or_with_instant_repair_it_is_the_dose(limit):
    assert bed_of_mean_gy(60.0, limit, HOLMIUM) == pytest.approx(60.0)


def test_without_repair_it_is_that_of_an_acute_exposure():
    assert bed_of_mean_gy(60.0, tissue(repair_half_time_h=1e9), HOLMIUM) == pytest.approx(60.0 * (1 + 60.0 / 2.5))


def test_the_protraction_factor_is_the_lea_catcheside_integral():
    """G = (2/D²)·∫dt Ḋ(t)·∫_{t'<t} dt' Ḋ(t')·exp(−μ(t − t')), for a mono-exponential dose rate."""
    decay, repair = np.log(2) / HOLMIUM.half_life_h, np.log(2) / LIVER.repair_half_time_h
    step = 0.02
    time = (np.arange(30000) + 0.5) * step
    rate = decay * np.exp(-decay * time)
    damage = rate * np.exp(repair * time) * step
    unrepaired = np.exp(-repair * time) * (np.cumsum(damage) - damage / 2)
    g = 2.0 * (rate * unrepaired).sum() * step
    assert effect_per_dose(LIVER, HOLMIUM) == pytest.approx(g / LIVER.alpha_beta_gy, rel=1e-5)


def test_voxelwise_it_is_the_formula_and_nan_stays_nan():
    result = bed_gy(np.array([[0.0, 60.0], [np.nan, -1.0]]), LIVER, HOLMIUM)
    k = effect_per_dose(LIVER, HOLMIUM)
    assert result[0] == pytest.approx([0.0, 60.0 + k * 3600.0])
    assert np.isnan(result[1, 0])
    assert result[1, 1] == pytest.approx(-1.0 + k)


def test_the_mean_over_voxels_is_the_mean_of_the_formula():
    values = np.random.default_rng(1).gamma(4.0, 15.0, 500)
    assert mean_bed_gy(doses_of(values), LIVER, HOLMIUM) == pytest.approx(bed_gy(values, LIVER, HOLMIUM).mean())


def test_heterogeneity_raises_it_and_noise_does_not():
    rng = np.random.default_rng(2)
    uniform = np.full(20000, 60.0)
    noisy = uniform + 15.0 * rng.standard_normal(uniform.size)
    of_mean = bed_of_mean_gy(60.0, LIVER, HOLMIUM)
    assert mean_bed_gy(doses_of(noisy), LIVER, HOLMIUM) > of_mean + 7.0
    assert mean_bed_gy(doses_of(noisy, 15.0), LIVER, HOLMIUM) == pytest.approx(of_mean, abs=0.6)


def test_tumour_and_liver_have_their_own_settings():
    settings = StatisticsSettings()
    tumour, liver = radiosensitivity(Role.TUMOUR, settings), radiosensitivity(Role.HEALTHY_LIVER, settings)
    assert (tumour.alpha_beta_gy, tumour.repair_half_time_h) == (10.0, 1.5)
    assert (liver.alpha_beta_gy, liver.repair_half_time_h) == (2.5, 2.5)
    assert radiosensitivity(Role.TERRITORY, settings) == radiosensitivity(Role.LIVER, settings) == liver


@pytest.mark.parametrize("field", ["alpha_beta_gy", "repair_half_time_h"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_a_tissue_without_meaning_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is .*positive"):
        tissue(**{field: value})


@pytest.mark.parametrize("dose", [np.nan, np.inf])
def test_a_mean_that_is_no_number_is_refused(dose):
    with pytest.raises(ValueError, match="mean_gy is"):
        bed_of_mean_gy(dose, LIVER, HOLMIUM)
