"""A replay's window over an engine that is told what to tell: what is asked of it, and what is shown meanwhile."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtTest import QTest
from test_tuning import DENSITY, LOADED, THRESHOLD

from config.plan import load_plan
from config.settings import load_settings
from console.dashboard import replay as replay_module
from console.dashboard.replay import ReplayDashboard
from console.dashboard.screen.view import (
    AcknowledgeAlarms,
    JumpToPlace,
    LeaveWhatIf,
    OpenTool,
    SetSpeed,
    StepTick,
    TakeSnapshot,
    TogglePause,
    Tool,
)
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import small_options, write_phantom
from console.demo.phantom_headers import Flavour
from console.engine import Engine
from console.operations import TapEvent
from console.provenance import provenance
from console.session import Session
from console.snapshot import Snapshot
from console.tasks import Progress, Reached
from console.timeline import TickKind
from dicom_listener.events import Kind
from dicom_listener.record import Record

NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
ZONE = "Europe/Amsterdam"
PATIENCE_S = 60.0


class Stand:
    """Stands for the engine's process."""

    made: list[Stand]

    def __init__(self, task, *, on_snapshot, on_moment, on_told) -> None:
        self.task, self.asked, self.failure, self.ended = task, [], "", False
        self._snapshot, self._moment, self._told = on_snapshot, on_moment, on_told
        self.pid = len(type(self).made) + 1
        self.stopped = threading.Event()
        type(self).made.append(self)

    def start(self):
        self.asked.append("start")

    def pause(self, paused):
        self.asked.append(("pause", paused))

    def set_speed(self, speed):
        self.asked.append(("speed", speed))

    def jump(self, seq):
        self.asked.append(("jump", seq))

    def stop(self):
        self.stopped.set()

    def tell(self, seq, *, ended=False, **known):
        """A snapshot and its moment, as the engine tells them."""
        self._snapshot(Snapshot(head_seq=seq, overrides=self.task.overrides, **known))
        self._moment(Reached(seq=seq, at=NINE + timedelta(minutes=seq), ended=ended))
        QCoreApplication.processEvents()

    def tell_progress(self, done, of):
        self._told(Progress(done=done, of=of))
        QCoreApplication.processEvents()


@pytest.fixture
def replay(qtbot, tmp_path, monkeypatch):
    path = tmp_path / "t.holmia"
    with Record.create(path) as record:
        record.append(Kind.TREATMENT_CREATED, {"software_version": "0.0.9"}, actor="t", utc=NINE)
        record.append(Kind.PLAN_LOADED, LOADED, actor="t", utc=NINE)
        for minute in (1, 2, 3):
            note = {"text": f"note {minute}"}
            record.append(Kind.NOTE, note, actor="t", utc=NINE + timedelta(minutes=minute))
    Stand.made = []
    monkeypatch.setattr(replay_module, "EngineProcess", Stand)
    made = ReplayDashboard(path, speed=10.0)
    qtbot.addWidget(made.dashboard.window)
    made.start(show=False)
    for _ in range(500):
        if made.played.timeline.seqs:
            break
        QTest.qWait(10)
    Stand.made[0].tell(2)
    yield made
    made.stop()
    assert all(engine.stopped.is_set() for engine in Stand.made)


def drawn(replay):
    return replay.dashboard.window.screen_drawn


def test_play_speed_and_ticks_are_asked_of_the_engine(replay):
    (engine,) = Stand.made
    for action in (TogglePause(), SetSpeed(speed=60.0), StepTick(by=1), StepTick(by=1), StepTick(by=-1)):
        replay.dashboard.act(action)
    assert engine.asked == [
        ("pause", False), "start", ("pause", True), ("speed", 60.0), ("jump", 3), ("jump", 4), ("jump", 3),
    ]  # fmt: skip
    assert drawn(replay).replay.play.words == "PLAY"
    engine.tell(3)
    assert replay.played.jump is None
    replay.dashboard.act(JumpToPlace(place=1.0))
    assert engine.asked[-1] == ("jump", 5)


def test_the_clock_and_the_numbers_change_together(replay):
    (engine,) = Stand.made
    replay.jump(4)
    engine.tell(3)  # what it was at when it was asked
    engine.tell_progress(1, 4)
    assert drawn(replay).header.clock == "09:02:00"
    assert "25 % read" in drawn(replay).badge.text
    assert replay.dashboard.snapshot.head_seq == 2
    engine.tell(4)
    assert drawn(replay).header.clock == "09:04:00"
    assert replay.dashboard.snapshot.head_seq == 4
    assert "NOT CURRENT" not in drawn(replay).badge.text


def test_a_jump_beyond_what_the_engine_has_read_ends_at_its_end(replay):
    (engine,) = Stand.made
    replay.jump(5)
    engine.tell(4)
    assert replay.played.jump is not None
    engine.tell(4, ended=True)
    assert replay.played.jump is None
    assert (replay.played.seq, replay.at_end) == (4, True)


def test_other_settings_are_another_engine_at_the_same_moment_and_the_way_back_is_one_too(replay):
    first = Stand.made[0]
    replay.dashboard.act(TogglePause())
    assert "expected" in replay.compute_with({THRESHOLD: -1})
    assert len(Stand.made) == 1, "refused before anything is computed"
    assert replay.compute_with({DENSITY: 1.1}) == ""
    second = Stand.made[1]
    assert first.stopped.wait(5.0)
    assert second.asked == [("pause", True), "start", ("jump", 2)]
    first.tell(2)
    assert drawn(replay).glance_title.text == "✕ NOT CURRENT", "what the other engine tells is not of these settings"
    second.tell(2)
    assert drawn(replay).header.what_if
    assert drawn(replay).glance_title.text != "✕ NOT CURRENT"
    replay.dashboard.act(LeaveWhatIf())
    assert drawn(replay).glance_title.text == "✕ NOT CURRENT"
    second.tell(2)
    assert drawn(replay).glance_title.text == "✕ NOT CURRENT"
    Stand.made[2].tell(2)
    assert Stand.made[2].task.overrides == {}
    assert not drawn(replay).header.what_if


def test_an_engine_that_was_started_again_is_sent_to_where_it_was(replay):
    (engine,) = Stand.made
    engine.tell(4)
    engine.pid = 99
    replay.dashboard.ticked.emit()
    assert engine.asked[-1] == ("jump", 4)
    assert drawn(replay).glance_title.text == "✕ NOT CURRENT"
    engine.tell(1)
    assert replay.dashboard.snapshot.head_seq == 4
    engine.tell(4)
    assert replay.played.jump is None


def test_an_engine_that_has_ended_leaves_no_current_numbers(replay):
    (engine,) = Stand.made
    engine.ended, engine.failure = True, "It ended 4 times."
    replay.dashboard.redraw()
    assert drawn(replay).badge.text == "✕ NOT CURRENT: It ended 4 times."
    engine.ended = False


def test_a_file_of_another_version_says_so_until_it_has_been_read(replay):
    assert drawn(replay).news.text.startswith("Recorded by version 0.0.9")
    assert any("Recorded by version 0.0.9" in cell.text for cell in drawn(replay).status)
    replay.played = replace(replay.played, fault="x")
    replay.dashboard.redraw()
    assert drawn(replay).replay.words.word == "x"


# -- a whole replay ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A treatment of one fraction as an operator's console recorded it, on the smallest grid, minutes apart."""
    protocol = AcquisitionOptions(
        shape=(10, 30, 45), spacing_mm=(17.0, 8.7, 8.7), echo_times_s=(0.0012, 0.003, 0.006), subsamples=1
    )
    root = tmp_path_factory.mktemp("replayed")
    options = small_options(
        flavour=Flavour.PHILIPS_ENHANCED, n_tumours=2, fractions=1, acquisition=protocol, saturating_tumour=None
    )
    phantom = write_phantom(root / "p", options)
    plan, settings = load_plan(phantom.plan_path, site_time_zone=ZONE), load_settings()
    path, minute = root / "shown.holmia", 0
    with Record.create(path) as record:
        payload = {
            "plan": plan.to_mapping(),
            "sha256": plan.sha256,
            "settings": {
                "quantification": settings.quantification.to_mapping(),
                "alarms": settings.alarms.to_mapping(),
            },
            "time_zone": ZONE,
        }
        record.append(Kind.TREATMENT_CREATED, {"software_version": "0.0.9"}, actor="t", utc=NINE)
        record.append(Kind.PLAN_LOADED, payload, actor="t", utc=NINE)
        now = NINE
        session = Session(
            record=record, engine=Engine(), clock=lambda: now, operator=True, provenance=provenance().to_mapping()
        )
        seen = 0
        for folder in phantom.series_folders[1:]:  # without the anatomy: it shows nothing that is tested here
            minute += 10
            now = NINE + timedelta(minutes=minute)
            for one in sorted(folder.rglob("*.dcm")):
                stored = {"association": folder.name, "series_instance_uid": folder.name, "modality": "MR"}
                record.append(Kind.INSTANCE_STORED, stored, actor="listener", utc=now, data=one.read_bytes())
            closed = {"association": folder.name, "how": "released"}
            record.append(Kind.ASSOCIATION_CLOSED, closed, actor="listener", utc=now)
            while batch := record.events(seen):
                session.take(batch)
                seen = batch[-1].seq
    return path


def until(told) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not told():
        assert time.monotonic() < deadline, "not within the time"
        QTest.qWait(10)


def doses(replay: ReplayDashboard) -> dict[str, float]:
    last = replay.dashboard.snapshot.results[-1]
    return {name: own.dose_mean_gy for name, own in last.volumes.items()}


def test_a_replay_goes_back_and_forth_and_verifies_and_leaves_the_file_as_it_is(qtbot, file):
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    replay = ReplayDashboard(file, speed=60.0)
    board, drawn = replay.dashboard, lambda: replay.dashboard.window.screen_drawn
    qtbot.addWidget(board.window)
    replay.start()
    until(lambda: replay.played.timeline.seqs and board.snapshot.head_seq)
    result = next(tick for tick in replay.played.timeline.ticks if tick.kind is TickKind.RESULT)
    assert "0.0.9" in drawn().news.text
    assert any("0.0.9" in cell.text for cell in drawn().status)
    board.act(TogglePause())

    def go(action, seq):
        board.act(action)
        assert drawn().glance_title.text == "✕ NOT CURRENT", "until it is there"
        assert "jumping to" in drawn().badge.text
        until(lambda: replay.played.jump is None)
        assert (replay.played.seq, board.snapshot.head_seq) == (seq, seq)
        assert drawn().glance_title.text != "✕ NOT CURRENT"

    place = replay.played.timeline.place_of(result.seq)
    go(JumpToPlace(place=place), replay.played.timeline.seq_at(place))
    shown = doses(replay)
    assert shown["Tumour 1"] > 10.0
    go(StepTick(by=-1), replay.played.timeline.previous_tick(replay.played.seq).seq)
    go(JumpToPlace(place=0.0), replay.played.timeline.seq_at(0.0))
    assert board.snapshot.results == (), "what came later is not known yet"
    assert "WITHDRAWN" not in drawn().news.text, "a jump is no news"
    board.act(SetSpeed(speed=1000.0))
    board.act(TogglePause())
    until(lambda: replay.at_end)
    assert doses(replay) == shown, "the same moment, the same numbers, however it was come to"

    board.act(OpenTool(tool=Tool.VERIFICATION))
    verify = replay.tools[Tool.VERIFICATION]
    until(lambda: not verify.stands.running)
    assert verify.verdict.text() == "✓ IDENTICAL: the only result shown, bit for bit"
    verify.close()

    assert replay.services.operate(TapEvent(label="stasis"))
    for action in (AcknowledgeAlarms(alarm_ids=("x",), name="A"), OpenTool(tool=Tool.SETUP), TakeSnapshot()):
        board.act(action)
    assert Tool.SETUP not in replay.tools
    assert "nothing is recorded" in drawn().replay.words.word
    replay.stop()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert [one.name for one in file.parent.glob("shown*")] == [file.name], "nothing beside it either"
