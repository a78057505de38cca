"""β spectra, ranges and the energy around a point, held against published means, ranges and the Bethe formula."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.isotope import HOLMIUM_166, PHOSPHORUS_32, STRONTIUM_89, YTTRIUM_90
from quantify.point_kernel import maximum_range_mm, radial_energy, radius_of_share_mm, scaled_kernel
from quantify.spectra import (
    ELECTRON_MASS_MEV,
    EMITTERS,
    JOULE_PER_MEV,
    Branch,
    beta_spectrum,
    electron_spectrum,
    fermi_function,
)
from quantify.stopping import csda_range_g_per_cm2

NUCLIDES = list(EMITTERS)


def mean_of(nuclide: str, number: int) -> float:
    emitter = EMITTERS[nuclide]
    energies, share = beta_spectrum(
        emitter.branches[number], daughter_charge=emitter.daughter_charge, mass_number=emitter.mass_number
    )
    return float(energies @ share)


@pytest.mark.parametrize(
    ("nuclide", "mean_mev"), [(YTTRIUM_90, 0.9337), (PHOSPHORUS_32, 0.6948), (STRONTIUM_89, 0.5846)]
)
def test_mean_energies_are_the_published_ones(nuclide, mean_mev):
    """Within 1 %; without the shape factor of unique transitions 89Sr would be 2.6 % low."""
    assert electron_spectrum(nuclide).energy_per_decay_mev == pytest.approx(mean_mev, rel=0.01)
    assert electron_spectrum(nuclide).electrons_per_decay.sum() == pytest.approx(1.0)


def test_166ho_branches_have_the_means_of_icrp_107():
    assert mean_of(HOLMIUM_166, 0) == pytest.approx(0.6935, rel=0.004)
    assert mean_of(HOLMIUM_166, 1) == pytest.approx(0.6509, rel=0.016)


def test_166ho_emits_0_6963_mev_of_electrons_per_decay():
    """ICRP 107: 15.53 mJ/MBq over a half-life of 26.80 h."""
    spectrum = electron_spectrum(HOLMIUM_166)
    assert spectrum.energy_per_decay_mev == pytest.approx(0.6963, rel=1e-9)
    decays_per_mbq = 1e6 * 26.80 * 3600 / np.log(2)
    assert 1e3 * JOULE_PER_MEV * spectrum.energy_per_decay_mev * decays_per_mbq == pytest.approx(15.53, abs=0.01)
    # The rest are conversion and Auger electrons of the 80.6 keV transition: 0.03 MeV, about half an electron each.
    lines = spectrum.electrons_per_decay[-3:]
    assert (lines > 0).all()
    assert 0.4 < lines.sum() < 0.6


def test_without_charge_an_allowed_spectrum_is_statistical():
    """Z = 0: N ∝ pWq², and the Fermi function is 1."""
    total = np.linspace(1.01, 5.0, 50)
    assert fermi_function(total, daughter_charge=0, mass_number=1) == pytest.approx(np.ones(50), rel=1e-12)
    energies, share = beta_spectrum(Branch(probability=1.0, end_point_mev=1.0), daughter_charge=0, mass_number=1)
    total = 1 + energies / ELECTRON_MASS_MEV
    expected = np.sqrt(total**2 - 1) * total * (1.0 - energies) ** 2
    assert share == pytest.approx(expected / expected.sum(), rel=1e-9)


def test_the_daughters_charge_slows_electrons():
    branch = Branch(probability=1.0, end_point_mev=1.854)
    means = [np.dot(*beta_spectrum(branch, daughter_charge=z, mass_number=166)) for z in (0, 34, 68)]
    assert means[0] > means[1] > means[2]


def test_an_unknown_nuclide_is_named():
    with pytest.raises(ValueError, match=r"nuclide is '131I'.*166Ho"):
        electron_spectrum("131I")


def bethe_stopping_power(energy_mev):
    """Collision (ICRU 37, water: I = 75 eV, density effect by Sternheimer 1984) and radiative [MeV cm²/g]."""
    tau = energy_mev / ELECTRON_MASS_MEV
    beta2 = 1 - 1 / (tau + 1) ** 2
    shape = (1 - beta2) * (1 + tau**2 / 8 - (2 * tau + 1) * np.log(2))
    x = np.log10(np.sqrt(beta2) * (tau + 1))
    delta = np.where(x < 0.24, 0, 2 * np.log(10) * x - 3.5017 + 0.09116 * np.maximum(2.8004 - x, 0) ** 3.4773)
    collision = 0.153537 * 0.55508 / beta2 * (np.log((energy_mev / 75e-6) ** 2) + np.log(1 + tau / 2) + shape - delta)
    return collision + np.interp(energy_mev, [0.01, 0.1, 1.0, 2.0, 3.0], [0.0039, 0.0042, 0.0128, 0.0268, 0.042])


def test_ranges_are_the_integral_of_the_inverse_stopping_power():
    energies = np.geomspace(0.01, 3.0, 4001)
    inverse = 1 / bethe_stopping_power(energies)
    grown = np.concatenate([[0.0], np.cumsum(0.5 * (inverse[1:] + inverse[:-1]) * np.diff(energies))])
    assert csda_range_g_per_cm2(energies) == pytest.approx(csda_range_g_per_cm2(energies[:1]) + grown, rel=0.006)


def test_ranges_are_those_of_estar():
    given = np.array([[0.1, 1.0], [2.0, 0.01]])
    assert csda_range_g_per_cm2(given) == pytest.approx(np.array([[0.01431, 0.4367], [0.9785, 2.515e-4]]))


def test_ranges_go_on_below_the_table_and_not_above():
    below = csda_range_g_per_cm2(np.array([1e-4, 1e-3, 5e-3, 0.01]))
    assert (np.diff(below) > 0).all()
    assert below[0] > 0
    for wrong in (0.0, -1.0, np.nan, 3.1):
        with pytest.raises(ValueError, match="energy_mev"):
            csda_range_g_per_cm2(np.array([1.0, wrong]))


def test_the_scaled_kernel_ends_at_the_range():
    xi, within = scaled_kernel()
    assert (xi[0], within[0], xi[-1]) == (0.0, 0.0, 1.0)
    assert within[-1] == pytest.approx(1.0, abs=1e-12)
    assert (np.diff(within) >= 0).all()
    # Most is deposited about six tenths of the range away (1.53 at ξ = 0.60), and the smoothing keeps it there.
    assert xi[np.argmax(np.diff(within))] == pytest.approx(0.60, abs=0.03)
    assert np.diff(within).max() * (xi.size - 1) == pytest.approx(1.53, abs=0.10)


@pytest.mark.parametrize("nuclide", NUCLIDES)
def test_all_energy_lies_between_the_point_and_the_maximum_range(nuclide):
    radial = radial_energy(nuclide)
    middle, share = radial.shells
    assert radial.share_within[0] == 0.0
    assert share.sum() == pytest.approx(1.0, abs=1e-12)
    assert (share >= 0).all()
    assert middle[share > 0].max() <= maximum_range_mm(nuclide, density_g_per_ml=1.0) + 0.02


def test_166ho_reaches_as_far_as_published():
    """EANM 2022: 8.7 mm at most in tissue; derived there: 90 % of the energy within 3.9 mm."""
    assert maximum_range_mm(HOLMIUM_166, density_g_per_ml=1.04) == pytest.approx(8.7, abs=0.1)
    assert radius_of_share_mm(HOLMIUM_166, 0.90, density_g_per_ml=1.0) == pytest.approx(3.9, abs=0.05)


def test_lengths_shrink_with_density():
    water = radius_of_share_mm(HOLMIUM_166, 0.5, density_g_per_ml=1.0)
    assert radius_of_share_mm(HOLMIUM_166, 0.5, density_g_per_ml=2.0) == pytest.approx(water / 2)
    with pytest.raises(ValueError, match="density_g_per_ml is 0"):
        radius_of_share_mm(HOLMIUM_166, 0.5, density_g_per_ml=0.0)
    with pytest.raises(ValueError, match=r"share is 1\.2"):
        radius_of_share_mm(HOLMIUM_166, 1.2, density_g_per_ml=1.0)
