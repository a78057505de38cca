"""From bound series to results: fits, registers, subtracts and evaluates what the treatment holds, each thing once.

What is kept between calls is a cache keyed by content (series and revision, structures, settings, plan), so neither the
pace of the events nor the moment of asking can change a result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from config.plan import TreatmentPlan
from config.settings import QuantificationSettings, settings_sha256
from console.snapshot import Anatomy, Binding
from console.structures import TreatmentVolumes, disjoint_occupancies, treatment_volumes
from console.treatment import Treatment, injections, isotope_of
from dicom_listener.images import SeriesState, SeriesStatus, StructureSet
from quantify.findings import FractionResult, Injection, Registration, RegistrationStatus
from quantify.holmium import (
    FittedSeries,
    align,
    fit_series,
    holmium_map,
    registered_grid,
    relaxivity_per_s_per_mg_ml,
)
from quantify.model import Array, EchoSeries, Grid, ParametricMap
from quantify.partial_volume import Shares
from quantify.pipeline import (
    Evaluated,
    ImagedFraction,
    Physics,
    VolumeOfInterest,
    evaluate_treatment,
    prepare_volumes,
)
from quantify.reference import MatchedReference, matched_reference
from quantify.registration import register
from quantify.resampling import sampler

Identity = tuple[object, ...]
"""What something was computed from."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything computed of a treatment; empty while there is no reference."""

    reference: EchoSeries | None = None
    anatomy: Anatomy | None = None
    volumes: TreatmentVolumes = field(default_factory=TreatmentVolumes)
    results: tuple[FractionResult, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Basis:
    """What all fractions of a treatment are held against, and what it was made of."""

    identity: Identity
    plan: TreatmentPlan
    settings: QuantificationSettings
    structures: StructureSet | None
    reference: FittedSeries
    matched: MatchedReference
    volumes: TreatmentVolumes
    prepared: tuple[VolumeOfInterest, ...]

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
        return np.asarray(self.reference.usable)


@dataclass(frozen=True, kw_only=True, eq=False)
class _SeriesMaps:
    """What one series gives on the reference grid; no maps where the registration failed."""

    registration: Registration
    r2star: ParametricMap | None = None
    holmium: ParametricMap | None = None
    shares: Shares = field(default_factory=dict)
    imaged_grid: Grid | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Placed:
    """Where a series lies in the reference's space, and the volumes' occupancy of its voxels there."""

    registration: Registration
    grid: Grid
    occupancies: Mapping[str, Array] | None


class Quantifier:
    """Computes the outcome of a treatment again and again, as it grows.

    Parameters
    ----------
    voxels
        Gives the voxels of a complete series.
    announce
        Called with what is about to be computed, in words, and with "" when done.
    """

    def __init__(self, *, voxels: Callable[[SeriesState], EchoSeries], announce: Callable[[str], None]) -> None:
        self._voxels, self._announce = voxels, announce
        self._reference: tuple[Identity, FittedSeries, MatchedReference] | None = None
        self._volumes: tuple[Identity, TreatmentVolumes, tuple[VolumeOfInterest, ...]] | None = None
        self._anatomy: tuple[Identity, Anatomy] | None = None
        self._maps: dict[Identity, _SeriesMaps] = {}
        self._evaluated: tuple[Identity, tuple[Evaluated, ...]] = ((), ())

    def outcome(
        self,
        treatment: Treatment,
        states: Sequence[SeriesState],
        bindings: Sequence[Binding],
        structures: StructureSet | None,
        *,
        ended: bool,
    ) -> Outcome:
        """Compute what is new since the last call and return everything known.

        `ended` says that no more events will come: what is missing now is missing.
        """
        plan, settings = treatment.plan, treatment.quantification
        by_key = {state.key: state for state in states}
        reference_key = next((b.series_key for b in bindings if b.role == "reference"), None)
        if reference_key is None or plan is None or settings is None:
            return Outcome()
        basis = self._basis(by_key[reference_key], plan, settings, structures)
        anatomy = self._anatomy_on(basis, bindings, by_key)
        fractions = [
            self._imaged(injection, basis, bindings, by_key)
            for injection in _due(treatment, bindings, by_key, ended=ended)
        ]
        known_of, known = self._evaluated
        evaluated = evaluate_treatment(
            fractions,
            known=known if known_of == basis.identity else (),
            volumes=basis.prepared,
            physics=Physics(
                isotope=isotope_of(settings), relaxivity_per_s_per_mg_ml=basis.relaxivity, settings=settings
            ),
            feeds={name: p.volumes for name, p in plan.positions.items() if p.volumes is not None},
        )
        self._evaluated = (basis.identity, evaluated)
        self._announce("")
        return Outcome(
            reference=basis.reference.series,
            anatomy=anatomy,
            volumes=basis.volumes,
            results=tuple(e.result for e in evaluated),
        )

    def _basis(
        self,
        state: SeriesState,
        plan: TreatmentPlan,
        settings: QuantificationSettings,
        structures: StructureSet | None,
    ) -> _Basis:
        of_settings = settings_sha256(settings)
        fit_identity: Identity = (state.key, state.revision, of_settings)
        if self._reference is None or self._reference[0] != fit_identity:
            self._announce("fitting R2* of the reference")
            fitted = fit_series(self._voxels(state), settings)
            # At the weights of later fractions too, while there is time: before the first of them comes.
            matched = matched_reference(fitted.series, fitted.fit, method=settings.fit)
            self._reference = (fit_identity, fitted, matched)
        _, reference, matched = self._reference
        drawn = structures.sop_instance_uid if structures is not None else ""
        identity: Identity = (*fit_identity, plan.sha256, drawn)
        if self._volumes is None or self._volumes[0] != identity:
            if structures is not None:
                self._announce("rasterising the structures")
            volumes = treatment_volumes(structures, plan, reference.series.grid)
            self._volumes = (identity, volumes, prepare_volumes(volumes.all, settings))
        _, volumes, prepared = self._volumes
        return _Basis(
            identity=identity,
            plan=plan,
            settings=settings,
            structures=structures,
            reference=reference,
            matched=matched,
            volumes=volumes,
            prepared=prepared,
        )

    def _imaged(
        self,
        injection: Injection,
        basis: _Basis,
        bindings: Sequence[Binding],
        by_key: Mapping[str, SeriesState],
    ) -> ImagedFraction:
        """The maps of one injection's series, or the error that stands in for them."""
        own = [b for b in bindings if (b.position, b.fraction) == injection.key]
        binding = next((b for b in reversed(own) if b.role == "fraction"), None)
        if binding is None:
            return _unimaged(injection, own, by_key)
        state = by_key[binding.series_key]
        maps = self._series_maps(state, basis)
        provisional = []
        if any(b.role == "superseded" for b in own):
            provisional.append("two series in this fraction's window; the last is used")
        error = None
        if maps.holmium is None:
            error = f"registration to the reference failed: {maps.registration.message}"
        return ImagedFraction(
            injection=injection,
            r2star=maps.r2star,
            holmium=maps.holmium,
            shares=maps.shares,
            imaged_grid=maps.imaged_grid,
            error=error,
            registration=maps.registration,
            series_instance_uid=state.series_instance_uids[0],
            acquired_at=state.acquired_at,
            provisional_reasons=tuple(provisional),
        )

    def _series_maps(self, state: SeriesState, basis: _Basis) -> _SeriesMaps:
        """Registration, R2* and holmium of a series on the reference grid."""
        key: Identity = (state.key, state.revision, *basis.identity)
        if key in self._maps:
            return self._maps[key]
        name = state.description or state.protocol
        self._announce(f"fitting R2* of {name} and registering it to the reference")
        series = self._voxels(state)
        # Neither needs the other, and both leave Python's lock for most of their time: the dose comes a third sooner.
        with ThreadPoolExecutor(max_workers=1) as other:
            placing = other.submit(_placed, series, basis)
            fitted = fit_series(series, basis.settings)
            placed = placing.result()
        maps = _SeriesMaps(registration=placed.registration)
        if placed.registration.status != RegistrationStatus.FAILED:
            maps = self._on_reference(fitted, placed, basis)
        self._maps[key] = maps
        return maps

    def _on_reference(self, fitted: FittedSeries, placed: _Placed, basis: _Basis) -> _SeriesMaps:
        """Maps of a registered series on the reference grid."""
        registration, lies = placed.registration, placed.grid
        aligned = align(
            fitted,
            reference=basis.reference,
            registration=registration,
            occupancies=placed.occupancies,
        )
        r2star, holmium = holmium_map(
            aligned,
            reference=basis.reference,
            matched=basis.matched,
            relaxivity=basis.relaxivity,
            settings=basis.settings,
        )
        return _SeriesMaps(
            registration=registration, r2star=r2star, holmium=holmium, shares=aligned.shares, imaged_grid=lies
        )

    def _anatomy_on(self, basis: _Basis, bindings: Sequence[Binding], by_key: Mapping[str, SeriesState]) -> Anatomy:
        """The series that the structures were drawn on, on the reference grid; else the reference's first echo."""
        reference = basis.reference.series
        states = [by_key[b.series_key] for b in bindings if b.role == "anatomy"]
        usable = [
            s
            for s in states
            if s.status == SeriesStatus.COMPLETE and s.frame_of_reference_uid == reference.grid.frame_of_reference_uid
        ]
        identity: Identity = (basis.identity, usable[-1].key if usable else "", usable[-1].revision if usable else 0)
        if self._anatomy is None or self._anatomy[0] != identity:
            values, description = reference.signal[0], reference.description
            if usable:
                series = self._voxels(usable[-1])
                values = sampler(source=series.grid, target=reference.grid).sample(series.signal[0])
                description = usable[-1].description
            anatomy = Anatomy(values=np.nan_to_num(values), grid=reference.grid, description=description)
            self._anatomy = (identity, anatomy)
        return self._anatomy[1]


def _placed(series: EchoSeries, basis: _Basis) -> _Placed:
    """Register a series, and find how its voxels divide between the volumes where they really lay."""
    registration = register(
        reference=basis.reference.series,
        moving=series,
        region=basis.region,
        settings=basis.settings.registration,
    )
    lies = registered_grid(series.grid, basis.reference.series.grid, registration)
    wanted = basis.volumes.all and registration.status != RegistrationStatus.FAILED
    occupancies = disjoint_occupancies(basis.structures, basis.plan, lies) if wanted else None
    return _Placed(registration=registration, grid=lies, occupancies=occupancies)


def _due(
    treatment: Treatment, bindings: Sequence[Binding], by_key: Mapping[str, SeriesState], *, ended: bool
) -> list[Injection]:
    """Injections that need a result: all that happened, but for trailing ones whose image may still come."""
    happened = [i for i in injections(treatment) if i.time is not None]
    bound = {
        (b.position, b.fraction)
        for b in bindings
        if b.role in ("fraction", "refused", "unbound") and by_key[b.series_key].status != SeriesStatus.ARRIVING
    }
    seen = [n for n, i in enumerate(happened) if i.key in bound]
    return happened[: len(happened) if ended else (seen[-1] + 1 if seen else 0)]


def _unimaged(injection: Injection, own: Sequence[Binding], by_key: Mapping[str, SeriesState]) -> ImagedFraction:
    """An injection without usable image: what came in its window, or that nothing came, is the error."""
    refused = next((b for b in own if b.role == "refused"), None)
    holes = next(
        (b for b in own if b.role == "unbound" and by_key[b.series_key].status == SeriesStatus.INCOMPLETE), None
    )
    state = None
    if injection.outside_mri:
        error = "given outside the MRI: not imaged; its activity counts for the next series"
    elif refused is not None:
        error, state = f"its series cannot be used: {refused.why}", by_key[refused.series_key]
    elif holes is not None:
        error, state = f"its series is not complete: {holes.why}", by_key[holes.series_key]
    else:
        error = "no holmium series was acquired between this injection and the next"
    return ImagedFraction(
        injection=injection,
        r2star=None,
        holmium=None,
        error=error,
        series_instance_uid=state.series_instance_uids[0] if state is not None else None,
        acquired_at=state.acquired_at if state is not None else None,
    )
