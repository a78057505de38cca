"""What is evaluated: injections with their images, volumes with their variants, and the physics that applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from config.settings import QuantificationSettings
from quantify.dose import dose_per_activity_concentration
from quantify.findings import Injection, Registration
from quantify.isotope import Isotope
from quantify.lesions import small_lesion_warning
from quantify.model import Array, Grid, ParametricMap, Role, Volume
from quantify.partial_volume import Shares
from quantify.remembered import Remembered
from quantify.scintigraphy import expanded
from quantify.statistics import resized
from quantify.volumes import HEALTHY_LIVER


@dataclass(frozen=True, kw_only=True)
class Physics:
    """What turns a concentration into a dose: isotope, the batch's relaxivity and the settings."""

    isotope: Isotope
    relaxivity_per_s_per_mg_ml: float
    settings: QuantificationSettings
    holmium_fraction: float | None = None
    """Of the batch that the relaxivity is for; an injection of another content counts for more or fewer of its mg."""
    repeat_per_s: float | None = None
    """Scatter of R2* between series as measured with a repeated reference; None: the settings' working value."""

    @property
    def gy_per_mbq_per_ml(self) -> float:
        """Dose of 1 MBq/mL where all energy stays (E/ρ)."""
        return dose_per_activity_concentration(
            isotope=self.isotope, density_g_per_ml=self.settings.tissue_density_g_per_ml
        )

    def specific_activity(self, injection: Injection) -> float:
        """MBq per mg of microspheres *of the relaxivity's batch*: ΔR2* counts holmium, whichever spheres carry it."""
        own = injection.specific_activity_mbq_per_mg or 0.0
        if self.holmium_fraction is None or injection.holmium_fraction is None:
            return own
        return own * self.holmium_fraction / injection.holmium_fraction

    def gy_per_s(self, specific_activity: float) -> float:
        """Dose that 1 s⁻¹ of ΔR2* stands for: SA/r2* · E/ρ (0.82 Gy at 12 MBq/mg, 218, 1.06)."""
        return specific_activity / self.relaxivity_per_s_per_mg_ml * self.gy_per_mbq_per_ml


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagedFraction:
    """One injection that has happened, with its image: maps on the reference grid, or the error that withholds them.

    ``r2star`` and ``holmium`` are None when ``error`` says why.
    """

    injection: Injection
    r2star: ParametricMap | None
    holmium: ParametricMap | None
    error: str | None = None
    registration: Registration | None = None
    series_instance_uid: str | None = None
    acquired_at: datetime | None = None
    provisional_reasons: tuple[str, ...] = ()
    shares: Shares = field(default_factory=dict)
    """Share of every voxel's signal by volume (`quantify.partial_volume`), on the reference grid."""
    baseline: ParametricMap | None = None
    """What the holmium map of a new baseline showed, taken after re-positioning before this position's first injection:
    only what comes on top of it is new. None where the original reference serves."""
    baseline_name: str = ""
    """Tells one new baseline from another: a position may be visited again."""
    new_frame: str = ""
    """The frame of reference after the patient was moved, if no new baseline was taken: its offset is less certain."""
    s0_weight: Array | None = None
    """Share of the information on S0 that came from the reference; None where S0 was free."""
    first_echo_s: float | None = None
    contrast: bool = False
    """Gadolinium was given before its series."""
    notes: tuple[str, ...] = ()
    imaged_grid: Grid | None = None
    """Where the series' own voxels lay, in the reference's space: between them the maps are interpolated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VolumeOfInterest:
    """A volume with its grown and shrunk versions, prepared once for all fractions.

    ``expanded`` is the liver with its margin for activity; None for other volumes. ``warning`` marks a small lesion.
    """

    volume: Volume
    variants: tuple[Volume, ...]
    expanded: Volume | None = None
    warning: str = ""


def prepare_volumes(
    volumes: Sequence[Volume], settings: QuantificationSettings, memory: Remembered | None = None
) -> tuple[VolumeOfInterest, ...]:
    """What of the volumes is the same for all fractions: variants by the inter-operator change (u_VOI), expansion.

    A healthy part is grown and shrunk at its outer contour: its tumours are taken off again, since a liver drawn larger
    holds no more of its tumours. `memory` has what the same volumes came to with other settings.
    """
    memory = memory or Remembered()
    tumours = [v for v in volumes if v.role == Role.TUMOUR]
    liver = next((v for v in volumes if v.role == Role.LIVER), None)
    prepared = []
    for volume in volumes:

        def variants(settings: QuantificationSettings, volume: Volume = volume) -> tuple[Volume, ...]:
            return _variants(volume, tumours, liver, settings)

        def grown(settings: QuantificationSettings, volume: Volume = volume) -> Volume:
            return expanded(volume, margin_mm=settings.statistics.liver_expansion_mm)

        def warning(settings: QuantificationSettings, volume: Volume = volume) -> str:
            return small_lesion_warning(volume, settings.statistics)

        name, role = volume.name, volume.role
        of = (volume,)
        prepared.append(
            VolumeOfInterest(
                volume=volume,
                variants=memory.recall(("variants", name), (volume, *tumours, liver), settings, variants),
                expanded=memory.recall(("grown", name), of, settings, grown) if role == Role.LIVER else None,
                warning=memory.recall(("warning", name), of, settings, warning) if role == Role.TUMOUR else "",
            )
        )
    return tuple(prepared)


def _variants(
    volume: Volume, tumours: Sequence[Volume], liver: Volume | None, settings: QuantificationSettings
) -> tuple[Volume, ...]:
    """A volume shrunk and grown by what operators differ."""
    terms = settings.uncertainty
    percent = terms.contour_tumour_pct if volume.role == Role.TUMOUR else terms.contour_liver_pct
    drawn = liver if volume.name == HEALTHY_LIVER and liver is not None else volume
    sizes = [resized(drawn, change) for change in (-percent / 100, percent / 100)]
    if volume.role == Role.HEALTHY_LIVER:
        sizes = [_without(size, tumours) for size in sizes]
    return tuple(replace(volume, occupancy=size, contour_volume_ml=0.0) for size in sizes if size.any())


def _without(occupancy: Array, tumours: Sequence[Volume]) -> Array:
    left: Array = occupancy.copy()
    for tumour in tumours:
        left -= tumour.occupancy
    return np.clip(left, 0.0, 1.0)
