"""Uncertainty of a mean dose by first-order propagation (EANM 2018, Gear et al.; physics §4). All k = 1.

There is no time–activity term: the microspheres are a permanent implant. What is correlated with what, and every
quantity beyond the mean, is `quantify.monte_carlo`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from config.settings import UncertaintySettings


@dataclass(frozen=True, kw_only=True)
class DoseUncertainty:
    """Parts of the uncertainty of a mean dose [Gy]; each part says what it is shared with.

    ``common_gy``: relaxivity, specific activity, energy, density: the same for all volumes and fractions.
    ``reference_gy``: offset of the reference, the same for all fractions. ``repeat_gy``: independent between series.
    ``contour_gy``: change of the mean with the contour. ``noise_gy``: voxel noise left on the mean. ``s0_gy``: an S0
    blended with the reference's through a gain field, which is estimated anew for every series.
    """

    common_gy: float
    reference_gy: float
    repeat_gy: float
    contour_gy: float
    noise_gy: float
    s0_gy: float = 0.0

    @property
    def total_gy(self) -> float:
        """All parts in quadrature."""
        return float(
            np.sqrt(
                self.common_gy**2
                + self.reference_gy**2
                + self.repeat_gy**2
                + self.contour_gy**2
                + self.noise_gy**2
                + self.s0_gy**2
            )
        )

    @property
    def independent_gy(self) -> float:
        """What scatters from series to series: all that a trend may use."""
        return float(np.hypot(np.hypot(self.repeat_gy, self.noise_gy), self.s0_gy))


def common_relative(settings: UncertaintySettings) -> float:
    """Relative uncertainty that all doses of a treatment share: relaxivity, specific activity, energy, density."""
    parts = (settings.relaxivity_pct, settings.specific_activity_pct, settings.energy_pct, settings.density_pct)
    return float(np.sqrt(sum(part**2 for part in parts))) / 100.0


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


def dose_uncertainty(
    *,
    mean_gy: float,
    gy_per_s: float,
    delta_r2star_per_s: float,
    contour_gy: float,
    noise_gy: float,
    settings: UncertaintySettings,
    reference_per_s: float | None = None,
    repeat_per_s: float | None = None,
    s0_weight_mean: float = 0.0,
    te1_s: float | None = None,
) -> DoseUncertainty:
    """Combine the terms for one volume and fraction.

    Parameters
    ----------
    mean_gy, delta_r2star_per_s
        The volume's mean dose [Gy] and mean ΔR2* [s⁻¹].
    gy_per_s
        The dose that 1 s⁻¹ of ΔR2* stands for.
    contour_gy, noise_gy
        Half the difference of the mean with the contour grown and shrunk, and voxel noise of the mean [Gy].
    reference_per_s
        Offset of the reference in place of the settings': wider after re-positioning without a new baseline.
    repeat_per_s
        Scatter between series as measured on a repeated reference, in place of the settings' absolute value.
    s0_weight_mean, te1_s
        Mean share of the information on S0 that came from the reference (0: fitted freely), and the first echo time.

    Raises
    ------
    ValueError
        For a value that is not finite, or an uncertainty below 0.
    """
    given = {"mean_gy": mean_gy, "gy_per_s": gy_per_s, "delta_r2star_per_s": delta_r2star_per_s}
    spreads = {
        "contour_gy": contour_gy,
        "noise_gy": noise_gy,
        "reference_per_s": reference_per_s,
        "repeat_per_s": repeat_per_s,
    }
    for name, value in {**given, **spreads}.items():
        if value is not None and not (math.isfinite(value) and (name in given or value >= 0)):
            expected = "a finite number" if name in given else "a finite number that is not negative"
            raise ValueError(f"dose_uncertainty: {name} is {value}; expected {expected}.")
    reference = settings.reference_per_s if reference_per_s is None else reference_per_s
    scale = abs(gy_per_s)
    return DoseUncertainty(
        common_gy=common_relative(settings) * abs(mean_gy),
        reference_gy=reference * scale,
        repeat_gy=_scatter_per_s(delta_r2star_per_s, settings, absolute_per_s=repeat_per_s) * scale,
        contour_gy=contour_gy,
        noise_gy=noise_gy,
        s0_gy=s0_per_s(s0_weight_mean=s0_weight_mean, te1_s=te1_s, settings=settings) * scale,
    )


_scatter_per_s = repeat_per_s
"""The function, where an argument has its name."""
