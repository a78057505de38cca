"""Frames while a series arrives and a fraction is computed: a real listener, a real sender, the live window.

The window is measured as its user has it: a key is pressed as soon as the frame of the one before has been painted,
and what the engine's process tells meanwhile is drawn in between.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication

from benchmarks.frames import CROSSHAIR, FRACTIONS, SLICES, WINDOW, frame_row, measured_frames, prepared_application
from benchmarks.timing import Row
from console.dashboard.run import LiveDashboard
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomOptions, PhantomTreatment, write_phantom
from console.processes import holmia_command, started_listener
from console.snapshot import Mode, Snapshot
from dicom_listener.images import SeriesStatus
from dicom_listener.record import Record

SERIES = AcquisitionOptions(shape=(40, 256, 256), spacing_mm=(5.0, 1.5, 1.5))
_PATIENCE_S = 600.0
_FREE_MB = 100.0
_PACE_S = 0.01
"""Between two images: a series of 400 takes some seconds, as from a scanner."""
_AFTER_S = 2.0
_PATTERN = (*SLICES[:24], *CROSSHAIR[:24], *FRACTIONS[:8])


def live_frame_rows(folder: Path, tell: Callable[[str], None]) -> list[Row]:
    """The gestures on 256 × 256 × 40 with wash, isodose lines and five volumes, by what went on meanwhile."""
    tell("writing a phantom of 256 × 256 × 40 × 10 …")
    phantom = write_phantom(folder / "large", PhantomOptions(positions=("RHA",), acquisition=SERIES))
    return _measured(phantom, folder / "frames.holmia", tell)


def _measured(phantom: PhantomTreatment, file: Path, tell: Callable[[str], None]) -> list[Row]:
    prepared_application()
    listener = [str(file), "--plan", str(phantom.plan_path), "--port", "0", "--host", "127.0.0.1"]
    with started_listener(listener) as port, Record.open(file) as record:
        live = LiveDashboard(record, mode=Mode.LIVE, minimum_free_mb=_FREE_MB)
        live.dashboard.window.resize(*WINDOW)
        live.start()
        try:
            first, second = phantom.fractions[0], phantom.fractions[1]
            tell("sending up to the first fraction …")
            for folder in phantom.series_folders[: phantom.series_folders.index(first) + 1]:
                _sent(folder, port)
            _until(lambda: len(live.dashboard.snapshot.results) >= 1)
            tell("frames while the second fraction arrives and is computed …")
            return _frames_while(second, port, live)
        finally:
            live.stop()
            live.dashboard.window.close()


def _frames_while(folder: Path, port: int, live: LiveDashboard) -> list[Row]:
    frames: dict[str, list[float]] = {"a series arrives": [], "a fraction is computed": [], "nothing else goes on": []}
    command = holmia_command("send", str(folder), f"127.0.0.1:{port}", "--pace", str(_PACE_S))
    # The scanner is another machine: here it takes what the others leave.
    sender = subprocess.Popen(["nice", "-n", "15", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        for key in _PATTERN:
            frames[_meanwhile(live.dashboard.snapshot)] += measured_frames(live.dashboard, [key])
        if len(live.dashboard.snapshot.results) >= 2 and until - time.monotonic() > _AFTER_S:
            until = time.monotonic() + _AFTER_S
    sender.wait(timeout=_PATIENCE_S)
    if not frames["a fraction is computed"]:
        raise ValueError("The second fraction was never computed: no frame was measured meanwhile.")
    return [frame_row(f"while {what}", taken) for what, taken in frames.items() if taken]


def _meanwhile(snapshot: Snapshot) -> str:
    if any(series.status is SeriesStatus.ARRIVING for series in snapshot.series):
        return "a series arrives"
    return "a fraction is computed" if snapshot.computing else "nothing else goes on"


def _sent(folder: Path, port: int) -> None:
    command = holmia_command("send", str(folder), f"127.0.0.1:{port}")
    subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE_S)


def _until(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not wanted():
        if time.monotonic() > deadline:
            raise TimeoutError(f"The first fraction had no result within {_PATIENCE_S:g} s.")
        QCoreApplication.processEvents()
        time.sleep(0.01)
