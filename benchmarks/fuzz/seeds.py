"""Sound files to begin from, one of each kind, made of a tiny phantom: no corpus lies in the repository."""

from __future__ import annotations

import functools
import tempfile
from io import BytesIO
from pathlib import Path

import gdcm
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, SegmentationStorage

from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomTreatment, small_options, write_phantom
from console.demo.phantom_headers import Flavour

PATIENT_ID = "EM1-004"


def tiny_phantom(folder: Path, flavour: Flavour, *, phase: bool = False) -> PhantomTreatment:
    """Write a treatment of one injection: three echoes of three slices of 16 × 16."""
    acquisition = AcquisitionOptions(
        shape=(3, 16, 16), spacing_mm=(40.0, 18.0, 24.0), echo_times_s=(0.0012, 0.003, 0.0055), subsamples=1
    )
    options = small_options(
        flavour=flavour,
        n_tumours=2,
        positions=("RHA",),
        fractions=1,
        acquisition=acquisition,
        anatomy_spacing_mm=(40.0, 18.0, 24.0),
        phase=phase,
    )
    return write_phantom(folder, options)


@functools.cache
def seeds() -> dict[str, bytes]:
    """Return one file of each kind, by name."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for flavour, name, phase in (
            (Flavour.PHILIPS_CLASSIC, "philips_classic", False),
            (Flavour.SIEMENS_CLASSIC, "siemens_classic", True),
            (Flavour.PHILIPS_ENHANCED, "philips_enhanced", False),
            (Flavour.SIEMENS_ENHANCED, "siemens_enhanced", False),
        ):
            phantom = tiny_phantom(Path(folder) / name, flavour, phase=phase)
            files = sorted(phantom.series_folders[2].rglob("*.dcm"))
            found[name] = files[0].read_bytes()
            if phase:
                found["siemens_phase"] = files[-1].read_bytes()
        structures = sorted(phantom.series_folders[1].rglob("*.dcm"))[0].read_bytes()
        found["rtstruct"] = _shortened(structures)
        found["rle"] = _rle(found["siemens_classic"])
        found["jpeg_lossless"] = _jpeg_lossless(found["siemens_classic"], Path(folder))
    found["segmentation"] = _segmentation(found["siemens_classic"])
    return found


def written(dataset: Dataset) -> bytes:
    """Return a dataset as a Part-10 file."""
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _shortened(data: bytes) -> bytes:
    """Return the structure set with two contours a region: the rest is more of the same."""
    dataset = pydicom.dcmread(BytesIO(data))
    for region in dataset.ROIContourSequence:
        region.ContourSequence = Sequence(list(region.ContourSequence)[:2])
    return written(dataset)


def _rle(data: bytes) -> bytes:
    dataset = pydicom.dcmread(BytesIO(data))
    dataset.compress(RLELossless, generate_instance_uid=False)
    return written(dataset)


def _jpeg_lossless(data: bytes, folder: Path) -> bytes:
    """Return the image as JPEG lossless, process 14, selection value 1."""
    plain, coded = folder / "plain.dcm", folder / "coded.dcm"
    plain.write_bytes(data)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(plain))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(coded))
    if not reader.Read():
        raise RuntimeError("GDCM cannot read the phantom's image.")
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise RuntimeError("GDCM cannot code JPEG lossless.")
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        raise RuntimeError("GDCM cannot write JPEG lossless.")
    return coded.read_bytes()


def _item(**elements: object) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def _segmentation(data: bytes) -> bytes:
    """Return a binary segmentation of two segments on two slices of the image's own geometry."""
    image = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
    made = _item(
        SOPClassUID=SegmentationStorage,
        SOPInstanceUID="1.2.3.66.4",
        StudyInstanceUID=image.StudyInstanceUID,
        SeriesInstanceUID="1.2.3.66",
        FrameOfReferenceUID=image.FrameOfReferenceUID,
        Modality="SEG",
        PatientID=PATIENT_ID,
        PatientName=image.PatientName,
        PatientBirthDate=image.PatientBirthDate,
        ImageType=["DERIVED", "PRIMARY"],
        SegmentationType="BINARY",
        ContentLabel="SEG",
        Rows=16,
        Columns=16,
        NumberOfFrames=4,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelRepresentation=0,
        ReferencedSeriesSequence=Sequence([_item(SeriesInstanceUID=image.SeriesInstanceUID)]),
        SegmentSequence=Sequence(
            [_item(SegmentNumber=n, SegmentLabel=label) for n, label in ((1, "Liver"), (2, "Tumour 1"))]
        ),
        SharedFunctionalGroupsSequence=Sequence(
            [
                _item(
                    PlaneOrientationSequence=Sequence([_item(ImageOrientationPatient=image.ImageOrientationPatient)]),
                    PixelMeasuresSequence=Sequence(
                        [_item(PixelSpacing=image.PixelSpacing, SliceThickness=40, SpacingBetweenSlices=40)]
                    ),
                )
            ]
        ),
    )
    x, y, z = (float(v) for v in image.ImagePositionPatient)
    made.PerFrameFunctionalGroupsSequence = Sequence(
        [
            _item(
                SegmentIdentificationSequence=Sequence([_item(ReferencedSegmentNumber=number)]),
                PlanePositionSequence=Sequence([_item(ImagePositionPatient=[x, y, z + 40 * index])]),
                FrameContentSequence=Sequence([_item(DimensionIndexValues=[number, index + 1])]),
            )
            for number in (1, 2)
            for index in (0, 1)
        ]
    )
    disc = (np.indices((16, 16)) - 7.5) ** 2
    bits = np.stack([disc.sum(axis=0) < radius**2 for radius in (6, 6, 3, 3)])
    made.PixelData = np.packbits(bits.ravel(), bitorder="little").tobytes()
    made["PixelData"].VR = "OB"
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return written(made)
