"""How long after its last image a fraction's dose is there: measured through every process, then taken apart."""

from __future__ import annotations

import contextlib
import cProfile
import json
import pstats
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from benchmarks.timing import Row, row
from console.demo.phantom_dicom import PhantomTreatment
from console.engine import Engine
from console.processes import holmia_command, started_listener
from console.session import feed
from dicom_listener.events import Kind
from dicom_listener.record import Record

_PATIENCE_S = 300.0
_BATCH = 16
"""Events that the console takes together while images arrive: about that many come between two polls."""
_PARTS = {
    "fit": ("fit_r2star",),
    "registration": ("register",),
    "signal shares and resampling": ("align",),
    "holmium map": ("holmium_map",),
    "statistics": ("evaluate_treatment",),
    "stacking the series": ("assembled",),
    "volumes": ("_volumes_on", "disjoint_occupancies"),
}
"""Functions of each part; none calls another's."""


def latency_rows(phantom: PhantomTreatment, folder: Path) -> list[Row]:
    """Latency as `holmia watch` tells it, and what the engine's part of it consists of."""
    file = folder / "latency.holmia"
    latencies = _watched(phantom, file)
    rows = [row("latency: last image stored → dose known", latencies, "s", "holmia watch; aim 1 s")]
    parts, per_image = _taken_apart(file)
    for name in parts[0]:
        rows.append(row(f"  of which, in the engine: {name}", [p[name] for p in parts], "s"))
    note = "what the console needs for each image while they arrive"
    rows.append(row("taking in an image: read, decode, assemble", [1000 * s for s in per_image], "ms", note))
    return rows


def _watched(phantom: PhantomTreatment, file: Path) -> list[float]:
    """Send the treatment, each series by a process of its own, and wait for each fraction's line."""
    with (
        started_listener([str(file), "--plan", str(phantom.plan_path), "--port", "0", "--host", "127.0.0.1"]) as port,
        _lines_of("watch", str(file)) as lines,
    ):
        latencies = []
        for folder in phantom.series_folders:
            subprocess.run(
                holmia_command("send", str(folder), f"127.0.0.1:{port}"),
                check=True,
                capture_output=True,
                timeout=_PATIENCE_S,
            )
            if folder in phantom.fractions:
                said = _next(lines, "fraction_result")
                if said["status"] == "failed":
                    raise ValueError(f"{said['position']} F{said['fraction']} failed: {said['error']}")
                latencies.append(float(said["latency_s"]))
    return latencies


@contextlib.contextmanager
def _lines_of(*arguments: str) -> Iterator[Queue[dict[str, Any]]]:
    """The JSON lines of a Holmia process as they come, its own words last; the process is stopped at the end."""
    lines: Queue[dict[str, Any]] = Queue()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(holmia_command(*arguments), stdout=subprocess.PIPE, stderr=said, text=True)

        def read() -> None:
            for line in process.stdout or ():
                lines.put(json.loads(line))
            process.wait()
            said.seek(0)
            lines.put({"event": "ended", "said": said.read()})

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            process.terminate()
            process.wait(30)
            reader.join(10)


def _next(lines: Queue[dict[str, Any]], event: str) -> dict[str, Any]:
    while True:
        try:
            line = lines.get(timeout=_PATIENCE_S)
        except Empty:
            raise TimeoutError(f"holmia watch told no {event} within {_PATIENCE_S:g} s.") from None
        if line["event"] == "ended":
            raise ValueError(f"holmia watch ended before its {event}: {line['said']}")
        if line["event"] == event:
            return line


def _taken_apart(file: Path) -> tuple[list[dict[str, float]], list[float]]:
    """Seconds of each part, from the last image to the results, for every fraction; seconds for each image taken in."""
    engine = Engine()
    found: list[dict[str, float]] = []
    per_image: list[float] = []
    with Record.open(file, read_only=True) as record:
        after = 0
        while batch := record.events(after, limit=_BATCH):
            start = time.perf_counter()
            for event in batch:
                feed(engine, record, event)
            if all(event.kind == Kind.INSTANCE_STORED for event in batch):
                per_image.append((time.perf_counter() - start) / len(batch))
            after = batch[-1].seq
            if not any(event.kind == Kind.INSTANCE_STORED for event in batch):
                engine.advance()
                continue
            before = len(engine.results)
            profile = cProfile.Profile()
            profile.enable()
            for _ in engine.advance():
                pass
            engine.snapshot()
            profile.disable()
            if len(engine.results) > before:
                found.append(_parts(pstats.Stats(profile)))
    if not found:
        raise ValueError(f"{file}: the engine computed no fraction.")
    return found, per_image


def _parts(stats: pstats.Stats) -> dict[str, float]:
    cumulative: dict[str, float] = {}
    for (_, _, name), (_, _, _, seconds, _) in stats.stats.items():  # type: ignore[attr-defined]
        cumulative[name] = cumulative.get(name, 0.0) + seconds
    parts = {part: sum(cumulative.get(name, 0.0) for name in names) for part, names in _PARTS.items()}
    total = float(stats.total_tt)  # type: ignore[attr-defined]
    return {"all": total, **parts, "the rest": total - sum(parts.values())}


def share_text(rows: list[Row]) -> str:
    """One sentence: which share of the latency is what."""
    parts = {r.what.rsplit(": ", 1)[-1]: r.value or 0.0 for r in rows if r.what.startswith("  of which")}
    whole = parts.pop("all", 0.0)
    largest = sorted(parts.items(), key=lambda item: -item[1])[:3]
    told = ", ".join(f"{name} {100 * value / whole:.0f} %" for name, value in largest) if whole else "nothing"
    latency = statistics.median([rows[0].value or 0.0])
    return f"Of the {latency:.2f} s of latency the engine takes {whole:.2f} s: {told}."
