"""The treatment file: everything that happened in a treatment, appended to one SQLite database and never changed.

Each event carries the hash of its predecessor, so an altered or missing event shows. A cut tail does not show: the
head (`Record.head`) is printed in every output for that. The order is ``seq``; ``utc`` is only what a clock said.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from dicom_listener.events import Event
from dicom_listener.record_connection import connected, connected_to_read_only_media, said_of, value
from dicom_listener.record_schema import (
    NO_HASH,
    RecordCorruptError,
    RecordError,
    RecordNewerError,
    build_file,
    publish,
    quarantine_path,
)

__all__ = ["Head", "Record", "RecordCorruptError", "RecordError", "RecordNewerError", "quarantine_path"]

_COLUMNS = "seq, utc, actor, kind, payload, object, previous_hash, hash"
_OBJECT = "SELECT CAST(bytes AS BLOB) FROM object WHERE sha256 = ?"


@dataclass(frozen=True, kw_only=True)
class Head:
    """The last event: its number and its hash, which vouches for all before it. An empty file has seq 0."""

    seq: int = 0
    hash: str = NO_HASH


def canonical_json(value: object) -> str:
    """Return `value` as the one JSON text that is stored and hashed: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def event_hash(
    seq: int, utc: str, actor: str, kind: str, payload: object, object_sha256: str | None, previous_hash: str
) -> str:
    """Return SHA-256 (hex) over the canonical JSON of the list of the arguments."""
    text = canonical_json([seq, utc, actor, kind, payload, object_sha256, previous_hash])
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class Record:
    """An open treatment file. Safe to share between threads; each process opens its own.

    A record opened read-only refuses `append`, but still tidies up when it is the last to close.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._connection = connection
        self._lock = threading.RLock()
        self._own_appends = 0
        self._seen = self._version()

    @classmethod
    def create(cls, path: Path) -> Record:
        """Make an empty treatment file and open it.

        Raises
        ------
        RecordError
            If the name exists, or the folder cannot be written or lies on a network file system.
        """
        build_file(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Record:
        """Open an existing treatment file, also while others write it.

        Raises
        ------
        RecordNewerError
            If a newer Holmia wrote it.
        RecordCorruptError
            If it is not a treatment file, or cut off.
        RecordError
            If it is missing or cannot be opened.
        """
        path = path.absolute()
        if not path.is_file():
            raise RecordError(f"{path} does not exist or is no file; check the name.")
        with said_of(path, "opened"):
            if not read_only:
                return cls(path, connected(path, "mode=rw", write_ahead=True), read_only=False)
            try:
                # Not mode=ro: the last reader must be able to leave one file behind.
                connection = connected(path, "mode=rw", write_ahead=False)
                connection.execute("PRAGMA query_only=ON")
            except sqlite3.OperationalError:
                connection = connected_to_read_only_media(path)
            return cls(path, connection, read_only=True)

    def append(
        self, kind: str, payload: dict[str, Any], *, actor: str, utc: datetime, data: bytes | None = None
    ) -> Event:
        """Append one event, with its object `data` if any, durably and in one transaction.

        Raises
        ------
        ValueError
            If `utc` has no offset or the payload is not JSON (NaN included).
        RecordError
            If it could not be written: nothing was then.
        """
        if utc.tzinfo is None:
            raise ValueError(f"utc {utc} of event {kind} has no time zone; pass an aware time.")
        instant = utc.astimezone(UTC)
        when = instant.isoformat(timespec="microseconds")
        # Through JSON and back first, so that what is hashed is what will be read (keys become text).
        payload = json.loads(json.dumps(payload, allow_nan=False))
        text = canonical_json(payload)
        digest = None if data is None else hashlib.sha256(data).hexdigest()
        with self._lock, said_of(self.path, "written"):
            # Not the default deferred transaction: two writers would read one head and fork the chain.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                head = self._head()
                seq = head.seq + 1
                chained = event_hash(seq, when, actor, str(kind), payload, digest, head.hash)
                if data is not None:
                    self._connection.execute("INSERT OR IGNORE INTO object VALUES (?, ?)", (digest, data))
                self._connection.execute(
                    f"INSERT INTO event({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (seq, when, actor, str(kind), text, digest, head.hash, chained),
                )
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._own_appends += 1
        return Event(
            seq=seq,
            utc=instant,
            actor=actor,
            kind=str(kind),
            payload=payload,
            object_sha256=digest,
            previous_hash=head.hash,
            hash=chained,
        )

    def events(self, after_seq: int = 0, limit: int = 256) -> list[Event]:
        """Return up to `limit` events after `after_seq`, in order, without the bytes of their objects.

        No transaction stays open: an open one would keep the write-ahead log growing.
        """
        with self._lock, said_of(self.path, "read"):
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
                (after_seq, limit),
            ).fetchall()
        try:
            return [_event(row) for row in rows]
        except (ValueError, TypeError) as error:
            raise RecordCorruptError(
                f"{self.path} has an unreadable event after number {after_seq}; use a copy.", after_seq
            ) from error

    def object_bytes(self, sha256: str) -> bytes:
        """Return the object with that hash, verified.

        Raises
        ------
        RecordCorruptError
            If it is missing or its bytes are not those that were stored.
        """
        with self._lock, said_of(self.path, "read"):
            row = self._connection.execute(
                "SELECT CAST(bytes AS BLOB) FROM object WHERE sha256 = ?", (sha256,)
            ).fetchone()
        if row is None:
            raise RecordCorruptError(f"{self.path} lacks the object {sha256}; use a copy.")
        data = bytes(row[0])
        if hashlib.sha256(data).hexdigest() != sha256:
            raise RecordCorruptError(f"{self.path} holds other bytes than were stored as {sha256}; use a copy.")
        return data

    def changed(self) -> bool:
        """Return whether anything was appended, here or by another process, since the last call (or since opening)."""
        with self._lock:
            before, self._seen = self._seen, self._version()
            return self._seen != before

    def follow(self, after_seq: int = 0, *, stop: Callable[[], bool], poll_s: float = 0.02) -> Iterator[list[Event]]:
        """Yield every event after `after_seq` in bounded batches, present and future ones, until `stop()`.

        When nothing new is there an empty list is yielded before each pause of `poll_s`, so the caller can do other
        work. It ends without yielding what is still unread once `stop()` is true.
        """
        seen: object = None
        while not stop():
            now = self._version()
            # The version is read before the events: what comes in between is fetched in the next round.
            batch = self.events(after_seq) if now != seen else []
            if batch:
                after_seq = batch[-1].seq
            else:
                seen = now
            yield batch
            if not batch:
                time.sleep(poll_s)

    def head(self) -> Head:
        """Return the number and hash of the last event."""
        with self._lock, said_of(self.path, "read"):
            return self._head()

    def verify(self) -> Head:
        """Check the whole chain and every object; return the head.

        Raises
        ------
        RecordCorruptError
            If an event is altered or missing, or an object altered, missing or without an event. The text and
            `last_sound_seq` name the last event that is sound.
        """
        head = Head()
        checked: set[str] = set()
        try:
            while (event := self._next_sound_event(head)) is not None:
                if event.object_sha256 is not None and event.object_sha256 not in checked:
                    self.object_bytes(event.object_sha256)
                    checked.add(event.object_sha256)
                head = Head(seq=event.seq, hash=event.hash)
            with self._lock, said_of(self.path, "read"):
                orphan = self._connection.execute(
                    "SELECT sha256 FROM object WHERE sha256 NOT IN "
                    "(SELECT object FROM event WHERE object IS NOT NULL) LIMIT 1"
                ).fetchone()
            if orphan is not None:
                raise RecordCorruptError(
                    f"{self.path} holds an object whose event is missing ({orphan[0]}); use a copy."
                )
        except RecordCorruptError as error:
            raise RecordCorruptError(
                f"{str(error).rstrip('.')}; the last sound event is {head.seq}.", head.seq
            ) from error
        return head

    def copy_to(self, target: Path) -> None:
        """Write a compact, self-contained copy to `target`; works while others write.

        Raises
        ------
        RecordError
            If `target` exists or cannot be written.
        """

        def vacuum(temporary: Path) -> None:
            with self._lock:
                # VACUUM INTO writes only its target, but SQLite refuses it under query_only.
                self._connection.execute("PRAGMA query_only=OFF")
                try:
                    self._connection.execute("VACUUM INTO ?", (str(temporary),))
                finally:
                    self._connection.execute(f"PRAGMA query_only={int(self.read_only)}")

        publish(target, vacuum)

    def close(self) -> None:
        """Close; the last to close leaves one file, without log and index, that read-only media can hold."""
        # The switch fails while others are connected, on read-only media and once closed: then it is not ours to do.
        with self._lock, contextlib.closing(self._connection), contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout=0")
            self._connection.execute("PRAGMA query_only=OFF")
            if value(self._connection, "PRAGMA journal_mode") == "wal":
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                self._connection.execute("PRAGMA journal_mode=DELETE").fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _head(self) -> Head:
        row = self._connection.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        return Head() if row is None else Head(seq=row[0], hash=row[1])

    def _version(self) -> tuple[object, int]:
        # data_version counts the commits of other connections only.
        with self._lock, said_of(self.path, "read"):
            return value(self._connection, "PRAGMA data_version"), self._own_appends

    def _next_sound_event(self, before: Head) -> Event | None:
        with self._lock, said_of(self.path, "read"):
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM event WHERE seq > ? ORDER BY seq LIMIT 1",
                (before.seq,),
            ).fetchone()
        if row is None:
            return None
        seq, utc, actor, kind, text, digest, previous, chained = row
        if seq != before.seq + 1 or previous != before.hash:
            raise RecordCorruptError(f"{self.path} lacks an event between {before.seq} and {seq}; use a copy.")
        try:
            event = _event(row)
            sound = canonical_json(event.payload) == text and chained == event_hash(
                seq, utc, actor, kind, event.payload, digest, previous
            )
        except (ValueError, TypeError):
            sound = False
        if not sound:
            raise RecordCorruptError(f"{self.path} has an altered event {seq}; use a copy.")
        return event


def _event(row: tuple[Any, ...]) -> Event:
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
