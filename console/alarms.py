"""Alarms: what somebody has to see, derived from results. The same finding has the same id in every run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from config.plan import TreatmentPlan
from config.settings import AlarmSettings
from console.arrivals import ClockBound, Objection
from console.snapshot import Binding
from dicom_listener.events import Event
from dicom_listener.images import SeriesState, SeriesStatus
from quantify.findings import (
    Alarm,
    FractionResult,
    FractionStatus,
    Priority,
    RegistrationStatus,
    TrendStatus,
    VolumeStatus,
)
from quantify.model import Role
from quantify.thresholds import is_of

_K95 = 1.96
_MEASURED = re.compile(r"\d+(\.\d+)?(?= (?:%|mL|mm)(?!\w))")
"""What a sentence measured; numbers in the names of structures are none of it."""


def find_alarms(
    *,
    plan: TreatmentPlan,
    settings: AlarmSettings,
    results: Sequence[FractionResult],
    series: Sequence[SeriesState],
    bindings: Sequence[Binding],
    overdue: Collection[str] = (),
    clock: ClockBound | None = None,
    clock_offset_s: float | None = None,
    quarantined: Sequence[Event],
    storage_failed: Sequence[Event] = (),
    objections: Sequence[Objection] = (),
    damage: str | None = None,
    structure_faults: Sequence[str],
    fault: str = "",
    since: datetime,
) -> tuple[Alarm, ...]:
    """Every alarm that the treatment as known gives cause for; high priority first, then in order of time.

    `since` dates the alarms that no image or event dates (a structure that is missing). `overdue` are the keys of the
    series that are incomplete and past their time; `clock` is what arrivals prove of the scanner's clock, and
    `clock_offset_s` what an operator confirmed.
    """
    found: list[Alarm] = []
    found += [_quarantine(event) for event in quarantined]
    if damage is not None:
        found.append(_alarm(Priority.HIGH, "file_damaged", f"Only a part of the treatment is shown: {damage}", since))
    names = {uid: state.description or state.protocol for state in series for uid in state.series_instance_uids}
    found += [_objection(own, names.get(own.series_instance_uid, "")) for own in objections]
    found += [_storage_failed(event, ZoneInfo(plan.time_zone)) for event in storage_failed]
    at_fault = _fractions_without_a_usable_series(series, bindings)
    found += [alarm for result in results for alarm in _of_result(result, plan, settings, since, at_fault)]
    found += _of_series(series, bindings, overdue, since)
    found += _of_clock(clock, clock_offset_s, settings, since)
    found += [
        _alarm(Priority.MEDIUM, "structures", fault, since, detail=_MEASURED.sub("", fault))
        for fault in structure_faults
    ]
    if fault:
        found.append(_alarm(Priority.HIGH, "not_quantified", fault, since))
    order = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2}
    unique = {alarm.id: alarm for alarm in found}
    return tuple(sorted(unique.values(), key=lambda a: (order[a.priority], a.raised_at, a.id)))


def _alarm(
    priority: Priority,
    kind: str,
    text: str,
    raised_at: datetime,
    *,
    position: str | None = None,
    fraction: int | None = None,
    volume: str | None = None,
    detail: str = "",
    series: str = "",
) -> Alarm:
    # Not the text: its numbers change when a series is completed late, the finding does not. Nor the place of a series
    # in the course: an injection that is recorded later changes it.
    place = [series] if series else [position or "", str(fraction or ""), volume or ""]
    identity = "|".join([kind, *place, detail])
    return Alarm(
        id=hashlib.sha256(identity.encode()).hexdigest()[:16],
        priority=priority,
        kind=kind,
        text=text,
        raised_at=raised_at,
        position=position,
        fraction=fraction,
        volume=volume,
    )


def _quarantine(event: Event) -> Alarm:
    cause = str(event.payload.get("cause", ""))
    kind = "patient_mismatch" if cause == "other_patient" else "instance_conflict"
    text = (
        "Images of another patient were received and set aside in the quarantine file."
        if cause == "other_patient"
        else "An image was received twice with different content; the second was set aside in the quarantine file."
    )
    # One alarm a sender and cause: a hundred misdirected images are one finding.
    return _alarm(Priority.HIGH, kind, text, event.utc, detail=str(event.payload.get("association", "")))


def _objection(own: Objection, series: str) -> Alarm:
    """What could not be used is medium, an assumption is low."""
    text = f"{series}: {own.reason}" if series else own.reason
    priority, kind = (Priority.LOW, "assumption") if own.used else (Priority.MEDIUM, "instance_unusable")
    return _alarm(priority, kind, text, own.since, detail=f"{own.series_instance_uid} {own.reason}")


def _storage_failed(event: Event, zone: ZoneInfo) -> Alarm:
    first, last = (
        datetime.fromisoformat(str(event.payload[key])).astimezone(zone) for key in ("first_utc", "last_utc")
    )
    count = int(event.payload.get("instances", 0))
    text = (
        f"{count} image{'' if count == 1 else 's'} could not be stored from {first:%H:%M:%S} to {last:%H:%M:%S} "
        f"({event.payload.get('comment', '')}) and {'was' if count == 1 else 'were'} refused; have the scanner send "
        f"{'it' if count == 1 else 'them'} again."
    )
    return _alarm(Priority.HIGH, "storage_failed", text, event.utc, detail=first.isoformat())


def _of_result(
    result: FractionResult,
    plan: TreatmentPlan,
    settings: AlarmSettings,
    since: datetime,
    at_fault: Collection[tuple[str | None, int | None]],
) -> Iterable[Alarm]:
    when = result.acquired_at or since  # a fraction that was never imaged has no acquisition of its own
    own = {"position": result.position, "fraction": result.fraction}
    registration = result.registration
    if registration is not None and registration.status == RegistrationStatus.FAILED:
        yield _alarm(
            Priority.MEDIUM,
            "registration_failed",
            f"{result.label}: registration failed, dose withheld: {registration.message}",
            when,
            **own,  # type: ignore[arg-type]
        )
    elif result.status == FractionStatus.FAILED and result.key not in at_fault:
        yield _alarm(Priority.MEDIUM, "fraction_failed", f"{result.label}: {result.error}", when, **own)  # type: ignore[arg-type]
    if result.recovery_ratio is not None:
        off = abs(result.recovery_ratio - 1.0)
        band = max(settings.recovery_band_pct / 100.0, 2.0 * (result.recovery_u or 0.0))
        # Where the liver's activity is a lower bound, too little of it proves nothing.
        at_least = any(s.role == Role.LIVER and s.status == VolumeStatus.LOWER_BOUND for s in result.volumes.values())
        if off > band and not (at_least and result.recovery_ratio < 1.0):
            yield _alarm(
                Priority.MEDIUM,
                "recovery",
                f"{result.label}: recovery {100 * result.recovery_ratio:.0f} %, outside 100 ± {100 * band:.0f} %",
                when,
                **own,  # type: ignore[arg-type]
            )
    for limit in plan.limits:
        statistics = result.volumes.get(limit.volume)
        if statistics is None or statistics.dose_mean_gy is None:
            continue
        interval = statistics.intervals.get("dose_mean_gy")
        plain = statistics.dose_mean_gy + _K95 * (statistics.dose_mean_u_gy or 0.0)
        upper = plain if interval is None else interval.high_95
        if upper > limit.dose_gy:
            healthy = statistics.role != Role.TUMOUR
            alone = sum(other.volume == limit.volume for other in plan.limits) == 1
            foreign = "" if is_of(limit.isotope) else f" (found with {limit.isotope}; it does not carry over to 166Ho)"
            yield _alarm(
                Priority.HIGH if healthy else Priority.LOW,
                "limit",
                f"{limit.volume} {statistics.dose_mean_gy:.0f} ± {statistics.dose_mean_u_gy or 0:.0f} Gy after "
                f"{result.label}, upper bound {upper:.0f} Gy, limit {limit.dose_gy:g} Gy{foreign}",
                when,
                volume=limit.volume,
                # One limit of a volume has the volume's id; of several, each its own.
                detail="" if alone else f"{limit.dose_gy:g} {limit.isotope or ''}",
                **own,  # type: ignore[arg-type]
            )
    yield from _of_trend(result, when)


def _of_trend(result: FractionResult, when: datetime) -> Iterable[Alarm]:
    for name, point in result.trend.items():
        if point.status != TrendStatus.TESTED or not point.flagged or point.deviation_pct is None:
            continue
        statistics = result.volumes.get(name)
        role = statistics.role if statistics is not None else Role.TUMOUR
        above = point.direction == "above"
        if role != Role.TUMOUR and not above:
            continue  # less than expected in healthy tissue harms nobody
        beyond = "outside" if point.significant else "within"
        yield _alarm(
            Priority.MEDIUM if role != Role.TUMOUR else Priority.LOW,
            "trend_deviation",
            f"{name} {_signed(point.deviation_pct)} % ({_signed(point.deviation_gy or 0)} Gy) from its line after "
            f"{result.label}, {beyond} the prediction interval",
            when,
            position=result.position,
            fraction=result.fraction,
            volume=name,
        )


def _signed(value: float) -> str:
    """A whole number with its sign, the minus as typeset."""
    return f"{value:+.0f}".replace("-", "−")


def _fractions_without_a_usable_series(
    series: Sequence[SeriesState], bindings: Sequence[Binding]
) -> set[tuple[str | None, int | None]]:
    """The (position, fraction) whose failure is a series' fault: the series has its own alarm, or will have in time."""
    incomplete = {state.key for state in series if state.status != SeriesStatus.COMPLETE}
    unusable = {(b.position, b.fraction) for b in bindings if b.role == "refused" or b.series_key in incomplete}
    usable = {(b.position, b.fraction) for b in bindings if b.role == "fraction" and b.series_key not in incomplete}
    return unusable - usable


def _of_clock(
    clock: ClockBound | None, confirmed_s: float | None, settings: AlarmSettings, since: datetime
) -> Iterable[Alarm]:
    if clock is not None and clock.ahead_s - (confirmed_s or 0.0) > settings.clock_offset_s:
        than = "" if confirmed_s is None else f", {clock.ahead_s - confirmed_s:.0f} s more than confirmed"
        text = (
            f"The scanner's clock is at least {clock.ahead_s:.0f} s ahead{than}: an image arrived before it was begun. "
            "Compare the clocks and confirm the offset."
        )
        yield _alarm(Priority.MEDIUM, "clock_offset", text, clock.at)
    elif confirmed_s is not None and abs(confirmed_s) > settings.clock_offset_s:
        direction = "ahead" if confirmed_s > 0 else "behind"
        text = (
            f"The scanner's clock is {abs(confirmed_s):.0f} s {direction}, as confirmed; "
            "series are matched to injections with that correction. Have the clock set."
        )
        yield _alarm(Priority.MEDIUM, "clock_offset", text, since)


def _of_series(
    series: Sequence[SeriesState], bindings: Sequence[Binding], overdue: Collection[str], since: datetime
) -> Iterable[Alarm]:
    by_key = {binding.series_key: binding for binding in bindings}
    for state in series:
        binding = by_key.get(state.key)
        if binding is None:
            continue
        when = state.acquired_at or since  # a series without any time is incomplete, and has to be told for that
        own = {"position": binding.position, "fraction": binding.fraction}
        name = state.description or state.protocol or "series"
        if state.key in overdue and (len(state.echo_times_s) > 1 or binding.role == "fraction"):
            # What speaks against the whole series is worth more than which images of it are missing.
            refusal = state.holmium_refusal or ""
            text = f"{name}: {state.reason}" + (f"; {refusal}" if refusal not in state.reason else "")
            yield _alarm(Priority.MEDIUM, "series_incomplete", text, when, series=state.key, **own)  # type: ignore[arg-type]
        if state.revision > 1 and binding.role in ("reference", "fraction", "baseline"):
            late = "1 image" if state.revision == 2 else f"{state.revision - 1} images"
            text = f"{name}: {late} came after it was complete; what depends on it was computed anew."
            yield _alarm(Priority.LOW, "late_image", text, when, series=state.key, **own)  # type: ignore[arg-type]
        if binding.role == "superseded":
            text = (
                f"Two holmium series after {binding.position} F{binding.fraction}: the last is used. "
                "A repeat, an unlogged injection, or a new baseline? Answer in Series (F4) or by holmia assign."
            )
            yield _alarm(Priority.MEDIUM, "ambiguous_series", text, when, **own)  # type: ignore[arg-type]
        if binding.role == "refused":
            yield _alarm(
                Priority.MEDIUM,
                "series_refused",
                f"{name}: {binding.why}",
                when,
                series=state.key,
                **own,  # type: ignore[arg-type]
            )
