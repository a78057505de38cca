"""What the tests with other DICOM implementations share: their programs, a tiny phantom, a listener to send to."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.soak.listener_process import listener_on
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomTreatment, small_options, write_phantom
from console.sending import dicom_files
from dicom_listener.decoding import DecodingProcess
from dicom_listener.events import Event, Kind
from dicom_listener.instance_header import read_header
from dicom_listener.pixels import same_pixels
from dicom_listener.record import Record
from dicom_listener.same_content import same_content

PATIENCE_S = 60.0


class Node:
    """A listener in this process on a treatment file of its own, and what it holds."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.path = folder / "t.holmia"
        self._decoding = DecodingProcess()  # started when there is something to compare
        self._listener = listener_on(self.path, settings, self._decoding.same_pixels)
        self.port = self._listener.start()
        self._record = Record.open(self.path, read_only=True)

    def events(self, kind: Kind) -> list[Event]:
        return [event for event in self._record.events(limit=100_000) if event.kind == kind]

    def wait_for(self, kind: Kind, count: int = 1) -> list[Event]:
        deadline = time.monotonic() + PATIENCE_S
        while len(found := self.events(kind)) < count:
            assert time.monotonic() < deadline, f"no {kind}"
            time.sleep(0.02)
        return found

    def objects(self) -> dict[str, bytes]:
        """What is stored, by SOP Instance UID."""
        return {
            e.payload["sop_instance_uid"]: self._record.object_bytes(e.object_sha256 or "")
            for e in self.events(Kind.INSTANCE_STORED)
        }

    def holds_exactly(self, sent: dict[str, bytes]) -> None:
        """Each instance once, with the content that was sent, and nothing of it set aside."""
        assert len(self.events(Kind.INSTANCE_STORED)) == len(sent)
        held = self.objects()
        assert held.keys() == sent.keys()
        assert [uid for uid in sent if not same_content(held[uid], sent[uid], same_pixels=same_pixels)] == []
        assert self.events(Kind.INSTANCE_QUARANTINED) == []
        assert self.events(Kind.INSTANCE_REFUSED) == []

    def stop(self) -> None:
        self._listener.stop()
        self._decoding.close()
        self._record.verify()
        self._record.close()
        self._listener._record.close()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Start a listener with the settings given."""
    nodes: list[Node] = []

    def start(**settings: Any) -> Node:
        folder = tmp_path / f"node-{len(nodes)}"
        folder.mkdir()
        nodes.append(Node(folder, **settings))
        return nodes[-1]

    yield start
    for node in nodes:
        node.stop()


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Find a program of another implementation; without it the test is skipped, but fails where CI has set it up."""

    def find(name: str) -> str:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
        if path is None:
            missing = f"{name} is not installed (Debian packages dcmtk and orthanc; `make setup` installs them)"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
        return path

    return find


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> PhantomTreatment:
    """A treatment of a few tiny images: these tests are about carrying them, not about what they show."""
    tiny = AcquisitionOptions(
        shape=(3, 16, 16), spacing_mm=(50.0, 24.0, 24.0), echo_times_s=(0.0012, 0.005, 0.012), subsamples=1
    )
    options = small_options(n_tumours=2, fractions=1, acquisition=tiny, anatomy_spacing_mm=(65.0, 20.0, 20.0))
    return write_phantom(tmp_path_factory.mktemp("phantom") / "treatment", options)


@pytest.fixture(scope="session")
def files(phantom: PhantomTreatment) -> dict[str, bytes]:
    """Every file of the phantom by SOP Instance UID."""
    every = [path.read_bytes() for folder in phantom.series_folders for path in dicom_files(folder)]
    return {read_header(data).sop_instance_uid: data for data in every}


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A port that was free a moment ago."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find
