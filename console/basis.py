"""What all fractions of a treatment are held against: reference, baseline, volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from config.plan import TreatmentPlan
from config.settings import QuantificationSettings
from console.structures import TreatmentVolumes
from dicom_listener.images import StructureSet
from quantify.fat import fat_modulation, fit_fat_fraction
from quantify.field_gradient import gradient_modulation
from quantify.holmium import FittedSeries, judged, reference_reasons, relaxivity_per_s_per_mg_ml
from quantify.imaged import Physics, VolumeOfInterest
from quantify.isotope import Isotope
from quantify.model import Array, EchoSeries, Volume
from quantify.r2star import DecayFit, fit_r2star
from quantify.reference import MatchedReference, matched_reference, with_mode
from quantify.remembered import Remembered
from quantify.repeatability import Repeatability

Identity = tuple[object, ...]
"""What something was computed from."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceFit:
    """The reference with its fit, its baseline at every level of change, and its share of fat (None: not modelled)."""

    fitted: FittedSeries
    matched: MatchedReference
    fat_fraction: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Structures in the reference's frame of reference, in order of arrival, and what became of them.

    ``plan`` is the treatment's without its quantification: what is drawn depends on none of that.
    """

    plan: TreatmentPlan
    structures: tuple[StructureSet, ...]
    volumes: TreatmentVolumes


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """What fractions are held against, and what it was made of; ``repeat`` is None without a repeated reference."""

    plan: TreatmentPlan
    settings: QuantificationSettings
    reference: ReferenceFit
    drawn: Drawn
    prepared: tuple[VolumeOfInterest, ...]
    repeat: Repeatability | None = None

    @property
    def structures(self) -> tuple[StructureSet, ...]:
        """In the reference's frame of reference, in order of arrival."""
        return self.drawn.structures

    @property
    def volumes(self) -> TreatmentVolumes:
        """On the reference grid."""
        return self.drawn.volumes

    @property
    def series(self) -> EchoSeries:
        """The reference itself."""
        return self.reference.fitted.series

    @property
    def relaxivity(self) -> float:
        """r2* of this batch: the calibration's, scaled by holmium content."""
        return relaxivity_per_s_per_mg_ml(
            calibrated=self.plan.calibration.relaxivity_per_s_per_mg_ml,
            calibration_holmium_fraction=self.plan.calibration.holmium_fraction,
            holmium_fraction=self.plan.microspheres.holmium_fraction,
        )

    @property
    def region_of(self) -> Volume | FittedSeries:
        """What the region is made of: the liver, or the reference where there is none."""
        liver = self.volumes.liver
        return self.reference.fitted if liver is None or not liver.inside.size else liver

    @property
    def region(self) -> NDArray[np.bool_]:
        """What must match in a registration: the liver, or all tissue where there are no structures."""
        of = self.region_of
        return np.asarray(of.occupancy > 0 if isinstance(of, Volume) else of.usable)

    def physics(self, isotope: Isotope) -> Physics:
        """What turns this treatment's concentrations into doses."""
        return Physics(
            isotope=isotope,
            relaxivity_per_s_per_mg_ml=self.relaxivity,
            settings=self.settings,
            holmium_fraction=self.plan.microspheres.holmium_fraction,
            repeat_per_s=None if self.repeat is None else self.repeat.u_per_s,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Decay:
    """The decay of a series as fitted, with the factor that it was fitted with; what of it can be used comes later.

    ``fat_fraction`` is the reference's share of fat, where it is modelled.
    """

    fit: DecayFit
    modulation: Array | None = None
    fat_fraction: Array | None = None


def fit_reference(
    series: EchoSeries,
    settings: QuantificationSettings,
    memory: Remembered,
    *,
    named: Identity,
    announce: Callable[[], None] = lambda: None,
) -> ReferenceFit:
    """Fit the reference, at the weights of later fractions too while there is time: before the first of them comes.

    `named` tells this series, and these echoes of it, from others; `announce` is called before a fit.
    """

    def decay_of(settings: QuantificationSettings) -> Decay:
        announce()
        return _decay(series, settings)

    decay = memory.recall(("decay of the reference", named), (series,), settings, decay_of)
    fitted = memory.recall(
        ("reference fitted", named),
        (series, decay),
        settings,
        lambda s: judged(series, decay.fit, s, modulation=decay.modulation),
    )
    matched = memory.recall(
        ("reference matched", named),
        (series, decay),
        settings,
        lambda s: matched_reference(series, decay.fit, method=s.fit, modulation=decay.modulation),
    )
    return memory.recall(
        ("reference", named),
        (decay, fitted, matched),
        settings,
        lambda _: ReferenceFit(fitted=fitted, matched=matched, fat_fraction=decay.fat_fraction),
    )


def _decay(series: EchoSeries, settings: QuantificationSettings) -> Decay:
    modulation, fat = dephasing(series, settings), None
    if settings.fat_model == "six_peak":
        fat, _ = fit_fat_fraction(series)
        modulation = times(modulation, fat_modulation(fat, series.echo_times_s, series.field_strength_t))
    fit = fit_r2star(series, method=settings.fit, modulation=modulation)
    return Decay(fit=fit, modulation=modulation, fat_fraction=fat)


def dephasing(series: EchoSeries, settings: QuantificationSettings) -> Array | None:
    """What a macroscopic field gradient does to the signal; None where it is not asked for or there is no phase."""
    if not settings.field_gradient_correction or series.phase_rad is None:
        return None
    return gradient_modulation(series.phase_rad, series.echo_times_s, series.grid, magnitude=series.signal)


def times(first: Array | None, second: Array | None) -> Array | None:
    """Two known factors on the signal together; None is 1."""
    if first is None or second is None:
        return first if second is None else second
    return first * second


def with_reference_mode(
    fit: ReferenceFit,
    volumes: tuple[Volume, ...],
    settings: QuantificationSettings,
    memory: Remembered,
    *,
    named: Identity,
) -> ReferenceFit:
    """The baseline as the settings want it: of every voxel, or the mean of its volume or of the liver."""

    def of_mode(settings: QuantificationSettings) -> ReferenceFit:
        if settings.reference_mode == "voxelwise":
            return fit
        reasons = reference_reasons(fit.fitted, settings)
        return replace(fit, matched=with_mode(fit.matched, settings.reference_mode, volumes=volumes, reasons=reasons))

    return memory.recall(("reference by mode", named), (fit, volumes), settings, of_mode)
