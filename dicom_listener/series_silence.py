"""When a series has fallen silent: the network has no end of series, so silence is one of its signs."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from dicom_listener.events import Kind
from dicom_listener.record import Record


@dataclass(kw_only=True)
class _Series:
    instances: int = 0
    last_heard_s: float | None = None
    """By a clock that never jumps; None once the silence has been reported."""


class SeriesSilence:
    """Reports each silence of a series once; a series that speaks again can fall silent again. Thread-safe.

    What a record holds at the start counts: a series whose silence was not yet recorded when an earlier listener ended
    is heard from again at the first call of `fallen_quiet`.
    """

    def __init__(self, quiet_s: float, record: Record) -> None:
        self._quiet_s = quiet_s
        self._lock = threading.Lock()
        self._series: dict[str, _Series] = {}
        self._unreported: set[str] = set()
        seq = 0
        while events := record.events(seq):
            for event in events:
                uid = str(event.payload.get("series_instance_uid", ""))
                if event.kind == Kind.INSTANCE_STORED and uid:
                    self._series.setdefault(uid, _Series()).instances += 1
                    self._unreported.add(uid)
                elif event.kind == Kind.SERIES_QUIET:
                    self._unreported.discard(uid)
            seq = events[-1].seq

    def heard(self, series_instance_uid: str, now_s: float) -> None:
        """Note that an instance of the series was stored."""
        if not series_instance_uid:
            return
        with self._lock:
            series = self._series.setdefault(series_instance_uid, _Series())
            series.instances += 1
            series.last_heard_s = now_s

    def fallen_quiet(self, now_s: float) -> list[tuple[str, int]]:
        """Return (series, instances stored of it) of each series that has newly been silent for long enough."""
        quiet = []
        with self._lock:
            for uid in self._unreported:
                if self._series[uid].last_heard_s is None:
                    self._series[uid].last_heard_s = now_s
            self._unreported.clear()
            for uid, series in self._series.items():
                if series.last_heard_s is not None and now_s - series.last_heard_s >= self._quiet_s:
                    series.last_heard_s = None
                    quiet.append((uid, series.instances))
        return quiet
