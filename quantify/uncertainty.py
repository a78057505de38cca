"""The terms of the uncertainty of a dose (EANM 2018, Gear et al.; physics §4). All k = 1.

There is no time–activity term: the microspheres are a permanent implant. How the terms make the uncertainty of a mean
is `quantify.budget`'s; what is correlated with what, and every quantity beyond the mean, `quantify.monte_carlo`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from config.settings import UncertaintySettings
from quantify.findings import Injection


def common_relative(settings: UncertaintySettings) -> float:
    """Relative uncertainty that all doses of a treatment share: relaxivity, specific activity, energy, density."""
    parts = (settings.relaxivity_pct, settings.specific_activity_pct, settings.energy_pct, settings.density_pct)
    return float(np.sqrt(sum(part**2 for part in parts))) / 100.0


def injected_u_mbq(injections: Iterable[Injection], settings: UncertaintySettings) -> float:
    """Standard uncertainty of a sum of activities [MBq], as `quantify.monte_carlo.injected_mbq` samples it.

    One dose calibrator assays all of them, and an assumed loss is the same guess for each: both add up linearly. An
    activity that is not known counts as nothing.
    """
    known = [i for i in injections if i.activity_mbq is not None]
    assay = settings.assay_pct / 100.0 * sum(i.activity_mbq or 0.0 for i in known)
    return math.hypot(assay, sum(i.activity_u_mbq or 0.0 for i in known))


def repeat_per_s(
    delta_r2star_per_s: float, settings: UncertaintySettings, *, absolute_per_s: float | None = None
) -> float:
    """Scatter of a mean ΔR2* between series [s⁻¹]: the larger of an absolute and a relative value.

    `absolute_per_s` is the one measured on a repeated reference (`quantify.repeatability`); None for the working value.
    The relative one stays: a reference without holmium cannot tell it.
    """
    absolute = settings.repeat_per_s if absolute_per_s is None else absolute_per_s
    return max(absolute, settings.repeat_pct / 100.0 * abs(delta_r2star_per_s))


def s0_per_s(*, s0_weight_mean: float, te1_s: float | None, settings: UncertaintySettings) -> float:
    """What an error ε of the predicted S0 makes of a mean R2* [s⁻¹]: ln(1 + ε)/TE₁ at most, times the prior's weight.

    Raises
    ------
    ValueError
        If the weight is not within 0…1, or without a first echo time [s] when it is not 0.
    """
    if not 0 <= s0_weight_mean <= 1:
        raise ValueError(f"s0_per_s: s0_weight_mean is {s0_weight_mean}; expected a share from 0 to 1.")
    if s0_weight_mean == 0:
        return 0.0
    if te1_s is None or not te1_s > 0:
        raise ValueError(f"s0_per_s: te1_s is {te1_s}; a blended S0 needs the first echo time, in s, above 0.")
    return s0_weight_mean * math.log1p(settings.s0_gain_pct / 100.0) / te1_s
