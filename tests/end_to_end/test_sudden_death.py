"""kill −9 of any process at any moment: nothing that was acknowledged is lost, and no result is another."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import threading
from pathlib import Path

import pytest
from conftest import Imported
from holmia_processes import (
    assert_same_maps,
    events_of,
    free_port,
    listening,
    quantified,
    run_well,
    running,
    send,
    stored_uids,
    watching,
    without_software,
)
from pydicom import dcmread
from pynetdicom.association import Association

from console.demo.phantom_dicom import PhantomTreatment
from console.sending import SendError, SendProgress, dicom_files, send_folder
from dicom_listener.record import Record

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("sudden_death")]

OPERATOR = Path(__file__).with_name("operator_console.py")
PACE_S = 0.01


def sent_meanwhile(phantom: PhantomTreatment, port: int, *, stop_at: int) -> tuple[threading.Thread, threading.Event]:
    """Send the phantom in a thread, slowly; the event is set once `stop_at` instances are acknowledged."""
    reached = threading.Event()

    def count(done: int, _total: int) -> None:
        if done >= stop_at:
            reached.set()

    thread = threading.Thread(
        target=lambda: send(phantom.folder, port, pace_s=PACE_S, progress=count), name="sender", daemon=True
    )
    thread.start()
    return thread, reached


def mid_series(phantom: PhantomTreatment, series: Path) -> int:
    """How many instances have been sent when half of `series` has."""
    folders = phantom.series_folders
    before = sum(len(dicom_files(folder)) for folder in folders[: folders.index(series)])
    return before + len(dicom_files(series)) // 2


def cut_off(folder: Path, port: int, progress: SendProgress) -> bool:
    """Send to a listener that dies; whether the sender noticed. Nothing of its connection is held on to."""
    try:
        send_folder(folder, "127.0.0.1", port, progress=progress, timeout_s=10.0)
    except SendError:
        return True
    return False


def collect_dead_associations() -> None:
    """Of killed peers, here and not in the middle of another test."""
    for thread in threading.enumerate():
        if isinstance(thread, Association):
            thread.join(30)
    gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # pynetdicom leaves the sockets of a peer that died open
def test_a_killed_watch_and_a_killed_listener_start_again_lose_nothing_and_say_the_same(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # An exception that is logged keeps the dead peer's socket beyond the end of this test.
    caplog.set_level(logging.CRITICAL, logger="pynetdicom")
    file, port = tmp_path / "live.holmia", free_port()
    in_order = [path for folder in phantom.series_folders for path in dicom_files(folder)]
    uids = [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in in_order]
    with contextlib.ExitStack() as ended_at_last:
        with listening(file, phantom.plan_path, port=port) as (listener, _):
            first = ended_at_last.enter_context(watching(file))
            for folder in phantom.series_folders[:-1]:
                send(folder, port)
            first.until(lambda line: line["event"] == "fraction_result")
            first.kill()
            second = ended_at_last.enter_context(watching(file))
            second.until(lambda line: line["event"] == "fraction_result")  # it follows while the listener dies
            kill_at = mid_series(phantom, phantom.fractions[-1])
            acknowledged = 0

            def killing(done: int, _total: int) -> None:
                nonlocal acknowledged
                acknowledged = max(acknowledged, done)
                if done == kill_at:
                    listener.process.kill()

            assert cut_off(phantom.folder, port, killing)
            listener.process.wait(timeout=20)
            assert acknowledged == kill_at
        assert set(uids[:acknowledged]) <= stored_uids(file)
        assert len(stored_uids(file)) < len(uids)
        with listening(file, phantom.plan_path, port=port):
            send(phantom.folder, port)
            assert second.end() == 0, second.err
    collect_dead_associations()
    last = {line["fraction"]: line for line in second.of("fraction_result")}
    said = [{k: v for k, v in last[n].items() if k not in ("event", "latency_s")} for n in sorted(last)]
    assert said == imported.document["fractions"]
    stored = [e.payload["sop_instance_uid"] for e in events_of(file) if e.kind == "instance_stored"]
    assert sorted(stored) == sorted(uids)  # each once
    with Record.open(file, read_only=True) as record:
        record.verify()


def test_a_killed_operator_console_loses_nothing_that_it_showed(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path
) -> None:
    file = tmp_path / "live.holmia"
    command = [sys.executable, str(OPERATOR), str(file)]
    with listening(file, phantom.plan_path) as (_, port):
        sender, half = sent_meanwhile(phantom, port, stop_at=mid_series(phantom, phantom.fractions[1]))
        with running(command) as first:
            first.until(lambda line: line["fraction"] == 1)
            assert half.wait(60)
            first.kill()
        shown_before = [e for e in events_of(file) if e.kind == "result_shown"]
        assert shown_before
        with running(command) as second:
            sender.join(60)
            assert not sender.is_alive()
            assert second.end() == 0, second.err
    shown = [e for e in events_of(file) if e.kind == "result_shown"]
    assert shown[: len(shown_before)] == shown_before
    first_fraction = [e.payload["result"] for e in shown if e.payload["fraction"] == 1]
    assert first_fraction == [imported.document["fractions"][0]]  # shown once: the restart saw the same
    last = {e.payload["fraction"]: e.payload["result"] for e in shown}
    assert [last[n] for n in sorted(last)] == imported.document["fractions"]
    verified = run_well("replay", file, "--verify").err.splitlines()
    assert all("identical" in line for line in verified if line.startswith("RHA F"))
    assert without_software(quantified(file, tmp_path / "out")) == without_software(imported.document)
    assert_same_maps(tmp_path / "out", imported.out)
