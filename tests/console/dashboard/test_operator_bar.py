"""The operator's bar: what a press records, what it says of it, and how it is taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import setup_plans
import treatments
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from console.dashboard.panels.operator_bar import OperatorBarPanel
from console.dashboard.run import LiveDashboard
from console.dashboard.screen.build import build_screen
from console.dashboard.screen.events import event_words, events_table
from console.dashboard.screen.fractions import fractions_table
from console.dashboard.screen.guide import build_guide
from console.dashboard.screen.header import build_header
from console.dashboard.screen.model import Tone
from console.dashboard.screen.news import announced
from console.dashboard.screen.operator_bar import TOOL_KEYS, build_operator_bar, halted
from console.dashboard.screen.replay_bar import REPLAY_KEYS
from console.dashboard.screen.said import Said, SaidHere, said_words, with_unread
from console.dashboard.screen.view import OpenTool, Operate, Tool, UndoOperation, ViewState
from console.operations import (
    ONE_TAP,
    AssignSeries,
    ChooseVolume,
    CloseTreatment,
    ConfirmClock,
    GiveRegistration,
    GiveUpPosition,
    GiveVolumes,
    RecordInjection,
    RestorePosition,
    RetractNote,
    RevisePlan,
    TapEvent,
    Together,
    start_injection,
    stop_injection,
    undo_of,
)
from console.snapshot import Mode, PlanRevision, Snapshot, VolumeSource
from dicom_listener.events import Kind
from dicom_listener.record import Record
from quantify.findings import Injection

NOW = treatments.START + timedelta(minutes=29, seconds=12)
BEGUN = treatments.START + timedelta(minutes=28)


@pytest.fixture(scope="module")
def two() -> Snapshot:
    """Two fractions given and imaged, four to come."""
    return treatments.treatment(2, images=False)


def bar(snapshot: Snapshot, said: SaidHere | None = None, now: datetime | None = NOW):
    return build_operator_bar(snapshot, now=now, mode=Mode.LIVE, said=said or SaidHere())


def changed(snapshot: Snapshot, key: tuple[str, int], **changes: object) -> Snapshot:
    return replace(
        snapshot, injections=tuple(replace(i, **changes) if i.key == key else i for i in snapshot.injections)
    )


def running(snapshot: Snapshot) -> Snapshot:
    return changed(snapshot, ("RHA", 3), started_at=BEGUN)


def third(snapshot: Snapshot) -> Injection:
    return next(i for i in snapshot.injections if i.key == ("RHA", 3))


# -- the large button ----------------------------------------------------------------------------------------------


def test_the_button_starts_what_is_planned_next_with_the_time_of_the_press(two):
    main = bar(two).main
    assert main.text == "▶ START RHA F3 · 390 MBq planned"
    assert main.tone is Tone.GOOD
    said = main.action.operation.said
    assert {key: datetime.fromisoformat(time) for key, time in said.items()} == {"started": NOW}


def test_while_an_injection_is_under_way_the_button_stops_it_and_nothing_else(two):
    main = bar(running(two)).main
    assert main.text == "■ STOP RHA F3 · since 10:28:00 · 01:12"
    assert main.tone is Tone.ALERT
    assert main.action == Operate(operation=stop_injection(third(two), NOW))


def test_start_and_stop_differ_in_word_shape_and_colour(two):
    start, stop = bar(two).main, bar(running(two)).main
    assert (start.sign, start.tone) != (stop.sign, stop.tone)
    assert start.words.split()[0] != stop.words.split()[0]


def test_a_start_without_a_reference_is_possible_but_not_silent(two):
    main = bar(replace(two, reference=None, results=())).main
    assert "! no reference yet" in main.text
    assert main.action is not None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"closed": ("J. Jansen", NOW)}, "✓ TREATMENT CLOSED · closed 10:29 by J. Jansen"),
        ({"injections": ()}, "○ NO INJECTION PLANNED · F2 Setup"),
        ({"injections": treatments.injections(6)}, "✓ ALL PLANNED GIVEN · another: F3"),
    ],
    ids=["closed", "nothing planned", "all given"],
)
def test_where_nothing_can_start_the_button_says_why(two, change, text):
    main = bar(replace(two, **change)).main
    assert main.action is None
    assert main.text == text


def test_without_a_clock_or_on_a_screen_that_stands_still_nothing_starts(two):
    assert bar(two, now=None).main.action is None
    assert bar(running(two), now=None).main.action is None
    assert halted(bar(two)).main.action is None


def test_a_replay_has_no_bar(two):
    assert not build_operator_bar(two, now=NOW, mode=Mode.REPLAY).shown
    assert build_operator_bar(two, now=NOW, mode=Mode.DEMO).shown


def test_what_was_recorded_counts_before_the_engine_has_read_it(two):
    """A computation takes seconds: meanwhile the button must not offer to start again what has begun."""
    start = Said(operation=start_injection(third(two), BEGUN), at=BEGUN, seq=9)
    assert bar(two, SaidHere(unread=(start,))).main.words == "STOP RHA F3"
    stop = Said(operation=stop_injection(third(two), NOW), at=NOW, seq=10)
    assert bar(two, SaidHere(unread=(start, stop))).main.words == "START RHA F4"
    back = Said(operation=RecordInjection(position="RHA", fraction=3, unsaid=("started",)), at=NOW, seq=10)
    assert bar(two, SaidHere(unread=(start, back))).main.words == "START RHA F3"
    given_up = Said(operation=GiveUpPosition(position="RHA"), at=NOW, seq=11)
    assert bar(two, SaidHere(unread=(given_up,))).main.words == "START LHA F1"
    cancelled = RecordInjection(position="RHA", fraction=3, cancelled=True)
    both = Together(operations=(cancelled, RecordInjection(position="RHA", fraction=4, said={"aborted": True})))
    assert bar(two, SaidHere(unread=(Said(operation=both, at=NOW, seq=12),))).main.words == "START LHA F1"
    closed = Said(operation=CloseTreatment(), at=NOW, seq=13)
    assert bar(two, SaidHere(unread=(closed,))).main.words == "TREATMENT CLOSED"


# -- what was said -------------------------------------------------------------------------------------------------


def test_a_tap_is_confirmed_with_its_time_and_can_be_undone(two):
    tap = Said(operation=TapEvent(label="reflux"), at=NOW, seq=7)
    drawn = bar(two, SaidHere(last=tap))
    assert drawn.said.text == "✓ reflux 10:29"
    assert drawn.undo.action == UndoOperation()
    assert "reflux 10:29" in drawn.undo.tooltip
    assert bar(two).undo.action is None


def test_a_stop_right_after_its_start_is_recorded_and_remarked(two):
    soon = BEGUN + timedelta(seconds=1)
    stop = Said(operation=stop_injection(third(two), soon), at=soon, seq=10)
    drawn = bar(running(two), SaidHere(last=stop, unread=(stop,)))
    assert drawn.said.text == "! STOP RHA F3 10:28:01, 1 s after its start"
    late = Said(operation=stop_injection(third(two), NOW), at=NOW, seq=10)
    assert bar(running(two), SaidHere(last=late, unread=(late,))).said.text == "✓ STOP RHA F3 10:29:12"


def test_what_was_taken_back_or_refused_is_said_in_place_of_the_last_word(two):
    assert bar(two, SaidHere(taken_back="reflux 10:31")).said.text == "↶ taken back: reflux 10:31"
    refused = bar(two, SaidHere(fault="Not recorded: the disk is full")).said
    assert refused.text == "✕ Not recorded: the disk is full"
    assert refused.tone is Tone.ALERT


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (RecordInjection(position="RHA", fraction=2, said={"aborted": True}), "ABORTED RHA F2 10:29"),
        (RecordInjection(position="RHA", fraction=2, said={"activity_MBq": 60.0}), "RHA F2 recorded 10:29"),
        (RecordInjection(position="RHA", fraction=2, unsaid=("time",)), "RHA F2 taken back 10:29"),
        (RecordInjection(position="RHA", fraction=2, cancelled=True), "RHA F2 cancelled 10:29"),
        (RecordInjection(position="RHA", fraction=2, cancelled=False), "RHA F2 planned 10:29"),
        (GiveUpPosition(position="RHA"), "RHA given up 10:29"),
        (RestorePosition(position="RHA", fractions=(2,)), "RHA goes on 10:29"),
        (AssignSeries(series_key="a", role="fraction", position="RHA", fraction=1), "series: fraction RHA F1 10:29"),
        (GiveRegistration(series_key="a", reference_to_series_lps_mm=()), "registration taken back 10:29"),
        (ConfirmClock(seconds=1.8), "scanner clock +1.8 s 10:29"),
        (RevisePlan(plan={}), "plan 10:29"),
        (GiveVolumes(name="n", labels={1: "Tumour 1"}, nifti=b""), "Tumour 1 given 10:29"),
        (ChooseVolume(volume="Liver", object_sha256=""), "version of Liver 10:29"),
        (CloseTreatment(), "treatment closed 10:29"),
        (RetractNote(seq=7), "event 7 taken back 10:29"),
        (Together(operations=(GiveUpPosition(position="RHA"),) * 2), "RHA given up 10:29 and 1 more"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_word_is_told_so_that_undo_is_no_guess(two, operation, words):
    assert said_words(two, Said(operation=operation, at=NOW, seq=1)) == words


def test_every_one_tap_event_and_dialog_has_its_button_and_every_dialog_its_key(two):
    drawn = bar(two)
    assert [tap.action for tap in drawn.taps] == [Operate(operation=TapEvent(label=label)) for label in ONE_TAP]
    assert "TE = 0" in next(tap for tap in drawn.taps if tap.words == "contrast").tooltip
    assert {tool.action.tool for tool in drawn.tools} == set(TOOL_KEYS) - {Tool.REGISTRATION, Tool.DRAWING}
    assert list(TOOL_KEYS.values()) == [f"F{number}" for number in range(2, 10)]
    assert set(TOOL_KEYS) | set(REPLAY_KEYS) == set(Tool)


# -- elsewhere on the screen ---------------------------------------------------------------------------------------


def test_guide_and_fractions_show_what_is_under_way(two):
    known = replace(running(two), reference=two.reference)
    guide = build_guide(known)
    assert guide.sentence == "● RHA F3 under way since 10:28 (position 1/2, 390 MBq planned)"
    assert next(step for step in guide.steps if step.current).words == "Inject RHA F3"
    row = next(row for row in fractions_table(known, None).rows if "under way" in row.cells[-1].text)
    assert [cell.text for cell in row.cells[1:]] == ["● F3", "390 MBq", "under way since 10:28"]


def test_what_arrives_during_an_injection_is_still_told(two):
    arriving = treatments.series_state("f3", 90, status=treatments.SeriesStatus.ARRIVING, received=40)
    guide = build_guide(replace(running(two), series=(*two.series, arriving)))
    assert "under way since 10:28" in guide.sentence
    assert "arriving" in guide.sentence
    assert guide.progress is not None


def test_no_step_is_called_done_that_is_not_because_an_injection_began(two):
    guide = build_guide(replace(running(two), results=(), reference=None, series=(), bindings=()))
    (current,) = [step for step in guide.steps if step.current]
    assert current.words == "Reference"
    assert current.state.tone is Tone.CAUTION
    assert "under way" in guide.sentence


def test_a_closed_treatment_is_said_in_guide_and_header(two):
    closed = replace(two, closed=("J. Jansen", NOW), complete=True)
    assert build_guide(closed).sentence == "✓ treatment closed 10:29 by J. Jansen"
    assert build_header(closed, NOW, Mode.LIVE).mode_words == "LIVE · ✓ CLOSED 10:29"
    assert "treatment closed" in build_guide(replace(closed, computing="fitting")).sentence


@pytest.mark.parametrize(
    ("kind", "payload", "sentence"),
    [
        (Kind.INJECTION_RECORDED, {"started": BEGUN.isoformat()}, "injection RHA F3: started 10:28"),
        (
            Kind.INJECTION_RECORDED,
            {"time": "2026-03-04T09:31:00+00:00", "activity_MBq": 380.0},
            "injection RHA F3: ended 10:31, 380 MBq",
        ),
        (
            Kind.INJECTION_RECORDED,
            {"time": NOW.isoformat(), "aborted": True, "activity_MBq": None},
            "injection RHA F3: broken off 10:29, activity unknown (aborted)",
        ),
        (
            Kind.INJECTION_RECORDED,
            {"unsaid": ["started", "time"], "aborted": False},
            "injection RHA F3: not aborted, start, end taken back",
        ),
        (Kind.INJECTION_RECORDED, {"cancelled": False}, "injection RHA F3: planned"),
        (Kind.INJECTION_RECORDED, {"cancelled": True}, "injection RHA F3 cancelled"),
        (Kind.TREATMENT_CLOSED, {"name": "J"}, "treatment closed by J"),
        (Kind.TREATMENT_CLOSED, {"closed": False, "name": "J"}, "treatment opened again by J"),
        (
            Kind.VOLUME_CHOSEN,
            {"volume": "Liver", "object_sha256": "ab" * 32, "name": "J"},
            "volume Liver: version abababab chosen, by J",
        ),
        (
            Kind.VOLUME_CHOSEN,
            {"volume": "Liver", "object_sha256": "", "name": "J"},
            "volume Liver: the latest version counts again, by J",
        ),
        (Kind.PLAN_REVISED, {"name": "J", "reason": "calibration"}, "settings promoted by J: calibration"),
        (Kind.NOTE, {"retracts": 7, "text": "x"}, "taken back: event 7"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_the_log_tells_what_was_said_and_only_that(kind, payload, sentence):
    event = treatments.event(1, 0, kind, {"position": "RHA", "fraction": 3, **payload})
    assert event_words(event, treatments.ZONE) == sentence


def test_a_note_that_was_taken_back_is_struck_and_its_retraction_names_it():
    events = (
        treatments.event(7, 31, Kind.NOTE, {"label": "reflux", "text": ""}),
        treatments.event(8, 32, Kind.NOTE, {"text": "event 7 taken back", "retracts": 7}),
    )
    latest, struck = events_table(events, now=NOW).rows
    assert latest.cells[1].text == "taken back: reflux 10:31"
    assert struck.cells[1].text == "reflux – taken back"
    assert struck.cells[1].tone is Tone.MUTED


def test_promoted_settings_are_said_with_name_time_and_reason_in_news_and_status(two):
    revision = PlanRevision(at=NOW, by="J. Jansen", differences=("plan.quantification.a: 1 → 2",), reason="calibration")
    after = replace(two, head_seq=two.head_seq + 1, revisions=(revision,))
    news = announced(two, after, NOW)
    assert news.text.startswith("SETTINGS CHANGED by J. Jansen at 10:29: calibration: plan.quantification.a")
    assert news.lasting
    status = build_screen(after, ViewState(), now=NOW, mode=Mode.LIVE).status
    (said,) = [cell for cell in status if "settings changed by J. Jansen at 10:29: calibration" in cell.text]
    assert said.tone is Tone.CAUTION
    assert said.text.startswith("!")


def test_what_changed_the_plan_alone_is_not_called_a_change_of_settings(two):
    revision = PlanRevision(at=NOW, by="J. Jansen", differences=("plan.residuals: not stated → 10",))
    news = announced(two, replace(two, head_seq=two.head_seq + 1, revisions=(revision,)), NOW)
    assert news.text.startswith("PLAN CHANGED 10:29 by J. Jansen")


# -- the buttons themselves ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def panel(qapp):
    holder = QWidget()
    made = OperatorBarPanel()
    made.setParent(holder)
    holder.resize(1908, 60)
    made.resize(1908, 60)
    made.set_scale(1.0)
    holder.show()
    yield made
    holder.close()
    holder.deleteLater()


@pytest.fixture
def asked(panel):
    actions: list[object] = []
    panel.asked.connect(actions.append)
    yield actions
    panel.asked.disconnect(actions.append)


def test_every_button_asks_once_for_what_it_says(panel, asked, two):
    drawn = bar(two, SaidHere(last=Said(operation=TapEvent(label="spasm"), at=NOW, seq=1)))
    panel.draw(drawn)
    keys = (panel.main, *panel.taps, panel.undo, *panel.tools)
    for key in keys:
        QTest.mouseClick(key, Qt.MouseButton.LeftButton)
    assert asked == [button.action for button in (drawn.main, *drawn.taps, drawn.undo, *drawn.tools)]
    assert all(key.height() >= 44 for key in keys)
    assert all(key.accessibleName() for key in keys)


def test_a_double_tap_counts_once(panel, asked, two):
    panel.draw(bar(two))
    QTest.mouseClick(panel.main, Qt.MouseButton.LeftButton)
    QTest.mouseDClick(panel.main, Qt.MouseButton.LeftButton)
    assert len(asked) == 1, "the second tap would say the opposite of the first"


def test_a_press_that_is_released_over_another_word_asks_for_nothing(panel, asked, two):
    panel.draw(bar(two))
    QTest.mousePress(panel.main, Qt.MouseButton.LeftButton)
    panel.draw(bar(running(two)))
    QTest.mouseRelease(panel.main, Qt.MouseButton.LeftButton)
    assert asked == []


def test_space_presses_every_button_and_enter_all_but_the_one_that_starts(panel, asked, two):
    panel.draw(bar(two))
    QTest.keyClick(panel.taps[0], Qt.Key.Key_Return)
    QTest.keyClick(panel.main, Qt.Key.Key_Return)
    assert asked == [Operate(operation=TapEvent(label="stasis"))]
    QTest.keyClick(panel.main, Qt.Key.Key_Space)
    assert asked[1:] == [bar(two).main.action]


def test_what_cannot_be_pressed_is_not_pressed(panel, asked, two):
    panel.draw(bar(replace(two, closed=("J", NOW))))
    QTest.mouseClick(panel.main, Qt.MouseButton.LeftButton)
    panel.start_or_stop()
    QTest.mouseClick(panel.undo, Qt.MouseButton.LeftButton)
    assert asked == []


def test_a_position_that_is_given_up_and_restored_before_it_is_read_is_next_again(two):
    given_up = Said(operation=GiveUpPosition(position="RHA"), at=NOW, seq=9)
    restored = Said(operation=RestorePosition(position="RHA", fractions=(3, 4)), at=NOW, seq=11)
    assert bar(two, SaidHere(unread=(given_up,))).main.words == "START LHA F1"
    assert bar(two, SaidHere(unread=(given_up, restored))).main.words == "START RHA F3"


def test_a_second_drawing_before_the_first_is_read_is_not_taken_back_past_it(two):
    drawing = GiveVolumes(name="d", labels={1: "Tumour 1"}, nifti=b"")
    known = replace(two, volume_sources={"Tumour 1": VolumeSource(title="a", sha256="cd" * 32, version=1)})
    assert undo_of(drawing, known) is not None
    assert undo_of(drawing, with_unread(known, (Said(operation=drawing, at=NOW, seq=9),))) is None


def test_undo_never_reaches_past_a_word_that_nothing_takes_back(two):
    last = Said(operation=GiveVolumes(name="d", labels={1: "Tumour 1"}, nifti=b""), at=NOW, seq=9)
    undo = bar(two, SaidHere(last=last, final=True)).undo
    assert undo.action is None
    assert "Tumour 1 given" in undo.tooltip


# -- in the window -------------------------------------------------------------------------------------------------


def _key(window: QWidget, key: Qt.Key, *, control: bool = False, repeated: bool = False) -> None:
    modifier = Qt.KeyboardModifier.ControlModifier if control else Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(window, QKeyEvent(QEvent.Type.KeyPress, key, modifier, "", repeated))
    QCoreApplication.processEvents()


def test_ctrl_enter_starts_undo_takes_it_back_and_both_are_events(qtbot, two, tmp_path, monkeypatch):
    with Record.create(tmp_path / "t.holmia") as record:
        live = LiveDashboard(record, mode=Mode.LIVE, minimum_free_mb=0.0)
        window = live.dashboard.window
        qtbot.addWidget(window)
        opened: list[Tool] = []
        monkeypatch.setattr(live, "open", opened.append)
        live._receive(replace(two, head_seq=0))
        for key in (Qt.Key.Key_Return, Qt.Key.Key_Space, *(Qt.Key(code) for code in range(ord("A"), ord("Z") + 1))):
            _key(window, key)
        window.acknowledging.close()
        _key(window, Qt.Key.Key_Return, control=True, repeated=True)
        recorded = record.events()
        assert all(event.kind == Kind.SNAPSHOT_TAKEN for event in recorded), "no single key says anything"
        _key(window, Qt.Key.Key_Return, control=True)
        assert window.operator_bar.main.shown.words == "STOP RHA F3", "before the engine has read it"
        assert window.operator_bar.said.whole.startswith("✓ START RHA F3")
        QTest.mouseClick(window.operator_bar.undo, Qt.MouseButton.LeftButton)
        assert window.operator_bar.main.shown.words == "START RHA F3"
        assert window.operator_bar.said.whole.startswith("↶ taken back: START RHA F3")
        QTest.mouseClick(window.operator_bar.taps[1], Qt.MouseButton.LeftButton)
        QTest.mouseClick(window.operator_bar.undo, Qt.MouseButton.LeftButton)
        start, back, tap, retracted = [e for e in record.events() if e.kind != Kind.SNAPSHOT_TAKEN]
        assert set(start.payload) == {"position", "fraction", "started", "name"}
        assert back.payload["unsaid"] == ["started"]
        assert tap.payload["label"] == "reflux"
        assert retracted.payload["retracts"] == tap.seq
        # A first plan is taken back by nothing; a second one, made without it, would undo it unseen.
        plan = RevisePlan(plan=setup_plans.plan_of().to_mapping())
        assert live.operate(TapEvent(label="spasm")) == live.operate(plan) == ""
        assert "cannot be taken back" in live.undo()
        assert "is being read" in live.operate(plan)
        assert [e.kind for e in record.events()][-2:] == [Kind.NOTE, Kind.PLAN_REVISED]
        for tool, name in {**TOOL_KEYS, Tool.COMPARISON: "F10"}.items():
            _key(window, Qt.Key[f"Key_{name}"])
            assert opened[-1] is tool
        assert OpenTool(tool=Tool.SETUP) == window.screen_drawn.operator.tools[0].action
        live.stop()
