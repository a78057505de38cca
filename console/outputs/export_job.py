"""One export at work: what its targets are written from, where to, and what had to be left out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset

from console.outputs.error import OutputError
from console.outputs.exported import Exported, exported
from console.outputs.identity import Identity
from console.snapshot import Snapshot
from dicom_listener.record import Record
from quantify.findings import FractionMaps, FractionResult


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Something that could not be written."""

    target: str
    why: str
    """A sentence."""
    what: str = ""
    """Which part of the target, where it has a name."""


class Job:
    """What the writers of targets are given.

    Parameters
    ----------
    record
        The treatment file.
    snapshot
        The treatment as computed; None if no target needs it.
    identity
        What everything goes through before it is written.
    folder
        Where to write; it becomes visible only when the whole export is done.
    fractions
        (position, fraction) of those to write; None for all.
    progress
        Called with what is being written.
    """

    def __init__(
        self,
        *,
        record: Record,
        snapshot: Snapshot | None,
        identity: Identity,
        folder: Path,
        fractions: Collection[tuple[str, int]] | None,
        progress: Callable[[str], None],
    ) -> None:
        self.record = record
        self.identity = identity
        self.left_out: list[LeftOut] = []
        self._snapshot = snapshot
        self._folder = folder
        self._fractions = fractions
        self._progress = progress

    @property
    def snapshot(self) -> Snapshot:
        """The treatment as computed."""
        if self._snapshot is None:
            raise ValueError("This target needs the treatment as computed; mark it so in console/outputs/export.py.")
        return self._snapshot

    @cached_property
    def exported(self) -> Exported:
        """What objects with a place in the patient are made from; raises OutputError without a reference."""
        return exported(self.record, self.snapshot)

    def fractions(self, target: str) -> list[tuple[FractionResult, FractionMaps]]:
        """The fractions asked for that have maps; the others are said to be left out of `target`."""
        found = []
        if not self.snapshot.results:
            self.leave_out(target, "No fraction has a result.")
        for result in self.snapshot.results:
            if self._fractions is not None and result.key not in self._fractions:
                continue
            if result.maps is None:
                self.leave_out(target, f"{result.label} has no maps: {result.error or 'it could not be quantified.'}")
            else:
                found.append((result, result.maps))
        return found

    def leave_out(self, target: str, why: str, *, what: str = "") -> None:
        """Say that something of a target is missing: why, in a sentence, and what, if it has a name."""
        self.left_out.append(LeftOut(target=target, why=why, what=what))

    def save(self, target: str, name: str, build: Callable[[], Dataset]) -> bool:
        """Build a DICOM object and write it as it may leave; False if it cannot be built, and it is said why."""
        try:
            dataset = self.identity.dataset(build())
        except OutputError as error:
            self.leave_out(target, str(error))
            return False
        stream = BytesIO()  # written at once: pydicom buries the system's word on a full disk in its own
        dataset.save_as(stream, enforce_file_format=True)
        self.path(f"{target}/{name}").write_bytes(stream.getvalue())
        return True

    def text(self, name: str, text: str) -> None:
        """Write a text, which has been through the identity."""
        self.path(name).write_text(text, encoding="utf-8")

    def path(self, name: str) -> Path:
        """Where a file is to be written."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.tell(name)
        return path

    def tell(self, words: str) -> None:
        """Say what is being written."""
        self._progress(words)
