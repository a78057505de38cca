"""90Y dose from PET: local deposition by 50 J/GBq and 1.03 kg/L, the voxel kernel, relative calibration.

Energy and density of 90Y come from `quantify.isotope.yttrium_90` alone: no function here takes either, so that they
cannot be mixed with another isotope's.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from quantify.dose import dose_per_activity_concentration, local_deposition_gy
from quantify.isotope import yttrium_90
from quantify.kernel import Spacing, kernel_dose_gy
from quantify.model import Array

_YTTRIUM = yttrium_90()
Y90_DENSITY_G_PER_ML = 1.03  # local-deposition formula with 50 J/GBq, CRLM glass cohort


def y90_local_dose_gy(activity_gbq: float, volume_l: float) -> float:
    """Mean dose [Gy] of a volume: D = A·50 J/GBq / (V·1.03 kg/L), A in GBq, V in L (CRLM glass cohort).

    Raises
    ------
    ValueError
        If the activity is negative or not finite, or the volume is not positive and finite.
    """
    if not (np.isfinite(activity_gbq) and activity_gbq >= 0):
        raise ValueError(f"activity_gbq is {activity_gbq}; expected a finite number of at least 0 [GBq].")
    if not (np.isfinite(volume_l) and volume_l > 0):
        raise ValueError(f"volume_l is {volume_l}; expected a positive number [L].")
    # GBq/L is MBq/mL.
    factor = dose_per_activity_concentration(isotope=_YTTRIUM, density_g_per_ml=Y90_DENSITY_G_PER_ML)
    return factor * activity_gbq / volume_l


def y90_dose_map_gy(
    activity_mbq_per_ml: Array, *, spacing_mm: Spacing, dose_model: Literal["local", "kernel"] = "local"
) -> Array:
    """Dose to infinity [Gy] of a map of 90Y (slice, row, column) by local deposition or the voxel kernel.

    NaN stays NaN. Raises `ValueError` as `quantify.kernel.kernel_dose_gy` does, and for an unknown model.
    """
    if dose_model == "local":
        return local_deposition_gy(activity_mbq_per_ml, isotope=_YTTRIUM, density_g_per_ml=Y90_DENSITY_G_PER_ML)
    if dose_model == "kernel":
        return kernel_dose_gy(
            activity_mbq_per_ml, spacing_mm=spacing_mm, isotope=_YTTRIUM, density_g_per_ml=Y90_DENSITY_G_PER_ML
        )
    raise ValueError(f"dose_model is {dose_model!r}; expected 'local' or 'kernel'.")


def relative_calibration(counts_liver: float, counts_lungs: float, injected_mbq: float) -> float:
    """MBq per count, if all that was injected lies in liver and lungs: injected / (counts liver + counts lungs).

    Counts are sums over all voxels of a volume; times the result and divided by the voxel's volume [mL] a map of
    counts becomes MBq/mL. The injected activity is that at the time of the scan if doses are to be told from it then.

    Raises
    ------
    ValueError
        If a number is negative or not finite, or there is nothing counted or injected.
    """
    for name, value in (("counts_liver", counts_liver), ("counts_lungs", counts_lungs), ("injected_mbq", injected_mbq)):
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value}; expected a finite number of at least 0.")
    if counts_liver + counts_lungs == 0:
        raise ValueError("counts_liver and counts_lungs are both 0; expected counts to share the activity out over.")
    if injected_mbq == 0:
        raise ValueError("injected_mbq is 0; expected the net activity injected [MBq].")
    return injected_mbq / (counts_liver + counts_lungs)
