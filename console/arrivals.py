"""What arrivals tell beside the images: what cannot be used, which series are silent, whether clocks agree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from dicom_listener.decode import READ_CLASSES
from dicom_listener.events import Event, Kind
from dicom_listener.images import DecodedInstance, SeriesState, SeriesStatus

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class ClockBound:
    """The scanner's clock is ahead of this machine's by at least `ahead_s`.

    A bound, not an estimate: an image arrives after its acquisition began, by an unknown time. Negative as long as
    every image arrived later, by the scanner's clock, than it was begun; its size is then the shortest delay seen.
    """

    ahead_s: float
    at: datetime
    """When the image that shows it was stored."""
    begun_at: datetime
    """When that image was begun, by the scanner's clock."""

    def in_zone(self, zone: ZoneInfo) -> ClockBound:
        """The bound with the time of the image read in another zone (see `in_zone`)."""
        begun_at = in_zone(self.begun_at, zone)
        return ClockBound(ahead_s=(begun_at - self.at).total_seconds(), at=self.at, begun_at=begun_at)


def in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    """A time of a header as read in `zone`: one that the header states without an offset follows a revised plan's zone.

    Decoding gives such a time a `ZoneInfo`, and a fixed offset to one that states its own.
    """
    return moment.replace(tzinfo=zone) if isinstance(moment.tzinfo, ZoneInfo) else moment


@dataclass(frozen=True, kw_only=True)
class Objection:
    """Why instances of one series could not be used, or what was assumed to use them."""

    series_instance_uid: str
    reason: str
    used: bool
    since: datetime
    """When the first of them was stored."""


class Arrivals:
    """Folds the events about arrival. Pure: the same events give the same, whenever it is asked."""

    def __init__(self) -> None:
        self.clock: ClockBound | None = None
        self._objections: dict[tuple[str, str], Objection] = {}
        self._silences_s: dict[str, list[float]] = {}
        """By series: every silence that was recorded since its last instance."""
        self._over: set[str] = set()

    @property
    def objections(self) -> tuple[Objection, ...]:
        """What decoding had to say, once for each series and reason, in order of first arrival."""
        return tuple(self._objections.values())

    def stored(self, instance: DecodedInstance, at: datetime) -> None:
        """Take in an instance that was stored `at` this time."""
        read = not instance.sop_class_uid or instance.sop_class_uid in READ_CLASSES
        # What is to be said of structures is said with the volumes.
        if instance.reason and read and instance.structure_set is None:
            # The numbers in it are each image's own (a position, a size): a series must not be told image by image.
            key = (instance.series_instance_uid, _NUMBER.sub("#", instance.reason))
            own = Objection(series_instance_uid=key[0], reason=instance.reason, used=bool(instance.images), since=at)
            self._objections.setdefault(key, own)
        for image in instance.images:
            self._silences_s[image.series_instance_uid] = []
            self._over.discard(image.series_instance_uid)
            if image.acquired_at is None:
                continue
            ahead_s = (image.acquired_at - at).total_seconds()
            if self.clock is None or ahead_s > self.clock.ahead_s:
                self.clock = ClockBound(ahead_s=ahead_s, at=at, begun_at=image.acquired_at)

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
        # The listener says the first word after q seconds and the second after q + after_s, the same sum as here. A
        # listener that was started again may have another q.
        return bool(silences_s) and silences_s[-1] >= min(silences_s) + after_s
