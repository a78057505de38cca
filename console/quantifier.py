"""From bound series to results: fits, registers, subtracts and evaluates what the treatment holds, each thing once.

What is kept between calls is a cache keyed by content (series and revision, structures, settings, plan), so neither the
pace of the events nor the moment of asking can change a result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from config.plan import TreatmentPlan
from config.settings import QuantificationSettings
from console.basis import Basis, Drawn, ReferenceFit, fit_reference, with_reference_mode
from console.bound_series import Bound, is_before, is_complete
from console.course import due, outlook, unimaged
from console.methods import treatment_methods
from console.placed_structures import placed_structures
from console.series_maps import Seen, SeriesMaps, series_maps
from console.snapshot import Anatomy, Binding, ImagedSeries
from console.structures import TreatmentVolumes, in_the_frame_drawn_on, treatment_volumes
from console.treatment import Treatment, after_contrast, injections, isotope_of
from dicom_listener.images import SeriesState, SeriesStatus, StructureSet
from quantify.echoes import common_echoes, with_echoes
from quantify.findings import FractionResult, Injection, Registration, RegistrationStatus
from quantify.holmium import FittedSeries
from quantify.model import Array, EchoSeries, ParametricMap
from quantify.pipeline import (
    Evaluated,
    ImagedFraction,
    evaluate_treatment,
    prepare_volumes,
)
from quantify.remembered import Remembered
from quantify.repeatability import Repeatability, measured_repeat
from quantify.resampling import sampler

_NOT_MOVED = Registration(status=RegistrationStatus.NOT_NEEDED)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything computed of a treatment; empty while there is no reference."""

    reference: EchoSeries | None = None
    anatomy: Anatomy | None = None
    volumes: TreatmentVolumes = field(default_factory=TreatmentVolumes)
    evaluated: tuple[Evaluated, ...] = ()
    imaged: tuple[ImagedSeries, ...] = ()
    """The series behind the maps: the reference, then the fractions'."""
    methods: str = ""
    fault: str = ""
    """Why nothing can be computed with these settings and this reference, as a sentence."""

    @property
    def results(self) -> tuple[FractionResult, ...]:
        """In order of injection."""
        return tuple(evaluated.result for evaluated in self.evaluated)

    def with_maps_of(self, key: tuple[str, int]) -> Outcome:
        """The same with the maps of one fraction in its result."""
        return replace(self, evaluated=tuple(e.with_maps() if e.result.key == key else e for e in self.evaluated))


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
        self._voxels, self._tell = voxels, announce
        self._telling = threading.Lock()
        """Held while somebody is told what is computed: two threads compute, and one at a time tells."""
        self._memory = Remembered()
        self._places: Mapping[str, str] = {}
        """By series key: which of how many is computed, in words."""
        self._shown_series: dict[tuple[str, int] | None, ImagedSeries] = {}

    def serving(self, *, voxels: Callable[[SeriesState], EchoSeries], announce: Callable[[str], None]) -> Quantifier:
        """One for another engine of the same file, with the memory of this one."""
        other = Quantifier(voxels=voxels, announce=announce)
        other._memory, other._shown_series = self._memory, self._shown_series
        other._memory.keeps_unused = True
        return other

    def outcome(
        self,
        treatment: Treatment,
        states: Sequence[SeriesState],
        bindings: Sequence[Binding],
        structures: Sequence[StructureSet],
        *,
        ended: bool,
        maps: bool = True,
        in_force: bool = True,
    ) -> Outcome:
        """Compute what is new since the last call and return everything known.

        `ended` says that no more events will come: what is missing now is missing. Without `maps` the results have
        their numbers only, and `Outcome.with_maps_of` gives the rest. What
        is ``in_force`` is kept beside whatever is tried later.
        """
        bound = Bound(bindings=bindings, by_key={state.key: state for state in states})
        reference = next((bound.by_key[b.series_key] for b in bindings if b.role == "reference"), None)
        if reference is None or treatment.plan is None or treatment.quantification is None:
            return Outcome()
        if reference.status != SeriesStatus.COMPLETE:
            # What a late image does to the reference, or what the operator chose before all of it had come.
            arriving = reference.status == SeriesStatus.ARRIVING
            return Outcome(fault="" if arriving else f"Nothing can be quantified: the reference is {reference.reason}.")
        self._places = bound.places()
        self._memory.are_in_force = in_force
        try:
            basis = self._basis(reference, treatment.plan, treatment.quantification, structures, bound, treatment)
            return self._evaluate(basis, treatment, bound, ended=ended, maps=maps)
        except ValueError as error:
            # Settings that this reference does not allow (ARLO and uneven echoes), that need volumes, or that no
            # physics allows: nothing is computed, and the screen says why.
            return Outcome(fault=f"Nothing can be quantified: {error}")
        finally:
            self._announce("")

    def _evaluate(self, basis: Basis, treatment: Treatment, bound: Bound, *, ended: bool, maps: bool) -> Outcome:
        """Maps, results and methods of all injections that have happened."""
        anatomy = self._anatomy_on(basis, bound)
        # A series needs no other but the reference: two at a time.
        of_injections = self._memory.together(
            [
                partial(self._imaged, injection, basis, bound, treatment)
                for injection in due(treatment, bound.bindings, bound.by_key, ended=ended)
            ]
        )
        fractions = [fraction for fraction, _ in of_injections]
        evaluated = evaluate_treatment(
            fractions,
            volumes=basis.prepared,
            physics=basis.physics(isotope_of(basis.settings)),
            outlook=outlook(treatment, basis.plan),
            memory=self._memory,
            maps=maps,
        )
        self._memory.forget_unused()
        unusable = evaluated[-1].progress.unusable if evaluated else frozenset()
        ran = [replace(f, baseline=None) if f.baseline_name in unusable else f for f in fractions]
        return Outcome(
            reference=basis.series,
            anatomy=anatomy,
            volumes=basis.volumes,
            evaluated=evaluated,
            imaged=(
                self._to_show(None, "reference", basis.reference.fitted, basis.reference.fitted.fit.s0, _NOT_MOVED),
                *(series for _, series in of_injections if series is not None),
            ),
            methods=treatment_methods(basis, ran, [i for i in injections(treatment) if i.time is not None]),
        )

    def _announce(self, words: str) -> None:
        with self._telling:
            self._tell(words)

    # -- what everything is held against ------------------------------------------------------------------------------

    def _basis(
        self,
        state: SeriesState,
        plan: TreatmentPlan,
        settings: QuantificationSettings,
        structures: Sequence[StructureSet],
        bound: Bound,
        treatment: Treatment,
    ) -> Basis:
        # Settings are read by the stages, each its own: the plan's table of them is part of no stage's identity.
        plan = plan.model_copy(update={"quantification": {}})
        reference = self._reference(state, settings, None)
        series = reference.fitted.series
        complete = [state for state in bound.by_key.values() if is_complete(state)]
        structures = [in_the_frame_drawn_on(own, complete) for own in structures]
        drawn_on = [bound.drawn_on(own) for own in structures]
        drawn = self._memory.recall(
            ("drawn",),
            (
                series,
                plan.sha256,
                tuple((own.sop_instance_uid, own.frame_of_reference_uid, own.names) for own in structures),
                tuple((state.key, state.revision) if state is not None else () for state in drawn_on),
            ),
            settings,
            lambda s: self._drawn(structures, drawn_on, series, plan, s),
        )
        prepared = self._memory.recall(
            ("prepared",), (drawn,), settings, lambda s: prepare_volumes(drawn.volumes.all, s, self._memory)
        )
        basis = Basis(
            plan=plan,
            settings=settings,
            drawn=drawn,
            reference=with_reference_mode(
                reference, drawn.volumes.all, settings, self._memory, named=(state.key, None)
            ),
            prepared=prepared,
        )
        return replace(basis, repeat=self._measured_repeat(basis, bound, treatment))

    def _reference(
        self, state: SeriesState, settings: QuantificationSettings, echoes: tuple[int, ...] | None
    ) -> ReferenceFit:
        """The fit of the reference, or of some of its echoes."""
        series = self._some_echoes(state, self._series(state, settings), echoes)
        return fit_reference(
            series,
            settings,
            self._memory,
            named=(state.key, echoes),
            announce=lambda: self._announce(f"fitting R2* of the reference{self._places.get(state.key, '')}"),
        )

    def _series(self, state: SeriesState, settings: QuantificationSettings) -> EchoSeries:
        """The voxels of a series. Phase images may come after the magnitude has been used, and then matter or not."""
        series = self._voxels(state)
        matters = settings.field_gradient_correction and series.phase_rad is not None
        return self._memory.recall(("series", state.key), (state.revision, matters), settings, lambda _: series)

    def _some_echoes(self, state: SeriesState, series: EchoSeries, echoes: tuple[int, ...] | None) -> EchoSeries:
        if echoes is None:
            return series
        settings = QuantificationSettings()  # none of them is read
        return self._memory.recall(
            ("echoes", state.key, echoes), (series,), settings, lambda _: with_echoes(series, echoes)
        )

    def _drawn(
        self,
        structures: Sequence[StructureSet],
        drawn_on: Sequence[SeriesState | None],
        reference: EchoSeries,
        plan: TreatmentPlan,
        settings: QuantificationSettings,
    ) -> Drawn:
        placed, faults = placed_structures(
            structures,
            drawn_on,
            reference,
            settings.registration,
            voxels=self._voxels,
            announce=self._announce,
        )
        volumes = treatment_volumes(placed, plan, reference.grid)
        if faults:
            volumes = replace(volumes, faults=(*faults, *volumes.faults))
        return Drawn(plan=plan, structures=placed, volumes=volumes)

    def _measured_repeat(self, basis: Basis, bound: Bound, treatment: Treatment) -> Repeatability | None:
        """Scatter between series from the last series that repeats the reference, if there is one."""
        pairs = bound.of("repeatability")
        if not pairs or not basis.settings.uncertainty.repeat_from_pair:
            return None
        state = pairs[-1][1]
        if len(state.echo_times_s) != len(basis.series.echo_times_s):
            return None  # other echoes see another decay
        maps = self._series_maps(state, basis, bound, treatment)
        values = None if maps.r2star is None else maps.r2star.values

        def measured(_: QuantificationSettings) -> Repeatability | None:
            if values is None:
                return None
            return measured_repeat(basis.reference.fitted.fit.r2star_per_s, values, basis.region, basis.series.grid)

        return self._memory.recall(
            ("repeatability",), (maps, basis.reference.fitted.fit, basis.region_of), basis.settings, measured
        )

    # -- fractions ----------------------------------------------------------------------------------------------------

    def _imaged(
        self, injection: Injection, basis: Basis, bound: Bound, treatment: Treatment
    ) -> tuple[ImagedFraction, ImagedSeries | None]:
        """The maps of one injection's series, or the error that stands in for them; and the series, to look at."""
        own = [b for b in bound.bindings if (b.position, b.fraction) == injection.key]
        complete = [b for b in own if b.role == "fraction" and is_complete(bound.by_key[b.series_key])]
        if not complete:
            return unimaged(injection, own, bound.by_key), None
        binding = complete[-1]
        state = bound.by_key[binding.series_key]
        maps = self._series_maps(state, basis, bound, treatment)
        provisional = []
        if any(b.role == "superseded" for b in own):
            provisional.append("two series in this fraction's window; the last is used")
        error = None
        if maps.fault:
            error = f"its series cannot be quantified: {maps.fault}"
        elif maps.holmium is None:
            error = f"registration to the reference failed: {maps.registration.message}"
        baseline, baseline_name, fault = self._new_baseline(injection, state, basis, bound, treatment)
        if fault:
            provisional.append(fault)
        moved = state.frame_of_reference_uid != basis.series.grid.frame_of_reference_uid
        fraction = ImagedFraction(
            injection=injection,
            r2star=maps.r2star,
            holmium=maps.holmium,
            shares=maps.shares,
            imaged_grid=maps.imaged_grid,
            error=error,
            registration=None if maps.fault else maps.registration,
            series_instance_uid=state.series_instance_uids[0],
            acquired_at=state.acquired_at,
            provisional_reasons=tuple(provisional),
            baseline=baseline,
            baseline_name=baseline_name,
            new_frame=state.frame_of_reference_uid if moved and baseline is None else "",
            s0_weight=maps.s0_weight,
            first_echo_s=maps.first_echo_s,
            contrast=after_contrast(treatment, state),
            notes=_notes(maps, basis, repositioned=moved and baseline is None),
        )
        to_show = None
        if maps.fitted is not None and maps.registered is not None:
            to_show = self._to_show(injection.key, injection.label, maps.fitted, maps.registered, maps.registration)
        return fraction, to_show

    def _to_show(
        self,
        key: tuple[str, int] | None,
        label: str,
        fitted: FittedSeries,
        registered: Array,
        registration: Registration,
    ) -> ImagedSeries:
        """A series to look at; the same object as long as its arrays are, since the screen tells by identity."""
        known = self._shown_series.get(key)
        if known is None or known.fitted is not fitted or known.registered is not registered:
            known = ImagedSeries(
                key=key,
                label=label,
                fitted=fitted,
                reference_to_series_lps_mm=registration.reference_to_series_lps_mm,
                registered=registered,
            )
            self._shown_series[key] = known
        return known

    def _new_baseline(
        self, injection: Injection, image: SeriesState, basis: Basis, bound: Bound, treatment: Treatment
    ) -> tuple[ParametricMap | None, str, str]:
        """Holmium map and name of the injection's own baseline, if one was taken; else why it cannot be used, if so.

        The last one of the position that was acquired before the image: a position may be visited, and re-positioned
        for, again.
        """
        taken = [
            state
            for binding, state in bound.of("baseline")
            if binding.position == injection.position and is_before(state, image)
        ]
        if not taken:
            return None, "", ""
        maps = self._series_maps(taken[-1], basis, bound, treatment)
        if maps.holmium is None:
            why = maps.fault or maps.registration.message
            return None, "", f"the new baseline of {injection.position} cannot be used: {why}"
        return maps.holmium, taken[-1].key, ""

    def _series_maps(self, state: SeriesState, basis: Basis, bound: Bound, treatment: Treatment) -> SeriesMaps:
        """Registration, R2* and holmium of a series on the reference grid."""
        name = state.description or state.protocol
        place = self._places.get(state.key, "")

        def announce(words: str) -> None:
            if words:
                self._announce(words.format(name) + place)

        try:
            series, echoes, reference, settings = self._comparable(state, basis, bound)
            seen = Seen(
                series=series,
                named=(state.key, state.revision, echoes),
                given=treatment.registrations.get(state.key),
                contrast=after_contrast(treatment, state),
                announce=announce,
            )
            return series_maps(seen, replace(basis, settings=settings), reference, self._memory)
        except ValueError as error:
            fault = str(error)
            return self._memory.recall(
                ("fault", state.key), (fault,), basis.settings, lambda _: SeriesMaps(fault=fault)
            )

    def _comparable(
        self, state: SeriesState, basis: Basis, bound: Bound
    ) -> tuple[EchoSeries, tuple[int, ...] | None, ReferenceFit, QuantificationSettings]:
        """The series with which of its echoes, the reference, and how to fit them, so that both are seen alike.

        With the echoes that both have, since a fit lives on its echoes; and with the field gradient corrected in both
        or in neither, since what is taken off one alone would be read as holmium.
        """
        settings = basis.settings
        series, theirs_or_all = self._series(state, settings), None
        if settings.field_gradient_correction and (series.phase_rad is None or basis.series.phase_rad is None):
            settings = settings.model_copy(update={"field_gradient_correction": False})
        ours, theirs = common_echoes(
            basis.series.echo_times_s,
            series.echo_times_s,
            tolerance_s=settings.echo_time_tolerance_ms / 1000.0,
        )
        if len(theirs) < len(series.echo_times_s):
            theirs_or_all = theirs
            series = self._some_echoes(state, series, theirs)
        all_of_them = len(ours) == len(basis.series.echo_times_s)
        if all_of_them and settings is basis.settings:
            return series, theirs_or_all, basis.reference, settings
        of = next(state for _, state in bound.of("reference"))
        echoes = None if all_of_them else ours
        other = self._reference(of, settings, echoes)
        named = (of.key, echoes, "alike")
        other = with_reference_mode(other, basis.volumes.all, settings, self._memory, named=named)
        return series, theirs_or_all, other, settings

    def _anatomy_on(self, basis: Basis, bound: Bound) -> Anatomy:
        """The series that the structures were drawn on, on the reference grid; else the reference's first echo."""
        reference = basis.series
        usable = [
            s for _, s in bound.of("anatomy") if s.frame_of_reference_uid == reference.grid.frame_of_reference_uid
        ]

        def anatomy(_: QuantificationSettings) -> Anatomy:
            values, description = reference.signal[0], reference.description
            if usable:
                series = self._voxels(usable[-1])
                values = sampler(source=series.grid, target=reference.grid).sample(series.signal[0])
                description = usable[-1].description
            return Anatomy(values=np.nan_to_num(values), grid=reference.grid, description=description)

        made_of = (reference, usable[-1].key if usable else "", usable[-1].revision if usable else 0)
        return self._memory.recall(("anatomy",), made_of, basis.settings, anatomy)


def _notes(maps: SeriesMaps, basis: Basis, *, repositioned: bool) -> tuple[str, ...]:
    """What a number of this fraction cannot be defended without."""
    notes = []
    if maps.registration.given_by is not None:
        notes.append(f"registration given by {maps.registration.given_by}")
    if basis.settings.field_gradient_correction and not (maps.has_phase and basis.series.phase_rad is not None):
        notes.append("no phase images of it or of the reference: the field gradient was corrected in neither")
    if maps.n_echoes is not None and maps.n_echoes < len(basis.series.echo_times_s):
        notes.append(f"fitted on the {maps.n_echoes} echoes that it has in common with the reference")
    if repositioned:
        notes.append(
            "the patient was re-positioned since the reference and no new baseline is used: its offset is taken as "
            f"{basis.settings.uncertainty.repositioned_per_s:g} s⁻¹"
        )
    return tuple(notes)
