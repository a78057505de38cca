"""How much activity is prescribed: EMERITUS-1's A₆₀, fractions, single compartment and partition model (physics §7).

Energy comes from `quantify.isotope`: 1 MBq/kg of 166Ho gives 15.87 mGy. Mass in kg, activity in MBq, dose in Gy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from quantify.isotope import Isotope

EMERITUS_FRACTIONS = (0.10, 0.30, 0.30, 0.30)
"""Shares of a position's activity; the first stands for a scout dose (EMERITUS-1)."""
LIVER_DOSE_GY = 60.0
"""Mean absorbed dose of the targeted liver that A₆₀ aims at (HEPAR, EMERITUS-1)."""
LUNG_MASS_KG = 1.0
"""Mass of both lungs in the partition model (physics §7)."""
LUNG_DOSE_LIMIT_GY = 30.0
"""Lung dose of one treatment (physics §7)."""
LUNG_SHUNT_LIMIT = 0.20
"""A larger lung shunt fraction excludes (physics §7)."""

Compartment = Literal["tumour", "normal_liver", "lung"]


@dataclass(frozen=True, kw_only=True)
class Partition:
    """Mean absorbed doses of the three compartments [Gy]."""

    normal_liver_gy: float
    tumour_gy: float
    lung_gy: float


def a60_mbq(*, liver_mass_kg: float, isotope: Isotope) -> float:
    """A₆₀: activity for a mean of 60 Gy in the targeted liver, 3781 MBq/kg · mass for 166Ho (EMERITUS-1, eq. 1).

    60 Gy/(15.87 mJ/MBq) is 3780.7 MBq/kg; like the published formula it is rounded to whole MBq/kg first.

    Raises
    ------
    ValueError
        If the mass is not positive.
    """
    _positive("a60_mbq", liver_mass_kg=liver_mass_kg)
    return round(1000.0 * LIVER_DOSE_GY / isotope.absorbed_energy_mj_per_mbq) * liver_mass_kg


def mean_dose_gy(*, activity_mbq: float, mass_kg: float, isotope: Isotope) -> float:
    """Mean dose of a mass in which an activity decays completely: D = E·A/m."""
    _not_negative("mean_dose_gy", activity_mbq=activity_mbq)
    _positive("mean_dose_gy", mass_kg=mass_kg)
    return isotope.absorbed_energy_mj_per_mbq * activity_mbq / (1000.0 * mass_kg)


def whole_liver_dose_gy(*, targeted_dose_gy: float, targeted_share: float) -> float:
    """Mean dose of the whole liver when a share (0…1) of its mass has a mean of `targeted_dose_gy`, the rest none."""
    _not_negative("whole_liver_dose_gy", targeted_dose_gy=targeted_dose_gy)
    _share("whole_liver_dose_gy", targeted_share=targeted_share)
    return targeted_dose_gy * targeted_share


def split_by_target_volume(activity_mbq: float, target_volumes_ml: Mapping[str, float]) -> dict[str, float]:
    """Divide an activity among injection positions in proportion to the liver volume that each targets (EMERITUS-1).

    Raises
    ------
    ValueError
        If there is no position, or a volume or the activity is not positive.
    """
    _positive("split_by_target_volume", activity_mbq=activity_mbq)
    if not target_volumes_ml:
        raise ValueError("split_by_target_volume: target_volumes_ml is empty; expected a volume for each position.")
    _positive("split_by_target_volume", **{f"target_volumes_ml of {k}": v for k, v in target_volumes_ml.items()})
    total = math.fsum(target_volumes_ml.values())
    return {position: activity_mbq * volume / total for position, volume in target_volumes_ml.items()}


def split_in_fractions(activity_mbq: float, shares: Sequence[float] = EMERITUS_FRACTIONS) -> tuple[float, ...]:
    """Activities of a position's fractions: 10, 30, 30, 30 % of 8.06 GBq are 0.806 and three times 2.418 GBq.

    Raises
    ------
    ValueError
        If the shares do not add to 1, or one or the activity is not positive.
    """
    _positive("split_in_fractions", activity_mbq=activity_mbq)
    _positive("split_in_fractions", **{f"share {n}": share for n, share in enumerate(shares, start=1)})
    if not math.isclose(math.fsum(shares), 1.0, abs_tol=1e-9):
        raise ValueError(f"split_in_fractions: shares {tuple(shares)} add to {math.fsum(shares):g}; expected 1.")
    return tuple(activity_mbq * share for share in shares)


def tumour_to_normal_ratio(
    *, tumour_counts: float, tumour_volume_ml: float, normal_counts: float, normal_volume_ml: float
) -> float:
    """T/N: ratio of the mean concentrations (counts per volume) of tumour and normal liver, e.g. of a scout image."""
    where = "tumour_to_normal_ratio"
    _not_negative(where, tumour_counts=tumour_counts)
    _positive(where, tumour_volume_ml=tumour_volume_ml, normal_counts=normal_counts, normal_volume_ml=normal_volume_ml)
    return (tumour_counts / tumour_volume_ml) / (normal_counts / normal_volume_ml)


def partition(
    *,
    activity_mbq: float,
    lung_shunt_fraction: float,
    tumour_mass_kg: float,
    normal_mass_kg: float,
    tumour_to_normal: float,
    isotope: Isotope,
    lung_mass_kg: float = LUNG_MASS_KG,
) -> Partition:
    """Doses of tumour, normal liver and lung by the partition model.

    D_n = E·A·(1 − LSF)/(m_n + TNR·m_t), D_t = TNR·D_n, D_lung = E·A·LSF/m_lung.

    Parameters
    ----------
    activity_mbq
        Net activity injected.
    lung_shunt_fraction
        0…1.
    tumour_to_normal
        TNR, the ratio of concentrations (see `tumour_to_normal_ratio`).

    Raises
    ------
    ValueError
        If a mass is negative, both liver masses are 0, the ratio is not positive or the shunt not in 0…1.
    """
    where = "partition"
    _not_negative(where, activity_mbq=activity_mbq, tumour_mass_kg=tumour_mass_kg, normal_mass_kg=normal_mass_kg)
    _share(where, lung_shunt_fraction=lung_shunt_fraction)
    _positive(where, tumour_to_normal=tumour_to_normal, lung_mass_kg=lung_mass_kg)
    weighted_mass = normal_mass_kg + tumour_to_normal * tumour_mass_kg
    if weighted_mass <= 0:
        raise ValueError("partition: tumour_mass_kg and normal_mass_kg are both 0; expected a liver.")
    energy_j_per_mbq = isotope.absorbed_energy_mj_per_mbq / 1000.0
    normal = energy_j_per_mbq * activity_mbq * (1.0 - lung_shunt_fraction) / weighted_mass
    lung = energy_j_per_mbq * activity_mbq * lung_shunt_fraction / lung_mass_kg
    return Partition(normal_liver_gy=normal, tumour_gy=tumour_to_normal * normal, lung_gy=lung)


def activity_for_target_dose(
    *,
    target_dose_gy: float,
    compartment: Compartment,
    lung_shunt_fraction: float,
    tumour_mass_kg: float,
    normal_mass_kg: float,
    tumour_to_normal: float,
    isotope: Isotope,
    lung_mass_kg: float = LUNG_MASS_KG,
) -> float:
    """Net activity [MBq] that gives one compartment of the partition model `target_dose_gy`: its inverse.

    With no tumour (mass 0) and no shunt the normal liver's is the single compartment, A = D·m/E.

    Raises
    ------
    ValueError
        If the dose is not positive, the compartment unknown, or nothing reaches it; as `partition`.
    """
    _positive("activity_for_target_dose", target_dose_gy=target_dose_gy)
    of_one_mbq = partition(
        activity_mbq=1.0,
        lung_shunt_fraction=lung_shunt_fraction,
        tumour_mass_kg=tumour_mass_kg,
        normal_mass_kg=normal_mass_kg,
        tumour_to_normal=tumour_to_normal,
        isotope=isotope,
        lung_mass_kg=lung_mass_kg,
    )
    doses = {"tumour": of_one_mbq.tumour_gy, "normal_liver": of_one_mbq.normal_liver_gy, "lung": of_one_mbq.lung_gy}
    if compartment not in doses:
        raise ValueError(f"activity_for_target_dose: compartment is {compartment!r}; expected one of {list(doses)}.")
    masses = {"tumour": tumour_mass_kg, "normal_liver": normal_mass_kg, "lung": lung_mass_kg}
    if doses[compartment] <= 0 or masses[compartment] <= 0:
        raise ValueError(
            f"activity_for_target_dose: no activity reaches the {compartment.replace('_', ' ')} (mass "
            f"{masses[compartment]:g} kg, lung shunt fraction {lung_shunt_fraction:g}); expected one that takes up."
        )
    return target_dose_gy / doses[compartment]


def lung_objections(*, lung_shunt_fraction: float, lung_dose_gy: float) -> tuple[str, ...]:
    """Sentences on what the lung forbids: a shunt over 20 % excludes, a lung dose over 30 Gy exceeds its limit."""
    _share("lung_objections", lung_shunt_fraction=lung_shunt_fraction)
    _not_negative("lung_objections", lung_dose_gy=lung_dose_gy)
    objections = []
    if lung_shunt_fraction > LUNG_SHUNT_LIMIT:
        objections.append(
            f"The lung shunt fraction of {100 * lung_shunt_fraction:.1f} % is over the "
            f"{100 * LUNG_SHUNT_LIMIT:.0f} % that exclude from treatment."
        )
    if lung_dose_gy > LUNG_DOSE_LIMIT_GY:
        objections.append(f"The lung dose of {lung_dose_gy:.1f} Gy is over the limit of {LUNG_DOSE_LIMIT_GY:.0f} Gy.")
    return tuple(objections)


def _positive(where: str, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{where}: {name} is {value}; expected a positive number.")


def _not_negative(where: str, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{where}: {name} is {value}; expected a finite number of at least 0.")


def _share(where: str, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"{where}: {name} is {value}; expected a share from 0 to 1.")
