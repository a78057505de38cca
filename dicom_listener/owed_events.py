"""Events that could not be written when they happened: remembered, and written in order as soon as there is room.

A closing of an association that is lost leaves its series incomplete for ever, and a refusal that is lost is an image
that nobody misses.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dicom_listener.events import Kind
from dicom_listener.record import Record
from dicom_listener.statuses import StoreStatus

_LOG = logging.getLogger(__name__)

MAXIMUM_OWED = 10_000
"""Events remembered at most, a few megabytes; a peer that tries for days must not fill the memory as well."""


class OwedEvents:
    """Appends events without objects to a record, at once or as soon as possible. Safe to share between threads.

    Parameters
    ----------
    record
        The treatment file, open for writing.
    clock
        The time, aware; an event keeps that at which it happened.
    actor
        Who appends.
    """

    def __init__(self, record: Record, clock: Callable[[], datetime], *, actor: str) -> None:
        self._record = record
        self._clock = clock
        self._actor = actor
        self._lock = threading.Lock()
        self._owed: deque[tuple[Kind, dict[str, Any], datetime]] = deque()
        self._forgotten = 0

    def append(self, kind: Kind, payload: dict[str, Any]) -> None:
        """Append an event, or owe it if the file does not take it now. What is owed already comes first.

        Nothing is raised. An event whose writing failed although it was committed is written twice.
        """
        with self._lock:
            if len(self._owed) < MAXIMUM_OWED:
                self._owed.append((kind, payload, self._clock()))
            else:
                self._forgotten += 1
                _LOG.error("An event %s was forgotten: %d are waiting for the disk already", kind, MAXIMUM_OWED)
            self._settle()

    def settle(self) -> bool:
        """Write what is owed, if the file takes it; return whether nothing is owed any more."""
        if not (self._owed or self._forgotten):
            return True
        with self._lock:
            return self._settle()

    def _settle(self) -> bool:
        while self._owed:
            kind, payload, utc = self._owed[0]
            if not self._written(kind, payload, utc):
                return False
            self._owed.popleft()
        if self._forgotten:
            text = (
                f"{self._forgotten} further events of the listener could not be recorded while the disk took nothing."
            )
            if not self._written(Kind.NOTE, {"text": text}, self._clock()):
                return False
            self._forgotten = 0
        return True

    def _written(self, kind: Kind, payload: dict[str, Any], utc: datetime) -> bool:
        try:
            self._record.append(kind, payload, actor=self._actor, utc=utc)
        except Exception as error:  # noqa: BLE001 - who appends has to go on serving, whatever the machine does
            _LOG.error("An event %s cannot be recorded yet: %s: %s", kind, type(error).__name__, error)
            return False
        return True


@dataclass(kw_only=True)
class _Failure:
    status: StoreStatus
    instances: int
    first_utc: str
    last_utc: str
    said: int = 0


class StorageFailures:
    """The times during which disk or memory let instances down, each said when it begins and when it has ended.

    Safe to share between threads.
    """

    def __init__(self, events: OwedEvents, clock: Callable[[], datetime]) -> None:
        self._events = events
        self._clock = clock
        self._lock = threading.Lock()
        self._failure: _Failure | None = None

    def failed(self, status: StoreStatus) -> None:
        """Note an instance that was refused with `status`."""
        now = self._clock().isoformat()
        with self._lock:
            if self._failure is None:
                self._failure = _Failure(status=status, instances=0, first_utc=now, last_utc=now)
            self._failure.status = status
            self._failure.instances += 1
            self._failure.last_utc = now
            if self._failure.said == 0:
                self._say(self._failure)

    def succeeded(self) -> None:
        """Note that an instance was stored, or that no more will come."""
        if self._failure is None:
            return
        with self._lock:
            ended, self._failure = self._failure, None
            if ended is not None and ended.instances > ended.said:
                self._say(ended)

    def _say(self, failure: _Failure) -> None:
        failure.said = failure.instances
        payload = {
            "status": failure.status.code,
            "comment": failure.status.comment,
            "instances": failure.instances,
            "first_utc": failure.first_utc,
            "last_utc": failure.last_utc,
        }
        self._events.append(Kind.STORAGE_FAILED, payload)
