"""From the numbers of a phase image to radians, by the file's own statement, else by the full scale that noise fills.

| vendor | as decoded | radians |
|---|---|---|
| Siemens (RescaleSlope 2, RescaleIntercept −4096: E11, XA enhanced) | −4096 … 4094 | π·v/4096 |
| Siemens (no rescale) | 0 … 4095 | π·(2v − 4096)/4096 |
| Philips (scale slope (2005,100E) of 4095/2π applied) | −π … π | v |
| Philips (displayed values), GE | −3142 … 3142, milliradian | v/1000 |

The scales lie 23 % apart or more, so the numbers name their scale and the maker need not be asked. The phase of air is
evenly distributed over a turn, so the largest magnitude of a series reaches its scale's end. Seen in files of Siemens
E11 (0 … 4095), Siemens XA30 (−4096 … 4094) and Philips 5.6 (−3.1416 … 3.1401).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantify.model import Array

_FULL_SCALE_TOLERANCE = 0.02
"""Series of the files above end within 0.1 % of their scale, single slices of 64 × 64 within 2.1 %; the nearest other
scale is 23 % off."""

_RADIANS_PER = {"rad": 1.0, "radian": 1.0, "radians": 1.0} | dict.fromkeys(
    ("mrad", "milliradian", "milliradians"), 1e-3
)


@dataclass(frozen=True, kw_only=True)
class PhaseScale:
    """phase = value · ``gain_rad`` + ``offset_rad``; values lie within ±``full``, or 0 … ``full`` if not ``signed``."""

    full: float
    gain_rad: float
    offset_rad: float = 0.0
    signed: bool = True

    def radians(self, values: NDArray[Any]) -> Array:
        """Return the phase, float32 of the same shape, radians."""
        phase: Array = values.astype(np.float32) * np.float32(self.gain_rad) + np.float32(self.offset_rad)
        return phase

    def is_named_by(self, lowest: float, highest: float) -> bool:
        """Whether values between these reach this scale's end, within 2 %."""
        largest = max(abs(lowest), abs(highest))
        return abs(largest - self.full) <= _FULL_SCALE_TOLERANCE * self.full and (lowest < 0) == self.signed

    def holds(self, lowest: float, highest: float) -> bool:
        """Whether values between these lie on this scale, within 2 %."""
        over = _FULL_SCALE_TOLERANCE * self.full
        return highest <= self.full + over and lowest >= (-self.full - over if self.signed else 0.0)


SCALES = (
    PhaseScale(full=math.pi, gain_rad=1.0),
    PhaseScale(full=1000.0 * math.pi, gain_rad=1e-3),
    PhaseScale(full=4096.0, gain_rad=math.pi / 4096.0),
    PhaseScale(full=4095.0, gain_rad=math.pi / 2048.0, offset_rad=-math.pi, signed=False),
)


def radians_per(rescale_type: str) -> float | None:
    """Return the radians in the unit that RescaleType (0028,1054) states; None where it states no angle."""
    return _RADIANS_PER.get(rescale_type.strip().lower())


def common_scale(extremes: Iterable[tuple[float, float]]) -> PhaseScale | None:
    """Return the one scale of several images, from the (lowest, highest) value of each; None where it is ambiguous.

    Some image must reach a scale's end within 2 %, none may reach another's, and all must lie on it; what begins at 0
    must begin within 2 % of it. An image that noise fills only in part (body over the whole field of view) so takes the
    scale of its series. A subset that has a scale keeps it as images are added, or the whole has none.
    """
    found: Sequence[tuple[float, float]] = tuple(extremes)
    named = {scale for scale in SCALES for pair in found if scale.is_named_by(*pair)}
    if len(named) != 1:
        return None
    (scale,) = named
    begins = scale.signed or min(lowest for lowest, _ in found) <= _FULL_SCALE_TOLERANCE * scale.full
    return scale if begins and all(scale.holds(*pair) for pair in found) else None


def radians(values: NDArray[Any], *, rescale_type: str = "") -> Array | None:
    """Return phases in radians, float32 of the same shape; None where their scale is unknown.

    Parameters
    ----------
    values
        Phase images of one series after rescale, any shape, any number type.
    rescale_type
        RescaleType (0028,1054) of the file; "mrad" or "rad" and their long forms count as a statement. ``US`` and
        others that say nothing leave the decision to the full scale.

    Notes
    -----
    Without a statement the largest magnitude must lie within 2 % of one full scale: π (radian), 1000π (milliradian:
    GE, Philips as displayed), 4096 with negative values or 4095 without (Siemens). All else is ambiguous and not
    guessed, numbers that are not finite and an empty array included.
    """
    if values.size == 0 or not np.isfinite(values).all():
        return None
    unit = radians_per(rescale_type)
    if unit is not None:
        return PhaseScale(full=math.pi / unit, gain_rad=unit).radians(values)
    scale = common_scale([(float(values.min()), float(values.max()))])
    return None if scale is None else scale.radians(values)
