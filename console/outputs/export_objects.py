"""Targets that have a place in the patient: DICOM objects of our own, and maps as NIfTI with their sidecars."""

from __future__ import annotations

import json

from console.outputs.dicom.parametric_map import parametric_map
from console.outputs.dicom.rtdose import rtdose
from console.outputs.dicom.rtplan import rtplan
from console.outputs.dicom.rtstruct import rtstruct
from console.outputs.dicom.seg import reasons_segmentation, segmentation
from console.outputs.dicom.sr import measurement_report
from console.outputs.export_job import Job
from console.outputs.nifti import derived_arrays, map_arrays, sidecar, write_nifti
from quantify.findings import FractionResult

_QUANTITIES = ("r2star", "holmium", "dose", "dose_standard_error")


def write_rtdose(job: Job, target: str) -> None:
    """RTDOSE of every fraction, and the structure set and plan that they refer to."""
    own = job.exported
    made = [
        job.save(target, f"dose_{_suffix(job, result)}.dcm", lambda result=result: rtdose(own, result))  # type: ignore[misc]
        for result, _ in job.fractions(target)
    ]
    if any(made):
        job.save(target, "structures.dcm", lambda: rtstruct(own))
        job.save(target, "plan.dcm", lambda: rtplan(own))


def write_seg(job: Job, target: str) -> None:
    """The volumes, and for every fraction where it could not be evaluated or is a lower bound."""
    own = job.exported
    job.save(target, "volumes.dcm", lambda: segmentation(own))
    for result, _ in job.fractions(target):
        name = f"reasons_{_suffix(job, result)}.dcm"
        job.save(target, name, lambda result=result: reasons_segmentation(own, result))  # type: ignore[misc]


def write_parametric_map(job: Job, target: str) -> None:
    """R2*, holmium, dose and its standard error of every fraction."""
    own = job.exported
    for result, _ in job.fractions(target):
        for quantity in _QUANTITIES:
            job.save(
                target,
                f"{quantity}_{_suffix(job, result)}.dcm",
                lambda result=result, quantity=quantity: parametric_map(own, result, quantity),  # type: ignore[misc]
            )


def write_sr(job: Job, target: str) -> None:
    """The statistics of all fractions as one structured report."""
    own = job.exported
    job.save(target, "measurements.dcm", lambda: measurement_report(own))


def write_maps(job: Job, target: str) -> None:
    """The maps as `quantify` writes them, each with a JSON sidecar."""
    for result, _ in job.fractions(target):
        for kind, arrays in (("maps", map_arrays(result)), ("derived", derived_arrays(result))):
            for name, (values, grid) in arrays.items():
                stem = f"{target}/{kind}/{name}_{_suffix(job, result)}"
                write_nifti(job.path(f"{stem}.nii.gz"), values, grid)
                document = job.identity.document(sidecar(job.snapshot, result, name, values, grid))
                text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
                job.text(f"{stem}.json", f"{text}\n")


def _suffix(job: Job, result: FractionResult) -> str:
    return f"{job.identity.text(result.position)}_f{result.fraction}"
