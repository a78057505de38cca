"""DICOM datasets as they may leave: every element at every depth by the profile, into a dataset of its own."""

from __future__ import annotations

import math
import re
import struct
import warnings
from collections.abc import Iterator
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID, ExplicitVRLittleEndian

from console.outputs.deidentification_profile import (
    KINDS_OF_UID,
    SAFE_PRIVATE,
    Action,
    action_of,
    is_of_known_kind,
    is_report,
    name_of,
)
from console.outputs.deidentified_text import Cleaner, is_common
from console.outputs.dicom.common import MODEL
from console.outputs.error import OutputError
from console.outputs.wording import software_version
from dicom_listener.times import parse_date

_PIXEL_DATA = 0x7FE00010
_PIXELS = frozenset({_PIXEL_DATA, 0x7FE00008, 0x7FE00009, 0x7FE00001, 0x7FE00002})
_NUMBERS = frozenset(["AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"])
_BINARY = frozenset(["OB", "OD", "OF", "OL", "OV", "OW"])
_FREE = frozenset(["LT", "ST", "UT"])
"""Representations of free text; of an attribute that is not in the profile it leaves only with what Holmia made."""
_LONGEST = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "PN": 64}
_TIME = re.compile(r"\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?)?", re.ASCII)
_DATE_TIME = re.compile(r"(\d{8})((?:\d{2}){0,3}(?:\.\d{1,6})?(?:[+-]\d{4})?)", re.ASCII)
_OFFSET = re.compile(r"[+-]\d{4}", re.ASCII)
_DUMMY = "X"
_IDENTITY = {0x00100010, 0x00100020}
_CODES = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113111", "Retain Safe Private Option"),
)
_CODE_OF_REPORTS = ("113104", "Clean Structured Content Option")


class NotDeidentifiableError(OutputError):
    """Of this it cannot be known that nothing in it names the patient; it leaves identified or not at all."""


def deidentified_dataset(dataset: Dataset, cleaner: Cleaner, pseudonym: str) -> Dataset:
    """Return a dataset with file meta information of which nothing names the patient; the given one is not changed.

    Raises
    ------
    NotDeidentifiableError
        If it is, or may hold, a picture of text.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values of scanners: what cannot be read is dropped
        _refuse_pictures_of_text(dataset)
        own = str(dataset.get("ManufacturerModelName") or "") == MODEL
        report = is_report(str(dataset.SOPClassUID))
        made = _Walk(cleaner, pseudonym, own=own, report=report).dataset(dataset)
        made.SpecificCharacterSet = "ISO_IR 192"
        made.PatientName = made.PatientID = pseudonym
        if "PatientBirthDate" not in made:
            made.PatientBirthDate = ""
        _state_method(made, report=report)
        if _PIXEL_DATA in made or "Rows" in made:
            made.BurnedInAnnotation = "NO"  # what says YES was refused
        syntax = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID") or ExplicitVRLittleEndian
        made.file_meta = FileMetaDataset()
        made.file_meta.FileMetaInformationVersion = b"\x00\x01"
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.file_meta.TransferSyntaxUID = syntax
        made.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
        made.preamble = b"\0" * 128
    return made


def _refuse_pictures_of_text(dataset: Dataset) -> None:
    number, instance = (str(dataset.get(key) or "?") for key in ("SeriesNumber", "InstanceNumber"))
    kind = str(dataset.get("SOPClassUID") or "")
    words = {str(word).upper() for word in _values(dataset.get("ImageType"))}
    why = ""
    if not dataset.get("SOPInstanceUID") or not kind:
        why = "it has no SOP Class or Instance UID"
    elif not is_of_known_kind(kind):
        why = f"objects of its kind ({UID(kind).name}) can be pictures of text"
    elif str(dataset.get("BurnedInAnnotation") or "").upper() == "YES":
        why = "it says that text is burned into its pixels"
    elif any("SCREEN" in word for word in words) or _number(dataset.get("SamplesPerPixel", 1)) != 1:
        why = "it is a screen save or a colour picture, which can show text"
    elif any(_number(dataset[tag].value) for tag in dataset.keys() if tag >> 24 == 0x60 and tag & 0xFFFF == 0x0102):  # noqa: SIM118
        why = "an overlay lies in unused bits of its pixels"
    if why:
        raise NotDeidentifiableError(
            f"Instance {instance} of series {number} is not exported de-identified, since {why}; "
            "export it with --identified if the receiver may know the patient."
        )


def _state_method(made: Dataset, *, report: bool) -> None:
    codes = list(_CODES)
    if report:
        codes.insert(1, _CODE_OF_REPORTS)
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = ["DICOM PS3.15 Annex E, with the options coded below", f"Holmia {software_version()}"]
    items = []
    for value, meaning in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
        items.append(item)
    made.DeidentificationMethodCodeSequence = Sequence(items)
    made.LongitudinalTemporalInformationModified = "MODIFIED"


class _Walk:
    """One dataset, element by element."""

    def __init__(self, cleaner: Cleaner, pseudonym: str, *, own: bool, report: bool) -> None:
        self._clean = cleaner
        self._pseudonym = pseudonym
        self._own = own
        self._report = report

    def dataset(self, dataset: Dataset) -> Dataset:
        made = Dataset()
        for element in _elements(dataset):
            kept = self._element(element)
            if kept is not None:
                made[kept.tag] = kept
        self._add_safe_private(dataset, made)
        return made

    def _element(self, element: DataElement) -> DataElement | None:
        tag, vr = element.tag, element.VR
        if tag.element == 0 or tag.group & 0xFF00 in (0x5000, 0x6000) or not dictionary_has_tag(tag) or vr == "UN":
            return None
        if int(tag) in _IDENTITY:
            return _with(element, self._pseudonym if element.value else "")
        action = action_of(tag, own=self._own, report=self._report)
        if vr == "SQ":
            return self._sequence(element, action)
        if vr == "UI":
            return self._uids(element)
        if vr in ("DA", "DT", "TM") and name_of(tag) not in ("PatientBirthDate", "PatientBirthTime"):
            return _with(element, [self._moment(vr, str(value)) for value in _values(element.value)])
        if name_of(tag) == "TimezoneOffsetFromUTC":
            return element if _OFFSET.fullmatch(str(element.value)) else None
        if action is Action.REMOVE:
            return None
        if action is Action.EMPTY:
            return _with(element, "" if vr not in _BINARY | _NUMBERS else None)
        if action is Action.DUMMY:
            return _with(element, "0" if vr in ("DS", "IS") else _DUMMY) if vr not in _BINARY | _NUMBERS else None
        return self._by_representation(element, cleaned=action is Action.CLEAN)

    def _sequence(self, element: DataElement, action: Action) -> DataElement | None:
        if action is Action.REMOVE:
            return None
        items: list[Dataset] = []
        if action is Action.DUMMY:
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = _DUMMY, "99HOLMIA", "removed"
            items = [item] if name_of(element.tag).endswith("CodeSequence") else []
        elif action is not Action.EMPTY:
            items = [self.dataset(item) for item in element.value or ()]
        return DataElement(element.tag, "SQ", Sequence(items))

    def _uids(self, element: DataElement) -> DataElement:
        values = [str(value) for value in _values(element.value)]
        kind = int(element.tag) in KINDS_OF_UID
        kept = [v if kind and not self._clean.is_known_uid(v) else self._clean.uid(v) for v in values]
        return element if kept == values else _with(element, kept)

    def _moment(self, vr: str, text: str) -> str:
        """A time as it is, a date shifted; what cannot be read becomes empty."""
        text = text.strip(" \0")
        if vr == "TM":
            return text if _TIME.fullmatch(text) else ""
        match = _DATE_TIME.fullmatch(text) if vr == "DT" else None
        day, rest = (match[1], match[2]) if match else (text, "")
        own = parse_date(day) if match or vr == "DA" else None
        moved = None if own is None else self._clean.day(own)
        return "" if moved is None else f"{moved:%Y%m%d}".zfill(8) + rest

    def _by_representation(self, element: DataElement, *, cleaned: bool) -> DataElement | None:
        vr, tag = element.VR, element.tag
        if int(tag) in _PIXELS or vr in _NUMBERS:
            return element
        if vr in ("IS", "DS"):
            return element if all(_number(value) is not None for value in _values(element.value)) else None
        if vr in _BINARY or isinstance(element.value, bytes):
            known = not isinstance(element.value, bytes) or self._clean.contains_known(element.value)
            return None if known and element.value else element
        if vr == "PN":
            return _with(element, "")
        if vr in ("AE", "AS", "UR") or (vr in _FREE and not (cleaned or self._own)):
            return None
        values = [str(value) for value in _values(element.value)]
        if name_of(tag) == "Manufacturer" and is_common(values):
            return element  # the signal is decoded by it; a hospital may have the maker's name
        kept = [self._cleaned(value, vr) for value in values]
        return element if kept == values else _with(element, kept)

    def _cleaned(self, text: str, vr: str) -> str:
        # Two letters of a coded value are a code: SE is spin echo.
        made = self._clean(text, short_names=vr != "CS")
        longest = _LONGEST.get(vr)
        if made != text and longest is not None and len(made) > longest >= len(text):
            made = made[:longest].rstrip()
        return made.upper().replace("(", "").replace(")", "") if vr == "CS" and made != text else made

    # -- private -------------------------------------------------------------------------------------------------------

    def _add_safe_private(self, dataset: Dataset, made: Dataset) -> None:
        groups = {tag >> 16 for tag in dataset.keys() if tag >> 16 & 1}  # noqa: SIM118 - elements, not tags
        for (group, creator, offset), limits in SAFE_PRIVATE.items():
            if group not in groups:
                continue
            try:
                block = dataset.private_block(group, creator)
                element = block[offset]
                value, vr = element.value, element.VR
            except Exception:  # noqa: BLE001 - not there, or not readable
                continue
            if limits is None:
                if not isinstance(value, Sequence):
                    continue
                kept: Any = Sequence([self.dataset(item) for item in value])
            else:
                number = self._number_of(value, vr, whole=limits[0] == 0)
                if number is None or not limits[0] <= number <= limits[1]:
                    continue
                kept = value
            made.add_new((group, block.block_start >> 8), "LO", creator)
            made.add_new(element.tag, vr, kept)

    def _number_of(self, value: object, vr: str, *, whole: bool) -> float | None:
        """The one number of a private element, of bytes where an archive lost its representation; else None."""
        if not isinstance(value, bytes):
            return _number(value) if vr in _NUMBERS | {"DS", "IS"} else None
        if len(value) not in (2, 4) or self._clean.contains_known(value):
            return None
        if whole or len(value) == 2:
            return float(int.from_bytes(value, "little", signed=True))
        return _number(struct.unpack("<f", value)[0])


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    """Every public element that can be read, in order of tags."""
    for tag in sorted(tag for tag in dataset.keys() if not tag.is_private):  # noqa: SIM118 - elements, not tags
        try:
            yield dataset[tag]
        except Exception:  # noqa: BLE001 - what cannot be read cannot be cleaned
            continue


def _with(element: DataElement, value: Any) -> DataElement:  # noqa: ANN401
    """The element with another value, taken as it is."""
    if isinstance(value, list):
        value = "" if not value else value[0] if len(value) == 1 else value
    return DataElement(element.tag, element.VR, value, validation_mode=config.IGNORE)


def _values(value: object) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MultiValue | list | tuple) else [value]


def _number(value: object) -> float | None:
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None
