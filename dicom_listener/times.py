"""DICOM dates and times as aware datetimes: PS3.5 §6.2 (DA, TM, DT) with the offset rules of PS3.3 C.12.1.1.8.

A value without an offset is in the zone of ``TimezoneOffsetFromUTC`` (0008,0201) where the instance has one, else
in the zone that the caller gives. A value that cannot be read is None, never an exception.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone, tzinfo

from pydicom.dataset import Dataset

_DATE = re.compile(r"(\d{4})[.\-]?(\d{2})[.\-]?(\d{2})", re.ASCII)
"""YYYYMMDD; with separators as ACR-NEMA wrote them."""
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6})\d*)?)?)?", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:\.(\d{1,6})\d*)?(?:([+-])(\d{2})(\d{2}))?", re.ASCII
)
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})", re.ASCII)
_YEARS = range(2, 9999)
"""One short of what a datetime holds at either end: every conversion to another zone stays within."""


def parse_date(text: object) -> date | None:
    """Read a DA value; None where it is empty or no date."""
    match = _DATE.fullmatch(_text(text))
    if match is None:
        return None
    try:
        return date(*(int(part) for part in match.groups()))
    except ValueError:
        return None


def parse_time(text: object) -> tuple[time, bool] | None:
    """Read a TM value as (time, leap second); None where it is empty or no time.

    DICOM allows second 60. It is returned as second 59 with True, for the caller to add one second.
    """
    match = _TIME.fullmatch(_text(text))
    if match is None:
        return None
    hour, minute, second = (int(part) if part else 0 for part in match.groups()[:3])
    fraction = (match.group(4) or "").ljust(6, "0")
    try:
        return time(hour, minute, min(second, 59) if second <= 60 else second, int(fraction)), second == 60
    except ValueError:
        return None


def parse_offset(text: object) -> timezone | None:
    """Read ``±HHMM`` as a fixed zone; None where it is empty, malformed or beyond −12…+14 h."""
    match = _OFFSET.fullmatch(_text(text))
    return None if match is None else _fixed_zone(*match.groups())


def parse_date_time(text: object, zone: tzinfo) -> datetime | None:
    """Read a DT value; an offset in the value wins over `zone`; missing trailing parts count as their smallest."""
    match = _DATE_TIME.fullmatch(_text(text))
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, offset_hour, offset_minute = match.groups()
    if sign:
        fixed = _fixed_zone(sign, offset_hour, offset_minute)
        if fixed is None:
            return None
        zone = fixed
    clock = parse_time((hour or "00") + (minute or "00") + (second or "00") + (f".{fraction}" if fraction else ""))
    day_of = parse_date(year + (month or "01") + (day or "01"))
    return None if clock is None or day_of is None else _join(day_of, clock, zone)


def combine(day: object, clock: object, zone: tzinfo) -> datetime | None:
    """Join a DA and a TM value in `zone`; None unless both can be read."""
    day_of, clock_of = parse_date(day), parse_time(clock)
    return None if day_of is None or clock_of is None else _join(day_of, clock_of, zone)


def zone_of(dataset: Dataset, time_zone: tzinfo) -> tzinfo:
    """Return the zone of the dataset's times: its own offset where it states one, else `time_zone`."""
    return parse_offset(dataset.get("TimezoneOffsetFromUTC")) or time_zone


def acquisition_time(dataset: Dataset, time_zone: tzinfo) -> tuple[datetime | None, str]:
    """Return the start of the acquisition and, where it is a substitute, the sentence that says so.

    In order: AcquisitionDateTime, AcquisitionDate with AcquisitionTime (the date of the series or study where only
    the time is there), and as substitutes ContentDate and -Time, SeriesDate and -Time.
    """
    zone = zone_of(dataset, time_zone)
    stated = parse_date_time(dataset.get("AcquisitionDateTime"), zone)
    if stated is not None:
        return stated, ""
    for day in ("AcquisitionDate", "SeriesDate", "StudyDate", "ContentDate"):
        stated = combine(dataset.get(day), dataset.get("AcquisitionTime"), zone)
        if stated is not None:
            return stated, ""
    for kind in ("Content", "Series"):
        stated = combine(dataset.get(f"{kind}Date"), dataset.get(f"{kind}Time"), zone)
        if stated is not None:
            return stated, f"The header states no acquisition time; {kind}Date and {kind}Time were used instead."
    return None, "The header states no acquisition, content or series time."


def _text(value: object) -> str:
    return "" if value is None else str(value).strip(" \0")


def _fixed_zone(sign: str, hours: str, minutes: str) -> timezone | None:
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    if int(minutes) > 59 or not timedelta(hours=-12) <= offset <= timedelta(hours=14):
        return None
    return timezone(offset)


def _join(day: date, clock: tuple[time, bool], zone: tzinfo) -> datetime | None:
    if day.year not in _YEARS:
        return None
    return datetime.combine(day, clock[0], tzinfo=zone) + timedelta(seconds=int(clock[1]))
