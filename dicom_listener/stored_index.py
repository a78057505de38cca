"""Which instances a treatment file holds: the same UID may come again, with the same content or with another."""

from __future__ import annotations

import hashlib

from dicom_listener.events import Kind
from dicom_listener.record import Record

_MOST_COMPARED = 8
"""Contents under one UID, the latest: two are a scanner's fault, a thousand somebody's who wants to keep us busy."""


class UndecidedError(Exception):
    """An instance has first to be compared with an object of a record."""

    def __init__(self, record: Record, sha256: str) -> None:
        super().__init__(sha256)
        self.record = record
        self.sha256 = sha256


class StoredIndex:
    """The objects of `record` under each SOP Instance UID, and what it says was quarantined. Not thread-safe."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.objects: dict[str, list[str]] = {}
        self.quarantined: set[str] = set()
        self._read_to = 0
        self.catch_up()

    def catch_up(self) -> None:
        """Read what the file holds beyond the last reading; what was noted since is read again, once."""
        while events := self.record.events(self._read_to):
            for event in events:
                if event.kind == Kind.INSTANCE_STORED and event.object_sha256 is not None:
                    self.note(str(event.payload.get("sop_instance_uid", "")), event.object_sha256)
                elif event.kind == Kind.INSTANCE_QUARANTINED:
                    self.quarantined.add(str(event.payload.get("sha256", "")))
            self._read_to = events[-1].seq

    def note(self, sop_instance_uid: str, sha256: str) -> None:
        """Note that an object was stored."""
        digests = self.objects.setdefault(sop_instance_uid, [])
        if sha256 not in digests:
            digests.append(sha256)

    def find(self, data: bytes, sop_instance_uid: str, verdicts: dict[str, bool]) -> str | None:
        """Return the hash of the object that holds the same data set under the same UID, or None.

        Equal bytes are found always, an equal data set in other bytes among the eight latest objects.
        `verdicts` says of objects, by hash, whether `data` holds the same.

        Raises
        ------
        UndecidedError
            If that has to be known of an object first.
        """
        candidates = self.objects.get(sop_instance_uid, [])
        if candidates and (digest := hashlib.sha256(data).hexdigest()) in candidates:
            return digest
        for digest in candidates[-_MOST_COMPARED:]:
            if digest not in verdicts:
                raise UndecidedError(self.record, digest)
            if verdicts[digest]:
                return digest
        return None
