"""What becomes of each DICOM attribute: PS3.15 annex E, Basic Application Level Confidentiality Profile, with options.

The actions of the basic profile come from a library's table. The options decide where it would empty what a result
cannot be read without: names of structures and series are cleaned (Clean Descriptors), content trees of structured
reports are cleaned item by item (Clean Structured Content), dates are shifted by one number of days (Retain
Longitudinal Temporal Information, Modified Dates), and of private attributes those stay that the signal is decoded
with, as numbers (Retain Safe Private). Patient characteristics (sex, age, size, weight) are not retained: no number of
Holmia's depends on them, and together with a rare treatment they tell who it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as _table
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.tag import BaseTag

from dicom_listener.scaling import PHILIPS_CREATOR


class Action(Enum):
    """What becomes of an attribute (PS3.15, table E.1-1a); of alternatives the one that keeps an object valid."""

    REMOVE = auto()
    EMPTY = auto()
    DUMMY = auto()
    MAP_UID = auto()
    CLEAN = auto()
    """Known identifiers are replaced in its text; the rest stays."""
    CLEAN_ITEMS = auto()
    """Of a sequence: each item by this profile."""
    BY_REPRESENTATION = auto()
    """What its value representation calls for."""


def _tags(*keywords: str) -> frozenset[int]:
    found = {keyword: tag_for_keyword(keyword) for keyword in keywords}
    return frozenset(tag for tag in found.values() if tag is not None)


DESCRIPTORS = _tags(
    "SeriesDescription", "ProtocolName", "StructureSetLabel", "StructureSetName", "ROIName", "ROIObservationLabel",
    "RTPlanLabel", "RTPlanName", "SegmentLabel", "SegmentDescription", "ContentLabel", "ContentDescription",
    "ContrastBolusAgent", "TreatmentSite", "UserContentLabel", "UserContentLongLabel", "EntityLabel",
)  # fmt: skip
"""Names that results cannot be read without: cleaned, whoever wrote them."""

OWN_TEXTS = _tags(
    "ImageComments", "DerivationDescription", "StructureSetDescription", "RTPlanDescription", "ROIDescription",
    "ROIGenerationDescription", "ROIObservationDescription", "PrescriptionDescription", "DoseReferenceDescription",
    "DoseComment", "AcquisitionComments", "FrameComments", "TextValue", "ContributionDescription",
    "FractionGroupDescription", "BeamDescription", "EntityDescription",
    "ConceptualVolumeDescription", "TreatmentSites",
)  # fmt: skip
"""Sentences that Holmia itself composes, its wording among them: cleaned in what Holmia made, removed elsewhere."""

_TEXT_VALUE = 0x0040A160
"""The text of an item of a report: required where the item is one, so it is replaced."""
_CLEANED_SEQUENCES = _tags(
    "ContentSequence", "ReferencedImageSequence", "SourceImageSequence", "VerifyingObserverSequence",
    "FlowIdentifierSequence",
)  # fmt: skip
"""Sequences that the table would empty or replace: references are kept, their UIDs mapped; contents are cleaned."""

_REMOVED = _tags(
    # Type 3 wherever Holmia writes or reads them: better absent than a dummy.
    "InstitutionName", "StationName", "InstitutionCodeSequence", "ReferencedPerformedProcedureStepSequence",
    "ReferencedStudySequence", "AcquisitionDeviceProcessingDescription", "DetectorID",
    "OperatorIdentificationSequence", "WaveformAnnotationSequence", "LabelText", "BarcodeValue",
    # What this de-identification states anew, and what says of the dataset what no longer holds.
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified", "SpecificCharacterSet", "PatientBirthTime",
    "LastMenstrualDate",
)  # fmt: skip
_EMPTIED_IN_REPORTS = _tags("ReferencedPerformedProcedureStepSequence")
"""Type 2 there (PS3.3, C.17.1)."""
_OWN_EQUIPMENT = _tags("DeviceSerialNumber")
"""Holmia has no number; where one is required it states its version."""
_EMPTIED = _tags("ContentCreatorName", "OperatorsName", "PatientBirthDate", "SourceSerialNumber", "PatientSex")

KINDS_OF_UID = _tags(
    "SOPClassUID", "ReferencedSOPClassUID", "TransferSyntaxUID", "CodingSchemeUID", "ContextUID", "MappingResourceUID",
    "RelatedGeneralSOPClassUID", "OriginalSpecializedSOPClassUID", "ContextGroupExtensionCreatorUID",
    "CreatorVersionUID", "SOPClassesInStudy", "EncapsulatedDocumentClassUID", "ReferencedSOPClassUIDInFile",
    "MACCalculationTransferSyntaxUID", "SOPClassesSupported",
)  # fmt: skip
"""Attributes whose UIDs name kinds of things, also where a vendor registered them."""


def _actions() -> Mapping[int, Action]:
    """The table, with the options over it."""
    of_table = (
        (_table.X_TAGS, Action.REMOVE),
        (_table.Z_TAGS, Action.EMPTY),
        (_table.D_TAGS, Action.DUMMY),
        (_table.U_TAGS, Action.MAP_UID),
        (_table.Z_D_TAGS, Action.DUMMY),
        (_table.X_Z_TAGS, Action.EMPTY),
        (_table.X_D_TAGS, Action.DUMMY),
        (_table.X_Z_D_TAGS, Action.DUMMY),
        (_table.X_Z_U_STAR_TAGS, Action.CLEAN_ITEMS),
    )
    actions = {tag[0] << 16 | tag[1]: action for tags, action in of_table for tag in tags if len(tag) == 2}
    for tags, action in (
        (DESCRIPTORS, Action.CLEAN),
        (_CLEANED_SEQUENCES, Action.CLEAN_ITEMS),
        (_EMPTIED, Action.EMPTY),
        (_REMOVED, Action.REMOVE),
    ):
        actions.update(dict.fromkeys(tags, action))
    return MappingProxyType(actions)


ACTIONS = _actions()
"""By tag; what is missing goes by its value representation. Overlays, curves and private elements are apart."""


def action_of(tag: BaseTag, *, own: bool, report: bool = False) -> Action:
    """What becomes of a public attribute; `own`: of an object that Holmia made, `report`: of a structured report."""
    if report and int(tag) in _EMPTIED_IN_REPORTS:
        return Action.EMPTY
    if own and int(tag) in _OWN_EQUIPMENT:
        return Action.CLEAN
    if int(tag) in OWN_TEXTS:
        if own:
            return Action.CLEAN
        return Action.DUMMY if int(tag) == _TEXT_VALUE else Action.REMOVE
    return ACTIONS.get(int(tag), Action.BY_REPRESENTATION)


SAFE_PRIVATE: Mapping[tuple[int, str, int], tuple[float, float] | None] = MappingProxyType(
    {
        (0x0043, "GEMS_PARM_01", 0x2F): (0, 3),
        (0x2001, "Philips Imaging DD 001", 0x14): (0, 4096),
        (0x2001, "Philips Imaging DD 001", 0x18): (0, 4096),
        (0x2001, "Philips Imaging DD 001", 0x60): (0, 4096),
        (0x2005, PHILIPS_CREATOR, 0x0E): (-1e9, 1e9),
        (0x2005, "Philips MR Imaging DD 005", 0x0F): None,
    }
)
"""The private attributes that Holmia reads, by group, creator and offset, each with the range of its one number: the
kind of a GE image; Philips' numbers of echoes, slices and stacks, its scale slope; None: its group of attributes for
each frame, of which the items go through this profile."""

_MR = "1.2.840.10008.5.1.4.1.1.4"
_HARMLESS = (
    _MR, f"{_MR}.1", f"{_MR}.4",
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.20",
    "1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.30",
    "1.2.840.10008.5.1.4.1.1.66.1", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7",
)  # fmt: skip
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_HARMLESS_FAMILIES = ("1.2.840.10008.5.1.4.1.1.481.", _REPORTS)


def is_report(sop_class_uid: str) -> bool:
    """Whether objects of this class are structured reports."""
    return sop_class_uid.startswith(_REPORTS)


def is_of_known_kind(sop_class_uid: str) -> bool:
    """Whether objects of this class hold no picture of text: MR, CT, nuclear medicine, RT, SEG, maps, SR.

    Secondary captures, encapsulated documents, presentation states, raw data and private classes do or may.
    """
    return sop_class_uid in _HARMLESS or sop_class_uid.startswith(_HARMLESS_FAMILIES)


def name_of(tag: BaseTag) -> str:
    """The keyword of an attribute; empty for what is not in the dictionary."""
    return keyword_for_tag(tag)
