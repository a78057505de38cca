"""The dialog of the injections: what is refused beside its field, what is only odd, and what is said in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import treatments
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from config.plan import plan_from_mapping
from config.settings import Settings
from console.dashboard.desk.form import Verdict
from console.dashboard.desk.injection_form import ABORTED, ACTIVITY, ENDED, OUTSIDE, STARTED, injection_form
from console.dashboard.desk.injections import InjectionsScreen, build_injections, injection_state
from console.dashboard.dialogs.injection_dialog import InjectionDialog
from console.dashboard.dialogs.tool_dialog import Services
from console.dashboard.screen.model import Tone
from console.operations import (
    CloseTreatment,
    GiveUpPosition,
    Operation,
    RecordInjection,
    RestorePosition,
    undo_of,
)
from console.snapshot import Snapshot
from quantify.findings import Injection

NOW = treatments.START + timedelta(minutes=58)
F2, F3 = ("RHA", 2), ("RHA", 3)
VIAL_MBQ = 500.0


def _plan(**changes: object):
    planned = [(i.position, i.fraction, i.planned_mbq) for i in treatments.injections(0)]
    injections = [
        {"position": position, "fraction": fraction, "planned_MBq": mbq, "vials": [f"V{n}"]}
        for n, (position, fraction, mbq) in enumerate(planned, start=1)
    ]
    mapping = {
        "schema": 1,
        "time_zone": "Europe/Amsterdam",
        "patient": {"id": "EM1-004"},
        "microspheres": {
            "holmium_fraction": 0.195,
            "specific_activity_MBq_per_mg": 12.0,
            "reference_time": "2026-03-04T10:00:00+01:00",
        },
        "calibration": {"relaxivity_per_s_per_mg_mL": 218.0, "field_T": 3.0, "holmium_fraction": 0.195},
        "injections": injections,
        "vials": [
            {"name": f"V{n}", "activity_MBq": VIAL_MBQ, "assay_time": "2026-03-04T09:00:00+01:00"}
            for n in range(1, len(planned) + 1)
        ],
    }
    return plan_from_mapping(mapping | changes, site_time_zone="Europe/Amsterdam")


@pytest.fixture(scope="module")
def known() -> Snapshot:
    """Two of six fractions given; what operators said of F2 is on record."""
    before = treatments.treatment(2, images=False)
    ended = before.injections[1].time
    assert ended is not None
    recorded = {F2: {STARTED: (ended - timedelta(minutes=4)).isoformat(), ENDED: ended.isoformat(), "fault": None}}
    started = replace(before.injections[1], started_at=ended - timedelta(minutes=4))
    injections = (before.injections[0], started, *before.injections[2:])
    return replace(before, plan=_plan(), recorded=recorded, injections=injections)


def changed(snapshot: Snapshot, key: tuple[str, int], **changes: object) -> Snapshot:
    injections = tuple(replace(i, **changes) if i.key == key else i for i in snapshot.injections)
    return replace(snapshot, injections=injections)


def form_of(snapshot: Snapshot, key: tuple[str, int], typed: Mapping[str, str]):
    own = next(i for i in snapshot.injections if i.key == key)
    return injection_form(snapshot, own, typed, NOW)


def verdict(snapshot: Snapshot, key: tuple[str, int], field: str, typed: Mapping[str, str]) -> Verdict:
    return form_of(snapshot, key, typed).form.verdicts[field]


def shown(snapshot: Snapshot, key: tuple[str, int] | None = None, typed: Mapping[str, str] | None = None):
    return build_injections(snapshot, chosen=key, typed=typed or {}, now=NOW)


def deed(screen: InjectionsScreen, beginning: str):
    (own,) = [each for each in screen.deeds if each.label.startswith(beginning)]
    return own


# -- checks while typing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "typed", "fault"),
    [
        (STARTED, {STARTED: "soon"}, "expected a time such as 10:08"),
        (STARTED, {STARTED: "11:30"}, "lies in the future"),
        (ENDED, {ENDED: "2026-03-04 23:00"}, "lies in the future"),
        (ENDED, {STARTED: "10:40", ENDED: "10:35"}, "lies before the start (10:40)"),
        (ACTIVITY, {ENDED: "10:40", ACTIVITY: "much"}, "expected a number from 10 to 20000 MBq"),
        (ACTIVITY, {ENDED: "10:40", ACTIVITY: "0.39"}, "expected a number from 10 to 20000 MBq"),
        (ACTIVITY, {ENDED: "10:40", ACTIVITY: "39000"}, "expected a number from 10 to 20000 MBq"),
        (ACTIVITY, {ENDED: "10:40", ACTIVITY: "490"}, "MBq that its vials held at 10:40"),
        (ACTIVITY, {ENDED: "10:40", ACTIVITY: "39"}, "more than a factor 5 from the 390 MBq planned"),
        (ACTIVITY, {ACTIVITY: "380"}, "needs the end of the injection"),
        (ABORTED, {STARTED: "10:40", ABORTED: "yes"}, "needs the end, at least about"),
        (ENDED, {ENDED: "2026-10-25 02:30"}, "happens twice in Europe/Amsterdam"),
        (ENDED, {ENDED: "2026-03-29 02:30"}, "does not exist in Europe/Amsterdam"),
    ],
    ids=[
        "no time", "start in the future", "end in the future", "end before start", "no number", "GBq", "kBq",
        "more than the vials", "a factor ten", "no end", "aborted without an end", "twice", "never",
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_beside_its_field_and_not_recorded(known, field, typed, fault):
    typed_form = form_of(known, F3, typed)
    assert fault in typed_form.form.verdicts[field].fault
    assert typed_form.operation is None
    assert shown(known, F3, typed).record.operation is None
    assert shown(known, F3, typed).record.why == "a field is refused"


@pytest.mark.parametrize(
    ("key", "field", "typed", "warning"),
    [
        (F3, ACTIVITY, {ENDED: "10:40", ACTIVITY: "290"}, "−26 % from the 390 MBq planned"),
        (F3, STARTED, {STARTED: "10:20"}, "before the end of RHA F2 (10:21): check the time"),
        (F3, ENDED, {ENDED: "10:20"}, "before the end of RHA F2 (10:21): check the time"),
        (("RHA", 4), STARTED, {STARTED: "10:40"}, "RHA F3, planned before it, has not been given"),
        (F3, ENDED, {STARTED: "08:40", ENDED: "10:40"}, "2:00:00 after the start: check both"),
        (F3, ACTIVITY, {ENDED: "10:40", ABORTED: "yes"}, "delivered activity not known"),
        (F3, ABORTED, {ABORTED: "yes"}, "without an end it counts as given up before it began"),
    ],
    ids=["not as planned", "start before the last", "end before the last", "out of order", "long", "aborted", "no end"],
)
def test_what_is_odd_is_a_warning_and_can_be_recorded(known, key, field, typed, warning):
    typed_form = form_of(known, key, typed)
    assert warning in typed_form.form.verdicts[field].warning
    assert not any(verdict.fault for verdict in typed_form.form.verdicts.values())
    assert typed_form.operation is not None


def test_a_refusal_and_a_warning_differ_in_sign_and_colour(known):
    refused = verdict(known, F3, ACTIVITY, {ENDED: "10:40", ACTIVITY: "0.39"}).state
    warned = verdict(known, F3, ACTIVITY, {ENDED: "10:40", ACTIVITY: "290"}).state
    assert (refused.sign, refused.tone) == ("✕", Tone.ALERT)
    assert (warned.sign, warned.tone) == ("▲", Tone.CAUTION)


def test_what_its_vials_held_is_decayed_to_the_end(known):
    """500 MBq at 9:00 are 500 · 2^(−100 min / 26.8 h) = 478.9 MBq at 10:40."""
    assert not verdict(known, F3, ACTIVITY, {ENDED: "10:40", ACTIVITY: "478.8"}).fault
    assert "479 MBq" in verdict(known, F3, ACTIVITY, {ENDED: "10:40", ACTIVITY: "479.1"}).fault


def test_an_aborted_injection_may_have_delivered_next_to_nothing_but_not_more_than_its_vials(known):
    typed = {ENDED: "10:40", ABORTED: "yes"}
    assert form_of(known, F3, typed | {ACTIVITY: "0"}).operation.said[ACTIVITY] == 0.0
    assert verdict(known, F3, ACTIVITY, typed | {ACTIVITY: "3"}) == Verdict()
    assert verdict(known, F3, ACTIVITY, typed | {ACTIVITY: "490"}).fault


def test_nothing_starts_while_another_one_is_under_way_or_when_the_treatment_is_closed(known):
    running = changed(known, ("LHA", 1), started_at=NOW)
    assert "LHA F1 is under way" in verdict(running, F3, STARTED, {STARTED: "10:40"}).fault
    closed = replace(known, closed=("J", NOW))
    assert "closed" in verdict(closed, F3, STARTED, {STARTED: "10:40"}).fault


def test_a_time_of_day_is_read_on_the_rooms_clock(known):
    said = form_of(known, F3, {ENDED: "10:40"}).operation.said
    assert datetime.fromisoformat(said[ENDED]) == treatments.START + timedelta(minutes=40)
    assert datetime.fromisoformat(said[ENDED]).tzinfo is not None


# -- what is said --------------------------------------------------------------------------------------------------


def test_only_what_was_changed_is_said(known):
    assert form_of(known, F2, {}).operation is None
    assert form_of(known, F2, {ENDED: "10:21"}).operation is None, "the same time in other words"
    assert form_of(known, F2, {OUTSIDE: "yes"}).operation == RecordInjection(
        position="RHA", fraction=2, said={OUTSIDE: True}
    )
    both = form_of(known, F2, {ENDED: "10:22", ACTIVITY: "380,5"}).operation
    assert both.said == {ENDED: "2026-03-04T10:22:00+01:00", ACTIVITY: 380.5}


def test_what_was_said_long_ago_is_not_refused_when_another_field_is_corrected(known):
    own = next(i for i in known.injections if i.key == F2)
    later = injection_form(known, own, {ACTIVITY: "380"}, NOW + timedelta(days=90))
    assert later.form.text(ENDED) == "2026-03-04 10:21:00"
    assert later.operation.said == {ACTIVITY: 380.0}


def test_a_field_that_is_emptied_takes_back_what_was_said_in_it(known):
    assert form_of(known, F2, {STARTED: ""}).operation == RecordInjection(position="RHA", fraction=2, unsaid=(STARTED,))


def test_what_the_plan_states_is_changed_but_not_emptied(known):
    stated = _plan(
        injections=[
            {"position": "RHA", "fraction": 1, "planned_MBq": 132, "activity_MBq": 129,
             "time": "2026-03-04T10:07:00+01:00"}
        ],
        vials=[],
    )  # fmt: skip
    snapshot = replace(known, plan=stated, injections=known.injections[:1], recorded={})
    key = ("RHA", 1)
    assert form_of(snapshot, key, {}).form.text(ACTIVITY) == "129"
    for field in (ENDED, ACTIVITY):
        assert "stands in the plan" in verdict(snapshot, key, field, {field: ""}).fault
    aborted = form_of(snapshot, key, {ABORTED: "yes"})
    assert aborted.form.text(ACTIVITY) == "", "what was planned is not what an aborted injection delivered"
    assert aborted.operation.said == {ABORTED: True}


# -- table and buttons ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "✓ given"),
        ({"outside_mri": True}, "✓ given, outside the MRI"),
        ({"provisional_reason": "residual not measured"}, "! given, activity provisional"),
        ({"activity_mbq": None}, "! given, activity not known"),
        ({"time": None, "started_at": NOW}, "● under way"),
        ({"time": None}, "○ planned"),
        ({"aborted": True}, "! aborted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_state_of_an_injection_has_a_word_and_a_sign(changes, text):
    given = Injection(position="RHA", fraction=1, activity_mbq=129.0, time=NOW)
    assert injection_state(replace(given, **changes)).text == text


def test_the_table_has_every_injection_with_units_and_what_is_cancelled_last(known):
    cancelled = replace(known, injections=known.injections[:-1], cancelled=(("LHA", 2),))
    screen = shown(cancelled)
    assert [row.key for row in screen.table.rows] == ["RHA F1", "RHA F2", "RHA F3", "RHA F4", "LHA F1", "LHA F2"]
    assert [cell.text for cell in screen.table.rows[1].cells] == [
        "RHA F2", "390 MBq", "V2", "10:17:00", "10:21:00", "387 MBq", "✓ given",
    ]  # fmt: skip
    assert screen.table.rows[-1].cells[-1].text == "– cancelled"
    assert screen.chosen == F3, "what comes next is chosen"


def test_a_provisional_activity_says_why(known):
    why = "residual not measured; a loss of 8.6 % is assumed"
    screen = shown(changed(known, F2, provisional_reason=why, activity_u_mbq=33.0), F2)
    assert screen.net.text == f"! recorded: net activity 387 ± 33 MBq, provisional: {why}"
    assert screen.net.tone is Tone.CAUTION


def test_everything_that_is_said_can_be_said_back(known):
    screen = shown(known, F3)
    assert deed(screen, "Cancel").operation == RecordInjection(position="RHA", fraction=3, cancelled=True)
    given_up = deed(screen, "Give up RHA").operation
    assert given_up == GiveUpPosition(position="RHA")
    left = tuple(i for i in known.injections if i.key not in (F3, ("RHA", 4)))
    without = replace(known, injections=left, cancelled=(F3, ("RHA", 4)))
    again = shown(without, F3)
    assert deed(again, "Restore RHA F3").operation == RecordInjection(position="RHA", fraction=3, cancelled=False)
    assert deed(again, "Go on at RHA").operation == RestorePosition(position="RHA", fractions=(3, 4))
    assert again.form.fields == ()
    assert undo_of(given_up, known) == RestorePosition(position="RHA", fractions=(3, 4))


def test_what_has_begun_is_not_cancelled_but_taken_back(known):
    screen = shown(known, F2)
    assert deed(screen, "Cancel").operation is None
    assert "take back first" in deed(screen, "Cancel").why
    assert deed(screen, "Take back").operation == RecordInjection(position="RHA", fraction=2, unsaid=(STARTED, ENDED))
    assert deed(shown(known, F3), "Take back").operation is None


def test_another_injection_takes_the_next_number_that_nothing_had(known):
    without = replace(known, injections=known.injections[:3], cancelled=(("RHA", 4),), plan=_plan())
    own = deed(shown(without, F3), "Another injection at RHA (F5)")
    assert own.operation == RecordInjection(position="RHA", fraction=5, cancelled=False)
    closed = replace(known, closed=("J", NOW))
    assert deed(shown(closed, F3), "Another").operation is None


def test_a_treatment_is_closed_and_opened_again_but_not_during_an_injection(known):
    assert shown(known).close.operation == CloseTreatment(closed=True)
    assert "opened again" in shown(known).closing
    assert shown(replace(known, closed=("J. Jansen", NOW))).close.operation == CloseTreatment(closed=False)
    running = shown(changed(known, F3, started_at=NOW))
    assert running.close.operation is None
    assert "RHA F3 is under way" in running.close.why


def test_a_treatment_without_injections_says_where_they_come_from():
    screen = build_injections(Snapshot(), chosen=None, typed={}, now=NOW)
    assert "F2" in screen.table.empty
    assert screen.chosen is None


# -- the dialog ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(qapp, known):
    """The dialog over an empty window, and what it said."""
    said: list[Operation] = []
    window = QWidget()
    window.resize(1366, 768)
    services = Services(operate=lambda own: said.append(own) or "", settings=Settings(), record=Path("t.holmia"))
    dialog = InjectionDialog(window, services)
    dialog.receive(known, NOW)
    dialog.show()
    yield dialog, said
    dialog.close()
    window.deleteLater()


@pytest.fixture
def dialog(opened, known):
    made, said = opened
    said.clear()
    made.hide()
    made.receive(known, NOW)
    made.show()
    QCoreApplication.processEvents()
    return opened


def _choose(dialog: InjectionDialog, row: int) -> None:
    dialog.table.selectRow(row)
    QCoreApplication.processEvents()


def _type(dialog: InjectionDialog, field: str, text: str) -> None:
    editor = dialog.form.editors[field]
    editor.clear()
    QTest.keyClicks(editor, text)


def test_what_is_typed_is_recorded_by_enter_and_shown_by_the_next_snapshot(dialog, known):
    made, said = dialog
    _choose(made, 1)
    _type(made, ACTIVITY, "380")
    assert said == []
    QTest.keyClick(made.form.editors[ACTIVITY], Qt.Key.Key_Return)
    assert said == [RecordInjection(position="RHA", fraction=2, said={ACTIVITY: 380.0})]
    assert "RHA F2 recorded" in made.outcome.text()
    assert not made.record.isEnabled(), "the same is not said twice while the engine reads it"
    recorded = {**known.recorded, F2: {**known.recorded[F2], ACTIVITY: 380.0}}
    made.receive(replace(changed(known, F2, activity_mbq=380.0), recorded=recorded), NOW)
    assert made.form.editors[ACTIVITY].text() == "380"
    assert "nothing is changed" in made.record.text()


def test_a_refused_field_cannot_be_recorded_and_says_so_while_typing(dialog):
    made, said = dialog
    _choose(made, 1)
    _type(made, ACTIVITY, "0,39")
    assert "✕ expected a number from 10 to 20000 MBq" in made.form.verdicts[ACTIVITY].text()
    assert not made.record.isEnabled()
    QTest.keyClick(made.form.editors[ACTIVITY], Qt.Key.Key_Return)
    assert said == []


def test_what_was_typed_of_one_injection_is_never_said_of_another(dialog, known):
    made, _ = dialog
    _choose(made, 2)
    _type(made, ENDED, "10:40")
    made.receive(changed(known, F3, time=NOW, activity_mbq=390.0), NOW)
    assert made.screen_drawn.chosen == F3, "another one comes next now, the form stays with what was chosen"
    assert made.form.editors[ENDED].text() == "10:40"
    _choose(made, 3)
    assert made.form.editors[ENDED].text() == ""
    assert made.screen_drawn.record.operation is None


def test_typing_goes_on_where_it_was_when_the_picture_changes(dialog, known):
    made, _ = dialog
    _choose(made, 1)
    editor = made.form.editors[ACTIVITY]
    _type(made, ACTIVITY, "38")
    made.receive(replace(known, computing="fitting"), NOW + timedelta(seconds=1))
    assert made.form.editors[ACTIVITY] is editor
    assert editor.text() == "38"


def test_every_button_says_one_thing(dialog):
    made, said = dialog
    _choose(made, 2)
    for button in (*made.deeds, made.close_treatment):
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert said == [
        RecordInjection(position="RHA", fraction=3, cancelled=True),
        GiveUpPosition(position="RHA"),
        RecordInjection(position="RHA", fraction=5, cancelled=False),
        CloseTreatment(closed=True),
    ]


def test_a_separator_of_thousands_is_not_taken_for_a_decimal_one_unnoticed(known):
    typed_form = form_of(known, F3, {ENDED: "10:40", ABORTED: "yes", ACTIVITY: "1.050"})
    warning = typed_form.form.verdicts[ACTIVITY].warning
    assert warning == "is read as 1.05 MBq; if 1050 MBq is meant, type 1050"
    assert not form_of(known, F3, {ENDED: "10:40", ACTIVITY: "380.125"}).form.verdicts[ACTIVITY].warning


def test_into_a_closed_treatment_no_injection_is_typed(known):
    closed = replace(known, closed=("J", NOW))
    assert "closed" in verdict(closed, F3, ENDED, {ENDED: "10:40"}).fault
    assert not verdict(closed, F2, ENDED, {ENDED: "10:22:30"}).fault


def test_times_of_another_day_tell_their_day(known):
    (first, *_) = build_injections(known, chosen=None, typed={}, now=NOW).table.rows
    assert first.cells[4].text == "10:07:00"
    (first, *_) = build_injections(known, chosen=None, typed={}, now=NOW + timedelta(days=1)).table.rows
    assert first.cells[4].text == "2026-03-04 10:07:00"
