"""The maps of a fraction as Parametric Map objects: the very values, with quantity and unit, on the reference grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap as HighdicomMap
from highdicom.pm import RealWorldValueMapping
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from console.outputs.dicom.codes import (
    ABSORBED_DOSE,
    DOSE_STANDARD_ERROR,
    GRAY,
    LIVER,
    MICROSPHERES,
    MILLIGRAM_PER_MILLILITRE,
    PER_SECOND,
    QUANTIFICATION,
    R2STAR,
)
from console.outputs.dicom.common import SERIES_NUMBERS, output_uid
from console.outputs.dicom.frames import finished, geometry, identification, source_header
from console.outputs.dicom.header import provenance
from console.outputs.error import OutputError
from console.outputs.exported import Exported
from console.outputs.nifti import derived_arrays, map_arrays
from quantify.findings import FractionResult

_BRIGHTEST_PCT = 99.5
"""Percentile of the values that is shown white: single voxels do not set the window."""
_NARROWEST = 1e-6
"""A window has to have a width, where nothing has been given yet too."""
_SHORT_TEXT = 1024


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What a parametric map shows, in words and coded."""

    words: str
    label: str
    code: Code
    unit: Code


QUANTITIES = {
    "r2star": Quantity(words="R2*", label="R2STAR", code=R2STAR, unit=PER_SECOND),
    "holmium": Quantity(
        words="holmium microspheres", label="HOLMIUM", code=MICROSPHERES, unit=MILLIGRAM_PER_MILLILITRE
    ),
    "dose": Quantity(words="absorbed dose", label="ABSORBED_DOSE", code=ABSORBED_DOSE, unit=GRAY),
    "dose_standard_error": Quantity(
        words="standard error of dose", label="DOSE_STD_ERROR", code=DOSE_STANDARD_ERROR, unit=GRAY
    ),
}
"""By the name that the map has in files; R2* is that of the fraction's series, all others are cumulative."""


def parametric_map(exported: Exported, result: FractionResult, quantity: str) -> Dataset:
    """One map of a fraction, float32, bit for bit.

    A voxel that could not be evaluated stays NaN, as the standard allows (PS3.5 section 8: any value of IEEE 754,
    "including NaN"); no padding value is stated, since a number in its place could be taken for a value. Why, and which
    values are lower bounds, is in the fraction's `reasons_segmentation`. Slices descend along the image plane's normal
    (row × column direction), as highdicom orders them; the real-world value mapping is the identity on the range of
    the values.

    Parameters
    ----------
    quantity
        A key of `QUANTITIES`.

    Raises
    ------
    OutputError
        If the fraction has no such map.
    """
    arrays = {**map_arrays(result), **derived_arrays(result)}
    if quantity not in QUANTITIES or quantity not in arrays:
        why = f": {result.error}" if result.error else ""
        raise OutputError(f"{result.label} has no map {quantity!r} that could be written as a parametric map{why}.")
    meant, (values, grid) = QUANTITIES[quantity], arrays[quantity]
    name = f"{meant.words} [{meant.unit.value}] {result.label}"
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    parts = ("parametric-map", quantity, result.position, result.fraction)
    white = _white(exported, values)
    made = HighdicomMap(
        source_images=[source_header(exported)],
        pixel_array=np.ascontiguousarray(values, dtype=np.float32),
        series_instance_uid=output_uid(exported, *parts, "series"),
        series_number=SERIES_NUMBERS["parametric-map"],
        sop_instance_uid=output_uid(exported, *parts, "instance"),
        instance_number=1,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            RealWorldValueMapping(
                lut_label=meant.label,
                lut_explanation=meant.code.meaning,
                unit=meant.unit,
                value_range=(low, high),
                slope=1.0,
                intercept=0.0,
                quantity_definition=meant.code,
            )
        ],
        voi_lut_transformations=[
            VOILUTTransformation(window_center=white / 2, window_width=white, voi_lut_function="LINEAR_EXACT")
        ],
        content_label=meant.label,
        content_description=f"{name}; research use only",
        derivation=QUANTIFICATION,
        **geometry(grid),
        **identification(exported, f"Holmia {name}; research only"),
    )
    made.DerivationDescription = _derivation(exported, result, quantity)
    anatomy = Dataset()
    anatomy.FrameLaterality, anatomy.AnatomicRegionSequence = "U", [CodedConcept.from_code(LIVER)]
    made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
    made.BodyPartExamined = "LIVER"
    return finished(made, exported, QUANTIFICATION)


def _white(exported: Exported, values: NDArray[np.generic]) -> float:
    """The upper end of the window; the edge of the body holds values of many times those of the volumes of interest."""
    inside = [volume.occupancy > 0 for volume in exported.snapshot.volumes if volume.occupancy.shape == values.shape]
    shown = values[np.any(inside, axis=0)] if inside else values.ravel()
    shown = shown[np.isfinite(shown)]
    return max(float(np.percentile(shown, _BRIGHTEST_PCT)), _NARROWEST) if shown.size else 1.0


def _derivation(exported: Exported, result: FractionResult, quantity: str) -> str:
    meant = QUANTITIES[quantity]
    which = "of this fraction's series" if quantity == "r2star" else "cumulative over all fractions so far"
    text = (
        f"{provenance(exported)} {meant.code.meaning} [{meant.unit.value}] after {result.label}, {which}; from series "
        f"{result.series_instance_uid} registered to the reference. NaN: not evaluable; why, and which values are "
        f"lower bounds, is in the SEG of {result.label}."
    )
    return text[:_SHORT_TEXT]
