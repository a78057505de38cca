"""From maps of holmium to results: activity, dose, statistics, recovery and trend of every fraction of a treatment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from quantify.findings import FractionMaps, FractionResult, FractionStatus, Injection
from quantify.fraction_maps import Progress, fraction_maps
from quantify.imaged import ImagedFraction, Physics, VolumeOfInterest, prepare_volumes
from quantify.intervals import Injected, with_intervals
from quantify.uptake import Outlook, with_trends
from quantify.volume_results import measured_volumes, scintigraphic

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated:
    """A fraction with its result and what the next one builds on."""

    fraction: ImagedFraction
    result: FractionResult
    progress: Progress


def evaluate_treatment(
    fractions: Sequence[ImagedFraction],
    *,
    volumes: Sequence[VolumeOfInterest],
    physics: Physics,
    outlook: Outlook = _NOTHING_PLANNED,
    known: Sequence[Evaluated] = (),
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
    """
    evaluated: list[Evaluated] = []
    for number, fraction in enumerate(fractions):
        if number < len(known) and len(evaluated) == number and _is_same(known[number].fraction, fraction):
            evaluated.append(known[number])
            continue
        known = ()
        before = evaluated[-1] if evaluated else None
        evaluated.append(_evaluate(fraction, before, fractions[: number + 1], volumes, physics))
    results = with_trends(
        [e.result for e in evaluated], [e.progress.doses for e in evaluated], volumes, physics, outlook
    )
    return tuple(replace(e, result=result) for e, result in zip(evaluated, results, strict=True))


def _is_same(first: ImagedFraction, second: ImagedFraction) -> bool:
    """Whether two fractions were made of the same injection and the same maps."""
    return (
        first.injection == second.injection
        and first.holmium is second.holmium
        and first.r2star is second.r2star
        and first.baseline is second.baseline
        and first.repositioned == second.repositioned
        and (first.error, first.series_instance_uid, first.acquired_at, first.provisional_reasons)
        == (second.error, second.series_instance_uid, second.acquired_at, second.provisional_reasons)
    )


def _evaluate(
    fraction: ImagedFraction,
    before: Evaluated | None,
    so_far: Sequence[ImagedFraction],
    volumes: Sequence[VolumeOfInterest],
    physics: Physics,
) -> Evaluated:
    progress = before.progress if before is not None else Progress()
    progress = replace(progress, waiting=(*progress.waiting, fraction.injection))
    if fraction.holmium is None:
        return Evaluated(fraction=fraction, result=_fraction_result(fraction, None, so_far), progress=progress)
    earlier = progress.doses
    progress, maps = fraction_maps(fraction, progress, [v.volume for v in volumes], physics)
    measured = measured_volumes(fraction, maps, volumes, progress, physics)
    result = with_intervals(
        _fraction_result(fraction, maps, so_far),
        measured,
        before=earlier,
        lineage=progress.lineage,
        injected=_injected(so_far),
        physics=physics,
    )
    result = replace(result, scintigraphic=scintigraphic(maps, volumes, physics))
    doses = {name: own.dose for name, own in measured.items() if own.dose is not None}
    return Evaluated(fraction=fraction, result=result, progress=replace(progress, doses=doses))


def _fraction_result(
    fraction: ImagedFraction, maps: FractionMaps | None, so_far: Sequence[ImagedFraction]
) -> FractionResult:
    """What is known of a fraction before its volumes are looked at."""
    injection = fraction.injection
    reasons = fraction.provisional_reasons
    if injection.provisional_reason:
        reasons = (injection.provisional_reason, *reasons)
    here = [f.injection for f in so_far if f.injection.position == injection.position]
    status = FractionStatus.FAILED if maps is None else FractionStatus.PROVISIONAL if reasons else FractionStatus.OK
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
        maps=maps,
        notes=fraction.notes,
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
