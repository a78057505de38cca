"""Times in the words of the screen; its numbers are those of every output (`console.outputs.rounding`)."""

from __future__ import annotations

from datetime import datetime, timedelta

from console.outputs.rounding import (
    NOT_KNOWN,
    THIN,
    activity,
    decimal,
    decimals_for,
    known,
    lower_bound,
    pair,
    signed,
    with_uncertainty,
)

__all__ = [
    "NOT_KNOWN",
    "THIN",
    "activity",
    "age",
    "clock",
    "clock_like",
    "decimal",
    "decimals_for",
    "known",
    "lower_bound",
    "pair",
    "signed",
    "with_uncertainty",
]


def clock(time: datetime | None) -> str:
    """Hours and minutes of a time as it was stated: ``10:22``."""
    return time.strftime("%H:%M") if time is not None else NOT_KNOWN


def clock_like(time: datetime | None, like: datetime | None) -> str:
    """`time` on the clock (time zone) of `like`: events are kept in UTC, the room is not."""
    if time is not None and like is not None and time.tzinfo is not None and like.tzinfo is not None:
        time = time.astimezone(like.tzinfo)
    return clock(time)


def age(elapsed: timedelta) -> str:
    """``04:10`` (minutes:seconds), ``1:04:10``, from two days on ``262 d``; never negative."""
    seconds = max(0, int(elapsed.total_seconds()))
    if seconds >= 2 * 86_400:
        return f"{seconds // 86_400} d"
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60:02d}:{rest % 60:02d}"
