"""Digits follow the uncertainty."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from console.dashboard.screen import formatting


@pytest.mark.parametrize(
    ("value", "uncertainty", "shown"),
    [
        (78.2, 11.3, "78 ± 11 Gy"),
        (29.4, 5.2, "29 ± 5 Gy"),
        (13.11, 1.24, "13.1 ± 1.2 Gy"),
        (112.0, 40.0, "110 ± 40 Gy"),
        (112.0, 36.0, "110 ± 40 Gy"),
        (0.04, 0.012, "0.040 ± 0.012 Gy"),
        (1343.0, 96.0, "1\u202f340 ± 100 Gy"),
        (50.0, 9.6, "50 ± 10 Gy"),
        (-0.2, 1.2, "−0.2 ± 1.2 Gy"),
        (-0.01, 1.2, "0.0 ± 1.2 Gy"),
    ],
)
def test_digits_follow_the_uncertainty(value, uncertainty, shown):
    assert formatting.with_uncertainty(value, uncertainty, "Gy") == shown


@pytest.mark.parametrize("uncertainty", [None, math.nan, math.inf, 0.0, -1.0])
def test_a_value_without_a_usable_uncertainty_is_not_shown(uncertainty):
    assert formatting.with_uncertainty(78.0, uncertainty, "Gy") == "—"


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_an_unknown_value_is_a_dash_never_zero(value):
    assert formatting.with_uncertainty(value, 3.0, "Gy") == "—"
    assert formatting.lower_bound(value, 3.0, "Gy") == "—"


def test_a_lower_bound_says_so_and_has_no_decimals():
    assert formatting.lower_bound(120.4, 1.2, "Gy") == "≥ 120 Gy"


@pytest.mark.parametrize("uncertainty", [10.0**k * m for k in range(-3, 4) for m in (1.0, 3.54, 3.56, 9.49, 9.6)])
def test_the_rounded_uncertainty_stays_within_a_quarter_of_the_true_one(uncertainty):
    _, shown = formatting.pair(0.0, uncertainty)
    assert float(shown.replace(formatting.THIN, "")) == pytest.approx(uncertainty, rel=0.25)


def test_decimals_refuse_an_impossible_uncertainty():
    with pytest.raises(ValueError, match="expected a finite number above 0"):
        formatting.decimals_for(0.0)


def test_activity_carries_its_unit_even_when_unknown():
    assert formatting.activity(None) == "— MBq"
    assert formatting.activity(387.4) == "387 MBq"
    assert formatting.activity(1290.0).replace("\u202f", " ") == "1 290 MBq"


def test_thousands_stand_apart_whatever_the_sign_and_zero_has_none():
    assert formatting.signed(1234.0) == "+1\u202f234"
    assert formatting.decimal(-12345.6, 1) == "−12\u202f345.6"
    assert formatting.lower_bound(1234.0, 60.0, "Gy") == "≥ 1\u202f230 Gy"
    assert formatting.signed(-0.2) == formatting.signed(0.2) == "0"


def test_an_age_counts_minutes_then_hours_and_is_never_negative():
    assert formatting.age(timedelta(minutes=4, seconds=10)) == "04:10"
    assert formatting.age(timedelta(hours=1, minutes=4, seconds=9.9)) == "1:04:09"
    assert formatting.age(timedelta(seconds=-5)) == "00:00"
    assert formatting.age(timedelta(days=262, hours=2)) == "262 d"


def test_events_kept_in_utc_are_told_on_the_room_s_clock():
    room = datetime(2026, 3, 4, 12, 0, tzinfo=timezone(timedelta(hours=1)))
    assert formatting.clock_like(datetime(2026, 3, 4, 9, 22, tzinfo=UTC), room) == "10:22"


def test_a_lower_bound_is_never_rounded_up():
    assert formatting.lower_bound(119.6, 11.0, "Gy") == "≥ 119 Gy"
    assert formatting.lower_bound(119.6, 60.0, "Gy") == "≥ 110 Gy"
    assert formatting.lower_bound(120.0 - 1e-9, 11.0, "Gy") == "≥ 120 Gy"
