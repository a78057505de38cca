"""R2* fit against a memory copy of the same series, and occupancy of a liver."""

from __future__ import annotations

import functools
import statistics
from zoneinfo import ZoneInfo

from benchmarks.timing import RUNS, Row, row, seconds_of
from console.demo.phantom_dicom import PhantomTreatment
from dicom_listener.assembly import Assembly
from dicom_listener.decode import decode
from quantify.model import EchoSeries, FloatArray
from quantify.occupancy import occupancy
from quantify.r2star import fit_r2star


def kernel_rows(phantom: PhantomTreatment) -> list[Row]:
    """Fit and occupancy on the phantom's reference."""
    reference = reference_of(phantom)
    size = "×".join(str(n) for n in (*reference.grid.shape[::-1], len(reference.echo_times_s)))
    # Some tens of megabytes: the copy is the least that any pass over the data can cost.
    copy = seconds_of(lambda: reference.signal.copy(), runs=9)
    floor = statistics.median(copy)
    rows = [row(f"memory copy of the series {size}", [1000 * s for s in copy], "ms")]
    rows += fit_rows(reference, floor)
    liver = liver_contours(phantom)
    taken = seconds_of(lambda: occupancy(liver, reference.grid))
    rows.append(row(f"occupancy of the liver, {len(liver)} contours", [1000 * s for s in taken], "ms"))
    return rows


def fit_rows(reference: EchoSeries, floor: float) -> list[Row]:
    """The fits, against the copy; the compiled nonlinear one beside numpy's, run in turn."""
    rows = []
    for method in ("log_linear", "arlo"):
        taken = seconds_of(functools.partial(fit_r2star, reference, method=method))
        note = f"{statistics.median(taken) / floor:.0f} × the copy"
        rows.append(row(f"R2* fit, {method}, of all voxels with signal", [1000 * s for s in taken], "ms", note))
    engines = {name: functools.partial(fit_r2star, reference, engine=name) for name in ("numpy", "numba")}
    taken_by: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(RUNS):
        # In turn: whatever else the machine does meets both.
        for name, fit in engines.items():
            taken_by[name] += seconds_of(fit, runs=1)
    medians = {name: statistics.median(taken) for name, taken in taken_by.items()}
    for name, taken in taken_by.items():
        note = f"{medians[name] / floor:.0f} × the copy, {medians[name] / medians['numpy']:.2f} × numpy"
        rows.append(
            row(f"R2* fit, nonlinear, {name}, of all voxels with signal", [1000 * s for s in taken], "ms", note)
        )
    return rows


def reference_of(phantom: PhantomTreatment) -> EchoSeries:
    """The phantom's reference, decoded and stacked."""
    assembly = Assembly()
    zone = ZoneInfo(phantom.treatment.time_zone)
    for number, path in enumerate(sorted(phantom.reference.iterdir()), start=1):
        assembly.add(decode(path.read_bytes(), time_zone=zone).images, seq=number, association="benchmark")
    assembly.association_closed("benchmark")
    (state,) = assembly.states()
    series = assembly.assembled(state.key).series
    if series is None:
        raise ValueError(f"The phantom's reference is not complete: {state.reason}")
    return series


def liver_contours(phantom: PhantomTreatment) -> list[FloatArray]:
    """The polygons of the phantom's liver."""
    (path,) = phantom.structures.iterdir()
    structures = decode(path.read_bytes(), time_zone=ZoneInfo(phantom.treatment.time_zone)).structure_set
    if structures is None:
        raise ValueError("The phantom's structure set cannot be read.")
    liver = next(s for s in structures.structures if s.name == "Liver")
    return [contour.points_mm for contour in liver.contours]
