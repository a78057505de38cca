"""DCMTK's senders as scanners and archives use them: other limits, several associations, compressed files, aborts."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_listener.events import Kind
from dicom_listener.instance_header import read_header

pytestmark = pytest.mark.network

PATIENCE_S = 60


@pytest.fixture
def run(program) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run one of DCMTK's programs to its end."""

    def done(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [program(name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    return done


def test_storescu_and_dcmsend_at_once_store_each_instance_once(run, started, files, phantom) -> None:
    node = started()
    done: list[subprocess.CompletedProcess[str]] = []
    to = ("-aec", "HOLMIA", "+sd", "+r", "+sp", "*.dcm", "127.0.0.1", node.port, phantom.folder)
    senders = [("storescu", *to), ("dcmsend", *to), ("dcmsend", "+ma", *to)]
    threads = [threading.Thread(target=lambda s=sender: done.append(run(*s))) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert [(process.returncode, process.stderr) for process in done] == [(0, "")] * 3
    node.holds_exactly(files)


@pytest.mark.parametrize("limits", [("-pdu", 4096), ("-pdu", 131072), ("--max-send-pdu", 4096)], ids=str)
def test_any_length_of_pdu_will_do(run, started, files, phantom, limits) -> None:
    node = started()
    sent = run("storescu", *limits, "-aec", "HOLMIA", "+sd", "+r", "127.0.0.1", node.port, phantom.reference)
    assert sent.returncode == 0, sent.stderr
    assert len(node.objects()) == 9


@pytest.mark.parametrize(
    ("compress", "propose"), [("dcmcjpeg", "-xs"), ("dcmcjpls", "-xt"), ("dcmcrle", "-xr")], ids=lambda name: name
)
def test_compressed_without_loss_is_the_same_instance(
    run, started, phantom, tmp_path: Path, compress: str, propose: str
) -> None:
    original = min(phantom.reference.iterdir())
    compressed = tmp_path / "compressed.dcm"
    made = run(compress, original, compressed)
    assert made.returncode == 0, made.stderr
    open_to_both, closed = started(compressed_transfer_syntaxes=True), started()
    for path, option in ((compressed, propose), (original, "-xe")):
        sent = run("storescu", option, "-aec", "HOLMIA", "127.0.0.1", open_to_both.port, path)
        assert sent.returncode == 0, sent.stderr
    syntax = read_header(compressed.read_bytes()).transfer_syntax_uid
    assert [read_header(data).transfer_syntax_uid for data in open_to_both.objects().values()] == [syntax]
    open_to_both.holds_exactly({read_header(original.read_bytes()).sop_instance_uid: original.read_bytes()})
    refused = run("storescu", "-R", propose, "-aec", "HOLMIA", "127.0.0.1", closed.port, compressed)
    assert refused.returncode != 0
    assert closed.objects() == {}


def test_an_aborted_sender_has_what_was_acknowledged_recorded(run, started, phantom) -> None:
    node = started()
    run("storescu", "--abort", "-aec", "HOLMIA", "+sd", "+r", "127.0.0.1", node.port, phantom.reference)
    (closed,) = node.wait_for(Kind.ASSOCIATION_CLOSED)
    assert closed.payload["how"] == "aborted"
    assert closed.payload["instances"] == len(node.objects()) == 9


@pytest.mark.parametrize(
    ("sender", "called", "calling"),
    [
        ("storescu", "Called AE Title Not Recognized", "Calling AE Title Not Recognized"),
        ("dcmsend", "Rejected", "Rejected"),
    ],
)
def test_a_sender_is_told_that_it_is_rejected(run, started, phantom, sender: str, called: str, calling: str) -> None:
    node = started(calling_ae_titles=("MR1",))
    to = ("127.0.0.1", node.port, min(phantom.reference.iterdir()))
    assert called in run(sender, "-aet", "MR1", "-aec", "NOBODY", *to).stderr
    assert calling in run(sender, "-aet", "MR2", "-aec", "HOLMIA", *to).stderr
    assert node.objects() == {}
    assert run(sender, "-aet", "MR1", "-aec", "HOLMIA", *to).returncode == 0
