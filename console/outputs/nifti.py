"""Maps as NIfTI on the reference grid, through SimpleITK (which turns LPS into NIfTI's RAS)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the library's own short name
from numpy.typing import NDArray

from quantify.findings import FractionResult
from quantify.model import Grid

_DESCRIPTION = "Holmia: for research use only, not a medical device"
"""The wording in the 79 characters that a NIfTI header has for it."""


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
    """Write one map (slice, row, column); NaN stays NaN, units are those of the map."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    spacing = grid.spacing_mm[::-1]
    image.SetSpacing(spacing)
    image.SetOrigin(grid.affine_lps_mm[:3, 3].tolist())
    image.SetDirection((grid.affine_lps_mm[:3, 2::-1] / np.array(spacing)).ravel().tolist())
    image.SetMetaData("ITK_FileNotes", _DESCRIPTION)  # the header's `descrip`
    sitk.WriteImage(image, str(path), useCompression=True)
