"""Series that a scanner might also have sent: copies of a phantom's files with another identity, time or sequence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

Change = Callable[[Dataset], None]

_TIMES = ("AcquisitionTime", "ContentTime", "SeriesTime", "InstanceCreationTime")


def rewritten(source: Path, target: Path, *changes: Change) -> Path:
    """Write the files of `source` to `target`, each changed."""
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.dcm")):
        ds = dcmread(path)
        for change in changes:
            change(ds)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(target / path.name)
    return target


def new_series(name: str) -> Change:
    """UIDs and series number of their own."""

    def change(ds: Dataset) -> None:
        ds.SeriesInstanceUID = _uid(name, ds.SeriesInstanceUID)
        ds.SOPInstanceUID = _uid(name, ds.SOPInstanceUID)
        ds.SeriesNumber = int(ds.SeriesNumber) + 1

    return change


def later(by: timedelta) -> Change:
    """Acquired later on the same day."""

    def change(ds: Dataset) -> None:
        for name in _TIMES:
            then = datetime.strptime(str(ds[name].value), "%H%M%S.%f")
            setattr(ds, name, (then + by).strftime("%H%M%S.%f"))

    return change


def of_patient(patient_id: str, name: str) -> Change:
    """Another person's."""

    def change(ds: Dataset) -> None:
        ds.PatientID, ds.PatientName = patient_id, name

    return change


def spin_echo(ds: Dataset) -> None:
    """The same echoes, refocused by radio-frequency pulses."""
    ds.ScanningSequence, ds.SequenceVariant, ds.SequenceName = "SE", "OSP", "se2d10"


def _uid(name: str, uid: str) -> str:
    return f"2.25.{int(hashlib.sha256(f'{name}/{uid}'.encode()).hexdigest()[:30], 16)}"
