"""The console with its window, drawn off screen: follows FILE and prints a line for each change of what is shown.

With ``--acknowledge NAME`` every alarm is acknowledged at once, by the window's own keys.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest

from console.dashboard.app import create_application
from console.dashboard.run import LiveDashboard, quit_on_signals
from console.dashboard.screen.model import Screen
from console.snapshot import Mode, Snapshot
from dicom_listener.locks import FileLock
from dicom_listener.record import Record

_LOOK_MS = 20


def shown(screen: Screen, snapshot: Snapshot) -> dict[str, Any]:
    """What a reader sees, in words."""
    return {
        "event": "screen",
        "restored": snapshot.restored,
        "badge": screen.badge.text,
        "stale": screen.badge.stale,
        "title": screen.glance_title.text,
        "sentence": screen.guide.sentence,
        "news": screen.news.text,
        "fresh": screen.news.fresh,
        "numbers": [[n.label, n.value, n.detail] for n in screen.glance],
        "alarms": {raised.alarm.text: raised.acknowledged_by for raised in snapshot.alarms},
        "table": [[cell.text for cell in row.cells] for row in screen.alarms.rows],
        "progress": screen.guide.progress.received if screen.guide.progress is not None else None,
    }


def main(file: Path, now: datetime, acknowledge: str | None) -> None:
    """Run until the window is closed by a signal."""
    application = create_application(["holmia"])
    last: dict[str, Any] = {}
    drawn: Screen | None = None

    def look() -> None:
        nonlocal last, drawn
        window = live.dashboard.window
        if acknowledge and window.screen_drawn.unacknowledged and not window.acknowledging.isVisible():
            QTest.keyClick(window, Qt.Key.Key_A)
            window.acknowledging.name.clear()
            QTest.keyClicks(window.acknowledging.name, acknowledge)
            QTest.keyClick(window.acknowledging.name, Qt.Key.Key_Return)
        if window.screen_drawn is drawn:
            return
        drawn = window.screen_drawn
        line = shown(drawn, live.dashboard.snapshot)
        if line != last:
            last = line
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    with FileLock.acquire(file, "console"), Record.open(file) as record:
        live = LiveDashboard(record, mode=Mode.LIVE, minimum_free_mb=0.0, clock=lambda: now)
        timer = QTimer()
        timer.timeout.connect(look)
        timer.start(_LOOK_MS)
        live.start()
        with quit_on_signals(application):
            application.exec()
        timer.stop()
        live.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--now", type=datetime.fromisoformat, required=True, help="what the wall clock says")
    parser.add_argument("--acknowledge", help="the name to acknowledge every alarm by")
    asked = parser.parse_args()
    main(asked.file, asked.now, asked.acknowledge)
