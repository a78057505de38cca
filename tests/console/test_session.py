"""The session: what was shown and alarmed is recorded once, whoever restarts; machine alarms come and go."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from config.plan import load_plan
from config.settings import load_settings
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomTreatment, small_options, write_phantom
from console.demo.phantom_headers import Flavour
from console.engine import Engine, FractionComputed
from console.machine import Lag, machine_alarms, machine_status
from console.outputs.results import fraction_document
from console.reader import InThisProcess, RememberingReader
from console.resumption import as_shown
from console.session import CONSOLE, Session
from console.snapshot import Snapshot
from dicom_listener.events import Event, Kind
from dicom_listener.locks import FileLock
from dicom_listener.record import Record
from quantify.findings import Alarm, Priority

ZONE = "Europe/Amsterdam"
NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
READ_BEFORE = RememberingReader(InThisProcess())
"""Every test reads the same images: once is enough."""


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> PhantomTreatment:
    protocol = AcquisitionOptions(
        shape=(14, 40, 60), spacing_mm=(12.0, 6.5, 6.5), echo_times_s=(0.0012, 0.003, 0.006, 0.01), subsamples=1
    )
    options = small_options(
        flavour=Flavour.PHILIPS_ENHANCED, n_tumours=2, fractions=2, acquisition=protocol, saturating_tumour=None
    )
    return write_phantom(tmp_path_factory.mktemp("session") / "p", options)


def append_plan(record: Record, path: Path, kind: str = Kind.PLAN_LOADED) -> None:
    plan, settings = load_plan(path, site_time_zone=ZONE), load_settings()
    payload = {
        "plan": plan.to_mapping(),
        "sha256": plan.sha256,
        "settings": {"quantification": settings.quantification.to_mapping(), "alarms": settings.alarms.to_mapping()},
        "time_zone": ZONE,
    }
    record.append(kind, payload, actor="test", utc=NINE)


def append_series(record: Record, folder: Path) -> None:
    for path in sorted(folder.rglob("*.dcm")):
        payload = {"association": folder.name}
        record.append(Kind.INSTANCE_STORED, payload, actor="listener", utc=NINE, data=path.read_bytes())
    record.append(Kind.ASSOCIATION_CLOSED, {"association": folder.name}, actor="listener", utc=NINE)


@pytest.fixture(scope="module")
def whole(phantom, tmp_path_factory) -> Path:
    """A treatment file of all events of the phantom and nothing of a console; copied by each test."""
    path = tmp_path_factory.mktemp("file") / "whole.holmia"
    with Record.create(path) as record:
        record.append(Kind.TREATMENT_CREATED, {"software_version": "test"}, actor="test", utc=NINE)
        append_plan(record, phantom.plan_path)
        for folder in phantom.series_folders:
            append_series(record, folder)
    return path


@pytest.fixture
def record(whole, tmp_path) -> Iterator[Record]:
    copy = tmp_path / "copy.holmia"
    shutil.copyfile(whole, copy)
    with Record.open(copy) as opened:
        yield opened


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.moment = NINE

    def __call__(self) -> datetime:
        return self.moment


def session_on(record: Record, clock: Callable[[], datetime] | None = None, **given) -> tuple[Session, list, list]:
    updates: list = []
    snapshots: list[Snapshot] = []
    session = Session(
        record=record,
        engine=Engine(reader=READ_BEFORE),
        clock=clock or Clock(),
        on_update=updates.append,
        on_snapshot=snapshots.append,
        **given,
    )
    return session, updates, snapshots


def events_of(record: Record, kind: str | None = None) -> list[Event]:
    found, after = [], 0
    while batch := record.events(after):
        found += batch
        after = batch[-1].seq
    return [event for event in found if kind is None or event.kind == kind]


def follow(session: Session, record: Record, rounds: int = 3) -> None:
    """Run until the file has been read and there was nothing new for a few polls."""
    left = rounds
    head = -1

    def stop() -> bool:
        nonlocal left, head
        left = left - 1 if record.head().seq == head else rounds
        head = record.head().seq
        return left <= 0

    session.run(stop, poll_s=0.001)


def test_what_is_shown_is_recorded_once(record):
    session, updates, snapshots = session_on(record, operator=True)
    follow(session, record)
    shown = events_of(record, Kind.RESULT_SHOWN)
    assert [(e.payload["position"], e.payload["fraction"]) for e in shown] == [("RHA", 1), ("RHA", 2)]
    assert {e.actor for e in shown} == {CONSOLE}
    assert set(shown[0].payload) >= {"result", "map_sha256", "software_version", "settings_sha256", "after_seq"}
    assert set(shown[0].payload["map_sha256"]) == {"r2star", "holmium", "dose", "reason"}
    assert shown[0].payload["settings_sha256"] == snapshots[-1].settings_sha256
    assert len(shown[0].payload["reference_to_series_lps_mm"]) == 4
    assert len([u for u in updates if isinstance(u, FractionComputed)]) == 2
    assert snapshots[-1].complete


def test_a_restart_does_not_record_again(record):
    follow(session_on(record, operator=True)[0], record)
    before = record.head()
    session, updates, snapshots = session_on(record, operator=True)
    follow(session, record)
    assert record.head() == before
    assert [u.result.label for u in updates if isinstance(u, FractionComputed)] == ["RHA F1", "RHA F2"]
    assert snapshots[-1].complete


def test_a_console_without_the_role_of_operator_writes_nothing(record):
    before = record.head()
    session, updates, _ = session_on(record)
    follow(session, record)
    assert record.head() == before
    assert [u.result.label for u in updates if isinstance(u, FractionComputed)] == ["RHA F1", "RHA F2"]


def test_a_read_only_file_can_be_watched(record):
    record.close()
    with Record.open(record.path, read_only=True) as reader:
        session, _, snapshots = session_on(reader)
        follow(session, reader)
        assert snapshots[-1].complete


def test_a_result_that_changes_is_recorded_again(record):
    follow(session_on(record, operator=True)[0], record)
    record.append(
        Kind.INJECTION_RECORDED,
        {"position": "RHA", "fraction": 2, "activity_MBq": 1000.0},
        actor="operator",
        utc=NINE,
    )
    follow(session_on(record, operator=True)[0], record)
    shown = [e.payload["fraction"] for e in events_of(record, Kind.RESULT_SHOWN)]
    assert shown == [1, 2, 2]
    last = events_of(record, Kind.RESULT_SHOWN)[-1].payload["result"]
    assert last["injected_MBq"] == 1000.0


def quarantine(record: Record) -> None:
    payload = {"association": "a-1", "sha256": "0" * 64, "cause": "other_patient", "text": "another patient"}
    record.append(Kind.INSTANCE_QUARANTINED, payload, actor="listener", utc=NINE)


def test_an_alarm_is_recorded_once_and_acknowledged_by_name(record):
    quarantine(record)
    session, _, snapshots = session_on(record, operator=True)
    follow(session, record)
    mine = [e for e in events_of(record, Kind.ALARM_RAISED) if e.payload["alarm"]["kind"] == "patient_mismatch"]
    assert len(mine) == 1
    alarm = mine[0].payload["alarm"]
    assert alarm["raised_at"] == "2026-03-04T10:00:00+01:00"
    record.append(Kind.ALARM_ACKNOWLEDGED, {"alarm": alarm["id"], "name": "Dr. A"}, actor="Dr. A", utc=NINE)
    head = record.head()
    session, _, snapshots = session_on(record, operator=True)
    follow(session, record)
    assert record.head() == head
    (raised,) = [a for a in snapshots[-1].alarms if a.alarm.id == alarm["id"]]
    assert (raised.acknowledged_by, raised.acknowledged_at, raised.active) == ("Dr. A", NINE, True)


DOWN = Alarm(id="feedfeedfeedfeed", priority=Priority.HIGH, kind="listener_down", text="down", raised_at=NINE)


def test_machine_alarms_appear_stay_latched_and_go_inactive(record):
    clock = Clock()
    found: list[Alarm] = [DOWN]
    session, _, snapshots = session_on(record, clock, operator=True, machine=lambda: tuple(found))
    follow(session, record)

    def state() -> list[bool]:
        return [a.active for a in snapshots[-1].alarms if a.alarm.id == DOWN.id]

    assert state() == [True]
    assert [e.payload["alarm"]["id"] for e in events_of(record, Kind.ALARM_RAISED)].count(DOWN.id) == 1
    found.clear()
    clock.moment += timedelta(seconds=0.5)
    session._look_at_machine()
    assert state() == [True], "asked once a second at most"
    clock.moment += timedelta(seconds=1.0)
    assert session._look_at_machine()
    session._publish()
    assert state() == [False]
    found.append(DOWN)
    clock.moment += timedelta(seconds=2.0)
    assert session._look_at_machine()
    session._publish()
    assert state() == [True], "down again"
    assert [e.payload["alarm"]["id"] for e in events_of(record, Kind.ALARM_RAISED)].count(DOWN.id) == 2


def test_a_machine_alarm_can_be_acknowledged(record):
    session, _, snapshots = session_on(record, operator=True, machine=lambda: (DOWN,))
    follow(session, record)
    record.append(Kind.ALARM_ACKNOWLEDGED, {"alarm": DOWN.id, "name": "Dr. B"}, actor="Dr. B", utc=NINE)
    session, _, snapshots = session_on(record, operator=True, machine=lambda: (DOWN,))
    follow(session, record)
    (raised,) = [a for a in snapshots[-1].alarms if a.alarm.id == DOWN.id]
    assert (raised.acknowledged_by, raised.active) == ("Dr. B", True)


def test_the_machine_sees_whether_a_listener_holds_the_file(record):
    assert [a.kind for a in machine_alarms(record.path, NINE, minimum_free_mb=500.0)] == ["listener_down"]
    assert machine_alarms(record.path, NINE, minimum_free_mb=500.0)[0].priority == Priority.HIGH
    assert machine_status(record.path, minimum_free_mb=0.0)[0][0].startswith("LISTENER DOWN")
    with FileLock.acquire(record.path, "listener"):
        assert machine_alarms(record.path, NINE, minimum_free_mb=500.0) == ()
        assert machine_status(record.path, minimum_free_mb=0.0)[0] == ("listener running", True)


def test_a_full_disk_is_a_high_alarm(record, monkeypatch):
    monkeypatch.setattr("console.machine._free_mb", lambda path: 499.0)
    with FileLock.acquire(record.path, "listener"):
        (found,) = machine_alarms(record.path, NINE, minimum_free_mb=500.0)
    assert (found.kind, found.priority) == ("disk_full", Priority.HIGH)


def test_a_session_that_follows_computes_each_fraction_as_it_comes(phantom, tmp_path):
    """The live course: events appended one series at a time between looks at the file."""
    with Record.create(tmp_path / "live.holmia") as record:
        append_plan(record, phantom.plan_path)
        session, updates, _ = session_on(record, operator=True)
        seen = 0
        for folder in phantom.series_folders:
            append_series(record, folder)
            batch = record.events(seen)
            while batch:
                session.take(batch)
                seen = batch[-1].seq
                batch = record.events(seen)
        assert [u.result.label for u in updates if isinstance(u, FractionComputed)] == ["RHA F1", "RHA F2"]
        assert len(events_of(record, Kind.RESULT_SHOWN)) == 2
        record.verify()


def test_a_restarted_console_shows_at_once_what_was_shown_and_then_the_same_again(record):
    session, _, snapshots = session_on(record, operator=True)
    follow(session, record)
    shown = snapshots[-1]
    assert shown.alarms, "the phantom's console raises one"
    record.append(
        Kind.ALARM_ACKNOWLEDGED, {"alarm": shown.alarms[0].alarm.id, "name": "J. Jansen"}, actor="x", utc=NINE
    )
    recorded = len(events_of(record, Kind.RESULT_SHOWN))
    seen: list[Snapshot] = []
    session = Session(record=record, engine=Engine(), clock=Clock(), on_snapshot=seen.append, operator=True)
    session.resume(as_shown(record, InThisProcess()))
    first = seen[0]
    assert first.restored
    assert first.patient_name == shown.patient_name
    zone = ZoneInfo(ZONE)
    numbers = [fraction_document(r, zone) for r in shown.results]
    assert [fraction_document(r, zone) for r in first.results] == numbers
    assert {a.alarm.id for a in first.alarms} == {a.alarm.id for a in shown.alarms}
    assert next(a for a in first.alarms if a.alarm.id == shown.alarms[0].alarm.id).acknowledged_by == "J. Jansen"
    assert first.not_imaged_mbq == shown.not_imaged_mbq
    assert (first.awaited, first.complete) == (shown.awaited, shown.complete)

    session.run(lambda: bool(seen) and not seen[-1].restored)
    for snapshot in seen[:-1]:
        assert snapshot.restored
        assert [fraction_document(r, zone) for r in snapshot.results] == numbers, "never less than was shown"
    last = seen[-1]
    assert [fraction_document(r, zone) for r in last.results] == numbers
    assert all(r.maps is not None for r in last.results)
    assert len(events_of(record, Kind.RESULT_SHOWN)) == recorded


def test_a_file_from_which_nothing_was_shown_restores_nothing(record):
    assert as_shown(record, InThisProcess()) is None


def test_an_earlier_acknowledgement_does_not_cover_a_new_occurrence(record):
    clock, down = Clock(), [DOWN]
    seen: list[Snapshot] = []
    session = Session(
        record=record, engine=Engine(), clock=clock, on_snapshot=seen.append, operator=True, machine=lambda: down
    )
    session._look_at_machine()
    clock.moment += timedelta(seconds=5)
    record.append(Kind.ALARM_ACKNOWLEDGED, {"alarm": DOWN.id, "name": "J. Jansen"}, actor="x", utc=clock.moment)
    session.take(record.events(0, limit=10_000)[-2:])
    assert next(a for a in seen[-1].alarms if a.alarm.id == DOWN.id).acknowledged_by == "J. Jansen"
    down.clear()
    clock.moment += timedelta(seconds=5)
    session._look_at_machine()
    down.append(replace(DOWN, raised_at=clock.moment + timedelta(seconds=5)))
    clock.moment += timedelta(seconds=5)
    session._look_at_machine()
    session._publish()
    assert next(a for a in seen[-1].alarms if a.alarm.id == DOWN.id).acknowledged_by is None


@pytest.fixture
def planned(phantom, tmp_path) -> Iterator[Record]:
    """A treatment of a plan alone: nothing to compute."""
    with Record.create(tmp_path / "planned.holmia") as record:
        append_plan(record, phantom.plan_path)
        yield record


def machine_session(record: Record, clock: Clock, found: list[Alarm], seen: list[Snapshot]) -> Session:
    """What a console that is started on the file does before it has read it."""
    session = Session(
        record=record, engine=Engine(), clock=clock, on_snapshot=seen.append, operator=True, machine=lambda: found
    )
    session.resume(as_shown(record, InThisProcess()))
    session._look_at_machine()
    return session


def down_in(snapshot: Snapshot) -> list[tuple[bool, str | None]]:
    return [(a.active, a.acknowledged_by) for a in snapshot.alarms if a.alarm.id == DOWN.id]


def times_down(record: Record) -> int:
    return [e.payload["alarm"]["id"] for e in events_of(record, Kind.ALARM_RAISED)].count(DOWN.id)


def acknowledge_down(record: Record) -> None:
    record.append(Kind.ALARM_ACKNOWLEDGED, {"alarm": DOWN.id, "name": "Dr. A"}, actor="Dr. A", utc=NINE)


def test_what_fails_after_a_restart_is_a_new_occurrence_that_nobody_has_acknowledged(planned):
    machine_session(planned, Clock(), [DOWN], [])
    acknowledge_down(planned)
    clock, found, seen = Clock(), list[Alarm](), list[Snapshot]()
    session = machine_session(planned, clock, found, seen)
    session.take(planned.events())
    clock.moment += timedelta(hours=1)
    found.append(replace(DOWN, raised_at=clock.moment))
    assert session._look_at_machine()
    session._publish()
    assert down_in(seen[-1]) == [(True, None)]
    assert times_down(planned) == 2


def test_what_lasts_over_a_restart_before_the_first_result_stays_active_and_is_recorded_once(planned):
    machine_session(planned, Clock(), [DOWN], [])
    acknowledge_down(planned)
    clock, seen = Clock(), list[Snapshot]()
    session = machine_session(planned, clock, [DOWN], seen)
    session._publish()
    assert [down_in(snapshot) for snapshot in seen] == [[(True, "Dr. A")]] * 2
    clock.moment += timedelta(seconds=2)
    assert not session._look_at_machine()
    assert times_down(planned) == 1


def test_what_the_machine_raises_no_more_is_not_active_while_the_file_is_read_again(planned):
    machine_session(planned, Clock(), [DOWN], [])
    seen: list[Snapshot] = []
    session = machine_session(planned, Clock(), [], seen)
    session._publish()
    assert seen[-1].restored
    assert down_in(seen[-1]) == [(False, None)]


def test_a_clock_that_is_set_back_does_not_end_the_looking_at_the_machine(planned):
    clock, found, seen = Clock(), list[Alarm](), list[Snapshot]()
    session = machine_session(planned, clock, found, seen)
    clock.moment -= timedelta(hours=1)
    found.append(DOWN)
    assert session._look_at_machine()


def test_what_a_person_of_the_name_console_says_is_computed(planned):
    session, _, _ = session_on(planned, operator=True)
    session.take(planned.events())
    took = session._engine.advance
    asked: list[bool] = []
    session._engine.advance = lambda: asked.append(True) or took()
    planned.append(Kind.CLOCK_OFFSET_CONFIRMED, {"seconds": 90.0, "name": CONSOLE}, actor=CONSOLE, utc=NINE)
    session.take(planned.events()[-1:])
    assert asked


def test_an_engine_that_reads_nothing_for_a_minute_is_told_and_one_that_reads_on_is_not():
    lag = Lag()
    assert lag.told(10, 10, 0.0) == ""
    assert lag.told(12, 10, 100.0) == "", "it may just have come"
    assert lag.told(12, 10, 159.0) == ""
    assert "2 events for 60 s" in lag.told(12, 10, 160.0)
    assert lag.told(500, 11, 161.0) == "", "it reads on"
    assert "489 events" in lag.told(500, 11, 222.0)
    assert lag.told(500, 500, 223.0) == ""
    assert lag.told(501, 500, 1000.0) == "", "the minute begins when it falls behind"
