"""Decoding in a process of its own, so that no object that a peer sent can take the caller down.

The process has a limit of memory and of time (`dicom_listener.decoding_worker`); one that dies is replaced. Linux and
other Unix systems; the limit of memory holds on Linux only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from zoneinfo import ZoneInfo

from pydicom.uid import RLELossless

from dicom_listener.decoding_frames import (
    DECODE,
    EXIT_MEMORY,
    GIVEN_LABEL_MAP,
    LABEL_MAP,
    READY,
    SAME_PIXELS,
    Channel,
    EndedError,
    NonsenseError,
    allowed_s,
    loads,
)
from dicom_listener.images import DecodedInstance, PatientIdentity, StructureSet
from dicom_listener.instance_header import LOSSLESS, UnreadableInstanceError, read_header
from dicom_listener.pixels import CODEC_FAILED
from dicom_listener.times import parse_date

_LOG = logging.getLogger(__name__)

MEMORY_LIMIT_BYTES = 2 << 30
"""2 GiB beyond the interpreter: the largest data set that the listener takes (256 MiB of 16 bit) becomes 512 MiB of
float32 and needs 1.3 GiB on the way there."""
TIMEOUT_S = 60.0
"""For up to 10 MB, and as much again for every further 10 MB: it bounds only the hostile. The slowest, JPEG 2000, takes
9 s of one core for 600 frames of 256 × 256 (38 MB); JPEG, JPEG-LS and RLE 3 s, uncompressed 0.5 s."""

_START_TIMEOUT_S = 60.0
"""Half a second from a warm disk; the libraries may come from a cold or a slow one."""
_CLOSE_GRACE_S = 2.0
_ATTEMPTS = 2
"""A process can be killed by others (out of memory elsewhere): an instance is blamed when it ends two of them."""
_ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds this very package, so that both sides are of one version."""


_Answer = TypeVar("_Answer")


class DecodingProcessError(RuntimeError):
    """The decoding process cannot be started, or is closed; no fault of an instance. The text is a sentence."""


class DecodingProcess:
    """Decodes instances in a process of its own. A context manager; safe to share between threads (one at a time).

    Parameters
    ----------
    memory_limit_bytes
        What the process may take beyond its own start-up size.
    timeout_s
        How long one call may take, s; as much again for every full 10 MB that it brings.
    """

    def __init__(self, *, memory_limit_bytes: int = MEMORY_LIMIT_BYTES, timeout_s: float = TIMEOUT_S) -> None:
        self._memory_limit_bytes = memory_limit_bytes
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Number of the process that runs now; None before the first call and after one that ended it."""
        worker = self._worker
        return None if worker is None else worker.process.pid

    def warm(self) -> None:
        """Start the process and do not wait for it (half a second): the first call finds it ready.

        Raises
        ------
        DecodingProcessError
            If it cannot be started, or is closed.
        """
        with self._lock:
            self._running()

    def decode(self, data: bytes, *, time_zone: ZoneInfo) -> DecodedInstance:
        """Decode a Part-10 file as `dicom_listener.decode.decode` does, bit for bit; its arrays are read-only.

        An instance that needs more memory or time than it may, or that ends the decoder, comes back with the UIDs that
        its header tells and the sentence in `reason`; the next call has a new process.

        Raises
        ------
        DecodingProcessError
            If the process cannot be started, or is closed: never for what is in `data`.
        ValueError
            If the zone has no key.
        """
        if time_zone.key is None:
            raise ValueError("time_zone has no key; expected the name of a zone, as in 'Europe/Amsterdam'.")
        try:
            answer = self._ask([DECODE, time_zone.key.encode(), data], DecodedInstance)
        except _FailedError as failure:
            _LOG.warning("%s The next instance has a new decoding process.", failure)
            return _unusable(data, f"{failure} The instance is stored but not used.")
        if CODEC_FAILED in answer.reason and _in_jpeg_family(data):
            self._renew()
        return answer

    def same_pixels(self, one: bytes, other: bytes) -> bool:
        """Return whether two Part-10 files hold equal pixels, decoded; False where that cannot be told.

        Raises
        ------
        DecodingProcessError
            As `decode`.
        """
        try:
            same = self._ask([SAME_PIXELS, one, other], bool)
        except _FailedError as failure:
            _LOG.warning("%s Two instances with one UID count as different.", failure)
            return False
        if not same and (_in_jpeg_family(one) or _in_jpeg_family(other)):
            self._renew()
        return same

    def label_map(self, data: bytes, labels: Mapping[int, str], *, name: str = "label map") -> tuple[StructureSet, str]:
        """Read a NIfTI file as `dicom_listener.label_map.label_map` does.

        Raises
        ------
        DecodingProcessError
            As `decode`.
        """
        told = json.dumps({"name": name, "labels": {str(label): region for label, region in labels.items()}}).encode()
        try:
            answer = self._ask([LABEL_MAP, told, data], tuple)
        except _FailedError as failure:
            return _unusable_label_map(data, labels.values(), name, failure)
        return answer[0], answer[1]

    def given_label_map(self, payload: Mapping[str, Any], data: bytes) -> StructureSet:
        """Read a label map as an event brings it, as `dicom_listener.label_map.given_label_map` does.

        Raises
        ------
        DecodingProcessError
            As `decode`.
        """
        try:
            return self._ask([GIVEN_LABEL_MAP, json.dumps(dict(payload)).encode(), data], StructureSet)
        except _FailedError as failure:
            told = payload.get("labels")
            regions = map(str, told.values()) if isinstance(told, Mapping) else ()
            return _unusable_label_map(data, regions, str(payload.get("name") or "label map"), failure)[0]

    def close(self) -> None:
        """End the process; a call under way gets 2 s and is then ended too (`DecodingProcessError`)."""
        self._closed = True
        if not self._lock.acquire(timeout=_CLOSE_GRACE_S):
            worker = self._worker
            if worker is not None:
                worker.process.kill()
            self._lock.acquire()
        try:
            self._end()
        finally:
            self._lock.release()

    def _ask(self, parts: list[bytes], expected: type[_Answer]) -> _Answer:
        """Return the answer to one request, from a second process where the first one died of it."""
        failure = _FailedError()
        with self._lock:
            for _ in range(_ATTEMPTS):
                try:
                    return self._answered(parts, expected)
                except TimeoutError:
                    self._end(at_once=True)
                    raise _FailedError(
                        f"Decoding took longer than {allowed_s(self._timeout_s, parts):g} s and was ended."
                    ) from None
                except MemoryError:
                    self._end(at_once=True)
                    raise self._too_large() from None
                except NonsenseError:
                    self._end(at_once=True)
                    failure = _FailedError("The decoder gave an answer that cannot be read.")
                except EndedError:
                    status = self._end()
                    if status == EXIT_MEMORY:
                        raise self._too_large() from None
                    failure = _FailedError(f"Decoding ended the decoder ({_how(status)}).")
                except BaseException:  # Ctrl-C in the middle of a message: what follows would be its rest
                    self._end(at_once=True)
                    raise
            raise failure

    def _answered(self, parts: list[bytes], expected: type[_Answer]) -> _Answer:
        worker = self._running()
        if not worker.ready:
            self._await_start(worker)
        until = time.monotonic() + allowed_s(self._timeout_s, parts)
        worker.channel.send(parts, until=until)
        answer = loads(worker.channel.receive(limit_bytes=self._memory_limit_bytes, until=until))
        if not isinstance(answer, expected):
            raise NonsenseError("The answer is of another kind.")
        return answer

    def _running(self) -> _Worker:
        if self._closed:
            raise DecodingProcessError("The decoding process was closed.")
        if self._worker is not None and self._worker.process.poll() is not None:
            self._end()  # it was killed while nobody asked
        if self._worker is None:
            self._worker = _started(self._memory_limit_bytes, self._timeout_s)
        return self._worker

    def _renew(self) -> None:
        """Give the next request a new process: a native codec that refused damaged data may have damaged its memory."""
        with self._lock:
            if not self._closed:
                self._end()
                self._running()

    def _await_start(self, worker: _Worker) -> None:
        try:
            first = worker.channel.receive(limit_bytes=len(READY) + 64, until=time.monotonic() + _START_TIMEOUT_S)
            worker.ready = [bytes(part) for part in first] == [READY]
        except (TimeoutError, NonsenseError, EndedError):
            pass
        if not worker.ready:
            status = self._end(at_once=True)
            raise DecodingProcessError(
                f"The decoding process did not start ({_how(status)}): nothing can be decoded. Run "
                "'python -m dicom_listener.decoding_worker 1000000000 30 < /dev/null' in its folder to see why."
            )

    def _end(self, *, at_once: bool = False) -> int | None:
        """End the process, if there is one, and return its exit status."""
        worker, self._worker = self._worker, None
        if worker is None:
            return None
        worker.channel.close()  # the end of its input is the order to go
        if at_once:
            worker.process.kill()
        try:
            return worker.process.wait(_CLOSE_GRACE_S)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            return worker.process.wait()

    def _too_large(self) -> _FailedError:
        return _FailedError(f"Decoding needs more memory than {self._memory_limit_bytes / 1e6:.0f} MB.")


class _FailedError(Exception):
    """A request cannot be answered, for what is in it; the text is a sentence."""


@dataclass(kw_only=True)
class _Worker:
    """A running process, and whether it has said that it is ready."""

    process: subprocess.Popen[bytes]
    channel: Channel
    ready: bool = False


def _started(memory_limit_bytes: int, timeout_s: float) -> _Worker:
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "dicom_listener.decoding_worker", str(memory_limit_bytes), str(timeout_s)],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # codecs write of broken data there; nothing of it may reach a user
            cwd=_ROOT,
            start_new_session=True,  # Ctrl-C in the terminal is not meant for it
        )
    except OSError as error:
        ours.close()
        raise DecodingProcessError(f"The decoding process cannot be started: {error}.") from error
    finally:
        theirs.close()
    return _Worker(process=process, channel=Channel(ours))


def _how(status: int | None) -> str:
    return f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"


def _in_jpeg_family(data: bytes) -> bool:
    try:
        return read_header(data).transfer_syntax_uid in LOSSLESS - {RLELossless}
    except UnreadableInstanceError:
        return False


def _unusable(data: bytes, reason: str) -> DecodedInstance:
    try:
        header = read_header(data)
    except UnreadableInstanceError:
        return DecodedInstance(reason=reason)
    return DecodedInstance(
        sop_class_uid=header.sop_class_uid,
        sop_instance_uid=header.sop_instance_uid,
        series_instance_uid=header.series_instance_uid,
        patient=PatientIdentity(
            id=header.patient_id,
            issuer=header.issuer_of_patient_id,
            birth_date=parse_date(header.patient_birth_date),
        ),
        reason=reason,
    )


def _unusable_label_map(
    data: bytes, regions: Iterable[str], name: str, failure: _FailedError
) -> tuple[StructureSet, str]:
    _LOG.warning("%s The next object has a new decoding process.", failure)
    found = StructureSet(
        label=name,
        sop_instance_uid=f"sha256:{hashlib.sha256(data).hexdigest()}",
        frame_of_reference_uid="",
        referenced_series_uids=(),
        structures=(),
        unusable=tuple((region, f"the label map cannot be used: {failure}") for region in regions),
    )
    return found, f"Label map {name!r} cannot be used: {failure}"
