"""Uncertainty of a mean dose by first-order propagation (EANM 2018, Gear et al.; physics §4). All k = 1.

There is no time–activity term: the microspheres are a permanent implant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from config.settings import UncertaintySettings


@dataclass(frozen=True, kw_only=True)
class DoseUncertainty:
    """Parts of the uncertainty of a mean dose [Gy]; each part says what it is shared with.

    ``common_gy``: relaxivity, specific activity, energy, density: the same for all volumes and fractions.
    ``reference_gy``: offset of the reference, the same for all fractions. ``repeat_gy``: independent between series.
    ``contour_gy``: change of the mean with the contour. ``noise_gy``: voxel noise left on the mean.
    """

    common_gy: float
    reference_gy: float
    repeat_gy: float
    contour_gy: float
    noise_gy: float

    @property
    def total_gy(self) -> float:
        """All parts in quadrature."""
        return float(
            np.sqrt(
                self.common_gy**2 + self.reference_gy**2 + self.repeat_gy**2 + self.contour_gy**2 + self.noise_gy**2
            )
        )

    @property
    def independent_gy(self) -> float:
        """What scatters from series to series: all that a trend may use."""
        return float(np.hypot(self.repeat_gy, self.noise_gy))


def common_relative(settings: UncertaintySettings) -> float:
    """Relative uncertainty that all doses of a treatment share: relaxivity, specific activity, energy, density."""
    parts = (settings.relaxivity_pct, settings.specific_activity_pct, settings.energy_pct, settings.density_pct)
    return float(np.sqrt(sum(part**2 for part in parts))) / 100.0


def repeat_per_s(delta_r2star_per_s: float, settings: UncertaintySettings) -> float:
    """Scatter of a mean ΔR2* between series [s⁻¹]: the larger of an absolute and a relative working value."""
    return max(settings.repeat_per_s, settings.repeat_pct / 100.0 * abs(delta_r2star_per_s))


def dose_uncertainty(
    *,
    mean_gy: float,
    gy_per_s: float,
    delta_r2star_per_s: float,
    contour_gy: float,
    noise_gy: float,
    settings: UncertaintySettings,
) -> DoseUncertainty:
    """Combine the terms for one volume and fraction; `gy_per_s` is the dose that 1 s⁻¹ of ΔR2* stands for."""
    return DoseUncertainty(
        common_gy=common_relative(settings) * abs(mean_gy),
        reference_gy=settings.reference_per_s * gy_per_s,
        repeat_gy=repeat_per_s(delta_r2star_per_s, settings) * gy_per_s,
        contour_gy=contour_gy,
        noise_gy=noise_gy,
    )
