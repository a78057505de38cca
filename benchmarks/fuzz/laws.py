"""What must hold for any bytes at all: each law is a function of them that raises AssertionError where it is broken.

The tests put nearly valid files to them, `make fuzz` whatever coverage suggests.
"""

# ruff: noqa: S101 - a law is an assertion
from __future__ import annotations

import warnings
from datetime import UTC, datetime
from io import BytesIO
from zoneinfo import ZoneInfo

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from dicom_listener import statuses
from dicom_listener.admission import Admission, Fate
from dicom_listener.assembly import Assembly
from dicom_listener.decode import decode
from dicom_listener.identity import patient_identity
from dicom_listener.images import DecodedInstance, MrImage
from dicom_listener.instance_header import InstanceHeader, UnreadableInstanceError, read_header
from dicom_listener.same_content import same_content
from dicom_listener.times import acquisition_time, combine, parse_date, parse_date_time, parse_offset, parse_time

ZONE = ZoneInfo("Europe/Amsterdam")
CODES = frozenset(s.code for s in vars(statuses).values() if isinstance(s, statuses.StoreStatus))
_IDENTIFIERS = {
    "PatientID": "patient_id",
    "SOPInstanceUID": "sop_instance_uid",
    "SOPClassUID": "sop_class_uid",
    "SeriesInstanceUID": "series_instance_uid",
}


def header_is_read_or_refused(data: bytes) -> InstanceHeader | None:
    """Return the header, or None where it is refused in a sentence; nothing else happens.

    Where pydicom reads the file too, both see the same patient, instance, class and series: what is admitted by the
    one cannot be another to the other.
    """
    try:
        header = read_header(data)
    except UnreadableInstanceError as refused:
        sentence = str(refused)
    else:
        sentence = ""
    if sentence:
        assert sentence.endswith(".")
        assert sentence.isascii()
        return None
    dataset = _by_pydicom(data)
    if dataset is not None:
        for keyword, name in _IDENTIFIERS.items():
            assert _same_text(dataset.get_item(keyword), getattr(header, name), header), (
                f"{keyword} is read differently"
            )
    return header


def content_equals_itself(data: bytes, other: bytes) -> None:
    """Whether two data sets are the same: reflexive and symmetric for whatever can be read, and nothing raised."""
    if header_is_read_or_refused(data) is None:
        return
    assert same_content(data, data)
    if header_is_read_or_refused(other) is not None:
        assert same_content(data, other) is same_content(other, data)


def decoding_tells_what_it_found(data: bytes) -> DecodedInstance:
    """Decode; what comes out is well formed, and nothing comes out without a reason."""
    found = decode(data, time_zone=ZONE)
    for image in found.images:
        _check_image(image)
    for structure in found.structure_set.structures if found.structure_set else ():
        for contour in structure.contours:
            assert contour.points_mm.ndim == 2
            assert contour.points_mm.shape[1] == 3
            assert np.isfinite(contour.points_mm).all()
            assert not contour.points_mm.flags.writeable
    assert found.images or found.structure_set is not None or found.reason
    dataset = _by_pydicom(data)
    if dataset is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert patient_identity(dataset).name.encode("utf-8") is not None
    return found


def images_can_be_assembled(images: tuple[MrImage, ...], good: tuple[MrImage, ...]) -> None:
    """Assemble any images before, after and among sound ones: nothing is raised, and the order does not matter."""
    found = []
    for arrivals in (((images, 1), (good, 2)), ((good, 2), (images, 1)), ((images[::-1], 1), (good[::-1], 2))):
        assembly = Assembly()
        for group, seq in arrivals:
            assembly.add(group, seq=seq, association="a")
        assembly.states()
        assembly.association_closed("a")
        for state in assembly.states():
            assembly.assembled(state.key)
        found.append({(s.key, s.status, s.received, s.echo_times_s, s.n_slices) for s in assembly.states()})
    assert found[0] == found[1] == found[2]


def admission_answers(admission: Admission, data: bytes) -> Fate:
    """Admit; the answer is one of the statuses, success exactly where the instance is kept."""
    admitted = admission.admit(data, association="fuzz")
    assert admitted.status.code in CODES
    assert len(admitted.status.comment) <= 64
    assert admitted.status.comment.isascii()
    assert (admitted.status.code == 0) == (admitted.fate is not Fate.REFUSED)
    assert (admitted.status.code == 0) or admitted.status.comment
    return admitted.fate


def times_are_read_or_not(data: bytes) -> None:
    """Read dates and times of any text: a value that every conversion takes, or None."""
    text, other = data.decode("utf-8", "replace"), data[::-1].decode("latin-1")
    for value in (text, other, text.strip("\0 ")[:26]):
        for joined in (parse_date_time(value, ZONE), combine(value[:8], value[8:], ZONE), combine(value, other, UTC)):
            _check_time(joined)
        parse_date(value)
        parse_time(value)
        parse_offset(value)
    dataset = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword in ("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "TimezoneOffsetFromUTC"):
            setattr(dataset, keyword, text)
        stated, remark = acquisition_time(dataset, ZONE)
    _check_time(stated)
    assert stated is not None or remark


def _check_time(stated: datetime | None) -> None:
    if stated is not None:
        assert stated.tzinfo is not None
        for zone in (UTC, ZONE, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Etc/GMT+12")):
            assert stated.astimezone(zone) == stated
        assert np.isfinite(stated.timestamp())


def _check_image(image: MrImage) -> None:
    assert image.signal.ndim == 2
    assert image.signal.size > 0
    assert image.signal.dtype == np.float32
    assert not image.signal.flags.writeable
    geometry = (*image.position_mm, *image.row_direction, *image.column_direction, *image.pixel_spacing_mm)
    assert np.isfinite(geometry).all()
    assert min(image.pixel_spacing_mm) > 0
    assert image.echo_time_s is None or np.isfinite(image.echo_time_s)
    _check_time(image.acquired_at)


def _by_pydicom(data: bytes) -> Dataset | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(BytesIO(data))
        except Exception:  # noqa: BLE001 - hostile bytes make it raise nearly anything
            return None


def _same_text(element: object, text: str, header: InstanceHeader) -> bool:
    if element is None:
        return text == ""
    if not isinstance(element, RawDataElement):
        return False
    encoding = "utf-8" if header.character_set.endswith("ISO_IR 192") else "latin-1"
    return (element.value or b"").decode(encoding, "replace").strip(" \0") == text
