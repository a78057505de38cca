"""What an operator says, and the events that it becomes; each with the word that takes it back.

Nothing is removed from a treatment file: to undo is to say something later. The window and the commands share this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from config.base import canonical_sha256
from config.errors import ConfigurationError
from config.plan import plan_from_mapping
from config.settings import Settings, settings_from_mapping
from console.snapshot import Binding, Snapshot
from dicom_listener.events import Kind
from quantify.findings import Injection

ONE_TAP = ("stasis", "reflux", "spasm", "dislocation", "contrast")
"""Labels of the events that one tap records."""
ROLES = ("reference", "fraction", "baseline", "anatomy", "ignore", "automatic")
"""What a series may be assigned as; automatic takes an earlier word back."""
_LARGEST_OFFSET_S = 86400.0


class OperationError(ValueError):
    """What was said cannot be recorded; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """An event to append: kind, payload and object."""

    kind: Kind
    payload: Mapping[str, Any]
    data: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class RecordInjection:
    """Facts of one injection: only the keys of ``injection_recorded`` that are said; `unsaid` takes words back."""

    position: str
    fraction: int
    said: Mapping[str, Any] = field(default_factory=dict)
    unsaid: tuple[str, ...] = ()
    cancelled: bool | None = None

    @property
    def key(self) -> tuple[str, int]:
        """(position, fraction)."""
        return self.position, self.fraction


@dataclass(frozen=True, kw_only=True)
class GiveUpPosition:
    """What has not been injected at a position will not be."""

    position: str


@dataclass(frozen=True, kw_only=True)
class RestorePosition:
    """A position that was given up goes on: these of its fractions may be injected again."""

    position: str
    fractions: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TapEvent:
    """One of `ONE_TAP` happened now, or a note was made."""

    label: str
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class RetractNote:
    """A note or one-tap event, by the number of its event, was made by mistake."""

    seq: int


@dataclass(frozen=True, kw_only=True)
class AssignSeries:
    """What a series is (`ROLES`), and of which injection a fraction, of which position a baseline."""

    series_key: str
    role: str
    position: str | None = None
    fraction: int | None = None


@dataclass(frozen=True, kw_only=True)
class GiveRegistration:
    """Where a point of the reference lies in a series: 4×4, rigid, LPS mm; empty takes an earlier one back."""

    series_key: str
    reference_to_series_lps_mm: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class ConfirmClock:
    """The scanner's clock minus true time, s; None takes an earlier word back."""

    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class RevisePlan:
    """The plan, with the file's keys; and why, where settings were promoted.

    `name`: by whom, where that is not whoever else speaks in this window.
    """

    plan: Mapping[str, Any]
    reason: str = ""
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class GiveVolumes:
    """Volumes as a NIfTI label map: the name of each label. The plan names them too: `plan` where that has to change.

    `frame_of_reference_uid` is that of the grid it was drawn on, `drawn` how; both empty for a file from elsewhere.
    """

    name: str
    labels: Mapping[int, str]
    nifti: bytes = field(repr=False)
    frame_of_reference_uid: str = ""
    drawn: str = ""
    plan: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ChooseVolume:
    """Which version of a volume counts, by its object (SHA-256); empty: the latest."""

    volume: str
    object_sha256: str


@dataclass(frozen=True, kw_only=True)
class CloseTreatment:
    """Nothing more will be given; or it was closed by mistake."""

    closed: bool = True


@dataclass(frozen=True, kw_only=True)
class Together:
    """Several things said at once, all with what was known before the first of them; taken back at once, too."""

    operations: tuple[Operation, ...]


Operation = (
    RecordInjection | GiveUpPosition | RestorePosition | TapEvent | RetractNote | AssignSeries | GiveRegistration
    | ConfirmClock | RevisePlan | GiveVolumes | ChooseVolume | CloseTreatment | Together
)  # fmt: skip


# -- injections ----------------------------------------------------------------------------------------------------


def start_injection(injection: Injection, at: datetime) -> RecordInjection:
    """The injection begins now."""
    return RecordInjection(position=injection.position, fraction=injection.fraction, said={"started": at.isoformat()})


def stop_injection(
    injection: Injection, at: datetime, *, activity_mbq: float | None = None, outside_mri: bool | None = None
) -> RecordInjection:
    """The injection has ended now; with its net activity where that is known, else as vials and residuals say."""
    said: dict[str, Any] = {"time": at.isoformat()}
    if activity_mbq is not None:
        said["activity_MBq"] = activity_mbq
    if outside_mri is not None:
        said["outside_mri"] = outside_mri
    return RecordInjection(position=injection.position, fraction=injection.fraction, said=said)


def abort_injection(injection: Injection, at: datetime, *, activity_mbq: float | None = None) -> RecordInjection:
    """The injection was broken off now; None: how much was delivered is not known."""
    said = {"aborted": True, "time": at.isoformat(), "activity_MBq": activity_mbq}
    return RecordInjection(position=injection.position, fraction=injection.fraction, said=said)


def under_way(snapshot: Snapshot) -> Injection | None:
    """The injection that was started and has not ended."""
    return next((i for i in snapshot.injections if i.under_way), None)


def next_injection(snapshot: Snapshot) -> Injection | None:
    """The first planned injection that has not happened; None when there is none, or the treatment is closed."""
    if snapshot.closed is not None:
        return None
    return next((i for i in snapshot.injections if i.time is None and not i.aborted), None)


# -- questions -----------------------------------------------------------------------------------------------------


def questions(snapshot: Snapshot) -> tuple[tuple[Binding, Binding], ...]:
    """Of every window with two series: (the one that is set aside, the one that is used)."""
    used = {(b.position, b.fraction): b for b in snapshot.bindings if b.role == "fraction"}
    return tuple(
        (own, used[own.position, own.fraction])
        for own in snapshot.bindings
        if own.role == "superseded" and (own.position, own.fraction) in used
    )


# -- events --------------------------------------------------------------------------------------------------------


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


def undo_of(operation: Operation, before: Snapshot) -> Operation | None:
    """What takes an operation back, said later; None where nothing can. `before` is what was known when it was said.

    A note is taken back by its number: `RetractNote`. A drawing by choosing the version before (`ChooseVolume`), where
    there is one.
    """
    match operation:
        case RecordInjection(said=said, unsaid=unsaid, cancelled=cancelled):
            known = operation.key in before.cancelled or any(i.key == operation.key for i in before.injections)
            if not known:
                # Nobody planned it: to unsay its values would leave one that is waited for.
                return RecordInjection(position=operation.position, fraction=operation.fraction, cancelled=True)
            was = before.recorded.get(operation.key, {})
            changed = (*said, *unsaid)
            return RecordInjection(
                position=operation.position,
                fraction=operation.fraction,
                said={key: was[key] for key in changed if key in was},
                unsaid=tuple(key for key in changed if key not in was),
                cancelled=None if cancelled is None else operation.key in before.cancelled,
            )
        case GiveUpPosition(position=position):
            fractions = tuple(i.fraction for i in _to_come(position, before))
            return RestorePosition(position=position, fractions=fractions)
        case RestorePosition(position=position):
            return GiveUpPosition(position=position)
        case AssignSeries(series_key=key):
            said_before = before.assigned.get(key, {"role": "automatic"})
            return AssignSeries(
                series_key=key,
                role=str(said_before["role"]),
                position=said_before.get("position"),
                fraction=said_before.get("fraction"),
            )
        case GiveRegistration(series_key=key):
            matrix, _ = before.given_registrations.get(key, ((), ""))
            return GiveRegistration(series_key=key, reference_to_series_lps_mm=matrix)
        case ConfirmClock():
            return ConfirmClock(seconds=before.clock_offset_s)
        case RevisePlan(reason=reason) if before.loaded:
            return RevisePlan(plan=before.loaded["plan"], reason=f"taken back: {reason}" if reason else "")
        case ChooseVolume(volume=volume):
            return ChooseVolume(volume=volume, object_sha256=before.chosen_volumes.get(volume, ""))
        case GiveVolumes(labels=labels, plan=None) if all(n in before.volume_sources for n in labels.values()):
            sha256 = {name: before.volume_sources[name].sha256 for name in labels.values()}
            return Together(operations=tuple(ChooseVolume(volume=n, object_sha256=own) for n, own in sha256.items()))
        case CloseTreatment(closed=closed):
            return CloseTreatment(closed=not closed)
        case Together(operations=operations):
            undos = [undo for each in reversed(operations) if (undo := undo_of(each, before)) is not None]
            return Together(operations=tuple(undos)) if len(undos) == len(operations) else None
        case _:
            return None


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


def _to_come(position: str, snapshot: Snapshot) -> list[Injection]:
    """What has not begun; of what was aborted something may have been delivered, whenever it was."""
    own = [i for i in snapshot.injections if i.position == position]
    return [i for i in own if i.time is None and not i.under_way and not i.aborted]


def _given_up(position: str, snapshot: Snapshot, name: str) -> tuple[Word, ...]:
    left = _to_come(position, snapshot)
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
    payload = plan_payload(plan, site, snapshot.loaded.get("settings"))
    received = snapshot.patient_id if snapshot.series else ""
    if received and payload["plan"]["patient"]["id"] != received:
        raise OperationError(
            f"The images received are of patient {received!r}, the plan is of {payload['plan']['patient']['id']!r}; "
            "correct the plan, or start another treatment file."
        )
    kind = Kind.PLAN_REVISED if snapshot.plan is not None else Kind.PLAN_LOADED
    told = {"name": name, "reason": reason} if reason else {"name": name}
    return Word(kind=kind, payload={**payload, **told})


def plan_payload(plan: Mapping[str, Any], site: Settings, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What ``plan_loaded`` and ``plan_revised`` carry.

    Parameters
    ----------
    plan
        With the file's keys.
    settings
        Those that the treatment was begun with, as recorded; None: the site's.

    Raises
    ------
    OperationError
        If the plan has faults: all of them, a line each.
    """
    try:
        checked = plan_from_mapping(plan, site_time_zone=site.site.time_zone)
        own = {"quantification": site.quantification.to_mapping(), "alarms": site.alarms.to_mapping()}
        in_force = dict(settings) if settings else own
        # What does not go together with the recorded settings could not be read back.
        checked.quantification_settings(settings_from_mapping(in_force).quantification)
    except ConfigurationError as error:
        raise OperationError("\n".join(error.faults)) from error
    mapping = checked.to_mapping()
    return {
        "plan": mapping,
        "sha256": canonical_sha256(mapping),
        "settings": in_force,
        "time_zone": site.site.time_zone,
    }


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
