"""Orthanc as a hospital's archive: it pushes a study, whole, again, beside another sender, and compressed."""

from __future__ import annotations

import sys
import threading
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from orthanc import JPEG_LOSSLESS, PATIENCE_S, Orthanc, running

from console.demo.phantom_dicom import PhantomTreatment
from console.sending import SendReport, send_folder
from dicom_listener.events import Kind
from dicom_listener.instance_header import read_header

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("orthanc")]


@pytest.fixture(scope="module")
def orthanc(
    program: Callable[[str], str],
    free_port: Callable[[], int],
    files: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Orthanc]:
    """An Orthanc that holds the phantom's study, and keeps images compressed, and decompresses them for others."""
    with running(
        program("Orthanc"), lambda: tmp_path_factory.mktemp("orthanc"), free_port, IngestTranscoding=JPEG_LOSSLESS
    ) as (made, _):
        for data in files.values():
            assert made.request("POST", "/instances", data)["Status"] == "Success"
        yield made


def test_orthanc_pushes_a_study_and_every_instance_is_stored(orthanc, started, files) -> None:
    node = started()
    orthanc.names("holmia", node.port)
    assert orthanc.request("POST", "/modalities/holmia/echo", b"{}") == {}
    assert orthanc.push("holmia")["FailedInstancesCount"] == 0
    node.holds_exactly(files)
    # again: it is acknowledged, and nothing is new
    assert orthanc.push("holmia")["FailedInstancesCount"] == 0
    node.wait_for(Kind.ASSOCIATION_CLOSED, 3)
    node.holds_exactly(files)


def test_orthanc_pushes_while_a_scanner_sends(orthanc, started, files, phantom: PhantomTreatment) -> None:
    node = started()
    orthanc.names("holmia", node.port)
    reports: list[SendReport] = []
    scanner = threading.Thread(
        target=lambda: reports.append(send_folder(phantom.folder, "127.0.0.1", node.port, pace_s=0.02, associations=2))
    )
    scanner.start()
    node.wait_for(Kind.INSTANCE_STORED)
    assert orthanc.push("holmia")["FailedInstancesCount"] == 0
    scanner.join(PATIENCE_S)
    assert [(report.sent, report.refused) for report in reports] == [(len(files), ())]
    node.holds_exactly(files)


def test_orthanc_pushes_compressed_without_loss_and_it_is_the_same_study(orthanc, started, files) -> None:
    node = started(compressed_transfer_syntaxes=True)
    orthanc.names("compressed", node.port)
    assert orthanc.push("compressed")["FailedInstancesCount"] == 0
    assert JPEG_LOSSLESS in {read_header(data).transfer_syntax_uid for data in node.objects().values()}
    node.holds_exactly(files)


def test_the_same_study_compressed_and_uncompressed_is_stored_once(orthanc, started, files, phantom) -> None:
    node = started(compressed_transfer_syntaxes=True)
    assert send_folder(phantom.reference, "127.0.0.1", node.port).refused == ()
    orthanc.names("both", node.port)
    assert orthanc.push("both")["FailedInstancesCount"] == 0
    assert len({read_header(data).transfer_syntax_uid for data in node.objects().values()}) == 2
    node.holds_exactly(files)


def test_orthanc_is_told_when_its_title_is_not_on_the_list(orthanc, started) -> None:
    node = started(calling_ae_titles=("SCANNER",))
    orthanc.names("closed", node.port)
    with pytest.raises(urllib.error.HTTPError) as refused:
        orthanc.push("closed")
    with refused.value as answer:
        assert answer.code == 500
    assert "calling AE title" in node.wait_for(Kind.ASSOCIATION_REFUSED)[0].payload["why"]
    assert node.objects() == {}
