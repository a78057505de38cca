"""Electrons that a decay emits: β spectra by the Fermi theory, and conversion electrons.

What photons carry away is left out: they leave a liver without depositing much of it (166Ho: 0.030 MeV per decay in
all), and the energy of the dose formula is the electrons'.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy.special import loggamma

from quantify.isotope import HOLMIUM_166, PHOSPHORUS_32, STRONTIUM_89, YTTRIUM_90
from quantify.model import FloatArray, freeze

ELECTRON_MASS_MEV = 0.51099895  # CODATA 2018
JOULE_PER_MEV = 1.602176634e-13  # CODATA 2018
_FINE_STRUCTURE = 7.2973525693e-3  # CODATA 2018
_COMPTON_FM = 386.15926796  # reduced Compton wavelength of the electron, CODATA 2018
_NUCLEAR_RADIUS_FM = 1.2  # times A^(1/3)

_BINS = 1000


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One β⁻ transition: how often, its end point, and whether it is unique first-forbidden."""

    probability: float
    end_point_mev: float
    unique_first_forbidden: bool = False


@dataclass(frozen=True, kw_only=True)
class Emitter:
    """Decay data of a nuclide. ``daughter_charge`` is Z of the daughter, in whose field the electron leaves.

    ``lines_mev`` are (energy, relative intensity) of conversion electrons. Their scale is what is missing from
    ``electron_energy_mev``, the energy of all electrons per decay; None: there are β particles only.
    """

    daughter_charge: int
    mass_number: int
    branches: tuple[Branch, ...]
    lines_mev: tuple[tuple[float, float], ...] = ()
    electron_energy_mev: float | None = None


# End points, probabilities and the energy of all electrons: ICRP 107. Spins and parities: 166Ho 0⁻ → 0⁺ and 2⁺ of
# 166Er; 90Y 2⁻ → 0⁺; 89Sr 5/2⁺ → 1/2⁻; 32P 1⁺ → 0⁺. ΔJ = 2 with change of parity is unique first-forbidden.
# 166Ho's lines: the 80.57 keV E2 transition converted in the K, L and M shells of erbium (57.5, 8.8, 2.0 keV bound);
# they stop within 0.11 mm, so their shares hardly matter. Auger electrons are lumped with them.
EMITTERS = {
    HOLMIUM_166: Emitter(
        daughter_charge=68,
        mass_number=166,
        branches=(
            Branch(probability=0.500, end_point_mev=1.854),
            Branch(probability=0.487, end_point_mev=1.774, unique_first_forbidden=True),
            Branch(probability=0.010, end_point_mev=0.394),
        ),
        lines_mev=((0.0231, 0.11), (0.0718, 0.26), (0.0786, 0.08)),
        electron_energy_mev=0.6963,
    ),
    YTTRIUM_90: Emitter(
        daughter_charge=40,
        mass_number=90,
        branches=(Branch(probability=1.0, end_point_mev=2.2801, unique_first_forbidden=True),),
    ),
    PHOSPHORUS_32: Emitter(
        daughter_charge=16, mass_number=32, branches=(Branch(probability=1.0, end_point_mev=1.7106),)
    ),
    STRONTIUM_89: Emitter(
        daughter_charge=39,
        mass_number=89,
        branches=(Branch(probability=1.0, end_point_mev=1.4951, unique_first_forbidden=True),),
    ),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ElectronSpectrum:
    """Electrons per decay (1-D) by kinetic energy [MeV] (1-D, same length)."""

    nuclide: str
    energies_mev: FloatArray
    electrons_per_decay: FloatArray

    def __post_init__(self) -> None:
        freeze(self, "energies_mev", "electrons_per_decay")

    @cached_property
    def energy_per_decay_mev(self) -> float:
        """Energy of all electrons of one decay, MeV."""
        return float(self.energies_mev @ self.electrons_per_decay)


def fermi_function(total_energy: FloatArray, *, daughter_charge: int, mass_number: int, order: int = 1) -> FloatArray:
    """F_(k−1) of β⁻ decay at total energy W [m_e c²], k = `order`: the pull of the daughter's charge on the electron.

    F_(k−1) = 4^(k−1)·2k·(k+γ)·[(2k−1)!!]²·(2pR)^(2(γ−k))·e^(πη)·|Γ(γ+iη)|²/Γ(1+2γ)², γ² = k² − (αZ)², η = αZW/p; for
    k = 1 the usual Fermi function (Behrens and Jänecke, Numerical Tables for Beta-Decay, 1969). Point charge at the
    nuclear surface, no screening.
    """
    alpha_z = _FINE_STRUCTURE * daughter_charge
    gamma = np.sqrt(order**2 - alpha_z**2)
    momentum = np.sqrt(total_energy**2 - 1.0)
    radius = _NUCLEAR_RADIUS_FM * mass_number ** (1.0 / 3.0) / _COMPTON_FM
    eta = alpha_z * total_energy / momentum
    odd = float(np.prod(np.arange(1, 2 * order, 2)))
    exponent = np.pi * eta + 2.0 * loggamma(gamma + 1j * eta).real - 2.0 * loggamma(1.0 + 2.0 * gamma).real
    front = 4.0 ** (order - 1) * 2.0 * order * (order + gamma) * odd**2
    return np.asarray(front * (2.0 * momentum * radius) ** (2.0 * (gamma - order)) * np.exp(exponent), dtype=np.float64)


def beta_spectrum(branch: Branch, *, daughter_charge: int, mass_number: int) -> tuple[FloatArray, FloatArray]:
    """Energies [MeV] and shares (sum 1) of one β⁻ branch, in equal bins up to its end point.

    Allowed: N ∝ p·W·q²·F₀. Unique first-forbidden: times q² + p²·F₁/F₀, with q the neutrino's momentum.
    """
    energies = (np.arange(_BINS) + 0.5) / _BINS * branch.end_point_mev
    total = 1.0 + energies / ELECTRON_MASS_MEV
    momentum_squared = total**2 - 1.0
    neutrino = (branch.end_point_mev - energies) / ELECTRON_MASS_MEV
    allowed = fermi_function(total, daughter_charge=daughter_charge, mass_number=mass_number)
    shape = np.sqrt(momentum_squared) * total * neutrino**2 * allowed
    if branch.unique_first_forbidden:
        second = fermi_function(total, daughter_charge=daughter_charge, mass_number=mass_number, order=2)
        shape *= neutrino**2 + momentum_squared * second / allowed
    return energies, np.asarray(shape / shape.sum(), dtype=np.float64)


@cache
def electron_spectrum(nuclide: str) -> ElectronSpectrum:
    """All electrons of a decay of `nuclide` ("166Ho", "90Y", "32P", "89Sr").

    Raises
    ------
    ValueError
        If the nuclide's spectrum is not known.
    """
    if nuclide not in EMITTERS:
        raise ValueError(f"nuclide is '{nuclide}'; spectra are known of {', '.join(EMITTERS)}.")
    emitter = EMITTERS[nuclide]
    energies, electrons = [], []
    for branch in emitter.branches:
        energy, share = beta_spectrum(branch, daughter_charge=emitter.daughter_charge, mass_number=emitter.mass_number)
        energies.append(energy)
        electrons.append(branch.probability * share)
    if emitter.electron_energy_mev is not None:
        missing = emitter.electron_energy_mev - sum(
            float(energy @ electron) for energy, electron in zip(energies, electrons, strict=True)
        )
        line, intensity = np.array(emitter.lines_mev).T
        energies.append(line)
        electrons.append(intensity * missing / float(line @ intensity))
    return ElectronSpectrum(
        nuclide=nuclide,
        energies_mev=np.concatenate(energies),
        electrons_per_decay=np.concatenate(electrons),
    )
