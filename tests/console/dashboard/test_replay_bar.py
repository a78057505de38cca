"""The bar of a replay: every moment can be reached, nothing shown stands under another time, and a what-if says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import pytest
import treatments
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from console.dashboard.app import Dashboard
from console.dashboard.replay_feed import ReplayFeed
from console.dashboard.screen.build import build_screen
from console.dashboard.screen.replay_bar import LOOKS, REPLAY_KEYS, Jump, Played, build_replay_bar, outdated_words
from console.dashboard.screen.view import (
    AcknowledgeAlarms,
    JumpToPlace,
    LeaveWhatIf,
    OpenTool,
    SetSpeed,
    StepTick,
    TogglePause,
    Tool,
    ViewState,
)
from console.snapshot import Mode, Snapshot
from console.tasks import Progress, Reached
from console.timeline import TickKind, timeline_of
from dicom_listener.events import Kind

START = treatments.START


def at(minutes: float):
    return START + timedelta(minutes=minutes)


LINE = timeline_of(
    [
        treatments.event(1, 0, Kind.TREATMENT_CREATED, {}),
        treatments.event(2, 1, Kind.INJECTION_RECORDED, {"position": "RHA", "fraction": 1, "started": "x"}),
        treatments.event(3, 1.5, Kind.RESULT_SHOWN, {"position": "RHA", "fraction": 1, "result": {}}),
        treatments.event(4, 20, Kind.ALARM_RAISED, {"alarm": {"id": "a", "priority": "high", "text": "over"}}),
        treatments.event(5, 21, Kind.NOTE, {"label": "stasis", "text": ""}),
        treatments.event(6, 22, Kind.LISTENER_STOPPED, {}),
    ]
)
PLAYED = Played(name="t.holmia", timeline=LINE, seq=3, at=at(1.5), speed=10.0)


def bar(played: Played = PLAYED):
    return build_replay_bar(Snapshot(), played)


# -- what stands on it ---------------------------------------------------------------------------------------------


def test_a_live_window_has_no_replay_bar_and_a_replay_has_no_operators_bar(words):
    live = build_screen(words, ViewState(), now=at(60), mode=Mode.LIVE)
    assert not live.replay.shown
    replayed = build_screen(words, ViewState(), now=at(60), mode=Mode.REPLAY, played=PLAYED)
    assert replayed.replay.shown
    assert not replayed.operator.shown


def test_every_kind_of_tick_has_a_shape_and_a_word_of_its_own():
    assert set(LOOKS) == set(TickKind)
    assert len({sign for sign, _, _ in LOOKS.values()}) == len({word for _, _, word in LOOKS.values()}) == len(TickKind)
    shown = bar()
    assert [mark.sign for mark in shown.ticks] == ["▼", "●", "▲", "✎"]
    assert [word for _, _, word in shown.legend] == ["injection", "result", "alarm", "note"]
    assert shown.ticks[1].words.endswith("result RHA F1 shown")
    assert [one.words for one in shown.breaks] == ["18 min"]


def test_time_speed_and_the_latest_tick_are_told_in_words():
    shown = bar()
    clock = at(1.5).astimezone(UTC).strftime("%H:%M:%S")
    assert shown.words.text.startswith(f"▶ {clock} · ×10 · last: ")
    assert shown.words.word.endswith("result RHA F1 shown")
    assert bar(replace(PLAYED, paused=True)).words.word.startswith(f"{clock} · halted")
    ended = bar(replace(PLAYED, seq=6, at=at(22), ended=True))
    assert "at the end" in ended.words.word
    assert ended.play.action is None
    assert ended.place == 1.0
    assert [button.sign for button in shown.speeds] == ["", "■", ""], "the chosen one is marked by a shape"
    assert [button.action for button in shown.speeds] == [SetSpeed(speed=1), SetSpeed(speed=10), SetSpeed(speed=60)]


def test_steps_are_offered_where_there_is_a_tick_and_add_up_while_jumping():
    before, after = bar().steps
    assert (before.action, after.action) == (StepTick(by=-1), StepTick(by=1))
    assert "RHA F1 started" in before.tooltip
    assert bar(replace(PLAYED, seq=2)).steps[0].action is None
    assert bar(replace(PLAYED, seq=6)).steps[1].action is None
    jumping = bar(replace(PLAYED, jump=Jump(seq=4, at=at(20))))
    assert "stasis" in jumping.steps[1].tooltip
    assert jumping.target == LINE.place_of(4)


def test_a_jump_marks_what_is_shown_until_it_is_there():
    jumping = replace(PLAYED, jump=Jump(seq=4, at=at(20), done=0.4, computing="RHA F1"))
    target, now = (at(m).astimezone(UTC).strftime("%H:%M:%S") for m in (20, 1.5))
    assert outdated_words(jumping, Snapshot()) == f"shown: {now} · jumping to {target} … · 40 % read · computing RHA F1"
    assert outdated_words(PLAYED, Snapshot()) == ""
    assert bar(jumping).words.word.startswith(f"jumping to {target}")
    assert bar(jumping).place == LINE.place_of(3), "the hand stays where the numbers are"


def test_a_what_if_is_said_in_header_news_numbers_images_and_bar_with_a_way_back(finished):
    what_if = replace(finished, overrides={"trend.threshold_pct": 30})
    played = replace(PLAYED, overrides=what_if.overrides, what_if=("trend.threshold_pct 10 → 30 %",))
    screen = build_screen(what_if, ViewState(), now=at(60), mode=Mode.REPLAY, played=played)
    assert screen.header.mode_words.startswith("REPLAY · WHAT-IF")
    assert screen.header.what_if
    assert screen.news.text.startswith("WHAT-IF: trend.threshold_pct 10 → 30 %")
    assert screen.news.fresh
    assert screen.glance_title.text.startswith("WHAT-IF · ")
    assert "WHAT-IF: nothing is recorded" in screen.replay.words.word
    assert screen.replay.back.action == LeaveWhatIf()
    plain = build_screen(finished, ViewState(), now=at(60), mode=Mode.REPLAY, played=PLAYED)
    assert not plain.header.what_if
    assert "WHAT-IF" not in plain.header.mode_words + plain.news.text + plain.glance_title.text
    assert not plain.replay.back.words


# -- what is delivered ---------------------------------------------------------------------------------------------


class Fed:
    """A feed with what it delivers."""

    def __init__(self) -> None:
        self.told = []
        self.feed = ReplayFeed(self.told.append)
        self.source = self.feed.attach(None)

    def flush(self):
        QCoreApplication.sendPostedEvents(self.feed, QEvent.Type.MetaCall)
        told, self.told[:] = list(self.told), []
        return told


@pytest.fixture
def fed(qapp) -> Fed:
    return Fed()


def snapshot(seq: int, computing: str = "") -> Snapshot:
    return Snapshot(head_seq=seq, computing=computing)


def reached(seq: int) -> Reached:
    return Reached(seq=seq, at=at(seq), ended=False)


def test_moment_and_snapshot_come_together_and_the_latest_stand_for_all(fed):
    for message in (snapshot(1), reached(1), snapshot(2), reached(2)):
        fed.source.take(message)
    (told,) = fed.flush()
    assert (told.snapshot.head_seq, told.reached.seq) == (2, 2)
    assert not told.elsewhere


@pytest.mark.parametrize("target", [5, 40], ids=["back", "forth"])
def test_while_jumping_no_snapshot_is_delivered_but_that_of_the_moment_asked_for(fed, target):
    fed.source.take(snapshot(20))
    fed.source.take(reached(20))
    fed.flush()
    fed.feed.expect(target)
    for message in (snapshot(21), reached(21), Progress(done=1, of=4), snapshot(target, computing="RHA F1")):
        fed.source.take(message)
        assert all(told.snapshot is None for told in fed.flush())
    fed.source.take(snapshot(target))
    assert all(told.snapshot is None for told in fed.flush())
    for message in (reached(target), snapshot(target + 1), reached(target + 1)):
        fed.source.take(message)
    (told,) = fed.flush()
    assert told.elsewhere, "though more has come since"
    assert (told.snapshot.head_seq, told.reached.seq) == (target + 1, target + 1)


def test_a_snapshot_that_waits_when_a_jump_is_asked_for_is_not_delivered(fed):
    fed.source.take(snapshot(20))
    fed.feed.expect(5)
    assert fed.flush() == []


def test_an_engine_that_was_replaced_tells_nothing_any_more(fed):
    old, new = fed.source, fed.feed.attach(3)
    old.take(snapshot(3))
    old.take(reached(3))
    assert fed.flush() == []
    new.take(snapshot(3))
    new.take(reached(3))
    assert [told.elsewhere for told in fed.flush()] == [True]


# -- pressed -------------------------------------------------------------------------------------------------------


@pytest.fixture
def pressed(qtbot, words):
    """A window of a replay, and what was asked for in it."""
    asked = []
    made = Dashboard(mode=Mode.REPLAY, clock=lambda: at(60), on_operator_action=asked.append, played=lambda: PLAYED)
    qtbot.addWidget(made.window)
    made.receive(words)
    made.window.show()
    QCoreApplication.processEvents()
    yield made.window, asked
    made.stop()


def key(window, code, *, control=False):
    modifier = Qt.KeyboardModifier.ControlModifier if control else Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(window, QKeyEvent(QEvent.Type.KeyPress, code, modifier))


def test_keys_steer_the_replay(pressed):
    window, asked = pressed
    for code in (Qt.Key.Key_Space, Qt.Key.Key_Comma, Qt.Key.Key_Period, Qt.Key.Key_Home, Qt.Key.Key_End):
        key(window, code)
    for code in (Qt.Key.Key_Left, Qt.Key.Key_Right):
        key(window, code, control=True)
    steps = [StepTick(by=-1), StepTick(by=1)]
    assert asked == [TogglePause(), *steps, JumpToPlace(place=0.0), JumpToPlace(place=1.0), *steps]
    asked.clear()
    for name in REPLAY_KEYS.values():
        key(window, Qt.Key[f"Key_{name}"])
    assert asked == [OpenTool(tool=t) for t in (Tool.TUNING, Tool.COMPARISON, Tool.VERIFICATION)]
    asked.clear()
    key(window, Qt.Key.Key_F3)
    assert asked == [], "nothing is typed in a replay"
    assert window.screen_drawn.unacknowledged
    key(window, Qt.Key.Key_A)
    assert [type(action) for action in asked] == [AcknowledgeAlarms], "to be told that nothing is recorded"
    assert not window.acknowledging.isVisible()


def test_a_press_on_a_tick_jumps_to_just_after_it_and_a_drag_is_asked_for_when_it_is_let_go(pressed):
    window, asked = pressed
    line = window.replay_bar.line
    assert line.isVisible()
    assert line.width() > 600
    x = line.x_of(LINE.place_of(4))
    QTest.mouseClick(line, Qt.MouseButton.LeftButton, pos=QPoint(round(x) + 3, 10))
    (jump,) = asked
    assert LINE.seq_at(jump.place) == 4
    assert "alarm, high: over" in line.words_at(x)
    asked.clear()
    QTest.mousePress(line, Qt.MouseButton.LeftButton, pos=QPoint(round(x), 10))
    QTest.mouseMove(line, QPoint(line.width() // 3, 10))
    assert asked == []
    QTest.mouseRelease(line, Qt.MouseButton.LeftButton, pos=QPoint(line.width() // 3, 10))
    assert asked[0].place == pytest.approx(1 / 3, abs=0.02)


def test_buttons_ask_for_what_they_say(pressed):
    window, asked = pressed
    panel = window.replay_bar
    assert not window.operator_bar.isVisible()
    for button in (panel.play, *panel.speeds, *panel.steps, *panel.tools):
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert asked == [
        TogglePause(), SetSpeed(speed=1), SetSpeed(speed=10), SetSpeed(speed=60), StepTick(by=-1), StepTick(by=1),
        *(OpenTool(tool=tool) for tool in REPLAY_KEYS),
    ]  # fmt: skip
    assert not panel.back.isVisible()
