"""Maps as NIfTI on the reference grid (LPS becomes NIfTI's RAS), and what a sidecar tells of each."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from console.outputs.wording import RESEARCH_USE, software_version
from console.snapshot import Snapshot
from quantify.findings import FractionResult
from quantify.model import Grid, Reason

_DESCRIPTION = "Holmia: for research use only, not a medical device"
"""The wording in the 79 characters that a NIfTI header has for it."""
_RAS_OF_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_QUANTITIES = {
    "r2star": ("R2*", "1/s"),
    "holmium": ("holmium microspheres", "mg/mL"),
    "dose": ("absorbed dose, cumulative", "Gy"),
    "reason": ("why a voxel has no value, or a lower bound", "code"),
    "increment": ("absorbed dose since the image before", "Gy"),
    "dose_standard_error": ("standard error (k = 1) of the absorbed dose by the noise of its voxel", "Gy"),
}
"""Quantity and unit by the name of a map in files."""


def map_arrays(result: FractionResult) -> dict[str, tuple[NDArray[np.generic], Grid]]:
    """The maps of a fraction by the names they have in files; empty when the fraction has none."""
    maps = result.maps
    if maps is None:
        return {}
    return {
        "r2star": (maps.r2star.values, maps.r2star.grid),
        "holmium": (maps.holmium.values, maps.holmium.grid),
        "dose": (maps.dose.values, maps.dose.grid),
        "reason": (maps.dose.reason, maps.dose.grid),
    }


def derived_arrays(result: FractionResult) -> dict[str, tuple[NDArray[np.generic], Grid]]:
    """Maps that follow from the others: the dose gained since the image before, and the voxel noise of the dose."""
    maps = result.maps
    if maps is None:
        return {}
    found: dict[str, tuple[NDArray[np.generic], Grid]] = {}
    if maps.increment is not None:
        found["increment"] = (maps.increment.values, maps.increment.grid)
    if maps.dose.standard_error is not None:
        found["dose_standard_error"] = (maps.dose.standard_error, maps.dose.grid)
    return found


def map_hashes(result: FractionResult) -> dict[str, str]:
    """SHA-256 of the bytes of every map: what `result_shown` records and `--verify` compares."""
    return {
        name: hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        for name, (values, _) in map_arrays(result).items()
    }


def write_nifti(path: Path, values: NDArray[np.generic], grid: Grid) -> None:
    """Write one map (slice, row, column); NaN stays NaN, units are those of the map. The same map gives the same bytes.

    Raises
    ------
    OSError
        If it cannot be written. (ITK's writer says nothing when the disk is full, and leaves half a map.)
    """
    import nibabel  # a third of a second at the start of every process that never needs it

    to_ras_mm = _RAS_OF_LPS @ grid.affine_lps_mm[:, [2, 1, 0, 3]]
    image: Any = nibabel.Nifti1Image(np.ascontiguousarray(values).T, to_ras_mm)  # type: ignore[no-untyped-call]
    image.set_qform(to_ras_mm, code="scanner")
    image.set_sform(to_ras_mm, code="scanner")
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = _DESCRIPTION
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def what_if_document(overrides: Mapping[str, object]) -> dict[str, Any]:
    """What was laid over the recorded settings, as JSON has it; empty for the treatment as recorded."""
    return {
        key: value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
        for key, value in sorted(overrides.items())
    }


def sidecar(
    snapshot: Snapshot, result: FractionResult, name: str, values: NDArray[np.generic], grid: Grid
) -> dict[str, Any]:
    """What a NIfTI header has no room for: quantity, unit, place, what a missing value means, and what it came from."""
    quantity, unit = _QUANTITIES[name]
    document: dict[str, Any] = {
        "research_use": RESEARCH_USE,
        "position": result.position,
        "fraction": result.fraction,
        "status": str(result.status),
        "provisional_reasons": list(result.provisional_reasons),
        "cumulative_injected_MBq": result.cumulative_injected_mbq,
        "quantity": quantity,
        "unit": unit,
        "shape_slice_row_column": list(grid.shape),
        "affine_lps_mm": [[float(value) for value in row] for row in grid.affine_lps_mm],
        "frame_of_reference_uid": grid.frame_of_reference_uid,
        "values_sha256": hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest(),
        "software": {
            "version": software_version(),
            "settings_sha256": snapshot.settings_sha256,
            "record_head": snapshot.head_hash,
            "record_damage": snapshot.damage,
        },
        "what_if": what_if_document(snapshot.overrides),
    }
    if name == "reason":
        return document | {"reasons": {str(int(reason)): reason.sentence for reason in Reason}}
    reasons = f"maps/reason_{result.position}_f{result.fraction}.nii.gz"
    return document | {
        "missing": f"NaN: not evaluable, never zero; why is in {reasons}, and so is what is a lower bound"
    }
