"""How far electrons get in water: ranges of the continuous-slowing-down approximation (CSDA)."""

from __future__ import annotations

import numpy as np

from quantify.model import FloatArray

# NIST ESTAR (Berger, Coursey, Zucker, Chang; NISTIR 4999), liquid water, mean excitation energy 75 eV:
# kinetic energy [MeV], CSDA range [g/cm²].
_ESTAR_WATER = (
    (0.010, 2.515e-4),
    (0.0125, 3.728e-4),
    (0.015, 5.147e-4),
    (0.0175, 6.762e-4),
    (0.020, 8.566e-4),
    (0.025, 1.272e-3),
    (0.030, 1.756e-3),
    (0.035, 2.306e-3),
    (0.040, 2.919e-3),
    (0.045, 3.591e-3),
    (0.050, 4.320e-3),
    (0.055, 5.103e-3),
    (0.060, 5.940e-3),
    (0.070, 7.762e-3),
    (0.080, 9.773e-3),
    (0.090, 1.196e-2),
    (0.100, 1.431e-2),
    (0.125, 2.083e-2),
    (0.150, 2.817e-2),
    (0.175, 3.622e-2),
    (0.200, 4.488e-2),
    (0.250, 6.372e-2),
    (0.300, 8.421e-2),
    (0.350, 1.060e-1),
    (0.400, 1.288e-1),
    (0.450, 1.523e-1),
    (0.500, 1.766e-1),
    (0.550, 2.013e-1),
    (0.600, 2.265e-1),
    (0.700, 2.778e-1),
    (0.800, 3.302e-1),
    (0.900, 3.832e-1),
    (1.000, 4.367e-1),
    (1.250, 5.717e-1),
    (1.500, 7.075e-1),
    (1.750, 8.432e-1),
    (2.000, 9.785e-1),
    (2.500, 1.247),
    (3.000, 1.514),
)
_LOG_ENERGY, _LOG_RANGE = np.log(np.array(_ESTAR_WATER)).T
_LOWEST_SLOPE = (_LOG_RANGE[1] - _LOG_RANGE[0]) / (_LOG_ENERGY[1] - _LOG_ENERGY[0])


def csda_range_g_per_cm2(energy_mev: FloatArray) -> FloatArray:
    """CSDA range of electrons in water [g/cm²] by kinetic energy [MeV]; any shape.

    Linear in log-log between the energies of NIST ESTAR, 0.01 to 3 MeV. Below 0.01 MeV (range under 3 µm) the first
    segment goes on as a power law.

    Raises
    ------
    ValueError
        If an energy is not positive and finite, or above 3 MeV.
    """
    energy = np.asarray(energy_mev, dtype=np.float64)
    if not (np.isfinite(energy) & (energy > 0)).all() or (energy > _ESTAR_WATER[-1][0]).any():
        raise ValueError(
            f"energy_mev runs from {energy.min(initial=np.inf):g} to {energy.max(initial=-np.inf):g}; ranges are "
            f"tabulated for positive energies up to {_ESTAR_WATER[-1][0]:g} MeV."
        )
    logarithm = np.log(energy)
    inside = np.interp(logarithm, _LOG_ENERGY, _LOG_RANGE)
    below = _LOG_RANGE[0] + _LOWEST_SLOPE * (logarithm - _LOG_ENERGY[0])
    return np.asarray(np.exp(np.where(logarithm < _LOG_ENERGY[0], below, inside)), dtype=np.float64)
