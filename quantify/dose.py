"""Absorbed dose from activity concentration."""

from __future__ import annotations

from quantify.isotope import Isotope
from quantify.model import Array


def dose_per_activity_concentration(*, isotope: Isotope, density_g_per_ml: float) -> float:
    """Gy per MBq/mL for local deposition: D = E·a/ρ (E in mJ/MBq, a in MBq/mL, ρ in g/mL).

    Energy and density belong to one formula; 15.87 mJ/MBq goes with 1.06 g/mL (EMERITUS-1).
    """
    if not density_g_per_ml > 0:
        raise ValueError(f"tissue_density_g_per_ml is {density_g_per_ml}; expected a positive number [g/mL].")
    return isotope.absorbed_energy_mj_per_mbq / density_g_per_ml


def local_deposition_gy(activity_mbq_per_ml: Array, *, isotope: Isotope, density_g_per_ml: float) -> Array:
    """Dose to infinity [Gy] where all energy stays in the voxel; NaN stays NaN, negative noise stays negative."""
    factor = dose_per_activity_concentration(isotope=isotope, density_g_per_ml=density_g_per_ml)
    return activity_mbq_per_ml * activity_mbq_per_ml.dtype.type(factor)
