"""What becomes of an instance: stored, known already, quarantined or refused. The network and the import share it."""

from __future__ import annotations

import errno
import logging
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from config.plan import PatientPlan
from dicom_listener import failpoints
from dicom_listener.events import Kind
from dicom_listener.expected_patient import ExpectedPatient
from dicom_listener.instance_header import InstanceHeader, UnreadableInstanceError, read_header
from dicom_listener.owed_events import OwedEvents, StorageFailures
from dicom_listener.record import Record, RecordError, RecordFullError
from dicom_listener.same_content import same_content
from dicom_listener.statuses import (
    CANNOT_UNDERSTAND,
    DATASET_MISMATCH,
    INVALID_INSTANCE_UID,
    OUT_OF_RESOURCES,
    SUCCESS,
    StoreStatus,
)
from dicom_listener.stored_index import StoredIndex, UndecidedError

_LOG = logging.getLogger(__name__)
_UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_MEGABYTE = 1_000_000


class Fate(StrEnum):
    """What became of an instance."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """The fate of one instance, with the status that answers for it and the series it belongs to, where stored."""

    fate: Fate
    status: StoreStatus = SUCCESS
    series_instance_uid: str = ""


@dataclass(frozen=True, kw_only=True)
class CommandUids:
    """What the C-STORE request said of its data set."""

    sop_class_uid: str
    sop_instance_uid: str


def is_valid_uid(text: str) -> bool:
    """Return whether `text` is a UID: digits and dots, 64 characters at most (PS3.5, 9.1).

    A leading zero of a component, which the standard forbids, is let pass: scanners have sent them.
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def other_patient(header: InstanceHeader, patient: PatientPlan) -> str | None:
    """Return None if the instance is of the planned patient, else what differs, without saying the other's identity.

    The ID decides, and the issuer and birth date where the plan gives them; never the name (docs/plan.md).
    """
    if header.patient_id != patient.id.strip():
        return "The Patient ID differs from the plan's."
    if patient.issuer is not None and header.issuer_of_patient_id != patient.issuer.strip():
        return "The Issuer of Patient ID differs from the plan's or is missing."
    if patient.birth_date is not None and _date(header.patient_birth_date) != patient.birth_date:
        return "The Patient's Birth Date differs from the plan's or is missing."
    return None


class Admission:
    """Decides on every instance of one treatment file and writes the decision. Safe to share between threads.

    Parameters
    ----------
    record
        The treatment file, open for writing.
    quarantine_factory
        Opens or creates the quarantine file; called when first needed. `close` closes it.
    patient
        Whom the instances must be of, for good or as the file says at any time; None takes all.
    clock
        The time, aware.
    actor
        Who appends.
    minimum_free_mb
        Below this free space (MB) beside the treatment file nothing is taken.
    same_pixels
        Compares the pixels of two Part-10 files, as `same_content` wants it; None compares them in this process.

    Attributes
    ----------
    events
        Takes the caller's own events too, and keeps their order.
    """

    def __init__(
        self,
        record: Record,
        quarantine_factory: Callable[[], Record],
        patient: PatientPlan | ExpectedPatient | None,
        clock: Callable[[], datetime],
        *,
        actor: str,
        minimum_free_mb: float = 0.0,
        same_pixels: Callable[[bytes, bytes], bool] | None = None,
    ) -> None:
        self._record = record
        self._quarantine_factory = quarantine_factory
        self._patient = patient
        self._clock = clock
        self._actor = actor
        self._minimum_free_bytes = minimum_free_mb * _MEGABYTE
        self._same_pixels = same_pixels
        self._lock = threading.Lock()
        self.events = OwedEvents(record, clock, actor=actor)
        self._failures = StorageFailures(self.events, clock)
        self._known = StoredIndex(record)
        self._quarantine: StoredIndex | None = None
        self._in_doubt = False

    def admit(self, data: bytes, *, association: str, command: CommandUids | None = None) -> Admitted:
        """Decide on the Part-10 file `data`; on return the decision is durable.

        Nothing is raised, whatever `data` is and the machine does: what goes wrong is a status (0xA700 for disk and
        memory). A refusal is recorded too, and where even that fails, as soon as the file takes anything again.
        """
        try:
            failpoints.reach("admission.received")
            admitted = self._admit(data, association, command)
            failpoints.reach("admission.before_answer")
        except Exception as error:  # noqa: BLE001 - the sender has to get an answer that says what to do
            # Only these are sentences of the project or the system; others may quote the instance.
            told = f": {error}" if isinstance(error, (RecordError, OSError)) else ""
            _LOG.error("An instance of association %s was not stored: %s%s", association, type(error).__name__, told)
            admitted = _refused(_status_of(error))
        if admitted.status.code == OUT_OF_RESOURCES.code:
            self._failures.failed(admitted.status)
        elif admitted.fate in (Fate.STORED, Fate.QUARANTINED):
            self._failures.succeeded()
        if admitted.fate is Fate.REFUSED:
            self.refuse(admitted.status, association=association)
        return admitted

    def refuse(self, status: StoreStatus, *, association: str) -> None:
        """Record that an instance was refused, at once or as soon as the file takes anything."""
        self.events.append(
            Kind.INSTANCE_REFUSED, {"association": association, "status": status.code, "comment": status.comment}
        )

    def settle(self) -> bool:
        """Record what could not be recorded when it happened; return whether nothing is left. To be called often."""
        return self.events.settle()

    def close(self) -> None:
        """Record what is owed, if that is possible, and close the quarantine file, if it was opened."""
        self._failures.succeeded()
        self.settle()
        with self._lock:
            if self._quarantine is not None:
                self._quarantine.record.close()
                self._quarantine = None

    def _admit(self, data: bytes, association: str, command: CommandUids | None) -> Admitted:
        if shutil.disk_usage(self._record.path.parent).free < self._minimum_free_bytes:
            return _refused(OUT_OF_RESOURCES.because("The disk of the treatment file is full"))
        if command is not None and not is_valid_uid(command.sop_instance_uid):
            return _refused(INVALID_INSTANCE_UID)
        try:
            header = read_header(data)
            failpoints.reach("admission.header_read")
        except UnreadableInstanceError as error:
            return _refused(CANNOT_UNDERSTAND.because(str(error).replace("\\", "/").rstrip(".")[:64]))
        if command is not None and command != CommandUids(
            sop_class_uid=header.sop_class_uid, sop_instance_uid=header.sop_instance_uid
        ):
            return _refused(DATASET_MISMATCH)
        if not is_valid_uid(header.sop_instance_uid):
            return _refused(INVALID_INSTANCE_UID)
        if not is_valid_uid(header.sop_class_uid):
            return _refused(CANNOT_UNDERSTAND.because("The SOP Class UID is invalid or missing"))
        if header.series_instance_uid and not is_valid_uid(header.series_instance_uid):
            return _refused(CANNOT_UNDERSTAND.because("The Series Instance UID is invalid"))
        verdicts: dict[str, bool] = {}
        while True:
            try:
                with self._lock:
                    return self._place_noting_doubt(data, header, association, verdicts)
            except UndecidedError as undecided:
                # Not under the lock: to compare two large instances takes seconds, and others have to be stored.
                stored = undecided.record.object_bytes(undecided.sha256)
                verdicts[undecided.sha256] = self._same(stored, data)

    def _same(self, stored: bytes, data: bytes) -> bool:
        try:
            return same_content(stored, data, same_pixels=self._same_pixels)
        except (RuntimeError, UnreadableInstanceError) as error:
            # The process that decodes could not be started, or it nests too deep: what is unknown is kept as different.
            _LOG.error("Two instances could not be compared: %s", error)
            return False

    def _place_noting_doubt(
        self, data: bytes, header: InstanceHeader, association: str, verdicts: dict[str, bool]
    ) -> Admitted:
        self._catch_up()
        try:
            return self._place(data, header, association, verdicts)
        except UndecidedError:
            raise
        except BaseException:
            # Whether something was written before it failed, only the files know.
            self._in_doubt = True
            raise

    def _catch_up(self) -> None:
        if not self._in_doubt:
            return
        self._known.catch_up()
        if self._quarantine is not None:
            self._quarantine.catch_up()
        self._in_doubt = False

    def _place(self, data: bytes, header: InstanceHeader, association: str, verdicts: dict[str, bool]) -> Admitted:
        patient = self._patient.now() if isinstance(self._patient, ExpectedPatient) else self._patient
        difference = None if patient is None else other_patient(header, patient)
        if difference is not None:
            return self._to_quarantine(data, header, association, verdicts, "other_patient", difference)
        if self._known.find(data, header.sop_instance_uid, verdicts) is not None:
            return Admitted(fate=Fate.DUPLICATE, series_instance_uid=header.series_instance_uid)
        if header.sop_instance_uid in self._known.objects:
            text = "The SOP Instance UID is in the treatment file with another content; both are kept."
            return self._to_quarantine(data, header, association, verdicts, "uid_conflict", text)
        self._store(self._known, data, header, association)
        return Admitted(fate=Fate.STORED, series_instance_uid=header.series_instance_uid)

    def _to_quarantine(
        self,
        data: bytes,
        header: InstanceHeader,
        association: str,
        verdicts: dict[str, bool],
        cause: str,
        text: str,
    ) -> Admitted:
        if self._quarantine is None:
            self._quarantine = StoredIndex(self._quarantine_factory())
        failpoints.reach("admission.quarantine_opened")
        digest = self._quarantine.find(data, header.sop_instance_uid, verdicts)
        if digest is not None and digest in self._known.quarantined:
            return Admitted(fate=Fate.DUPLICATE)
        if digest is None:
            digest = self._store(self._quarantine, data, header, association)
        failpoints.reach("admission.quarantine_stored")
        # After the object is durable. Its hash only: the treatment file holds nothing of another patient.
        payload = {"association": association, "sha256": digest, "cause": cause, "text": text}
        self._append(self._record, Kind.INSTANCE_QUARANTINED, payload)
        self._known.quarantined.add(digest)
        failpoints.reach("admission.quarantine_recorded")
        return Admitted(fate=Fate.QUARANTINED)

    def _store(self, index: StoredIndex, data: bytes, header: InstanceHeader, association: str) -> str:
        payload = {
            "association": association,
            "sop_class_uid": header.sop_class_uid,
            "sop_instance_uid": header.sop_instance_uid,
            "series_instance_uid": header.series_instance_uid,
            "modality": header.modality[:16],
        }
        failpoints.reach("admission.before_store")
        digest = self._append(index.record, Kind.INSTANCE_STORED, payload, data)
        index.note(header.sop_instance_uid, digest)
        failpoints.reach("admission.after_store")
        return digest

    def _append(self, record: Record, kind: Kind, payload: dict[str, Any], data: bytes | None = None) -> str:
        event = record.append(kind, payload, actor=self._actor, utc=self._clock(), data=data)
        return event.object_sha256 or ""


def _status_of(error: Exception) -> StoreStatus:
    if isinstance(error, RecordFullError) or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        return OUT_OF_RESOURCES.because("The disk of the treatment file is full")
    if isinstance(error, MemoryError):
        return OUT_OF_RESOURCES.because("There is not enough memory for the instance")
    if isinstance(error, (RecordError, OSError)):
        return OUT_OF_RESOURCES
    return OUT_OF_RESOURCES.because("The instance could not be handled")


def _refused(status: StoreStatus) -> Admitted:
    return Admitted(fate=Fate.REFUSED, status=status)


def _date(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None
