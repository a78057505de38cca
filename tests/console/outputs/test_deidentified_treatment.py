"""A de-identified copy of a treatment file names nobody, and gives the same numbers."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from leaks import leaks_in
from nibabel.nifti1 import Nifti1Extension, Nifti1Image
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from config.plan import load_plan
from config.settings import load_settings
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import small_options, write_phantom
from console.demo.phantom_headers import Flavour
from console.engine import Engine
from console.outputs.deidentification import Deidentifier, NotDeidentifiableError, deidentifier_of
from console.outputs.deidentified_treatment import deidentified_copy, label_map_without_texts
from console.outputs.results import results_document
from console.provenance import Provenance
from console.session import Session, feed, replayed, shown_payload
from console.snapshot import Snapshot
from console.verify import Verdict, recomputed
from dicom_listener.events import Event, Kind
from dicom_listener.label_map import label_map
from dicom_listener.record import Record, RecordError
from dicom_listener.record_schema import build_file

ZONE = "Europe/Amsterdam"
NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
NAMES = ("Brinkhuis", "Margriet", "UMC-556677", "19510203", "1951-02-03", "Verhagen", "Station7", "Zonnestraal")
SENDERS = ("SKYRA7", "192.168.77.5")
"""What the headers, the plan and the operators of the file below name."""


def _personal(data: bytes, n_of: int) -> bytes:
    """The phantom's instance as of a person, with identifiers where a site has them."""
    ds = dcmread(BytesIO(data))
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Brinkhuis^Margriet", "UMC-556677", "19510203"
    ds.StationName, ds.InstitutionName, ds.ReferringPhysicianName = "Station7", "Zonnestraal", "Verhagen^K"
    ds.AccessionNumber, ds.StudyDescription = "ACC-90210", "Brinkhuis, 1st session"
    ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"Brinkhuis Margriet")
    for roi in ds.get("StructureSetROISequence", ()):
        if roi.ROIName == "Tumour 1":
            roi.ROIName = "Tumour Brinkhuis"
    ds.preamble = f"Brinkhuis {n_of}".encode().ljust(128)
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture(scope="module")
def treatment(tmp_path_factory) -> tuple[Path, Snapshot]:
    """The file of a small treatment of a person, that an operator's console has been at, and what it showed."""
    protocol = AcquisitionOptions(
        shape=(6, 30, 44), spacing_mm=(25.0, 9.0, 9.0), echo_times_s=(0.0012, 0.003, 0.006), subsamples=1
    )
    root = tmp_path_factory.mktemp("person")
    phantom = write_phantom(
        root / "p",
        small_options(
            flavour=Flavour.PHILIPS_ENHANCED,
            n_tumours=2,
            fractions=1,
            acquisition=protocol,
            saturating_tumour=None,
            anatomy_spacing_mm=(16.0, 9.0, 9.0),
        ),
    )
    plan = load_plan(phantom.plan_path, site_time_zone=ZONE).to_mapping()
    plan["patient"] = {"id": "UMC-556677", "name": "Brinkhuis, Margriet", "birth_date": "1951-02-03"}
    plan["quantification"] = {**plan.get("quantification", {}), "uncertainty": {"monte_carlo_samples": 100}}
    text = json.dumps(plan).replace("Tumour 1", "Tumour Brinkhuis")
    site = load_settings()
    path = root / "Brinkhuis 2026-03-04.holmia"
    with Record.create(path) as record:

        def say(kind: str, actor: str = "listener", data: bytes | None = None, **payload) -> Event:
            return record.append(kind, payload, actor=actor, utc=NINE, data=data)

        say(Kind.TREATMENT_CREATED, "holmia", software_version="0.2.0")
        own = {"quantification": site.quantification.to_mapping(), "alarms": site.alarms.to_mapping()}
        say(
            Kind.PLAN_LOADED, "K. Verhagen", plan=json.loads(text), sha256="0" * 64, settings=own, time_zone=ZONE,
            name="K. Verhagen", reason="Brinkhuis needs it",
        )  # fmt: skip
        say(Kind.LISTENER_STARTED, ae_title="HOLMIA", port=11112)
        engine = Engine()
        session = Session(record=record, engine=engine, clock=lambda: NINE, operator=True)
        for number, folder in enumerate(phantom.series_folders, 1):
            name = f"network-3-{number}"
            say(Kind.ASSOCIATION_OPENED, association=name, calling_ae="SKYRA7", address="192.168.77.5")
            for one in sorted(folder.rglob("*.dcm")):
                data = _personal(one.read_bytes(), number)
                ds = dcmread(BytesIO(data), stop_before_pixels=True)
                say(
                    Kind.INSTANCE_STORED, data=data, association=name, modality=ds.Modality,
                    sop_class_uid=ds.SOPClassUID, sop_instance_uid=ds.SOPInstanceUID,
                    series_instance_uid=ds.SeriesInstanceUID,
                )  # fmt: skip
            say(Kind.ASSOCIATION_CLOSED, association=name, how="released", instances=1)
        session.take(record.events())
        seen = record.head().seq
        say(Kind.INSTANCE_QUARANTINED, association="network-3-9", sha256="ab" * 32, cause="other_patient",
            text="The Patient ID is 'UMC-111', not 'UMC-556677'.")  # fmt: skip
        say(Kind.NOTE, "K. Verhagen", label="stasis", text="Mrs Brinkhuis felt warm", name="K. Verhagen")
        (series,) = [s for s in engine.snapshot().series if len(s.echo_times_s) == 3][:1]
        say(Kind.SERIES_ASSIGNED, "K. Verhagen", series_key=series.key, role="automatic", position=None, fraction=None,
            name="K. Verhagen")  # fmt: skip
        drawn = Nifti1Image(np.ones((3, 4, 5), np.uint8), np.diag([9.0, 9.0, 9.0, 1.0]))
        drawn.header["descrip"] = b"Brinkhuis"
        given = say(Kind.LABEL_MAP_GIVEN, "K. Verhagen", data=gzip.compress(drawn.to_bytes(), mtime=0),
                    name="Brinkhuis right.nii.gz", labels={"1": "Right liver"}, by="K. Verhagen")  # fmt: skip
        say(Kind.VOLUME_CHOSEN, "K. Verhagen", volume="Right liver", object_sha256=given.object_sha256,
            name="K. Verhagen")  # fmt: skip
        alarms = [e.payload["alarm"]["id"] for e in _events(record) if e.kind == Kind.ALARM_RAISED]
        for alarm in alarms:
            say(Kind.ALARM_ACKNOWLEDGED, "K. Verhagen", alarm=alarm, name="K. Verhagen")
        say(Kind.SNAPSHOT_TAKEN, "K. Verhagen", name="Brinkhuis.png")
        capture = dcmread(BytesIO(_personal(one.read_bytes(), 9)))
        capture.SOPClassUID, capture.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.826.0.1.3680043.8.498.77.1"
        capture.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        out = BytesIO()
        capture.save_as(out, enforce_file_format=True)
        say(Kind.INSTANCE_STORED, data=out.getvalue(), association="network-3-9", modality="OT",
            sop_class_uid=SecondaryCaptureImageStorage, sop_instance_uid=capture.SOPInstanceUID,
            series_instance_uid=capture.SeriesInstanceUID)  # fmt: skip
        for event in record.events(seen):
            feed(engine, record, event)
        for _ in engine.advance():
            pass
        return path, engine.snapshot()


@pytest.fixture(scope="module")
def original(treatment) -> Path:
    """The file alone."""
    return treatment[0]


@pytest.fixture(scope="module")
def computed(treatment, copied) -> tuple[Snapshot, Snapshot]:
    """The original and the copy, computed."""
    with Record.open(copied[0], read_only=True) as record:
        return treatment[1], _snapshot(record)


def _events(record: Record) -> list[Event]:
    found, after = [], 0
    while batch := record.events(after):
        found += batch
        after = batch[-1].seq
    return found


def _snapshot(record: Record) -> Snapshot:
    engine = Engine()
    for _ in replayed(record, engine):
        pass
    for _ in engine.advance():
        pass
    return engine.snapshot()


@pytest.fixture(scope="module")
def copied(original, tmp_path_factory) -> tuple[Path, Deidentifier, tuple[str, ...]]:
    with Record.open(original, read_only=True) as record:
        identity = deidentifier_of(record)
        path = tmp_path_factory.mktemp("copy") / f"{identity.name}.holmia"
        left_out = deidentified_copy(record, path, identity)
    return path, identity, left_out


def test_no_identifier_is_left_in_any_byte_of_the_copy(original, copied):
    path, _, _ = copied
    with Record.open(original, read_only=True) as record:
        objects = [dcmread(BytesIO(record.object_bytes(e.object_sha256)), stop_before_pixels=True)
                   for e in _events(record) if e.kind == Kind.INSTANCE_STORED]  # fmt: skip
    uids = {str(ds[key].value) for ds in objects for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID",
            "FrameOfReferenceUID") if key in ds}  # fmt: skip
    days = ("20260304", "2026-03-04")
    wanted = [*NAMES, *SENDERS, *uids, *days, "ACC-90210", "felt warm", "Brinkhuis.png", "UMC-111"]
    assert [own for own in wanted if own.encode() not in original.read_bytes()] == []
    assert leaks_in(path.parent, wanted) == []


def test_the_copy_gives_the_same_numbers_and_what_was_shown_is_verified(computed, copied):
    path, identity, _ = copied
    with Record.open(path, read_only=True) as record:
        record.verify()
        shown = [event for event in _events(record) if event.kind == Kind.RESULT_SHOWN]
    now = shown_payload(computed[1].results[0], computed[1], ZoneInfo(ZONE))
    here = Provenance(software_version="")
    assert [recomputed(was, now, here).verdict for was in shown] == [Verdict.IDENTICAL]
    before, after = map(results_document, computed)
    assert before["fractions"][0]["volumes"]["Tumour Brinkhuis"]["dose_mean_Gy"] > 0
    expected = identity.document(before)
    assert after["fractions"] == expected["fractions"]
    assert after["reference"] == expected["reference"]
    assert after["treatment"]["patient_id"] == identity.name


def test_every_event_has_one_of_the_same_number_kind_and_interval(original, copied):
    path, _, left_out = copied
    with Record.open(original, read_only=True) as one, Record.open(path, read_only=True) as other:
        before, after = _events(one), _events(other)
    assert [(e.seq, e.kind) for e in after] == [(e.seq, e.kind) for e in before]
    assert {a.utc - b.utc for a, b in zip(before, after, strict=True)} == {before[0].utc - after[0].utc}
    assert timedelta(days=1) <= before[0].utc - after[0].utc <= timedelta(days=3650)
    assert {e.actor for e in after} == {"holmia", "listener", "console", "Operator 1"}
    assert len(left_out) == 1
    assert "not exported de-identified" in left_out[0]
    assert [e.seq for e in after if e.kind == Kind.INSTANCE_STORED and e.object_sha256 is None] == [after[-1].seq]


def test_the_plan_stays_valid_and_is_of_the_patient_of_the_images(computed, copied):
    path, identity, _ = copied
    snapshot = computed[1]
    with Record.open(path, read_only=True) as record:
        plan = next(e.payload for e in _events(record) if e.kind == Kind.PLAN_LOADED)
    assert (snapshot.plan.patient.id, snapshot.patient_id) == (identity.name, identity.name)
    assert snapshot.plan.patient.birth_date is None
    assert plan["sha256"] == snapshot.plan.sha256
    assert plan["reason"] == ""


def test_what_refers_to_series_objects_and_alarms_still_does(computed, copied):
    before, after = computed
    with Record.open(copied[0], read_only=True) as record:
        events = _events(record)
    keys = {e.payload["series_key"] for e in events if e.kind == Kind.SERIES_ASSIGNED}
    assert keys <= {state.key for state in after.series}
    objects = {e.object_sha256 for e in events}
    shown = next(e.payload["volume_objects"] for e in events if e.kind == Kind.RESULT_SHOWN)
    assert shown
    assert set(shown.values()) <= objects
    given = next(e for e in events if e.kind == Kind.LABEL_MAP_GIVEN)
    chosen = next(e.payload for e in events if e.kind == Kind.VOLUME_CHOSEN)
    assert chosen["object_sha256"] == given.object_sha256
    assert (given.payload["name"], given.payload["labels"]) == ("Label map 1", {"1": "Right liver"})
    assert len(before.alarms) == len(after.alarms) > 0
    acknowledged = [[(a.alarm.kind, a.acknowledged_by is not None) for a in s.alarms] for s in (before, after)]
    assert sorted(acknowledged[0]) == sorted(acknowledged[1])


def test_the_same_file_gives_the_same_copy_and_a_longer_one_the_same_pseudonym(original, tmp_path):
    copies, names = [], []
    with Record.open(original, read_only=True) as record, Record.create(tmp_path / "begun.holmia") as begun:
        for event in record.events(limit=6):
            data = None if event.object_sha256 is None else record.object_bytes(event.object_sha256)
            begun.append(event.kind, event.payload, actor=event.actor, utc=event.utc, data=data)
        for name in ("one", "two"):
            identity = deidentifier_of(begun)
            deidentified_copy(begun, tmp_path / f"{name}.holmia", identity)
            copies.append((tmp_path / f"{name}.holmia").read_bytes())
            names.append(identity.name)
        begun.append(Kind.NOTE, {"label": "reflux", "text": "", "name": "B"}, actor="B", utc=NINE)
        names.append(deidentifier_of(begun).name)
    assert copies[0] == copies[1]
    assert names[0] == names[1] == names[2]


def test_an_existing_target_is_never_overwritten(original, copied, tmp_path):
    target = tmp_path / "there.holmia"
    target.write_bytes(b"mine")
    with Record.open(original, read_only=True) as record, pytest.raises(RecordError, match="exists already"):
        deidentified_copy(record, target, copied[1])
    assert target.read_bytes() == b"mine"
    assert [p.name for p in tmp_path.iterdir()] == ["there.holmia"]


def test_a_plan_that_needs_what_identifies_is_refused_and_nothing_is_left(tmp_path):
    build_file(tmp_path / "a.holmia")
    with Record.open(tmp_path / "a.holmia") as record:
        payload = {"plan": {"schema": 1, "patient": {"id": "Brinkhuis"}}, "settings": {}, "time_zone": ZONE}
        record.append(Kind.PLAN_LOADED, payload, actor="holmia", utc=NINE)
        with pytest.raises(NotDeidentifiableError, match="not valid any more") as told:
            deidentified_copy(record, tmp_path / "b.holmia", deidentifier_of(record))
    assert "Brinkhuis" not in str(told.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.holmia"]


@pytest.mark.parametrize("packed", [False, True], ids=["nii", "nii.gz"])
def test_a_label_map_keeps_its_voxels_and_place_and_loses_its_texts(tmp_path, packed):
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5) % 3
    image = Nifti1Image(values, np.diag([2.0, 3.0, 4.0, 1.0]))
    image.header["descrip"], image.header["db_name"] = b"Brinkhuis 1951-02-03", b"Margriet"
    image.header["aux_file"], image.header["intent_name"] = b"Brinkhuis.txt", b"Brinkhuis"
    image.header.extensions.append(Nifti1Extension("comment", b"UMC-556677"))
    data = image.to_bytes()
    data = gzip.compress(data) if packed else data
    made = label_map_without_texts(data)
    (tmp_path / ("a.nii.gz" if packed else "a.nii")).write_bytes(made)
    assert leaks_in(tmp_path, [*NAMES, "Brinkhuis.txt"]) == []
    one, other = (label_map(d, {1: "Liver", 2: "Tumour"})[0] for d in (data, made))
    assert [s.name for s in one.structures] == [s.name for s in other.structures] == ["Liver", "Tumour"]
    for first, second in zip(one.structures, other.structures, strict=True):
        assert np.array_equal(first.mask.values, second.mask.values)
        assert np.array_equal(first.mask.affine_lps_mm, second.mask.affine_lps_mm)
    assert label_map_without_texts(b"no NIfTI") == b""
