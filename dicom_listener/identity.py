"""What an instance says of its patient, whatever character set it was written in."""

from __future__ import annotations

import warnings

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom_listener.images import PatientIdentity
from dicom_listener.times import parse_date


def patient_identity(dataset: Dataset) -> PatientIdentity:
    """Read the patient of a dataset; never raises.

    SpecificCharacterSet (0008,0005) is honoured, with ISO 2022 extensions. Where it is malformed, or the bytes do
    not fit it, the characters that cannot be read become replacement characters: patients are matched on id,
    issuer and birth date, never on the name.
    """
    return PatientIdentity(
        id=text_of(dataset, "PatientID"),
        issuer=text_of(dataset, "IssuerOfPatientID"),
        name=text_of(dataset, "PatientName"),
        birth_date=parse_date(text_of(dataset, "PatientBirthDate")),
        sex=text_of(dataset, "PatientSex"),
    )


_TEXT = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return an element's text without padding; empty where it is missing, with replacements where unreadable."""
    raw = _raw(dataset, keyword)
    kept = raw.value if raw is not None else None
    # Plain ASCII without an escape reads the same in every character set: no need to build an element for it.
    if raw is not None and isinstance(kept, bytes) and (raw.VR or "LO") in _TEXT and _is_plain(kept):
        return kept.decode("ascii").strip(" \0")
    # pydicom warns of what it replaces; the replacement characters say it where it matters.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = dataset.get(keyword)
            text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str("" if value is None else value)
        except Exception:  # noqa: BLE001 - any byte may stand in a peer's text, and none of them may stop the reader
            text = kept.decode("ascii", "replace") if isinstance(kept, bytes) else ""
    return text.encode("utf-8", "replace").decode("utf-8").strip(" \0")


def _is_plain(value: bytes) -> bool:
    return value.isascii() and b"\x1b" not in value


def _raw(dataset: Dataset, keyword: str) -> RawDataElement | None:
    """Return an element as it was read; None where there is none, or it has been made into something else."""
    try:
        element = dataset.get_item(keyword)
    except Exception:  # noqa: BLE001 - an empty element is converted at once, and an unknown representation raises then
        return None
    return element if isinstance(element, RawDataElement) else None
