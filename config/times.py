"""Times of a plan: with an offset, or local in the plan's time zone; always aware once read."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from config.errors import quote

YEARS = range(2000, 2100)
"""Years that a time may lie in: others are slips, and lie near the ends of what a datetime can hold."""


def zone_named(name: str) -> ZoneInfo:
    """Return the IANA time zone `name`.

    Raises
    ------
    ValueError
        If there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown, malformed, or a directory of the database
        raise ValueError(
            f"{quote(name)} is not an IANA time zone; expected a name such as Europe/Amsterdam."
        ) from error


def aware_time(value: object, zone: ZoneInfo) -> datetime:
    """Return a TOML date-time (or its ISO text) as an aware datetime with the zone's offset at that instant.

    The offset is fixed: datetimes that share a `ZoneInfo` compare and subtract by the clock on the wall, which is
    an hour (2.6 % of activity) wrong across a change of daylight saving time.

    Raises
    ------
    ValueError
        If it is not a date with a time, or is local and does not exist or happens twice in that zone.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{quote(value)} is not a date and time; expected such as 2026-03-04T10:00:00.") from None
    if not isinstance(value, datetime):
        lacking = {date: ", which lacks the time of day", time: ", which lacks the date"}.get(type(value), "")
        raise ValueError(f"{quote(value)}{lacking} is not a date and time; expected such as 2026-03-04T10:00:00.")
    if value.year not in YEARS:
        raise ValueError(f"{quote(value)} is not in the years {YEARS.start} to {YEARS.stop - 1}; check the date.")
    if value.tzinfo is None:
        value = _localised(value, zone)
    offset = value.astimezone(zone).utcoffset() or timedelta(0)
    return value.astimezone(timezone(offset))


def _localised(value: datetime, zone: ZoneInfo) -> datetime:
    first, second = value.replace(tzinfo=zone, fold=0), value.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != value.replace(fold=0):
        raise ValueError(
            f"{value.isoformat()} does not exist in {zone.key}: the clocks were put forward over it; "
            "correct the time or write its offset."
        )
    choices = " or ".join(moment.isoformat() for moment in (first, second))
    raise ValueError(
        f"{value.isoformat()} happens twice in {zone.key}, when the clocks are put back; write the offset: {choices}."
    )
