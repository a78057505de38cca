"""The limits of the plan: the upper bound against them, the activity left, where they come from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import treatments

from config.settings import AlarmSettings
from console.alarms import find_alarms
from console.dashboard.screen.glance import build_glance
from console.dashboard.screen.limits import limit_of, limit_state, limits_table
from console.dashboard.screen.model import Tone
from quantify.findings import VolumeStatus
from quantify.model import Role
from quantify.monte_carlo import Spread
from quantify.projection import ActivityLeft


def liver(mean, u=2.4, **changes):
    return treatments.statistics("Healthy liver", Role.HEALTHY_LIVER, mean, u, 1480.0, **changes)


def bound(high):
    return {"dose_mean_gy": Spread(value=31.0, u=2.4, low_95=26.0, high_95=high)}


def with_limits(snapshot, *limits):
    plan = treatments.plan()
    plan.limits = limits
    return replace(snapshot, plan=plan)


def row_of(snapshot, number=-1):
    return limits_table(snapshot, snapshot.results[number]).rows[0]


@pytest.mark.parametrize(
    ("statistics", "sign", "tone"),
    [
        (liver(31.0), "✓", Tone.GOOD),
        (liver(56.0), "▲", Tone.ALERT),
        (liver(52.0, intervals=bound(55.1)), "▲", Tone.ALERT),
        (liver(52.0, intervals=bound(54.9)), "✓", Tone.GOOD),
        (liver(52.0, intervals={}), "▲", Tone.ALERT),
        (liver(31.0, status=VolumeStatus.LOWER_BOUND), "≥", Tone.CAUTION),
        (liver(31.0, dose_mean_u_gy=None, intervals={}), "!", Tone.CAUTION),
        (liver(31.0, dose_mean_gy=None), "○", Tone.MUTED),
        (None, "○", Tone.MUTED),
    ],
    ids=["under", "mean over", "bound over", "bound under", "no interval", "lower bound", "no u", "no mean", "none"],
)
def test_the_upper_95_per_cent_bound_stands_against_the_limit(statistics, sign, tone):
    state = limit_state(statistics, 55.0)
    assert (state.sign, state.tone) == (sign, tone)
    assert state.word


@pytest.mark.parametrize("mean", [40.0, 50.0, 50.2, 50.4, 52.0, 56.0])
@pytest.mark.parametrize("high", [None, 54.9, 55.1], ids=["no interval", "bound under", "bound over"])
def test_the_screen_marks_what_the_alarm_is_raised_for(words, mean, high):
    statistics = liver(mean, intervals={} if high is None else bound(high))
    result = replace(words.results[-1], volumes={"Healthy liver": statistics})
    found = find_alarms(
        plan=treatments.plan(),
        settings=AlarmSettings(),
        results=[result],
        series=(),
        bindings=(),
        quarantined=(),
        structure_faults=(),
        since=treatments.START,
    )
    raised = any(alarm.kind == "limit" for alarm in found)
    assert (limit_state(statistics, 55.0).tone is Tone.ALERT) == (raised or mean >= 55.0)


def test_a_limit_tells_value_limit_activity_left_and_that_its_origin_is_not_stated(words):
    row = row_of(words)
    assert row.cells[0].text == "✓ Healthy liver"
    assert row.cells[1].text == "31.0 ± 2.4 Gy, limit 55 Gy · 810 MBq left at RHA · origin not stated"
    for part in ("upper 95 % bound 36 Gy", "810 MBq at RHA until", "does not state where", "physics.md"):
        assert part in row.cells[1].tooltip


def test_the_origin_of_a_limit_is_told_and_what_the_plan_leaves_out_is_named(words):
    stated = treatments.limit("Healthy liver", 55.0, isotope="166Ho", method="SPECT", source="van Roekel 2021")
    row = row_of(with_limits(words, stated))
    assert row.cells[1].text.endswith(" · 166Ho, SPECT")
    assert "source van Roekel 2021" in row.cells[1].tooltip
    assert "Not stated: device, population." in row.cells[1].tooltip


def test_a_limit_of_another_isotope_says_that_it_does_not_carry_over(words):
    row = row_of(with_limits(words, treatments.limit("Healthy liver", 88.0, isotope="90Y")))
    assert "It does not carry over to 166Ho." in row.cells[1].tooltip


def test_with_several_limits_each_keeps_one_line_and_the_rest_is_in_the_tooltip(words):
    both = with_limits(words, treatments.limit("Healthy liver", 55.0), treatments.limit("Liver", 60.0))
    rows = limits_table(both, both.results[-1]).rows
    assert [row.cells[1].text for row in rows] == ["31.0 ± 2.4 Gy, limit 55 Gy", "33.0 ± 2.4 Gy, limit 60 Gy"]
    assert "810 MBq at RHA" in rows[0].cells[1].tooltip


def test_the_lowest_limit_of_a_volume_is_the_one_that_counts(words):
    two = with_limits(words, treatments.limit("Healthy liver", 60.0), treatments.limit("Healthy liver", 40.0))
    assert limit_of(two, "Healthy liver").dose_gy == 40.0
    assert limit_of(two, "Liver") is None


def test_no_activity_is_left_for_an_earlier_fraction(words):
    row = row_of(words, 1)
    assert "left" not in row.cells[1].text
    assert "latest result only" in row.cells[1].tooltip


def test_activity_left_says_when_it_was_counted_before_an_injection(words):
    given = replace(words, results=words.results[:2], injections=treatments.injections(3))
    assert "870 MBq left before RHA F3" in row_of(given).cells[1].text


def test_activity_that_is_not_known_is_no_number(words):
    last = replace(
        words.results[-1],
        activity_left={"Healthy liver": ActivityLeft(mbq=None, method="line", message="the dose does not rise")},
    )
    row = row_of(replace(words, results=(*words.results[:-1], last)))
    assert "activity left —" in row.cells[1].text
    assert "no number: the dose does not rise" in row.cells[1].tooltip


def test_of_a_lower_bound_neither_an_upper_bound_nor_an_activity_left_is_told(words):
    """The truth may be anything above: both would be too favourable."""
    last = words.results[-1]
    bound_now = replace(last, volumes={**last.volumes, "Healthy liver": liver(31.0, status=VolumeStatus.LOWER_BOUND)})
    row = row_of(replace(words, results=(*words.results[:-1], bound_now)))
    assert "≥ 31 Gy" in row.cells[1].text
    assert "activity left —" in row.cells[1].text
    assert "upper 95 % bound" not in row.cells[1].tooltip
    glance = next(n for n in build_glance(replace(words, results=(bound_now,)), bound_now) if n.bar is not None)
    assert "95 %" not in glance.small
    assert "95 % interval" not in glance.tooltip
    assert (glance.bar.uncertainty_gy, glance.bar.upper_95_gy) == (0.0, None)


def test_the_activity_left_names_its_position_where_the_next_injection_is_at_another(words):
    assert "810 MBq left at RHA" in row_of(words).cells[1].text
    same = replace(words, results=words.results[:2], injections=treatments.injections(2))
    assert "870 MBq left ·" in row_of(same).cells[1].text


def test_an_earlier_value_is_never_shown_as_how_the_limit_stands_now(words):
    row = row_of(words, 1)
    assert row.cells[1].text.startswith("◂ after RHA F2: 12.4 ± 2.4 Gy, limit 55 Gy")
    assert {cell.tone for cell in row.cells} == {Tone.CAUTION}
    assert row_of(words).cells[1].tone is Tone.GOOD
