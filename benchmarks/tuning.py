"""A draft's numbers after a change of settings: from the physicist's word to the snapshot that holds them.

Through the process that tunes, on four fractions of 256 × 256 × 40 × 10 echoes and their reference: the change is
pickled, laid over, computed, and told over the socket. Drawing the panel is not in it. What is told first are means,
D70, recovery and trend of all fractions; the rest follows (`console.draft`).
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.timing import Row, row
from config.overrides import parse_set
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomOptions, write_phantom
from console.draft import DraftRefused
from console.engine_process import EngineProcess
from console.processes import holmia_command
from console.snapshot import Snapshot
from console.tasks import Tuning
from quantify.findings import FractionResult

SERIES = AcquisitionOptions(shape=(40, 256, 256), spacing_mm=(5.0, 1.5, 1.5))
WITHOUT_REFIT_MS, WITH_REFIT_MS = 50.0, 1000.0
WITHOUT_REFIT = {
    "tissue density": ("tissue_density_g_per_mL={:g}", (1.05, 1.04, 1.03)),
    "threshold of the trend": ("trend.threshold_pct={:g}", (8.0, 6.0, 5.0)),
    "an uncertainty": ("uncertainty.relaxivity_pct={:g}", (3.0, 4.0, 6.0)),
}
WITH_REFIT = {
    "noise floor": ("noise_floor_sigma={:g}", (3.5, 4.0, 4.5)),
    "method of the fit": ("fit={}", ("log_linear",)),
}
_PATIENCE_S = 900.0


def tuning_rows(folder: Path, tell: Callable[[str], None]) -> list[Row]:
    """One row for each kind of change, without and with a new fit."""
    tell("writing a phantom of 256 × 256 × 40 × 10 for tuning …")
    phantom = write_phantom(folder / "tuned", PhantomOptions(positions=("RHA",), acquisition=SERIES))
    file = folder / "tuned.holmia"
    subprocess.run(
        holmia_command("import", str(phantom.folder), "--plan", str(phantom.plan_path), "-o", str(file)),
        check=True,
        capture_output=True,
        timeout=_PATIENCE_S,
    )
    return rows_of(file, tell)


def rows_of(file: Path, tell: Callable[[str], None]) -> list[Row]:
    """The rows for a treatment file."""
    told = _Told()
    engine = EngineProcess(Tuning(path=file), on_snapshot=told, on_refused=told.refused)
    engine.start()
    try:
        tell("tuning: the treatment as it is …")
        told.until({}, maps=True)
        rows = []
        for changes, aim_ms in ((WITHOUT_REFIT, WITHOUT_REFIT_MS), (WITH_REFIT, WITH_REFIT_MS)):
            for what, (key, values) in changes.items():
                tell(f"tuning: {what} …")
                rows += _rows(engine, told, what, [parse_set([key.format(value)]) for value in values], aim_ms)
        return rows
    finally:
        engine.stop()


def _rows(engine: EngineProcess, told: _Told, what: str, drafts: list[dict[str, object]], aim_ms: float) -> list[Row]:
    """Each draft after the settings in force, and back."""
    numbers, whole = [], []
    for draft in drafts:
        start = time.perf_counter()
        engine.lay_over(draft)
        numbers.append(1000.0 * (told.until(draft, maps=False) - start))
        whole.append(1000.0 * (told.until(draft, maps=True) - start))
        engine.lay_over({})
        told.until({}, maps=True)
    note = f"aim {aim_ms:.0f}; {max(numbers) / aim_ms:.1f} times that at most"
    return [
        row(f"tuning: {what} → numbers of all fractions", numbers, "ms", note),
        row(f"  and all curves, intervals and maps: {what}", whole, "ms"),
    ]


class _Told:
    """What the process tells, and when a draft's results were there."""

    def __init__(self) -> None:
        self._last = Snapshot()
        self._refused = ""
        self._more = threading.Condition()

    def __call__(self, snapshot: Snapshot) -> None:
        with self._more:
            self._last = snapshot
            self._more.notify_all()

    def refused(self, refused: DraftRefused) -> None:
        with self._more:
            self._refused = refused.text
            self._more.notify_all()

    def until(self, draft: Mapping[str, object], *, maps: bool) -> float:
        """Wait for the draft's results, or all of them; returns the moment at which they were there."""
        with self._more:
            found = self._more.wait_for(lambda: self._refused or self._has(draft, maps=maps), _PATIENCE_S)
            moment = time.perf_counter()
        if self._refused or not found:
            raise ValueError(self._refused or f"The draft {dict(draft)} had no result within {_PATIENCE_S:g} s.")
        return moment

    def _has(self, draft: Mapping[str, object], *, maps: bool) -> bool:
        last = self._last
        current = last.overrides == draft and not last.computing and last.results_inputs == last.inputs != ""
        wanted = [result for result in last.results if result.error is None]
        return bool(current and wanted and not (maps and any(_is_partial(result) for result in wanted)))


def _is_partial(result: FractionResult) -> bool:
    """Whether its maps, or the curves and intervals that come with them, are still on their way."""
    return result.maps is None or any(v.d70_gy is not None and v.dvh is None for v in result.volumes.values())
