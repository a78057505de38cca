"""Fractions, ledger and series in words; the painted table by keyboard and by finger."""

from __future__ import annotations

import gc
import re
import weakref
from dataclasses import replace

import pytest
import treatments
from PySide6.QtCore import QCoreApplication, QPoint, Qt
from PySide6.QtWidgets import QLabel, QToolTip, QVBoxLayout, QWidget

from console.dashboard.panels.table_panel import TableView
from console.dashboard.screen.fractions import fraction_state, fractions_table
from console.dashboard.screen.ledger import ledger_table
from console.dashboard.screen.model import Cell, Row, Table, Tone
from console.dashboard.screen.remembered import by_identity
from console.dashboard.screen.series import series_table
from console.snapshot import Binding, RaisedAlarm, Snapshot
from dicom_listener.images import SeriesStatus
from quantify.findings import Alarm, FractionStatus, Priority
from quantify.uncertainty import injected_u_mbq

LOSS = "residual not measured; a loss of 8.6 % is assumed"


def third(snapshot: Snapshot, **changes: object) -> Snapshot:
    """The treatment with its third injection changed."""
    injections = list(snapshot.injections)
    injections[2] = replace(injections[2], **changes)
    return replace(snapshot, injections=tuple(injections))


def state_of_third(snapshot: Snapshot) -> tuple[str, str, Tone, str]:
    state, words = fraction_state(snapshot, snapshot.injections[2])
    return state.sign, state.word, state.tone, words.replace("\u00a0", " ")


def bound(snapshot: Snapshot, role: str, status: SeriesStatus, received: int = 400, why: str = "") -> Snapshot:
    """Without the series arriving, but with one of this role for the third fraction."""
    series = treatments.series_state("third", 91, status=status, received=received, minute=40)
    binding = Binding(series_key="third", role=role, position="RHA", fraction=3, why=why)
    return replace(snapshot, series=(*snapshot.series[:-1], series), bindings=(*snapshot.bindings, binding))


def with_result(snapshot: Snapshot, **changes: object) -> Snapshot:
    return replace(snapshot, results=(*snapshot.results, replace(treatments.result(2), **changes)))


@pytest.fixture(scope="module")
def waiting() -> Snapshot:
    """Two results, the third fraction injected, its series arriving; nothing but words."""
    return treatments.treatment(2, given=3, arriving=214, images=False)


FAILED = {"status": FractionStatus.FAILED, "volumes": {}, "trend": {}, "series_instance_uid": None}


@pytest.mark.parametrize(
    ("make", "sign", "tone", "words"),
    [
        (lambda s: third(s, time=None, activity_mbq=None), "○", Tone.MUTED, "planned"),
        (lambda s: third(s, time=None, activity_mbq=None, outside_mri=True), "○", Tone.MUTED, "planned, outside MRI"),
        (lambda s: s, "●", Tone.ACTIVE, "given 10:35, series arriving 214/400"),
        (lambda s: replace(s, series=s.series[:-1]), "●", Tone.ACTIVE, "given 10:35, waiting for its series"),
        (lambda s: replace(s, awaited=None), "●", Tone.ACTIVE, "given 10:35, not imaged"),
        (
            lambda s: bound(s, "fraction", SeriesStatus.COMPLETE),
            "●",
            Tone.ACTIVE,
            "given 10:35, series complete, computing · ? binding unconfirmed",
        ),
        (
            lambda s: bound(s, "unbound", SeriesStatus.INCOMPLETE, 396),
            "!",
            Tone.CAUTION,
            "incomplete 396/400, dose refused",
        ),
        (
            lambda s: bound(s, "refused", SeriesStatus.COMPLETE, why="acquired at 1.5 T"),
            "✕",
            Tone.ALERT,
            "series refused: acquired at 1.5 T",
        ),
        (lambda s: third(s, outside_mri=True), "●", Tone.ACTIVE, "given 10:35 outside MRI, not imaged"),
        (
            lambda s: replace(third(s, aborted=True, activity_mbq=None), awaited=None),
            "!",
            Tone.CAUTION,
            "aborted 10:35, not imaged",
        ),
        (with_result, "✓", Tone.GOOD, "result 10:40"),
        (
            lambda s: with_result(bound(s, "superseded", SeriesStatus.COMPLETE)),
            "✓",
            Tone.GOOD,
            "result 10:40, earlier series superseded",
        ),
        (
            lambda s: with_result(s, status=FractionStatus.PROVISIONAL, provisional_reasons=(LOSS,)),
            "!",
            Tone.CAUTION,
            f"provisional 10:40: {LOSS}",
        ),
        (lambda s: with_result(third(s, aborted=True)), "✓", Tone.GOOD, "result 10:40, aborted"),
        (
            lambda s: with_result(bound(s, "fraction", SeriesStatus.COMPLETE), **FAILED, error="no overlap"),
            "✕",
            Tone.ALERT,
            "failed: no overlap · ? binding unconfirmed",
        ),
        (lambda s: with_result(s, **FAILED, error="no series"), "●", Tone.CAUTION, "given 10:35, not imaged"),
        (
            lambda s: with_result(third(s, outside_mri=True), **FAILED, error="given outside the MRI"),
            "●",
            Tone.CAUTION,
            "given 10:35 outside MRI, not imaged",
        ),
    ],
)
def test_every_state_of_a_fraction_is_a_shape_a_colour_and_words(waiting, make, sign, tone, words):
    assert state_of_third(make(waiting))[::2] == (sign, tone)
    assert state_of_third(make(waiting))[3] == words


def test_what_was_cancelled_stands_last_so_that_the_keys_still_count_the_injections(waiting):
    gone = treatments.SimpleNamespace(key=("RHA", 5), label="RHA F5", planned_mbq=130.0)
    plan = treatments.SimpleNamespace(injections=(gone, *waiting.injections), time_zone="Europe/Amsterdam")
    rows = fractions_table(replace(waiting, plan=plan), None).rows
    assert rows[-2].heading
    assert rows[-1].cells[3].text == "RHA F5 cancelled"
    numbers = [row.cells[0].text for row in rows if not row.heading]
    assert numbers == ["1", "2", "3", "4", "5", "6", ""]


def test_the_planned_shares_of_a_position_are_told(waiting):
    rows = [row for row in fractions_table(waiting, None).rows if not row.heading]
    assert "10 % of RHA" in rows[0].cells[2].tooltip
    assert rows[4].cells[3].text == "planned, 25 % of LHA"


def ledger_of(snapshot: Snapshot) -> dict[str, Row]:
    shown = snapshot.results[-1] if snapshot.results else None
    return {row.cells[0].text: row for row in ledger_table(snapshot, shown).rows}


def test_the_ledger_holds_injected_against_planned_for_all_and_for_each_position(words):
    ledger = {name: row.cells[1].text.replace("\u202f", " ") for name, row in ledger_of(words).items()}
    assert ledger["RX all"] == "1 290 ± 60 / 1 668 MBq · 77 %"
    assert ledger["RX RHA"] == "1 290 ± 60 / 1 302 MBq · 99 %"
    assert ledger["RX LHA"] == "0 / 366 MBq · 0 %"
    assert ledger["MRI RHA F4"] == "1 340 ± 100 MBq · 104 ± 8 %"


def test_an_assumed_loss_is_said_with_its_uncertainty_and_makes_the_activity_provisional(words):
    row = ledger_of(third(words, provisional_reason=LOSS))["! residual"]
    assert row.cells[1].text == "loss of 8.6 ± 4 % assumed: provisional"
    assert row.cells[1].tone is Tone.CAUTION
    assert "EMERITUS-1" in row.cells[1].tooltip
    assert "! residual" not in ledger_of(words)


def test_an_activity_that_is_not_known_leaves_no_sum(waiting):
    unknown = third(waiting, aborted=True, activity_mbq=None, provisional_reason="the delivered activity is not known")
    row = ledger_of(unknown)["RX all"]
    assert row.cells[1].text.startswith("— / ")
    assert "RHA F3" in row.cells[1].tooltip
    assert ledger_of(unknown)["! activity"].cells[1].text == "RHA F3 provisional"


def test_assumed_losses_add_up_and_the_assay_is_common(words):
    settings = words.settings.quantification.uncertainty
    lossy = [replace(i, activity_u_mbq=10.0) for i in words.injections[:3]]
    assay = settings.assay_pct / 100 * sum(treatments.ACTIVITIES[:3])
    assert injected_u_mbq(lossy, settings) == pytest.approx((assay**2 + 30.0**2) ** 0.5)


def test_what_is_gravest_stands_first_in_the_ledger(waiting):
    names = list(ledger_of(third(waiting, provisional_reason=LOSS)))
    assert names[:3] == ["RX all", "! not imaged", "! residual"]


@pytest.mark.parametrize(
    ("status", "role", "refusal", "sign", "word"),
    [
        (SeriesStatus.ARRIVING, "unbound", None, "●", "arriving"),
        (SeriesStatus.INCOMPLETE, "unbound", None, "!", "incomplete, dose refused"),
        (SeriesStatus.COMPLETE, "refused", None, "✕", "refused"),
        (SeriesStatus.COMPLETE, "superseded", None, "–", "superseded"),
        (SeriesStatus.COMPLETE, "ignored", "spin echo", "–", "ignored"),
        (SeriesStatus.COMPLETE, "unbound", "spin echo", "–", "no holmium series"),
        (SeriesStatus.COMPLETE, "fraction", None, "✓", "complete"),
    ],
)
def test_every_state_of_a_series_is_a_shape_and_a_word_with_its_reason(waiting, status, role, refusal, sign, word):
    snapshot = bound(waiting, role, status, 396, why="because")
    series = (*snapshot.series[:-1], replace(snapshot.series[-1], holmium_refusal=refusal))
    row = series_table(replace(snapshot, series=series)).rows[0]
    assert row.cells[0].text == f"{sign} 10:40"
    assert f": {word}, 10 × 40" in row.cells[1].text
    assert row.cells[2].text == "396/400"
    assert "because" in row.cells[1].tooltip


def test_what_was_quarantined_stands_above_all_series(waiting):
    alarm = Alarm(
        id="q", priority=Priority.HIGH, kind="patient_mismatch", text="Images of another patient.", raised_at=None
    )
    first = series_table(replace(waiting, alarms=(RaisedAlarm(alarm=alarm),))).rows[0]
    assert first.cells[1].text == "quarantined: other patient"
    assert first.cells[0].tone is Tone.ALERT


def test_the_same_things_are_not_built_again_and_are_not_kept_alive():
    class Thing:
        pass

    asked = []

    @by_identity(kept=2)
    def build(one: object, other: object | None) -> int:
        asked.append(one)
        return len(asked)

    thing = Thing()
    assert build(thing, None) == build(thing, None) == 1
    assert build(thing, thing) == 2
    asked.clear()
    gone = weakref.ref(thing)
    del thing
    gc.collect()
    assert gone() is None


TABLE = Table(
    columns=("", "", ""),
    rows=(
        Row(cells=(Cell(text="POSITION RHA", tooltip="heading"),), heading=True),
        Row(cells=(Cell(text="1"), Cell(text="✓ F1", tooltip="of <b>RHA</b>"), Cell(text="result 10:12"))),
        Row(cells=(Cell(text=""), Cell(text="● F2"), Cell(text="given 10:35"))),
    ),
)


@pytest.fixture
def window(qtbot):
    """Two tables in a window that counts the keys which reach it."""

    class Host(QWidget):
        keys: list[int] = []  # noqa: RUF012

        def keyPressEvent(self, event) -> None:
            self.keys.append(event.key())

    host = Host()
    host.keys = []
    host.first, host.second = TableView(wrapped=2), TableView(wrapped=2)
    rows = QVBoxLayout(host)
    for widget in (host.first, host.second, QLabel()):
        rows.addWidget(widget)
    host.first.draw(TABLE)
    host.second.draw(TABLE)
    host.resize(320, 360)
    qtbot.addWidget(host)
    host.show()
    QCoreApplication.processEvents()
    yield host
    QToolTip.hideText()


def test_a_table_is_walked_cell_by_cell_and_pressed_by_enter(window, qtbot):
    pressed = []
    window.first.row_clicked.connect(pressed.append)
    window.first.setFocus(Qt.FocusReason.TabFocusReason)
    seen = [window.first.focused_cell.text]
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down):
        qtbot.keyClick(window.first, key)
        seen.append(window.first.focused_cell.text)
    assert seen == ["POSITION RHA", "1", "✓ F1", "result 10:12", "result 10:12", "given 10:35"]
    qtbot.keyClick(window.first, Qt.Key.Key_Left)
    qtbot.keyClick(window.first, Qt.Key.Key_Left)
    assert window.first.focused_cell.text == "● F2"
    qtbot.keyClick(window.first, Qt.Key.Key_Return)
    assert pressed == [2]
    assert window.keys == []


def test_the_focused_cell_has_a_frame_and_tells_its_tooltip_as_plain_text(window, qtbot):
    without = window.first.grab().toImage()
    window.first.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(window.first, Qt.Key.Key_Down)
    qtbot.keyClick(window.first, Qt.Key.Key_Right)
    assert window.first.grab().toImage() != without
    assert "of &lt;b&gt;RHA&lt;/b&gt;" in QToolTip.text()


def test_tab_goes_to_the_next_table_and_escape_gives_the_keys_back_to_the_window(window, qtbot):
    window.first.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(window.first, Qt.Key.Key_Tab)
    assert window.second.hasFocus()
    qtbot.keyClick(window.second, Qt.Key.Key_D)
    qtbot.keyClick(window.second, Qt.Key.Key_Escape)
    assert window.hasFocus()
    assert window.keys == [Qt.Key.Key_D]
    assert window.second.focused_cell is None


def test_a_window_that_comes_to_the_front_keeps_the_arrows_for_its_images(window):
    window.first.setFocus(Qt.FocusReason.ActiveWindowFocusReason)
    assert not window.first.hasFocus()


def test_a_table_that_shrinks_keeps_its_focus_on_a_row_that_exists(window, qtbot):
    window.first.setFocus(Qt.FocusReason.TabFocusReason)
    for _ in range(4):
        qtbot.keyClick(window.first, Qt.Key.Key_Down)
    window.first.draw(replace(TABLE, rows=TABLE.rows[:1]))
    assert window.first.focused_cell.text == "POSITION RHA"
    window.first.draw(replace(TABLE, rows=()))
    assert window.first.focused_cell is None
    qtbot.keyClick(window.first, Qt.Key.Key_Down)


def test_rows_that_can_be_pressed_are_as_tall_as_fingers_where_there_is_room(window, qtbot):
    plain = [placed.height for placed in window.second._fit().rows[1:]]
    window.first.row_clicked.connect(lambda _: None)
    window.first._laid = None
    tall = [placed.height for placed in window.first._fit().rows[1:]]
    assert min(tall) >= 32 > max(plain)


@pytest.mark.parametrize("height", [30, 60, 100, 170])
def test_what_has_no_room_is_counted_and_covered_by_nothing(window, height):
    rows = tuple(Row(cells=(Cell(text=str(n)), Cell(text="F"), Cell(text="words"))) for n in range(12))
    view = window.second
    view.draw(replace(TABLE, rows=rows))
    view.setFixedHeight(height)
    QCoreApplication.processEvents()
    laid = view._fit()
    assert len(laid.rows) + laid.left_out == 12
    assert laid.rows
    if laid.left_out and len(laid.rows) > 1:
        assert laid.rows[-1].top + laid.rows[-1].height <= height - laid.pixels * 1.3


def test_an_equal_table_is_not_painted_again(window):
    window.first.grab()
    picture = window.first._picture
    window.first.draw(replace(TABLE))
    assert window.first._picture is picture
    assert re.search("POSITION", window.first.accessibleDescription())
    assert window.first._cell_at(QPoint(10, 5).toPointF()).text == "POSITION RHA"


def test_an_unknown_activity_after_the_last_image_is_told_and_is_no_0(waiting):
    order = [replace(i, activity_mbq=None) if i.key == ("RHA", 3) else i for i in waiting.injections]
    unknown = replace(waiting, injections=tuple(order), not_imaged_mbq=0.0)
    rows = {row.cells[0].text: row.cells[1].text for row in ledger_table(unknown, unknown.results[-1]).rows}
    assert rows["! not imaged"] == "— not imaged: RHA F3 not known"


def test_without_a_plan_nothing_is_said_to_be_planned():
    assert ledger_table(Snapshot(), None).rows[0].cells[1].text == "0 / not stated"
