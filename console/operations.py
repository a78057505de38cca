"""What an operator may say, each with what takes it back; `console.operation_words` makes events of it.

Nothing is removed from a treatment file: to undo is to say something later. The window and the commands share this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from console.snapshot import Binding, Snapshot
from quantify.findings import Injection

ONE_TAP = ("stasis", "reflux", "spasm", "dislocation", "contrast")
"""Labels of the events that one tap records."""
ROLES = ("reference", "fraction", "baseline", "anatomy", "ignore", "automatic")
"""What a series may be assigned as; automatic takes an earlier word back."""


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


# -- taking back ---------------------------------------------------------------------------------------------------


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
            fractions = tuple(i.fraction for i in to_come(position, before))
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


def to_come(position: str, snapshot: Snapshot) -> list[Injection]:
    """What is planned at a position and has neither begun nor been broken off."""
    """What has not begun; of what was aborted something may have been delivered, whenever it was."""
    own = [i for i in snapshot.injections if i.position == position]
    return [i for i in own if i.time is None and not i.under_way and not i.aborted]
