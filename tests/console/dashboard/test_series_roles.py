"""Roles of series: what would follow is said before it is recorded, and what is recorded does just that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from config.plan import plan_from_mapping
from config.settings import Settings
from console.binding import bind
from console.dashboard.desk.scanner_clock import clock_screen
from console.dashboard.desk.series_questions import BASELINE, EARLIER, LATER, UNLOGGED, Answer, series_question
from console.dashboard.desk.series_roles import all_expected, automatic, choices, present_choice, series_rows
from console.dashboard.dialogs.series_dialog import SeriesDialog
from console.dashboard.dialogs.tool_dialog import Services
from console.operation_words import words_of
from console.operations import AssignSeries, ConfirmClock, Operation, RecordInjection, Together, undo_of
from console.snapshot import Snapshot
from console.treatment import Treatment, fold, injections
from dicom_listener.events import Event, Kind
from dicom_listener.images import Sequence, SeriesState, SeriesStatus

ZONE = "Europe/Amsterdam"
DAY = datetime(2026, 3, 4, tzinfo=ZoneInfo(ZONE))
NOW = DAY.replace(hour=10, minute=50)
PLAN: Mapping[str, Any] = {
    "schema": 1,
    "time_zone": ZONE,
    "patient": {"id": "EM1-004"},
    "microspheres": {
        "holmium_fraction": 0.195,
        "specific_activity_MBq_per_mg": 12.0,
        "reference_time": "2026-03-04T08:00:00",
    },
    "calibration": {"relaxivity_per_s_per_mg_mL": 218.0, "field_T": 3.0, "holmium_fraction": 0.195},
    "injections": [
        {"position": "RHA", "fraction": 1, "activity_MBq": 129.0, "time": "2026-03-04T10:07:00"},
        {"position": "RHA", "fraction": 2, "activity_MBq": 387.0, "time": "2026-03-04T10:21:00"},
        {"position": "RHA", "fraction": 3, "planned_MBq": 387.0},
        {"position": "LHA", "fraction": 1, "planned_MBq": 90.0},
    ],
}


def series(clock: str, **changes: object) -> SeriesState:
    hour, minute = (int(part) for part in clock.split(":"))
    values: dict[str, Any] = {
        "key": clock,
        "series_instance_uids": (f"1.2.{hour}.{minute}",),
        "description": "gre",
        "protocol": "gre",
        "status": SeriesStatus.COMPLETE,
        "reason": "complete",
        "echo_times_s": (0.0012, 0.0024, 0.0036, 0.0048),
        "n_slices": 20,
        "received": 80,
        "expected": 80,
        "left_out": 0,
        "acquired_at": DAY.replace(hour=hour, minute=minute),
        "frame_of_reference_uid": "1.2.3",
        "field_strength_t": 3.0,
        "sequence": Sequence.GRADIENT_ECHO,
        "holmium_refusal": None,
        "revision": 1,
        "last_seq": 1,
    }
    return SeriesState(**{**values, **changes})


class Room:
    """What is said becomes events, these are folded, the series are bound anew: as the engine does, without images."""

    def __init__(self, *states: SeriesState, plan: Mapping[str, Any] = PLAN) -> None:
        self.states, self.treatment, self.seq = states, Treatment(), 0
        own = plan_from_mapping(plan, site_time_zone=ZONE)
        settings = {"quantification": Settings().quantification.to_mapping(), "alarms": Settings().alarms.to_mapping()}
        payload = {"plan": own.to_mapping(), "sha256": own.sha256, "settings": settings, "time_zone": ZONE}
        self._fold(Kind.PLAN_LOADED, payload)

    def _fold(self, kind: Kind, payload: Mapping[str, Any]) -> None:
        self.seq += 1
        event = Event(
            seq=self.seq, utc=NOW.astimezone(UTC), actor="test", kind=kind, payload=dict(payload), object_sha256=None,
            previous_hash="", hash="1",
        )  # fmt: skip
        self.treatment = fold(self.treatment, event)

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(
            head_seq=self.seq,
            plan=self.treatment.plan,
            series=self.states,
            bindings=bind(self.treatment, self.states, frozenset()),
            injections=injections(self.treatment),
            assigned=self.treatment.assignments,
            recorded={key: own.values for key, own in self.treatment.recorded.items()},
            clock_offset_s=self.treatment.clock_offset_s,
        )

    def say(self, operation: Operation) -> None:
        for word in words_of(operation, self.snapshot, name="J. Jansen", at=NOW, site=Settings()):
            self._fold(word.kind, word.payload)

    @property
    def roles(self) -> dict[str, str]:
        found = {}
        for b in self.snapshot.bindings:
            of = f" F{b.fraction}" if b.fraction is not None else ""
            found[b.series_key] = f"{b.role} {b.position}{of}" if b.position else b.role
        return found


@pytest.fixture
def room() -> Room:
    """Two series after RHA F2, and no injection between them."""
    return Room(series("10:01"), series("10:12"), series("10:26"), series("10:34"))


def answer(room: Room, key: str, **typed: str) -> Answer:
    question = series_question(room.snapshot, typed, NOW)
    assert question is not None
    return next(a for a in question.answers if a.key == key)


def choice(room: Room, series_key: str, role: str, fraction: int | None = None):
    found = [c for c in choices(room.snapshot, series_key) if c.operation.role == role]
    return next(c for c in found if fraction is None or c.operation.fraction == fraction)


# -- the question --------------------------------------------------------------------------------------------------


def test_two_series_in_one_window_are_asked_about_and_one_are_not(room):
    question = series_question(room.snapshot, {}, NOW)
    assert question is not None
    assert "RHA F2" in question.sentence
    assert "10:26 and 10:34" in question.sentence
    assert [a.key for a in question.answers] == [LATER, EARLIER, UNLOGGED, BASELINE]
    assert series_question(Room(series("10:01"), series("10:12"), series("10:26")).snapshot, {}, NOW) is None


@pytest.mark.parametrize(
    ("key", "typed", "first", "second"),
    [
        (LATER, {}, "ignored", "fraction RHA F2"),
        (EARLIER, {}, "fraction RHA F2", "ignored"),
        (UNLOGGED, {"ended": "10:30"}, "fraction RHA F2", "fraction RHA F3"),
        (BASELINE, {}, "fraction RHA F2", "baseline LHA"),
    ],
    ids=[LATER, EARLIER, UNLOGGED, BASELINE],
)
def test_every_answer_does_what_it_says_and_one_undo_takes_it_back(room, key, typed, first, second):
    before, roles_before = room.snapshot, room.roles
    given = answer(room, key, **typed)
    assert given.operation is not None
    assert given.records
    room.say(given.operation)
    assert (room.roles["10:26"], room.roles["10:34"]) == (first, second)
    assert series_question(room.snapshot, {}, NOW) is None
    back = undo_of(given.operation, before)
    assert back is not None
    room.say(back)
    assert room.roles == roles_before
    assert room.snapshot.injections == before.injections


def test_an_unlogged_injection_of_unknown_activity_leaves_everything_after_it_provisional(room):
    given = answer(room, UNLOGGED, ended="10:30")
    assert any("provisional" in line for line in given.records)
    assert isinstance(given.operation, RecordInjection)
    room.say(given.operation)
    third = next(i for i in room.snapshot.injections if i.key == ("RHA", 3))
    assert (third.activity_mbq, third.time) == (None, DAY.replace(hour=10, minute=30))
    known = answer(Room(*room.states), UNLOGGED, ended="10:30", activity="380,5")
    assert isinstance(known.operation, RecordInjection)
    assert known.operation.said["activity_MBq"] == 380.5
    assert not any("provisional" in line for line in known.records)


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("ended", "10:20", "expected a time after 10:26:00 and before 10:34:00"),
        ("ended", "10:26", "expected a time after"),
        ("ended", "10:40", "expected a time after"),
        ("ended", "11:30", "lies in the future"),
        ("ended", "half past", "expected a time such as"),
        ("activity", "-3", "expected a number from 10"),
        ("activity", "1.2.3", "expected a number"),
        ("activity", "99999", "to 20000"),
    ],
)
def test_what_cannot_be_of_an_unlogged_injection_is_refused_beside_its_field(room, field, text, expected):
    given = answer(room, UNLOGGED, **{"ended": "10:30", field: text})
    assert expected in given.form.verdicts[field].fault
    assert given.operation is None


@pytest.mark.parametrize(("text", "expected"), [("39", "more than a factor 5"), ("1,95", "from 10 to 20000")])
def test_the_activity_of_an_unlogged_injection_is_checked_as_that_of_any_other(room, text, expected):
    given = answer(room, UNLOGGED, ended="10:30", activity=text)
    assert expected in given.form.verdicts["activity"].fault
    assert given.operation is None


def test_a_series_that_is_nothing_yet_is_not_shown_as_the_reference(room):
    assert present_choice(room.snapshot, "no such series") == -1
    early = Room(series("09:50"), series("10:01"))
    assert early.roles["09:50"] == "repeatability"
    assert present_choice(early.snapshot, "09:50") == -1
    assert present_choice(early.snapshot, "10:01") == 0


def test_a_series_of_another_day_tells_its_day():
    yesterday = series("10:01")
    yesterday = replace(yesterday, acquired_at=yesterday.acquired_at - timedelta(days=1))
    room = Room(yesterday, series("10:12"))
    snapshot = replace(room.snapshot, latest_acquired_at=room.states[1].acquired_at)
    assert [row.acquired for row in series_rows(snapshot)] == ["2026-03-03 10:01", "10:12"]


def test_an_unlogged_injection_needs_its_time_and_takes_the_next_number_where_none_is_planned():
    assert answer(Room(series("10:01"), series("10:26"), series("10:34")), UNLOGGED).operation is None
    plan = {**PLAN, "injections": PLAN["injections"][:2]}
    given = answer(Room(series("10:01"), series("10:26"), series("10:34"), plan=plan), UNLOGGED, ended="10:30")
    assert isinstance(given.operation, RecordInjection)
    assert given.operation.key == ("RHA", 3)


def test_a_new_baseline_is_not_offered_without_a_position_to_come():
    plan = {**PLAN, "injections": PLAN["injections"][:3]}
    given = answer(Room(series("10:01"), series("10:26"), series("10:34"), plan=plan), BASELINE)
    assert (given.operation, bool(given.impossible)) == (None, True)


# -- confirming and changing ---------------------------------------------------------------------------------------


def test_one_button_confirms_what_is_as_expected_and_nothing_that_is_asked_about(room):
    word, told = all_expected(room.snapshot)
    assert "gre 10:01 as reference; gre 10:12 as RHA F1" in told
    before = room.roles
    room.say(word)
    assert room.roles == before
    rows = {row.key: row.confirmed.text for row in series_rows(room.snapshot)}
    assert rows == {k: v for k, v in zip(before, ["✓ confirmed"] * 2 + ["? question above"] * 2, strict=True)}
    assert all_expected(room.snapshot)[0] is None


def test_what_follows_is_said_before_it_is_recorded(room):
    told = choice(room, "10:26", "fraction", 2)
    assert told.follows.startswith("RHA F2 will be computed from this series; gre 10:34 is set aside")
    room.say(told.operation)
    assert room.roles["10:26"] == "fraction RHA F2"
    assert room.roles["10:34"] == "ignored RHA F2"
    assert automatic(room.snapshot, "10:26") is not None
    room.say(automatic(room.snapshot, "10:26"))
    assert automatic(room.snapshot, "10:26") is None
    assert room.roles["10:34"] == "fraction RHA F2"


def test_what_loses_its_series_is_named(room):
    assert "RHA F1 has no series then" in choice(room, "10:12", "ignore").follows
    # Of two series in one window the other one takes its place.
    assert "RHA F2 is computed from gre 10:26" in choice(room, "10:34", "ignore").follows
    room.say(choice(room, "10:34", "ignore").operation)
    assert room.roles["10:26"] == "fraction RHA F2"
    assert "nothing can be computed" in choice(room, "10:01", "anatomy").follows


@pytest.mark.parametrize(
    ("key", "role", "fraction", "warning"),
    [
        ("10:12", "fraction", 2, "acquired before RHA F2 had ended"),
        ("10:34", "fraction", 1, "acquired after RHA F2, which it then shows too"),
        ("10:12", "reference", None, "acquired after RHA F1: the holmium"),
        ("10:12", "fraction", 1, ""),
        ("10:01", "reference", None, ""),
    ],
)
def test_what_contradicts_the_times_is_warned_of_and_allowed(room, key, role, fraction, warning):
    told = choice(room, key, role, fraction)
    assert warning in told.warning
    assert bool(told.warning) == bool(warning)
    room.say(told.operation)


def test_a_series_that_is_no_holmium_series_or_not_complete_is_warned_of():
    room = Room(
        series("10:01"),
        series("10:12", holmium_refusal="one echo time only"),
        series("10:26", status=SeriesStatus.INCOMPLETE, received=61),
    )
    assert choice(room, "10:12", "fraction", 1).warning == "one echo time only"
    assert "61 of 80 images" in choice(room, "10:26", "fraction", 2).warning
    rows = {row.key: row for row in series_rows(room.snapshot)}
    assert rows["10:26"].images == "61/80"
    assert rows["10:26"].taken_for.sign == "!"


# -- the clock -----------------------------------------------------------------------------------------------------


def test_what_an_offset_does_to_the_matching_is_said_before_it_is_recorded(room):
    told = clock_screen(room.snapshot, "400")
    assert "gre 10:26 lies after RHA F1 instead of after RHA F2" in told.follows
    room.say(told.operation)
    assert room.roles["10:26"] == "fraction RHA F1"
    assert "stays with its injection" in clock_screen(room.snapshot, "401").follows


@pytest.mark.parametrize("text", ["", "soon", "1e6", "-90000", "12 s"])
def test_what_is_no_offset_is_refused_beside_its_field(room, text):
    told = clock_screen(room.snapshot, text)
    assert told.form.verdicts["offset"].fault
    assert told.operation is None


def test_an_offset_below_what_arrivals_prove_is_warned_of(room):
    proven = replace(room.snapshot, clock_ahead_at_least_s=74.0)
    assert "at least 74 s ahead" in clock_screen(proven, "10").form.verdicts["offset"].warning
    assert not clock_screen(proven, "80").form.verdicts["offset"].warning
    late = replace(room.snapshot, clock_ahead_at_least_s=-5.0)
    assert "at most 5 s behind" in clock_screen(late, "-9").form.verdicts["offset"].warning
    assert clock_screen(late, "−4").operation == ConfirmClock(seconds=-4.0)


# -- the dialog ----------------------------------------------------------------------------------------------------


def test_the_dialog_asks_confirms_changes_and_waits_for_what_was_said(qtbot, room):
    parent = QWidget()
    parent.resize(1366, 768)
    qtbot.addWidget(parent)
    said: list[Operation] = []
    services = Services(
        operate=lambda operation: (said.append(operation), "")[1], settings=Settings(), record=Path("x.holmia")
    )
    dialog = SeriesDialog(parent, services)
    dialog.receive(room.snapshot, NOW)
    dialog.show()
    assert dialog.height() <= 700
    assert dialog.question.sentence.isVisible()
    # A button shows first what it records; nothing is said by it alone.
    qtbot.mouseClick(dialog.question.buttons[0], Qt.MouseButton.LeftButton)
    assert "gre 10:34 is RHA F2" in dialog.question.records.text()
    assert said == []
    qtbot.mouseClick(dialog.question.record, Qt.MouseButton.LeftButton)
    assert isinstance(said[-1], Together)
    # What was said is not known yet: nothing is said twice.
    assert not dialog.question.buttons[0].isEnabled()
    assert not dialog.all_button.isEnabled()
    room.say(said[-1])
    dialog.receive(room.snapshot, NOW + timedelta(seconds=1))
    assert not dialog.question.isVisible()
    qtbot.mouseClick(dialog.all_button, Qt.MouseButton.LeftButton)
    room.say(said[-1])
    dialog.receive(room.snapshot, NOW)
    dialog.table.setFocus()
    dialog.table.selectRow(1)
    assert not dialog.change_button.isEnabled()
    dialog.role.setCurrentIndex(dialog.role.findText("Not used"))
    assert "RHA F1 has no series then" in dialog.follows.text()
    qtbot.mouseClick(dialog.change_button, Qt.MouseButton.LeftButton)
    assert said[-1] == AssignSeries(series_key="10:12", role="ignore")
    room.say(said[-1])
    dialog.receive(room.snapshot, NOW)
    qtbot.mouseClick(dialog.automatic_button, Qt.MouseButton.LeftButton)
    assert said[-1] == AssignSeries(series_key="10:12", role="automatic")
    room.say(said[-1])
    dialog.receive(room.snapshot, NOW)
    dialog.clock_form.changed.emit("offset", "-12,5")
    qtbot.mouseClick(dialog.clock_button, Qt.MouseButton.LeftButton)
    assert said[-1] == ConfirmClock(seconds=-12.5)
    dialog.close()
