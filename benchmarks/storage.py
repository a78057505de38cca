"""Durable inserts, and instances received from a second DICOM implementation (DCMTK's dcmsend)."""

from __future__ import annotations

import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.timing import RUNS, Row, row
from console.demo.phantom_dicom import PhantomTreatment
from console.processes import started_listener
from dicom_listener.events import Kind
from dicom_listener.record import Record

_INSERTS = 300
_OBJECT_BYTES = 133_000
"""A classic MR image of 256 × 256 with its header."""
_START = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)


def inserts_per_second(folder: Path) -> Row:
    """Events with an object of 133 kB, each a durable transaction of its own."""
    rng = np.random.default_rng(1)
    rates = []
    for run in range(RUNS):
        objects = [rng.bytes(_OBJECT_BYTES) for _ in range(_INSERTS)]
        with Record.create(folder / f"inserts-{run}.holmia") as record:
            start = time.perf_counter()
            for number, data in enumerate(objects):
                utc = _START + timedelta(seconds=number)
                record.append(Kind.INSTANCE_STORED, {"number": number}, actor="benchmark", utc=utc, data=data)
            rates.append(_INSERTS / (time.perf_counter() - start))
    return row("durable inserts of 133 kB", rates, "1/s", "WAL, synchronous=FULL, hash chain")


def received_per_second(phantom: PhantomTreatment, folder: Path) -> Row:
    """Instances of the reference, from the first association's opening to its end, by the treatment file's events."""
    what = "instances received from dcmsend"
    program = shutil.which("dcmsend")
    if program is None:
        return Row(what=what, value=None, unit="1/s", runs=0, note="dcmsend (Debian package dcmtk) is not installed")
    rates = []
    for run in range(RUNS):
        file = folder / f"dcmsend-{run}.holmia"
        with started_listener(
            [str(file), "--plan", str(phantom.plan_path), "--port", "0", "--host", "127.0.0.1"]
        ) as port:
            subprocess.run(
                [program, "--call", "HOLMIA", "--scan-directories", "127.0.0.1", str(port), str(phantom.reference)],
                check=True,
                capture_output=True,
                timeout=120,
            )
        with Record.open(file, read_only=True) as record:
            rates.append(_rate(record))
    size = next(phantom.reference.iterdir()).stat().st_size
    return row(what, rates, "1/s", f"{size / 1000:.0f} kB each; default settings of both sides")


def _rate(record: Record) -> float:
    opened = closed = None
    stored, after = 0, 0
    while batch := record.events(after, limit=1000):
        for event in batch:
            opened = event.utc if event.kind == Kind.ASSOCIATION_OPENED and opened is None else opened
            closed = event.utc if event.kind == Kind.ASSOCIATION_CLOSED else closed
            stored += event.kind == Kind.INSTANCE_STORED
        after = batch[-1].seq
    if opened is None or closed is None or stored == 0:
        raise ValueError(f"{record.path}: nothing was received from dcmsend.")
    return stored / (closed - opened).total_seconds()
