"""Files of other versions: who recorded them, and what has changed since that a reader of their numbers must know."""

from __future__ import annotations

from collections.abc import Iterable

from dicom_listener.events import Kind
from dicom_listener.record import Record

_Version = tuple[int, ...]

CHANGES: dict[str, tuple[str, ...]] = {
    "0.2.0": (
        "a mean that is a lower bound is no longer tested against the line, and nothing is projected from it",
        "uncertainties also hold what series share: they may be larger, and every one has a 95 % interval and a budget",
        "a registration is also judged by the liver's edge, and may be marked where it was not",
        "the hash of the settings covers more settings: it differs though no value was changed",
    ),
}
"""What changed in each version that can change a result or how it is told; mean doses moved by less than 1e-6."""


def recorded_by(record: Record) -> tuple[str, ...]:
    """The versions that created a file and computed what was shown of it, in order of appearance."""
    found: dict[str, None] = {}
    after = 0
    while batch := record.events(after):
        for event in batch:
            if event.kind in (Kind.TREATMENT_CREATED, Kind.RESULT_SHOWN):
                told = event.payload.get("software_version")
                if isinstance(told, str) and told:
                    found[told] = None
        after = batch[-1].seq
    return tuple(found)


def told(versions: Iterable[str], here: str) -> tuple[str, ...]:
    """What to say when a file of these versions is opened by the version `here`, in sentences; nothing of its own."""
    others = [own for own in versions if own != here]
    older = sorted({own for own in others if _numbers(own) < _numbers(here)}, key=_numbers)
    newer = sorted({own for own in others if _numbers(own) > _numbers(here)}, key=_numbers)
    sentences = []
    if older:
        since = [
            change
            for version, changes in sorted(CHANGES.items(), key=lambda own: _numbers(own[0]))
            if _numbers(older[0]) < _numbers(version) <= _numbers(here)
            for change in changes
        ]
        changed = f" Changed since: {'; '.join(since)}." if since else ""
        sentences.append(f"Recorded by version {_and(older)}; computed here by {here}.{changed}")
    if newer:
        sentences.append(
            f"Recorded by the newer version {_and(newer)}; computed here by {here}, which may not know all that it "
            "recorded. Update Holmia to see everything."
        )
    return tuple(sentences)


def _and(names: list[str]) -> str:
    return " and ".join(names)


def _numbers(version: str) -> _Version:
    """For the order of versions; what is no number counts as 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
