"""Holmium, activity and dose maps of an imaged fraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from config.settings import QuantificationSettings
from quantify.activity import Accumulated, Increment, accumulate, nothing_injected
from quantify.dose import dose_per_activity_concentration, local_deposition_gy
from quantify.findings import FractionMaps, Injection
from quantify.imaged import ImagedFraction, Physics
from quantify.isotope import Isotope
from quantify.kernel import kernel_dose_gy, kernel_standard_error_gy
from quantify.lineage import Lineage
from quantify.model import Array, ParametricMap, Reason, Role, Volume
from quantify.monte_carlo import MeasuredDose
from quantify.partial_volume import unmixed
from quantify.remembered import Identity, Remembered
from quantify.statistics import increment as gain_between


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """What the volume holds after an image, whatever dose that is.

    ``accumulated`` is what the next image's increment is added to; ``holmium`` and ``activity`` are cumulative maps
    [mg/mL, MBq/mL]; ``offsets`` belong to new baselines: what lay there before [mg/mL], and what the baseline showed.
    """

    accumulated: Accumulated
    holmium: ParametricMap
    activity: ParametricMap
    offsets: Mapping[str, tuple[ParametricMap, ParametricMap]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawing:
    """The maps of a fraction, each computed when it is first asked for; ``before`` is the last image's."""

    fraction: ImagedFraction
    content: Content
    volumes: tuple[Volume, ...]
    physics: Physics
    memory: Remembered
    before: Drawing | None = None

    def dose(self) -> ParametricMap:
        """Absorbed dose [Gy] with its standard error.

        With the voxel kernel, energy comes from the liver's voxels only (where there is a liver): what lung or bowel
        show is not holmium; and from the activity freed from partial volume, since blur by imaging is not blur by
        electrons.
        """
        return self.memory.recall(*self._dose_of, self.physics.settings, self._computed_dose)

    def maps(self) -> FractionMaps:
        """All of them."""
        return self.memory.recall(*self._maps_of(), self.physics.settings, lambda _: self._computed_maps())

    @property
    def is_known(self) -> bool:
        """Whether the maps are there already, or those of other settings that make the same maps."""
        own: Drawing | None = self
        while own is not None:
            if not self.memory.knows(*own._dose_of, self.physics.settings):
                return False
            own = own.before
        return self.memory.knows(*self._maps_of(), self.physics.settings)

    @property
    def _dose_of(self) -> tuple[Identity, Identity]:
        """The stage of the dose map, and what it is made of."""
        made_of = (self.content, self.fraction.r2star, *self.volumes, self.physics.isotope)
        return ("dose", self.fraction.injection.key), made_of

    def _maps_of(self) -> tuple[Identity, Identity]:
        before = None if self.before is None else self.before.dose()
        return ("maps", self.fraction.injection.key), (self.fraction.r2star, self.content, self.dose(), before)

    def _computed_dose(self, settings: QuantificationSettings) -> ParametricMap:
        activity = self.content.activity
        values, error = _dose(activity, self.fraction, self.volumes, self.physics.isotope, settings)
        return ParametricMap(
            values=values,
            reason=activity.reason,
            grid=activity.grid,
            quantity="absorbed dose",
            unit="Gy",
            standard_error=error,
        )

    def _computed_maps(self) -> FractionMaps:
        r2star, dose = self.fraction.r2star, self.dose()
        if r2star is None:
            raise ValueError(f"fraction_maps: {self.fraction.injection.label} has no R2* map.")
        return FractionMaps(
            r2star=r2star,
            holmium=self.content.holmium,
            activity=self.content.activity,
            dose=dose,
            increment=None if self.before is None else gain_between(dose, self.before.dose()),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """What a fraction builds on.

    ``content`` is that of the last image; ``waiting`` are the injections since then; ``lineage`` how the dose hangs on
    the series so far; ``unusable`` are baselines that hide injections which were never imaged before them. ``doses``
    are the volumes as last measured, ``latest`` those of the last image.
    """

    content: Content | None = None
    waiting: tuple[Injection, ...] = ()
    lineage: Lineage = field(default_factory=Lineage)
    unusable: frozenset[str] = frozenset()
    doses: Mapping[str, MeasuredDose] = field(default_factory=dict)
    latest: frozenset[str] = frozenset()


def with_image(
    fraction: ImagedFraction, before: Progress, physics: Physics, memory: Remembered
) -> tuple[Progress, Content]:
    """The progress with a fraction's image, whose increment spans all injections since the image before."""
    r2star, measured = fraction.r2star, fraction.holmium
    if r2star is None or measured is None:
        raise ValueError(f"evaluate_treatment: {fraction.injection.label} has a holmium map but no R2* map.")
    known = [i for i in before.waiting if i.specific_activity_mbq_per_mg is not None]
    increment = Increment(
        activities_mbq=tuple(i.activity_mbq or 0.0 for i in known),
        specific_activities_mbq_per_mg=tuple(physics.specific_activity(i) for i in known),
    )
    content = memory.recall(
        ("content", fraction.injection.key),
        (measured, fraction.baseline, fraction.baseline_name, before.content, increment),
        physics.settings,
        lambda _: _content(fraction, measured, before.content, increment),
    )
    lineage = before.lineage.after(
        gy_per_s=physics.gy_per_s(_mean(increment)),
        baseline=None if fraction.baseline is None else fraction.baseline_name,
        frame=fraction.new_frame,
    )
    return replace(before, content=content, waiting=(), lineage=lineage), content


def _content(
    fraction: ImagedFraction, measured: ParametricMap, before: Content | None, increment: Increment
) -> Content:
    holmium, offsets = _on_top_of_baseline(fraction, measured, before)
    accumulated, values = accumulate(
        nothing_injected(holmium.grid.shape) if before is None else before.accumulated, holmium.values, increment
    )
    # Voxel noise is that of this image alone, at the specific activity of its own injection.
    noise = holmium.standard_error
    activity = ParametricMap(
        values=values,
        reason=holmium.reason,
        grid=holmium.grid,
        quantity="166Ho activity",
        unit="MBq/mL",
        standard_error=None if noise is None else noise * np.float32(increment.specific_activities_mbq_per_mg[-1]),
    )
    return Content(accumulated=accumulated, holmium=holmium, activity=activity, offsets=offsets)


def _dose(
    activity: ParametricMap,
    fraction: ImagedFraction,
    volumes: Sequence[Volume],
    isotope: Isotope,
    settings: QuantificationSettings,
) -> tuple[Array, Array | None]:
    """Dose to infinity and its standard error [Gy]."""
    density = settings.tissue_density_g_per_ml
    noise = activity.standard_error
    if settings.dose_model == "local":
        per_unit = np.float32(dose_per_activity_concentration(isotope=isotope, density_g_per_ml=density))
        error = None if noise is None else noise * per_unit
        return local_deposition_gy(activity.values, isotope=isotope, density_g_per_ml=density), error
    source = activity.values
    if settings.partial_volume_correction:
        source = unmixed(activity, fraction.shares, volumes)
    liver = next((v for v in volumes if v.role == Role.LIVER), None)
    common = {
        "spacing_mm": activity.grid.spacing_mm,
        "isotope": isotope,
        "density_g_per_ml": density,
        "region": None if liver is None else liver.occupancy > 0,
    }
    error = None if noise is None else kernel_standard_error_gy(noise, **common)  # type: ignore[arg-type]
    return kernel_dose_gy(source, **common), error  # type: ignore[arg-type]


def _on_top_of_baseline(
    fraction: ImagedFraction, measured: ParametricMap, before: Content | None
) -> tuple[ParametricMap, Mapping[str, tuple[ParametricMap, ParametricMap]]]:
    """The cumulative map: as measured, or what lay there before re-positioning + what came on top of the new baseline.

    A voxel that one of the three maps cannot tell has the reason of that map. Where the baseline is a lower bound it
    cannot be subtracted: the image counts as it is against the original reference, whose offset is little beside so
    much holmium. A lower bound of what lay there stays one.
    """
    offsets = {} if before is None else before.offsets
    if fraction.baseline is None:
        return measured, offsets
    name = fraction.baseline_name
    if name not in offsets:
        offsets = {**offsets, name: (_last_map(before, measured), fraction.baseline)}
    lay_there, baseline = offsets[name]
    values = lay_there.values + (measured.values - baseline.values)
    reason = measured.reason.copy()
    told = np.isfinite(measured.values)
    at_floor = baseline.reason == Reason.LOWER_BOUND
    values[at_floor] = measured.values[at_floor]
    reason[told & (lay_there.reason == Reason.LOWER_BOUND) & ~at_floor] = Reason.LOWER_BOUND
    for earlier in (baseline, lay_there):
        bad = ~np.isfinite(earlier.values) & told & ~at_floor
        reason[bad] = np.where(earlier.reason[bad] == Reason.EVALUABLE, Reason.OUTSIDE, earlier.reason[bad])
    parts = [m.standard_error for m in (measured, baseline) if m.standard_error is not None]
    error = np.sqrt(sum((part**2 for part in parts), np.zeros(measured.grid.shape, dtype=np.float32)))
    return replace(measured, values=values, reason=reason, standard_error=error if parts else None), offsets


def _mean(increment: Increment) -> float:
    """Total activity over total mass of what was injected since the last image, MBq/mg."""
    activities = np.array(increment.activities_mbq)
    specific = np.array(increment.specific_activities_mbq_per_mg)
    mass = (activities / specific).sum()
    return float(activities.sum() / mass) if mass > 0 else float(specific.mean())


def _last_map(before: Content | None, like: ParametricMap) -> ParametricMap:
    """Mass in every voxel as the last image showed it [mg/mL]; nothing before the first image.

    A voxel that the last image could not tell is NaN with its reason: what lies there is not known.
    """
    shape = like.grid.shape
    if before is None:
        values, reason = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.uint8)
    else:
        seen = before.accumulated.last_image == len(before.accumulated.increments) - 1
        values = np.where(seen, before.accumulated.mass_mg_per_ml, np.float32(np.nan))
        reason = np.array(before.activity.reason)
    return ParametricMap(values=values, reason=reason, grid=like.grid, quantity=like.quantity, unit=like.unit)
