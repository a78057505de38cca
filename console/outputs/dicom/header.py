"""What the headers of the RT objects share: patient and study as in the reference images, equipment, provenance."""

from __future__ import annotations

import copy
from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from console.outputs.dicom.common import MANUFACTURER, MODEL, SERIES_NUMBERS, output_uid
from console.outputs.exported import Exported
from console.outputs.wording import RESEARCH_USE, software_version

_ALWAYS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Attributes of patient and study that stand in every object, empty where the images have none."""
_WHERE_PRESENT = (
    "TimezoneOffsetFromUTC",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID",
    "OtherPatientIDsSequence",
    "PatientBirthTime",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
)


def rt_dataset(
    exported: Exported, sop_class_uid: UID, sop_instance_uid: UID, *, kind: str, series: tuple[object, ...], about: str
) -> Dataset:
    """Start an RT object: everything in it that does not depend on what it holds.

    Parameters
    ----------
    kind
        ``rtdose``, ``rtplan`` or ``rtstruct``: modality and number of the series.
    series
        What tells its series apart from the others of this export.
    about
        The series' description, at most 64 characters.
    """
    ds = Dataset()
    # Everything can be written in it: the patient's name of a scanner in Japan and the sign "≥" of ours.
    ds.SpecificCharacterSet = "ISO_IR 192"
    copy_patient_and_study(exported.reference_images[0], ds)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class_uid, sop_instance_uid
    made_at = local(ds, exported.made_at)
    ds.InstanceCreationDate, ds.InstanceCreationTime = made_at.strftime("%Y%m%d"), made_at.strftime("%H%M%S")
    ds.Modality = kind.upper()
    ds.SeriesInstanceUID = output_uid(exported, "series", *series)
    ds.SeriesNumber = SERIES_NUMBERS[kind]
    ds.SeriesDate, ds.SeriesTime = ds.InstanceCreationDate, ds.InstanceCreationTime
    ds.SeriesDescription = series_description(exported, about)
    ds.OperatorsName = ""
    ds.Manufacturer, ds.ManufacturerModelName = MANUFACTURER, MODEL
    # The first halves of both hashes fit; where texts are removed from an object, they still tell what made it.
    ds.SoftwareVersions = [
        software_version(),
        f"settings {exported.snapshot.settings_sha256[:32]}",
        f"record {exported.snapshot.head_hash[:32]}",
    ]
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = sop_class_uid, sop_instance_uid
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def copy_patient_and_study(image: Dataset, target: Dataset) -> None:
    """Copy what an image says of its patient and study; what every object must have and it lacks becomes empty."""
    for keyword in (*_ALWAYS, *_WHERE_PRESENT):
        if keyword in image:
            target.add(copy.deepcopy(image[keyword]))
        elif keyword in _ALWAYS:
            setattr(target, keyword, "")


def add_frame_of_reference(exported: Exported, ds: Dataset) -> None:
    """Add the frame of reference of the reference series; images that state none get one of this export's."""
    image = exported.reference_images[0]
    ds.FrameOfReferenceUID = image.get("FrameOfReferenceUID") or output_uid(exported, "frame of reference")
    ds.PositionReferenceIndicator = image.get("PositionReferenceIndicator", "")


def local(ds: Dataset, when: datetime) -> datetime:
    """A time as the dataset's dates and times are meant: in its stated offset, else in the zone that `when` is in."""
    stated = ds.get("TimezoneOffsetFromUTC")
    return when.astimezone(datetime.strptime(str(stated), "%z").tzinfo) if stated else when


def series_description(exported: Exported, about: str) -> str:
    """What a series is called, at most 64 characters; a what-if says so first: it is all that many viewers show."""
    return f"{'WHAT-IF ' if exported.snapshot.overrides else ''}{about}"[:64]


def long_string(text: str) -> str:
    """A name as one value of VR LO: at most 64 characters, no backslash, which would make two values of it."""
    return text.replace("\\", "/")[:64]


def provenance(exported: Exported) -> str:
    """What made an object, in full, with the research-use wording: for its longest text."""
    snapshot = exported.snapshot
    text = (
        f"{RESEARCH_USE} Holmia {software_version()}; settings SHA-256 {snapshot.settings_sha256}; treatment file up "
        f"to event {snapshot.head_seq}, {snapshot.head_hash}."
    )
    if snapshot.overrides:
        changed = ", ".join(f"{key} = {value}" for key, value in sorted(snapshot.overrides.items()))
        text += f" A WHAT-IF, NOT THE TREATMENT AS RECORDED: {changed}."
    return text


def reference_to(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """An item that refers to an instance."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def decimal(value: float) -> str:
    """A DICOM decimal string: as exact as its 16 characters allow, the shortest that says the same."""
    for digits in range(15, 0, -1):
        text = f"{float(value) + 0.0:.{digits}g}"  # + 0.0: no "-0"
        if len(text) <= 16:
            break
    return text
