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
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from dicom_listener import failpoints
from dicom_listener.events import Event
from dicom_listener.record_chain import COLUMNS, Head, canonical_json, event_hash, event_of, sound_rows
from dicom_listener.record_connection import (
    check_database,
    connected,
    connected_for_reading,
    connected_for_salvage,
    enter_write_ahead_mode,
    is_damage,
    said_of,
    value,
)
from dicom_listener.record_schema import (
    RecordCorruptError,
    RecordError,
    RecordFullError,
    RecordNewerError,
    build_file,
    publish,
    quarantine_path,
    write_schema,
)

__all__ = [
    "Head",
    "Record",
    "RecordCorruptError",
    "RecordError",
    "RecordFullError",
    "RecordNewerError",
    "quarantine_path",
]

_READABLE_TO_THERE = "Nothing can be added to it; up to there it can be read, and exported as a sound file."
_OBJECT = "SELECT CAST(bytes AS BLOB) FROM object WHERE sha256 = ?"
_INSERT_OBJECT = "INSERT OR IGNORE INTO object VALUES (?, ?)"
_INSERT_EVENT = f"INSERT INTO event({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class Record:
    """An open treatment file. Safe to share between threads; each process opens its own.

    A record opened read-only refuses `append`, but still tidies up when it is the last to close.

    Attributes
    ----------
    damage
        None, or what is wrong with a file that was opened by `salvage`: everything then ends at its last sound event.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._connection = connection
        self._lock = threading.RLock()
        self._own_appends = 0
        self.damage: str | None = None
        # Of a damaged file. Not read again: a search through a damaged page finds another event than a walk does.
        self._sound_rows: list[tuple[Any, ...]] = []
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

        To write, the chain of its events (30 µs each) and the database's structure (0.3 s per GB) have to be sound;
        the content of an object is verified when it is read.

        Raises
        ------
        RecordNewerError
            If a newer Holmia wrote it.
        RecordCorruptError
            If it is not a treatment file, or cut off; to write, also if it is damaged.
        RecordError
            If it is missing or cannot be opened.
        """
        path = _existing(path)
        with said_of(path, "opened"):
            if read_only:
                return cls(path, connected_for_reading(path), read_only=True)
            record = cls(path, connected(path, "mode=rw"), read_only=False)
            try:
                rows, fault = record._soundness(with_objects=False)
                if fault is not None:
                    raise RecordCorruptError(f"{fault} {_READABLE_TO_THERE}", len(rows))
                enter_write_ahead_mode(path, record._connection)
                record._seen = record._version()
            except BaseException:
                record._connection.close()
                raise
            return record

    @classmethod
    def salvage(cls, path: Path) -> Record:
        """Open a treatment file read-only, up to its last sound event if it is damaged: see `damage`.

        Everything is verified (2 s per GB). A sound file, one that others write included, is opened as by `open`.
        The file of a damaged one is left as it is. What came before the copying of a live file without its log, or
        before a cut of whole events from its end, is sound: only the head of an earlier output tells.

        Raises
        ------
        RecordNewerError
            If a newer Holmia wrote it.
        RecordCorruptError
            If it is not a treatment file, or nothing of it can be read.
        RecordError
            If it is missing or cannot be opened.
        """
        path = _existing(path)
        with said_of(path, "opened"):
            record = cls(path, connected_for_salvage(path), read_only=True)
            try:
                rows, fault = record._soundness(with_objects=True)
            except BaseException:
                record.close()
                raise
        if fault is None:
            try:
                sound = cls.open(path, read_only=True)
            except RecordCorruptError as error:
                fault = _with_end(error, _head_of(rows))  # a page cut off that held nothing
            else:
                record.close()
                return sound
        # It goes into outputs: which folder of whose computer the file lies in is nobody's business there.
        record.damage, record._sound_rows = fault.replace(str(path), path.name), rows
        return record

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
        return self.append_all([(kind, payload, data)], actor=actor, utc=utc)[0]

    def append_all(
        self, entries: Sequence[tuple[str, Mapping[str, Any], bytes | None]], *, actor: str, utc: datetime
    ) -> list[Event]:
        """Append events (kind, payload, object) that stand or fall together: as `append`, in one transaction."""
        if utc.tzinfo is None:
            raise ValueError(f"utc {utc} of event {entries[0][0]} has no time zone; pass an aware time.")
        instant = utc.astimezone(UTC)
        # Through JSON and back first, so that what is hashed is what will be read (keys become text).
        payloads = [json.loads(json.dumps(dict(payload), allow_nan=False)) for _, payload, _ in entries]
        with self._lock, said_of(self.path, "written"):
            # Not the default deferred transaction: two writers would read one head and fork the chain.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                appended = [
                    self._insert(str(kind), payload, data, actor, instant)
                    for (kind, _, data), payload in zip(entries, payloads, strict=True)
                ]
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._own_appends += 1
            failpoints.reach("record.committed")
        return appended

    def _insert(self, kind: str, payload: dict[str, Any], data: bytes | None, actor: str, instant: datetime) -> Event:
        """One event and its object, within a transaction that has begun."""
        when, text = instant.isoformat(timespec="microseconds"), canonical_json(payload)
        digest = None if data is None else hashlib.sha256(data).hexdigest()
        head = self._head()
        seq = head.seq + 1
        chained = event_hash(seq, when, actor, kind, text, digest, head.hash)
        # Made before it is written: after the commit nothing is left that could fail.
        event = Event(
            seq=seq,
            utc=instant,
            actor=actor,
            kind=kind,
            payload=payload,
            object_sha256=digest,
            previous_hash=head.hash,
            hash=chained,
        )
        failpoints.reach("record.begun")
        if data is not None:
            self._connection.execute(_INSERT_OBJECT, (digest, data))
        failpoints.reach("record.object_inserted")
        row = (seq, when, actor, kind, text, digest, head.hash, chained)
        self._connection.execute(_INSERT_EVENT, row)
        failpoints.reach("record.event_inserted")
        return event

    def events(self, after_seq: int = 0, limit: int = 256) -> list[Event]:
        """Return up to `limit` events after `after_seq`, in order, without the bytes of their objects.

        No transaction stays open: an open one would keep the write-ahead log growing.
        """
        rows = self._rows(after_seq, limit)
        try:
            return [event_of(row) for row in rows]
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
            row = self._connection.execute(_OBJECT, (sha256,)).fetchone()
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
        """Return the number and hash of the last event; of a damaged file, the last sound one."""
        if self.damage is not None:
            return _head_of(self._sound_rows)
        with self._lock, said_of(self.path, "read"):
            return self._head()

    def verify(self) -> Head:
        """Check the whole chain, every object and the database itself; return the head.

        Raises
        ------
        RecordCorruptError
            If an event is altered or missing, or an object altered, missing or without an event. The text and
            `last_sound_seq` name the last event that is sound.
        """
        if self.damage is not None:
            raise RecordCorruptError(self.damage, len(self._sound_rows))
        rows, fault = self._soundness(with_objects=True)
        if fault is not None:
            raise RecordCorruptError(fault, len(rows))
        return _head_of(rows)

    def copy_to(self, target: Path) -> None:
        """Write a compact, self-contained copy to `target`; works while others write.

        Of a damaged file it has the events up to the last sound one, and is itself sound.

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

        def sound_part(temporary: Path) -> None:
            write_schema(temporary)
            with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
                copy.execute("BEGIN")
                for row in self._sound_rows:
                    if row[5] is not None:
                        copy.execute(_INSERT_OBJECT, (row[5], self.object_bytes(row[5])))
                    copy.execute(_INSERT_EVENT, row)
                copy.execute("COMMIT")

        publish(target, vacuum if self.damage is None else sound_part)

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

    def _rows(self, after_seq: int, limit: int) -> Sequence[tuple[Any, ...]]:
        if self.damage is not None:
            return self._sound_rows[after_seq : after_seq + limit]
        with self._lock, said_of(self.path, "read"):
            return self._connection.execute(
                f"SELECT {COLUMNS} FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (after_seq, limit)
            ).fetchall()

    def _soundness(self, *, with_objects: bool) -> tuple[list[tuple[Any, ...]], str | None]:
        """Return the rows up to the last sound event, and None or a sentence on what is wrong after or beside them.

        Checked are the chain, the database's own structure and, if asked, the content of every object.
        """
        sound: list[tuple[Any, ...]] = []
        checked: set[str] = set()
        try:
            for row in sound_rows(self.path, self._rows):
                digest = row[5]
                if with_objects and digest is not None and digest not in checked:
                    self.object_bytes(digest)
                    checked.add(digest)
                sound.append(row)
            with self._lock, said_of(self.path, "read"):
                check_database(self.path, self._connection)
        except RecordError as error:
            if not is_damage(error):
                raise
            return sound, _with_end(error, _head_of(sound))
        return sound, None


def _head_of(rows: Sequence[tuple[Any, ...]]) -> Head:
    return Head(seq=rows[-1][0], hash=rows[-1][7]) if rows else Head()


def _with_end(error: RecordError, head: Head) -> str:
    return f"{str(error).rstrip('.')}; the last sound event is {head.seq}."


def _existing(path: Path) -> Path:
    path = path.absolute()
    if not path.is_file():
        raise RecordError(f"{path} does not exist or is no file; check the name.")
    return path
