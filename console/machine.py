"""What the console itself sees of its machine: is a listener at work on the file, is there room on the disk."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from dicom_listener.locks import FileLock
from quantify.findings import Alarm, Priority

KINDS = frozenset({"listener_down", "disk_full"})
"""Of the alarms that only the machine can raise, and that it alone knows to have gone."""


_LAG_S = 60.0
"""A fraction of 256 × 256 × 40 × 10 is computed in some 10 s; one that reads nothing for longer hangs."""


class Lag:
    """Watches whether the engine keeps up with the file: what it has not read for a minute it may never read."""

    def __init__(self) -> None:
        self._known_seq = -1
        self._since_s: float | None = None

    def told(self, head_seq: int, known_seq: int, now_s: float) -> str:
        """A sentence once the file has held more than the engine knows, unchanged, for a minute; else "".

        `head_seq` is the file's last event, `known_seq` the last one that the engine told of, `now_s` any clock that
        only goes forward.
        """
        if known_seq != self._known_seq or head_seq <= known_seq:
            self._known_seq, self._since_s = known_seq, None
        if head_seq <= known_seq:
            return ""
        if self._since_s is None:
            self._since_s = now_s
        behind_s = now_s - self._since_s
        if behind_s < _LAG_S:
            return ""
        unread = "1 event" if head_seq - known_seq == 1 else f"{head_seq - known_seq} events"
        return f"The engine has not read {unread} for {behind_s:.0f} s: restart the console."


def machine_status(path: Path, *, minimum_free_mb: float) -> Sequence[tuple[str, bool]]:
    """One short sentence each for the status line, and whether it is in order: listener, disk."""
    up, free_mb = FileLock.is_held(path, "listener"), _free_mb(path)
    listener = "listener running" if up else "LISTENER DOWN: no images can arrive"
    return (listener, up), (f"{free_mb / 1000:.0f} GB free", free_mb >= minimum_free_mb)


def machine_alarms(path: Path, moment: datetime, *, minimum_free_mb: float) -> tuple[Alarm, ...]:
    """High alarms: nothing listens for images, or there is no room to store them."""
    found = []
    if not FileLock.is_held(path, "listener"):
        found.append(("listener_down", "The listener is not running: no images can arrive. Start it again."))
    if _free_mb(path) < minimum_free_mb:
        found.append(("disk_full", f"Less than {minimum_free_mb:.0f} MB are free: images are refused. Make room."))
    return tuple(
        Alarm(
            id=hashlib.sha256(kind.encode()).hexdigest()[:16],
            priority=Priority.HIGH,
            kind=kind,
            text=text,
            raised_at=moment,
        )
        for kind, text in found
    )


def _free_mb(path: Path) -> float:
    return shutil.disk_usage(path.parent).free / 1e6
