"""The vocabulary of the treatment file: what kinds of event there are and what each carries.

An event is a fact that somebody or something stated at a time. Nothing is ever changed or removed, so a
correction is a later event. Payloads are JSON objects; times in them are ISO 8601 with offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Kinds of event, with the keys of their payload."""

    TREATMENT_CREATED = "treatment_created"
    """software_version"""
    PLAN_LOADED = "plan_loaded"
    """plan (the TOML's content as JSON, validated), sha256 (of its canonical JSON), settings (quantification and alarm
    settings as the site has them, before the plan's own [quantification]), time_zone (the site's)"""
    PLAN_REVISED = "plan_revised"
    """as plan_loaded; and, where settings were promoted, name and reason"""

    LISTENER_STARTED = "listener_started"
    """ae_title, port. Associations that were open in an earlier run of the listener are over."""
    LISTENER_STOPPED = "listener_stopped"
    """(empty)"""
    ASSOCIATION_OPENED = "association_opened"
    """association (unique text), calling_ae, address"""
    ASSOCIATION_CLOSED = "association_closed"
    """association, how (released, aborted, connection_lost, import_finished), instances (number stored)"""
    ASSOCIATION_REFUSED = "association_refused"
    """calling_ae, called_ae, address, why"""
    INSTANCE_STORED = "instance_stored"
    """association, sop_class_uid, sop_instance_uid, series_instance_uid, modality; the object is the Part-10 file"""
    INSTANCE_QUARANTINED = "instance_quarantined"
    """association, sha256 (of the object in the quarantine file), cause (other_patient, uid_conflict), text"""
    INSTANCE_REFUSED = "instance_refused"
    """association, status (number), comment"""
    STORAGE_FAILED = "storage_failed"
    """status, comment, instances (how many were refused so far because disk or memory failed), first_utc, last_utc.
    Said when it begins, and when it ends if there were more; each is as late as the file took it."""
    SERIES_QUIET = "series_quiet"
    """series_instance_uid, seconds (of silence so far), instances. Said when a series falls silent, and once more when
    it has stayed so for long enough to be missed."""

    LABEL_MAP_GIVEN = "label_map_given"
    """name, labels (value, as text, to name of the volume); the object is a NIfTI file. Where it was drawn here, also
    frame_of_reference_uid (NIfTI states none) and drawn (the tools that were used, in words)"""
    VOLUME_CHOSEN = "volume_chosen"
    """volume (name), object_sha256 (the version that counts, until a newer one is given; empty: the latest)"""

    INJECTION_RECORDED = "injection_recorded"
    """position, fraction, and any of activity_MBq, started, time (its end), planned_MBq, aborted (true: activity may be
    null, unknown), cancelled, outside_mri: replaces what the plan or an earlier event said of this injection; unsaid
    (keys whose earlier word is taken back)"""
    CLOCK_OFFSET_CONFIRMED = "clock_offset_confirmed"
    """seconds (scanner clock minus true time; null takes an earlier word back)"""
    SERIES_ASSIGNED = "series_assigned"
    """series_key, role (reference, fraction, baseline, anatomy, ignore; automatic takes an earlier word back),
    position, fraction. A baseline was acquired after the patient was re-positioned, before the first injection at
    `position`: what it shows is not new."""
    REGISTRATION_GIVEN = "registration_given"
    """series_key, reference_to_series_lps_mm (4×4, rigid: a point of the reference to the same tissue in the series),
    name; an empty matrix takes it back"""
    ALARM_ACKNOWLEDGED = "alarm_acknowledged"
    """alarm (id), name"""

    RESULT_SHOWN = "result_shown"
    """position, fraction, result (as in results.json), map_sha256, volume_objects (name of each volume to the SHA-256
    of its object), software_version, settings_sha256"""
    ALARM_RAISED = "alarm_raised"
    """alarm (as in results.json)"""
    SNAPSHOT_TAKEN = "snapshot_taken"
    """name"""
    NOTE = "note"
    """text, and label for the one-tap events (stasis, reflux, spasm, dislocation, contrast), time (else the event's).
    retracts (seq of an earlier note) takes that one back"""
    TREATMENT_CLOSED = "treatment_closed"
    """closed (true: nothing more will be given; false: it was closed by mistake), name"""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One row of the treatment file. ``seq`` is the order; ``utc`` is only what a clock said (aware, UTC)."""

    seq: int
    utc: datetime
    actor: str
    kind: str
    payload: dict[str, Any]
    object_sha256: str | None
    previous_hash: str
    hash: str
