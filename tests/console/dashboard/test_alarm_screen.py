"""Alarms are latched, ordered by gravity, told by shape, word and colour, and acknowledged by name."""

from __future__ import annotations

import ast
import inspect
from datetime import timedelta

import pytest
import treatments
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QWidget
from treatments import START

from console import alarms as alarm_module
from console import machine as machine_module
from console.dashboard.dialogs.acknowledge_dialog import NOT_CLEARING, AcknowledgeDialog
from console.dashboard.panels.table_panel import TableView
from console.dashboard.screen.alarms import _MEANING, alarm_summary, alarm_words, alarms_table
from console.dashboard.screen.events import event_words, events_table
from console.dashboard.screen.model import Tone
from console.snapshot import RaisedAlarm, Snapshot
from dicom_listener.events import Kind
from quantify.findings import Alarm, Priority

NOW = START + timedelta(minutes=58)


def raised(
    name: str,
    priority: Priority,
    *,
    minute: float = 0,
    active: bool = True,
    by: str | None = None,
    text: str = "",
    **place: object,
) -> RaisedAlarm:
    return RaisedAlarm(
        alarm=Alarm(
            id=name,
            priority=priority,
            kind="recovery",
            text=text or f"{name}: a sentence",
            raised_at=START + timedelta(minutes=minute),
            **place,  # type: ignore[arg-type]
        ),
        active=active,
        acknowledged_by=by,
        acknowledged_at=START + timedelta(minutes=50) if by is not None else None,
    )


def rows_of(*alarms: RaisedAlarm) -> list[list[str]]:
    return [[c.text for c in row.cells] for row in alarms_table(Snapshot(alarms=alarms), NOW).rows]


def test_unacknowledged_ones_come_first_and_of_them_the_gravest():
    alarms = (
        raised("settled", Priority.HIGH, active=False, by="A"),
        raised("seen", Priority.LOW, by="A"),
        raised("low", Priority.LOW, minute=9),
        raised("gone", Priority.HIGH, active=False),
        raised("older", Priority.MEDIUM, minute=1),
        raised("newer", Priority.MEDIUM, minute=2),
    )
    keys = [row.key for row in alarms_table(Snapshot(alarms=alarms), NOW).rows]
    assert keys == ["gone", "newer", "older", "low", "seen", "settled"]


def test_a_priority_is_told_by_shape_by_word_and_by_colour():
    table = alarms_table(Snapshot(alarms=tuple(raised(p, p) for p in Priority)), NOW)
    cells = [row.cells[0] for row in table.rows]
    assert [c.text for c in cells] == ["▲▲▲ HIGH", "▲▲ MEDIUM", "▲ LOW"]
    assert [c.tone for c in cells] == [Tone.ALERT, Tone.CAUTION, Tone.ACTIVE]


def test_an_alarm_whose_cause_has_gone_stays_until_it_is_acknowledged():
    (row,) = rows_of(raised("x", Priority.HIGH, active=False))
    assert row[2].endswith("cause gone · not acknowledged")


def test_acknowledging_says_by_whom_and_when_and_clears_nothing():
    (row,) = rows_of(raised("x", Priority.HIGH, by="J. Jansen"))
    assert row[2].endswith("active · seen by J. Jansen 10:50")


def test_only_what_is_acknowledged_and_gone_is_muted():
    table = alarms_table(
        Snapshot(alarms=(raised("a", Priority.HIGH, active=False, by="A"), raised("b", Priority.HIGH, by="A"))), NOW
    )
    assert {row.key: row.cells[2].tone for row in table.rows} == {"a": Tone.MUTED, "b": Tone.NORMAL}


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        ({"position": "RHA", "fraction": 3}, "mGRE: incomplete", "RHA F3: mGRE: incomplete"),
        ({"position": "RHA", "fraction": 3}, "RHA F3: recovery 70 %", "RHA F3: recovery 70 %"),
        ({"position": "RHA", "fraction": 3, "volume": "Tumour 1"}, "−18 %", "RHA F3 Tumour 1: −18 %"),
        ({}, "The listener is not running.", "The listener is not running."),
    ],
)
def test_an_alarm_tells_its_position_fraction_and_volume_once(place, text, said):
    assert alarm_words(raised("x", Priority.LOW, text=text, **place).alarm) == said


def test_every_kind_of_alarm_says_in_its_tooltip_what_it_is_held_against():
    kinds = set()
    for module in (alarm_module, machine_module):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            # The kind is an argument of `_alarm`, is assigned to `kind`, or is the first of the machine's pairs.
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_alarm":
                kinds |= {node.args[1].value} if isinstance(node.args[1], ast.Constant) else set()
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "append":
                kinds |= {e.elts[0].value for e in node.args if isinstance(e, ast.Tuple)}
            elif isinstance(node, ast.Assign) and "kind" in ast.unparse(node.targets[0]).strip("()").split(", "):
                named = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
                kinds |= {n for n in named if isinstance(n, str) and n != "other_patient"}
    kinds = {kind for kind in kinds if kind != "priority" and " " not in kind}
    assert {"patient_mismatch", "assumption", "listener_down", "limit", "clock_offset"} <= kinds
    assert kinds <= _MEANING.keys()


def test_the_summary_counts_each_priority_and_wears_the_gravest_colour():
    alarms = (raised("a", Priority.LOW), raised("b", Priority.HIGH), raised("c", Priority.LOW))
    summary = alarm_summary(Snapshot(alarms=alarms))
    assert summary.text == "▲▲▲ 1 high  ▲ 2 low, unacknowledged"
    assert summary.tone is Tone.ALERT


def test_the_summary_is_no_all_clear_while_a_cause_is_still_there():
    assert alarm_summary(Snapshot()).text == "✓ none"
    active = alarm_summary(Snapshot(alarms=(raised("a", Priority.HIGH, by="A"),)))
    assert active.text == "▲▲▲ 1 high, acknowledged, still active"
    assert active.tone is not Tone.GOOD
    assert alarm_summary(Snapshot(alarms=(raised("a", Priority.HIGH, active=False, by="A"),))).tone is Tone.GOOD


def test_the_gravest_alarm_is_whole_in_the_panel_however_long_it_is(qtbot):
    long = raised("long", Priority.HIGH, text="Only a part of the treatment is shown: " + "words and words " * 60)
    others = [raised(str(n), Priority.LOW, minute=n, text="A sentence of usual length on RHA F2") for n in range(9)]
    panel = TableView(wrapped=2, pixels=15, spread=1.6)
    qtbot.addWidget(panel)
    for scale, size in ((1.0, (420, 112)), (0.711, (300, 80))):
        panel.set_scale(scale)
        panel.resize(*size)
        for alarms in ((long,), tuple(others)):
            panel.draw(alarms_table(Snapshot(alarms=alarms), NOW))
            assert panel._fit().rows, (scale, len(alarms))
    assert "whole in the tooltip" in rows_of(long)[0][2]
    assert long.alarm.text in alarms_table(Snapshot(alarms=(long,)), NOW).rows[0].cells[2].tooltip


@pytest.fixture
def window(qtbot):
    made = QWidget()
    qtbot.addWidget(made)
    made.resize(1366, 768)
    made.show()
    return made


@pytest.fixture
def dialog(window):
    made = AcknowledgeDialog(window)
    made.given = []
    made.acknowledged.connect(lambda ids, name: made.given.append((ids, name)))
    return made


def ask(dialog: AcknowledgeDialog, count: int = 3) -> tuple[str, ...]:
    ids = tuple(f"id{n}" for n in range(count))
    dialog.ask([f"▲▲ MEDIUM 10:0{n} <b>number {n}</b> & more" for n in range(count)], ids)
    QCoreApplication.processEvents()
    return ids


def test_nothing_is_acknowledged_without_a_name_and_the_refusal_stands_beside_the_field(dialog):
    ask(dialog)
    assert dialog.refusal.text() == "! a name is needed"
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)
    dialog.name.setText("   ")
    dialog.accept()
    assert dialog.given == []
    assert dialog.isVisible()
    assert not dialog.confirm.isEnabled()
    QTest.keyClicks(dialog.name, "J")
    assert dialog.refusal.text() == ""
    assert dialog.confirm.isEnabled()


def test_only_what_is_listed_and_checked_is_acknowledged(dialog):
    ids = ask(dialog)
    QTest.mouseClick(dialog.choices[1], Qt.MouseButton.LeftButton)
    dialog.ask(["▲▲▲ HIGH raised meanwhile"], ("new",))  # one dialog at a time: what is listed stays
    QTest.keyClicks(dialog.name, " J. Jansen ")
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)
    assert dialog.given == [((ids[0], ids[2]), "J. Jansen")]
    assert not dialog.isVisible()


def test_no_alarm_checked_is_refused_in_words(dialog):
    ask(dialog, 1)
    dialog.name.setText("J")
    dialog.choices[0].check.setChecked(False)
    assert dialog.refusal.text() == "! no alarm is checked"
    dialog.accept()
    assert dialog.given == []


def test_escape_leaves_everything_as_it_is_and_the_last_name_is_kept(dialog):
    ask(dialog)
    dialog.name.setText("J. Jansen")
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    QCoreApplication.processEvents()
    assert dialog.given == []
    assert not dialog.isVisible()
    ask(dialog)
    assert dialog.name.text() == "J. Jansen"
    assert dialog.name.selectedText() == "J. Jansen"
    QTest.mouseClick(dialog.cancel, Qt.MouseButton.LeftButton)
    assert not dialog.isVisible()


def test_alarms_are_plain_text_with_what_acknowledging_means(dialog):
    ask(dialog)
    assert all(c.words.textFormat() is Qt.TextFormat.PlainText for c in dialog.choices)
    assert "<b>number 1</b> & more" in dialog.choices[1].words.text()
    assert dialog.note.text() == NOT_CLEARING
    assert dialog.windowModality() is Qt.WindowModality.WindowModal


def test_a_checked_alarm_and_an_unchecked_one_differ_without_colour(dialog):
    ask(dialog, 1)
    box = dialog.choices[0].check
    checked = box.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    box.setChecked(False)
    unchecked = box.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    differing = [
        (x, y)
        for x in range(checked.width())
        for y in range(checked.height())
        if abs(checked.pixelColor(x, y).value() - unchecked.pixelColor(x, y).value()) > 100
    ]
    assert len(differing) > 0.04 * checked.width() * checked.height()


def test_twelve_alarms_fit_a_laptop_with_the_name_and_the_buttons(dialog, window):
    ask(dialog, 12)
    assert dialog.height() <= window.height()
    assert dialog.width() <= window.width()
    assert dialog.rect().contains(dialog.confirm.geometry())
    assert dialog.area.verticalScrollBar().maximum() > 0
    for target in (dialog.confirm, dialog.cancel, dialog.name, *dialog.choices):
        assert target.height() >= 30


def test_nothing_of_the_alarms_is_left_after_closing(dialog):
    ask(dialog)
    before = len(dialog.findChildren(QLabel))
    for _ in range(3):
        dialog.reject()
        ask(dialog)
    dialog.reject()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert dialog.choices == []
    assert len(dialog.findChildren(QLabel)) == before - 3


def test_the_events_tell_alarms_by_their_words_and_say_the_same_once():
    told = (
        treatments.event(1, 0, Kind.ALARM_RAISED, {"alarm": {"id": "a", "priority": "high", "text": "disk full"}}),
        treatments.event(2, 1, Kind.ALARM_ACKNOWLEDGED, {"alarm": "a", "name": "J"}),
        treatments.event(3, 2, Kind.SERIES_QUIET, {"series_instance_uid": "1.2", "seconds": 5.0, "instances": 9}),
        treatments.event(4, 3, Kind.SERIES_QUIET, {"series_instance_uid": "1.2", "seconds": 65.0, "instances": 9}),
        *(treatments.event(n, 4, Kind.INSTANCE_REFUSED, {"comment": "no room"}) for n in range(5, 45)),
    )
    rows = [row.cells[1].text for row in events_table(told, now=NOW).rows]
    assert rows == [
        "image refused: no room (40 times)",
        "series still silent for 65 s, 9 images so far",
        "series silent for 5 s, 9 images so far",
        "alarm acknowledged by J: disk full",
        "alarm, high: disk full",
    ]


@pytest.mark.parametrize(
    ("kind", "payload", "sentence"),
    [
        (Kind.INJECTION_RECORDED, {"planned_MBq": 390.0}, "injection RHA F3: 390 MBq planned"),
        (
            Kind.INJECTION_RECORDED,
            {"activity_MBq": 60.0, "aborted": True, "outside_mri": True},
            "injection RHA F3: 60 MBq (aborted, outside the MRI)",
        ),
        (Kind.INJECTION_RECORDED, {"aborted": True}, "injection RHA F3: activity unknown (aborted)"),
        (
            Kind.ASSOCIATION_CLOSED,
            {"how": "connection_lost", "instances": 1},
            "association LOST: the connection broke, 1 image",
        ),
        (Kind.CLOCK_OFFSET_CONFIRMED, {"seconds": -1.84}, "−1.8 s (scanner minus true time)"),
        (Kind.RESULT_SHOWN, {"result": {"status": "failed", "error": "no series"}}, "shown, failed: no series"),
        (
            Kind.ASSOCIATION_REFUSED,
            {"calling_ae": "X", "called_ae": "Y", "why": "not known"},
            "to Y REFUSED: not known",
        ),
        (Kind.LISTENER_STOPPED, {}, "no images can arrive"),
    ],
)
def test_the_log_says_what_happened_with_units_and_without_guessing(kind, payload, sentence):
    assert sentence in event_words(treatments.event(1, 0, kind, {"position": "RHA", "fraction": 3, **payload}))


@pytest.mark.parametrize("kind", [*Kind, "of a later version"])
def test_an_event_of_another_version_is_a_line_of_the_log_whatever_it_carries(kind):
    keys = (
        "position",
        "fraction",
        "activity_MBq",
        "started",
        "unsaid",
        "alarm",
        "labels",
        "result",
        "retracts",
        "text",
    )
    told = tuple(
        treatments.event(number, 0, kind, {key: value})
        for number, (key, value) in enumerate(((k, v) for k in keys for v in (None, -1, "x", [], {}, [[1, 2], [3]])), 1)
    )
    assert events_table(told, now=NOW).columns
    assert all(event_words(one) for one in told)
