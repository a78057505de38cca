"""The operator's console without its window: follows FILE, records what it shows, prints a line for each result."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from console.engine import Engine, FractionComputed, Update
from console.session import Session
from console.shell import now
from console.snapshot import Snapshot
from dicom_listener.locks import FileLock
from dicom_listener.record import Record


def main(file: Path) -> None:
    """Run until every planned injection has a result."""
    latest = Snapshot()

    def keep(snapshot: Snapshot) -> None:
        nonlocal latest
        latest = snapshot

    def tell(update: Update) -> None:
        if isinstance(update, FractionComputed):
            line = {"event": "shown", "fraction": update.result.fraction, "status": str(update.result.status)}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    with FileLock.acquire(file, "console"), Record.open(file) as record:
        session = Session(record=record, engine=Engine(), clock=now, on_update=tell, on_snapshot=keep, operator=True)
        session.run(lambda: latest.complete)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
