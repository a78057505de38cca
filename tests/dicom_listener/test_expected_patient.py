"""Whose images a treatment file takes: the plan's patient as the file has it now; before a plan, the first image's."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from dicom_listener.admission import Admission, Fate
from dicom_listener.events import Kind
from dicom_listener.expected_patient import ExpectedPatient
from dicom_listener.record import Record, RecordCorruptError, quarantine_path

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def scan(real_data) -> pydicom.Dataset:
    return pydicom.dcmread(sorted((real_data / "siemens_gre_6echo").rglob("*.dcm*"))[0])


def image_of(scan: pydicom.Dataset, patient: str, number: int, born: str = "19570512") -> bytes:
    scan.PatientID, scan.PatientBirthDate = patient, born
    scan.SOPInstanceUID = scan.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(number)])
    file = io.BytesIO()
    scan.save_as(file)
    return file.getvalue()


@contextmanager
def admitting(record: Record) -> Iterator[Admission]:
    def quarantine() -> Record:
        other = quarantine_path(record.path)
        return Record.open(other) if other.exists() else Record.create(other)

    admission = Admission(record, quarantine, ExpectedPatient(record), lambda: NOON, actor="listener")
    try:
        yield admission
    finally:
        admission.close()


def planned(record: Record, patient: dict[str, str]) -> None:
    """As a console records it while the listener runs."""
    with Record.open(record.path) as console:
        console.append(Kind.PLAN_LOADED, {"plan": {"patient": patient}}, actor="A. Operator", utc=NOON)


def test_before_a_plan_the_first_image_tells_the_patient(tmp_path: Path, scan: pydicom.Dataset) -> None:
    with Record.create(tmp_path / "a.holmia") as record, admitting(record) as admission:
        fates = [
            admission.admit(image_of(scan, patient, number), association="1").fate
            for number, patient in enumerate(["EM1-004", "SOMEBODY", "EM1-004"])
        ]
    assert fates == [Fate.STORED, Fate.QUARANTINED, Fate.STORED]


def test_a_restarted_listener_still_knows_the_first_patient(tmp_path: Path, scan: pydicom.Dataset) -> None:
    with Record.create(tmp_path / "a.holmia") as record:
        with admitting(record) as admission:
            admission.admit(image_of(scan, "EM1-004", 1), association="1")
        with admitting(record) as admission:
            assert admission.admit(image_of(scan, "SOMEBODY", 2), association="2").fate is Fate.QUARANTINED
        assert ExpectedPatient(record).now().birth_date == date(1957, 5, 12)


def test_a_plan_that_is_recorded_while_the_listener_runs_counts_at_once(tmp_path: Path, scan: pydicom.Dataset) -> None:
    with Record.create(tmp_path / "a.holmia") as record, admitting(record) as admission:
        planned(record, {"id": "EM1-004"})
        assert admission.admit(image_of(scan, "SOMEBODY", 1), association="1").fate is Fate.QUARANTINED
        assert admission.admit(image_of(scan, "EM1-004", 2), association="1").fate is Fate.STORED
        planned(record, {"id": "EM1-004", "birth_date": "1960-01-01"})
        assert admission.admit(image_of(scan, "EM1-004", 3), association="1").fate is Fate.QUARANTINED


def test_an_image_without_a_patient_id_tells_nobody(tmp_path: Path, scan: pydicom.Dataset) -> None:
    with Record.create(tmp_path / "a.holmia") as record, admitting(record) as admission:
        assert admission.admit(image_of(scan, "", 1), association="1").fate is Fate.STORED
        assert ExpectedPatient(record).now() is None


def test_a_first_object_that_is_damaged_refuses_nobody_and_the_next_one_tells(
    tmp_path: Path, scan: pydicom.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Record.create(tmp_path / "a.holmia") as record:
        with admitting(record) as admission:
            for number in (1, 2):
                admission.admit(image_of(scan, "EM1-004", number), association="1")
        first, sound = record.events()[0].object_sha256, record.object_bytes

        def damaged(sha256: str) -> bytes:
            if sha256 == first:
                raise RecordCorruptError("It holds other bytes than were stored.")
            return sound(sha256)

        monkeypatch.setattr(record, "object_bytes", damaged)
        with admitting(record) as admission:
            assert admission.admit(image_of(scan, "EM1-004", 3), association="2").fate is Fate.STORED
            assert admission.admit(image_of(scan, "SOMEBODY", 4), association="2").fate is Fate.QUARANTINED


def test_a_plan_that_cannot_be_read_refuses_nobody_and_changes_nothing(tmp_path: Path, scan: pydicom.Dataset) -> None:
    with Record.create(tmp_path / "a.holmia") as record, admitting(record) as admission:
        planned(record, {"id": "EM1-004"})
        planned(record, {"id": "", "of a later version": "x"})
        assert admission.admit(image_of(scan, "EM1-004", 1), association="1").fate is Fate.STORED
        assert admission.admit(image_of(scan, "SOMEBODY", 2), association="1").fate is Fate.QUARANTINED
