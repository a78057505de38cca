"""Absorbed dose from activity concentration, all energy staying in its voxel; `quantify.kernel` moves it."""

from __future__ import annotations

import numpy as np

from quantify.isotope import HOLMIUM_166, YTTRIUM_90, Isotope
from quantify.model import Array

# Energy of the formulas in use [mJ/MBq]: EMERITUS-1, eq. 1; CRLM glass cohort.
_FORMULA_ENERGY = {HOLMIUM_166: 15.87, YTTRIUM_90: 50.0}
_SAME_FORMULA = 0.10  # 166Ho's conventions (15.53 to 15.87) differ by 2 %, isotopes by a factor of 3


def dose_per_activity_concentration(*, isotope: Isotope, density_g_per_ml: float) -> float:
    """Gy per MBq/mL for local deposition: D = E·a/ρ (E in mJ/MBq, a in MBq/mL, ρ in g/mL).

    Energy and density belong to one formula; 15.87 mJ/MBq goes with 1.06 g/mL (EMERITUS-1), 50 J/GBq of 90Y with 1.03.

    Raises
    ------
    ValueError
        If the density is not positive, is not that which the isotope's formula fixes, or if the energy is another
        isotope's.
    """
    if not (np.isfinite(density_g_per_ml) and density_g_per_ml > 0):
        raise ValueError(f"tissue_density_g_per_ml is {density_g_per_ml}; expected a positive number [g/mL].")
    _require_one_formula(isotope, density_g_per_ml)
    return isotope.absorbed_energy_mj_per_mbq / density_g_per_ml


def local_deposition_gy(activity_mbq_per_ml: Array, *, isotope: Isotope, density_g_per_ml: float) -> Array:
    """Dose to infinity [Gy] where all energy stays in the voxel; NaN stays NaN, negative noise stays negative."""
    factor = dose_per_activity_concentration(isotope=isotope, density_g_per_ml=density_g_per_ml)
    return activity_mbq_per_ml * activity_mbq_per_ml.dtype.type(factor)


def _require_one_formula(isotope: Isotope, density_g_per_ml: float) -> None:
    fixed = isotope.formula_density_g_per_ml
    if fixed is not None and abs(density_g_per_ml - fixed) > 1e-9:
        raise ValueError(
            f"tissue_density_g_per_ml is {density_g_per_ml:g} for {isotope.name}; its formula, "
            f"{isotope.absorbed_energy_mj_per_mbq:g} mJ/MBq, goes with {fixed:g} g/mL only."
        )
    energy = isotope.absorbed_energy_mj_per_mbq
    fits = [name for name, known in _FORMULA_ENERGY.items() if abs(energy / known - 1.0) <= _SAME_FORMULA]
    if isotope.name in _FORMULA_ENERGY and fits and isotope.name not in fits:
        raise ValueError(
            f"absorbed_energy_mj_per_mbq is {energy:g} for {isotope.name}; that is the energy of {fits[0]}. "
            f"Expected about {_FORMULA_ENERGY[isotope.name]:g} mJ/MBq."
        )
