"""Listeners that can be killed: each a process of its own, forked from this one, which has imported everything once.

Each line on standard input, ``FILE [POINT]``, starts one, which says ``PID PORT``; the next line is read when it has
ended. With a failpoint it kills itself there, on the way of the first instance that it receives. It stops at the end
of its input.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from config.plan import PatientPlan
from config.settings import SiteSettings
from dicom_listener import failpoints
from dicom_listener.listener import Listener
from dicom_listener.record import Record, quarantine_path


def opened(path: Path) -> Record:
    return Record.open(path) if path.exists() else Record.create(path)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Only once an instance is there: the record's points are passed by other events before."""
    failpoints.armed["admission.received"] = (
        die if point == "admission.received" else lambda: failpoints.armed.update({point: die})
    )


def listen(path: Path, point: str) -> None:
    record = opened(path)
    listener = Listener(
        record,
        lambda: opened(quarantine_path(path)),
        SiteSettings(host="127.0.0.1", port=0, minimum_free_disk_mb=1.0),
        PatientPlan(id="EM1-004"),
        lambda: datetime.now(UTC),
    )
    port = listener.start()
    if point:
        arm(point)
    sys.stdout.write(f"{os.getpid()} {port}\n")
    sys.stdout.flush()
    select.select([sys.stdin], [], [])
    listener.stop()
    record.close()


def main() -> None:
    # Not by `for line in sys.stdin`, which reads ahead.
    while line := sys.stdin.buffer.raw.readline():
        path, _, point = line.decode().rstrip("\n").partition("\t")
        child = os.fork()
        if child == 0:
            listen(Path(path), point)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
