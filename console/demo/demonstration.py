"""The demonstration: a listener, a simulated scanner and the console on one machine, on a phantom with known truth."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QObject, QTimer

from config.settings import load_settings
from console.dashboard.app import create_application, render_png
from console.dashboard.run import LiveDashboard, quit_on_signals, system_clock
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomOptions, PhantomTreatment, write_phantom
from console.outputs.folder import write_outputs
from console.processes import ProcessError, holmia_command, started_listener
from console.shell import CommandError, say
from console.snapshot import Mode, Snapshot
from dicom_listener.events import Kind
from dicom_listener.record import Record
from quantify.findings import FractionResult

_MARKER = ".holmia-demo"
_SERIES = AcquisitionOptions(shape=(32, 96, 128), spacing_mm=(5.0, 3.0, 3.0))
_TICK_MS = 50
_PAUSE_AT_SPEED_1_S = 0.004
"""Between two instances: a series of 400 images takes about two seconds more than the network needs."""
_LIMIT_S = 600.0
_WINDOW_STAYS_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing the scanner does: a folder to send, the injection given before it, and what must be known after it."""

    title: str
    folder: Path
    at: datetime
    injection: dict[str, Any] | None
    is_done: Callable[[Snapshot], bool]


def run_demo(*, out: Path, speed: float, headless: bool) -> int:
    """Run the demonstration and leave file, results, maps and pictures in `out`; returns the exit status.

    Raises
    ------
    CommandError
        If `out` holds something else, or the demonstration gets stuck.
    """
    started = time.monotonic()
    _clear(out)
    say("Demonstration on a phantom with known truth. For research use only; not a medical device.")
    say("No display: the window is drawn off screen." if headless else "The window shows the treatment as it arrives.")
    say("1/3 Writing the phantom treatment as DICOM …")
    options = PhantomOptions(positions=("RHA",), saturating_tumour=0, acquisition=_SERIES)
    phantom = write_phantom(out / "dicom", options, lambda text, share: say(f"    {100 * share:3.0f} % {text}"))
    file = out / "treatment.holmia"
    say("2/3 Starting the listener and the console; the scanner sends over DICOM …")
    try:
        with (
            started_listener([str(file), "--plan", str(phantom.planned_only_path), "--port", "0"]) as port,
            Record.open(file) as record,
        ):
            snapshot = _watch(record, phantom, port, out, speed=speed, headless=headless)
    except ProcessError as error:
        raise CommandError(str(error)) from error
    say("3/3 Writing results and maps …")
    write_outputs(snapshot, out)
    _compare(snapshot, json.loads(phantom.truth_path.read_text(encoding="utf-8")))
    say(f"Done in {time.monotonic() - started:.0f} s.")
    say(f"In {out}: treatment.holmia, results.json, results.csv, methods.txt, maps/, derived/, window_*.png")
    return 0


def steps_of(phantom: PhantomTreatment) -> list[Step]:
    """What the scanner sends, in order, and what the console must know before the next."""
    first = phantom.treatment.injections[0].time
    steps = [
        Step(
            title="T1 anatomy",
            folder=phantom.anatomy,
            at=first - timedelta(minutes=20),
            injection=None,
            is_done=lambda s: True,
        ),
        Step(
            title="structures",
            folder=phantom.structures,
            at=first - timedelta(minutes=12),
            injection=None,
            is_done=lambda s: True,
        ),
        Step(
            title="reference",
            folder=phantom.reference,
            at=first - timedelta(minutes=8),
            injection=None,
            is_done=lambda s: s.reference is not None and bool(s.volumes),
        ),
    ]
    for folder, injection in zip(phantom.fractions, phantom.treatment.injections, strict=True):
        key = (injection.position, injection.fraction)
        said = {
            "position": injection.position,
            "fraction": injection.fraction,
            "activity_MBq": injection.activity_mbq,
            "time": injection.time.isoformat(),
        }
        steps.append(
            Step(
                title=f"{injection.position} F{injection.fraction}",
                folder=folder,
                at=injection.acquired_at + timedelta(minutes=1),
                injection=said,
                is_done=lambda s, key=key: any(r.key == key for r in s.results),  # type: ignore[misc]
            )
        )
    return steps


class PhantomClock:
    """Time in the phantom's treatment, which lies in the past: runs on from whatever happened last."""

    def __init__(self, start: datetime) -> None:
        self._moment, self._since = start, time.monotonic()

    def reached(self, moment: datetime) -> None:
        """Something happened at `moment`."""
        self._moment, self._since = moment, time.monotonic()

    def now(self) -> datetime:
        """The phantom's time now."""
        return self._moment + timedelta(seconds=time.monotonic() - self._since)


class Conductor(QObject):
    """Sends one step after the other: gives the injection, sends its images, waits for the console, takes a picture."""

    def __init__(
        self,
        live: LiveDashboard,
        record: Record,
        steps: Sequence[Step],
        port: int,
        out: Path,
        *,
        speed: float,
        clock: PhantomClock,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._live, self._record, self._steps, self._out = live, record, list(steps), out
        self._target = f"127.0.0.1:{port}"
        self._pause_s = _PAUSE_AT_SPEED_1_S / speed
        self._number = -1
        self._scanner: subprocess.Popen[bytes] | None = None
        self._deadline = time.monotonic() + _LIMIT_S
        self.finished: Callable[[], None] = lambda: None
        self.fault = ""
        self.snapshot = Snapshot()
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        """Begin with the first step."""
        self._timer.start()

    def stop(self) -> None:
        """Stop the clock and the scanner, if it is still sending."""
        self._timer.stop()
        if self._scanner is not None and self._scanner.poll() is None:
            self._scanner.terminate()
            self._scanner.wait(10)

    def _tick(self) -> None:
        if time.monotonic() > self._deadline:
            self._fail(f"the demonstration did not finish within {_LIMIT_S:.0f} s.")
        elif self._live.engine.failure:
            self._fail(self._live.engine.failure)
        elif self._number < 0:
            self._next()
        elif self._scanner is not None and self._scanner.poll() is not None and self._scanner.returncode != 0:
            self._said.seek(0)
            said = " ".join(self._said.read().split())
            self._fail(f"the scanner could not send {self._steps[self._number].title}: {said}")
        elif self._scanner is not None and self._scanner.poll() == 0:
            self.snapshot = self._live.dashboard.snapshot
            if self._steps[self._number].is_done(self.snapshot):
                self._picture()
                self._next()

    def _next(self) -> None:
        self._number += 1
        if self._number == len(self._steps):
            self._end()
            return
        step = self._steps[self._number]
        self._clock.reached(step.at)
        if step.injection is not None:
            said = step.injection
            self._record.append(Kind.INJECTION_RECORDED, said, actor="demonstration", utc=system_clock())
            say(f"    {step.title}: {said['activity_MBq']:.0f} MBq injected; the scanner sends")
        else:
            say(f"    {step.title}: the scanner sends")
        command = holmia_command("send", str(step.folder), self._target, "--pace", f"{self._pause_s:.6f}")
        self._said = tempfile.TemporaryFile(mode="w+", encoding="utf-8")  # noqa: SIM115 - as long as the scanner
        self._scanner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self._said)

    def _picture(self) -> None:
        step = self._steps[self._number]
        if step.injection is None:
            return
        key = (step.injection["position"], step.injection["fraction"])
        result = next(r for r in self.snapshot.results if r.key == key)
        say(f"      {_summary(result)}")
        render_png(self._live.dashboard.window, self._out / f"window_{key[0]}_f{key[1]}.png")

    def _fail(self, why: str) -> None:
        self.fault = why
        self._end()

    def _end(self) -> None:
        self.stop()
        self.finished()


class StayOpen(QObject):
    """Closes a window that nobody uses after a while, so that an unattended demonstration ends."""

    def __init__(self, window: QObject, seconds: float, close: Callable[[], object]) -> None:
        super().__init__(window)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(close)
        self._timer.start(int(1000 * seconds))
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Any key or click means that somebody is looking."""
        if event.type() in (QEvent.Type.KeyPress, QEvent.Type.MouseButtonPress, QEvent.Type.Wheel):
            self._timer.stop()
        return super().eventFilter(watched, event)


def _watch(
    record: Record, phantom: PhantomTreatment, port: int, out: Path, *, speed: float, headless: bool
) -> Snapshot:
    """Show the treatment arriving; returns what is known at its end."""
    application = create_application(sys.argv[:1])
    steps = steps_of(phantom)
    clock = PhantomClock(steps[0].at)
    minimum_free_mb = load_settings().site.minimum_free_disk_mb
    live = LiveDashboard(record, mode=Mode.DEMO, minimum_free_mb=minimum_free_mb, clock=clock.now)
    conductor = Conductor(live, record, steps, port, out, speed=speed, clock=clock)
    closed: list[bool] = []

    def finish() -> None:
        if headless or conductor.fault or closed:
            application.quit()
            return
        say(f"    The window closes in {_WINDOW_STAYS_S:.0f} s; press a key in it to keep it open.")
        StayOpen(live.dashboard.window, _WINDOW_STAYS_S, live.dashboard.window.close)

    def close() -> None:
        closed.append(True)
        application.quit()

    conductor.finished = finish
    live.dashboard.window.closed.connect(close)
    live.start(show=not headless)
    conductor.start()
    with quit_on_signals(application):
        application.exec()
    conductor.stop()
    live.stop()
    if conductor.fault:
        raise CommandError(f"The demonstration stopped: {conductor.fault}")
    if not conductor.snapshot.complete:
        raise CommandError("The window was closed before the treatment was complete; what was shown is in the file.")
    return conductor.snapshot


def _summary(result: FractionResult) -> str:
    """One line of a fraction for the terminal."""
    if result.error is not None:
        return f"{result.label}: {result.error}"
    parts = [
        f"{name} {s.dose_mean_gy:.0f} ± {s.dose_mean_u_gy or 0:.0f} Gy"
        for name, s in result.volumes.items()
        if s.dose_mean_gy is not None
    ]
    flags = [
        f"{name} {point.deviation_pct:+.0f} % from its line" for name, point in result.trend.items() if point.flagged
    ]
    return f"{result.label}: " + ", ".join(parts) + ("; FLAGGED: " + ", ".join(flags) if flags else "")


def _compare(snapshot: Snapshot, truth: dict[str, Any]) -> None:
    """Hold the last fraction against the phantom's formula: the user sees that the numbers are right."""
    last, true = snapshot.results[-1], truth["fractions"][-1]["volumes"]
    for name, statistics in last.volumes.items():
        if statistics.dose_mean_gy is not None and name in true:
            say(
                f"    {name}: {statistics.dose_mean_gy:.1f} ± {statistics.dose_mean_u_gy or 0:.1f} Gy, "
                f"true {true[name]['dose_mean_Gy']:.1f} Gy"
            )
    if last.recovery_ratio is not None:
        say(f"    recovery {100 * last.recovery_ratio:.0f} %")


def _clear(out: Path) -> None:
    """Make the folder, or empty it if an earlier demonstration filled it; anybody else's folder is refused."""
    if out.exists() and any(out.iterdir()):
        if not (out / _MARKER).exists():
            raise CommandError(f"{out} holds other files; name an empty or new folder with --out.", status=2)
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARKER).write_text(
        "Made by `holmia demo`; the next demonstration replaces this folder.\n", encoding="utf-8"
    )
