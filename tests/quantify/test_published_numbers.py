"""Numbers that hang together across modules: what docs/physics.md calls derived, from what it follows from."""

from __future__ import annotations

from math import log, sqrt
from statistics import NormalDist

import numpy as np
import pytest

from config.settings import AlarmSettings, QuantificationSettings
from quantify.dose import dose_per_activity_concentration, local_deposition_gy
from quantify.isotope import HOLMIUM_166, holmium_166
from quantify.prescription import a60_mbq, mean_dose_gy
from quantify.spectra import JOULE_PER_MEV, electron_spectrum
from quantify.trend import prediction_weights

HO = holmium_166()
DENSITY_G_PER_ML = 1.06
SPECIFIC_ACTIVITY_MBQ_PER_MG = 12.0
RELAXIVITY = 218.0


def gy_per_s() -> float:
    """Dose that a change of R2* by 1 s⁻¹ stands for [Gy per s⁻¹]."""
    gy_per_mbq_per_ml = dose_per_activity_concentration(isotope=HO, density_g_per_ml=DENSITY_G_PER_ML)
    return SPECIFIC_ACTIVITY_MBQ_PER_MG / RELAXIVITY * gy_per_mbq_per_ml


def test_the_convention_is_2_2_percent_above_the_electrons_of_icrp_107():
    """physics §1: 0.6963 MeV per decay and 26.80 h are 15.53 mJ/MBq; EMERITUS-1's formula takes 15.87."""
    decays_per_mbq = 1e6 * HO.half_life_h * 3600.0 / log(2.0)
    per_decay_mev = electron_spectrum(HOLMIUM_166).energy_per_decay_mev
    electrons_mj_per_mbq = 1000.0 * per_decay_mev * JOULE_PER_MEV * decays_per_mbq
    assert per_decay_mev == pytest.approx(0.6963, abs=5e-5)
    assert electrons_mj_per_mbq == pytest.approx(15.53, abs=0.005)
    assert HO.absorbed_energy_mj_per_mbq / electrons_mj_per_mbq == pytest.approx(1.022, abs=5e-4)


def test_a60_spread_over_its_kilogram_is_0_334_mg_per_ml_and_60_gy():
    """physics §7 and §2 are one formula: 3781 MBq in 1 kg, by mass of liver and by concentration."""
    activity_mbq = a60_mbq(liver_mass_kg=1.0, isotope=HO)
    mbq_per_ml = activity_mbq / (1000.0 / DENSITY_G_PER_ML)
    assert mbq_per_ml / SPECIFIC_ACTIVITY_MBQ_PER_MG == pytest.approx(0.334, abs=5e-4)
    by_concentration = local_deposition_gy(np.array([mbq_per_ml]), isotope=HO, density_g_per_ml=DENSITY_G_PER_ML)
    assert by_concentration[0] == pytest.approx(60.0, abs=0.01)
    assert by_concentration[0] == pytest.approx(mean_dose_gy(activity_mbq=activity_mbq, mass_kg=1.0, isotope=HO))


def test_60_gy_is_a_change_of_73_per_s_and_1_per_s_is_0_82_gy():
    """physics §2, at r2* = 218 s⁻¹/(mg/mL), 12.0 MBq/mg and 1.06 g/mL."""
    assert gy_per_s() == pytest.approx(0.82, abs=0.005)
    assert 60.0 / gy_per_s() == pytest.approx(73.0, abs=0.5)


def test_an_offset_of_3_per_s_over_a_liver_of_1_8_l_is_300_mbq():
    """physics §2: the default uncertainty of the reference is most of a first fraction."""
    offset_per_s = QuantificationSettings().uncertainty.reference_per_s
    activity_mbq = offset_per_s / RELAXIVITY * SPECIFIC_ACTIVITY_MBQ_PER_MG * 1800.0
    assert activity_mbq == pytest.approx(300.0, rel=0.015)


def test_the_assumed_loss_is_that_of_emeritus_1():
    """EMERITUS-1, table 2: injected 91.4 % (87.1–96.4 %) of what was ordered."""
    settings = QuantificationSettings()
    assert settings.vial_loss_pct == pytest.approx(100.0 - 91.4)
    assert settings.vial_loss_pct + 1.96 * settings.vial_loss_u_pct > 100.0 - 87.1
    assert settings.vial_loss_pct - 1.96 * settings.vial_loss_u_pct < 100.0 - 96.4


def test_the_bands_of_relaxivity_are_proportional_to_the_field():
    """physics §2: static dephasing, r2' = (2π/3√3)·γB₀·χ/3."""
    alarms = AlarmSettings()
    ratio = np.array(alarms.relaxivity_band_3t) / np.array(alarms.relaxivity_band_1_5t)
    assert ratio == pytest.approx(2.0, rel=0.006)


def test_the_bare_rule_flags_about_7_percent_of_linear_tumours_at_a_noise_of_3_percent():
    """physics §5: the deviation scatters by √(1 + Σ w²) = 1.83 times the noise of one dose."""
    weights = prediction_weights([10.0, 40.0, 70.0], 100.0, False)
    spread_pct = 3.0 * sqrt(1.0 + float((weights**2).sum()))
    flagged = 2.0 * (1.0 - NormalDist().cdf(10.0 / spread_pct))
    assert spread_pct == pytest.approx(3.0 * 1.83, abs=0.02)
    assert flagged == pytest.approx(0.07, abs=0.005)
