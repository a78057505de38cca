"""The budget of a mean dose: what contributes to its uncertainty, and what each part is shared with (physics §4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from config.settings import UncertaintySettings
from quantify.monte_carlo import MeasuredDose

_ALL = "all volumes and fractions"
_FRACTIONS = "all fractions of the volume"
_LATER = "later fractions of the volume, at the decay between injections"
_NOTHING = "nothing: this series alone"


@dataclass(frozen=True, kw_only=True)
class BudgetTerm:
    """One part of the uncertainty of a mean dose, k = 1."""

    name: str
    u_gy: float
    share_of_variance_pct: float
    correlated_with: str


def budget(dose: MeasuredDose, settings: UncertaintySettings) -> tuple[BudgetTerm, ...]:
    """First-order budget of a mean dose in quadrature; the shares add up to 100 % (to 0 if there is no uncertainty).

    Terms that are nought for want of a cause (earlier series, a blended S0) are left out.
    """
    weights = dose.series_gy_per_s
    repeats = [weight * own for weight, own in zip(weights, dose.repeat_per_s, strict=True)]
    s0 = [weight * own for weight, own in zip(weights, dose.s0_per_s, strict=True)]
    references = [w * own for w, own in zip(dose.reference_gy_per_s, dose.reference_per_s, strict=True)]
    size = abs(dose.mean_gy) / 100.0
    parts = [
        ("relaxivity", settings.relaxivity_pct * size, _ALL),
        ("specific activity", settings.specific_activity_pct * size, _ALL),
        ("absorbed energy", settings.energy_pct * size, _ALL),
        ("tissue density", settings.density_pct * size, _ALL),
        ("offset of the reference", math.hypot(*references), _FRACTIONS),
        ("scatter between series", abs(repeats[-1]), _NOTHING),
        ("scatter of earlier series", math.hypot(*repeats[:-1]), _LATER),
        ("S0 from the reference", math.hypot(*s0), _NOTHING),
        ("contour", abs(dose.contour_gy), _FRACTIONS),
        ("voxel noise", dose.noise_gy, _NOTHING),
    ]
    optional = ("scatter of earlier series", "S0 from the reference")
    variance = sum(u**2 for _, u, _ in parts)
    return tuple(
        BudgetTerm(
            name=name,
            u_gy=u,
            share_of_variance_pct=100.0 * u**2 / variance if variance > 0 else 0.0,
            correlated_with=shared,
        )
        for name, u, shared in parts
        if u > 0 or name not in optional
    )
