"""What the arrival of images tells beside the images: which series have fallen silent, and whether clocks agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dicom_listener.events import Event, Kind
from dicom_listener.images import MrImage, SeriesState, SeriesStatus


@dataclass(frozen=True, kw_only=True)
class ClockBound:
    """The scanner's clock is ahead of this machine's by at least `ahead_s`.

    A bound, not an estimate: an image arrives after its acquisition began, by an unknown time. Negative as long as
    every image arrived later, by the scanner's clock, than it was begun; its size is then the shortest delay seen.
    """

    ahead_s: float
    at: datetime
    """When the image that shows it was stored."""


class Arrivals:
    """Folds the events about arrival. Pure: the same events give the same, whenever it is asked."""

    def __init__(self) -> None:
        self.clock: ClockBound | None = None
        self._silences_s: dict[str, list[float]] = {}
        """By series: every silence that was recorded since its last instance."""
        self._over: set[str] = set()

    def stored(self, images: Iterable[MrImage], at: datetime) -> None:
        """Take the images of an instance in that was stored `at` this time."""
        for image in images:
            self._silences_s[image.series_instance_uid] = []
            self._over.discard(image.series_instance_uid)
            if image.acquired_at is None:
                continue
            ahead_s = (image.acquired_at - at).total_seconds()
            if self.clock is None or ahead_s > self.clock.ahead_s:
                self.clock = ClockBound(ahead_s=ahead_s, at=at)

    def said(self, event: Event) -> None:
        """Take in that a series is silent, or that an import is over: nothing more comes of it then."""
        if event.kind == Kind.SERIES_QUIET:
            uid = str(event.payload.get("series_instance_uid", ""))
            self._silences_s.setdefault(uid, []).append(float(event.payload.get("seconds", 0.0)))
        elif event.kind == Kind.ASSOCIATION_CLOSED and event.payload.get("how") == "import_finished":
            self._over.update(self._silences_s)

    def is_overdue(self, state: SeriesState, incomplete_after_s: float) -> bool:
        """Whether a series is incomplete still, so long after it fell silent."""
        return state.status == SeriesStatus.INCOMPLETE and all(
            uid in self._over or self._has_been_silent(uid, incomplete_after_s) for uid in state.series_instance_uids
        )

    def _has_been_silent(self, uid: str, after_s: float) -> bool:
        silences_s = self._silences_s.get(uid, [])
        return bool(silences_s) and silences_s[-1] - silences_s[0] >= after_s
