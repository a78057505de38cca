"""Orthanc as a hospital's archive: it pushes a study, whole, again, beside another sender, and compressed."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.demo.phantom_dicom import PhantomTreatment
from console.demo.scanner import SendReport, send_folder
from dicom_listener.events import Kind
from dicom_listener.instance_header import read_header

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("orthanc")]

PATIENCE_S = 60.0
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


class Orthanc:
    """Its REST interface."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        # No proxy of the environment between this machine and itself.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, method: str, path: str, body: bytes | None = None) -> Any:
        asked = urllib.request.Request(f"{self.url}{path}", data=body, method=method)
        with self._opener.open(asked, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until it answers; False if it ends instead."""
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None:
            try:
                self.request("GET", "/system")
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < deadline, "Orthanc does not answer"
                time.sleep(0.05)
            else:
                return True
        return False

    def names(self, modality: str, port: int, **more: Any) -> None:
        """Tell it of a node to send to."""
        told = {"AET": "HOLMIA", "Host": "127.0.0.1", "Port": port, **more}
        self.request_without_answer("PUT", f"/modalities/{modality}", json.dumps(told).encode())

    def request_without_answer(self, method: str, path: str, body: bytes) -> None:
        asked = urllib.request.Request(f"{self.url}{path}", data=body, method=method)
        with self._opener.open(asked, timeout=PATIENCE_S):
            pass

    def push(self, modality: str, **how: Any) -> dict[str, Any]:
        """Send every study; it has to succeed."""
        asked = {"Resources": self.request("GET", "/studies"), "Synchronous": True, "Timeout": 30, **how}
        answer: dict[str, Any] = self.request("POST", f"/modalities/{modality}/store", json.dumps(asked).encode())
        return answer


@pytest.fixture(scope="module")
def orthanc(
    program: Callable[[str], str],
    free_port: Callable[[], int],
    files: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Orthanc]:
    """An Orthanc that holds the phantom's study."""
    binary = program("Orthanc")
    for _ in range(3):  # somebody else may take its ports before it does
        folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
        (folder / "orthanc.json").write_text(json.dumps(configuration(folder, port, free_port())))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([binary, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
        made = Orthanc(port)
        if made.is_ready(process):
            break
    try:
        assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
        for data in files.values():
            assert made.request("POST", "/instances", data)["Status"] == "Success"
        yield made
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=20)


def configuration(folder: Path, http_port: int, dicom_port: int) -> dict[str, Any]:
    return {
        "Name": "peer",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpDescribeErrors": True,
        "Plugins": [],
        # It keeps images compressed, and decompresses them for a node that takes nothing else.
        "IngestTranscoding": JPEG_LOSSLESS,
        "DicomModalitiesInDatabase": True,
        "ConcurrentJobs": 2,
        "JobsHistorySize": 10,
        "DicomScuTimeout": 30,
    }


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
