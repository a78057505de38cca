"""Which series is which fraction: reference, fraction, baseline, anatomy, or why not (docs/decisions/0007)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from config.settings import QuantificationSettings
from console.snapshot import Binding
from console.treatment import Key, Treatment, injections
from dicom_listener.images import SeriesState, SeriesStatus
from quantify.echoes import common_echoes
from quantify.findings import Injection


def bind(treatment: Treatment, states: Sequence[SeriesState], structures_on: frozenset[str]) -> tuple[Binding, ...]:
    """What every series is to the treatment (docs/decisions/0007): reference, fraction, anatomy, or why not.

    `structures_on` are the UIDs of the series that the structures were drawn on. The last complete multi-echo
    gradient echo before the first injection is the reference until a fraction has been held against one; the complete
    series after injection k and before injection k+1 is fraction k; of two in one window the last is used. What was
    begun between the recorded start and end of an injection is neither: one of the times is wrong.
    """
    every = injections(treatment)
    happened = [i for i in every if i.time is not None]
    offset_s = treatment.clock_offset_s or 0.0
    usable = [s for s in states if s.status == SeriesStatus.COMPLETE and s.holmium_refusal is None]
    during = {s.key: own for s in states if (own := _during(s, every, offset_s)) is not None}
    automatic = [s for s in usable if s.key not in treatment.assignments and s.key not in during]
    before = [s for s in automatic if _window(s, happened, offset_s) is None]
    assigned_reference = [key for key, said in treatment.assignments.items() if said["role"] == "reference"]
    locked = next((s for s in states if s.key == treatment.reference_key), None)
    if locked is not None and (
        locked.key in treatment.assignments or locked.key in during or _window(locked, happened, offset_s) is not None
    ):
        locked = None
    reference = locked or (before[-1] if before else None)
    if assigned_reference:
        reference = next((s for s in states if s.key == assigned_reference[-1]), None)
    windows: dict[Key, str] = {}
    for state in automatic:
        injection = _window(state, happened, offset_s)
        if injection is not None and _protocol_fault(state, reference, treatment) is None:
            windows[injection.key] = state.key  # states come in order of acquisition: the last one stays
    for key, said in treatment.assignments.items():
        if said["role"] == "fraction":
            windows[str(said["position"]), int(said["fraction"])] = key  # what the operator says wins
    return tuple(
        _binding(state, treatment, reference, windows, happened, structures_on, during.get(state.key))
        for state in states
    )


def _binding(
    state: SeriesState,
    treatment: Treatment,
    reference: SeriesState | None,
    windows: Mapping[Key, str],
    happened: Sequence[Injection],
    structures_on: frozenset[str],
    during: Injection | None,
) -> Binding:
    said = treatment.assignments.get(state.key)
    if said is not None:
        return _assigned(state, said, treatment, reference, windows)
    if reference is not None and state.key == reference.key:
        fault = _calibration_fault(state, treatment)
        return Binding(
            series_key=state.key, role="reference" if fault is None else "refused", why=fault or _WHY_REFERENCE
        )
    injection = during or _window(state, happened, treatment.clock_offset_s or 0.0)
    # Structures may be drawn on a fraction's own series: that stays a fraction.
    may_be_a_fraction = state.holmium_refusal is None and injection is not None
    if structures_on.intersection(state.series_instance_uids) and not may_be_a_fraction:
        return Binding(series_key=state.key, role="anatomy", why="the structures were drawn on it")
    # Of what has not arrived yet it cannot be said what it is: the first echo alone is no multi-echo series.
    if state.holmium_refusal is not None and state.status != SeriesStatus.ARRIVING:
        return Binding(series_key=state.key, role="ignored", why=state.holmium_refusal)
    if state.status != SeriesStatus.COMPLETE:
        where = {} if injection is None else {"position": injection.position, "fraction": injection.fraction}
        return Binding(series_key=state.key, role="unbound", why=state.reason, **where)  # type: ignore[arg-type]
    if injection is None:
        return Binding(
            series_key=state.key,
            role="repeatability",
            why="acquired before the first injection, not the last such series",
        )
    fault = _begun_during(during) if during is not None else _protocol_fault(state, reference, treatment)
    if fault is not None:
        return Binding(
            series_key=state.key, role="refused", position=injection.position, fraction=injection.fraction, why=fault
        )
    used = windows.get(injection.key) == state.key
    if not used and windows.get(injection.key) in treatment.assignments:
        return Binding(
            series_key=state.key,
            role="ignored",
            position=injection.position,
            fraction=injection.fraction,
            why=f"the operator assigned another series to {injection.label}",
        )
    return Binding(
        series_key=state.key,
        role="fraction" if used else "superseded",
        position=injection.position,
        fraction=injection.fraction,
        why=f"acquired after injection {injection.label} and before the next"
        + ("" if used else "; a later series of the same window is used"),
    )


def _assigned(
    state: SeriesState,
    said: Mapping[str, Any],
    treatment: Treatment,
    reference: SeriesState | None,
    windows: Mapping[Key, str],
) -> Binding:
    """What the operator says a series is, unless it cannot be that: another field strength stays refused."""
    role, why, fault = str(said["role"]), "assigned by the operator", None
    if role == "reference":
        if reference is not None and state.key != reference.key:
            role, why = "ignored", "the operator assigned another reference later"
        fault = _calibration_fault(state, treatment)
    elif role in ("fraction", "baseline"):
        fault = _protocol_fault(state, reference, treatment)
        if role == "fraction" and windows[str(said["position"]), int(said["fraction"])] != state.key:
            role, why = "ignored", "the operator assigned another series to this injection later"
    if fault is not None and role != "ignored":
        role, why = "refused", f"assigned by the operator, but {fault}"
    return Binding(
        series_key=state.key,
        role="ignored" if role == "ignore" else role,
        position=said.get("position"),
        fraction=said.get("fraction"),
        confirmed=True,
        why=why,
    )


_WHY_REFERENCE = "the last complete multi-echo gradient echo before the first injection"


def _window(state: SeriesState, happened: Sequence[Injection], clock_offset_s: float) -> Injection | None:
    """The last injection that ended before the acquisition started; None before the first."""
    if state.acquired_at is None:
        return None
    start = state.acquired_at - timedelta(seconds=clock_offset_s)
    earlier = [i for i in happened if i.time is not None and i.time <= start]
    return earlier[-1] if earlier else None


def _during(state: SeriesState, every: Sequence[Injection], clock_offset_s: float) -> Injection | None:
    """The injection that was under way when the acquisition started, by what was recorded; None if none was."""
    if state.acquired_at is None:
        return None
    start = state.acquired_at - timedelta(seconds=clock_offset_s)
    begun = (i for i in every if i.started_at is not None and i.started_at <= start)
    return next((i for i in begun if i.time is None or start < i.time), None)


def _begun_during(injection: Injection) -> str:
    """Why it is neither before nor after: an end that is recorded late would make it the reference, or another's."""
    if injection.time is None:
        return f"it was begun while {injection.label} is under way: say when that ended, or what the series is"
    return f"it was begun before {injection.label} had ended: correct that end, or say what the series is"


def _calibration_fault(state: SeriesState, treatment: Treatment) -> str | None:
    """Why a series cannot be quantified with the plan's calibration; None if it can."""
    plan = treatment.plan
    if plan is None or state.field_strength_t is None:
        return None
    if abs(state.field_strength_t - plan.calibration.field_t) > 0.05 * plan.calibration.field_t:
        return (
            f"acquired at {state.field_strength_t:g} T but the relaxivity was calibrated at "
            f"{plan.calibration.field_t:g} T; give the calibration of this scanner"
        )
    return None


def _protocol_fault(state: SeriesState, reference: SeriesState | None, treatment: Treatment) -> str | None:
    """Why a series cannot be subtracted from the reference; None if it can."""
    fault = _calibration_fault(state, treatment)
    if fault is not None or reference is None:
        return fault
    if (
        state.field_strength_t is not None
        and reference.field_strength_t is not None
        and abs(state.field_strength_t - reference.field_strength_t) > 0.05 * reference.field_strength_t
    ):
        return f"acquired at {state.field_strength_t:g} T, the reference at {reference.field_strength_t:g} T"
    return _echo_fault(state, reference, treatment.quantification or QuantificationSettings())


def _echo_fault(state: SeriesState, reference: SeriesState, settings: QuantificationSettings) -> str | None:
    """Why the echoes of a series cannot be held against the reference's; None if enough of them are the same."""
    tolerance_s = settings.echo_time_tolerance_ms / 1000.0
    try:
        common = len(common_echoes(reference.echo_times_s, state.echo_times_s, tolerance_s=tolerance_s)[0])
    except ValueError:
        common = 0
    if common == len(reference.echo_times_s) or common >= settings.minimum_common_echoes:
        return None
    return (
        f"echo times {_milliseconds(state.echo_times_s)} differ from the reference's "
        f"{_milliseconds(reference.echo_times_s)}: {common} in common, {settings.minimum_common_echoes} are needed; "
        "repeat the series with the reference's protocol"
    )


def _milliseconds(times_s: Sequence[float]) -> str:
    return "/".join(f"{1000 * t:g}" for t in times_s) + " ms"
