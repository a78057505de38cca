"""Times on the treatment's own clock: a header or a person may state another offset, the room has one clock."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from console.dashboard.screen import formatting
from console.snapshot import Snapshot


def room_time(snapshot: Snapshot, time: datetime) -> datetime:
    """The same moment in the plan's time zone; as it was stated where there is no plan, or no offset."""
    if snapshot.plan is None or time.tzinfo is None:
        return time
    return time.astimezone(ZoneInfo(snapshot.plan.time_zone))


def room_clock(snapshot: Snapshot, time: datetime | None) -> str:
    """Hours and minutes in the plan's time zone: ``10:22``."""
    return formatting.clock(None if time is None else room_time(snapshot, time))
