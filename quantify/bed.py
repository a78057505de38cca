"""Biologically effective dose of a permanent implant (linear–quadratic model; Cremonesi 2008, EANM).

BED = D·(1 + G·D/(α/β)). For a dose rate that falls with the isotope's half-life and damage that is repaired with a
half-time T_rep, the Lea–Catcheside factor is G = T_rep/(T_rep + T_½). There is no consensus for 166Ho: off by default.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from config.settings import StatisticsSettings
from quantify.isotope import Isotope
from quantify.model import FloatArray, Role
from quantify.statistics import Distribution, Doses


@dataclass(frozen=True, kw_only=True)
class Radiosensitivity:
    """α/β [Gy] and half-time of sublethal repair [h] of a tissue.

    Raises
    ------
    ValueError
        If one of them is not positive.
    """

    alpha_beta_gy: float
    repair_half_time_h: float

    def __post_init__(self) -> None:
        for name in ("alpha_beta_gy", "repair_half_time_h"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Radiosensitivity.{name} is {getattr(self, name)}; expected a positive number.")


def radiosensitivity(role: Role, settings: StatisticsSettings) -> Radiosensitivity:
    """What the settings say of a tumour, or of the liver in all of its parts."""
    if role == Role.TUMOUR:
        return Radiosensitivity(
            alpha_beta_gy=settings.alpha_beta_tumour_gy, repair_half_time_h=settings.repair_half_time_tumour_h
        )
    return Radiosensitivity(
        alpha_beta_gy=settings.alpha_beta_liver_gy, repair_half_time_h=settings.repair_half_time_liver_h
    )


def effect_per_dose(tissue: Radiosensitivity, isotope: Isotope) -> float:
    """G/(α/β) [1/Gy]: how much each Gy adds to the effect of every other."""
    g = tissue.repair_half_time_h / (tissue.repair_half_time_h + isotope.half_life_h)
    return g / tissue.alpha_beta_gy


def bed_gy(dose_gy: FloatArray, tissue: Radiosensitivity, isotope: Isotope) -> FloatArray:
    """BED [Gy] of each dose [Gy], D + D²·G/(α/β); any shape.

    NaN (not evaluable) stays NaN. Negative doses are noise about zero and take the formula as it stands. Voxel noise σ
    raises the mean of this by σ²·G/(α/β): for a mean use `mean_bed_gy`.
    """
    dose = np.asarray(dose_gy, dtype=np.float64)
    return dose + effect_per_dose(tissue, isotope) * dose**2


def bed_of_mean_gy(mean_gy: float, tissue: Radiosensitivity, isotope: Isotope) -> float:
    """BED [Gy] that the volume would have if it had received its mean dose everywhere.

    Raises
    ------
    ValueError
        If the dose is not finite.
    """
    if not np.isfinite(mean_gy):
        raise ValueError(f"bed_of_mean_gy: mean_gy is {mean_gy}; expected a finite dose.")
    return mean_gy + effect_per_dose(tissue, isotope) * mean_gy**2


def mean_bed_gy(doses: Distribution | Doses, tissue: Radiosensitivity, isotope: Isotope) -> float:
    """Mean BED [Gy] over the voxels of a volume, freed from voxel noise: BED(mean) + SD²·G/(α/β).

    Exact, since BED is quadratic in dose. Never less than the BED of the mean; local deposition exaggerates the SD,
    and this with it.
    """
    return bed_of_mean_gy(doses.mean, tissue, isotope) + (
        effect_per_dose(tissue, isotope) * doses.standard_deviation**2
    )
