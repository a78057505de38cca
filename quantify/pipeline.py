"""From maps of holmium to results: activity, dose, statistics, recovery and trend of every fraction of a treatment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from quantify.findings import FractionMaps, FractionResult, FractionStatus, Injection
from quantify.fraction_maps import Progress, fraction_maps
from quantify.imaged import ImagedFraction, Physics, VolumeOfInterest, prepare_volumes
from quantify.recovery import with_recovery
from quantify.uptake import with_trends
from quantify.volume_results import all_statistics

__all__ = ["Evaluated", "ImagedFraction", "Physics", "VolumeOfInterest", "evaluate_treatment", "prepare_volumes"]


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
    feeds: Mapping[str, Sequence[str]],
    known: Sequence[Evaluated] = (),
) -> tuple[Evaluated, ...]:
    """Results of all fractions in order of injection.

    Parameters
    ----------
    fractions
        In order of injection; a failed one stays in the list, its activity counts for the next image.
    volumes
        From `prepare_volumes`, on the reference grid; may be empty (maps only).
    feeds
        Names of the volumes that a position feeds; a position that is not listed feeds all.
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
    results = with_trends([e.result for e in evaluated], volumes, physics.settings, feeds)
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
    maps = None
    if fraction.holmium is not None:
        progress, maps = fraction_maps(fraction, progress, [v.volume for v in volumes], physics)
    result = _fraction_result(fraction, maps, progress, so_far, volumes, physics)
    return Evaluated(fraction=fraction, result=result, progress=progress)


def _fraction_result(
    fraction: ImagedFraction,
    maps: FractionMaps | None,
    progress: Progress,
    so_far: Sequence[ImagedFraction],
    volumes: Sequence[VolumeOfInterest],
    physics: Physics,
) -> FractionResult:
    injection = fraction.injection
    reasons = fraction.provisional_reasons
    if injection.provisional_reason:
        reasons = (injection.provisional_reason, *reasons)
    here = [f.injection for f in so_far if f.injection.position == injection.position]
    injected = _sum_activity(f.injection for f in so_far)
    status = FractionStatus.FAILED if maps is None else FractionStatus.PROVISIONAL if reasons else FractionStatus.OK
    result = FractionResult(
        position=injection.position,
        fraction=injection.fraction,
        status=status,
        error=fraction.error,
        provisional_reasons=reasons,
        injected_mbq=injection.activity_mbq,
        position_injected_mbq=_sum_activity(here),
        cumulative_injected_mbq=injected,
        series_instance_uid=fraction.series_instance_uid,
        acquired_at=fraction.acquired_at,
        registration=fraction.registration,
        maps=maps,
    )
    if maps is None:
        return result
    statistics = all_statistics(fraction, maps, volumes, physics)
    return with_recovery(replace(result, volumes=statistics), so_far, physics)


def _sum_activity(injections: Iterable[Injection]) -> float | None:
    """Total of the activities; None as soon as one is unknown."""
    total = 0.0
    for injection in injections:
        if injection.activity_mbq is None:
            return None
        total += injection.activity_mbq
    return total
