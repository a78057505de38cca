"""What real series have and the plain phantom has not: fat, baseline drift, a changed gain field, another breath-hold.

None of it changes the truth: holmium stays where it lodged, in the reference pose, and its dose follows from mass. The
breath-hold moves tissue by u = (0, 0, d·w(x, y)), which has no divergence: no tissue is compressed, no concentration
changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from console.demo.shapes import Floats

_SPINE_MM = (0.0, 74.0)
_SPINE_WIDTH_MM = 30.0
_FIELD_LENGTH_MM = 200.0
_GYROMAGNETIC_RATIO_MHZ_PER_T = 42.577

FAT_SPECTRUM: tuple[tuple[float, float], ...] = (
    (0.60, 0.047),
    (-0.50, 0.039),
    (-1.95, 0.006),
    (-2.60, 0.120),
    (-3.40, 0.700),
    (-3.80, 0.088),
)
"""Six peaks of liver fat: shift from water [ppm], share of the fat's signal (Hamilton 2011, NMR Biomed 24:784)."""


@dataclass(frozen=True, kw_only=True)
class SeriesState:
    """What disturbs one series. ``drift_per_s`` is added to R2* everywhere.

    ``fat_fraction`` is the share of fat in the signal of healthy liver at TE 0. ``gain_field`` are the relative changes
    of the receiver's sensitivity 200 mm from the centre: linear in x, y, z, then quadratic. ``breath_hold_mm`` moves
    the liver to the head; the spine stays.
    """

    fat_fraction: float = 0.0
    drift_per_s: float = 0.0
    gain_field: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    breath_hold_mm: float = 0.0

    def before_breath_hold(self, points_mm: Floats) -> Floats:
        """Take points of the displaced phantom to where their tissue lies in the reference."""
        if not self.breath_hold_mm:
            return points_mm
        result = points_mm.copy()
        result[2] -= points_mm.dtype.type(self.breath_hold_mm) * mobility(points_mm)
        return result

    def sensitivity(self, points_mm: Floats) -> Floats:
        """Factor on the receiver's sensitivity at points of the scanner; 1 at its centre."""
        x, y, z = (points_mm[i] / _FIELD_LENGTH_MM for i in range(3))
        a, b, c, d = self.gain_field
        return np.asarray(1.0 + a * x + b * y + c * z + d * (x * x + y * y + z * z))

    def fat_modulation(self, echo_time_s: float, field_strength_t: float) -> complex:
        """Signal of fatty liver over that of S₀·exp(−R2*·TE): (1 − η) + η·Σ aₚ·e^(2πi·fₚ·TE)."""
        hertz = _GYROMAGNETIC_RATIO_MHZ_PER_T * field_strength_t
        fat = sum(
            share * complex(math.cos(angle), math.sin(angle))
            for ppm, share in FAT_SPECTRUM
            for angle in (2.0 * math.pi * ppm * hertz * echo_time_s,)
        )
        return 1.0 - self.fat_fraction + self.fat_fraction * fat


@dataclass(frozen=True, kw_only=True)
class Disturbances:
    """Bounds from which the state of each series is drawn; all 0: the plain phantom.

    ``fat_fraction`` is the same in all series. The reference has fat, and none of the others: they are changes against
    it. ``drift_per_s`` is the standard deviation of the drift, ``gain_field`` and ``breath_hold_mm`` are bounds.
    """

    fat_fraction: float = 0.0
    drift_per_s: float = 0.0
    gain_field: float = 0.0
    breath_hold_mm: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.fat_fraction < 1.0:
            raise ValueError(f"Disturbances.fat_fraction is {self.fat_fraction}; expected a share from 0 to below 1.")
        for name in ("drift_per_s", "gain_field", "breath_hold_mm"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"Disturbances.{name} is {getattr(self, name)}; expected 0 or more.")

    def state(self, seed: int, series_index: int) -> SeriesState:
        """Draw the state of a series; that of the reference (0) is the undisturbed one but for fat."""
        if series_index == 0:
            return SeriesState(fat_fraction=self.fat_fraction)
        rng = np.random.default_rng([seed, 8, series_index])
        drift = self.drift_per_s * float(rng.standard_normal())
        a, b, c, d = (self.gain_field * float(value) for value in rng.uniform(-1.0, 1.0, 4))
        breath_hold = self.breath_hold_mm * float(rng.uniform(-1.0, 1.0))
        return SeriesState(
            fat_fraction=self.fat_fraction,
            # + 0.0: a disturbance that is off is 0, not −0, in the truth file.
            drift_per_s=round(drift, 4) + 0.0,
            gain_field=(round(a, 4) + 0.0, round(b, 4) + 0.0, round(c, 4) + 0.0, round(d, 4) + 0.0),
            breath_hold_mm=round(breath_hold, 3) + 0.0,
        )


def mobility(points_mm: Floats) -> Floats:
    """Share of the breath-hold's displacement that tissue takes part in: 0 at the spine, 1 in front of it."""
    x, y = points_mm[0] - _SPINE_MM[0], points_mm[1] - _SPINE_MM[1]
    return np.asarray(1.0 - np.exp(-(x * x + y * y) / (2.0 * _SPINE_WIDTH_MM**2)))


def fatty(decayed: Floats, modulation: complex, in_fat: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Real and imaginary part of the signal of points of which those `in_fat` hold fat."""
    real = np.where(in_fat, decayed * decayed.dtype.type(modulation.real), decayed)
    imaginary = np.where(in_fat, decayed * decayed.dtype.type(modulation.imag), decayed.dtype.type(0))
    return real, imaginary
