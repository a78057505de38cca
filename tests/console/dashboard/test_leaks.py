"""Closing leaves nothing behind: no widget, thread, timer, process, descriptor, and no memory of the treatment."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import threading
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import treatments
from PySide6.QtCore import QCoreApplication, QEvent, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from shiboken6 import isValid

from console.dashboard.app import Dashboard
from console.dashboard.run import LiveDashboard
from console.snapshot import Mode, Snapshot
from dicom_listener.events import Kind
from dicom_listener.record import Record

NOW = treatments.START + timedelta(minutes=58)
REPLAYS, SETTLED = 12, 5
SIZE = (1280, 720)
GROWTH_LIMIT_MIB = 24.0
"""From the fifth treatment to the twentieth; the maps of one of them take more."""
PATIENCE_MS = 60_000
KEYS = (Qt.Key.Key_Up, Qt.Key.Key_1, Qt.Key.Key_N, Qt.Key.Key_C, Qt.Key.Key_T, Qt.Key.Key_P, Qt.Key.Key_Question)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What this process holds that a window could leave behind."""

    widgets: int
    threads: frozenset[str]
    timers: int
    descriptors: int
    processes: frozenset[str]


def settle() -> None:
    """Let everything go that is only waiting to be destroyed."""
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()
    gc.collect()


def held() -> Held:
    """Count."""
    settle()
    children = {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}
    return Held(
        widgets=len(QApplication.allWidgets()),
        threads=frozenset(thread.name for thread in threading.enumerate()),
        timers=sum(isinstance(each, QTimer) and isValid(each) and each.isActive() for each in gc.get_objects()),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        processes=frozenset(children),
    )


def resident_mib() -> float:
    """Memory of this process, after what is free has been given back."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture(scope="module")
def course(finished: Snapshot, between: Snapshot) -> bytes:
    """A treatment's snapshots as they cross from the engine's process: of every copy all arrays are its own."""
    before = Snapshot(plan=finished.plan, settings=finished.settings, injections=treatments.injections(0))
    return pickle.dumps((before, between, finished))


def watched(course: bytes) -> tuple[weakref.ref, ...]:
    """Watch one treatment in a window of its own; return references to its window, its last snapshot and a map."""
    snapshots = pickle.loads(course)
    dashboard = Dashboard(mode=Mode.REPLAY, clock=lambda: NOW, on_operator_action=lambda _: None)
    dashboard.window.resize(*SIZE)
    dashboard.start()
    for snapshot in snapshots:
        dashboard.receive(snapshot)
        QCoreApplication.processEvents()
    for key in KEYS:
        QTest.keyClick(dashboard.window, key)
        QCoreApplication.processEvents()
    seen = tuple(weakref.ref(noun) for noun in (dashboard.window, snapshots[-1], snapshots[-1].results[0].maps))
    dashboard.window.close()
    dashboard.window.deleteLater()
    dashboard.deleteLater()
    return seen


def test_many_treatments_leave_nothing_in_the_process_that_showed_them(qapp, course):
    seen, all_held, resident = [], {}, {}
    for number in range(1, REPLAYS + 1):
        seen.append(watched(course))
        settle()
        window, snapshot, _ = seen[-1]
        assert window() is None
        assert snapshot() is None
        if number in (SETTLED, REPLAYS):
            all_held[number], resident[number] = held(), resident_mib()
    assert all_held[REPLAYS] == all_held[SETTLED]
    # Cuts that were drawn are kept for a while, and only so many of them.
    assert not any(reference() is not None for replay in seen[:-SETTLED] for reference in replay)
    grown = resident[REPLAYS] - resident[SETTLED]
    assert grown < GROWTH_LIMIT_MIB, f"{grown:.0f} MiB more after {REPLAYS} treatments than after {SETTLED}"


def test_closing_a_live_window_ends_its_engine_its_threads_and_its_files(qtbot, tmp_path):
    path = tmp_path / "t.holmia"
    with Record.create(path) as record:
        record.append(Kind.TREATMENT_CREATED, {"software_version": "test"}, actor="test", utc=datetime.now(UTC))
        before = held()
        live = LiveDashboard(record, mode=Mode.LIVE, minimum_free_mb=0.0)
        live.start()
        qtbot.waitUntil(lambda: live.dashboard.snapshot.head_seq > 0, timeout=PATIENCE_MS)
        during = held()
        assert during.processes > before.processes
        assert during.threads > before.threads
        assert during.timers > before.timers
        window = weakref.ref(live.dashboard.window)
        live.dashboard.window.close()
        live.stop()
        live.dashboard.window.deleteLater()
        live.dashboard.deleteLater()
        live = None
        assert held() == before
        assert window() is None
