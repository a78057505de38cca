"""The timeline: ticks for what matters, an axis that follows the order of events, and waits that are drawn short."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from console.timeline import LONGEST_WAIT, TickKind, Timeline, timeline_of
from dicom_listener.events import Event, Kind

NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
STORED = {"series_instance_uid": "1.2", "modality": "MR", "association": "a"}


def event(seq: int, seconds: float, kind: str = Kind.LISTENER_STARTED, **payload: object) -> Event:
    at = NINE + timedelta(seconds=seconds)
    return Event(
        seq=seq, utc=at, actor="t", kind=kind, payload=payload, object_sha256=None, previous_hash="", hash=f"{seq}"
    )


def ticks(*events: Event) -> list[tuple[TickKind, int, str]]:
    return [(tick.kind, tick.seq, tick.words) for tick in timeline_of(events).ticks]


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        (
            Kind.INJECTION_RECORDED,
            {"position": "RHA", "fraction": 2, "started": "x"},
            (TickKind.INJECTION, "RHA F2 started"),
        ),
        (
            Kind.INJECTION_RECORDED,
            {"position": "RHA", "fraction": 2, "time": "x", "activity_MBq": 389.6},
            (TickKind.INJECTION, "RHA F2 ended, 390 MBq"),
        ),
        (
            Kind.INJECTION_RECORDED,
            {"position": "L", "fraction": 1, "cancelled": True},
            (TickKind.INJECTION, "L F1 cancelled"),
        ),
        (Kind.RESULT_SHOWN, {"position": "RHA", "fraction": 2, "result": {}}, (TickKind.RESULT, "result RHA F2 shown")),
        (
            Kind.RESULT_SHOWN,
            {"position": "RHA", "fraction": 2, "result": {"error": "no liver"}},
            (TickKind.RESULT, "result RHA F2 shown, FAILED: no liver"),
        ),
        (
            Kind.ALARM_RAISED,
            {"alarm": {"id": "x", "priority": "high", "text": "liver over limit"}},
            (TickKind.ALARM, "alarm, high: liver over limit"),
        ),
        (Kind.ALARM_ACKNOWLEDGED, {"alarm": "x", "name": "A"}, (TickKind.ACKNOWLEDGED, "alarm acknowledged by A")),
        (
            Kind.PLAN_REVISED,
            {"name": "A", "reason": "new batch"},
            (TickKind.CHANGE, "settings promoted by A: new batch"),
        ),
        (Kind.NOTE, {"label": "stasis", "text": ""}, (TickKind.NOTE, "stasis")),
        (Kind.TREATMENT_CLOSED, {"closed": False}, (TickKind.NOTE, "treatment opened again")),
        (
            Kind.SERIES_ASSIGNED,
            {"series_key": "k", "role": "reference"},
            (TickKind.CHANGE, "series assigned: reference"),
        ),
    ],
)
def test_what_a_reader_would_jump_to_has_a_tick_with_its_words(kind, payload, expected):
    assert ticks(event(1, 0.0, kind, **payload)) == [(expected[0], 1, expected[1])]


@pytest.mark.parametrize("kind", [Kind.RESULT_SHOWN, Kind.ALARM_RAISED, Kind.INJECTION_RECORDED, Kind.VOLUME_CHOSEN])
def test_an_event_of_another_version_keeps_its_tick_and_takes_no_other_with_it(kind):
    found = ticks(event(1, 0.0, kind, strange=1), event(2, 1.0, Kind.NOTE, text="ok"), event(3, 2.0, "unheard_of"))
    assert [seq for _, seq, _ in found] == [1, 2]
    assert "another version" in found[0][2]


def test_a_series_has_one_tick_when_its_sending_is_over():
    first = [event(n, n, Kind.INSTANCE_STORED, **STORED) for n in (1, 2, 3)]
    other = event(4, 4.0, Kind.INSTANCE_STORED, **{**STORED, "series_instance_uid": "1.3", "modality": "RTSTRUCT"})
    closed = event(5, 9.0, Kind.ASSOCIATION_CLOSED, association="a", how="released", instances=4)
    told = "MR series received, 3 images; RTSTRUCT series received, 1 object"
    assert ticks(*first, other, closed) == [(TickKind.SERIES, 5, told)]
    quiet = event(4, 60.0, Kind.SERIES_QUIET, series_instance_uid="1.2", instances=3)
    assert ticks(*first, quiet) == [(TickKind.SERIES, 4, "MR series received, 3 images")]
    assert ticks(*first) == [(TickKind.SERIES, 3, "MR series received, 3 images")], "never said to be over"
    nothing = event(1, 0.0, Kind.ASSOCIATION_CLOSED, association="b", how="released", instances=0)
    assert ticks(nothing) == []


def test_places_follow_the_order_and_a_place_leads_back_to_its_event():
    chance = random.Random(7)
    at, events = 0.0, []
    for seq in range(1, 200):
        at += chance.choice((0.0, 0.2, 5.0, 90.0, 700.0, -30.0))  # a clock may be set back
        events.append(event(seq * 2, at))
    line = timeline_of(events)
    assert line.places[0] == 0.0
    assert line.places[-1] == 1.0
    assert list(line.places) == sorted(line.places)
    for seq in line.seqs:
        place = line.place_of(seq)
        assert line.place_of(line.seq_at(place)) == place
        assert line.seq_at(place) >= seq
        moment = line.moment_of(seq)
        assert line.place(moment) == pytest.approx(line.place_of(line.seq_at(place)), abs=1e-12)
        assert abs(line.moment(place) - moment) < timedelta(milliseconds=1)
    for _ in range(200):
        place = chance.random()
        assert line.place(line.moment(place)) == pytest.approx(place, abs=1e-6)


def test_a_long_wait_takes_no_more_room_than_the_longest_and_is_marked_with_what_it_was():
    line = timeline_of([event(1, 0.0), event(2, 60.0), event(3, 3660.0), event(4, 3720.0)])
    short = LONGEST_WAIT.total_seconds()
    assert line.place_of(3) - line.place_of(2) == pytest.approx(short / (short + 120.0))
    (wait,) = line.breaks
    assert wait.lasted == timedelta(hours=1)
    assert line.place_of(2) < wait.place < line.place_of(3)
    assert line.moment(wait.place) == NINE + timedelta(seconds=60 + 1800)
    assert timeline_of([event(1, 0.0), event(2, short)]).breaks == ()


def test_a_file_of_one_moment_is_spread_evenly_and_an_empty_one_has_no_places():
    line = timeline_of([event(seq, 0.0) for seq in (1, 2, 3)])
    assert line.places == (0.0, 0.5, 1.0)
    assert timeline_of([event(1, 0.0)]).places == (0.0,)
    empty = timeline_of([])
    assert empty == Timeline()
    assert (empty.last_seq, empty.seq_at(0.5), empty.place_of(9), empty.place(NINE)) == (0, 0, 0.0, 0.0)
    assert empty.moment(0.5) is None


def test_steps_go_from_tick_to_tick_and_end_at_the_ends():
    line = timeline_of(
        [event(1, 0.0), event(2, 1.0, Kind.NOTE, text="a"), event(5, 2.0, Kind.NOTE, text="b"), event(6, 3.0)]
    )
    assert [line.next_tick(seq).seq if line.next_tick(seq) else None for seq in (1, 2, 4, 5)] == [2, 5, 5, None]
    before = [line.previous_tick(seq) for seq in (6, 5, 3, 2)]
    assert [tick.seq if tick else None for tick in before] == [5, 2, 2, None]
