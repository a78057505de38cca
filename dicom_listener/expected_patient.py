"""Whose images a treatment file takes: the plan's patient, as the file has it now; before a plan, the first image's."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from config.plan import PatientPlan
from dicom_listener.events import Kind
from dicom_listener.instance_header import InstanceHeader, UnreadableInstanceError, read_header
from dicom_listener.record import Record, RecordCorruptError


class ExpectedPatient:
    """Follows a treatment file for whom its instances must be of. Used under the lock of an `Admission`.

    A plan may be recorded, or its patient corrected, by a console while a listener runs. Until there is one, the first
    instance that is stored tells the patient, and instances of others are set aside as at any time.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._read = 0
        self._planned: PatientPlan | None = None
        self._first: PatientPlan | None = None

    def now(self) -> PatientPlan | None:
        """The patient that an instance must be of; None while nothing is known."""
        while batch := self._record.events(self._read):
            for event in batch:
                if event.kind in (Kind.PLAN_LOADED, Kind.PLAN_REVISED):
                    self._planned = _patient_of_plan(event.payload) or self._planned
                elif event.kind == Kind.INSTANCE_STORED and self._first is None and event.object_sha256 is not None:
                    self._first = self._patient_of(event.object_sha256)
            self._read = batch[-1].seq
        return self._planned or self._first

    def _patient_of(self, sha256: str) -> PatientPlan | None:
        """The patient of a stored instance; None where it names none, or cannot be read: then the next one tells."""
        try:
            return patient_of_header(read_header(self._record.object_bytes(sha256)))
        except (UnreadableInstanceError, RecordCorruptError):
            return None


def _patient_of_plan(payload: dict[str, Any]) -> PatientPlan | None:
    """None where another version recorded what this one cannot read: no image is refused for that."""
    try:
        told = dict(payload["plan"]["patient"])
        if told.get("birth_date") is not None:
            told["birth_date"] = date.fromisoformat(str(told["birth_date"]))
        return PatientPlan.model_validate(told, by_alias=True, by_name=False)
    except (KeyError, TypeError, ValueError):
        return None


def patient_of_header(header: InstanceHeader) -> PatientPlan | None:
    """ID and birth date of an instance as a plan would have them; None without an ID."""
    if not header.patient_id:
        return None
    try:
        birth_date = datetime.strptime(header.patient_birth_date, "%Y%m%d").date()
    except ValueError:
        birth_date = None
    return PatientPlan(id=header.patient_id[:64], birth_date=birth_date)
