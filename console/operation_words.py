"""The events that an operation becomes, or why it cannot be recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from config.errors import ConfigurationError
from config.settings import Settings
from console.operations import (
    ROLES,
    AssignSeries,
    ChooseVolume,
    CloseTreatment,
    ConfirmClock,
    GiveRegistration,
    GiveUpPosition,
    GiveVolumes,
    Operation,
    RecordInjection,
    RestorePosition,
    RetractNote,
    RevisePlan,
    TapEvent,
    Together,
    to_come,
    under_way,
)
from console.plan_payload import plan_payload
from console.snapshot import Snapshot
from dicom_listener.events import Kind

_LARGEST_OFFSET_S = 86400.0


class OperationError(ValueError):
    """What was said cannot be recorded; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """An event to append: kind, payload and object."""

    kind: Kind
    payload: Mapping[str, Any]
    data: bytes | None = None


def words_of(operation: Operation, snapshot: Snapshot, *, name: str, at: datetime, site: Settings) -> tuple[Word, ...]:
    """The events that an operation becomes.

    Parameters
    ----------
    snapshot
        What was known when it was said.
    name
        Who says it.
    at
        Now, aware.
    site
        The site's settings: a plan is recorded with them where the treatment has none yet.

    Raises
    ------
    OperationError
        If it contradicts what is known; nothing is to be recorded then.
    """
    if not name.strip():
        raise OperationError("It is not recorded who says this; enter a name.")
    match operation:
        case RecordInjection():
            return (_injection_word(operation, snapshot, name, at),)
        case GiveUpPosition(position=position):
            return _given_up(position, snapshot, name)
        case RestorePosition(position=position, fractions=fractions):
            payloads = [{"position": position, "fraction": n, "cancelled": False, "name": name} for n in fractions]
            return tuple(Word(kind=Kind.INJECTION_RECORDED, payload=payload) for payload in payloads)
        case TapEvent(label=label, text=text):
            return (Word(kind=Kind.NOTE, payload={"label": label, "text": text, "name": name}),)
        case RetractNote(seq=seq):
            return (Word(kind=Kind.NOTE, payload={"text": f"event {seq} taken back", "retracts": seq, "name": name}),)
        case AssignSeries():
            return (_assignment_word(operation, snapshot, name),)
        case GiveRegistration(series_key=key, reference_to_series_lps_mm=matrix):
            rows = [list(row) for row in matrix]
            payload = {"series_key": key, "reference_to_series_lps_mm": rows, "name": name}
            return (Word(kind=Kind.REGISTRATION_GIVEN, payload=payload),)
        case ConfirmClock(seconds=seconds):
            if seconds is not None and not abs(seconds) <= _LARGEST_OFFSET_S:
                raise OperationError(f"{seconds:g} s is more than a day; give seconds.")
            return (Word(kind=Kind.CLOCK_OFFSET_CONFIRMED, payload={"seconds": seconds, "name": name}),)
        case RevisePlan(plan=plan, reason=reason, name=own_name):
            return (_plan_word(plan, snapshot, own_name.strip() or name, site, reason=reason),)
        case GiveVolumes():
            return _volume_words(operation, snapshot, name, site)
        case ChooseVolume(volume=volume, object_sha256=sha256):
            payload = {"volume": volume, "object_sha256": sha256, "name": name}
            return (Word(kind=Kind.VOLUME_CHOSEN, payload=payload),)
        case CloseTreatment(closed=closed):
            if closed and under_way(snapshot) is not None:
                raise OperationError("An injection is under way: say that it has ended, or was aborted, first.")
            return (Word(kind=Kind.TREATMENT_CLOSED, payload={"closed": closed, "name": name}),)
        case Together(operations=operations):
            said = (words_of(each, snapshot, name=name, at=at, site=site) for each in operations)
            return tuple(word for words in said for word in words)


def _injection_word(operation: RecordInjection, snapshot: Snapshot, name: str, at: datetime) -> Word:
    label = f"{operation.position} F{operation.fraction}"
    running = under_way(snapshot)
    known = next((i for i in snapshot.injections if i.key == operation.key), None)
    happens = operation.said.get("time") and (known is None or (known.time is None and not known.under_way))
    if snapshot.closed is not None and (operation.said.get("started") or happens):
        raise OperationError("The treatment is closed; open it again before another injection.")
    if operation.said.get("started") and running is not None and running.key != operation.key:
        raise OperationError(f"{running.label} is under way; say that it has ended first.")
    for key, what in (("started", "start"), ("time", "end")):
        said = operation.said.get(key)
        if said is not None and datetime.fromisoformat(str(said)) > at:
            raise OperationError(f"The {what} of {label} lies in the future; check the time.")
    begun, ended = (_moment(operation, snapshot, key) for key in ("started", "time"))
    if begun is not None and ended is not None and ended < begun:
        raise OperationError(f"{label} would end before it began; check the times.")
    payload: dict[str, Any] = {"position": operation.position, "fraction": operation.fraction, **operation.said}
    if operation.unsaid:
        payload["unsaid"] = list(operation.unsaid)
    if operation.cancelled is not None:
        payload["cancelled"] = operation.cancelled
    return Word(kind=Kind.INJECTION_RECORDED, payload={**payload, "name": name})


def _moment(operation: RecordInjection, snapshot: Snapshot, key: str) -> datetime | None:
    """A time of the injection as it will be after the operation."""
    if key in operation.unsaid:
        return None
    said = operation.said.get(key, snapshot.recorded.get(operation.key, {}).get(key))
    return None if said is None else datetime.fromisoformat(str(said))


def _given_up(position: str, snapshot: Snapshot, name: str) -> tuple[Word, ...]:
    left = to_come(position, snapshot)
    if not left:
        raise OperationError(f"Nothing is planned any more at {position}.")
    payloads = [{"position": i.position, "fraction": i.fraction, "cancelled": True, "name": name} for i in left]
    return tuple(Word(kind=Kind.INJECTION_RECORDED, payload=payload) for payload in payloads)


def _assignment_word(operation: AssignSeries, snapshot: Snapshot, name: str) -> Word:
    role, position, fraction = operation.role, operation.position, operation.fraction
    known = [i.key for i in snapshot.injections]
    if role not in ROLES:
        raise OperationError(f"A series cannot be {role!r}; expected one of {', '.join(ROLES)}.")
    if all(state.key != operation.series_key for state in snapshot.series):
        raise OperationError("That series is not in this treatment any more; choose it from the list.")
    if role == "fraction" and (position, fraction) not in known:
        of_which = ", ".join(f"{p} F{n}" for p, n in known) or "none"
        raise OperationError(f"{position} F{fraction} is no injection of this treatment; expected one of: {of_which}.")
    if role == "baseline" and position not in {p for p, _ in known}:
        raise OperationError(f"{position} is no injection position of this treatment.")
    payload = {
        "series_key": operation.series_key,
        "role": role,
        "position": position if role in ("fraction", "baseline") else None,
        "fraction": fraction if role == "fraction" else None,
        "name": name,
    }
    return Word(kind=Kind.SERIES_ASSIGNED, payload=payload)


def _plan_word(plan: Mapping[str, Any], snapshot: Snapshot, name: str, site: Settings, *, reason: str = "") -> Word:
    try:
        payload = plan_payload(plan, site, snapshot.loaded.get("settings"))
    except ConfigurationError as error:
        raise OperationError("\n".join(error.faults)) from error
    received = snapshot.patient_id if snapshot.series else ""
    if received and payload["plan"]["patient"]["id"] != received:
        raise OperationError(
            f"The images received are of patient {received!r}, the plan is of {payload['plan']['patient']['id']!r}; "
            "correct the plan, or start another treatment file."
        )
    kind = Kind.PLAN_REVISED if snapshot.plan is not None else Kind.PLAN_LOADED
    told = {"name": name, "reason": reason} if reason else {"name": name}
    return Word(kind=kind, payload={**payload, **told})


def _volume_words(operation: GiveVolumes, snapshot: Snapshot, name: str, site: Settings) -> tuple[Word, ...]:
    if not operation.labels:
        raise OperationError("No volume has a name; name what was drawn.")
    payload: dict[str, Any] = {
        "name": operation.name,
        "labels": {str(label): volume for label, volume in operation.labels.items()},
        "by": name,
    }
    if operation.frame_of_reference_uid:
        payload["frame_of_reference_uid"] = operation.frame_of_reference_uid
    if operation.drawn:
        payload["drawn"] = operation.drawn
    given = Word(kind=Kind.LABEL_MAP_GIVEN, payload=payload, data=operation.nifti)
    if operation.plan is None:
        return (given,)
    return given, _plan_word(operation.plan, snapshot, name, site)
