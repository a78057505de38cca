"""The engine's process: tells what the file holds, is replaced when it dies, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.plan import load_plan
from config.settings import load_settings
from console.engine_process import EngineProcess
from console.replaying import LONGEST_SILENCE_S
from console.snapshot import Snapshot
from console.tasks import Computing, Following, Progress, Reached, Refused, Replaying, Task, Verifying
from console.verify import Verification
from dicom_listener.events import Kind
from dicom_listener.record import Record

PATIENCE_S = 60.0
NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
PLAN = """
schema = 1
time_zone = "Europe/Amsterdam"
[patient]
id = "P1"
[microspheres]
holmium_fraction = 0.195
specific_activity_MBq_per_mg = 12.0
reference_time = 2026-03-04T10:00:00
[calibration]
relaxivity_per_s_per_mg_mL = 218.0
field_T = 3.0
holmium_fraction = 0.195
[[injections]]
position = "RHA"
fraction = 1
planned_MBq = 430.0
"""


@pytest.fixture
def file(tmp_path) -> Path:
    """A treatment of a plan and two notes a minute apart; no image, so that nothing takes long."""
    plan_path, path = tmp_path / "plan.toml", tmp_path / "t.holmia"
    plan_path.write_text(PLAN, encoding="utf-8")
    settings = load_settings()
    plan = load_plan(plan_path, site_time_zone="Europe/Amsterdam")
    payload = {
        "plan": plan.to_mapping(),
        "sha256": plan.sha256,
        "settings": {"quantification": settings.quantification.to_mapping(), "alarms": settings.alarms.to_mapping()},
        "time_zone": "Europe/Amsterdam",
    }
    with Record.create(path) as record:
        record.append(Kind.TREATMENT_CREATED, {"software_version": "test"}, actor="test", utc=NINE)
        record.append(Kind.PLAN_LOADED, payload, actor="test", utc=NINE)
        for minute in (1, 2):
            at = NINE + timedelta(minutes=minute)
            record.append(Kind.NOTE, {"text": f"after {minute} min"}, actor="test", utc=at)
    return path


class Told:
    """What the process told so far."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.moments: list[Reached] = []

    def until(self, wanted) -> Snapshot:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = [s for s in self.snapshots if wanted(s)]
            if found:
                return found[-1]
            time.sleep(0.01)
        raise AssertionError(f"not told within {PATIENCE_S:g} s: {len(self.snapshots)} snapshots")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def engine(file, told) -> Iterator[EngineProcess]:
    made = EngineProcess(Following(path=file, minimum_free_mb=0.0), on_snapshot=told.snapshots.append)
    made.start()
    yield made
    made.stop()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_follows_is_replaced_when_it_dies_and_leaves_nothing(engine, file, told):
    assert told.until(lambda s: s.head_seq >= 4).plan.patient.id == "P1"
    with Record.open(file) as record:
        record.append(Kind.NOTE, {"text": "live"}, actor="test", utc=NINE)
    told.until(lambda s: any(e.payload.get("text") == "live" for e in s.events))
    assert engine.failure == ""

    first = engine.pid
    os.kill(first, signal.SIGKILL)  # started by this test
    told.snapshots.clear()
    told.until(lambda s: any(e.payload.get("text") == "live" for e in s.events))
    assert "signal 9" in engine.failure
    assert engine.pid != first

    second = engine.pid
    engine.stop()
    assert not _runs(second)
    assert not any(thread.name == "holmia-engine" for thread in threading.enumerate())


def test_a_stop_while_it_is_being_started_again_leaves_no_process(engine, monkeypatch):
    begin, reached = engine._begin, threading.Event()

    def begin_late() -> None:
        reached.set()
        engine._stopping.wait(PATIENCE_S)
        begin()

    monkeypatch.setattr(engine, "_begin", begin_late)
    os.kill(engine.pid, signal.SIGKILL)  # started by this test
    assert reached.wait(PATIENCE_S)
    engine.stop()
    assert not _runs(engine.pid)
    assert not any(thread.name == "holmia-engine" for thread in threading.enumerate())


def test_why_nothing_more_is_computed_is_told(tmp_path, told, monkeypatch):
    monkeypatch.setattr("console.engine_process._RESTARTS", 0)
    engine = EngineProcess(Following(path=tmp_path / "gone.holmia", minimum_free_mb=0.0), on_snapshot=print)
    assert not engine.ended, "it has not begun"
    engine.start()
    engine._thread.join(PATIENCE_S)
    assert engine.ended
    engine.stop()
    assert not engine.ended, "somebody stopped it"
    assert "gone.holmia does not exist" in engine.failure
    assert "nothing more is computed" in engine.failure


def test_a_window_that_cannot_take_a_snapshot_is_told_the_next_one_all_the_same(file):
    taken = []

    def take(snapshot: Snapshot) -> None:
        taken.append(snapshot)
        raise RuntimeError("no window")

    engine = EngineProcess(Following(path=file, minimum_free_mb=0.0), on_snapshot=take)
    engine._hand_on(Snapshot())
    engine._hand_on(Snapshot(head_seq=1))
    assert [snapshot.head_seq for snapshot in taken] == [0, 1]
    assert "no window" in engine.failure


def test_a_replay_keeps_the_pauses_stands_still_when_halted_and_records_nothing(file, told, monkeypatch):
    with Record.open(file, read_only=True) as record:
        before = record.head()
    monkeypatch.chdir(file.parent)
    task = Replaying(path=Path(file.name), speed=60.0)  # as it is named on a command line
    replay = EngineProcess(task, on_snapshot=told.snapshots.append, on_moment=told.moments.append)
    replay.start()
    replay.pause(True)
    try:
        time.sleep(1.0)
        os.kill(replay.pid, signal.SIGKILL)  # started by this test; the next one stands still too
        time.sleep(3.0)
        assert not any("after 1 min" in str(e.payload) for s in told.snapshots for e in s.events)
        replay.pause(False)
        told.until(lambda s: any(e.payload.get("text") == "after 2 min" for e in s.events))
    finally:
        replay.stop()
    times = [own.at for own in told.moments]
    assert times == sorted(times)
    assert times[-1] >= NINE + timedelta(minutes=2)
    assert told.moments[-1].ended
    with Record.open(file, read_only=True) as record:
        assert record.head() == before


class Watched(Told):
    """A replay, told."""

    def __init__(self, task: Replaying) -> None:
        super().__init__()
        self.reached: list[Reached] = []
        self.process = EngineProcess(task, on_snapshot=self.snapshots.append, on_moment=self.reached.append)

    def until_at(self, seq: int, *, since: int = 0) -> Reached:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = [own for own in self.reached[since:] if own.seq == seq]
            if found:
                return found[0]
            time.sleep(0.01)
        raise AssertionError(f"event {seq} was not reached: {self.reached[-3:]}")


@pytest.fixture
def replay(file) -> Iterator[Watched]:
    watched = Watched(Replaying(path=file, speed=1.0))
    watched.process.pause(True)
    watched.process.start()
    yield watched
    watched.process.stop()


def test_a_jump_shows_that_moment_and_nothing_after_it_forth_and_back_and_time_passes_as_asked(replay):
    replay.process.jump(999)  # beyond either end is to that end
    assert replay.until_at(4) == Reached(seq=4, at=NINE + timedelta(minutes=2), ended=True)
    assert replay.snapshots[-1].head_seq == 4
    for seq in (3, 1, 4, 2):
        since, before = len(replay.reached), len(replay.snapshots)
        replay.process.jump(seq)
        assert replay.until_at(seq, since=since).ended == (seq == 4)
        assert all(s.head_seq <= seq for s in replay.snapshots[before:])
        assert replay.snapshots[-1].head_seq == seq
        assert (replay.snapshots[-1].plan is None) == (seq == 1)
    since = len(replay.reached)
    replay.process.jump(-7)
    assert replay.until_at(1, since=since).at == NINE
    since = len(replay.reached)
    replay.process.jump(3)
    began = replay.until_at(3, since=since)
    replay.process.pause(False)  # ×1: the next event is a minute away
    time.sleep(1.0)
    slow = replay.reached[-1]
    assert slow.seq == 3
    assert timedelta(0) < slow.at - began.at < timedelta(seconds=5)
    since = len(replay.reached)
    replay.process.set_speed(600.0)
    assert replay.until_at(4, since=since).ended


def test_a_what_if_is_the_same_events_with_other_settings_waits_for_no_long_silence_and_records_nothing(file):
    with Record.open(file) as record:
        record.append(Kind.NOTE, {"text": "next day"}, actor="test", utc=NINE + timedelta(days=1))
        before = record.head()
    key = "quantification.tissue_density_g_per_mL"
    watched = Watched(Replaying(path=file, speed=2.0 * LONGEST_SILENCE_S, overrides={key: 1.2}))
    watched.process.start()
    try:
        assert watched.until_at(5).at >= NINE + timedelta(days=1)
    finally:
        watched.process.stop()
    assert watched.snapshots[-1].settings.quantification.tissue_density_g_per_ml == 1.2
    assert watched.snapshots[-1].overrides == {key: 1.2}
    with Record.open(file, read_only=True) as record:
        assert record.head() == before


def _all_told(task: Task, enough) -> list[object]:
    """What a task tells, snapshots included, until `enough` is among it."""
    heard: list[object] = []
    process = EngineProcess(task, on_snapshot=heard.append, on_told=heard.append)
    process.start()
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not any(enough(own) for own in heard):
            assert time.monotonic() < deadline, heard
            time.sleep(0.01)
    finally:
        process.stop()
    return heard


def test_verifying_and_computing_tell_how_far_they_are_and_what_came_of_it(file):
    heard = _all_told(Verifying(path=file), lambda own: isinstance(own, Verification))
    assert heard[-1].head_seq == 4
    assert Progress(done=4, of=4) in heard
    heard = _all_told(Computing(path=file), lambda own: isinstance(own, Snapshot))
    assert heard[-1].head_seq == 4


def test_what_cannot_be_computed_is_refused_in_a_sentence(file):
    task = Computing(path=file, overrides={"quantification.tissue_density_g_per_mL": -1.0})
    heard = _all_told(task, lambda own: isinstance(own, Refused))
    assert "tissue_density_g_per_mL" in heard[-1].text
    assert not any(isinstance(own, Snapshot) for own in heard)
