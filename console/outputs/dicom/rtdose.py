"""Cumulative absorbed dose after one fraction as an RT Dose (PS3.3 A.18) on the reference grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import RTDoseStorage, RTPlanStorage, RTStructureSetStorage

from console.outputs.dicom.common import output_uid
from console.outputs.dicom.header import (
    add_frame_of_reference,
    decimal,
    provenance,
    reference_to,
    rt_dataset,
)
from console.outputs.dicom.rtdose_dvh import dvh_items
from console.outputs.dicom.rtplan import plan_uid
from console.outputs.dicom.rtstruct import structure_set_uid
from console.outputs.error import OutputError
from console.outputs.exported import Exported
from quantify.findings import FractionResult, FractionStatus, VolumeStatus
from quantify.model import FloatArray, Grid, ParametricMap, Reason, Volume

_STEPS = 2_000_000_000
"""Up to the largest dose: as fine as 32 bits allow for readers that take them as signed."""
_DRIFT_MM = 0.3
"""How far the first and last slice of one stack may lie beside each other (`dicom_listener.assembly_parts`)."""
_NOT_EVALUABLE, _LEAST = 0, 1


@dataclass(frozen=True, kw_only=True, eq=False)
class _Stored:
    """A dose map as it can be stored: ``steps`` × ``gy_per_step``; 0 only where it could not be evaluated."""

    steps: NDArray[np.uint32]
    gy_per_step: float
    not_evaluable: int
    lower_bounds: int
    not_positive: int
    lowest_gy: float

    @property
    def dose_gy(self) -> FloatArray:
        """What a reader gets."""
        return np.asarray(self.steps * self.gy_per_step, dtype=np.float64)


def rtdose(exported: Exported, result: FractionResult) -> Dataset:
    """The cumulative absorbed dose after a fraction, in Gy, as unsigned 32-bit steps.

    An RT Dose can say neither "not evaluable" nor "at least", and no negative dose. So 0 is written where a voxel
    could not be evaluated and nowhere else: an evaluated voxel whose estimate is not positive (noise around nothing) is
    written as one step, less than a millionth of the largest dose. How many there are of each, and what a reader's
    means of the volumes are beside the reported ones, is in its Image Comments.

    Raises
    ------
    OutputError
        If the fraction has no dose map or none of its voxels could be evaluated, or the slices of the grid are not
        stacked along their normal.
    """
    if result.maps is None:
        why = result.error or "; ".join(result.provisional_reasons) or "its maps have not been computed"
        raise OutputError(f"{result.label} has no dose map, so no RTDOSE can be written of it: {why}")
    dose = result.maps.dose
    stored = _stored(dose, result.label)
    grid, steps = dose.grid, stored.steps
    across = np.cross(grid.affine_lps_mm[:3, 2], grid.affine_lps_mm[:3, 1])
    upward = bool(across @ grid.affine_lps_mm[:3, 0] > 0)
    # Offsets have to ascend along the normal, row × column.
    steps = steps if upward else steps[::-1]
    label = f"{result.label}{' PROVISIONAL' if result.status is FractionStatus.PROVISIONAL else ''}"
    ds = rt_dataset(
        exported,
        RTDoseStorage,
        output_uid(exported, "rtdose", *result.key),
        kind="rtdose",
        series=("rtdose", *result.key),
        about=f"Holmia dose after {label} (research use)",
    )
    add_frame_of_reference(exported, ds)
    ds.InstanceNumber = 1 + [own.key for own in exported.snapshot.results].index(result.key)
    ds.ContentDate, ds.ContentTime = ds.InstanceCreationDate, ds.InstanceCreationTime
    ds.BurnedInAnnotation = "NO"
    _add_geometry(ds, grid, upward=upward)
    _add_pixels(ds, steps)
    ds.DoseUnits, ds.DoseType, ds.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    ds.DoseGridScaling = decimal(stored.gy_per_step)
    injected = "unknown activity" if (x := result.cumulative_injected_mbq) is None else f"{x:.0f} MBq"
    ds.DoseComment = f"Sum to {result.label}, {injected}; research use only"[:64]
    ds.ReferencedRTPlanSequence = [reference_to(RTPlanStorage, plan_uid(exported))]
    ds.ImageComments = _comments(exported, result, stored)
    histograms = dvh_items(exported.snapshot, result)
    if histograms:
        # The reference belongs to the histograms' module; without them it is the plan's alone.
        ds.ReferencedStructureSetSequence = [reference_to(RTStructureSetStorage, structure_set_uid(exported))]
        ds.DVHSequence = histograms
    return ds


def _stored(dose: ParametricMap, label: str) -> _Stored:
    values = dose.values.astype(np.float64)
    evaluable = np.isfinite(values)
    if not evaluable.any():
        raise OutputError(
            f"No voxel of {label} could be evaluated, so no RTDOSE can be written of it: it would hold nothing but "
            "0 Gy, which reads as a dose."
        )
    largest = float(values[evaluable].max())
    # A map without a positive dose still needs a step; of what decimals round the step is the one that is written.
    gy_per_step = float(decimal(max(largest, 1e-3) / _STEPS))
    steps = np.full(values.shape, _NOT_EVALUABLE, dtype=np.uint32)
    steps[evaluable] = np.clip(np.rint(values[evaluable] / gy_per_step), _LEAST, None).astype(np.uint32)
    return _Stored(
        steps=steps,
        gy_per_step=gy_per_step,
        not_evaluable=int((~evaluable).sum()),
        lower_bounds=int((evaluable & (dose.reason == Reason.LOWER_BOUND)).sum()),
        not_positive=int((values[evaluable] <= 0).sum()),
        lowest_gy=float(values[evaluable].min()),
    )


def _add_geometry(ds: Dataset, grid: Grid, *, upward: bool) -> None:
    """Add position, orientation and slice offsets, which ascend from 0 along row × column.

    The rounding of positions in the images may leave the stack slightly askew; an RT Dose is always straight, so it is
    centred on the stack.
    """
    slices, rows, columns = grid.shape
    between, down, right = grid.affine_lps_mm[:3, :3].T
    right, down = right / np.linalg.norm(right), down / np.linalg.norm(down)
    normal = np.cross(right, down)
    normal /= np.linalg.norm(normal)
    distance = abs(float(between @ normal))
    astray = (between - (between @ normal) * normal) * (slices - 1)
    if np.linalg.norm(astray) > _DRIFT_MM or abs(float(right @ down)) > 1e-3:
        raise OutputError(
            f"The slices of the reference are not stacked along their normal (askew by {np.linalg.norm(astray):.2f} mm "
            "over the stack); an RTDOSE cannot hold such a grid. Export NIfTI instead."
        )
    first = grid.affine_lps_mm[:3, 3] + 0.5 * astray
    if not upward:
        first = first + (between @ normal) * normal * (slices - 1)
    ds.ImagePositionPatient = [decimal(value) for value in first]
    ds.ImageOrientationPatient = [decimal(value) for value in (*right, *down)]
    ds.PixelSpacing = [decimal(step) for step in grid.spacing_mm[1:]]
    ds.SliceThickness = decimal(distance)
    ds.GridFrameOffsetVector = [decimal(distance * number) for number in range(slices)]
    ds.NumberOfFrames, ds.Rows, ds.Columns = slices, rows, columns
    ds.FrameIncrementPointer = Tag("GridFrameOffsetVector")


def _add_pixels(ds: Dataset, steps: NDArray[np.uint32]) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 32, 32, 31
    ds.add_new("PixelData", "OW", np.ascontiguousarray(steps, dtype="<u4").tobytes())


def _comments(exported: Exported, result: FractionResult, stored: _Stored) -> str:
    snapshot = exported.snapshot
    model = snapshot.settings.quantification.dose_model if snapshot.settings is not None else ""
    how = {"local": " with local deposition", "kernel": " with a dose-point kernel"}.get(model, "")
    injected = "an unknown activity" if (x := result.cumulative_injected_mbq) is None else f"{x:.1f} MBq"
    total = stored.steps.size
    told = [
        f"Cumulative absorbed dose [Gy] after {result.label} to complete decay, of {injected} of injected 166Ho. "
        f"An estimate from MRI (R2* of holmium microspheres){how}"
        f"{'' if result.acquired_at is None else f', imaged {result.acquired_at.isoformat()}'}.",
        provenance(exported),
    ]
    if result.status is FractionStatus.PROVISIONAL:
        told.append(f"PROVISIONAL: {'; '.join(result.provisional_reasons) or 'not final'}.")
    told.append(
        f"{stored.not_evaluable} of {total} voxels could not be evaluated: THEY ARE 0 HERE AND HAVE NO DOSE VALUE; no "
        'evaluated voxel is 0. The SEG of this fraction has them as segments "Not evaluable".'
    )
    if stored.not_positive:
        told.append(
            f"{stored.not_positive} evaluated voxels have an estimate of 0 or less (noise; the lowest "
            f"{stored.lowest_gy:.3g} Gy), which an RTDOSE cannot hold: they are one step, {stored.gy_per_step:.2g} Gy."
        )
    if stored.lower_bounds:
        told.append(f"{stored.lower_bounds} voxels are lower bounds: the dose there is at least (≥) the value here.")
    rows = [row for volume in snapshot.volumes if (row := _means(volume, result, stored))]
    if rows:
        settings = snapshot.settings
        corrected = settings is not None and settings.quantification.partial_volume_correction
        without = " and without the correction for partial volume, which maps do not have" if corrected else ""
        told.append(f"Mean doses as reported, and as computed from this object with its zeros{without}: ")
        told[-1] += "; ".join(rows) + "."
    told.append(
        "Histograms here are those reported, of the part of a volume that could be evaluated, not of the voxels here; "
        "a volume with lower bounds has none."
    )
    return "\r\n".join(told)[:10240]


def _means(volume: Volume, result: FractionResult, stored: _Stored) -> str:
    """The reported mean of a volume beside the one that a reader computes.

    They differ by what is 0 or clipped, and by the correction for partial volume.
    """
    statistics = result.volumes.get(volume.name)
    weights = volume.occupancy.astype(np.float64)
    if statistics is None or weights.sum() <= 0:
        return ""
    here = f"{float((stored.dose_gy * weights).sum() / weights.sum()):.2f} Gy"
    if statistics.dose_mean_gy is None:
        return f"{volume.name} not evaluable, {here}"
    bound = "≥ " if statistics.status is VolumeStatus.LOWER_BOUND else ""
    uncertainty = "" if statistics.dose_mean_u_gy is None else f" ± {statistics.dose_mean_u_gy:.2f}"
    return f"{volume.name} {bound}{statistics.dose_mean_gy:.2f}{uncertainty} Gy, {here}"
