"""Local deposition: one formula of energy and density for every isotope."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.dose import dose_per_activity_concentration, local_deposition_gy
from quantify.isotope import HOLMIUM_166, YTTRIUM_90, Isotope, holmium_166, yttrium_90

HO = holmium_166()


@pytest.mark.parametrize(
    ("activity_mbq_per_ml", "expected_gy"),
    [(0.334 * 12.0, 60.0), (12.0, 179.7), (3.7 / 15.3, 3.62)],
    ids=["0.334 mg/mL", "1 mg/mL", "3.7 MBq in 15.3 mL"],
)
def test_published_doses(activity_mbq_per_ml, expected_gy):
    """docs/physics.md §2 and §8: 12.0 MBq/mg, 15.87 mJ/MBq, 1.06 g/mL."""
    given = local_deposition_gy(np.array([activity_mbq_per_ml]), isotope=HO, density_g_per_ml=1.06)
    assert given[0] == pytest.approx(expected_gy, rel=1e-3)


def test_dose_is_linear_in_activity_and_keeps_nan_and_sign():
    activity = np.array([-1.0, 0.0, 2.0, np.nan], dtype=np.float32)
    given = local_deposition_gy(activity, isotope=HO, density_g_per_ml=1.06)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, activity * 15.87 / 1.06, rtol=1e-6)


@pytest.mark.parametrize("density", [0.0, -1.0, np.nan, np.inf])
def test_a_density_must_be_positive(density):
    with pytest.raises(ValueError, match="tissue_density_g_per_ml"):
        dose_per_activity_concentration(isotope=HO, density_g_per_ml=density)


def test_the_conventions_of_166ho_are_all_accepted():
    for energy, density in ((15.87, 1.06), (15.53, 1.06), (15.87, 1.03)):
        given = dose_per_activity_concentration(
            isotope=holmium_166(absorbed_energy_mj_per_mbq=energy), density_g_per_ml=density
        )
        assert given == pytest.approx(energy / density)


def test_energy_and_density_are_never_mixed_between_isotopes():
    with pytest.raises(ValueError, match=r"absorbed_energy_mj_per_mbq is 50 for 166Ho; that is the energy of 90Y"):
        dose_per_activity_concentration(isotope=holmium_166(absorbed_energy_mj_per_mbq=50.0), density_g_per_ml=1.06)
    mixed = Isotope(name=YTTRIUM_90, half_life_h=64.1, absorbed_energy_mj_per_mbq=15.87)
    with pytest.raises(ValueError, match=f"energy of {HOLMIUM_166}"):
        dose_per_activity_concentration(isotope=mixed, density_g_per_ml=1.03)
    with pytest.raises(ValueError, match=r"1\.06 for 90Y.*1\.03 g/mL only"):
        dose_per_activity_concentration(isotope=yttrium_90(), density_g_per_ml=1.06)
