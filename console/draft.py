"""A draft beside the treatment in force: the same file with other settings, by an engine that records nothing.

What a draft is looked at for comes first: means, percentiles, recovery and trend; then intervals, curves and maps, the
latest fraction's before the others'. A newer draft takes the place of one of which these are still on their way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from config.errors import ConfigurationError
from console.engine import Engine
from console.session import feed
from console.snapshot import Snapshot
from dicom_listener.events import Event
from dicom_listener.record import Record

Overrides = Mapping[str, object]
"""Values by their TOML path, as ``--set`` gives them."""

_POLL_S = 0.02
_TELL_S = 0.25
"""Between two words on how far the file has been read."""


@dataclass(frozen=True, kw_only=True)
class DraftRefused:
    """Settings that do not go together: why, as a sentence, and which they were. The draft before them stands."""

    text: str
    overrides: Overrides


class Draft:
    """Follows a file and computes what it would hold with the settings that were laid over it last.

    Parameters
    ----------
    record
        Open for reading; nothing is written.
    engine
        Fresh.
    drafts
        Where new overrides come from; of several the last one counts.
    tell
        Takes snapshots and refusals. A snapshot's results are the present draft's when its ``results_inputs`` are its
        ``inputs``; a result without maps, and without an error, is one whose maps follow, and so are most intervals
        of one whose volumes have those of mean and D70 alone.
    """

    def __init__(
        self, *, record: Record, engine: Engine, drafts: SimpleQueue[Overrides], tell: Callable[[object], None]
    ) -> None:
        self._record, self._engine, self._drafts, self._tell = record, engine, drafts, tell
        self._told_at = 0.0
        self._reading = False
        """Whether it was told that the file is being read: then it has to be told that it was."""
        engine.announce_to(self._announce)

    def run(self, stop: Callable[[], bool]) -> None:
        """Follow until `stop()`."""
        for batch in self._record.follow(0, stop=stop, poll_s=0.0):
            for event in batch:
                self._take(event)
            if batch:
                self._tell_progress(batch[-1])
                continue
            if self._engine.dirty or self._reading:
                self._reading = False
                self._compute()
            self._lay_over(self._next())

    def _take(self, event: Event) -> None:
        try:
            feed(self._engine, self._record, event)
        except ConfigurationError as error:
            # The plan was revised, and no longer goes with the draft: without it, it is a plan like any other.
            self._tell(DraftRefused(text=" ".join(error.faults), overrides=self._engine.overrides))
            self._engine.lay_over({})
            feed(self._engine, self._record, event)

    def _next(self) -> list[Overrides]:
        """The new drafts, the last one first; none if none comes within a moment."""
        try:
            found = [self._drafts.get(timeout=_POLL_S)]
            while not self._drafts.empty():
                found.insert(0, self._drafts.get())
        except Empty:
            return []
        return found

    def _lay_over(self, drafts: list[Overrides]) -> None:
        """Lay over the first one that goes together."""
        for overrides in drafts:
            try:
                return self._engine.lay_over(overrides)
            except ConfigurationError as error:
                self._tell(DraftRefused(text=" ".join(error.faults), overrides=overrides))
        return None

    def _compute(self) -> None:
        for _ in self._engine.advance(maps=False):
            pass
        self._publish(self._engine.snapshot())
        for result in reversed(self._engine.results):
            if not self._drafts.empty():
                return  # nobody looks at these any more
            told = self._engine.results
            self._engine.draw(result.key)
            if any(now is not before for now, before in zip(self._engine.results, told, strict=True)):
                self._publish(self._engine.snapshot())

    def _announce(self, words: str) -> None:
        if words:
            self._publish(self._engine.snapshot(computing=words))

    def _tell_progress(self, event: Event) -> None:
        if self._engine.dirty and time.monotonic() - self._told_at >= _TELL_S:
            self._reading = True
            percent = 100 * event.seq // max(self._record.head().seq, 1)
            self._publish(self._engine.snapshot(computing=f"reading the treatment file: {percent} %"))

    def _publish(self, snapshot: Snapshot) -> None:
        """Tell a snapshot without the series behind it: the window has those."""
        self._told_at = time.monotonic()
        self._tell(replace(snapshot, reference=None, anatomy=None, imaged=()))
