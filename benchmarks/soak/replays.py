"""One process that shows treatment after treatment in its window: what does it hold in the end?"""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from console.dashboard.app import create_application
from console.dashboard.replay import ReplayDashboard
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import small_options, write_phantom
from console.demo.phantom_headers import Flavour
from console.processes import holmia_command

SETTLED_SHARE = 0.1
"""Of the replays, those after which caches are full and what is held must not grow any more."""
_FEWEST = 4
_SPEED = 1e6
_PATIENCE_S = 120.0
_KEYS = tuple(map(Qt.Key, b"1NCRPT"))
"""An earlier fraction, increment, comparison, flicker, probe, table of volumes."""
_PROTOCOL = AcquisitionOptions(
    shape=(12, 32, 48), spacing_mm=(14.0, 8.5, 8.5), echo_times_s=(0.0012, 0.004, 0.01), subsamples=1
)

Progress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What the process holds after a replay whose window is closed."""

    resident_mib: float
    threads: int
    descriptors: int
    widgets: int
    processes: int


@dataclass(kw_only=True)
class Replays:
    """What came of the replays."""

    replays: int = 0
    results: int = 0
    seconds: float = 0.0
    settled_after: int = 0
    holdings: list[dict[str, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def run(number: int, progress: Progress) -> Replays:
    """Replay one small treatment so many times, each in a window of its own."""
    number = max(number, _FEWEST)
    course = Replays(settled_after=max(round(SETTLED_SHARE * number), 2))
    create_application(["holmia"])
    with tempfile.TemporaryDirectory(prefix="holmia-soak-") as name:
        path = _treatment(Path(name))
        start = time.monotonic()
        for _ in range(number):
            _one_replay(path, course)
            course.replays += 1
            course.holdings.append(asdict(_holding()))
            progress(course.replays / number)
        course.seconds = time.monotonic() - start
    return course


def _treatment(folder: Path) -> Path:
    """A treatment file of a phantom with two fractions."""
    options = small_options(
        flavour=Flavour.PHILIPS_ENHANCED, n_tumours=2, fractions=2, acquisition=_PROTOCOL, saturating_tumour=None
    )
    phantom = write_phantom(folder / "phantom", options)
    path = folder / "treatment.holmia"
    command = holmia_command("import", str(phantom.folder), "-o", str(path), "--plan", str(phantom.plan_path))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def _one_replay(path: Path, course: Replays) -> None:
    replay = ReplayDashboard(path, speed=_SPEED)
    window = replay.dashboard.window
    replay.start()
    deadline = time.monotonic() + _PATIENCE_S
    while not replay.dashboard.snapshot.complete and time.monotonic() < deadline and not replay.engine.failure:
        QTest.qWait(10)
    for key in _KEYS:
        QTest.keyClick(window, key)
        QCoreApplication.processEvents()
    results = replay.dashboard.snapshot.results
    course.results += sum(result.maps is not None for result in results)
    if not replay.dashboard.snapshot.complete:
        course.failures.append(
            f"replay {course.replays + 1} did not come to its end: {replay.engine.failure or 'it was still computing'}"
        )
    window.close()
    replay.stop()
    window.deleteLater()
    replay.dashboard.deleteLater()


def _holding() -> Holding:
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    children = [(task / "children").read_text().split() for task in Path("/proc/self/task").iterdir()]
    return Holding(
        resident_mib=int(status["VmRSS"].split()[0]) / 1024,
        threads=threading.active_count(),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        widgets=len(QApplication.allWidgets()),
        processes=sum(map(len, children)),
    )
