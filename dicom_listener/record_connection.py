"""Connections to treatment files: opened only when they are what they claim, errors turned into sentences."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from dicom_listener.record_schema import (
    APPLICATION_ID,
    BUSY_TIMEOUT_S,
    SCHEMA,
    USER_VERSION,
    RecordCorruptError,
    RecordError,
    RecordFullError,
    RecordNewerError,
)

_SWITCH_PAUSE_S = 0.01
"""Between attempts to enter WAL mode, for which SQLite itself does not wait."""
_NOT_OF_THE_CONTENT = (sqlite3.OperationalError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.InterfaceError)
"""The errors that say nothing against the file's content."""


def connected(path: Path, query: str, *, tolerant: bool = False) -> sqlite3.Connection:
    """Open the treatment file at the absolute `path` with SQLite's URI parameters `query`, and check what it is.

    A `tolerant` connection takes a cut file for what is left of it; `check_schema` is then the caller's.

    Raises
    ------
    RecordCorruptError, RecordNewerError
        If it is no treatment file, or a newer one.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?{query}", uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
    )
    try:
        # What was altered must not raise while it is fetched: its hash tells.
        connection.text_factory = _decoded
        connection.execute("PRAGMA trusted_schema=OFF")
        if tolerant:
            # Without it SQLite refuses any file that is shorter than its header says.
            connection.execute("PRAGMA writable_schema=ON")
        _check_identity(path, connection)  # before anything is written to what may be another program's file
        if not tolerant:
            check_schema(path, connection)
        connection.execute("PRAGMA synchronous=FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def connected_for_reading(path: Path) -> sqlite3.Connection:
    """Open a treatment file for reading; the last reader still leaves one file behind, where it may write."""
    try:
        connection = connected(path, "mode=rw")
    except sqlite3.OperationalError:
        return _connected_to_read_only_media(path, tolerant=False)
    connection.execute("PRAGMA query_only=ON")
    return connection


def connected_for_salvage(path: Path) -> sqlite3.Connection:
    """Open what may be damaged, so that nothing of it is changed: not even its log is moved into it."""
    try:
        return _connected_to_read_only_media(path, tolerant=True)
    except sqlite3.OperationalError:
        # The journal of a transaction that was cut off has to be undone first.
        connection = connected(path, "mode=rw", tolerant=True)
        connection.execute("PRAGMA query_only=ON")
        return connection


def _connected_to_read_only_media(path: Path, *, tolerant: bool) -> sqlite3.Connection:
    try:
        return connected(path, "mode=ro", tolerant=tolerant)
    except sqlite3.OperationalError:
        # A file left in WAL mode needs its index written even by readers. Without a log nothing is missing from it.
        if any(path.with_name(f"{path.name}-{kind}").exists() for kind in ("wal", "journal")):
            raise
        return connected(path, "mode=ro&immutable=1", tolerant=tolerant)


def _check_identity(path: Path, connection: sqlite3.Connection) -> None:
    if value(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise RecordCorruptError(f"{path} is not a treatment file of Holmia; check the name.")
    version = value(connection, "PRAGMA user_version")
    if not isinstance(version, int) or version > USER_VERSION:
        raise RecordNewerError(
            f"{path} was written by a newer Holmia (file version {version}, this one reads {USER_VERSION}); "
            "install the newer version."
        )


def check_schema(path: Path, connection: sqlite3.Connection) -> None:
    """Raise RecordCorruptError if the file has other tables or triggers than it was made with."""
    found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall())
    if found != SCHEMA:
        raise RecordCorruptError(f"{path} has other tables or triggers than a treatment file; use a copy.")


def check_database(path: Path, connection: sqlite3.Connection) -> None:
    """Raise RecordCorruptError if tables, structure or objects are not such as appending alone leaves them.

    The content of pages is not looked at; 0.3 s per GB.
    """
    check_schema(path, connection)
    orphan = value(
        connection,
        "SELECT sha256 FROM object WHERE sha256 NOT IN (SELECT object FROM event WHERE object IS NOT NULL) LIMIT 1",
    )
    if orphan is not None:
        raise RecordCorruptError(f"{path} holds an object whose event is missing ({orphan}); use a copy.")
    found = str(value(connection, "PRAGMA integrity_check(1)"))
    if found != "ok":
        raise RecordCorruptError(f"{path} is not a sound database ({' '.join(found.split())}); use a copy.")


def enter_write_ahead_mode(path: Path, connection: sqlite3.Connection) -> None:
    """Switch to SQLite's write-ahead log; RecordError if the file cannot be written."""
    for _ in range(int(BUSY_TIMEOUT_S / _SWITCH_PAUSE_S)):
        try:
            if value(connection, "PRAGMA journal_mode=WAL") == "wal":
                return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # the low byte of the extended code
                raise RecordError(f"{path} cannot be written: {error}; check the permissions of its folder.") from error
        time.sleep(_SWITCH_PAUSE_S)
    raise RecordError(f"{path} cannot be written: another program keeps it locked; close that.")


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def value(connection: sqlite3.Connection, statement: str) -> object:
    """Return the one value of a statement's first row, or None."""
    row = connection.execute(statement).fetchone()
    return None if row is None else row[0]


@contextlib.contextmanager
def said_of(path: Path, done: str) -> Iterator[None]:
    """Turn SQLite's errors into sentences."""
    try:
        yield
    except (*_NOT_OF_THE_CONTENT, OverflowError) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise RecordFullError(f"{path} cannot be {done}: its disk is full; make room.") from error
        if str(error).startswith("no such table"):
            raise RecordCorruptError(
                f"{path} is no whole treatment file: it is cut off before its first event; use a copy."
            ) from error
        raise RecordError(
            f"{path} cannot be {done}: {error}; check the disk, its space and its permissions."
        ) from error
    except sqlite3.DatabaseError as error:
        raise RecordCorruptError(f"{path} is not a sound treatment file ({error}); use a copy.") from error


def is_damage(error: RecordError) -> bool:
    """Return whether what `said_of` said is of the file and its medium, not of what others do with it."""
    code = getattr(error.__cause__, "sqlite_errorcode", 0)
    return isinstance(error, RecordCorruptError) or code & 0xFF == sqlite3.SQLITE_IOERR
