"""Activity of microspheres: decay, specific activity, vials and residuals, and activity maps from maps of mass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

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
    """What was injected between two images: activities [MBq] and specific activities [MBq/mg] at injection."""

    activities_mbq: tuple[float, ...]
    specific_activities_mbq_per_mg: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Accumulated:
    """Activity up to some image: what the next image's increment is added to.

    ``mass_mg_per_ml`` and ``activity_mbq_per_ml`` are those of each voxel's last image that could be evaluated, number
    ``last_image`` (−1: none yet); ``increments`` are what was injected before each image so far.
    """

    mass_mg_per_ml: Array
    activity_mbq_per_ml: Array
    last_image: NDArray[np.int16]
    increments: tuple[Increment, ...] = ()


def nothing_injected(shape: tuple[int, ...]) -> Accumulated:
    """The state before the first injection."""
    zero = np.zeros(shape, dtype=np.float32)
    return Accumulated(mass_mg_per_ml=zero, activity_mbq_per_ml=zero, last_image=np.full(shape, -1, dtype=np.int16))


def accumulate(before: Accumulated, mass_mg_per_ml: Array, increment: Increment) -> tuple[Accumulated, Array]:
    """Activity concentration after one more image, each microgram counted at its own time of injection.

    MRI sees mass: with m_k the cumulative map of image k, A_k = A_{k−1} + (m_k − m_{k−1})·SA_k. A voxel that could
    not be evaluated in between takes, for an increment that spans several injections, their mean specific activity
    (total activity over total mass).

    Parameters
    ----------
    before
        From `nothing_injected` or the call before.
    mass_mg_per_ml
        Cumulative microsphere mass concentration [mg/mL], float32; NaN where not evaluable. Negative values are noise
        about zero and are kept.
    increment
        What was injected before this image and after the one before it.

    Returns
    -------
    (accumulated, activity)
        The activity is in MBq/mL at the times of injection; NaN where this image's voxel is NaN.
    """
    if mass_mg_per_ml.shape != before.mass_mg_per_ml.shape:
        raise ValueError(
            f"accumulate: the map has shape {mass_mg_per_ml.shape}, the ones before {before.mass_mg_per_ml.shape}."
        )
    increments = (*before.increments, increment)
    specific = np.array([_mean_specific_activity(increments[since:]) for since in range(len(increments))])
    seen = np.isfinite(mass_mg_per_ml)
    gain = (mass_mg_per_ml - before.mass_mg_per_ml) * specific.astype(np.float32)[before.last_image + 1]
    activity = before.activity_mbq_per_ml + gain
    after = Accumulated(
        mass_mg_per_ml=np.where(seen, mass_mg_per_ml, before.mass_mg_per_ml),
        activity_mbq_per_ml=np.where(seen, activity, before.activity_mbq_per_ml),
        last_image=np.where(seen, np.int16(len(increments) - 1), before.last_image),
        increments=increments,
    )
    return after, activity


def _mean_specific_activity(increments: Sequence[Increment]) -> float:
    """Total activity over total mass of several injections: their activity-weighted (harmonic) mean, MBq/mg."""
    activities = np.array([a for part in increments for a in part.activities_mbq], dtype=np.float64)
    specific: FloatArray = np.array([s for part in increments for s in part.specific_activities_mbq_per_mg])
    if activities.size == 0:
        raise ValueError("accumulate: an image without an injection before it; bind the series to an injection.")
    if not (specific > 0).all():
        raise ValueError(f"accumulate: specific activities {specific.tolist()} must be positive [MBq/mg].")
    total = activities.sum()
    if total <= 0:
        return float(specific.mean())
    return float(total / (activities / specific).sum())
