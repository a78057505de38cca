"""One clock on the screen: the plan's time zone, whatever offset a header or a person stated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import treatments as t

from console.dashboard.screen.build import build_screen
from console.dashboard.screen.room_time import room_clock
from console.dashboard.screen.view import ViewState
from console.snapshot import Mode, Snapshot
from quantify.findings import FractionStatus

NOW = t.START + timedelta(minutes=58)


def screen_of(snapshot, view=None):
    return build_screen(snapshot, view or ViewState(compare=True), now=NOW, mode=Mode.LIVE)


def in_utc(snapshot):
    """The same treatment with every time stated in UTC, as a header with its own offset has it."""
    return replace(
        snapshot,
        injections=tuple(
            replace(i, time=i.time.astimezone(UTC) if i.time is not None else None) for i in snapshot.injections
        ),
        results=tuple(replace(r, acquired_at=r.acquired_at.astimezone(UTC)) for r in snapshot.results),
        series=tuple(replace(s, acquired_at=s.acquired_at.astimezone(UTC)) for s in snapshot.series),
    )


def test_a_time_stated_with_another_offset_stands_on_the_room_s_clock(between, finished):
    for snapshot in (between, finished):
        plain, stated = screen_of(snapshot), screen_of(in_utc(snapshot))
        assert stated.badge == plain.badge
        assert stated.guide == plain.guide
        assert stated.fractions == plain.fractions
        assert stated.series == plain.series
        assert [p.caption for p in stated.planes] == [p.caption for p in plain.planes]
    assert "10:54" in stated.badge.text


def test_without_a_plan_a_time_stands_as_it_was_stated():
    assert room_clock(Snapshot(), t.START.astimezone(UTC)) == "09:00"
    assert room_clock(Snapshot(), None) == "—"


def test_an_age_is_counted_from_the_true_time_once_the_offset_is_confirmed(finished):
    """The scanner an hour ahead: uncorrected, its images would be new for an hour, and never too old before."""
    ahead = timedelta(hours=1)
    late = [replace(r, acquired_at=r.acquired_at + ahead) for r in finished.results]
    snapshot = replace(finished, results=tuple(late), clock_offset_s=3600.0)
    assert "age 04:00" in screen_of(snapshot).badge.text
    later = build_screen(snapshot, ViewState(), now=NOW + timedelta(minutes=40), mode=Mode.LIVE)
    assert "STALE: older than 30 min" in later.badge.text


def test_a_failed_fraction_chosen_again_is_said_to_be_an_earlier_one(finished):
    failed = replace(finished.results[1], status=FractionStatus.FAILED, error="no overlap", maps=None, volumes={})
    snapshot = replace(finished, results=(finished.results[0], failed, *finished.results[2:]))
    badge = screen_of(snapshot, ViewState(selected=("RHA", 2))).badge
    assert badge.text.startswith("◂ EARLIER: latest is RHA F4 · after RHA F2")
    assert "no overlap" in badge.text
