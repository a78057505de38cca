"""Sending to real storage providers on loopback: order, associations, contexts, statuses, errors."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    MRImageStorage,
    generate_uid,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt
from typer.testing import CliRunner

from console.commands import app
from console.demo.phantom_acquisition import slab
from console.demo.phantom_headers import Flavour, PhantomPatient, SeriesHeader
from console.demo.phantom_plan import local
from console.demo.phantom_series import Acquired, classic_files
from console.demo.phantom_treatment import Phantom, Treatment
from console.sending import SendError, dicom_files, send_folder
from console.shell import CommandError, address

pytestmark = pytest.mark.network


@pytest.fixture
def folder(tmp_path):
    """Two sub-folders of six small images each, a plan beside them that is no DICOM."""
    at = local(Treatment(phantom=Phantom()).reference_time_aware, "Europe/Amsterdam")
    grid = slab((3, 8, 8), (4.0, 3.0, 3.0))
    for number, name in enumerate(("01_a", "02_b")):
        header = SeriesHeader(
            identity=f"scanner test/{name}",
            patient=PhantomPatient(),
            flavour=Flavour.SIEMENS_CLASSIC,
            study_at=at,
            acquired_at=at,
            number=number,
            description=name,
            field_strength_t=3.0,
            repetition_time_ms=100.0,
            flip_angle_deg=20.0,
        )
        acquired = Acquired(
            signal=np.full((2, 3, 8, 8), 500.0, dtype=np.float32),
            echo_times_s=(0.001, 0.002),
            grid=grid,
            sigma=5.0,
            gain=1.0,
            seed=number,
            series_index=number,
        )
        target = tmp_path / "phantom" / name
        target.mkdir(parents=True)
        for index, data in enumerate(classic_files(header, acquired)):
            (target / f"IM{index}.dcm").write_bytes(data)
    (tmp_path / "phantom" / "plan.toml").write_text("schema = 1\n")
    return tmp_path / "phantom"


class Node:
    """A storage provider that answers as told and remembers what came over which association."""

    def __init__(
        self,
        *,
        title="HOLMIA",
        classes=(MRImageStorage,),
        syntaxes=(ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        status=lambda dataset: 0x0000,
    ):
        self.received = []
        self.status = status
        self.ae = AE(ae_title=title)
        self.ae.require_called_aet = True
        self.ae.network_timeout = 10
        for sop_class in classes:
            self.ae.add_supported_context(sop_class, list(syntaxes))
        self.server = self.ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        self.port = self.server.socket.getsockname()[1]

    def _store(self, event):
        status = self.status(event.dataset)
        self.received.append((event.assoc, event.dataset.SOPInstanceUID, event.dataset))
        return status


@pytest.fixture
def node():
    nodes = []

    def start(**options):
        nodes.append(Node(**options))
        return nodes[-1]

    yield start
    for one in nodes:
        one.server.shutdown()


def test_every_file_arrives_and_each_sub_folder_in_an_association_of_its_own(folder, node):
    provider = node()
    seen = []
    report = send_folder(folder, "127.0.0.1", provider.port, progress=lambda done, total: seen.append((done, total)))
    assert (report.sent, report.refused) == (12, ())
    assert seen == [(n, 12) for n in range(1, 13)]
    associations = [association for association, _, _ in provider.received]
    assert len(set(associations)) == 2
    assert len(set(associations[:6])) == len(set(associations[6:])) == 1
    assert [ds.SeriesDescription for _, _, ds in provider.received] == ["01_a"] * 6 + ["02_b"] * 6
    assert [int(ds.InstanceNumber) for _, _, ds in provider.received[:6]] == [1, 2, 3, 4, 5, 6]


def test_pixels_arrive_as_they_were_written(folder, node):
    import pydicom

    provider = node()
    send_folder(folder, "127.0.0.1", provider.port)
    sent = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, sorted(folder.rglob("*.dcm")))}
    assert {uid for _, uid, _ in provider.received} == set(sent)
    for _, uid, ds in provider.received:
        assert ds.PixelData == sent[uid].PixelData


def test_a_shuffled_order_is_a_function_of_the_seed(folder, node):
    def order(seed):
        provider = node()
        send_folder(folder, "127.0.0.1", provider.port, order="shuffled", seed=seed)
        return [uid for _, uid, _ in provider.received]

    first = order(1)
    assert order(1) == first
    other = order(2)
    assert other != first
    assert sorted(other) == sorted(first)


def test_several_associations_share_a_folder(folder, node):
    provider = node()
    report = send_folder(folder, "127.0.0.1", provider.port, associations=3)
    assert report.sent == 12
    assert len({uid for _, uid, _ in provider.received}) == 12
    assert len({association for association, _, _ in provider.received}) == 6


def test_an_image_that_is_cut_short_is_refused_and_never_sent(folder, node):
    whole = sorted(folder.rglob("*.dcm"))[0]
    whole.write_bytes(whole.read_bytes()[:-10])
    provider = node()
    report = send_folder(folder, "127.0.0.1", provider.port)
    assert (report.sent, len(provider.received)) == (11, 11)
    assert [(own.path, own.status) for own in report.refused] == [(whole, None)]
    assert "cut short" in report.refused[0].words


def test_refused_instances_are_reported_and_the_rest_is_sent(folder, node):
    provider = node(status=lambda ds: 0xA700 if int(ds.InstanceNumber) == 2 else 0x0000)
    report = send_folder(folder, "127.0.0.1", provider.port)
    assert report.sent == 10
    assert [(refusal.status, refusal.path.name) for refusal in report.refused] == [(0xA700, "IM1.dcm")] * 2


def test_a_warning_counts_as_stored(folder, node):
    report = send_folder(folder, "127.0.0.1", node(status=lambda ds: 0xB000).port)
    assert (report.sent, report.refused) == (12, ())


def test_a_warning_is_told_in_words(folder, node):
    provider = node(status=lambda ds: 0xB006 if int(ds.InstanceNumber) == 2 else 0x0000)
    result = CliRunner().invoke(app, ["send", str(folder), f"127.0.0.1:{provider.port}"], standalone_mode=False)
    assert result.return_value == 0
    assert "IM1.dcm was stored with a warning: status 0xB006, Element Discarded." in result.stderr
    assert "12 instances sent, 2 of them with a warning, 0 refused" in result.stderr


def small(path, sop_class, transfer_syntax=ExplicitVRLittleEndian):
    """The smallest instance of a class; encapsulated where the syntax is compressed."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.PatientID = sop_class, generate_uid(entropy_srcs=[str(path)]), "EM1-004"
    if transfer_syntax.is_compressed:
        ds.Rows = ds.Columns = 2
        ds.BitsAllocated, ds.SamplesPerPixel, ds.PhotometricInterpretation = 8, 1, "MONOCHROME2"
        ds.PixelData = encapsulate([b"\x01\x02\x03\x04"])
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = transfer_syntax
    ds.save_as(path, enforce_file_format=True)
    return ds


def test_more_kinds_than_an_association_has_contexts_take_several(tmp_path, node):
    classes = sorted({cx.abstract_syntax for cx in AllStoragePresentationContexts})[:70]
    for number, sop_class in enumerate(classes):
        small(tmp_path / f"{number:03d}.dcm", sop_class)
    provider = node(classes=classes)
    report = send_folder(tmp_path, "127.0.0.1", provider.port)
    assert (report.sent, report.refused) == (70, ())
    assert [ds.SOPClassUID for _, _, ds in provider.received] == classes
    assert len({association for association, _, _ in provider.received}) == 2


def test_compressed_instances_go_as_they_are_and_a_node_without_their_syntax_is_named(tmp_path, node):
    sent = small(tmp_path / "one.dcm", MRImageStorage, JPEGLSLossless)
    small(tmp_path / "two.dcm", MRImageStorage)
    provider = node(syntaxes=(JPEGLSLossless, ExplicitVRLittleEndian))
    assert send_folder(tmp_path, "127.0.0.1", provider.port).sent == 2
    assert provider.received[0][2].PixelData == sent.PixelData
    report = send_folder(tmp_path, "127.0.0.1", node(syntaxes=(ImplicitVRLittleEndian,)).port)
    assert report.sent == 1  # uncompressed goes in the syntax that every node has
    assert [answer.words for answer in report.refused] == [
        "the node does not take MR Image Storage in JPEG-LS Lossless Image Compression"
    ]


def test_a_single_file_is_sent_and_a_directory_of_media_is_left_out(folder, tmp_path, node):
    provider = node()
    assert send_folder(folder / "01_a" / "IM3.dcm", "127.0.0.1", provider.port).sent == 1
    small(folder / "DICOMDIR", MediaStorageDirectoryStorage)
    assert send_folder(folder / "01_a", "127.0.0.1", provider.port).sent == 6


def test_a_node_that_says_nothing_is_told_from_one_that_is_not_there(folder):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(SendError, match=r"accepts connections but did not answer within 0.5 s"):
            send_folder(folder, "127.0.0.1", port, timeout_s=0.5)
    with pytest.raises(SendError, match="the name has no address"):
        send_folder(folder, "no-such-host.invalid", 104, timeout_s=2)


@pytest.mark.parametrize("title", ["", "SEVENTEEN-LETTERS", "A\\B", "TÜBINGEN"])
def test_what_is_no_title_is_a_usage_error(folder, title):
    result = CliRunner().invoke(app, ["send", str(folder), "127.0.0.1:104", "--called", title], standalone_mode=False)
    assert isinstance(result.exception, CommandError)
    assert result.exception.status == 2
    assert "is no AE title" in str(result.exception)


def test_pace_is_kept(folder, node):
    started = time.monotonic()
    send_folder(folder / "01_a", "127.0.0.1", node().port, pace_s=0.05)
    assert time.monotonic() - started >= 6 * 0.05


# pynetdicom forgets to close a socket that was refused; the interpreter does it, and warns.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_node_that_is_not_there_is_named_in_the_error(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SendError, match=rf"HOLMIA at 127\.0\.0\.1:{port} cannot be reached"):
        send_folder(folder, "127.0.0.1", port, timeout_s=2)


def test_a_rejected_association_says_why(folder, node):
    with pytest.raises(
        SendError, match=r"rejected the association of SCANNER: it is not called OTHER: check the called AE title"
    ):
        send_folder(folder, "127.0.0.1", node().port, called_ae="OTHER")


def test_a_node_that_takes_no_mr_is_said_to(folder, node):
    ultrasound = UID("1.2.840.10008.5.1.4.1.1.6.1")
    with pytest.raises(SendError, match="takes none of the kinds of object"):
        send_folder(folder, "127.0.0.1", node(classes=(ultrasound,)).port)


def test_an_aborting_node_ends_the_sending_with_a_sentence(folder, node):
    provider = node()
    provider.status = lambda ds: provider.server.active_associations[0].abort() or 0x0000
    with pytest.raises(SendError, match=r"did not answer|ended the association"):
        send_folder(folder, "127.0.0.1", provider.port, timeout_s=5)


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(SendError, match="holds no DICOM file"):
        send_folder(tmp_path, "127.0.0.1", 1)
    assert dicom_files(tmp_path) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:11112", ("127.0.0.1", 11112)), ("[::1]:104", ("::1", 104)), ("pacs:1", ("pacs", 1))],
)
def test_addresses_are_host_and_port(text, expected):
    assert address(text) == expected


@pytest.mark.parametrize("text", ["localhost", "localhost:", ":104", "host:0", "host:65536", "host:x"])
def test_an_address_without_a_usable_port_is_a_usage_error(text):
    with pytest.raises(CommandError, match="expected HOST:PORT") as caught:
        address(text)
    assert caught.value.status == 2


def test_the_command_sends_and_reports(folder, node):
    provider = node()
    result = CliRunner().invoke(app, ["send", str(folder), f"127.0.0.1:{provider.port}"], standalone_mode=False)
    assert result.return_value == 0
    assert len(provider.received) == 12
    assert "12 instances sent, 0 refused" in result.stderr


def test_the_command_says_in_part_when_something_was_refused(folder, node):
    provider = node(status=lambda ds: 0xC000)
    result = CliRunner().invoke(app, ["send", str(folder), f"127.0.0.1:{provider.port}"], standalone_mode=False)
    assert result.return_value == 1
    assert "status 0xC000" in result.stderr


def test_the_phantom_command_writes_a_treatment_and_refuses_to_overwrite_it(tmp_path, real_data):
    target = tmp_path / "imprinted"
    arguments = ["phantom", str(target), "--from", str(real_data / "siemens_gre_6echo")]
    result = CliRunner().invoke(app, arguments, standalone_mode=False)
    assert result.return_value == 0
    assert (target / "plan.toml").is_file()
    again = CliRunner().invoke(app, arguments, standalone_mode=False)
    assert isinstance(again.exception, CommandError)
    assert again.exception.status == 2
