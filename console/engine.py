"""The engine: events in, results out. One path for live, replay, import and what-if; it reads no clock and no file.

Everything computed is a pure function of the events, the settings and the version; what is kept between calls is a
cache keyed by content, so neither the pace of the events nor the moment of asking can change a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from config.plan import TreatmentPlan
from config.settings import QuantificationSettings, Settings, settings_sha256
from console.alarms import find_alarms
from console.snapshot import Anatomy, Binding, RaisedAlarm, Snapshot
from console.structures import TreatmentVolumes, disjoint_occupancies, treatment_volumes
from console.treatment import Treatment, bind, fold, injections, isotope_of
from dicom_listener.assembly import Assembly
from dicom_listener.decode import decode
from dicom_listener.events import Event, Kind
from dicom_listener.images import PatientIdentity, SeriesState, SeriesStatus, StructureSet
from quantify.holmium import (
    FittedSeries,
    align,
    fit_series,
    holmium_map,
    registered_grid,
    relaxivity_per_s_per_mg_ml,
)
from quantify.model import (
    Alarm,
    EchoSeries,
    FractionResult,
    Injection,
    ParametricMap,
    Priority,
    Registration,
    RegistrationStatus,
)
from quantify.partial_volume import Shares
from quantify.pipeline import Evaluated, ImagedFraction, Physics, VolumeOfInterest, evaluate_treatment, prepare_volumes
from quantify.reference import MatchedReference, matched_reference
from quantify.registration import register
from quantify.resampling import sampler

_EVENTS_KEPT = 200


@dataclass(frozen=True, kw_only=True)
class SeriesComplete:
    """A series became complete (or complete anew, with a later revision)."""

    state: SeriesState


@dataclass(frozen=True, kw_only=True)
class FractionComputed:
    """A fraction has a new result; `stored_at` is when its last instance was stored."""

    result: FractionResult
    stored_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class AlarmFound:
    """An alarm that was not there before."""

    alarm: Alarm


Update = SeriesComplete | FractionComputed | AlarmFound


@dataclass(frozen=True, kw_only=True, eq=False)
class _SeriesMaps:
    """What one series gives on the reference grid; no maps where the registration failed."""

    registration: Registration
    r2star: ParametricMap | None = None
    holmium: ParametricMap | None = None
    shares: Shares = field(default_factory=dict)


@dataclass(kw_only=True)
class _Cache:
    """What is expensive, by what it was computed from; only the entries of the current treatment are kept."""

    assembled: dict[tuple[str, int], EchoSeries] = field(default_factory=dict)
    fitted: dict[tuple[str, int], FittedSeries] = field(default_factory=dict)
    maps: dict[tuple[object, ...], _SeriesMaps] = field(default_factory=dict)
    matched: dict[tuple[object, ...], MatchedReference] = field(default_factory=dict)
    volumes: dict[tuple[object, ...], tuple[TreatmentVolumes, tuple[VolumeOfInterest, ...]]] = field(
        default_factory=dict
    )
    anatomy: dict[tuple[object, ...], Anatomy] = field(default_factory=dict)


class Engine:
    """Folds the events of one treatment and computes what they imply.

    Parameters
    ----------
    overrides
        Dotted plan or settings keys laid over the plan (``--set``): a what-if that leaves the file alone.
    announce
        Called with what is about to be computed, in words, and with "" when done.
    """

    def __init__(
        self,
        *,
        overrides: Mapping[str, object] | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self._overrides = dict(overrides or {})
        self._announce = announce or (lambda _: None)
        self._treatment = Treatment()
        self._assembly = Assembly()
        self._cache = _Cache()
        self._structure_sets: list[StructureSet] = []
        self._patient = PatientIdentity()
        self._stored_at: dict[int, datetime] = {}
        self._recent: list[Event] = []
        self._head = (0, "")
        self._created_at: datetime | None = None
        self._announced: dict[str, int] = {}
        self._results: tuple[FractionResult, ...] = ()
        self._evaluated: tuple[Evaluated, ...] = ()
        self._basis: tuple[object, ...] = ()
        self._volumes: TreatmentVolumes = TreatmentVolumes()
        self._reference: EchoSeries | None = None
        self._anatomy: Anatomy | None = None
        self._alarms: tuple[Alarm, ...] = ()
        self._latched: dict[str, Alarm] = {}
        self._ended = False
        self._dirty = True

    # -- events in ---------------------------------------------------------------------------------------------------

    def take(self, event: Event, data: bytes | None = None) -> None:
        """Fold one event, with the bytes of its object if it has one. Never raises for what a peer sent."""
        self._head = (event.seq, event.hash)
        self._created_at = self._created_at or event.utc
        self._recent = [*self._recent[-_EVENTS_KEPT:], event]
        if event.kind == Kind.INSTANCE_STORED and data is not None:
            self._take_instance(event, data)
        elif event.kind == Kind.ASSOCIATION_CLOSED:
            self._assembly.association_closed(str(event.payload.get("association", "")))
        elif event.kind == Kind.LISTENER_STARTED:
            self._assembly.all_associations_closed()
        elif event.kind == Kind.SERIES_QUIET:
            self._assembly.series_quiet(str(event.payload.get("series_instance_uid", "")))
        else:
            before = self._treatment
            self._treatment = fold(self._treatment, event, self._overrides)
            if self._treatment is before:
                return
            if event.kind in (Kind.ALARM_RAISED, Kind.ALARM_ACKNOWLEDGED):
                return  # for the screen; no result depends on them
        self._dirty = True
        if event.kind != Kind.INSTANCE_STORED:
            self._lock_reference()

    def _take_instance(self, event: Event, data: bytes) -> None:
        zone = ZoneInfo(self._treatment.plan.time_zone if self._treatment.plan is not None else "UTC")
        instance = decode(data, time_zone=zone)
        if not self._patient.id:
            self._patient = instance.patient
        if instance.structure_set is not None:
            self._structure_sets.append(instance.structure_set)
        if instance.images:
            self._stored_at[event.seq] = event.utc
            self._assembly.add(instance.images, seq=event.seq, association=str(event.payload.get("association", "")))

    def _lock_reference(self) -> None:
        """Once a complete fraction stands against a reference, nothing replaces it.

        Asked when an association or a series ends, not at every image: that is when a series is complete at the
        latest, and it does not depend on how events are batched.
        """
        if self._treatment.reference_key is not None:
            return
        states = self._assembly.states()
        if sum(s.status == SeriesStatus.COMPLETE and s.holmium_refusal is None for s in states) == 0:
            return
        bindings = self._bindings(states)
        reference = next((b.series_key for b in bindings if b.role == "reference"), None)
        if reference is None:
            return
        state = next(s for s in states if s.key == reference)
        self._assembly.expect(state.echo_times_s, state.n_slices)
        if any(b.role == "fraction" for b in bindings):
            self._treatment = replace(self._treatment, reference_key=reference)

    def _bindings(self, states: Sequence[SeriesState]) -> tuple[Binding, ...]:
        drawn_on = frozenset(uid for s in self._structure_sets for uid in s.referenced_series_uids)
        return bind(self._treatment, states, drawn_on)

    def end(self) -> None:
        """No more events will come (a file that is not being followed): what is missing now is missing."""
        self._ended = True
        self._dirty = True

    # -- results out -------------------------------------------------------------------------------------------------

    def advance(self) -> Iterator[Update]:
        """Compute whatever the events so far imply and tell what is new. Idle calls cost nothing."""
        if not self._dirty:
            return
        self._dirty = False
        states = self._assembly.states()
        for state in states:
            if state.status == SeriesStatus.COMPLETE and self._announced.get(state.key) != state.revision:
                self._announced[state.key] = state.revision
                yield SeriesComplete(state=state)
        before = {result.key: result for result in self._results}
        self._compute(states)
        by_uid = {uid: s for s in states for uid in s.series_instance_uids}
        for result in self._results:
            if before.get(result.key) != result:
                state_of = by_uid.get(result.series_instance_uid or "")
                stored = self._stored_at.get(state_of.last_seq) if state_of is not None else None
                yield FractionComputed(result=result, stored_at=stored)
        for alarm in self._find_alarms(states):
            if alarm.id not in self._latched:
                yield AlarmFound(alarm=alarm)
            self._latched[alarm.id] = alarm

    def _compute(self, states: Sequence[SeriesState]) -> None:
        plan, settings = self._treatment.plan, self._treatment.quantification
        bindings = self._bindings(states)
        by_key = {state.key: state for state in states}
        reference_key = next((b.series_key for b in bindings if b.role == "reference"), None)
        self._results, self._reference = (), None
        if reference_key is None or plan is None or settings is None:
            return
        reference_state = by_key[reference_key]
        reference_id = (reference_state.key, reference_state.revision)
        reference = self._fitted(reference_state, settings)
        self._reference = reference.series
        self._anatomy = self._anatomy_on(reference.series, bindings, by_key)
        self._volumes, prepared = self._volumes_on(reference, reference_id, plan, settings)
        self._matched(reference, reference_id, settings)  # while there is time: before the first fraction comes
        fractions = [
            self._imaged(injection, bindings, by_key, reference, reference_id, settings)
            for injection in self._due(bindings, by_key)
        ]
        basis = (reference_id, self._volumes.identity, settings_sha256(settings), plan.sha256)
        self._evaluated = evaluate_treatment(
            fractions,
            known=self._evaluated if basis == self._basis else (),
            volumes=prepared,
            physics=Physics(
                isotope=isotope_of(settings), relaxivity_per_s_per_mg_ml=_relaxivity(plan), settings=settings
            ),
            feeds={name: p.volumes for name, p in plan.positions.items() if p.volumes is not None},
        )
        self._basis = basis
        self._results = tuple(evaluated.result for evaluated in self._evaluated)
        self._announce("")

    def _due(self, bindings: Sequence[Binding], by_key: Mapping[str, SeriesState]) -> list[Injection]:
        """Injections that need a result: all that happened, but for trailing ones whose image may still come."""
        happened = [i for i in injections(self._treatment) if i.time is not None]
        bound = {
            (b.position, b.fraction)
            for b in bindings
            if b.role in ("fraction", "refused", "unbound") and by_key[b.series_key].status != SeriesStatus.ARRIVING
        }
        seen = [n for n, i in enumerate(happened) if i.key in bound]
        last = len(happened) if self._ended else (seen[-1] + 1 if seen else 0)
        return happened[:last]

    def _imaged(
        self,
        injection: Injection,
        bindings: Sequence[Binding],
        by_key: Mapping[str, SeriesState],
        reference: FittedSeries,
        reference_id: tuple[str, int],
        settings: QuantificationSettings,
    ) -> ImagedFraction:
        """The maps of one injection's series, or the error that stands in for them."""
        own = [b for b in bindings if (b.position, b.fraction) == injection.key]
        binding = next((b for b in reversed(own) if b.role == "fraction"), None)
        if binding is None:
            return _unimaged(injection, own, by_key)
        state = by_key[binding.series_key]
        maps = self._maps(state, reference, reference_id, settings)
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
            error=error,
            registration=maps.registration,
            series_instance_uid=state.series_instance_uids[0],
            acquired_at=state.acquired_at,
            provisional_reasons=tuple(provisional),
        )

    def _maps(
        self,
        state: SeriesState,
        reference: FittedSeries,
        reference_id: tuple[str, int],
        settings: QuantificationSettings,
    ) -> _SeriesMaps:
        """Registration, R2* and holmium of a series on the reference grid, cached by what they depend on."""
        plan = self._treatment.plan
        if plan is None:
            raise ValueError("Engine: a series was quantified without a plan; load a plan first.")
        key = (state.key, state.revision, reference_id, self._volumes.identity, settings_sha256(settings), plan.sha256)
        if key in self._cache.maps:
            return self._cache.maps[key]
        fitted = self._fitted(state, settings)
        self._announce(f"registering {state.description or state.protocol} to the reference")
        registration = register(
            reference=reference.series,
            moving=fitted.series,
            region=self._region(reference),
            settings=settings.registration,
        )
        maps = _SeriesMaps(registration=registration)
        if registration.status != RegistrationStatus.FAILED:
            lies = registered_grid(fitted.series.grid, reference.series.grid, registration)
            latest = self._structure_sets[-1] if self._structure_sets else None
            aligned = align(
                fitted,
                reference=reference,
                registration=registration,
                occupancies=disjoint_occupancies(latest, plan, lies) if self._volumes.all else None,
            )
            r2star, holmium = holmium_map(
                aligned,
                reference=reference,
                matched=self._matched(reference, reference_id, settings),
                relaxivity=_relaxivity(plan),
                settings=settings,
            )
            maps = _SeriesMaps(registration=registration, r2star=r2star, holmium=holmium, shares=aligned.shares)
        self._cache.maps[key] = maps
        return maps

    def _matched(
        self, reference: FittedSeries, reference_id: tuple[str, int], settings: QuantificationSettings
    ) -> MatchedReference:
        key = (reference_id, settings_sha256(settings))
        if key not in self._cache.matched:
            self._announce("fitting the reference at the weights of the fractions")
            self._cache.matched[key] = matched_reference(reference.series, reference.fit, method=settings.fit)
        return self._cache.matched[key]

    def _region(self, reference: FittedSeries) -> NDArray[np.bool_]:
        """What must match in a registration: the liver, or all tissue where there are no structures."""
        liver = self._volumes.liver
        if liver is not None and (liver.occupancy > 0).any():
            return liver.occupancy > 0
        return np.asarray(reference.usable)

    def _fitted(self, state: SeriesState, settings: QuantificationSettings) -> FittedSeries:
        key = (f"{state.key}/{settings_sha256(settings)}", state.revision)
        if key not in self._cache.fitted:
            self._announce(f"fitting R2* of {state.description or state.protocol}")
            self._cache.fitted[key] = fit_series(self._assembled(state), settings)
        return self._cache.fitted[key]

    def _assembled(self, state: SeriesState) -> EchoSeries:
        key = (state.key, state.revision)
        if key not in self._cache.assembled:
            series = self._assembly.assembled(state.key).series
            if series is None:
                raise ValueError(f"Engine: series {state.description!r} was used before it was complete.")
            self._cache.assembled[key] = series
        return self._cache.assembled[key]

    def _volumes_on(
        self,
        reference: FittedSeries,
        reference_id: tuple[str, int],
        plan: TreatmentPlan,
        settings: QuantificationSettings,
    ) -> tuple[TreatmentVolumes, tuple[VolumeOfInterest, ...]]:
        latest = self._structure_sets[-1] if self._structure_sets else None
        key = (latest.sop_instance_uid if latest else None, reference_id, plan.sha256, settings_sha256(settings))
        if key not in self._cache.volumes:
            if latest is not None:
                self._announce("rasterising the structures")
            volumes = treatment_volumes(latest, plan, reference.series.grid)
            self._cache.volumes[key] = (volumes, prepare_volumes(volumes.all, settings))
        return self._cache.volumes[key]

    def _anatomy_on(
        self, reference: EchoSeries, bindings: Sequence[Binding], by_key: Mapping[str, SeriesState]
    ) -> Anatomy:
        """The series that the structures were drawn on, on the reference grid; else the reference's first echo."""
        states = [by_key[b.series_key] for b in bindings if b.role == "anatomy"]
        usable = [
            s
            for s in states
            if s.status == SeriesStatus.COMPLETE and s.frame_of_reference_uid == reference.grid.frame_of_reference_uid
        ]
        key = (
            (usable[-1].key, usable[-1].revision, reference.series_instance_uid)
            if usable
            else (reference.series_instance_uid,)
        )
        if key not in self._cache.anatomy:
            if usable:
                series = self._assembled(usable[-1])
                values = sampler(source=series.grid, target=reference.grid).sample(series.signal[0])
                description = usable[-1].description
            else:
                values, description = reference.signal[0], reference.description
            self._cache.anatomy[key] = Anatomy(
                values=np.nan_to_num(values), grid=reference.grid, description=description
            )
        return self._cache.anatomy[key]

    # -- what is known -----------------------------------------------------------------------------------------------

    def _find_alarms(self, states: Sequence[SeriesState]) -> tuple[Alarm, ...]:
        plan, settings = self._treatment.plan, self._treatment.alarms
        if plan is None or settings is None or self._created_at is None:
            self._alarms = ()
            return ()
        reference = self._reference
        self._alarms = find_alarms(
            plan=plan,
            settings=settings,
            results=self._results,
            series=states,
            bindings=self._bindings(states),
            quarantined=self._treatment.quarantined,
            structure_faults=self._volumes.faults if self._structure_sets else (),
            since=reference.acquired_at if reference is not None else self._created_at,
        )
        return self._alarms

    @property
    def results(self) -> tuple[FractionResult, ...]:
        """Results in order of injection, as of the last `advance`."""
        return self._results

    @property
    def quantification(self) -> QuantificationSettings | None:
        """The settings in force: defaults, site, plan, overrides; None before a plan was loaded."""
        return self._treatment.quantification

    def snapshot(self, *, computing: str = "") -> Snapshot:
        """An immutable picture of what is known after the last event taken."""
        states = self._assembly.states()
        bindings = self._bindings(states)
        treatment = self._treatment
        all_injections = injections(treatment)
        done = {result.key for result in self._results}
        happened = [i for i in all_injections if i.time is not None]
        awaited = next((i.key for i in all_injections if i.key not in done), None)
        imaged = [i for i, result in enumerate(self._results) if result.maps is not None]
        after = happened[imaged[-1] + 1 :] if imaged else happened
        settings = (
            Settings(quantification=treatment.quantification, alarms=treatment.alarms)
            if treatment.quantification is not None and treatment.alarms is not None
            else None
        )
        identity = self._patient
        return Snapshot(
            head_seq=self._head[0],
            head_hash=self._head[1],
            plan=treatment.plan,
            settings=settings,
            settings_sha256=settings_sha256(treatment.quantification) if treatment.quantification is not None else "",
            patient_name=identity.name,
            patient_id=identity.id or (treatment.plan.patient.id if treatment.plan is not None else ""),
            patient_birth_date=identity.birth_date.isoformat() if identity.birth_date is not None else "",
            patient_sex=identity.sex,
            series=states,
            bindings=bindings,
            injections=all_injections,
            reference=self._reference,
            anatomy=self._anatomy,
            volumes=self._volumes.all,
            structure_faults=self._volumes.faults,
            results=self._results,
            awaited=awaited,
            not_imaged_mbq=sum(i.activity_mbq or 0.0 for i in after),
            alarms=self._raised(),
            events=tuple(self._recent),
            latest_acquired_at=max((s.acquired_at for s in states if s.acquired_at is not None), default=None),
            computing=computing,
            complete=bool(all_injections) and awaited is None,
        )

    def _raised(self) -> tuple[RaisedAlarm, ...]:
        """Alarms as latched: those of this run, and those that an earlier console showed and recorded."""
        active = {alarm.id for alarm in self._alarms}
        every = {**{key: _alarm_of(said) for key, said in self._treatment.raised.items()}, **self._latched}
        raised = []
        for key, alarm in every.items():
            who, when = self._treatment.acknowledged.get(key, (None, None))
            raised.append(RaisedAlarm(alarm=alarm, active=key in active, acknowledged_by=who, acknowledged_at=when))
        return tuple(raised)


def _relaxivity(plan: TreatmentPlan) -> float:
    """r2* of this batch: the calibration's, scaled by holmium content."""
    return relaxivity_per_s_per_mg_ml(
        calibrated=plan.calibration.relaxivity_per_s_per_mg_ml,
        calibration_holmium_fraction=plan.calibration.holmium_fraction,
        holmium_fraction=plan.microspheres.holmium_fraction,
    )


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


def _alarm_of(said: Mapping[str, Any]) -> Alarm:
    return Alarm(
        id=said["id"],
        priority=Priority(said["priority"]),
        kind=said["kind"],
        text=said["text"],
        raised_at=datetime.fromisoformat(said["raised_at"]),
        position=said.get("position"),
        fraction=said.get("fraction"),
        volume=said.get("volume"),
    )
