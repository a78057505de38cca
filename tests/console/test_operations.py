"""What an operator says becomes events, and a later word takes it back: the treatment is then as it was before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config.plan import plan_from_mapping
from config.settings import Settings
from console.engine import Engine
from console.operation_words import OperationError, words_of
from console.operations import (
    ONE_TAP,
    AssignSeries,
    ChooseVolume,
    CloseTreatment,
    ConfirmClock,
    GiveRegistration,
    GiveUpPosition,
    GiveVolumes,
    Operation,
    RecordInjection,
    RetractNote,
    RevisePlan,
    TapEvent,
    Together,
    abort_injection,
    next_injection,
    start_injection,
    stop_injection,
    under_way,
    undo_of,
)
from console.prepared import created, has_plan, with_plan
from console.snapshot import Snapshot, VolumeSource
from dicom_listener.events import Event, Kind
from dicom_listener.images import Sequence, SeriesState, SeriesStatus
from dicom_listener.record import Record

START = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
PLAN: Mapping[str, Any] = {
    "schema": 1,
    "time_zone": "Europe/Amsterdam",
    "patient": {"id": "EM1-004"},
    "microspheres": {
        "holmium_fraction": 0.195,
        "specific_activity_MBq_per_mg": 12.0,
        "reference_time": "2026-03-04T10:00:00+01:00",
    },
    "calibration": {"relaxivity_per_s_per_mg_mL": 218.0, "field_T": 3.0, "holmium_fraction": 0.195},
    "injections": [
        {"position": "RHA", "fraction": 1, "planned_MBq": 400.0},
        {"position": "RHA", "fraction": 2, "planned_MBq": 1200.0},
        {"position": "LHA", "fraction": 1, "planned_MBq": 500.0},
    ],
}
RIGID = ((1.0, 0.0, 0.0, 2.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, -1.0), (0.0, 0.0, 0.0, 1.0))


class Room:
    """An engine, and an operator who speaks to it through `words_of`; time goes on a minute with every word."""

    def __init__(self) -> None:
        self.engine, self.seq, self.at = Engine(), 0, START
        self.last: Event | None = None

    @property
    def snapshot(self) -> Snapshot:
        return self.engine.snapshot()

    def say(self, operation: Operation, *, name: str = "A. Operator") -> None:
        self.at += timedelta(minutes=1)
        for word in words_of(operation, self.snapshot, name=name, at=self.at, site=Settings()):
            self.seq += 1
            event = Event(
                seq=self.seq,
                utc=self.at,
                actor=name,
                kind=word.kind,
                payload=dict(word.payload),
                object_sha256="ab" * 32 if word.data is not None else None,
                previous_hash="",
                hash=str(self.seq),
            )
            self.engine.take(event, word.data)
            self.last = event


@pytest.fixture
def room() -> Room:
    made = Room()
    made.say(RevisePlan(plan=PLAN))
    return made


def known(snapshot: Snapshot) -> tuple[object, ...]:
    """What of a treatment an operation can change."""
    return (
        snapshot.injections,
        snapshot.cancelled,
        snapshot.plan,
        snapshot.settings_sha256,
        {key: own for key, own in snapshot.assigned.items()},
        snapshot.given_registrations,
        snapshot.clock_offset_s,
        snapshot.chosen_volumes,
        snapshot.closed,
    )


def injection(room: Room, number: int = 0):
    return room.snapshot.injections[number]


def coming(room: Room):
    following = next_injection(room.snapshot)
    assert following is not None
    return following


def test_a_plan_that_an_operator_gives_is_the_plan_that_a_file_gives(room: Room) -> None:
    assert room.snapshot.plan == plan_from_mapping(PLAN, site_time_zone="UTC")
    assert room.last is not None
    assert room.last.kind == Kind.PLAN_LOADED
    room.say(RevisePlan(plan={**PLAN, "quantification": {"tissue_density_g_per_mL": 1.05}}, reason="as measured"))
    assert room.last.kind == Kind.PLAN_REVISED
    assert [r.reason for r in room.snapshot.revisions] == ["as measured"]


def test_an_injection_is_under_way_between_its_start_and_its_end(room: Room) -> None:
    room.say(start_injection(injection(room), room.at))
    begun = under_way(room.snapshot)
    assert begun is not None
    assert begun.label == "RHA F1"
    room.say(stop_injection(begun, room.at, activity_mbq=395.0))
    assert under_way(room.snapshot) is None
    done = injection(room)
    assert (done.activity_mbq, done.time, done.started_at) == (395.0, room.at - timedelta(minutes=1), begun.started_at)
    following = next_injection(room.snapshot)
    assert following is not None
    assert following.label == "RHA F2"


def test_no_second_injection_is_under_way(room: Room) -> None:
    room.say(start_injection(injection(room), room.at))
    with pytest.raises(OperationError, match="RHA F1 is under way"):
        room.say(start_injection(injection(room, 1), room.at))
    with pytest.raises(OperationError, match="under way"):
        room.say(CloseTreatment())


@pytest.mark.parametrize("key", ["started", "time"])
def test_nothing_happens_in_the_future(room: Room, key: str) -> None:
    said = {key: (room.at + timedelta(hours=1)).isoformat()}
    with pytest.raises(OperationError, match="future"):
        room.say(RecordInjection(position="RHA", fraction=1, said=said))


def test_no_injection_ends_before_it_began(room: Room) -> None:
    room.say(start_injection(injection(room), room.at))
    with pytest.raises(OperationError, match="before it began"):
        room.say(stop_injection(injection(room), room.at - timedelta(minutes=30)))


def test_of_an_aborted_injection_the_activity_may_stay_unknown(room: Room) -> None:
    room.say(abort_injection(injection(room), room.at))
    aborted = next(i for i in room.snapshot.injections if i.key == ("RHA", 1))
    assert (aborted.aborted, aborted.activity_mbq) == (True, None)
    assert aborted.provisional_reason


def test_a_position_that_is_given_up_leaves_what_was_given(room: Room) -> None:
    room.say(stop_injection(injection(room), room.at, activity_mbq=400.0))
    room.say(GiveUpPosition(position="RHA"))
    assert [i.label for i in room.snapshot.injections] == ["RHA F1", "LHA F1"]
    assert room.snapshot.cancelled == (("RHA", 2),)
    with pytest.raises(OperationError, match="Nothing is planned"):
        room.say(GiveUpPosition(position="RHA"))


def test_a_closed_treatment_takes_no_injection(room: Room) -> None:
    room.say(CloseTreatment())
    assert room.snapshot.complete
    assert next_injection(room.snapshot) is None
    with pytest.raises(OperationError, match="closed"):
        room.say(start_injection(injection(room), room.at))


def test_contrast_that_was_tapped_by_mistake_changes_nothing(room: Room) -> None:
    assert "contrast" in ONE_TAP
    room.say(TapEvent(label="contrast"))
    assert room.engine._treatment.contrast_at is not None
    assert room.last is not None
    room.say(TapEvent(label="contrast"))
    later = room.last.seq
    room.say(RetractNote(seq=later))
    room.say(RetractNote(seq=later - 1))
    assert room.engine._treatment.contrast_at is None
    assert room.snapshot.retracted == {later, later - 1}


def test_nobody_says_nothing(room: Room) -> None:
    with pytest.raises(OperationError, match="name"):
        room.say(TapEvent(label="stasis"), name=" ")


def test_a_plan_of_another_patient_than_the_images_is_refused() -> None:
    snapshot = Snapshot(patient_id="SOMEBODY", series=(_series(),))
    with pytest.raises(OperationError, match="'SOMEBODY'"):
        words_of(RevisePlan(plan=PLAN), snapshot, name="A", at=START, site=Settings())


def test_all_faults_of_a_plan_are_told_at_once(room: Room) -> None:
    with pytest.raises(OperationError) as caught:
        room.say(RevisePlan(plan={**PLAN, "patient": {}, "calibration": {}}))
    assert "patient.id" in str(caught.value)
    assert "calibration.field_T" in str(caught.value)


def test_a_series_is_assigned_to_what_exists() -> None:
    snapshot = replace(Room().snapshot, series=(_series(),))
    with pytest.raises(OperationError, match="no injection of this treatment"):
        words_of(AssignSeries(series_key="k", role="fraction", position="RHA", fraction=7), snapshot, **_said())
    with pytest.raises(OperationError, match="'hero'"):
        words_of(AssignSeries(series_key="k", role="hero"), snapshot, **_said())
    with pytest.raises(OperationError, match="not in this treatment"):
        words_of(AssignSeries(series_key="other", role="ignore"), snapshot, **_said())


OPERATIONS: dict[str, Callable[[Room], Operation]] = {
    "start": lambda room: start_injection(coming(room), room.at),
    "stop": lambda room: stop_injection(injection(room), room.at, activity_mbq=300.0, outside_mri=True),
    "abort": lambda room: abort_injection(injection(room), room.at),
    "cancel": lambda _: RecordInjection(position="RHA", fraction=2, cancelled=True),
    "another": lambda room: RecordInjection(
        position="RHA", fraction=3, said={"time": room.at.isoformat(), "activity_MBq": 90.0}
    ),
    "give up": lambda _: GiveUpPosition(position="RHA"),
    "registration": lambda _: GiveRegistration(series_key="k", reference_to_series_lps_mm=RIGID),
    "clock": lambda _: ConfirmClock(seconds=3.5),
    "plan": lambda _: RevisePlan(plan={**PLAN, "patient": {"id": "EM1-004", "name": "B"}}),
    "volume": lambda _: ChooseVolume(volume="Tumour 1", object_sha256="ab" * 32),
    "close": lambda _: CloseTreatment(),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("before", ["nothing", "recorded"])
def test_a_later_word_takes_an_operation_back(room: Room, name: str, before: str) -> None:
    if before == "recorded":
        said = {"time": room.at.isoformat(), "activity_MBq": 111.0}
        room.say(RecordInjection(position="RHA", fraction=1, said=said))
        room.say(ConfirmClock(seconds=1.0))
        room.say(RecordInjection(position="LHA", fraction=1, cancelled=True))
    operation = OPERATIONS[name](room)
    was = room.snapshot
    back = undo_of(operation, was)
    assert back is not None
    room.say(operation)
    assert known(room.snapshot) != known(was)
    room.say(back)
    after = room.snapshot
    if name == "another":  # it is known from now on, as one that will not be given
        after = replace(after, cancelled=was.cancelled)
    assert known(after) == known(was)


def test_volumes_are_given_with_the_frame_that_they_were_drawn_in(room: Room) -> None:
    operation = GiveVolumes(
        name="drawing", labels={1: "Tumour 1"}, nifti=b"none", frame_of_reference_uid="1.2.3", drawn="sphere"
    )
    (word,) = words_of(operation, room.snapshot, **_said())
    assert word.payload["frame_of_reference_uid"] == "1.2.3"
    room.say(operation)
    (given,) = room.snapshot.structures
    assert (given.by, given.drawn, given.structures.frame_of_reference_uid) == ("A. Operator", "sphere", "1.2.3")


def test_the_same_plan_file_after_a_restart_leaves_what_was_promoted(tmp_path: Path) -> None:
    plan, settings = plan_from_mapping(PLAN, site_time_zone="UTC"), Settings()
    with created(tmp_path / "a.holmia", lambda: START) as record:
        assert not has_plan(record)
        with_plan(record, plan, settings, lambda: START)
        room = Room()
        for event in record.events():
            room.engine.take(event)
        promoted = {**PLAN, "quantification": {"tissue_density_g_per_mL": 1.05}}
        for word in words_of(RevisePlan(plan=promoted, reason="as measured"), room.snapshot, **_said()):
            record.append(word.kind, dict(word.payload), actor="A", utc=START)
        head = record.head()
        with_plan(record, plan, settings, lambda: START)
        assert record.head() == head
        other = plan_from_mapping({**PLAN, "patient": {"id": "EM1-004", "name": "B"}}, site_time_zone="UTC")
        with_plan(record, other, settings, lambda: START)
        assert record.head().seq == head.seq + 1


def test_what_is_recorded_can_be_read_by_another_process(tmp_path: Path) -> None:
    with created(tmp_path / "a.holmia", lambda: START) as record:
        for word in words_of(TapEvent(label="reflux"), Snapshot(), **_said()):
            record.append(word.kind, dict(word.payload), actor="A", utc=START)
    with Record.open(tmp_path / "a.holmia", read_only=True) as again:
        assert again.events()[-1].payload["label"] == "reflux"


def test_a_plan_that_does_not_go_with_the_recorded_settings_is_refused_and_not_recorded(room: Room) -> None:
    before = room.seq
    with pytest.raises(OperationError, match=r"minimum_similarity is .* above warning_similarity"):
        room.say(RevisePlan(plan={**PLAN, "quantification": {"registration": {"minimum_similarity": 0.9}}}))
    assert room.seq == before


def test_what_was_aborted_stays_when_its_position_is_given_up(room: Room) -> None:
    room.say(RecordInjection(position="RHA", fraction=1, said={"aborted": True}))
    room.say(GiveUpPosition(position="RHA"))
    assert [i.label for i in room.snapshot.injections if i.aborted] == ["RHA F1"]
    assert room.snapshot.cancelled == (("RHA", 2),)


def test_into_a_closed_treatment_no_injection_is_recorded_but_what_was_said_is_corrected(room: Room) -> None:
    room.say(stop_injection(injection(room), room.at))
    room.say(CloseTreatment())
    room.say(RecordInjection(position="RHA", fraction=1, said={"activity_MBq": 300.0, "time": room.at.isoformat()}))
    with pytest.raises(OperationError, match="closed"):
        room.say(RecordInjection(position="RHA", fraction=2, said={"time": room.at.isoformat()}))


def test_no_series_is_waited_for_after_an_injection_outside_the_mri(room: Room) -> None:
    room.say(stop_injection(injection(room), room.at, activity_mbq=300.0, outside_mri=True))
    assert room.snapshot.awaited == ("RHA", 2)
    assert room.snapshot.not_imaged_mbq == 300.0


def test_a_version_of_a_volume_is_taken_back_to_the_one_before() -> None:
    operation = GiveVolumes(name="drawing", labels={1: "Tumour 1"}, nifti=b"none")
    before = Snapshot(volume_sources={"Tumour 1": VolumeSource(title="a", sha256="cd" * 32, version=1)})
    back = undo_of(operation, before)
    assert back == Together(operations=(ChooseVolume(volume="Tumour 1", object_sha256="cd" * 32),))
    assert undo_of(operation, Snapshot()) is None
    assert undo_of(replace(operation, plan=PLAN), before) is None


def _said() -> dict[str, Any]:
    return {"name": "A. Operator", "at": START, "site": Settings()}


def _series() -> SeriesState:
    return SeriesState(
        key="k",
        series_instance_uids=("1.2",),
        description="gre",
        protocol="gre",
        status=SeriesStatus.COMPLETE,
        reason="complete",
        echo_times_s=(0.001,),
        n_slices=1,
        received=1,
        expected=1,
        left_out=0,
        acquired_at=START,
        frame_of_reference_uid="1",
        field_strength_t=3.0,
        sequence=Sequence.GRADIENT_ECHO,
        holmium_refusal=None,
        revision=1,
        last_seq=1,
    )


def test_a_revision_tells_which_row_of_the_plan_was_changed(room: Room) -> None:
    first, *others = PLAN["injections"]
    vial = {"name": "A", "activity_MBq": 500.0, "assay_time": "2026-03-04T09:50:00+01:00"}
    drawn = {**first, "planned_MBq": 410.0, "vials": ["A"]}
    room.say(RevisePlan(plan={**PLAN, "injections": [drawn, *others], "vials": [vial]}))
    told = room.snapshot.revisions[-1].differences
    assert "plan.injections.RHA F1.planned_MBq: 400.0 → 410.0" in told
    assert "plan.vials.A.activity_MBq: not stated → 500.0" in told
