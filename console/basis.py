"""What all fractions of a treatment are held against: reference, baseline, volumes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from config.plan import TreatmentPlan
from config.settings import QuantificationSettings
from console.structures import TreatmentVolumes
from dicom_listener.images import StructureSet
from quantify.fat import fat_modulation, fit_fat_fraction
from quantify.field_gradient import gradient_modulation
from quantify.holmium import FittedSeries, fit_series, reference_reasons, relaxivity_per_s_per_mg_ml
from quantify.imaged import Physics, VolumeOfInterest
from quantify.isotope import Isotope
from quantify.model import Array, EchoSeries, Volume
from quantify.reference import MatchedReference, matched_reference, with_mode
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
class Basis:
    """What fractions are held against, and what it was made of.

    ``structures`` are in the reference's frame of reference, in order of arrival; ``repeat`` is None without a
    repeated reference.
    """

    identity: Identity
    plan: TreatmentPlan
    settings: QuantificationSettings
    structures: tuple[StructureSet, ...]
    reference: ReferenceFit
    volumes: TreatmentVolumes
    prepared: tuple[VolumeOfInterest, ...]
    repeat: Repeatability | None = None

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
    def region(self) -> NDArray[np.bool_]:
        """What must match in a registration: the liver, or all tissue where there are no structures."""
        liver = self.volumes.liver
        if liver is not None and (liver.occupancy > 0).any():
            return np.asarray(liver.occupancy > 0)
        return np.asarray(self.reference.fitted.usable)

    def physics(self, isotope: Isotope) -> Physics:
        """What turns this treatment's concentrations into doses."""
        return Physics(
            isotope=isotope,
            relaxivity_per_s_per_mg_ml=self.relaxivity,
            settings=self.settings,
            holmium_fraction=self.plan.microspheres.holmium_fraction,
            repeat_per_s=None if self.repeat is None else self.repeat.u_per_s,
        )


def fit_reference(series: EchoSeries, settings: QuantificationSettings) -> ReferenceFit:
    """Fit the reference, at the weights of later fractions too while there is time: before the first of them comes."""
    modulation, fat = dephasing(series, settings), None
    if settings.fat_model == "six_peak":
        fat, _ = fit_fat_fraction(series)
        modulation = times(modulation, fat_modulation(fat, series.echo_times_s, series.field_strength_t))
    fitted = fit_series(series, settings, modulation=modulation)
    matched = matched_reference(fitted.series, fitted.fit, method=settings.fit, modulation=modulation)
    return ReferenceFit(fitted=fitted, matched=matched, fat_fraction=fat)


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
    fit: ReferenceFit, volumes: tuple[Volume, ...], settings: QuantificationSettings
) -> ReferenceFit:
    """The baseline as the settings want it: of every voxel, or the mean of its volume or of the liver."""
    if settings.reference_mode == "voxelwise":
        return fit
    reasons = reference_reasons(fit.fitted, settings)
    matched = with_mode(fit.matched, settings.reference_mode, volumes=volumes, reasons=reasons)
    return replace(fit, matched=matched)
