"""Live, replay and import are one path: the same images and actions give the same results, however they came."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Imported, coarse_options
from holmia_processes import (
    PATIENCE_S,
    assert_same_maps,
    events_of,
    listening,
    quantified,
    run,
    run_well,
    running,
    send,
    watching,
    without_software,
    without_uids,
)
from holmia_processes import map_arrays as read_maps

from console.demo.phantom_dicom import PhantomTreatment, write_phantom
from console.engine import Engine
from console.outputs.nifti import map_arrays
from console.outputs.results import results_document
from console.session import Session
from console.shell import now
from console.snapshot import Snapshot
from dicom_listener.record import Record

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("one_path")]

OPERATOR = Path(__file__).with_name("operator_console.py")


@contextlib.contextmanager
def in_background(work: Callable[[], object]) -> Iterator[None]:
    """Run `work` meanwhile; its failure is the test's."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    yield
    thread.join(timeout=PATIENCE_S)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


def followed(file: Path) -> Snapshot:
    """What an engine knows that follows the file while it grows, when every injection has a result."""
    latest = Snapshot()

    def keep(snapshot: Snapshot) -> None:
        nonlocal latest
        latest = snapshot

    deadline = now().timestamp() + PATIENCE_S
    with Record.open(file, read_only=True) as record:
        session = Session(record=record, engine=Engine(), clock=now, on_snapshot=keep)
        session.run(lambda: latest.complete or now().timestamp() > deadline)
    assert latest.complete
    return latest


def test_live_listened_and_imported_give_equal_results(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path
) -> None:
    file, out = tmp_path / "live.holmia", tmp_path / "out"
    with (
        listening(file, phantom.plan_path) as (_, port),
        in_background(lambda: send(phantom.folder, port, pace_s=0.002)),
    ):
        live = followed(file)
    expected = without_software(imported.document)
    assert [f["status"] for f in expected["fractions"]] == ["ok", "ok"]
    assert without_software(json.loads(json.dumps(results_document(live)))) == expected
    assert without_software(quantified(file, out)) == expected
    assert_same_maps(out, imported.out)
    written = read_maps(out)
    shown = {
        f"{name}_{result.position}_f{result.fraction}.nii.gz": values
        for result in live.results
        for name, (values, _) in map_arrays(result).items()
    }
    assert shown.keys() == written.keys()
    for name, values in shown.items():
        np.testing.assert_array_equal(values, written[name], err_msg=name)


def test_folder_and_treatment_file_give_equal_results(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path
) -> None:
    document = quantified(phantom.folder, tmp_path / "out", "--plan", phantom.plan_path, own_process=True)
    assert without_software(document) == without_software(imported.document)
    assert_same_maps(tmp_path / "out", imported.out)


def test_what_the_operator_saw_is_recomputed_identically_and_a_number_that_differs_is_told(
    phantom: PhantomTreatment, tmp_path: Path
) -> None:
    file = tmp_path / "live.holmia"
    with (
        listening(file, phantom.plan_path) as (_, port),
        running([sys.executable, str(OPERATOR), str(file)]) as console,
    ):
        send(phantom.folder, port)
        assert console.end() == 0, console.err
    assert [e.payload["fraction"] for e in events_of(file) if e.kind == "result_shown"][-1] == 2
    verified = run_well("replay", file, "--verify")
    verdicts = [line for line in verified.err.splitlines() if line.startswith("RHA F")]
    assert len(verdicts) >= 2
    assert all("identical" in line for line in verdicts)
    shown = [e for e in events_of(file) if e.kind == "result_shown"][-1]
    payload = json.loads(json.dumps(shown.payload))
    payload["result"]["volumes"]["Tumour 1"]["dose_mean_Gy"] *= 1.01
    with Record.open(file) as record:
        record.append("result_shown", payload, actor="console", utc=now())
    verified = run("replay", file, "--verify")
    assert verified.status == 1
    assert sum("different" in line and "dose_mean_Gy" in line for line in verified.err.splitlines()) == 1


def test_results_do_not_depend_on_the_order_of_arrival(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path
) -> None:
    """Shuffled, and over two associations at once: each alone is a part of that."""
    file = tmp_path / "live.holmia"
    with listening(file, phantom.plan_path) as (_, port), watching(file) as watch:
        send(phantom.folder, port, order="shuffled", seed=3, associations=2)
        assert watch.end() == 0, watch.err
    assert without_software(quantified(file, tmp_path / "out")) == without_software(imported.document)
    assert_same_maps(tmp_path / "out", imported.out)


def test_results_do_not_depend_on_the_order_of_series(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path
) -> None:
    file = tmp_path / "live.holmia"
    with listening(file, phantom.plan_path) as (_, port):
        for folder in reversed(phantom.series_folders):
            send(folder, port)
    assert without_software(quantified(file, tmp_path / "out")) == without_software(imported.document)


def test_a_series_per_echo_gives_the_same_results(imported: Imported, tmp_path: Path) -> None:
    written = write_phantom(tmp_path / "per_echo", coarse_options(series_per_echo=True))
    file = tmp_path / "live.holmia"
    with listening(file, written.plan_path) as (_, port):
        send(written.folder, port, order="shuffled", associations=2)
    assert without_uids(quantified(file, tmp_path / "out")) == without_uids(imported.document)
    assert_same_maps(tmp_path / "out", imported.out)


def test_sending_everything_twice_changes_nothing(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path
) -> None:
    file = tmp_path / "live.holmia"
    with listening(file, phantom.plan_path) as (_, port):
        send(phantom.folder, port)
        once = sum(e.kind == "instance_stored" for e in events_of(file))
        send(phantom.folder, port)
        assert sum(e.kind == "instance_stored" for e in events_of(file)) == once
    assert without_software(quantified(file, tmp_path / "out")) == without_software(imported.document)
