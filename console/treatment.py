"""The fold: what the events of a treatment amount to. Pure: same events, same treatment, whoever asks and whenever."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from config.errors import ConfigurationError
from config.plan import InjectionPlan, TreatmentPlan, plan_from_mapping
from config.settings import AlarmSettings, QuantificationSettings, settings_from_mapping
from console.differences import loaded_differences
from console.snapshot import PlanRevision
from dicom_listener.events import Event, Kind
from dicom_listener.images import SeriesState
from quantify.findings import Alarm, Injection, Priority
from quantify.isotope import Isotope, holmium_166
from quantify.ledger import Batch, Ledger, LedgerEntry, LedgerRow, Residual, Vial, ledger
from quantify.rigid import nearest_rigid

Key = tuple[str, int]
_NO_VALUES = ("position", "fraction", "cancelled", "unsaid", "name")
"""Of what is recorded of an injection: what names it, and what is no word on it."""
_LARGEST_OFFSET_S = 1e9
"""A clock may stand at the wrong year; times with more than that added leave the calendar."""
Transform = tuple[tuple[float, ...], ...]
"""4×4, rigid, LPS mm."""

_SETTINGS_TABLES = ("alarms.", "display.", "site.")
"""Tables that only the site's settings have; every other key of ``--set`` is the plan's."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What operators said of one injection, over the plan: only the keys that were said are present."""

    values: Mapping[str, Any]
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """The facts of the treatment file, folded; everything that images add is the engine's."""

    plan: TreatmentPlan | None = None
    quantification: QuantificationSettings | None = None
    alarms: AlarmSettings | None = None
    recorded: Mapping[Key, Recorded] = field(default_factory=dict)
    assignments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    registrations: Mapping[str, tuple[Transform, str]] = field(default_factory=dict)
    """By series key: the operator's transform from the reference to the series, and who gave it."""
    contrast_at: datetime | None = None
    """When gadolinium was first given, of what was not taken back."""
    contrast: Mapping[int, datetime] = field(default_factory=dict)
    """Every time that it was given, by the number of the event."""
    retracted: frozenset[int] = frozenset()
    """Numbers of the notes that were taken back."""
    closed: tuple[str, datetime] | None = None
    """Who closed the treatment, and when; None while it is open."""
    chosen: Mapping[str, str] = field(default_factory=dict)
    """By name of a volume: the object (SHA-256) that an operator chose over the latest."""
    clock_offset_s: float | None = None
    """Scanner clock minus true time, as an operator confirmed it; None, and zero for matching, until then."""
    acknowledged: Mapping[str, tuple[str, datetime]] = field(default_factory=dict)
    raised: Mapping[str, Alarm] = field(default_factory=dict)
    quarantined: tuple[Event, ...] = ()
    storage_failed: tuple[Event, ...] = ()
    revisions: tuple[PlanRevision, ...] = ()
    """How plan or settings were changed, oldest first."""
    loaded: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Plan and settings as the latest event has them."""
    reference_key: str | None = None
    """Locked: nothing replaces the reference once a fraction has been held against it, but an operator's word, or a
    clock offset or time of injection by which it was acquired after the first injection."""
    unread: tuple[Event, ...] = ()
    """Events that this version cannot read: they changed nothing else."""


def fold(treatment: Treatment, event: Event, overrides: Mapping[str, object] | None = None) -> Treatment:
    """The treatment after one more event. Events that only images, listeners or screens care about change nothing.

    `overrides` (dotted plan keys, from ``--set``) are laid over every plan that is loaded: what-if leaves the file
    alone.

    Raises
    ------
    config.errors.ConfigurationError
        If the overrides do not go together with a plan.
    """
    try:
        return _folded(treatment, event, overrides or {})
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        if overrides and isinstance(error, ConfigurationError):
            raise
        # Of another version, or made by hand. It is told: what it said is missing from everything that is computed.
        return replace(treatment, unread=(*treatment.unread, event))


def _folded(treatment: Treatment, event: Event, overrides: Mapping[str, object]) -> Treatment:
    payload = event.payload
    match event.kind:
        case Kind.PLAN_LOADED | Kind.PLAN_REVISED:
            return _with_plan(treatment, event, overrides)
        case Kind.INJECTION_RECORDED:
            key = _injection_key(payload)
            before = treatment.recorded.get(key, Recorded(values={}))
            said = _usable({k: v for k, v in payload.items() if k not in _NO_VALUES})
            unsaid = payload.get("unsaid", ())
            kept = {k: v for k, v in before.values.items() if k not in unsaid}
            now = Recorded(values={**kept, **said}, cancelled=bool(payload.get("cancelled", before.cancelled)))
            return replace(treatment, recorded={**treatment.recorded, key: now})
        case Kind.SERIES_ASSIGNED:
            # The latest word stands last: of two assigned references it is the one that counts.
            others = {key: said for key, said in treatment.assignments.items() if key != payload["series_key"]}
            if payload["role"] == "automatic":
                return replace(treatment, assignments=others)
            if payload["role"] == "fraction":
                _injection_key(payload)  # of no injection it says nothing
            return replace(treatment, assignments={**others, payload["series_key"]: payload})
        case Kind.REGISTRATION_GIVEN:
            given = {k: v for k, v in treatment.registrations.items() if k != payload["series_key"]}
            matrix = tuple(tuple(float(v) for v in row) for row in payload["reference_to_series_lps_mm"])
            if matrix:
                nearest_rigid(np.array(matrix))
                given[payload["series_key"]] = matrix, str(payload.get("name", ""))
            return replace(treatment, registrations=given)
        case Kind.CLOCK_OFFSET_CONFIRMED:
            seconds = None if payload["seconds"] is None else float(payload["seconds"])
            if seconds is not None and not abs(seconds) <= _LARGEST_OFFSET_S:
                raise ValueError(f"{seconds} s is no offset of a clock.")
            return replace(treatment, clock_offset_s=seconds)
        case Kind.NOTE if payload.get("retracts") is not None:
            taken_back = int(payload["retracts"])
            return _with_contrast(
                replace(treatment, retracted=treatment.retracted | {taken_back}),
                {seq: at for seq, at in treatment.contrast.items() if seq != taken_back},
            )
        case Kind.NOTE if payload.get("label") == "contrast":
            said_at = datetime.fromisoformat(payload["time"]) if payload.get("time") else event.utc
            return _with_contrast(treatment, {**treatment.contrast, event.seq: said_at})
        case Kind.TREATMENT_CLOSED:
            by = (str(payload.get("name", event.actor)), event.utc)
            return replace(treatment, closed=by if payload.get("closed", True) else None)
        case Kind.VOLUME_CHOSEN:
            chosen = {name: own for name, own in treatment.chosen.items() if name != payload["volume"]}
            if payload.get("object_sha256"):
                chosen[str(payload["volume"])] = str(payload["object_sha256"])
            return replace(treatment, chosen=chosen)
        case Kind.ALARM_RAISED:
            alarm = _alarm_of(payload["alarm"])
            return replace(treatment, raised={**treatment.raised, alarm.id: alarm})
        case Kind.ALARM_ACKNOWLEDGED:
            said_by = (str(payload.get("name", "")), event.utc)
            return replace(treatment, acknowledged={**treatment.acknowledged, payload["alarm"]: said_by})
        case Kind.INSTANCE_QUARANTINED:
            return replace(treatment, quarantined=(*treatment.quarantined, event))
        case Kind.STORAGE_FAILED:
            return replace(treatment, storage_failed=(*treatment.storage_failed, event))
        case _:
            return treatment


def _injection_key(payload: Mapping[str, Any]) -> Key:
    return str(payload["position"]), int(payload["fraction"])


def _alarm_of(said: Mapping[str, Any]) -> Alarm:
    return Alarm(
        id=said["id"],
        priority=Priority(said["priority"]),
        kind=said["kind"],
        text=said["text"],
        raised_at=datetime.fromisoformat(said["raised_at"]),
        position=said.get("position"),
        fraction=said.get("fraction"),
        volume=said.get("volume"),
    )


def _with_plan(treatment: Treatment, event: Event, overrides: Mapping[str, object]) -> Treatment:
    """The treatment with the plan and settings that an event brings, and what that changed."""
    payload = event.payload
    loaded = {"plan": payload["plan"], "settings": payload["settings"]}
    revisions = treatment.revisions
    if treatment.loaded and (changed := loaded_differences(treatment.loaded, loaded)):
        reason = str(payload.get("reason", ""))
        by = str(payload.get("name") or event.actor)
        revisions += (PlanRevision(at=event.utc, by=by, differences=changed, reason=reason),)
    told = replace(treatment, loaded=loaded, revisions=revisions)
    return laid_over(told, overrides, time_zone=payload["time_zone"])


def laid_over(treatment: Treatment, overrides: Mapping[str, object], *, time_zone: str | None = None) -> Treatment:
    """The treatment with `overrides` laid over the plan and settings that were loaded last, and with no others.

    Parameters
    ----------
    time_zone
        The site's zone, for a plan that states none.

    Raises
    ------
    config.errors.ConfigurationError
        If they do not go together with the plan, the settings or each other.
    """
    if not treatment.loaded:
        return treatment
    of_plan = {k: v for k, v in overrides.items() if not k.startswith(_SETTINGS_TABLES)}
    of_settings = {k: v for k, v in overrides.items() if k.startswith(_SETTINGS_TABLES)}
    stated = treatment.loaded["plan"]
    zone = time_zone or stated.get("time_zone") or (treatment.plan.time_zone if treatment.plan is not None else "UTC")
    plan = plan_from_mapping(stated, site_time_zone=zone, overrides=of_plan)
    base = settings_from_mapping(treatment.loaded["settings"], overrides=of_settings)
    return replace(
        treatment, plan=plan, quantification=plan.quantification_settings(base.quantification), alarms=base.alarms
    )


def _with_contrast(treatment: Treatment, given: Mapping[int, datetime]) -> Treatment:
    return replace(treatment, contrast=given, contrast_at=min(given.values(), default=None))


def _usable(said: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of an injection, without what cannot be: that is told as a fault and changes nothing else."""
    values, faults = dict(said), []
    for name in ("started", "time"):
        try:
            if values.get(name) is not None and datetime.fromisoformat(str(values[name])).tzinfo is None:
                raise ValueError("it has no time zone")
        except ValueError as error:
            faults.append(f"the recorded {name} {values.pop(name)!r} cannot be used: {error}")
    for name in ("activity_MBq", "planned_MBq"):
        value = values.get(name)
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
            faults.append(f"the recorded {name} {values.pop(name)!r} is not an activity")
    values["fault"] = "; ".join(faults) or None
    return values


def after_contrast(treatment: Treatment, state: SeriesState) -> bool:
    """Whether a series was acquired after gadolinium: its signal at TE = 0 is not the reference's."""
    if treatment.contrast_at is None or state.acquired_at is None:
        return False
    return state.acquired_at - timedelta(seconds=treatment.clock_offset_s or 0.0) >= treatment.contrast_at


def isotope_of(settings: QuantificationSettings) -> Isotope:
    """166Ho with the half-life and energy of the settings."""
    return holmium_166(half_life_h=settings.half_life_h, absorbed_energy_mj_per_mbq=settings.absorbed_energy_mj_per_mbq)


def injections(treatment: Treatment) -> tuple[Injection, ...]:
    """All injections as planned and revised: those that happened by time, then the planned ones in plan order."""
    plan, settings = treatment.plan, treatment.quantification
    if plan is None or settings is None:
        return ()
    keys = dict.fromkeys([(i.position, i.fraction) for i in plan.injections])
    keys.update(dict.fromkeys(treatment.recorded))
    entries = [
        _ledger_entry(key, treatment, plan)
        for key in keys
        if not treatment.recorded.get(key, Recorded(values={})).cancelled
    ]
    rows = _ledger(entries, plan, settings).rows
    all_of_them = [_injection(entry, row, treatment, plan) for entry, row in zip(entries, rows, strict=True)]
    happened = sorted((i for i in all_of_them if i.time is not None), key=lambda i: i.time or datetime.max)
    return (*happened, *(i for i in all_of_them if i.time is None))


def _ledger(entries: Sequence[LedgerEntry], plan: TreatmentPlan, settings: QuantificationSettings) -> Ledger:
    """The plan's vials and residuals in the ledger's nouns, divided over the injections."""
    return ledger(
        entries,
        vials=[
            Vial(
                name=v.name,
                activity_mbq=v.activity_mbq,
                assay_time=v.assay_time,
                mass_mg=v.mass_mg,
                holmium_fraction=None if v.microspheres is None else v.microspheres.holmium_fraction,
            )
            for v in plan.vials
        ],
        residuals=[
            Residual(activity_mbq=r.activity_mbq, assay_time=r.assay_time, injections=tuple(r.injections))
            for r in plan.residuals
        ],
        isotope=isotope_of(settings),
        loss_pct=settings.vial_loss_pct,
        loss_u_pct=settings.vial_loss_u_pct,
    )


def _planned(key: Key, plan: TreatmentPlan) -> InjectionPlan | None:
    return next((i for i in plan.injections if i.key == key), None)


def _ledger_entry(key: Key, treatment: Treatment, plan: TreatmentPlan) -> LedgerEntry:
    planned = _planned(key, plan)
    said = treatment.recorded.get(key, Recorded(values={})).values
    aborted = bool(said.get("aborted", False))
    time = planned.time if planned is not None else None
    if said.get("time") is not None:
        time = datetime.fromisoformat(said["time"])
    given = said.get("activity_MBq")
    if "activity_MBq" not in said and planned is not None and not aborted:
        # What was planned or drawn up is not what was delivered by an aborted injection.
        given = planned.activity_mbq
    batch = (planned.microspheres if planned is not None else None) or plan.microspheres
    return LedgerEntry(
        key=key,
        batch=Batch(
            specific_activity_mbq_per_mg=batch.specific_activity_mbq_per_mg,
            reference_time=batch.reference_time,
            holmium_fraction=batch.holmium_fraction,
        ),
        time=time,
        planned_mbq=said.get("planned_MBq", planned.planned_mbq if planned is not None else None),
        given_mbq=given,
        vials=(planned.vials or ()) if planned is not None else (),
        aborted=aborted,
    )


def _injection(entry: LedgerEntry, row: LedgerRow, treatment: Treatment, plan: TreatmentPlan) -> Injection:
    planned = _planned(entry.key, plan)
    said = treatment.recorded.get(entry.key, Recorded(values={})).values
    return Injection(
        position=entry.key[0],
        fraction=entry.key[1],
        planned_mbq=entry.planned_mbq,
        activity_mbq=row.net_mbq,
        activity_u_mbq=row.u_mbq,
        time=entry.time,
        specific_activity_mbq_per_mg=row.specific_activity_mbq_per_mg,
        holmium_fraction=row.holmium_fraction,
        provisional_reason=said.get("fault") or row.provisional_reason,
        aborted=entry.aborted,
        outside_mri=bool(said.get("outside_mri", planned.outside_mri if planned is not None else False)),
        started_at=datetime.fromisoformat(said["started"]) if said.get("started") else None,
    )
