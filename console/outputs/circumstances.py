"""What ``results.json`` says beside the results: plan, activities, images, volumes, and what the file recorded of them.

A report or a comparison is made from the document alone; whatever it tells has to be in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from config.settings import DisplaySettings
from console.outputs.nifti import map_hashes, what_if_document
from console.snapshot import Binding, PlanRevision, RaisedAlarm, Snapshot
from dicom_listener.images import SeriesState
from quantify.findings import Alarm, Injection
from quantify.model import Volume
from quantify.uncertainty import injected_u_mbq

_PLAN_KEYS = ("microspheres", "calibration", "structures", "positions", "quantification", "vials", "residuals")
"""Of the plan: who the patient is, limits and injections stand elsewhere in the document."""


def moment_text(moment: datetime | None, zone: ZoneInfo) -> str | None:
    """ISO 8601 with the offset of the treatment's time zone."""
    return None if moment is None else moment.astimezone(zone).isoformat()


def alarm_document(alarm: Alarm, zone: ZoneInfo) -> dict[str, Any]:
    """One alarm of the document."""
    return {
        "id": alarm.id,
        "priority": str(alarm.priority),
        "kind": alarm.kind,
        "text": alarm.text,
        "position": alarm.position,
        "fraction": alarm.fraction,
        "volume": alarm.volume,
        "raised_at": moment_text(alarm.raised_at, zone),
    }


def circumstances(snapshot: Snapshot, zone: ZoneInfo) -> dict[str, Any]:
    """The keys of the document that follow from how the treatment was planned, given and imaged."""
    plan, settings = snapshot.plan, snapshot.settings
    grid = snapshot.reference.grid if snapshot.reference is not None else None
    mapping = plan.to_mapping() if plan is not None else {}
    return {
        "state": {
            "time_zone": str(zone),
            "complete": snapshot.complete,
            "closed": None
            if snapshot.closed is None
            else {"by": snapshot.closed[0], "at": moment_text(snapshot.closed[1], zone)},
            "awaited": None
            if snapshot.awaited is None
            else {"position": snapshot.awaited[0], "fraction": snapshot.awaited[1]},
            "latest_acquired_at": moment_text(snapshot.latest_acquired_at, zone),
            "clock_offset_s": snapshot.clock_offset_s,
            "what_if": what_if_document(snapshot.overrides),
        },
        "plan": {key: mapping[key] for key in _PLAN_KEYS if key in mapping},
        "settings": {}
        if settings is None
        else {"quantification": settings.quantification.to_mapping(), "alarms": settings.alarms.to_mapping()},
        "display": _display(settings.display if settings is not None else DisplaySettings()),
        "activity": _activity(snapshot),
        "injections": _injections(snapshot, zone),
        "images": {
            "grid": None
            if grid is None
            else {"shape": list(grid.shape), "spacing_mm": [float(v) for v in grid.spacing_mm]},
            "anatomy": None if snapshot.anatomy is None else snapshot.anatomy.description,
        },
        "volumes": {volume.name: _volume(volume) for volume in snapshot.volumes},
    }


def record_document(snapshot: Snapshot, zone: ZoneInfo) -> dict[str, Any]:
    """What the treatment file holds of how it came about: not the same for equal results that came another way."""
    bindings = {binding.series_key: binding for binding in snapshot.bindings}
    return {
        "series": [_series(state, bindings.get(state.key), zone) for state in snapshot.series],
        "volume_sources": {
            name: {"title": source.title, "sha256": source.sha256, "version": source.version}
            for name, source in snapshot.volume_sources.items()
        },
        "map_sha256": [
            {"position": result.position, "fraction": result.fraction, **map_hashes(result)}
            for result in snapshot.results
            if result.maps is not None
        ],
        "alarms": [_raised(raised, zone) for raised in snapshot.alarms],
        "revisions": [_revision(revision, zone) for revision in snapshot.revisions],
    }


def _display(display: DisplaySettings) -> dict[str, Any]:
    return {
        "dose_maximum_Gy": display.dose_maximum_gy,
        "isodose_levels_Gy": list(display.isodose_levels_gy),
        "colour_map": display.colour_map,
    }


def _activity(snapshot: Snapshot) -> dict[str, Any]:
    positions = dict.fromkeys(injection.position for injection in snapshot.injections)
    return {
        **_sums(snapshot, snapshot.injections),
        "not_imaged_MBq": snapshot.not_imaged_mbq,
        "positions": {
            position: _sums(snapshot, [i for i in snapshot.injections if i.position == position])
            for position in positions
        },
    }


def _sums(snapshot: Snapshot, injections: Sequence[Injection]) -> dict[str, float | None]:
    given = [i for i in injections if i.time is not None or i.activity_mbq is not None]
    injected = _total([i.activity_mbq for i in given])
    known = injected is not None and bool(given) and snapshot.settings is not None
    return {
        "planned_MBq": _total([i.planned_mbq for i in injections]) if injections else None,
        "injected_MBq": injected,
        "injected_u_MBq": injected_u_mbq(given, snapshot.settings.quantification.uncertainty)
        if known and snapshot.settings is not None
        else None,
    }


def _total(activities: Sequence[float | None]) -> float | None:
    """The sum; None as soon as one is not known."""
    return None if any(a is None for a in activities) else float(sum(a for a in activities if a is not None))


def _injections(snapshot: Snapshot, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Those that were given or will be, in order; then those that were cancelled."""
    planned = {i.key: i.planned_mbq for i in snapshot.plan.injections} if snapshot.plan is not None else {}
    cancelled = [Injection(position=p, fraction=f, planned_mbq=planned.get((p, f))) for p, f in snapshot.cancelled]
    return [
        *(_injection(injection, zone, cancelled=False) for injection in snapshot.injections),
        *(_injection(injection, zone, cancelled=True) for injection in cancelled),
    ]


def _injection(injection: Injection, zone: ZoneInfo, *, cancelled: bool) -> dict[str, Any]:
    return {
        "position": injection.position,
        "fraction": injection.fraction,
        "planned_MBq": injection.planned_mbq,
        "activity_MBq": injection.activity_mbq,
        "activity_u_MBq": injection.activity_u_mbq,
        "started_at": moment_text(injection.started_at, zone),
        "time": moment_text(injection.time, zone),
        "specific_activity_MBq_per_mg": injection.specific_activity_mbq_per_mg,
        "holmium_fraction": injection.holmium_fraction,
        "provisional_reason": injection.provisional_reason,
        "aborted": injection.aborted,
        "outside_mri": injection.outside_mri,
        "cancelled": cancelled,
    }


def _volume(volume: Volume) -> dict[str, Any]:
    """Where a volume lies: ``centre_voxel`` (slice, row, column; from 0) is its middle, None where it is empty."""
    inside = np.argwhere(volume.occupancy >= 0.5)
    return {
        "role": str(volume.role),
        "contour_volume_mL": float(volume.contour_volume_ml),
        "on_the_grid_mL": volume.volume_ml,
        "outside_the_grid": volume.fraction_outside_grid,
        "centre_voxel": [int(v) for v in np.median(inside, axis=0)] if len(inside) else None,
    }


def _series(state: SeriesState, binding: Binding | None, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "description": state.description,
        "protocol": state.protocol,
        "series_instance_uids": list(state.series_instance_uids),
        "role": binding.role if binding is not None else None,
        "position": binding.position if binding is not None else None,
        "fraction": binding.fraction if binding is not None else None,
        "confirmed": binding.confirmed if binding is not None else None,
        "why": binding.why if binding is not None else None,
        "status": str(state.status),
        "reason": state.reason,
        "acquired_at": moment_text(state.acquired_at, zone),
        "echo_times_ms": [1e3 * echo_time_s for echo_time_s in state.echo_times_s],
        "slices": state.n_slices,
        "images_received": state.received,
        "images_expected": state.expected,
        "images_left_out": state.left_out,
        "field_strength_T": state.field_strength_t,
        "sequence": str(state.sequence),
        "refusal": state.holmium_refusal,
        "revision": state.revision,
    }


def _raised(raised: RaisedAlarm, zone: ZoneInfo) -> dict[str, Any]:
    return {
        **alarm_document(raised.alarm, zone),
        "active": raised.active,
        "acknowledged_by": raised.acknowledged_by,
        "acknowledged_at": moment_text(raised.acknowledged_at, zone),
    }


def _revision(revision: PlanRevision, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "at": moment_text(revision.at, zone),
        "by": revision.by,
        "reason": revision.reason,
        "differences": list(revision.differences),
    }
