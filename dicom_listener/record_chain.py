"""The chain of events: how one is hashed onto the other, and how far a file is as it was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_listener.events import Event
from dicom_listener.record_schema import NO_HASH, RecordCorruptError, RecordError

COLUMNS = "seq, utc, actor, kind, payload, object, previous_hash, hash"
_BATCH = 256

Rows = Callable[[int, int], Sequence[tuple[Any, ...]]]
"""Reads rows of `COLUMNS`: given a number, up to so many events after it, in order."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """The last event: its number and its hash, which vouches for all before it. An empty file has seq 0."""

    seq: int = 0
    hash: str = NO_HASH


def canonical_json(value: object) -> str:
    """Return `value` as the one JSON text that is stored and hashed: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def event_hash(
    seq: int, utc: str, actor: str, kind: str, payload_json: str, object_sha256: str | None, previous_hash: str
) -> str:
    """Return SHA-256 (hex) over the canonical JSON of the list of the arguments, the payload as the object it is."""
    before = canonical_json([seq, utc, actor, kind])[:-1]
    after = canonical_json([object_sha256, previous_hash])[1:]
    return hashlib.sha256(f"{before},{payload_json},{after}".encode("ascii")).hexdigest()


def event_of(row: Sequence[Any]) -> Event:
    """Return the event of a row of `COLUMNS`; ValueError or TypeError if it cannot be read."""
    seq, utc, actor, kind, payload, digest, previous, chained = row
    return Event(
        seq=seq,
        utc=datetime.fromisoformat(utc),
        actor=actor,
        kind=kind,
        payload=json.loads(payload),
        object_sha256=digest,
        previous_hash=previous,
        hash=chained,
    )


def sound_rows(path: Path, rows: Rows) -> Iterator[tuple[Any, ...]]:
    """Yield each event's row, in order, for as long as the chain of `path` holds.

    Raises
    ------
    RecordCorruptError
        At the first event that is altered, missing or unreadable; without saying which was the last sound one.
    """
    head = Head()
    while batch := _read(rows, head.seq):
        for row in batch:
            head = _next_head(path, head, row)
            yield row


def _read(rows: Rows, after_seq: int) -> Sequence[tuple[Any, ...]]:
    try:
        return rows(after_seq, _BATCH)
    except RecordError:
        # One unreadable page takes a whole batch with it: what is before it comes one by one.
        return rows(after_seq, 1)


def _next_head(path: Path, before: Head, row: tuple[Any, ...]) -> Head:
    seq, utc, actor, kind, text, digest, previous, chained = row
    if seq != before.seq + 1 or previous != before.hash:
        raise RecordCorruptError(f"{path} lacks an event between {before.seq} and {seq}; use a copy.")
    try:
        # The payload's text itself is hashed: as it was canonical when written, it is when it is unchanged.
        event_of(row)
        sound = chained == event_hash(seq, utc, actor, kind, text, digest, previous)
    except (ValueError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise RecordCorruptError(f"{path} has an altered event {seq}; use a copy.")
    return Head(seq=seq, hash=chained)
