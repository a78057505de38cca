"""How the tests of DICOM outputs write objects, have them judged, and get enhanced reference images."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from console.outputs.exported import Exported


def file_bytes(dataset: Dataset) -> bytes:
    """The Part-10 file of a dataset."""
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def errors_of_dciodvfy(dataset: Dataset, folder: Path) -> list[str]:
    """What dciodvfy calls an error; it exits 0 whatever it finds."""
    path = folder / "judged.dcm"
    path.write_bytes(file_bytes(dataset))
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=True)
    said = done.stderr.splitlines()
    assert said, "dciodvfy has not read the object"
    return [line for line in said if line.startswith("Error")]


def enhanced(exported: Exported) -> Exported:
    """The same treatment with its reference as one enhanced object, a frame for every echo and slice."""
    classic = exported.reference_images
    whole = Dataset()
    for keyword in [
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "StudyDate",
    ]:
        setattr(whole, keyword, classic[0][keyword].value)
    whole.SOPClassUID, whole.SOPInstanceUID = EnhancedMRImageStorage, "1.2.826.0.1.3680043.8.498.77"
    whole.NumberOfFrames = len(classic)
    frames = []
    for image in classic:
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = image.ImagePositionPatient
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    whole.PerFrameFunctionalGroupsSequence = frames
    return replace(exported, reference_images=(whole,))
