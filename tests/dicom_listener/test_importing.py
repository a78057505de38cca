"""Import: the file's bytes, in the order of acquisition, by the same decisions as from the network."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from config.plan import PatientPlan
from config.settings import SiteSettings
from dicom_listener.events import Kind
from dicom_listener.importing import ImportFolderError, import_folders
from dicom_listener.listener import Listener
from dicom_listener.record import Record, quarantine_path

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
PATIENT_ID = "201911011532"


def imported(path: Path, *folders: Path, patient: PatientPlan | None = None, progress=lambda done, total: None):
    """Import into a new or existing treatment file; return the report and the events."""

    def quarantine() -> Record:
        other = quarantine_path(path)
        return Record.open(other) if other.exists() else Record.create(other)

    with Record.open(path) if path.exists() else Record.create(path) as record:
        report = import_folders(
            record, folders, patient, lambda: NOON, quarantine_factory=quarantine, progress=progress
        )
        record.verify()
        return report, record.events(limit=10_000)


def counts(report) -> tuple[int, int, int, int, int]:
    return report.stored, report.duplicates, report.quarantined, report.not_dicom, len(report.unreadable)


@pytest.fixture
def scans(real_data, tmp_path) -> Path:
    """Every tenth file of the real series, in a folder of its own."""
    folder = tmp_path / "scans" / "deep" / "deeper"
    folder.mkdir(parents=True)
    for path in sorted((real_data / "siemens_gre_6echo").rglob("*.dcm*"))[::10]:
        shutil.copy(path, folder)
    return tmp_path / "scans"


def test_every_file_is_stored_byte_for_byte_in_the_order_of_acquisition(real_data, tmp_path):
    told = []
    report, events = imported(
        tmp_path / "a.holmia", real_data / "siemens_gre_6echo", progress=lambda *args: told.append(args)
    )
    assert counts(report) == (120, 0, 0, 0, 0)
    assert told == [(n, 120) for n in range(1, 121)]
    stored = [event for event in events if event.kind == Kind.INSTANCE_STORED]
    with Record.open(tmp_path / "a.holmia", read_only=True) as record:
        objects = [record.object_bytes(event.object_sha256) for event in stored]
    assert set(objects) == {path.read_bytes() for path in (real_data / "siemens_gre_6echo").rglob("*.dcm*")}
    headers = [pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True) for data in objects]
    keys = [(h.AcquisitionDate, h.AcquisitionTime, h.SeriesInstanceUID, int(h.InstanceNumber)) for h in headers]
    assert keys == sorted(keys)
    assert (events[-1].kind, events[-1].payload) == (
        "association_closed",
        {"association": "import-1", "how": "import_finished", "instances": 120},
    )
    assert {event.payload["association"] for event in events} == {"import-1"}


def test_the_order_in_a_folder_cannot_matter(scans, tmp_path):
    _, expected = imported(tmp_path / "a.holmia", scans)
    files = [path.read_bytes() for path in scans.rglob("*.dcm*")]
    random.Random(7).shuffle(files)
    folders = [tmp_path / "x", tmp_path / "y"]
    for i, data in enumerate(files):
        folder = folders[i % 2]
        folder.mkdir(exist_ok=True)
        (folder / f"IM{i:04d}").write_bytes(data)
    for name, order in (("b", folders), ("c", folders[::-1])):
        _, events = imported(tmp_path / f"{name}.holmia", *order)
        assert [event.hash for event in events] == [event.hash for event in expected]


def test_importing_again_adds_nothing_but_its_end(scans, tmp_path):
    imported(tmp_path / "a.holmia", scans)
    report, events = imported(tmp_path / "a.holmia", scans, scans)
    assert counts(report) == (0, 12, 0, 0, 0)
    assert events[-1].payload == {"association": "import-2", "how": "import_finished", "instances": 0}
    assert len(events) == 14


def test_another_patient_is_quarantined(scans, tmp_path):
    report, events = imported(tmp_path / "a.holmia", scans, patient=PatientPlan(id="EM1-004"))
    assert counts(report) == (0, 0, 12, 0, 0)
    assert {event.payload.get("cause", "other_patient") for event in events} == {"other_patient"}
    assert [event.object_sha256 for event in events] == [None] * 13
    with Record.open(quarantine_path(tmp_path / "a.holmia"), read_only=True) as quarantine:
        assert quarantine.verify().seq == 12
    report, _ = imported(tmp_path / "b.holmia", scans, patient=PatientPlan(id=PATIENT_ID))
    assert counts(report) == (12, 0, 0, 0, 0)


def test_what_cannot_be_read_is_named_with_the_reason_and_the_rest_is_stored(scans, tmp_path):
    good = next(scans.rglob("*.dcm*")).read_bytes()
    (scans / "cut.dcm").write_bytes(good[:-1000])
    (scans / "header only.dcm").write_bytes(good[:140])
    (scans / "notes.txt").write_text("not DICOM")
    (scans / "empty").write_bytes(b"")
    (scans / "DICOMDIR").write_bytes(good)
    deflated = pydicom.dcmread(io.BytesIO(good))
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated.save_as(scans / "deflated.dcm")
    report, _ = imported(tmp_path / "a.holmia", scans)
    assert counts(report) == (12, 0, 0, 3, 3)
    reasons = {Path(name).name: reason for name, reason in report.unreadable}
    assert "cut off" in reasons["cut.dcm"]
    assert "transfer syntax" in reasons["deflated.dcm"]
    assert set(reasons) == {"cut.dcm", "deflated.dcm", "header only.dcm"}


def test_a_folder_that_is_missing_is_a_sentence(tmp_path):
    with pytest.raises(ImportFolderError, match="does not exist"):
        imported(tmp_path / "a.holmia", tmp_path / "none")


@pytest.mark.network
@pytest.mark.parametrize("syntax", ["-x=", "-xi", "-xe"], ids=["as_is", "implicit", "explicit"])
def test_what_came_by_network_and_is_imported_later_is_the_same(scans, tmp_path, syntax):
    path = tmp_path / "a.holmia"
    with Record.create(path) as record:
        settings = SiteSettings(host="127.0.0.1", port=0, minimum_free_disk_mb=1.0)
        listener = Listener(record, lambda: Record.create(quarantine_path(path)), settings, None, lambda: NOON)
        port = listener.start()
        command = ["storescu", syntax, "-aec", "HOLMIA", "+sd", "+r", "127.0.0.1", str(port), str(scans)]
        assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
        listener.stop()
        received = [record.object_bytes(e.object_sha256) for e in record.events() if e.object_sha256]
    files = {}
    for file in scans.rglob("*.dcm*"):
        dataset = pydicom.dcmread(file)
        files[dataset.SOPInstanceUID] = dataset
    assert len(received) == 12
    for data in received:
        dataset = pydicom.dcmread(io.BytesIO(data))
        assert (dataset.pixel_array == files[dataset.SOPInstanceUID].pixel_array).all()
        assert dataset.PatientName == files[dataset.SOPInstanceUID].PatientName
    report, _ = imported(path, scans)
    assert counts(report) == (0, 12, 0, 0, 0)
