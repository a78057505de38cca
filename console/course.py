"""The course of a treatment: which injections need a result, what stands for an image that is missing, what is next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from config.plan import TreatmentPlan
from console.snapshot import Binding
from console.treatment import Treatment, injections
from dicom_listener.images import SeriesState, SeriesStatus
from quantify.findings import Injection
from quantify.pipeline import ImagedFraction, Outlook


def outlook(treatment: Treatment, plan: TreatmentPlan) -> Outlook:
    """What the plan says of the treatment's course: what feeds what, what comes next at each position, limits."""
    following: dict[tuple[str, int], float] = {}
    last: dict[str, Injection] = {}
    for injection in injections(treatment):
        if injection.aborted and injection.time is None:
            continue  # given up before it began: it is not what comes next
        before = last.get(injection.position)
        planned = injection.planned_mbq if injection.planned_mbq is not None else injection.activity_mbq
        if before is not None and planned is not None:
            following[before.key] = planned
        last[injection.position] = injection
    limits: dict[str, float] = {}
    for limit in plan.limits:
        limits[limit.volume] = min(limit.dose_gy, limits.get(limit.volume, limit.dose_gy))
    return Outlook(
        feeds={name: p.volumes for name, p in plan.positions.items() if p.volumes is not None},
        next_mbq=following,
        limits_gy=limits,
    )


def due(
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


def unimaged(injection: Injection, own: Sequence[Binding], by_key: Mapping[str, SeriesState]) -> ImagedFraction:
    """An injection without usable image: what came in its window, or that nothing came, is the error."""
    refused = next((b for b in own if b.role == "refused"), None)
    assigned = next((b for b in own if b.role == "fraction"), None)
    holes = next(
        (b for b in own if b.role == "unbound" and by_key[b.series_key].status == SeriesStatus.INCOMPLETE), None
    )
    arriving = any(by_key[b.series_key].status == SeriesStatus.ARRIVING for b in own)
    state = None
    if injection.outside_mri:
        error = "given outside the MRI: not imaged; its activity counts for the next series"
    elif refused is not None:
        error, state = f"its series cannot be used: {refused.why}", by_key[refused.series_key]
    elif assigned is not None:
        state = by_key[assigned.series_key]
        error = f"its series is not complete: {state.reason}"
    elif holes is not None:
        error, state = f"its series is not complete: {holes.why}", by_key[holes.series_key]
    elif arriving:
        error = "a series that may show it is still arriving"
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
