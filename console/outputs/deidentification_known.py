"""Which identifiers a treatment file holds: gathered from every instance's header, the plan and the events."""

from __future__ import annotations

import contextlib
import hashlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from config.times import zone_named
from console.outputs.deidentified_text import is_well_known
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record
from dicom_listener.times import parse_date

_PEOPLE = (
    "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ReferringPhysicianName",
    "PerformingPhysicianName", "NameOfPhysiciansReadingStudy", "PhysiciansOfRecord", "OperatorsName",
    "RequestingPhysician", "ScheduledPerformingPhysicianName", "ResponsiblePerson", "ContentCreatorName",
    "ReviewerName", "ConsultingPhysicianName",
)  # fmt: skip
_IDENTIFIERS = (
    "OtherPatientIDs", "IssuerOfPatientID", "AccessionNumber", "StudyID", "AdmissionID", "ServiceEpisodeID",
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber",
    "PatientAddress", "PatientTelephoneNumbers", "PatientInsurancePlanCodeSequence", "PerformedProcedureStepID",
    "RequestedProcedureID", "ScheduledProcedureStepID", "PerformedStationAETitle", "PerformedStationName",
    "RetrieveAETitle", "StationAETitle", "MedicalRecordLocator", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest", "ClinicalTrialSubjectID", "ClinicalTrialSiteID", "ClinicalTrialSiteName",
)  # fmt: skip
_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_DAYS = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime")
_SEQUENCES = ("RequestAttributesSequence", "OtherPatientIDsSequence")
_READ = [
    "SpecificCharacterSet", "PatientID", "PatientBirthDate", *_PEOPLE, *_IDENTIFIERS, *_UIDS, *_DAYS, *_SEQUENCES
]  # fmt: skip

COMPONENTS = frozenset({"holmia", "listener", "console", "import", "demonstration"})
"""Actors of events that are parts of Holmia, not people."""
PEER_KEYS = frozenset({"calling_ae", "called_ae", "address", "ae_title", "host", "hostname"})
"""Of payloads: who sent, from where."""
_NAMED_THINGS = frozenset({Kind.LABEL_MAP_GIVEN, Kind.SNAPSHOT_TAKEN})
"""Events whose ``name`` is that of a file, not of who speaks."""
_ISO_DAY = re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?!\d)")


@dataclass(kw_only=True)
class KnownIdentifiers:
    """What names the patient, people, places, devices and instances; and what a shift of dates has to respect."""

    patient_ids: set[str] = field(default_factory=set)
    patient_names: set[str] = field(default_factory=set)
    birth_dates: set[date] = field(default_factory=set)
    people: set[str] = field(default_factory=set)
    """Other people than the patient and the operators."""
    identifiers: set[str] = field(default_factory=set)
    operators: dict[str, None] = field(default_factory=dict)
    """Who spoke, in order of their first word."""
    peers: dict[str, None] = field(default_factory=dict)
    """AE titles and addresses, in order of appearance."""
    uids: set[str] = field(default_factory=set)
    event_days: set[date] = field(default_factory=set)
    """Days on which something was recorded."""
    days: set[date] = field(default_factory=set)
    """Days that headers and payloads name."""
    time_zones: set[str] = field(default_factory=set)
    treatment_name: str = ""
    """What the file is called, without its suffix."""

    def add_header(self, dataset: Dataset) -> None:
        """Add what the header of an instance says."""
        self.patient_ids.update(_texts(dataset, "PatientID"))
        self.patient_names.update(_texts(dataset, "PatientName"))
        if (born := parse_date(next(iter(_texts(dataset, "PatientBirthDate")), ""))) is not None:
            self.birth_dates.add(born)
        for keyword in _PEOPLE[1:]:
            self.people.update(_texts(dataset, keyword))
        for keyword in _IDENTIFIERS:
            self.identifiers.update(_texts(dataset, keyword))
        for keyword in _UIDS:
            self.uids.update(uid for uid in _texts(dataset, keyword) if not is_well_known(uid))
        for keyword in _DAYS:
            self.days.update(day for text in _texts(dataset, keyword) if (day := parse_date(text[:8])) is not None)
        for keyword in _SEQUENCES:
            for item in dataset.get(keyword) or ():
                self.add_header(item)

    def add_event(self, event: Event) -> None:
        """Add who spoke, and what the payload says of the patient, people, peers and days."""
        self.event_days.add(event.utc.date())
        self._add_operator(event.actor)
        self._add_operator(event.payload.get("by"))
        if event.kind not in _NAMED_THINGS:
            self._add_operator(event.payload.get("name"))
        for key, value in _leaves(event.payload):
            if not isinstance(value, str) or not value.strip():
                continue
            if key in PEER_KEYS:
                self.peers.setdefault(value)
            elif key in ("given_by", "acknowledged_by"):
                self._add_operator(value)
            elif key == "time_zone":
                with contextlib.suppress(ValueError):  # of another version, or made by hand
                    self.time_zones.add(zone_named(value).key)
            self.days.update(day for text in _ISO_DAY.findall(value) if (day := parse_date(text)) is not None)
        plan = event.payload.get("plan")
        if isinstance(plan, Mapping) and isinstance(plan.get("patient"), Mapping):
            self._add_patient(plan["patient"])

    def _add_operator(self, name: object) -> None:
        if isinstance(name, str) and name.strip() and name not in COMPONENTS:
            self.operators.setdefault(name)

    def _add_patient(self, patient: Mapping[str, Any]) -> None:
        """Of a plan."""
        for key, known in (("id", self.patient_ids), ("name", self.patient_names), ("issuer", self.identifiers)):
            if patient.get(key):
                known.add(str(patient[key]))
        if (born := parse_date(patient.get("birth_date"))) is not None:
            self.birth_dates.add(born)
            self.days.discard(born)


def known_of(record: Record, progress: Callable[[Event], None] | None = None) -> tuple[KnownIdentifiers, bytes]:
    """Gather the identifiers of a treatment file, and the key of its pseudonym.

    The key is a hash of the chain at the first event that brought an object, with that object's own hash (of a file
    without objects: at its first event). The same file gives the same key, however it has grown since. Neither hash
    leaves with a de-identified output: the head that is printed there is a later one, objects are stored anew, and
    SHA-256 cannot be led back. Who does not hold the original, every byte of its first image included, cannot compute
    the key; who holds it needs none.
    """
    known = KnownIdentifiers(treatment_name=record.path.name.removesuffix(".holmia"))
    key, first = b"", b""
    after = 0
    while batch := record.events(after):
        for event in batch:
            first = first or event.hash.encode()
            if not key and event.object_sha256 is not None:
                key = f"{event.hash} {event.object_sha256}".encode()
            known.add_event(event)
            if event.object_sha256 is not None and event.kind == Kind.INSTANCE_STORED:
                known.add_header(_header(record.object_bytes(event.object_sha256)))
            if progress is not None:
                progress(event)
        after = batch[-1].seq
    return known, hashlib.sha256(b"holmia de-identification " + (key or first)).digest()


def _header(data: bytes) -> Dataset:
    """The attributes that are gathered; an empty dataset where the bytes cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values of scanners: here they are only names
        try:
            return dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=_READ, force=True)
        except Exception:  # noqa: BLE001 - what cannot be read is not exported either
            return Dataset()


def _texts(dataset: Dataset, keyword: str) -> list[str]:
    """The values of an element as texts; of a name each of its representations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = dataset.get(keyword)
            values = value if isinstance(value, MultiValue | list) else [value]
            texts = [str(one) for one in values if one is not None and not isinstance(one, Dataset)]
        except Exception:  # noqa: BLE001 - as above
            return []
    return [part.strip() for text in texts for part in (text.split("=") if "=" in text else [text]) if part.strip()]


def _leaves(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Every value of a JSON document that is no container, with the key that it stands under."""
    if isinstance(value, Mapping):
        for name, own in value.items():
            yield from _leaves(own, str(name))
    elif isinstance(value, list | tuple):
        for own in value:
            yield from _leaves(own, key)
    else:
        yield key, value
