"""Prints medians of what matters during a treatment. Nothing fails on a slow machine: numbers are for comparing."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks.frames import frame_rows
from benchmarks.frames_live import live_frame_rows
from benchmarks.kernels import kernel_rows
from benchmarks.latency import latency_rows, share_text
from benchmarks.storage import inserts_per_second, received_per_second
from benchmarks.timing import table
from benchmarks.tuning import tuning_rows
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomOptions, write_phantom

SIZE = AcquisitionOptions(shape=(32, 128, 128), spacing_mm=(5.0, 3.0, 3.0))
"""128 × 128 × 32 voxels and ten echoes: a holmium series of a 3 T scanner."""


def main() -> None:
    """Measure everything and print the table."""
    with tempfile.TemporaryDirectory(prefix="holmia-benchmark-") as name:
        folder = Path(name)
        tell("writing the phantom …")
        phantom = write_phantom(folder / "phantom", PhantomOptions(positions=("RHA",), acquisition=SIZE))
        tell("latency …")
        latency = latency_rows(phantom, folder)
        tell("frames …")
        frames = [*frame_rows(), *live_frame_rows(folder, tell)]
        tuning = tuning_rows(folder, tell)
        tell("kernels …")
        kernels = kernel_rows(phantom)
        tell("storage and network …")
        storage = [inserts_per_second(folder), received_per_second(phantom, folder)]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    load = os.getloadavg()[0]
    print(f"Holmia benchmark: {machine}, load {load:.1f} at the end\n")
    print(table([*latency, *frames, *tuning, *kernels, *storage]))
    print(f"\n{share_text(latency)}")
    if load > (os.cpu_count() or 1) + 1:
        print("The machine was busy with other work: times are longer than they need be.")


def tell(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
