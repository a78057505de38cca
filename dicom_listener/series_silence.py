"""When a series has fallen silent: the network has no end of series, so silence is one of its signs."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from dicom_listener.events import Kind
from dicom_listener.record import Record


@dataclass(kw_only=True)
class _Series:
    instances: int = 0
    last_heard_s: float | None = None
    """By a clock that never jumps; None while there is nothing to say of it."""
    said: int = 0
    """How many words of the present silence are said."""


@dataclass(frozen=True, kw_only=True)
class Silence:
    """A series has been silent for `seconds`, after so many instances of it."""

    series_instance_uid: str
    seconds: float
    instances: int


class SeriesSilence:
    """Reports each silence of a series; a series that speaks again can fall silent again. Thread-safe.

    A silence has two words: one when a full grid may count as complete, and one when what is missing may count as lost.
    What a record holds at the start counts: a series whose silence was not recorded to its last word when an earlier
    listener ended is heard from again at the first call of `fallen_quiet`.

    Parameters
    ----------
    quiet_s
        The first word is said after so much silence.
    record
        The treatment file, for what was stored and said before.
    incomplete_after_s
        The second is said so much later; with 0 there is none.
    """

    def __init__(self, quiet_s: float, record: Record, incomplete_after_s: float = 0.0) -> None:
        self._words_s = (quiet_s, quiet_s + incomplete_after_s) if incomplete_after_s > 0 else (quiet_s,)
        self._lock = threading.Lock()
        self._series: dict[str, _Series] = {}
        self._unreported: set[str] = set()
        said: Counter[str] = Counter()
        seq = 0
        while events := record.events(seq):
            for event in events:
                uid = str(event.payload.get("series_instance_uid", ""))
                if event.kind == Kind.INSTANCE_STORED and uid:
                    self._series.setdefault(uid, _Series()).instances += 1
                    said[uid] = 0
                elif event.kind == Kind.SERIES_QUIET:
                    said[uid] += 1
            seq = events[-1].seq
        self._unreported = {uid for uid in self._series if said[uid] < len(self._words_s)}

    def heard(self, series_instance_uid: str, now_s: float) -> None:
        """Note that an instance of the series was stored."""
        if not series_instance_uid:
            return
        with self._lock:
            series = self._series.setdefault(series_instance_uid, _Series())
            series.instances += 1
            series.last_heard_s = now_s
            series.said = 0

    def fallen_quiet(self, now_s: float) -> list[Silence]:
        """Return each silence that has newly become long enough for its next word."""
        quiet = []
        with self._lock:
            for uid in self._unreported:
                if self._series[uid].last_heard_s is None:
                    self._series[uid].last_heard_s = now_s
            self._unreported.clear()
            for uid, series in self._series.items():
                while series.last_heard_s is not None and now_s - series.last_heard_s >= self._words_s[series.said]:
                    seconds = self._words_s[series.said]
                    quiet.append(Silence(series_instance_uid=uid, seconds=seconds, instances=series.instances))
                    series.said += 1
                    if series.said == len(self._words_s):
                        series.last_heard_s, series.said = None, 0
        return quiet
