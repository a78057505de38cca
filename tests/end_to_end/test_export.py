"""What `holmia export` leaves: whole or nothing, nobody's name unless asked, as other systems read and keep it."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("peers", "console/outputs")]

import orthanc
from conftest import Imported
from holmia_processes import PATIENCE_S, Finished, events_of, free_port, read_results, run, run_well
from leaks import leaks_in

from console.cli import export as command
from console.demo.phantom_dicom import PhantomTreatment
from console.outputs import nifti
from console.outputs.error import OutputError
from console.outputs.export_targets import TARGETS
from console.processes import holmia_command
from dicom_listener.same_content import same_content

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("exit_statuses")]

OBJECTS = "rtdose,seg,parametric-map,sr"


@pytest.fixture(scope="module", autouse=True)
def computed_once() -> Iterator[None]:
    """The same file gives the same results: these tests are of what is made of them."""
    known: dict[Any, Any] = {}
    compute = command._computed

    def once(record: Any, overrides: Any, progress: Any) -> Any:
        key = (record.head().hash, repr(overrides))
        if key not in known:
            known[key] = compute(record, overrides, progress)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "_computed", once)
        yield


@pytest.fixture(scope="module")
def shared(imported: Imported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything, de-identified."""
    out = tmp_path_factory.mktemp("shared") / "out"
    done = run_well("export", imported.file, "--to", "all", "--out", out)
    assert "De-identified" in done.err
    assert "Left out" not in done.err
    return out


@pytest.fixture(scope="module")
def named(imported: Imported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The objects and the received instances, identified."""
    out = tmp_path_factory.mktemp("named") / "out"
    done = run_well("export", imported.file, "--to", f"{OBJECTS},dicom", "--identified", "--out", out)
    assert "IDENTIFIED" in done.err
    return out


def refused(folder: Path, status: int, *words: str, **how: Any) -> Callable[..., None]:
    """The export ends with this status and one sentence, and the folder is as it was."""

    def check(*arguments: object) -> None:
        before = everything_in(folder)
        done = run("export", *arguments, **how)
        assert_one_sentence(done, status, *words)
        assert everything_in(folder) == before

    return check


def assert_one_sentence(done: Finished, status: int, *words: str) -> None:
    assert done.status == status, done.err
    assert done.out == ""
    assert len(done.err.strip().splitlines()) == 1, done.err
    for word in words:
        assert word in done.err, done.err


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# What it holds.


def test_every_target_is_there_and_nothing_else(shared: Path, imported: Imported) -> None:
    (treatment,) = shared.glob("*.holmia")
    assert treatment.stem.startswith("HOLMIA-")
    entries = {t.entry or t.name for t in TARGETS.values()} - {"{name}.holmia"} | {treatment.name}
    assert {path.name for path in shared.iterdir()} == entries
    assert {p.name for p in (shared / "rtdose").iterdir()} == {
        *("dose_RHA_f1.dcm", "dose_RHA_f2.dcm", "structures.dcm", "plan.dcm"),
    }
    assert len([*(shared / "parametric-map").iterdir()]) == 2 * 4
    kept = sum(event.kind == "instance_stored" for event in events_of(imported.file))
    assert len([*(shared / "dicom").rglob("*.dcm")]) == kept
    numbers = read_results(shared)
    assert [f["volumes"] for f in numbers["fractions"]] == [f["volumes"] for f in imported.document["fractions"]]
    assert numbers["treatment"]["patient_id"] == treatment.stem
    maps = {p.name.removesuffix(".nii.gz"): p.read_bytes() for p in (shared / "nifti" / "maps").glob("*.nii.gz")}
    assert maps == {p.name.removesuffix(".nii.gz"): p.read_bytes() for p in (imported.out / "maps").iterdir()}
    assert {p.stem for p in (shared / "nifti" / "maps").glob("*.json")} == maps.keys()


def test_no_identifier_of_the_patient_is_left(shared: Path, phantom: PhantomTreatment, imported: Imported) -> None:
    header = dcmread(next(phantom.reference.glob("*.dcm")), stop_before_pixels=True)
    attributes = ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID")
    more = ("FrameOfReferenceUID", "SOPInstanceUID", "StudyDate", "StationName")
    known = {str(header.get(name, "")) for name in (*attributes, *more)} | {imported.file.stem}
    known |= {str(header.PatientName).replace("^", " ")}
    known.discard("")
    assert {"EM1-004", "Phantom^Holmia", str(header.StudyInstanceUID), "imported"} <= known
    # Of the phantom's names one is the program's, and the other that of the scanner's model and station.
    assert leaks_in(shared, sorted(known - {"PHANTOM"})) == []


def test_identified_instances_are_those_that_were_received_byte_for_byte(
    named: Path, phantom: PhantomTreatment
) -> None:
    sent = sorted(path.read_bytes() for folder in phantom.series_folders for path in folder.glob("*.dcm"))
    assert sorted(path.read_bytes() for path in (named / "dicom").rglob("*.dcm")) == sent
    for path in named.rglob("*.dcm"):
        assert dcmread(path, specific_tags=["PatientID"]).PatientID == "EM1-004"


def test_one_fraction_can_be_asked_for_and_has_the_same_bytes_again(
    named: Path, imported: Imported, tmp_path: Path
) -> None:
    run_well("export", imported.file, "--to", "rtdose", "--fraction", "RHA:2", "--identified", "--out", tmp_path)
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.dcm")}
    assert {path.name for path in again} == {"dose_RHA_f2.dcm", "structures.dcm", "plan.dcm"}
    assert {name: (named / name).read_bytes() for name in again} == again


def test_dciodvfy_finds_no_error(shared: Path, named: Path, tmp_path: Path) -> None:
    for path in [p for out in (shared, named) for p in out.rglob("*.dcm") if p.parent.parent == out]:
        assert faults(path, tmp_path) == set(), path
    for series in sorted((shared / "dicom").iterdir()):
        path = series / "000001.dcm"  # the phantom's own objects: whatever is wrong with them, it is not more now
        assert faults(path, tmp_path) <= faults(named / path.relative_to(shared), tmp_path), path


def faults(path: Path, folder: Path) -> set[str]:
    """What dciodvfy finds wrong. It gives up at 32 bits a pixel, so that it is given an RTDOSE with half of them."""
    ds = dcmread(path)
    if ds.Modality == "RTDOSE":
        ds.add_new("PixelData", "OW", (np.frombuffer(ds.PixelData, "<u4") >> 16).astype("<u2").tobytes())
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
        path = folder / path.name
        ds.save_as(path)
    done = subprocess.run(
        [found("dciodvfy", "dicom3tools"), path], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    return {line for line in done.stderr.splitlines() if line.startswith("Error")}


def test_orthanc_gives_every_object_back_unchanged(
    shared: Path, named: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    binary = found("Orthanc", "orthanc")
    folders = [out / target for out in (shared, named) for target in OBJECTS.split(",")]
    folders.append(max((shared / "dicom").iterdir()))  # of the received ones, which are much alike, a series
    with orthanc.running(binary, lambda: tmp_path_factory.mktemp("orthanc"), free_port) as (archive, port):
        for out in folders:
            done = run_well("send", out, f"127.0.0.1:{port}", "--called", "ORTHANC", "--calling", "HOLMIA")
            assert ", 0 refused" in done.err
            assert "warning" not in done.err
        held = archive.stored()
    sent = [path for out in folders for path in out.rglob("*.dcm")]
    assert len(held) == len(sent)
    for path in sent:
        uid = str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
        assert same_content(held[uid], path.read_bytes()), path


def found(program: str, package: str) -> str:
    """Its path; without it the test is skipped, but fails where CI has set it up."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if path is None:
        missing = f"{program} is not installed (Debian package {package}; `make setup` installs it)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return path


# What it refuses before anything is computed.


@pytest.fixture
def no_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("computed before it was known that it can be written")

    monkeypatch.setattr(command, "_computed", fail)


@pytest.mark.usefixtures("no_computing")
def test_existing_targets_are_all_named_and_left(imported: Imported, tmp_path: Path) -> None:
    (tmp_path / "rtdose").mkdir()
    (tmp_path / "results.csv").write_text("mine")
    check = refused(tmp_path, 2, str(tmp_path / "rtdose"), str(tmp_path / "results.csv"), "exist already")
    check(imported.file, "--to", "all", "--out", tmp_path)
    assert (tmp_path / "results.csv").read_text() == "mine"


@pytest.mark.usefixtures("no_computing")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "rtdoes"), '"rtdoes" is nothing that can be exported. Did you mean rtdose?'),
        (("--to", "pictures"), "treatment"),
        (("--to", ","), "names nothing"),
        (("--to", "rtdose", "--fraction", "RHA:9"), "There is no fraction RHA:9 in imported.holmia; there are RHA:1"),
        (("--to", "rtdose", "--fraction", "RHA"), '"RHA" is no fraction'),
        (("--to", "pdf", "--fraction", "RHA:1"), "--fraction chooses among rtdose"),
        (("--to", "dicom", "--set", "dose_model=kernel"), "--set changes what is computed"),
    ],
    ids=["misspelt", "unknown", "nothing", "fraction", "no fraction", "whole treatment", "nothing to set"],
)
def test_what_cannot_be_asked_for_is_a_usage_error(
    arguments: tuple[str, ...], words: str, imported: Imported, tmp_path: Path
) -> None:
    refused(tmp_path, 2, words)(imported.file, *arguments, "--out", tmp_path / "out")


@pytest.mark.usefixtures("no_computing")
@pytest.mark.parametrize("target", ["all", "treatment"])
def test_what_is_no_sound_treatment_is_refused(target: str, imported: Imported, tmp_path: Path) -> None:
    text, newer = tmp_path / "text.holmia", tmp_path / "newer.holmia"
    text.write_bytes(b"This is no treatment file. " * 400)
    for size in (500, 5000):
        (tmp_path / f"cut{size}.holmia").write_bytes(imported.file.read_bytes()[:size])
    shutil.copy(imported.file, newer)
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    cut = ((tmp_path / f"cut{size}.holmia", "use a copy") for size in (500, 5000))
    for file, word in (*cut, (text, "text.holmia"), (newer, "newer"), (tmp_path / "none", "not exist")):
        refused(tmp_path, 2, word)(file, "--to", target, "--out", tmp_path / "out")


@pytest.mark.usefixtures("no_computing")
def test_a_folder_that_cannot_be_is_refused(imported: Imported, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "deep" / "out"):
        refused(tmp_path, 2, "file is a file, not a folder")(imported.file, "--to", "all", "--out", out)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    unwritable = Path("/proc/holmia") if os.geteuid() == 0 else locked / "out"  # nothing is locked for root
    refused(tmp_path, 1, f"Nothing was written to {unwritable}")(
        imported.file, "--to", "all", "--identified", "--out", unwritable
    )


# What stops it on the way.


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: what grows larger is refused by the system."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # it would be cut off, and fail whoever loads it
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = kept


@pytest.mark.parametrize(
    "target",
    [
        "treatment --identified",
        "treatment",
        "dicom --identified",
        "rtdose --identified",
        "nifti --identified",
        "json --identified",
    ],
)
def test_a_full_disk_leaves_nothing(target: str, imported: Imported, tmp_path: Path) -> None:
    with files_of_at_most(1000):
        check = refused(tmp_path, 1, f"Nothing was written to {tmp_path / 'a' / 'out'}: ")
        check(imported.file, "--out", tmp_path / "a" / "out", "--to", *target.split())


def test_a_full_disk_leaves_nothing_of_a_process_of_its_own(imported: Imported, tmp_path: Path) -> None:
    done = subprocess.run(
        holmia_command("export", str(imported.file), "--to", "dicom", "--identified", "--out", str(tmp_path / "out")),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert_one_sentence(Finished(status=done.returncode, out=done.stdout, err=done.stderr), 1, "File too large")
    assert everything_in(tmp_path) == []


def test_a_failure_at_the_last_moment_leaves_nothing(
    imported: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = nifti.write_nifti

    def fails_late(path: Path, *more: Any) -> None:
        if len(written) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, *more)
        written.append(path)

    monkeypatch.setattr("console.outputs.export_objects.write_nifti", fails_late)
    refused(tmp_path, 1, "No space left on device; free space or choose another --out.")(
        imported.file, "--to", "json,nifti", "--out", tmp_path
    )
    assert len(written) == 5


def test_a_report_that_the_disk_refuses_is_not_left_out_but_fails(
    imported: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_document: Any, _snapshot: Any, target: Path) -> None:
        try:
            target.write_bytes(b"%PDF")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise OutputError("The report cannot be written.") from error

    monkeypatch.setattr("console.outputs.report.write_report", refuses)
    refused(tmp_path, 1, "No space left on device")(
        imported.file, "--to", "json,pdf", "--identified", "--out", tmp_path / "out"
    )


def test_a_name_that_is_taken_meanwhile_is_not_replaced(
    imported: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute(*arguments: Any) -> Any:
        (tmp_path / "results.json").write_text("mine")
        return once(*arguments)

    once = command._computed
    monkeypatch.setattr(command, "_computed", compute)
    done = run("export", imported.file, "--to", "csv,json", "--identified", "--out", tmp_path)
    assert_one_sentence(done, 1, "exists already")
    assert everything_in(tmp_path) == ["results.json"]
    assert (tmp_path / "results.json").read_text() == "mine"


def test_stopping_it_leaves_nothing(imported: Imported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = holmia_command("export", str(imported.file), "--to", "dicom,treatment", "--out", str(out))
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not out.exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        said, told = process.communicate(timeout=PATIENCE_S)
    assert_one_sentence(Finished(status=process.returncode, out=said, err=told), 1, "Stopped; nothing was written")
    assert everything_in(tmp_path) == []


# What can be done only in part.


def test_without_a_reference_the_rest_is_written_and_it_is_said(phantom: PhantomTreatment, tmp_path: Path) -> None:
    file = tmp_path / "bare.holmia"
    run_well("import", phantom.structures, "-o", file, "--plan", phantom.plan_path)
    refused(tmp_path, 1, "Nothing could be exported. There is no complete reference series")(
        file, "--to", OBJECTS, "--out", tmp_path / "out"
    )
    done = run("export", file, "--to", "all", "--out", tmp_path / "out")
    assert done.status == 1
    assert "Left out of rtdose, seg, parametric-map, sr: There is no complete reference series" in done.err
    assert "Left out of nifti: No fraction has a result." in done.err
    there = {path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".holmia"}
    assert there == {"dicom", "results.csv", "results.json", "report.pdf"}


def test_a_failed_fraction_has_no_maps_and_it_is_said(phantom: PhantomTreatment, tmp_path: Path) -> None:
    file, out = tmp_path / "part.holmia", tmp_path / "out"
    run_well("import", phantom.reference, phantom.fractions[0], "-o", file, "--plan", phantom.plan_path)
    done = run("export", file, "--to", "rtdose,nifti", "--identified", "--out", out)
    assert done.status == 1
    assert "Left out of rtdose, nifti: RHA F2 has no maps: no holmium series was acquired" in done.err
    assert not [path for path in out.rglob("*_f2*")]
    assert (out / "rtdose" / "dose_RHA_f1.dcm").exists()
