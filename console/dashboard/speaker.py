"""What somebody says in this window goes into the treatment file, and can be taken back by a later word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from config.settings import Settings
from console.dashboard.screen.said import Said, SaidHere, said_words, with_unread
from console.operation_words import OperationError, words_of
from console.operations import GiveVolumes, Operation, RetractNote, RevisePlan, TapEvent, undo_of
from console.snapshot import Snapshot
from dicom_listener.record import Record, RecordError


class Speaker:
    """Records operations, and remembers what was said and what the engine has not told of yet.

    While the engine computes it reads nothing: what may be said next, and what an undo restores, is judged by what is
    known together with what was said here since.

    Parameters
    ----------
    record
        Open for writing.
    site
        The site's settings.
    clock
        Now, aware: the time of the events.

    Attributes
    ----------
    name
        Recorded with what is said.
    refused
        Why the last word from the window itself was not recorded; "" if it was.
    """

    def __init__(self, record: Record, site: Settings, *, clock: Callable[[], datetime], name: str) -> None:
        self._record, self._site, self._clock = record, site, clock
        self.name = name
        self.refused = ""
        self._undoing: list[tuple[Said, Operation | None]] = []
        self._unread: list[Said] = []
        self._taken_back = ""

    def rename(self, name: str) -> None:
        """From now on this is the name."""
        self.name = name.strip()

    def say(self, operation: Operation, snapshot: Snapshot) -> str:
        """Record what somebody says, knowing `snapshot`; returns "" or a sentence on why it could not be recorded."""
        known = self._as_said(snapshot)
        if _revises(operation) and any(_revises(said.operation) for said in self._unread):
            # It was made from the plan before that: what was changed then would be gone.
            return "The plan was changed a moment ago and is being read: say this again once it is shown."
        back = undo_of(operation, known)
        fault, said = self._record_words(operation, known)
        if said is not None:
            if isinstance(operation, TapEvent):
                back = RetractNote(seq=said.seq)
            # What cannot be taken back is kept as well: undo must not reach for the word before it.
            self._undoing.append((said, back))
            self._taken_back = self.refused = ""
        return fault

    def undo(self, snapshot: Snapshot) -> str:
        """Take back what was said last, by a later word; returns "" or why not."""
        if not self._undoing:
            return "Nothing was said in this window that could be taken back."
        said, back = self._undoing[-1]
        words = said_words(snapshot, said)
        if back is None:
            return f"{words} cannot be taken back here: change it where it was said."
        fault, later = self._record_words(back, self._as_said(snapshot))
        if later is not None:
            self._undoing.pop()
            self._taken_back, self.refused = words, ""
        return fault

    def said_here(self, snapshot: Snapshot) -> SaidHere:
        """What was said in this window, and of it what the engine has not told of yet."""
        self._unread = [said for said in self._unread if said.seq > snapshot.head_seq]
        return SaidHere(
            last=self._undoing[-1][0] if self._undoing else None,
            unread=tuple(self._unread),
            taken_back=self._taken_back,
            fault=self.refused,
            final=bool(self._undoing) and self._undoing[-1][1] is None,
        )

    def _as_said(self, snapshot: Snapshot) -> Snapshot:
        return with_unread(snapshot, self.said_here(snapshot).unread)

    def _record_words(self, operation: Operation, known: Snapshot) -> tuple[str, Said | None]:
        """Record an operation whole, or not at all; returns why it could not be, or what was said."""
        at = self._clock()
        try:
            words = words_of(operation, known, name=self.name, at=at, site=self._site)
            if not words:
                return "Nothing would be recorded by that.", None
            entries = [(word.kind, word.payload, word.data) for word in words]
            seq = self._record.append_all(entries, actor=self.name, utc=at)[-1].seq
        except OperationError as error:
            return str(error), None
        except (RecordError, OSError) as error:
            return f"Not recorded: {error}", None
        said = Said(operation=operation, at=at, seq=seq)
        self._unread.append(said)
        return "", said


def _revises(operation: Operation) -> bool:
    """Whether it brings a plan, whole, as it was known when it was said."""
    return isinstance(operation, RevisePlan | GiveVolumes) and operation.plan is not None
