"""Files of earlier versions open, replay and are computed; what has changed since is said."""

from __future__ import annotations

import lzma
import shutil
import threading
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from console.computed import computed
from console.engine import Engine
from console.outputs.results import fraction_document
from console.outputs.wording import software_version
from console.provenance import provenance
from console.reader import InThisProcess, RememberingReader
from console.replaying import Replay, ReplayOrders
from console.snapshot import Snapshot
from console.tasks import Reached
from console.verify import recomputed
from console.versions import CHANGES, recorded_by, told
from dicom_listener.events import Kind
from dicom_listener.record import Record

OLD = Path(__file__).parent.parent / "data" / "version-0.1.0.holmia.xz"
"""A treatment of the phantom as version 0.1.0 recorded it, results that it showed included."""


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("old") / "old.holmia"
    with lzma.open(OLD) as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return path


def test_a_file_of_version_0_1_gives_the_doses_that_it_showed_and_says_what_changed(old):
    with Record.open(old, read_only=True) as record:
        snapshot = computed(record)
        events = [event for event in record.events(0, 999) if event.kind == Kind.RESULT_SHOWN]
        sentences = told(recorded_by(record), software_version())
    assert [result.label for result in snapshot.results] == ["RHA F1", "RHA F2"]
    assert snapshot.damage is None, "every event can be read"
    for event, result in zip(events, snapshot.results, strict=True):
        was = event.payload
        now = fraction_document(result, ZoneInfo("Europe/Amsterdam"))
        for name, volume in was["result"]["volumes"].items():
            assert now["volumes"][name]["dose_mean_Gy"] == pytest.approx(volume["dose_mean_Gy"], rel=1e-5)
            assert now["volumes"][name]["volume_mL"] == pytest.approx(volume["volume_mL"], rel=1e-5)
            assert volume.keys() <= now["volumes"][name].keys()
        found = recomputed(event, {**was, "result": now}, provenance())
        assert f"shown by version 0.1.0, recomputed by {software_version()}" in found.detail
    (sentence,) = sentences
    assert sentence.startswith(f"Recorded by version 0.1.0; computed here by {software_version()}. Changed since: ")
    assert "lower bound" in sentence


def test_after_a_jump_the_results_of_that_moment_stand_and_no_others(old):
    stopping = threading.Event()
    orders = ReplayOrders(stopping=stopping, paused=threading.Event())
    orders.paused.set()
    snapshots: list[Snapshot] = []
    there: list[tuple[int, list[str]]] = []
    to = [26, 23, 21, 26]
    """After what was shown of the second fraction, of the first, before both."""

    def tell(message: object) -> None:
        if isinstance(message, Reached):
            there.append((message.seq, [result.label for result in snapshots[-1].results]))
            if to:
                orders.jumps.put(to.pop(0))
            else:
                stopping.set()

    orders.jumps.put(to.pop(0))
    with Record.open(old, read_only=True) as record:
        engine = Engine(reader=RememberingReader(InThisProcess()), read_again=True)
        Replay(
            record=record,
            engine=engine,
            orders=orders,
            tell=tell,
            on_snapshot=snapshots.append,
            flush=lambda: None,
        ).run()
    one, both = ["RHA F1"], ["RHA F1", "RHA F2"]
    assert there == [(26, both), (23, one), (21, one), (26, both)]


@pytest.mark.parametrize(
    ("versions", "here", "expected"),
    [
        ((), "0.2.0", ()),
        (("0.2.0",), "0.2.0", ()),
        (("0.1.0", "0.2.0"), "0.2.0", ("Recorded by version 0.1.0; computed here by 0.2.0. Changed since: ",)),
        (("0.2.0",), "0.10.0", ("Recorded by version 0.2.0; computed here by 0.10.0.",)),
        (("0.10.0",), "0.2.0", ("Recorded by the newer version 0.10.0; computed here by 0.2.0",)),
        (
            ("0.1.0", "0.3.0"),
            "0.2.0",
            ("Recorded by version 0.1.0; computed here by 0.2.0", "Recorded by the newer version 0.3.0"),
        ),
    ],
)
def test_another_version_is_named_and_the_own_one_is_not(versions, here, expected):
    sentences = told(versions, here)
    assert len(sentences) == len(expected)
    for sentence, start in zip(sentences, expected, strict=True):
        assert sentence.startswith(start)


def test_the_present_version_says_what_it_changed():
    assert software_version() in CHANGES
