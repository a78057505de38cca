"""DICOM dates and times as aware datetimes."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydicom.dataset import Dataset

from dicom_listener.times import acquisition_time, combine, parse_date, parse_date_time, parse_offset, parse_time

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260304", date(2026, 3, 4)),
        ("2026.03.04", date(2026, 3, 4)),
        ("20260230", None),
        ("", None),
        (None, None),
        ("2026", None),
    ],
)
def test_a_date_is_read_or_none(text, expected):
    assert parse_date(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", time(10)),
        ("1012", time(10, 12)),
        ("101233", time(10, 12, 33)),
        ("101233.5", time(10, 12, 33, 500_000)),
        ("101233.1234567", time(10, 12, 33, 123_456)),
        ("10:12:33", time(10, 12, 33)),
    ],
)
def test_a_time_is_read_with_as_many_parts_as_it_has(text, expected):
    assert parse_time(text) == (expected, False)


@pytest.mark.parametrize("text", ["", "1", "250000", "106000", "101261", "noon", None])
def test_what_is_no_time_is_none(text):
    assert parse_time(text) is None


def test_a_leap_second_is_the_next_second():
    assert combine("20161231", "235960", UTC) == datetime(2017, 1, 1, tzinfo=UTC)
    assert combine("99991231", "235960", UTC) is None


@pytest.mark.parametrize(("text", "hours"), [("+0100", 1), ("-0330", -3.5), ("+1400", 14)])
def test_an_offset_is_a_fixed_zone(text, hours):
    assert parse_offset(text).utcoffset(None) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["+1500", "0100", "+01", "", "+0160"])
def test_an_offset_beyond_the_earth_is_none(text):
    assert parse_offset(text) is None


def test_an_offset_in_the_value_wins_over_the_zone():
    assert parse_date_time("20260304101233.5+0200", AMSTERDAM).utcoffset() == timedelta(hours=2)
    assert parse_date_time("20260304101233.5", AMSTERDAM) == datetime(2026, 3, 4, 10, 12, 33, 500_000, AMSTERDAM)
    assert parse_date_time("2026", AMSTERDAM) == datetime(2026, 1, 1, tzinfo=AMSTERDAM)


def test_summer_and_winter_have_their_own_offset():
    winter, summer = combine("20260304", "100000", AMSTERDAM), combine("20260704", "100000", AMSTERDAM)
    assert (winter.utcoffset(), summer.utcoffset()) == (timedelta(hours=1), timedelta(hours=2))


def dataset(**elements):
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def test_acquisition_date_time_comes_first_and_honours_the_instance_offset():
    found, remark = acquisition_time(
        dataset(
            AcquisitionDateTime="20260304101233",
            AcquisitionDate="20260305",
            AcquisitionTime="000000",
            TimezoneOffsetFromUTC="-0500",
        ),
        AMSTERDAM,
    )
    assert found.isoformat() == "2026-03-04T10:12:33-05:00"
    assert remark == ""


def test_acquisition_time_borrows_a_date():
    found, remark = acquisition_time(dataset(StudyDate="20260304", AcquisitionTime="101233"), AMSTERDAM)
    assert found == datetime(2026, 3, 4, 10, 12, 33, tzinfo=AMSTERDAM)
    assert remark == ""


@pytest.mark.parametrize("kind", ["Content", "Series"])
def test_a_substitute_time_is_said(kind):
    made = dataset(**{f"{kind}Date": "20260304", f"{kind}Time": "101233"})
    found, remark = acquisition_time(made, AMSTERDAM)
    assert found == datetime(2026, 3, 4, 10, 12, 33, tzinfo=AMSTERDAM)
    assert f"{kind}Date" in remark


def test_no_time_at_all_is_said():
    found, remark = acquisition_time(Dataset(), AMSTERDAM)
    assert found is None
    assert remark.endswith(".")
