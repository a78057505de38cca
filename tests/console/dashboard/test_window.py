"""The window draws what the screen says, turns keys into actions, and leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from treatments import START

from console.dashboard.app import Dashboard, SnapshotBridge, create_application, render_png
from console.dashboard.panels import theme
from console.dashboard.run import LiveDashboard, quit_on_signals
from console.dashboard.screen.model import DISCLAIMER, Tone
from console.dashboard.screen.view import AcknowledgeAlarms, TakeSnapshot
from console.snapshot import Mode, Snapshot
from dicom_listener.events import Kind
from dicom_listener.record import Record

NOW = START + timedelta(minutes=58, seconds=10)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def dashboard(qtbot, finished, asked):
    made = Dashboard(mode=Mode.LIVE, clock=lambda: NOW, on_operator_action=asked.append)
    qtbot.addWidget(made.window)
    made.receive(finished)
    made.window.show()
    QCoreApplication.processEvents()
    yield made
    made.stop()


def _picture(path) -> np.ndarray:
    image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.width(), 4)
    return pixels[:, :, 2::-1].copy()


@pytest.mark.parametrize("size", [(1920, 1080), (1366, 768)], ids=["full HD", "laptop"])
def test_the_window_is_drawn_at_the_size_asked_for(dashboard, tmp_path, size):
    path = tmp_path / "window.png"
    render_png(dashboard.window, path, size)
    pixels = _picture(path)
    assert pixels.shape == (size[1], size[0], 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1000


def test_a_picture_of_a_window_never_shown_is_drawn_too(qtbot, finished, tmp_path):
    made = Dashboard(mode=Mode.REPLAY, clock=lambda: NOW, on_operator_action=lambda action: None)
    qtbot.addWidget(made.window)
    made.receive(finished)
    render_png(made.window, tmp_path / "window.png", (1366, 768))
    assert not made.window.isVisible()
    assert len(np.unique(_picture(tmp_path / "window.png").reshape(-1, 3), axis=0)) > 1000


def test_a_picture_that_cannot_be_written_is_an_error_with_its_place(dashboard, tmp_path):
    with pytest.raises(OSError, match="could not be written"):
        render_png(dashboard.window, tmp_path / "missing" / "window.png")


def test_research_use_and_the_whole_wording_are_always_visible(dashboard):
    window = dashboard.window
    assert window.header.research.isVisible()
    assert window.header.research.text() == "RESEARCH USE ONLY"
    assert window.disclaimer.text() == DISCLAIMER
    qt_key(dashboard, Qt.Key.Key_F11)
    assert window.header.research.isVisible()
    assert window.disclaimer.isVisible()


def qt_key(dashboard, key, text=""):
    from PySide6.QtGui import QKeyEvent

    event = QKeyEvent(QEvent.Type.KeyPress, key, Qt.KeyboardModifier.NoModifier, text)
    QApplication.sendEvent(dashboard.window, event)
    QCoreApplication.processEvents()


@pytest.mark.parametrize("mode", [Mode.REPLAY, Mode.DEMO])
def test_what_is_not_live_has_a_purple_frame_the_word_and_a_watermark(qtbot, finished, tmp_path, mode):
    made = Dashboard(mode=mode, clock=lambda: NOW, on_operator_action=lambda action: None)
    qtbot.addWidget(made.window)
    made.receive(finished)
    render_png(made.window, tmp_path / "window.png")
    pixels = _picture(tmp_path / "window.png")
    purple = (0x7E, 0x22, 0xCE)
    for edge in (pixels[2, 100:-100], pixels[-3, 100:-100], pixels[100:-100, 2], pixels[100:-100, -3]):
        assert (edge == purple).all()
    assert mode.value in made.window.header.mode.text()
    assert made.window.images.views[0].watermark == mode.value


def test_live_has_no_purple_frame(dashboard, tmp_path):
    render_png(dashboard.window, tmp_path / "window.png")
    assert not (_picture(tmp_path / "window.png")[2] == (0x7E, 0x22, 0xCE)).all(axis=-1).any()
    assert dashboard.window.images.views[0].watermark == ""


def test_layer_keys_take_layers_off_and_on(dashboard):
    view, buttons = dashboard.window.images.views[0], dashboard.window.images.buttons
    assert view.plane.dose is not None
    qt_key(dashboard, Qt.Key.Key_D)
    assert view.plane.dose is None
    qt_key(dashboard, Qt.Key.Key_D)
    assert view.plane.dose is not None
    qt_key(dashboard, Qt.Key.Key_I)
    assert view.plane.isodoses == ()
    qt_key(dashboard, Qt.Key.Key_V)
    assert view.plane.outlines == ()
    assert [button.isChecked() for button in buttons[:3]] == [True, False, False]


def test_number_keys_choose_the_fraction_and_zero_the_latest(dashboard):
    qt_key(dashboard, Qt.Key.Key_2)
    assert "after RHA F2" in dashboard.window.images.badge.text()
    assert dashboard.window.images.views[0].stale
    qt_key(dashboard, Qt.Key.Key_0)
    assert "after RHA F4" in dashboard.window.images.badge.text()


def test_up_goes_towards_the_head_and_pages_by_five(dashboard):
    start = dashboard.window.screen_drawn.voxel
    qt_key(dashboard, Qt.Key.Key_Up)
    assert dashboard.window.screen_drawn.voxel[0] == start[0] + 1
    qt_key(dashboard, Qt.Key.Key_PageDown)
    assert dashboard.window.screen_drawn.voxel[0] == start[0] - 4


def test_the_wheel_steps_the_plane_under_it(dashboard):
    start = dashboard.window.screen_drawn.voxel
    for number, axis in ((0, 0), (1, 1), (2, 2)):
        view = dashboard.window.images.views[number]
        event = QWheelEvent(
            QPointF(50, 50), QPointF(50, 50), QPoint(0, 0), QPoint(0, 120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        view.wheelEvent(event)
        assert dashboard.window.screen_drawn.voxel[axis] == start[axis] + 1


def test_a_press_puts_the_crosshair_there(dashboard, qtbot):
    view = dashboard.window.images.views[0]
    wanted = (dashboard.window.screen_drawn.voxel[0], 60, 50)
    x, y = view.plane.geometry.place_mm(wanted)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=view.at(x, y).toPoint())
    assert dashboard.window.screen_drawn.voxel == wanted


def test_operator_keys_reach_the_engine_and_only_they_do(dashboard, asked):
    qt_key(dashboard, Qt.Key.Key_A)
    assert asked == []
    QTest.keyClicks(dashboard.window.acknowledging.name, "J. Jansen")
    QTest.keyClick(dashboard.window.acknowledging.name, Qt.Key.Key_Return)
    qt_key(dashboard, Qt.Key.Key_S)
    qt_key(dashboard, Qt.Key.Key_D)
    assert asked == [AcknowledgeAlarms(alarm_ids=("trend:RHA:4:Tumour 2",), name="J. Jansen"), TakeSnapshot()]


def test_the_overlay_tells_every_key_and_the_disclaimer(dashboard):
    overlay = dashboard.window.overlay
    qt_key(dashboard, Qt.Key.Key_Question, "?")
    assert overlay.isVisible()
    assert DISCLAIMER in overlay.text()
    qt_key(dashboard, Qt.Key.Key_Escape)
    assert not overlay.isVisible()


def test_a_row_of_the_fractions_chooses_it(dashboard, qtbot):
    table = dashboard.window.fractions
    place = next(p for p in table._fit().rows if p.number == 2)
    qtbot.mouseClick(table, Qt.MouseButton.LeftButton, pos=QPoint(30, int(place.top + place.height / 2)))
    assert "after RHA F2" in dashboard.window.images.badge.text()


def test_names_from_the_images_are_text_and_never_markup(dashboard, finished):
    dashboard.receive(replace(finished, patient_name="<b>X</b><img src='file:///etc/passwd'>"))
    assert dashboard.window.header.patient.textFormat() == Qt.TextFormat.PlainText
    assert "<b>" in dashboard.window.header.patient.text()


def test_nothing_is_left_out_at_full_hd(dashboard):
    dashboard.window.resize(1920, 1080)
    QCoreApplication.processEvents()
    window = dashboard.window
    for table in (window.fractions, window.ledger, window.limits, window.details.volumes, window.alarms):
        assert table._fit().left_out == 0


def test_no_step_makes_another_widget(dashboard):
    qt_key(dashboard, Qt.Key.Key_Up)
    before = set(map(id, dashboard.window.findChildren(QObject)))
    for _ in range(6):
        qt_key(dashboard, Qt.Key.Key_Up)
        qt_key(dashboard, Qt.Key.Key_PageDown)
    assert set(map(id, dashboard.window.findChildren(QObject))) <= before


def test_a_capital_is_read_at_three_metres_on_a_24_inch_full_hd_screen(dashboard):
    """20 arc minutes at 3 m are 17.5 mm; such a screen is 531 mm wide."""
    dashboard.window.resize(1920, 1080)
    QCoreApplication.processEvents()
    assert dashboard.window.glance.capital_pixels * 531 / 1920 >= 17.5
    qt_key(dashboard, Qt.Key.Key_F11)
    assert dashboard.window.glance.capital_pixels * 531 / 1920 >= 17.5


def _luminance(name: str) -> float:
    channels = [int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("ground", [theme.BACKGROUND, theme.PANEL, theme.RAISED])
def test_every_letter_stands_out_by_4_5_to_1(ground):
    """WCAG 2.2, 1.4.3."""
    for ink in (*theme.TONES.values(), theme.TEXT, theme.MUTED, *theme.SERIES_COLOURS):
        assert (_luminance(ink) + 0.05) / (_luminance(ground) + 0.05) >= 4.5
    assert 1.05 / (_luminance(theme.NOT_LIVE) + 0.05) >= 4.5
    assert (_luminance(theme.TONES[Tone.CAUTION]) + 0.05) / (_luminance("#1a1000") + 0.05) >= 4.5


def test_the_bridge_delivers_the_latest_on_the_gui_thread_and_nothing_after_its_end(qtbot):
    bridge, got = SnapshotBridge(), []
    bridge.deliver_to(lambda snapshot: got.append((snapshot.head_seq, threading.current_thread())))
    worker = threading.Thread(target=lambda: [bridge.publish(Snapshot(head_seq=n)) for n in range(50)])
    worker.start()
    worker.join(timeout=10)
    assert got == []
    qtbot.waitUntil(lambda: bool(got) and got[-1][0] == 49, timeout=5000)
    assert [seq for seq, _ in got] == [49], "of what waits the latest is delivered: it holds all that was known"
    bridge.publish(Snapshot(head_seq=50))
    bridge.stop()
    QCoreApplication.processEvents()
    assert got[-1][0] == 49, "nothing is delivered to a window that may be gone"
    assert {thread for _, thread in got} == {threading.main_thread()}


def test_closing_the_window_leaves_no_timer_no_thread_and_no_widget(qtbot, finished):
    threads, widgets = threading.active_count(), set(map(id, QApplication.topLevelWidgets()))
    made = Dashboard(mode=Mode.LIVE, clock=lambda: NOW, on_operator_action=lambda action: None)
    made.receive(finished)
    made.start()
    QCoreApplication.processEvents()
    assert any(timer.isActive() for timer in made.findChildren(QTimer))
    made.window.close()
    assert not any(timer.isActive() for timer in made.findChildren(QTimer))
    assert threading.active_count() == threads
    gone = weakref.ref(made.window)
    made.window.deleteLater()
    made.deleteLater()
    del made
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()
    gc.collect()
    assert gone() is None
    assert set(map(id, QApplication.topLevelWidgets())) <= widgets


def test_there_is_one_application(qapp):
    assert create_application(["holmia"]) is qapp


def test_what_cannot_be_announced_is_shown_all_the_same(dashboard, finished, monkeypatch):
    def fails(*_: object) -> None:
        raise RuntimeError("no words")

    monkeypatch.setattr("console.dashboard.app.announced", fails)
    with pytest.raises(RuntimeError):
        dashboard.receive(replace(finished, patient_name="Other^Name"))
    assert "Other" in dashboard.window.screen_drawn.header.patient


def test_a_screen_that_cannot_be_drawn_anew_says_that_it_is_old_until_it_can(dashboard, finished, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no screen")

    with monkeypatch.context() as patched:
        patched.setattr("console.dashboard.app.build_screen", fails)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                dashboard.receive(finished)
            drawn = dashboard.window.screen_drawn
            assert drawn.badge.stale
            assert "NOT CURRENT" in drawn.badge.text
            assert "NOT CURRENT" in drawn.glance_title.text
            assert sum("no screen" in cell.text for cell in drawn.status) == 1
    dashboard.redraw()
    assert "NOT CURRENT" not in dashboard.window.screen_drawn.badge.text


def test_a_signal_that_comes_before_the_loop_ends_it(qapp):
    with quit_on_signals(qapp):
        os.kill(os.getpid(), signal.SIGTERM)
        qapp.exec()


def test_an_acknowledgement_that_cannot_be_recorded_is_said(qtbot, tmp_path):
    with Record.create(tmp_path / "t.holmia") as made:
        made.append(Kind.TREATMENT_CREATED, {"software_version": "test"}, actor="test", utc=NOW)
    with Record.open(tmp_path / "t.holmia", read_only=True) as record:
        live = LiveDashboard(record, mode=Mode.LIVE, minimum_free_mb=0.0)
        qtbot.addWidget(live.dashboard.window)
        live.dashboard.act(AcknowledgeAlarms(alarm_ids=("a",), name="J. Jansen"))
        (said,) = [cell for cell in live.dashboard.window.screen_drawn.status if "not recorded" in cell.text]
        assert said.tone is Tone.ALERT
        live.stop()


def test_an_acknowledgement_is_shown_at_once_and_stays_while_the_engine_computes(qtbot, finished, tmp_path):
    with Record.create(tmp_path / "t.holmia") as record:
        live = LiveDashboard(record, mode=Mode.LIVE, minimum_free_mb=0.0)
        qtbot.addWidget(live.dashboard.window)
        live._receive(finished)
        window = live.dashboard.window
        asked, *others = window.screen_drawn.unacknowledged
        live.dashboard.act(AcknowledgeAlarms(alarm_ids=(asked,), name="J. Jansen"))
        assert window.screen_drawn.unacknowledged == tuple(others)
        live._receive(replace(finished, computing="fitting"))  # told before the engine has read it
        assert window.screen_drawn.unacknowledged == tuple(others)
        alarms = [
            replace(raised, alarm=replace(raised.alarm, raised_at=datetime.now(UTC) + timedelta(hours=1)))
            for raised in finished.alarms
        ]
        live._receive(replace(finished, alarms=tuple(alarms)))
        assert asked in window.screen_drawn.unacknowledged, "what is raised later is another occurrence"
        live.stop()


def test_what_cannot_be_current_any_more_says_so_over_images_numbers_and_at_the_foot(qtbot, finished):
    why = [""]
    made = Dashboard(
        mode=Mode.LIVE, clock=lambda: NOW, on_operator_action=lambda action: None, outdated=lambda snapshot: why[0]
    )
    qtbot.addWidget(made.window)
    made.receive(finished)
    assert made.window.screen_drawn.badge.state.word == "current"
    why[0] = "The engine has ended."
    made.redraw()
    screen = made.window.screen_drawn
    assert "NOT CURRENT: The engine has ended." in screen.badge.text
    assert screen.badge.stale
    assert "NOT CURRENT" in screen.glance_title.text
    assert "NOT CURRENT" in screen.status[0].text
    assert made.window.images.views[0].stale


def test_a_live_window_whose_engine_has_ended_or_reads_nothing_is_not_current(qtbot, finished, tmp_path, monkeypatch):
    with Record.create(tmp_path / "t.holmia") as record:
        record.append(Kind.NOTE, {"text": "x"}, actor="test", utc=START.astimezone(UTC))
        live = LiveDashboard(record, mode=Mode.LIVE, minimum_free_mb=0.0)
        qtbot.addWidget(live.dashboard.window)
        window = live.dashboard.window
        live.dashboard.receive(replace(finished, head_seq=record.head().seq))
        assert "NOT CURRENT" not in window.screen_drawn.badge.text
        monkeypatch.setattr("console.machine._LAG_S", 0.0)
        record.append(Kind.NOTE, {"text": "not read"}, actor="test", utc=START.astimezone(UTC))
        live.dashboard.redraw()
        assert "NOT CURRENT: The engine has not read 1 event for" in window.screen_drawn.badge.text
        live.dashboard.receive(replace(finished, head_seq=record.head().seq))
        assert "NOT CURRENT" not in window.screen_drawn.badge.text
        monkeypatch.setattr("console.engine_process.EngineProcess.ended", True)
        live.engine.failure = "It ended 4 times."
        live.dashboard.redraw()
        assert "NOT CURRENT: It ended 4 times." in window.screen_drawn.badge.text
        live.dashboard.stop()
