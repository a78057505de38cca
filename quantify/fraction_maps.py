"""Activity and dose maps of an imaged fraction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quantify.activity import Accumulated, Increment, accumulate, nothing_injected
from quantify.dose import dose_per_activity_concentration, local_deposition_gy
from quantify.findings import FractionMaps, Injection
from quantify.imaged import ImagedFraction, Physics
from quantify.model import ParametricMap


def fraction_maps(
    fraction: ImagedFraction, waiting: Sequence[Injection], before: Accumulated | None, physics: Physics
) -> tuple[Accumulated, FractionMaps]:
    """Activity and dose maps of an imaged fraction, whose increment spans all injections since the image before."""
    r2star, holmium = fraction.r2star, fraction.holmium
    if r2star is None or holmium is None:
        raise ValueError(f"evaluate_treatment: {fraction.injection.label} has a holmium map but no R2* map.")
    known = [i for i in waiting if i.specific_activity_mbq_per_mg is not None]
    increment = Increment(
        activities_mbq=tuple(i.activity_mbq or 0.0 for i in known),
        specific_activities_mbq_per_mg=tuple(i.specific_activity_mbq_per_mg or 0.0 for i in known),
    )
    accumulated, activity = accumulate(before or nothing_injected(holmium.grid.shape), holmium.values, increment)
    density = physics.settings.tissue_density_g_per_ml
    # Voxel noise is that of this image alone, at the specific activity of its own injection.
    noise = holmium.standard_error
    noise_mbq = None if noise is None else noise * np.float32(increment.specific_activities_mbq_per_mg[-1])
    per_concentration = np.float32(dose_per_activity_concentration(isotope=physics.isotope, density_g_per_ml=density))
    return accumulated, FractionMaps(
        r2star=r2star,
        holmium=holmium,
        activity=ParametricMap(
            values=activity,
            reason=holmium.reason,
            grid=holmium.grid,
            quantity="166Ho activity",
            unit="MBq/mL",
            standard_error=noise_mbq,
        ),
        dose=ParametricMap(
            values=local_deposition_gy(activity, isotope=physics.isotope, density_g_per_ml=density),
            reason=holmium.reason,
            grid=holmium.grid,
            quantity="absorbed dose",
            unit="Gy",
            standard_error=None if noise_mbq is None else noise_mbq * per_concentration,
        ),
    )
