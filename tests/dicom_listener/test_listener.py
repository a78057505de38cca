"""The node: what is acknowledged is in the file, byte for byte, and whatever else arrives is answered and recorded."""

from __future__ import annotations

import hashlib
import io
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE
from pynetdicom.sop_class import (
    BasicTextSRStorage,
    EnhancedMRImageStorage,
    MRImageStorage,
    RawDataStorage,
    Verification,
)

from config.plan import PatientPlan
from config.settings import SiteSettings
from console.reaching import keep_answers
from dicom_listener.access import is_listed
from dicom_listener.admission import Admission
from dicom_listener.events import Kind
from dicom_listener.instance_header import read_header
from dicom_listener.listener import Listener, ListenerError
from dicom_listener.record import Record, RecordError, quarantine_path
from dicom_listener.same_content import _Reader, _TooMuchError, same_content
from dicom_listener.series_silence import SeriesSilence

pytestmark = pytest.mark.network

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENT = PatientPlan(id="EM1-004", issuer="UMC", birth_date=date(1960, 2, 3))
SERIES = "1.2.826.0.1.3680043.10.1.7"


def instance(number: int = 1, *, pixels: bytes = b"\1\2" * 64, **changes: object) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = f"{SERIES}.{number}"
    dataset.SeriesInstanceUID = SERIES
    dataset.Modality = "MR"
    dataset.PatientID = "EM1-004"
    dataset.PatientName = "Secret^Name"
    dataset.IssuerOfPatientID = "UMC"
    dataset.PatientBirthDate = "19600203"
    dataset.InstanceNumber = number
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.BitsStored = 8, 8, 16, 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OW"
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def part10(dataset: Dataset) -> bytes:
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def scanner_files(real_data: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((real_data / "siemens_gre_6echo").rglob("*.dcm*"))]


def datasets_equal(one: bytes, other: bytes) -> bool:
    return pydicom.dcmread(io.BytesIO(one)) == pydicom.dcmread(io.BytesIO(other))


class Node:
    """A listener on a treatment file of its own."""

    def __init__(
        self, folder: Path, patient: PatientPlan | None = None, incomplete_after_s: float = 0.0, **settings: object
    ) -> None:
        self.path = folder / "a.holmia"
        self.record = Record.open(self.path) if self.path.exists() else Record.create(self.path)
        self.listener = Listener(
            self.record,
            self.open_quarantine,
            SiteSettings(**{"host": "127.0.0.1", "port": 0, "minimum_free_disk_mb": 1.0} | settings),
            patient,
            lambda: datetime.now(UTC),
            incomplete_after_s=incomplete_after_s,
        )
        self.port = self.listener.start()

    def open_quarantine(self) -> Record:
        path = quarantine_path(self.path)
        return Record.open(path) if path.exists() else Record.create(path)

    def events(self, kind: Kind | None = None) -> list[dict]:
        events = self.record.events(limit=100_000)
        return [event.payload for event in events if kind in (None, event.kind)]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.record.events(limit=100_000)]

    def objects(self) -> list[bytes]:
        events = self.record.events(limit=100_000)
        return [self.record.object_bytes(event.object_sha256) for event in events if event.object_sha256]

    def wait_for(self, kind: Kind, count: int = 1) -> list[dict]:
        for _ in range(500):
            if len(self.events(kind)) >= count:
                return self.events(kind)
            time.sleep(0.01)
        raise AssertionError(f"no {kind} within 5 s; there are {self.kinds()}")

    def stop(self) -> None:
        self.listener.stop()
        self.record.verify()
        self.record.close()


@pytest.fixture
def node(tmp_path, request):
    made = Node(tmp_path, **getattr(request, "param", {}))
    yield made
    made.stop()


@contextmanager
def association(node: Node, *contexts, called="HOLMIA", calling="SCANNER", release=True):
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60  # a busy disk may stall for seconds
    for context in contexts or (MRImageStorage,):
        entity.add_requested_context(*(context if isinstance(context, tuple) else (context,)))
    made = entity.associate("127.0.0.1", node.port, ae_title=called)
    if made.is_established:
        keep_answers(made)
    try:
        yield made
    finally:
        if release and made.is_established:
            made.release()


def send(node: Node, *datasets: Dataset, **options) -> list[tuple[int, str]]:
    with association(node, **options) as made:
        assert made.is_established
        return [(s.Status, s.get("ErrorComment", "")) for s in (made.send_c_store(dataset) for dataset in datasets)]


def dcmtk(tool: str, node: Node, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [tool, "-aec", "HOLMIA", *map(str, arguments[:-1]), "127.0.0.1", str(node.port), str(arguments[-1])]
    return subprocess.run([c for c in command if c], capture_output=True, text=True, timeout=120)


def test_an_echo_is_answered(node):
    assert dcmtk("echoscu", node, "").returncode == 0
    assert node.wait_for(Kind.ASSOCIATION_CLOSED) == [{"association": "network-1-1", "how": "released", "instances": 0}]


def test_120_files_of_a_scanner_are_stored_with_equal_datasets(node, real_data):
    folder = real_data / "siemens_gre_6echo"
    assert dcmtk("storescu", node, "+sd", "+r", folder).returncode == 0
    sent = {read_header(data).sop_instance_uid: data for data in scanner_files(real_data)}
    stored = {read_header(data).sop_instance_uid: data for data in node.objects()}
    assert len(sent) == 120
    assert stored.keys() == sent.keys()
    # storescu encodes lengths of sequences anew, so the bytes need not agree
    assert all(same_content(stored[uid], sent[uid]) for uid in sent)
    for uid in list(sent)[::10]:
        assert datasets_equal(stored[uid], sent[uid])
    assert node.wait_for(Kind.ASSOCIATION_CLOSED)[0]["instances"] == 120
    assert node.kinds()[-1] == "association_closed"
    # again, and from another sender in another transfer syntax: nothing new
    assert dcmtk("storescu", node, "-xi", "+sd", "+r", folder).returncode == 0
    assert node.wait_for(Kind.ASSOCIATION_CLOSED, 2)[1]["instances"] == 0
    assert len(node.events(Kind.INSTANCE_STORED)) == 120
    assert node.events(Kind.INSTANCE_QUARANTINED) == []


def test_what_is_on_the_wire_is_stored_byte_for_byte(node, real_data, monkeypatch):
    monkeypatch.setattr("pynetdicom._config.STORE_SEND_CHUNKED_DATASET", True)  # sends a file's bytes as they are
    paths = sorted((real_data / "siemens_gre_6echo").rglob("*.dcm*"))[::10]
    with association(node, (MRImageStorage, ExplicitVRLittleEndian)) as made:
        assert {made.send_c_store(path).Status for path in paths} == {0}
    for path, stored in zip(paths, node.objects(), strict=True):
        sent = path.read_bytes()
        assert stored[read_header(stored).dataset_offset :] == sent[read_header(sent).dataset_offset :]


def test_what_was_sent_decodes_to_what_was_sent(node):
    dataset = instance()
    assert send(node, dataset) == [(0, "")]
    (data,) = node.objects()
    assert pydicom.dcmread(io.BytesIO(data)) == dataset
    assert node.events(Kind.INSTANCE_STORED) == [
        {
            "association": "network-1-1",
            "sop_class_uid": MRImageStorage,
            "sop_instance_uid": f"{SERIES}.1",
            "series_instance_uid": SERIES,
            "modality": "MR",
        }
    ]


@pytest.mark.parametrize("sop_class", [EnhancedMRImageStorage, BasicTextSRStorage, RawDataStorage])
def test_every_storage_class_is_accepted_and_kept(node, sop_class):
    dataset = instance(SOPClassUID=sop_class)
    with association(node, sop_class) as made:
        assert made.send_c_store(dataset).Status == 0
    assert len(node.objects()) == 1


@pytest.mark.parametrize("node", [{}, {"compressed_transfer_syntaxes": False}], indirect=True)
def test_lossless_by_setting_never_lossy_or_deflated(node):
    def accepted(*syntaxes: str) -> list[str]:
        with association(node, (MRImageStorage, list(syntaxes))) as made:
            return [context.transfer_syntax[0] for context in made.accepted_contexts]

    assert accepted(ImplicitVRLittleEndian) == [ImplicitVRLittleEndian]
    assert accepted(ExplicitVRLittleEndian) == [ExplicitVRLittleEndian]
    assert accepted(JPEGBaseline8Bit) == []
    assert accepted(DeflatedExplicitVRLittleEndian) == []
    lossless = node.listener._settings.compressed_transfer_syntaxes
    for syntax in (RLELossless, JPEGLSLossless):
        assert accepted(syntax) == ([syntax] if lossless else [])


def test_the_same_instance_again_is_acknowledged_and_nothing_new(node):
    assert send(node, instance(), instance(), instance()) == [(0, "")] * 3
    implicit = instance()
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    with association(node, (MRImageStorage, ImplicitVRLittleEndian)) as made:
        assert made.send_c_store(implicit).Status == 0
    assert len(node.events(Kind.INSTANCE_STORED)) == 1
    assert node.events(Kind.INSTANCE_QUARANTINED) == []


def test_one_uid_with_two_contents_keeps_both_and_says_so(node):
    other = instance(pixels=b"\1\3" * 64)
    assert send(node, instance(), other, other) == [(0, "")] * 3
    (event,) = node.events(Kind.INSTANCE_QUARANTINED)
    assert event["cause"] == "uid_conflict"
    with Record.open(quarantine_path(node.path), read_only=True) as quarantine:
        data = quarantine.object_bytes(event["sha256"])
    assert pydicom.dcmread(io.BytesIO(data)) == other
    assert len(node.objects()) == 1


@pytest.mark.parametrize("node", [{"patient": PATIENT}], indirect=True)
@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": "OTHER-1"},
        {"PatientID": ""},
        {"PatientID": None},
        {"IssuerOfPatientID": "elsewhere"},
        {"IssuerOfPatientID": None},
        {"PatientBirthDate": "19600204"},
        {"PatientBirthDate": ""},
    ],
    ids=str,
)
def test_another_patient_goes_to_quarantine_and_leaves_only_a_hash(node, changes):
    other = instance(2, **changes)
    assert send(node, instance(1), other, other) == [(0, "")] * 3
    (event,) = node.events(Kind.INSTANCE_QUARANTINED)
    assert (event["cause"], event["association"]) == ("other_patient", "network-1-1")
    assert len(node.objects()) == 1
    with Record.open(quarantine_path(node.path)) as quarantine:
        assert quarantine.verify().seq == 1
        assert pydicom.dcmread(io.BytesIO(quarantine.object_bytes(event["sha256"]))) == other
    assert "OTHER-1" not in str(node.events())


@pytest.mark.parametrize("node", [{"patient": PATIENT}], indirect=True)
def test_the_name_does_not_decide_and_padding_does_not_matter(node):
    assert send(node, instance(PatientName="Another^Spelling", PatientID="EM1-004 ")) == [(0, "")]
    assert len(node.objects()) == 1


@pytest.mark.parametrize(
    ("change", "status", "comment"),
    [
        ({"SOPInstanceUID": "1.2.3"}, 0xA900, "disagree"),
        ({"SOPClassUID": EnhancedMRImageStorage}, 0xA900, "disagree"),
        ({"SOPInstanceUID": "../../etc/passwd"}, 0x0117, "invalid"),
        ({"SeriesInstanceUID": "../x"}, 0xC000, "Series"),
        (b"\xff" * 500, 0xC000, ""),
        ("cut", 0xC000, "cut off"),
    ],
    ids=["instance", "class", "path_as_uid", "path_as_series", "noise", "cut_off"],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_refusals_carry_the_standards_status_and_are_recorded(node, monkeypatch, change, status, comment):
    dataset = instance()
    data = part10(dataset)[read_header(part10(dataset)).dataset_offset :]
    if isinstance(change, dict):
        changed = instance(**change)
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, changed, implicit_vr=False, little_endian=True)
        data = buffer.getvalue()
        data = data[read_header(data).dataset_offset :] if data[128:132] == b"DICM" else data
        if status == 0x0117:
            dataset.SOPInstanceUID = change["SOPInstanceUID"]
    elif isinstance(change, bytes):
        data = change
    else:
        data = data[:-10]
    # the command says one thing, the data set is what we say
    monkeypatch.setattr("pynetdicom.association.encode", lambda *arguments, **options: data)
    ((answer, text),) = send(node, dataset)
    assert answer == status
    assert comment in text
    assert len(text) <= 64
    assert node.events(Kind.INSTANCE_REFUSED) == [{"association": "network-1-1", "status": status, "comment": text}]
    assert node.objects() == []
    monkeypatch.undo()
    assert dcmtk("echoscu", node, "").returncode == 0


def test_a_class_that_was_not_negotiated_in_the_context_is_refused(node, monkeypatch):
    monkeypatch.setattr(
        "pynetdicom.association.Association._get_valid_context",
        lambda self, *arguments, **options: self.accepted_contexts[0],
    )
    with association(node, RawDataStorage) as made:
        assert made.send_c_store(instance()).Status == 0x0122
    assert [event["status"] for event in node.events(Kind.INSTANCE_REFUSED)] == [0x0122]


@pytest.mark.parametrize("node", [{"minimum_free_disk_mb": 1e12}], indirect=True)
def test_below_the_minimum_of_free_disk_nothing_is_taken(node):
    assert send(node, instance()) == [(0xA700, "The disk of the treatment file is full")]
    assert node.objects() == []
    assert node.events(Kind.INSTANCE_REFUSED)[0]["status"] == 0xA700


@pytest.mark.parametrize("error", [RecordError("full"), OSError("gone"), RuntimeError("a fault"), MemoryError()])
def test_whatever_fails_inside_is_out_of_resources_never_an_anonymous_failure(node, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    with association(node) as made:
        node.wait_for(Kind.ASSOCIATION_OPENED)
        with monkeypatch.context() as patch:
            patch.setattr(Admission, "_store", fail)
            assert made.send_c_store(instance()).Status == 0xA700
        assert made.send_c_store(instance()).Status == 0
    assert len(node.objects()) == 1


@pytest.mark.parametrize(
    ("node", "titles", "why"),
    [
        ({}, {"called": "OTHER"}, "called AE title"),
        ({"calling_ae_titles": ("MR1", "MR2")}, {"calling": "MR3"}, "calling AE title"),
        ({"calling_addresses": ("10.0.0.0/8",)}, {}, "address"),
    ],
    indirect=["node"],
    ids=["called", "calling", "address"],
)
def test_who_is_not_on_the_list_is_refused_and_recorded(node, titles, why):
    with association(node, **titles) as made:
        assert made.is_rejected
    (event,) = node.wait_for(Kind.ASSOCIATION_REFUSED)
    assert why in event["why"]
    assert event["address"] == "127.0.0.1"
    assert event["called_ae"] == titles.get("called", "HOLMIA")
    assert node.events(Kind.ASSOCIATION_OPENED) == []


@pytest.mark.parametrize(
    "node",
    [
        {"require_called_ae_title": False},
        {"calling_ae_titles": ("OTHER",), "calling_addresses": ("127.0.0.1",), "require_called_ae_title": False},
    ],
    indirect=True,
)
def test_who_is_on_the_list_is_admitted(node):
    with association(node, called="ANYTHING", calling="OTHER") as made:
        assert made.is_established


@pytest.mark.parametrize(
    ("address", "listed", "expected"),
    [
        ("10.1.2.3", ("10.1.2.3",), True),
        ("10.1.2.3", ("10.1.0.0/16",), True),
        ("::ffff:10.1.2.3", ("10.1.2.3",), True),
        ("10.2.2.3", ("10.1.0.0/16", "no address"), False),
        ("fe80::1", ("fe80::/10",), True),
    ],
)
def test_addresses_are_matched_as_addresses(address, listed, expected):
    assert is_listed(address, listed) is expected


@pytest.mark.parametrize("node", [{"maximum_associations": 2}], indirect=True)
def test_one_association_too_many_is_refused_idle_connections_do_not_count(node):
    idle = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(20)]
    with association(node), association(node), association(node) as third:
        assert third.is_rejected
    assert "2 associations" in node.wait_for(Kind.ASSOCIATION_REFUSED)[0]["why"]
    node.wait_for(Kind.ASSOCIATION_CLOSED, 2)
    with association(node) as made:
        assert made.is_established
    for connection in idle:
        connection.close()


def test_every_end_of_an_association_is_recorded_once_after_its_instances(node):
    with association(node) as made:
        made.send_c_store(instance(1))
    node.wait_for(Kind.ASSOCIATION_CLOSED)
    with association(node, release=False) as made:
        made.send_c_store(instance(2))
        made.abort()
    node.wait_for(Kind.ASSOCIATION_CLOSED, 2)
    with association(node, release=False) as made:
        made.send_c_store(instance(3))
        connection = made.dul.socket.socket
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
    closed = node.wait_for(Kind.ASSOCIATION_CLOSED, 3)
    time.sleep(0.3)
    assert node.events(Kind.ASSOCIATION_CLOSED) == closed
    assert [event["how"] for event in closed] == ["released", "aborted", "connection_lost"]
    assert [event["instances"] for event in closed] == [1, 1, 1]
    assert [event["association"] for event in closed] == [f"network-1-{n}" for n in (1, 2, 3)]
    assert node.kinds() == ["listener_started"] + ["association_opened", "instance_stored", "association_closed"] * 3


@pytest.mark.parametrize("node", [{"network_timeout_s": 0.5}], indirect=True)
def test_a_silent_peer_is_ended(node):
    with association(node, release=False):
        assert node.wait_for(Kind.ASSOCIATION_CLOSED)[0]["how"] == "connection_lost"


@pytest.mark.parametrize("node", [{"series_quiet_s": 0.3}], indirect=True)
def test_each_silence_of_a_series_is_recorded_once(node):
    with association(node) as made:
        made.send_c_store(instance(1))
        made.send_c_store(instance(2))
        assert node.wait_for(Kind.SERIES_QUIET) == [{"series_instance_uid": SERIES, "seconds": 0.3, "instances": 2}]
        time.sleep(0.5)
        assert len(node.events(Kind.SERIES_QUIET)) == 1
        made.send_c_store(instance(2))
        made.send_c_store(instance(3))
        assert node.wait_for(Kind.SERIES_QUIET, 2)[1]["instances"] == 3


@pytest.mark.parametrize("node", [{"series_quiet_s": 0.2, "incomplete_after_s": 0.3}], indirect=True)
def test_a_silence_that_goes_on_is_recorded_once_more(node):
    assert send(node, instance(1)) == [(0, "")]
    assert [event["seconds"] for event in node.wait_for(Kind.SERIES_QUIET, 2)] == [0.2, 0.5]
    time.sleep(0.6)
    assert len(node.events(Kind.SERIES_QUIET)) == 2
    assert send(node, instance(2)) == [(0, "")]
    later = node.wait_for(Kind.SERIES_QUIET, 4)[2:]
    assert [(event["seconds"], event["instances"]) for event in later] == [(0.2, 2), (0.5, 2)]


def test_both_words_of_a_silence_are_said_again_where_only_the_first_is_recorded(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record:
        for kind in (Kind.INSTANCE_STORED, Kind.SERIES_QUIET):
            record.append(kind, {"series_instance_uid": SERIES}, actor="test", utc=datetime.now(UTC))
        silence = SeriesSilence(10.0, record, 30.0)
        assert silence.fallen_quiet(100.0) == []  # counted from the restart
        assert [quiet.seconds for quiet in silence.fallen_quiet(111.0)] == [10.0]
        assert [quiet.seconds for quiet in silence.fallen_quiet(141.0)] == [40.0]
        assert silence.fallen_quiet(1000.0) == []
        assert SeriesSilence(10.0, record).fallen_quiet(1000.0) == []


def test_a_silence_that_an_earlier_listener_did_not_live_to_see_is_recorded(tmp_path):
    first = Node(tmp_path)
    send(first, instance())
    first.stop()
    second = Node(tmp_path, series_quiet_s=0.2)
    assert second.wait_for(Kind.SERIES_QUIET)[0]["instances"] == 1
    second.stop()
    third = Node(tmp_path, series_quiet_s=0.2)
    time.sleep(0.6)
    assert len(third.events(Kind.SERIES_QUIET)) == 1
    third.stop()


def test_start_and_stop_are_recorded_and_a_restart_knows_what_it_has(tmp_path):
    first = Node(tmp_path, patient=PATIENT)
    send(first, instance(1), instance(2, PatientID="OTHER"))
    first.stop()
    first.listener.stop()
    second = Node(tmp_path, patient=PATIENT)
    assert second.events(Kind.LISTENER_STARTED) == [
        {"ae_title": "HOLMIA", "port": first.port},
        {"ae_title": "HOLMIA", "port": second.port},
    ]
    assert send(second, instance(1), instance(2, PatientID="OTHER")) == [(0, "")] * 2
    assert len(second.events(Kind.INSTANCE_STORED)) == 1
    assert len(second.events(Kind.INSTANCE_QUARANTINED)) == 1
    names = [event["association"] for event in second.events(Kind.ASSOCIATION_OPENED)]
    assert len(set(names)) == 2
    second.stop()
    with Record.open(second.path, read_only=True) as record:
        assert record.events(limit=1000)[-1].kind == "listener_stopped"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.holmia", "a.quarantine.holmia"]


def test_stop_ends_open_associations_and_keeps_what_was_acknowledged(tmp_path):
    node = Node(tmp_path)
    with association(node, release=False) as made:
        assert made.send_c_store(instance()).Status == 0
        began = time.monotonic()
        node.stop()
        assert time.monotonic() - began < 20  # the idle association alone would last 60 s
    with Record.open(node.path, read_only=True) as record:
        assert [event.kind for event in record.events()][2:] == [
            "instance_stored",
            "association_closed",
            "listener_stopped",
        ]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", node.port), timeout=1)


def test_a_port_in_use_is_a_sentence(node, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ListenerError, match=rf"port {node.port}: .*another port"):
        Node(other, port=node.port)


def test_no_name_of_a_patient_is_logged(node, caplog, capfd):
    caplog.set_level(0)
    send(node, instance(1), instance(1, pixels=b"\0" * 128), instance(2, SeriesInstanceUID=None))
    assert "Secret" not in caplog.text + "".join(capfd.readouterr())
    assert "Secret" not in str(node.events())


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x01\x00\xff\xff\xff\xf0" + b"A" * 1000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x01\x00\x00\x00\x00\x08AB",
    ],
    ids=["pdu_of_4_GiB", "http", "tls", "cut_off"],
)
def test_hostile_bytes_do_not_keep_others_waiting(node, hostile):
    with socket.create_connection(("127.0.0.1", node.port)) as connection:
        connection.sendall(hostile)
        began = time.monotonic()
        assert dcmtk("echoscu", node, "").returncode == 0
        assert time.monotonic() - began < 5  # the hostile connection's own deadline is 30 s


@pytest.mark.parametrize("node", [{"maximum_dataset_mb": 2}], indirect=True)
@pytest.mark.parametrize("excess", [0, 1, 100_000, 2_000_000])
def test_a_data_set_beyond_the_limit_is_refused_and_the_next_is_stored(node, excess):
    limit = 2_000_000
    (large, _), (small, _) = send(node, instance(1, pixels=b"\1\2" * (limit // 2 + excess)), instance(2))
    assert (large, small) == (0xA700, 0)
    assert len(node.objects()) == 1
    assert node.events(Kind.INSTANCE_REFUSED)[0]["comment"] == "The data set is larger than 2 MB"


@pytest.mark.parametrize("fragment", [b"", b"\x03", b"\x03" + b"\xff" * 40], ids=["empty", "no_command", "noise"])
def test_a_broken_message_ends_its_association_and_no_other(node, fragment):
    with association(node, release=False) as made:
        item = (len(fragment) + 1).to_bytes(4, "big") + b"\x01" + fragment
        made.dul.socket.socket.sendall(b"\x04\x00" + len(item).to_bytes(4, "big") + item)
        assert node.wait_for(Kind.ASSOCIATION_CLOSED)[0]["how"] in {"aborted", "connection_lost"}
        assert send(node, instance()) == [(0, "")]


def test_a_pdu_has_a_deadline(node, monkeypatch):
    monkeypatch.setattr("dicom_listener.transport._PDU_DEADLINE_S", 0.3)
    with association(node, release=False) as made:
        made.dul.socket.socket.sendall(b"\x04\x00\x00\x00\x01\x00\x00")
        assert node.wait_for(Kind.ASSOCIATION_CLOSED)[0]["how"] == "connection_lost"


LISTENER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from config.settings import SiteSettings
from dicom_listener.listener import Listener
from dicom_listener.record import Record
record = Record.open(Path(sys.argv[1]))
settings = SiteSettings(host="127.0.0.1", port=0, minimum_free_disk_mb=1.0)
listener = Listener(record, lambda: Record.create(Path(sys.argv[1] + ".q")), settings, None, lambda: datetime.now(UTC))
print(listener.start(), flush=True)
time.sleep(120)
"""


class Process:
    """A listener in a process of its own, to be killed."""

    def __init__(self, path: Path) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", LISTENER, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self.popen.stdout.readline())

    def kill(self) -> None:
        self.popen.send_signal(signal.SIGKILL)
        self.popen.communicate(timeout=10)


@pytest.mark.parametrize("after", [1, 7, 23])
def test_after_a_kill_nothing_acknowledged_is_missing(tmp_path, after):
    path = tmp_path / "a.holmia"
    Record.create(path).close()
    process = Process(path)
    acknowledged = []
    with association(process, release=False) as made:
        for number in range(1, after + 1):
            assert made.send_c_store(instance(number, pixels=b"\1" * 100_000)).Status == 0
            acknowledged.append(f"{SERIES}.{number}")
        process.kill()
    node = Node(tmp_path)
    assert [event["sop_instance_uid"] for event in node.events(Kind.INSTANCE_STORED)] == acknowledged
    # the scanner sends all again, and the rest
    again = [instance(number, pixels=b"\1" * 100_000) for number in range(1, after + 3)]
    assert send(node, *again) == [(0, "")] * (after + 2)
    assert len(node.events(Kind.INSTANCE_STORED)) == after + 2
    assert node.events(Kind.INSTANCE_QUARANTINED) == []
    node.stop()


def test_a_kill_in_the_middle_of_a_transfer_loses_nothing_acknowledged(tmp_path, real_data):
    path = tmp_path / "a.holmia"
    Record.create(path).close()
    process = Process(path)
    command = ["storescu", "-v", "-aec", "HOLMIA", "+sd", "+r", "127.0.0.1", str(process.port)]
    with subprocess.Popen(
        [*command, str(real_data / "siemens_gre_6echo")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as sender:
        lines = []
        for line in sender.stdout:
            lines.append(line)
            if "(Success)" in line and sum("(Success)" in text for text in lines) == 40:
                process.kill()
    acknowledged = sum("(Success)" in line for line in lines)
    assert 40 <= acknowledged < 120
    node = Node(tmp_path)
    assert len(node.events(Kind.INSTANCE_STORED)) >= acknowledged
    assert dcmtk("storescu", node, "+sd", "+r", real_data / "siemens_gre_6echo").returncode == 0
    assert len(node.objects()) == 120
    node.stop()


def test_two_senders_at_once_share_one_chain(node):
    from threading import Thread

    def sender(first: int) -> None:
        assert send(node, *(instance(number) for number in range(first, first + 10))) == [(0, "")] * 10

    threads = [Thread(target=sender, args=(first,)) for first in (1, 6, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(node.events(Kind.INSTANCE_STORED)) == 20
    assert sum(event["instances"] for event in node.wait_for(Kind.ASSOCIATION_CLOSED, 3)) == 20


def test_verification_and_storage_share_an_association(node):
    with association(node, Verification, MRImageStorage) as made:
        assert made.send_c_echo().Status == 0
        assert made.send_c_store(instance()).Status == 0
        assert made.send_c_echo().Status == 0
    assert re.fullmatch(r"network-1-\d+", node.events(Kind.ASSOCIATION_OPENED)[0]["association"])


def test_same_content_is_decided_by_values_not_by_encoding():
    one = instance()
    other = instance()
    other.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert same_content(part10(one), part10(other))
    assert not same_content(part10(one), part10(instance(pixels=b"\1\2" * 63 + b"\1\3")))
    assert not same_content(part10(one), part10(instance(InstanceNumber=2)))


def test_items_without_elements_count_towards_what_is_compared():
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 11
    reader = _Reader(items)
    reader._left = 10
    with pytest.raises(_TooMuchError):
        reader._add_items(hashlib.sha256(), 0, len(items), True, 1)
