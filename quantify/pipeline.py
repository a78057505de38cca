"""From maps of holmium to results: activity, dose, statistics, recovery and trend of every fraction of a treatment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from config.settings import QuantificationSettings
from quantify.findings import FractionResult, FractionStatus, Injection
from quantify.fraction_maps import Drawing, Progress, with_image
from quantify.imaged import ImagedFraction, Physics, VolumeOfInterest, prepare_volumes
from quantify.intervals import Injected, Sampled, with_intervals, with_means
from quantify.monte_carlo import MeasuredDose
from quantify.remembered import Identity, Remembered
from quantify.uptake import Outlook, with_trends
from quantify.volume_results import Measured, detailed, measured_volumes, scintigraphic

__all__ = [
    "Evaluated",
    "ImagedFraction",
    "Outlook",
    "Physics",
    "VolumeOfInterest",
    "evaluate_treatment",
    "prepare_volumes",
]

_NOTHING_PLANNED = Outlook()
_RENEWED = "held against a new baseline of its position; the dose before that is the last measured"


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated:
    """A fraction with its result and what the next one builds on."""

    fraction: ImagedFraction
    result: FractionResult
    progress: Progress
    drawing: Drawing | None = None
    """Its maps, computed when they are first asked for; None without an image."""
    details: Details | None = None
    """What is still to be told of its volumes, computed when it is first asked for; None once it is in the result."""

    def with_maps(self, *, if_known: bool = False) -> Evaluated:
        """The same with details and maps in its result; `if_known`: only what need not be computed for them."""
        result, details = self.result, self.details
        if details is not None and not (if_known and not details.is_known):
            result, details = details.of(result), None
        if self.drawing is not None and result.maps is None and not (if_known and not self.drawing.is_known):
            result = replace(result, maps=self.drawing.maps())
        return self if result is self.result else replace(self, result=result, details=details)


def evaluate_treatment(
    fractions: Sequence[ImagedFraction],
    *,
    volumes: Sequence[VolumeOfInterest],
    physics: Physics,
    outlook: Outlook = _NOTHING_PLANNED,
    known: Sequence[Evaluated] = (),
    memory: Remembered | None = None,
    maps: bool = True,
) -> tuple[Evaluated, ...]:
    """Results of all fractions in order of injection.

    Parameters
    ----------
    fractions
        In order of injection; a failed one stays in the list, its activity counts for the next image.
    volumes
        From `prepare_volumes`, on the reference grid; may be empty (maps only).
    outlook
        What is planned: what each position feeds, the next activities, limits.
    known
        What an earlier call with the same volumes and physics returned: its leading fractions are taken over as far
        as they are the same, so a treatment costs only its new fraction.
    memory
        What the same treatment came to with other settings, as far as they do not matter.
    maps
        Whether results are whole at once. Else they have means, percentiles, recovery and trend, of the rest (curves
        and shares, cold parts, most intervals, maps) only what is known, and `Evaluated.with_maps` gives it.
    """
    memory = memory or Remembered()
    evaluated: list[Evaluated] = []
    for number, fraction in enumerate(fractions):
        if number < len(known) and len(evaluated) == number and _is_same(known[number].fraction, fraction):
            evaluated.append(known[number])
            continue
        known = ()
        evaluated.append(_evaluate(fraction, evaluated, volumes, physics, memory))
    results = with_trends(
        [e.result for e in evaluated], [e.progress.doses for e in evaluated], volumes, physics, outlook
    )
    told = [replace(e, result=result) for e, result in zip(evaluated, results, strict=True)]
    return tuple(e.with_maps(if_known=not maps) for e in told)


def _is_same(first: ImagedFraction, second: ImagedFraction) -> bool:
    """Whether two fractions were made of the same injection and the same maps."""
    return (
        first.injection == second.injection
        and first.holmium is second.holmium
        and first.r2star is second.r2star
        and first.baseline is second.baseline
        and (first.baseline_name, first.new_frame) == (second.baseline_name, second.new_frame)
        and (first.error, first.series_instance_uid, first.acquired_at, first.provisional_reasons)
        == (second.error, second.series_instance_uid, second.acquired_at, second.provisional_reasons)
    )


def _evaluate(
    fraction: ImagedFraction,
    before: Sequence[Evaluated],
    volumes: Sequence[VolumeOfInterest],
    physics: Physics,
    memory: Remembered,
) -> Evaluated:
    """One fraction after those before it."""
    progress = before[-1].progress if before else Progress()
    so_far = [*(e.fraction for e in before), fraction]
    judged = memory.recall(
        ("judged", fraction.injection.key),
        (
            *_made_of(fraction),
            before[-1].progress if before else None,
            *(e.fraction.injection for e in before),
            *volumes,
            *(physics.isotope, physics.relaxivity_per_s_per_mg_ml, physics.holmium_fraction, physics.repeat_per_s),
        ),
        physics.settings,
        lambda s: _judge(fraction, progress, so_far, volumes, replace(physics, settings=s), memory),
    )
    drawing = None
    if judged.fraction.holmium is not None and judged.progress.content is not None:
        drawing = Drawing(
            fraction=judged.fraction,
            content=judged.progress.content,
            volumes=tuple(v.volume for v in volumes),
            physics=physics,
            memory=memory,
            before=next((e.drawing for e in reversed(before) if e.drawing is not None), None),
        )
    return Evaluated(
        fraction=fraction,
        result=judged.result,
        progress=judged.progress,
        drawing=drawing,
        details=None if drawing is None else Details(judged=judged, drawing=drawing, volumes=tuple(volumes)),
    )


def _made_of(fraction: ImagedFraction) -> tuple[object, ...]:
    """What tells a fraction from others: its shares and weights of S0 were found together with its holmium."""
    return tuple(getattr(fraction, f.name) for f in fields(fraction) if f.name not in ("shares", "s0_weight"))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judged:
    """A fraction as it was used, and what became of it before trends, details and maps.

    ``before`` are the volumes of the last image.
    """

    fraction: ImagedFraction
    result: FractionResult
    progress: Progress
    measured: Mapping[str, Measured] = field(default_factory=dict)
    sampled: Sampled | None = None
    before: Mapping[str, MeasuredDose] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Details:
    """What is told of a fraction's volumes and no other number depends on, computed when it is asked for."""

    judged: _Judged
    drawing: Drawing
    volumes: tuple[VolumeOfInterest, ...]

    @property
    def is_known(self) -> bool:
        """Whether they are there already, or those of other settings that make the same."""
        return self.drawing.memory.knows(*self._stage, self.drawing.physics.settings)

    def of(self, result: FractionResult) -> FractionResult:
        """The fraction's result with them."""
        found = self.drawing.memory.recall(*self._stage, self.drawing.physics.settings, self._computed)
        return replace(result, volumes=found.volumes, scintigraphic=found.scintigraphic)

    @property
    def _stage(self) -> tuple[Identity, Identity]:
        return ("details", self.drawing.fraction.injection.key), (self.judged, *self.volumes)

    def _computed(self, settings: QuantificationSettings) -> FractionResult:
        judged, physics = self.judged, replace(self.drawing.physics, settings=settings)
        drawing = replace(self.drawing, physics=physics)
        result = with_intervals(
            judged.result,
            detailed(drawing, self.volumes, judged.measured),
            sampled=judged.sampled,
            before=judged.before,
            lineage=judged.progress.lineage,
            physics=physics,
        )
        return replace(result, scintigraphic=scintigraphic(drawing, self.volumes))


def _judge(
    fraction: ImagedFraction,
    progress: Progress,
    so_far: Sequence[ImagedFraction],
    volumes: Sequence[VolumeOfInterest],
    physics: Physics,
    memory: Remembered,
) -> _Judged:
    waiting = progress.waiting
    progress = replace(progress, waiting=(*waiting, fraction.injection))
    if fraction.holmium is None:
        return _Judged(fraction=fraction, result=_fraction_result(fraction, so_far), progress=progress)
    fraction, progress = _with_usable_baseline(fraction, waiting, progress)
    earlier = {name: progress.doses[name] for name in progress.latest}
    progress, content = with_image(fraction, progress, physics, memory)
    drawing = Drawing(
        fraction=fraction,
        content=content,
        volumes=tuple(v.volume for v in volumes),
        physics=physics,
        memory=memory,
    )
    measured = measured_volumes(drawing, volumes, progress)
    result, sampled = with_means(
        _fraction_result(fraction, so_far, spanned=waiting),
        measured,
        lineage=progress.lineage,
        injected=_injected(so_far),
        physics=physics,
    )
    doses = {name: own.dose for name, own in measured.items() if own.dose is not None}
    progress = replace(progress, doses={**progress.doses, **doses}, latest=frozenset(doses))
    return _Judged(
        fraction=fraction, result=result, progress=progress, measured=measured, sampled=sampled, before=earlier
    )


def _with_usable_baseline(
    fraction: ImagedFraction, waiting: Sequence[Injection], progress: Progress
) -> tuple[ImagedFraction, Progress]:
    """The fraction without its new baseline if that hides injections that were never imaged before it."""
    name = fraction.baseline_name
    offsets = {} if progress.content is None else progress.content.offsets
    if fraction.baseline is None or (name in offsets and name not in progress.unusable):
        return fraction, progress
    if not waiting and name not in progress.unusable:
        return fraction, progress
    hidden = ", ".join(i.label for i in waiting)
    why = "the new baseline is not used: it holds injections that were not imaged before it"
    return (
        replace(
            fraction,
            baseline=None,
            new_frame=f"of {name}",
            provisional_reasons=(*fraction.provisional_reasons, f"{why} ({hidden})" if hidden else why),
        ),
        replace(progress, unusable=progress.unusable | {name}),
    )


def _fraction_result(
    fraction: ImagedFraction,
    so_far: Sequence[ImagedFraction],
    spanned: Sequence[Injection] = (),
) -> FractionResult:
    """What is known of a fraction before its volumes are looked at; its image shows the `spanned` injections too."""
    injection = fraction.injection
    reasons = fraction.provisional_reasons
    reasons += tuple(f"{i.label}: {i.provisional_reason}" for i in spanned if i.provisional_reason)
    if injection.provisional_reason:
        reasons = (injection.provisional_reason, *reasons)
    here = [f.injection for f in so_far if f.injection.position == injection.position]
    status = FractionStatus.PROVISIONAL if reasons else FractionStatus.OK
    if fraction.holmium is None:
        status = FractionStatus.FAILED
    return FractionResult(
        position=injection.position,
        fraction=injection.fraction,
        status=status,
        error=fraction.error,
        provisional_reasons=reasons,
        injected_mbq=injection.activity_mbq,
        injected_u_mbq=injection.activity_u_mbq,
        position_injected_mbq=_sum_activity(here),
        cumulative_injected_mbq=_sum_activity(f.injection for f in so_far),
        series_instance_uid=fraction.series_instance_uid,
        acquired_at=fraction.acquired_at,
        registration=fraction.registration,
        notes=fraction.notes if fraction.baseline is None else (*fraction.notes, _RENEWED),
    )


def _injected(so_far: Sequence[ImagedFraction]) -> Injected | None:
    """All that was injected so far; None as soon as one activity is unknown."""
    total = _sum_activity(f.injection for f in so_far)
    if total is None:
        return None
    # An assumed loss is the same guess for every injection: its uncertainties add up.
    return Injected(activity_mbq=total, u_mbq=sum(f.injection.activity_u_mbq or 0.0 for f in so_far))


def _sum_activity(injections: Iterable[Injection]) -> float | None:
    """Total of the activities; None as soon as one is unknown."""
    total = 0.0
    for injection in injections:
        if injection.activity_mbq is None:
            return None
        total += injection.activity_mbq
    return total
