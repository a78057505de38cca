"""The engine: events in, results out. One path for live, replay, import and what-if; it reads no clock and no file.

Everything computed is a pure function of the events, the settings and the version; what is kept between calls is a
cache keyed by content, so neither the pace of the events nor the moment of asking can change a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from config.settings import QuantificationSettings, Settings, settings_sha256
from console.alarms import find_alarms
from console.arrivals import Arrivals, ClockBound, in_zone
from console.binding import bind
from console.quantifier import Outcome, Quantifier
from console.reader import InThisProcess, Reader
from console.snapshot import Binding, GivenStructures, RaisedAlarm, Snapshot
from console.structures import with_chosen
from console.treatment import Treatment, fold, injections, laid_over
from dicom_listener.assembly import Assembly
from dicom_listener.events import Event, Kind
from dicom_listener.images import PatientIdentity, SeriesState, SeriesStatus, StructureSet
from quantify.findings import Alarm, FractionResult, Injection
from quantify.model import EchoSeries

_Noun = TypeVar("_Noun")
_EVENTS_KEPT = 200
_UNREAD_TOLD = 4
"""Sentences on what cannot be read: those that follow are of the same cause."""


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


class Engine:
    """Folds the events of one treatment and computes what they imply.

    Parameters
    ----------
    overrides
        Dotted plan or settings keys laid over the plan (``--set``): a what-if that leaves the file alone.
    damage
        What is wrong with the treatment file, if it is not sound: a high alarm with everything computed from it.
    reader
        Who reads objects; the commands give a process of its own, so that no object can end this one.
    read_again
        Whether the file will be read from its beginning again (`afresh`): then its series and structures are kept.
    """

    def __init__(
        self,
        *,
        overrides: Mapping[str, object] | None = None,
        reader: Reader | None = None,
        damage: str | None = None,
        read_again: bool = False,
    ) -> None:
        self._damage = damage
        self._nouns: dict[object, Any] | None = {} if read_again else None
        """Of a file that is read again: the stages of the computation know series and structures by identity."""
        self._reader = reader or InThisProcess()
        self._overrides = dict(overrides or {})
        self._treatment = Treatment()
        self._assembly = Assembly()
        self._arrivals = Arrivals()
        self._announce: Callable[[str], None] = lambda _: None
        self._quantifier = Quantifier(voxels=self._voxels, announce=lambda words: self._announce(words))
        self._outcome = Outcome()
        self._results_inputs = ""
        self._structure_sets: list[StructureSet] = []
        self._given: list[GivenStructures] = []
        self._patient = PatientIdentity()
        self._stored_at: dict[int, datetime] = {}
        self._recent: list[Event] = []
        self._head = (0, "")
        self._created_at: datetime | None = None
        self._announced: dict[str, int] = {}
        self._alarms: tuple[Alarm, ...] = ()
        self._latched: dict[str, Alarm] = {}
        self._ended = False
        self._computed_from: tuple[object, Treatment | None] = ((), None)
        self._dirty = True

    def afresh(self) -> Engine:
        """An engine for the same file from its beginning: what this one computed is not computed again.

        Only of one that was made to be ``read_again``.
        """
        other = Engine(overrides=self._overrides, reader=self._reader, damage=self._damage, read_again=True)
        other._nouns = self._nouns
        other._quantifier = self._quantifier.serving(
            voxels=other._voxels, announce=lambda words: other._announce(words)
        )
        return other

    def _same(self, key: tuple[object, ...], noun: _Noun) -> _Noun:
        """The noun that had this key when the file was read before, or this one."""
        return noun if self._nouns is None else self._nouns.setdefault(key, noun)

    def announce_to(self, listener: Callable[[str], None]) -> None:
        """Tell `listener` what is about to be computed, in words, and "" when it is done; in the computing thread."""
        self._announce = listener

    # -- events in ---------------------------------------------------------------------------------------------------

    def take(self, event: Event, data: bytes | None = None) -> None:
        """Fold one event, with the bytes of its object if it has one. Never raises for what a peer sent."""
        self._head = (event.seq, event.hash)
        self._created_at = self._created_at or event.utc
        if event.kind != Kind.INSTANCE_STORED:  # images come by the hundred, and are told by their series
            self._recent = [*self._recent[-_EVENTS_KEPT:], event]
        if event.kind == Kind.INSTANCE_STORED and data is not None:
            self._take_instance(event, data)
        elif event.kind == Kind.LABEL_MAP_GIVEN and data is not None:
            self._take_structures(event, self._reader.given_label_map(event.payload, data))
        elif event.kind == Kind.ASSOCIATION_CLOSED:
            self._arrivals.said(event)
            self._assembly.association_closed(str(event.payload.get("association", "")))
        elif event.kind == Kind.LISTENER_STARTED:
            self._assembly.all_associations_closed()
        elif event.kind == Kind.SERIES_QUIET:
            self._arrivals.said(event)
            self._assembly.series_quiet(str(event.payload.get("series_instance_uid", "")))
        else:
            if event.kind in (Kind.SERIES_ASSIGNED, Kind.REGISTRATION_GIVEN):
                # What was said under an earlier key is of the same series: the new word has to replace it.
                self._treatment = self._by_present_keys()
                key = str(event.payload.get("series_key", ""))
                event = replace(event, payload={**event.payload, "series_key": self._assembly.resolve(key) or key})
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
        instance = self._reader.decode(data, time_zone=self.zone)
        if not self._patient.id:
            self._patient = instance.patient
        if instance.structure_set is not None:
            self._take_structures(event, instance.structure_set)
        self._arrivals.stored(instance, event.utc)
        if instance.images:
            self._stored_at[event.seq] = event.utc
            self._assembly.add(instance.images, seq=event.seq, association=str(event.payload.get("association", "")))

    def _take_structures(self, event: Event, structures: StructureSet) -> None:
        own = self._same(("structures", event.seq), replace(structures, object_sha256=event.object_sha256 or ""))
        self._structure_sets.append(own)
        drawn = str(event.payload.get("drawn", "")) if event.kind == Kind.LABEL_MAP_GIVEN else ""
        self._given.append(GivenStructures(structures=own, at=event.utc, by=event.actor, drawn=drawn))
        named = {structure.name.strip() for structure in own.structures}
        if named.intersection(self._treatment.chosen):
            # A version was chosen among those that there were; what comes later is a newer word.
            chosen = {name: sha for name, sha in self._treatment.chosen.items() if name not in named}
            self._treatment = replace(self._treatment, chosen=chosen)

    @property
    def zone(self) -> ZoneInfo:
        """Zone of times without an offset, as the plan has it now."""
        return ZoneInfo(self._treatment.plan.time_zone if self._treatment.plan is not None else "UTC")

    def _states(self) -> tuple[SeriesState, ...]:
        """All series in order of acquisition, the time of those that came before the plan was revised included."""
        zone = self.zone
        states = [
            replace(s, acquired_at=in_zone(s.acquired_at, zone)) if s.acquired_at is not None else s
            for s in self._assembly.states()
        ]
        return tuple(sorted(states, key=lambda s: (s.acquired_at.timestamp() if s.acquired_at else math.inf, s.key)))

    def _clock(self) -> ClockBound | None:
        return self._arrivals.clock.in_zone(self.zone) if self._arrivals.clock is not None else None

    def _lock_reference(self) -> None:
        """Once a complete fraction stands against a reference, nothing replaces it (see `bind`).

        Asked when an association or a series ends, not at every image: that is when a series is complete at the
        latest, and it does not depend on how events are batched.
        """
        states = self._states()
        if sum(s.status == SeriesStatus.COMPLETE and s.holmium_refusal is None for s in states) == 0:
            return
        bindings = self._bindings(states)
        reference = next((b for b in bindings if b.role == "reference"), None)
        state = next((s for s in states if reference is not None and s.key == reference.series_key), None)
        if reference is None or state is None or state.status != SeriesStatus.COMPLETE:
            return
        self._assembly.expect(state.echo_times_s, state.n_slices)
        locks = not reference.confirmed and any(b.role == "fraction" for b in bindings)
        if locks and self._treatment.reference_key != state.key:
            # Not what the operator assigned: that stands by itself, for as long as it is not taken back.
            self._treatment = replace(self._treatment, reference_key=state.key)

    def _bindings(self, states: Sequence[SeriesState]) -> tuple[Binding, ...]:
        drawn_on = frozenset(uid for s in self._structure_sets for uid in s.referenced_series_uids)
        return bind(self._by_present_keys(), states, drawn_on)

    def _by_present_keys(self) -> Treatment:
        """The treatment with every series under its present key: an echo that begins late may have changed it."""
        treatment = self._treatment
        said = {*treatment.assignments, *treatment.registrations, treatment.reference_key} - {None}
        now = {key: new for key in said if key and (new := self._assembly.resolve(key)) not in (None, key)}
        if not now:
            return treatment
        return replace(
            treatment,
            assignments={now.get(key) or key: own for key, own in treatment.assignments.items()},
            registrations={now.get(key) or key: own for key, own in treatment.registrations.items()},
            reference_key=now.get(treatment.reference_key or "") or treatment.reference_key,
        )

    def lay_over(self, overrides: Mapping[str, object]) -> None:
        """From now on lay these keys over the plan and settings, and none of those before.

        What was computed and does not depend on what changes is kept: the next `advance` gives what a new engine with
        these overrides would. What alarms there were before is forgotten: it was said of other settings.

        Raises
        ------
        config.errors.ConfigurationError
            If they do not go together; then nothing has changed.
        """
        self._treatment = laid_over(self._treatment, overrides)
        self._overrides = dict(overrides)
        self._latched = {}
        self._dirty = True

    def choose(self, volumes: Mapping[str, str]) -> None:
        """From now on use these versions of volumes: the object (SHA-256) by name, as an operator would choose them."""
        self._treatment = replace(self._treatment, chosen={**self._treatment.chosen, **volumes})
        self._dirty = True

    @property
    def structure_sets(self) -> Sequence[StructureSet]:
        """Every object with structures so far, in the order in which they came."""
        return tuple(self._structure_sets)

    def end(self) -> None:
        """No more events will come (a file that is not being followed): what is missing now is missing."""
        self._ended = True
        self._dirty = True

    # -- results out -------------------------------------------------------------------------------------------------

    def advance(self, *, maps: bool = True) -> Iterator[Update]:
        """Compute whatever the events so far imply and tell what is new. Idle calls cost nothing.

        Without `maps` results have their numbers only, which are there sooner; `draw` then gives the maps.
        """
        if not self._dirty:
            return
        self._dirty = False
        states = self._states()
        for state in states:
            if state.status == SeriesStatus.COMPLETE and self._announced.get(state.key) != state.revision:
                self._announced[state.key] = state.revision
                yield SeriesComplete(state=state)
        if not self._is_news(states):
            return
        before = {result.key: result for result in self._outcome.results}
        self._outcome = self._quantifier.outcome(
            self._by_present_keys(),
            states,
            self._bindings(states),
            with_chosen(self._structure_sets, self._treatment.chosen),
            ended=self._ended,
            maps=maps,
            in_force=not self._overrides,
        )
        self._results_inputs = _inputs(self._treatment)
        by_uid = {uid: s for s in states for uid in s.series_instance_uids}
        for result in self._outcome.results:
            if before.get(result.key) != result:
                state_of = by_uid.get(result.series_instance_uid or "")
                stored = self._stored_at.get(state_of.last_seq) if state_of is not None else None
                yield FractionComputed(result=result, stored_at=stored)
        for alarm in self._find_alarms(states):
            if alarm.id not in self._latched:
                yield AlarmFound(alarm=alarm)
            self._latched[alarm.id] = alarm

    def draw(self, key: tuple[str, int]) -> None:
        """Compute the maps of one fraction (position, number), if it has none yet; no number changes."""
        self._outcome = self._outcome.with_maps_of(key)

    def _is_news(self, states: Sequence[SeriesState]) -> bool:
        """Whether anything has changed that a result or an alarm could depend on; a series that arrives has not."""
        settled = tuple((s.key, s.status, s.revision, s.reason) for s in states if s.status != SeriesStatus.ARRIVING)
        clock = self._clock()
        ahead_s = max(clock.ahead_s, 0.0) if clock is not None else 0.0
        told = (len(self._structure_sets), len(self._arrivals.objections), self._overdue(states), ahead_s)
        basis = (settled, self._phases(states), told, self._ended)
        same = basis == self._computed_from[0] and self._treatment is self._computed_from[1]
        self._computed_from = (basis, self._treatment)
        return not same

    def _overdue(self, states: Sequence[SeriesState]) -> frozenset[str]:
        """Keys of the series that are incomplete and past their time."""
        after_s = self._treatment.alarms.incomplete_after_s if self._treatment.alarms is not None else 0.0
        incomplete = [s for s in states if s.status == SeriesStatus.INCOMPLETE]
        return frozenset(s.key for s in incomplete if self._ended or self._arrivals.is_overdue(s, after_s))

    def _phases(self, states: Sequence[SeriesState]) -> tuple[bool, ...]:
        """Which complete series have phase images, if results depend on them: they may come late."""
        settings = self._treatment.quantification
        if settings is None or not settings.field_gradient_correction:
            return ()
        complete = [s for s in states if s.status == SeriesStatus.COMPLETE and s.holmium_refusal is None]
        return tuple(self._voxels(s).phase_rad is not None for s in complete)

    def _voxels(self, state: SeriesState) -> EchoSeries:
        series = self._assembly.assembled(state.key).series
        if series is None:
            raise ValueError(f"Engine: series {state.description!r} was used before it was complete.")
        key = ("series", state.key, state.revision, state.received, state.last_seq, series.phase_rad is None)
        return self._same(key, series)

    # -- what is known -----------------------------------------------------------------------------------------------

    def _missing(self) -> str | None:
        """What of the file is not in anything here: what is damaged, and what this version cannot read."""
        told = [self._damage] if self._damage is not None else []
        told += [
            f"Event {event.seq} ({event.kind.replace('_', ' ')}) cannot be read by this version and counts for nothing."
            for event in self._treatment.unread
        ]
        return " ".join(told[:_UNREAD_TOLD]) or None

    def _find_alarms(self, states: Sequence[SeriesState]) -> tuple[Alarm, ...]:
        plan, settings = self._treatment.plan, self._treatment.alarms
        if plan is None or settings is None or self._created_at is None:
            self._alarms = ()
            return ()
        reference = self._outcome.reference
        self._alarms = find_alarms(
            plan=plan,
            settings=settings,
            results=self._outcome.results,
            series=states,
            bindings=self._bindings(states),
            overdue=self._overdue(states),
            clock=self._clock(),
            clock_offset_s=self._treatment.clock_offset_s,
            quarantined=self._treatment.quarantined,
            storage_failed=self._treatment.storage_failed,
            objections=self._arrivals.objections,
            damage=self._missing(),
            structure_faults=self._outcome.volumes.faults if self._structure_sets else (),
            fault=self._outcome.fault,
            since=reference.acquired_at if reference is not None else self._created_at,
        )
        return self._alarms

    @property
    def results(self) -> tuple[FractionResult, ...]:
        """Results in order of injection, as of the last `advance`."""
        return self._outcome.results

    @property
    def dirty(self) -> bool:
        """Whether `advance` has something to look at."""
        return self._dirty

    @property
    def overrides(self) -> Mapping[str, object]:
        """What is laid over plan and settings."""
        return self._overrides

    @property
    def quantification(self) -> QuantificationSettings | None:
        """The settings in force: defaults, site, plan, overrides; None before a plan was loaded."""
        return self._treatment.quantification

    def snapshot(self, *, computing: str = "", shown: Sequence[FractionResult] = ()) -> Snapshot:
        """An immutable picture of what is known after the last event taken.

        `shown` are results that an earlier console recorded; they stand in while none has been computed.
        """
        results = self._outcome.results or tuple(shown)
        states = self._states()
        bindings = self._bindings(states)
        treatment = self._treatment
        all_injections = injections(treatment)
        done = {result.key for result in results}
        happened = [i for i in all_injections if i.time is not None]
        # Given up before it began, or given where no series follows.
        unseen = {i.key for i in all_injections if (i.aborted if i.time is None else i.outside_mri)}
        awaited = next((i.key for i in all_injections if i.key not in done | unseen), None)
        imaged = [i for i, result in enumerate(results) if result.error is None]
        after = happened[imaged[-1] + 1 :] if imaged else happened
        settings = (
            Settings(quantification=treatment.quantification, alarms=treatment.alarms)
            if treatment.quantification is not None and treatment.alarms is not None
            else None
        )
        identity, clock = self._patient, self._clock()
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
            reference=self._outcome.reference,
            anatomy=self._outcome.anatomy,
            volumes=self._outcome.volumes.all,
            volume_sources=self._outcome.volumes.sources,
            structure_faults=self._outcome.volumes.faults,
            structure_remarks=self._outcome.volumes.remarks,
            results=results,
            inputs=_inputs(treatment),
            results_inputs=self._results_inputs,
            imaged=self._outcome.imaged,
            revisions=treatment.revisions,
            methods=self._outcome.methods,
            damage=self._missing(),
            awaited=awaited,
            not_imaged_mbq=_total_mbq(after),
            alarms=self._raised(all_active=bool(shown) and not self._outcome.results),
            events=tuple(self._recent),
            clock_offset_s=treatment.clock_offset_s,
            clock_ahead_at_least_s=clock.ahead_s if clock is not None else None,
            latest_acquired_at=max((s.acquired_at for s in states if s.acquired_at is not None), default=None),
            computing=computing,
            complete=bool(all_injections) and (awaited is None or treatment.closed is not None),
            closed=treatment.closed,
            loaded=treatment.loaded,
            recorded={key: own.values for key, own in treatment.recorded.items()},
            cancelled=tuple(key for key, own in treatment.recorded.items() if own.cancelled),
            assigned=treatment.assignments,
            given_registrations=treatment.registrations,
            retracted=treatment.retracted,
            structures=tuple(self._given),
            chosen_volumes=treatment.chosen,
            overrides=self._overrides,
        )

    def _raised(self, *, all_active: bool = False) -> tuple[RaisedAlarm, ...]:
        """Alarms as latched: those of this run, and those that an earlier console showed and recorded.

        Before anything has been computed it is not known whether the cause of a recorded one has gone: `all_active`.
        """
        active = {alarm.id for alarm in self._alarms}
        every = {**self._treatment.raised, **self._latched}
        raised = []
        for key, alarm in every.items():
            who, when = self._treatment.acknowledged.get(key, (None, None))
            raised.append(
                RaisedAlarm(alarm=alarm, active=all_active or key in active, acknowledged_by=who, acknowledged_at=when)
            )
        return tuple(raised)


def _total_mbq(injected: Sequence[Injection]) -> float | None:
    """Their activity; None as soon as one of them is not known."""
    known = [i.activity_mbq for i in injected if i.activity_mbq is not None]
    return sum(known) if len(known) == len(injected) else None


def _inputs(treatment: Treatment) -> str:
    if treatment.plan is None or treatment.quantification is None:
        return ""
    return f"{treatment.plan.sha256}/{settings_sha256(treatment.quantification)}"
