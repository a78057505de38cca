"""The phantom: an abdomen as a pure function of patient position, so any grid, shift or orientation can sample it.

Coordinates are DICOM patient coordinates (LPS, mm): x to the patient's left, y to the back, z to the head. The
shapes are idealised but asymmetric in every direction, so that a flip or a transposed axis cannot pass unseen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from console.demo.shapes import (
    Floats,
    Triple,
    ellipsoid,
    elliptic_cylinder,
    normalised_radius_squared,
    smooth_intersection,
    smooth_union,
    tube,
)

LIVER_BOX_MM = ((-150.0, 100.0), (-90.0, 110.0), (-95.0, 85.0))
"""A box that holds the liver of every seed, with room to spare."""

CENTRE_MM: Triple = (0.0, 14.0, -9.0)
"""What the scanner's slab is centred on and what the patient's rotations turn about."""

# S0 in the arbitrary unit in which healthy liver has 1000, R2* at 3 T in s⁻¹, and the signal of the T1-weighted
# anatomy. Liver and tumour follow the range of 3 T abdominal R2* values without iron overload (liver 30–50, lesions
# lower); the others are chosen for a recognisable picture, nothing is evaluated in them.
_FAT = (1500.0, 45.0, 1500.0)
_VISCERAL_FAT = (1280.0, 50.0, 1250.0)
_BOWEL = (760.0, 45.0, 460.0)
_MUSCLE = (720.0, 38.0, 480.0)
_SPLEEN = (1080.0, 24.0, 560.0)
_KIDNEY = (1150.0, 26.0, 600.0)
_STOMACH = (820.0, 30.0, 380.0)
_MARROW = (640.0, 95.0, 760.0)
_FLUID = (1450.0, 4.0, 220.0)
_BLOOD = (1180.0, 28.0, 330.0)
_HEART = (900.0, 32.0, 520.0)
_LUNG = (30.0, 500.0, 25.0)
_GAS = (0.0, 0.0, 0.0)


class Region(IntEnum):
    """What holmium uptake distinguishes; tumour number n (from 1) is `FIRST_TUMOUR` + n − 1."""

    OUTSIDE = 0
    HEALTHY = 1
    VESSEL = 2
    FIRST_TUMOUR = 3


class Territory(StrEnum):
    """What an injection position perfuses."""

    RIGHT = "right"
    LEFT = "left"
    WHOLE = "whole"


class Texture(StrEnum):
    """How the uptake varies inside a tumour."""

    RIM = "rim"
    CENTRE = "centre"
    WAVE = "wave"


@dataclass(frozen=True, kw_only=True)
class Tumour:
    """An ellipsoid in the liver, fed by one territory.

    ``uptake`` is its mean concentration relative to healthy liver of the same territory, about.
    """

    name: str
    centre_mm: Triple
    half_axes_mm: Triple
    side: Territory
    uptake: float
    texture: Texture

    @property
    def volume_ml(self) -> float:
        """Volume of the ellipsoid, mL."""
        a, b, c = self.half_axes_mm
        return 4.0 / 3.0 * np.pi * a * b * c / 1000.0

    def implicit(self, points_mm: Floats) -> Floats:
        """Negative inside the tumour, zero on its surface."""
        return ellipsoid(points_mm, self.centre_mm, self.half_axes_mm)

    def modulation(self, points_mm: Floats) -> Floats:
        """Relative uptake inside the tumour: its mean over the ellipsoid is 1 (3/5 is the mean of ρ²)."""
        if self.texture is Texture.WAVE:
            phase = sum((points_mm[i] - self.centre_mm[i]) * k for i, k in enumerate((0.16, 0.08, 0.12)))
            return np.asarray(1.0 + 0.4 * np.sin(phase))
        rho_squared = normalised_radius_squared(points_mm, self.centre_mm, self.half_axes_mm)
        slope = 0.7 if self.texture is Texture.RIM else -0.7
        return np.asarray(1.0 + slope * (rho_squared - 0.6))


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """The abdomen of one seed: tissue, structures and relative uptake at any point.

    Parameters
    ----------
    seed
        Varies the liver's size by ±3 %, the tumours' places by ±3 mm, sizes by ±5 % and uptakes by ±10 %.
    n_tumours
        2 or 3; the first lies in the right half, the second in the left.
    uptakes
        One for each tumour, instead of those drawn from the seed.

    Raises
    ------
    ValueError
        If `n_tumours` is neither 2 nor 3, or `uptakes` are not as many positive numbers.
    """

    seed: int = 1
    n_tumours: int = 3
    uptakes: tuple[float, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.uptakes is not None and (len(self.uptakes) != self.n_tumours or not min(self.uptakes) > 0):
            raise ValueError(
                f"Phantom.uptakes is {self.uptakes}; expected {self.n_tumours} positive numbers, one for each tumour."
            )
        if self.n_tumours not in (2, 3):
            raise ValueError(f"Phantom.n_tumours is {self.n_tumours}; the phantom has 2 or 3 tumours.")

    @cached_property
    def tumours(self) -> tuple[Tumour, ...]:
        """The tumours, drawn from the seed."""
        rng = np.random.default_rng([self.seed, 1])
        standard: tuple[tuple[Triple, Triple, Territory, float, Texture], ...] = (
            ((-88.0, 20.0, 14.0), (23.0, 20.0, 21.0), Territory.RIGHT, 3.4, Texture.RIM),
            ((26.0, -34.0, 16.0), (20.0, 17.0, 17.0), Territory.LEFT, 2.9, Texture.WAVE),
            ((-82.0, -14.0, -36.0), (17.0, 20.0, 17.0), Territory.RIGHT, 2.5, Texture.CENTRE),
        )
        tumours = []
        for number, (centre, axes, side, uptake, texture) in enumerate(standard[: self.n_tumours], start=1):
            shift = rng.uniform(-3.0, 3.0, 3)
            scale = 1.0 + rng.uniform(-0.05, 0.05, 3)
            factor = 1.0 + rng.uniform(-0.1, 0.1)
            tumours.append(
                Tumour(
                    name=f"Tumour {number}",
                    centre_mm=_rounded(np.add(centre, shift)),
                    half_axes_mm=_rounded(np.multiply(axes, scale)),
                    side=side,
                    uptake=round(uptake * float(factor), 3) if self.uptakes is None else self.uptakes[number - 1],
                    texture=texture,
                )
            )
        return tuple(tumours)

    @cached_property
    def liver_scale(self) -> float:
        """Size of the liver's lobes relative to the standard ones."""
        return round(0.975 + float(np.random.default_rng([self.seed, 2]).uniform(-0.03, 0.03)), 4)

    def liver(self, points_mm: Floats) -> Floats:
        """Negative inside the liver: two blended lobes, cut by diaphragm, visceral face and vena cava."""
        s = self.liver_scale
        right = ellipsoid(points_mm, (-68.0, 14.0, -8.0), (68.0 * s, 72.0 * s, 75.0 * s))
        right = smooth_intersection(right, np.asarray(points_mm[2] - right_dome_mm(points_mm) + 4.0), 6.0)
        left = ellipsoid(points_mm, (10.0, -32.0, 14.0), (68.0 * s, 39.0 * s, 35.0 * s))
        lobes = smooth_union(right, left, 18.0)
        # The visceral face looks down, left and back: low on the right side, high on the left.
        visceral = (0.62 * (points_mm[0] + 30.0) + 0.30 * (points_mm[1] - 20.0) - 0.62 * (points_mm[2] + 20.0)) * 0.9
        visceral = visceral - 34.0 + 3.0 * np.sin(points_mm[1] / 22.0)
        shape = smooth_intersection(lobes, np.asarray(visceral), 14.0)
        shape = smooth_intersection(shape, elliptic_cylinder(points_mm, (0.0, 12.0), (141.0, 84.0)), 8.0)
        return np.maximum(shape, -_vena_cava(points_mm))

    def territory(self, points_mm: Floats, territory: Territory) -> Floats:
        """Negative inside the part of the liver on one side of the principal plane."""
        liver = self.liver(points_mm)
        if territory is Territory.WHOLE:
            return liver
        plane = principal_plane_mm(points_mm)
        return np.maximum(liver, plane if territory is Territory.RIGHT else -plane)

    def regions(self, points_mm: Floats) -> NDArray[np.uint8]:
        """`Region` at every point (uint8)."""
        region = np.zeros(points_mm.shape[1:], dtype=np.uint8)
        region[self.liver(points_mm) < 0.0] = Region.HEALTHY
        inside = region > 0
        within = points_mm[:, inside]
        values = region[inside]
        values[liver_vessels(within) < 0.0] = Region.VESSEL
        for number, tumour in enumerate(self.tumours):
            values[tumour.implicit(within) < 0.0] = Region.FIRST_TUMOUR + number
        region[inside] = values
        return region

    def uptake(self, points_mm: Floats, regions: NDArray[np.uint8], territory: Territory) -> Floats:
        """Relative uptake from an injection into `territory`: about 1 in its healthy liver, 0 in vessels and outside.

        A smooth wave gives healthy liver its mottling; the watershed between the halves is 12 mm wide. A tumour
        is fed by its own side only.
        """
        result = np.zeros(points_mm.shape[1:], dtype=points_mm.dtype)
        healthy = regions == Region.HEALTHY
        at = points_mm[:, healthy]
        value = 1.0 + 0.2 * np.sin(at[0] / 13.0 + 0.4) * np.cos(at[1] / 16.0) + 0.12 * np.sin(at[2] / 11.0 + 1.0)
        if territory is not Territory.WHOLE:
            sign = 1.0 if territory is Territory.RIGHT else -1.0
            value = value / (1.0 + np.exp(np.clip(sign * principal_plane_mm(at) / 3.0, -40.0, 40.0)))
        result[healthy] = value
        for number, tumour in enumerate(self.tumours):
            if territory in (Territory.WHOLE, tumour.side):
                mask = regions == Region.FIRST_TUMOUR + number
                result[mask] = tumour.uptake * tumour.modulation(points_mm[:, mask])
        return result

    def tissue(self, points_mm: Floats, regions: NDArray[np.uint8]) -> Floats:
        """Return (3, …): S0 [a.u.; liver about 1000], R2* before holmium [s⁻¹], T1-weighted signal [a.u.]."""
        result = np.zeros((3, *points_mm.shape[1:]), dtype=points_mm.dtype)
        for implicit, values in _background(points_mm):
            mask = implicit < 0.0
            for channel in range(3):
                result[channel][mask] = values[channel]
        healthy = regions == Region.HEALTHY
        x, y, z = points_mm[:, healthy]
        mottle = np.sin(x / 27.0 + 0.5) * np.cos(y / 31.0) + 0.5 * np.sin(z / 23.0)
        result[0][healthy] = 1000.0 + 25.0 * mottle
        result[1][healthy] = 35.0 + 5.0 * mottle
        result[2][healthy] = 800.0 + 20.0 * mottle
        vessel = regions == Region.VESSEL
        for channel in range(3):
            result[channel][vessel] = _BLOOD[channel]
        tumour = regions >= Region.FIRST_TUMOUR
        x, y, z = points_mm[:, tumour]
        result[0][tumour] = 1120.0
        result[1][tumour] = 25.0 + 3.0 * np.sin(x / 9.0) * np.cos(z / 8.0)
        result[2][tumour] = 520.0 + 40.0 * np.sin(y / 7.0)
        return result


def body(points_mm: Floats) -> Floats:
    """Negative inside the skin."""
    return elliptic_cylinder(points_mm, (0.0, 15.0), (174.0, 116.0))


def right_dome_mm(points_mm: Floats) -> Floats:
    """Height z of the right diaphragm above every (x, y)."""
    return np.asarray(72.0 - 44.0 * ((points_mm[0] + 62.0) / 84.0) ** 2 - 46.0 * ((points_mm[1] - 8.0) / 82.0) ** 2)


def principal_plane_mm(points_mm: Floats) -> Floats:
    """Signed distance to the plane from the vena cava to the gall-bladder: negative in the right liver."""
    return np.asarray(0.97 * (points_mm[0] + 22.0) - 0.243 * (points_mm[1] - 50.0))


def liver_vessels(points_mm: Floats) -> Floats:
    """Negative inside the portal and hepatic veins: thin tubes, the nearest of which counts."""
    tubes: tuple[tuple[Triple, Triple, float], ...] = (
        ((-22.0, 12.0, -14.0), (-62.0, 16.0, -8.0), 6.0),
        ((-62.0, 16.0, -8.0), (-108.0, 42.0, -22.0), 4.0),
        ((-62.0, 16.0, -8.0), (-98.0, -22.0, 2.0), 3.6),
        ((-22.0, 12.0, -14.0), (-4.0, -22.0, 14.0), 4.4),
        ((-4.0, -22.0, 14.0), (44.0, -46.0, 30.0), 3.2),
        ((-26.0, 34.0, 40.0), (-110.0, 14.0, 40.0), 4.2),
        ((-26.0, 30.0, 42.0), (-48.0, -44.0, 2.0), 3.8),
        ((-22.0, 28.0, 42.0), (26.0, -54.0, 32.0), 3.4),
    )
    nearest = tube(points_mm, *tubes[0])
    for start, end, radius in tubes[1:]:
        np.minimum(nearest, tube(points_mm, start, end, radius), out=nearest)
    return nearest


def _vena_cava(points_mm: Floats) -> Floats:
    return elliptic_cylinder(points_mm, (-23.0, 50.0), (14.0, 10.0))


def _background(points_mm: Floats) -> tuple[tuple[Floats, Triple], ...]:
    """Everything but the liver, each overwriting the one before it."""
    cavity = elliptic_cylinder(points_mm, (0.0, 12.0), (145.0, 88.0))
    left_dome = 58.0 - 46.0 * ((points_mm[0] - 72.0) / 76.0) ** 2 - 46.0 * ((points_mm[1] - 14.0) / 82.0) ** 2
    lung = np.maximum(cavity, np.maximum(right_dome_mm(points_mm), left_dome) - points_mm[2])
    gas = ellipsoid(points_mm, (66.0, -44.0, 8.0), (30.0, 14.0, 28.0))
    # Two warped waves: winding patches of fat and bowel without a regular pattern.
    x, y, z = points_mm
    u = (x + 16.0 * np.sin(y / 21.0 + 0.7) + 9.0 * np.sin(z / 17.0)) / 11.0
    v = (y + 14.0 * np.sin(x / 25.0 + 1.9) - 8.0 * np.cos(z / 13.0)) / 9.0
    loops = np.sin(u) + np.cos(v) + 0.6 * np.sin(0.6 * u - 0.9 * v + z / 15.0) - 0.35
    discs = np.abs(np.mod(points_mm[2], 34.0) - 17.0) - 4.0
    vertebra = elliptic_cylinder(points_mm, (0.0, 74.0), (25.0, 20.0))
    return (
        (body(points_mm), _FAT),
        (elliptic_cylinder(points_mm, (0.0, 14.0), (158.0, 101.0)), _MUSCLE),
        (cavity, _VISCERAL_FAT),
        (np.maximum(cavity + 5.0, loops), _BOWEL),
        (lung, _LUNG),
        (ellipsoid(points_mm, (26.0, -18.0, 92.0), (56.0, 46.0, 42.0)), _HEART),
        (ellipsoid(points_mm, (62.0, -26.0, 0.0), (46.0, 36.0, 44.0)), _STOMACH),
        (gas, _GAS),
        (ellipsoid(points_mm, (102.0, 46.0, 8.0), (30.0, 40.0, 46.0)), _SPLEEN),
        (ellipsoid(points_mm, (-58.0, 66.0, -86.0), (27.0, 23.0, 46.0)), _KIDNEY),
        (ellipsoid(points_mm, (60.0, 66.0, -66.0), (26.0, 23.0, 48.0)), _KIDNEY),
        (ellipsoid(points_mm, (-46.0, -38.0, -42.0), (13.0, 17.0, 22.0)), _FLUID),
        (elliptic_cylinder(points_mm, (-38.0, 98.0), (28.0, 16.0)), _MUSCLE),
        (elliptic_cylinder(points_mm, (38.0, 98.0), (28.0, 16.0)), _MUSCLE),
        (vertebra, _MARROW),
        (np.maximum(vertebra, discs), _MUSCLE),
        (elliptic_cylinder(points_mm, (0.0, 100.0), (9.0, 8.0)), _FLUID),
        (elliptic_cylinder(points_mm, (14.0, 46.0), (11.0, 11.0)), _BLOOD),
        (_vena_cava(points_mm), _BLOOD),
    )


def _rounded(values: NDArray[np.float64]) -> Triple:
    """Three decimals: what the truth file prints is exactly what was used."""
    x, y, z = (round(float(value), 3) for value in values)
    return x, y, z
