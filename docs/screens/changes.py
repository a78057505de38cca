"""What the phantom's treatment cannot give: a snapshot with one thing changed, and the alarms that follow from it.

The alarms are found by `console.alarms` from what was changed, so their words are the console's own.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from config.settings import load_settings
from console.alarms import find_alarms
from console.machine import machine_alarms
from console.snapshot import RaisedAlarm, Snapshot
from dicom_listener.events import Event, Kind
from dicom_listener.locks import FileLock
from quantify.findings import (
    Alarm,
    FractionMaps,
    FractionResult,
    FractionStatus,
    Registration,
    RegistrationStatus,
    TrendStatus,
    VolumeStatistics,
    VolumeStatus,
)
from quantify.model import ParametricMap, Reason, Volume

_TOO_MUCH_MB, _MINIMUM_MB = 1e15, load_settings(None).site.minimum_free_disk_mb


def alarmed(
    snapshot: Snapshot,
    *,
    quarantined: Sequence[Event] = (),
    storage_failed: Sequence[Event] = (),
    damage: str | None = None,
    clock_offset_s: float | None = None,
) -> Snapshot:
    """The snapshot with the alarms that its results and series give rise to, and those that are passed on."""
    plan, settings = snapshot.plan, snapshot.settings
    if plan is None or settings is None:
        return snapshot
    since = snapshot.reference.acquired_at if snapshot.reference is not None else None
    found = find_alarms(
        plan=plan,
        settings=settings.alarms,
        results=snapshot.results,
        series=snapshot.series,
        bindings=snapshot.bindings,
        quarantined=quarantined,
        storage_failed=storage_failed,
        damage=damage,
        clock_offset_s=clock_offset_s,
        structure_faults=(),
        since=since or snapshot.events[0].utc,
    )
    return with_alarms(snapshot, found)


def with_alarms(snapshot: Snapshot, found: Iterable[Alarm], *, others: bool = False) -> Snapshot:
    """The snapshot with these alarms active; of those before, the others stay latched (active if `others`)."""
    now = {alarm.id: alarm for alarm in found}
    kept = [replace(raised, active=others or raised.alarm.id in now) for raised in snapshot.alarms]
    known = {raised.alarm.id for raised in kept}
    fresh = [RaisedAlarm(alarm=alarm) for key, alarm in now.items() if key not in known]
    return replace(snapshot, alarms=(*kept, *fresh))


def machine_alarmed(snapshot: Snapshot, at: datetime, *, listening: bool, room: bool) -> Snapshot:
    """The snapshot with what the console sees of its machine, by its own function: a lock that is held or not."""
    with tempfile.TemporaryDirectory(prefix="holmia-screens-") as folder:
        file = Path(folder) / "treatment.holmia"
        file.touch()
        with FileLock.acquire(file, "listener") if listening else contextlib.nullcontext():
            enough = machine_alarms(file, at, minimum_free_mb=0.0)
            # No disk is that large; the words tell the number that the site has set.
            full = () if room else machine_alarms(file, at, minimum_free_mb=_TOO_MUCH_MB)
    found = {alarm.kind: alarm for alarm in (*full, *enough)}
    words = {"disk_full": lambda text: text.replace(f"{_TOO_MUCH_MB:.0f}", f"{_MINIMUM_MB:.0f}")}
    alarms = [replace(a, text=words.get(kind, str)(a.text)) for kind, a in found.items()]
    return with_alarms(snapshot, alarms, others=True)


def event(snapshot: Snapshot, at: datetime, kind: Kind, payload: dict[str, Any]) -> Event:
    """An event as it would stand next in the file."""
    return Event(
        seq=snapshot.head_seq + 1,
        utc=at.astimezone(UTC),
        actor="listener",
        kind=kind,
        payload=payload,
        object_sha256=None,
        previous_hash=snapshot.head_hash,
        hash=snapshot.head_hash[::-1],
    )


def with_event(snapshot: Snapshot, new: Event) -> Snapshot:
    """The snapshot after that event."""
    return replace(snapshot, events=(*snapshot.events, new), head_seq=new.seq, head_hash=new.hash)


def with_last(snapshot: Snapshot, change: Callable[[FractionResult], FractionResult]) -> Snapshot:
    """The snapshot with its latest result changed."""
    return replace(snapshot, results=(*snapshot.results[:-1], change(snapshot.results[-1])))


def other_patient(snapshot: Snapshot, at: datetime) -> Snapshot:
    """Images of somebody else have come and been set aside."""
    said = {"association": "a9", "sha256": "0" * 64, "cause": "other_patient", "text": "The Patient ID differs."}
    new = event(snapshot, at, Kind.INSTANCE_QUARANTINED, said)
    return alarmed(with_event(snapshot, new), quarantined=(new,))


def storage_failed(snapshot: Snapshot, at: datetime) -> Snapshot:
    """The disk could not take images for some seconds."""
    said = {
        "status": 0xA700,
        "comment": "Out of resources: no room on the disk",
        "instances": 12,
        "first_utc": (at - timedelta(seconds=14)).astimezone(UTC).isoformat(),
        "last_utc": (at - timedelta(seconds=3)).astimezone(UTC).isoformat(),
    }
    new = event(snapshot, at, Kind.STORAGE_FAILED, said)
    return alarmed(with_event(snapshot, new), storage_failed=(new,))


def failed_registration(snapshot: Snapshot) -> Snapshot:
    """The latest series could not be laid over the reference: no dose."""
    message = "similarity 0.41 is below 0.60; repeat the series, or give a transform"

    def fail(result: FractionResult) -> FractionResult:
        failed = Registration(
            status=RegistrationStatus.FAILED, translation_mm=(2.1, -7.4, 18.3), rotation_deg=(1.2, 0.4, 3.1),
            similarity=0.41, message=message,
        )  # fmt: skip
        return _without_dose(result, f"registration failed, dose withheld: {message}", failed)

    return alarmed(with_last(snapshot, fail))


def refused_series(snapshot: Snapshot) -> Snapshot:
    """The latest series has other echo times than the reference: it serves as no fraction."""
    why = (
        "echo times 2.3/4.6/6.9 ms differ from the reference's: 0 in common, 5 are needed; repeat the series with the "
        "reference's protocol"
    )
    last = snapshot.results[-1]
    bindings = tuple(
        replace(b, role="refused", why=why) if (b.position, b.fraction) == last.key else b for b in snapshot.bindings
    )
    changed = with_last(snapshot, lambda r: _without_dose(r, f"no series can be used: {why}", None))
    return alarmed(replace(changed, bindings=bindings, imaged=snapshot.imaged[:-1]))


def _without_dose(result: FractionResult, error: str, registration: Registration | None) -> FractionResult:
    return FractionResult(
        position=result.position,
        fraction=result.fraction,
        status=FractionStatus.FAILED,
        error=error,
        injected_mbq=result.injected_mbq,
        position_injected_mbq=result.position_injected_mbq,
        cumulative_injected_mbq=result.cumulative_injected_mbq,
        series_instance_uid=result.series_instance_uid,
        acquired_at=result.acquired_at,
        registration=registration,
    )


def provisional(snapshot: Snapshot) -> Snapshot:
    """The residual activity of the latest injection has not been entered."""
    reasons = ("the residual activity is not entered yet",)
    return with_last(snapshot, lambda r: replace(r, status=FractionStatus.PROVISIONAL, provisional_reasons=reasons))


def not_evaluable(snapshot: Snapshot, name: str) -> Snapshot:
    """Most of a tumour lies next to air: no dose is told for it."""
    message = "12 % evaluable: air interface"

    def lose(result: FractionResult) -> FractionResult:
        before = result.volumes[name]
        lost = VolumeStatistics(
            name=name, role=before.role, status=VolumeStatus.NOT_EVALUABLE, volume_ml=before.volume_ml,
            evaluable_fraction=0.12, message=message, reasons={"air_interface": 0.88},
        )  # fmt: skip
        trend = {key: point for key, point in result.trend.items() if key != name}
        return replace(
            result,
            volumes={**result.volumes, name: lost},
            trend=trend,
            maps=_with_reason(result.maps, _volume(snapshot, name), Reason.AIR_INTERFACE),
        )

    return replace(snapshot, results=tuple(lose(result) for result in snapshot.results))


def lower_bound(snapshot: Snapshot, name: str) -> Snapshot:
    """So much dose that the signal is gone in a tumour's middle: what is told is the least that it can be."""

    def bound(result: FractionResult) -> FractionResult:
        before = result.volumes[name]
        told = replace(
            before,
            status=VolumeStatus.LOWER_BOUND,
            message="34 % of the volume at the noise floor: the mean is a lower bound",
            reasons={"lower_bound": 0.34},
        )
        maps = _with_reason(result.maps, _volume(snapshot, name), Reason.LOWER_BOUND)
        point = replace(
            result.trend[name],
            status=TrendStatus.NOT_TESTABLE,
            message="only a lower bound (≥) of its dose is known: it may lie anywhere above",
            deviation_pct=None,
            deviation_gy=None,
            flagged=None,
            direction=None,
            significant=None,
        )
        trend = {**result.trend, name: point}
        return replace(result, volumes={**result.volumes, name: told}, trend=trend, maps=maps)

    return with_last(snapshot, bound)


def _volume(snapshot: Snapshot, name: str) -> Volume:
    return next(volume for volume in snapshot.volumes if volume.name == name)


def _with_reason(maps: FractionMaps | None, volume: Volume, reason: Reason) -> FractionMaps | None:
    if maps is None:
        return None

    def marked(own: ParametricMap) -> ParametricMap:
        where = volume.occupancy > (0.9 if reason is Reason.LOWER_BOUND else 0.3)
        gone = np.full_like(own.values, np.nan)
        values = own.values if reason is Reason.LOWER_BOUND else np.where(where, gone, own.values)
        return replace(own, values=values, reason=np.where(where, np.uint8(reason), own.reason))

    increment = None if maps.increment is None else marked(maps.increment)
    return replace(maps, dose=marked(maps.dose), increment=increment)


def acknowledged(snapshot: Snapshot, at: datetime, by: str) -> Snapshot:
    """Somebody has acknowledged the alarms; none is cleared by that."""
    return replace(snapshot, alarms=tuple(replace(r, acknowledged_by=by, acknowledged_at=at) for r in snapshot.alarms))


def without_plan(snapshot: Snapshot) -> Snapshot:
    """Images have come, and nothing has been said of the treatment yet."""
    return replace(
        snapshot, plan=None, settings=None, loaded={}, injections=(), volumes=(), volume_sources={}, alarms=(),
        bindings=(), structure_faults=(), awaited=None,
    )  # fmt: skip


def without_volumes(snapshot: Snapshot) -> Snapshot:
    """No object with structures has come."""
    return replace(snapshot, volumes=(), volume_sources={}, structures=(), structure_faults=())


def provisional_injection(snapshot: Snapshot) -> Snapshot:
    """As `provisional`, and told of the injection too."""
    reason = "the residual activity is not entered yet"
    own = snapshot.results[-1].key
    injections = tuple(replace(i, provisional_reason=reason) if i.key == own else i for i in snapshot.injections)
    return replace(provisional(snapshot), injections=injections)


def aborted(snapshot: Snapshot) -> Snapshot:
    """The latest injection was broken off, and how much was delivered is not known."""
    own = snapshot.results[-1].key
    injections = tuple(
        replace(i, aborted=True, activity_mbq=None, provisional_reason="broken off: what was delivered is not known")
        if i.key == own
        else i
        for i in snapshot.injections
    )
    said = {**snapshot.recorded.get(own, {}), "aborted": True, "activity_MBq": None}
    return replace(snapshot, injections=injections, recorded={**snapshot.recorded, own: said})


def repeated(snapshot: Snapshot) -> Snapshot:
    """The latest fraction was imaged twice: it is asked which series shows it."""
    used = next(b for b in snapshot.bindings if (b.position, b.fraction) == snapshot.results[-1].key)
    of = next(state for state in snapshot.series if state.key == used.series_key)
    first = replace(
        of,
        key=f"{of.key}.1",
        series_instance_uids=tuple(f"{uid}.1" for uid in of.series_instance_uids),
        acquired_at=None if of.acquired_at is None else of.acquired_at - timedelta(minutes=3),
    )
    aside = replace(
        used, series_key=first.key, role="superseded", confirmed=False, why="a later series shows the same injection"
    )
    at = snapshot.series.index(of)
    twice = replace(
        snapshot,
        series=(*snapshot.series[:at], first, *snapshot.series[at:]),
        bindings=(*(replace(b, confirmed=False) if b is used else b for b in snapshot.bindings), aside),
    )
    reason = "two series fit this injection"
    asked = with_last(twice, lambda r: replace(r, status=FractionStatus.PROVISIONAL, provisional_reasons=(reason,)))
    return alarmed(asked)


def refused_call(snapshot: Snapshot, at: datetime, calling: dict[str, str]) -> Snapshot:
    """A scanner has called this node by another AE title."""
    said = {**calling, "why": "The called AE title is not this node's."}
    return with_event(snapshot, event(snapshot, at, Kind.ASSOCIATION_REFUSED, said))
