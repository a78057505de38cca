"""A running Orthanc and its REST interface, for tests with a hospital's archive on the other side."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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

    def stored(self) -> dict[str, bytes]:
        """What it holds, as it gives it out, by SOP Instance UID."""
        instances = self.request("GET", "/instances?expand")
        return {i["MainDicomTags"]["SOPInstanceUID"]: self.file(i["ID"]) for i in instances}

    def file(self, identifier: str) -> bytes:
        """One instance as a Part-10 file."""
        with self._opener.open(f"{self.url}/instances/{identifier}/file", timeout=PATIENCE_S) as answer:
            data: bytes = answer.read()
            return data


@contextlib.contextmanager
def running(
    binary: str, new_folder: Callable[[], Path], free_port: Callable[[], int], **settings: Any
) -> Iterator[tuple[Orthanc, int]]:
    """Start it, and yield it with the port that takes associations; stop it at the end."""
    for _ in range(3):  # somebody else may take its ports before it does
        folder, port, dicom_port = new_folder(), free_port(), free_port()
        settled = {**configuration(folder, port, dicom_port), **settings}
        (folder / "orthanc.json").write_text(json.dumps(settled))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([binary, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
        made = Orthanc(port)
        if made.is_ready(process):
            break
    try:
        assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
        yield made, dicom_port
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
        "DicomModalitiesInDatabase": True,
        "ConcurrentJobs": 2,
        "JobsHistorySize": 10,
        "DicomScuTimeout": 30,
    }
