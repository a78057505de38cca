"""What changed last, said in one line: a new result never takes the place of another silently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from console.dashboard.screen_model import News, State, Tone
from console.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """A change of what is shown, and when it was seen."""

    text: str
    tone: Tone
    at: datetime | None
    lasting: bool = False
    """Stays bright until it is dismissed."""
    dismissed: bool = False


def announced(before: Snapshot, after: Snapshot, now: datetime | None) -> Announcement | None:
    """What is new in `after`; None if nothing that has to be said."""
    return None


def build_news(snapshot: Snapshot, news: Announcement | None, *, now: datetime | None) -> News:
    """The line as it stands now."""
    return News(text="", state=State(sign="", word=""))
