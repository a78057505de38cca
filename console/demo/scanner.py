"""The simulated scanner: sends folders of DICOM to a node, at the pace asked for."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Literal

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pynetdicom import AE
from pynetdicom.association import Association

from console.reaching import keep_answers

Order = Literal["sorted", "shuffled"]
SendProgress = Callable[[int, int], None]
"""Called after every instance with (handled so far, all)."""


class ScannerError(Exception):
    """Nothing more can be sent; the text says to whom, why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An instance that the node did not take: its file, the status it answered with (None: no answer), its words."""

    path: Path
    status: int | None
    comment: str


@dataclass(frozen=True, kw_only=True)
class SendReport:
    """What became of a folder: instances acknowledged with success or a warning, and those refused."""

    sent: int
    refused: tuple[Refusal, ...]


def send_folder(
    folder: Path,
    host: str,
    port: int,
    *,
    called_ae: str = "HOLMIA",
    calling_ae: str = "SCANNER",
    pace_s: float = 0.0,
    order: Order = "sorted",
    seed: int = 1,
    associations: int = 1,
    timeout_s: float = 30.0,
    tls: ssl.SSLContext | None = None,
    progress: SendProgress | None = None,
) -> SendReport:
    """Send every DICOM file under `folder`: each sub-folder in associations of its own, in order of name.

    Parameters
    ----------
    folder
        Holds DICOM files, sub-folders of them, or both; other files are left out.
    host, port, called_ae
        The node.
    calling_ae
        What this scanner calls itself.
    pace_s
        Pause after each instance, s.
    order
        ``sorted`` by name, or ``shuffled`` with `seed`.
    associations
        How many associations share the files of one sub-folder, at the same time.
    timeout_s
        How long to wait for a connection or an answer.
    tls
        What to secure the associations with (`dicom_listener.tls.client_context`); None sends in the clear.

    Raises
    ------
    ScannerError
        If there is nothing to send, the node cannot be reached, refuses the association, or falls silent.
    """
    batches = [(path, dicom_files(path)) for path in (folder, *sorted(p for p in folder.rglob("*") if p.is_dir()))]
    batches = [(path, files) for path, files in batches if files]
    if not batches:
        raise ScannerError(f"{folder} holds no DICOM file; name the folder that `holmia phantom` wrote, or a series.")
    node = _Node(host, port, called_ae, calling_ae, timeout_s, tls)
    tally = _Tally(sum(len(files) for _, files in batches), progress)
    for number, (_, files) in enumerate(batches):
        queue = list(files)
        if order == "shuffled":
            random.Random(f"{seed}/{number}").shuffle(queue)
        parts = [queue[first::associations] for first in range(min(associations, len(queue)))]
        _send_together(node, parts, pace_s, tally)
    return SendReport(sent=tally.sent, refused=tuple(tally.refused))


def dicom_files(folder: Path) -> tuple[Path, ...]:
    """Return the files directly in `folder` that carry the Part-10 prefix, by name."""
    return tuple(path for path in sorted(folder.iterdir()) if path.is_file() and _is_part10(path))


def _is_part10(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


class _Tally:
    """Counts over all associations."""

    def __init__(self, total: int, progress: SendProgress | None) -> None:
        self.sent = 0
        self.refused: list[Refusal] = []
        self._total = total
        self._progress = progress
        self._lock = Lock()

    def add(self, refusal: Refusal | None) -> None:
        with self._lock:
            if refusal is None:
                self.sent += 1
            else:
                self.refused.append(refusal)
            if self._progress is not None:
                self._progress(self.sent + len(self.refused), self._total)


@dataclass(frozen=True)
class _Node:
    host: str
    port: int
    called_ae: str
    calling_ae: str
    timeout_s: float
    tls: ssl.SSLContext | None

    def associate(self, contexts: set[tuple[str, str]]) -> Association:
        """Open an association, or say in a sentence why there is none."""
        ae = AE(ae_title=self.calling_ae)
        ae.connection_timeout = self.timeout_s
        ae.acse_timeout = self.timeout_s
        ae.dimse_timeout = self.timeout_s
        ae.network_timeout = self.timeout_s
        for sop_class, transfer_syntax in sorted(contexts):
            ae.add_requested_context(sop_class, transfer_syntax)
        secured = None if self.tls is None else (self.tls, None)
        association = ae.associate(self.host, self.port, ae_title=self.called_ae, tls_args=secured)  # type: ignore[arg-type]
        if association.is_established:
            keep_answers(association)
            return association
        where = f"{self.called_ae} at {self.host}:{self.port}"
        if association.is_rejected:
            answer = association.acceptor.primitive
            why = getattr(answer, "reason_str", "") or "no reason given"
            raise ScannerError(f"{where} rejected the association of {self.calling_ae}: {why}. Check both AE titles.")
        if association.is_aborted and association.acceptor.primitive is not None:
            raise ScannerError(f"{where} takes none of the kinds of object that were offered.")
        raise ScannerError(f"{where} cannot be reached; check that the listener runs, its address and port.")


def _send_together(node: _Node, parts: Sequence[Sequence[Path]], pace_s: float, tally: _Tally) -> None:
    if len(parts) == 1:
        _send_files(node, parts[0], pace_s, tally)
        return
    failures: list[ScannerError] = []

    def run(files: Sequence[Path]) -> None:
        try:
            _send_files(node, files, pace_s, tally)
        except ScannerError as error:
            failures.append(error)

    threads = [Thread(target=run, args=(files,), name="scanner") for files in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _send_files(node: _Node, files: Sequence[Path], pace_s: float, tally: _Tally) -> None:
    association = node.associate({_context(path) for path in files})
    try:
        for path in files:
            tally.add(_send_one(node, association, path))
            if pace_s > 0:
                time.sleep(pace_s)
    finally:
        if association.is_established:
            association.release()


def _send_one(node: _Node, association: Association, path: Path) -> Refusal | None:
    if not association.is_established:
        raise ScannerError(
            f"{node.called_ae} at {node.host}:{node.port} ended the association before {path.name} was sent; send the "
            "folder again (what has arrived is not stored twice)."
        )
    try:
        answer = association.send_c_store(dcmread(path))
    except ValueError as error:
        return Refusal(path=path, status=None, comment=f"no accepted presentation context: {error}")
    status = answer.get("Status") if isinstance(answer, Dataset) else None
    if status is None:
        raise ScannerError(
            f"{node.called_ae} at {node.host}:{node.port} did not answer within {node.timeout_s:g} s for {path.name}; "
            "check the listener and the network."
        )
    # 0xBxxx are warnings: the instance was stored (PS3.4 B.2.3).
    if status == 0x0000 or status & 0xF000 == 0xB000:
        return None
    return Refusal(path=path, status=int(status), comment=str(answer.get("ErrorComment", "")))


def _context(path: Path) -> tuple[str, str]:
    try:
        meta = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]).file_meta
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except (InvalidDicomError, AttributeError) as error:
        raise ScannerError(f"{path} is no complete DICOM file ({error}); take it out of the folder.") from None
