"""How the decoding process and whoever asks it talk: framed parts over a socket, nouns as a pickle with an allow-list.

A message is ``<4s magic, u32 count>``, `count` lengths (u64), and the parts, each padded to a multiple of 64 bytes, so
that arrays lie aligned in the one buffer that they are received into. Measured against memory shared through a
memfd: 0.09 ms against 0.04 ms for a 262 kB signal, equal for 160 MB; the socket needs no book-keeping.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import socket
import struct
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from enum import Enum
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

import dicom_listener.images
import quantify.model

READY = b"ready"
DECODE, SAME_PIXELS = b"decode", b"same_pixels"
LABEL_MAP, GIVEN_LABEL_MAP = b"label_map", b"given_label_map"
EXIT_MEMORY = 3
"""Exit status of a process that a request, or its answer, does not fit into."""

_FULL_TIME_BYTES = 10_000_000

_MAGIC = b"HDP1"
_HEAD = struct.Struct("<4sI")
_ALIGNMENT = 64
_MAXIMUM_PARTS = 1 << 20
_JOINED_BYTES = 1 << 16
"""Parts up to this size are sent together: a call to the system costs more than the copy."""
_ARRAY_KINDS = "biuf"


class NonsenseError(Exception):
    """What came over the socket is no message of the other side; the text is a sentence without its content."""


class EndedError(Exception):
    """The other side has closed the socket."""


class Channel:
    """One end of the socket. Used by one thread at a time."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def close(self) -> None:
        """Close this end; the other side sees the end of the file."""
        self._end.close()

    def send(self, parts: Sequence[bytes | memoryview], *, until: float | None = None) -> None:
        """Send one message; `until` (``time.monotonic``, s) bounds it.

        Raises
        ------
        TimeoutError, EndedError
            If the other side does not take it in time, or is gone.
        """
        pending = bytearray(_HEAD.pack(_MAGIC, len(parts)))
        pending += struct.pack(f"<{len(parts)}Q", *map(len, parts))
        for part in parts:
            if len(part) > _JOINED_BYTES:
                self._send(pending, until)
                self._send(part, until)
                pending = bytearray()
            else:
                pending += part
            pending += bytes(-len(part) % _ALIGNMENT)
        self._send(pending, until)

    def receive(self, *, limit_bytes: int, until: float | None = None) -> list[memoryview]:
        """Receive one message of `limit_bytes` at most; its parts are read-only and share one buffer.

        Raises
        ------
        TimeoutError, EndedError
            As in `send`.
        NonsenseError
            If it is no message, or a larger one.
        """
        magic, count = _HEAD.unpack(self._receive(_HEAD.size, until))
        if magic != _MAGIC or count > _MAXIMUM_PARTS:
            raise NonsenseError("The message has no valid head.")
        lengths = struct.unpack(f"<{count}Q", self._receive(8 * count, until))
        padded = [length + -length % _ALIGNMENT for length in lengths]
        if sum(padded) > limit_bytes:
            raise NonsenseError("The message is larger than it may be.")
        whole = self._receive(sum(padded), until).toreadonly()
        parts, start = [], 0
        for length, step in zip(lengths, padded, strict=True):
            parts.append(whole[start : start + length])
            start += step
        return parts

    def _send(self, data: bytes | bytearray | memoryview, until: float | None) -> None:
        self._arm(until)
        try:
            self._end.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            raise EndedError from error

    def _receive(self, count: int, until: float | None) -> memoryview:
        # Not a bytearray: filling it with zeros would hold Python's lock for tens of milliseconds.
        view, have = np.empty(count, dtype=np.uint8).data, 0
        whole = 0 if until is not None else socket.MSG_WAITALL
        while have < count:
            self._arm(until)
            try:
                got = self._end.recv_into(view[have:], 0, whole)
            except TimeoutError:
                raise
            except OSError as error:
                raise EndedError from error
            if got == 0:
                raise EndedError
            have += got
        return view

    def _arm(self, until: float | None) -> None:
        if until is not None:
            remaining = until - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            self._end.settimeout(remaining)


def allowed_s(timeout_s: float, parts: Sequence[bytes | memoryview]) -> float:
    """Return how long a request may take, s: `timeout_s`, and as much again for every full 10 MB that it brings.

    So a large series in the slowest syntax has its time, and a small object cannot hold everything up for as long.
    """
    return timeout_s * (1 + sum(map(len, parts)) // _FULL_TIME_BYTES)


def dumps(value: object) -> list[memoryview]:
    """Return `value` as parts: a pickle, then the bytes of each array in it."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=5, buffer_callback=buffers.append)
    enums = dict.fromkeys(_ENUMS, _reduced_enum)
    pickler.dispatch_table = copyreg.dispatch_table | enums | {np.ndarray: _reduced_array, ZoneInfo: _reduced_zone}
    pickler.dump(value)
    return [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]


def loads(parts: Sequence[memoryview]) -> object:
    """Return what `dumps` was given; its arrays are read-only views of `parts`.

    Raises
    ------
    NonsenseError
        If the parts are no pickle, or name anything but the nouns of `dicom_listener.images` and `quantify.model`,
        times and zones: the other side may have been taken over by what it decoded.
    """
    if not parts:
        raise NonsenseError("The message is empty.")
    try:
        return _Unpickler(io.BytesIO(parts[0]), buffers=parts[1:]).load()
    # A pickle that another program wrote raises nearly anything; there is one answer to all of it.
    except Exception as error:
        raise NonsenseError(f"The message cannot be read ({type(error).__name__}).") from error


def restored_array(dtype: str, shape: tuple[int, ...], data: Any) -> NDArray[Any]:  # noqa: ANN401 - any buffer
    """Return a read-only array over `data`; the counterpart of `_reduced_array` in the pickle."""
    kind = np.dtype(dtype)
    if kind.kind not in _ARRAY_KINDS:
        raise ValueError("An array of another kind than numbers.")
    array: NDArray[Any] = np.ndarray(shape, kind, memoryview(data).toreadonly())
    return array


def _reduced_array(array: NDArray[Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    values = np.ascontiguousarray(array)
    # Its bytes in one row: pickle takes no other view of an empty array or one without axes.
    return restored_array, (array.dtype.str, array.shape, pickle.PickleBuffer(values.reshape(-1).view(np.uint8).data))


def _reduced_enum(member: Enum) -> tuple[type[Enum], tuple[Any, ...]]:
    # By itself it is reduced to getattr in Python 3.11.0 to 3.11.3, which no list may allow.
    return type(member), (member.value,)


def _reduced_zone(zone: ZoneInfo) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return ZoneInfo, (zone.key,)


_ENUMS = tuple(
    noun
    for module in (dicom_listener.images, quantify.model)
    for noun in vars(module).values()
    if isinstance(noun, type) and issubclass(noun, Enum) and noun.__module__ == module.__name__
)


class _Unpickler(pickle.Unpickler):
    _ALLOWED: ClassVar[dict[tuple[str, str], object]] = {
        (known.__module__, known.__qualname__): known
        for known in (date, datetime, timedelta, timezone, ZoneInfo, restored_array)
    }
    _NOUNS: ClassVar[dict[str, Any]] = {module.__name__: module for module in (dicom_listener.images, quantify.model)}

    def find_class(self, module_name: str, global_name: str) -> object:
        known = self._ALLOWED.get((module_name, global_name))
        if known is not None:
            return known
        noun = vars(self._NOUNS[module_name]).get(global_name) if module_name in self._NOUNS else None
        if isinstance(noun, type) and noun.__module__ == module_name:
            return noun
        raise pickle.UnpicklingError("A name that is not on the list.")
