"""Decoding in a process of its own: the same results, and nothing that a peer sends takes the caller down."""

import dataclasses
import os
import pickle
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage, RLELossless

from dicom_listener import decoding
from dicom_listener.decode import decode
from dicom_listener.decoding import DecodingProcess, DecodingProcessError
from dicom_listener.decoding_frames import DECODE, READY, Channel, EndedError, NonsenseError, allowed_s, dumps, loads
from dicom_listener.images import (
    Contour,
    DecodedInstance,
    ImageKind,
    PatientIdentity,
    Sequence,
    Structure,
    StructureSet,
)
from dicom_listener.label_map import given_label_map, label_map

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="looks at processes through /proc")

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def process():
    with DecodingProcess() as started:
        yield started


def classic(rows=16, columns=16, *, syntax=ExplicitVRLittleEndian, data=None, **changes):
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, "1.2.3.4"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2", "1.2.3", "1.9"
    made.PatientID, made.IssuerOfPatientID, made.PatientBirthDate = "EM1-004", "HOSPITAL", "19600229"
    made.ImageType, made.ScanningSequence, made.EchoTime = ["ORIGINAL", "PRIMARY", "M"], "GR", "1.2"
    made.MagneticFieldStrength = "3"
    made.AcquisitionDate, made.AcquisitionTime = "20260304", "101233.25"
    made.ImagePositionPatient, made.ImageOrientationPatient = [1.5, -2.5, 30], [1, 0, 0, 0, 1, 0]
    made.PixelSpacing = [3, 2.5]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = rows, columns
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelData = bytes(2 * rows * columns) if data is None else data
    made["PixelData"].is_undefined_length = syntax != ExplicitVRLittleEndian
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


SMALL = classic(data=np.random.default_rng(1).integers(0, 4096, 256).astype("<u2").tobytes())


def assert_identical(one, other):
    """Field by field, bit by bit."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    elif dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_identical(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_identical(a, b)
    else:
        assert one == other or one != one


def running(pid):
    """Whether a process lives; one that ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition, *, within_s=20.0):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize(
    "folder", ["philips_enhanced_2echo", "siemens_gre_6echo", "siemens_spin_echo", "siemens_xa30_enhanced_2echo"]
)
def test_real_files_decode_as_in_this_process(process, real_data, folder):
    paths = [path for path in sorted((real_data / folder).rglob("*")) if path.is_file()]
    for path in paths[:: max(1, len(paths) // 3)]:
        data = path.read_bytes()
        expected = decode(data, time_zone=AMSTERDAM)
        found = process.decode(data, time_zone=AMSTERDAM)
        assert_identical(found, expected)
        for image in found.images:
            assert image.signal.dtype == np.float32
            assert image.signal.flags.aligned
            assert not image.signal.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                image.signal[0, 0] = 1


def test_native_codecs_work_under_the_limits(process, tmp_path):
    if shutil.which("dcmcjpls") is None:
        pytest.skip("dcmcjpls of DCMTK is not installed")
    (tmp_path / "a.dcm").write_bytes(SMALL)
    subprocess.run(["dcmcjpls", tmp_path / "a.dcm", tmp_path / "b.dcm"], check=True, timeout=30)
    coded = (tmp_path / "b.dcm").read_bytes()
    (found,) = process.decode(coded, time_zone=AMSTERDAM).images
    (expected,) = decode(SMALL, time_zone=AMSTERDAM).images
    assert_identical(found.signal, expected.signal)
    assert process.same_pixels(coded, SMALL)


def test_a_codec_that_failed_decodes_no_other_object(process, tmp_path):
    if shutil.which("dcmcjpls") is None:
        pytest.skip("dcmcjpls of DCMTK is not installed")
    (tmp_path / "a.dcm").write_bytes(SMALL)
    subprocess.run(["dcmcjpls", tmp_path / "a.dcm", tmp_path / "b.dcm"], check=True, timeout=30)
    damaged = pydicom.dcmread(tmp_path / "b.dcm")
    (frame,) = generate_frames(damaged.PixelData, number_of_frames=1)
    scan = frame.index(b"\xff\xda") + 10
    damaged.PixelData = encapsulate([frame[:scan] + b"\x11" * (len(frame) - scan - 2) + b"\xff\xd9"])
    damaged.save_as(tmp_path / "c.dcm")
    data = (tmp_path / "c.dcm").read_bytes()
    before = process.pid
    assert "damaged" in process.decode(data, time_zone=AMSTERDAM).reason
    after_decoding = process.pid
    assert not process.same_pixels(data, SMALL)
    assert len({before, after_decoding, process.pid}) == 3
    assert not running(before)
    assert not running(after_decoding)
    # What is refused before any decoder sees it costs no process.
    before = process.pid
    random = classic(syntax=JPEG2000Lossless, data=encapsulate([np.random.default_rng(4).bytes(500)]))
    assert process.decode(random, time_zone=AMSTERDAM).reason
    assert process.pid == before


def test_every_noun_passes_between_the_processes_unchanged():
    points = np.random.default_rng(2).normal(size=(7, 3))
    given = DecodedInstance(
        sop_class_uid="1.2",
        patient=PatientIdentity(id="EM1-004", name="Müller^Anna", birth_date=date(1960, 2, 29)),
        structure_set=StructureSet(
            label="liver",
            sop_instance_uid="1.2.3",
            frame_of_reference_uid="1.9",
            referenced_series_uids=("1.4", "1.5"),
            structures=(
                Structure(name="Liver", number=1, contours=(Contour(points_mm=points), Contour(points_mm=points[::2]))),
                Structure(name="Empty", number=2, contours=(Contour(points_mm=np.empty((0, 3))),)),
            ),
        ),
        reason="A sentence.",
    )
    found = loads([memoryview(bytes(part)) for part in dumps(given)])
    assert_identical(found, given)
    assert not found.structure_set.structures[0].contours[1].points_mm.flags.writeable
    times = (datetime(2026, 3, 4, 10, tzinfo=AMSTERDAM), datetime(2026, 3, 4, tzinfo=UTC), ImageKind.PHASE)
    times = (*times, datetime(2026, 3, 4, tzinfo=timezone(timedelta(hours=2))))
    found = loads([memoryview(bytes(part)) for part in dumps(times)])
    assert found == times
    assert found[0].tzinfo is AMSTERDAM
    assert isinstance(found[2], Enum)


def test_enums_pass_by_value_whatever_python_makes_of_them(monkeypatch):
    """Python 3.11.0 to 3.11.3 reduce an enum to getattr, which no list of nouns may allow."""
    monkeypatch.setattr(Enum, "__reduce_ex__", lambda self, _: (getattr, (type(self), self.name)))
    assert b"getattr" in pickle.dumps(ImageKind.PHASE)
    sent = dumps((ImageKind.PHASE, Sequence.GRADIENT_ECHO))
    assert loads([memoryview(bytes(part)) for part in sent]) == (ImageKind.PHASE, Sequence.GRADIENT_ECHO)


def test_an_answer_may_name_nothing_but_nouns():
    class Harmful:
        def __reduce__(self):
            return os.system, ("true",)

    harmful = [pickle.dumps(Harmful()), pickle.dumps(os.getcwd), pickle.dumps(Path("/")), pickle.dumps(eval)]
    harmful += [b"cdicom_listener.images\nnp\n.", b"cdicom_listener.images\nfield\n.", b"cquantify.model\nfreeze\n."]
    for answer in (*harmful, b"", b"\x80\x05", b"no pickle", SMALL):
        with pytest.raises(NonsenseError):
            loads([memoryview(answer)])
    with pytest.raises(NonsenseError):
        loads([])


@pytest.mark.parametrize(
    "sent",
    [
        b"no message at all, but long enough",
        struct.pack("<4sI", b"HDP1", 1 << 31),
        struct.pack("<4sIQ", b"HDP1", 1, 1 << 62),
        struct.pack("<4sIQQ", b"HDP1", 2, (1 << 64) - 1, 65),
    ],
    ids=["text", "parts", "length", "sum"],
)
def test_a_message_that_claims_too_much_allocates_nothing(sent):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        with pytest.raises(NonsenseError):
            Channel(ours).receive(limit_bytes=1 << 20)


def test_a_message_that_does_not_come_or_go_is_bounded_in_time():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours)
        theirs.sendall(b"HD")
        with pytest.raises(TimeoutError):
            channel.receive(limit_bytes=1 << 20, until=time.monotonic() + 0.05)
        with pytest.raises(TimeoutError):
            channel.send([bytes(1 << 24)], until=time.monotonic() + 0.05)
        theirs.close()
        with pytest.raises(EndedError):
            channel.send([bytes(1 << 24)])
        with pytest.raises(EndedError):
            Channel(ours).receive(limit_bytes=1 << 20)


def nested(depth):
    """A sequence in a sequence in a sequence …, of undefined lengths, in an instance."""
    opening = struct.pack("<HH2sHLHHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    closing = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    place = SMALL.index(struct.pack("<HH2s", 0x0010, 0x0020, b"LO"))
    return SMALL[:place] + opening * depth + closing * depth + SMALL[place:]


def test_hostile_bytes_give_a_reason(process):
    rng = np.random.default_rng(3)
    hostile = [
        b"",
        b"no DICOM",
        rng.bytes(5000),
        SMALL[: len(SMALL) // 2],
        nested(20_000),
        classic(syntax=RLELossless, data=encapsulate([b"\x01" + bytes(63) + b"\x7f" * 40])),
        classic(syntax=JPEG2000Lossless, data=encapsulate([rng.bytes(500)])),
        classic(Rows=65535, Columns=65535),
    ]
    process.warm()
    for data in hostile:
        found = process.decode(data, time_zone=AMSTERDAM)
        assert isinstance(found, DecodedInstance)
        assert found.reason
        assert not found.images
    assert_identical(process.decode(SMALL, time_zone=AMSTERDAM), decode(SMALL, time_zone=AMSTERDAM))


def test_pixels_are_compared_there_too(process):
    other = classic(data=b"\1" * 512)
    assert process.same_pixels(SMALL, SMALL)
    assert not process.same_pixels(SMALL, other)
    assert not process.same_pixels(SMALL, b"no DICOM")


def test_label_maps_are_read_there_too(process, monkeypatch):
    volume = np.zeros((6, 5, 4), np.uint8)
    volume[2:4, 1:3, 1:3] = 1
    data = nibabel.Nifti1Image(volume, np.diag([2.0, 2.0, 3.0, 1.0])).to_bytes()
    labels = {1: "Liver", 2: "Tumour 1"}
    assert_identical(process.label_map(data, labels, name="drawn"), label_map(data, labels, name="drawn"))
    given = {"name": "drawn", "labels": {"1": "Liver", "x": "No number"}}
    assert_identical(process.given_label_map(given, data), given_label_map(given, data))
    assert process.label_map(b"no NIfTI", labels)[0].unusable == label_map(b"no NIfTI", labels)[0].unusable
    monkeypatch.setattr(decoding, "allowed_s", lambda *_: 0.0)
    (found, remark), again = process.label_map(data, labels, name="drawn"), process.given_label_map(given, data)
    assert remark == "Label map 'drawn' cannot be used: Decoding took longer than 0 s and was ended."
    assert [region for region, _ in found.unusable] == ["Liver", "Tumour 1"]
    assert [region for region, _ in again.unusable] == ["Liver", "No number"]
    assert not found.structures


def test_threads_share_one_process(process):
    files = [classic(data=bytes([n, 0]) * 256, SOPInstanceUID=f"1.2.{n}") for n in range(1, 25)]
    process.warm()
    pid = process.pid
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda data: process.decode(data, time_zone=AMSTERDAM), files))
    assert [instance.sop_instance_uid for instance in found] == [f"1.2.{n}" for n in range(1, 25)]
    assert [float(instance.images[0].signal.mean()) for instance in found] == list(range(1, 25))
    assert process.pid == pid


def test_the_process_is_under_its_limits_and_keeps_to_its_work(process):
    process.decode(SMALL, time_zone=AMSTERDAM)
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    for name, value in (("Max core file size", 0), ("Max file size", 0), ("Max open files", 32)):
        assert next(line for line in limits.splitlines() if line.startswith(name)).split()[-3:-1] == [str(value)] * 2
    space = next(line for line in limits.splitlines() if line.startswith("Max address space")).split()[-2]
    assert 2 << 30 < int(space) < 5 << 30
    streams = {number: str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) for number in (1, 2)}
    assert streams == {1: "/dev/null", 2: "/dev/null"}
    # Neither the terminal's Ctrl-C nor a service manager's SIGTERM is meant for it: it ends with the program it serves.
    pid = process.pid
    assert os.getsid(pid) == pid != os.getsid(0)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, ignored)
    assert process.decode(SMALL, time_zone=AMSTERDAM).reason == ""
    assert process.pid == pid


def test_nothing_large_is_held_between_calls(process):
    process.decode(classic(2048, 4096), time_zone=AMSTERDAM)  # 16 MB of 16 bit, 32 MB of float32
    process.decode(SMALL, time_zone=AMSTERDAM)
    resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    process.decode(classic(2048, 4096), time_zone=AMSTERDAM)
    assert eventually(
        lambda: (
            int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
            < resident + (16 << 20)
        )
    )


def test_an_object_that_needs_too_much_memory_says_so():
    flat = classic(6000, 6000, syntax=RLELossless, data=encapsulate([rle_of_zeros(6000, 6000)]))
    assert len(flat) < 2_000_000
    with DecodingProcess(memory_limit_bytes=64 << 20) as process:
        found = process.decode(flat, time_zone=AMSTERDAM)
        assert "memory" in found.reason.lower()
        assert not found.images
        assert process.decode(SMALL, time_zone=AMSTERDAM).reason == ""
        larger_than_the_limit = classic(6000, 6000)
        found = process.decode(larger_than_the_limit, time_zone=AMSTERDAM)
        assert found.reason == "Decoding needs more memory than 67 MB. The instance is stored but not used."
        assert (found.sop_class_uid, found.sop_instance_uid) == (MRImageStorage, "1.2.3.4")
        assert found.series_instance_uid == "1.2.3"
        assert found.patient == PatientIdentity(id="EM1-004", issuer="HOSPITAL", birth_date=date(1960, 2, 29))
        assert process.decode(SMALL, time_zone=AMSTERDAM).reason == ""


def rle_of_zeros(rows, columns):
    """Two segments (high bytes, low bytes) of replicate runs of 128 (PS3.5, annex G)."""
    segment = b"\x81\x00" * -(-rows * columns // 128)
    return struct.pack("<16L", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2


def test_an_object_that_takes_too_long_is_ended_and_the_next_is_decoded():
    with DecodingProcess(timeout_s=30.0) as process:
        process.decode(SMALL, time_zone=AMSTERDAM)
        process._timeout_s = 0.3
        stopped = process.pid
        os.kill(stopped, signal.SIGSTOP)
        found = process.decode(SMALL, time_zone=AMSTERDAM)
        assert found.reason == "Decoding took longer than 0.3 s and was ended. The instance is stored but not used."
        assert found.sop_instance_uid == "1.2.3.4"
        assert not running(stopped)
        process._timeout_s = 30.0
        assert process.decode(SMALL, time_zone=AMSTERDAM).reason == ""


def test_a_process_killed_by_others_costs_no_instance():
    with DecodingProcess() as process:
        process.decode(SMALL, time_zone=AMSTERDAM)
        os.kill(process.pid, signal.SIGKILL)  # between two calls
        assert process.decode(SMALL, time_zone=AMSTERDAM).reason == ""
        stopped = process.pid
        os.kill(stopped, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:  # in the middle of a call
            waiting = pool.submit(process.decode, SMALL, time_zone=AMSTERDAM)
            assert eventually(process._lock.locked)
            os.kill(stopped, signal.SIGKILL)
            found = waiting.result(60)
        assert found.reason == ""
        assert_identical(found, decode(SMALL, time_zone=AMSTERDAM))
        assert process.pid != stopped


IMPOSTOR = """
import os, signal, socket, sys
from dicom_listener.decoding_frames import READY, Channel, dumps
end = socket.socket(fileno=os.dup(0))
channel = Channel(end)
channel.send([READY])
channel.receive(limit_bytes=1 << 30)
{act}
channel.receive(limit_bytes=1 << 30)
"""
ACTS = {
    "segfault": ("os.kill(os.getpid(), signal.SIGSEGV)", "ended the decoder (signal 11)"),
    "noise": ("end.sendall(bytes(range(256)) * 40)", "cannot be read"),
    "another kind": ("channel.send(dumps(True))", "cannot be read"),
    "too large": ("channel.send([bytes(3 << 20)])", "cannot be read"),
}


@pytest.mark.parametrize("name", ACTS)
def test_a_decoder_that_dies_or_talks_nonsense_costs_the_instance_only(name, monkeypatch):
    act, expected = ACTS[name]
    started = []

    class Impostor(subprocess.Popen):
        def __init__(self, command, **options):
            super().__init__([sys.executable, "-c", IMPOSTOR.format(act=act)], **options)
            started.append(self.pid)

    with DecodingProcess(memory_limit_bytes=2 << 20) as process, monkeypatch.context() as patch:
        patch.setattr(decoding.subprocess, "Popen", Impostor)
        found = process.decode(SMALL, time_zone=AMSTERDAM)
        assert expected in found.reason
        assert found.reason.endswith("The instance is stored but not used.")
        assert found.sop_instance_uid == "1.2.3.4"
        assert len(started) == 2
        assert not any(map(running, started))


def test_a_process_that_cannot_be_started_is_no_fault_of_an_instance(monkeypatch):
    with DecodingProcess() as process:
        monkeypatch.setattr(decoding.sys, "executable", "/bin/false")
        with pytest.raises(DecodingProcessError, match=r"did not start \(exit status 1\)"):
            process.decode(SMALL, time_zone=AMSTERDAM)
        monkeypatch.setattr(decoding.sys, "executable", str(REPOSITORY / "no such program"))
        with pytest.raises(DecodingProcessError, match="cannot be started"):
            process.warm()
        assert process.pid is None


PARENT = """
import os, signal, sys, time
from zoneinfo import ZoneInfo
from dicom_listener.decoding import DecodingProcess
process = DecodingProcess(timeout_s=float(sys.argv[1]))
process.decode(b"", time_zone=ZoneInfo("UTC"))
print(process.pid, flush=True)
time.sleep(120)
"""


def test_no_process_survives_the_one_that_started_it():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, "30"], cwd=REPOSITORY, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert select.select([parent.stdout], [], [], 60)[0]
        child = int(parent.stdout.readline())
        assert running(child)
    finally:
        parent.kill()
        parent.wait(20)
        parent.stdout.close()
    assert eventually(lambda: not running(child))


def test_closing_ends_the_process_and_a_call_that_hangs(monkeypatch):
    monkeypatch.setattr(decoding, "_CLOSE_GRACE_S", 0.2)
    process = DecodingProcess()
    process.warm()
    process.decode(SMALL, time_zone=AMSTERDAM)
    pid = process.pid
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(process.decode, SMALL, time_zone=AMSTERDAM)
        assert eventually(process._lock.locked)
        began = time.monotonic()
        process.close()
        assert time.monotonic() - began < 10
        with pytest.raises(DecodingProcessError, match="closed"):
            waiting.result(20)
    assert not running(pid)
    with pytest.raises(DecodingProcessError, match="closed"):
        process.decode(SMALL, time_zone=AMSTERDAM)
    process.close()
    DecodingProcess().close()


def test_a_zone_without_a_name_is_refused(process):
    with Path("/usr/share/zoneinfo/UTC").open("rb") as zone:
        nameless = ZoneInfo.from_file(zone)
    with pytest.raises(ValueError, match="no key"):
        process.decode(SMALL, time_zone=nameless)


def test_a_large_object_has_more_time_than_a_small_one():
    assert allowed_s(30.0, [bytes(140_000)]) == 30.0
    assert allowed_s(30.0, [bytes(6_000_000), bytes(6_000_000)]) == 60.0


def test_a_process_that_nobody_waits_for_ends_by_itself_where_it_hangs():
    ours, theirs = socket.socketpair()
    slow = classic(6000, 6000, syntax=RLELossless, data=encapsulate([rle_of_zeros(6000, 6000)]))  # 2 s
    with ours:
        worker = subprocess.Popen(
            [sys.executable, "-m", "dicom_listener.decoding_worker", str(1 << 30), "0.05"],
            cwd=REPOSITORY,
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        try:
            channel, until = Channel(ours), time.monotonic() + 60
            assert [bytes(part) for part in channel.receive(limit_bytes=100, until=until)] == [READY]
            channel.send([DECODE, b"UTC", slow], until=until)
            assert worker.wait(60) == -signal.SIGALRM
        finally:
            worker.kill()
            worker.wait()
