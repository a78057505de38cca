"""Recovery: the activity measured in the liver over what was injected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from quantify.findings import FractionResult
from quantify.imaged import ImagedFraction, Physics
from quantify.model import Role
from quantify.uncertainty import common_relative


def with_recovery(result: FractionResult, so_far: Sequence[ImagedFraction], physics: Physics) -> FractionResult:
    """Measured activity in the (unexpanded) liver over all that was injected; None without a liver."""
    liver = next((s for s in result.volumes.values() if s.role == Role.LIVER), None)
    if liver is None or liver.activity_mbq is None or liver.dose_mean_gy is None:
        return result
    measured = liver.activity_mbq
    terms = physics.settings.uncertainty
    specific = so_far[-1].injection.specific_activity_mbq_per_mg or 0.0
    change = liver.delta_r2star_mean_per_s or 0.0
    repeat = max(terms.repeat_per_s, terms.repeat_pct / 100 * abs(change))
    offset = (
        specific / physics.relaxivity_per_s_per_mg_ml * liver.volume_ml * float(np.hypot(terms.reference_per_s, repeat))
    )
    u_measured = float(np.hypot(common_relative(terms) * measured, offset))
    result = replace(result, measured_mbq=measured, measured_u_mbq=u_measured)
    injected = result.cumulative_injected_mbq
    if injected is None or injected <= 0:
        return result
    ratio = measured / injected
    own = [f.injection.activity_u_mbq or 0.0 for f in so_far]
    u_injected = float(np.hypot(terms.assay_pct / 100, sum(own) / injected))
    return replace(result, recovery_ratio=ratio, recovery_u=float(np.hypot(u_measured / injected, ratio * u_injected)))
