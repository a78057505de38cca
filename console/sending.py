"""Sending DICOM files to a node: an archive or planning system, or, as a simulated scanner, a listener."""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Literal

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from console.reaching import keep_answers, rejection_in_words

Order = Literal["sorted", "shuffled"]
SendProgress = Callable[[int, int], None]
"""Called after every instance with (handled so far, all)."""
Context = tuple[str, str]
"""SOP class and transfer syntax."""

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_MOST_CONTEXTS = 128
"""Of one association: their numbers are odd and below 256 (PS3.8, 9.3.2.2)."""


class SendError(Exception):
    """Nothing more can be sent; the text says to whom, why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the node said of an instance, other than plain success: status (None: it was never asked), its words."""

    path: Path
    status: int | None
    comment: str

    @property
    def words(self) -> str:
        """Status and comment as a person reads them."""
        if self.status is None:
            return self.comment
        meaning = STORAGE_SERVICE_CLASS_STATUS.get(self.status, ("", "a status of its own"))[1]
        return f"status 0x{self.status:04X}, {meaning}" + (f": {self.comment}" if self.comment else "")


@dataclass(frozen=True, kw_only=True)
class SendReport:
    """What became of a folder: how many instances are stored, those of them with a warning, and those refused."""

    sent: int
    refused: tuple[Answer, ...]
    warned: tuple[Answer, ...] = ()


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
        Holds DICOM files, sub-folders of them, or both; other files, and directories of media (DICOMDIR), are left
        out. Or a single file.
    host, port, called_ae
        The node.
    calling_ae
        What the sender calls itself.
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
    SendError
        If there is nothing to send, the node cannot be reached, refuses the association, or falls silent.
    """
    batches = [files for files in _batches(folder) if files]
    if not batches:
        raise SendError(f"{folder} holds no DICOM file; name a folder of DICOM files, or of such folders.")
    node = _Node(host, port, called_ae, calling_ae, timeout_s, tls)
    tally = _Tally(sum(map(len, batches)), progress)
    for number, files in enumerate(batches):
        queue = list(files)
        if order == "shuffled":
            random.Random(f"{seed}/{number}").shuffle(queue)
        parts = [queue[first::associations] for first in range(min(associations, len(queue)))]
        _send_together(node, parts, pace_s, tally)
    return SendReport(sent=tally.sent, refused=tuple(tally.refused), warned=tuple(tally.warned))


def dicom_files(folder: Path) -> tuple[Path, ...]:
    """Return the files directly in `folder` that carry the Part-10 prefix, by name."""
    return tuple(path for path in sorted(folder.iterdir()) if path.is_file() and _is_part10(path))


def _batches(folder: Path) -> Iterator[tuple[Path, ...]]:
    if folder.is_file():
        yield (folder,) if _is_part10(folder) else ()
        return
    for path in (folder, *sorted(p for p in folder.rglob("*") if p.is_dir())):
        yield tuple(file for file in dicom_files(path) if _context(file)[0] != MediaStorageDirectoryStorage)


def _is_part10(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


class _Tally:
    """Counts over all associations."""

    def __init__(self, total: int, progress: SendProgress | None) -> None:
        self.sent = 0
        self.refused: list[Answer] = []
        self.warned: list[Answer] = []
        self._total = total
        self._progress = progress
        self._lock = Lock()

    def add(self, answer: Answer) -> None:
        with self._lock:
            warned = answer.status is not None and (answer.status == 0x0001 or answer.status & 0xF000 == 0xB000)
            if answer.status == 0x0000 or warned:  # with a warning it is stored too (PS3.4, B.2.3)
                self.sent += 1
            else:
                self.refused.append(answer)
            if warned:
                self.warned.append(answer)
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

    def __str__(self) -> str:
        return f"{self.called_ae} at {self.host}:{self.port}"

    def associate(self, contexts: set[Context]) -> Association:
        """Open an association, or say in a sentence why there is none."""
        try:
            ae = AE(ae_title=self.calling_ae)
            ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = self.timeout_s
            for sop_class, transfer_syntax in sorted(contexts):
                ae.add_requested_context(sop_class, transfer_syntax)
            secured = None if self.tls is None else (self.tls, None)
            started = time.monotonic()
            association = ae.associate(self.host, self.port, ae_title=self.called_ae, tls_args=secured)  # type: ignore[arg-type]
        except ValueError as error:  # a title that is none, a UID that is none
            raise SendError(f"An association with {self} cannot be proposed: {error}") from None
        except OSError:  # the name has no address
            raise SendError(f"{self} cannot be reached: the name has no address; check it.") from None
        if association.is_established:
            keep_answers(association)
            return association
        answer = association.acceptor.primitive
        if association.is_rejected:
            why = rejection_in_words(answer, called=self.called_ae, calling=self.calling_ae)
            raise SendError(f"{self} rejected the association of {self.calling_ae}: {why}.")
        if association.is_aborted and answer is not None:
            raise SendError(f"{self} takes none of the kinds of object that were offered; check what it is set up for.")
        raise SendError(self._why_silent(time.monotonic() - started))

    def _why_silent(self, waited_s: float) -> str:
        """Knock once more, to tell a machine that is not there from one that does not answer."""
        try:
            socket.create_connection((self.host, self.port), timeout=min(self.timeout_s, 5.0)).close()
        except TimeoutError:
            return f"{self} cannot be reached: nothing answers there; a firewall, or the wrong address or port?"
        except OSError as error:
            return f"{self} cannot be reached: {error.strerror or error}; check that it runs, its address and port."
        if waited_s >= self.timeout_s:
            return f"{self} accepts connections but did not answer within {self.timeout_s:g} s; is it a DICOM node?"
        doubt = "with TLS off" if self.tls is None else "with TLS on, and does it accept this node's certificate"
        return f"{self} ended the connection without an answer; is it a DICOM node, {doubt}?"


def _send_together(node: _Node, parts: Sequence[Sequence[Path]], pace_s: float, tally: _Tally) -> None:
    if len(parts) == 1:
        _send_files(node, parts[0], pace_s, tally)
        return
    failures: list[SendError] = []

    def run(files: Sequence[Path]) -> None:
        try:
            _send_files(node, files, pace_s, tally)
        except SendError as error:
            failures.append(error)

    threads = [Thread(target=run, args=(files,), name="sender") for files in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _send_files(node: _Node, files: Sequence[Path], pace_s: float, tally: _Tally) -> None:
    for part, contexts in _by_association(files):
        association = node.associate(contexts)
        try:
            for path in part:
                tally.add(_send_one(node, association, path))
                if pace_s > 0:
                    time.sleep(pace_s)
        finally:
            if association.is_established:
                association.release()


def _by_association(files: Sequence[Path]) -> Iterator[tuple[list[Path], set[Context]]]:
    """Divide files, in order, into runs that need no more contexts than one association has."""
    part: list[Path] = []
    contexts: set[Context] = set()
    for path in files:
        needed = _offered(*_context(path))
        if len(contexts | needed) > _MOST_CONTEXTS:
            yield part, contexts
            part, contexts = [], set()
        part.append(path)
        contexts |= needed
    yield part, contexts


def _offered(sop_class: str, transfer_syntax: str) -> set[Context]:
    """A file's own transfer syntax, and, where it is not compressed, the one that every node has (PS3.5, 10.1)."""
    if transfer_syntax == ExplicitVRLittleEndian:
        return {(sop_class, transfer_syntax), (sop_class, ImplicitVRLittleEndian)}
    return {(sop_class, transfer_syntax)}


def _send_one(node: _Node, association: Association, path: Path) -> Answer:
    if not association.is_established:
        raise SendError(
            f"{node} ended the association before {path.name} was sent; send the folder again (what has arrived is not "
            "stored twice)."
        )
    context = _context(path)
    taken = {(cx.abstract_syntax, cx.transfer_syntax[0]) for cx in association.accepted_contexts}
    if not _offered(*context) & taken:
        kind, coding = UID(context[0]).name, UID(context[1]).name
        return Answer(path=path, status=None, comment=f"the node does not take {kind} in {coding}")
    try:
        dataset = dcmread(path)
        if _is_cut_short(dataset):
            return Answer(path=path, status=None, comment="the file is cut short: pixels are missing; it was not sent")
        answer = association.send_c_store(dataset)
    except (ValueError, AttributeError, EOFError) as error:
        return Answer(path=path, status=None, comment=f"it cannot be encoded: {error}")
    status = answer.get("Status") if isinstance(answer, Dataset) else None
    if status is None:
        raise SendError(
            f"{node} did not answer within {node.timeout_s:g} s for {path.name}; check that it runs, and the network."
        )
    return Answer(path=path, status=int(status), comment=str(answer.get("ErrorComment", "")))


def _is_cut_short(dataset: Dataset) -> bool:
    """Whether an image lacks pixels: pydicom reads what there is without a word, and a node would store it."""
    if "Rows" not in dataset or dataset.file_meta.TransferSyntaxUID.is_compressed:
        return False
    held = next((len(dataset[name].value) for name in _PIXELS if name in dataset), 0)
    return held < get_expected_length(dataset)


def _context(path: Path) -> Context:
    try:
        meta = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]).file_meta
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except (InvalidDicomError, AttributeError) as error:
        raise SendError(f"{path} is no complete DICOM file ({error}); take it out of the folder.") from None
