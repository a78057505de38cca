"""What every DICOM object of the phantom has in common: identifiers from a seed, patient, study, equipment."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import UID, ExplicitVRLittleEndian

from quantify.model import FloatArray, Grid

IMPLEMENTATION_CLASS_UID = "2.25.199201166300000000000000000000000001"
IMPLEMENTATION_VERSION = "HOLMIA_PHANTOM"


class Flavour(StrEnum):
    """Which scanner's habits the files follow."""

    SIEMENS_CLASSIC = "siemens-classic"
    SIEMENS_ENHANCED = "siemens-enhanced"
    PHILIPS_CLASSIC = "philips-classic"
    PHILIPS_ENHANCED = "philips-enhanced"

    @property
    def is_philips(self) -> bool:
        """Philips rather than Siemens."""
        return self in (Flavour.PHILIPS_CLASSIC, Flavour.PHILIPS_ENHANCED)

    @property
    def is_enhanced(self) -> bool:
        """Multi-frame objects."""
        return self in (Flavour.SIEMENS_ENHANCED, Flavour.PHILIPS_ENHANCED)


@dataclass(frozen=True, kw_only=True)
class PhantomPatient:
    """Who the phantom says it is."""

    id: str = "EM1-004"
    name: str = "Phantom^Holmia"
    birth_date: date = date(1957, 5, 12)
    sex: str = "M"


@dataclass(frozen=True, kw_only=True)
class SeriesHeader:
    """What the header of one series says besides geometry and pixels.

    ``identity`` is the text that all its UIDs are derived from; ``acquired_at`` is local wall-clock time.
    """

    identity: str
    patient: PhantomPatient
    flavour: Flavour
    study_at: datetime
    acquired_at: datetime
    number: int
    description: str
    field_strength_t: float
    repetition_time_ms: float
    flip_angle_deg: float
    slice_time_s: float = 0.4
    utc_offset: str | None = None
    """``+0100``: written as TimezoneOffsetFromUTC; None leaves it out, as most scanners do."""

    @property
    def study(self) -> str:
        """The part of the identity that the whole study shares."""
        return self.identity.split("/", 1)[0]


def uid(*parts: object) -> str:
    """Return a UID under 2.25 that is a function of `parts` only."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def study_uid(header: SeriesHeader) -> str:
    """Study Instance UID."""
    return uid(header.study, "study")


def frame_of_reference_uid(header: SeriesHeader) -> str:
    """Frame of Reference UID: one for the study, the patient stays on the table."""
    return uid(header.study, "frame of reference")


def decimal(value: float) -> str:
    """Return a DICOM decimal string: at most 16 characters, as exact as they allow."""
    for digits in range(15, 0, -1):
        text = f"{float(value):.{digits}g}"
        if len(text) <= 16:
            return text
    raise ValueError(f"{value} does not fit a DICOM decimal string of 16 characters.")


def decimals(values: FloatArray | tuple[float, ...] | list[float]) -> list[str]:
    """Return decimal strings; numbers within 1e-9 of zero are written as 0."""
    return [decimal(0.0 if abs(float(v)) < 1e-9 else float(v)) for v in values]


def date_text(when: datetime | date) -> str:
    """DICOM DA."""
    return when.strftime("%Y%m%d")


def time_text(when: datetime) -> str:
    """DICOM TM with microseconds."""
    return when.strftime("%H%M%S.%f")


def new_dataset(sop_class_uid: str, sop_instance_uid: str, header: SeriesHeader) -> Dataset:
    """Return a dataset with file meta, patient, study, series, equipment and frame of reference."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.FileMetaInformationVersion = b"\x00\x01"
    ds.file_meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    ds.file_meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    ds.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.InstanceCreationDate = date_text(header.acquired_at)
    ds.InstanceCreationTime = time_text(header.acquired_at)
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = sop_instance_uid
    ds.StudyDate = date_text(header.study_at)
    ds.StudyTime = time_text(header.study_at)
    ds.SeriesDate = date_text(header.acquired_at)
    ds.SeriesTime = time_text(header.acquired_at)
    ds.ContentDate = date_text(header.acquired_at)
    ds.ContentTime = time_text(header.acquired_at)
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.StationName = "PHANTOM"
    ds.InstitutionName = "Holmia phantom"
    ds.StudyDescription = "Ho-166 radioembolization (phantom)"
    ds.SeriesDescription = header.description
    if header.utc_offset is not None:
        ds.TimezoneOffsetFromUTC = header.utc_offset
    ds.PatientName = header.patient.name
    ds.PatientID = header.patient.id
    ds.PatientBirthDate = date_text(header.patient.birth_date)
    ds.PatientSex = header.patient.sex
    ds.StudyInstanceUID = study_uid(header)
    ds.StudyID = "1"
    ds.SeriesNumber = str(header.number)
    ds.SeriesInstanceUID = uid(header.identity, "series")
    ds.FrameOfReferenceUID = frame_of_reference_uid(header)
    ds.PositionReferenceIndicator = ""
    return ds


def add_equipment(ds: Dataset, header: SeriesHeader) -> None:
    """Add the scanner: maker, model and software in the words of the flavour."""
    enhanced = header.flavour.is_enhanced
    if header.flavour.is_philips:
        ds.Manufacturer = "Philips Medical Systems"
        ds.ManufacturerModelName = "Ingenia"
        ds.SoftwareVersions = ["5.6.1", "5.6.1.0"]
    else:
        ds.Manufacturer = "Siemens Healthineers" if enhanced else "SIEMENS"
        ds.ManufacturerModelName = "MAGNETOM Prisma Fit" if enhanced else "Prisma_fit"
        ds.SoftwareVersions = "syngo MR XA30" if enhanced else "syngo MR E11"
    ds.DeviceSerialNumber = "166"
    ds.Modality = "MR"
    ds.BodyPartExamined = "ABDOMEN"
    ds.PatientPosition = "HFS"
    ds.ProtocolName = header.description
    ds.MagneticFieldStrength = decimal(header.field_strength_t)


def add_pixels(ds: Dataset, rows: int, columns: int, pixels: bytes, *, bits_stored: int = 12) -> None:
    """Add unsigned 16-bit monochrome pixel data."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = rows
    ds.Columns = columns
    ds.BitsAllocated = 16
    ds.BitsStored = bits_stored
    ds.HighBit = bits_stored - 1
    ds.PixelRepresentation = 0
    ds.add_new(0x7FE00010, "OW", pixels)


def position_mm(grid: Grid, slice_index: int) -> list[str]:
    """Image Position (Patient) of one slice: the centre of its first voxel."""
    return decimals(grid.affine_lps_mm[:3, 3] + grid.affine_lps_mm[:3, 0] * slice_index)


def orientation(grid: Grid) -> list[str]:
    """Image Orientation (Patient): direction of increasing column index, then of increasing row index."""
    row = grid.affine_lps_mm[:3, 2] / grid.spacing_mm[2]
    column = grid.affine_lps_mm[:3, 1] / grid.spacing_mm[1]
    return decimals([*row, *column])


def part10(ds: Dataset) -> bytes:
    """Return a dataset as the bytes of a Part-10 file, explicit VR little endian."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


class Template:
    """A dataset, or an item of a sequence, encoded once: bytes are made from it that differ in a few elements.

    The images of a series repeat some 70 elements; encoding them once makes writing several times faster.
    """

    def __init__(self, ds: Dataset) -> None:
        self._elements = _encoded(ds)

    def encoded(self, changes: Mapping[int, bytes]) -> bytes:
        """Return the elements in order, those of `changes` (by tag, from `element`) in their places."""
        elements = {**self._elements, **changes}
        return b"".join(elements[tag] for tag in sorted(elements))


class FileTemplate(Template):
    """A template of whole files."""

    def __init__(self, ds: Dataset) -> None:
        super().__init__(ds)
        self._meta = Template(ds.file_meta)

    def file(self, sop_instance_uid: str, changes: Mapping[int, bytes]) -> bytes:
        """Return the Part-10 file of the template with `changes` in their places."""
        named = {0x00080018: element(0x00080018, "UI", sop_instance_uid)}
        meta = self._meta.encoded({0x00020003: element(0x00020003, "UI", sop_instance_uid)})
        length = element(0x00020000, "UL", struct.pack("<I", len(meta)))
        return b"".join((bytes(128), b"DICM", length, meta, self.encoded({**changes, **named})))


def element(tag: int, vr: str, value: bytes | str | Iterable[str]) -> bytes:
    """Return one element, explicit VR little endian (PS3.5 7.1.2): pydicom takes longer than the images' pixels do.

    A number is given as its bytes, a text of several values as all of them.
    """
    if not isinstance(value, bytes):
        value = (value if isinstance(value, str) else "\\".join(value)).encode("iso8859")
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    length = struct.pack("<2xI" if vr in ("OB", "OW", "SQ") else "<H", len(value))
    return struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode()) + length + value


def sequence(tag: int, items: Iterable[bytes]) -> bytes:
    """Return a sequence of encoded items."""
    return element(tag, "SQ", b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items))


def _encoded(ds: Dataset) -> dict[int, bytes]:
    result = {}
    for each in ds:
        buffer = DicomBytesIO()
        buffer.is_little_endian = True
        buffer.is_implicit_VR = False
        write_data_element(buffer, each, "iso8859")
        result[int(each.tag)] = buffer.getvalue()
    return result
