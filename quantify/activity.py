"""Activity of microspheres: decay, specific activity, vials and residuals, and activity maps from maps of mass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from quantify.isotope import Isotope
from quantify.model import Array, FloatArray


@dataclass(frozen=True, kw_only=True)
class MeasuredActivity:
    """An activity as a dose calibrator read it at a time."""

    activity_mbq: float
    time: datetime

    def at(self, moment: datetime, isotope: Isotope) -> float:
        """Activity [MBq] at `moment`."""
        return self.activity_mbq * isotope.decay_factor(self.time, moment)


@dataclass(frozen=True, kw_only=True)
class NetActivity:
    """What reached the patient, at the time of injection; `assumed_loss` when no residual has been measured."""

    activity_mbq: float
    u_mbq: float
    assumed_loss: bool


def net_activity(
    *,
    drawn: Sequence[MeasuredActivity],
    residual_share: Sequence[MeasuredActivity],
    time: datetime,
    isotope: Isotope,
    loss_pct: float,
    loss_u_pct: float,
) -> NetActivity:
    """Net injected activity = Σ vials − residuals, each decayed to the time of injection and then subtracted.

    Without a residual a loss of `loss_pct` ± `loss_u_pct` of the vials is assumed (EMERITUS-1: 8.6 %).

    Raises
    ------
    ValueError
        If the residuals exceed the vials.
    """
    total = sum(vial.at(time, isotope) for vial in drawn)
    if not residual_share:
        return NetActivity(activity_mbq=total * (1 - loss_pct / 100), u_mbq=total * loss_u_pct / 100, assumed_loss=True)
    left = sum(residual.at(time, isotope) for residual in residual_share)
    if left > total:
        raise ValueError(
            f"net_activity: the residual ({left:.1f} MBq) exceeds the vials ({total:.1f} MBq) at {time.isoformat()}; "
            "check activities and assay times."
        )
    return NetActivity(activity_mbq=total - left, u_mbq=0.0, assumed_loss=False)


@dataclass(frozen=True, kw_only=True)
class Increment:
    """What was injected between two successive images: activities [MBq] and specific activities [MBq/mg] at injection."""

    activities_mbq: tuple[float, ...]
    specific_activities_mbq_per_mg: tuple[float, ...]


def activity_maps(holmium_mg_per_ml: Sequence[Array], increments: Sequence[Increment]) -> list[Array]:
    """Activity concentration after every imaged fraction, each microgram counted at its own time of injection.

    MRI sees mass: with m_k the cumulative map after image k, A_k = A_{k−1} + (m_k − m_{k−1})·SA_k. A voxel that could
    not be evaluated in between takes, for the increment that spans several injections, their activity-weighted SA.

    Parameters
    ----------
    holmium_mg_per_ml
        One float32 map (slice, row, column) of cumulative microsphere mass concentration [mg/mL] per image; NaN where
        not evaluable. Negative values are noise about zero and are kept.
    increments
        What was injected before each image and after the one before it.

    Returns
    -------
    list of arrays
        MBq/mL at the times of injection; NaN where that image's voxel is NaN.
    """
    if len(holmium_mg_per_ml) != len(increments):
        raise ValueError(
            f"activity_maps: {len(holmium_mg_per_ml)} maps for {len(increments)} increments; expected one for each."
        )
    if not holmium_mg_per_ml:
        return []
    shape = holmium_mg_per_ml[0].shape
    mass_before = np.zeros(shape, dtype=np.float64)
    activity_before = np.zeros(shape, dtype=np.float64)
    last_image = np.full(shape, -1, dtype=np.int32)
    results = []
    for image, mass in enumerate(holmium_mg_per_ml):
        seen = np.isfinite(mass)
        specific = np.empty(image + 1)
        for since in range(image + 1):
            specific[since] = _mean_specific_activity(increments[since : image + 1])
        gain = (mass - mass_before) * specific[last_image + 1]
        activity = np.where(seen, activity_before + gain, np.nan)
        results.append(activity.astype(np.float32))
        mass_before = np.where(seen, mass, mass_before)
        activity_before = np.where(seen, activity, activity_before)
        last_image[seen] = image
    return results


def _mean_specific_activity(increments: Sequence[Increment]) -> float:
    """Total activity over total mass of several injections: their activity-weighted (harmonic) mean, MBq/mg."""
    activities = np.array([a for part in increments for a in part.activities_mbq], dtype=np.float64)
    specific: FloatArray = np.array([s for part in increments for s in part.specific_activities_mbq_per_mg])
    if activities.size == 0:
        raise ValueError("activity_maps: an image without an injection before it; bind the series to an injection.")
    if not (specific > 0).all():
        raise ValueError(f"activity_maps: specific activities {specific.tolist()} must be positive [MBq/mg].")
    total = activities.sum()
    if total <= 0:
        return float(specific.mean())
    return float(total / (activities / specific).sum())
