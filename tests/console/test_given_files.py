"""Files that somebody gives: each is told for what it is, nothing is recorded by looking, objects are taken as ever."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import nibabel
import numpy as np
import pytest

from console.given_files import FileKind, FilePreview, Looking, look_at, paths_of, previews, take_objects
from console.snapshot import Snapshot
from console.volume_preview import Place
from dicom_listener.admission import Fate
from dicom_listener.decoding import DecodingProcess
from dicom_listener.events import Kind
from dicom_listener.record import Record, quarantine_path

from ..dicom_listener.segmentations import affine_of, part10, segmentation
from .test_structures_volumes import plan
from .test_volume_preview import GRID, known

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
AFFINE = affine_of(spacing=(4.0, 3.0, 3.0), origin=(-60.0, -60.0, -40.0))


def shares(low, high) -> np.ndarray:
    values = np.zeros(GRID.shape, dtype=np.uint8)
    values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
    return values


def seg(*, patient: str = "EM1-004", uid: str = "1.2.66", frame: str = "1.2.3") -> bytes:
    regions = {"Tumour 1": shares((5, 10, 10), (10, 20, 20))}
    return part10(segmentation(regions, AFFINE, patient=patient, uid=uid, frame_of_reference=frame))


def nifti(values: np.ndarray) -> bytes:
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(values.transpose(2, 1, 0), ras)
    image.header.set_xyzt_units("mm")
    image.set_sform(ras, 1)
    image.set_qform(ras, 1)
    return image.to_bytes()


@pytest.fixture
def folder(tmp_path):
    """A Segmentation, one of another patient, a label map, and what is neither."""
    there = tmp_path / "given"
    (there / "deep").mkdir(parents=True)
    (there / "deep" / "seg.dcm").write_bytes(seg())
    (there / "other.dcm").write_bytes(seg(patient="X-9", uid="1.2.67"))
    (there / "labels.nii").write_bytes(nifti(shares((5, 10, 10), (10, 20, 20)) + 2 * shares((12, 4, 4), (14, 8, 8))))
    (there / "notes.txt").write_text("liver?")
    (there / "drawn.nrrd").write_bytes(b"NRRD0004")
    return there


@pytest.fixture
def record(tmp_path):
    """A treatment file with a plan."""
    path = tmp_path / "a.holmia"
    with Record.create(path) as made:
        payload = {"plan": plan().to_mapping(), "sha256": "", "settings": {}, "time_zone": "Europe/Amsterdam"}
        made.append(Kind.PLAN_LOADED, json.loads(json.dumps(payload, default=str)), actor="holmia", utc=NOON)
    return path


def events_of(path) -> list:
    with Record.open(path, read_only=True) as opened:
        return opened.events()


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("deep/seg.dcm", FileKind.SEG, ""),
        ("labels.nii", FileKind.NIFTI, ""),
        ("notes.txt", FileKind.OTHER, "neither DICOM nor NIfTI"),
        ("drawn.nrrd", FileKind.OTHER, "export it as NIfTI"),
        ("nowhere.nii", FileKind.OTHER, "does not exist"),
    ],
    ids=["segmentation", "label map", "text", "NRRD", "missing"],
)
def test_each_file_is_told_for_what_it_is(folder, name, kind, words):
    found = look_at(folder / name)
    assert found.kind is kind
    assert words in found.refusal
    assert bool(found.refusal) is (kind is FileKind.OTHER)
    assert bool(found.data) is (kind is not FileKind.OTHER)


def test_a_treatment_file_is_never_opened_as_a_file(record, monkeypatch, tmp_path):
    linked = tmp_path / "scan.nii"
    linked.symlink_to(record)
    plainly_named = tmp_path / "treatment"
    Record.create(plainly_named).close()
    monkeypatch.setattr("pathlib.Path.open", lambda *_, **__: pytest.fail("opened"))
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda *_: pytest.fail("opened"))
    for path in (record, linked, plainly_named, tmp_path / "treatment-wal"):
        assert "treatment file" in look_at(path, plainly_named).refusal


def test_folders_are_searched_and_links_to_folders_are_not_followed(folder):
    (folder / "deep" / "again").symlink_to(folder)
    found = paths_of([folder, folder / "notes.txt"])
    names = sorted(path.name for path in found)
    assert names == ["drawn.nrrd", "labels.nii", "notes.txt", "other.dcm", "seg.dcm"]


def test_looking_at_files_tells_what_they_would_be_and_records_nothing(folder, record):
    before = events_of(record)
    snapshot = replace(known(), plan=plan(), patient_id="EM1-004")
    steps = list(previews([folder], snapshot, time_zone="Europe/Amsterdam", stopped=lambda: False, record=record))
    assert [step.done for step in steps if isinstance(step, Looking)] == [0, 1, 2, 3, 4]
    found = {step.file.path.name: step for step in steps if isinstance(step, FilePreview)}
    (own,) = found["seg.dcm"].object.structures
    assert (own.name, own.fault, found["seg.dcm"].object.place) == ("Tumour 1", "", Place.REFERENCE)
    assert own.volume_ml == pytest.approx(18.0)
    assert own.on(GRID)[5:10, 10:20, 10:20].min() == pytest.approx(1.0)
    labels = found["labels.nii"].object
    assert [(s.name, round(s.volume_ml, 3)) for s in labels.structures] == [("1", 18.0), ("2", 1.152)]
    assert labels.place is Place.ASSUMED
    assert "another patient" in found["other.dcm"].file.refusal
    assert found["other.dcm"].object is None
    assert events_of(record) == before
    assert not quarantine_path(record).exists()


def test_looking_that_is_stopped_ends(folder, monkeypatch):
    monkeypatch.setattr(DecodingProcess, "decode", lambda *_, **__: pytest.fail("decoded"))
    assert list(previews([folder], Snapshot(), time_zone="UTC", stopped=lambda: True)) == []


def test_objects_are_taken_by_the_same_decisions_as_from_the_network(folder, record):
    files = [look_at(folder / name) for name in ("deep/seg.dcm", "deep/seg.dcm", "other.dcm")]
    taken = list(take_objects(record, files, actor="dr. Jansen", clock=lambda: NOON))
    assert [one.fate for one in taken] == [Fate.STORED, Fate.DUPLICATE, Fate.QUARANTINED]
    assert [next(word for word in ("already", "quarantine", "recorded") if word in one.sentence) for one in taken] == [
        "recorded",
        "already",
        "quarantine",
    ]
    added = events_of(record)[1:]
    assert [event.kind for event in added] == [
        Kind.INSTANCE_STORED,
        Kind.INSTANCE_QUARANTINED,
        Kind.ASSOCIATION_CLOSED,
    ]
    assert {event.actor for event in added} == {"dr. Jansen"}
    assert added[-1].payload["instances"] == 1
    with Record.open(record) as opened:
        assert opened.object_bytes(added[0].object_sha256) == files[0].data
        opened.verify()


def test_what_is_left_after_a_stop_is_not_taken_and_the_end_is_recorded(folder, record):
    files = [look_at(folder / "deep" / "seg.dcm"), look_at(folder / "other.dcm")]
    steps = take_objects(record, files, actor="dr. Jansen", clock=lambda: NOON)
    assert next(steps).fate is Fate.STORED
    steps.close()
    assert [event.kind for event in events_of(record)[1:]] == [Kind.INSTANCE_STORED, Kind.ASSOCIATION_CLOSED]


def test_a_damaged_object_is_refused_with_a_sentence(tmp_path):
    path = tmp_path / "cut.dcm"
    path.write_bytes(seg()[:300])
    found = look_at(path)
    assert found.kind is FileKind.OTHER
    assert found.refusal


def test_links_that_lead_to_each_other_are_told_and_stop_nothing(tmp_path):
    (tmp_path / "a.dcm").symlink_to(tmp_path / "b.dcm")
    (tmp_path / "b.dcm").symlink_to(tmp_path / "a.dcm")
    assert ["no file" in look_at(path).refusal for path in paths_of([tmp_path])] == [True, True]


def test_files_that_were_not_looked_at_are_told(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / name).touch()
    monkeypatch.setattr("console.given_files._MOST_FILES", 2)
    found = [one.file for one in previews([tmp_path], Snapshot(), time_zone="UTC", stopped=lambda: False)
             if isinstance(one, FilePreview)]  # fmt: skip
    assert [own.path.name for own in found] == ["a", "b", "b"]
    assert "not looked at" in found[-1].refusal
