"""Named points on the way of an instance to the disk, where a test can make the machine fail.

Nothing here reads settings, arguments or the environment: only a test that fills `armed` inside the process arms one.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS = (
    "admission.received",
    "admission.header_read",
    "admission.before_store",
    "record.begun",
    "record.object_inserted",
    "record.event_inserted",
    "record.committed",
    "admission.after_store",
    "admission.quarantine_opened",
    "admission.quarantine_stored",
    "admission.quarantine_recorded",
    "admission.before_answer",
)
"""In the order in which an instance passes them. The record's are passed by every event."""

armed: dict[str, Callable[[], None]] = {}
"""What is done at which point: empty outside tests."""


def reach(point: str) -> None:
    """Do what `point` is armed with: nothing, but for tests."""
    if armed and point in armed:
        armed[point]()
