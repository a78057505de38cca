from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from config.times import aware_time, zone_named

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.mark.parametrize(
    ("given", "iso"),
    [
        (datetime(2026, 3, 4, 10), "2026-03-04T10:00:00+01:00"),
        (datetime(2026, 7, 4, 10), "2026-07-04T10:00:00+02:00"),
        ("2026-03-04T10:00:00", "2026-03-04T10:00:00+01:00"),
        ("2026-03-04T09:00:00Z", "2026-03-04T10:00:00+01:00"),
        (datetime(2026, 3, 4, 4, tzinfo=timezone(timedelta(hours=-5))), "2026-03-04T10:00:00+01:00"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+01:00"),
        ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_every_time_is_aware_with_the_zones_offset(given: object, iso: str) -> None:
    assert aware_time(given, AMSTERDAM).isoformat() == iso


def test_elapsed_time_across_the_change_of_clocks_is_real_time() -> None:
    before = aware_time(datetime(2026, 3, 29, 1, 30), AMSTERDAM)
    after = aware_time(datetime(2026, 3, 29, 3, 30), AMSTERDAM)
    assert after - before == timedelta(hours=1)


def test_a_local_time_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="2026-03-29T02:30:00 does not exist in Europe/Amsterdam"):
        aware_time(datetime(2026, 3, 29, 2, 30), AMSTERDAM)


def test_a_local_time_that_happens_twice_is_refused_with_both_offsets() -> None:
    with pytest.raises(ValueError, match=r"happens twice .* 2026-10-25T02:30:00\+02:00 or 2026-10-25T02:30:00\+01:00"):
        aware_time(datetime(2026, 10, 25, 2, 30), AMSTERDAM)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (date(2026, 3, 4), "lacks the time of day"),
        (time(10), "lacks the date"),
        ("10 o'clock", "not a date and time"),
        (1772615280, "not a date and time"),
        (datetime(1926, 3, 4, 10), "not in the years 2000 to 2099"),
        (datetime.max, "not in the years"),
        (True, "not a date and time"),
        (None, "not a date and time"),
    ],
)
def test_what_is_no_time_is_refused(given: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        aware_time(given, AMSTERDAM)


@pytest.mark.parametrize("name", ["", "Mars", "../etc", "/etc/localtime", "Europe", "Europe/amsterdam\0"])
def test_only_iana_zones_are_zones(name: str) -> None:
    with pytest.raises(ValueError, match="not an IANA time zone"):
        zone_named(name)


def test_a_zone_is_found() -> None:
    assert zone_named("Europe/Amsterdam").key == "Europe/Amsterdam"
