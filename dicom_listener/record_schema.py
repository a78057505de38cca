"""The treatment file on disk: its tables, its marks, how it comes into being, and where it may not lie.

Nothing here keeps a connection. A file that a connection of this process holds must never be opened by other means:
closing any descriptor of it drops SQLite's POSIX locks. The descriptors below belong to files nobody else has yet.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

APPLICATION_ID = 0x484F4C4D
"""“HOLM” in the SQLite header, by which the file is recognised."""
USER_VERSION = 1
"""Version of the tables and events below; a file with a higher one is refused."""
BUSY_TIMEOUT_S = 5.0
"""How long a writer waits for another (design: appends take about a millisecond each)."""
NO_HASH = "0" * 64
"""What stands for the hash before the first event."""

SCHEMA = {
    "object": "CREATE TABLE object(sha256 TEXT PRIMARY KEY NOT NULL, bytes BLOB NOT NULL)",
    "event": (
        "CREATE TABLE event(seq INTEGER PRIMARY KEY NOT NULL, utc TEXT NOT NULL, actor TEXT NOT NULL, "
        "kind TEXT NOT NULL, payload TEXT NOT NULL, object TEXT REFERENCES object(sha256), "
        "previous_hash TEXT NOT NULL UNIQUE, hash TEXT NOT NULL)"
    ),
} | {
    f"{table}_no_{verb.lower()}": (
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'a treatment file is only ever appended to'); END"
    )
    for table in ("object", "event")
    for verb in ("UPDATE", "DELETE")
}

NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "autofs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs"}
    | {"nfs4", "ocfs2", "orangefs", "smb3", "smbfs"}
    | {f"fuse.{name}" for name in ("ceph", "cifs", "glusterfs", "rclone", "s3fs", "smbnetfs", "sshfs")}
)
"""File systems shared between machines: SQLite's write-ahead log needs memory shared by all its readers
(https://www.sqlite.org/wal.html, section 1). 9p and virtiofs are absent: virtual machines reach their own disk by them.
"""


class RecordError(Exception):
    """A treatment file could not be created, read or written; the text is a sentence for the user."""


class RecordFullError(RecordError):
    """There is no room on the disk; nothing was written, and the next attempt may succeed."""


class RecordCorruptError(RecordError):
    """The file is no treatment file, or not as it was written. `last_sound_seq` is the last event before the fault."""

    def __init__(self, text: str, last_sound_seq: int = 0) -> None:
        super().__init__(text)
        self.last_sound_seq = last_sound_seq


class RecordNewerError(RecordError):
    """The file was written by a newer Holmia."""


def quarantine_path(path: Path) -> Path:
    """Return where the instances lie that may not enter the treatment file at `path`: NAME.quarantine.holmia."""
    name = path.name.removesuffix(".holmia")
    return path.with_name(f"{name}.quarantine.holmia")


def build_file(path: Path) -> None:
    """Make an empty treatment file that appears under its name at once and whole, readable by its owner only.

    Raises
    ------
    RecordError
        If the name exists, the folder lies on a network file system, or the folder cannot be written.
    """
    publish(path, write_schema)


def publish(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary sibling, make it durable and give it the name `path`, which must not exist.

    Raises
    ------
    RecordError
        If the name exists, the folder lies on a network file system, or something cannot be written.
    """
    path = path.absolute()
    refuse_network_file_system(path)
    if path.exists():  # said before the work; os.link below decides
        raise RecordError(f"{path} exists already and is never overwritten; choose another name.")
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        os.close(descriptor)
    except OSError as error:
        raise RecordError(
            f"{path} cannot be created: {error.strerror}; choose a folder that exists and can be written."
        ) from error
    temporary = Path(name)
    try:
        write(temporary)
        _synchronise(temporary)
        os.link(temporary, path)  # unlike rename, refuses to replace
        _synchronise(path.parent)
    except FileExistsError as error:
        raise RecordError(f"{path} exists already and is never overwritten; choose another name.") from error
    except sqlite3.Error as error:
        raise RecordError(f"{path} cannot be written: {error}; check the disk.") from error
    except OSError as error:
        raise RecordError(
            f"{path} cannot be created: {error.strerror}; use a local disk with space and hard links."
        ) from error
    finally:
        for leftover in (temporary, Path(f"{name}-journal")):
            with contextlib.suppress(FileNotFoundError):
                leftover.unlink()


def refuse_network_file_system(path: Path) -> None:
    """Raise RecordError if the folder of `path` lies on a network file system, by /proc/self/mountinfo (Linux)."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # not Linux: the documentation carries the rule
        return
    kind = file_system_of(path.parent.resolve(), mountinfo)
    if kind in NETWORK_FILE_SYSTEMS:
        raise RecordError(
            f"{path} lies on a network file system ({kind}), where commits can be lost; choose one on a local disk."
        )


def file_system_of(folder: Path, mountinfo: str) -> str:
    """Return the type of the file system that holds `folder`, given the text of /proc/self/mountinfo (proc(5))."""
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        mount = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        # of two mounts on one point the later hides the earlier
        if folder.is_relative_to(mount) and len(Path(mount).parts) >= best:
            best, kind = len(Path(mount).parts), after.split(" ")[0]
    return kind


def write_schema(path: Path) -> None:
    """Make an empty database a treatment file without events."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={USER_VERSION}")
        for statement in SCHEMA.values():
            connection.execute(statement)


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
